/* The inverted file against exact search, and what may go wrong with it. */
#include "clusters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "index/ivf.h"

#define N 20000
#define DIM 64
#define NLIST 128
#define EF 64
#define K 10
#define QUERIES 100

static void build(lk_ivf *ivf, const test_set *s, size_t nlist)
{
    lk_err err;
    test_ok(lk_ivf_init(ivf, s->codes, nlist, &err), &err);
    test_ok(lk_ivf_reserve(ivf, s->n, &err), &err);
    test_ok(lk_ivf_train(ivf, s->vectors, s->n / 4, 2, NULL, NULL, NULL, &err), &err);
    for (uint32_t i = 0; i < s->n; i++)
        test_ok(lk_ivf_add(ivf, i, &err), &err);
}

static size_t search(const lk_ivf *ivf, lk_walk *w, const float *query, size_t ef, size_t nprobe,
                     const lk_bitmap *which)
{
    lk_err err;
    test_ok(lk_walk_clear(w, ef, &err), &err);
    lk_codes_query(ivf->codes, query, false, w->q, &w->query);
    size_t n_scored = lk_ivf_search(ivf, w, nprobe, which);
    assert_false(w->failed);
    for (size_t i = 0; i < w->n_pool; i++) {
        assert_true(!which || lk_bitmap_get(which, w->slots[i]));
        assert_false(lk_visited_add(&w->visited, w->slots[i])); /* it is marked */
        assert_true(i == 0 || w->scores[i - 1] >= w->scores[i]);
    }
    return n_scored;
}

