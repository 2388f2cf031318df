/* The index as a store uses it: recall floors against exact search in every plan, the life of a
 * slot, churn, and a file of which nothing is trusted. */
#include "clusters.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "index/ann.h"

#define K 10

/* The thread sanitizer takes fifty times as long; what it looks for shows in small sets as well. */
#if defined(__SANITIZE_THREAD__)
#define SHARE 8
#define QUERIES 15
#else
#define SHARE 1
#define QUERIES 60
#endif

static lk_ann_opts opts_of(const test_set *s, lk_ann_kind kind, lk_score score)
{
    return (lk_ann_opts){.kind = kind, .dim = s->dim, .score = score};
}

static lk_ann *build(const test_set *s, const lk_ann_opts *o, const lk_bitmap *which)
{
    lk_err err;
    lk_ann *a = NULL;
    test_ok(lk_ann_new(lk_kern_best(), o, &a, &err), &err);
    test_ok(lk_ann_train(a, &s->rows, which, 2, NULL, &err), &err);
    test_ok(lk_ann_claim(a, which, &err), &err);
    test_ok(lk_ann_build(a, &s->rows, 2, NULL, NULL, NULL, &err), &err);
    return a;
}

static lk_ann_found search(const test_set *s, lk_ann *a, const float *q, size_t k,
                           const lk_bitmap *which)
{
    lk_err err;
    lk_ann_found f;
    lk_ann_query query = {.vector = q, .k = k, .nprobe = 40, .which = which};
    query.matched = which ? lk_bitmap_count(which) : s->n;
    test_ok(lk_ann_search(a, &s->rows, &query, &f, &err), &err);
    return f;
}

/* Recall over some queries; every answer is in order, in `which`, and as long as can be. */
static double recall(test_set *s, lk_ann *a, lk_score score, const lk_bitmap *which,
                     const char **ret_plan)
{
    float *q = malloc(s->dim * sizeof *q);
    const lk_bitmap *in = which ? which : &s->all;
    size_t there = lk_bitmap_count(in), hits = 0, wanted = 0;
    for (size_t i = 0; i < QUERIES; i++) {
        lk_near best[K];
        test_set_query(s, q);
        lk_ann_found f = search(s, a, q, K, which);
        size_t n = lk_flat_search(lk_kern_best(), &s->rows, in, q, score, K, best);
        assert_true(f.n >= (there < K ? there : K));
        for (size_t j = 0; j < f.n; j++) {
            assert_true(lk_bitmap_get(in, f.hits[j].slot));
            assert_true(j == 0 || f.hits[j - 1].score >= f.hits[j].score);
        }
        for (size_t j = 0; j < n; j++)
            for (size_t l = 0; l < f.n && l < K; l++)
                hits += best[j].slot == f.hits[l].slot;
        wanted += n;
        *ret_plan = f.plan;
        lk_free(f.hits);
    }
    free(q);
    return wanted ? (double)hits / (double)wanted : 1;
}

static void at_least(double got, double floor, const char *what)
{
    if (!(got >= floor))
        fail_msg("%s: recall %.4f, at least %.2f expected", what, got, floor);
}

/* ---- plans ---- */

static void every_kind_finds_nearly_all_by_every_metric(void **state)
{
    (void)state;
    static const lk_score scores[] = {LK_SCORE_DOT, LK_SCORE_NEG_L2};
    static const lk_ann_kind kinds[] = {LK_ANN_HNSW, LK_ANN_IVF};
    test_set s;
    test_set_make(&s, 8000 / SHARE, 48, 60 / SHARE, 4, 1);
    for (size_t i = 0; i < 4; i++)
        for (unsigned bits = 4; bits <= 8; bits += 4) {
            const char *plan = "";
            lk_ann_opts o = opts_of(&s, kinds[i / 2], scores[i % 2]);
            o.bits = bits;
            lk_ann *a = build(&s, &o, &s.all);
            at_least(recall(&s, a, scores[i % 2], NULL, &plan), 0.95, plan);
            assert_string_equal(plan, i / 2 ? "ivf" : "graph");
            assert_int_equal(lk_ann_linked(a), s.n);
            lk_ann_free(a);
        }
    test_set_drop(&s);
}

