/* One suite for every driver of the family: it runs on the driver itself and on `faulty` around it,
 * which passes calls on until one is to fail. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "store/records/driver.h"

/* ---- faulty: the nth call fails before it reaches the driver ---- */

typedef struct faulty {
    lk_records base;
    lk_records *inner;
} faulty;

static atomic_long calls_left = LONG_MAX; /* shared with the driver's calls from any thread */

static lk_code strike(lk_err *err)
{
    return atomic_fetch_sub(&calls_left, 1) == 1 ? lk_fail(err, LK_E_IO, "struck") : LK_OK;
}

static lk_records *inner_of(lk_records *r)
{
    return ((faulty *)r)->inner;
}

static lk_code f_open(lk_records *r, const char *where, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code
                : lk_records_open_with(&lk_records_sqlite, where, &((faulty *)r)->inner, err);
}
static void f_close(lk_records *r)
{
    lk_records_close(inner_of(r));
}
static lk_code f_put(lk_records *r, size_t n, const lk_record_row *rows, bool replace, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : inner_of(r)->driver->put(inner_of(r), n, rows, replace, err);
}
static lk_code f_get_many(lk_records *r, size_t n, const lk_str *ids, lk_arena *into,
                          lk_record_row *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : inner_of(r)->driver->get_many(inner_of(r), n, ids, into, ret, err);
}
static lk_code f_remove(lk_records *r, size_t n, const lk_str *ids, size_t *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : inner_of(r)->driver->remove(inner_of(r), n, ids, ret, err);
}
static lk_code f_find_object(lk_records *r, const lk_sha256 *object, lk_arena *into, lk_str *ret,
                             lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : inner_of(r)->driver->find_object(inner_of(r), object, into, ret, err);
}
static lk_code f_count(lk_records *r, uint64_t *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : inner_of(r)->driver->count(inner_of(r), ret, err);
}
static lk_code f_list(lk_records *r, bool has_after, int64_t ms, lk_str id, size_t limit, bool down,
                      lk_arena *into, lk_record_row *ret, size_t *ret_n, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code
                : inner_of(r)->driver->list(inner_of(r), has_after, ms, id, limit, down, into, ret,
                                            ret_n, err);
}
static lk_code f_page(lk_records *r, lk_str after, size_t limit, lk_arena *into, lk_record_row *ret,
                      size_t *ret_n, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code
                : inner_of(r)->driver->page(inner_of(r), after, limit, into, ret, ret_n, err);
}
static lk_code f_meta_put(lk_records *r, lk_str key, lk_str value, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : inner_of(r)->driver->meta_put(inner_of(r), key, value, err);
}
static lk_code f_meta_get(lk_records *r, lk_str key, lk_arena *into, lk_str *ret, lk_err *err)
{
    lk_code code = strike(err);
    return code ? code : inner_of(r)->driver->meta_get(inner_of(r), key, into, ret, err);
}

static const lk_records_driver faulty_sqlite = {
    .name = "faulty",
    .size = sizeof(faulty),
    .open = f_open,
    .close = f_close,
    .put = f_put,
    .get_many = f_get_many,
    .remove = f_remove,
    .find_object = f_find_object,
    .count = f_count,
    .list = f_list,
    .page = f_page,
    .meta_put = f_meta_put,
    .meta_get = f_meta_get,
};

/* ---- the suite ---- */

static const lk_records_driver *driver;
static char dir[TEST_PATH];
static char where[TEST_PATH];
static lk_records *store;

static int open_store(void **state)
{
    const lk_records_driver **which = *state;
    lk_err err;
    driver = *which;
    test_dir_make(dir);
    test_path(dir, "sub/records.db", where);
    test_ok(lk_records_open_with(driver, where, &store, &err), &err);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    lk_records_close(store);
    store = NULL;
    test_dir_remove(dir);
    return 0;
}

static void reopen(void)
{
    lk_err err;
    lk_records_close(store);
    store = NULL;
    test_ok(lk_records_open_with(driver, where, &store, &err), &err);
}

static lk_record_row row_of(const char *id, unsigned char object, int64_t ms, const char *doc)
{
    lk_record_row row = {.id = lk_str_of(id), .created_ms = ms, .doc = lk_str_of(doc)};
    memset(row.object.b, object, sizeof row.object.b);
    return row;
}

static void put(const char *id, unsigned char object, int64_t ms, const char *doc)
{
    lk_err err;
    lk_record_row row = row_of(id, object, ms, doc);
    test_ok(lk_records_put(store, 1, &row, true, &err), &err);
}

