/* A picture as the model's input: resized as its card says, scaled, planes of red, green and blue.
 */
#ifndef LK_MODEL_PREPROCESS_H
#define LK_MODEL_PREPROCESS_H

#include "model/card.h"

/* The resize alone: *ret is a new image of size x size. */
LK_CHECK lk_code lk_preprocess_pixels(const lk_card *card, const lk_image *im, lk_image *ret,
                                      lk_err *err);

/* ret[3][size][size], or [size][size][3] with pixels_first; (value / 255 - mean) / std. */
LK_CHECK lk_code lk_preprocess(const lk_card *card, const lk_image *im, bool pixels_first,
                               float *ret, lk_err *err);

#endif
