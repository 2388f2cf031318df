/* A canvas turns rows as stored into an upright picture while they are decoded, so that a rotated
 * photograph is never held twice. */
#ifndef LK_IMAGE_ROWS_H
#define LK_IMAGE_ROWS_H

#include "image/image.h"

typedef struct lk_canvas {
    lk_image *im;           /* upright */
    unsigned width, height; /* as stored */
    size_t origin;          /* byte of im->px where stored pixel (0, 0) goes */
    ptrdiff_t step_x, step_y;
} lk_canvas;

/* im: new, of the upright size (sides swapped for orientations 5 to 8). */
void lk_canvas_init(lk_canvas *c, lk_image *im, unsigned orientation);

/* Rows y .. y + n_rows - 1 of the stored picture: bands 1 (grey) or 3 (RGB), 8 bits. */
void lk_canvas_put(lk_canvas *c, unsigned y, unsigned n_rows, const unsigned char *px,
                   size_t row_bytes, unsigned bands);

#endif