static double recall(test_set *s, const lk_ivf *ivf, size_t nprobe, const lk_bitmap *which)
{
    float q[DIM];
    lk_walk w;
    double sum = 0;
    assert_int_equal(lk_walk_init(&w, s->codes, NULL), LK_OK);
    for (size_t i = 0; i < QUERIES; i++) {
        test_set_query(s, q);
        search(ivf, &w, q, EF, nprobe, which);
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

static void the_nearest_lists_hold_what_exact_search_finds(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf;
    for (unsigned bits = 4; bits <= 8; bits += 4) {
        test_set_make(&s, N, DIM, 200, bits, 1);
        build(&ivf, &s, NLIST);
        at_least(recall(&s, &ivf, 4, NULL), 0.89, "4 of 128 lists");
        at_least(recall(&s, &ivf, 16, NULL), 0.97, "16 of 128 lists");
        lk_ivf_release(&ivf);
        test_set_drop(&s);
    }
}

static void filters_of_every_width_find_what_matches(void **state)
{
    (void)state;
    const double parts[] = {0.001, 0.01, 0.1, 0.5};
    test_set s;
    lk_ivf ivf;
    lk_bitmap which;
    test_set_make(&s, N, DIM, 200, 4, 2);
    build(&ivf, &s, NLIST);
    for (size_t i = 0; i < LK_ARRAY_LEN(parts); i++) {
        test_set_random(&s, parts[i], &which);
        at_least(recall(&s, &ivf, 16, &which), 0.95, "random filter");
        lk_bitmap_release(&which);
        test_set_some_clusters(&s, parts[i], &which);
        at_least(recall(&s, &ivf, 16, &which), 0.90, "filter by clusters");
        at_least(recall(&s, &ivf, NLIST, &which), 0.97, "filter by clusters, all lists");
        lk_bitmap_release(&which);
    }
    lk_ivf_release(&ivf);
    test_set_drop(&s);
}

static void k_results_come_whenever_k_match(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf;
    lk_walk w;
    lk_bitmap which;
    test_set_make(&s, 3000, DIM, 50, 4, 3);
    build(&ivf, &s, 64);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    lk_bitmap_init(&which);
    assert_int_equal(lk_bitmap_resize(&which, s.n, NULL), LK_OK);
    search(&ivf, &w, s.vectors, EF, 1, &which);
    assert_int_equal(w.n_pool, 0);
    for (size_t i = 1; i <= EF; i++) {
        lk_bitmap_set(&which, i * 46);
        search(&ivf, &w, s.vectors, EF, 1, &which);
        assert_int_equal(w.n_pool, i);
    }
    search(&ivf, &w, s.vectors, 3000, 1, NULL);
    assert_int_equal(w.n_pool, 3000);
    search(&ivf, &w, s.vectors, 5000, 1, NULL); /* k over count */
    assert_int_equal(w.n_pool, 3000);
    lk_bitmap_release(&which);
    lk_walk_release(&w);
    lk_ivf_release(&ivf);
    test_set_drop(&s);
}

static void all_lists_are_a_scan_of_all_codes(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf;
    lk_walk w;
    float q[DIM];
    test_set_make(&s, 5000, DIM, 50, 4, 4);
    build(&ivf, &s, 64);
    uint32_t *slots = calloc(s.n, sizeof *slots);
    float *scores = calloc(s.n, sizeof *scores);
    assert_true(slots && scores);
    for (uint32_t i = 0; i < s.n; i++)
        slots[i] = i;
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    for (size_t i = 0; i < 20; i++) {
        test_set_query(&s, q);
        assert_int_equal(search(&ivf, &w, q, EF, 64, NULL), s.n);
        assert_int_equal(w.n_pool, EF);
        lk_codes_score(s.codes, &w.query, slots, s.n, scores);
        size_t better = 0;
        for (size_t j = 0; j < s.n; j++)
            better += scores[j] > w.scores[EF - 1];
        assert_true(better < EF);
        for (size_t j = 0; j < EF; j++)
            assert_true(w.scores[j] == scores[w.slots[j]]);
    }
    free(slots);
    free(scores);
    lk_walk_release(&w);
    lk_ivf_release(&ivf);
    test_set_drop(&s);
}

/* ---- threads ---- */

typedef struct adding {
    lk_ivf *ivf;
    size_t first, n;
} adding;

static void add_some(void *ctx)
{
    adding *a = ctx;
    for (size_t i = a->first; i < a->n; i += 4)
        if (lk_ivf_add(a->ivf, (uint32_t)i, NULL))
            abort();
}

static void four_threads_add_while_one_searches(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf;
    lk_walk w;
    lk_err err;
    lk_thread *threads[4];
    adding work[4];
    test_set_make(&s, 8000, DIM, 50, 4, 5);
    test_ok(lk_ivf_init(&ivf, s.codes, 32, &err), &err);
    test_ok(lk_ivf_reserve(&ivf, s.n, &err), &err);
    test_ok(lk_ivf_train(&ivf, s.vectors, 2000, 4, NULL, NULL, NULL, &err), &err);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    for (size_t i = 0; i < 4; i++) {
        work[i] = (adding){&ivf, i, s.n};
        test_ok(lk_thread_start(&threads[i], "add", add_some, &work[i], &err), &err);
    }
    for (size_t i = 0; i < 50; i++)
        search(&ivf, &w, s.vectors + i * DIM, EF, 8, NULL);
    for (size_t i = 0; i < 4; i++)
        lk_thread_join(threads[i]);
    assert_int_equal(search(&ivf, &w, s.vectors, s.n, 32, NULL), s.n);
    bool *seen = calloc(s.n, sizeof *seen);
    assert_non_null(seen);
    for (size_t i = 0; i < s.n; i++) {
        assert_false(seen[w.slots[i]]);
        seen[w.slots[i]] = true;
    }
    free(seen);
    lk_walk_release(&w);
    lk_ivf_release(&ivf);
    test_set_drop(&s);
}

typedef struct dropping {
    lk_ivf *ivf;
    size_t n;
    lk_bitmap dead;
} dropping;

static void drop_in_steps(void *ctx)
{
    dropping *d = ctx;
    for (size_t i = 0; i < d->n; i++)
        if (i % 4 != 0) {
            lk_bitmap_set(&d->dead, i);
            if (i % 64 == 1)
                lk_ivf_drop(d->ivf, &d->dead);
        }
    lk_ivf_drop(d->ivf, &d->dead);
}

/* The pool is wide enough for all, so that nothing but the dropping can keep a slot out of it. */
static void a_search_meets_every_live_slot_once_while_others_are_dropped(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf;
    lk_walk w;
    lk_err err;
    lk_thread *thread;
    test_set_make(&s, 6000, DIM, 10, 4, 6);
    build(&ivf, &s, 4);
    dropping d = {&ivf, s.n, {0}};
    test_ok(lk_bitmap_resize(&d.dead, s.n, &err), &err);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    bool *seen = calloc(s.n, sizeof *seen);
    assert_non_null(seen);
    test_ok(lk_thread_start(&thread, "drop", drop_in_steps, &d, &err), &err);
    size_t n_left;
    do {
        memset(seen, 0, s.n);
        search(&ivf, &w, s.vectors, s.n, 4, NULL);
        n_left = w.n_pool;
        for (size_t i = 0; i < n_left; i++) {
            assert_false(seen[w.slots[i]]);
            seen[w.slots[i]] = true;
        }
        for (size_t i = 0; i < s.n; i += 4)
            assert_true(seen[i]);
    } while (n_left > s.n / 4);
    lk_thread_join(thread);
    free(seen);
    lk_bitmap_release(&d.dead);
    lk_walk_release(&w);
    lk_ivf_release(&ivf);
    test_set_drop(&s);
}

/* ---- lists ---- */

static void dropped_slots_are_in_no_list_and_may_come_back(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf;
    lk_walk w;
    lk_err err;
    lk_bitmap dead;
    test_set_make(&s, 2000, DIM, 20, 4, 7);
    build(&ivf, &s, 16);
    test_set_random(&s, 0.4, &dead);
    lk_ivf_drop(&ivf, &dead);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    assert_int_equal(search(&ivf, &w, s.vectors, s.n, 16, NULL), s.n - lk_bitmap_count(&dead));
    for (size_t i = 0; i < w.n_pool; i++)
        assert_false(lk_bitmap_get(&dead, w.slots[i]));
    for (uint32_t i = 0; i < s.n; i++) {
        assert_int_equal(lk_ivf_list(&ivf, i) == LK_IVF_NO_LIST, lk_bitmap_get(&dead, i));
        if (lk_bitmap_get(&dead, i))
            test_ok(lk_ivf_add(&ivf, i, &err), &err);
    }
    assert_int_equal(search(&ivf, &w, s.vectors, s.n, 16, NULL), s.n);
    lk_bitmap_release(&dead);
    lk_walk_release(&w);
    lk_ivf_release(&ivf);
    test_set_drop(&s);
}

/* As a snapshot does: the codes of the centroids, and the list of each slot. */
static void an_index_put_together_from_its_parts_answers_the_same(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf, again;
    lk_walk a, b;
    lk_err err;
    test_set_make(&s, 3000, DIM, 20, 4, 8);
    build(&ivf, &s, 32);
    test_ok(lk_ivf_init(&again, s.codes, 32, &err), &err);
    test_ok(lk_ivf_reserve(&again, s.n, &err), &err);
    for (uint32_t i = 0; i < 32; i++) {
        memcpy(lk_plane_at(&again.centroids->rows, i), lk_plane_at(&ivf.centroids->rows, i),
               ivf.centroids->rows.row_bytes);
        memcpy(lk_plane_at(&again.centroids->terms, i), lk_plane_at(&ivf.centroids->terms, i),
               sizeof(lk_code_terms));
    }
    for (uint32_t i = 0; i < s.n; i++)
        test_ok(lk_ivf_put(&again, i, lk_ivf_list(&ivf, i), &err), &err);
    test_code(lk_ivf_put(&again, 0, 32, &err), LK_E_CORRUPT);
    assert_int_equal(lk_walk_init(&a, s.codes, NULL), LK_OK);
    assert_int_equal(lk_walk_init(&b, s.codes, NULL), LK_OK);
    for (size_t i = 0; i < 20; i++) {
        search(&ivf, &a, s.vectors + i * DIM, EF, 3, NULL);
        search(&again, &b, s.vectors + i * DIM, EF, 3, NULL);
        assert_int_equal(a.n_pool, b.n_pool);
        assert_memory_equal(a.slots, b.slots, a.n_pool * sizeof *a.slots);
    }
    lk_walk_release(&a);
    lk_walk_release(&b);
    lk_ivf_release(&ivf);
    lk_ivf_release(&again);
    test_set_drop(&s);
}

static void no_list_is_long_over_clusters(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf;
    test_set_make(&s, N, DIM, 500, 4, 9);
    build(&ivf, &s, NLIST);
    for (size_t i = 0; i < NLIST; i++)
        if (ivf.lists[i].n > 6 * N / NLIST)
            fail_msg("list %zu holds %zu of %d slots", i, ivf.lists[i].n, N);
    lk_ivf_release(&ivf);
    test_set_drop(&s);
}

/* ---- small and odd sets ---- */

static void finds_all(const test_set *s, size_t nlist)
{
    lk_ivf ivf;
    lk_walk w;
    build(&ivf, s, nlist);
    assert_int_equal(lk_walk_init(&w, s->codes, NULL), LK_OK);
    search(&ivf, &w, s->vectors, s->n + 1, 1, NULL);
    assert_int_equal(w.n_pool, s->n);
    lk_walk_release(&w);
    lk_ivf_release(&ivf);
}

static void more_lists_than_vectors_lose_nothing(void **state)
{
    (void)state;
    test_set s;
    for (size_t n = 1; n <= 16; n *= 4) {
        test_set_make(&s, n, DIM, 3, 4, 10);
        finds_all(&s, 1000);
        test_set_drop(&s);
    }
}

static void equal_vectors_are_all_found(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 1000, DIM, 1, 4, 11);
    for (uint32_t i = 0; i < s.n; i++)
        lk_codes_put(s.codes, i, s.vectors);
    for (size_t i = 1; i < s.n; i++)
        memcpy(s.vectors + i * DIM, s.vectors, DIM * sizeof *s.vectors);
    finds_all(&s, 16);
    test_set_drop(&s);
}

static void an_empty_index_finds_nothing(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 1, DIM, 1, 4, 12);
    float q[DIM];
    test_set_query(&s, q);
    lk_ivf ivf;
    lk_walk w;
    lk_err err;
    test_ok(lk_ivf_init(&ivf, s.codes, 8, &err), &err);
    test_ok(lk_ivf_train(&ivf, NULL, 0, 1, NULL, NULL, NULL, &err), &err);
    assert_int_equal(lk_walk_init(&w, s.codes, NULL), LK_OK);
    assert_int_equal(search(&ivf, &w, q, EF, 8, NULL), 0);
    assert_int_equal(w.n_pool, 0);
    lk_ivf_release(&ivf);
    test_code(lk_ivf_init(&ivf, s.codes, 0, &err), LK_E_LIMIT);
    test_code(lk_ivf_init(&ivf, s.codes, LK_IVF_MAX_LISTS + 1, &err), LK_E_LIMIT);
    lk_walk_release(&w);
    test_set_drop(&s);
}

