/* A line of items in the order they came. A thread whose items stand in it leads when a run is
 * free: it may gather for a while, takes the first item and those of the same key behind it, and
 * runs them, whoever they belong to. Then it goes on with its own, if any are left.
 *
 * B1. An item is in the line, or in exactly one run, or done.
 * B2. While a run is free and somebody who runs nothing has an item in the line, one of those is
 * awake or one thread gathers: every event that frees a run or adds an item sees to that. B3. Only
 * one thread gathers at a time, and no longer than wait_ms from the first item's coming. */
#include "model/batcher.h"

#include <assert.h>
#include <stdbool.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

typedef struct call {
    lk_cond wake;
    size_t waiting, left; /* items in the line, and not done */
    bool leads;           /* it runs something and looks at the line by itself afterwards */
    lk_code code;
    lk_err err;
} call;

typedef struct item {
    struct item *next;
    call *owner;
    uint64_t key, came_ns;
    size_t max_batch;
    const void *in;
    void *out;
} item;

struct lk_batcher {
    lk_batcher_opts o;
    lk_mutex lock;
    lk_cond company; /* the one who gathers waits for it */
    item *first, **end;
    size_t n_expected; /* callers */
    unsigned n_free;
    bool gathering;
    lk_batcher_stats stats;
};

void lk_batcher_opts_default(lk_batcher_opts *ret)
{
    *ret = (lk_batcher_opts){.size = sizeof *ret, .n_runs = 1, .wait_ms = 2};
}

lk_code lk_batcher_new(const lk_batcher_opts *o, lk_batcher **ret, lk_err *err)
{
    lk_batcher *b = lk_calloc(1, sizeof *b);
    if (!b)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a batcher");
    b->o = *o;
    b->n_free = o->n_runs ? o->n_runs : 1;
    b->o.n_runs = b->n_free;
    b->end = &b->first;
    lk_mutex_init(&b->lock, LK_RANK_MODEL);
    lk_cond_init(&b->company);
    *ret = b;
    return LK_OK;
}

void lk_batcher_free(lk_batcher *b)
{
    if (!b)
        return;
    assert(!b->first && b->n_free == b->o.n_runs);
    lk_cond_release(&b->company);
    lk_mutex_release(&b->lock);
    lk_free(b);
}

void lk_batcher_stats_of(lk_batcher *b, lk_batcher_stats *ret)
{
    lk_mutex_lock(&b->lock);
    *ret = b->stats;
    lk_mutex_unlock(&b->lock);
}

/* ---- those on their way ---- */

void lk_batcher_expect(lk_batcher *b)
{
    lk_mutex_lock(&b->lock);
    b->n_expected++;
    lk_mutex_unlock(&b->lock);
}

static void arrived(lk_batcher *b)
{
    assert(b->n_expected > 0);
    b->n_expected--;
    if (b->gathering)
        lk_cond_signal(&b->company);
}

void lk_batcher_expect_no_more(lk_batcher *b)
{
    lk_mutex_lock(&b->lock);
    arrived(b);
    lk_mutex_unlock(&b->lock);
}

/* ---- the line ---- */

static void join(lk_batcher *b, item *it)
{
    *b->end = it;
    b->end = &it->next;
    b->stats.in_line++;
    it->owner->waiting++;
}

/* May it travel with the first one? */
static bool fits(const lk_batcher *b, const item *first, const item *it)
{
    return it->key == first->key && (b->o.wait_ms || it->owner == first->owner);
}

static size_t n_fitting(const lk_batcher *b)
{
    size_t n = 0;
    for (const item *it = b->first; it; it = it->next)
        n += fits(b, b->first, it);
    return n;
}

/* The first item and those that fit it, at most max of them; the rest keeps its order. */
static item *leave(lk_batcher *b, size_t max, size_t *ret_n)
{
    item *first = b->first, *taken = NULL, **last = &taken;
    size_t n = 0;
    b->first = NULL;
    b->end = &b->first;
    for (item *it = first, *next; it; it = next) {
        bool goes = n < max && fits(b, first, it);
        item ***end = goes ? &last : &b->end;
        next = it->next;
        it->next = NULL;
        **end = it;
        *end = &it->next;
        it->owner->waiting -= goes;
        n += goes;
    }
    *ret_n = n;
    return taken;
}

