#include "support.h"

#include "base/mem.h"
#include "model/html.h"

static void check(const char *text, lk_html_mode mode, const char *want)
{
    lk_runes in = {0}, got = {0}, expected = {0};
    lk_runes_put_utf8(&in, lk_str_of(text));
    lk_runes_put_utf8(&expected, lk_str_of(want));
    lk_html_unescape(in.p, in.n, mode, &got);
    assert_false(in.failed || got.failed || expected.failed);
    if (got.n != expected.n)
        fail_msg("\"%s\": %zu code points, not %zu", text, got.n, expected.n);
    for (size_t i = 0; i < got.n; i++)
        if (got.p[i] != expected.p[i])
            fail_msg("\"%s\": U+%04X at %zu, not U+%04X", text, got.p[i], i, expected.p[i]);
    lk_runes_release(&in);
    lk_runes_release(&got);
    lk_runes_release(&expected);
}

static void names_are_replaced(void **state)
{
    (void)state;
    for (int mode = LK_HTML_LENIENT; mode <= LK_HTML_STRICT; mode++) {
        check("&amp;&lt;&AElig;&zwnj;", (lk_html_mode)mode, "&<\u00c6\u200c");
        check("&NotEqualTilde;", (lk_html_mode)mode, "\u2242\u0338");          /* two code points */
        check("&CounterClockwiseContourIntegral;", LK_HTML_LENIENT, "\u2233"); /* the longest */
        check("&nosuch; & &; x&", (lk_html_mode)mode, "&nosuch; & &; x&");
    }
}

static void the_semicolon_may_be_missing_only_where_browsers_say_so(void **state)
{
    (void)state;
    check("&ampx &notit &notin", LK_HTML_LENIENT, "&x \u00acit \u00acin");
    check("&notin;", LK_HTML_LENIENT, "\u2209");
    check("&ampx &amp", LK_HTML_STRICT, "&ampx &amp");
}

static void upper_case_names_mean_upper_case_letters_when_strict(void **state)
{
    (void)state;
    check("&EACUTE;", LK_HTML_STRICT, "\u00c9");
    check("&EACUTE;", LK_HTML_LENIENT, "&EACUTE;");
}

static void numbers_are_replaced(void **state)
{
    (void)state;
    for (int mode = LK_HTML_LENIENT; mode <= LK_HTML_STRICT; mode++) {
        check("&#65;&#x41;&#X1f600;", (lk_html_mode)mode, "AA\U0001f600");
        check("&#0;&#xd800;&#x110000;&#99999999999999;", (lk_html_mode)mode,
              "\ufffd\ufffd\ufffd\ufffd");
        check("&#128;&#x81;", (lk_html_mode)mode, "\u20ac\xc2\x81"); /* windows-1252 */
        check("[&#1;&#xfffe;]", (lk_html_mode)mode, "[]");           /* stand for nothing */
        check("&#;&#x;", (lk_html_mode)mode, "&#;&#x;");
    }
    check("&#65x", LK_HTML_LENIENT, "Ax");
    check("&#65x", LK_HTML_STRICT, "&#65x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_replaced),
        cmocka_unit_test(the_semicolon_may_be_missing_only_where_browsers_say_so),
        cmocka_unit_test(upper_case_names_mean_upper_case_letters_when_strict),
        cmocka_unit_test(numbers_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
