/* include/lookalike_vectors.h as a program of others would use it. The store beneath has its own
 * suites; here is what this face adds, and that errors come through with their fields. */
#include "support.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lookalike_vectors.h"

enum { DIM = 8 };

typedef struct scene {
    char dir[TEST_PATH], path[TEST_PATH];
    lookalike_vectors *v;
} scene;

#define ok(call)                                                                                   \
    do {                                                                                           \
        lookalike_error err_ = {0};                                                                \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err_.word, err_.text);                                   \
    } while (0)

/* The call fails with this word, about this field. */
#define refused(call, want_word, want_field)                                                       \
    do {                                                                                           \
        lookalike_error err_ = {0};                                                                \
        int code_ = (call);                                                                        \
        if (!code_ || code_ != err_.code || strcmp(err_.word, want_word) != 0 ||                   \
            strcmp(err_.field, want_field) != 0 || !err_.text[0])                                  \
            fail_msg("%s: %d, '%s' about '%s' (%s), not '%s' about '%s'", #call, code_, err_.word, \
                     err_.field, err_.text, want_word, want_field);                                \
    } while (0)

static lookalike_vectors_options new_options(void)
{
    return (lookalike_vectors_options){
        .size = sizeof(lookalike_vectors_options), .dim = DIM, .create = 1, .originals = "f32"};
}

static int set_up(void **state)
{
    scene *s = calloc(1, sizeof *s);
    lookalike_vectors_options o = new_options();
    test_dir_make(s->dir);
    test_path(s->dir, "vectors", s->path);
    ok(lookalike_vectors_open(s->path, &o, &s->v, &err_));
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    scene *s = *state;
    lookalike_vectors_close(s->v);
    test_dir_remove(s->dir);
    free(s);
    return 0;
}

/* A vector that leans to axis 0 the more, the smaller i is. */
static void lean(unsigned i, float *ret)
{
    memset(ret, 0, DIM * sizeof *ret);
    ret[0] = 1;
    ret[1 + i % (DIM - 1)] = 0.01F * (float)i;
}

/* n vectors "id-0" …, with {"i": i, "odd": …, "kind": "k<i % 3>"}. */
static void fill(lookalike_vectors *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        float x[DIM];
        char id[32], meta[96];
        const char *ids[] = {id}, *metas[] = {meta};
        lean(i, x);
        snprintf(id, sizeof id, "id-%u", i);
        snprintf(meta, sizeof meta, "{\"i\": %u, \"odd\": %s, \"kind\": \"k%u\", \"none\": null}",
                 i, i % 2 ? "true" : "false", i % 3);
        ok(lookalike_vectors_upsert(v, 1, ids, x, DIM, metas, &err_));
    }
}

static lookalike_vectors_query query_of(const float *x, size_t n)
{
    return (lookalike_vectors_query){
        .size = sizeof(lookalike_vectors_query), .n = n, .vectors = x, .dim = DIM};
}

static void what_is_stored_comes_back(void **state)
{
    scene *s = *state;
    float x[2][DIM], back[DIM];
    const char *ids[] = {"a", "ö/? 图"};
    lean(3, x[0]);
    lean(5, x[1]);
    x[1][0] = 7;
    ok(lookalike_vectors_upsert(s->v, 2, ids, x[0], DIM, NULL, &err_));
    for (int i = 0; i < 2; i++) {
        ok(lookalike_vectors_get(s->v, ids[i], back, DIM, &err_));
        for (int j = 0; j < DIM; j++)
            assert_float_equal(back[j], x[i][j], 1e-5F);
    }
    refused(lookalike_vectors_get(s->v, "b", back, DIM, &err_), "not_found", "id");
    refused(lookalike_vectors_get(s->v, "a", back, DIM - 1, &err_), "invalid", "dim");
    refused(lookalike_vectors_get(s->v, NULL, back, DIM, &err_), "invalid", "id");
}