static void filters_of_every_width_find_nearly_all(void **state)
{
    (void)state;
    static const double parts[] = {0.0005, 0.01, 0.1, 0.36, 0.6, 0.95};
    static const char *const plans[] = {"scan", "scan", "scan", "filtered_graph", "graph", "graph"};
    test_set s;
    test_set_make(&s, 12000 / SHARE, 32, 200 / SHARE, 4, 2);
    lk_ann_opts o = opts_of(&s, LK_ANN_HNSW, LK_SCORE_NEG_L2);
    o.ef_construction = 64;
    o.scan_at_most = 2000 / SHARE;
    lk_ann *a = build(&s, &o, &s.all);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        lk_bitmap which;
        const char *plan = "";
        test_set_random(&s, parts[i], &which);
        at_least(recall(&s, a, LK_SCORE_NEG_L2, &which, &plan), 0.95, "random");
        assert_string_equal(plan, plans[i]);
        lk_bitmap_release(&which);
        test_set_some_clusters(&s, parts[i], &which);
        at_least(recall(&s, a, LK_SCORE_NEG_L2, &which, &plan), 0.95, "clusters");
        lk_bitmap_release(&which);
    }
    lk_ann_free(a);
    test_set_drop(&s);
}

static void a_filter_that_matches_few_or_none_is_answered(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 3000, 16, 20, 4, 3);
    for (int kind = 0; kind < 2; kind++) {
        lk_ann_opts o = opts_of(&s, (lk_ann_kind)kind, LK_SCORE_DOT);
        lk_ann *a = build(&s, &o, &s.all);
        for (size_t n = 0; n < 4; n++) {
            lk_bitmap which;
            const char *plan = "";
            lk_bitmap_init(&which);
            assert_int_equal(lk_bitmap_resize(&which, s.n, NULL), LK_OK);
            for (size_t i = 0; i < n; i++)
                lk_bitmap_set(&which, 700 * i);
            at_least(recall(&s, a, LK_SCORE_DOT, &which, &plan), 1, "few");
            lk_bitmap_release(&which);
        }
        lk_ann_free(a);
    }
    test_set_drop(&s);
}

static void more_than_there_are_is_all_there_are(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 300, 16, 5, 4, 4);
    for (int kind = 0; kind < 2; kind++) {
        lk_ann_opts o = opts_of(&s, (lk_ann_kind)kind, LK_SCORE_DOT);
        lk_ann *a = build(&s, &o, &s.all);
        lk_ann_found f = search(&s, a, s.vectors, 1000, NULL);
        assert_int_equal(f.n, s.n);
        lk_free(f.hits);
        lk_ann_free(a);
    }
    test_set_drop(&s);
}

static void an_empty_index_finds_nothing(void **state)
{
    (void)state;
    test_set s;
    test_set_make(&s, 0, 16, 5, 4, 5);
    for (int kind = 0; kind < 2; kind++) {
        float q[16] = {1};
        lk_ann_opts o = opts_of(&s, (lk_ann_kind)kind, LK_SCORE_DOT);
        lk_ann *a = build(&s, &o, &s.all);
        lk_ann_found f = search(&s, a, q, 10, NULL);
        assert_int_equal(f.n, 0);
        lk_free(f.hits);
        lk_ann_free(a);
    }
    test_set_drop(&s);
}

static void several_queries_at_once_give_the_answers_of_one_by_one(void **state)
{
    (void)state;
    enum { N = 11 };
    test_set s;
    lk_err err;
    test_set_make(&s, 5000 / SHARE, 24, 40, 4, 6);
    lk_ann_opts o = opts_of(&s, LK_ANN_HNSW, LK_SCORE_NEG_L2);
    lk_ann *a = build(&s, &o, &s.all);
    float q[N][24];
    lk_bitmap which;
    test_set_random(&s, 0.3, &which);
    lk_ann_query query[N];
    lk_ann_found found[N];
    for (size_t i = 0; i < N; i++) {
        test_set_query(&s, q[i]);
        query[i] = (lk_ann_query){.vector = q[i], .k = 1 + i, .ef = i % 4 ? 0 : 30};
        if (i == 5) {
            query[i].which = &which;
            query[i].matched = lk_bitmap_count(&which);
        }
    }
    test_ok(lk_ann_search_many(a, &s.rows, query, N, found, &err), &err);
    for (size_t i = 0; i < N; i++) {
        lk_ann_found one;
        test_ok(lk_ann_search(a, &s.rows, &query[i], &one, &err), &err);
        assert_int_equal(one.n, found[i].n);
        assert_memory_equal(one.hits, found[i].hits, one.n * sizeof *one.hits);
        assert_string_equal(one.plan, found[i].plan);
        lk_free(one.hits);
        lk_free(found[i].hits);
    }
    lk_bitmap_release(&which);
    lk_ann_free(a);
    test_set_drop(&s);
}

