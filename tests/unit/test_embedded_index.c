/* The index beside an embedded collection's rows: it follows every change, is found again at the
 * next open, and is never trusted further than the rows bear it out. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "store/vectors/vectors.h"

#define DIM 24
#if defined(__SANITIZE_THREAD__) /* which takes fifty times as long */
#define N 1000
#else
#define N 3000
#endif
#define BATCH 250
#define K 10

static char dir[TEST_PATH], where[TEST_PATH];
static lk_vectors *store;
static float latest[N][DIM];

static lk_code open_as(const char *kind, lk_err *err)
{
    lk_vectors_opts o;
    lk_vectors_opts_default(&o);
    o.dim = DIM;
    o.metric = LK_METRIC_COSINE;
    o.create = true;
    o.index = kind;
    return lk_vectors_open(where, &o, &store, err);
}

static void open_kind(const char *kind)
{
    lk_err err;
    lk_vectors_close(store);
    store = NULL;
    test_ok(open_as(kind, &err), &err);
}

static int set_up(void **state)
{
    (void)state;
    test_dir_make(dir);
    test_path(dir, "c", where);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lk_vectors_close(store);
    store = NULL;
    test_dir_remove(dir);
    return 0;
}

/* Forty heaps, so that neighbours mean something. */
static void vector_of(size_t i, size_t generation, float *ret)
{
    test_rng heap = {.s = (i + generation * 7) % 40 + 1},
             own = {.s = i * 131 + generation * 999983};
    for (size_t j = 0; j < DIM; j++)
        ret[j] = (float)(test_rng_unit(&heap) * 2 - 1 + (test_rng_unit(&own) - 0.5) * 0.8);
}

static void put(size_t from, size_t n, size_t generation)
{
    lk_err err;
    lk_vector_row rows[BATCH];
    lk_attr attrs[BATCH];
    char ids[BATCH][16];
    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "%zu", from + i);
        vector_of(from + i, generation, latest[from + i]);
        attrs[i] = (lk_attr){.name = LK_STR("third"),
                             .value = {.type = LK_T_BOOL, .b = (from + i) % 3 == 0}};
        rows[i] = (lk_vector_row){
            .id = lk_str_of(ids[i]), .vector = latest[from + i], .attrs = &attrs[i], .n_attrs = 1};
    }
    test_ok(lk_vectors_upsert(store, n, rows, &err), &err);
}

static void put_all(size_t generation)
{
    for (size_t i = 0; i < N; i += BATCH)
        put(i, BATCH, generation);
}

static void take(size_t i)
{
    lk_err err;
    char id[16];
    size_t n = 0;
    snprintf(id, sizeof id, "%zu", i);
    test_ok(lk_vectors_delete(store, 1, &(lk_str){id, strlen(id)}, &n, &err), &err);
    assert_int_equal(n, 1);
}

static lk_vectors_info wait_for(const char *kind)
{
    lk_err err;
    lk_vectors_info info;
    for (int ms = 0; ms < 60000; ms += 5) {
        test_ok(lk_vectors_info_of(store, &info, &err), &err);
        if (strcmp(info.index, kind) == 0 && strcmp(info.state, "ready") == 0 && info.built >= 1)
            return info;
        usleep(5000);
    }
    fail_msg("after a minute the index is %s, %s, %.2f", info.index, info.state, info.built);
    return info;
}

static lk_vectors_found search(const float *q, const lk_filter *f, bool exact, lk_arena *into)
{
    lk_err err;
    lk_vectors_found found;
    lk_vectors_query query = {.vector = q, .k = K, .filter = f, .exact = exact, .nprobe = 24};
    test_ok(lk_vectors_search(store, &query, into, &found, &err), &err);
    return found;
}

