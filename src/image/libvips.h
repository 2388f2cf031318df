/* The one place that talks to libvips: open a picture, give its rows as RGB, write one.
 *
 * libvips keeps its error text in one buffer for all threads, so none of it is passed on: sentences
 * are made here from the step that failed. All calls are safe from any number of threads; an
 * lk_vips has one owner and works in the calling thread only. */
#ifndef LK_IMAGE_LIBVIPS_H
#define LK_IMAGE_LIBVIPS_H

#include "image/image.h"
#include "image/rows.h"

typedef struct lk_vips lk_vips;

typedef struct lk_vips_info {
    unsigned width, height, frames;
    unsigned bands, sample_bytes;
    unsigned orientation; /* of the container, 1..8; 1 where the loader has applied it */
    bool holds_all;       /* interlaced or progressive: the decoder holds the whole picture */
} lk_vips_info;

LK_CHECK lk_code lk_vips_start(lk_err *err);
void lk_vips_stop(void);

/* Reads the header only. The bytes must outlive the handle. LK_E_CORRUPT, LK_E_TRUNCATED,
 * LK_E_UNSUPPORTED (built without that loader). */
LK_CHECK lk_code lk_vips_open(lk_blob bytes, lk_image_format format, lk_vips **ret, lk_err *err);
void lk_vips_close(lk_vips *v); /* NULL allowed */
lk_vips_info lk_vips_info_of(const lk_vips *v);
/* Have a JPEG decoded at 1/factor of its size (2, 4 or 8, sides rounded down); the info has the new
 * size. Before the rows. */
LK_CHECK lk_code lk_vips_shrink(lk_vips *v, lk_blob bytes, unsigned factor, lk_err *err);
/* Both live as long as the handle; empty and NULL when absent. */
lk_blob lk_vips_exif(const lk_vips *v);
const char *lk_vips_exif_comment(lk_vips *v);

/* Decode: every row once, from the top, as 8-bit sRGB flattened on white. Once a handle. */
LK_CHECK lk_code lk_vips_rows(lk_vips *v, lk_canvas *to, lk_err *err);

LK_CHECK lk_code lk_vips_encode(const lk_image *im, lk_image_format format, int quality,
                                lk_buf *out, lk_err *err);

#endif