/* ---- the life of a slot ---- */

static bool finds(const test_set *s, lk_ann *a, uint32_t slot)
{
    lk_ann_found f = search(s, a, s->vectors + slot * s->dim, 1, NULL);
    bool found = f.n && f.hits[0].slot == slot;
    lk_free(f.hits);
    return found;
}

static void a_slot_is_found_from_putting_to_retiring(void **state)
{
    (void)state;
    test_set s;
    lk_err err;
    lk_bitmap first, mended;
    size_t n = 0;
    test_set_make(&s, 2000, 32, 20, 4, 7);
    for (int kind = 0; kind < 2; kind++) {
        lk_bitmap_init(&first);
        lk_bitmap_init(&mended);
        assert_int_equal(lk_bitmap_resize(&first, 1000, NULL), LK_OK);
        lk_bitmap_fill(&first, true);
        lk_ann_opts o = opts_of(&s, (lk_ann_kind)kind, LK_SCORE_NEG_L2);
        lk_ann *a = build(&s, &o, &first);
        test_ok(lk_ann_reserve(a, s.n, &err), &err);

        assert_false(finds(&s, a, 1500));
        lk_ann_put(a, 1500, s.vectors + 1500 * s.dim);
        assert_int_equal(lk_ann_waiting(a), 1);
        assert_true(finds(&s, a, 1500));

        assert_true(lk_ann_retire(a, 1500)); /* it was not linked: free at once */
        assert_int_equal(lk_ann_waiting(a), 0);
        assert_false(finds(&s, a, 1500));
        assert_true(lk_ann_retire(a, 1999)); /* never put */

        lk_ann_put(a, 1500, s.vectors + 1500 * s.dim);
        lk_ann_put(a, 1501, s.vectors + 1501 * s.dim);
        test_ok(lk_ann_link(a, &s.rows, 10, 1, &n, &err), &err);
        assert_int_equal(n, 2);
        assert_int_equal(lk_ann_waiting(a), 0);
        assert_int_equal(lk_ann_linked(a), 1002);
        assert_true(finds(&s, a, 1500));

        assert_false(lk_ann_retire(a, 1500)); /* walked over from now on */
        assert_false(lk_ann_retire(a, 700));
        assert_true(lk_ann_is_dead(a, 1500));
        assert_int_equal(lk_ann_dead(a), 2);
        assert_false(finds(&s, a, 1500));

        test_ok(lk_ann_mend(a, 2, &mended, &err), &err);
        assert_int_equal(lk_bitmap_count(&mended), 2);
        assert_true(lk_bitmap_get(&mended, 1500) && lk_bitmap_get(&mended, 700));
        assert_int_equal(lk_ann_dead(a), 0);
        assert_false(lk_ann_is_dead(a, 1500));
        lk_ann_put(a, 700, s.vectors + 700 * s.dim);
        assert_true(finds(&s, a, 700));
        lk_bitmap_release(&first);
        lk_bitmap_release(&mended);
        lk_ann_free(a);
    }
    test_set_drop(&s);
}

