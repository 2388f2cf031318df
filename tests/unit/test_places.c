#include "support.h"

#include <stdio.h>
#include <string.h>

#include "model/places.h"

static void a_name_is_looked_for_among_the_installed_ones_first(void **state)
{
    (void)state;
    char dir[TEST_PATH], mini[TEST_PATH], path[PATH_MAX];
    lk_card_source from;
    lk_err err;
    test_dir_make(dir);
    test_ok(lk_model_locate("mini", dir, path, &from, &err), &err);
    assert_null(from.dir);
    assert_string_equal(from.embedded, "models/mini");
    test_path(dir, "mini", mini);
    test_ok(lk_os_mkdirs(mini, &err), &err);
    test_ok(lk_model_locate("mini", dir, path, &from, &err), &err);
    assert_string_equal(from.dir, mini);
    test_code(lk_model_locate("other", dir, path, &from, &err), LK_E_NOT_FOUND);
    test_has(err.text, "lookalike model list");
    test_ok(lk_model_locate("./other", dir, path, &from, &err), &err);
    assert_string_equal(from.dir, "./other");
    test_dir_remove(dir);
}

typedef struct seen {
    size_t n;
    char text[512];
} seen;

static void see(void *ctx, const lk_model_info *info, const char *where)
{
    seen *s = ctx;
    size_t at = strlen(s->text);
    (void)where;
    s->n++;
    snprintf(s->text + at, sizeof s->text - at, "[%s %zu %s]", info->name, info->dim,
             info->dim ? "" : info->describe);
}

static void a_damaged_card_does_not_hide_the_other_models(void **state)
{
    (void)state;
    char dir[TEST_PATH], sub[TEST_PATH], card[TEST_PATH], file[TEST_PATH];
    seen s = {0};
    lk_model_opts opts;
    lk_err err;
    test_dir_make(dir);
    test_path(dir, "broken", sub);
    test_ok(lk_os_mkdirs(sub, &err), &err);
    test_path(sub, "model.json", card);
    test_write(card, "{", 1);
    test_path(dir, "a-file", file);
    test_write(file, "x", 1);
    test_path(dir, "empty-folder", sub);
    test_ok(lk_os_mkdirs(sub, &err), &err);
    test_path(dir, ".partial-clip", sub);
    test_ok(lk_os_mkdirs(sub, &err), &err);
    lk_model_opts_default(&opts);
    opts.models_dir = dir;
    test_ok(lk_model_list(&opts, see, &s, &err), &err);
    assert_int_equal(s.n, 3);
    test_has(s.text, "[lookalike-mini 256 ]");
    test_has(s.text, "[roboflow 512 ]");
    test_has(s.text, "[broken 0 the model's card: ");
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_looked_for_among_the_installed_ones_first),
        cmocka_unit_test(a_damaged_card_does_not_hide_the_other_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
