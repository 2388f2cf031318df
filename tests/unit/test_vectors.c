/* One suite for every driver of the family, on the embedded one and on `faulty` around it. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "store/vectors/driver.h"

#define DIM 8

/* ---- faulty: the nth call fails before it reaches the driver ---- */

typedef struct faulty {
    lk_vectors base;
    lk_vectors *inner;
} faulty;

static atomic_long calls_left = LONG_MAX;

static lk_code strike(lk_err *err)
{
    return atomic_fetch_sub(&calls_left, 1) == 1 ? lk_fail(err, LK_E_IO, "struck") : LK_OK;
}

static lk_vectors *in(lk_vectors *v)
{
    return ((faulty *)v)->inner;
}

static lk_code f_open(lk_vectors *v, const char *where, const lk_vectors_opts *o, lk_err *err)
{
    lk_code code = strike(err);
    if (code == LK_OK)
        code = lk_vectors_open_with(&lk_vectors_embedded, where, o, &((faulty *)v)->inner, err);
    if (code == LK_OK) {
        v->dim = in(v)->dim;
        v->metric = in(v)->metric;
    }
    return code;
}
static void f_close(lk_vectors *v)
{
    lk_vectors_close(in(v));
}
static lk_code f_upsert(lk_vectors *v, size_t n, const lk_vector_row *rows, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : in(v)->driver->upsert(in(v), n, rows, err);
}
static lk_code f_remove(lk_vectors *v, size_t n, const lk_str *ids, size_t *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : in(v)->driver->remove(in(v), n, ids, ret, err);
}
static lk_code f_search(lk_vectors *v, const lk_vectors_query *q, lk_arena *into,
                        lk_vectors_found *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : in(v)->driver->search(in(v), q, into, ret, err);
}
static lk_code f_get(lk_vectors *v, lk_str id, float *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : in(v)->driver->get(in(v), id, ret, err);
}
static lk_code f_scan(lk_vectors *v, const lk_filter *f, size_t limit, uint64_t *cursor,
                      lk_arena *into, lk_str **ret, size_t *ret_n, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : in(v)->driver->scan(in(v), f, limit, cursor, into, ret, ret_n, err);
}
static lk_code f_schema(lk_vectors *v, lk_arena *into, lk_schema *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : in(v)->driver->schema(in(v), into, ret, err);
}
static lk_code f_info(lk_vectors *v, lk_vectors_info *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : in(v)->driver->info(in(v), ret, err);
}
static lk_code f_values(lk_vectors *v, lk_str field, size_t limit, lk_arena *into,
                        lk_value_count **ret, size_t *ret_n, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : in(v)->driver->values(in(v), field, limit, into, ret, ret_n, err);
}

static const lk_vectors_driver faulty_embedded = {
    .name = "faulty",
    .size = sizeof(faulty),
    .open = f_open,
    .close = f_close,
    .upsert = f_upsert,
    .remove = f_remove,
    .search = f_search,
    .get = f_get,
    .scan = f_scan,
    .schema = f_schema,
    .info = f_info,
    .values = f_values,
};

/* ---- a store for each case ---- */

static const lk_vectors_driver *driver;
static char dir[TEST_PATH];
static char where[TEST_PATH];
static lk_vectors *store;

static void open_as(lk_metric metric, const char *originals)
{
    lk_err err;
    lk_vectors_opts o;
    lk_vectors_close(store);
    store = NULL;
    lk_vectors_opts_default(&o);
    o.dim = DIM;
    o.metric = metric;
    o.space = "test/1";
    o.originals = originals;
    o.create = true;
    test_ok(lk_vectors_open_with(driver, where, &o, &store, &err), &err);
}

static int open_store(void **state)
{
    const lk_vectors_driver **which = *state;
    driver = *which;
    test_dir_make(dir);
    test_path(dir, "collections/images", where);
    open_as(LK_METRIC_COSINE, NULL);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    lk_vectors_close(store);
    store = NULL;
    test_dir_remove(dir);
    return 0;
}

static void reopen(void)
{
    lk_err err;
    lk_vectors_close(store);
    store = NULL;
    test_ok(lk_vectors_open_with(driver, where, NULL, &store, &err), &err);
}

/* ---- rows ---- */

static void vector_of(uint64_t seed, float *ret)
{
    test_rng rng = {.s = seed * 977 + 1};
    for (size_t i = 0; i < DIM; i++)
        ret[i] = (float)(test_rng_unit(&rng) * 2 - 1);
}