/* Every slot three times over, a tenth at a time, with another slot's vector. */
static void replacing_everything_three_times_costs_no_recall(void **state)
{
    (void)state;
    test_set s;
    lk_err err;
    const char *plan = "";
    test_set_make(&s, 6000 / SHARE / 10 * 10, 32, 50, 4, 8);
    for (int kind = 0; kind < 2; kind++) {
        lk_bitmap mended;
        lk_bitmap_init(&mended);
        lk_ann_opts o = opts_of(&s, (lk_ann_kind)kind, LK_SCORE_NEG_L2);
        lk_ann *a = build(&s, &o, &s.all);
        double fresh = recall(&s, a, LK_SCORE_NEG_L2, NULL, &plan);
        for (size_t tenth = 0; tenth < 30; tenth++) {
            size_t n = 0;
            for (size_t i = tenth % 10; i < s.n; i += 10)
                assert_false(lk_ann_retire(a, (uint32_t)i));
            test_ok(lk_ann_mend(a, 2, &mended, &err), &err);
            assert_int_equal(lk_bitmap_count(&mended), s.n / 10);
            for (size_t i = tenth % 10; i < s.n; i += 10) {
                for (size_t j = 0; j < s.dim; j++) /* a new one near another slot's */
                    s.vectors[i * s.dim + j] =
                        s.vectors[(i * 7 + 1) % s.n * s.dim + j] + 0.1f * test_normal(&s.rng);
                lk_ann_put(a, (uint32_t)i, s.vectors + i * s.dim);
            }
            test_ok(lk_ann_link(a, &s.rows, s.n, 2, &n, &err), &err);
            assert_int_equal(n, s.n / 10);
        }
        double churned = recall(&s, a, LK_SCORE_NEG_L2, NULL, &plan);
        print_message("# %s: recall %.4f fresh, %.4f after three times\n", plan, fresh, churned);
        at_least(churned, fresh - 0.02, plan);
        lk_bitmap_release(&mended);
        lk_ann_free(a);
    }
    test_set_drop(&s);
}

/* ---- at the same time ---- */

typedef struct traffic {
    test_set *s;
    lk_ann *a;
    atomic_bool stop;
    atomic_size_t next; /* number of a searcher */
    atomic_size_t searches[2];
} traffic;

static void *search_on(void *ctx)
{
    traffic *t = ctx;
    size_t own = atomic_fetch_add(&t->next, 1);
    for (size_t i = 0; !atomic_load(&t->stop); i++) {
        lk_ann_query q = {.vector = t->s->vectors + i * 37 % t->s->n * t->s->dim, .k = K};
        lk_ann_found f;
        q.matched = t->s->n;
        if (lk_ann_search(t->a, &t->s->rows, &q, &f, NULL))
            abort();
        lk_free(f.hits);
        atomic_fetch_add(&t->searches[own], 1);
    }
    return NULL;
}

/* The writer's part and the other thread's, while two threads search. Vectors stay, as rows that
 * searches may hold do. */
static void searches_go_on_while_slots_come_and_go(void **state)
{
    (void)state;
    test_set s;
    lk_err err;
    test_set_make(&s, 1500, 24, 20, 4, 9);
    for (int kind = 0; kind < 2; kind++) {
        lk_ann_opts o = opts_of(&s, (lk_ann_kind)kind, LK_SCORE_NEG_L2);
        traffic t = {.s = &s, .a = build(&s, &o, &s.all)};
        pthread_t threads[2];
        lk_bitmap mended;
        lk_bitmap_init(&mended);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, search_on, &t), 0);
        for (size_t round = 0; round < 12; round++) {
            size_t n = 0;
            for (size_t i = round % 5; i < s.n; i += 5)
                assert_false(lk_ann_retire(t.a, (uint32_t)i));
            test_ok(lk_ann_mend(t.a, 1, &mended, &err), &err);
            for (size_t i = 0; i < 2; i++) { /* the grace period: who searched then has ended */
                size_t before = atomic_load(&t.searches[i]);
                while (atomic_load(&t.searches[i]) < before + 2)
                    sched_yield();
            }
            for (size_t i = round % 5; i < s.n; i += 5)
                lk_ann_put(t.a, (uint32_t)i, s.vectors + i * s.dim);
            test_ok(lk_ann_link(t.a, &s.rows, s.n, 2, &n, &err), &err);
        }
        atomic_store(&t.stop, true);
        for (size_t i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        const char *plan = "";
        at_least(recall(&s, t.a, LK_SCORE_NEG_L2, NULL, &plan), 0.95, plan);
        lk_bitmap_release(&mended);
        lk_ann_free(t.a);
    }
    test_set_drop(&s);
}

/* ---- the file ---- */

typedef struct on_disk {
    test_set s;
    lk_ann_opts o;
    lk_ann *a;
    uint32_t *stamps;
    char dir[TEST_PATH], path[TEST_PATH + 16];
    unsigned char *bytes;
    size_t n;
} on_disk;

