#include "support.h"

#include <string.h>

#include "base/thread.h"

typedef struct gate {
    lk_mutex m;
    lk_cond c;
    bool open;
    atomic_size_t started;
    atomic_size_t done;
} gate;

static void gate_init(gate *g)
{
    memset(g, 0, sizeof *g);
    lk_mutex_init(&g->m, LK_RANK_LEAF);
    lk_cond_init(&g->c);
}

static void gate_open(gate *g)
{
    lk_mutex_lock(&g->m);
    g->open = true;
    lk_cond_broadcast(&g->c);
    lk_mutex_unlock(&g->m);
}

static void gate_release(gate *g)
{
    lk_cond_release(&g->c);
    lk_mutex_release(&g->m);
}

static void pass(void *ctx)
{
    gate *g = ctx;
    atomic_fetch_add(&g->started, 1);
    lk_mutex_lock(&g->m);
    while (!g->open)
        lk_cond_wait(&g->c, &g->m);
    lk_mutex_unlock(&g->m);
    atomic_fetch_add(&g->done, 1);
}

static void a_full_pool_refuses_and_later_runs_what_it_took(void **state)
{
    (void)state;
    lk_err err;
    gate g;
    lk_pool *p = NULL;
    gate_init(&g);
    test_ok(lk_pool_new(&p, "test", 2, 3, &err), &err);
    for (int i = 0; i < 2; i++)
        assert_true(lk_pool_run(p, pass, &g));
    while (atomic_load(&g.started) < 2)
        ; /* both workers are at the gate */
    for (int i = 0; i < 3; i++)
        assert_true(lk_pool_try_run(p, pass, &g));
    assert_false(lk_pool_try_run(p, pass, &g));
    assert_int_equal(lk_pool_backlog(p), 3);
    gate_open(&g);
    assert_true(lk_pool_run(p, pass, &g));
    lk_pool_free(p);
    lk_pool_free(NULL);
    assert_int_equal(g.done, 6);
    gate_release(&g);
}

typedef struct counted_job {
    lk_wait_group *group;
    atomic_size_t *n;
} counted_job;

static void count_down(void *ctx)
{
    counted_job *j = ctx;
    atomic_fetch_add(j->n, 1);
    lk_wait_group_done(j->group);
}

static void a_wait_group_ends_when_the_last_job_does(void **state)
{
    (void)state;
    lk_err err;
    lk_pool *p = NULL;
    atomic_size_t n = 0;
    test_ok(lk_pool_new(&p, "test", 3, 8, &err), &err);
    for (int round = 0; round < 50; round++) {
        lk_wait_group group;
        lk_wait_group_init(&group);
        counted_job job = {&group, &n};
        lk_wait_group_add(&group, 20);
        for (int i = 0; i < 20; i++)
            assert_true(lk_pool_run(p, count_down, &job));
        lk_wait_group_wait(&group);
        assert_int_equal(atomic_load(&n), (round + 1) * 20);
        lk_wait_group_release(&group);
    }
    lk_pool_free(p);
}

static void visit(void *ctx, size_t i)
{
    unsigned char *seen = ctx;
    seen[i]++;
}

static void a_parallel_loop_visits_every_index_once(void **state)
{
    (void)state;
    lk_err err;
    static const size_t sizes[] = {0, 1, 2, 7, 100, 4096};
    for (size_t s = 0; s < 6; s++) {
        for (unsigned threads = 0; threads < 5; threads++) {
            for (size_t block = 0; block < 70; block += 23) {
                unsigned char seen[4097] = {0};
                test_ok(lk_parallel_for(sizes[s], threads, block, visit, seen, &err), &err);
                for (size_t i = 0; i < sizes[s]; i++)
                    assert_int_equal(seen[i], 1);
                assert_int_equal(seen[sizes[s]], 0);
            }
        }
    }
}

static void a_loop_without_memory_for_threads_runs_on_its_own(void **state)
{
    (void)state;
    lk_err err;
    unsigned char seen[100] = {0};
    test_faults_on();
    test_fail_nth(TEST_ALLOC, 1, 12);
    test_code(lk_parallel_for(100, 4, 1, visit, seen, &err), LK_E_NOMEM);
    assert_int_equal(seen[0], 0);
    test_fail_from(TEST_ALLOC, 2, 12); /* the list of threads fits, no thread does */
    test_ok(lk_parallel_for(100, 4, 1, visit, seen, &err), &err);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(test_live_allocations(), 0);
    test_faults_off();
}

static lk_code make(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_pool *p = NULL;
    lk_code code = lk_pool_new(&p, "test", 3, 4, err);
    lk_pool_free(p);
    return code;
}

static void a_pool_that_cannot_be_made_whole_is_not_made(void **state)
{
    (void)state;
    lk_err err;
    lk_pool *p = NULL;
    assert_int_equal(test_sweep(TEST_ALLOC, 12, LK_E_NOMEM, make, NULL), 6);
    test_code(lk_pool_new(&p, "test", 0, 4, &err), LK_E_INVALID);
    test_code(lk_pool_new(&p, "test", 1, 0, &err), LK_E_INVALID);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_pool_refuses_and_later_runs_what_it_took),
        cmocka_unit_test(a_wait_group_ends_when_the_last_job_does),
        cmocka_unit_test(a_parallel_loop_visits_every_index_once),
        cmocka_unit_test(a_loop_without_memory_for_threads_runs_on_its_own),
        cmocka_unit_test(a_pool_that_cannot_be_made_whole_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
