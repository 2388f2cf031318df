/* Lists of slots.
 *
 * A search copies a list in blocks, so that its lock is held for a fraction of a microsecond
 * whatever the list's length. Adding appends, which a reader in the middle may or may not see.
 * Dropping moves what is behind, and then a reader in the middle begins the list again; it would
 * offer some slots twice, so from there on it looks in the pool first. Lists are dropped from
 * seldom, by consolidation, and nothing else pays for it. */
#include "index/ivf.h"

#include <math.h>

#define AHEAD 32        /* codes on their way from memory while as many are scored */
#define SCORED_PER_EF 8 /* under a filter, at least */

/* ---- birth and training ---- */

static lk_code make_centroids(const lk_ivf *ivf, lk_codes **ret, lk_err *err)
{
    lk_codes *made = NULL;
    lk_code code = lk_codes_beside(ivf->codes, 8, &made, err);
    if (code == LK_OK)
        code = lk_codes_reserve(made, ivf->nlist, err);
    if (code)
        lk_codes_free(made);
    else
        *ret = made;
    return code;
}

lk_code lk_ivf_init(lk_ivf *ivf, const lk_codes *codes, size_t nlist, lk_err *err)
{
    *ivf = (lk_ivf){.codes = codes, .nlist = nlist};
    if (nlist < 1 || nlist > LK_IVF_MAX_LISTS)
        return lk_fail(err, LK_E_LIMIT, "nlist is 1 to %d, not %zu", LK_IVF_MAX_LISTS, nlist);
    lk_code code = make_centroids(ivf, &ivf->centroids, err);
    if (code == LK_OK)
        code = lk_plane_init(&ivf->where, sizeof(uint32_t), err);
    if (code == LK_OK && !(ivf->lists = lk_calloc(nlist, sizeof *ivf->lists)))
        code = lk_fail(err, LK_E_NOMEM, "no memory for an index of %zu lists", nlist);
    if (code)
        lk_ivf_release(ivf);
    return code;
}

void lk_ivf_release(lk_ivf *ivf)
{
    for (size_t i = 0; ivf->lists && i < ivf->nlist; i++)
        lk_free(ivf->lists[i].slots);
    lk_free(ivf->lists);
    lk_plane_release(&ivf->where);
    lk_codes_free(ivf->centroids);
    *ivf = (lk_ivf){0};
}

lk_code lk_ivf_reserve(lk_ivf *ivf, size_t n_slots, lk_err *err)
{
    return lk_plane_reserve(&ivf->where, n_slots, err);
}

lk_code lk_ivf_train(lk_ivf *ivf, const float *sample, size_t n, unsigned n_threads,
                     lk_progress_fn *progress, void *ctx, const lk_cancel *cancel, lk_err *err)
{
    lk_codes *learnt = NULL;
    lk_code code = make_centroids(ivf, &learnt, err);
    if (code == LK_OK) {
        lk_kmeans km = {learnt, ivf->nlist, n_threads, progress, ctx, cancel};
        code = lk_kmeans_train(&km, sample, n, err);
    }
    if (code == LK_OK) {
        lk_codes *old = ivf->centroids;
        ivf->centroids = learnt;
        learnt = old;
    }
    lk_codes_free(learnt);
    return code;
}

/* ---- what is in a list ---- */

static _Atomic uint32_t *where_is(const lk_ivf *ivf, uint32_t slot)
{
    return (_Atomic uint32_t *)(void *)lk_plane_at(&ivf->where, slot);
}

lk_code lk_ivf_put(lk_ivf *ivf, uint32_t slot, uint32_t list, lk_err *err)
{
    if (list >= ivf->nlist)
        return lk_fail(err, LK_E_CORRUPT, "list %u of an index of %zu lists", list, ivf->nlist);
    lk_slot_list *l = &ivf->lists[list];
    lk_spin_lock(&l->lock);
    void *slots = l->slots;
    bool ok = lk_grow(&slots, &l->cap, l->n + 1, sizeof *l->slots);
    l->slots = slots;
    if (ok)
        l->slots[l->n++] = slot;
    lk_spin_unlock(&l->lock);
    if (!ok)
        return lk_fail(err, LK_E_NOMEM, "no memory to index a vector");
    /* Relaxed: it publishes nothing. */
    atomic_store_explicit(where_is(ivf, slot), list + 1, memory_order_relaxed);
    return LK_OK;
}

lk_code lk_ivf_add(lk_ivf *ivf, uint32_t slot, lk_err *err)
{
    int8_t bytes[LK_MAX_CODE_DIM];
    lk_code_query q;
    uint32_t list = 0;
    lk_codes_query_slot(ivf->codes, slot, bytes, &q);
    lk_kmeans_nearest(ivf->centroids, ivf->nlist, &q, 1, &list);
    return lk_ivf_put(ivf, slot, list, err);
}

uint32_t lk_ivf_list(const lk_ivf *ivf, uint32_t slot)
{
    uint32_t list = atomic_load_explicit(where_is(ivf, slot), memory_order_relaxed);
    return list ? list - 1 : LK_IVF_NO_LIST;
}

void lk_ivf_drop(lk_ivf *ivf, const lk_bitmap *dead)
{
    for (size_t i = 0; i < ivf->nlist; i++) {
        lk_slot_list *l = &ivf->lists[i];
        size_t kept = 0;
        lk_spin_lock(&l->lock);
        for (size_t j = 0; j < l->n; j++) {
            uint32_t slot = l->slots[j];
            if (lk_bitmap_get(dead, slot))
                atomic_store_explicit(where_is(ivf, slot), 0, memory_order_relaxed);
            else
                l->slots[kept++] = slot;
        }
        l->drops += kept < l->n;
        l->n = kept;
        lk_spin_unlock(&l->lock);
    }
}