static void disk_make(on_disk *d, lk_ann_kind kind, size_t n)
{
    lk_err err;
    test_set_make(&d->s, n, 24, 12, 4, 10);
    d->o = opts_of(&d->s, kind, LK_SCORE_NEG_L2);
    d->a = build(&d->s, &d->o, &d->s.all);
    d->stamps = malloc(n * sizeof *d->stamps);
    for (size_t i = 0; i < n; i++)
        d->stamps[i] = (uint32_t)(i * 2654435761u);
    test_dir_make(d->dir);
    snprintf(d->path, sizeof d->path, "%s/index", d->dir);
    test_ok(lk_ann_save(d->a, d->path, 77, d->stamps, n, &err), &err);
    test_ok(lk_os_read_file(d->path, 0, &d->bytes, &d->n, &err), &err);
}

static void disk_drop(on_disk *d)
{
    lk_ann_free(d->a);
    lk_free(d->bytes);
    free(d->stamps);
    test_dir_remove(d->dir);
    test_set_drop(&d->s);
}

static lk_code load(on_disk *d, lk_ann **ret, lk_err *err)
{
    return lk_ann_load(lk_kern_best(), &d->o, d->path, 77, 2, ret, err);
}

static void same_answers(on_disk *d, lk_ann *other)
{
    float q[24];
    for (size_t i = 0; i < 20; i++) {
        test_set_query(&d->s, q);
        lk_ann_found x = search(&d->s, d->a, q, K, NULL), y = search(&d->s, other, q, K, NULL);
        assert_true(x.n >= K && y.n >= K);
        assert_memory_equal(x.hits, y.hits, K * sizeof *x.hits);
        lk_free(x.hits);
        lk_free(y.hits);
    }
}

static void what_was_saved_answers_as_before(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        on_disk d;
        lk_err err;
        lk_ann *b = NULL;
        size_t stale = 1;
        disk_make(&d, (lk_ann_kind)kind, 2000);
        test_ok(load(&d, &b, &err), &err);
        test_ok(lk_ann_catch_up(b, &d.s.rows, &d.s.all, d.stamps, &stale, &err), &err);
        assert_int_equal(stale, 0);
        assert_int_equal(lk_ann_linked(b), 2000);
        assert_int_equal(lk_ann_waiting(b), 0);
        same_answers(&d, b);
        lk_ann_free(b);
        disk_drop(&d);
    }
}

static void what_changed_since_is_found_by_its_mark(void **state)
{
    (void)state;
    on_disk d;
    lk_err err;
    lk_ann *b = NULL;
    size_t stale = 0;
    disk_make(&d, LK_ANN_HNSW, 1000);
    test_ok(load(&d, &b, &err), &err);
    d.stamps[5]++; /* another vector in its slot */
    lk_bitmap_unset(&d.s.all, 6);
    test_ok(lk_ann_catch_up(b, &d.s.rows, &d.s.all, d.stamps, &stale, &err), &err);
    assert_int_equal(stale, 1);
    assert_int_equal(lk_ann_dead(b), 2);
    assert_true(lk_ann_is_dead(b, 5) && lk_ann_is_dead(b, 6));
    assert_false(finds(&d.s, b, 5));
    lk_ann_free(b);

    /* A slot that the file does not know waits, and is found. */
    lk_bitmap some;
    lk_bitmap_init(&some);
    assert_int_equal(lk_bitmap_copy(&some, &d.s.all, NULL), LK_OK);
    lk_bitmap_set(&some, 6);
    lk_bitmap_unset(&some, 7);
    lk_ann_free(d.a);
    d.a = build(&d.s, &d.o, &some);
    test_ok(lk_ann_save(d.a, d.path, 77, d.stamps, d.s.n, &err), &err);
    test_ok(load(&d, &b, &err), &err);
    lk_bitmap_set(&some, 7);
    test_ok(lk_ann_catch_up(b, &d.s.rows, &some, d.stamps, &stale, &err), &err);
    assert_int_equal(lk_ann_waiting(b), 1);
    assert_true(finds(&d.s, b, 7));
    lk_bitmap_release(&some);
    lk_ann_free(b);
    disk_drop(&d);
}

static void rewrite(const on_disk *d, size_t n)
{
    lk_err err;
    test_ok(lk_os_write_file(d->path, d->bytes, n, &err), &err);
}

