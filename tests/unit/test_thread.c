#include "support.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/thread.h"

typedef struct counter {
    lk_mutex m;
    lk_cond c;
    size_t n;
    char name[16];
    sigset_t blocked;
} counter;

static void counter_init(counter *k)
{
    memset(k, 0, sizeof *k);
    lk_mutex_init(&k->m, LK_RANK_LEAF);
    lk_cond_init(&k->c);
}

static void counter_release(counter *k)
{
    lk_cond_release(&k->c);
    lk_mutex_release(&k->m);
}

static void count(void *ctx)
{
    counter *k = ctx;
    for (int i = 0; i < 10000; i++) {
        lk_mutex_lock(&k->m);
        k->n++;
        lk_mutex_unlock(&k->m);
    }
    lk_mutex_lock(&k->m);
    lk_cond_broadcast(&k->c);
    lk_mutex_unlock(&k->m);
}

static void a_mutex_lets_one_thread_in_at_a_time(void **state)
{
    (void)state;
    lk_err err;
    counter k;
    lk_thread *threads[4];
    counter_init(&k);
    for (int i = 0; i < 4; i++)
        test_ok(lk_thread_start(&threads[i], "count", count, &k, &err), &err);
    lk_mutex_lock(&k.m);
    while (k.n < 40000)
        lk_cond_wait(&k.c, &k.m);
    lk_mutex_unlock(&k.m);
    for (int i = 0; i < 4; i++)
        lk_thread_join(threads[i]);
    lk_thread_join(NULL);
    assert_int_equal(k.n, 40000);
    counter_release(&k);
}

static void look_at_self(void *ctx)
{
    counter *k = ctx;
    pthread_getname_np(pthread_self(), k->name, sizeof k->name);
    pthread_sigmask(SIG_SETMASK, NULL, &k->blocked);
}

static void a_thread_bears_its_name_and_takes_no_signals(void **state)
{
    (void)state;
    lk_err err;
    counter k;
    lk_thread *t = NULL;
    sigset_t mine;
    counter_init(&k);
    test_ok(lk_thread_start(&t, "a name much too long", look_at_self, &k, &err), &err);
    lk_thread_join(t);
    assert_string_equal(k.name, "a name much too");
    assert_int_equal(sigismember(&k.blocked, SIGTERM), 1);
    assert_int_equal(sigismember(&k.blocked, SIGINT), 1);
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_int_equal(sigismember(&mine, SIGTERM), 0);
    counter_release(&k);
}

static void a_timed_wait_ends_by_signal_or_by_time(void **state)
{
    (void)state;
    lk_err err;
    counter k;
    lk_thread *t = NULL;
    counter_init(&k);
    lk_mutex_lock(&k.m);
    uint64_t before = lk_now_ns();
    while (lk_cond_wait_ms(&k.c, &k.m, 30))
        ; /* a wake-up without cause */
    assert_true(lk_now_ns() - before >= 30000000);
    test_ok(lk_thread_start(&t, "count", count, &k, &err), &err);
    while (k.n < 10000)
        assert_true(lk_cond_wait_ms(&k.c, &k.m, UINT64_MAX));
    lk_mutex_unlock(&k.m);
    lk_thread_join(t);
    counter_release(&k);
}

/* Run fn in a child that may abort; its exit status, or minus the signal. */
static int status_of(void (*fn)(void))
{
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        close(2);
        signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void lock_two(lk_rank first, lk_rank second)
{
    lk_mutex a;
    lk_mutex b;
    lk_mutex_init(&a, first);
    lk_mutex_init(&b, second);
    lk_mutex_lock(&a);
    lk_mutex_lock(&b);
    lk_mutex_unlock(&a); /* in any order */
    lk_mutex_lock(&a);
}

static void rising(void)
{
    lk_mutex low;
    lk_mutex high;
    lk_mutex_init(&low, LK_RANK_STORE);
    lk_mutex_init(&high, LK_RANK_QUEUE);
    for (int i = 0; i < 100; i++) {
        lk_mutex_lock(&low);
        lk_mutex_lock(&high);
        lk_mutex_unlock(&low);
        lk_mutex_unlock(&high);
    }
}

static void falling(void)
{
    lock_two(LK_RANK_QUEUE, LK_RANK_STORE);
}

static void equal(void)
{
    lock_two(LK_RANK_QUEUE, LK_RANK_QUEUE);
}

static void falling_after_one_was_let_go(void)
{
    lock_two(LK_RANK_STORE, LK_RANK_QUEUE); /* it takes the lower again while it holds the higher */
}

static void not_held(void)
{
    lk_mutex m;
    lk_mutex_init(&m, LK_RANK_LEAF);
    lk_mutex_unlock(&m);
}

static void a_lock_out_of_rank_aborts(void **state)
{
    (void)state;
    assert_int_equal(status_of(rising), 0);
#ifndef NDEBUG
    assert_int_equal(status_of(falling), -SIGABRT);
    assert_int_equal(status_of(equal), -SIGABRT);
    assert_int_equal(status_of(falling_after_one_was_let_go), -SIGABRT);
    assert_int_equal(status_of(not_held), -SIGABRT);
#else
    print_message("ranks are not checked in this build\n");
    (void)falling;
    (void)equal;
    (void)falling_after_one_was_let_go;
    (void)not_held;
    skip();
#endif
}

static lk_code start_and_join(void *ctx, lk_err *err)
{
    lk_thread *t = NULL;
    lk_code code = lk_thread_start(&t, "count", count, ctx, err);
    lk_thread_join(t);
    return code;
}

static void a_thread_that_cannot_start_says_so(void **state)
{
    (void)state;
    counter k;
    counter_init(&k);
    assert_int_equal(test_sweep(TEST_ALLOC, 12, LK_E_NOMEM, start_and_join, &k), 1);
    counter_release(&k);
}

#define DEEP_BYTES ((size_t)64 << 20)

/* Reaches that far down its stack, a page at a time. */
static void go_down(void *ctx)
{
    volatile unsigned char page[4096];
    size_t *left = ctx;
    page[0] = 1;
    if (*left > sizeof page + 256) {
        *left -= sizeof page + 256;
        go_down(ctx);
    }
    page[1] = page[0];
}

static void a_deep_thread_has_the_stack_asked_for(void **state)
{
    (void)state;
    lk_thread *t = NULL;
    lk_err err;
    size_t left = DEEP_BYTES / 2; /* sanitizers make frames larger */
    test_ok(lk_thread_start_deep(&t, DEEP_BYTES, "deep", go_down, &left, &err), &err);
    lk_thread_join(t);
    assert_true(left <= 4096 + 256);
}

static void a_stop_flag_stays_set(void **state)
{
    (void)state;
    lk_cancel c = {.stop = false};
    assert_false(lk_cancel_is_set(NULL));
    assert_false(lk_cancel_is_set(&c));
    lk_cancel_set(&c);
    lk_cancel_set(&c);
    assert_true(lk_cancel_is_set(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_lets_one_thread_in_at_a_time),
        cmocka_unit_test(a_thread_bears_its_name_and_takes_no_signals),
        cmocka_unit_test(a_timed_wait_ends_by_signal_or_by_time),
        cmocka_unit_test(a_lock_out_of_rank_aborts),
        cmocka_unit_test(a_thread_that_cannot_start_says_so),
        cmocka_unit_test(a_deep_thread_has_the_stack_asked_for),
        cmocka_unit_test(a_stop_flag_stays_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
