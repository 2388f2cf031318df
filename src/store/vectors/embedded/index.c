/* Keeping the index: see index.h. */
#include "store/vectors/embedded/index.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "store/vectors/embedded/internal.h"

#define AUTO_ROWS 20000 /* from here on "auto" builds a graph; comparing all is quick below */
#define LINK_STEP                                                                                  \
    256                /* slots between looking whether to stop; one thread keeps up with a writer \
                        */
#define LINK_MUCH 8192 /* so many wait that all threads are worth it */
#define FAR_BEHIND 16384 /* waiting slots: searches would notice comparing more */
#define MIN_DEAD 1024    /* mended when they are so many, and a share of the linked */
#define DEAD_SHARE 10
#define SAVED_SHARE 4   /* of the rows changed: saved while open */
#define CLOSED_SHARE 20 /* the same at closing */
#define SAVED_LEAST 10000

void lk_embedded_index_init(lk_embedded_index *x)
{
    *x = (lk_embedded_index){.up = true};
    lk_mutex_init(&x->lock, LK_RANK_INDEX);
    lk_cond_init(&x->changed);
    lk_bitmap_init(&x->parked);
    lk_bitmap_init(&x->once_more);
}

/* ---- which, and who uses it ---- */

static void let_go(lk_embedded_ann *x)
{
    if (!x || atomic_fetch_sub(&x->refs, 1) != 1)
        return;
    lk_ann_free(x->ann);
    lk_free(x);
}

void lk_embedded_index_let_go(lk_embedded_ann *x)
{
    let_go(x);
}

lk_embedded_ann *lk_embedded_index_hold(lk_embedded *e, bool ready)
{
    lk_mutex_lock(&e->index.lock);
    lk_embedded_ann *x = e->index.now;
    if (x && ready && !atomic_load(&x->ready))
        x = NULL;
    if (x)
        atomic_fetch_add(&x->refs, 1);
    lk_mutex_unlock(&e->index.lock);
    return x;
}

/* NULL: out of memory, and the index is freed. */
static lk_embedded_ann *share(lk_ann *ann)
{
    lk_embedded_ann *x = lk_calloc(1, sizeof *x);
    if (!x) {
        lk_ann_free(ann);
        return NULL;
    }
    x->refs = 1;
    x->ann = ann;
    return x;
}

/* The writer's turn, or before anyone else is there. */
static void install(lk_embedded *e, lk_embedded_ann *x)
{
    lk_mutex_lock(&e->index.lock);
    lk_embedded_ann *old = e->index.now;
    e->index.now = x;
    lk_mutex_unlock(&e->index.lock);
    let_go(old);
}

static bool wants(const lk_embedded *e, lk_ann_opts *ret)
{
    const char *kind = e->options.index;
    *ret = (lk_ann_opts){.kind = strcmp(kind, "ivf") == 0 ? LK_ANN_IVF : LK_ANN_HNSW,
                         .dim = e->base.dim,
                         .score = e->base.metric == LK_METRIC_L2 ? LK_SCORE_NEG_L2 : LK_SCORE_DOT,
                         .unit = e->base.metric == LK_METRIC_COSINE,
                         .M = (size_t)e->options.M,
                         .ef_construction = (size_t)e->options.ef_construction,
                         .nlist = (size_t)e->options.nlist};
    if (strcmp(kind, "flat") == 0)
        return false;
    return strcmp(kind, "auto") == 0 ? e->n_live >= AUTO_ROWS : e->n_live > 0;
}

/* Was it made as the options have it now? Those left to the index suit whatever it took. */
static bool suits(const lk_ann *a, const lk_ann_opts *o)
{
    const lk_ann_opts *is = lk_ann_opts_of(a);
    size_t M = o->M ? o->M : LK_ANN_M;
    size_t ef = o->ef_construction ? o->ef_construction : LK_ANN_EF_CONSTRUCTION;
    return is->kind == o->kind && (o->kind == LK_ANN_IVF ? !o->nlist || is->nlist == o->nlist
                                                         : is->M == M && is->ef_construction == ef);
}

/* ---- the writer ---- */

