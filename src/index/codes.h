/* Vectors in 4 or 8 bits a dimension, and what a query scores against them.
 *
 * A vector x is centred on the mean of a sample and rotated (random signs, then Hadamard), after
 * which its elements are close to normal and alike, and is kept as codes c on an even grid:
 *
 *   x' = rotate(x - mean)   x' ~ scale * (c - middle)   scale = |x'|^2 / <c - middle, x'>
 *
 * The scale makes <x', decoded> = |x'|^2, so that a score has no bias towards zero (the correction
 * of RaBitQ, Gao and Long 2024, here for codes of several bits). With the query q' in signed bytes,
 * a score is one integer dot product and two terms of the vector:
 *
 *   score = <q', x'> - |x'|^2 / 2 = (|q'|^2 - |q' - x'|^2) / 2
 *
 * which orders by L2, and so by the cosine or the inner product of vectors of one length. Where
 * inner product is the metric and lengths differ, vectors are lengthened by one element,
 * sqrt(longest^2 - |x|^2), and queries by a zero, which makes them so (Bachrach et al. 2014). Near
 * and similar are thus one thing, which a graph to walk on needs.
 *
 * The error of a score, as a root mean square and in parts of the product of the two lengths, is at
 * most 0.12 / sqrt(dim) in 4 bits and 0.016 / sqrt(dim) in 8: 0.5 % in 4 bits over 512 dimensions,
 * which a re-rank on the originals removes. Codes that stand in for a vector have 1.5 times it.
 *
 * Training and reserving belong to one writer. Rows are written by whoever owns the slot; any
 * number of threads may score slots that were published to them. */
#ifndef LK_INDEX_CODES_H
#define LK_INDEX_CODES_H

#include <stdbool.h>

#include "index/plane.h"
#include "index/rows.h"

#define LK_MAX_CODE_DIM 4224 /* 4096 and an element more, padded to 128 */

typedef struct lk_codes {
    const lk_kern *kern;
    size_t dim;      /* of the vectors */
    size_t code_dim; /* with the element more and the padding: a multiple of 128 */
    unsigned bits;   /* 4 or 8 */
    bool longer;     /* by the element that evens lengths */
    float longest;   /* the longest vector of the sample */
    float *mean;     /* [dim + longer] */
    float *signs;    /* [code_dim] +1 or -1 */
    lk_plane rows;   /* codes as lk_kern.dots_u4 or dots_u8 reads them */
    lk_plane terms;
} lk_codes;

typedef struct lk_code_terms {
    float scale, norm2;
} lk_code_terms;

typedef struct lk_code_query {
    int8_t *q;   /* [code_dim] */
    float s;     /* what a unit of the dot product is worth, but for the vector's scale */
    int32_t sum; /* of q */
    float norm2; /* of what is looked for: norm2 - 2 * score is a squared distance */
} lk_code_query;

/* even_lengths: lengthen vectors so that L2 orders as the inner product does. */
LK_CHECK lk_code lk_codes_new(const lk_kern *kern, size_t dim, unsigned bits, bool even_lengths,
                              lk_codes **ret, lk_err *err);
/* An empty table of other bits in the space that c was trained to: a query serves both. */
LK_CHECK lk_code lk_codes_beside(const lk_codes *c, unsigned bits, lk_codes **ret, lk_err *err);
void lk_codes_free(lk_codes *c); /* NULL allowed */

/* Learn mean and lengths from sample[n][dim]; n may be 0. Before the first row. */
LK_CHECK lk_code lk_codes_train(lk_codes *c, const float *sample, size_t n, lk_err *err);
LK_CHECK lk_code lk_codes_reserve(lk_codes *c, size_t n_rows, lk_err *err);

/* Write the codes of vector[dim] for a slot below the reserved ones. */
void lk_codes_put(lk_codes *c, uint32_t slot, const float *vector);

/* The two halves of it: vector[dim] centred, lengthened and rotated, where sums and means may be
 * taken; and the codes of such an x[code_dim]. */
void lk_codes_turn(const lk_codes *c, const float *vector, float *ret);
void lk_codes_put_turned(lk_codes *c, uint32_t slot, const float *x);

/* q is the caller's int8_t[code_dim]. A stored vector is lengthened as its row was, to look for its
 * neighbours; the codes of a slot may stand in for it, which costs no rotation. */
void lk_codes_query(const lk_codes *c, const float *vector, bool stored, int8_t *q,
                    lk_code_query *ret);
void lk_codes_query_turned(const lk_codes *c, const float *x, int8_t *q, lk_code_query *ret);
void lk_codes_query_slot(const lk_codes *c, uint32_t slot, int8_t *q, lk_code_query *ret);

/* ret[i] = the score of slots[i]; larger is nearer. */
void lk_codes_score(const lk_codes *c, const lk_code_query *q, const uint32_t *slots, size_t n,
                    float *ret);
/* The same where the rows of codes are known already, as lk_codes_fetch gives them. */
void lk_codes_score_rows(const lk_codes *c, const lk_code_query *q, const uint32_t *slots,
                         const uint8_t *const *rows, size_t n, float *ret);

static inline const lk_code_terms *lk_codes_terms(const lk_codes *c, uint32_t slot)
{
    return (const lk_code_terms *)(const void *)lk_plane_at(&c->terms, slot);
}

/* Ask the memory for what scoring a slot reads; returns its row. */
static inline const uint8_t *lk_codes_fetch(const lk_codes *c, uint32_t slot)
{
    const unsigned char *row = lk_plane_at(&c->rows, slot);
    for (size_t at = 0; at < c->rows.row_bytes; at += 64)
        __builtin_prefetch(row + at);
    __builtin_prefetch(lk_plane_at(&c->terms, slot));
    return row;
}

#endif
