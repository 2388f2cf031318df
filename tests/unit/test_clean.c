#include "support.h"

#include "base/mem.h"
#include "model/clean.h"

typedef void clean_fn(lk_str text, lk_runes *ret);

/* Both sides by code points; the texts hold no zero. */
static void check(clean_fn *clean, const char *text, const char *want)
{
    lk_runes got = {0}, expected = {0};
    clean(lk_str_of(text), &got);
    lk_runes_put_utf8(&expected, lk_str_of(want));
    assert_false(got.failed || expected.failed);
    if (got.n != expected.n)
        fail_msg("\"%s\": %zu code points, not %zu", text, got.n, expected.n);
    for (size_t i = 0; i < got.n; i++)
        if (got.p[i] != expected.p[i])
            fail_msg("\"%s\": U+%04X at %zu, not U+%04X", text, got.p[i], i, expected.p[i]);
    lk_runes_release(&got);
    lk_runes_release(&expected);
}

/* What Python gives: " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower() */
static void texts_are_mended_as_ftfy_mends_them(void **state)
{
    (void)state;
    check(lk_clean_open_clip, "", "");
    check(lk_clean_open_clip, " \t A\u3000\u2028Cat\x1f\n", "a cat");
    check(lk_clean_open_clip, "\u201cIt\u2019s\u201d \ufb01ne", "\"it's\" fine");
    check(lk_clean_open_clip, "\uff26\uff35\uff2c\uff2c \uff76\uff9e", "full \u30ac");
    check(lk_clean_open_clip, "e\u0301 a\u0323\u0307", "\u00e9 \u1ea1\u0307");
    check(lk_clean_open_clip, "\x1b[1;31mred\x1b[0m\x07 x\ufeffy", "red xy");
    check(lk_clean_open_clip, "one\r\ntwo\rthree", "one two three");
    check(lk_clean_open_clip, "\xc2\x93quoted\xc2\x94", "\"quoted\"");
}

static void references_are_replaced_unless_the_text_is_html(void **state)
{
    (void)state;
    check(lk_clean_open_clip, "Tom &amp; Jerry &EACUTE;", "tom & jerry \u00e9");
    check(lk_clean_open_clip, "&amp;amp;amp;lt;", "<");
    check(lk_clean_open_clip, "a < b &amp;amp;amp;lt;", "a < b &amp;lt;");
    check(lk_clean_open_clip, "&lt", "<"); /* not ftfy's doing: html.unescape needs no semicolon */
    check(lk_clean_open_clip, "&nosuch; & &#; &#x;", "&nosuch; & &#; &#x;");
}

static void rounds_have_an_end(void **state)
{
    (void)state;
    lk_runes got = {0};
    size_t n = 50000;
    char *text = lk_malloc(4 * n + 2);
    assert_non_null(text);
    text[0] = '&';
    for (size_t i = 0; i < n; i++)
        memcpy(text + 1 + 4 * i, "amp;", 4);
    lk_clean_open_clip((lk_str){text, 4 * n + 1}, &got);
    assert_false(got.failed);
    assert_in_range(got.n, 4 * n - 160, 4 * n);
    lk_runes_release(&got);
    lk_free(text);
}

static void hugging_faces_cleaning_is_less(void **state)
{
    (void)state;
    check(lk_clean_hf_clip, "e\u0301 \u201cQ\u201d &amp; \ufb01",
          "\u00e9 \u201cq\u201d &amp; \ufb01");
    check(lk_clean_hf_clip, "\u039f\u03a3", "\u03bf\u03c3"); /* no final sigma */
    check(lk_clean_open_clip, "\u039f\u03a3", "\u03bf\u03c2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_mended_as_ftfy_mends_them),
        cmocka_unit_test(references_are_replaced_unless_the_text_is_html),
        cmocka_unit_test(rounds_have_an_end),
        cmocka_unit_test(hugging_faces_cleaning_is_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