static lk_attr text_attr(const char *name, const char *value)
{
    return (lk_attr){.name = lk_str_of(name), .value = {.type = LK_T_STR, .s = lk_str_of(value)}};
}

static lk_attr int_attr(const char *name, int64_t value)
{
    return (lk_attr){.name = lk_str_of(name), .value = {.type = LK_T_INT, .i = value}};
}

/* Row number i: id "id<i>", the vector of seed i, number = i, parity = odd or even. */
static void put_numbers(size_t from, size_t n, uint64_t seed_offset)
{
    lk_err err;
    lk_vector_row *rows = lk_calloc(n, sizeof *rows);
    float *vectors = lk_calloc(n * DIM, sizeof *vectors);
    lk_attr *attrs = lk_calloc(n * 2, sizeof *attrs);
    char(*ids)[16] = lk_calloc(n, sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        size_t number = from + i;
        snprintf(ids[i], sizeof ids[i], "id%zu", number);
        vector_of(number + seed_offset, vectors + i * DIM);
        attrs[2 * i] = int_attr("number", (int64_t)number);
        attrs[2 * i + 1] = text_attr("parity", number % 2 ? "odd" : "even");
        rows[i] = (lk_vector_row){.id = lk_str_of(ids[i]),
                                  .vector = vectors + i * DIM,
                                  .attrs = attrs + 2 * i,
                                  .n_attrs = 2};
    }
    test_ok(lk_vectors_upsert(store, n, rows, &err), &err);
    lk_free(rows);
    lk_free(vectors);
    lk_free(attrs);
    lk_free(ids);
}

static uint64_t count(void)
{
    lk_err err;
    lk_vectors_info info;
    test_ok(lk_vectors_info_of(store, &info, &err), &err);
    return info.n;
}

static void remove_one(const char *id)
{
    lk_err err;
    lk_str s = lk_str_of(id);
    size_t n = 0;
    test_ok(lk_vectors_delete(store, 1, &s, &n, &err), &err);
    assert_int_equal(n, 1);
}

/* Search for the vector of a seed under a filter's text (NULL: none). */
static void search(uint64_t seed, size_t k, const char *filter, lk_arena *arena,
                   lk_vectors_found *ret)
{
    lk_err err;
    float q[DIM];
    const lk_filter *f = NULL;
    vector_of(seed, q);
    if (filter) {
        lk_schema schema;
        test_ok(lk_vectors_schema(store, arena, &schema, &err), &err);
        test_ok(lk_filter_parse(lk_str_of(filter), arena, &f, &err), &err);
        test_ok(lk_filter_check(f, &schema, arena, &f, &err), &err);
    }
    lk_vectors_query query = {.vector = q, .k = k, .filter = f};
    test_ok(lk_vectors_search(store, &query, arena, ret, &err), &err);
}

/* The nearest to the vector of a seed is this id, with a score of one. */
static void expect_first(uint64_t seed, const char *id)
{
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_vectors_found found;
    search(seed, 1, NULL, &arena, &found);
    assert_int_equal(found.n, 1);
    if (!lk_str_is(found.hits[0].id, id))
        fail_msg("found %.*s, not %s", LK_STR_ARG(found.hits[0].id), id);
    assert_true(fabsf(found.hits[0].score - 1) < 2e-3f);
    lk_arena_release(&arena);
}

static size_t matches(const char *filter)
{
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_vectors_found found;
    search(1, 1, filter, &arena, &found);
    size_t n = found.matched;
    lk_arena_release(&arena);
    return n;
}

/* ---- the suite ---- */

static void what_is_upserted_is_found_also_after_reopening(void **state)
{
    (void)state;
    put_numbers(0, 300, 0);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < 300; i += 37) {
            char id[16];
            snprintf(id, sizeof id, "id%zu", i);
            expect_first(i, id);
        }
        assert_int_equal(count(), 300);
        assert_int_equal(matches("parity == 'odd'"), 150);
        assert_int_equal(matches("number < 10 and parity == 'even'"), 5);
        reopen();
    }
    lk_err err;
    test_ok(lk_vectors_verify(store, &err), &err);
}

