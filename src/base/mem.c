#include "base/mem.h"

#include <stdint.h>
#include <string.h>

#include "base/os.h"

void *lk_malloc(size_t size)
{
    return lk_os()->malloc(size ? size : 1);
}

void *lk_calloc(size_t n, size_t size)
{
    size_t total;
    if (!lk_mul_size(n, size, &total))
        return NULL;
    return lk_os()->calloc(1, total ? total : 1);
}

void *lk_alloc_array(size_t n, size_t size)
{
    size_t total;
    return lk_mul_size(n, size, &total) ? lk_malloc(total) : NULL;
}

void *lk_realloc_array(void *p, size_t n, size_t size)
{
    size_t total;
    if (!lk_mul_size(n, size, &total))
        return NULL;
    return lk_os()->realloc(p, total ? total : 1);
}

void *lk_aligned_alloc(size_t align, size_t size)
{
    size_t total;
    if (align < sizeof(void *))
        align = sizeof(void *);
    if (!lk_add_size(size ? size : 1, align - 1, &total))
        return NULL;
    return lk_os()->aligned_alloc(align, total & ~(align - 1));
}

void *lk_memdup(const void *p, size_t n)
{
    void *copy = lk_malloc(n);
    if (copy && n > 0)
        memcpy(copy, p, n);
    return copy;
}

char *lk_strdup(const char *s)
{
    return lk_memdup(s, strlen(s) + 1);
}

char *lk_strndup(const char *s, size_t n)
{
    size_t total;
    char *copy = lk_add_size(n, 1, &total) ? lk_malloc(total) : NULL;
    if (!copy)
        return NULL;
    if (n > 0)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

void lk_free(void *p)
{
    if (p)
        lk_os()->free(p);
}

bool lk_grow(void **p, size_t *cap, size_t want, size_t size)
{
    if (want <= *cap)
        return true;
    size_t n = *cap < SIZE_MAX / 2 ? *cap * 2 : want;
    if (n < want)
        n = want;
    if (n < 8)
        n = 8;
    void *grown = lk_realloc_array(*p, n, size);
    if (!grown && n > want) /* doubling may ask for more than there is; what is needed may fit */
        grown = lk_realloc_array(*p, n = want, size);
    if (!grown)
        return false;
    *p = grown;
    *cap = n;
    return true;
}

bool lk_mul_size(size_t a, size_t b, size_t *ret)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret = product;
    return true;
}

bool lk_add_size(size_t a, size_t b, size_t *ret)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret = sum;
    return true;
}
