#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/opt.h"

typedef struct settings {
    bool verbose;
    bool color;
    int64_t top_k;
    double score;
    uint64_t memory;
    uint64_t wait_ms;
    const char *data;
    int format;
    lk_opt_list meta;
} settings;

static const char *const formats[] = {"text", "json", "table", NULL};

#define AT(member) .offset = offsetof(settings, member)
static const lk_opt table[] = {
    {.name = "verbose", .letter = 'v', .type = LK_OPT_BOOL, AT(verbose), .help = "say more"},
    {.name = "color",
     .letter = 'c',
     .type = LK_OPT_BOOL,
     AT(color),
     .dflt = "true",
     .help = "colours"},
    {.name = "top-k",
     .letter = 'n',
     .type = LK_OPT_INT,
     AT(top_k),
     .dflt = "10",
     .min = 1,
     .max = 1000,
     .help = "how many"},
    {.name = "min-score", .type = LK_OPT_REAL, AT(score), .min = -1, .max = 1, .help = "at least"},
    {.name = "memory",
     .type = LK_OPT_BYTES,
     AT(memory),
     .dflt = "64MiB",
     .min = 1024,
     .max = 1073741824,
     .help = "cache"},
    {.name = "wait",
     .type = LK_OPT_MS,
     AT(wait_ms),
     .dflt = "30s",
     .min = 0,
     .max = 3600000,
     .help = "patience"},
    {.name = "data",
     .letter = 'd',
     .type = LK_OPT_STR,
     AT(data),
     .arg = "DIR",
     .env = "LK_TEST_DATA",
     .help = "folder"},
    {.name = "format",
     .type = LK_OPT_ENUM,
     AT(format),
     .words = formats,
     .dflt = "json",
     .help = "form"},
    {.name = "meta", .letter = 'm', .type = LK_OPT_LIST, AT(meta), .help = "pairs"},
    {.name = NULL},
};

static settings defaults(void)
{
    lk_err err;
    settings s;
    memset(&s, 0xAA, sizeof s);
    test_ok(lk_opt_defaults(table, &s, &err), &err);
    return s;
}

static void defaults_come_from_the_table_then_the_environment(void **state)
{
    (void)state;
    lk_err err;
    settings s = defaults();
    assert_false(s.verbose);
    assert_true(s.color);
    assert_int_equal(s.top_k, 10);
    assert_true(s.score == 0);
    assert_int_equal(s.memory, 64 << 20);
    assert_int_equal(s.wait_ms, 30000);
    assert_null(s.data);
    assert_int_equal(s.format, 1);
    assert_int_equal(s.meta.n, 0);
    setenv("LK_TEST_DATA", "/tmp/x", 1);
    s = defaults();
    assert_string_equal(s.data, "/tmp/x");
    setenv("LK_TEST_DATA", "", 1);
    s = defaults();
    assert_null(s.data);
    unsetenv("LK_TEST_DATA");

    static const lk_opt from_env[] = {
        {.name = "top-k", .type = LK_OPT_INT, AT(top_k), .env = "LK_TEST_TOP_K", .help = "h"},
        {.name = NULL},
    };
    setenv("LK_TEST_TOP_K", "many", 1);
    test_code(lk_opt_defaults(from_env, &s, &err), LK_E_INVALID);
    assert_string_equal(err.text, "LK_TEST_TOP_K must be an integer, not \"many\"");
    unsetenv("LK_TEST_TOP_K");
}

/* Read up to 15 words, space-separated, and check which of them are left as arguments. */
static lk_code parse(settings *s, const char *line, const char *left, lk_err *err)
{
    static char words[512]; /* settings point into it */
    static char *argv[16];
    char *save = NULL;
    int argc = 1;
    int n = -1;
    snprintf(words, sizeof words, "%s", line);
    static char name[] = "prog";
    argv[0] = name;
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    *s = defaults();
    lk_code code = lk_opt_parse_argv(table, s, argc, argv, &n, err);
    if (code) {
        assert_int_equal(n, -1);
        return code;
    }
    char got[512] = "";
    for (int i = 1; i <= n; i++) {
        strcat(got, i > 1 ? " " : "");
        strcat(got, argv[i]);
    }
    assert_string_equal(got, left);
    return LK_OK;
}

