/* Work spread over threads: the fixed pool, the wait group, and the parallel loop of base/thread.h.
 *
 * The loop starts threads of its own instead of borrowing a pool's: a job that looped over the pool
 * it runs in would wait for workers that wait for it. A start costs some ten microseconds, which is
 * nothing beside the work that is worth a loop. */
#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/ring.h"

struct lk_pool {
    lk_ring ring;
    lk_thread **threads; /* [n_threads] */
    unsigned n_threads;
};

static void pool_main(void *ctx)
{
    lk_pool *p = ctx;
    lk_ring_slot job;
    while (lk_ring_take(&p->ring, UINT64_MAX, &job))
        job.fn(job.ctx);
}

static lk_code start_workers(lk_pool *p, const char *name, unsigned n_threads, lk_err *err)
{
    p->threads = lk_calloc(n_threads, sizeof *p->threads);
    if (!p->threads)
        return lk_fail(err, LK_E_NOMEM, "no memory for a pool of %u threads", n_threads);
    for (; p->n_threads < n_threads; p->n_threads++) {
        char numbered[16];
        snprintf(numbered, sizeof numbered, "%.11s-%u", name, p->n_threads % 1000);
        lk_code code = lk_thread_start(&p->threads[p->n_threads], numbered, pool_main, p, err);
        if (code)
            return code;
    }
    return LK_OK;
}

lk_code lk_pool_new(lk_pool **ret, const char *name, unsigned n_threads, size_t queue_len,
                    lk_err *err)
{
    if (n_threads == 0)
        return lk_fail(err, LK_E_INVALID, "a pool of 0 threads runs nothing");
    lk_pool *p = lk_calloc(1, sizeof *p);
    if (!p)
        return lk_fail(err, LK_E_NOMEM, "no memory for a pool");
    lk_code code = lk_ring_init(&p->ring, queue_len, err);
    if (code) {
        lk_free(p);
        return code;
    }
    code = start_workers(p, name, n_threads, err);
    if (code) {
        lk_pool_free(p);
        return code;
    }
    *ret = p;
    return LK_OK;
}

void lk_pool_free(lk_pool *p)
{
    if (!p)
        return;
    lk_ring_close(&p->ring);
    for (unsigned i = 0; i < p->n_threads; i++)
        lk_thread_join(p->threads[i]);
    lk_ring_release(&p->ring);
    lk_free(p->threads);
    lk_free(p);
}

bool lk_pool_try_run(lk_pool *p, lk_job_fn *fn, void *ctx)
{
    return lk_ring_put(&p->ring, (lk_ring_slot){fn, ctx}, false);
}

bool lk_pool_run(lk_pool *p, lk_job_fn *fn, void *ctx)
{
    return lk_ring_put(&p->ring, (lk_ring_slot){fn, ctx}, true);
}

size_t lk_pool_backlog(lk_pool *p)
{
    return lk_ring_len(&p->ring);
}

void lk_wait_group_init(lk_wait_group *w)
{
    lk_mutex_init(&w->m, LK_RANK_LEAF);
    lk_cond_init(&w->c);
    w->left = 0;
}

void lk_wait_group_release(lk_wait_group *w)
{
    lk_cond_release(&w->c);
    lk_mutex_release(&w->m);
}

void lk_wait_group_add(lk_wait_group *w, size_t n)
{
    lk_mutex_lock(&w->m);
    w->left += n;
    lk_mutex_unlock(&w->m);
}

void lk_wait_group_done(lk_wait_group *w)
{
    lk_mutex_lock(&w->m);
    assert(w->left > 0);
    /* Under the lock: a waiter that has seen zero may release the group at once. */
    if (--w->left == 0)
        lk_cond_broadcast(&w->c);
    lk_mutex_unlock(&w->m);
}

void lk_wait_group_wait(lk_wait_group *w)
{
    lk_mutex_lock(&w->m);
    while (w->left > 0)
        lk_cond_wait(&w->c, &w->m);
    lk_mutex_unlock(&w->m);
}

typedef struct loop {
    atomic_size_t next; /* the first index that nobody has taken */
    size_t n;
    size_t block;
    lk_for_fn *fn;
    void *ctx;
} loop;

static void loop_main(void *ctx)
{
    loop *l = ctx;
    for (;;) {
        /* Relaxed: the counter only hands out indices; starting and joining the threads orders
         * the data that the work reads and writes. */
        size_t from = atomic_load_explicit(&l->next, memory_order_relaxed);
        size_t to;
        do {
            if (from >= l->n)
                return;
            to = l->n - from < l->block ? l->n : from + l->block;
        } while (!atomic_compare_exchange_weak_explicit(&l->next, &from, to, memory_order_relaxed,
                                                        memory_order_relaxed));
        for (size_t i = from; i < to; i++)
            l->fn(l->ctx, i);
    }
}

lk_code lk_parallel_for(size_t n, unsigned n_threads, size_t block, lk_for_fn *fn, void *ctx,
                        lk_err *err)
{
    loop l = {.n = n, .block = block ? block : 1, .fn = fn, .ctx = ctx};
    size_t n_blocks = n / l.block + (n % l.block != 0);
    size_t n_more = n_threads ? n_threads - 1 : lk_os_cpus() - 1;
    if (n_more >= n_blocks)
        n_more = n_blocks ? n_blocks - 1 : 0;
    lk_thread **threads = lk_calloc(n_more, sizeof *threads);
    if (!threads)
        return lk_fail(err, LK_E_NOMEM, "no memory for %zu threads", n_more);

    /* A system short of threads slows the loop down and does not stop it: by then some of the work
     * is done, and the caller can do the rest. */
    size_t started = 0;
    while (started < n_more && lk_thread_start(&threads[started], "for", loop_main, &l, NULL) == 0)
        started++;
    loop_main(&l);
    for (size_t i = 0; i < started; i++)
        lk_thread_join(threads[i]);
    lk_free(threads);
    return LK_OK;
}
