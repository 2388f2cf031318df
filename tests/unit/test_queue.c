#include "support.h"

#include "base/thread.h"

static lk_queue *queue_of(size_t capacity)
{
    lk_err err;
    lk_queue *q = NULL;
    test_ok(lk_queue_new(&q, capacity, &err), &err);
    return q;
}

static void items_leave_in_the_order_they_came(void **state)
{
    (void)state;
    int items[10];
    lk_queue *q = queue_of(3);
    for (int round = 0; round < 3; round++) { /* around the ring's end as well */
        assert_true(lk_queue_try_push(q, &items[0]));
        assert_true(lk_queue_try_push(q, &items[1]));
        assert_true(lk_queue_push(q, &items[2]));
        assert_false(lk_queue_try_push(q, &items[3]));
        assert_int_equal(lk_queue_len(q), 3);
        assert_ptr_equal(lk_queue_pop(q), &items[0]);
        assert_true(lk_queue_try_push(q, &items[4]));
        assert_ptr_equal(lk_queue_pop(q), &items[1]);
        assert_ptr_equal(lk_queue_pop(q), &items[2]);
        assert_ptr_equal(lk_queue_pop_ms(q, 1000), &items[4]);
    }
    lk_queue_free(q);
    lk_queue_free(NULL);
}

static void a_timed_pop_gives_up(void **state)
{
    (void)state;
    lk_queue *q = queue_of(1);
    uint64_t before = lk_now_ns();
    assert_null(lk_queue_pop_ms(q, 20));
    assert_true(lk_now_ns() - before >= 20000000);
    assert_null(lk_queue_pop_ms(q, 0));
    lk_queue_free(q);
}

static void a_closed_queue_drains_and_takes_no_more(void **state)
{
    (void)state;
    int item;
    lk_queue *q = queue_of(2);
    assert_true(lk_queue_push(q, &item));
    lk_queue_close(q);
    lk_queue_close(q);
    assert_false(lk_queue_push(q, &item));
    assert_false(lk_queue_try_push(q, &item));
    assert_ptr_equal(lk_queue_pop(q), &item);
    assert_null(lk_queue_pop(q));
    assert_null(lk_queue_pop_ms(q, 1000));
    lk_queue_free(q);
}

typedef struct traffic {
    lk_queue *q;
    atomic_size_t pushed;
    atomic_size_t popped;
    atomic_size_t sum;
    size_t values[1000];
} traffic;

static void produce(void *ctx)
{
    traffic *t = ctx;
    for (size_t i = 0; i < 1000; i++) {
        if (lk_queue_push(t->q, &t->values[i]))
            atomic_fetch_add(&t->pushed, 1);
    }
}

static void consume(void *ctx)
{
    traffic *t = ctx;
    for (size_t *v = lk_queue_pop(t->q); v; v = lk_queue_pop(t->q)) {
        atomic_fetch_add(&t->popped, 1);
        atomic_fetch_add(&t->sum, *v);
    }
}

static void many_producers_and_consumers_lose_nothing(void **state)
{
    (void)state;
    lk_err err;
    static traffic t;
    lk_thread *threads[8];
    t.q = queue_of(4);
    for (size_t i = 0; i < 1000; i++)
        t.values[i] = i;
    for (int i = 0; i < 8; i++) {
        lk_thread_fn *fn = i < 4 ? produce : consume;
        test_ok(lk_thread_start(&threads[i], "traffic", fn, &t, &err), &err);
    }
    for (int i = 0; i < 4; i++)
        lk_thread_join(threads[i]);
    lk_queue_close(t.q);
    for (int i = 4; i < 8; i++)
        lk_thread_join(threads[i]);
    assert_int_equal(t.pushed, 4000);
    assert_int_equal(t.popped, 4000);
    assert_int_equal(t.sum, 4 * 999 * 500);
    lk_queue_free(t.q);
}

static void closing_wakes_those_who_wait(void **state)
{
    (void)state;
    lk_err err;
    static traffic t;
    lk_thread *full = NULL;
    t.q = queue_of(1);
    test_ok(lk_thread_start(&full, "full", produce, &t, &err), &err);
    while (lk_queue_len(t.q) == 0)
        ; /* it waits for room now, or soon */
    lk_queue_close(t.q);
    lk_thread_join(full);
    assert_int_equal(t.pushed, 1);
    lk_queue_free(t.q);
}

static lk_code make(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_queue *q = NULL;
    lk_code code = lk_queue_new(&q, 100, err);
    lk_queue_free(q);
    return code;
}

static void a_queue_that_cannot_be_made_says_so(void **state)
{
    (void)state;
    lk_err err;
    lk_queue *q = NULL;
    assert_int_equal(test_sweep(TEST_ALLOC, 12, LK_E_NOMEM, make, NULL), 2);
    test_code(lk_queue_new(&q, 0, &err), LK_E_INVALID);
    test_code(lk_queue_new(&q, SIZE_MAX, &err), LK_E_NOMEM);
    assert_null(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_leave_in_the_order_they_came),
        cmocka_unit_test(a_timed_pop_gives_up),
        cmocka_unit_test(a_closed_queue_drains_and_takes_no_more),
        cmocka_unit_test(many_producers_and_consumers_lose_nothing),
        cmocka_unit_test(closing_wakes_those_who_wait),
        cmocka_unit_test(a_queue_that_cannot_be_made_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
