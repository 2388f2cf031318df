/* The colours of a picture: dominant ones with their shares, warm or cool, bright or dark.
 *
 * k-means in OKLab (B. Ottosson, 2020) over a fixed grid sample with a fixed seed, so that the same
 * pixels always give the same answer. */
#ifndef LK_IMAGE_COLOUR_H
#define LK_IMAGE_COLOUR_H

#include "image/image.h"

#define LK_MAX_COLOURS 5
#define LK_N_COLOUR_BINS                                                                           \
    12 /* red orange yellow … pink, black grey white brown: lk_colour_bin_name */

typedef enum lk_colour_scheme {
    LK_COLOUR_NEUTRAL,
    LK_COLOUR_WARM,
    LK_COLOUR_COOL
} lk_colour_scheme;

typedef struct lk_colours {
    size_t n; /* dominant colours, largest share first */
    struct {
        unsigned char rgb[3];
        float share; /* 0..1, they sum to 1 */
    } dominant[LK_MAX_COLOURS];
    lk_colour_scheme scheme;
    float brightness;                     /* 0..1, mean perceived lightness */
    float saturation;                     /* 0..1 */
    float distribution[LK_N_COLOUR_BINS]; /* share of the sample named so; sums to 1 */
} lk_colours;

const char *lk_colour_scheme_name(lk_colour_scheme s); /* "warm", "cool", "neutral" */
const char *lk_colour_bin_name(size_t bin);

LK_CHECK lk_code lk_colours_of(const lk_image *im, lk_colours *ret, lk_err *err);

#endif
