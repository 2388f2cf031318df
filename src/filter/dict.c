#include "filter/dict.h"

#include "base/mem.h"

void lk_dict_init(lk_dict *d)
{
    *d = (lk_dict){.first_free = LK_DICT_NONE};
}

void lk_dict_release(lk_dict *d)
{
    for (size_t i = 0; i < d->n; i++)
        lk_free(d->entries[i].p);
    lk_free(d->entries);
    lk_free(d->table);
    lk_dict_init(d);
}

static size_t home_of(const lk_dict *d, uint32_t hash)
{
    return hash & (d->table_cap - 1);
}

/* The hash stands in the table too, so that a place of another string is passed without a look at
 * its entry, which would be a second random read. */
static size_t place_of(const lk_dict *d, lk_str s, uint32_t hash)
{
    size_t i = home_of(d, hash);
    for (; d->table[i]; i = (i + 1) & (d->table_cap - 1)) {
        if ((uint32_t)(d->table[i] >> 32) != hash)
            continue;
        const lk_dict_entry *e = &d->entries[(uint32_t)d->table[i] - 1];
        if (lk_str_eq((lk_str){e->p, e->n}, s))
            break;
    }
    return i;
}

static uint64_t cell_of(uint32_t hash, uint32_t number)
{
    return (uint64_t)hash << 32 | (number + 1);
}

static uint32_t find(const lk_dict *d, lk_str s, uint32_t hash)
{
    if (d->table_cap == 0)
        return LK_DICT_NONE;
    uint64_t at = d->table[place_of(d, s, hash)];
    return at ? (uint32_t)at - 1 : LK_DICT_NONE;
}

uint32_t lk_dict_find(const lk_dict *d, lk_str s)
{
    return find(d, s, lk_str_hash(s));
}

/* Kept at most half full: a miss then looks at about two places. */
static bool grow_table(lk_dict *d)
{
    size_t cap = d->table_cap ? d->table_cap * 2 : 16;
    uint64_t *table = lk_calloc(cap, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < d->table_cap; i++) {
        if (!d->table[i])
            continue;
        size_t at = (size_t)(d->table[i] >> 32) & (cap - 1);
        while (table[at])
            at = (at + 1) & (cap - 1);
        table[at] = d->table[i];
    }
    lk_free(d->table);
    d->table = table;
    d->table_cap = cap;
    return true;
}

/* A number for a new string; its entry is filled by the caller. */
static bool new_number(lk_dict *d, uint32_t *ret)
{
    if (d->first_free != LK_DICT_NONE) {
        *ret = d->first_free;
        d->first_free = d->entries[*ret].next_free;
        return true;
    }
    void *p = d->entries;
    if (d->n >= LK_DICT_NONE - 1 || !lk_grow(&p, &d->cap, d->n + 1, sizeof *d->entries))
        return false;
    d->entries = p;
    *ret = (uint32_t)d->n++;
    return true;
}

lk_code lk_dict_use(lk_dict *d, lk_str s, uint32_t *ret, lk_err *err)
{
    uint32_t hash = lk_str_hash(s);
    uint32_t number = find(d, s, hash);
    if (number != LK_DICT_NONE) {
        d->entries[number].users++;
        *ret = number;
        return LK_OK;
    }
    char *copy = s.n < UINT32_MAX ? lk_strndup(s.n ? s.p : "", s.n) : NULL;
    if (!copy || ((d->live + 1) * 2 > d->table_cap && !grow_table(d)) || !new_number(d, &number)) {
        lk_free(copy);
        return lk_fail(err, LK_E_NOMEM, "no memory for an attribute's text");
    }
    d->entries[number] = (lk_dict_entry){.p = copy, .n = (uint32_t)s.n, .users = 1, .hash = hash};
    d->table[place_of(d, s, hash)] = cell_of(hash, number);
    d->live++;
    d->text_bytes += s.n + 1;
    *ret = number;
    return LK_OK;
}

/* Empty a place and close the gap, so that no tombstones slow later searches: a follower moves up
 * unless it already stands between its home and the gap. */
static void unplace(lk_dict *d, size_t gap)
{
    size_t mask = d->table_cap - 1;
    for (size_t i = (gap + 1) & mask; d->table[i]; i = (i + 1) & mask) {
        size_t home = home_of(d, (uint32_t)(d->table[i] >> 32));
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            d->table[gap] = d->table[i];
            gap = i;
        }
    }
    d->table[gap] = 0;
}

void lk_dict_drop(lk_dict *d, uint32_t number)
{
    lk_dict_entry *e = &d->entries[number];
    if (--e->users)
        return;
    unplace(d, place_of(d, (lk_str){e->p, e->n}, e->hash));
    d->live--;
    d->text_bytes -= e->n + 1;
    lk_free(e->p);
    *e = (lk_dict_entry){.next_free = d->first_free};
    d->first_free = number;
}
