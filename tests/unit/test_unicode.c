#include "support.h"

#include <errno.h>

#include "base/mem.h"
#include "model/unicode.h"

typedef void change_fn(lk_runes *r, size_t from);

static void check(change_fn *change, const char *text, const char *want)
{
    lk_runes r = {0};
    char got[256];
    size_t n = 0;
    lk_runes_put_utf8(&r, lk_str_of(text));
    change(&r, 0);
    assert_false(r.failed);
    for (size_t i = 0; i < r.n; i++)
        n += lk_utf8_put(r.p[i], got + n);
    got[n] = '\0';
    if (strcmp(got, want) != 0)
        fail_msg("\"%s\" became \"%s\", not \"%s\"", text, got, want);
    lk_runes_release(&r);
}

static void texts_decompose_and_their_marks_are_ordered(void **state)
{
    (void)state;
    check(lk_runes_decompose, "", "");
    check(lk_runes_decompose, "plain", "plain");
    check(lk_runes_decompose, "a\u00e9b", "ae\u0301b");
    check(lk_runes_decompose, "\u1f82", "\u03b1\u0313\u0300\u0345");
    check(lk_runes_decompose, "\uac01", "\u1100\u1161\u11a8");   /* Hangul */
    check(lk_runes_decompose, "q\u0307\u0323", "q\u0323\u0307"); /* 230 after 220 */
    check(lk_runes_decompose, "\u0344x", "\u0308\u0301x");
    check(lk_runes_decompose, "e\u0301\u0300", "e\u0301\u0300"); /* equal ones stay */
    check(lk_runes_decompose, "\ufb01", "\ufb01");               /* only canonical */
}

static void texts_compose(void **state)
{
    (void)state;
    check(lk_runes_compose, "ae\u0301b", "a\u00e9b");
    check(lk_runes_compose, "\u1100\u1161\u11a8", "\uac01");
    check(lk_runes_compose, "q\u0307\u0323", "q\u0323\u0307");
    check(lk_runes_compose, "\u212b", "\u00c5");       /* the sign is a letter */
    check(lk_runes_compose, "\u0958", "\u0915\u093c"); /* excluded */
    check(lk_runes_compose, "a\u0328\u0301", "\u0105\u0301");
    check(lk_runes_compose, "a\u0301\u0328", "\u0105\u0301");
    check(lk_runes_compose, "\u1b06", "\u1b06");
}

static void only_the_tail_from_an_element_on_changes(void **state)
{
    (void)state;
    lk_runes r = {0};
    lk_runes_put_utf8(&r, LK_STR("\u00e9\u00e9"));
    lk_runes_decompose(&r, 1);
    assert_int_equal(r.n, 3);
    assert_int_equal(r.p[0], 0xe9);
    assert_int_equal(r.p[1], 'e');
    lk_runes_release(&r);
}

static void a_long_run_of_marks_is_ordered_at_once(void **state)
{
    (void)state;
    enum { N = 100000 };
    lk_runes r = {0};
    for (size_t i = 0; i < N; i++)
        lk_runes_put(&r, i % 2 ? 0x323 : 0x307);
    lk_runes_decompose(&r, 0);
    assert_int_equal(r.n, N);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(r.p[i], i < N / 2 ? 0x323 : 0x307);
    lk_runes_release(&r);
}

static void lower_case_is_the_full_mapping(void **state)
{
    (void)state;
    static const uint32_t pairs[][2] = {{'A', 'a'},       {'z', 'z'},         {'[', '['},
                                        {0xc9, 0xe9},     {0x3a3, 0x3c3},     {0x1e9e, 0xdf},
                                        {0x2126, 0x3c9},  {0x10400, 0x10428}, {0x4e00, 0x4e00},
                                        {0x24b6, 0x24d0}, {0x1c5, 0x1c6}};
    uint32_t got[2];
    for (size_t i = 0; i < LK_ARRAY_LEN(pairs); i++) {
        assert_int_equal(lk_uc_lower(pairs[i][0], got), 1);
        assert_int_equal(got[0], pairs[i][1]);
    }
    assert_int_equal(lk_uc_lower(0x130, got), 2);
    assert_int_equal(got[0], 'i');
    assert_int_equal(got[1], 0x307);
}