/* B2 */
static void wake_next(lk_batcher *b)
{
    const item *it = b->n_free > 0 && !b->gathering ? b->first : NULL;
    while (it && it->owner->leads)
        it = it->next;
    if (it)
        lk_cond_signal(&it->owner->wake);
}

/* ---- a run ---- */

/* Wait for company while more are on their way than there are free runs beside this one (B3). */
static void gather(lk_batcher *b)
{
    const item *first = b->first;
    uint64_t until = first->came_ns + (uint64_t)b->o.wait_ms * 1000000, now = lk_now_ns();
    bool waited = false;
    b->gathering = true;
    while (n_fitting(b) < first->max_batch && b->n_expected > b->n_free - 1 && now < until) {
        waited = true;
        lk_cond_wait_ms(&b->company, &b->lock, (until - now + 999999) / 1000000);
        now = lk_now_ns();
    }
    b->gathering = false;
    b->stats.waits += waited;
}

static void run_items(lk_batcher *b, item *it, size_t n, lk_code *codes, lk_err *errs)
{
    const void *in[LK_MAX_BATCH];
    void *out[LK_MAX_BATCH];
    uint64_t key = it->key;
    for (size_t i = 0; i < n; i++, it = it->next) {
        in[i] = it->in;
        out[i] = it->out;
    }
    codes[0] = b->o.fn(b->o.ctx, key, n, in, out, &errs[0]);
    if (codes[0] == LK_OK || n == 1) {
        for (size_t i = 1; i < n; i++)
            codes[i] = LK_OK;
        return;
    }
    for (size_t i = 0; i < n; i++)
        codes[i] = b->o.fn(b->o.ctx, key, 1, in + i, out + i, &errs[i]);
}

static void finish(item *it, const lk_code *codes, const lk_err *errs)
{
    for (size_t i = 0; it; i++) {
        call *c = it->owner;
        it = it->next;
        if (codes[i] && !c->code) {
            c->code = codes[i];
            c->err = errs[i];
        }
        if (--c->left == 0)
            lk_cond_signal(&c->wake);
    }
}

/* Run what stands first. The lock is held before and after, not meanwhile. */
static void lead(lk_batcher *b)
{
    lk_code codes[LK_MAX_BATCH];
    lk_err errs[LK_MAX_BATCH];
    size_t n = 0;
    if (b->o.wait_ms)
        gather(b);
    size_t share = (n_fitting(b) + b->n_free - 1) / b->n_free, max = b->first->max_batch;
    item *taken = leave(b, share < max ? share : max, &n);
    b->n_free--;
    b->stats.in_line -= n;
    b->stats.runs++;
    b->stats.items += n;
    wake_next(b);
    lk_mutex_unlock(&b->lock);
    run_items(b, taken, n, codes, errs);
    lk_mutex_lock(&b->lock);
    b->n_free++;
    finish(taken, codes, errs);
    wake_next(b);
}

lk_code lk_batcher_run(lk_batcher *b, uint64_t key, size_t max_batch, size_t n,
                       const void *const *in, void *const *out, lk_err *err)
{
    call c = {.left = n};
    item few[4], *items = n <= LK_ARRAY_LEN(few) ? few : lk_alloc_array(n, sizeof *items);
    if (!items) {
        lk_batcher_expect_no_more(b);
        return lk_fail(err, LK_E_NOMEM, "out of memory for a batch");
    }
    uint64_t now = lk_now_ns();
    lk_cond_init(&c.wake);
    lk_mutex_lock(&b->lock);
    for (size_t i = 0; i < n; i++) {
        items[i] = (item){NULL, &c, key, now, max_batch, in[i], out[i]};
        join(b, &items[i]);
    }
    arrived(b);
    while (c.left > 0) {
        if (c.waiting > 0 && b->n_free > 0 && !b->gathering) {
            c.leads = true;
            lead(b);
            c.leads = false;
        } else {
            lk_cond_wait(&c.wake, &b->lock);
        }
    }
    lk_mutex_unlock(&b->lock);
    lk_cond_release(&c.wake);
    if (items != few)
        lk_free(items);
    if (c.code && err)
        *err = c.err;
    return c.code;
}
