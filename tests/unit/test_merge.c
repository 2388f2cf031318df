#include "support.h"

#include <errno.h>

#include "base/mem.h"
#include "model/merge.h"
#include "model/vocab.h"

enum { SYMBOLS = 40, LETTERS = 4 };

/* Symbols from LETTERS on are the merges, in the order of their ranks, as training makes them: each
 * from two that were there before. */
static void make_pairs(test_rng *rng, lk_pairs *pairs)
{
    lk_err err;
    test_ok(lk_pairs_init(pairs, SYMBOLS, &err), &err);
    for (uint32_t merged = LETTERS; merged < SYMBOLS; merged++)
        lk_pairs_put(pairs, &(lk_pair){(uint32_t)test_rng_below(rng, merged),
                                       (uint32_t)test_rng_below(rng, merged), merged, merged});
}

/* By the definition: look for the lowest pair, merge its leftmost occurrence, begin anew. */
static size_t merge_slowly(const lk_pairs *pairs, uint32_t *s, size_t n)
{
    for (;;) {
        const lk_pair *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            const lk_pair *p = lk_pairs_find(pairs, s[i], s[i + 1]);
            if (p && (!best || p->rank < best->rank)) {
                best = p;
                at = i;
            }
        }
        if (!best)
            return n;
        s[at] = best->merged;
        memmove(s + at + 1, s + at + 2, (n - at - 2) * sizeof *s);
        n--;
    }
}

static void merging_follows_the_definition(void **state)
{
    (void)state;
    test_rng rng = {20240117};
    for (int round = 0; round < 2000; round++) {
        lk_pairs pairs;
        lk_err err;
        uint32_t fast[64], slow[64];
        size_t n = test_rng_below(&rng, LK_ARRAY_LEN(fast) + 1), n_fast = n;
        make_pairs(&rng, &pairs);
        for (size_t i = 0; i < n; i++)
            fast[i] = slow[i] = (uint32_t)test_rng_below(&rng, LETTERS);
        size_t n_slow = merge_slowly(&pairs, slow, n);
        test_ok(lk_merge(&pairs, fast, &n_fast, &err), &err);
        if (n_fast != n_slow || memcmp(fast, slow, n_fast * sizeof *fast) != 0)
            fail_msg("round %d: %zu symbols became %zu, not %zu, or others", round, n, n_fast,
                     n_slow);
        lk_pairs_release(&pairs);
    }
}

static void a_long_row_of_one_symbol_is_merged_from_the_left(void **state)
{
    (void)state;
    enum { N = 100001 };
    lk_pairs pairs;
    lk_err err;
    size_t n = N;
    uint32_t *row = lk_calloc(N, sizeof *row);
    assert_non_null(row);
    test_ok(lk_pairs_init(&pairs, 1, &err), &err);
    lk_pairs_put(&pairs, &(lk_pair){0, 0, 0, 1});
    test_ok(lk_merge(&pairs, row, &n, &err), &err);
    assert_int_equal(n, N / 2 + 1);
    assert_int_equal(row[0], 1);
    assert_int_equal(row[n - 1], 0);
    lk_pairs_release(&pairs);
    lk_free(row);
}

static void the_first_of_two_equal_pairs_stays(void **state)
{
    (void)state;
    lk_pairs pairs;
    lk_err err;
    test_ok(lk_pairs_init(&pairs, 2, &err), &err);
    lk_pairs_put(&pairs, &(lk_pair){1, 2, 7, 3});
    lk_pairs_put(&pairs, &(lk_pair){1, 2, 8, 4});
    assert_int_equal(pairs.n, 1);
    assert_int_equal(lk_pairs_find(&pairs, 1, 2)->merged, 3);
    assert_null(lk_pairs_find(&pairs, 2, 1));
    lk_pairs_release(&pairs);
}

static void a_vocabulary_finds_what_it_was_given(void **state)
{
    (void)state;
    lk_vocab v;
    lk_err err;
    test_ok(lk_vocab_init(&v, 3, &err), &err);
    test_ok(lk_vocab_put(&v, 0, LK_STR("a"), &err), &err);
    test_ok(lk_vocab_put(&v, 2, LK_STR(""), &err), &err);
    assert_int_equal(lk_vocab_find(&v, LK_STR("a")), 0);
    assert_int_equal(lk_vocab_find(&v, LK_STR("")), 2);
    assert_int_equal(lk_vocab_find(&v, LK_STR("b")), LK_NO_ID);
    test_code(lk_vocab_put(&v, 1, LK_STR("a"), &err), LK_E_MODEL);
    test_has(err.text, "\"a\" twice");
    test_code(lk_vocab_put(&v, 2, LK_STR("b"), &err), LK_E_MODEL);
    test_code(lk_vocab_put(&v, 3, LK_STR("c"), &err), LK_E_MODEL);
    test_ok(lk_vocab_put_first(&v, 1, LK_STR("a"), &err), &err);
    assert_int_equal(lk_vocab_find(&v, LK_STR("a")), 0);
    assert_int_equal(v.longest, 1);
    lk_vocab_release(&v);
    test_code(lk_vocab_init(&v, LK_MAX_IDS + 1, &err), LK_E_LIMIT);
}

static lk_code make_and_use(void *ctx, lk_err *err)
{
    lk_vocab v = {0};
    lk_pairs p = {0};
    uint32_t row[] = {0, 1, 0};
    size_t n = LK_ARRAY_LEN(row);
    (void)ctx;
    lk_code code = lk_vocab_init(&v, 1, err);
    if (!code)
        code = lk_pairs_init(&p, 1, err);
    if (!code)
        code = lk_merge(&p, row, &n, err);
    lk_vocab_release(&v);
    lk_pairs_release(&p);
    return code;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, make_and_use, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_follows_the_definition),
        cmocka_unit_test(a_long_row_of_one_symbol_is_merged_from_the_left),
        cmocka_unit_test(the_first_of_two_equal_pairs_stays),
        cmocka_unit_test(a_vocabulary_finds_what_it_was_given),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
