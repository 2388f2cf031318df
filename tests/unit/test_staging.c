#include "support.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "model/staging.h"

static void names_that_are_no_folder_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ".",    "..",   ".partial-x", "a/b",
                                      "a b", "a\nb", "名字", "mini"};
    char dir[TEST_PATH], longest[LK_MAX_MODEL_NAME + 2];
    lk_staging s;
    lk_err err;
    test_dir_make(dir);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        test_code(lk_staging_open(dir, bad[i], &s, &err), LK_E_INVALID);
    memset(longest, 'a', sizeof longest);
    longest[LK_MAX_MODEL_NAME + 1] = '\0';
    test_code(lk_staging_open(dir, longest, &s, &err), LK_E_INVALID);
    longest[LK_MAX_MODEL_NAME] = '\0';
    test_ok(lk_staging_open(dir, longest, &s, &err), &err);
    lk_staging_close(&s);
    test_dir_remove(dir);
}

static void put(const lk_staging *s, const char *name)
{
    char path[PATH_MAX];
    lk_err err;
    test_ok(lk_staging_path(s, name, path, &err), &err);
    test_ok(lk_os_write_file(path, "x", 1, &err), &err);
}

static void a_model_appears_by_one_rename_and_goes_by_one(void **state)
{
    (void)state;
    char dir[TEST_PATH], file[TEST_PATH];
    lk_staging s, other;
    lk_err err;
    test_dir_make(dir);
    test_path(dir, "clip/sub/a.onnx", file);
    test_ok(lk_staging_open(dir, "clip", &s, &err), &err);
    put(&s, "sub/a.onnx");
    put(&s, "model.json");
    test_code(lk_staging_open(dir, "clip", &other, &err), LK_E_LOCKED);
    test_has(err.text, "clip is being installed");
    test_ok(lk_staging_open(dir, "other", &other, &err), &err);
    lk_staging_close(&other);
    assert_false(lk_os_exists(file));
    test_ok(lk_staging_place(&s, &err), &err);
    assert_true(lk_os_exists(file));
    assert_false(lk_os_exists(s.partial));
    lk_staging_close(&s);

    test_ok(lk_staging_open(dir, "clip", &s, &err), &err);
    test_code(lk_staging_place(&s, &err), LK_E_EXISTS);
    test_ok(lk_staging_remove_model(&s, &err), &err);
    assert_false(lk_os_exists(s.target));
    assert_false(lk_os_exists(s.partial));
    test_code(lk_staging_remove_model(&s, &err), LK_E_NOT_FOUND);
    lk_staging_close(&s);
    test_dir_remove(dir);
}

static void what_was_put_together_stays_until_it_is_cleared(void **state)
{
    (void)state;
    char dir[TEST_PATH], file[TEST_PATH];
    lk_staging s;
    lk_err err;
    test_dir_make(dir);
    test_path(dir, ".partial-clip/model/a", file);
    test_ok(lk_staging_open(dir, "clip", &s, &err), &err);
    put(&s, "a");
    lk_staging_close(&s);
    test_ok(lk_staging_open(dir, "clip", &s, &err), &err);
    assert_true(lk_os_exists(file));
    test_ok(lk_staging_clear(&s, &err), &err);
    assert_false(lk_os_exists(file));
    lk_staging_close(&s);
    test_dir_remove(dir);
}

static void removing_does_not_follow_links(void **state)
{
    (void)state;
    char dir[TEST_PATH], kept[TEST_PATH], file[TEST_PATH], link[TEST_PATH];
    lk_staging s;
    lk_err err;
    test_dir_make(dir);
    test_path(dir, "kept", kept);
    test_ok(lk_os_mkdirs(kept, &err), &err);
    test_path(kept, "precious", file);
    test_write(file, "x", 1);
    test_ok(lk_staging_open(dir, "clip", &s, &err), &err);
    test_path(s.dir, "link", link);
    assert_int_equal(symlink(kept, link), 0);
    test_ok(lk_staging_clear(&s, &err), &err);
    assert_true(lk_os_exists(file));
    lk_staging_close(&s);
    test_dir_remove(dir);
}

static lk_code bring_in(void *ctx, lk_err *err)
{
    char path[PATH_MAX];
    lk_staging s;
    lk_code code = lk_staging_open(ctx, "clip", &s, err);
    if (code)
        return code;
    code = lk_staging_path(&s, "a", path, err);
    if (!code)
        code = lk_os_write_file(path, "x", 1, err);
    if (!code)
        code = lk_staging_place(&s, err);
    lk_staging_close(&s);
    return code;
}

static void a_failed_call_leaves_no_half_model(void **state)
{
    (void)state;
    static const test_call calls[] = {TEST_OPEN, TEST_WRITE, TEST_SYNC, TEST_RENAME, TEST_MKDIR};
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
        for (size_t n = 1;; n++) {
            char dir[TEST_PATH], model[TEST_PATH], file[TEST_PATH];
            lk_err err = {0};
            test_dir_make(dir);
            test_path(dir, "clip", model);
            test_path(dir, "clip/a", file);
            test_faults_on();
            test_fail_nth(calls[c], n, EIO);
            lk_code code = bring_in(dir, &err);
            bool met = test_calls(calls[c]) >= n;
            test_faults_off();
            if (code == LK_OK)
                assert_true(lk_os_exists(file));
            else
                assert_int_equal(lk_os_exists(model), lk_os_exists(file)); /* whole or absent */
            if (met)
                assert_int_equal(code, LK_E_IO);
            test_dir_remove(dir);
            if (!met) {
                assert_true(n > 1);
                break;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_no_folder_names_are_refused),
        cmocka_unit_test(a_model_appears_by_one_rename_and_goes_by_one),
        cmocka_unit_test(what_was_put_together_stays_until_it_is_cleared),
        cmocka_unit_test(removing_does_not_follow_links),
        cmocka_unit_test(a_failed_call_leaves_no_half_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
