/* An arena: many small allocations that end together.
 *
 * A request, an ingest batch and a query each own one. Nothing in it is freed by hand, and no
 * pointer into it may be kept by an object that outlives it. One owner. */
#ifndef LK_BASE_ARENA_H
#define LK_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/err.h"

typedef struct lk_arena {
    struct lk_arena_chunk *chunk; /* newest first */
    size_t used_bytes;
    size_t limit_bytes;
} lk_arena;

/* limit_bytes bounds the sum of all allocations; 0 means 1 GiB. */
void lk_arena_init(lk_arena *a, size_t limit_bytes);
void lk_arena_release(lk_arena *a); /* NULL allowed */
void lk_arena_clear(lk_arena *a);   /* keeps one chunk for reuse */

/* Aligned to 16 bytes; NULL when memory is short or the limit is reached. */
void *lk_arena_alloc(lk_arena *a, size_t size);
void *lk_arena_zalloc(lk_arena *a, size_t n, size_t size); /* zeroed array, checked product */
void *lk_arena_memdup(lk_arena *a, const void *p, size_t n);
char *lk_arena_strndup(lk_arena *a, const char *s, size_t n);
char *lk_arena_printf(lk_arena *a, const char *fmt, ...) LK_PRINTF(2, 3);

#endif
