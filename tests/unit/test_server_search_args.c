#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/search_args.h"

static lk_search_args a;

static lk_code read_json(const char *text, lk_err *err)
{
    lk_json *doc = NULL;
    memset(err, 0, sizeof *err);
    lk_search_args_release(&a);
    lk_search_args_init(&a);
    lk_code code = lk_json_parse(lk_str_of(text), &doc, err);
    return code ? code : lk_search_args_json(&a, doc, 1000, err);
}

static int tear_down(void **state)
{
    (void)state;
    lk_search_args_release(&a);
    return 0;
}

static void assert_text(lk_str s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
}

static void words_alone_are_a_search_with_defaults(void **state)
{
    lk_err err;
    (void)state;
    assert_int_equal(read_json("{\"text\":\"boat\"}", &err), 0);
    assert_int_equal(a.search.n_parts, 1);
    assert_int_equal(a.parts[0].kind, LK_PART_TEXT);
    assert_text(a.parts[0].text, "boat");
    assert_true(a.parts[0].weight == 1);
    assert_int_equal(a.search.top_k, 10);
    assert_int_equal(a.search.offset, 0);
    assert_false(a.search.has_min_score);
    assert_false(a.has_fields);
}

static void a_list_of_texts_is_one_part(void **state)
{
    lk_err err;
    (void)state;
    assert_int_equal(read_json("{\"text\":[\"a boat\",\"船\"],\"query\":[{\"text\":[\"sea\"],"
                               "\"weight\":-2},{\"text\":\"sky\"}]}",
                               &err),
                     0);
    assert_int_equal(a.search.n_parts, 3);
    assert_int_equal(a.parts[0].n_prompts, 2);
    assert_text(a.parts[0].prompts[1], "船");
    assert_int_equal(a.parts[1].n_prompts, 1);
    assert_true(a.parts[1].weight == -2);
    assert_int_equal(a.parts[2].n_prompts, 0);
    assert_text(a.parts[2].text, "sky");
    static const char *const wrong[] = {"{\"text\":[]}", "{\"text\":[\"a\",3]}",
                                        "{\"text\":[\"a\",\" \"]}", "{\"text\":{}}"};
    for (size_t i = 0; i < LK_ARRAY_LEN(wrong); i++) {
        assert_int_equal(read_json(wrong[i], &err), LK_E_INVALID);
        assert_string_equal(err.field, "text");
    }
    assert_int_equal(read_json("{\"query\":[{\"text\":\"a\"},{\"text\":[]}]}", &err), LK_E_INVALID);
    assert_string_equal(err.field, "query[1].text");
}

static void every_member_reaches_the_search(void **state)
{
    lk_err err;
    (void)state;
    assert_int_equal(
        read_json("{\"query\":[{\"text\":\"船\",\"weight\":0.7},{\"image\":\"data:image/png;base64,"
                  "AAEC\",\"weight\":0.3},{\"id\":\"x\",\"weight\":-1},{\"vector\":[1,2.5]}],"
                  "\"top_k\":5,\"offset\":3,\"filter\":\"width > 1\",\"min_score\":0.25,"
                  "\"fields\":[\"id\",\"metadata.brand\"],"
                  "\"boosts\":[{\"expr\":\"is_new\",\"add\":0.2}],\"ef\":64,\"exact\":true}",
                  &err),
        0);
    assert_int_equal(a.search.n_parts, 4);
    assert_true(a.parts[0].weight == 0.7f);
    assert_int_equal(a.parts[1].kind, LK_PART_IMAGE);
    assert_int_equal(a.parts[1].bytes.n, 3);
    assert_memory_equal(a.parts[1].bytes.p, "\0\1\2", 3);
    assert_true(a.parts[2].weight == -1);
    assert_int_equal(a.parts[3].n, 2);
    assert_true(a.parts[3].vector[1] == 2.5f);
    assert_int_equal(a.search.top_k, 5);
    assert_int_equal(a.search.offset, 3);
    assert_text(a.search.filter, "width > 1");
    assert_true(a.search.has_min_score && a.search.min_score == 0.25);
    assert_int_equal(a.n_fields, 2);
    assert_text(a.fields[1], "metadata.brand");
    assert_int_equal(a.search.n_boosts, 1);
    assert_text(a.boosts[0].expr, "is_new");
    assert_int_equal(a.search.ef, 64);
    assert_true(a.search.exact);
    assert_true(a.has_picture);
}

static void an_empty_list_of_fields_differs_from_none(void **state)
{
    lk_err err;
    (void)state;
    assert_int_equal(read_json("{\"id\":\"x\",\"fields\":[]}", &err), 0);
    assert_true(a.has_fields);
    assert_int_equal(a.n_fields, 0);
}

