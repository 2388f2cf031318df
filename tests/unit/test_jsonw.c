#include "support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static void a_document_is_written_with_its_commas(void **state)
{
    (void)state;
    lk_err err;
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    lk_jw_obj(&w);
    lk_jw_key(&w, "a");
    lk_jw_arr(&w);
    lk_jw_int(&w, INT64_MIN);
    lk_jw_uint(&w, UINT64_MAX);
    lk_jw_bool(&w, true);
    lk_jw_bool(&w, false);
    lk_jw_null(&w);
    lk_jw_strz(&w, NULL);
    lk_jw_raw(&w, LK_STR("{\"raw\":1}"));
    lk_jw_obj(&w);
    lk_jw_end_obj(&w);
    lk_jw_end_arr(&w);
    lk_jw_key_str(&w, LK_STR("b\"c"));
    lk_jw_strz(&w, "x");
    lk_jw_end_obj(&w);
    test_ok(lk_buf_check(&b, &err), &err);
    assert_string_equal(b.p,
                        "{\"a\":[-9223372036854775808,18446744073709551615,true,false,null,null,"
                        "{\"raw\":1},{}],\"b\\\"c\":\"x\"}");
    lk_buf_release(&b);
}

static const char *string_of(lk_buf *b, lk_str s)
{
    lk_jw w;
    lk_buf_clear(b);
    lk_jw_init(&w, b);
    lk_jw_str(&w, s);
    return lk_buf_str(b).p;
}

static void strings_are_escaped_and_mended(void **state)
{
    (void)state;
    lk_buf b;
    lk_buf_init(&b, 0);
    assert_string_equal(string_of(&b, LK_STR("")), "\"\"");
    assert_string_equal(string_of(&b, LK_STR("a\"\\/船🚤")), "\"a\\\"\\\\/船🚤\"");
    assert_string_equal(string_of(&b, LK_STR("\b\f\n\r\t\v\x01\x1f\x7f")),
                        "\"\\b\\f\\n\\r\\t\\u000b\\u0001\\u001f\x7f\"");
    assert_string_equal(string_of(&b, (lk_str){"a\0b", 3}), "\"a\\u0000b\"");
    assert_string_equal(string_of(&b, LK_STR("a\x80z\xE8\x88")),
                        "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\"");
    lk_buf_release(&b);
}

static const char *real_of(lk_buf *b, double v)
{
    lk_jw w;
    lk_buf_clear(b);
    lk_jw_init(&w, b);
    lk_jw_real(&w, v);
    return lk_buf_str(b).p;
}

static const char *float_of(lk_buf *b, float v)
{
    lk_jw w;
    lk_buf_clear(b);
    lk_jw_init(&w, b);
    lk_jw_float(&w, v);
    return lk_buf_str(b).p;
}

static void numbers_are_short_and_read_back_equal(void **state)
{
    (void)state;
    lk_buf b;
    lk_buf_init(&b, 0);
    assert_string_equal(real_of(&b, 0.1), "0.1");
    assert_string_equal(real_of(&b, 3), "3");
    assert_string_equal(real_of(&b, -0.0), "-0.0"); /* "-0" would read back as an integer */
    assert_string_equal(real_of(&b, 1e300), "1e+300");
    assert_string_equal(real_of(&b, 0.1 + 0.2), "0.30000000000000004");
    assert_string_equal(real_of(&b, 123456789012345), "123456789012345");
    assert_string_equal(float_of(&b, 0.1f), "0.1");
    assert_string_equal(float_of(&b, 1.0f / 3), "0.33333334");
    assert_string_equal(float_of(&b, 16777216.0f), "16777216");
    assert_string_equal(real_of(&b, NAN), "null");
    assert_string_equal(real_of(&b, -INFINITY), "null");
    assert_string_equal(float_of(&b, INFINITY), "null");

    test_rng rng = {4};
    for (int i = 0; i < 100000; i++) {
        union {
            uint64_t u;
            double d;
        } wide = {.u = test_rng_next(&rng)};
        union {
            uint32_t u;
            float f;
        } narrow = {.u = (uint32_t)test_rng_next(&rng)};
        if (isfinite(wide.d) && strtod(real_of(&b, wide.d), NULL) != wide.d)
            fail_msg("%a came back as %s", wide.d, b.p);
        if (isfinite(narrow.f) && strtof(float_of(&b, narrow.f), NULL) != narrow.f)
            fail_msg("%a came back as %s", (double)narrow.f, b.p);
    }
    static const double edges[] = {DBL_MAX, DBL_MIN, DBL_TRUE_MIN, 0x1p53, 0x1p63, 1e15, 1e22};
    for (size_t i = 0; i < LK_ARRAY_LEN(edges); i++)
        assert_true(strtod(real_of(&b, edges[i]), NULL) == edges[i]);
    assert_true(strtof(float_of(&b, FLT_MAX), NULL) == FLT_MAX);
    assert_true(strtof(float_of(&b, FLT_TRUE_MIN), NULL) == FLT_TRUE_MIN);
    lk_buf_release(&b);
}

static void a_parsed_value_is_written_as_it_was(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1,2.5,-3,\"x\\ny\",true,false,null,[],{}],\"o\":{\"p\":{\"q\":0.1}}}";
    lk_err err;
    lk_json *doc = NULL;
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    test_ok(lk_json_parse(lk_str_of(text), &doc, &err), &err);
    lk_jw_arr(&w);
    lk_jw_val(&w, lk_json_root(doc));
    lk_jw_val(&w, lk_jval_get(lk_jval_get(lk_json_root(doc), "o"), "p"));
    lk_jw_val(&w, NULL);
    lk_jw_end_arr(&w);
    char want[300];
    snprintf(want, sizeof want, "[%s,{\"q\":0.1},null]", text);
    assert_string_equal(lk_buf_str(&b).p, want);
    lk_json_free(doc);
    lk_buf_release(&b);
}

static void the_deepest_value_fits_where_it_is_written_deep(void **state)
{
    (void)state;
    char deep[2 * LK_MAX_JSON_DEPTH];
    memset(deep, '[', LK_MAX_JSON_DEPTH);
    memset(deep + LK_MAX_JSON_DEPTH, ']', LK_MAX_JSON_DEPTH);
    lk_err err;
    lk_json *doc = NULL;
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    test_ok(lk_json_parse((lk_str){deep, sizeof deep}, &doc, &err), &err);
    for (int i = 0; i < 10; i++)
        lk_jw_arr(&w);
    lk_jw_val(&w, lk_json_root(doc));
    for (int i = 0; i < 10; i++)
        lk_jw_end_arr(&w);
    test_ok(lk_buf_check(&b, &err), &err);
    assert_int_equal(b.n, sizeof deep + 20);
    lk_json_free(doc);
    lk_buf_release(&b);
}

static void a_buffer_too_small_is_told_at_the_end(void **state)
{
    (void)state;
    lk_err err;
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 10);
    lk_jw_init(&w, &b);
    lk_jw_arr(&w);
    for (int i = 0; i < 100; i++)
        lk_jw_int(&w, i);
    lk_jw_end_arr(&w);
    test_code(lk_buf_check(&b, &err), LK_E_LIMIT);
    lk_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_written_with_its_commas),
        cmocka_unit_test(strings_are_escaped_and_mended),
        cmocka_unit_test(numbers_are_short_and_read_back_equal),
        cmocka_unit_test(a_parsed_value_is_written_as_it_was),
        cmocka_unit_test(the_deepest_value_fits_where_it_is_written_deep),
        cmocka_unit_test(a_buffer_too_small_is_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
