/* What is known about a half file, kept beside it. */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "model/note.h"

static char dir[TEST_PATH], path[TEST_PATH];

static int start(void **state)
{
    (void)state;
    test_dir_make(dir);
    test_path(dir, "note.json", path);
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_dir_remove(dir);
    return 0;
}

static lk_note full_note(void)
{
    lk_note n = {.hub = "https://models.test",
                 .etag = "\"a \\\" tag\"",
                 .bytes = (uint64_t)5 << 32,
                 .has_sha256 = true,
                 .synced = 12345678901,
                 .done = true,
                 .vouched = true};
    for (size_t i = 0; i < sizeof n.sha256.b; i++)
        n.sha256.b[i] = (unsigned char)(i * 7);
    return n;
}

static bool same(const lk_note *a, const lk_note *b)
{
    return strcmp(a->hub, b->hub) == 0 && strcmp(a->etag, b->etag) == 0 && a->bytes == b->bytes &&
           a->has_sha256 == b->has_sha256 && a->synced == b->synced && a->done == b->done &&
           a->vouched == b->vouched && memcmp(&a->sha256, &b->sha256, sizeof a->sha256) == 0;
}

static void a_note_comes_back_as_it_was(void **state)
{
    (void)state;
    const lk_note empty = {.bytes = 0}, full = full_note();
    lk_note got;
    lk_err err;
    test_ok(lk_note_write(path, &full, &err), &err);
    test_ok(lk_note_read(path, &got, &err), &err);
    assert_true(same(&got, &full));
    test_ok(lk_note_write(path, &empty, &err), &err);
    test_ok(lk_note_read(path, &got, &err), &err);
    assert_true(same(&got, &empty));
}

static void what_cannot_be_read_is_an_empty_note(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "7",
        "{\"bytes\":-1,\"done\":true}",
        "{\"bytes\":9,\"done\":true,\"sha256\":\"abc\"}",
        "{\"bytes\":9,\"synced\":-9}",
    };
    const lk_note empty = {.bytes = 0};
    lk_note got = full_note();
    lk_err err;
    char none[TEST_PATH], long_tag[256];
    test_path(dir, "none.json", none);
    test_ok(lk_note_read(none, &got, &err), &err);
    assert_true(same(&got, &empty));
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++) {
        got = full_note();
        test_write(path, texts[i], strlen(texts[i]));
        test_ok(lk_note_read(path, &got, &err), &err);
        if (!same(&got, &empty))
            fail_msg("%s is taken for a note", texts[i]);
    }
    memset(long_tag, 'x', sizeof long_tag);
    memcpy(long_tag, "{\"done\":true,\"etag\":\"", 21);
    memcpy(long_tag + sizeof long_tag - 2, "\"}", 2);
    test_write(path, long_tag, sizeof long_tag);
    test_ok(lk_note_read(path, &got, &err), &err);
    assert_true(same(&got, &empty));
}

static lk_code write_again(void *ctx, lk_err *err)
{
    return lk_note_write(path, ctx, err);
}

static void a_write_that_fails_leaves_the_note_before_it(void **state)
{
    (void)state;
    lk_note before = full_note(), after = full_note(), got;
    lk_err err;
    after.synced++;
    for (size_t nth = 1; nth < 3; nth++) {
        test_ok(lk_note_write(path, &before, &err), &err);
        test_faults_on();
        test_fail_nth(nth == 1 ? TEST_WRITE : TEST_SYNC, 1, ENOSPC);
        test_code(lk_note_write(path, &after, &err), LK_E_FULL);
        test_faults_off();
        test_ok(lk_note_read(path, &got, &err), &err);
        assert_true(same(&got, &before));
    }
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, write_again, &after);
}

static lk_code read_again(void *ctx, lk_err *err)
{
    return lk_note_read(path, ctx, err);
}

static void no_memory_is_not_taken_for_an_empty_note(void **state)
{
    (void)state;
    lk_note n = full_note();
    lk_err err;
    test_ok(lk_note_write(path, &n, &err), &err);
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, read_again, &n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_comes_back_as_it_was),
        cmocka_unit_test(what_cannot_be_read_is_an_empty_note),
        cmocka_unit_test(a_write_that_fails_leaves_the_note_before_it),
        cmocka_unit_test(no_memory_is_not_taken_for_an_empty_note),
    };
    return cmocka_run_group_tests(tests, start, end);
}
