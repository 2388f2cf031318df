/* The graph of near neighbours against exact search, from several threads, under filters, over
 * vectors that are all the same, and the rules that its rows keep. */
#include "clusters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "index/graph.h"

#define N 10000
#define DIM 64
#define EF 24
#define K 10
#define QUERIES 100

/* A random order of the slots, to begin walks at the first of them and to insert in. */
static uint32_t *shuffled(test_set *s)
{
    uint32_t *order = calloc(s->n, sizeof *order);
    assert_non_null(order);
    for (size_t i = 0; i < s->n; i++) {
        size_t j = test_rng_below(&s->rng, i + 1);
        order[i] = order[j];
        order[j] = (uint32_t)i;
    }
    return order;
}

static void begin(lk_graph *g, test_set *s, size_t degree)
{
    lk_err err;
    uint32_t *order = shuffled(s);
    test_ok(lk_graph_init(g, s->codes, degree, 100, &err), &err);
    test_ok(lk_graph_reserve(g, s->n, &err), &err);
    test_ok(lk_graph_route(g, order, s->n < 400 ? s->n : 400, &err), &err);
    free(order);
}

typedef struct inserting {
    lk_graph *g;
    const test_set *s;
    size_t first, step;
} inserting;

static void insert_some(void *ctx)
{
    inserting *in = ctx;
    lk_walk w;
    if (lk_walk_init(&w, in->s->codes, NULL))
        abort();
    for (size_t i = in->first; i < in->s->n; i += in->step)
        if (lk_graph_insert(in->g, &w, (uint32_t)i, in->s->vectors + i * in->s->dim, NULL))
            abort();
    lk_walk_release(&w);
}

static void build(lk_graph *g, test_set *s, size_t degree)
{
    begin(g, s, degree);
    insert_some(&(inserting){g, s, 0, 1});
}

static void begin_query(const lk_graph *g, lk_walk *w, const float *query, size_t ef)
{
    lk_err err;
    test_ok(lk_walk_clear(w, ef, &err), &err);
    lk_codes_query(g->codes, query, false, w->q, &w->query);
}

/* Best first, no slot twice. */
static void check_pool(const lk_walk *w)
{
    assert_false(w->failed);
    for (size_t i = 0; i < w->n_pool; i++) {
        assert_true(i == 0 || w->scores[i - 1] >= w->scores[i]);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(w->slots[i], w->slots[j]);
    }
}

static double recall(test_set *s, const lk_graph *g, const lk_bitmap *which)
{
    float q[DIM];
    lk_walk w, *walks = &w;
    double sum = 0;
    assert_int_equal(lk_walk_init(&w, s->codes, NULL), LK_OK);
    for (size_t i = 0; i < QUERIES; i++) {
        test_set_query(s, q);
        begin_query(g, &w, q, EF);
        if (which)
            lk_graph_walk_filtered(g, &w, which, s->n);
        else
            lk_graph_walk(g, &walks, 1);
        check_pool(&w);
        for (size_t j = 0; which && j < w.n_pool; j++)
            assert_true(lk_bitmap_get(which, w.slots[j]));
        sum += test_set_recall(s, q, which, K, w.slots, w.n_pool);
    }
    lk_walk_release(&w);
    return sum / QUERIES;
}

static void at_least(double got, double floor, const char *what)
{

    if (!(got >= floor))
        fail_msg("%s: recall %.4f, at least %.2f expected", what, got, floor);
}

/* ---- what a row may hold ---- */

/* I1 links are to slots below n. I2 none is to itself. I3 none is twice in a row. */
static void check_rows(const lk_graph *g, size_t n)
{
    uint32_t links[LK_GRAPH_MAX_DEGREE];
    for (uint32_t slot = 0; slot < n; slot++) {
        size_t m = lk_graph_links(g, slot, links);
        for (size_t i = 0; i < m; i++) {
            if (links[i] >= n)
                fail_msg("slot %u is linked to %u of %zu", slot, links[i], n);
            if (links[i] == slot)
                fail_msg("slot %u is linked to itself", slot);
            for (size_t j = 0; j < i; j++)
                if (links[i] == links[j])
                    fail_msg("slot %u is linked to %u twice", slot, links[i]);
        }
    }
}

/* ---- recall ---- */