static void a_fault_names_its_field(void **state)
{
    static const struct {
        const char *json, *field;
    } bad[] = {
        {"{}", "query"},
        {"{\"query\":[]}", "query"},
        {"{\"text\":\"\"}", "text"},
        {"{\"text\":\" \"}", "text"},
        {"{\"text\":5}", "text"},
        {"{\"id\":\"\"}", "id"},
        {"{\"image\":\"\"}", "image"},
        {"{\"image\":\"?\"}", "image"},
        {"{\"vector\":\"x\"}", "vector"},
        {"{\"vector\":[1,\"x\"]}", "vector"},
        {"{\"vector\":[1,1e400]}", ""},
        {"{\"text\":\"a\",\"topk\":1}", "topk"},
        {"{\"text\":\"a\",\"top_k\":0}", "top_k"},
        {"{\"text\":\"a\",\"top_k\":1001}", "top_k"},
        {"{\"text\":\"a\",\"top_k\":1.5}", "top_k"},
        {"{\"text\":\"a\",\"top_k\":\"1\"}", "top_k"},
        {"{\"text\":\"a\",\"offset\":-1}", "offset"},
        {"{\"text\":\"a\",\"filter\":1}", "filter"},
        {"{\"text\":\"a\",\"exact\":1}", "exact"},
        {"{\"text\":\"a\",\"min_score\":\"x\"}", "min_score"},
        {"{\"text\":\"a\",\"fields\":\"id\"}", "fields"},
        {"{\"text\":\"a\",\"fields\":[1]}", "fields"},
        {"{\"text\":\"a\",\"boosts\":{}}", "boosts"},
        {"{\"text\":\"a\",\"boosts\":[{\"expr\":\"x\"}]}", "boosts[0]"},
        {"{\"text\":\"a\",\"boosts\":[{\"expr\":\"x\",\"add\":1,\"by\":2}]}", "boosts[0].by"},
        {"{\"query\":[{\"text\":\"a\",\"id\":\"b\"}]}", "query[0]"},
        {"{\"query\":[{\"text\":\"a\"},{}]}", "query[1]"},
        {"{\"query\":[{\"text\":\"a\",\"weight\":0}]}", "query[0].weight"},
        {"{\"query\":[{\"text\":\"a\",\"weight\":1e39}]}", "query[0].weight"},
        {"{\"query\":[{\"txt\":\"a\"}]}", "query[0].txt"},
        {"{\"query\":\"a\"}", "query"},
    };
    (void)state;
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        lk_err err;
        lk_code code = read_json(bad[i].json, &err);
        if (code != LK_E_INVALID && code != LK_E_FORMAT)
            print_error("%s: %s\n", bad[i].json, lk_code_word(code));
        assert_true(code == LK_E_INVALID || code == LK_E_FORMAT);
        if (strcmp(err.field, bad[i].field) != 0)
            print_error("%s: %s\n", bad[i].json, err.text);
        assert_string_equal(err.field, bad[i].field);
        assert_true(err.text[0] != '\0');
    }
}

static void too_many_parts_are_refused_and_nothing_leaks(void **state)
{
    char text[2048] = "{\"query\":[";
    lk_err err;
    (void)state;
    for (int i = 0; i < LK_MAX_QUERY_PARTS; i++)
        strcat(text, i ? ",{\"vector\":[1]}" : "{\"vector\":[1]}");
    strcat(text, "],\"vector\":[1]}");
    assert_int_equal(read_json(text, &err), LK_E_INVALID);
    assert_string_equal(err.field, "query");
}

static void values_of_a_filter_are_quoted(void **state)
{
    lk_buf b;
    lk_json *doc = NULL;
    lk_str key;
    const lk_jval *v;
    (void)state;
    lk_buf_init(&b, 0);
    lk_filter_add_text(&b, "category", LK_STR("a\" or 1 == 1 or \"\\"));
    assert_string_equal(b.p, "`category` == \"a\\\" or 1 == 1 or \\\"\\\\\"");
    lk_buf_clear(&b);
    assert_int_equal(
        lk_json_parse(LK_STR("{\"a`b\":1.5,\"c\":[\"x\",true],\"d\":null}"), &doc, NULL), 0);
    lk_jiter it = lk_jiter_of(lk_json_root(doc));
    while (lk_jiter_next(&it, &key, &v))
        assert_int_equal(lk_filter_add_equal(&b, key, v, NULL), 0);
    assert_string_equal(b.p, "`a``b` == 1.5 and `c` in [\"x\", true] and `d` is null");
    lk_json_free(doc);
    assert_int_equal(lk_json_parse(LK_STR("{\"a\":{}}"), &doc, NULL), 0);
    it = lk_jiter_of(lk_json_root(doc));
    assert_true(lk_jiter_next(&it, &key, &v));
    assert_int_equal(lk_filter_add_equal(&b, key, v, NULL), LK_E_INVALID);
    assert_int_equal(lk_filter_add_equal(&b, LK_STR(""), v, NULL), LK_E_INVALID);
    lk_json_free(doc);
    lk_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(words_alone_are_a_search_with_defaults, tear_down),
        cmocka_unit_test_teardown(a_list_of_texts_is_one_part, tear_down),
        cmocka_unit_test_teardown(every_member_reaches_the_search, tear_down),
        cmocka_unit_test_teardown(an_empty_list_of_fields_differs_from_none, tear_down),
        cmocka_unit_test_teardown(a_fault_names_its_field, tear_down),
        cmocka_unit_test_teardown(too_many_parts_are_refused_and_nothing_leaks, tear_down),
        cmocka_unit_test(values_of_a_filter_are_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