lk_code lk_embedded_index_reserve(lk_embedded *e, size_t n_slots, lk_err *err)
{
    lk_embedded_ann *x = lk_embedded_index_hold(e, false);
    lk_code code = x ? lk_ann_reserve(x->ann, n_slots, err) : LK_OK;
    if (code == LK_OK && x)
        code = lk_bitmap_resize(&e->index.parked, n_slots, err);
    if (code == LK_OK && x)
        code = lk_bitmap_resize(&e->index.once_more, n_slots, err);
    let_go(x);
    return code;
}

void lk_embedded_index_put(lk_embedded *e, uint32_t slot)
{
    float vector[LK_MAX_DIM];
    lk_embedded_ann *x = lk_embedded_index_hold(e, false);
    if (!x)
        return;
    lk_row_decode(e->kern, e->elem, lk_rows_at(&e->rows.rows, slot), e->base.dim, vector);
    lk_ann_put(x->ann, slot, vector);
    let_go(x);
}

void lk_embedded_index_retire(lk_embedded *e, uint32_t slot)
{
    lk_embedded_ann *x = lk_embedded_index_hold(e, false);
    if (x)
        (void)lk_ann_retire(x->ann, slot);
    let_go(x);
}

bool lk_embedded_index_walks_over(lk_embedded *e, uint32_t slot)
{
    lk_embedded_ann *x = lk_embedded_index_hold(e, false);
    bool over = x && lk_ann_is_dead(x->ann, slot);
    let_go(x);
    return over;
}

lk_slot_fate lk_embedded_index_may_reuse(lk_embedded *e, uint32_t slot)
{
    if (lk_bitmap_get(&e->index.once_more, slot)) {
        lk_bitmap_unset(&e->index.once_more, slot);
        return LK_SLOT_ONCE_MORE;
    }
    if (!lk_embedded_index_walks_over(e, slot))
        return LK_SLOT_FREE;
    lk_bitmap_set(&e->index.parked, slot);
    return LK_SLOT_PARKED;
}

void lk_embedded_index_wake(lk_embedded *e)
{
    lk_embedded_ann *x = lk_embedded_index_hold(e, true);
    bool far_behind = x && lk_ann_waiting(x->ann) > FAR_BEHIND;
    let_go(x);
    lk_mutex_lock(&e->index.lock);
    e->index.asked++;
    e->index.failed = false;
    lk_cond_broadcast(&e->index.changed);
    if (far_behind)
        lk_cond_wait_ms(&e->index.changed, &e->index.lock, 1000);
    lk_mutex_unlock(&e->index.lock);
}

/* ---- building ---- */

typedef struct installing {
    lk_embedded *e;
    lk_embedded_ann *x;
    lk_code code;
    lk_err *err;
} installing;

/* In the writer's turn: from here on it puts and retires. */
static void install_new(void *ctx)
{
    installing *i = ctx;
    lk_embedded *e = i->e;
    i->code = lk_ann_claim(i->x->ann, &e->live, i->err);
    if (i->code == LK_OK)
        i->code = lk_ann_reserve(i->x->ann, e->cap_slots, i->err);
    if (i->code == LK_OK)
        i->code = lk_bitmap_resize(&e->index.parked, e->cap_slots, i->err);
    if (i->code == LK_OK)
        i->code = lk_bitmap_resize(&e->index.once_more, e->cap_slots, i->err);
    if (i->code == LK_OK) {
        atomic_fetch_add(&i->x->refs, 1);
        install(e, i->x);
    }
}

/* In the writer's turn: what only the index kept from being used again is free, after one more
 * grace period for those who still search the old one. */
static void take_away(void *ctx)
{
    lk_embedded *e = ctx;
    install(e, NULL);
    for (size_t i = lk_bitmap_next(&e->index.parked, 0); i != LK_BITMAP_NONE;
         i = lk_bitmap_next(&e->index.parked, i + 1)) {
        if (lk_grace_reserve(&e->grace, 1, NULL))
            break; /* they are lost until the folder is opened again */
        lk_grace_retire(&e->grace, (lk_retired){(uint32_t)i, false});
    }
    lk_bitmap_fill(&e->index.parked, false);
}

static void count_progress(void *ctx, uint64_t done, uint64_t total)
{
    lk_embedded *e = ctx;
    atomic_store(&e->index.done, done);
    atomic_store(&e->index.total, total);
}

typedef struct relay {
    lk_embedded *e;
    lk_progress_fn *progress;
    void *ctx;
} relay;