static void expect_doc(const char *id, const char *doc)
{
    lk_err err;
    lk_arena arena;
    lk_record_row row = {0};
    lk_arena_init(&arena, 0);
    lk_code code = lk_records_get(store, lk_str_of(id), &arena, &row, &err);
    if (!doc) {
        test_code(code, LK_E_NOT_FOUND);
    } else {
        test_ok(code, &err);
        assert_int_equal(row.doc.n, strlen(doc));
        assert_memory_equal(row.doc.p, doc, row.doc.n);
        assert_true(lk_str_is(row.id, id));
    }
    lk_arena_release(&arena);
}

static uint64_t count(void)
{
    uint64_t n = 0;
    lk_err err;
    test_ok(lk_records_count(store, &n, &err), &err);
    return n;
}

static void a_record_reads_back_as_written_also_after_reopening(void **state)
{
    (void)state;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_err err;
    lk_record_row row = {0};
    put("a", 7, -5, "{\"x\":1}");
    put("\xe7\xba\xa2/ ' \" %", 8, INT64_MAX, "{\"\xe7\xba\xa2\":\"\xf0\x9f\x98\x80\"}");
    reopen();
    test_ok(lk_records_get(store, LK_STR("a"), &arena, &row, &err), &err);
    assert_int_equal(row.created_ms, -5);
    assert_int_equal(row.object.b[0], 7);
    assert_int_equal(row.object.b[31], 7);
    expect_doc("a", "{\"x\":1}");
    expect_doc("\xe7\xba\xa2/ ' \" %", "{\"\xe7\xba\xa2\":\"\xf0\x9f\x98\x80\"}");
    expect_doc("A", NULL);
    expect_doc("b", NULL);
    lk_arena_release(&arena);
}

static void a_taken_id_is_refused_unless_it_is_to_be_replaced(void **state)
{
    (void)state;
    lk_err err = {0};
    put("a", 1, 1, "{\"v\":1}");
    lk_record_row rows[] = {row_of("new", 2, 2, "{}"), row_of("a", 2, 2, "{\"v\":2}")};
    test_code(lk_records_put(store, 2, rows, false, &err), LK_E_EXISTS);
    test_has(err.text, "'a'");
    expect_doc("a", "{\"v\":1}");
    expect_doc("new", NULL); /* all or nothing */
    test_ok(lk_records_put(store, 2, rows, true, &err), &err);
    expect_doc("a", "{\"v\":2}");
    expect_doc("new", "{}");
    assert_int_equal(count(), 2);
}

static void wrong_ids_and_documents_are_refused_with_a_reason(void **state)
{
    (void)state;
    lk_err err = {0};
    char *long_id = lk_calloc(1, LK_MAX_ID_BYTES + 2);
    memset(long_id, 'x', LK_MAX_ID_BYTES + 1);
    lk_record_row row = row_of("", 1, 1, "{}");
    test_code(lk_records_put(store, 1, &row, true, &err), LK_E_INVALID);
    assert_string_equal(err.field, "id");
    row.id = (lk_str){"a\0b", 3};
    test_code(lk_records_put(store, 1, &row, true, &err), LK_E_INVALID);
    row.id = LK_STR("\xff");
    test_code(lk_records_put(store, 1, &row, true, &err), LK_E_INVALID);
    row.id = (lk_str){long_id, LK_MAX_ID_BYTES + 1};
    test_code(lk_records_put(store, 1, &row, true, &err), LK_E_LIMIT);
    row.id = (lk_str){long_id, LK_MAX_ID_BYTES};
    test_ok(lk_records_put(store, 1, &row, true, &err), &err);
    row = row_of("a", 1, 1, "[1]");
    test_code(lk_records_put(store, 1, &row, true, &err), LK_E_INVALID);
    row = row_of("a", 1, 1, "{\"x\":");
    test_code(lk_records_put(store, 1, &row, true, &err), LK_E_FORMAT);
    row = row_of("a", 1, 1, "");
    test_code(lk_records_put(store, 1, &row, true, &err), LK_E_FORMAT);
    char *big = lk_malloc(LK_MAX_RECORD_BYTES + 1);
    memset(big, ' ', LK_MAX_RECORD_BYTES + 1);
    row.doc = (lk_str){big, LK_MAX_RECORD_BYTES + 1};
    test_code(lk_records_put(store, 1, &row, true, &err), LK_E_LIMIT);
    assert_int_equal(count(), 1);
    lk_free(big);
    lk_free(long_id);
}