static void a_search_equals_the_comparison_with_every_row(void **state)
{
    (void)state;
    put_numbers(0, 200, 0);
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_vectors_found found;
    search(5000, 200, NULL, &arena, &found);
    assert_int_equal(found.n, 200);
    assert_int_equal(found.matched, 200);
    float q[DIM], norm = 0;
    vector_of(5000, q);
    for (size_t i = 0; i < DIM; i++)
        norm += q[i] * q[i];
    for (size_t i = 0; i < found.n; i++) {
        float v[DIM], dot = 0, own = 0;
        vector_of((uint64_t)atoi(found.hits[i].id.p + 2), v);
        for (size_t j = 0; j < DIM; j++) {
            dot += v[j] * q[j];
            own += v[j] * v[j];
        }
        assert_true(fabsf(found.hits[i].score - dot / sqrtf(norm * own)) < 2e-3f);
        if (i)
            assert_true(found.hits[i - 1].score >= found.hits[i].score);
    }
    lk_vectors_found best;
    search(5000, 10, NULL, &arena, &best);
    for (size_t i = 0; i < 10; i++)
        assert_true(lk_str_eq(best.hits[i].id, found.hits[i].id));
    lk_arena_release(&arena);
}

static void ties_are_broken_by_id_also_at_the_cut(void **state)
{
    (void)state;
    lk_err err;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    float v[DIM];
    vector_of(1, v);
    /* Written in an order that is neither that of the ids nor its reverse. */
    for (size_t i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof id, "tie%02zu", i * 17 % 40);
        lk_vector_row row = {.id = lk_str_of(id), .vector = v};
        test_ok(lk_vectors_upsert(store, 1, &row, &err), &err);
    }
    put_numbers(100, 20, 0);
    for (size_t k = 1; k <= 40; k += 3) {
        lk_vectors_found found;
        search(1, k, NULL, &arena, &found);
        assert_int_equal(found.n, k);
        for (size_t i = 0; i < k; i++) {
            char id[16];
            snprintf(id, sizeof id, "tie%02zu", i);
            assert_true(lk_str_is(found.hits[i].id, id));
        }
    }
    lk_arena_release(&arena);
}

static void replacing_moves_the_vector_and_its_attributes(void **state)
{
    (void)state;
    put_numbers(0, 50, 0);
    put_numbers(0, 25, 1000);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(count(), 50);
        expect_first(1003, "id3");
        expect_first(30, "id30");
        lk_arena arena;
        lk_arena_init(&arena, 0);
        lk_vectors_found found;
        search(3, 50, NULL, &arena, &found);
        assert_int_equal(found.n, 50); /* no id twice */
        assert_true(found.hits[0].score < 0.999f);
        lk_arena_release(&arena);
        reopen();
    }
}

static void attributes_change_without_the_vector(void **state)
{
    (void)state;
    lk_err err;
    put_numbers(0, 10, 0);
    lk_attr attrs[] = {text_attr("parity", "none"), text_attr("brand", "acme")};
    attrs[1].in_metadata = true;
    lk_vector_row row = {.id = LK_STR("id4"), .attrs = attrs, .n_attrs = 2};
    test_ok(lk_vectors_upsert(store, 1, &row, &err), &err);
    for (int pass = 0; pass < 2; pass++) {
        expect_first(4, "id4");
        assert_int_equal(matches("parity == 'none'"), 1);
        assert_int_equal(matches("metadata['brand'] == 'acme'"), 1);
        assert_int_equal(matches("number is null"), 1); /* replaced whole */
        assert_int_equal(matches("parity == 'even'"), 4);
        reopen();
    }
    row.id = LK_STR("nobody");
    test_code(lk_vectors_upsert(store, 1, &row, &err), LK_E_NOT_FOUND);
    test_has(err.text, "'nobody'");
}

static void deleted_rows_are_gone_and_their_places_used_again(void **state)
{
    (void)state;
    lk_err err;
    put_numbers(0, 100, 0);
    for (size_t i = 0; i < 100; i += 2) {
        char id[16];
        snprintf(id, sizeof id, "id%zu", i);
        remove_one(id);
    }
    lk_str ids[] = {LK_STR("id0"), LK_STR("id1"), LK_STR("id1"), LK_STR("never")};
    size_t n = 9;
    test_ok(lk_vectors_delete(store, 4, ids, &n, &err), &err);
    assert_int_equal(n, 1);
    assert_int_equal(count(), 49);
    assert_int_equal(matches("parity == 'even'"), 0);
    for (size_t round = 0; round < 20; round++) {
        put_numbers(200, 40, round * 100);
        for (size_t i = 200; i < 240; i++) {
            char id[16];
            snprintf(id, sizeof id, "id%zu", i);
            remove_one(id);
        }
    }
    lk_vectors_info info;
    test_ok(lk_vectors_info_of(store, &info, &err), &err);
    assert_int_equal(info.n, 49);
    assert_true(info.n + info.deleted < 300); /* 800 rows passed through */
    reopen();
    assert_int_equal(count(), 49);
    expect_first(3, "id3");
    test_ok(lk_vectors_verify(store, &err), &err);
}

