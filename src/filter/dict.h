/* The distinct strings of a column, numbered. A number whose last user is gone is used again, so a
 * column that churns does not grow. Many readers or one writer. */
#ifndef LK_FILTER_DICT_H
#define LK_FILTER_DICT_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LK_DICT_NONE UINT32_MAX

typedef struct lk_dict_entry {
    char *p; /* NULL: a free number */
    uint32_t n;
    uint32_t users;
    uint32_t hash;
    uint32_t next_free;
    uint32_t holds; /* of the users: those that keep the number alive but are no cell */
} lk_dict_entry;

typedef struct lk_dict {
    lk_dict_entry *entries;
    size_t n; /* numbers given out, free ones included */
    size_t cap;
    uint64_t *table; /* open addressing: hash in the upper half, number + 1 in the lower */
    size_t table_cap;
    size_t live;
    uint32_t first_free;
    size_t text_bytes;
} lk_dict;

void lk_dict_init(lk_dict *d);
void lk_dict_release(lk_dict *d);
uint32_t lk_dict_find(const lk_dict *d, lk_str s); /* LK_DICT_NONE: not there */
/* Its number, with one more user. */
LK_CHECK lk_code lk_dict_use(lk_dict *d, lk_str s, uint32_t *ret, lk_err *err);
void lk_dict_drop(lk_dict *d, uint32_t number); /* one user fewer */

static inline lk_str lk_dict_text(const lk_dict *d, uint32_t number)
{
    return (lk_str){d->entries[number].p, d->entries[number].n};
}

#endif
