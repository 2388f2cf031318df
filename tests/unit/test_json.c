#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static lk_json *parsed(const char *text)
{
    lk_err err;
    lk_json *doc = NULL;
    test_ok(lk_json_parse(lk_str_of(text), &doc, &err), &err);
    return doc;
}

static void values_are_read_with_their_types(void **state)
{
    (void)state;
    lk_json *doc =
        parsed("{\"n\":null,\"t\":true,\"f\":false,\"i\":-5,\"r\":2.5,\"s\":\"a\\u0000b船\","
               "\"a\":[1,\"x\",[]],\"o\":{\"k\":1}}");
    const lk_jval *root = lk_json_root(doc);
    assert_int_equal(lk_jval_type(root), LK_J_OBJ);
    assert_int_equal(lk_jval_len(root), 8);
    assert_int_equal(lk_jval_type(lk_jval_get(root, "n")), LK_J_NULL);
    assert_true(lk_jval_bool(lk_jval_get(root, "t")));
    assert_false(lk_jval_bool(lk_jval_get(root, "f")));
    assert_int_equal(lk_jval_int(lk_jval_get(root, "i")), -5);
    assert_true(lk_jval_real(lk_jval_get(root, "i")) == -5.0);
    assert_true(lk_jval_real(lk_jval_get(root, "r")) == 2.5);
    assert_int_equal(lk_jval_int(lk_jval_get(root, "r")), 0);
    lk_str s = lk_jval_str(lk_jval_get(root, "s"));
    assert_int_equal(s.n, 6);
    assert_memory_equal(s.p, "a\0b\xE8\x88\xB9", 7);
    const lk_jval *a = lk_jval_get(root, "a");
    assert_int_equal(lk_jval_len(a), 3);
    assert_true(lk_str_is(lk_jval_str(lk_jval_at(a, 1)), "x"));
    assert_null(lk_jval_at(a, 3));
    assert_int_equal(lk_jval_len(lk_jval_at(a, 2)), 0);
    assert_int_equal(lk_jval_int(lk_jval_get(lk_jval_get(root, "o"), "k")), 1);
    lk_json_free(doc);
    lk_json_free(NULL);
}

static void what_is_absent_or_of_another_type_reads_as_nothing(void **state)
{
    (void)state;
    lk_json *doc = parsed("[1]");
    const lk_jval *root = lk_json_root(doc);
    assert_null(lk_jval_get(root, "x"));
    assert_null(lk_jval_get(NULL, "x"));
    assert_int_equal(lk_jval_type(NULL), LK_J_NULL);
    assert_int_equal(lk_jval_len(NULL), 0);
    assert_false(lk_jval_bool(root));
    assert_int_equal(lk_jval_int(NULL), 0);
    assert_true(lk_jval_real(root) == 0);
    assert_int_equal(lk_jval_str(root).n, 0);
    assert_string_equal(lk_jval_str(NULL).p, "");
    lk_jiter it = lk_jiter_of(NULL);
    assert_false(lk_jiter_next(&it, NULL, NULL));
    lk_json_free(doc);
}

static void integers_beyond_64_bits_become_reals(void **state)
{
    (void)state;
    lk_json *doc = parsed("[9223372036854775807,9223372036854775808,-9223372036854775808,"
                          "-9223372036854775809,18446744073709551616,1e2,1.0]");
    static const lk_jtype types[] = {LK_J_INT,  LK_J_REAL, LK_J_INT, LK_J_REAL,
                                     LK_J_REAL, LK_J_REAL, LK_J_REAL};
    const lk_jval *root = lk_json_root(doc);
    for (size_t i = 0; i < LK_ARRAY_LEN(types); i++)
        assert_int_equal(lk_jval_type(lk_jval_at(root, i)), types[i]);
    assert_true(lk_jval_int(lk_jval_at(root, 0)) == INT64_MAX);
    assert_true(lk_jval_int(lk_jval_at(root, 2)) == INT64_MIN);
    assert_true(lk_jval_real(lk_jval_at(root, 1)) == 0x1p63);
    lk_json_free(doc);
}

static void members_and_elements_are_visited_in_order(void **state)
{
    (void)state;
    lk_json *doc = parsed("{\"b\":[10,[11],12],\"a\":{\"x\":{}},\"c\":3}");
    lk_str key;
    const lk_jval *v = NULL;
    const char *keys[] = {"b", "a", "c"};
    size_t n = 0;
    lk_jiter it = lk_jiter_of(lk_json_root(doc));
    while (lk_jiter_next(&it, &key, &v))
        assert_true(lk_str_is(key, keys[n++]));
    assert_int_equal(n, 3);
    assert_int_equal(lk_jval_int(v), 3);

    n = 0;
    it = lk_jiter_of(lk_jval_get(lk_json_root(doc), "b"));
    while (lk_jiter_next(&it, &key, &v)) {
        assert_int_equal(key.n, 0);
        assert_int_equal(lk_jval_type(v), n == 1 ? LK_J_ARR : LK_J_INT);
        n++;
    }
    assert_int_equal(n, 3);
    lk_json_free(doc);
}