/* ---- training ---- */

typedef struct watch {
    uint64_t done, total;
    lk_cancel *stop;
} watch;

static void see_progress(void *ctx, uint64_t done, uint64_t total)
{
    watch *w = ctx;
    assert_true(done > w->done && done <= total);
    w->done = done;
    w->total = total;
    if (w->stop)
        lk_cancel_set(w->stop);
}

static void training_tells_how_far_it_is_and_stops_when_asked(void **state)
{
    (void)state;
    test_set s;
    lk_ivf ivf;
    lk_err err;
    lk_cancel stop = {false};
    watch all = {0}, first = {.stop = &stop};
    test_set_make(&s, 2000, DIM, 20, 4, 13);
    test_ok(lk_ivf_init(&ivf, s.codes, 16, &err), &err);
    test_ok(lk_ivf_train(&ivf, s.vectors, s.n, 2, see_progress, &all, &stop, &err), &err);
    assert_true(all.total > 0 && all.done == all.total);
    const lk_codes *before = ivf.centroids;
    test_code(lk_ivf_train(&ivf, s.vectors, s.n, 2, see_progress, &first, &stop, &err),
              LK_E_CANCELED);
    assert_true(first.done > 0 && first.done < first.total);
    assert_ptr_equal(ivf.centroids, before);
    lk_ivf_release(&ivf);
    test_set_drop(&s);
}

