/* The set of slots that a walk has seen, against a plain table. */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "index/visited.h"

#define SLOTS 200000

static void a_slot_is_new_once(void **state)
{
    (void)state;
    lk_visited v;
    test_rng r = {1};
    bool *seen = calloc(SLOTS, sizeof *seen);
    assert_non_null(seen);
    assert_true(lk_visited_init(&v));
    for (size_t round = 0; round < 3; round++) {
        memset(seen, 0, SLOTS);
        lk_visited_clear(&v, 0);
        for (size_t i = 0; i < 30000; i++) {
            uint32_t slot = (uint32_t)test_rng_below(&r, SLOTS);
            assert_true(lk_visited_reserve(&v, 1));
            assert_int_equal(lk_visited_add(&v, slot), !seen[slot]);
            seen[slot] = true;
        }
    }
    free(seen);
    lk_visited_release(&v);
}

static void neighbouring_and_extreme_slots_do_not_mix(void **state)
{
    (void)state;
    lk_visited v;
    const uint32_t ends[] = {0, 1, UINT32_C(0x7fffffff), UINT32_C(0x80000000), UINT32_MAX - 1};
    assert_true(lk_visited_init(&v));
    for (size_t i = 0; i < 5; i++)
        assert_true(lk_visited_add(&v, ends[i]));
    for (size_t i = 0; i < 5; i++)
        assert_false(lk_visited_add(&v, ends[i]));
    assert_int_equal(v.n, 5);
    lk_visited_release(&v);
}

static void a_cleared_set_is_empty_and_small_after_a_long_walk_too(void **state)
{
    (void)state;
    lk_visited v;
    assert_true(lk_visited_init(&v));
    size_t small = v.cap;
    for (uint32_t round = 0; round < 4; round++) {
        uint32_t n = round % 2 ? 50 : 40000;
        assert_true(lk_visited_reserve(&v, n));
        assert_true(v.cap >= 4 * (size_t)n);
        for (uint32_t i = 0; i < n; i++)
            assert_true(lk_visited_add(&v, i * 3));
        lk_visited_clear(&v, 0);
        assert_int_equal(v.n, 0);
        assert_int_equal(v.cap, small);
    }
    lk_visited_release(&v);
}

static void short_memory_changes_nothing(void **state)
{
    (void)state;
    lk_visited v;
    test_faults_on();
    assert_true(lk_visited_init(&v));
    for (uint32_t i = 0; i < 100; i++)
        lk_visited_add(&v, i);
    test_fail_nth(TEST_ALLOC, 1, ENOMEM);
    assert_false(lk_visited_reserve(&v, 100000));
    for (uint32_t i = 0; i < 100; i++)
        assert_false(lk_visited_add(&v, i));
    assert_true(lk_visited_reserve(&v, 100000));
    for (uint32_t i = 0; i < 100; i++)
        assert_false(lk_visited_add(&v, i));
    lk_visited_release(&v);
    test_fail_nth(TEST_ALLOC, 1, ENOMEM);
    assert_false(lk_visited_init(&v));
    lk_visited_release(&v);
    assert_int_equal(test_live_allocations(), 0);
    test_faults_off();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_is_new_once),
        cmocka_unit_test(neighbouring_and_extreme_slots_do_not_mix),
        cmocka_unit_test(a_cleared_set_is_empty_and_small_after_a_long_walk_too),
        cmocka_unit_test(short_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
