#include "support.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void views_compare_by_bytes(void **state)
{
    (void)state;
    lk_str empty = {NULL, 0};
    assert_true(lk_str_eq(empty, LK_STR("")));
    assert_true(lk_str_is(LK_STR("pear"), "pear"));
    assert_false(lk_str_is(LK_STR("pear"), "pea"));
    assert_true(lk_str_eq_nocase(LK_STR("PeAr"), LK_STR("pEaR")));
    assert_false(lk_str_eq_nocase(LK_STR("[ear"), LK_STR("{ear")));
    assert_true(lk_str_cmp(LK_STR("pea"), LK_STR("pear")) < 0);
    assert_true(lk_str_cmp(LK_STR("pearl"), LK_STR("pear")) > 0);
    assert_true(lk_str_cmp(LK_STR("\xff"), LK_STR("a")) > 0);
    assert_int_equal(lk_str_cmp(empty, LK_STR("")), 0);
    assert_true(lk_str_starts(LK_STR("pear"), LK_STR("pe")));
    assert_true(lk_str_starts(LK_STR("pear"), empty));
    assert_false(lk_str_starts(LK_STR("pe"), LK_STR("pear")));
    assert_true(lk_str_ends(LK_STR("pear"), LK_STR("ar")));
    assert_true(lk_str_ends(empty, empty));
    assert_false(lk_str_ends(LK_STR("ar"), LK_STR("pear")));
}

static void parts_are_found_trimmed_and_cut(void **state)
{
    (void)state;
    assert_int_equal(lk_str_find(LK_STR("a pear"), LK_STR("pear")), 2);
    assert_true(lk_str_find(LK_STR("a pear"), LK_STR("plum")) == SIZE_MAX);
    assert_int_equal(lk_str_find((lk_str){NULL, 0}, (lk_str){NULL, 0}), 0);
    assert_true(lk_str_find((lk_str){NULL, 0}, LK_STR("x")) == SIZE_MAX);
    assert_true(lk_str_is(lk_str_trim(LK_STR(" \t a b\r\n")), "a b"));
    assert_true(lk_str_is(lk_str_trim(LK_STR(" \t\v")), ""));

    lk_str rest = LK_STR("a,,b");
    assert_true(lk_str_is(lk_str_cut(&rest, ','), "a"));
    assert_true(lk_str_is(lk_str_cut(&rest, ','), ""));
    assert_true(lk_str_is(lk_str_cut(&rest, ','), "b"));
    assert_int_equal(rest.n, 0);
    assert_true(lk_str_is(lk_str_cut(&rest, ','), ""));
    rest = (lk_str){NULL, 0};
    assert_int_equal(lk_str_cut(&rest, ',').n, 0);
}

static void integers_are_read_to_the_edge_of_their_range(void **state)
{
    (void)state;
    int64_t i = 5;
    uint64_t u = 5;
    assert_true(lk_str_to_i64(LK_STR("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(lk_str_to_i64(LK_STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(lk_str_to_i64(LK_STR("-0"), &i) && i == 0);
    assert_true(lk_str_to_u64(LK_STR("18446744073709551615"), &u) && u == UINT64_MAX);
    i = 5;
    u = 5;
    static const char *const bad[] = {"",    "-",   "+1",   " 1",
                                      "1 ",  "1x",  "0x10", "9223372036854775808",
                                      "1.0", "--1", "１",   "-9223372036854775809",
                                      "1e3"};
    for (size_t k = 0; k < LK_ARRAY_LEN(bad); k++) {
        if (lk_str_to_i64(lk_str_of(bad[k]), &i))
            fail_msg("\"%s\" was read as %jd", bad[k], (intmax_t)i);
    }
    assert_false(lk_str_to_u64(LK_STR("18446744073709551616"), &u));
    assert_false(lk_str_to_u64(LK_STR("-1"), &u));
    assert_int_equal(i, 5);
    assert_int_equal(u, 5);
}

static void decimals_are_read_and_nothing_like_them_is(void **state)
{
    (void)state;
    double d = 5;
    static const char *const bad[] = {"",    ".",  "-",  "e5",  "1e", "1e+",   "inf",   "nan",
                                      "0x1", " 1", "1 ", "1,5", "+1", "1e999", "1.2.3", "-e1"};
    for (size_t k = 0; k < LK_ARRAY_LEN(bad); k++) {
        if (lk_str_to_f64(lk_str_of(bad[k]), &d))
            fail_msg("\"%s\" was read as %g", bad[k], d);
    }
    assert_true(d == 5);
    assert_true(lk_str_to_f64(LK_STR("-1.5e-3"), &d) && d == -1.5e-3);
    assert_true(lk_str_to_f64(LK_STR(".5"), &d) && d == 0.5);
    assert_true(lk_str_to_f64(LK_STR("5."), &d) && d == 5);
    assert_true(lk_str_to_f64(LK_STR("1e-999"), &d) && d == 0);
    assert_true(lk_str_to_f64(LK_STR("0.1"), &d) && d == 0.1);
    assert_true(lk_str_to_f64((lk_str){"1.25xyz", 4}, &d) && d == 1.25);
}

static void sizes_and_times_know_their_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"64", 64},           {"64k", 65536}, {"10MiB", 10485760}, {"2G", 2147483648},
                 {"1tib", 1ull << 40}, {"3KB", 3072},  {"7b", 7},           {"0", 0}};
    static const struct {
        const char *text;
        uint64_t ms;
    } times[] = {{"1500ms", 1500}, {"30s", 30000}, {"5m", 300000}, {"2h", 7200000},
                 {"1d", 86400000}, {"3", 3000},    {"0", 0},       {"2min", 120000}};
    uint64_t v;
    for (size_t i = 0; i < LK_ARRAY_LEN(sizes); i++) {
        assert_true(lk_str_to_bytes(lk_str_of(sizes[i].text), &v));
        assert_int_equal(v, sizes[i].bytes);
    }
    for (size_t i = 0; i < LK_ARRAY_LEN(times); i++) {
        assert_true(lk_str_to_ms(lk_str_of(times[i].text), &v));
        assert_int_equal(v, times[i].ms);
    }
    static const char *const bad[] = {"", "k", "-1k", "1 k", "1kk", "99999999999T", "1.5G", "x"};
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        assert_false(lk_str_to_bytes(lk_str_of(bad[i]), &v));
        assert_false(lk_str_to_ms(lk_str_of(bad[i]), &v));
    }
}

