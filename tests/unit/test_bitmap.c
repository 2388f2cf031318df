#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bitmap.h"

static void bits_set_one_by_one_are_counted_and_visited_in_order(void **state)
{
    (void)state;
    static const size_t at[] = {0, 1, 63, 64, 127, 128, 199};
    lk_bitmap b;
    lk_bitmap_init(&b);
    assert_int_equal(lk_bitmap_resize(&b, 200, NULL), LK_OK);
    for (size_t i = 0; i < 7; i++) {
        lk_bitmap_set(&b, at[i]);
    }
    assert_int_equal(lk_bitmap_count(&b), 7);
    size_t n = 0;
    for (size_t i = lk_bitmap_next(&b, 0); i != LK_BITMAP_NONE; i = lk_bitmap_next(&b, i + 1)) {
        assert_int_equal(i, at[n]);
        n++;
    }
    assert_int_equal(n, 7);
    lk_bitmap_unset(&b, 64);
    assert_false(lk_bitmap_get(&b, 64));
    assert_true(lk_bitmap_get(&b, 63));
    assert_false(lk_bitmap_get(&b, 100000));
    lk_bitmap_release(&b);
}

static void what_lies_behind_the_last_bit_stays_zero(void **state)
{
    (void)state;
    lk_bitmap a, b;
    lk_bitmap_init(&a);
    lk_bitmap_init(&b);
    assert_int_equal(lk_bitmap_resize(&a, 70, NULL), LK_OK);
    lk_bitmap_fill(&a, true);
    assert_int_equal(lk_bitmap_count(&a), 70);
    lk_bitmap_not(&a);
    assert_int_equal(lk_bitmap_count(&a), 0);
    assert_int_equal(lk_bitmap_resize(&b, 128, NULL), LK_OK);
    lk_bitmap_fill(&b, true);
    lk_bitmap_or(&a, &b);
    assert_int_equal(lk_bitmap_count(&a), 70);
    /* Shrinking and growing again must not bring old bits back. */
    assert_int_equal(lk_bitmap_resize(&a, 3, NULL), LK_OK);
    assert_int_equal(lk_bitmap_resize(&a, 300, NULL), LK_OK);
    assert_int_equal(lk_bitmap_count(&a), 3);
    lk_bitmap_release(&a);
    lk_bitmap_release(&b);
}

static void operations_equal_those_done_bit_by_bit(void **state)
{
    (void)state;
    lk_bitmap a, b, c;
    lk_bitmap_init(&a);
    lk_bitmap_init(&b);
    lk_bitmap_init(&c);
    uint64_t seed = 7;
    for (size_t n = 1; n < 300; n += 13) {
        size_t m = n + 40 - n % 80;
        assert_int_equal(lk_bitmap_resize(&a, 0, NULL), LK_OK);
        assert_int_equal(lk_bitmap_resize(&b, 0, NULL), LK_OK);
        assert_int_equal(lk_bitmap_resize(&a, n, NULL), LK_OK);
        assert_int_equal(lk_bitmap_resize(&b, m, NULL), LK_OK);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            if (seed >> 63) {
                lk_bitmap_set(&a, i);
            }
        }
        for (size_t i = 0; i < m; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            if (seed >> 63) {
                lk_bitmap_set(&b, i);
            }
        }
        assert_int_equal(lk_bitmap_copy(&c, &a, NULL), LK_OK);
        lk_bitmap_and(&c, &b);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(lk_bitmap_get(&c, i), lk_bitmap_get(&a, i) && lk_bitmap_get(&b, i));
        }
        assert_int_equal(lk_bitmap_copy(&c, &a, NULL), LK_OK);
        lk_bitmap_or(&c, &b);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(lk_bitmap_get(&c, i), lk_bitmap_get(&a, i) || lk_bitmap_get(&b, i));
        }
        assert_int_equal(lk_bitmap_copy(&c, &a, NULL), LK_OK);
        lk_bitmap_and_not(&c, &b);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(lk_bitmap_get(&c, i), lk_bitmap_get(&a, i) && !lk_bitmap_get(&b, i));
        }
    }
    lk_bitmap_release(&a);
    lk_bitmap_release(&b);
    lk_bitmap_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_set_one_by_one_are_counted_and_visited_in_order),
        cmocka_unit_test(what_lies_behind_the_last_bit_stays_zero),
        cmocka_unit_test(operations_equal_those_done_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
