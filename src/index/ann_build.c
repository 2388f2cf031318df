/* The first build: learn, claim, link in a random order on all threads.
 *
 * The order is random because the rows are not: neighbours that come one after the other would
 * link to each other while the rest is still missing. Walks begin at more pivots each time the
 * linked slots double. */
#include <math.h>

#include "base/mem.h"
#include "index/ann_internal.h"

#define SAMPLE 16384
#define SAMPLE_A_LIST 32
#define FIRST_ALONE 1024 /* in a graph of a few, threads would not see each other's slots */
#define PROGRESS_STEP ((size_t)8192)

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* The slots of `which` in random order, in memory to lk_free. */
static uint32_t *shuffled(const lk_bitmap *which, size_t *ret_n)
{
    size_t n = lk_bitmap_count(which), at = 0;
    uint32_t *order = lk_alloc_array(n + 1, sizeof *order);
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = lk_bitmap_next(which, 0); order && i != LK_BITMAP_NONE;
         i = lk_bitmap_next(which, i + 1)) {
        size_t j = next_random(&x) % (at + 1);
        order[at++] = order[j];
        order[j] = (uint32_t)i;
    }
    *ret_n = n;
    return order;
}

/* As many lists as Faiss' guidelines have it: about four times the root. */
static size_t nlist_for(const lk_ann *a, size_t n_rows)
{
    size_t nlist = a->opts.nlist ? a->opts.nlist : (size_t)(4 * sqrt((double)n_rows));
    return nlist < 1 ? 1 : nlist < LK_ANN_MAX_NLIST ? nlist : LK_ANN_MAX_NLIST;
}

static lk_code train_lists(lk_ann *a, const float *sample, size_t n, size_t n_rows,
                           unsigned n_threads, const lk_cancel *cancel, lk_err *err)
{
    lk_code code = lk_ivf_init(&a->ivf, a->codes, nlist_for(a, n_rows), err);
    return code ? code : lk_ivf_train(&a->ivf, sample, n, n_threads, NULL, NULL, cancel, err);
}

lk_code lk_ann_train(lk_ann *a, const lk_rows *rows, const lk_bitmap *which, unsigned n_threads,
                     const lk_cancel *cancel, lk_err *err)
{
    size_t n = 0;
    uint32_t *order = shuffled(which, &n);
    size_t most = a->opts.kind == LK_ANN_IVF ? SAMPLE_A_LIST * nlist_for(a, n) : SAMPLE;
    most = most > SAMPLE ? most : SAMPLE;
    n = n < most ? n : most;
    float *sample = lk_alloc_array(n * rows->dim + 1, sizeof *sample);
    lk_code code =
        order && sample ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory to train an index");
    for (size_t i = 0; code == LK_OK && i < n; i++)
        lk_row_decode(a->kern, rows->elem, lk_rows_at(rows, order[i]), rows->dim,
                      sample + i * rows->dim);
    if (code == LK_OK)
        code = lk_codes_train(a->codes, sample, n, err);
    if (code == LK_OK && a->opts.kind == LK_ANN_IVF)
        code = train_lists(a, sample, n, lk_bitmap_count(which), n_threads, cancel, err);
    lk_free(sample);
    lk_free(order);
    return code;
}

lk_code lk_ann_claim(lk_ann *a, const lk_bitmap *which, lk_err *err)
{
    lk_code code = lk_ann_reserve(a, which->n_bits, err);
    if (code)
        return code;
    lk_mutex_lock(&a->lock);
    for (size_t i = lk_bitmap_next(which, 0); i != LK_BITMAP_NONE; i = lk_bitmap_next(which, i + 1))
        lk_ann_set_state(a, (uint32_t)i, LK_ANN_LINKING);
    a->n_slots = which->n_bits > a->n_slots ? which->n_bits : a->n_slots;
    lk_mutex_unlock(&a->lock);
    return LK_OK;
}

typedef struct building {
    lk_ann *a;
    const lk_rows *rows;
    const uint32_t *order;
    const lk_cancel *cancel;
    atomic_int code;
} building;

static bool goes_on(const building *b)
{
    return !lk_cancel_is_set(b->cancel) &&
           atomic_load_explicit(&b->code, memory_order_relaxed) == LK_OK;
}

static void code_one(void *ctx, size_t i)
{
    building *b = ctx;
    float vector[LK_MAX_CODE_DIM];
    if (!goes_on(b))
        return;
    lk_row_decode(b->a->kern, b->rows->elem, lk_rows_at(b->rows, b->order[i]), b->rows->dim,
                  vector);
    lk_codes_put(b->a->codes, b->order[i], vector);
}

