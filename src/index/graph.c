/* Making the graph: inserting, pruning, leading links around what is gone. */
#include "index/graph.h"

#include <stdlib.h>

#define ALPHA 1.2f
#define MAX_CANDIDATES 512
#define BLOCK 8 /* kept slots compared at a time: most candidates fall to the first few */

lk_code lk_graph_init(lk_graph *g, const lk_codes *codes, size_t degree, size_t ef_construction,
                      lk_err *err)
{
    *g = (lk_graph){.kern = codes->kern,
                    .codes = codes,
                    .degree = (degree + 15) / 16 * 16,
                    .ef_construction = ef_construction,
                    .alpha = ALPHA};
    return lk_plane_init(&g->links, g->degree * sizeof(uint32_t), err);
}

void lk_graph_release(lk_graph *g)
{
    lk_plane_release(&g->links);
    lk_pivots_unref(g->pivots);
    g->pivots = NULL;
}

lk_code lk_graph_reserve(lk_graph *g, size_t n_slots, lk_err *err)
{
    if (n_slots > LK_GRAPH_MAX_SLOTS)
        return lk_fail(err, LK_E_LIMIT, "a graph holds at most %u vectors", LK_GRAPH_MAX_SLOTS);
    return lk_plane_reserve(&g->links, n_slots, err);
}

lk_code lk_graph_route(lk_graph *g, const uint32_t *sample, size_t n, lk_err *err)
{
    lk_pivots *p = NULL;
    lk_code code = lk_pivots_new(g->codes, sample, n, &p, err);
    if (code)
        return code;
    lk_spin_lock(&g->pivots_lock);
    lk_pivots *old = g->pivots;
    g->pivots = p;
    lk_spin_unlock(&g->pivots_lock);
    lk_pivots_unref(old);
    return LK_OK;
}

/* ---- rows of links ---- */

/* Held for some microseconds, by at most as many threads as insert. */
static void lock_row(lk_graph *g, uint32_t slot)
{
    lk_spin_lock(&g->locks[slot % LK_GRAPH_LOCKS]);
}

static void unlock_row(lk_graph *g, uint32_t slot)
{
    lk_spin_unlock(&g->locks[slot % LK_GRAPH_LOCKS]);
}

static _Atomic uint32_t *row_of(lk_graph *g, uint32_t slot)
{
    return (_Atomic uint32_t *)(void *)lk_plane_at(&g->links, slot);
}

/* From the front, so that a walker never meets an end before the row's. */
static void write_row(lk_graph *g, uint32_t slot, const lk_near *links, size_t n)
{
    _Atomic uint32_t *row = row_of(g, slot);
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&row[i], links[i].slot + 1, memory_order_release);
    for (size_t i = n; i < g->degree; i++)
        atomic_store_explicit(&row[i], 0, memory_order_relaxed); /* it publishes nothing */
}

/* ---- pruning ---- */

