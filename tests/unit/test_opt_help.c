#include "support.h"

#include <string.h>

#include "base/opt.h"

static const char *const formats[] = {"text", "json", NULL};

static const lk_opt table[] = {
    {.name = "verbose", .letter = 'v', .type = LK_OPT_BOOL, .help = "say more"},
    {.name = "color", .type = LK_OPT_BOOL, .dflt = "true", .help = "colours on a terminal"},
    {.name = "top-k",
     .letter = 'n',
     .type = LK_OPT_INT,
     .dflt = "10",
     .help = "how many to return"},
    {.name = "data",
     .type = LK_OPT_STR,
     .arg = "DIR",
     .env = "LOOKALIKE_DATA",
     .help = "the folder that holds everything, which is made when it is not there yet"},
    {.name = "a-name-of-some-length", .type = LK_OPT_ENUM, .words = formats, .help = ".form"},
    {.name = "meta", .type = LK_OPT_LIST, .arg = "KEY=VALUE", .help = "kept \\ with it"},
    {.name = NULL},
};

static void help_stands_in_two_columns(void **state)
{
    (void)state;
    lk_err err;
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_opt_help(table, &b);
    test_ok(lk_buf_check(&b, &err), &err);
    assert_string_equal(
        b.p, "  -v, --verbose               say more\n"
             "      --[no-]color            colours on a terminal\n"
             "  -n, --top-k N               how many to return [default: 10]\n"
             "      --data DIR              the folder that holds everything, which is made\n"
             "                              when it is not there yet [environment:\n"
             "                              LOOKALIKE_DATA]\n"
             "      --a-name-of-some-length text|json\n"
             "                              .form\n"
             "      --meta KEY=VALUE        kept \\ with it (may be given several times)\n");
    lk_buf_release(&b);
}

static void the_man_page_says_the_same_in_roff(void **state)
{
    (void)state;
    lk_err err;
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_opt_man(table, &b);
    test_ok(lk_buf_check(&b, &err), &err);
    test_has(b.p, ".TP\n\\fB\\-v\\fR, \\fB\\-\\-verbose\\fR\nsay more\n");
    test_has(
        b.p,
        ".TP\n\\fB\\-n\\fR, \\fB\\-\\-top\\-k\\fR \\fIN\\fR\nhow many to return [default: 10]\n");
    test_has(b.p, "\\fB\\-\\-[no-]color\\fR");
    test_has(b.p, "\n\\&.form\n");
    test_has(b.p, "kept \\e with it");
    lk_buf_release(&b);
}

static lk_code print(void *ctx, lk_err *err)
{
    void (*put)(const lk_opt *, lk_buf *) = lk_opt_help;
    if (ctx)
        put = lk_opt_man;
    lk_buf b;
    lk_buf_init(&b, 0);
    put(table, &b);
    lk_code code = lk_buf_check(&b, err);
    lk_buf_release(&b);
    return code;
}

static void allocation_failures_are_told_at_the_end(void **state)
{
    (void)state;
    int man;
    assert_true(test_sweep(TEST_ALLOC, 12, LK_E_NOMEM, print, NULL) > 3);
    assert_true(test_sweep(TEST_ALLOC, 12, LK_E_NOMEM, print, &man) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_stands_in_two_columns),
        cmocka_unit_test(the_man_page_says_the_same_in_roff),
        cmocka_unit_test(allocation_failures_are_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