static void walks_find_what_exact_search_finds(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    for (unsigned bits = 4; bits <= 8; bits += 4)
        for (size_t degree = 32; degree <= 48; degree += 16) {
            test_set_make(&s, N, DIM, 100, bits, 1);
            build(&g, &s, degree);
            check_rows(&g, s.n);
            at_least(recall(&s, &g, NULL), 0.97, degree == 32 ? "degree 32" : "degree 48");
            lk_graph_release(&g);
            test_set_drop(&s);
        }
}

static void filters_of_every_width_find_what_matches(void **state)
{
    (void)state;
    const double parts[] = {0.002, 0.01, 0.05, 0.1, 0.2, 0.5};
    test_set s;
    lk_graph g;
    lk_bitmap which;
    test_set_make(&s, N, DIM, 100, 4, 2);
    build(&g, &s, 32);
    for (size_t i = 0; i < LK_ARRAY_LEN(parts); i++) {

        test_set_random(&s, parts[i], &which);
        at_least(recall(&s, &g, &which), 0.96, "random filter");
        lk_bitmap_release(&which);
        test_set_some_clusters(&s, parts[i], &which);
        at_least(recall(&s, &g, &which), 0.97, "filter by clusters");
        lk_bitmap_release(&which);
    }
    lk_graph_release(&g);
    test_set_drop(&s);
}

static void a_filter_stops_where_it_was_told_to(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    lk_walk w;
    lk_bitmap which;
    test_set_make(&s, 3000, DIM, 50, 4, 3);
    build(&g, &s, 32);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    test_set_random(&s, 0.5, &which);
    begin_query(&g, &w, s.vectors, EF);
    assert_true(lk_graph_walk_filtered(&g, &w, &which, s.n));
    begin_query(&g, &w, s.vectors, EF);
    assert_false(lk_graph_walk_filtered(&g, &w, &which, 10));
    lk_bitmap_fill(&which, false);
    begin_query(&g, &w, s.vectors, EF);
    assert_true(lk_graph_walk_filtered(&g, &w, &which, s.n));
    assert_int_equal(w.n_pool, 0);
    lk_bitmap_set(&which, 2999);
    begin_query(&g, &w, s.vectors, EF);
    lk_graph_walk_filtered(&g, &w, &which, s.n);
    assert_int_equal(w.n_pool, 1);
    assert_int_equal(w.slots[0], 2999);
    lk_bitmap_release(&which);
    lk_walk_release(&w);
    lk_graph_release(&g);
    test_set_drop(&s);
}

/* In a graph without links all that is found are the seeds. */
static void walks_under_a_filter_begin_in_every_part_of_it(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    lk_walk w;
    lk_bitmap which;
    for (size_t n = 200; n <= 2000; n += 300) {
        test_set_make(&s, n, DIM, 5, 4, n);
        begin(&g, &s, 16);
        test_set_random(&s, 1, &which);
        assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
        begin_query(&g, &w, s.vectors, n);
        lk_graph_walk_filtered(&g, &w, &which, n + 1);
        if (w.n_pool < LK_WALK_GATHER - LK_PIVOTS_SCORED) /* the rest may be the same, as pivots */
            fail_msg("%zu of %zu seeds", w.n_pool, n);
        size_t last = 0;
        for (size_t i = 0; i < w.n_pool; i++)
            last = w.slots[i] > last ? w.slots[i] : last;
        assert_true(last >= n - n / 100 - 1);
        lk_bitmap_release(&which);
        lk_walk_release(&w);
        lk_graph_release(&g);
        test_set_drop(&s);
    }
}

/* ---- threads, and walks in turn ---- */

static void a_graph_of_four_threads_is_as_good(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    lk_walk w, *walks = &w;
    lk_err err;
    lk_thread *threads[4];
    inserting work[4];
    test_set_make(&s, N, DIM, 100, 4, 4);
    begin(&g, &s, 32);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    for (size_t i = 0; i < 4; i++) {
        work[i] = (inserting){&g, &s, i, 4};
        test_ok(lk_thread_start(&threads[i], "insert", insert_some, &work[i], &err), &err);
    }
    for (size_t i = 0; i < 50; i++) {
        begin_query(&g, &w, s.vectors + i * DIM, EF);
        lk_graph_walk(&g, &walks, 1);
        check_pool(&w);
    }
    for (size_t i = 0; i < 4; i++)
        lk_thread_join(threads[i]);
    check_rows(&g, s.n);
    at_least(recall(&s, &g, NULL), 0.97, "from four threads");
    lk_walk_release(&w);
    lk_graph_release(&g);
    test_set_drop(&s);
}

