/* Searching: choose a plan, gather candidates by their codes, rank them by their rows.
 *
 *   no filter          walk the graph, or look through the nearest lists
 *   few match          compare the code of each that matches
 *   most of what is    walk as if there were no filter, with a longer pool, and keep what matches
 *   near matches
 *   else               walk over what matches alone, two links at a time
 *
 * A walk that comes back with fewer than k, or goes on for longer than comparing all that match
 * would take, gives way to comparing them. What waits to be linked is compared in every plan. */
#include <stdlib.h>

#include "base/mem.h"
#include "index/ann_internal.h"

#define MIN_EF 96
#define TOGETHER 4
#define PLAIN_SHARE                                                                                \
    0.4             /* of what is near matches: from there on a plain walk is the cheaper one      \
                     */
#define SPREAD 3.0f /* standard deviations of the codes' error that ranking allows for */
#define SLACK 1.04f /* where a walk may end, at a pool as wide as what is asked for */
#define SLACK_A_DOUBLING 0.028f /* and for each doubling of the pool: measured on bench/sets */
#define MEASURED 10             /* candidates ranked before the error is believed */
#define ROWS_AHEAD 6
#define MAX_EARLY_K 256 /* beyond, keeping the k best in order costs more than it saves */

static lk_code fail_nomem(lk_err *err)
{
    return lk_fail(err, LK_E_NOMEM, "no memory for a search");
}

/* ---- ranking ---- */

typedef struct ranking {
    lk_ann *a;
    const lk_rows *rows;
    const lk_ann_query *q;
    float norm2;
    size_t k;
    float *best; /* [k] exact scores, best first */
    size_t n_best;
    float sum, sum2; /* of exact minus estimate */
    size_t n_ranked;
} ranking;

static void fetch_row(const lk_rows *rows, uint32_t slot)
{
    const char *row = lk_rows_at(rows, slot);
    for (size_t at = 0; at < rows->row_bytes; at += 64)
        __builtin_prefetch(row + at);
}

static bool counts(const ranking *r, uint32_t slot)
{
    return lk_ann_state_of(r->a, slot) != LK_ANN_DEAD &&
           (!r->q->which || lk_bitmap_get(r->q->which, slot));
}

static void keep_best(ranking *r, float exact)
{
    if (r->k > MAX_EARLY_K)
        return;
    if (r->n_best == r->k) {
        if (exact <= r->best[r->k - 1])
            return;
        r->n_best--;
    }
    size_t i = r->n_best++;
    for (; i > 0 && r->best[i - 1] < exact; i--)
        r->best[i] = r->best[i - 1];
    r->best[i] = exact;
}

/* Could a candidate of this estimate, and all after it, still be among the k best? Estimates are
 * off by a constant, which the first candidates show, and by noise. */
static bool hopeless(const ranking *r, float estimate)
{
    if (r->n_best < r->k || r->n_ranked < MEASURED)
        return false;
    float n = (float)r->n_ranked, mean = r->sum / n;
    float variance = r->sum2 / n - mean * mean;
    float reach = mean + SPREAD * sqrtf(variance > 0 ? variance : 0);
    return estimate + reach < r->best[r->k - 1];
}

