/* Mutexes know their rank, and in builds with assertions every thread keeps the list of those it
 * holds, so that an order that could deadlock one day stops the first test that walks through it.
 * The list is per thread and lives outside the library's objects; it decides nothing but asserts.
 */
#include "base/thread.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

#ifndef NDEBUG
enum { MAX_HELD = 16 };

static _Thread_local struct {
    const lk_mutex *m[MAX_HELD];
    unsigned n;
} held;

static void note_lock(const lk_mutex *m)
{
    for (unsigned i = 0; i < held.n; i++)
        assert(m->rank > held.m[i]->rank && "locks are taken in rising rank");
    assert(held.n < MAX_HELD);
    held.m[held.n++] = m;
}

static void note_unlock(const lk_mutex *m)
{
    unsigned i = held.n;
    while (i > 0 && held.m[i - 1] != m)
        i--;
    assert(i > 0 && "a mutex is unlocked by the thread that locked it");
    memmove(&held.m[i - 1], &held.m[i], (held.n - i) * sizeof held.m[0]);
    held.n--;
}
#else
static void note_lock(const lk_mutex *m)
{
    (void)m;
}
static void note_unlock(const lk_mutex *m)
{
    (void)m;
}
#endif

/* These pthread calls fail only on misuse. */
static void must(int failed)
{
    assert(failed == 0);
    (void)failed;
}

void lk_mutex_init(lk_mutex *m, lk_rank rank)
{
    m->rank = rank;
    must(pthread_mutex_init(&m->m, NULL));
}

void lk_mutex_release(lk_mutex *m)
{
    must(pthread_mutex_destroy(&m->m));
}

void lk_mutex_lock(lk_mutex *m)
{
    note_lock(m); /* before the wait, which a wrong order might never end */
    must(pthread_mutex_lock(&m->m));
}

void lk_mutex_unlock(lk_mutex *m)
{
    note_unlock(m);
    must(pthread_mutex_unlock(&m->m));
}

void lk_cond_init(lk_cond *c)
{
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr));
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    must(pthread_cond_init(&c->c, &attr));
    must(pthread_condattr_destroy(&attr));
}

void lk_cond_release(lk_cond *c)
{
    must(pthread_cond_destroy(&c->c));
}

void lk_cond_wait(lk_cond *c, lk_mutex *m)
{
    must(pthread_cond_wait(&c->c, &m->m));
}

bool lk_cond_wait_ms(lk_cond *c, lk_mutex *m, uint64_t ms)
{
    const uint64_t year_ms = 365ull * 86400 * 1000; /* keeps the sum in range of any time_t */
    struct timespec until;
    if (ms > year_ms)
        ms = year_ms;
    /* The real clock, whatever table is in use: the kernel measures the wait by it. */
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int failed = pthread_cond_timedwait(&c->c, &m->m, &until);
    assert(failed == 0 || failed == ETIMEDOUT);
    return failed == 0;
}

void lk_cond_signal(lk_cond *c)
{
    must(pthread_cond_signal(&c->c));
}

void lk_cond_broadcast(lk_cond *c)
{
    must(pthread_cond_broadcast(&c->c));
}

struct lk_thread {
    pthread_t id;
    char name[16]; /* the kernel's limit */
    lk_thread_fn *fn;
    void *ctx;
};

static void *thread_main(void *arg)
{
    lk_thread *t = arg;
    pthread_setname_np(pthread_self(), t->name);
    t->fn(t->ctx);
    return NULL;
}

lk_code lk_thread_start(lk_thread **ret, const char *name, lk_thread_fn *fn, void *ctx, lk_err *err)
{
    return lk_thread_start_deep(ret, 0, name, fn, ctx, err);
}

lk_code lk_thread_start_deep(lk_thread **ret, size_t stack_bytes, const char *name,
                             lk_thread_fn *fn, void *ctx, lk_err *err)
{
    pthread_attr_t attr;
    lk_thread *t = lk_calloc(1, sizeof *t);
    if (!t)
        return lk_fail(err, LK_E_NOMEM, "no memory to start the thread %s", name);
    memcpy(t->name, name, strnlen(name, sizeof t->name - 1));
    t->fn = fn;
    t->ctx = ctx;

    /* The new thread inherits the mask, so signals stay with the thread that waits for them. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_attr_init(&attr);
    if (!failed) {
        size_t page = 4096, rounded = (stack_bytes + page - 1) / page * page;
        failed = rounded ? pthread_attr_setstacksize(&attr, rounded) : 0;
        if (!failed)
            failed = pthread_create(&t->id, &attr, thread_main, t);
        pthread_attr_destroy(&attr);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        lk_free(t);
        return lk_fail_sys(err, failed, "cannot start the thread %s", name);
    }
    *ret = t;
    return LK_OK;
}

void lk_thread_join(lk_thread *t)
{
    if (!t)
        return;
    must(pthread_join(t->id, NULL));
    lk_free(t);
}
