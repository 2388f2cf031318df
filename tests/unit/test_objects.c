#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"
#include "store/objects/driver.h"

static char dir[TEST_PATH];
static lk_objects *store;

static int open_store(void **state)
{
    (void)state;
    lk_err err;
    test_dir_make(dir);
    test_ok(lk_objects_open(dir, &store, &err), &err);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    lk_objects_close(store);
    store = NULL;
    test_dir_remove(dir);
    return 0;
}

static void reopen(void)
{
    lk_err err;
    char where[TEST_PATH + 8];
    lk_objects_close(store);
    store = NULL;
    snprintf(where, sizeof where, "file:%s", dir);
    test_ok(lk_objects_open(where, &store, &err), &err);
}

static lk_sha256 key_of(const char *text)
{
    lk_sha256 key;
    lk_err err;
    test_ok(lk_sha256_of(text, strlen(text), &key, &err), &err);
    return key;
}

static lk_blob blob_of(const char *text)
{
    return (lk_blob){(const unsigned char *)text, strlen(text)};
}

static void put(const char *text, const char *variant, const char *bytes, bool lazy)
{
    lk_err err;
    lk_sha256 key = key_of(text);
    test_ok(lk_objects_put(store, &key, variant, blob_of(bytes), lazy, &err), &err);
}

/* The object's bytes are these; NULL: it is not there. */
static void expect(const char *text, const char *variant, const char *bytes)
{
    lk_err err;
    lk_sha256 key = key_of(text);
    bool there = false;
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_buf_puts(&b, "before,");
    lk_code code = lk_objects_get(store, &key, variant, &b, &err);
    test_ok(lk_objects_has(store, &key, variant, &there, &err), &err);
    assert_int_equal(there, bytes != NULL);
    if (bytes) {
        test_ok(code, &err);
        assert_true(lk_str_starts(lk_buf_str(&b), LK_STR("before,")));
        assert_string_equal(b.p + 7, bytes);
    } else {
        test_code(code, LK_E_NOT_FOUND);
        assert_string_equal(b.p, "before,");
    }
    lk_buf_release(&b);
}

static lk_code count_one(void *ctx, const lk_sha256 *key, uint64_t bytes)
{
    (void)key;
    uint64_t *totals = ctx;
    totals[0]++;
    totals[1] += bytes;
    return totals[0] == totals[2] ? LK_E_CANCELED : LK_OK;
}

static void expect_list(uint64_t n, uint64_t bytes)
{
    lk_err err;
    uint64_t totals[3] = {0};
    test_ok(lk_objects_list(store, count_one, totals, &err), &err);
    assert_int_equal(totals[0], n);
    assert_int_equal(totals[1], bytes);
}

static size_t files_in_tmp(void)
{
    char path[TEST_PATH];
    test_path(dir, "tmp", path);
    DIR *d = opendir(path);
    assert_non_null(d);
    size_t n = 0;
    struct dirent *e;
    while ((e = readdir(d)))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void what_is_put_is_got_also_after_reopening(void **state)
{
    (void)state;
    put("one", "", "original", false);
    put("one", "t320", "small", true);
    expect("one", "", "original");
    reopen();
    expect("one", "", "original");
    expect("one", "t320", "small");
    expect("one", "t1024", NULL);
    expect("two", "", NULL);
    assert_int_equal(files_in_tmp(), 0);
}

static void putting_it_again_changes_nothing(void **state)
{
    (void)state;
    put("one", "", "original", false);
    put("one", "", "original", false);
    expect("one", "", "original");
    expect_list(1, 8);
    assert_int_equal(files_in_tmp(), 0);
}

static void a_file_that_a_crash_cut_short_is_written_anew(void **state)
{
    (void)state;
    put("one", "t320", "thumbnail", true);
    lk_sha256 key = key_of("one");
    char hex[LK_SHA256_HEX + 1], path[TEST_PATH], name[128];
    lk_sha256_hex(&key, hex);
    snprintf(name, sizeof name, "v/t320/%.2s/%s", hex, hex + 2);
    test_path(dir, name, path);
    test_write(path, "", 0);
    put("one", "t320", "thumbnail", true);
    expect("one", "t320", "thumbnail");
}

static void deleting_takes_the_original_and_every_variant(void **state)
{
    (void)state;
    lk_err err;
    lk_sha256 key = key_of("one");
    put("one", "", "original", false);
    put("one", "t320", "small", true);
    put("one", "t1024", "preview", false);
    put("two", "t320", "other", true);
    reopen(); /* the variants' names must be found on disk */
    test_ok(lk_objects_delete(store, &key, &err), &err);
    expect("one", "", NULL);
    expect("one", "t320", NULL);
    expect("one", "t1024", NULL);
    expect("two", "t320", "other");
    test_ok(lk_objects_delete(store, &key, &err), &err);
}

static void originals_are_listed_and_a_list_can_be_stopped(void **state)
{
    (void)state;
    lk_err err;
    char text[16];
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "object-%03d", i);
        put(text, "", text, false);
        put(text, "t320", "x", true);
    }
    expect_list(300, 300 * 10);
    uint64_t totals[3] = {0, 0, 7};
    test_code(lk_objects_list(store, count_one, totals, &err), LK_E_CANCELED);
    assert_int_equal(totals[0], 7);
}