static void several_queries_are_answered_in_one_call(void **state)
{
    scene *s = *state;
    float x[3][DIM];
    lookalike_vectors_answer *found = NULL;
    fill(s->v, 30);
    lean(0, x[0]);
    lean(20, x[1]);
    lean(11, x[2]);
    lookalike_vectors_query q = query_of(x[0], 3);
    q.k = 4;
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    static const char *const first[] = {"id-0", "id-20", "id-11"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(found[i].n, 4);
        assert_int_equal(found[i].matched, 30);
        assert_string_equal(found[i].plan, "flat");
        assert_string_equal(found[i].hits[0].id, first[i]);
        assert_float_equal(found[i].hits[0].score, 1, 1e-5F);
        for (int j = 1; j < 4; j++)
            assert_true(found[i].hits[j].score <= found[i].hits[j - 1].score);
    }
    lookalike_vectors_free(found);
    lookalike_vectors_free(NULL);
}

static void a_filter_a_least_score_and_k_bound_the_hits(void **state)
{
    scene *s = *state;
    float x[DIM];
    lookalike_vectors_answer *found = NULL;
    fill(s->v, 60);
    lean(0, x);
    lookalike_vectors_query q = query_of(x, 1);
    q.filter = "odd == true and kind in [\"k0\", \"k1\"] and metadata['i'] < 25.5";
    q.k = 100;
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    assert_int_equal(found->matched, 9); /* 1 3 7 9 13 15 19 21 25 */
    assert_int_equal(found->n, 9);
    assert_string_equal(found->hits[0].id, "id-1");
    lookalike_vectors_free(found);
    q.has_min_score = 1;
    q.min_score = 0.99F; /* a leaning of 0.1425 at most */
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    assert_int_equal(found->n, 5);
    assert_int_equal(found->matched, 9);
    lookalike_vectors_free(found);
    q = query_of(x, 1);
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    assert_int_equal(found->n, 10); /* k of 0 */
    lookalike_vectors_free(found);
}

static void a_search_of_nothing_finds_nothing(void **state)
{
    scene *s = *state;
    float x[DIM];
    lookalike_vectors_answer *found = NULL;
    lean(0, x);
    lookalike_vectors_query q = query_of(x, 1);
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    assert_int_equal(found->n, 0);
    lookalike_vectors_free(found);
    fill(s->v, 5);
    q.filter = "never_seen == 3"; /* a slip, unless it says that it means metadata */
    refused(lookalike_vectors_search(s->v, &q, &found, &err_), "invalid", "filter");
    q.filter = "metadata['never_seen'] == 3";
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    assert_int_equal(found->n, 0);
    assert_int_equal(found->matched, 0);
    lookalike_vectors_free(found);
    q = query_of(NULL, 0);
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    lookalike_vectors_free(found);
}

static void vectors_and_metadata_are_replaced_and_deleted(void **state)
{
    scene *s = *state;
    float x[DIM], back[DIM];
    lookalike_vectors_answer *found = NULL;
    const char *ids[] = {"id-1", "id-2", "nobody"}, *metas[] = {"{\"i\": 1000}", NULL};
    size_t deleted = 0;
    fill(s->v, 4);
    ok(lookalike_vectors_upsert(s->v, 2, ids, NULL, 0, metas, &err_));
    lean(1, x);
    ok(lookalike_vectors_get(s->v, "id-1", back, DIM, &err_));
    assert_float_equal(back[2], x[2], 1e-5F);
    lookalike_vectors_query q = query_of(x, 1);
    q.filter = "i == 1000 or i == 2"; /* id-2 has none any more */
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    assert_int_equal(found->n, 1);
    assert_string_equal(found->hits[0].id, "id-1");
    lookalike_vectors_free(found);
    refused(lookalike_vectors_upsert(s->v, 3, ids, NULL, 0, NULL, &err_), "not_found", "id");
    ok(lookalike_vectors_delete(s->v, 3, ids, &deleted, &err_));
    assert_int_equal(deleted, 2);
    ok(lookalike_vectors_delete(s->v, 3, ids, NULL, &err_));
    refused(lookalike_vectors_get(s->v, "id-1", back, DIM, &err_), "not_found", "id");
}