static void what_is_no_json_is_refused_where_it_goes_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int column;
    } cases[] = {
        {"", 1},
        {" ", 0},
        {"{\"a\":1} x", 9},
        {"[1,]", 0},
        {"{\"a\" 1}", 6},
        {"[1 2]", 4},
        {"nul", 0},
        {"NaN", 1},
        {"[Infinity]", 2},
        {"[-inf]", 0},
        {"[1e999]", 0},
        {"[-1e999]", 0},
        {"[01]", 0},
        {"[+1]", 2},
        {"[.5]", 2},
        {"[0x1]", 0},
        {"\"a", 0},
        {"\"a\nb\"", 0},
        {"\"\\x\"", 0},
        {"\"\\ud800\"", 0},
        {"\"\\u12\"", 0},
        {"\"\x80\"", 0},
        {"\"\xC0\x80\"", 0},
        {"\"\xED\xA0\x80\"", 0},
        {"\"\xF4\x90\x80\x80\"", 0},
        {"\xEF\xBB\xBF{}", 0},
        {"[1] // c", 0},
        {"'a'", 1},
        {"[\"\\", 0},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_err err = {.code = LK_OK};
        lk_json *doc = NULL;
        lk_code code = lk_json_parse(lk_str_of(cases[i].text), &doc, &err);
        if (code != LK_E_FORMAT || doc)
            fail_msg("%s: %s", cases[i].text, lk_code_word(code));
        if (err.column < 1 || (size_t)err.column > strlen(cases[i].text) + 1)
            fail_msg("%s: column %d", cases[i].text, err.column);
        if (cases[i].column && err.column != cases[i].column)
            fail_msg("%s: column %d, expected %d", cases[i].text, err.column, cases[i].column);
    }
    lk_err err;
    lk_json *doc = NULL;
    test_code(lk_json_parse((lk_str){"[1]\0", 4}, &doc, &err), LK_E_FORMAT);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    lk_err err;
    lk_json *doc = NULL;
    char text[2 * LK_MAX_JSON_DEPTH + 2];
    memset(text, '[', LK_MAX_JSON_DEPTH);
    memset(text + LK_MAX_JSON_DEPTH, ']', LK_MAX_JSON_DEPTH);
    test_ok(lk_json_parse((lk_str){text, 2 * LK_MAX_JSON_DEPTH}, &doc, &err), &err);
    lk_json_free(doc);
    doc = NULL;
    memset(text, '[', LK_MAX_JSON_DEPTH + 1);
    memset(text + LK_MAX_JSON_DEPTH + 1, ']', LK_MAX_JSON_DEPTH + 1);
    test_code(lk_json_parse((lk_str){text, sizeof text}, &doc, &err), LK_E_LIMIT);
    assert_int_equal(err.column, LK_MAX_JSON_DEPTH + 1);

    size_t n = 1 << 20;
    char *deep = lk_malloc(n);
    assert_non_null(deep);
    memset(deep, '[', n);
    test_faults_on();
    test_code(lk_json_parse((lk_str){deep, n}, &doc, &err), LK_E_LIMIT);
    assert_int_equal(test_calls(TEST_ALLOC), 0); /* refused before anything is reserved for it */
    test_faults_off();
    lk_free(deep);
    /* Brackets in strings are no nesting. */
    doc =
        parsed("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"]");
    lk_json_free(doc);
    assert_int_equal(LK_MAX_JSON_DEPTH, 64); /* the sentence names it */
}

/* {"k0":0,…,"k<n-1>":0} and, where twice < n, the key of that number once more at the end. */
static void many_keys(lk_buf *b, size_t n, size_t twice)
{
    lk_buf_clear(b);
    lk_buf_putc(b, '{');
    for (size_t i = 0; i < n; i++)
        lk_buf_printf(b, "%s\"k%zu\":0", i ? "," : "", i);
    if (twice < n)
        lk_buf_printf(b, ",\"k%zu\":1", twice);
    lk_buf_putc(b, '}');
}

