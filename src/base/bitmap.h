/* A dense set of slots: one bit each, bit i in words[i / 64] at (i % 64).
 *
 * Filters produce one, indexes consume it. Bits from n_bits up to the end of the last word are
 * always zero, so whole words may be counted and combined. One owner; readers may share it while
 * nobody writes. */
#ifndef LK_BASE_BITMAP_H
#define LK_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct lk_bitmap {
    uint64_t *words;
    size_t n_bits;
    size_t cap_words;
} lk_bitmap;

#define LK_BITMAP_NONE SIZE_MAX

static inline size_t lk_bitmap_words(size_t n_bits)
{
    return n_bits / 64 + (n_bits % 64 != 0);
}

void lk_bitmap_init(lk_bitmap *b);    /* empty, owns nothing yet */
void lk_bitmap_release(lk_bitmap *b); /* NULL allowed */

/* Become n_bits long: new bits are zero, bits beyond are dropped. LK_E_NOMEM leaves it as it was.
 */
LK_CHECK lk_code lk_bitmap_resize(lk_bitmap *b, size_t n_bits, lk_err *err);
LK_CHECK lk_code lk_bitmap_copy(lk_bitmap *to, const lk_bitmap *from, lk_err *err);

void lk_bitmap_fill(lk_bitmap *b, bool value);
size_t lk_bitmap_count(const lk_bitmap *b);

/* In place, over the shorter of the two: `and` clears what lies beyond b, the others leave it. */
void lk_bitmap_and(lk_bitmap *a, const lk_bitmap *b);
void lk_bitmap_or(lk_bitmap *a, const lk_bitmap *b);
void lk_bitmap_and_not(lk_bitmap *a, const lk_bitmap *b);
void lk_bitmap_not(lk_bitmap *a);

/* The first set bit at or after `from`, or LK_BITMAP_NONE:
 *   for (size_t i = lk_bitmap_next(b, 0); i != LK_BITMAP_NONE; i = lk_bitmap_next(b, i + 1)) */
size_t lk_bitmap_next(const lk_bitmap *b, size_t from);

/* Beyond n_bits a bit reads as zero; setting one there is a defect of the caller. */
static inline bool lk_bitmap_get(const lk_bitmap *b, size_t i)
{
    return i < b->n_bits && (b->words[i / 64] >> (i % 64) & 1);
}
static inline void lk_bitmap_set(lk_bitmap *b, size_t i)
{
    b->words[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline void lk_bitmap_unset(lk_bitmap *b, size_t i)
{
    b->words[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

#endif