static void training_gives_the_same_centroids_on_any_number_of_threads(void **state)
{
    (void)state;
    test_set s;
    lk_ivf one, four;
    lk_err err;
    test_set_make(&s, 2000, DIM, 20, 4, 14);
    test_ok(lk_ivf_init(&one, s.codes, 16, &err), &err);
    test_ok(lk_ivf_init(&four, s.codes, 16, &err), &err);
    test_ok(lk_ivf_train(&one, s.vectors, s.n, 1, NULL, NULL, NULL, &err), &err);
    test_ok(lk_ivf_train(&four, s.vectors, s.n, 4, NULL, NULL, NULL, &err), &err);
    for (uint32_t i = 0; i < 16; i++)
        assert_memory_equal(lk_plane_at(&one.centroids->rows, i),
                            lk_plane_at(&four.centroids->rows, i), one.centroids->rows.row_bytes);
    lk_ivf_release(&one);
    lk_ivf_release(&four);
    test_set_drop(&s);
}

/* ---- no memory ---- */

/* A search says so in the walk, and finds again what it should once there is memory. */
static lk_code whole_life(void *ctx, lk_err *err)
{
    const test_set *s = ctx;
    lk_ivf ivf = {0};
    lk_walk w = {0};
    lk_code code = lk_ivf_init(&ivf, s->codes, 16, err);
    if (code == LK_OK)
        code = lk_ivf_reserve(&ivf, s->n, err);
    if (code == LK_OK)
        code = lk_ivf_train(&ivf, s->vectors, s->n, 1, NULL, NULL, NULL, err);
    for (uint32_t i = 0; code == LK_OK && i < s->n; i++)
        code = lk_ivf_add(&ivf, i, err);
    if (code == LK_OK)
        code = lk_walk_init(&w, s->codes, err);
    if (code == LK_OK)
        code = lk_walk_clear(&w, EF, err);
    if (code == LK_OK) {
        lk_codes_query(s->codes, s->vectors, false, w.q, &w.query);
        size_t n_scored = lk_ivf_search(&ivf, &w, 16, NULL);
        assert_true(w.failed || n_scored == s->n);
        code = w.failed ? lk_fail(err, LK_E_NOMEM, "no memory for a search") : LK_OK;
    }
    lk_walk_release(&w);
    lk_ivf_release(&ivf);
    return code;
}