static void a_bad_batch_changes_nothing(void **state)
{
    (void)state;
    lk_err err = {0};
    put_numbers(0, 5, 0);
    float v[DIM], nan[DIM], zero[DIM] = {0};
    vector_of(77, v);
    memcpy(nan, v, sizeof nan);
    nan[3] = NAN;
    char long_id[LK_MAX_VECTOR_ID_BYTES + 1];
    memset(long_id, 'x', sizeof long_id);
    lk_attr wrong = text_attr("number", "seven");
    lk_attr real = {.name = LK_STR("number"), .value = {.type = LK_T_REAL, .d = 1.5}};
    lk_attr infinite = {.name = LK_STR("x"), .value = {.type = LK_T_REAL, .d = INFINITY}};
    lk_attr both[] = {text_attr("fresh", "a"), int_attr("fresh", 3)};
    const struct {
        lk_vector_row row;
        lk_code code;
        const char *says;
    } cases[] = {
        {{.id = LK_STR(""), .vector = v}, LK_E_INVALID, "empty"},
        {{.id = {"a\0b", 3}, .vector = v}, LK_E_INVALID, "NUL"},
        {{.id = {long_id, sizeof long_id}, .vector = v}, LK_E_LIMIT, "513"},
        {{.id = LK_STR("a"), .vector = nan}, LK_E_INVALID, "element 3 is not finite"},
        {{.id = LK_STR("a"), .vector = zero}, LK_E_INVALID, "zeros"},
        {{.id = LK_STR("a"), .vector = v, .attrs = &wrong, .n_attrs = 1}, LK_E_INVALID, "'number'"},
        {{.id = LK_STR("a"), .vector = v, .attrs = &real, .n_attrs = 1}, LK_E_INVALID, "'number'"},
        {{.id = LK_STR("a"), .vector = v, .attrs = &infinite, .n_attrs = 1},
         LK_E_INVALID,
         "not finite"},
        {{.id = LK_STR("a"), .vector = v, .attrs = both, .n_attrs = 2}, LK_E_INVALID, "'fresh'"},
        {{.id = LK_STR("id0")}, LK_E_INVALID, "twice"},
        {{.id = LK_STR("nobody")}, LK_E_NOT_FOUND, "nobody"},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_vector_row rows[] = {{.id = LK_STR("id0"), .vector = v}, cases[i].row};
        test_code(lk_vectors_upsert(store, 2, rows, &err), cases[i].code);
        test_has(err.text, cases[i].says);
        expect_first(0, "id0"); /* the good row before it was not taken either */
        assert_int_equal(count(), 5);
    }
    /* A type that was refused has left no trace: the name is still free. */
    lk_attr fresh = int_attr("fresh", 1);
    lk_vector_row row = {.id = LK_STR("b"), .vector = v, .attrs = &fresh, .n_attrs = 1};
    test_ok(lk_vectors_upsert(store, 1, &row, &err), &err);
    lk_vector_row many[1] = {{.id = LK_STR("a"), .vector = v}};
    test_code(lk_vectors_upsert(store, LK_MAX_BATCH_ROWS + 1, many, &err), LK_E_LIMIT);
    reopen();
    assert_int_equal(count(), 6);
}

static void bad_queries_are_refused_with_the_field(void **state)
{
    (void)state;
    lk_err err = {0};
    lk_arena arena;
    lk_arena_init(&arena, 0);
    float v[DIM], zero[DIM] = {0}, inf[DIM];
    vector_of(1, v);
    vector_of(1, inf);
    inf[0] = INFINITY;
    lk_vectors_found found = {.n = 99};
    lk_vectors_query q = {.vector = v, .k = 0};
    test_code(lk_vectors_search(store, &q, &arena, &found, &err), LK_E_INVALID);
    assert_string_equal(err.field, "k");
    q.k = LK_MAX_K + 1;
    test_code(lk_vectors_search(store, &q, &arena, &found, &err), LK_E_INVALID);
    q = (lk_vectors_query){.vector = zero, .k = 3};
    test_code(lk_vectors_search(store, &q, &arena, &found, &err), LK_E_INVALID);
    q.vector = inf;
    test_code(lk_vectors_search(store, &q, &arena, &found, &err), LK_E_INVALID);
    assert_string_equal(err.field, "vector");
    assert_int_equal(found.n, 99);
    q.vector = v; /* an empty collection has no hits, and that is no error */
    test_ok(lk_vectors_search(store, &q, &arena, &found, &err), &err);
    assert_int_equal(found.n, 0);
    put_numbers(0, 3, 0);
    q.k = LK_MAX_K;
    test_ok(lk_vectors_search(store, &q, &arena, &found, &err), &err);
    assert_int_equal(found.n, 3);
    lk_arena_release(&arena);
}

