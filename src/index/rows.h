/* The original vectors as an index sees them: rows by slot, in chunks that never move.
 *
 * The store maps its file chunk by chunk and appends to the table; a row's address stays the same
 * as long as the store is open, so a search needs no lock to read one.
 *
 *   f16   dim binary16 values
 *   f32   dim floats
 *   i8    a float scale, then dim bytes: value = scale * byte
 *
 * Rows of a cosine collection have unit length before rounding. */
#ifndef LK_INDEX_ROWS_H
#define LK_INDEX_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "kern/kern.h"

typedef enum lk_elem { LK_ELEM_F16, LK_ELEM_F32, LK_ELEM_I8 } lk_elem;

typedef struct lk_rows {
    const unsigned char *const *chunks; /* [..] each of 1 << shift rows */
    unsigned shift;
    size_t row_bytes; /* at least lk_elem_bytes(elem, dim), a multiple of 4 */
    size_t dim;
    lk_elem elem;
} lk_rows;

size_t lk_elem_bytes(lk_elem elem, size_t dim); /* of one row, without padding */

static inline const void *lk_rows_at(const lk_rows *r, uint32_t slot)
{
    return r->chunks[slot >> r->shift] +
           (size_t)(slot & ((UINT32_C(1) << r->shift) - 1)) * r->row_bytes;
}

/* Write vector[dim] as a row / read one back. i8 rounds to 1/127 of the largest magnitude. */
void lk_row_encode(const lk_kern *k, lk_elem elem, const float *vector, size_t dim, void *ret);
void lk_row_decode(const lk_kern *k, lk_elem elem, const void *row, size_t dim, float *ret);

/* <query, row>; query[dim] floats. */
float lk_row_dot(const lk_kern *k, lk_elem elem, const float *query, const void *row, size_t dim);

#endif