static void bad_rows_are_refused_by_field_and_change_nothing(void **state)
{
    scene *s = *state;
    float x[2][DIM], back[DIM];
    char longest[514];
    const char *ids[] = {"fine", "other"}, *twice[] = {"same", "same"}, *none[] = {"fine", NULL},
               *empty[] = {""}, *metas[] = {NULL, "{\"a\": [1]}"}, *broken[] = {"{\"a\": 1"},
               *list[] = {"[]"}, *text[] = {"{\"t\": \"x\"}"}, *number[] = {"{\"t\": 1}"};
    lean(1, x[0]);
    lean(2, x[1]);
    refused(lookalike_vectors_upsert(s->v, 2, twice, x[0], DIM, NULL, &err_), "invalid", "id");
    refused(lookalike_vectors_upsert(s->v, 2, none, x[0], DIM, NULL, &err_), "invalid", "id");
    refused(lookalike_vectors_upsert(s->v, 1, empty, x[0], DIM, NULL, &err_), "invalid", "id");
    refused(lookalike_vectors_upsert(s->v, 2, NULL, x[0], DIM, NULL, &err_), "invalid", "ids");
    refused(lookalike_vectors_upsert(s->v, 2, ids, x[0], DIM + 1, NULL, &err_), "invalid", "dim");
    refused(lookalike_vectors_upsert(s->v, 65537, ids, x[0], DIM, NULL, &err_), "limit", "n");
    refused(lookalike_vectors_upsert(s->v, 2, ids, x[0], DIM, metas, &err_), "invalid", "metadata");
    refused(lookalike_vectors_upsert(s->v, 1, ids, x[0], DIM, broken, &err_), "invalid",
            "metadata");
    refused(lookalike_vectors_upsert(s->v, 1, ids, x[0], DIM, list, &err_), "invalid", "metadata");
    x[1][3] = NAN;
    refused(lookalike_vectors_upsert(s->v, 2, ids, x[0], DIM, NULL, &err_), "invalid", "vector");
    x[1][3] = INFINITY;
    refused(lookalike_vectors_upsert(s->v, 2, ids, x[0], DIM, NULL, &err_), "invalid", "vector");
    memset(x[1], 0, sizeof x[1]);
    refused(lookalike_vectors_upsert(s->v, 2, ids, x[0], DIM, NULL, &err_), "invalid", "vector");
    refused(lookalike_vectors_get(s->v, "fine", back, DIM, &err_), "not_found", "id");

    memset(longest, 'x', sizeof longest);
    longest[513] = '\0';
    const char *long_id[] = {longest};
    refused(lookalike_vectors_upsert(s->v, 1, long_id, x[0], DIM, NULL, &err_), "limit", "id");
    longest[512] = '\0';
    ok(lookalike_vectors_upsert(s->v, 1, long_id, x[0], DIM, text, &err_));
    refused(lookalike_vectors_upsert(s->v, 1, ids, x[0], DIM, number, &err_), "invalid", "t");
    ok(lookalike_vectors_upsert(s->v, 0, NULL, NULL, 0, NULL, &err_));
    assert_int_not_equal(lookalike_vectors_upsert(s->v, 1, empty, x[0], DIM, NULL, NULL), 0);
}

