/* Pairs of neighbours that wait to be joined, lowest key first; what both ways of byte-pair
 * encoding (merge.h, pieces.h) keep theirs in. Room for all is the caller's. */
#ifndef LK_MODEL_HEAP_H
#define LK_MODEL_HEAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct lk_joint {
    uint64_t key;  /* rank above position: equal ranks go from the left */
    uint32_t a, b; /* the caller's */
} lk_joint;

typedef struct lk_heap {
    lk_joint *p;
    size_t n;
} lk_heap;

void lk_heap_push(lk_heap *h, lk_joint j);
lk_joint lk_heap_pop(lk_heap *h); /* of one that is not empty */

#endif
