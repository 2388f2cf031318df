/* Chunks double from 16 KiB to 1 MiB, so that a small request costs one allocation and a large one
 * few. The newest chunk stands first and is the one that is filled; a piece too big for an ordinary
 * chunk gets its own, which is linked behind the first so that what is left of that is still used.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { ALIGN = 16, CHUNK_MIN = 16 << 10, CHUNK_MAX = 1 << 20 };

typedef struct lk_arena_chunk {
    struct lk_arena_chunk *next;
    size_t cap;
    size_t used;
    alignas(ALIGN) unsigned char data[];
} chunk;

static_assert(sizeof(chunk) % ALIGN == 0, "data starts aligned");

void lk_arena_init(lk_arena *a, size_t limit_bytes)
{
    *a = (lk_arena){.limit_bytes = limit_bytes ? limit_bytes : (size_t)1 << 30};
}

static void free_chunks(chunk *c)
{
    while (c) {
        chunk *next = c->next;
        lk_free(c);
        c = next;
    }
}

void lk_arena_release(lk_arena *a)
{
    if (!a)
        return;
    free_chunks(a->chunk);
    a->chunk = NULL;
    a->used_bytes = 0;
}

void lk_arena_clear(lk_arena *a)
{
    a->used_bytes = 0;
    if (!a->chunk)
        return;
    free_chunks(a->chunk->next);
    a->chunk->next = NULL;
    a->chunk->used = 0;
}

static chunk *chunk_new(size_t cap)
{
    size_t total;
    chunk *c = lk_add_size(sizeof *c, cap, &total) ? lk_aligned_alloc(ALIGN, total) : NULL;
    if (!c)
        return NULL;
    c->next = NULL;
    c->cap = cap;
    c->used = 0;
    return c;
}

/* A chunk with room for `need` more bytes, or NULL. */
static chunk *chunk_for(lk_arena *a, size_t need)
{
    chunk *first = a->chunk;
    if (first && first->cap - first->used >= need)
        return first;

    size_t usual = first && first->cap < CHUNK_MAX ? first->cap * 2 : CHUNK_MIN;
    if (first && first->cap >= CHUNK_MAX)
        usual = CHUNK_MAX;
    bool own = first && need > usual / 4;
    chunk *c = chunk_new(own || need > usual ? need : usual);
    if (!c)
        return NULL;
    if (own) {
        c->next = first->next;
        first->next = c;
    } else {
        c->next = first;
        a->chunk = c;
    }
    return c;
}

void *lk_arena_alloc(lk_arena *a, size_t size)
{
    size_t need;
    if (!lk_add_size(size ? size : 1, ALIGN - 1, &need))
        return NULL;
    need &= ~(size_t)(ALIGN - 1);
    if (need > a->limit_bytes - a->used_bytes)
        return NULL;
    chunk *c = chunk_for(a, need);
    if (!c)
        return NULL;
    void *p = c->data + c->used;
    c->used += need;
    a->used_bytes += need;
    return p;
}

void *lk_arena_zalloc(lk_arena *a, size_t n, size_t size)
{
    size_t total;
    void *p = lk_mul_size(n, size, &total) ? lk_arena_alloc(a, total) : NULL;
    if (p)
        memset(p, 0, total);
    return p;
}

void *lk_arena_memdup(lk_arena *a, const void *p, size_t n)
{
    void *copy = lk_arena_alloc(a, n);
    if (copy && n > 0)
        memcpy(copy, p, n);
    return copy;
}

char *lk_arena_strndup(lk_arena *a, const char *s, size_t n)
{
    size_t total;
    char *copy = lk_add_size(n, 1, &total) ? lk_arena_alloc(a, total) : NULL;
    if (!copy)
        return NULL;
    if (n > 0)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *lk_arena_printf(lk_arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : lk_arena_alloc(a, (size_t)n + 1);
    if (!text)
        return NULL;
    va_start(args, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, args);
    va_end(args);
    return text;
}