static void bad_queries_are_refused_by_field(void **state)
{
    scene *s = *state;
    float x[2][DIM];
    lookalike_vectors_answer *found = NULL;
    lookalike_error at = {0};
    fill(s->v, 3);
    lean(0, x[0]);
    memset(x[1], 0, sizeof x[1]);
    const lookalike_vectors_query good = query_of(x[0], 1);
    lookalike_vectors_query q = good;
#define with(change, word, field)                                                                  \
    q = good;                                                                                      \
    q.change;                                                                                      \
    refused(lookalike_vectors_search(s->v, &q, &found, &err_), word, field)
    with(k = 16385, "invalid", "k");
    with(ef = -1, "invalid", "ef");
    with(nprobe = -1, "invalid", "nprobe");
    with(dim = DIM - 1, "invalid", "dim");
    with(vectors = NULL, "invalid", "vectors");
    with(n = 65537, "limit", "n");
    with(n = 2, "invalid", "vector"); /* the second is all zeros */
    with(size = 0, "invalid", "size");
    with(filter = "i >", "invalid", "filter");
    with(filter = "i == \"text\"", "invalid", "filter");
#undef with
    q = good;
    q.has_min_score = 1;
    q.min_score = NAN;
    refused(lookalike_vectors_search(s->v, &q, &found, &err_), "invalid", "min_score");
    refused(lookalike_vectors_search(s->v, NULL, &found, &err_), "invalid", "query");
    q = good;
    q.filter = "i ==";
    assert_int_not_equal(lookalike_vectors_search(s->v, &q, &found, &at), 0);
    assert_int_equal(at.column, 5);
    assert_null(found);
    q = good;
    q.k = 16384; /* over the count, and ef under k */
    q.ef = 1;
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    assert_int_equal(found->n, 3);
    lookalike_vectors_free(found);
}

static void bad_options_are_refused_by_field(void **state)
{
    scene *s = *state;
    char path[TEST_PATH];
    lookalike_vectors *v = NULL;
    test_path(s->dir, "another", path);
    const lookalike_vectors_options good = new_options();
    lookalike_vectors_options o;
#define with(change, field)                                                                        \
    o = good;                                                                                      \
    o.change;                                                                                      \
    refused(lookalike_vectors_open(path, &o, &v, &err_), "invalid", field)
    with(dim = 0, "dim");
    with(dim = 4097, "dim");
    with(metric = "euclid", "metric");
    with(index = "hnws", "index");
    with(originals = "f64", "originals");
    with(M = 3, "M");
    with(M = -1, "M");
    with(ef_construction = 7, "ef_construction");
    with(nlist = 65537, "nlist");
    with(size = 0, "size");
#undef with
    refused(lookalike_vectors_open(NULL, &good, &v, &err_), "invalid", "dir");
    refused(lookalike_vectors_open("", &good, &v, &err_), "invalid", "dir");
    refused(lookalike_vectors_open(path, NULL, &v, &err_), "not_found", "");
    assert_null(v);
}

static void a_folder_opens_once_and_with_what_it_was_made_with(void **state)
{
    scene *s = *state;
    lookalike_vectors *v = NULL;
    lookalike_vectors_options o = new_options();
    float back[DIM];
    refused(lookalike_vectors_open(s->path, NULL, &v, &err_), "locked", "");
    fill(s->v, 2);
    lookalike_vectors_close(s->v);
    s->v = NULL;
    o.dim = DIM + 1;
    refused(lookalike_vectors_open(s->path, &o, &v, &err_), "invalid", "dim");
    o = new_options();
    o.metric = "l2";
    refused(lookalike_vectors_open(s->path, &o, &v, &err_), "invalid", "metric");
    o = new_options();
    o.originals = "i8";
    refused(lookalike_vectors_open(s->path, &o, &v, &err_), "invalid", "originals");
    ok(lookalike_vectors_open(s->path, NULL, &s->v, &err_));
    ok(lookalike_vectors_get(s->v, "id-1", back, DIM, &err_));
}

static void a_folder_may_be_called_as_a_driver_is(void **state)
{
    scene *s = *state;
    char path[TEST_PATH];
    lookalike_vectors *v = NULL;
    lookalike_vectors_options o = new_options();
    test_path(s->dir, "a://b", path);
    ok(lookalike_vectors_open(path, &o, &v, &err_));
    lookalike_vectors_close(v);
    assert_true(lk_os_exists(path));
}