static void a_least_score_cuts_the_answer(void **state)
{
    (void)state;
    lk_err err;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    put_numbers(0, 100, 0);
    float v[DIM];
    vector_of(1, v);
    lk_vectors_found all, some;
    lk_vectors_query q = {.vector = v, .k = 100};
    test_ok(lk_vectors_search(store, &q, &arena, &all, &err), &err);
    q.has_min_score = true;
    q.min_score = all.hits[20].score;
    test_ok(lk_vectors_search(store, &q, &arena, &some, &err), &err);
    assert_int_equal(some.n, 21);
    assert_int_equal(some.matched, 100);
    lk_arena_release(&arena);
}

static void the_stored_vector_reads_back_as_written(void **state)
{
    (void)state;
    static const struct {
        lk_metric metric;
        const char *originals;
        float tolerance; /* relative to the largest element */
    } cases[] = {
        {LK_METRIC_COSINE, "f16", 1e-3f}, {LK_METRIC_COSINE, "f32", 1e-6f},
        {LK_METRIC_COSINE, "i8", 1e-2f},  {LK_METRIC_IP, "f16", 1e-3f},
        {LK_METRIC_IP, "f32", 0},         {LK_METRIC_L2, "f32", 0},
        {LK_METRIC_L2, "i8", 1e-2f},
    };
    for (size_t c = 0; c < LK_ARRAY_LEN(cases); c++) {
        lk_err err;
        char name[64];
        snprintf(name, sizeof name, "case%zu", c);
        test_path(dir, name, where);
        open_as(cases[c].metric, cases[c].originals);
        float v[DIM], back[DIM];
        vector_of(9, v);
        for (size_t i = 0; i < DIM; i++)
            v[i] *= 1000; /* not unit length */
        lk_vector_row row = {.id = LK_STR("a"), .vector = v};
        test_ok(lk_vectors_upsert(store, 1, &row, &err), &err);
        reopen();
        test_ok(lk_vectors_get(store, LK_STR("a"), back, &err), &err);
        for (size_t i = 0; i < DIM; i++)
            assert_true(fabsf(back[i] - v[i]) <= cases[c].tolerance * 1000);
        test_code(lk_vectors_get(store, LK_STR("b"), back, &err), LK_E_NOT_FOUND);
    }
}

static void each_metric_orders_and_scores_in_its_own_way(void **state)
{
    (void)state;
    lk_err err;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    const float rows[3][DIM] = {{1}, {10, 1}, {3, 3}};
    const float q[DIM] = {2};
    static const struct {
        lk_metric metric;
        const char *order;
        float first;
    } cases[] = {
        {LK_METRIC_COSINE, "012", 1},
        {LK_METRIC_IP, "120", 20},
        {LK_METRIC_L2, "021", -1},
    };
    for (size_t c = 0; c < 3; c++) {
        char name[64];
        snprintf(name, sizeof name, "metric%zu", c);
        test_path(dir, name, where);
        open_as(cases[c].metric, "f32");
        for (size_t i = 0; i < 3; i++) {
            char id[2] = {(char)('0' + i), 0};
            lk_vector_row row = {.id = lk_str_of(id), .vector = rows[i]};
            test_ok(lk_vectors_upsert(store, 1, &row, &err), &err);
        }
        lk_vectors_found found;
        lk_vectors_query query = {.vector = q, .k = 3};
        test_ok(lk_vectors_search(store, &query, &arena, &found, &err), &err);
        assert_int_equal(found.n, 3);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(found.hits[i].id.p[0], cases[c].order[i]);
        assert_true(fabsf(found.hits[0].score - cases[c].first) < 1e-5f);
    }
    lk_arena_release(&arena);
}

static void values_too_large_for_half_floats_are_refused(void **state)
{
    (void)state;
    lk_err err = {0};
    test_path(dir, "ip", where);
    open_as(LK_METRIC_IP, "f16");
    float v[DIM] = {1, 70000};
    lk_vector_row row = {.id = LK_STR("a"), .vector = v};
    test_code(lk_vectors_upsert(store, 1, &row, &err), LK_E_INVALID);
    test_has(err.text, "70000");
    assert_int_equal(count(), 0);
}