static void a_key_there_twice_is_refused_in_objects_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 15, 16, 17, 18, 1000, LK_MAX_JSON_KEYS - 1};
    lk_buf b;
    lk_buf_init(&b, 0);
    for (size_t i = 0; i < LK_ARRAY_LEN(sizes); i++) {
        lk_err err;
        lk_json *doc = NULL;
        size_t n = sizes[i];
        many_keys(&b, n, SIZE_MAX);
        test_ok(lk_json_parse(lk_buf_str(&b), &doc, &err), &err);
        lk_json_free(doc);
        doc = NULL;
        many_keys(&b, n, n / 2);
        test_code(lk_json_parse(lk_buf_str(&b), &doc, &err), LK_E_FORMAT);
        test_has(err.text, "twice");
        char key[40];
        snprintf(key, sizeof key, "\"k%zu\":1", n / 2);
        assert_int_equal(err.column, lk_str_find(lk_buf_str(&b), lk_str_of(key)) + 1);
        assert_null(doc);
    }
    lk_buf_release(&b);

    lk_err err;
    lk_json *doc = NULL;
    /* The same key in other words, in an object inside. */
    test_code(lk_json_parse(LK_STR("[{\"a\":1,\"\\u0061\":2}]"), &doc, &err), LK_E_FORMAT);
    assert_int_equal(err.column, 9);
    test_code(lk_json_parse(LK_STR("{\"\":1,\"\":2}"), &doc, &err), LK_E_FORMAT);
    doc = parsed("[{\"a\":1},{\"a\":2,\"b\":{\"a\":3}}]");
    lk_json_free(doc);
}

static void keys_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    lk_err err;
    lk_json *doc = NULL;
    lk_buf b;
    lk_buf_init(&b, 0);
    many_keys(&b, LK_MAX_JSON_KEYS, SIZE_MAX);
    test_ok(lk_json_parse(lk_buf_str(&b), &doc, &err), &err);
    lk_json_free(doc);
    doc = NULL;
    many_keys(&b, LK_MAX_JSON_KEYS + 1, SIZE_MAX);
    test_code(lk_json_parse(lk_buf_str(&b), &doc, &err), LK_E_LIMIT);
    assert_null(doc);
    lk_buf_release(&b);
}

static lk_code parse_some(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_json *doc = NULL;
    float *floats = NULL;
    size_t n = 0;
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_buf_puts(&b, "{\"v\":[1,2,3]");
    for (int i = 0; i < 100; i++)
        lk_buf_printf(&b, ",\"k%d\":[%d,\"text\"]", i, i);
    lk_buf_putc(&b, '}');
    lk_code code = lk_buf_check(&b, err);
    if (!code)
        code = lk_json_parse(lk_buf_str(&b), &doc, err);
    if (!code)
        code = lk_json_get_floats(lk_json_root(doc), "v", 3, &floats, &n, err);
    lk_free(floats);
    lk_json_free(doc);
    lk_buf_release(&b);
    return code;
}

static void allocation_failures_are_told(void **state)
{
    (void)state;
    assert_true(test_sweep(TEST_ALLOC, 12, LK_E_NOMEM, parse_some, NULL) >= 6);
}