static void walks_in_turn_answer_as_they_do_alone(void **state)
{
    (void)state;
    enum { TOGETHER = 2 * LK_GRAPH_TOGETHER + 3 };
    test_set s;
    lk_graph g;
    lk_walk alone, *one = &alone, walks[TOGETHER], *all[TOGETHER];
    float q[TOGETHER][DIM];
    test_set_make(&s, 3000, DIM, 50, 4, 5);
    build(&g, &s, 32);
    assert_int_equal(lk_walk_init(&alone, s.codes, NULL), LK_OK);
    for (size_t n = 1; n <= TOGETHER; n += n < 4 ? 1 : 15) {
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(lk_walk_init(all[i] = &walks[i], s.codes, NULL), LK_OK);
            test_set_query(&s, q[i]);
            begin_query(&g, all[i], q[i], 10 + 7 * i);
        }
        lk_graph_walk(&g, all, n);
        for (size_t i = 0; i < n; i++) {
            begin_query(&g, &alone, q[i], 10 + 7 * i);
            lk_graph_walk(&g, &one, 1);
            assert_int_equal(alone.n_pool, walks[i].n_pool);
            assert_memory_equal(alone.slots, walks[i].slots, alone.n_pool * sizeof *alone.slots);
            lk_walk_release(&walks[i]);
        }
    }
    lk_walk_release(&alone);
    lk_graph_release(&g);
    test_set_drop(&s);
}

/* ---- small and odd sets ---- */

static void few_vectors_are_all_found(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    lk_walk w, *walks = &w;
    for (size_t n = 1; n <= 81; n *= 3) {
        test_set_make(&s, n, DIM, 3, 4, 6);
        build(&g, &s, 16);
        check_rows(&g, n);
        assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
        begin_query(&g, &w, s.vectors, n + 5); /* k over count */
        lk_graph_walk(&g, &walks, 1);
        check_pool(&w);
        assert_int_equal(w.n_pool, n);
        assert_int_equal(w.slots[0], 0);
        lk_walk_release(&w);
        lk_graph_release(&g);
        test_set_drop(&s);
    }
}

static void a_graph_without_a_route_finds_nothing(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    lk_walk w, *walks = &w;
    lk_err err;
    test_set_make(&s, 10, DIM, 3, 4, 7);
    test_ok(lk_graph_init(&g, s.codes, 30, 100, &err), &err);
    assert_int_equal(g.degree, 32);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    begin_query(&g, &w, s.vectors, EF);
    lk_graph_walk(&g, &walks, 1);
    assert_int_equal(w.n_pool, 0);
    test_code(lk_graph_reserve(&g, (size_t)LK_GRAPH_MAX_SLOTS + 1, &err), LK_E_LIMIT);
    lk_walk_release(&w);
    lk_graph_release(&g);
    test_set_drop(&s);
}

/* ---- equal vectors ---- */

/* Every `step`th vector is the first, but for a little noise. */
static void make_equal(test_set *s, size_t n, size_t step, unsigned bits, uint64_t seed)
{
    float noise = seed % 4 < 2 ? 0 : 1e-3f;
    test_set_make(s, n, DIM, 50, bits, seed);
    for (size_t i = step; i < n; i += step) {
        for (size_t j = 0; j < DIM; j++)
            s->vectors[i * DIM + j] = s->vectors[j] + noise * test_normal(&s->rng);
        lk_codes_put(s->codes, (uint32_t)i, s->vectors + i * DIM);
    }
}

static void check_equal_are_found(const test_set *s, const lk_graph *g, size_t step)
{
    lk_walk w, *walks = &w;
    size_t n_equal = s->n / step;
    assert_int_equal(lk_walk_init(&w, s->codes, NULL), LK_OK);
    for (size_t ef = 1; ef <= 2 * n_equal;
         ef = ef < n_equal && 10 * ef > n_equal ? n_equal : ef * 10) {
        begin_query(g, &w, s->vectors, ef);
        lk_graph_walk(g, &walks, 1);
        check_pool(&w);
        size_t found = 0, wanted = ef < n_equal ? ef : n_equal;
        for (size_t i = 0; i < w.n_pool; i++)
            found += w.slots[i] % step == 0;
        if (found < wanted)
            fail_msg("%zu of %zu equal vectors with ef %zu", found, wanted, ef);
    }
    lk_walk_release(&w);
}