static void every_way_of_writing_an_option_is_read(void **state)
{
    (void)state;
    lk_err err;
    settings s;
    test_ok(parse(&s, "boat --top-k 5 -v --min-score=-0.5 harbour -d /x --format table",
                  "boat harbour", &err),
            &err);
    assert_true(s.verbose);
    assert_int_equal(s.top_k, 5);
    assert_true(s.score == -0.5);
    assert_string_equal(s.data, "/x");
    assert_int_equal(s.format, 2);
    test_ok(parse(&s, "-n7 --no-color --memory=1GiB --wait 500ms", "", &err), &err);
    assert_int_equal(s.top_k, 7);
    assert_false(s.color);
    assert_int_equal(s.memory, 1 << 30);
    assert_int_equal(s.wait_ms, 500);
    test_ok(parse(&s, "-vn 8 --color=no --min-score -1", "", &err), &err);
    assert_true(s.verbose && !s.color);
    assert_int_equal(s.top_k, 8);
    assert_true(s.score == -1);
    test_ok(parse(&s, "--top_k 9 -m a=1 --meta b=2 -mc=3", "", &err), &err);
    assert_int_equal(s.top_k, 9);
    assert_int_equal(s.meta.n, 3);
    assert_string_equal(s.meta.v[0], "a=1");
    assert_string_equal(s.meta.v[2], "c=3");
    test_ok(parse(&s, "--data= - -v -- -n --top-k", "- -n --top-k", &err), &err);
    assert_string_equal(s.data, "");
    assert_true(s.verbose);
    assert_int_equal(s.top_k, 10);
}

static void mistakes_are_told_in_the_words_of_the_command_line(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *field;
        const char *text;
    } cases[] = {
        {"--topk 5", "topk", "unknown option --topk, did you mean --top-k?"},
        {"--top-k=0", "top-k", "--top-k must be 1 to 1000, not \"0\""},
        {"--top-k 1001", "top-k", "--top-k must be 1 to 1000, not \"1001\""},
        {"-n x", "top-k", "--top-k must be an integer, not \"x\""},
        {"--top-k", "top-k", "--top-k needs a value"},
        {"-vn", "top-k", "--top-k needs a value"},
        {"--memory 2TiB", "memory", "--memory must be 1KiB to 1GiB, not \"2TiB\""},
        {"--memory lots", "memory", "--memory must be a size such as 64MiB, not \"lots\""},
        {"--wait 2h", "wait", "--wait must be 0 to 1h, not \"2h\""},
        {"--wait 1x", "wait", "--wait must be a time such as 30s or 500ms, not \"1x\""},
        {"--min-score nan", "min-score", "--min-score must be a number, not \"nan\""},
        {"--format xml", "format", "--format must be one of text, json, table, not \"xml\""},
        {"--color=maybe", "color", "--color must be true or false, not \"maybe\""},
        {"--no-top-k", "no-top-k", "unknown option --no-top-k"},
        {"--zzz", "zzz", "unknown option --zzz"},
        {"-x", "-x", "unknown option -x in \"-x\""},
        {"-vx", "-vx", "unknown option -x in \"-vx\""},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_err err;
        settings s;
        test_code(parse(&s, cases[i].line, "", &err), LK_E_INVALID);
        assert_string_equal(err.text, cases[i].text);
        assert_string_equal(err.field, cases[i].field);
    }
}

static void a_list_has_an_end(void **state)
{
    (void)state;
    lk_err err;
    settings s = defaults();
    for (int i = 0; i < LK_MAX_OPT_LIST; i++)
        test_ok(lk_opt_set(table, &s, LK_STR("meta"), "x", &err), &err);
    test_code(lk_opt_set(table, &s, LK_STR("meta"), "x", &err), LK_E_LIMIT);
    assert_int_equal(s.meta.n, LK_MAX_OPT_LIST);
}