static void a_sigma_at_the_end_of_a_word_is_final(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
        bool final;
    } cases[] = {
        {"\u03a3", 0, false},
        {"\u0391\u03a3", 1, true},
        {"\u0391\u03a3\u0391", 1, false},
        {"\u0391\u03a3 \u0391", 1, true},
        {"\u0391'\u03a3", 2, true},
        {"\u0391\u03a3'\u0391", 1, false},
        {"1\u03a3", 1, false},
        {"\u00aa\u03a3", 1, true},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_runes r = {0};
        lk_runes_put_utf8(&r, lk_str_of(cases[i].text));
        if (lk_uc_is_final_sigma(r.p, r.n, cases[i].at) != cases[i].final)
            fail_msg("\"%s\" at %zu", cases[i].text, cases[i].at);
        lk_runes_release(&r);
    }
}

static void categories_are_told_apart(void **state)
{
    (void)state;
    assert_true(lk_uc_is_letter('a') && lk_uc_is_letter(0x4e00) && lk_uc_is_letter(0x2b0));
    assert_false(lk_uc_is_letter('1') || lk_uc_is_letter(0x300) || lk_uc_is_letter(0x24d0));
    assert_true(lk_uc_is_number('1') && lk_uc_is_number(0x2160) && lk_uc_is_number(0xbd));
    assert_true(lk_uc_is_nonspacing(0x300) && !lk_uc_is_nonspacing(0x903));
    assert_true(lk_uc_is_punctuation('!') && lk_uc_is_punctuation(0x3002));
    assert_false(lk_uc_is_punctuation('$') || lk_uc_is_punctuation('a'));
    assert_true(lk_uc_is_private(0xe000) && lk_uc_is_private(0xf0000));
    assert_false(lk_uc_is_private(0) || lk_uc_is_private(0x378));
    assert_true(lk_uc_is_control_or_format(0x200d) && !lk_uc_is_control_or_format(0x378));
    assert_true(lk_uc_is_space(' ') && lk_uc_is_space(0x3000) && lk_uc_is_space(0x85));
    assert_false(lk_uc_is_space(0x1c) || lk_uc_is_space(0x200b));
}

static void wide_forms_get_their_usual_width(void **state)
{
    (void)state;
    lk_runes r = {0};
    lk_runes_put_usual_width(&r, 0xff21); /* A */
    lk_runes_put_usual_width(&r, 0xff71); /* katakana A */
    lk_runes_put_usual_width(&r, 0xffe3); /* macron: a space and a mark */
    lk_runes_put_usual_width(&r, 0xfb01); /* no wide form */
    assert_int_equal(r.n, 5);
    assert_memory_equal(r.p, ((uint32_t[]){'A', 0x30a2, ' ', 0x304, 0xfb01}), 5 * sizeof *r.p);
    lk_runes_release(&r);
}

static lk_code compose(void *ctx, lk_err *err)
{
    lk_runes r = {0};
    (void)ctx;
    lk_runes_put_utf8(&r, LK_STR("e\u0301q\u0307\u0323"));
    lk_runes_compose(&r, 0);
    lk_code code = r.failed ? lk_fail(err, LK_E_NOMEM, "out of memory") : LK_OK;
    lk_runes_release(&r);
    return code;
}

static void running_out_of_memory_anywhere_is_seen(void **state)
{
    (void)state;
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, compose, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_decompose_and_their_marks_are_ordered),
        cmocka_unit_test(texts_compose),
        cmocka_unit_test(only_the_tail_from_an_element_on_changes),
        cmocka_unit_test(a_long_run_of_marks_is_ordered_at_once),
        cmocka_unit_test(lower_case_is_the_full_mapping),
        cmocka_unit_test(a_sigma_at_the_end_of_a_word_is_final),
        cmocka_unit_test(categories_are_told_apart),
        cmocka_unit_test(wide_forms_get_their_usual_width),
        cmocka_unit_test(running_out_of_memory_anywhere_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