static void a_thousand_equal_vectors_are_all_found_among_others(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    for (size_t round = 0; round < 8; round++) {
        size_t step = round % 2 ? 1 : 4;
        make_equal(&s, 1000 * step, step, round < 4 ? 4 : 8, 20 + round);
        build(&g, &s, 32);
        check_rows(&g, s.n);
        check_equal_are_found(&s, &g, step);
        if (step > 1)
            at_least(recall(&s, &g, NULL), 0.97, "beside equal vectors");
        lk_graph_release(&g);
        test_set_drop(&s);
    }
}

/* ---- what is gone ---- */

/* As mending does: every live row is led around the dead, then theirs are emptied. */
static void mend(lk_graph *g, const test_set *s, const lk_bitmap *dead)
{
    lk_walk w;
    lk_err err;
    uint32_t live[400], links[LK_GRAPH_MAX_DEGREE];
    size_t n = 0;
    assert_int_equal(lk_walk_init(&w, s->codes, NULL), LK_OK);
    for (uint32_t i = 0; i < s->n; i++)
        if (!lk_bitmap_get(dead, i)) {
            test_ok(lk_graph_detach(g, &w, i, dead, &err), &err);
            if (n < LK_ARRAY_LEN(live) && i % 7 == 0)
                live[n++] = i;
        }
    test_ok(lk_graph_route(g, live, n, &err), &err);
    for (uint32_t i = 0; i < s->n; i++) {
        if (lk_bitmap_get(dead, i))
            lk_graph_forget(g, i);
        size_t m = lk_graph_links(g, i, links);
        for (size_t j = 0; j < m; j++)
            if (lk_bitmap_get(dead, links[j]))
                fail_msg("slot %u is linked to %u, which is gone", i, links[j]);
    }
    lk_walk_release(&w);
}

static void links_are_led_around_what_is_gone(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    lk_bitmap dead, live;
    test_set_make(&s, 6000, DIM, 60, 4, 9);
    build(&g, &s, 32);
    for (size_t round = 1; round <= 2; round++) {
        test_set_random(&s, 0.3 * (double)round, &dead);
        mend(&g, &s, &dead);
        check_rows(&g, s.n);
        lk_bitmap_init(&live);
        assert_int_equal(lk_bitmap_copy(&live, &dead, NULL), LK_OK);
        lk_bitmap_not(&live);
        float q[DIM];
        lk_walk w, *walks = &w;
        double sum = 0;
        assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
        for (size_t i = 0; i < QUERIES; i++) {
            test_set_query(&s, q);
            begin_query(&g, &w, q, EF);
            lk_graph_walk(&g, &walks, 1);
            check_pool(&w);
            sum += test_set_recall(&s, q, &live, K, w.slots, w.n_pool);
        }
        at_least(sum / QUERIES, 0.97, "around what is gone");
        lk_walk_release(&w);
        for (uint32_t i = 0; i < s.n; i++) /* they come back */
            if (lk_bitmap_get(&dead, i)) {
                lk_err err;
                assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
                test_ok(lk_graph_insert(&g, &w, i, s.vectors + i * DIM, &err), &err);
                lk_walk_release(&w);
            }
        check_rows(&g, s.n);
        at_least(recall(&s, &g, NULL), 0.97, "with those that came back");
        lk_bitmap_release(&live);
        lk_bitmap_release(&dead);
    }
    lk_graph_release(&g);
    test_set_drop(&s);
}

static void equal_vectors_are_found_when_others_of_them_are_gone(void **state)
{
    (void)state;
    test_set s;
    lk_graph g;
    lk_bitmap dead;
    lk_walk w, *walks = &w;
    make_equal(&s, 4000, 4, 4, 24);
    build(&g, &s, 32);
    test_set_random(&s, 0.5, &dead);
    mend(&g, &s, &dead);
    check_rows(&g, s.n);
    size_t there = 0, found = 0;
    for (size_t i = 0; i < s.n; i += 4)
        there += !lk_bitmap_get(&dead, i);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    begin_query(&g, &w, s.vectors, there);
    lk_graph_walk(&g, &walks, 1);
    for (size_t i = 0; i < w.n_pool; i++)
        found += w.slots[i] % 4 == 0;
    if (100 * found < 98 * there)
        fail_msg("%zu of %zu equal vectors", found, there);
    lk_walk_release(&w);
    lk_bitmap_release(&dead);
    lk_graph_release(&g);
    test_set_drop(&s);
}

