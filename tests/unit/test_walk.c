/* The pool of a walk against sorting. */
#include "clusters.h"

#include <errno.h>
#include <stdlib.h>

#include "index/walk.h"

static int best_first(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void the_pool_keeps_the_best_in_order(void **state)
{
    (void)state;
    enum { N = 1000 };
    test_set s;
    lk_walk w;
    lk_err err;
    float scores[N], sorted[N];
    test_set_make(&s, 1, 8, 1, 4, 1);
    test_ok(lk_walk_init(&w, s.codes, &err), &err);
    for (size_t ef = 1; ef <= 2 * N; ef = ef < 9 ? ef + 1 : ef * 5) {
        for (size_t i = 0; i < N; i++) /* few values, so that many are equal */
            scores[i] = sorted[i] = (float)test_rng_below(&s.rng, 300);
        qsort(sorted, N, sizeof *sorted, best_first);
        test_ok(lk_walk_clear(&w, ef, &err), &err);
        for (uint32_t i = 0; i < N; i++)
            if (scores[i] > lk_walk_bar(&w))
                lk_walk_put(&w, i, scores[i]);
        assert_int_equal(w.n_pool, ef < N ? ef : N);
        for (size_t i = 0; i < w.n_pool; i++) {
            assert_true(w.scores[i] == sorted[i]);
            assert_true(scores[w.slots[i]] == sorted[i]);
        }
    }
    lk_walk_release(&w);
    test_set_drop(&s);
}

static void what_comes_before_the_next_to_expand_makes_it_the_next(void **state)
{
    (void)state;
    test_set s;
    lk_walk w;
    lk_err err;
    test_set_make(&s, 1, 8, 1, 4, 2);
    test_ok(lk_walk_init(&w, s.codes, &err), &err);
    test_ok(lk_walk_clear(&w, 4, &err), &err);
    for (uint32_t i = 0; i < 4; i++)
        lk_walk_put(&w, i, (float)(10 - i));
    w.next = 3;
    lk_walk_put(&w, 9, 8.5f);
    assert_int_equal(w.next, 2);
    assert_int_equal(w.slots[2], 9);
    w.next = 1;
    lk_walk_put(&w, 10, 8.7f);
    assert_int_equal(w.next, 1);
    assert_int_equal(w.n_pool, 4);
    lk_walk_release(&w);
    test_set_drop(&s);
}

static void scoring_what_was_seen_gives_what_the_codes_say(void **state)
{
    (void)state;
    test_set s;
    lk_walk w;
    lk_err err;
    uint32_t slots[LK_WALK_GATHER];
    float scores[LK_WALK_GATHER];
    test_set_make(&s, LK_WALK_GATHER, 64, 4, 4, 3);
    test_ok(lk_walk_init(&w, s.codes, &err), &err);
    test_ok(lk_walk_clear(&w, 20, &err), &err);
    lk_codes_query(s.codes, s.vectors, false, w.q, &w.query);
    for (uint32_t i = 0; i < LK_WALK_GATHER; i++) {
        w.seen[i] = slots[i] = i;
        w.rows[i] = lk_codes_fetch(s.codes, i);
    }
    w.n_seen = LK_WALK_GATHER;
    lk_walk_score(&w, s.codes);
    lk_codes_score(s.codes, &w.query, slots, LK_WALK_GATHER, scores);
    assert_int_equal(w.n_pool, 20);
    assert_int_equal(w.n_seen, 0);
    assert_int_equal(w.n_scored, LK_WALK_GATHER);
    for (size_t i = 0; i < 20; i++)
        assert_true(w.scores[i] == scores[w.slots[i]]);
    qsort(scores, LK_WALK_GATHER, sizeof *scores, best_first);
    for (size_t i = 0; i < 20; i++)
        assert_true(w.scores[i] == scores[i]);
    lk_walk_release(&w);
    test_set_drop(&s);
}

static lk_code two_walks(void *ctx, lk_err *err)
{
    lk_walk w = {0};
    lk_code code = lk_walk_init(&w, ctx, err);
    for (size_t ef = 10; code == LK_OK && ef <= 1000; ef *= 10)
        code = lk_walk_clear(&w, ef, err);
    lk_walk_release(&w);
    return code;
}

static void short_memory_is_said_and_leaves_nothing_behind(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 1, 8, 1, 4, 4);
    assert_true(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, two_walks, s.codes) >= 7);
    test_set_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pool_keeps_the_best_in_order),
        cmocka_unit_test(what_comes_before_the_next_to_expand_makes_it_the_next),
        cmocka_unit_test(scoring_what_was_seen_gives_what_the_codes_say),
        cmocka_unit_test(short_memory_is_said_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