static void a_scan_visits_every_match_once(void **state)
{
    (void)state;
    lk_err err;
    put_numbers(0, 500, 0);
    remove_one("id100");
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_schema schema;
    const lk_filter *f = NULL;
    test_ok(lk_vectors_schema(store, &arena, &schema, &err), &err);
    test_ok(lk_filter_parse(LK_STR("number >= 90"), &arena, &f, &err), &err);
    test_ok(lk_filter_check(f, &schema, &arena, &f, &err), &err);
    for (size_t limit = 1; limit < 1000; limit = limit * 3 + 1) {
        bool seen[500] = {false};
        uint64_t cursor = 0;
        size_t n_seen = 0;
        do {
            lk_str *ids = NULL;
            size_t n = 0;
            test_ok(lk_vectors_scan(store, f, limit, &cursor, &arena, &ids, &n, &err), &err);
            assert_true(n <= limit);
            for (size_t i = 0; i < n; i++) {
                int number = atoi(ids[i].p + 2);
                assert_false(seen[number]);
                seen[number] = true;
                n_seen++;
            }
        } while (cursor);
        assert_int_equal(n_seen, 409);
        assert_false(seen[89] || seen[100]);
    }
    lk_arena_release(&arena);
}

static void values_are_counted_over_live_rows(void **state)
{
    (void)state;
    lk_err err;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_value_count *values = NULL;
    size_t n = 0;
    put_numbers(0, 99, 0);
    remove_one("id1");
    test_ok(lk_vectors_values(store, LK_STR("parity"), 10, &arena, &values, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_true(lk_str_is(values[0].value, "even"));
    assert_int_equal(values[0].n, 50);
    assert_int_equal(values[1].n, 48);
    test_ok(lk_vectors_values(store, LK_STR("parity"), 1, &arena, &values, &n, &err), &err);
    assert_int_equal(n, 1);
    test_ok(lk_vectors_values(store, LK_STR("number"), 10, &arena, &values, &n, &err), &err);
    assert_int_equal(n, 0);
    lk_arena_release(&arena);
}

static void another_space_dimension_or_owner_is_refused(void **state)
{
    (void)state;
    lk_err err = {0};
    lk_vectors_opts o;
    lk_vectors *v = NULL;
    lk_vectors_opts_default(&o);
    test_code(lk_vectors_open_with(driver, where, &o, &v, &err), LK_E_LOCKED);
    lk_vectors_close(store);
    store = NULL;
    o.space = "test/2";
    test_code(lk_vectors_open_with(driver, where, &o, &v, &err), LK_E_MODEL);
    o.space = NULL;
    o.dim = DIM + 1;
    test_code(lk_vectors_open_with(driver, where, &o, &v, &err), LK_E_INVALID);
    assert_string_equal(err.field, "dim");
    o.dim = 0;
    o.originals = "f32";
    test_code(lk_vectors_open_with(driver, where, &o, &v, &err), LK_E_INVALID);
    o.originals = "f64";
    test_code(lk_vectors_open_with(driver, where, &o, &v, &err), LK_E_INVALID);
    o.originals = NULL;
    o.index = "hsnw";
    test_code(lk_vectors_open_with(driver, where, &o, &v, &err), LK_E_INVALID);
    test_has(err.text, "did you mean 'hnsw'");
    char other[TEST_PATH];
    test_path(dir, "nowhere", other);
    o.index = NULL;
    test_code(lk_vectors_open_with(driver, other, &o, &v, &err), LK_E_NOT_FOUND);
    assert_false(lk_os_exists(other));
    assert_null(v);
    reopen();
}

/* ---- threads ---- */

typedef struct shared {
    atomic_bool stop;
    atomic_uint wrong;
    atomic_uint searches;
} shared;

/* Every row's vector is that of its number plus some multiple of 1000, so whatever is found must be
 * near what its id says; a row torn between two writes would not be. */
static void search_on(void *ctx)
{
    shared *sh = ctx;
    uint64_t seed = 1;
    while (!atomic_load(&sh->stop)) {
        lk_arena arena;
        lk_arena_init(&arena, 0);
        float q[DIM];
        vector_of(seed++ % 200, q);
        lk_vectors_found found = {0};
        lk_vectors_query query = {.vector = q, .k = 20};
        bool wrong = lk_vectors_search(store, &query, &arena, &found, NULL) != LK_OK;
        for (size_t i = 0; i < found.n; i++) {
            wrong |= !lk_str_starts(found.hits[i].id, LK_STR("id"));
            for (size_t j = 0; j < i; j++)
                wrong |= lk_str_eq(found.hits[i].id, found.hits[j].id);
            wrong |= found.hits[i].score > 1 || found.hits[i].score < -1;
        }
        if (wrong)
            atomic_fetch_add(&sh->wrong, 1);
        atomic_fetch_add(&sh->searches, 1);
        lk_arena_release(&arena);
    }
}

static void searches_go_on_while_rows_are_replaced_and_deleted(void **state)
{
    (void)state;
    lk_err err;
    shared sh = {.stop = false};
    lk_thread *threads[2];
    put_numbers(0, 200, 0);
    for (size_t i = 0; i < 2; i++)
        test_ok(lk_thread_start(&threads[i], "searcher", search_on, &sh, &err), &err);
    for (size_t round = 1; round <= 20 || atomic_load(&sh.searches) < 100; round++) {
        put_numbers(round * 7 % 150, 50, round * 1000);
        char id[16];
        snprintf(id, sizeof id, "id%zu", round % 200);
        lk_str s = lk_str_of(id);
        test_ok(lk_vectors_delete(store, 1, &s, NULL, &err), &err);
    }
    atomic_store(&sh.stop, true);
    for (size_t i = 0; i < 2; i++)
        lk_thread_join(threads[i]);
    assert_int_equal(atomic_load(&sh.wrong), 0);
    if (driver == &lk_vectors_embedded)
        test_ok(lk_vectors_verify(store, &err), &err);
}

static void write_shared(void *ctx)
{
    atomic_uint *wrong = ctx;
    for (size_t i = 0; i < 30; i++) {
        float v[DIM];
        char own[24];
        vector_of(i, v);
        snprintf(own, sizeof own, "own-%p-%zu", (void *)v, i); /* another stack, another id */
        /* "shared" is in every thread's batch: calls of one group that touch the same id. */
        lk_vector_row rows[] = {{.id = LK_STR("shared"), .vector = v},
                                {.id = lk_str_of(own), .vector = v}};
        if (lk_vectors_upsert(store, 2, rows, NULL))
            atomic_fetch_add(wrong, 1);
    }
}

static void writers_that_touch_the_same_id_at_once_all_get_through(void **state)
{
    (void)state;
    lk_err err;
    atomic_uint wrong = 0;
    lk_thread *threads[4];
    for (size_t i = 0; i < 4; i++)
        test_ok(lk_thread_start(&threads[i], "writer", write_shared, &wrong, &err), &err);
    for (size_t i = 0; i < 4; i++)
        lk_thread_join(threads[i]);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(count(), 4 * 30 + 1);
    reopen();
    assert_int_equal(count(), 4 * 30 + 1);
}

/* ---- faults ---- */

/* A new collection a run, else the log that failed runs leave would make each replay longer. */
static lk_code short_life(void *ctx, lk_err *err)
{
    size_t *run = ctx;
    lk_vectors *v = NULL;
    char path[TEST_PATH], name[32];
    lk_vectors_opts o;
    lk_vectors_opts_default(&o);
    o.dim = DIM;
    o.create = true;
    snprintf(name, sizeof name, "run%zu", (*run)++);
    test_path(dir, name, path);
    lk_arena arena;
    lk_arena_init(&arena, 0);
    float q[DIM], back[DIM];
    vector_of(1, q);
    lk_attr attrs[] = {text_attr("s", "x"), int_attr("i", 3)};
    lk_vector_row rows[] = {{.id = LK_STR("a"), .vector = q, .attrs = attrs, .n_attrs = 2},
                            {.id = LK_STR("b"), .vector = q}};
    lk_vector_row patch = {.id = LK_STR("b"), .attrs = attrs, .n_attrs = 1};
    lk_str id = LK_STR("a"), *ids = NULL;
    uint64_t cursor = 0;
    size_t n = 0;
    lk_vectors_found found;
    lk_vectors_query query = {.vector = q, .k = 1};
    lk_code code = lk_vectors_open_with(driver, path, &o, &v, err);
    if (code == LK_OK)
        code = lk_vectors_upsert(v, 2, rows, err);
    if (code == LK_OK)
        code = lk_vectors_upsert(v, 1, &patch, err);
    if (code == LK_OK)
        code = lk_vectors_search(v, &query, &arena, &found, err);
    if (code == LK_OK)
        code = lk_vectors_get(v, id, back, err);
    if (code == LK_OK)
        code = lk_vectors_scan(v, NULL, 10, &cursor, &arena, &ids, &n, err);
    if (code == LK_OK)
        code = lk_vectors_delete(v, 1, &id, &n, err);
    if (code == LK_OK)
        code = lk_vectors_delete(v, 1, &rows[1].id, &n, err);
    lk_vectors_close(v);
    lk_arena_release(&arena);
    return code;
}

/* The same over rows that are there; without strings, a replay needs no memory of its own. */
static lk_code short_visit(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_vectors *v = NULL;
    float q[DIM];
    vector_of(1, q);
    lk_attr number = int_attr("number", 3);
    lk_vector_row row = {.id = LK_STR("new"), .vector = q, .attrs = &number, .n_attrs = 1};
    size_t n = 0;
    lk_code code = lk_vectors_open_with(driver, where, NULL, &v, err);
    if (code == LK_OK)
        code = lk_vectors_upsert(v, 1, &row, err);
    if (code == LK_OK)
        code = lk_vectors_delete(v, 1, &row.id, &n, err);
    lk_vectors_close(v);
    return code;
}

static void running_out_of_memory_anywhere_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    lk_err err;
    size_t run = 0;
    put_numbers(0, 10, 0);
    lk_vectors_close(store);
    store = NULL;
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, short_life, &run);
    assert_true(run > 40);
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, short_visit, NULL);
    reopen();
    assert_int_equal(count(), 10);
    expect_first(7, "id7");
    test_ok(lk_vectors_verify(store, &err), &err);
}