static void every_code_point_survives_a_round_trip(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        char text[4];
        lk_str s = {text, lk_utf8_put(cp, text)};
        size_t i = 0;
        uint32_t again = lk_utf8_next(s, &i);
        if (again != cp || i != s.n || !lk_utf8_valid(s))
            fail_msg("U+%04X came back as U+%04X in %zu of %zu bytes", cp, again, i, s.n);
    }
    char text[4];
    assert_int_equal(lk_utf8_put(0xD800, text), 3);
    assert_memory_equal(text, "\xEF\xBF\xBD", 3);
    assert_int_equal(lk_utf8_put(0x110000, text), 3);
}

static void malformed_bytes_are_replaced_one_by_one(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",     /* a tail alone */
        "\xC0\x80", /* zero in two bytes */
        "\xC1\xBF",
        "\xE0\x9F\xBF", /* longer than needed */
        "\xF0\x8F\xBF\xBF",
        "\xED\xA0\x80",     /* a surrogate */
        "\xF4\x90\x80\x80", /* beyond Unicode */
        "\xF5\x80\x80\x80",
        "\xFF",
        "\xE4\xB8",
        "\xF0\x9F\x98",
    };
    for (size_t k = 0; k < LK_ARRAY_LEN(bad); k++) {
        lk_str s = lk_str_of(bad[k]);
        assert_false(lk_utf8_valid(s));
        size_t i = 0;
        for (size_t n = 1; i < s.n; n++) {
            assert_int_equal(lk_utf8_next(s, &i), 0xFFFD);
            assert_int_equal(i, n);
        }
    }
    assert_true(lk_utf8_valid(LK_STR("船 \xEF\xBF\xBD 🚤")));
    assert_true(lk_utf8_valid((lk_str){NULL, 0}));
}

static void the_closest_name_is_found_when_one_is_near(void **state)
{
    (void)state;
    static const char *const names[] = {"top-k", "where", "min-score", "image", "json"};
    static const struct {
        const char *word;
        const char *name;
    } cases[] = {
        {"topk", "top-k"},
        {"top_k", "top-k"},
        {"wehre", "where"},
        {"iamges", "image"},
        {"minscore", "min-score"},
        {"JSON", "json"},
        {"colour", NULL},
        {"x", NULL},
        {"", NULL},
        {"completely-else", NULL},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        const char *near = lk_str_closest(lk_str_of(cases[i].word), names, LK_ARRAY_LEN(names));
        if (!cases[i].name) {
            if (near)
                fail_msg("\"%s\" is taken for \"%s\"", cases[i].word, near);
            continue;
        }
        assert_non_null(near);
        assert_string_equal(near, cases[i].name);
    }
    char longer[200];
    memset(longer, 'x', sizeof longer);
    assert_null(lk_str_closest((lk_str){longer, sizeof longer}, names, LK_ARRAY_LEN(names)));
    assert_null(lk_str_closest(LK_STR("top"), names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_compare_by_bytes),
        cmocka_unit_test(parts_are_found_trimmed_and_cut),
        cmocka_unit_test(integers_are_read_to_the_edge_of_their_range),
        cmocka_unit_test(decimals_are_read_and_nothing_like_them_is),
        cmocka_unit_test(sizes_and_times_know_their_units),
        cmocka_unit_test(every_code_point_survives_a_round_trip),
        cmocka_unit_test(malformed_bytes_are_replaced_one_by_one),
        cmocka_unit_test(the_closest_name_is_found_when_one_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