static void pairs_are_set_by_either_spelling(void **state)
{
    (void)state;
    lk_err err;
    settings s = defaults();
    test_ok(lk_opt_set(table, &s, LK_STR("top_k"), "3", &err), &err);
    assert_int_equal(s.top_k, 3);
    test_ok(lk_opt_set(table, &s, LK_STR("top-k"), "4", &err), &err);
    assert_int_equal(s.top_k, 4);
    test_code(lk_opt_set(table, &s, LK_STR("top"), "4", &err), LK_E_INVALID);
    test_code(lk_opt_set(table, &s, LK_STR("tpo-k"), "4", &err), LK_E_INVALID);
    assert_string_equal(err.text, "unknown option tpo-k, did you mean top-k?");
    test_code(lk_opt_set(table, &s, LK_STR("top_k"), "-4", &err), LK_E_INVALID);
    assert_int_equal(s.top_k, 4);
}

static lk_code parse_json(settings *s, const char *text, lk_json **ret_doc, lk_err *err)
{
    test_ok(lk_json_parse(lk_str_of(text), ret_doc, err), err);
    *s = defaults();
    return lk_opt_parse_json(table, s, lk_json_root(*ret_doc), err);
}

static void json_members_are_options_too(void **state)
{
    (void)state;
    lk_err err;
    settings s;
    lk_json *doc = NULL;
    test_ok(
        parse_json(
            &s,
            "{\"verbose\":true,\"top_k\":5.0,\"min_score\":0.25,\"memory\":\"1MiB\",\"wait\":0.5,"
            "\"data\":\"/d\",\"format\":\"text\",\"meta\":[\"a\",\"b\"],\"color\":null}",
            &doc, &err),
        &err);
    assert_true(s.verbose && s.color);
    assert_int_equal(s.top_k, 5);
    assert_true(s.score == 0.25);
    assert_int_equal(s.memory, 1 << 20);
    assert_int_equal(s.wait_ms, 500);
    assert_string_equal(s.data, "/d");
    assert_int_equal(s.format, 0);
    assert_int_equal(s.meta.n, 2);
    assert_string_equal(s.meta.v[1], "b");
    lk_json_free(doc);
    test_ok(
        parse_json(&s, "{\"min-score\":1,\"memory\":4096,\"wait\":2,\"meta\":\"one\"}", &doc, &err),
        &err);
    assert_true(s.score == 1);
    assert_int_equal(s.memory, 4096);
    assert_int_equal(s.wait_ms, 2000);
    assert_int_equal(s.meta.n, 1);
    lk_json_free(doc);
}

static void mistakes_in_json_are_told_in_its_words(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {"{\"topk\":5}", "unknown option topk, did you mean top_k?"},
        {"{\"top_k\":\"5\"}", "top_k must be an integer, not a string"},
        {"{\"top_k\":1.5}", "top_k must be an integer, not a number"},
        {"{\"top_k\":0}", "top_k must be 1 to 1000, not \"0\""},
        {"{\"min_score\":2}", "min_score must be -1 to 1, not \"2\""},
        {"{\"min_score\":[]}", "min_score must be a number, not an array"},
        {"{\"verbose\":1}", "verbose must be true or false, not an integer"},
        {"{\"memory\":1.5}", "memory must be a whole number, not a number"},
        {"{\"memory\":true}", "memory must be a string, not true or false"},
        {"{\"wait\":-1}", "wait must be a time such as 30s or 500ms, not \"-1\""},
        {"{\"data\":1}", "data must be a string, not an integer"},
        {"{\"data\":\"a\\u0000b\"}", "data holds a zero byte"},
        {"{\"format\":\"xml\"}", "format must be one of text, json, table, not \"xml\""},
        {"{\"meta\":[1]}", "meta must be strings, not an integer"},
        {"[]", "options must be an object, not an array"},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_err err;
        settings s;
        lk_json *doc = NULL;
        test_code(parse_json(&s, cases[i].json, &doc, &err), LK_E_INVALID);
        assert_string_equal(err.text, cases[i].text);
        lk_json_free(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_table_then_the_environment),
        cmocka_unit_test(every_way_of_writing_an_option_is_read),
        cmocka_unit_test(mistakes_are_told_in_the_words_of_the_command_line),
        cmocka_unit_test(a_list_has_an_end),
        cmocka_unit_test(pairs_are_set_by_either_spelling),
        cmocka_unit_test(json_members_are_options_too),
        cmocka_unit_test(mistakes_in_json_are_told_in_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