/* Every byte is under a checksum but for what is zero behind the header. */
static void a_damaged_file_is_never_taken(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        on_disk d;
        disk_make(&d, (lk_ann_kind)kind, 300);
        size_t refused = 0;
        for (size_t at = 0; at < d.n; at += at < 80 || at > d.n - 64 ? SHARE
                                            : at < 4096              ? 509
                                                                     : 211 * SHARE) {
            lk_err err = {0};
            lk_ann *b = NULL;
            d.bytes[at] ^= 0x10;
            rewrite(&d, d.n);
            lk_code code = load(&d, &b, &err);
            d.bytes[at] ^= 0x10;
            if (code == LK_OK) {
                size_t stale = 0;
                assert_true(at >= 64 && at < 4096);
                test_ok(lk_ann_catch_up(b, &d.s.rows, &d.s.all, d.stamps, &stale, &err), &err);
                same_answers(&d, b);
                lk_ann_free(b);
                continue;
            }
            refused++;
            assert_true(code == LK_E_CORRUPT || code == LK_E_FORMAT || code == LK_E_TRUNCATED);
            assert_string_not_equal(err.text, "");
        }
        assert_true(refused > 200 / SHARE);
        for (size_t n = 0; n < d.n; n += n < 4200 ? 61 : 1709) {
            lk_err err;
            lk_ann *b = NULL;
            rewrite(&d, n);
            lk_code code = load(&d, &b, &err);
            if (code != LK_E_TRUNCATED && code != LK_E_CORRUPT)
                fail_msg("cut to %zu bytes: code %d", n, (int)code);
        }
        disk_drop(&d);
    }
}

static void a_file_of_other_vectors_or_options_is_refused(void **state)
{
    (void)state;
    on_disk d;
    lk_err err;
    lk_ann *b = NULL;
    disk_make(&d, LK_ANN_HNSW, 300);
    test_code(lk_ann_load(lk_kern_best(), &d.o, d.path, 78, 1, &b, &err), LK_E_FORMAT);
    lk_ann_opts o = d.o;
    o.M = 8;
    test_code(lk_ann_load(lk_kern_best(), &o, d.path, 77, 1, &b, &err), LK_E_FORMAT);
    o = d.o;
    o.kind = LK_ANN_IVF;
    test_code(lk_ann_load(lk_kern_best(), &o, d.path, 77, 1, &b, &err), LK_E_FORMAT);
    o = d.o;
    o.score = LK_SCORE_DOT;
    test_code(lk_ann_load(lk_kern_best(), &o, d.path, 77, 1, &b, &err), LK_E_FORMAT);
    test_ok(lk_os_remove(d.path, &err), &err);
    test_code(load(&d, &b, &err), LK_E_NOT_FOUND);
    disk_drop(&d);
}

/* tests/data/index/1: 40 vectors as version 1 wrote them, M 8. A change that cannot read it any
 * more needs another version number. */
static void a_file_as_it_was_first_written_is_read(void **state)
{
    (void)state;
    lk_err err;
    char path[TEST_PATH];
    uint32_t stamps[40] = {0};
    size_t stale = 1;
    lk_ann *a = NULL;
    test_set s;
    test_set_make(&s, 40, 8, 3, 4, 12);
    lk_ann_opts o = opts_of(&s, LK_ANN_HNSW, LK_SCORE_NEG_L2);
    o.M = 8;
    for (size_t i = 0; i < s.n; i++)
        stamps[i] = (uint32_t)i;
    test_source("tests/data/index/1", path);
    test_ok(lk_ann_load(lk_kern_best(), &o, path, 1, 1, &a, &err), &err);
    test_ok(lk_ann_catch_up(a, &s.rows, &s.all, stamps, &stale, &err), &err);
    assert_int_equal(stale, 0);
    assert_int_equal(lk_ann_linked(a), 40);
    for (uint32_t i = 0; i < s.n; i++)
        assert_true(finds(&s, a, i));
    lk_ann_free(a);
    test_set_drop(&s);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    on_disk d;
    lk_err err;
    disk_make(&d, LK_ANN_HNSW, 300);
    for (size_t bytes = 0; bytes < d.n; bytes += d.n / 7) {
        test_faults_on();
        test_disk_bytes(bytes);
        lk_code code = lk_ann_save(d.a, d.path, 77, d.stamps, d.s.n, &err);
        test_faults_off();
        assert_int_not_equal(code, LK_OK);
        assert_string_not_equal(err.text, "");
    }
    disk_drop(&d);
}

