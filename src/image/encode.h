/* Pictures to bytes: thumbnails and test pictures. Nothing but pixels is written (no metadata). */
#ifndef LK_IMAGE_ENCODE_H
#define LK_IMAGE_ENCODE_H

#include "image/image.h"

/* format: JPEG, WEBP or PNG; quality 1..100 (JPEG and WebP). Appends to *out. */
LK_CHECK lk_code lk_image_encode(const lk_image *im, lk_image_format format, int quality,
                                 lk_buf *out, lk_err *err);

#endif