static void relay_progress(void *ctx, uint64_t done, uint64_t total)
{
    relay *r = ctx;
    count_progress(r->e, done, total);
    if (r->progress)
        r->progress(r->ctx, done, total);
}

static char *file_of(const lk_embedded *e, const char *name)
{
    return lk_embedded_path(e->dir, name, 0);
}

static void drop(lk_embedded *e)
{
    char *path = file_of(e, "index");
    lk_group_alone(&e->group, take_away, e);
    if (path)
        lk_os()->unlink(path);
    lk_free(path);
}

static lk_code train(lk_embedded *e, lk_ann *a, unsigned n_threads, const lk_cancel *cancel,
                     lk_err *err)
{
    lk_bitmap live;
    lk_bitmap_init(&live);
    unsigned ticket = lk_grace_enter(&e->grace); /* the rows stay as they are (V4) */
    pthread_rwlock_rdlock(&e->lock);
    lk_code code = lk_bitmap_copy(&live, &e->live, err);
    pthread_rwlock_unlock(&e->lock);
    if (code == LK_OK)
        code = lk_ann_train(a, &e->rows.rows, &live, n_threads, cancel, err);
    lk_grace_leave(&e->grace, ticket);
    lk_bitmap_release(&live);
    return code;
}

/* busy is held. */
static lk_code build(lk_embedded *e, const lk_ann_opts *opts, unsigned n_threads,
                     lk_progress_fn *progress, void *ctx, const lk_cancel *cancel, lk_err *err)
{
    lk_ann *ann = NULL;
    relay r = {e, progress, ctx};
    drop(e);
    count_progress(e, 0, 1);
    lk_code code = lk_ann_new(e->kern, opts, &ann, err);
    if (code)
        return code;
    lk_embedded_ann *x = share(ann);
    if (!x)
        return lk_fail(err, LK_E_NOMEM, "no memory to build an index");
    code = train(e, ann, n_threads, cancel, err);
    if (code == LK_OK) {
        installing i = {.e = e, .x = x, .err = err};
        lk_group_alone(&e->group, install_new, &i);
        code = i.code;
    }
    if (code == LK_OK) {
        code = lk_ann_build(ann, &e->rows.rows, n_threads, relay_progress, &r, cancel, err);
        if (code == LK_OK)
            atomic_store(&x->ready, true);
        else
            drop(e);
    }
    let_go(x);
    return code;
}

/* ---- mending ---- */

typedef struct mended {
    lk_embedded *e;
    lk_bitmap slots;
} mended;

/* In the writer's turn: slots that nothing walks over any more. A search that began before may
 * still hold one, so a grace period begins now; for one that is in its first, another follows. */
static void give_back(void *ctx)
{
    mended *m = ctx;
    lk_embedded *e = m->e;
    for (size_t i = lk_bitmap_next(&m->slots, 0); i != LK_BITMAP_NONE;
         i = lk_bitmap_next(&m->slots, i + 1)) {
        if (lk_bitmap_get(&e->live, i))
            continue; /* found at open under another vector: put by the caller */
        if (!lk_bitmap_get(&e->index.parked, i)) {
            lk_bitmap_set(&e->index.once_more, i);
        } else if (lk_grace_reserve(&e->grace, 1, NULL) == LK_OK) {
            lk_bitmap_unset(&e->index.parked, i);
            lk_grace_retire(&e->grace, (lk_retired){(uint32_t)i, false});
        }
    }
}

static lk_code mend(lk_embedded *e, lk_ann *a, lk_err *err)
{
    mended m = {.e = e};
    lk_bitmap_init(&m.slots);
    lk_code code = lk_ann_mend(a, 1, &m.slots, err);
    if (code == LK_OK)
        lk_group_alone(&e->group, give_back, &m);
    lk_bitmap_release(&m.slots);
    return code;
}

/* ---- the file ---- */

static void count_changes(lk_embedded *e, size_t n)
{
    lk_mutex_lock(&e->index.lock);
    e->index.unsaved = n ? e->index.unsaved + n : 0;
    lk_mutex_unlock(&e->index.lock);
}

static bool worth_saving(lk_embedded *e, lk_ann *a, size_t share)
{
    lk_mutex_lock(&e->index.lock);
    size_t n = e->index.unsaved;
    lk_mutex_unlock(&e->index.lock);
    return n && (n > lk_ann_linked(a) / share && (n >= SAVED_LEAST || share == CLOSED_SHARE));
}