/* Against comparing every row; also, every score is the right one for its id. */
static void check_recall(double floor, const char *plan)
{
    size_t hits = 0, wanted = 0;
    for (size_t i = 0; i < 50; i++) {
        float q[DIM];
        lk_arena arena;
        lk_arena_init(&arena, 0);
        vector_of(i * 61, 77, q);
        lk_vectors_found a = search(q, NULL, false, &arena), x = search(q, NULL, true, &arena);
        assert_string_equal(a.plan, plan);
        assert_int_equal(a.n, K);
        assert_int_equal(a.matched, x.matched);
        for (size_t j = 0; j < K; j++)
            for (size_t l = 0; l < K; l++)
                if (lk_str_eq(a.hits[j].id, x.hits[l].id)) {
                    hits++;
                    assert_true(a.hits[j].score == x.hits[l].score);
                }
        wanted += K;
        lk_arena_release(&arena);
    }
    if ((double)hits < floor * (double)wanted)
        fail_msg("%s: %zu of %zu, %.2f expected", plan, hits, wanted, floor);
}

static bool finds(size_t i)
{
    lk_arena arena;
    char id[16];
    lk_arena_init(&arena, 0);
    snprintf(id, sizeof id, "%zu", i);
    lk_vectors_found f = search(latest[i], NULL, false, &arena);
    bool found = false;
    for (size_t j = 0; j < f.n; j++)
        found = found || (lk_str_is(f.hits[j].id, id) && f.hits[j].score > 0.999f);
    lk_arena_release(&arena);
    return found;
}

/* ---- kinds ---- */

static void a_collection_that_wants_an_index_gets_it_behind_searches(void **state)
{
    (void)state;
    static const char *const kinds[] = {"hnsw", "ivf"};
    static const char *const plans[] = {"graph", "ivf"};
    for (size_t i = 0; i < 2; i++) {
        open_kind("flat");
        put_all(0);
        open_kind(kinds[i]);
        assert_true(finds(5)); /* whatever is built by now */
        wait_for(kinds[i]);
        check_recall(0.95, plans[i]);
    }
}

static void a_small_collection_left_to_itself_compares_all(void **state)
{
    (void)state;
    open_kind(NULL);
    put_all(0);
    lk_vectors_info info = wait_for("flat");
    assert_string_equal(info.asked, "auto");
    check_recall(1, "flat");
}

static void options_change_the_index_behind_searches(void **state)
{
    (void)state;
    lk_err err;
    lk_vectors_opts o;
    open_kind("hnsw");
    put_all(0);
    wait_for("hnsw");
    lk_vectors_opts_default(&o);
    o.index = "ivf";
    o.nlist = 33;
    test_ok(lk_vectors_tune(store, &o, &err), &err);
    assert_int_equal(wait_for("ivf").nlist, 33);
    check_recall(0.95, "ivf");
    o.index = "flat";
    test_ok(lk_vectors_tune(store, &o, &err), &err);
    wait_for("flat");
    check_recall(1, "flat");
    open_kind(NULL); /* it was kept */
    lk_vectors_info info = wait_for("flat");
    assert_string_equal(info.asked, "flat");
    o.index = "hnsw";
    o.M = 3;
    test_code(lk_vectors_tune(store, &o, &err), LK_E_INVALID);
    assert_string_equal(err.field, "M");
}

static void count_progress(void *ctx, uint64_t done, uint64_t total)
{
    size_t *n = ctx;
    assert_true(done <= total);
    *n += done == total;
}

static void building_by_hand_tells_progress_and_can_be_stopped(void **state)
{
    (void)state;
    lk_err err;
    lk_vectors_opts o;
    size_t done = 0;
    open_kind("flat");
    put_all(0);
    lk_vectors_opts_default(&o);
    o.index = "hnsw";
    lk_cancel cancel = {true};
    test_code(lk_vectors_build(store, &o, 1, NULL, NULL, &cancel, &err), LK_E_CANCELED);
    assert_true(finds(7));
    test_ok(lk_vectors_build(store, &o, 2, count_progress, &done, NULL, &err), &err);
    assert_int_equal(done, 1);
    wait_for("hnsw");
    check_recall(0.95, "graph");
}

