#include "store/vectors/embedded/ids.h"

#include "base/mem.h"

#define BLOCK_BYTES ((size_t)256 << 10)
#define CLASS_BYTES 16

typedef struct lk_id_block {
    struct lk_id_block *next;
    size_t used;
    char bytes[];
} lk_id_block;

void lk_ids_init(lk_ids *ids)
{
    *ids = (lk_ids){0};
}

void lk_ids_release(lk_ids *ids)
{
    while (ids->blocks) {
        lk_id_block *b = ids->blocks;
        ids->blocks = b->next;
        lk_free(b);
    }
    lk_free(ids->by_slot);
    lk_free(ids->table);
    *ids = (lk_ids){0};
}

static size_t class_of(size_t n)
{
    return n ? (n - 1) / CLASS_BYTES : 0;
}

const char *lk_ids_text_new(lk_ids *ids, lk_str id)
{
    size_t class = class_of(id.n);
    size_t bytes = (class + 1) * CLASS_BYTES;
    char *text = ids->free[class];
    if (text) {
        char *next;
        memcpy(&next, text, sizeof next);
        ids->free[class] = next;
    } else {
        lk_id_block *b = ids->blocks;
        if (!b || b->used + bytes > BLOCK_BYTES) {
            b = lk_malloc(sizeof *b + BLOCK_BYTES);
            if (!b)
                return NULL;
            b->next = ids->blocks;
            b->used = 0;
            ids->blocks = b;
            ids->text_bytes += sizeof *b + BLOCK_BYTES;
        }
        text = b->bytes + b->used;
        b->used += bytes;
    }
    memcpy(text, id.p, id.n);
    return text;
}

void lk_ids_text_free(lk_ids *ids, const char *text, size_t n)
{
    size_t class = class_of(n);
    char *own = (char *)(uintptr_t)text; /* const only towards readers */
    char *next = ids->free[class];
    memcpy(own, &next, sizeof next);
    ids->free[class] = own;
}

static void place(uint64_t *table, size_t cap, uint32_t hash, uint32_t slot)
{
    size_t i = hash & (cap - 1);
    while (table[i])
        i = (i + 1) & (cap - 1);
    table[i] = (uint64_t)hash << 32 | (slot + 1);
}

/* At most half full. */
static bool grow_table(lk_ids *ids, size_t n)
{
    size_t cap = ids->cap_table ? ids->cap_table : 64;
    while (cap / 2 < n)
        cap *= 2;
    if (cap == ids->cap_table)
        return true;
    uint64_t *table = lk_calloc(cap, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < ids->cap_table; i++)
        if (ids->table[i])
            place(table, cap, (uint32_t)(ids->table[i] >> 32), (uint32_t)ids->table[i] - 1);
    lk_free(ids->table);
    ids->table = table;
    ids->cap_table = cap;
    return true;
}

lk_code lk_ids_reserve(lk_ids *ids, size_t n_slots, size_t n_new, lk_err *err)
{
    void *p = ids->by_slot;
    size_t had = ids->cap_slots;
    bool ok = lk_grow(&p, &ids->cap_slots, n_slots, sizeof *ids->by_slot);
    ids->by_slot = p;
    if (ok && ids->cap_slots > had)
        memset(ids->by_slot + had, 0, (ids->cap_slots - had) * sizeof *ids->by_slot);
    if (!ok || !grow_table(ids, ids->n + n_new))
        return lk_fail(err, LK_E_NOMEM, "no memory for %zu ids", n_slots);
    return LK_OK;
}

/* Where the id stands in the table, or the empty place where it would. */
static size_t place_of(const lk_ids *ids, lk_str id, uint32_t hash)
{
    size_t i = hash & (ids->cap_table - 1);
    for (; ids->table[i]; i = (i + 1) & (ids->cap_table - 1)) {
        if ((uint32_t)(ids->table[i] >> 32) != hash)
            continue;
        const lk_id *at = &ids->by_slot[(uint32_t)ids->table[i] - 1];
        if (at->n == id.n && memcmp(at->p, id.p, id.n) == 0)
            break;
    }
    return i;
}

uint32_t lk_ids_find(const lk_ids *ids, lk_str id)
{
    if (ids->cap_table == 0)
        return LK_NO_SLOT;
    uint64_t at = ids->table[place_of(ids, id, lk_str_hash(id))];
    return at ? (uint32_t)at - 1 : LK_NO_SLOT;
}

lk_str lk_ids_at(const lk_ids *ids, uint32_t slot)
{
    return (lk_str){ids->by_slot[slot].p, ids->by_slot[slot].n};
}

void lk_ids_put(lk_ids *ids, uint32_t slot, const char *text, size_t n)
{
    uint32_t hash = lk_str_hash((lk_str){text, n});
    ids->by_slot[slot] = (lk_id){text, (uint32_t)n, hash};
    place(ids->table, ids->cap_table, hash, slot);
    ids->n++;
}

void lk_ids_move(lk_ids *ids, uint32_t from, uint32_t to)
{
    size_t at = place_of(ids, lk_ids_at(ids, from), ids->by_slot[from].hash);
    ids->by_slot[to] = ids->by_slot[from];
    ids->table[at] = (uint64_t)ids->by_slot[to].hash << 32 | (to + 1);
}

/* The gap is closed, so that no tombstones slow later searches: a follower moves up unless it
 * stands between its home and the gap. */
void lk_ids_drop(lk_ids *ids, uint32_t slot)
{
    size_t mask = ids->cap_table - 1;
    size_t gap = place_of(ids, lk_ids_at(ids, slot), ids->by_slot[slot].hash);
    for (size_t i = (gap + 1) & mask; ids->table[i]; i = (i + 1) & mask) {
        size_t home = (size_t)(ids->table[i] >> 32) & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            ids->table[gap] = ids->table[i];
            gap = i;
        }
    }
    ids->table[gap] = 0;
    ids->n--;
}
