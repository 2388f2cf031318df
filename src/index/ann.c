/* The life of an index: taking in, giving up, linking, mending. Searches are in ann_search.c, the
 * first build in ann_build.c, the file in ann_file.c. */
#include <string.h>

#include "base/mem.h"
#include "index/ann_internal.h"

static lk_code check_opts(lk_ann_opts *o, lk_err *err)
{
    o->bits = o->bits ? o->bits : 4;
    o->M = o->M ? o->M : LK_ANN_M;
    o->ef_construction = o->ef_construction ? o->ef_construction : LK_ANN_EF_CONSTRUCTION;
    o->scan_at_most = o->scan_at_most ? o->scan_at_most : LK_ANN_SCAN_AT_MOST;
    if (o->bits != 4 && o->bits != 8)
        return lk_fail_field(err, LK_E_INVALID, "bits", "bits must be 4 or 8, not %u", o->bits);
    if (o->M < 4 || o->M > LK_ANN_MAX_M)
        return lk_fail_field(err, LK_E_INVALID, "M", "M must be from 4 to %d, not %zu",
                             LK_ANN_MAX_M, o->M);
    if (o->ef_construction < 8 || o->ef_construction > LK_ANN_MAX_EF)
        return lk_fail_field(err, LK_E_INVALID, "ef_construction",
                             "ef_construction must be from 8 to %d, not %zu", LK_ANN_MAX_EF,
                             o->ef_construction);
    return LK_OK;
}

lk_code lk_ann_new(const lk_kern *kern, const lk_ann_opts *opts, lk_ann **ret, lk_err *err)
{
    lk_ann *a = lk_calloc(1, sizeof *a);
    if (!a)
        return lk_fail(err, LK_E_NOMEM, "no memory for an index");
    a->opts = *opts;
    a->kern = kern;
    lk_mutex_init(&a->lock, LK_RANK_INDEX);
    lk_code code = check_opts(&a->opts, err);
    bool even_lengths = opts->score == LK_SCORE_DOT && !opts->unit;
    if (code == LK_OK)
        code = lk_codes_new(kern, opts->dim, a->opts.bits, even_lengths, &a->codes, err);
    if (code == LK_OK)
        code = lk_plane_init(&a->states, 1, err);
    if (code == LK_OK && a->opts.kind == LK_ANN_HNSW)
        code = lk_graph_init(&a->graph, a->codes, 2 * a->opts.M, a->opts.ef_construction, err);
    if (code)
        lk_ann_free(a);
    else
        *ret = a;
    return code;
}

void lk_ann_free(lk_ann *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_walks; i++) {
        lk_walk_release(a->walks[i]);
        lk_free(a->walks[i]);
    }
    if (a->opts.kind == LK_ANN_HNSW)
        lk_graph_release(&a->graph);
    lk_ivf_release(&a->ivf);
    lk_plane_release(&a->states);
    lk_codes_free(a->codes);
    lk_free(a->waiting);
    lk_free(a->stamps);
    lk_mutex_release(&a->lock);
    lk_free(a);
}

const lk_ann_opts *lk_ann_opts_of(const lk_ann *a)
{
    return &a->opts;
}

lk_code lk_ann_reserve(lk_ann *a, size_t n_slots, lk_err *err)
{
    lk_code code = lk_codes_reserve(a->codes, n_slots, err);
    if (code == LK_OK)
        code = a->opts.kind == LK_ANN_HNSW ? lk_graph_reserve(&a->graph, n_slots, err)
                                           : lk_ivf_reserve(&a->ivf, n_slots, err);
    if (code == LK_OK)
        code = lk_plane_reserve(&a->states, n_slots, err);
    if (code)
        return code;
    lk_mutex_lock(&a->lock);
    void *p = a->waiting;
    if (!lk_grow(&p, &a->cap_waiting, n_slots, sizeof *a->waiting))
        code = lk_fail(err, LK_E_NOMEM, "no memory for an index over %zu vectors", n_slots);
    a->waiting = p;
    lk_mutex_unlock(&a->lock);
    return code;
}

