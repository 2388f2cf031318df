#include "image/rows.h"

#include <assert.h>

void lk_canvas_init(lk_canvas *c, lk_image *im, unsigned orientation)
{
    bool swaps = orientation >= 5;
    unsigned w = swaps ? im->height : im->width, h = swaps ? im->width : im->height;
    ptrdiff_t row = (ptrdiff_t)im->width * 3;
    /* EXIF 2.32, 4.6.4: where the stored picture's first row and first column are seen. */
    bool flips_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool flips_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    ptrdiff_t along_x = swaps ? row : 3, along_y = swaps ? 3 : row;
    *c = (lk_canvas){
        .im = im,
        .width = w,
        .height = h,
        .origin =
            (flips_x ? (size_t)along_x * (w - 1) : 0) + (flips_y ? (size_t)along_y * (h - 1) : 0),
        .step_x = flips_x ? -along_x : along_x,
        .step_y = flips_y ? -along_y : along_y,
    };
}

/* Columns outside, rows inside: a rotated strip then writes runs of n_rows neighbours instead of
 * one pixel a line. */
static void put_turned(unsigned char *at, const lk_canvas *c, unsigned n_rows,
                       const unsigned char *px, size_t row_bytes, unsigned bands)
{
    size_t green = bands == 3 ? 1 : 0, blue = bands == 3 ? 2 : 0;
    for (unsigned x = 0; x < c->width; x++, at += c->step_x) {
        const unsigned char *from = px + (size_t)x * bands;
        unsigned char *to = at;
        for (unsigned y = 0; y < n_rows; y++, from += row_bytes, to += c->step_y) {
            to[0] = from[0];
            to[1] = from[green];
            to[2] = from[blue];
        }
    }
}

static void put_grey(unsigned char *to, const unsigned char *from, unsigned width)
{
    for (unsigned x = 0; x < width; x++) {
        to[3 * (size_t)x] = to[3 * (size_t)x + 1] = to[3 * (size_t)x + 2] = from[x];
    }
}

void lk_canvas_put(lk_canvas *c, unsigned y, unsigned n_rows, const unsigned char *px,
                   size_t row_bytes, unsigned bands)
{
    assert(bands == 1 || bands == 3);
    assert(y < c->height && n_rows <= c->height - y);
    unsigned char *at = c->im->px + c->origin + c->step_y * (ptrdiff_t)y;
    if (c->step_x != 3) {
        put_turned(at, c, n_rows, px, row_bytes, bands);
        return;
    }
    for (unsigned i = 0; i < n_rows; i++, at += c->step_y, px += row_bytes) {
        if (bands == 3) {
            memcpy(at, px, (size_t)c->width * 3);
        } else {
            put_grey(at, px, c->width);
        }
    }
}
