/* Threads: mutexes with a rank, fixed pools over bounded queues, a stop flag.
 *
 * Locks have a rank; debug builds abort when a thread takes one whose rank is not higher than every
 * rank it holds. No lock is held across I/O, a callback or a driver call unless its owner says so.
 */
#ifndef LK_BASE_THREAD_H
#define LK_BASE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Ranks, taken in rising order: a thread that holds LK_RANK_QUEUE may take LK_RANK_LOG, never the
 * other way round. */
typedef enum lk_rank {
    LK_RANK_SERVER = 10,
    LK_RANK_ENGINE = 20,
    LK_RANK_STORE = 30,
    LK_RANK_MODEL = 40,
    LK_RANK_INDEX = 50,
    LK_RANK_QUEUE = 60,
    LK_RANK_LEAF = 70,
    LK_RANK_LOG = 80,
} lk_rank;

typedef struct lk_mutex {
    pthread_mutex_t m;
    lk_rank rank;
} lk_mutex;

void lk_mutex_init(lk_mutex *m, lk_rank rank);
void lk_mutex_release(lk_mutex *m);
void lk_mutex_lock(lk_mutex *m);
void lk_mutex_unlock(lk_mutex *m);

typedef struct lk_cond {
    pthread_cond_t c;
} lk_cond;

void lk_cond_init(lk_cond *c); /* waits measure the monotonic clock */
void lk_cond_release(lk_cond *c);
void lk_cond_wait(lk_cond *c, lk_mutex *m);
bool lk_cond_wait_ms(lk_cond *c, lk_mutex *m, uint64_t ms); /* false: the time is up */
void lk_cond_signal(lk_cond *c);
void lk_cond_broadcast(lk_cond *c);

typedef void lk_thread_fn(void *ctx);
typedef struct lk_thread lk_thread;
/* name: at most 15 characters, shown by ps. Signals are blocked in the new thread. */
LK_CHECK lk_code lk_thread_start(lk_thread **ret, const char *name, lk_thread_fn *fn, void *ctx,
                                 lk_err *err);
/* The same on a stack of at least so many bytes, for code of others that recurses without bounds.
 */
LK_CHECK lk_code lk_thread_start_deep(lk_thread **ret, size_t stack_bytes, const char *name,
                                      lk_thread_fn *fn, void *ctx, lk_err *err);
void lk_thread_join(lk_thread *t); /* waits and frees; NULL allowed */

/* A stop flag that long work looks at. Set it from any thread or signal handler. */
typedef struct lk_cancel {
    atomic_bool stop;
} lk_cancel;

static inline void lk_cancel_set(lk_cancel *c)
{
    atomic_store_explicit(&c->stop, true, memory_order_relaxed);
}
static inline bool lk_cancel_is_set(const lk_cancel *c) /* NULL allowed: never */
{
    /* Relaxed: the flag carries no data with it. */
    return c && atomic_load_explicit(&c->stop, memory_order_relaxed);
}

/* A bounded queue of pointers: many producers, many consumers. Internally locked. */
typedef struct lk_queue lk_queue;
LK_CHECK lk_code lk_queue_new(lk_queue **ret, size_t capacity, lk_err *err);
void lk_queue_free(lk_queue *q);                 /* items left in it are the caller's */
bool lk_queue_try_push(lk_queue *q, void *item); /* false: full or closed */
bool lk_queue_push(lk_queue *q, void *item);     /* waits while full; false: closed */
void *lk_queue_pop(lk_queue *q);                 /* waits; NULL once closed and empty */
void *lk_queue_pop_ms(lk_queue *q, uint64_t ms); /* NULL also when the time is up */
void lk_queue_close(lk_queue *q);                /* producers fail; consumers drain */
size_t lk_queue_len(lk_queue *q);

/* A fixed pool of workers over a bounded queue of jobs. Internally locked. */
typedef struct lk_pool lk_pool;
typedef void lk_job_fn(void *ctx);
LK_CHECK lk_code lk_pool_new(lk_pool **ret, const char *name, unsigned n_threads, size_t queue_len,
                             lk_err *err);
void lk_pool_free(lk_pool *p); /* runs what is queued, then joins; NULL allowed */
bool lk_pool_try_run(lk_pool *p, lk_job_fn *fn, void *ctx); /* false: the queue is full */
bool lk_pool_run(lk_pool *p, lk_job_fn *fn, void *ctx);     /* waits while full; false: closed */
size_t lk_pool_backlog(lk_pool *p);                         /* jobs queued, not yet started */

/* Counts work down: add before the work starts, done when it ends, wait for zero. */
typedef struct lk_wait_group {
    lk_mutex m;
    lk_cond c;
    size_t left;
} lk_wait_group;
void lk_wait_group_init(lk_wait_group *w);
void lk_wait_group_release(lk_wait_group *w);
void lk_wait_group_add(lk_wait_group *w, size_t n);
void lk_wait_group_done(lk_wait_group *w);
void lk_wait_group_wait(lk_wait_group *w);

/* Run fn(ctx, i) for i in 0..n-1 on n_threads threads (the caller is one of them; 0: one a
 * processor), in blocks taken in order. Returns when all are done. LK_E_NOMEM: nothing was run. */
typedef void lk_for_fn(void *ctx, size_t i);
LK_CHECK lk_code lk_parallel_for(size_t n, unsigned n_threads, size_t block, lk_for_fn *fn,
                                 void *ctx, lk_err *err);

#endif