static void link_one(void *ctx, size_t i)
{
    building *b = ctx;
    float vector[LK_MAX_CODE_DIM];
    lk_walk *w = NULL;
    if (!goes_on(b))
        return;
    lk_code code = lk_ann_take_walk(b->a, &w, NULL);
    if (code == LK_OK) {
        lk_row_decode(b->a->kern, b->rows->elem, lk_rows_at(b->rows, b->order[i]), b->rows->dim,
                      vector);
        code = lk_ann_link_one(b->a, w, b->order[i], vector, NULL);
    }
    lk_ann_give_walk(b->a, w);
    if (code)
        atomic_store(&b->code, (int)code);
}

static lk_code stopped(const building *b, lk_err *err)
{
    if (lk_cancel_is_set(b->cancel))
        return lk_fail(err, LK_E_CANCELED, "building the index was stopped");
    lk_code code = (lk_code)atomic_load(&b->code);
    return code ? lk_fail(err, code, "no memory to build an index") : LK_OK;
}

/* fn over order[from .. to), which is what `b->order` points at while it runs. */
static lk_code on_threads(building *b, const uint32_t *order, size_t from, size_t to,
                          unsigned n_threads, lk_for_fn *fn, lk_err *err)
{
    b->order = order + from;
    lk_code code = lk_parallel_for(to - from, n_threads, 64, fn, b, err);
    return code ? code : stopped(b, err);
}

static lk_code link_all(building *b, const uint32_t *order, size_t n, unsigned n_threads,
                        lk_progress_fn *progress, void *ctx, lk_err *err)
{
    bool graph = b->a->opts.kind == LK_ANN_HNSW;
    lk_code code = graph ? lk_ann_route(b->a, order, n, 0, err) : LK_OK;
    size_t routed = FIRST_ALONE / 2;
    for (size_t at = 0, to; code == LK_OK && at < n; at = to) {
        if (graph && at >= 2 * routed) {
            routed = at;
            code = lk_ann_route(b->a, order, n, at, err);
        }
        size_t step = at < FIRST_ALONE ? FIRST_ALONE : PROGRESS_STEP;
        to = at + step < n ? at + step : n;
        if (code == LK_OK)
            code = on_threads(b, order, at, to, at ? n_threads : 1, link_one, err);
        if (code == LK_OK && progress)
            progress(ctx, to, n);
    }
    return code || !graph ? code : lk_ann_route(b->a, order, n, n, err);
}

static void end_claim(lk_ann *a, const uint32_t *order, size_t n)
{
    lk_mutex_lock(&a->lock);
    for (size_t i = 0; i < n; i++)
        if (lk_ann_state_of(a, order[i]) == LK_ANN_LINKING) {
            lk_ann_set_state(a, order[i], LK_ANN_LINKED);
            a->n_linked++;
        }
    lk_mutex_unlock(&a->lock);
}

static lk_code claimed(lk_ann *a, lk_bitmap *ret, lk_err *err)
{
    lk_mutex_lock(&a->lock);
    size_t n_slots = a->n_slots;
    lk_mutex_unlock(&a->lock);
    lk_code code = lk_bitmap_resize(ret, n_slots, err);
    if (code)
        return code;
    lk_bitmap_fill(ret, false);
    for (size_t i = 0; i < n_slots; i++) {
        lk_ann_state s = lk_ann_state_of(a, (uint32_t)i);
        if (s == LK_ANN_LINKING || s == LK_ANN_DEAD) /* what died since is linked like the rest */
            lk_bitmap_set(ret, i);
    }
    return LK_OK;
}

lk_code lk_ann_build(lk_ann *a, const lk_rows *rows, unsigned n_threads, lk_progress_fn *progress,
                     void *ctx, const lk_cancel *cancel, lk_err *err)
{
    building b = {.a = a, .rows = rows, .cancel = cancel};
    lk_bitmap which;
    lk_bitmap_init(&which);
    size_t n = 0;
    uint32_t *order = NULL;
    lk_code code = claimed(a, &which, err);
    if (code == LK_OK) {
        order = shuffled(&which, &n);
        code = order ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory to build an index");
    }
    if (code == LK_OK)
        code = on_threads(&b, order, 0, n, n_threads, code_one, err);
    if (code == LK_OK)
        code = link_all(&b, order, n, n_threads, progress, ctx, err);
    if (code == LK_OK)
        end_claim(a, order, n);
    lk_free(order);
    lk_bitmap_release(&which);
    return code;
}