static void scores_are_of_the_metric(void **state)
{
    scene *s = *state;
    static const struct {
        const char *metric;
        float score; /* of {2, 0, …} for {3, 4, 0, …} */
    } cases[] = {{"cosine", 0.6F}, {"ip", 6}, {"l2", -4.1231056F}};
    float stored[DIM] = {2}, asked[DIM] = {3, 4};
    const char *ids[] = {"one"};
    for (size_t i = 0; i < 3; i++) {
        char path[TEST_PATH];
        lookalike_vectors *v = NULL;
        lookalike_vectors_answer *found = NULL;
        lookalike_vectors_info info = {.size = sizeof info};
        lookalike_vectors_options o = new_options();
        lookalike_vectors_query q = query_of(asked, 1);
        o.metric = cases[i].metric;
        test_path(s->dir, o.metric, path);
        ok(lookalike_vectors_open(path, &o, &v, &err_));
        ok(lookalike_vectors_upsert(v, 1, ids, stored, DIM, NULL, &err_));
        ok(lookalike_vectors_search(v, &q, &found, &err_));
        assert_float_equal(found->hits[0].score, cases[i].score, 1e-4F);
        ok(lookalike_vectors_stat(v, &info, &err_));
        assert_string_equal(info.metric, o.metric);
        lookalike_vectors_free(found);
        lookalike_vectors_close(v);
    }
}

static void one_and_4096_dimensions_are_taken(void **state)
{
    scene *s = *state;
    static float x[4096], back[4096];
    static const size_t dims[] = {1, 4096};
    const char *ids[] = {"one"};
    for (size_t i = 0; i < 4096; i++)
        x[i] = (float)(i + 1) / 4096;
    for (size_t i = 0; i < 2; i++) {
        char path[TEST_PATH];
        lookalike_vectors *v = NULL;
        lookalike_vectors_answer *found = NULL;
        lookalike_vectors_options o = new_options();
        lookalike_vectors_query q = query_of(x, 1);
        o.dim = q.dim = dims[i];
        test_path(s->dir, i ? "wide" : "narrow", path);
        ok(lookalike_vectors_open(path, &o, &v, &err_));
        ok(lookalike_vectors_upsert(v, 1, ids, x, dims[i], NULL, &err_));
        ok(lookalike_vectors_get(v, "one", back, dims[i], &err_));
        assert_float_equal(back[dims[i] - 1], x[dims[i] - 1], 1e-5F);
        ok(lookalike_vectors_search(v, &q, &found, &err_));
        assert_float_equal(found->hits[0].score, 1, 1e-4F);
        lookalike_vectors_free(found);
        lookalike_vectors_close(v);
    }
}

static void structs_of_an_older_and_a_newer_program_are_understood(void **state)
{
    scene *s = *state;
    struct {
        lookalike_vectors_info info;
        char later[64];
    } newer = {.info.size = sizeof newer};
    lookalike_vectors_info older = {.size = offsetof(lookalike_vectors_info, deleted)};
    fill(s->v, 3);
    older.deleted = 77;
    memset(newer.later, 'x', sizeof newer.later);
    ok(lookalike_vectors_stat(s->v, &older, &err_));
    assert_int_equal(older.n, 3);
    assert_int_equal(older.deleted, 77);
    ok(lookalike_vectors_stat(s->v, &newer.info, &err_));
    assert_int_equal(newer.info.size, sizeof newer);
    assert_int_equal(newer.info.dim, DIM);
    assert_int_equal(newer.later[0], 'x');
    float x[DIM];
    lookalike_vectors_answer *found = NULL;
    lean(0, x);
    lookalike_vectors_query q = query_of(x, 1);
    q.size = offsetof(lookalike_vectors_query, filter);
    q.filter = "of a program that has no filters (";
    ok(lookalike_vectors_search(s->v, &q, &found, &err_));
    assert_int_equal(found->n, 3);
    lookalike_vectors_free(found);
    newer.info.size = 3;
    refused(lookalike_vectors_stat(s->v, &newer.info, &err_), "invalid", "size");
}

