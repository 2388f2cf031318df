/* A 64-bit perceptual hash: the signs of the low frequencies of the picture's 32 x 32 grey DCT
 * (Zauner 2010, section 3.2). Two pictures that look the same differ in few bits. */
#ifndef LK_IMAGE_PHASH_H
#define LK_IMAGE_PHASH_H

#include "image/image.h"

LK_CHECK lk_code lk_phash_of(const lk_image *im, uint64_t *ret, lk_err *err);

/* Bits that differ, 0..64. */
static inline unsigned lk_phash_distance(uint64_t a, uint64_t b)
{
    return (unsigned)__builtin_popcountll(a ^ b);
}

#endif
