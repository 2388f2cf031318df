/* Walking the graph.
 *
 * A step takes the best slot not yet expanded, gathers its neighbours that were not seen, asks the
 * memory for all of their codes, and scores them together. Memory is what a walk waits for: over a
 * million vectors nearly every code is a miss. So several walks go in turn - while one's codes are
 * on their way another scores - and the links of the two next slots are asked for before they are
 * needed. */
#include "index/graph.h"

static const _Atomic uint32_t *links_of(const lk_graph *g, uint32_t slot)
{
    return (const _Atomic uint32_t *)(const void *)lk_plane_at(&g->links, slot);
}

size_t lk_graph_links(const lk_graph *g, uint32_t slot, uint32_t *ret)
{
    const _Atomic uint32_t *links = links_of(g, slot);
    size_t n = 0;
    for (; n < g->degree; n++) {
        /* Acquire: the codes of a slot were written before the link to it. */
        uint32_t link = atomic_load_explicit(&links[n], memory_order_acquire);
        if (!link)
            break;
        ret[n] = link - 1;
    }
    return n;
}

static bool make_room(lk_walk *w, size_t n)
{
    if (!lk_visited_reserve(&w->visited, n))
        w->failed = true;
    return !w->failed;
}

/* Take note of a slot to score unless it was seen, without a branch on that: it is a toss-up. */
static void see(lk_walk *w, uint32_t slot)
{
    w->seen[w->n_seen] = slot;
    w->n_seen += lk_visited_add(&w->visited, slot);
}

static void fetch_seen(const lk_graph *g, lk_walk *w)
{
    for (size_t i = 0; i < w->n_seen; i++)
        w->rows[i] = lk_codes_fetch(g->codes, w->seen[i]);
}

static void fetch_links(const lk_graph *g, uint32_t slot)
{
    const unsigned char *row = lk_plane_at(&g->links, slot);
    for (size_t at = 0; at < g->links.row_bytes; at += 64)
        __builtin_prefetch(row + at);
}

/* ---- steps ---- */

static void score_seen(const lk_graph *g, lk_walk *w)
{
    lk_walk_score(w, g->codes);
    size_t ahead = 0;
    for (size_t i = w->next; i < w->n_pool && ahead < 2; i++)
        if (!(w->slots[i] & LK_WALK_EXPANDED)) {
            fetch_links(g, w->slots[i]);
            ahead++;
        }
}

static void start(const lk_graph *g, const lk_pivots *p, lk_walk *w)
{
    w->n_seen = lk_pivots_near(p, g->codes, &w->query, NULL, LK_PIVOTS_SCORED, w->seen, NULL);
    w->n_scored += p->n_heads;
    if (!make_room(w, LK_WALK_GATHER))
        return;
    fetch_seen(g, w);
    score_seen(g, w);
    for (size_t i = 0; i < w->n_pool; i++) /* the others are so far that they are not met again */
        lk_visited_add(&w->visited, w->slots[i]);
}

#define NOISE 0.02f /* of the query's squared length: nearer than that, codes tell little */

/* What is left to expand lies so far behind what is sought that little of it would lead there. It
 * ends the walks of easy queries early, which a pool of fixed width cannot. */
static bool far_enough(const lk_walk *w)
{
    if (w->n_pool < w->rank)
        return false;
    float least = NOISE * w->query.norm2, reached = w->query.norm2 - 2 * w->scores[w->rank - 1];
    return w->query.norm2 - 2 * w->scores[w->next] > w->slack * (reached > least ? reached : least);
}

/* The best slot not yet expanded, which it then is; false: there is none. */
static bool take_next(lk_walk *w, uint32_t *ret)
{
    while (w->next < w->n_pool && (w->slots[w->next] & LK_WALK_EXPANDED))
        w->next++;
    if (w->next == w->n_pool)
        return false;
    if (w->rank && far_enough(w))
        return false;
    *ret = w->slots[w->next];
    w->n_steps++;
    if (w->keep_history) {
        void *p = w->history;
        if (!lk_grow(&p, &w->cap_history, w->n_history + 1, sizeof *w->history)) {
            w->failed = true;
            return false;
        }
        w->history = p;
        w->history[w->n_history++] = (lk_near){*ret, w->scores[w->next]};
    }
    w->slots[w->next++] |= LK_WALK_EXPANDED;
    return true;
}

static bool gather(const lk_graph *g, lk_walk *w)
{
    uint32_t slot = 0, links[LK_GRAPH_MAX_DEGREE];
    if (w->failed || !take_next(w, &slot) || !make_room(w, g->degree))
        return false;
    size_t n = lk_graph_links(g, slot, links);
    w->n_seen = lk_visited_add_all(&w->visited, links, n, w->seen);
    fetch_seen(g, w);
    return true;
}

static void finish(lk_walk *w)
{
    for (size_t i = 0; i < w->n_pool; i++)
        w->slots[i] &= ~LK_WALK_EXPANDED;
}