/* ---- the rules of rows ---- */

/* Slots in random order, some of them equal to others, some inserted twice, searches between. */
static void random_lives_keep_the_rules_of_rows(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 110; seed++) {
        test_set s;
        lk_graph g;
        lk_walk w, *walks = &w;
        lk_err err;
        test_set_make(&s, 600, 24, 1 + seed % 7 * 5, seed % 2 ? 4 : 8, seed);
        for (uint32_t i = 1; i < s.n; i++)
            if (test_rng_below(&s.rng, 8) == 0) {
                size_t other = test_rng_below(&s.rng, i);
                memcpy(s.vectors + i * s.dim, s.vectors + other * s.dim, s.dim * sizeof(float));
                lk_codes_put(s.codes, i, s.vectors + i * s.dim);
            }
        begin(&g, &s, 16);
        uint32_t *order = shuffled(&s);
        assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
        for (size_t i = 0; i < 2 * s.n; i++) {
            uint32_t slot = i < s.n ? order[i] : (uint32_t)test_rng_below(&s.rng, s.n);
            const float *vector = s.vectors + slot * s.dim;
            if (i < s.n || test_rng_below(&s.rng, 4) == 0)
                test_ok(lk_graph_insert(&g, &w, slot, vector, &err), &err);
            if (i % 5 == 0) {
                begin_query(&g, &w, vector, 1 + test_rng_below(&s.rng, 40));
                lk_graph_walk(&g, &walks, 1);
                check_pool(&w);
            }
            if (i % 100 == 99)
                check_rows(&g, s.n);
        }
        free(order);
        lk_walk_release(&w);
        lk_graph_release(&g);
        test_set_drop(&s);
    }
}

/* ---- no memory ---- */

static lk_code whole_life(void *ctx, lk_err *err)
{
    test_set *s = ctx;
    lk_graph g = {0};
    lk_walk w = {0}, *walks = &w;
    uint32_t first[16];
    for (uint32_t i = 0; i < 16; i++)
        first[i] = i;
    lk_code code = lk_graph_init(&g, s->codes, 16, 40, err);
    if (code == LK_OK)
        code = lk_graph_reserve(&g, s->n, err);
    if (code == LK_OK)
        code = lk_graph_route(&g, first, 16, err);
    if (code == LK_OK)
        code = lk_walk_init(&w, s->codes, err);
    for (uint32_t i = 0; code == LK_OK && i < s->n; i++)
        code = lk_graph_insert(&g, &w, i, s->vectors + i * s->dim, err);
    if (g.pivots)
        check_rows(&g, s->n);
    if (code == LK_OK)
        code = lk_walk_clear(&w, 2000, err); /* sees so many that the visited set must grow */
    if (code == LK_OK) {
        lk_codes_query(s->codes, s->vectors, false, w.q, &w.query);
        lk_graph_walk(&g, &walks, 1);
        code = w.failed ? lk_fail(err, LK_E_NOMEM, "no memory for a search") : LK_OK;
    }
    lk_walk_release(&w);
    lk_graph_release(&g);
    return code;
}

static void short_memory_is_said_and_leaves_nothing_behind(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 5000, 16, 20, 4, 8);
    s.n = 400;
    assert_true(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, whole_life, &s) > 10);
    assert_true(test_sweep(TEST_MMAP, ENOMEM, LK_E_NOMEM, whole_life, &s) >= 1);
    test_set_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_find_what_exact_search_finds),
        cmocka_unit_test(filters_of_every_width_find_what_matches),
        cmocka_unit_test(a_filter_stops_where_it_was_told_to),
        cmocka_unit_test(walks_under_a_filter_begin_in_every_part_of_it),
        cmocka_unit_test(a_graph_of_four_threads_is_as_good),
        cmocka_unit_test(walks_in_turn_answer_as_they_do_alone),
        cmocka_unit_test(few_vectors_are_all_found),
        cmocka_unit_test(a_graph_without_a_route_finds_nothing),
        cmocka_unit_test(a_thousand_equal_vectors_are_all_found_among_others),
        cmocka_unit_test(links_are_led_around_what_is_gone),
        cmocka_unit_test(equal_vectors_are_found_when_others_of_them_are_gone),
        cmocka_unit_test(random_lives_keep_the_rules_of_rows),
        cmocka_unit_test(short_memory_is_said_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
