#include "support.h"

#include <string.h>

#include "base/mem.h"

static void products_that_overflow_give_nothing(void **state)
{
    (void)state;
    size_t v = 7;
    assert_false(lk_mul_size(SIZE_MAX / 2 + 1, 2, &v));
    assert_false(lk_add_size(SIZE_MAX, 1, &v));
    assert_int_equal(v, 7);
    assert_true(lk_mul_size(6, 7, &v));
    assert_int_equal(v, 42);
    assert_true(lk_add_size(SIZE_MAX - 1, 1, &v));
    assert_true(v == SIZE_MAX);

    assert_null(lk_calloc(SIZE_MAX / 4, 8));
    assert_null(lk_alloc_array(SIZE_MAX / 4, 8));
    assert_null(lk_realloc_array(NULL, SIZE_MAX / 4, 8));
    assert_null(lk_aligned_alloc(64, SIZE_MAX - 8));
    assert_null(lk_strndup("x", SIZE_MAX));
}

static void zero_bytes_give_a_pointer_that_can_be_freed(void **state)
{
    (void)state;
    void *all[] = {lk_malloc(0),           lk_calloc(0, 8),     lk_alloc_array(8, 0),
                   lk_memdup(NULL, 0),     lk_strndup(NULL, 0), lk_realloc_array(NULL, 0, 4),
                   lk_aligned_alloc(64, 0)};
    for (size_t i = 0; i < LK_ARRAY_LEN(all); i++) {
        assert_non_null(all[i]);
        lk_free(all[i]);
    }
    lk_free(NULL);
}

static void zeroed_memory_is_zero_and_aligned_memory_is_aligned(void **state)
{
    (void)state;
    unsigned char *p = lk_calloc(100, 3);
    assert_non_null(p);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    lk_free(p);
    for (size_t align = 1; align <= 4096; align *= 2) {
        p = lk_aligned_alloc(align, 100);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % align, 0);
        memset(p, 1, 100);
        lk_free(p);
    }
}

static void copies_are_equal_and_end_in_a_zero(void **state)
{
    (void)state;
    char *a = lk_strdup("pear");
    char *b = lk_strndup("pears and more", 4);
    char *c = lk_memdup("pear", 5);
    assert_string_equal(a, "pear");
    assert_string_equal(b, "pear");
    assert_string_equal(c, "pear");
    lk_free(a);
    lk_free(b);
    lk_free(c);
}

static void growing_at_least_doubles_and_keeps_the_contents(void **state)
{
    (void)state;
    void *p = NULL;
    size_t cap = 0;
    size_t n_grown = 0;
    for (size_t i = 0; i < 10000; i++) {
        size_t before = cap;
        assert_true(lk_grow(&p, &cap, i + 1, sizeof(uint32_t)));
        if (cap != before) {
            assert_true(cap >= 2 * before);
            n_grown++;
        }
        ((uint32_t *)p)[i] = (uint32_t)i;
    }
    assert_in_range(n_grown, 2, 12);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(((uint32_t *)p)[i], i);
    size_t before = cap;
    void *same = p;
    assert_false(lk_grow(&p, &cap, SIZE_MAX / 2, sizeof(uint32_t)));
    assert_ptr_equal(p, same);
    assert_int_equal(cap, before);
    lk_free(p);
}

static void failing_allocations_change_nothing(void **state)
{
    (void)state;
    void *p = NULL;
    size_t cap = 0;
    test_faults_on();
    assert_true(lk_grow(&p, &cap, 8, 1));
    memcpy(p, "untouch", 8);
    void *same = p;
    test_fail_from(TEST_ALLOC, 1, 12);
    assert_null(lk_malloc(1));
    assert_null(lk_calloc(1, 1));
    assert_null(lk_realloc_array(p, 64, 1));
    assert_null(lk_aligned_alloc(64, 64));
    assert_null(lk_strdup("x"));
    assert_false(lk_grow(&p, &cap, 9, 1));
    assert_ptr_equal(p, same);
    assert_int_equal(cap, 8);
    assert_string_equal(p, "untouch");
    lk_free(p);
    assert_int_equal(test_live_allocations(), 0);
    test_faults_off();
}

static void what_is_needed_may_fit_where_the_double_does_not(void **state)
{
    (void)state;
    void *p = NULL;
    size_t cap = 0;
    test_faults_on();
    assert_true(lk_grow(&p, &cap, 100, 1));
    test_fail_nth(TEST_ALLOC, 1, 12);
    assert_true(lk_grow(&p, &cap, 101, 1));
    assert_int_equal(cap, 101);
    lk_free(p);
    test_faults_off();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_that_overflow_give_nothing),
        cmocka_unit_test(zero_bytes_give_a_pointer_that_can_be_freed),
        cmocka_unit_test(zeroed_memory_is_zero_and_aligned_memory_is_aligned),
        cmocka_unit_test(copies_are_equal_and_end_in_a_zero),
        cmocka_unit_test(growing_at_least_doubles_and_keeps_the_contents),
        cmocka_unit_test(failing_allocations_change_nothing),
        cmocka_unit_test(what_is_needed_may_fit_where_the_double_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