/* ---- the writer ---- */

void lk_ann_put(lk_ann *a, uint32_t slot, const float *vector)
{
    lk_codes_put(a->codes, slot, vector);
    lk_mutex_lock(&a->lock);
    lk_ann_set_state(a, slot, LK_ANN_WAITING);
    a->waiting[a->n_waiting++] = slot;
    if (slot >= a->n_slots)
        a->n_slots = (size_t)slot + 1;
    lk_mutex_unlock(&a->lock);
}

static void stop_waiting(lk_ann *a, uint32_t slot)
{
    size_t i = a->n_linking;
    while (a->waiting[i] != slot)
        i++;
    memmove(a->waiting + i, a->waiting + i + 1, (--a->n_waiting - i) * sizeof *a->waiting);
    lk_ann_set_state(a, slot, LK_ANN_ABSENT);
}

bool lk_ann_retire(lk_ann *a, uint32_t slot)
{
    bool absent = true;
    lk_mutex_lock(&a->lock);
    if (slot < a->n_slots) {
        switch (lk_ann_state_of(a, slot)) {
        case LK_ANN_WAITING:
            stop_waiting(a, slot);
            break;
        case LK_ANN_LINKED:
            a->n_linked--;
            __attribute__((fallthrough));
        case LK_ANN_LINKING:
            a->n_dead++;
            lk_ann_set_state(a, slot, LK_ANN_DEAD);
            __attribute__((fallthrough));
        case LK_ANN_DEAD:
            absent = false;
            break;
        case LK_ANN_ABSENT:
            break;
        }
    }
    lk_mutex_unlock(&a->lock);
    return absent;
}

/* ---- counts ---- */

static size_t count(lk_ann *a, const size_t *which)
{
    lk_mutex_lock(&a->lock);
    size_t n = *which;
    lk_mutex_unlock(&a->lock);
    return n;
}

size_t lk_ann_waiting(lk_ann *a)
{
    return count(a, &a->n_waiting);
}

size_t lk_ann_dead(lk_ann *a)
{
    return count(a, &a->n_dead);
}

size_t lk_ann_linked(lk_ann *a)
{
    return count(a, &a->n_linked);
}

uint64_t lk_ann_bytes(lk_ann *a)
{
    size_t n = count(a, &a->n_slots);
    /* ivf: the list of a slot, and the slot in the list */
    size_t links = a->opts.kind == LK_ANN_HNSW ? a->graph.links.row_bytes : 2 * sizeof(uint32_t);
    return (uint64_t)n *
           (a->codes->rows.row_bytes + a->codes->terms.row_bytes + links + a->states.row_bytes);
}

/* ---- walks ---- */

lk_code lk_ann_take_walk(lk_ann *a, lk_walk **ret, lk_err *err)
{
    lk_walk *w = NULL;
    lk_spin_lock(&a->walks_lock);
    if (a->n_walks)
        w = a->walks[--a->n_walks];
    lk_spin_unlock(&a->walks_lock);
    if (w) {
        *ret = w;
        return LK_OK;
    }
    w = lk_calloc(1, sizeof *w);
    if (!w)
        return lk_fail(err, LK_E_NOMEM, "no memory for a search");
    lk_code code = lk_walk_init(w, a->codes, err);
    if (code)
        lk_free(w);
    else
        *ret = w;
    return code;
}

void lk_ann_give_walk(lk_ann *a, lk_walk *w)
{
    if (!w)
        return;
    lk_spin_lock(&a->walks_lock);
    bool kept = a->n_walks < LK_ANN_IDLE_WALKS;
    if (kept)
        a->walks[a->n_walks++] = w;
    lk_spin_unlock(&a->walks_lock);
    if (!kept) {
        lk_walk_release(w);
        lk_free(w);
    }
}

/* ---- linking ---- */

lk_code lk_ann_link_one(lk_ann *a, lk_walk *w, uint32_t slot, const float *vector, lk_err *err)
{
    return a->opts.kind == LK_ANN_HNSW ? lk_graph_insert(&a->graph, w, slot, vector, err)
                                       : lk_ivf_add(&a->ivf, slot, err);
}