/* ---- the nearest lists, one after the other ---- */

static void sift(lk_near *heap, size_t n, size_t at)
{
    lk_near moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && heap[child + 1].score > heap[child].score;
        if (heap[child].score <= moved.score)
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* Every list with its score as a heap, in the room that building keeps a walk's history in. */
static bool rank_lists(const lk_ivf *ivf, lk_walk *w)
{
    uint32_t slots[LK_WALK_GATHER];
    float scores[LK_WALK_GATHER];
    void *p = w->history;
    if (!lk_grow(&p, &w->cap_history, ivf->nlist, sizeof *w->history)) {
        w->failed = true;
        return false;
    }
    w->history = p;
    for (size_t from = 0; from < ivf->nlist; from += LK_WALK_GATHER) {
        size_t m = ivf->nlist - from < LK_WALK_GATHER ? ivf->nlist - from : LK_WALK_GATHER;
        for (size_t i = 0; i < m; i++)
            slots[i] = (uint32_t)(from + i);
        lk_codes_score(ivf->centroids, &w->query, slots, m, scores);
        for (size_t i = 0; i < m; i++)
            w->history[from + i] = (lk_near){slots[i], scores[i]};
    }
    for (size_t i = ivf->nlist / 2; i-- > 0;)
        sift(w->history, ivf->nlist, i);
    return true;
}

static uint32_t next_list(lk_walk *w, size_t n_left)
{
    uint32_t list = w->history[0].slot;
    w->history[0] = w->history[n_left - 1];
    if (n_left > 1)
        sift(w->history, n_left - 1, 0);
    return list;
}

/* ---- one list ---- */

/* How far the reading of a list has come. */
typedef struct reading {
    lk_slot_list *list;
    size_t at;
    uint32_t drops;
    bool again; /* some were offered before */
} reading;

static size_t read_block(reading *r, uint32_t *ret)
{
    lk_slot_list *l = r->list;
    lk_spin_lock(&l->lock);
    if (r->at && l->drops != r->drops) {
        r->at = 0;
        r->again = true;
    }
    r->drops = l->drops;
    size_t n = l->n - r->at < LK_WALK_GATHER ? l->n - r->at : LK_WALK_GATHER;
    for (size_t i = 0; i < n; i++)
        ret[i] = l->slots[r->at + i];
    lk_spin_unlock(&l->lock);
    r->at += n;
    return n;
}

static bool in_pool(const lk_walk *w, uint32_t slot)
{
    size_t i = 0;
    while (i < w->n_pool && w->slots[i] != slot)
        i++;
    return i < w->n_pool;
}

static void offer_block(const lk_ivf *ivf, lk_walk *w, const uint32_t *slots, size_t n)
{
    const uint8_t *rows[LK_WALK_GATHER];
    for (size_t i = 0; i < n && i < AHEAD; i++)
        rows[i] = lk_codes_fetch(ivf->codes, slots[i]);
    for (size_t from = 0; from < n; from += AHEAD) {
        size_t m = n - from < AHEAD ? n - from : AHEAD;
        for (size_t i = from + m; i < n && i < from + m + AHEAD; i++)
            rows[i] = lk_codes_fetch(ivf->codes, slots[i]);
        for (size_t i = 0; i < m; i++) {
            w->seen[i] = slots[from + i];
            w->rows[i] = rows[from + i];
        }
        w->n_seen = m;
        lk_walk_score(w, ivf->codes);
    }
}

static size_t offer_list(const lk_ivf *ivf, lk_walk *w, uint32_t list, const lk_bitmap *which)
{
    uint32_t slots[LK_WALK_GATHER];
    reading r = {.list = &ivf->lists[list]};
    size_t n_scored = 0;
    for (size_t n; (n = read_block(&r, slots)) > 0;) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            bool fits = !which || lk_bitmap_get(which, slots[i]);
            slots[kept] = slots[i];
            kept += fits && !(r.again && in_pool(w, slots[i]));
        }
        offer_block(ivf, w, slots, kept);
        n_scored += kept;
    }
    return n_scored;
}

/* Mark what is in the pool, for a caller who offers more: what is not, cannot get in again. */
static void mark_pool(lk_walk *w)
{
    if (!lk_visited_reserve(&w->visited, w->n_pool)) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < w->n_pool; i++)
        lk_visited_add(&w->visited, w->slots[i]);
}

/* A list that a filter empties costs little and tells nothing: it is not one of the nprobe. What is
 * near under a filter lies further out, so that more than the pool must be looked at. */
size_t lk_ivf_search(const lk_ivf *ivf, lk_walk *w, size_t nprobe, const lk_bitmap *which)
{
    size_t n_scored = 0, n_probed = 0, enough = which ? SCORED_PER_EF * w->ef : 0;
    if (!rank_lists(ivf, w))
        return 0;
    w->n_scored += ivf->nlist;
    for (size_t left = ivf->nlist; left > 0; left--) {
        if (n_probed >= nprobe && n_scored >= enough && w->n_pool == w->ef)
            break;
        size_t n = offer_list(ivf, w, next_list(w, left), which);
        n_scored += n;
        n_probed += n > 0;
    }
    mark_pool(w);
    return n_scored;
}
