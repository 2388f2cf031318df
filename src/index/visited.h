/* The slots that a walk has seen: a table as large as the walk, not as the index, so that it stays
 * in the nearest cache over a hundred million vectors and is emptied by clearing some kilobytes.
 * One owner. */
#ifndef LK_INDEX_VISITED_H
#define LK_INDEX_VISITED_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

typedef struct lk_visited {
    uint32_t *cells;  /* slot + 1, or 0 */
    size_t cap, room; /* cells in use, a power of two, at most a quarter full; cells there are */
    size_t n;
    unsigned shift; /* 32 - log2(cap) */
} lk_visited;

#define LK_VISITED_BITS 12
#define LK_VISITED_ROOM_BITS 14 /* at first */

/* False: no memory. */
static inline bool lk_visited_init(lk_visited *v)
{
    *v = (lk_visited){.cap = (size_t)1 << LK_VISITED_BITS,
                      .room = (size_t)1 << LK_VISITED_ROOM_BITS,
                      .shift = 32 - LK_VISITED_BITS};
    v->cells = lk_calloc(v->room, sizeof *v->cells);
    return v->cells != NULL;
}

static inline void lk_visited_release(lk_visited *v)
{
    lk_free(v->cells);
    v->cells = NULL;
}

/* Empty, with about n cells in use if there are as many: the more, the fewer meet in one, and the
 * more there is to clear the next time. */
static inline void lk_visited_clear(lk_visited *v, size_t n)
{
    if (v->n)
        memset(v->cells, 0, v->cap * sizeof *v->cells);
    v->cap = (size_t)1 << LK_VISITED_BITS; /* cells behind what was in use are clear, too */
    v->shift = 32 - LK_VISITED_BITS;
    for (; v->cap < n && v->cap < v->room; v->cap *= 2)
        v->shift--;
    v->n = 0;
}

static inline size_t lk_visited_cell(const lk_visited *v, uint32_t entry)
{
    size_t i = entry * UINT32_C(0x9e3779b1) >> v->shift;
    /* One question: either answer at the first cell is as likely, and a guess would be wrong. */
    while ((v->cells[i] != 0) & (v->cells[i] != entry))
        i = (i + 1) & (v->cap - 1);
    return i;
}

/* True: it was not there. Room was reserved. */
static inline bool lk_visited_add(lk_visited *v, uint32_t slot)
{
    size_t i = lk_visited_cell(v, slot + 1);
    bool fresh = v->cells[i] == 0;
    v->cells[i] = slot + 1;
    v->n += fresh;
    return fresh;
}

/* Those of slots[n] that were not there, to ret[n]; returns how many. Room was reserved. */
static inline size_t lk_visited_add_all(lk_visited *v, const uint32_t *slots, size_t n,
                                        uint32_t *restrict ret)
{
    uint32_t *restrict cells = v->cells; /* in registers: the loop writes what might be them */
    const size_t mask = v->cap - 1;
    const unsigned shift = v->shift;
    size_t n_fresh = 0;
    for (size_t at = 0; at < n; at++) {
        uint32_t entry = slots[at] + 1;
        size_t i = entry * UINT32_C(0x9e3779b1) >> shift;
        while ((cells[i] != 0) & (cells[i] != entry))
            i = (i + 1) & mask;
        ret[n_fresh] = slots[at]; /* without a branch on the answer, which is a toss-up */
        n_fresh += cells[i] == 0;
        cells[i] = entry;
    }
    v->n += n_fresh;
    return n_fresh;
}

/* Room for n more. False: no memory, nothing changed. */
static inline bool lk_visited_reserve(lk_visited *v, size_t n)
{
    if (4 * (v->n + n) <= v->cap)
        return true;
    lk_visited bigger = {.cap = v->cap, .shift = v->shift};
    while (bigger.cap < 4 * (v->n + n)) {
        bigger.cap *= 2;
        bigger.shift--;
    }
    bigger.room = bigger.cap > v->room ? bigger.cap : v->room;
    bigger.cells = lk_calloc(bigger.room, sizeof *bigger.cells);
    if (!bigger.cells)
        return false;
    for (size_t i = 0; i < v->cap; i++)
        if (v->cells[i])
            lk_visited_add(&bigger, v->cells[i] - 1);
    lk_free(v->cells);
    *v = bigger;
    return true;
}

#endif