typedef struct linking {
    lk_ann *a;
    const lk_rows *rows;
    uint32_t *slots;      /* the first of those that wait, copied: the array may move */
    atomic_uchar *linked; /* which of them were */
} linking;

static size_t begin_linking(linking *l, size_t max)
{
    lk_ann *a = l->a;
    lk_mutex_lock(&a->lock);
    size_t n = a->n_linking = max < a->n_waiting ? max : a->n_waiting;
    for (size_t i = 0; i < n; i++) {
        l->slots[i] = a->waiting[i];
        lk_ann_set_state(a, a->waiting[i], LK_ANN_LINKING);
    }
    lk_mutex_unlock(&a->lock);
    return n;
}

/* What died meanwhile is dead, linked or not; what failed waits on. Returns how many were linked.
 */
static size_t end_linking(const linking *l)
{
    lk_ann *a = l->a;
    size_t kept = 0, done = 0;
    lk_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n_waiting; i++) {
        uint32_t slot = a->waiting[i];
        bool was_linked = i < a->n_linking && atomic_load(&l->linked[i]);
        done += was_linked;
        if (i < a->n_linking && lk_ann_state_of(a, slot) == LK_ANN_DEAD)
            continue;
        lk_ann_set_state(a, slot, was_linked ? LK_ANN_LINKED : LK_ANN_WAITING);
        a->n_linked += was_linked;
        if (!was_linked)
            a->waiting[kept++] = slot;
    }
    a->n_waiting = kept;
    a->n_linking = 0;
    lk_mutex_unlock(&a->lock);
    return done;
}

static void link_waiting(void *ctx, size_t i)
{
    linking *l = ctx;
    float vector[LK_MAX_CODE_DIM];
    lk_walk *w = NULL;
    uint32_t slot = l->slots[i];
    if (lk_ann_take_walk(l->a, &w, NULL))
        return;
    lk_row_decode(l->a->kern, l->rows->elem, lk_rows_at(l->rows, slot), l->rows->dim, vector);
    if (lk_ann_link_one(l->a, w, slot, vector, NULL) == LK_OK)
        atomic_store(&l->linked[i], 1);
    lk_ann_give_walk(l->a, w);
}

lk_code lk_ann_link(lk_ann *a, const lk_rows *rows, size_t max, unsigned n_threads, size_t *ret,
                    lk_err *err)
{
    linking l = {.a = a,
                 .rows = rows,
                 .slots = lk_alloc_array(max, sizeof *l.slots),
                 .linked = lk_calloc(max, sizeof *l.linked)};
    lk_code code =
        l.slots && l.linked ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory to index vectors");
    *ret = 0;
    if (code == LK_OK) {
        size_t n = begin_linking(&l, max);
        code = lk_parallel_for(n, n_threads, 16, link_waiting, &l, err);
        *ret = end_linking(&l);
        if (code == LK_OK && *ret < n)
            code = lk_fail(err, LK_E_NOMEM, "no memory to index vectors");
    }
    lk_free(l.linked);
    lk_free(l.slots);
    return code;
}

/* ---- mending ---- */

typedef struct mending {
    lk_ann *a;
    const lk_bitmap *dead;
    atomic_int code;
} mending;

static void mend_one(void *ctx, size_t slot)
{
    mending *m = ctx;
    lk_walk *w = NULL;
    lk_ann_state s = lk_ann_state_of(m->a, (uint32_t)slot);
    if ((s != LK_ANN_LINKED && s != LK_ANN_DEAD) || lk_bitmap_get(m->dead, slot))
        return;
    lk_code code = lk_ann_take_walk(m->a, &w, NULL);
    if (code == LK_OK)
        code = lk_graph_detach(&m->a->graph, w, (uint32_t)slot, m->dead, NULL);
    lk_ann_give_walk(m->a, w);
    if (code)
        atomic_store(&m->code, (int)code);
}

