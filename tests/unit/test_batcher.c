/* Runs that share a batch: who waits for whom, for how long, and that nobody gets another's answer.
 */
#include "support.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "model/batcher.h"

#define MAX_RUNS 64
#define LONG_MS 60000 /* a test that waits it out has failed */

/* Answers 2 x + key; an item of POISON fails its run. */
#define POISON 666u

typedef struct bench {
    lk_batcher *b;
    lk_mutex lock;
    lk_cond changed;
    size_t sizes[MAX_RUNS], n_runs;
    unsigned inside, most_inside;
    bool hold;  /* runs do not end while it is set */
    bool yield; /* let others in between */
} bench;

static lk_code twice(void *ctx, uint64_t key, size_t n, const void *const *in, void *const *out,
                     lk_err *err)
{
    bench *t = ctx;
    lk_mutex_lock(&t->lock);
    if (t->n_runs < MAX_RUNS)
        t->sizes[t->n_runs] = n;
    t->n_runs++;
    t->inside++;
    if (t->inside > t->most_inside)
        t->most_inside = t->inside;
    lk_cond_broadcast(&t->changed);
    while (t->hold)
        lk_cond_wait(&t->changed, &t->lock);
    t->inside--;
    lk_mutex_unlock(&t->lock);
    if (t->yield)
        sched_yield();
    for (size_t i = 0; i < n; i++) {
        uint64_t x;
        memcpy(&x, in[i], sizeof x);
        if (x == POISON)
            return lk_fail(err, LK_E_MODEL, "poison");
        x = 2 * x + key;
        memcpy(out[i], &x, sizeof x);
    }
    return LK_OK;
}

static void start(bench *t, unsigned n_runs, unsigned wait_ms)
{
    lk_batcher_opts o;
    lk_err err;
    *t = (bench){0};
    lk_mutex_init(&t->lock, LK_RANK_LEAF);
    lk_cond_init(&t->changed);
    lk_batcher_opts_default(&o);
    o.n_runs = n_runs;
    o.wait_ms = wait_ms;
    o.fn = twice;
    o.ctx = t;
    test_ok(lk_batcher_new(&o, &t->b, &err), &err);
}

static void stop(bench *t)
{
    lk_batcher_free(t->b);
    lk_cond_release(&t->changed);
    lk_mutex_release(&t->lock);
}

static void hold(bench *t, bool on)
{
    lk_mutex_lock(&t->lock);
    t->hold = on;
    lk_cond_broadcast(&t->changed);
    lk_mutex_unlock(&t->lock);
}

static void wait_for_runs(bench *t, size_t n)
{
    lk_mutex_lock(&t->lock);
    while (t->n_runs < n)
        lk_cond_wait(&t->changed, &t->lock);
    lk_mutex_unlock(&t->lock);
}

/* One caller with one item, on a thread of its own. */
typedef struct caller {
    bench *t;
    uint64_t key, x, y;
    lk_code code;
    lk_thread *thread;
} caller;

static lk_code ask(bench *t, uint64_t key, uint64_t x, uint64_t *y)
{
    const void *in[1] = {&x};
    void *out[1] = {y};
    lk_err err;
    lk_batcher_expect(t->b);
    return lk_batcher_run(t->b, key, 8, 1, in, out, &err);
}

static void call(void *ctx)
{
    caller *c = ctx;
    c->code = ask(c->t, c->key, c->x, &c->y);
}

static void begin(caller *c, bench *t, uint64_t key, uint64_t x)
{
    lk_err err;
    *c = (caller){.t = t, .key = key, .x = x};
    test_ok(lk_thread_start(&c->thread, "caller", call, c, &err), &err);
}

static void end(caller *c)
{
    lk_thread_join(c->thread);
    if (c->x == POISON) {
        assert_int_equal(c->code, LK_E_MODEL);
        return;
    }
    assert_int_equal(c->code, LK_OK);
    assert_int_equal(c->y, 2 * c->x + c->key);
}

/* Until that many items stand in line or run: only then is the order of things certain. */
static void wait_for_line(bench *t, uint64_t n_items)
{
    lk_batcher_stats s;
    do
        lk_batcher_stats_of(t->b, &s);
    while (s.items + s.in_line < n_items);
}

/* ---- tests ---- */

static void one_who_comes_alone_does_not_wait(void **state)
{
    (void)state;
    bench t;
    uint64_t y = 0;
    start(&t, 1, LONG_MS);
    for (uint64_t x = 0; x < 3; x++) {
        assert_int_equal(ask(&t, 5, x, &y), LK_OK);
        assert_int_equal(y, 2 * x + 5);
    }
    lk_batcher_stats s;
    lk_batcher_stats_of(t.b, &s);
    assert_int_equal(s.runs, 3);
    assert_int_equal(s.waits, 0);
    stop(&t);
}

