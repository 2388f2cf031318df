/* Where walks begin. */
#include "clusters.h"

#include <errno.h>

#include "index/pivots.h"

#define N 4000
#define SAMPLE 900
#define MAX 256

static void every_vector_of_the_sample_is_under_one_head(void **state)
{
    (void)state;
    test_set s;
    lk_err err;
    lk_pivots *p;
    uint32_t sample[SAMPLE];
    test_set_make(&s, N, 32, 40, 4, 1);
    for (size_t n = 1; n <= SAMPLE; n = n * 3 + 2) {
        for (uint32_t i = 0; i < n; i++)
            sample[i] = i * 4 + 1;
        test_ok(lk_pivots_new(s.codes, sample, n, &p, &err), &err);
        bool seen[N] = {false};
        assert_int_equal(p->from[0], 0);
        assert_int_equal(p->from[p->n_heads], n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(p->slots[i] % 4, 1);
            assert_false(seen[p->slots[i]]);
            seen[p->slots[i]] = true;
        }
        lk_pivots_unref(p);
    }
    test_set_drop(&s);
}

/* A tenth of the sample looked through holds the nearest of it nearly always. */
static void the_nearest_of_the_sample_are_where_walks_begin(void **state)
{
    (void)state;
    test_set s;
    lk_err err;
    lk_pivots *p;
    lk_code_query q;
    int8_t bytes[128];
    float query[32];
    uint32_t sample[N], found[MAX];
    size_t hits = 0;
    test_set_make(&s, N, 32, 40, 4, 2);
    for (uint32_t i = 0; i < N; i++)
        sample[i] = i;
    test_ok(lk_pivots_new(s.codes, sample, N, &p, &err), &err);
    for (size_t i = 0; i < 100; i++) {
        lk_near best;
        test_set_query(&s, query);
        lk_flat_search(lk_kern_best(), &s.rows, &s.all, query, LK_SCORE_NEG_L2, 1, &best);
        lk_codes_query(s.codes, query, false, bytes, &q);
        size_t n = lk_pivots_near(p, s.codes, &q, NULL, MAX, found, NULL);
        assert_int_equal(n, MAX);
        for (size_t j = 0; j < n; j++)
            hits += found[j] == best.slot;
    }
    if (hits < 85)
        fail_msg("%zu of 100 walks begin beside the nearest", hits);
    lk_pivots_unref(p);
    test_set_drop(&s);
}

static void few_are_all_found(void **state)
{
    (void)state;
    test_set s;
    lk_err err;
    lk_pivots *p;
    lk_code_query q;
    int8_t bytes[128];
    const uint32_t sample[] = {3, 1, 2};
    uint32_t found[MAX];
    test_set_make(&s, 4, 32, 2, 4, 3);
    test_ok(lk_pivots_new(s.codes, sample, 3, &p, &err), &err);
    lk_codes_query(s.codes, s.vectors, false, bytes, &q);
    assert_int_equal(lk_pivots_near(p, s.codes, &q, NULL, MAX, found, NULL), 3);
    assert_int_equal(found[0] + found[1] + found[2], 6);
    assert_int_equal(lk_pivots_near(p, s.codes, &q, NULL, 2, found, NULL), 2);
    lk_pivots_unref(p);
    lk_pivots_unref(NULL);
    test_set_drop(&s);
}

static lk_code make(void *ctx, lk_err *err)
{
    uint32_t sample[100];
    lk_pivots *p = NULL;
    for (uint32_t i = 0; i < 100; i++)
        sample[i] = i;
    lk_code code = lk_pivots_new(ctx, sample, 100, &p, err);
    lk_pivots_unref(p);
    return code;
}

static void short_memory_is_said_and_leaves_nothing_behind(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 100, 32, 2, 4, 4);
    assert_true(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, make, s.codes) >= 6);
    test_set_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_of_the_sample_is_under_one_head),
        cmocka_unit_test(the_nearest_of_the_sample_are_where_walks_begin),
        cmocka_unit_test(few_are_all_found),
        cmocka_unit_test(short_memory_is_said_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