static int nearest_first(const void *a, const void *b)
{
    const lk_near *x = a;
    const lk_near *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Does a kept slot stand between the candidate and what the links are for, `away` from it? */
static bool is_hidden(const lk_graph *g, lk_walk *w, uint32_t candidate, float away,
                      const uint32_t *kept, size_t n_kept)
{
    lk_code_query q;
    float scores[BLOCK];
    float norm2 = lk_codes_terms(g->codes, candidate)->norm2;
    lk_codes_query_slot(g->codes, candidate, w->q, &q);
    for (size_t from = 0; from < n_kept; from += BLOCK) {
        size_t n = n_kept - from < BLOCK ? n_kept - from : BLOCK;
        lk_codes_score(g->codes, &q, kept + from, n, scores);
        for (size_t i = 0; i < n; i++)
            if (g->alpha * (norm2 - 2 * scores[i]) < away)
                return true;
    }
    return false;
}

/* Keep at most `degree` of near[n], which is put in order, whose scores are for `slot`; returns how
 * many stand in front. Uses w->q. */
static size_t prune(const lk_graph *g, lk_walk *w, uint32_t slot, lk_near *near, size_t n)
{
    uint32_t kept[LK_GRAPH_MAX_DEGREE];
    size_t n_kept = 0;
    float norm2 = lk_codes_terms(g->codes, slot)->norm2;
    if (n) /* else there may be no array */
        qsort(near, n, sizeof *near, nearest_first);
    n = n < MAX_CANDIDATES ? n : MAX_CANDIDATES;
    for (size_t i = 0; i < n && n_kept < g->degree; i++) {
        uint32_t at = near[i].slot;
        if (at == slot || (i && near[i - 1].slot == at))
            continue;
        if (is_hidden(g, w, at, norm2 - 2 * near[i].score, kept, n_kept))
            continue;
        near[n_kept] = near[i];
        kept[n_kept++] = at;
    }
    return n_kept;
}

/* ---- inserting ---- */

static void score_links(const lk_graph *g, lk_walk *w, uint32_t slot, const uint32_t *links,
                        size_t n, lk_near *ret)
{
    lk_code_query q;
    float scores[LK_GRAPH_MAX_DEGREE + 1];
    lk_codes_query_slot(g->codes, slot, w->q, &q);
    lk_codes_score(g->codes, &q, links, n, scores);
    for (size_t i = 0; i < n; i++)
        ret[i] = (lk_near){links[i], scores[i]};
}

static void link_back(lk_graph *g, lk_walk *w, uint32_t from, uint32_t to)
{
    uint32_t links[LK_GRAPH_MAX_DEGREE + 1];
    lk_near near[LK_GRAPH_MAX_DEGREE + 1];
    lock_row(g, from);
    size_t n = lk_graph_links(g, from, links), i = 0;
    while (i < n && links[i] != to)
        i++;
    if (i == n && n < g->degree) {
        atomic_store_explicit(&row_of(g, from)[n], to + 1, memory_order_release);
    } else if (i == n) {
        links[n++] = to;
        score_links(g, w, from, links, n, near);
        write_row(g, from, near, prune(g, w, from, near, n));
    }
    unlock_row(g, from);
}

static bool in_history(const lk_walk *w, uint32_t slot)
{
    size_t i = 0;
    while (i < w->n_history && w->history[i].slot != slot)
        i++;
    return i < w->n_history;
}

/* Links that others made to the slot before it was inserted are candidates too. One that the walk
 * met as well has another score from it, and would stand in the row twice. */
static bool add_links(lk_graph *g, lk_walk *w, uint32_t slot)
{
    uint32_t links[LK_GRAPH_MAX_DEGREE];
    size_t n_links = lk_graph_links(g, slot, links), n = 0;
    for (size_t i = 0; i < n_links; i++)
        if (!in_history(w, links[i]))
            links[n++] = links[i];
    void *p = w->history;
    if (n && !lk_grow(&p, &w->cap_history, w->n_history + n, sizeof *w->history))
        return false;
    w->history = p;
    if (n)
        score_links(g, w, slot, links, n, w->history + w->n_history);
    w->n_history += n;
    return true;
}

lk_code lk_graph_insert(lk_graph *g, lk_walk *w, uint32_t slot, const float *vector, lk_err *err)
{
    lk_code code = lk_walk_clear(w, g->ef_construction, err);
    if (code)
        return code;
    w->keep_history = true;
    lk_codes_query(g->codes, vector, true, w->q, &w->query);
    lk_graph_walk(g, &w, 1);
    w->keep_history = false;
    lock_row(g, slot);
    w->failed = !add_links(g, w, slot) || w->failed;
    size_t n = prune(g, w, slot, w->history, w->n_history);
    write_row(g, slot, w->history, n);
    unlock_row(g, slot);
    for (size_t i = 0; i < n; i++)
        link_back(g, w, w->history[i].slot, slot);
    return w->failed ? lk_fail(err, LK_E_NOMEM, "no memory to index a vector") : LK_OK;
}
