/* Memory: every allocation of the library goes through here, and so through the table of base/os.h,
 * where a test can make the nth one fail. Sizes are checked before they are multiplied. */
#ifndef LK_BASE_MEM_H
#define LK_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#define LK_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* All return NULL when memory is short or n * size overflows. Zero bytes give a pointer that can be
 * freed. */
void *lk_malloc(size_t size);
void *lk_calloc(size_t n, size_t size); /* zeroed */
void *lk_alloc_array(size_t n, size_t size);
void *lk_realloc_array(void *p, size_t n, size_t size); /* p stays valid on failure */
void *lk_aligned_alloc(size_t align, size_t size); /* align: a power of two; lk_free frees it */
void *lk_memdup(const void *p, size_t n);
char *lk_strdup(const char *s);
char *lk_strndup(const char *s, size_t n); /* n bytes and a NUL */
void lk_free(void *p);

/* Grow *p to hold `want` elements of `size` bytes, at least doubling *cap. False: out of memory or
 * overflow, nothing changed. */
bool lk_grow(void **p, size_t *cap, size_t want, size_t size);

/* Checked arithmetic: false on overflow, *ret untouched. */
bool lk_mul_size(size_t a, size_t b, size_t *ret);
bool lk_add_size(size_t a, size_t b, size_t *ret);

#endif