static void a_call_that_fails_anywhere_is_told_and_does_no_harm(void **state)
{
    (void)state;
    size_t run = 0;
    for (long n = 1;; n++) {
        lk_err err;
        atomic_store(&calls_left, n);
        lk_code code = short_life(&run, &err);
        bool hit = atomic_load(&calls_left) <= 0;
        atomic_store(&calls_left, LONG_MAX);
        assert_int_equal(code, hit ? LK_E_IO : LK_OK);
        if (!hit)
            break;
        char path[TEST_PATH], name[32];
        lk_vectors *v = NULL;
        snprintf(name, sizeof name, "run%zu", run - 1);
        test_path(dir, name, path);
        code = lk_vectors_open_with(&lk_vectors_embedded, path, NULL, &v, &err);
        if (n > 1) {
            test_ok(code, &err);
            test_ok(lk_vectors_verify(v, &err), &err);
        }
        lk_vectors_close(v);
    }
    assert_true(run > 7);
}

#define ON(drv, fn)                                                                                \
    {                                                                                              \
#drv ": " #fn, fn, open_store, close_store, &drv##_driver                                  \
    }

#define SUITE(drv)                                                                                 \
    ON(drv, what_is_upserted_is_found_also_after_reopening),                                       \
        ON(drv, a_search_equals_the_comparison_with_every_row),                                    \
        ON(drv, ties_are_broken_by_id_also_at_the_cut),                                            \
        ON(drv, replacing_moves_the_vector_and_its_attributes),                                    \
        ON(drv, attributes_change_without_the_vector),                                             \
        ON(drv, deleted_rows_are_gone_and_their_places_used_again),                                \
        ON(drv, a_bad_batch_changes_nothing), ON(drv, bad_queries_are_refused_with_the_field),     \
        ON(drv, a_least_score_cuts_the_answer), ON(drv, the_stored_vector_reads_back_as_written),  \
        ON(drv, each_metric_orders_and_scores_in_its_own_way),                                     \
        ON(drv, values_too_large_for_half_floats_are_refused),                                     \
        ON(drv, a_scan_visits_every_match_once), ON(drv, values_are_counted_over_live_rows),       \
        ON(drv, another_space_dimension_or_owner_is_refused),                                      \
        ON(drv, searches_go_on_while_rows_are_replaced_and_deleted),                               \
        ON(drv, writers_that_touch_the_same_id_at_once_all_get_through),                           \
        ON(drv, running_out_of_memory_anywhere_is_told_and_leaks_nothing)

int main(void)
{
    const lk_vectors_driver *embedded_driver = &lk_vectors_embedded;
    const lk_vectors_driver *faulty_driver = &faulty_embedded;
    const struct CMUnitTest tests[] = {
        SUITE(embedded),
        SUITE(faulty),
        ON(faulty, a_call_that_fails_anywhere_is_told_and_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