static void typed_members_are_taken_and_absent_ones_left(void **state)
{
    (void)state;
    lk_err err;
    lk_json *doc = parsed(
        "{\"b\":true,\"i\":7,\"w\":10.0,\"r\":2,\"s\":\"x\",\"v\":[1,2.5],\"e\":[],\"n\":null}");
    const lk_jval *o = lk_json_root(doc);
    bool b = false;
    int64_t i = 3;
    double r = 3;
    lk_str s = LK_STR("kept");
    float *v = NULL;
    size_t n = 9;
    test_ok(lk_json_get_bool(o, "b", &b, &err), &err);
    assert_true(b);
    test_ok(lk_json_get_int(o, "i", 0, 7, &i, &err), &err);
    assert_int_equal(i, 7);
    test_ok(lk_json_get_int(o, "w", 0, 10, &i, &err), &err);
    assert_int_equal(i, 10);
    test_ok(lk_json_get_real(o, "r", 2, 2, &r, &err), &err);
    assert_true(r == 2);
    test_ok(lk_json_get_str(o, "s", &s, &err), &err);
    assert_true(lk_str_is(s, "x"));
    test_ok(lk_json_get_floats(o, "v", 2, &v, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_true(v[0] == 1.0f && v[1] == 2.5f);
    lk_free(v);
    v = NULL;
    test_ok(lk_json_get_floats(o, "e", 2, &v, &n, &err), &err);
    assert_int_equal(n, 0);
    assert_non_null(v);
    lk_free(v);
    v = NULL;

    static const char *const none[] = {"absent", "n"};
    n = 9;
    for (size_t k = 0; k < 2; k++) {
        test_ok(lk_json_get_bool(o, none[k], &b, &err), &err);
        test_ok(lk_json_get_int(o, none[k], 0, 1, &i, &err), &err);
        test_ok(lk_json_get_real(o, none[k], 0, 1, &r, &err), &err);
        test_ok(lk_json_get_str(o, none[k], &s, &err), &err);
        test_ok(lk_json_get_floats(o, none[k], 1, &v, &n, &err), &err);
    }
    assert_true(b && i == 10 && r == 2 && lk_str_is(s, "x") && !v && n == 9);
    lk_json_free(doc);
}

static void wrong_members_are_refused_by_name(void **state)
{
    (void)state;
    lk_json *doc = parsed(
        "{\"b\":1,\"i\":1.5,\"j\":11,\"k\":1e300,\"r\":\"1\",\"q\":2,\"s\":5,\"v\":[1,\"x\"],"
        "\"w\":[1,2,3],\"x\":[1e300],\"y\":{}}");
    const lk_jval *o = lk_json_root(doc);
    bool b = false;
    int64_t i = 3;
    double r = 3;
    lk_str s = LK_STR("kept");
    float *v = NULL;
    size_t n = 9;
    lk_err err;
#define REFUSED(call, name, part)                                                                  \
    do {                                                                                           \
        test_code(call, LK_E_INVALID);                                                             \
        assert_string_equal(err.field, name);                                                      \
        test_has(err.text, part);                                                                  \
    } while (0)
    REFUSED(lk_json_get_bool(o, "b", &b, &err), "b", "b must be true or false, not an integer");
    REFUSED(lk_json_get_int(o, "i", 0, 9, &i, &err), "i", "must be an integer");
    REFUSED(lk_json_get_int(o, "j", 0, 9, &i, &err), "j", "0 to 9, not 11");
    REFUSED(lk_json_get_int(o, "k", 0, 9, &i, &err), "k", "0 to 9, not 1e+300");
    REFUSED(lk_json_get_int(o, "r", 0, 9, &i, &err), "r", "an integer, not a string");
    REFUSED(lk_json_get_real(o, "r", 0, 1, &r, &err), "r", "a number, not a string");
    REFUSED(lk_json_get_real(o, "q", 0, 1, &r, &err), "q", "0 to 1, not 2");
    REFUSED(lk_json_get_str(o, "s", &s, &err), "s", "a string, not an integer");
    REFUSED(lk_json_get_floats(o, "v", 9, &v, &n, &err), "v",
            "v[1] must be a number, not a string");
    REFUSED(lk_json_get_floats(o, "w", 2, &v, &n, &err), "w", "3 numbers, more than 2");
    REFUSED(lk_json_get_floats(o, "x", 2, &v, &n, &err), "x", "too large");
    REFUSED(lk_json_get_floats(o, "y", 2, &v, &n, &err), "y", "an array of numbers, not an object");
#undef REFUSED
    assert_true(!b && i == 3 && r == 3 && lk_str_is(s, "kept") && !v && n == 9);
    lk_json_free(doc);
}

static void an_unknown_member_is_named_with_the_closest_known_one(void **state)
{
    (void)state;
    static const char *const known[] = {"text", "top_k", "filter"};
    lk_err err;
    lk_json *doc = parsed("{\"text\":1,\"topk\":2}");
    test_code(lk_json_only(lk_json_root(doc), known, 3, &err), LK_E_INVALID);
    assert_string_equal(err.field, "topk");
    assert_string_equal(err.text, "unknown field \"topk\", did you mean \"top_k\"");
    lk_json_free(doc);
    doc = parsed("{\"zebra\":1}");
    test_code(lk_json_only(lk_json_root(doc), known, 3, &err), LK_E_INVALID);
    assert_string_equal(err.text, "unknown field \"zebra\"");
    lk_json_free(doc);
    doc = parsed("{\"text\":1,\"filter\":2}");
    test_ok(lk_json_only(lk_json_root(doc), known, 3, &err), &err);
    lk_json_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_with_their_types),
        cmocka_unit_test(what_is_absent_or_of_another_type_reads_as_nothing),
        cmocka_unit_test(integers_beyond_64_bits_become_reals),
        cmocka_unit_test(members_and_elements_are_visited_in_order),
        cmocka_unit_test(what_is_no_json_is_refused_where_it_goes_wrong),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_key_there_twice_is_refused_in_objects_of_any_size),
        cmocka_unit_test(keys_beyond_the_limit_are_refused),
        cmocka_unit_test(allocation_failures_are_told),
        cmocka_unit_test(typed_members_are_taken_and_absent_ones_left),
        cmocka_unit_test(wrong_members_are_refused_by_name),
        cmocka_unit_test(an_unknown_member_is_named_with_the_closest_known_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
