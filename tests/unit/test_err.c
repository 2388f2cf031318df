#include "support.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

static void every_code_has_a_word_of_its_own_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < LK_N_CODES; i++) {
        assert_true(strlen(lk_code_word((lk_code)i)) > 0);
        assert_true(strlen(lk_code_text((lk_code)i)) > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(lk_code_word((lk_code)i), lk_code_word((lk_code)j));
    }
    assert_string_equal(lk_code_word(LK_E_NOT_FOUND), "not_found");
    assert_string_equal(lk_code_text(LK_E_NOT_FOUND), "not found");
    assert_string_equal(lk_code_word((lk_code)999), "unknown");
    assert_string_equal(lk_code_text((lk_code)-1), "unknown error");
}

static void a_failure_fills_what_the_caller_gave(void **state)
{
    (void)state;
    lk_err err = {.sys = 5, .column = 7, .field = "old"};
    test_code(lk_fail(&err, LK_E_INVALID, "top_k is %d", -3), LK_E_INVALID);
    assert_int_equal(err.code, LK_E_INVALID);
    assert_int_equal(err.sys, 0);
    assert_int_equal(err.column, 0);
    assert_string_equal(err.field, "");
    assert_string_equal(err.text, "top_k is -3");
    test_code(lk_fail(NULL, LK_E_IO, "nobody listens"), LK_E_IO);
    test_code(lk_fail_field(NULL, LK_E_IO, "f", "nobody listens"), LK_E_IO);
    test_code(lk_fail_sys(NULL, ENOSPC, "nobody listens"), LK_E_FULL);
    test_code(lk_err_prefix(NULL, LK_E_IO, "nobody listens"), LK_E_IO);
}

static void a_text_too_long_is_cut_between_characters(void **state)
{
    (void)state;
    lk_err err;
    for (size_t pad = 0; pad < 4; pad++) {
        char text[1200];
        memset(text, 'a', pad);
        for (size_t i = pad; i + 3 <= 1100; i += 3)
            memcpy(text + i, "船", 3);
        text[pad + (1100 - pad) / 3 * 3] = '\0';
        test_code(lk_fail(&err, LK_E_INVALID, "%s", text), LK_E_INVALID);
        size_t n = strlen(err.text);
        assert_in_range(n, sizeof err.text - 3, sizeof err.text - 1);
        assert_true(lk_utf8_valid(lk_str_of(err.text)));
    }
}

static void a_field_is_named_and_cut_to_fit(void **state)
{
    (void)state;
    lk_err err;
    test_code(lk_fail_field(&err, LK_E_INVALID, "top_k", "too many"), LK_E_INVALID);
    assert_string_equal(err.field, "top_k");
    char longer[100];
    memset(longer, 'x', sizeof longer);
    longer[99] = '\0';
    test_code(lk_fail_field(&err, LK_E_INVALID, longer, "odd"), LK_E_INVALID);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
    /* The field of an error may name the field of the next. */
    test_code(lk_fail_field(&err, LK_E_INVALID, err.field, "again: %s", err.text), LK_E_INVALID);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
    assert_string_equal(err.text, "again: odd");
}

static void system_errors_get_their_code_and_keep_their_reason(void **state)
{
    (void)state;
    static const struct {
        int sys;
        lk_code code;
    } cases[] = {
        {ENOSPC, LK_E_FULL},  {EDQUOT, LK_E_FULL},      {ENOMEM, LK_E_NOMEM}, {EACCES, LK_E_DENIED},
        {EPERM, LK_E_DENIED}, {ENOENT, LK_E_NOT_FOUND}, {EIO, LK_E_IO},       {EISDIR, LK_E_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lk_err err;
        test_code(lk_fail_sys(&err, cases[i].sys, "cannot open %s", "x"), cases[i].code);
        assert_int_equal(err.sys, cases[i].sys);
        assert_int_equal(err.code, cases[i].code);
        test_has(err.text, "cannot open x: ");
        test_has(err.text, strerror(cases[i].sys));
    }
    lk_err err;
    char longer[600];
    memset(longer, 'x', sizeof longer);
    longer[599] = '\0';
    test_code(lk_fail_sys(&err, ENOENT, "%s", longer), LK_E_NOT_FOUND);
    test_has(err.text, ": No such file or directory");
}

static void a_prefix_goes_in_front_and_keeps_the_rest(void **state)
{
    (void)state;
    lk_err err;
    test_code(lk_fail_field(&err, LK_E_FORMAT, "file", "not a picture"), LK_E_FORMAT);
    err.column = 4;
    test_code(lk_err_prefix(&err, LK_E_FORMAT, "%s", "a.jpg"), LK_E_FORMAT);
    assert_string_equal(err.text, "a.jpg: not a picture");
    assert_string_equal(err.field, "file");
    assert_int_equal(err.column, 4);
    lk_err empty = {.code = LK_OK};
    test_code(lk_err_prefix(&empty, LK_E_IO, "b.jpg"), LK_E_IO);
    assert_string_equal(empty.text, "b.jpg: input/output error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_word_of_its_own_and_a_sentence),
        cmocka_unit_test(a_failure_fills_what_the_caller_gave),
        cmocka_unit_test(a_text_too_long_is_cut_between_characters),
        cmocka_unit_test(a_field_is_named_and_cut_to_fit),
        cmocka_unit_test(system_errors_get_their_code_and_keep_their_reason),
        cmocka_unit_test(a_prefix_goes_in_front_and_keeps_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