static void many_are_read_in_the_order_asked_for_with_gaps_for_the_absent(void **state)
{
    (void)state;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_err err;
    put("a", 1, 1, "{\"a\":1}");
    put("c", 3, 3, "{\"c\":1}");
    lk_str ids[] = {LK_STR("c"), LK_STR("b"), LK_STR("a"), LK_STR("c")};
    lk_record_row rows[4];
    test_ok(lk_records_get_many(store, 4, ids, &arena, rows, &err), &err);
    assert_true(lk_str_is(rows[0].doc, "{\"c\":1}"));
    assert_int_equal(rows[1].doc.n, 0);
    assert_true(lk_str_is(rows[2].doc, "{\"a\":1}"));
    assert_true(lk_str_is(rows[3].id, "c"));
    lk_arena_release(&arena);
}

static void deleting_counts_what_was_there(void **state)
{
    (void)state;
    lk_err err;
    size_t n = 99;
    put("a", 1, 1, "{}");
    put("b", 2, 2, "{}");
    lk_str ids[] = {LK_STR("a"), LK_STR("zz"), LK_STR("a")};
    test_ok(lk_records_delete(store, 3, ids, &n, &err), &err);
    assert_int_equal(n, 1);
    expect_doc("a", NULL);
    test_ok(lk_records_delete(store, 3, ids, NULL, &err), &err);
    reopen();
    assert_int_equal(count(), 1);
}

static void a_record_is_found_by_its_object(void **state)
{
    (void)state;
    lk_err err;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_sha256 key;
    lk_str id = {0};
    put("a", 1, 1, "{}");
    memset(key.b, 1, sizeof key.b);
    test_ok(lk_records_find_object(store, &key, &arena, &id, &err), &err);
    assert_true(lk_str_is(id, "a"));
    put("a", 2, 1, "{}"); /* replaced by one over another object */
    test_code(lk_records_find_object(store, &key, &arena, &id, &err), LK_E_NOT_FOUND);
    lk_arena_release(&arena);
}

/* Walk the pages of a list and check that it gives 0..n-1 in this direction, by number. */
static void expect_pages(size_t limit, bool descending, size_t n)
{
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_err err;
    lk_str cursor = {0};
    size_t seen = 0;
    do {
        lk_record_row *rows = NULL;
        size_t n_rows = 0;
        test_ok(lk_records_list(store, cursor, limit, descending, &arena, &rows, &n_rows, &cursor,
                                &err),
                &err);
        for (size_t i = 0; i < n_rows; i++, seen++) {
            char want[16];
            snprintf(want, sizeof want, "id%03zu", descending ? n - 1 - seen : seen);
            assert_true(lk_str_is(rows[i].id, want));
        }
        assert_true(n_rows == limit || cursor.n == 0);
    } while (cursor.n);
    assert_int_equal(seen, n);
    lk_arena_release(&arena);
}

static lk_code note_id(void *ctx, const lk_record_row *row)
{
    lk_buf *seen = ctx;
    lk_buf_put(seen, row->id.p, row->id.n);
    return seen->n >= 600 * 5 ? LK_E_CANCELED : LK_OK;
}

static void lists_page_by_time_and_scans_visit_by_id(void **state)
{
    (void)state;
    lk_err err;
    char id[16];
    assert_int_equal(count(), 0);
    expect_pages(3, false, 0);
    lk_record_row rows[700];
    char ids[700][8];
    for (size_t i = 0; i < 700; i++) {
        snprintf(ids[i], sizeof ids[i], "id%03zu", i);
        rows[i] = row_of(ids[i], 1, (int64_t)(i / 10), "{}"); /* ten share a moment */
    }
    /* Written backwards: the order must come from the store, not from the writing. */
    for (size_t i = 700; i > 0; i -= 100)
        test_ok(lk_records_put(store, 100, &rows[i - 100], false, &err), &err);
    expect_pages(1, false, 700);
    expect_pages(7, true, 700);
    expect_pages(700, false, 700);
    expect_pages(10000, true, 700);
    lk_buf seen;
    lk_buf_init(&seen, 0);
    test_code(lk_records_scan(store, note_id, &seen, &err), LK_E_CANCELED);
    assert_int_equal(seen.n, 600 * 5);
    for (size_t i = 0; i < 600; i++) {
        snprintf(id, sizeof id, "id%03zu", i);
        assert_memory_equal(seen.p + i * 5, id, 5);
    }
    lk_buf_release(&seen);
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_record_row *out = NULL;
    size_t n = 0;
    lk_str next;
    test_code(lk_records_list(store, LK_STR("nonsense"), 3, false, &arena, &out, &n, &next, &err),
              LK_E_INVALID);
    assert_string_equal(err.field, "cursor");
    test_code(lk_records_list(store, LK_STR(""), 0, false, &arena, &out, &n, &next, &err),
              LK_E_INVALID);
    lk_arena_release(&arena);
}