/* ---- building ---- */

enum { MANY = 3000 };

static void fill_many(lookalike_vectors *v)
{
    enum { BATCH = 500 };
    static float x[BATCH][DIM];
    static char ids[BATCH][16], metas[BATCH][32];
    const char *id[BATCH], *meta[BATCH];
    test_rng rng = {.s = 8};
    for (unsigned first = 0; first < MANY; first += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            for (int j = 0; j < DIM; j++)
                x[i][j] = (float)(2 * test_rng_unit(&rng) - 1);
            snprintf(ids[i], sizeof ids[i], "m%u", first + i);
            snprintf(metas[i], sizeof metas[i], "{\"part\": %u}", i % 10);
            id[i] = ids[i];
            meta[i] = metas[i];
        }
        ok(lookalike_vectors_upsert(v, BATCH, id, x[0], DIM, meta, &err_));
    }
}

/* The share of the exact ten that a search through the index finds, over 40 queries. */
static double recall(lookalike_vectors *v, const char *filter, const char **ret_plan)
{
    enum { QUERIES = 40, K = 10 };
    static float x[QUERIES][DIM];
    lookalike_vectors_answer *exact = NULL, *found = NULL;
    test_rng rng = {.s = 9};
    size_t same = 0;
    for (int i = 0; i < QUERIES; i++)
        for (int j = 0; j < DIM; j++)
            x[i][j] = (float)(2 * test_rng_unit(&rng) - 1);
    lookalike_vectors_query q = query_of(x[0], QUERIES);
    q.k = K;
    q.filter = filter;
    q.ef = 100;
    q.nprobe = 30;
    ok(lookalike_vectors_search(v, &q, &found, &err_));
    q.exact = 1;
    ok(lookalike_vectors_search(v, &q, &exact, &err_));
    for (int i = 0; i < QUERIES; i++)
        for (int j = 0; j < K; j++)
            for (int l = 0; l < K; l++)
                same += strcmp(exact[i].hits[j].id, found[i].hits[l].id) == 0;
    *ret_plan = found->plan;
    assert_string_equal(exact->plan, "flat");
    lookalike_vectors_free(exact);
    lookalike_vectors_free(found);
    return (double)same / (QUERIES * K);
}

typedef struct seen {
    uint64_t calls, done, total;
    int stop;
} seen;

static int see(void *ctx, uint64_t done, uint64_t total)
{
    seen *s = ctx;
    s->calls++;
    s->done = done;
    s->total = total;
    return s->stop;
}

static void an_index_is_built_on_request(void **state)
{
    scene *s = *state;
    static const char *const kinds[] = {"hnsw", "ivf"}, *const plans[] = {"graph", "ivf"};
    const char *plan = NULL;
    fill_many(s->v);
    for (int i = 0; i < 2; i++) {
        seen progress = {0};
        lookalike_vectors_info info = {.size = sizeof info};
        lookalike_vectors_building b = {
            .size = sizeof b, .index = kinds[i], .M = 12, .progress = see, .ctx = &progress};
        ok(lookalike_vectors_build(s->v, &b, &err_));
        assert_true(progress.calls > 0);
        assert_int_equal(progress.done, progress.total);
        ok(lookalike_vectors_stat(s->v, &info, &err_));
        assert_string_equal(info.index, kinds[i]);
        assert_string_equal(info.asked, kinds[i]);
        assert_string_equal(info.state, "ready");
        assert_int_equal(info.n, MANY);
        assert_int_equal(info.M, 12);
        assert_float_equal(info.built, 1, 0);
        assert_true(recall(s->v, NULL, &plan) >= 0.95);
        assert_string_equal(plan, plans[i]);
        assert_true(recall(s->v, "part == 3", &plan) >= 0.95);
    }
}