static void short_memory_is_said_and_leaves_nothing_behind(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 300, DIM, 5, 4, 15);
    assert_true(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, whole_life, &s) > 10);
    assert_true(test_sweep(TEST_MMAP, ENOMEM, LK_E_NOMEM, whole_life, &s) > 2);
    test_set_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_lists_hold_what_exact_search_finds),
        cmocka_unit_test(filters_of_every_width_find_what_matches),
        cmocka_unit_test(k_results_come_whenever_k_match),
        cmocka_unit_test(all_lists_are_a_scan_of_all_codes),
        cmocka_unit_test(four_threads_add_while_one_searches),
        cmocka_unit_test(a_search_meets_every_live_slot_once_while_others_are_dropped),
        cmocka_unit_test(dropped_slots_are_in_no_list_and_may_come_back),
        cmocka_unit_test(an_index_put_together_from_its_parts_answers_the_same),
        cmocka_unit_test(no_list_is_long_over_clusters),
        cmocka_unit_test(more_lists_than_vectors_lose_nothing),
        cmocka_unit_test(equal_vectors_are_all_found),
        cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(training_tells_how_far_it_is_and_stops_when_asked),
        cmocka_unit_test(training_gives_the_same_centroids_on_any_number_of_threads),
        cmocka_unit_test(short_memory_is_said_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
