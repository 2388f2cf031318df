#include "base/bitmap.h"

#include <string.h>

#include "base/mem.h"

void lk_bitmap_init(lk_bitmap *b)
{
    *b = (lk_bitmap){0};
}

void lk_bitmap_release(lk_bitmap *b)
{
    if (!b) {
        return;
    }
    lk_free(b->words);
    *b = (lk_bitmap){0};
}

/* Keep the promise that what lies behind the last bit is zero. */
static void trim(lk_bitmap *b)
{
    if (b->n_bits % 64) {
        b->words[b->n_bits / 64] &= (UINT64_C(1) << (b->n_bits % 64)) - 1;
    }
}

lk_code lk_bitmap_resize(lk_bitmap *b, size_t n_bits, lk_err *err)
{
    size_t have = lk_bitmap_words(b->n_bits);
    size_t want = lk_bitmap_words(n_bits);
    if (want > b->cap_words) {
        void *p = b->words;
        if (!lk_grow(&p, &b->cap_words, want, sizeof *b->words)) {
            return lk_fail(err, LK_E_NOMEM, "no memory for a set of %zu slots", n_bits);
        }
        b->words = p;
    }
    if (want > have) {
        memset(b->words + have, 0, (want - have) * sizeof *b->words);
    }
    b->n_bits = n_bits;
    trim(b);
    return LK_OK;
}

lk_code lk_bitmap_copy(lk_bitmap *to, const lk_bitmap *from, lk_err *err)
{
    lk_code code = lk_bitmap_resize(to, from->n_bits, err);
    if (code == LK_OK && from->n_bits) {
        memcpy(to->words, from->words, lk_bitmap_words(from->n_bits) * sizeof *to->words);
    }
    return code;
}

void lk_bitmap_fill(lk_bitmap *b, bool value)
{
    if (b->n_bits) {
        memset(b->words, value ? 0xff : 0, lk_bitmap_words(b->n_bits) * sizeof *b->words);
        trim(b);
    }
}

size_t lk_bitmap_count(const lk_bitmap *b)
{
    size_t n = 0;
    size_t n_words = lk_bitmap_words(b->n_bits);
    for (size_t i = 0; i < n_words; i++) {
        n += (size_t)__builtin_popcountll(b->words[i]);
    }
    return n;
}

static size_t shared_words(const lk_bitmap *a, const lk_bitmap *b)
{
    return lk_bitmap_words(a->n_bits < b->n_bits ? a->n_bits : b->n_bits);
}

void lk_bitmap_and(lk_bitmap *a, const lk_bitmap *b)
{
    size_t n = shared_words(a, b);
    size_t n_a = lk_bitmap_words(a->n_bits);
    for (size_t i = 0; i < n; i++) {
        a->words[i] &= b->words[i];
    }
    if (n_a > n) {
        memset(a->words + n, 0, (n_a - n) * sizeof *a->words);
    }
}

void lk_bitmap_or(lk_bitmap *a, const lk_bitmap *b)
{
    size_t n = shared_words(a, b);
    for (size_t i = 0; i < n; i++) {
        a->words[i] |= b->words[i];
    }
    trim(a);
}

void lk_bitmap_and_not(lk_bitmap *a, const lk_bitmap *b)
{
    size_t n = shared_words(a, b);
    for (size_t i = 0; i < n; i++) {
        a->words[i] &= ~b->words[i];
    }
}

void lk_bitmap_not(lk_bitmap *a)
{
    size_t n = lk_bitmap_words(a->n_bits);
    for (size_t i = 0; i < n; i++) {
        a->words[i] = ~a->words[i];
    }
    trim(a);
}

size_t lk_bitmap_next(const lk_bitmap *b, size_t from)
{
    if (from >= b->n_bits) {
        return LK_BITMAP_NONE;
    }
    size_t i = from / 64;
    size_t n_words = lk_bitmap_words(b->n_bits);
    uint64_t word = b->words[i] & (~UINT64_C(0) << (from % 64));
    while (word == 0) {
        if (++i == n_words) {
            return LK_BITMAP_NONE;
        }
        word = b->words[i];
    }
    return i * 64 + (size_t)__builtin_ctzll(word);
}
