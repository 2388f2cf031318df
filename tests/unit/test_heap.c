#include "support.h"

#include <stdlib.h>

#include "model/heap.h"

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const lk_joint *)a)->key, y = ((const lk_joint *)b)->key;
    return x < y ? -1 : x > y;
}

static void what_goes_in_comes_out_lowest_key_first(void **state)
{
    (void)state;
    lk_joint room[200], sorted[200];
    test_rng rng = {3};
    for (size_t n = 1; n <= 200; n++) {
        lk_heap h = {room, 0};
        for (size_t i = 0; i < n; i++) {
            uint32_t v = (uint32_t)test_rng_below(&rng, 50); /* some keys are equal */
            sorted[i] = (lk_joint){(uint64_t)v << 32, v, ~v};
            lk_heap_push(&h, sorted[i]);
        }
        qsort(sorted, n, sizeof *sorted, by_key);
        for (size_t i = 0; i < n; i++) {
            lk_joint j = lk_heap_pop(&h);
            assert_int_equal(j.key, sorted[i].key);
            assert_int_equal(j.a, sorted[i].a);
            assert_int_equal(j.b, ~j.a);
        }
        assert_int_equal(h.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out_lowest_key_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
