/* Where walks begin: a sample of the slots in lists under heads, of which the nearest few are
 * looked through. It is a coarse index of two levels over some hundredths of the vectors, which
 * measured as good as the upper levels of an HNSW and is made anew in milliseconds when vectors
 * come and go.
 *
 * Immutable; shared by counting. */
#ifndef LK_INDEX_PIVOTS_H
#define LK_INDEX_PIVOTS_H

#include <stdatomic.h>

#include "base/bitmap.h"
#include "index/codes.h"

#define LK_PIVOTS_MAX_HEADS 512
#define LK_PIVOTS_SCORED 160 /* slots that a walk begins by scoring */

typedef struct lk_pivots {
    atomic_uint refs;
    size_t n_heads;
    uint32_t *heads; /* [n_heads] slots */
    uint32_t *from;  /* [n_heads + 1] where each list begins in slots */
    uint32_t *slots;
} lk_pivots;

/* Of sample[n] slots in random order whose codes are written; n from 1. */
LK_CHECK lk_code lk_pivots_new(const lk_codes *c, const uint32_t *sample, size_t n, lk_pivots **ret,
                               lk_err *err);
void lk_pivots_unref(lk_pivots *p); /* NULL allowed */

/* The slots to begin at, at most max and about as many, of those in `which` (NULL: all), to ret;
 * returns how many. *ret_looked (NULL allowed): among how many they were. */
size_t lk_pivots_near(const lk_pivots *p, const lk_codes *c, const lk_code_query *q,
                      const lk_bitmap *which, size_t max, uint32_t *ret, size_t *ret_looked);

#endif
