/* Making the graph: inserting, pruning, leading links around what is gone.
 *
 * Twins, vectors that codes cannot tell from each other, need care of their own. Catalogues hold
 * thousands of equal pictures; by distance alone either one twin hides all others, which then no
 * link leads to, or twins fill the rows and nothing leads out of them. So a row holds a few twins
 * of its slot, which hide nobody and are picked at random, and a new one that takes an old one's
 * place in a row takes over the link to it: what could be walked to before still can. */
#include "index/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ALPHA 1.3f
#define MAX_CANDIDATES 512
#define ROOM 4 /* a fourth of a row is left for links back, or each of them would prune */
#define SCORE_BLOCK 64
#define TWIN_4 0.36f /* by sqrt(dim): the error of a squared distance, of the squared length */
#define TWIN_8 0.1f
#define TWINS 4 /* a fourth of a row at most */
#define NO_SLOT UINT32_MAX
#define BLOCK 8 /* kept slots compared at a time: most candidates fall to the first few */

lk_code lk_graph_init(lk_graph *g, const lk_codes *codes, size_t degree, size_t ef_construction,
                      lk_err *err)
{
    *g = (lk_graph){.kern = codes->kern,
                    .codes = codes,
                    .degree = (degree + 15) / 16 * 16,
                    .ef_construction = ef_construction,
                    .alpha = ALPHA,
                    .twin = (codes->bits == 4 ? TWIN_4 : TWIN_8) / sqrtf((float)codes->code_dim)};
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

/* Nearest first, each once, without `slot` itself; returns how many are worth a look. */
static size_t in_order(lk_near *near, size_t n, uint32_t slot)
{
    size_t m = 0;
    if (n) /* else there may be no array */
        qsort(near, n, sizeof *near, nearest_first);
    for (size_t i = 0; i < n; i++)
        if (near[i].slot != slot && (m == 0 || near[m - 1].slot != near[i].slot))
            near[m++] = near[i];
    return m < MAX_CANDIDATES ? m : MAX_CANDIDATES;
}

/* By what factor the candidate is nearer to a kept slot than to what the links are for, `away` from
 * it: the first factor above `enough`, or the largest. Uses w->q. */
static float hidden_by(const lk_graph *g, lk_walk *w, uint32_t candidate, float away, float enough,
                       const uint32_t *kept, size_t n_kept)
{
    lk_code_query q;
    float scores[BLOCK], most = 0;
    float norm2 = lk_codes_terms(g->codes, candidate)->norm2;
    lk_codes_query_slot(g->codes, candidate, w->q, &q);
    for (size_t from = 0; from < n_kept && most <= enough; from += BLOCK) {
        size_t n = n_kept - from < BLOCK ? n_kept - from : BLOCK;
        lk_codes_score(g->codes, &q, kept + from, n, scores);
        for (size_t i = 0; i < n; i++) {
            float between = norm2 - 2 * scores[i];
            float factor = between > 0 ? away / between : away > 0 ? INFINITY : 1;
            most = factor > most ? factor : most;
        }
    }
    return most;
}

/* ---- twins ---- */

static bool is_twin(const lk_graph *g, float norm2, float score)
{
    return norm2 - 2 * score <= norm2 * g->twin;
}

static size_t count_twins(const lk_graph *g, uint32_t slot, const lk_near *near, size_t n)
{
    size_t n_twins = 0;
    float norm2 = lk_codes_terms(g->codes, slot)->norm2;
    while (n_twins < n && is_twin(g, norm2, near[n_twins].score))
        n_twins++;
    return n_twins;
}

/* Bring some of the twins, which are near[n], to the front; returns how many. */
static size_t pick_twins(const lk_graph *g, uint32_t slot, lk_near *near, size_t n)
{
    size_t m = n < g->degree / TWINS ? n : g->degree / TWINS;
    uint64_t x = ((uint64_t)slot << 32 | near[0].slot) + 1;
    for (size_t i = 0; i < m && m < n; i++) {
        x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
        size_t j = i + (size_t)(x >> 33) % (n - i);
        lk_near swap = near[i];
        near[i] = near[j];
        near[j] = swap;
    }
    return m;
}

/* ---- keeping ---- */

/* Keep the best of near[n], which is put in order, whose scores are for `slot`; returns how many
 * stand in front, twins first. What no kept slot hides comes then, however far; then what alpha
 * spares. The other way round the near ones of a dense place would take every link. */
static size_t prune(const lk_graph *g, lk_walk *w, uint32_t slot, lk_near *near, size_t n)
{
    lk_near kept[LK_GRAPH_MAX_DEGREE], spare[MAX_CANDIDATES];
    uint32_t slots[LK_GRAPH_MAX_DEGREE];
    size_t n_kept = 0, n_spare = 0;
    float norm2 = lk_codes_terms(g->codes, slot)->norm2;
    n = in_order(near, n, slot);
    size_t n_all_twins = count_twins(g, slot, near, n);
    size_t n_twins = n_all_twins ? pick_twins(g, slot, near, n_all_twins) : 0;
    size_t most = g->degree - g->degree / ROOM - n_twins;
    for (size_t i = n_all_twins; i < n && n_kept < most; i++) {
        float away = norm2 - 2 * near[i].score;
        float factor = hidden_by(g, w, near[i].slot, away, g->alpha, slots, n_kept);
        if (factor <= 1) {
            slots[n_kept] = near[i].slot;
            kept[n_kept++] = near[i];
        } else if (factor <= g->alpha) {
            spare[n_spare++] = near[i];
        }
    }
    for (size_t i = 0; i < n_spare && n_kept < most; i++) {
        float away = norm2 - 2 * spare[i].score;
        if (hidden_by(g, w, spare[i].slot, away, g->alpha, slots, n_kept) <= g->alpha) {
            slots[n_kept] = spare[i].slot;
            kept[n_kept++] = spare[i];
        }
    }
    for (size_t i = 0; i < n_kept; i++)
        near[n_twins + i] = kept[i];
    return n_twins + n_kept;
}

/* ---- inserting ---- */

/* Score near[n], of which the slots are set, for `slot`. Uses w->q. */
static void score_near(const lk_graph *g, lk_walk *w, uint32_t slot, lk_near *near, size_t n)
{
    lk_code_query q;
    float scores[SCORE_BLOCK];
    uint32_t slots[SCORE_BLOCK];
    lk_codes_query_slot(g->codes, slot, w->q, &q);
    for (size_t from = 0; from < n; from += SCORE_BLOCK) {
        size_t m = n - from < SCORE_BLOCK ? n - from : SCORE_BLOCK;
        for (size_t i = 0; i < m; i++)
            slots[i] = near[from + i].slot;
        lk_codes_score(g->codes, &q, slots, m, scores);
        for (size_t i = 0; i < m; i++)
            near[from + i].score = scores[i];
    }
}

static size_t find(const uint32_t *slots, size_t n, uint32_t slot)
{
    size_t i = 0;
    while (i < n && slots[i] != slot)
        i++;
    return i;
}

/* Where a row that is full of twins gives one up, or n. Scores of near[n] are for `slot`. */
static size_t spare_twin(const lk_graph *g, uint32_t slot, const lk_near *near, size_t n)
{
    size_t n_twins = 0, at = n;
    float norm2 = lk_codes_terms(g->codes, slot)->norm2;
    for (size_t i = 0; i < n; i++)
        if (is_twin(g, norm2, near[i].score)) {
            n_twins++;
            at = at == n ? i : at;
        }
    return n_twins < g->degree / TWINS ? n : at;
}

/* Returns the slot whose place in the row it took, or NO_SLOT. */
static uint32_t link_back(lk_graph *g, lk_walk *w, uint32_t from, uint32_t to, bool twin)
{
    lk_near near[LK_GRAPH_MAX_DEGREE + 1];
    uint32_t links[LK_GRAPH_MAX_DEGREE], lost = NO_SLOT;
    lock_row(g, from);
    size_t n = lk_graph_links(g, from, links), spare = n;
    bool fresh = find(links, n, to) == n;
    for (size_t i = 0; i < n; i++)
        near[i].slot = links[i];
    near[n].slot = to;
    if (fresh && (twin || n == g->degree))
        score_near(g, w, from, near, n + 1);
    if (fresh && twin)
        spare = spare_twin(g, from, near, n);
    if (fresh && spare < n) {
        lost = links[spare];
        atomic_store_explicit(&row_of(g, from)[spare], to + 1, memory_order_release);
    } else if (fresh && n < g->degree) {
        atomic_store_explicit(&row_of(g, from)[n], to + 1, memory_order_release);
    } else if (fresh) {
        write_row(g, from, near, prune(g, w, from, near, n + 1));
    }
    unlock_row(g, from);
    return lost;
}

/* The slot is linked to those in lost[n] instead of to twins[m], whose links to them it took. */
static void take_over(lk_graph *g, uint32_t slot, const lk_near *twins, size_t m,
                      const uint32_t *lost, size_t n)
{
    uint32_t links[LK_GRAPH_MAX_DEGREE];
    lock_row(g, slot);
    size_t n_links = lk_graph_links(g, slot, links);
    for (size_t i = 0, next = 0; i < n; i++) {
        if (find(links, n_links, lost[i]) < n_links)
            continue;
        size_t at = n_links;
        for (; next < m && at == n_links; next++)
            if (find(lost, n, twins[next].slot) == n)
                at = find(links, n_links, twins[next].slot);
        at = at < g->degree ? at : g->degree - 1;
        n_links += at == n_links;
        links[at] = lost[i];
        atomic_store_explicit(&row_of(g, slot)[at], lost[i] + 1, memory_order_release);
    }
    unlock_row(g, slot);
}

static bool in_history(const lk_walk *w, uint32_t slot)
{
    size_t i = 0;
    while (i < w->n_history && w->history[i].slot != slot)
        i++;
    return i < w->n_history;
}

/* The links that the slot has from others before it was inserted are candidates too. One that the
 * walk met as well has another score from it, and would stand in the row twice. Its twins' links
 * may be the only ones to them: these are lost[n] when the row is written anew. */
static bool add_links(lk_graph *g, lk_walk *w, uint32_t slot, uint32_t *lost, size_t *n_lost)
{
    uint32_t links[LK_GRAPH_MAX_DEGREE];
    lk_near near[LK_GRAPH_MAX_DEGREE];
    float norm2 = lk_codes_terms(g->codes, slot)->norm2;
    size_t n = lk_graph_links(g, slot, links);
    void *p = w->history;
    if (n && !lk_grow(&p, &w->cap_history, w->n_history + n, sizeof *w->history))
        return false;
    w->history = p;
    for (size_t i = 0; i < n; i++)
        near[i].slot = links[i];
    if (n)
        score_near(g, w, slot, near, n);
    for (size_t i = 0; i < n; i++) {
        if (!in_history(w, links[i]))
            w->history[w->n_history++] = near[i];
        if (is_twin(g, norm2, near[i].score))
            lost[(*n_lost)++] = links[i];
    }
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
    uint32_t lost[2 * LK_GRAPH_MAX_DEGREE];
    size_t n_lost = 0;
    lock_row(g, slot);
    w->failed = !add_links(g, w, slot, lost, &n_lost) || w->failed;
    size_t n = prune(g, w, slot, w->history, w->n_history);
    write_row(g, slot, w->history, n);
    unlock_row(g, slot);
    size_t n_twins = count_twins(g, slot, w->history, n);
    for (size_t i = 0; i < n; i++) {
        lost[n_lost] = link_back(g, w, w->history[i].slot, slot, i < n_twins);
        n_lost += lost[n_lost] != NO_SLOT;
    }
    if (n_lost)
        take_over(g, slot, w->history, n_twins, lost, n_lost);
    return w->failed ? lk_fail(err, LK_E_NOMEM, "no memory to index a vector") : LK_OK;
}

/* ---- leading links around what is gone ---- */

/* The row without its dead links. */
static void drop_dead(lk_graph *g, uint32_t slot, const uint32_t *links, size_t n,
                      const lk_bitmap *dead)
{
    lk_near kept[LK_GRAPH_MAX_DEGREE];
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (!lk_bitmap_get(dead, links[i]))
            kept[m++].slot = links[i];
    write_row(g, slot, kept, m);
}

/* The links of the dead stand in for them (Singh et al. 2021, "FreshDiskANN"). */
static bool replace_dead(lk_graph *g, lk_walk *w, uint32_t slot, const uint32_t *links, size_t n,
                         const lk_bitmap *dead)
{
    uint32_t beyond[LK_GRAPH_MAX_DEGREE];
    size_t n_near = 0;
    void *p = w->history;
    if (!lk_grow(&p, &w->cap_history, n * g->degree, sizeof *w->history))
        return false;
    w->history = p;
    for (size_t i = 0; i < n; i++) {
        size_t m = 1;
        const uint32_t *from = &links[i];
        if (lk_bitmap_get(dead, links[i])) {
            m = lk_graph_links(g, links[i], beyond);
            from = beyond;
        }
        for (size_t j = 0; j < m; j++)
            if (from[j] != slot && !lk_bitmap_get(dead, from[j]))
                w->history[n_near++].slot = from[j];
    }
    score_near(g, w, slot, w->history, n_near);
    write_row(g, slot, w->history, prune(g, w, slot, w->history, n_near));
    return true;
}

/* A row that loses few is good without them: those who come link to it as well, and choosing links
 * anew for every row that names one of the dead would cost more than inserting them did. */
lk_code lk_graph_detach(lk_graph *g, lk_walk *w, uint32_t slot, const lk_bitmap *dead, lk_err *err)
{
    uint32_t links[LK_GRAPH_MAX_DEGREE];
    bool ok = true;
    lock_row(g, slot);
    size_t n = lk_graph_links(g, slot, links), n_live = 0;
    for (size_t i = 0; i < n; i++)
        n_live += !lk_bitmap_get(dead, links[i]);
    if (n_live < n && n_live >= g->degree * 5 / 8)
        drop_dead(g, slot, links, n, dead);
    else if (n_live < n)
        ok = replace_dead(g, w, slot, links, n, dead);
    unlock_row(g, slot);
    return ok ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory to mend an index");
}

void lk_graph_forget(lk_graph *g, uint32_t slot)
{
    lock_row(g, slot);
    write_row(g, slot, NULL, 0);
    unlock_row(g, slot);
}
