/* Resizing that equals Pillow's `Image.resize` bit for bit.
 *
 * Pillow's antialiased filters are what nearly every vision model was trained with, so an embedding
 * is only comparable when the pixels are the same. Two passes in fixed point, horizontal first,
 * rounded to 8 bits between them; the filter's support grows with the reduction. */
#ifndef LK_IMAGE_RESIZE_H
#define LK_IMAGE_RESIZE_H

#include "image/image.h"

typedef enum lk_resize_filter {
    LK_RESIZE_BICUBIC,
    LK_RESIZE_BILINEAR,
    LK_RESIZE_LANCZOS,
    LK_RESIZE_BOX
} lk_resize_filter;

/* *ret is a new image of width x height. Errors: LK_E_NOMEM, LK_E_INVALID for a zero side. */
LK_CHECK lk_code lk_resize(const lk_image *src, unsigned width, unsigned height,
                           lk_resize_filter filter, lk_image *ret, lk_err *err);

/* How a model wants its square: */
typedef enum lk_fit {
    LK_FIT_CROP,   /* short side to size (long side rounded down), then the centre square */
    LK_FIT_SQUASH, /* both sides to size */
    LK_FIT_PAD,    /* long side to size, the other rounded, centred on the pad colour */
} lk_fit;

/* CROP scales the short side to `short_side` (which may be larger than size, as in 256 -> 224) and
 * cuts the centre size x size, offsets rounded half to even as Python's round() does. */
LK_CHECK lk_code lk_resize_fit(const lk_image *src, lk_fit fit, unsigned short_side, unsigned size,
                               lk_resize_filter filter, const unsigned char pad_rgb[3],
                               lk_image *ret, lk_err *err);

/* The largest size with the same shape that has no side over long_side; never larger than the
 * source. */
LK_CHECK lk_code lk_resize_within(const lk_image *src, unsigned long_side, lk_image *ret,
                                  lk_err *err);

#endif