static void those_who_come_during_a_run_share_the_next(void **state)
{
    (void)state;
    bench t;
    caller c[6];
    start(&t, 1, LONG_MS);
    hold(&t, true);
    begin(&c[0], &t, 1, 0);
    wait_for_runs(&t, 1);
    for (uint64_t i = 1; i < 6; i++)
        begin(&c[i], &t, 1, i);
    wait_for_line(&t, 6);
    hold(&t, false);
    for (size_t i = 0; i < 6; i++)
        end(&c[i]);
    assert_int_equal(t.n_runs, 2);
    assert_int_equal(t.sizes[0], 1);
    assert_int_equal(t.sizes[1], 5);
    stop(&t);
}

static void only_what_has_the_same_key_travels_together(void **state)
{
    (void)state;
    bench t;
    caller c[7];
    start(&t, 1, LONG_MS);
    hold(&t, true);
    begin(&c[0], &t, 1, 0);
    wait_for_runs(&t, 1);
    for (uint64_t i = 1; i < 7; i++) {
        begin(&c[i], &t, i % 2, i);
        wait_for_line(&t, i + 1);
    }
    hold(&t, false);
    for (size_t i = 0; i < 7; i++)
        end(&c[i]);
    assert_int_equal(t.n_runs, 3);
    assert_int_equal(t.sizes[1], 3);
    assert_int_equal(t.sizes[2], 3);
    stop(&t);
}

static void without_a_wait_everyone_runs_alone(void **state)
{
    (void)state;
    bench t;
    caller c[4];
    start(&t, 1, 0);
    hold(&t, true);
    for (uint64_t i = 0; i < 4; i++)
        begin(&c[i], &t, 1, i);
    wait_for_line(&t, 4);
    hold(&t, false);
    for (size_t i = 0; i < 4; i++)
        end(&c[i]);
    assert_int_equal(t.n_runs, 4);
    stop(&t);
}

static void the_wait_is_bounded(void **state)
{
    (void)state;
    bench t;
    uint64_t y = 0;
    lk_batcher_stats s;
    start(&t, 1, 50);
    lk_batcher_expect(t.b); /* one who never comes */
    uint64_t before = lk_now_ns();
    assert_int_equal(ask(&t, 0, 21, &y), LK_OK);
    uint64_t took_ms = (lk_now_ns() - before) / 1000000;
    if (took_ms < 50 || took_ms > 5000)
        fail_msg("it waited %llu ms", (unsigned long long)took_ms);
    lk_batcher_stats_of(t.b, &s);
    assert_int_equal(s.waits, 1);
    lk_batcher_expect_no_more(t.b);
    stop(&t);
}

static void company_ends_the_wait(void **state)
{
    (void)state;
    bench t;
    caller first;
    uint64_t y = 0, x = 4;
    const void *in[1] = {&x};
    void *out[1] = {&y};
    lk_err err;
    start(&t, 1, LONG_MS);
    lk_batcher_expect(t.b);
    begin(&first, &t, 3, 1);
    wait_for_line(&t, 1);
    test_ok(lk_batcher_run(t.b, 3, 8, 1, in, out, &err), &err);
    end(&first);
    assert_int_equal(y, 2 * 4 + 3);
    assert_int_equal(t.n_runs, 1);
    assert_int_equal(t.sizes[0], 2);
    stop(&t);
}

static void one_who_gives_up_ends_the_wait(void **state)
{
    (void)state;
    bench t;
    caller first;
    start(&t, 1, LONG_MS);
    lk_batcher_expect(t.b);
    begin(&first, &t, 3, 1);
    wait_for_line(&t, 1);
    lk_batcher_expect_no_more(t.b);
    end(&first);
    stop(&t);
}

static void nobody_waits_for_one_who_has_a_free_run_to_go_to(void **state)
{
    (void)state;
    bench t;
    uint64_t y = 0;
    start(&t, 2, LONG_MS);
    lk_batcher_expect(t.b);
    assert_int_equal(ask(&t, 0, 1, &y), LK_OK);
    assert_int_equal(y, 2);
    lk_batcher_expect_no_more(t.b);
    stop(&t);
}