/* Beside the old one, then in its place. A full disk leaves the old one, or none: either is right,
 * because what differs is found when it is read. */
static lk_code save(lk_embedded *e, lk_ann *a, lk_err *err)
{
    char *path = file_of(e, "index"), *temp = file_of(e, "index.tmp");
    pthread_rwlock_rdlock(&e->lock);
    size_t n = e->n_slots;
    uint32_t *stamps = lk_memdup(e->row_crc, n * sizeof *stamps);
    pthread_rwlock_unlock(&e->lock);
    lk_code code =
        path && temp && (stamps || !n) ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory to save");
    if (code == LK_OK) {
        count_changes(e, 0);
        code = lk_ann_save(a, temp, e->collection, stamps, n, err);
        if (code == LK_OK && lk_os()->rename(temp, path))
            code = lk_fail(err, LK_E_IO, "cannot rename %s", temp);
        if (code)
            lk_os()->unlink(temp);
    }
    lk_free(stamps);
    lk_free(temp);
    lk_free(path);
    return code;
}

/* Live slots whose vector is another one than the file's: mended, then put anew. */
static lk_code put_stale(lk_embedded *e, lk_ann *a, lk_err *err)
{
    lk_bitmap slots;
    lk_bitmap_init(&slots);
    float *vector = lk_alloc_array(e->base.dim, sizeof *vector);
    lk_code code = vector ? lk_ann_mend(a, 0, &slots, err)
                          : lk_fail(err, LK_E_NOMEM, "no memory to open an index");
    for (size_t i = code ? LK_BITMAP_NONE : lk_bitmap_next(&slots, 0); i != LK_BITMAP_NONE;
         i = lk_bitmap_next(&slots, i + 1)) {
        if (!lk_bitmap_get(&e->live, i))
            continue;
        lk_row_decode(e->kern, e->elem, lk_rows_at(&e->rows.rows, (uint32_t)i), e->base.dim,
                      vector);
        lk_ann_put(a, (uint32_t)i, vector);
    }
    lk_free(vector);
    lk_bitmap_release(&slots);
    return code;
}

lk_code lk_embedded_index_load(lk_embedded *e, lk_err *err)
{
    lk_ann_opts opts;
    lk_ann *a = NULL;
    size_t stale = 0;
    if (!wants(e, &opts))
        return LK_OK;
    char *path = file_of(e, "index");
    if (!path)
        return lk_fail(err, LK_E_NOMEM, "no memory to open an index");
    lk_code code = lk_ann_load(e->kern, &opts, path, e->collection, 0, &a, err);
    lk_free(path);
    if (code == LK_OK)
        code = lk_ann_catch_up(a, &e->rows.rows, &e->live, e->row_crc, &stale, err);
    if (code == LK_OK && stale)
        code = put_stale(e, a, err);
    lk_embedded_ann *x = code == LK_OK ? share(a) : NULL;
    if (code)
        lk_ann_free(a);
    if (!x) /* what cannot be read is built anew; only memory is worth failing for */
        return code && code != LK_E_NOMEM ? LK_OK
                                          : lk_fail(err, LK_E_NOMEM, "no memory to open an index");
    atomic_store(&x->ready, true);
    install(e, x);
    code = lk_bitmap_resize(&e->index.parked, e->cap_slots, err);
    if (code == LK_OK)
        code = lk_bitmap_resize(&e->index.once_more, e->cap_slots, err);
    for (size_t i = 0; code == LK_OK && lk_ann_dead(x->ann) && i < e->n_slots; i++)
        if (lk_ann_is_dead(x->ann, (uint32_t)i))
            lk_bitmap_set(&e->index.parked, i);
    return code;
}

/* ---- the thread ---- */

