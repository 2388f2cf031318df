#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/query.h"

static int set_up(void **state)
{
    static lk_arena arena;
    lk_arena_init(&arena, 1 << 20);
    *state = &arena;
    return 0;
}

static int tear_down(void **state)
{
    lk_arena_release(*state);
    return 0;
}

static void assert_text(lk_str s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
}

static void escapes_are_decoded_byte_for_byte(void **state)
{
    lk_str s;
    assert_int_equal(lk_percent_decode(LK_STR("a%2Fb%20c+d%e7%8C%AB"), false, *state, &s, NULL), 0);
    assert_text(s, "a/b c+d猫");
    assert_int_equal(lk_percent_decode(LK_STR("a+b%2B"), true, *state, &s, NULL), 0);
    assert_text(s, "a b+");
    assert_int_equal(lk_percent_decode(LK_STR(""), true, *state, &s, NULL), 0);
    assert_text(s, "");
}

static void broken_escapes_zero_bytes_and_bad_text_are_refused(void **state)
{
    static const char *const bad[] = {"%",     "%2",  "a%zz", "%2%41",
                                      "x%00y", "%ff", "%c3",  "%ed%a0%80"};
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        lk_str s = LK_STR("kept");
        lk_err err = {0};
        assert_int_equal(lk_percent_decode(lk_str_of(bad[i]), false, *state, &s, &err),
                         LK_E_INVALID);
        assert_text(s, "kept");
        assert_true(err.text[0] != '\0');
    }
}

static void every_byte_survives_encoding_and_decoding(void **state)
{
    char all[256];
    size_t n = 0;
    lk_buf b;
    lk_str back;
    for (int c = 1; c < 128; c++)
        all[n++] = (char)c;
    memcpy(all + n, "猫🐈", strlen("猫🐈"));
    n += strlen("猫🐈");
    lk_buf_init(&b, 0);
    lk_percent_encode((lk_str){all, n}, &b);
    assert_null(memchr(b.p, '/', b.n));
    assert_int_equal(lk_percent_decode(lk_buf_str(&b), false, *state, &back, NULL), 0);
    assert_int_equal(back.n, n);
    assert_memory_equal(back.p, all, n);
    lk_buf_release(&b);
}

static void arguments_are_split_in_order(void **state)
{
    lk_args a;
    lk_str v;
    bool found;
    assert_int_equal(lk_args_parse(LK_STR("a=1&&b&c=x%3Dy&=z"), *state, &a, NULL), 0);
    assert_int_equal(a.n, 4);
    assert_int_equal(lk_args_one(&a, "a", &v, &found, NULL), 0);
    assert_true(found);
    assert_text(v, "1");
    assert_int_equal(lk_args_one(&a, "c", &v, &found, NULL), 0);
    assert_text(v, "x=y");
    assert_int_equal(lk_args_one(&a, "b", &v, &found, NULL), 0);
    assert_text(v, "");
    assert_int_equal(lk_args_one(&a, "d", &v, &found, NULL), 0);
    assert_false(found);
}

static void an_argument_given_twice_or_unknown_is_refused_by_name(void **state)
{
    static const char *const known[] = {"limit", "cursor"};
    lk_args a;
    lk_str v;
    bool found;
    lk_err err = {0};
    assert_int_equal(lk_args_parse(LK_STR("limit=1&limit=2"), *state, &a, NULL), 0);
    assert_int_equal(lk_args_one(&a, "limit", &v, &found, &err), LK_E_INVALID);
    assert_string_equal(err.field, "limit");
    assert_int_equal(lk_args_parse(LK_STR("limt=1"), *state, &a, NULL), 0);
    assert_int_equal(lk_args_only(&a, known, 2, &err), LK_E_INVALID);
    assert_string_equal(err.field, "limt");
    assert_non_null(strstr(err.text, "\"limit\""));
}

static void more_arguments_than_the_limit_are_refused(void **state)
{
    char text[4 * (LK_MAX_QUERY_ARGS + 1) + 1] = "";
    lk_args a;
    for (int i = 0; i <= LK_MAX_QUERY_ARGS; i++)
        strcat(text, "a=1&");
    assert_int_equal(lk_args_parse((lk_str){text, strlen(text) - 5}, *state, &a, NULL), 0);
    assert_int_equal(lk_args_parse(lk_str_of(text), *state, &a, NULL), LK_E_LIMIT);
}

static void numbers_are_whole_texts_in_range(void **state)
{
    int64_t v = 7;
    double d = 0;
    bool b = false;
    lk_err err = {0};
    (void)state;
    assert_int_equal(lk_text_int("top_k", LK_STR("10"), 1, 1000, &v, &err), 0);
    assert_int_equal(v, 10);
    assert_int_equal(lk_text_int("top_k", LK_STR("0"), 1, 1000, &v, &err), LK_E_INVALID);
    assert_string_equal(err.text, "top_k must be between 1 and 1000, not 0");
    assert_string_equal(err.field, "top_k");
    assert_int_equal(lk_text_int("top_k", LK_STR("1x"), 1, 1000, &v, &err), LK_E_INVALID);
    assert_int_equal(lk_text_int("top_k", LK_STR(""), 1, 1000, &v, &err), LK_E_INVALID);
    assert_int_equal(v, 10);
    assert_int_equal(lk_text_real("w", LK_STR("nan"), &d, &err), LK_E_INVALID);
    assert_int_equal(lk_text_real("w", LK_STR("-0.5"), &d, &err), 0);
    assert_true(d == -0.5);
    assert_int_equal(lk_text_bool("exact", LK_STR("true"), &b, &err), 0);
    assert_true(b);
    assert_int_equal(lk_text_bool("exact", LK_STR("yes"), &b, &err), LK_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(escapes_are_decoded_byte_for_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_escapes_zero_bytes_and_bad_text_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_byte_survives_encoding_and_decoding, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(arguments_are_split_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_argument_given_twice_or_unknown_is_refused_by_name,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_arguments_than_the_limit_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test(numbers_are_whole_texts_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