static void no_more_runs_go_on_at_once_than_allowed(void **state)
{
    (void)state;
    bench t;
    caller c[12];
    start(&t, 3, 0);
    hold(&t, true);
    for (uint64_t i = 0; i < 12; i++)
        begin(&c[i], &t, 1, i);
    wait_for_line(&t, 12);
    wait_for_runs(&t, 3);
    hold(&t, false);
    for (size_t i = 0; i < 12; i++)
        end(&c[i]);
    assert_int_equal(t.most_inside, 3);
    stop(&t);
}

static void many_items_of_one_caller_go_in_batches(void **state)
{
    (void)state;
    bench t;
    uint64_t x[20], y[20];
    const void *in[20];
    void *out[20];
    lk_err err;
    start(&t, 1, 0);
    for (uint64_t i = 0; i < 20; i++) {
        x[i] = i;
        in[i] = &x[i];
        out[i] = &y[i];
    }
    lk_batcher_expect(t.b);
    test_ok(lk_batcher_run(t.b, 7, 8, 20, in, out, &err), &err);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(y[i], 2 * i + 7);
    assert_int_equal(t.n_runs, 3);
    stop(&t);
}

static void a_bad_item_fails_its_owner_alone(void **state)
{
    (void)state;
    bench t;
    caller c[5];
    start(&t, 1, LONG_MS);
    hold(&t, true);
    begin(&c[0], &t, 1, 0);
    wait_for_runs(&t, 1);
    for (uint64_t i = 1; i < 5; i++)
        begin(&c[i], &t, 1, i == 3 ? POISON : i);
    wait_for_line(&t, 5);
    hold(&t, false);
    for (size_t i = 0; i < 5; i++)
        end(&c[i]);
    stop(&t);
}

/* ---- stress ---- */

enum { THREADS = 8, ROUNDS = 3000 };

typedef struct worker {
    bench *t;
    test_rng rng;
    size_t wrong;
    lk_thread *thread;
} worker;

static void work(void *ctx)
{
    worker *w = ctx;
    for (size_t r = 0; r < ROUNDS; r++) {
        uint64_t x[8], y[8], key = test_rng_below(&w->rng, 3);
        const void *in[8];
        void *out[8];
        size_t n = 1 + test_rng_below(&w->rng, 8);
        lk_err err;
        lk_batcher_expect(w->t->b);
        if (test_rng_below(&w->rng, 16) == 0) {
            lk_batcher_expect_no_more(w->t->b);
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            x[i] = test_rng_below(&w->rng, 1000000) + POISON + 1;
            in[i] = &x[i];
            out[i] = &y[i];
        }
        if (lk_batcher_run(w->t->b, key, 8, n, in, out, &err))
            w->wrong++;
        for (size_t i = 0; i < n; i++)
            w->wrong += y[i] != 2 * x[i] + key;
    }
}

static void stress(unsigned n_runs, unsigned wait_ms)
{
    bench t;
    worker w[THREADS];
    lk_batcher_stats s;
    lk_err err;
    start(&t, n_runs, wait_ms);
    t.yield = true;
    for (size_t i = 0; i < THREADS; i++) {
        w[i] = (worker){.t = &t, .rng = {i + 1}};
        test_ok(lk_thread_start(&w[i].thread, "worker", work, &w[i], &err), &err);
    }
    for (size_t i = 0; i < THREADS; i++) {
        lk_thread_join(w[i].thread);
        assert_int_equal(w[i].wrong, 0);
    }
    lk_batcher_stats_of(t.b, &s);
    assert_int_equal(s.in_line, 0);
    assert_true(t.most_inside <= n_runs);
    assert_int_equal(s.runs, t.n_runs);
    stop(&t);
}

static void everyone_gets_his_own_answer_under_load(void **state)
{
    (void)state;
    stress(1, 1);
    stress(2, 1);
    stress(3, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_who_comes_alone_does_not_wait),
        cmocka_unit_test(those_who_come_during_a_run_share_the_next),
        cmocka_unit_test(only_what_has_the_same_key_travels_together),
        cmocka_unit_test(without_a_wait_everyone_runs_alone),
        cmocka_unit_test(the_wait_is_bounded),
        cmocka_unit_test(company_ends_the_wait),
        cmocka_unit_test(one_who_gives_up_ends_the_wait),
        cmocka_unit_test(nobody_waits_for_one_who_has_a_free_run_to_go_to),
        cmocka_unit_test(no_more_runs_go_on_at_once_than_allowed),
        cmocka_unit_test(many_items_of_one_caller_go_in_batches),
        cmocka_unit_test(a_bad_item_fails_its_owner_alone),
        cmocka_unit_test(everyone_gets_his_own_answer_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