#define MIN_PIVOTS 256
#define SLOTS_A_PIVOT 64

lk_code lk_ann_route(lk_ann *a, const uint32_t *order, size_t n, size_t n_linked, lk_err *err)
{
    size_t want = n_linked / SLOTS_A_PIVOT;
    want = want > MIN_PIVOTS ? want : MIN_PIVOTS;
    return n ? lk_graph_route(&a->graph, order, want < n ? want : n, err) : LK_OK;
}

lk_code lk_ann_route_anew(lk_ann *a, const lk_bitmap *dead, lk_err *err)
{
    size_t n = 0, n_slots = count(a, &a->n_slots);
    size_t cap = count(a, &a->n_linked) / SLOTS_A_PIVOT + MIN_PIVOTS;
    uint32_t *sample = lk_alloc_array(cap, sizeof *sample);
    if (!sample)
        return lk_fail(err, LK_E_NOMEM, "no memory to mend an index");
    uint64_t x = UINT64_C(0x2545f4914f6cdd1d);
    for (size_t seen = 0, slot = 0; slot < n_slots; slot++) {
        if (lk_ann_state_of(a, (uint32_t)slot) != LK_ANN_LINKED ||
            (dead && lk_bitmap_get(dead, slot)))
            continue;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        size_t at = seen < cap ? seen : x % (seen + 1); /* a reservoir */
        if (at < cap)
            sample[at] = (uint32_t)slot;
        n += seen++ < cap;
    }
    for (size_t i = n; i > 1; i--) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t swap = sample[i - 1];
        sample[i - 1] = sample[x % i];
        sample[x % i] = swap;
    }
    lk_code code = n ? lk_graph_route(&a->graph, sample, n, err) : LK_OK;
    lk_free(sample);
    return code;
}

static lk_code find_dead(lk_ann *a, lk_bitmap *ret, lk_err *err)
{
    lk_mutex_lock(&a->lock);
    size_t n_slots = a->n_slots;
    lk_mutex_unlock(&a->lock);
    lk_code code = lk_bitmap_resize(ret, n_slots, err);
    if (code)
        return code;
    lk_bitmap_fill(ret, false);
    for (size_t i = 0; i < n_slots; i++)
        if (lk_ann_state_of(a, (uint32_t)i) == LK_ANN_DEAD)
            lk_bitmap_set(ret, i);
    return LK_OK;
}

static lk_code mend_graph(lk_ann *a, unsigned n_threads, const lk_bitmap *dead, lk_err *err)
{
    mending m = {.a = a, .dead = dead};
    lk_code code = lk_ann_route_anew(a, dead, err);
    if (code == LK_OK)
        code = lk_parallel_for(dead->n_bits, n_threads, 1024, mend_one, &m, err);
    if (code == LK_OK && atomic_load(&m.code))
        code = lk_fail(err, (lk_code)atomic_load(&m.code), "no memory to mend an index");
    for (size_t i = lk_bitmap_next(dead, 0); code == LK_OK && i != LK_BITMAP_NONE;
         i = lk_bitmap_next(dead, i + 1))
        lk_graph_forget(&a->graph, (uint32_t)i);
    return code;
}

lk_code lk_ann_mend(lk_ann *a, unsigned n_threads, lk_bitmap *ret, lk_err *err)
{
    lk_code code = find_dead(a, ret, err);
    if (code == LK_OK && a->opts.kind == LK_ANN_HNSW)
        code = mend_graph(a, n_threads, ret, err);
    else if (code == LK_OK)
        lk_ivf_drop(&a->ivf, ret);
    if (code)
        return code;
    lk_mutex_lock(&a->lock);
    for (size_t i = lk_bitmap_next(ret, 0); i != LK_BITMAP_NONE; i = lk_bitmap_next(ret, i + 1)) {
        lk_ann_set_state(a, (uint32_t)i, LK_ANN_ABSENT);
        a->n_dead--;
    }
    lk_mutex_unlock(&a->lock);
    return LK_OK;
}