/* One piece of work; false: there was none. busy is held. */
static bool work(lk_embedded *e)
{
    lk_ann_opts opts;
    pthread_rwlock_rdlock(&e->lock);
    bool wanted = wants(e, &opts);
    char kind[sizeof e->options.index];
    memcpy(kind, e->options.index, sizeof kind);
    pthread_rwlock_unlock(&e->lock);
    lk_embedded_ann *x = lk_embedded_index_hold(e, true);
    lk_code code = LK_OK;
    bool some = true;
    size_t n = 0;
    if (x && strcmp(kind, "flat") == 0) {
        drop(e);
    } else if (wanted && (!x || !suits(x->ann, &opts))) {
        let_go(x);
        code = build(e, &opts, 0, NULL, NULL, &e->index.cancel, NULL);
        x = code ? NULL : lk_embedded_index_hold(e, true);
        if (x)
            (void)!save(e, x->ann, NULL);
    } else if (x && lk_ann_waiting(x->ann)) {
        bool much = lk_ann_waiting(x->ann) > LINK_MUCH;
        code = lk_ann_link(x->ann, &e->rows.rows, much ? LINK_MUCH : LINK_STEP, !much, &n, NULL);
        count_changes(e, n ? n : 1);
    } else if (x && lk_ann_dead(x->ann) > MIN_DEAD &&
               lk_ann_dead(x->ann) > lk_ann_linked(x->ann) / DEAD_SHARE) {
        count_changes(e, lk_ann_dead(x->ann));
        code = mend(e, x->ann, NULL);
    } else if (x && worth_saving(e, x->ann, SAVED_SHARE)) {
        (void)!save(e, x->ann, NULL);
    } else {
        some = false;
    }
    let_go(x);
    if (code) {
        lk_mutex_lock(&e->index.lock);
        e->index.failed = true; /* for want of memory: again when something was written */
        lk_mutex_unlock(&e->index.lock);
    }
    return some && code == LK_OK;
}

static void thread_main(void *ctx)
{
    lk_embedded *e = ctx;
    lk_embedded_index *x = &e->index;
    bool idle = false;
    unsigned asked = 0;
    lk_mutex_lock(&x->lock);
    while (!x->stop) {
        if (x->busy || x->failed || (idle && asked == x->asked)) {
            lk_cond_wait(&x->changed, &x->lock);
            continue;
        }
        asked = x->asked;
        x->busy = true;
        lk_mutex_unlock(&x->lock);
        idle = !work(e);
        lk_mutex_lock(&x->lock);
        x->busy = false;
        lk_cond_broadcast(&x->changed);
    }
    lk_mutex_unlock(&x->lock);
}

lk_code lk_embedded_index_start(lk_embedded *e, lk_err *err)
{
    return lk_thread_start(&e->index.thread, "lk-index", thread_main, e, err);
}

void lk_embedded_index_close(lk_embedded *e)
{
    lk_embedded_index *x = &e->index;
    if (!x->up)
        return;
    lk_mutex_lock(&x->lock);
    x->stop = true;
    lk_cancel_set(&x->cancel);
    lk_cond_broadcast(&x->changed);
    lk_mutex_unlock(&x->lock);
    lk_thread_join(x->thread);
    lk_embedded_ann *now = lk_embedded_index_hold(e, true);
    if (now && worth_saving(e, now->ann, CLOSED_SHARE))
        (void)!save(e, now->ann, NULL);
    let_go(now);
    let_go(x->now);
    lk_bitmap_release(&x->parked);
    lk_bitmap_release(&x->once_more);
    lk_cond_release(&x->changed);
    lk_mutex_release(&x->lock);
    x->up = false;
}

/* ---- on request ---- */

lk_code lk_embedded_index_build(lk_embedded *e, unsigned n_threads, lk_progress_fn *progress,
                                void *ctx, const lk_cancel *cancel, lk_err *err)
{
    lk_ann_opts opts;
    lk_embedded_index *x = &e->index;
    lk_mutex_lock(&x->lock);
    while (x->busy)
        lk_cond_wait(&x->changed, &x->lock);
    x->busy = true;
    lk_mutex_unlock(&x->lock);
    pthread_rwlock_rdlock(&e->lock);
    bool wanted = wants(e, &opts);
    pthread_rwlock_unlock(&e->lock);
    lk_code code = LK_OK;
    if (wanted) {
        code = build(e, &opts, n_threads, progress, ctx, cancel, err);
        lk_embedded_ann *now = code ? NULL : lk_embedded_index_hold(e, true);
        if (now)
            code = save(e, now->ann, err);
        let_go(now);
    } else {
        drop(e);
        if (progress)
            progress(ctx, 1, 1);
    }
    lk_mutex_lock(&x->lock);
    x->busy = false;
    x->asked++;
    lk_cond_broadcast(&x->changed);
    lk_mutex_unlock(&x->lock);
    return code;
}