static void leftovers_of_a_crash_are_swept_at_open(void **state)
{
    (void)state;
    char path[TEST_PATH];
    put("one", "", "original", false);
    test_path(dir, "tmp/0123456789abcdef", path);
    test_write(path, "half a pic", 10);
    assert_int_equal(files_in_tmp(), 1);
    reopen();
    assert_int_equal(files_in_tmp(), 0);
    expect("one", "", "original");
}

static void wrong_names_and_empty_objects_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "T320", "../x", "a/b", "seventeen-letters", "a.b", "aaaaaaaaaaaaaaaaa"};
    lk_err err;
    lk_sha256 key = key_of("one");
    bool there;
    for (size_t i = 0; i < LK_ARRAY_LEN(wrong); i++) {
        test_code(lk_objects_put(store, &key, wrong[i], blob_of("x"), true, &err), LK_E_INVALID);
        test_code(lk_objects_has(store, &key, wrong[i], &there, &err), LK_E_INVALID);
    }
    test_code(lk_objects_put(store, &key, "", blob_of(""), false, &err), LK_E_INVALID);
    lk_objects *o = NULL;
    test_code(lk_objects_open("flie://x", &o, &err), LK_E_INVALID);
    test_has(err.text, "did you mean 'file'");
}

static void an_original_is_synced_before_it_is_acknowledged_even_when_lazy_is_asked(void **state)
{
    (void)state;
    test_faults_on();
    put("one", "", "original", true);
    size_t fresh = test_calls(TEST_SYNC);
    put("one", "", "original", false);
    size_t again = test_calls(TEST_SYNC);
    put("one", "t320", "small", true); /* makes and syncs its folders, which are new */
    size_t folders = test_calls(TEST_SYNC);
    lk_sha256 key = key_of("one");
    key.b[31] ^= 1; /* the same folder */
    lk_err err;
    test_ok(lk_objects_put(store, &key, "t320", blob_of("small"), true, &err), &err);
    size_t lazy = test_calls(TEST_SYNC);
    test_faults_off();
    assert_true(fresh >= 2);         /* the file and its folder */
    assert_true(again - fresh >= 2); /* whoever wrote it may not have got that far */
    assert_int_equal(lazy, folders);
}

static lk_code try_put(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_objects *o = NULL;
    lk_sha256 key = {{1}};
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_code code = lk_objects_open(dir, &o, err);
    if (code == LK_OK)
        code = lk_objects_put(o, &key, "", blob_of("original"), false, err);
    if (code == LK_OK)
        code = lk_objects_put(o, &key, "t320", blob_of("small"), false, err);
    if (code == LK_OK)
        code = lk_objects_get(o, &key, "", &b, err);
    if (code == LK_OK)
        code = lk_objects_delete(o, &key, err);
    lk_buf_release(&b);
    lk_objects_close(o);
    return code;
}

static void running_out_of_memory_anywhere_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, try_put, NULL);
}

static void a_full_disk_is_told_at_every_step_and_leaves_nothing_half_done(void **state)
{
    (void)state;
    static const test_call calls[] = {TEST_MKDIR, TEST_WRITE, TEST_SYNC, TEST_RENAME, TEST_OPEN};
    for (size_t i = 0; i < LK_ARRAY_LEN(calls); i++) {
        test_sweep(calls[i], ENOSPC, LK_E_FULL, try_put, NULL);
        assert_int_equal(files_in_tmp(), 0);
        /* What is listed is whole. */
        uint64_t totals[3] = {0};
        lk_err err;
        test_ok(lk_objects_list(store, count_one, totals, &err), &err);
        assert_int_equal(totals[1], totals[0] * 8);
    }
}

static void put_many(void *ctx)
{
    atomic_uint *wrong = ctx;
    for (int i = 0; i < 60; i++) {
        char text[16];
        lk_sha256 key;
        snprintf(text, sizeof text, "shared-%02d", i);
        if (lk_sha256_of(text, strlen(text), &key, NULL) ||
            lk_objects_put(store, &key, "", blob_of(text), false, NULL))
            atomic_fetch_add(wrong, 1);
    }
}

static void threads_may_put_the_same_objects_at_once(void **state)
{
    (void)state;
    atomic_uint wrong = 0;
    lk_thread *t[4];
    lk_err err;
    for (int i = 0; i < 4; i++)
        test_ok(lk_thread_start(&t[i], "putter", put_many, &wrong, &err), &err);
    for (int i = 0; i < 4; i++)
        lk_thread_join(t[i]);
    assert_int_equal(atomic_load(&wrong), 0);
    expect_list(60, 60 * 9);
    assert_int_equal(files_in_tmp(), 0);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, open_store, close_store)
    const struct CMUnitTest tests[] = {
        CASE(what_is_put_is_got_also_after_reopening),
        CASE(putting_it_again_changes_nothing),
        CASE(a_file_that_a_crash_cut_short_is_written_anew),
        CASE(deleting_takes_the_original_and_every_variant),
        CASE(originals_are_listed_and_a_list_can_be_stopped),
        CASE(leftovers_of_a_crash_are_swept_at_open),
        CASE(wrong_names_and_empty_objects_are_refused),
        CASE(an_original_is_synced_before_it_is_acknowledged_even_when_lazy_is_asked),
        CASE(running_out_of_memory_anywhere_is_told_and_leaks_nothing),
        CASE(a_full_disk_is_told_at_every_step_and_leaves_nothing_half_done),
        CASE(threads_may_put_the_same_objects_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