static int best_first(const void *a, const void *b)
{
    const lk_near *x = a;
    const lk_near *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Estimates are half a squared distance or an inner product; so is what they are compared with. */
static float comparable(const lk_ann *a, float score)
{
    return a->opts.score == LK_SCORE_NEG_L2 ? score / 2 : score;
}

/* The pool of w by the rows, to ret->hits. */
static lk_code rank(lk_ann *a, const lk_rows *rows, const lk_ann_query *q, const lk_walk *w,
                    lk_ann_found *ret, lk_err *err)
{
    ranking r = {.a = a, .rows = rows, .q = q, .k = q->k < w->n_pool ? q->k : w->n_pool};
    r.best = lk_alloc_array(r.k + 1, sizeof *r.best);
    ret->hits = lk_alloc_array(w->n_pool + 1, sizeof *ret->hits);
    ret->n = 0;
    if (!r.best || !ret->hits) {
        lk_free(r.best);
        return fail_nomem(err);
    }
    r.norm2 = a->kern->dot_f32(q->vector, q->vector, rows->dim);
    for (size_t i = 0; i < w->n_pool && i < ROWS_AHEAD; i++)
        fetch_row(rows, w->slots[i]);
    for (size_t i = 0; i < w->n_pool && !hopeless(&r, w->scores[i]); i++) {
        uint32_t slot = w->slots[i];
        if (i + ROWS_AHEAD < w->n_pool)
            fetch_row(rows, w->slots[i + ROWS_AHEAD]);
        if (!counts(&r, slot))
            continue;
        float score = lk_flat_score(a->kern, rows, slot, q->vector, r.norm2, a->opts.score);
        float exact = comparable(a, score), off = exact - w->scores[i];
        r.sum += off;
        r.sum2 += off * off;
        r.n_ranked++;
        keep_best(&r, exact);
        ret->hits[ret->n++] = (lk_near){slot, score};
    }
    qsort(ret->hits, ret->n, sizeof *ret->hits, best_first);
    lk_free(r.best);
    return LK_OK;
}

/* ---- candidates ---- */

static size_t ef_of(lk_ann *a, const lk_ann_query *q)
{
    size_t ef = q->ef ? q->ef : q->k + q->k / 2;
    size_t least = q->ef ? q->k : q->which ? 2 * MIN_EF : MIN_EF;
    ef = ef > least ? ef : least;
    size_t dead = lk_ann_dead(a), linked = lk_ann_linked(a);
    ef += linked ? ef * dead / linked : 0; /* their places in the pool are lost */
    return ef < LK_ANN_MAX_EF ? ef : LK_ANN_MAX_EF;
}

static lk_code begin(lk_ann *a, lk_walk *w, const lk_ann_query *q, size_t ef, lk_err *err)
{
    lk_code code = lk_walk_clear(w, ef, err);
    if (code == LK_OK)
        lk_codes_query(a->codes, q->vector, false, w->q, &w->query);
    w->rank = q->k;
    w->slack = SLACK + SLACK_A_DOUBLING * log2f((float)ef / (float)q->k);
    return code;
}

static void flush(lk_ann *a, lk_walk *w)
{
    for (size_t i = 0; i < w->n_seen; i++)
        w->rows[i] = lk_codes_fetch(a->codes, w->seen[i]);
    lk_walk_score(w, a->codes);
}

/* Offer a slot that the walk may have met. Blocks are scored as they fill. */
static bool offer(lk_ann *a, lk_walk *w, uint32_t slot)
{
    if (!lk_visited_reserve(&w->visited, 1))
        return false;
    if (!lk_visited_add(&w->visited, slot))
        return true;
    w->seen[w->n_seen++] = slot;
    if (w->n_seen == LK_WALK_GATHER)
        flush(a, w);
    return true;
}

static lk_code offer_waiting(lk_ann *a, lk_walk *w, const lk_bitmap *which, lk_err *err)
{
    uint32_t some[LK_WALK_GATHER];
    bool ok = true;
    size_t n = LK_WALK_GATHER;
    /* Linked ones leave at the front meanwhile: going from the back misses none. */
    for (size_t at = lk_ann_waiting(a); ok && at; at -= n) {
        lk_mutex_lock(&a->lock);
        at = at < a->n_waiting ? at : a->n_waiting;
        n = at < LK_WALK_GATHER ? at : LK_WALK_GATHER;
        for (size_t i = 0; i < n; i++)
            some[i] = a->waiting[at - n + i];
        lk_mutex_unlock(&a->lock);
        for (size_t i = 0; ok && i < n; i++)
            if (!which || lk_bitmap_get(which, some[i]))
                ok = offer(a, w, some[i]);
    }
    flush(a, w);
    return ok ? LK_OK : fail_nomem(err);
}

/* The codes of all that match. */
static lk_code scan(lk_ann *a, lk_walk *w, const lk_ann_query *q, size_t ef, lk_err *err)
{
    lk_code code = begin(a, w, q, ef, err);
    if (code)
        return code;
    lk_mutex_lock(&a->lock);
    size_t n_slots = a->n_slots;
    lk_mutex_unlock(&a->lock);
    for (size_t i = q->which ? lk_bitmap_next(q->which, 0) : 0; i < n_slots;
         i = q->which ? lk_bitmap_next(q->which, i + 1) : i + 1) {
        lk_ann_state s = lk_ann_state_of(a, (uint32_t)i);
        if (s == LK_ANN_ABSENT || s == LK_ANN_DEAD)
            continue;
        w->seen[w->n_seen++] = (uint32_t)i;
        if (w->n_seen == LK_WALK_GATHER)
            flush(a, w);
    }
    flush(a, w);
    return LK_OK;
}

typedef enum plan { PLAN_WALK, PLAN_SCAN, PLAN_PLAIN, PLAN_FILTERED, PLAN_IVF } plan;

static const char *const plan_names[] = {"graph", "scan", "graph", "filtered_graph", "ivf"};

static plan choose(const lk_ann *a, const lk_ann_query *q)
{
    if (a->opts.kind == LK_ANN_IVF)
        return PLAN_IVF;
    if (!q->which)
        return PLAN_WALK;
    if (q->matched <= a->opts.scan_at_most)
        return PLAN_SCAN;
    return PLAN_FILTERED;
}

static size_t nprobe_of(const lk_ann *a, const lk_ann_query *q)
{
    size_t usual = a->ivf.nlist / 32;
    size_t nprobe = q->nprobe ? q->nprobe : usual > 8 ? usual : 8;
    return nprobe < a->ivf.nlist ? nprobe : a->ivf.nlist;
}

/* How many of the pool count, up to k. */
static size_t found(lk_ann *a, const lk_ann_query *q, const lk_walk *w)
{
    ranking r = {.a = a, .q = q};
    size_t n = 0;
    for (size_t i = 0; i < w->n_pool && n < q->k; i++)
        n += counts(&r, w->slots[i]);
    return n;
}

/* One query by any plan. share: of what is near the query, so much matches. */
static lk_code gather(lk_ann *a, lk_walk *w, const lk_ann_query *q, plan p, double share,
                      lk_err *err)
{
    size_t ef = ef_of(a, q);
    bool whole = true;
    if (p == PLAN_SCAN)
        return scan(a, w, q, ef, err);
    if (p == PLAN_PLAIN) {
        double longer = (double)ef / share;
        ef = longer < LK_ANN_MAX_EF ? (size_t)longer : LK_ANN_MAX_EF;
    }
    lk_code code = begin(a, w, q, ef, err);
    if (code)
        return code;
    if (q->which)
        w->rank =
            0; /* what matches may all be far off, where a factor between distances says little */
    if (p == PLAN_IVF)
        lk_ivf_search(&a->ivf, w, nprobe_of(a, q), q->which);
    else if (p == PLAN_FILTERED)
        whole = lk_graph_walk_filtered(&a->graph, w, q->which, q->matched / 2);
    else
        lk_graph_walk(&a->graph, &w, 1);
    if (w->failed)
        return fail_nomem(err);
    return whole ? offer_waiting(a, w, q->which, err) : scan(a, w, q, ef_of(a, q), err);
}

/* Fewer than there are means that the walk did not get there. */
static lk_code finish(lk_ann *a, const lk_rows *rows, lk_walk *w, const lk_ann_query *q, plan p,
                      lk_ann_found *ret, lk_err *err)
{
    lk_code code = LK_OK;
    size_t there = q->which ? q->matched : lk_ann_linked(a) + lk_ann_waiting(a);
    size_t want = q->k < there ? q->k : there;
    if (p == PLAN_PLAIN && found(a, q, w) < want)
        code = gather(a, w, q, p = PLAN_FILTERED, 1, err);
    if (code == LK_OK && p != PLAN_SCAN && found(a, q, w) < want)
        code = scan(a, w, q, ef_of(a, q), err);
    ret->plan = plan_names[p];
    return code ? code : rank(a, rows, q, w, ret, err);
}

static lk_code search_one(lk_ann *a, const lk_rows *rows, lk_walk *w, const lk_ann_query *q,
                          lk_ann_found *ret, lk_err *err)
{
    plan p = choose(a, q);
    double share = 1;
    lk_code code = LK_OK;
    if (p == PLAN_FILTERED) {
        code = begin(a, w, q, q->k, err);
        share = code ? 0 : lk_graph_share(&a->graph, w, q->which);
        p = share >= PLAIN_SHARE ? PLAN_PLAIN : p;
    }
    if (code == LK_OK)
        code = gather(a, w, q, p, share, err);
    return code ? code : finish(a, rows, w, q, p, ret, err);
}

static lk_code walk_together(lk_ann *a, const lk_rows *rows, lk_walk *const *walks,
                             const lk_ann_query *q, size_t n, lk_ann_found *ret, lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; code == LK_OK && i < n; i++)
        code = begin(a, walks[i], &q[i], ef_of(a, &q[i]), err);
    if (code == LK_OK)
        lk_graph_walk(&a->graph, walks, n);
    for (size_t i = 0; code == LK_OK && i < n; i++) {
        code = walks[i]->failed ? fail_nomem(err) : offer_waiting(a, walks[i], NULL, err);
        if (code == LK_OK)
            code = finish(a, rows, walks[i], &q[i], PLAN_WALK, &ret[i], err);
    }
    return code;
}