/* ---- what is asked for wrongly, and short memory ---- */

static void options_out_of_range_are_named(void **state)
{
    (void)state;
    static const struct {
        lk_ann_opts o;
        const char *field;
    } wrong[] = {
        {{.dim = 8, .M = 3}, "M"},
        {{.dim = 8, .M = LK_ANN_MAX_M + 1}, "M"},
        {{.dim = 8, .ef_construction = 7}, "ef_construction"},
        {{.dim = 8, .bits = 5}, "bits"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        lk_err err;
        lk_ann *a = NULL;
        test_code(lk_ann_new(lk_kern_best(), &wrong[i].o, &a, &err), LK_E_INVALID);
        assert_string_equal(err.field, wrong[i].field);
    }
}

static lk_code try_all(void *ctx, lk_err *err)
{
    on_disk *d = ctx;
    lk_ann *a = NULL;
    lk_ann_found f = {.n = 0};
    lk_ann_query q = {.vector = d->s.vectors, .k = 5, .matched = d->s.n};
    lk_code code = lk_ann_new(lk_kern_best(), &d->o, &a, err);
    if (code)
        return code;
    code = lk_ann_train(a, &d->s.rows, &d->s.all, 1, NULL, err);
    if (code == LK_OK)
        code = lk_ann_claim(a, &d->s.all, err);
    if (code == LK_OK)
        code = lk_ann_build(a, &d->s.rows, 1, NULL, NULL, NULL, err);
    if (code == LK_OK)
        code = lk_ann_search(a, &d->s.rows, &q, &f, err);
    lk_free(f.hits);
    if (code == LK_OK)
        code = lk_ann_save(a, d->path, 77, d->stamps, d->s.n, err);
    lk_ann_free(a);
    a = NULL;
    if (code == LK_OK)
        code = lk_ann_load(lk_kern_best(), &d->o, d->path, 77, 1, &a, err);
    size_t stale = 0;
    if (code == LK_OK)
        code = lk_ann_catch_up(a, &d->s.rows, &d->s.all, d->stamps, &stale, err);
    lk_ann_free(a);
    return code;
}

static void short_memory_is_told_and_leaves_nothing_behind(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        on_disk d;
        disk_make(&d, (lk_ann_kind)kind, 40);
        test_sweep(TEST_ALLOC, 0, LK_E_NOMEM, try_all, &d);
        disk_drop(&d);
    }
}

static void a_build_that_is_stopped_says_so(void **state)
{
    (void)state;
    test_set s;
    lk_err err;
    lk_ann *a = NULL;
    lk_cancel cancel = {true};
    test_set_make(&s, 500, 16, 5, 4, 11);
    lk_ann_opts o = opts_of(&s, LK_ANN_HNSW, LK_SCORE_DOT);
    test_ok(lk_ann_new(lk_kern_best(), &o, &a, &err), &err);
    test_ok(lk_ann_train(a, &s.rows, &s.all, 1, NULL, &err), &err);
    test_ok(lk_ann_claim(a, &s.all, &err), &err);
    test_code(lk_ann_build(a, &s.rows, 1, NULL, NULL, &cancel, &err), LK_E_CANCELED);
    lk_ann_free(a);
    test_set_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_finds_nearly_all_by_every_metric),
        cmocka_unit_test(filters_of_every_width_find_nearly_all),
        cmocka_unit_test(a_filter_that_matches_few_or_none_is_answered),
        cmocka_unit_test(more_than_there_are_is_all_there_are),
        cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(several_queries_at_once_give_the_answers_of_one_by_one),
        cmocka_unit_test(a_slot_is_found_from_putting_to_retiring),
        cmocka_unit_test(replacing_everything_three_times_costs_no_recall),
        cmocka_unit_test(searches_go_on_while_slots_come_and_go),
        cmocka_unit_test(what_was_saved_answers_as_before),
        cmocka_unit_test(what_changed_since_is_found_by_its_mark),
        cmocka_unit_test(a_damaged_file_is_never_taken),
        cmocka_unit_test(a_file_of_other_vectors_or_options_is_refused),
        cmocka_unit_test(a_file_as_it_was_first_written_is_read),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(options_out_of_range_are_named),
        cmocka_unit_test(short_memory_is_told_and_leaves_nothing_behind),
        cmocka_unit_test(a_build_that_is_stopped_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