/* ---- following the rows ---- */

static void what_is_written_is_found_at_once_and_what_is_gone_is_not(void **state)
{
    (void)state;
    open_kind("hnsw");
    put_all(0);
    wait_for("hnsw");
    put(100, BATCH, 1);
    for (size_t i = 100; i < 100 + BATCH; i++)
        assert_true(finds(i));
    for (size_t i = 500; i < 700; i++)
        take(i);
    for (size_t i = 500; i < 700; i++)
        assert_false(finds(i));
    check_recall(0.95, "graph");
}

static void filters_go_through_the_index(void **state)
{
    (void)state;
    lk_err err;
    lk_arena arena;
    lk_schema schema;
    const lk_filter *f = NULL;
    open_kind("hnsw");
    put_all(0);
    wait_for("hnsw");
    lk_arena_init(&arena, 0);
    test_ok(lk_vectors_schema(store, &arena, &schema, &err), &err);
    test_ok(lk_filter_parse(LK_STR("third == true"), &arena, &f, &err), &err);
    test_ok(lk_filter_check(f, &schema, &arena, &f, &err), &err);
    size_t hits = 0;
    for (size_t i = 0; i < 40; i++) {
        lk_vectors_found a = search(latest[i * 50 % N], f, false, &arena);
        lk_vectors_found x = search(latest[i * 50 % N], f, true, &arena);
        assert_string_equal(a.plan, "scan");
        assert_int_equal(a.matched, (N + 2) / 3);
        for (size_t j = 0; j < a.n; j++)
            for (size_t l = 0; l < x.n; l++)
                hits += lk_str_eq(a.hits[j].id, x.hits[l].id);
    }
    assert_true(hits >= 40 * K * 95 / 100);
    lk_arena_release(&arena);
}

typedef struct searcher {
    atomic_bool stop;
    atomic_size_t n;
} searcher;

static void *search_on(void *ctx)
{
    searcher *s = ctx;
    for (size_t i = 0; !atomic_load(&s->stop); i++) {
        float q[DIM];
        lk_arena arena;
        lk_arena_init(&arena, 0);
        vector_of(i, 5, q);
        lk_vectors_found f = search(q, NULL, false, &arena);
        assert_int_equal(f.n, K);
        for (size_t j = 1; j < f.n; j++)
            assert_true(f.hits[j - 1].score >= f.hits[j].score);
        lk_arena_release(&arena);
        atomic_fetch_add(&s->n, 1);
    }
    return NULL;
}

static void replacing_everything_three_times_over_keeps_recall_and_slots(void **state)
{
    (void)state;
    lk_err err;
    lk_vectors_info info;
    searcher s = {.n = 0};
    pthread_t thread;
    open_kind("hnsw");
    put_all(0);
    wait_for("hnsw");
    assert_int_equal(pthread_create(&thread, NULL, search_on, &s), 0);
    for (size_t generation = 1; generation <= 3; generation++)
        for (size_t i = 0; i < N; i += BATCH) {
            put(i, BATCH, generation);
            for (int ms = 0; ms < 5000; ms++) { /* let the index come along, as it would */
                test_ok(lk_vectors_info_of(store, &info, &err), &err);
                if (info.built >= 1)
                    break;
                usleep(1000);
            }
        }
    atomic_store(&s.stop, true);
    pthread_join(thread, NULL);
    assert_true(atomic_load(&s.n) > 0);
    wait_for("hnsw");
    for (size_t i = 0; i < N; i += 17)
        assert_true(finds(i));
    check_recall(0.95, "graph");
    test_ok(lk_vectors_info_of(store, &info, &err), &err);
    assert_int_equal(info.n, N);
    assert_true(info.deleted < 2 * N); /* of 3 N: slots are used again */
}

/* ---- the file ---- */

static void read_index(unsigned char **ret, size_t *ret_n)
{
    lk_err err;
    char path[TEST_PATH];
    test_path(where, "index", path);
    test_ok(lk_os_read_file(path, 0, ret, ret_n, &err), &err);
}