/* A run of queries without a filter from q on, at most TOGETHER. */
static size_t run_of(lk_ann *a, const lk_ann_query *q, size_t n)
{
    size_t m = 0;
    while (m < n && m < TOGETHER && choose(a, &q[m]) == PLAN_WALK)
        m++;
    return m;
}

lk_code lk_ann_search_many(lk_ann *a, const lk_rows *rows, const lk_ann_query *q, size_t n,
                           lk_ann_found *ret, lk_err *err)
{
    lk_walk *walks[TOGETHER] = {NULL};
    lk_code code = LK_OK;
    for (size_t i = 0; i < n; i++)
        ret[i] = (lk_ann_found){.plan = ""};
    for (size_t i = 0; code == LK_OK && i < TOGETHER && i < n; i++)
        code = lk_ann_take_walk(a, &walks[i], err);
    for (size_t i = 0, m; code == LK_OK && i < n; i += m ? m : 1) {
        m = run_of(a, q + i, n - i);
        code = m ? walk_together(a, rows, walks, q + i, m, ret + i, err)
                 : search_one(a, rows, walks[0], q + i, ret + i, err);
    }
    for (size_t i = 0; i < TOGETHER; i++)
        lk_ann_give_walk(a, walks[i]);
    for (size_t i = 0; code && i < n; i++) {
        lk_free(ret[i].hits);
        ret[i] = (lk_ann_found){.plan = ""};
    }
    return code;
}

lk_code lk_ann_search(lk_ann *a, const lk_rows *rows, const lk_ann_query *q, lk_ann_found *ret,
                      lk_err *err)
{
    return lk_ann_search_many(a, rows, q, 1, ret, err);
}
