/* The row of symbols is a doubly linked list over its positions, and the pairs that could be merged
 * stand in a heap by rank and position. An entry is never taken out of the heap when a neighbour
 * changes; it is found stale when it comes up, because its two symbols are no longer there. Each
 * merge adds two entries at the most, so a text of n symbols costs O(n log n) whatever it holds:
 * the plain way of looking for the lowest pair anew each time is quadratic, and texts come from
 * outside. */
#include "model/merge.h"

#include "base/mem.h"
#include "model/heap.h"
#include "model/vocab.h"

lk_code lk_pairs_init(lk_pairs *p, size_t n, lk_err *err)
{
    *p = (lk_pairs){.mask = 7};
    if (n > 8 * LK_MAX_IDS)
        return lk_fail(err, LK_E_LIMIT, "%zu merges are too many", n);
    while (p->mask < 2 * n)
        p->mask = 2 * p->mask + 1;
    p->slots = lk_alloc_array(p->mask + 1, sizeof *p->slots);
    if (!p->slots)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the merges");
    for (size_t i = 0; i <= p->mask; i++)
        p->slots[i].merged = LK_NO_ID;
    return LK_OK;
}

void lk_pairs_release(lk_pairs *p)
{
    lk_free(p->slots);
    *p = (lk_pairs){0};
}

static lk_pair *slot_of(const lk_pairs *p, uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(h >> 32) & p->mask;
    while (p->slots[i].merged != LK_NO_ID &&
           (p->slots[i].left != left || p->slots[i].right != right))
        i = (i + 1) & p->mask;
    return &p->slots[i];
}

void lk_pairs_put(lk_pairs *p, const lk_pair *pair)
{
    lk_pair *at = slot_of(p, pair->left, pair->right);
    if (at->merged == LK_NO_ID) {
        *at = *pair;
        p->n++;
    }
}

const lk_pair *lk_pairs_find(const lk_pairs *p, uint32_t left, uint32_t right)
{
    const lk_pair *at = slot_of(p, left, right);
    return at->merged == LK_NO_ID ? NULL : at;
}

/* ---- merging ---- */

typedef struct row {
    const lk_pairs *pairs;
    uint32_t *symbols;     /* [n]; LK_NO_ID where a symbol went into its left neighbour */
    uint32_t *prev, *next; /* positions; n is none */
    uint32_t n;
    lk_heap heap; /* a: the pair's slot, b: position of its left symbol */
} row;

static void push(row *r, uint32_t left, uint32_t right)
{
    if (left == r->n || right == r->n)
        return;
    const lk_pair *p = lk_pairs_find(r->pairs, r->symbols[left], r->symbols[right]);
    if (p)
        lk_heap_push(&r->heap, (lk_joint){(uint64_t)p->rank << 32 | left,
                                          (uint32_t)(p - r->pairs->slots), left});
}

static void merge_all(row *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        r->prev[i] = i ? i - 1 : r->n;
        r->next[i] = i + 1;
    }
    for (uint32_t i = 0; i + 1 < r->n; i++)
        push(r, i, i + 1);
    while (r->heap.n) {
        lk_joint j = lk_heap_pop(&r->heap);
        const lk_pair *p = &r->pairs->slots[j.a];
        uint32_t left = j.b, right = r->next[left];
        if (r->symbols[left] != p->left || right == r->n || r->symbols[right] != p->right)
            continue; /* stale */
        r->symbols[left] = p->merged;
        r->symbols[right] = LK_NO_ID;
        r->next[left] = r->next[right];
        if (r->next[left] != r->n)
            r->prev[r->next[left]] = left;
        push(r, r->prev[left], left);
        push(r, left, r->next[left]);
    }
}

lk_code lk_merge(const lk_pairs *p, uint32_t *symbols, size_t *n, lk_err *err)
{
    size_t kept = 0;
    if (*n < 2)
        return LK_OK;
    if (*n > UINT32_MAX / 4)
        return lk_fail(err, LK_E_LIMIT, "%zu symbols are too many to merge", *n);
    row r = {.pairs = p, .symbols = symbols, .n = (uint32_t)*n};
    r.prev = lk_alloc_array(*n, 2 * sizeof *r.prev);
    r.heap.p =
        lk_alloc_array(*n, 3 * sizeof *r.heap.p); /* n - 1, and two for each of n - 1 merges */
    if (r.prev && r.heap.p) {
        r.next = r.prev + *n;
        merge_all(&r);
        for (size_t i = 0; i < *n; i++)
            if (symbols[i] != LK_NO_ID)
                symbols[kept++] = symbols[i];
        *n = kept;
    }
    lk_code code =
        r.prev && r.heap.p ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for a text");
    lk_free(r.prev);
    lk_free(r.heap.p);
    return code;
}