/* False: the walk is at its end. */
static bool step(const lk_graph *g, lk_walk *w)
{
    if (w->gathered) {
        score_seen(g, w);
        w->gathered = false;
        return true;
    }
    w->gathered = gather(g, w);
    return w->gathered;
}

static lk_pivots *hold_pivots(const lk_graph *g)
{
    lk_graph *mine = (lk_graph *)(uintptr_t)g; /* the count of users is not the graph's state */
    lk_spin_lock(&mine->pivots_lock);
    lk_pivots *p = mine->pivots;
    if (p)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    lk_spin_unlock(&mine->pivots_lock);
    return p;
}

static void walk_together(const lk_graph *g, const lk_pivots *p, lk_walk *const *walks, size_t n)
{
    lk_walk *going[LK_GRAPH_TOGETHER];
    size_t n_going = n;
    for (size_t i = 0; i < n; i++)
        start(g, p, going[i] = walks[i]);
    /* While one gathers its neighbour scores, so that what is asked of the memory comes in small
     * portions, each long before it is read. */
    for (size_t i = 1; i < n; i += 2)
        going[i]->gathered = gather(g, going[i]);
    while (n_going) {
        size_t kept = 0;
        for (size_t i = 0; i < n_going; i++)
            if (step(g, going[i]))
                going[kept++] = going[i];
        n_going = kept;
    }
    for (size_t i = 0; i < n; i++)
        finish(walks[i]);
}

void lk_graph_walk(const lk_graph *g, lk_walk *const *walks, size_t n)
{
    lk_pivots *p = hold_pivots(g);
    for (size_t from = 0; p && from < n; from += LK_GRAPH_TOGETHER)
        walk_together(g, p, walks + from,
                      n - from < LK_GRAPH_TOGETHER ? n - from : LK_GRAPH_TOGETHER);
    lk_pivots_unref(p);
}

/* ---- under a filter ---- */

double lk_graph_share(const lk_graph *g, const lk_walk *w, const lk_bitmap *which)
{
    uint32_t near[LK_PIVOTS_SCORED];
    size_t n = 0, looked = 0;
    lk_pivots *p = hold_pivots(g);
    if (p)
        n = lk_pivots_near(p, g->codes, &w->query, which, LK_PIVOTS_SCORED, near, &looked);
    lk_pivots_unref(p);
    return looked ? (double)n / (double)looked : 0;
}

/* The pivots of the set that are near, and some of its slots spread evenly over it, should there be
 * no such pivots. */
static void seed(const lk_graph *g, lk_walk *w, const lk_bitmap *which)
{
    uint32_t near[LK_PIVOTS_SCORED];
    size_t n = 0;
    lk_pivots *p = hold_pivots(g);
    if (!make_room(w, LK_WALK_GATHER)) {
        lk_pivots_unref(p);
        return;
    }
    if (p)
        n = lk_pivots_near(p, g->codes, &w->query, which, LK_PIVOTS_SCORED, near, NULL);
    lk_pivots_unref(p);
    for (size_t i = 0; i < n; i++)
        see(w, near[i]);
    size_t spread = LK_WALK_GATHER - n;
    for (size_t i = 0; i < spread; i++) {
        size_t at = lk_bitmap_next(which, which->n_bits * i / spread);
        if (at != LK_BITMAP_NONE)
            see(w, (uint32_t)at);
    }
    fetch_seen(g, w);
    score_seen(g, w);
}

/* Neighbours in the set; through neighbours that are not, their neighbours that are. */
static bool gather_filtered(const lk_graph *g, lk_walk *w, const lk_bitmap *which, size_t enough)
{
    uint32_t slot = 0, near[LK_GRAPH_MAX_DEGREE], far[LK_GRAPH_MAX_DEGREE];
    if (w->failed || !take_next(w, &slot) || !make_room(w, LK_WALK_GATHER))
        return false;
    size_t n = lk_graph_links(g, slot, near), n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (lk_bitmap_get(which, near[i]))
            see(w, near[i]);
        else
            near[n_out++] = near[i];
    }
    for (size_t i = 0; i < n_out; i++)
        fetch_links(g, near[i]);
    for (size_t i = 0; i < n_out && w->n_seen < enough; i++) {
        size_t m = lk_graph_links(g, near[i], far);
        for (size_t j = 0; j < m && w->n_seen < LK_WALK_GATHER - 1; j++)
            if (lk_bitmap_get(which, far[j]))
                see(w, far[j]);
    }
    fetch_seen(g, w);
    return true;
}

bool lk_graph_walk_filtered(const lk_graph *g, lk_walk *w, const lk_bitmap *which,
                            size_t max_scored)
{
    uint64_t until = w->n_scored + max_scored;
    seed(g, w, which);
    while (w->n_scored < until && gather_filtered(g, w, which, g->degree))
        score_seen(g, w);
    bool whole = w->n_scored < until && !w->failed;
    finish(w);
    return whole;
}