static void small_texts_are_kept_under_keys(void **state)
{
    (void)state;
    lk_err err;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_str v = {0};
    test_code(lk_records_meta_get(store, LK_STR("model"), &arena, &v, &err), LK_E_NOT_FOUND);
    test_ok(lk_records_meta_put(store, LK_STR("model"), LK_STR("mini"), &err), &err);
    test_ok(lk_records_meta_put(store, LK_STR("model"), LK_STR("clip"), &err), &err);
    reopen();
    test_ok(lk_records_meta_get(store, LK_STR("model"), &arena, &v, &err), &err);
    assert_true(lk_str_is(v, "clip"));
    test_code(lk_records_meta_put(store, LK_STR(""), LK_STR("x"), &err), LK_E_INVALID);
    test_ok(lk_records_verify(store, &err), &err);
    lk_arena_release(&arena);
}

typedef struct worker {
    unsigned number;
    atomic_uint *wrong;
} worker;

#define N_WORKERS 4
#define N_PUTS 60

static void put_and_read(void *ctx)
{
    const worker *w = ctx;
    for (unsigned i = 0; i < N_PUTS; i++) {
        char id[32];
        lk_arena arena;
        lk_arena_init(&arena, 0);
        snprintf(id, sizeof id, "w%u-%u", w->number, i);
        lk_record_row row = row_of(id, (unsigned char)w->number, i, "{}"), back = {0};
        lk_record_row shared = row_of("shared", 1, i, "{}");
        bool wrong = lk_records_put(store, 1, &row, false, NULL) != LK_OK;
        /* One that fails beside the others must fail alone. */
        lk_code code = lk_records_put(store, 1, &shared, false, NULL);
        wrong |= code != LK_OK && code != LK_E_EXISTS;
        /* What was acknowledged is seen at once. */
        wrong |= lk_records_get(store, row.id, &arena, &back, NULL) != LK_OK;
        if (wrong)
            atomic_fetch_add(w->wrong, 1);
        lk_arena_release(&arena);
    }
}

static void threads_that_write_and_read_at_once_see_what_they_wrote(void **state)
{
    (void)state;
    lk_err err;
    atomic_uint wrong = 0;
    worker workers[N_WORKERS];
    lk_thread *threads[N_WORKERS];
    for (unsigned i = 0; i < N_WORKERS; i++) {
        workers[i] = (worker){i, &wrong};
        test_ok(lk_thread_start(&threads[i], "writer", put_and_read, &workers[i], &err), &err);
    }
    for (unsigned i = 0; i < N_WORKERS; i++)
        lk_thread_join(threads[i]);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(count(), N_WORKERS * N_PUTS + 1);
}

/* ---- faults ---- */

static lk_code short_life(lk_err *err)
{
    lk_records *r = NULL;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_record_row row = row_of("a", 1, 1, "{}"), back = {0}, *rows = NULL;
    lk_str id = LK_STR("a"), text = {0};
    size_t n = 0;
    uint64_t total = 0;
    lk_code code = lk_records_open_with(driver, where, &r, err);
    if (code == LK_OK)
        code = lk_records_put(r, 1, &row, true, err);
    if (code == LK_OK)
        code = lk_records_get(r, id, &arena, &back, err);
    if (code == LK_OK)
        code = lk_records_find_object(r, &row.object, &arena, &text, err);
    if (code == LK_OK)
        code = lk_records_count(r, &total, err);
    if (code == LK_OK)
        code = lk_records_list(r, (lk_str){0}, 3, true, &arena, &rows, &n, &text, err);
    if (code == LK_OK)
        code = lk_records_meta_put(r, LK_STR("k"), LK_STR("v"), err);
    if (code == LK_OK)
        code = lk_records_meta_get(r, LK_STR("k"), &arena, &text, err);
    if (code == LK_OK)
        code = lk_records_delete(r, 1, &id, &n, err);
    lk_records_close(r);
    lk_arena_release(&arena);
    return code;
}