static void a_build_stops_when_progress_says_so(void **state)
{
    scene *s = *state;
    const char *plan = NULL;
    seen progress = {.stop = 1};
    lookalike_vectors_building b = {
        .size = sizeof b, .index = "hnsw", .threads = 1, .progress = see, .ctx = &progress};
    fill_many(s->v);
    refused(lookalike_vectors_build(s->v, &b, &err_), "canceled", "");
    assert_true(progress.done < progress.total);
    assert_true(recall(s->v, NULL, &plan) >= 0.95);
    b.threads = -1;
    refused(lookalike_vectors_build(s->v, &b, &err_), "invalid", "threads");
    b = (lookalike_vectors_building){.size = sizeof b, .M = 500};
    refused(lookalike_vectors_build(s->v, &b, &err_), "invalid", "M");
    b = (lookalike_vectors_building){.size = sizeof b, .index = "flat"};
    ok(lookalike_vectors_build(s->v, &b, &err_));
    ok(lookalike_vectors_build(s->v, NULL, &err_));
}

/* ---- short memory ---- */

static lk_code open_write_search(void *ctx, lk_err *err)
{
    const scene *s = ctx;
    float x[DIM];
    char path[TEST_PATH];
    lookalike_vectors *v = NULL;
    lookalike_vectors_answer *found = NULL;
    lookalike_vectors_options o = new_options();
    lookalike_error e = {0};
    const char *ids[] = {"a"}, *metas[] = {"{\"kind\": \"x\", \"n\": 3}"};
    lean(1, x);
    lookalike_vectors_query q = query_of(x, 1);
    q.filter = "kind == \"x\" and n < 4";
    test_path(s->dir, "short", path);
    int code = lookalike_vectors_open(path, &o, &v, &e);
    if (!code)
        code = lookalike_vectors_upsert(v, 1, ids, x, DIM, metas, &e);
    if (!code)
        code = lookalike_vectors_search(v, &q, &found, &e);
    if (!code)
        assert_int_equal(found->n, 1);
    if (!code)
        code = lookalike_vectors_delete(v, 1, ids, NULL, &e);
    lookalike_vectors_free(found);
    lookalike_vectors_close(v);
    if (lk_os_exists(path)) /* else each try would replay, and allocate, more than the last */
        test_dir_remove(path);
    *err = (lk_err){.code = (lk_code)e.code};
    snprintf(err->text, sizeof err->text, "%s", e.text);
    return (lk_code)code;
}

static void short_memory_is_an_error_and_leaks_nothing(void **state)
{
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, open_write_search, *state);
}

static void the_version_is_told(void **state)
{
    (void)state;
    assert_string_equal(lookalike_vectors_version(), LK_VERSION);
}

#define t(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        t(what_is_stored_comes_back),
        t(several_queries_are_answered_in_one_call),
        t(a_filter_a_least_score_and_k_bound_the_hits),
        t(a_search_of_nothing_finds_nothing),
        t(vectors_and_metadata_are_replaced_and_deleted),
        t(bad_rows_are_refused_by_field_and_change_nothing),
        t(bad_queries_are_refused_by_field),
        t(bad_options_are_refused_by_field),
        t(a_folder_opens_once_and_with_what_it_was_made_with),
        t(a_folder_may_be_called_as_a_driver_is),
        t(scores_are_of_the_metric),
        t(one_and_4096_dimensions_are_taken),
        t(structs_of_an_older_and_a_newer_program_are_understood),
        t(an_index_is_built_on_request),
        t(a_build_stops_when_progress_says_so),
        t(short_memory_is_an_error_and_leaks_nothing),
        cmocka_unit_test(the_version_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