static void write_index(const void *p, size_t n)
{
    char path[TEST_PATH];
    test_path(where, "index", path);
    test_write(path, p, n);
}

static void it_is_there_when_the_collection_is_opened_again(void **state)
{
    (void)state;
    unsigned char *before = NULL, *after = NULL;
    size_t n = 0, m = 0;
    open_kind("hnsw");
    put_all(0);
    wait_for("hnsw");
    lk_vectors_close(store);
    store = NULL;
    read_index(&before, &n);
    open_kind(NULL);
    lk_vectors_info info;
    assert_int_equal(lk_vectors_info_of(store, &info, NULL), LK_OK);
    assert_string_equal(info.index, "hnsw");
    assert_string_equal(info.state, "ready");
    check_recall(0.95, "graph");
    lk_vectors_close(store);
    store = NULL;
    read_index(&after, &m);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n); /* nothing was built, nothing was written */
    lk_free(before);
    lk_free(after);
}

/* As a crash leaves it: rows have moved on, slots have been used again, the index is an old one. */
static void an_old_file_is_caught_up_with_the_rows(void **state)
{
    (void)state;
    unsigned char *old = NULL;
    size_t n = 0;
    open_kind("hnsw");
    put_all(0);
    wait_for("hnsw");
    lk_vectors_close(store);
    store = NULL;
    read_index(&old, &n);
    open_kind(NULL);
    for (size_t generation = 1; generation < 3; generation++) {
        put_all(generation);
        wait_for("hnsw");
    }
    for (size_t i = 0; i < 50; i++)
        take(i);
    lk_vectors_close(store);
    store = NULL;
    write_index(old, n);
    lk_free(old);
    open_kind(NULL);
    for (size_t i = 0; i < N; i += 7)
        assert_int_equal(finds(i), i >= 50);
    wait_for("hnsw");
    check_recall(0.95, "graph");
    put_all(4);
    for (size_t i = 0; i < N; i += 7)
        assert_true(finds(i));
}

static void a_damaged_file_is_built_anew(void **state)
{
    (void)state;
    unsigned char *p = NULL;
    size_t n = 0;
    open_kind("hnsw");
    put_all(0);
    wait_for("hnsw");
    lk_vectors_close(store);
    store = NULL;
    read_index(&p, &n);
    for (size_t i = 0; i < 6; i++) {
        size_t at = i < 2 ? i * 9 : 4096 + (n - 4096) / 6 * i, cut = i == 5 ? n / 2 : n;
        p[at] ^= 4;
        write_index(p, cut);
        p[at] ^= 4;
        open_kind(NULL);
        assert_true(finds(11));
        wait_for("hnsw");
        check_recall(0.95, "graph");
        lk_vectors_close(store);
        store = NULL;
    }
    lk_free(p);
}

static void a_disk_that_is_full_for_the_index_loses_nothing(void **state)
{
    (void)state;
    open_kind("flat");
    put_all(0);
    lk_vectors_close(store);
    store = NULL;
    test_faults_on();
    test_disk_bytes(100000);
    lk_err err;
    test_ok(open_as("hnsw", &err), &err);
    wait_for("hnsw");
    check_recall(0.95, "graph");
    lk_vectors_close(store);
    store = NULL;
    test_faults_off();
    open_kind(NULL);
    assert_true(finds(11));
    wait_for("hnsw");
    check_recall(0.95, "graph");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_collection_that_wants_an_index_gets_it_behind_searches,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_small_collection_left_to_itself_compares_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(options_change_the_index_behind_searches, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(building_by_hand_tells_progress_and_can_be_stopped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_written_is_found_at_once_and_what_is_gone_is_not,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(filters_go_through_the_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            replacing_everything_three_times_over_keeps_recall_and_slots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_there_when_the_collection_is_opened_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_old_file_is_caught_up_with_the_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_built_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_is_full_for_the_index_loses_nothing, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