static void a_call_that_fails_anywhere_is_told_and_does_no_harm(void **state)
{
    (void)state;
    lk_records_close(store);
    store = NULL;
    long n = 1;
    for (;; n++) {
        lk_err err;
        atomic_store(&calls_left, n);
        lk_code code = short_life(&err);
        bool hit = atomic_load(&calls_left) <= 0;
        atomic_store(&calls_left, LONG_MAX);
        assert_int_equal(code, hit ? LK_E_IO : LK_OK);
        if (!hit)
            break;
        assert_string_equal(err.text, "struck");
        lk_records *r = NULL;
        test_ok(lk_records_open_with(&lk_records_sqlite, where, &r, &err), &err);
        test_ok(lk_records_verify(r, &err), &err);
        lk_records_close(r);
    }
    assert_true(n > 8);
    reopen();
    assert_int_equal(count(), 0);
}

static lk_code try_short_life(void *ctx, lk_err *err)
{
    (void)ctx;
    return short_life(err);
}

static void running_out_of_memory_anywhere_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    lk_records_close(store);
    store = NULL;
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, try_short_life, NULL);
}

static void what_is_no_database_of_ours_is_refused(void **state)
{
    (void)state;
    lk_err err = {0};
    lk_records *r = NULL;
    char path[TEST_PATH];
    test_path(dir, "noise.db", path);
    test_write(path, "this is no database, whatever its name says, and long enough", 60);
    test_code(lk_records_open(path, &r, &err), LK_E_CORRUPT);
    test_code(lk_records_open("s3://bucket", &r, &err), LK_E_INVALID);
    test_has(err.text, "'s3'");
    test_code(lk_records_open("", &r, &err), LK_E_INVALID);
    assert_null(r);
}

static void damage_inside_the_file_is_found_by_verify(void **state)
{
    (void)state;
    lk_err err = {0};
    lk_record_row rows[100];
    char ids[100][8];
    for (size_t i = 0; i < 100; i++) {
        snprintf(ids[i], sizeof ids[i], "id%02zu", i);
        rows[i] = row_of(ids[i], 1, 1, "{\"padding\":\"................................\"}");
    }
    test_ok(lk_records_put(store, 100, rows, false, &err), &err);
    lk_records_close(store); /* the log goes into the file */
    store = NULL;
    unsigned char *bytes = NULL;
    size_t n = 0;
    test_ok(lk_os_read_file(where, 0, &bytes, &n, &err), &err);
    assert_true(n > 3 * 4096);
    memset(bytes + 4096, 0xa5, n - 2 * 4096);
    test_write(where, bytes, n);
    lk_free(bytes);
    lk_code code = lk_records_open_with(&lk_records_sqlite, where, &store, &err);
    if (code == LK_OK)
        code = lk_records_verify(store, &err);
    test_code(code, LK_E_CORRUPT);
}

/* A case on one driver; setup takes the driver from the initial state. */
#define ON(drv, fn)                                                                                \
    {                                                                                              \
#drv ": " #fn, fn, open_store, close_store, &drv##_driver                                  \
    }

#define SUITE(drv)                                                                                 \
    ON(drv, a_record_reads_back_as_written_also_after_reopening),                                  \
        ON(drv, a_taken_id_is_refused_unless_it_is_to_be_replaced),                                \
        ON(drv, wrong_ids_and_documents_are_refused_with_a_reason),                                \
        ON(drv, many_are_read_in_the_order_asked_for_with_gaps_for_the_absent),                    \
        ON(drv, deleting_counts_what_was_there), ON(drv, a_record_is_found_by_its_object),         \
        ON(drv, lists_page_by_time_and_scans_visit_by_id),                                         \
        ON(drv, small_texts_are_kept_under_keys),                                                  \
        ON(drv, threads_that_write_and_read_at_once_see_what_they_wrote),                          \
        ON(drv, running_out_of_memory_anywhere_is_told_and_leaks_nothing)

int main(void)
{
    const lk_records_driver *sqlite_driver = &lk_records_sqlite;
    const lk_records_driver *faulty_driver = &faulty_sqlite;
    const struct CMUnitTest tests[] = {
        SUITE(sqlite),
        ON(sqlite, what_is_no_database_of_ours_is_refused),
        ON(sqlite, damage_inside_the_file_is_found_by_verify),
        SUITE(faulty),
        ON(faulty, a_call_that_fails_anywhere_is_told_and_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
