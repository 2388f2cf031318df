/* Byte-pair encoding (Sennrich, Haddow, Birch 2016): of all neighbours in a row of symbols the pair
 * of the lowest rank is replaced by its merged symbol, the leftmost among equals, until no pair is
 * known. Which symbols there are and whence the ranks come is the caller's. */
#ifndef LK_MODEL_MERGE_H
#define LK_MODEL_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct lk_pair {
    uint32_t left, right;
    uint32_t rank;
    uint32_t merged; /* LK_NO_ID: an empty slot */
} lk_pair;

/* The known pairs. Built by one thread, then immutable. */
typedef struct lk_pairs {
    lk_pair *slots;
    size_t n, mask;
} lk_pairs;

LK_CHECK lk_code lk_pairs_init(lk_pairs *p, size_t n, lk_err *err); /* room for n pairs */
void lk_pairs_release(lk_pairs *p);
/* The first of two equal pairs stays. No more than there is room for. */
void lk_pairs_put(lk_pairs *p, const lk_pair *pair);
const lk_pair *lk_pairs_find(const lk_pairs *p, uint32_t left, uint32_t right); /* or NULL */

/* Merge symbols[*n] in place; O(n log n). */
LK_CHECK lk_code lk_merge(const lk_pairs *p, uint32_t *symbols, size_t *n, lk_err *err);

#endif
