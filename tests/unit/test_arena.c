#include "support.h"

#include <string.h>

#include "base/arena.h"

static void pieces_are_aligned_apart_and_keep_their_bytes(void **state)
{
    (void)state;
    lk_arena a;
    lk_arena_init(&a, 0);
    test_rng rng = {1};
    enum { N = 3000 };
    unsigned char *at[N];
    size_t size[N];
    for (size_t i = 0; i < N; i++) {
        size[i] = (size_t)test_rng_below(&rng, i % 100 == 0 ? 200000 : 300);
        at[i] = lk_arena_alloc(&a, size[i]);
        assert_non_null(at[i]);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        memset(at[i], (int)(i & 0xFF), size[i]);
    }
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < size[i]; k++) {
            if (at[i][k] != (i & 0xFF))
                fail_msg("piece %zu, byte %zu: %u, expected %zu", i, k, at[i][k], i & 0xFF);
        }
    }
    lk_arena_release(&a);
    lk_arena_release(NULL);
}

static void the_limit_bounds_the_sum(void **state)
{
    (void)state;
    lk_arena a;
    lk_arena_init(&a, 1000);
    assert_non_null(lk_arena_alloc(&a, 900));
    assert_null(lk_arena_alloc(&a, 200));
    assert_non_null(lk_arena_alloc(&a, 64));
    assert_null(lk_arena_alloc(&a, SIZE_MAX));
    assert_null(lk_arena_zalloc(&a, SIZE_MAX / 2, 4));
    assert_null(lk_arena_strndup(&a, "x", SIZE_MAX));
    lk_arena_clear(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_non_null(lk_arena_alloc(&a, 900));
    lk_arena_release(&a);
}

static void a_cleared_arena_needs_no_new_memory(void **state)
{
    (void)state;
    lk_arena a;
    test_faults_on();
    lk_arena_init(&a, 0);
    for (int i = 0; i < 100; i++)
        assert_non_null(lk_arena_alloc(&a, 10000));
    lk_arena_clear(&a);
    assert_int_equal(test_live_allocations(), 1);
    test_fail_from(TEST_ALLOC, 1, 12);
    assert_non_null(lk_arena_alloc(&a, 1000));
    lk_arena_release(&a);
    assert_int_equal(test_live_allocations(), 0);
    test_faults_off();
}

static void few_allocations_carry_many_pieces(void **state)
{
    (void)state;
    lk_arena a;
    test_faults_on();
    lk_arena_init(&a, 0);
    for (int i = 0; i < 100000; i++)
        assert_non_null(lk_arena_alloc(&a, 24));
    assert_in_range(test_calls(TEST_ALLOC), 1, 10);
    lk_arena_release(&a);
    test_faults_off();
}

static void helpers_copy_and_print(void **state)
{
    (void)state;
    lk_arena a;
    lk_arena_init(&a, 0);
    unsigned char *zero = lk_arena_zalloc(&a, 10, 10);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zero[i], 0);
    assert_string_equal(lk_arena_strndup(&a, "pears", 4), "pear");
    assert_string_equal(lk_arena_strndup(&a, NULL, 0), "");
    assert_memory_equal(lk_arena_memdup(&a, "abc", 3), "abc", 3);
    assert_non_null(lk_arena_memdup(&a, NULL, 0));
    assert_string_equal(lk_arena_printf(&a, "%d of %s", 3, "four"), "3 of four");
    char *longer = lk_arena_printf(&a, "%*d", 50000, 1);
    assert_int_equal(strlen(longer), 50000);
    lk_arena_release(&a);
}

static lk_code fill(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_code code = LK_OK;
    lk_arena a;
    lk_arena_init(&a, 0);
    for (size_t i = 0; i < 50 && !code; i++) {
        size_t before = a.used_bytes;
        if (!lk_arena_alloc(&a, i * 1000) || !lk_arena_printf(&a, "%zu", i)) {
            code = lk_fail(err, LK_E_NOMEM, "no memory after %zu bytes", before);
            assert_in_range(a.used_bytes, before, before + i * 1000 + 16);
        }
    }
    lk_arena_release(&a);
    return code;
}

static void a_failed_allocation_leaves_the_arena_usable(void **state)
{
    (void)state;
    assert_true(test_sweep(TEST_ALLOC, 12, LK_E_NOMEM, fill, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_apart_and_keep_their_bytes),
        cmocka_unit_test(the_limit_bounds_the_sum),
        cmocka_unit_test(a_cleared_arena_needs_no_new_memory),
        cmocka_unit_test(few_allocations_carry_many_pieces),
        cmocka_unit_test(helpers_copy_and_print),
        cmocka_unit_test(a_failed_allocation_leaves_the_arena_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
