/* Models into the models folder and out of it. */
#include "support.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/install.h"

typedef struct home {
    char dir[TEST_PATH], models[TEST_PATH], source[TEST_PATH];
    lk_model_opts o;
    char name[LK_MAX_MODEL_NAME + 1];
} home;

/* A models folder, and the bundled model as a folder outside it. */
static home *home_make(void **state)
{
    home *h = lk_calloc(1, sizeof *h);
    lk_err err;
    assert_non_null(h);
    *state = h;
    test_dir_make(h->dir);
    test_path(h->dir, "models", h->models);
    test_path(h->dir, "source", h->source);
    lk_model_opts_default(&h->o);
    h->o.models_dir = h->models;
    test_ok(lk_model_export("mini", &h->o, h->source, &err), &err);
    return h;
}

static int home_remove(void **state)
{
    home *h = *state;
    test_dir_remove(h->dir);
    lk_free(h);
    return 0;
}

static void spoil(const home *h, const char *file, const char *what)
{
    char path[TEST_PATH];
    test_path(h->source, file, path);
    test_write(path, what, strlen(what));
}

static bool installed(const home *h, const char *name)
{
    char path[TEST_PATH];
    test_path(h->models, name, path);
    return lk_os_exists(path);
}

static void see(void *ctx, const lk_model_info *info, const char *where)
{
    (void)info;
    *(size_t *)ctx += strchr(where, '/') != NULL; /* those in the program have no folder */
}

static size_t n_listed(const home *h)
{
    size_t n = 0;
    lk_err err;
    test_ok(lk_model_list(&h->o, see, &n, &err), &err);
    return n;
}

static void an_exported_model_can_be_added_used_and_removed(void **state)
{
    home *h = home_make(state);
    lk_model *m = NULL;
    lk_err err;
    assert_int_equal(n_listed(h), 0);
    test_ok(lk_model_add(h->source, NULL, &h->o, NULL, h->name, &err), &err);
    assert_string_equal(h->name, "lookalike-mini");
    assert_int_equal(n_listed(h), 1);
    test_ok(lk_model_open("lookalike-mini", &h->o, &m, &err), &err);
    lk_model_close(m);
    test_code(lk_model_add(h->source, NULL, &h->o, NULL, h->name, &err), LK_E_EXISTS);
    test_ok(lk_model_add(h->source, "second", &h->o, NULL, h->name, &err), &err);
    assert_string_equal(h->name, "second");
    test_ok(lk_model_remove("lookalike-mini", &h->o, &err), &err);
    test_code(lk_model_remove("lookalike-mini", &h->o, &err), LK_E_NOT_FOUND);
    assert_false(installed(h, "lookalike-mini"));
    assert_true(installed(h, "second"));
}

static void what_stands_beside_a_card_goes_with_it_and_nothing_else(void **state)
{
    home *h = home_make(state);
    char path[TEST_PATH];
    lk_err err;
    spoil(h, "parity.json", "{}");
    spoil(h, "diary.txt", "private");
    test_ok(lk_model_add(h->source, "m", &h->o, NULL, h->name, &err), &err);
    test_path(h->models, "m/parity.json", path);
    assert_true(lk_os_exists(path));
    test_path(h->models, "m/diary.txt", path);
    assert_false(lk_os_exists(path));
}

static void a_folder_that_is_no_good_model_leaves_nothing_behind(void **state)
{
    home *h = home_make(state);
    char path[TEST_PATH];
    lk_err err;
    test_code(lk_model_add(h->dir, "m", &h->o, NULL, h->name, &err), LK_E_NOT_FOUND);
    assert_string_equal(err.field, "dir");
    test_code(lk_model_add(h->source, "../m", &h->o, NULL, h->name, &err), LK_E_INVALID);
    test_code(lk_model_add(h->source, "mini", &h->o, NULL, h->name, &err), LK_E_INVALID);
    spoil(h, "vocab.txt", "<pad>\nboat\n");
    test_code(lk_model_add(h->source, "m", &h->o, NULL, h->name, &err), LK_E_MODEL);
    test_has(err.text, "vocab.txt");
    test_path(h->source, "vocab.txt", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    test_code(lk_model_add(h->source, "m", &h->o, NULL, h->name, &err), LK_E_MODEL);
    test_has(err.text, "symbolic link");
    assert_false(installed(h, "m"));
    assert_false(installed(h, ".partial-m"));
    assert_int_equal(n_listed(h), 0);
}

static void half_a_model_is_removed_as_well(void **state)
{
    home *h = home_make(state);
    lk_staging s;
    char path[TEST_PATH];
    lk_err err;
    test_ok(lk_staging_open(h->models, "half", &s, &err), &err);
    lk_staging_close(&s);
    test_code(lk_model_remove("half", &h->o, &err), LK_E_NOT_FOUND);
    test_ok(lk_staging_open(h->models, "half", &s, &err), &err);
    test_path(s.work, "0123.part", path);
    test_write(path, "x", 1);
    test_code(lk_model_remove("half", &h->o, &err), LK_E_LOCKED);
    lk_staging_close(&s);
    assert_true(installed(h, ".partial-half"));
    test_ok(lk_model_remove("half", &h->o, &err), &err);
    assert_false(installed(h, ".partial-half"));
}

static void an_export_never_mixes_with_what_is_there(void **state)
{
    home *h = home_make(state);
    lk_err err;
    test_code(lk_model_export("mini", &h->o, h->source, &err), LK_E_EXISTS);
    assert_string_equal(err.field, "dir");
    test_code(lk_model_export("none", &h->o, h->source, &err), LK_E_NOT_FOUND);
    spoil(h, "vocab.txt", "<pad>\n");
    char to[TEST_PATH], card[TEST_PATH];
    test_path(h->dir, "to", to);
    test_code(lk_model_export(h->source, &h->o, to, &err), LK_E_MODEL);
    test_path(to, "model.json", card);
    assert_false(lk_os_exists(card));
}

static void a_disk_that_fails_anywhere_leaves_no_model(void **state)
{
    home *h = home_make(state);
    lk_err err;
    for (size_t nth = 1;; nth++) {
        test_faults_on();
        test_fail_nth(TEST_WRITE, nth, ENOSPC);
        lk_code code = lk_model_add(h->source, "m", &h->o, NULL, h->name, &err);
        test_faults_off();
        if (!code) {
            assert_true(nth > 5); /* at least a write a file */
            break;
        }
        assert_true(code == LK_E_FULL || code == LK_E_MODEL); /* the trial's answer is lost, too */
        assert_false(installed(h, "m"));
    }
    assert_true(installed(h, "m"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_exported_model_can_be_added_used_and_removed, home_remove),
        cmocka_unit_test_teardown(what_stands_beside_a_card_goes_with_it_and_nothing_else,
                                  home_remove),
        cmocka_unit_test_teardown(a_folder_that_is_no_good_model_leaves_nothing_behind,
                                  home_remove),
        cmocka_unit_test_teardown(half_a_model_is_removed_as_well, home_remove),
        cmocka_unit_test_teardown(an_export_never_mixes_with_what_is_there, home_remove),
        cmocka_unit_test_teardown(a_disk_that_fails_anywhere_leaves_no_model, home_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
