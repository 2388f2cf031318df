#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "filter/filter.h"
#include "filter/like.h"
#include "filter/time.h"
#include "support.h"

/* A filter's text, and either its canonical form or the column and a part of the complaint. */
typedef struct grammar_case {
    const char *text;
    const char *canonical;
    int column;
    const char *complaint;
} grammar_case;

#define OK(text, canonical)                                                                        \
    {                                                                                              \
        text, canonical, 0, NULL                                                                   \
    }
#define BAD(text, column, complaint)                                                               \
    {                                                                                              \
        text, NULL, column, complaint                                                              \
    }

static const grammar_case grammar[] = {
    OK("", "true"),
    OK("  \t\n ", "true"),
    OK("true", "true"),
    OK("FALSE", "false"),
    OK("not true", "not true"),
    OK("a == 1", "a == 1"),
    OK("a = 1", "a == 1"),
    OK("a=1", "a == 1"),
    OK("a==1", "a == 1"),
    OK("a != 1", "a != 1"),
    OK("a <> 1", "a != 1"),
    OK("a < 1", "a < 1"),
    OK("a <= 1", "a <= 1"),
    OK("a > 1", "a > 1"),
    OK("a >= 1", "a >= 1"),
    OK("a>=-1", "a >= -1"),
    OK("a < +5", "a < 5"),
    OK("a == 0", "a == 0"),
    OK("a == -0", "a == 0"),
    OK("a == 9223372036854775807", "a == 9223372036854775807"),
    OK("a == -9223372036854775808", "a == -9223372036854775808"),
    OK("a == 9223372036854775808", "a == 9.223372036854776e+18"),
    OK("a == 1.5", "a == 1.5"),
    OK("a == .5", "a == 0.5"),
    OK("a == -.5", "a == -0.5"),
    OK("a == 5.", "a == 5.0"),
    OK("a == 3.0", "a == 3.0"),
    OK("a == 1e3", "a == 1000.0"),
    OK("a == 1E-3", "a == 0.001"),
    OK("a == 2.5e+2", "a == 250.0"),
    OK("a == 0.1", "a == 0.1"),
    OK("a == true", "a == true"),
    OK("a == False", "a == false"),
    OK("a == 'x'", "a == \"x\""),
    OK("a == \"x\"", "a == \"x\""),
    OK("a == ''", "a == \"\""),
    OK("a == 'it''s'", "a == \"it's\""),
    OK("a == \"say \"\"hi\"\"\"", "a == \"say \\\"hi\\\"\""),
    OK("a == 'a\"b'", "a == \"a\\\"b\""),
    OK("a == \"it's\"", "a == \"it's\""),
    OK("a == 'it\\'s'", "a == \"it's\""),
    OK("a == 'back\\\\slash'", "a == \"back\\\\slash\""),
    OK("a == 'tab\\tnew\\nret\\r'", "a == \"tab\\tnew\\nret\\r\""),
    OK("a == '\\u0041'", "a == \"A\""),
    OK("a == '\\u4f60'", "a == \"\xe4\xbd\xa0\""),
    OK("a == '\\ud83d\\ude00'", "a == \"\xf0\x9f\x98\x80\""),
    OK("a == '\\b\\f'", "a == \"\\u0008\\u000c\""),
    OK("a == '\\/'", "a == \"/\""),
    OK("a == '\xe7\xba\xa2'", "a == \"\xe7\xba\xa2\""),
    OK("a == 'line\nbreak'", "a == \"line\\nbreak\""),
    OK("\xe9\xa2\x9c\xe8\x89\xb2 == 'x'", "\xe9\xa2\x9c\xe8\x89\xb2 == \"x\""),
    OK("a.b == 1", "a.b == 1"),
    OK("a.b.c == 1", "a.b.c == 1"),
    OK("_x == 1", "_x == 1"),
    OK("a1_2 == 1", "a1_2 == 1"),
    OK("`a` == 1", "a == 1"),
    OK("`my field` == 1", "`my field` == 1"),
    OK("`a``b` == 1", "`a``b` == 1"),
    OK("`and` == 1", "`and` == 1"),
    OK("`Like` like 'x'", "`Like` like \"x\""),
    OK("`a\\b` == 1", "`a\\b` == 1"),
    OK("`1st` == 1", "`1st` == 1"),
    OK("`timestamp_ms` > 1", "`timestamp_ms` > 1"),
    OK("metadata['k'] == 1", "metadata[\"k\"] == 1"),
    OK("metadata[\"k\"] == 1", "metadata[\"k\"] == 1"),
    OK("metadata [ 'k' ] == 1", "metadata[\"k\"] == 1"),
    OK("METADATA['k'] == 1", "metadata[\"k\"] == 1"),
    OK("$meta['k'] == 1", "metadata[\"k\"] == 1"),
    OK("metadata.k == 1", "metadata[\"k\"] == 1"),
    OK("metadata.k.j == 1", "metadata[\"k.j\"] == 1"),
    OK("metadata['it''s'] == 1", "metadata[\"it's\"] == 1"),
    OK("metadata == 1", "`metadata` == 1"),
    OK("`metadata` == 1", "`metadata` == 1"),
    OK("a in [1]", "a in [1]"),
    OK("a in [1, 2, 3]", "a in [1, 2, 3]"),
    OK("a in (1,2)", "a in [1, 2]"),
    OK("a IN ('x', \"y\")", "a in [\"x\", \"y\"]"),
    OK("a in []", "a in []"),
    OK("a in ()", "a in []"),
    OK("a not in [1]", "a not in [1]"),
    OK("a NOT IN ('x')", "a not in [\"x\"]"),
    OK("not a in [1]", "a not in [1]"),
    OK("a in [1, 2.5, 'x', true]", "a in [1, 2.5, \"x\", true]"),
    OK("a like 'x%'", "a like \"x%\""),
    OK("a LIKE 'x_'", "a like \"x_\""),
    OK("a like '50\\%'", "a like \"50\\\\%\""),
    OK("a like 'a\\_b'", "a like \"a\\\\_b\""),
    OK("a like 'a\\\\\\\\b'", "a like \"a\\\\\\\\b\""),
    OK("a not like 'x%'", "a not like \"x%\""),
    OK("a is null", "a is null"),
    OK("a IS NULL", "a is null"),
    OK("a is not null", "a is not null"),
    OK("not a is null", "a is not null"),
    OK("not (a is not null)", "not a is not null"),
    OK("a between 1 and 2", "a >= 1 and a <= 2"),
    OK("a BETWEEN 1 AND 2 AND b = 3", "(a >= 1 and a <= 2) and b == 3"),
    OK("a not between 1 and 2", "not (a >= 1 and a <= 2)"),
    OK("1 < a", "a > 1"),
    OK("1 <= a", "a >= 1"),
    OK("1 > a", "a < 1"),
    OK("1 >= a", "a <= 1"),
    OK("1 == a", "a == 1"),
    OK("1 != a", "a != 1"),
    OK("'x' = a", "a == \"x\""),
    OK("0.2 < a <= 0.5", "a > 0.2 and a <= 0.5"),
    OK("5 >= a > 1", "a <= 5 and a > 1"),
    OK("true == a", "a == true"),
    OK("a", "a == true"),
    OK("not a", "not a == true"),
    OK("!a", "not a == true"),
    OK("! ! a", "not not a == true"),
    OK("a and b", "a == true and b == true"),
    OK("(a)", "a == true"),
    OK("a == 1 and b == 2", "a == 1 and b == 2"),
    OK("a == 1 && b == 2", "a == 1 and b == 2"),
    OK("a == 1 AND b == 2", "a == 1 and b == 2"),
    OK("a == 1 or b == 2", "a == 1 or b == 2"),
    OK("a == 1 || b == 2", "a == 1 or b == 2"),
    OK("a == 1 Or b == 2", "a == 1 or b == 2"),
    OK("a == 1 and b == 2 and c == 3", "a == 1 and b == 2 and c == 3"),
    OK("a == 1 and (b == 2 and c == 3)", "a == 1 and (b == 2 and c == 3)"),
    OK("a == 1 or b == 2 and c == 3", "a == 1 or (b == 2 and c == 3)"),
    OK("a == 1 and b == 2 or c == 3", "(a == 1 and b == 2) or c == 3"),
    OK("(a == 1 or b == 2) and c == 3", "(a == 1 or b == 2) and c == 3"),
    OK("not a == 1 and b == 2", "not a == 1 and b == 2"),
    OK("not (a == 1 and b == 2)", "not (a == 1 and b == 2)"),
    OK("not (a == 1 or b == 2)", "not (a == 1 or b == 2)"),
    OK("not not a == 1", "not not a == 1"),
    OK("((a == 1))", "a == 1"),
    OK("(((a)) and (((b))))", "a == true and b == true"),
    OK("a==1&&b==2||c==3", "(a == 1 and b == 2) or c == 3"),
    OK("a\n==\n1", "a == 1"),
    OK("t > timestamp_ms(1700000000000)", "t > timestamp_ms(1700000000000)"),
    OK("t > TIMESTAMP_MS( -5 )", "t > timestamp_ms(-5)"),
    OK("timestamp_ms(5) < t", "t > timestamp_ms(5)"),
    OK("t in [timestamp_ms(1), timestamp_ms(2)]", "t in [timestamp_ms(1), timestamp_ms(2)]"),
    OK("color_scheme == \"warm\" && category in [\"food\"]",
       "color_scheme == \"warm\" and category in [\"food\"]"),
    OK("metadata['category'] = 'footwear' AND timestamp > timestamp_ms(1700000000000)",
       "metadata[\"category\"] == \"footwear\" and timestamp > timestamp_ms(1700000000000)"),
    OK("not (filename like \"IMG_%\") || rating is null",
       "filename not like \"IMG_%\" or rating is null"),
    OK("true and a == 1", "true and a == 1"),
    OK("a == 1 or false", "a == 1 or false"),

    BAD("a ==", 5, "expected a value"),
    BAD("a == ", 6, "the end of the filter"),
    BAD("== 1", 1, "expected a field"),
    BAD("a == b", 6, "a text stands in quotes"),
    BAD("a == null", 6, "is null"),
    BAD("a === 1", 5, "expected a value, found ="),
    BAD("a 1", 3, "expected a comparison"),
    BAD("a b", 3, "expected a comparison"),
    BAD("a == 1 b == 2", 8, "expected 'and', 'or' or the end"),
    BAD("a == 1 and", 11, "expected a field"),
    BAD("a == 1 and and b", 12, "expected a field"),
    BAD("and a == 1", 1, "expected a field"),
    BAD("a == 1 or", 10, "expected a field"),
    BAD("a & b", 3, "expected '&&'"),
    BAD("a | b", 3, "expected '||'"),
    BAD("(a == 1", 8, "expected ')'"),
    BAD("a == 1)", 7, "expected 'and', 'or' or the end"),
    BAD("()", 2, "expected a field"),
    BAD("not", 4, "expected a field"),
    BAD("a not", 6, "after 'not'"),
    BAD("a not == 1", 7, "after 'not'"),
    BAD("a in", 5, "expected '[' or '('"),
    BAD("a in 1", 6, "expected '[' or '('"),
    BAD("a in [1", 8, "expected ',' or ']'"),
    BAD("a in (1", 8, "expected ',' or ')'"),
    BAD("a in [1)", 8, "expected ',' or ']'"),
    BAD("a in [1,]", 9, "expected a value"),
    BAD("a in [,]", 7, "expected a value"),
    BAD("a in [1 2]", 9, "expected ',' or ']'"),
    BAD("a in [null]", 7, "is null"),
    BAD("a like x", 8, "a pattern in quotes"),
    BAD("a like 5", 8, "a pattern in quotes"),
    BAD("a like 'x\\\\'", 8, "ends in a backslash"),
    BAD("a is", 5, "expected 'null'"),
    BAD("a is 1", 6, "expected 'null'"),
    BAD("a is not", 9, "expected 'null'"),
    BAD("a between 1", 12, "expected 'and'"),
    BAD("a between 1 and", 16, "expected a value"),
    BAD("a between 1 or 2", 13, "expected 'and'"),
    BAD("a == 'x", 6, "closing ' is missing"),
    BAD("a == \"x", 6, "closing \" is missing"),
    BAD("a == 'x\\'", 6, "closing ' is missing"),
    BAD("`a == 1", 1, "closing ` is missing"),
    BAD("`` == 1", 1, "must not be empty"),
    BAD("a == '\\q'", 7, "unknown escape"),
    BAD("a == 'ab\\", 9, "unknown escape"),
    BAD("a == '\\u12'", 7, "unknown escape"),
    BAD("a == '\\u0000'", 7, "unknown escape"),
    BAD("a == '\\ud800'", 7, "unknown escape"),
    BAD("a == '\\ude00'", 7, "unknown escape"),
    BAD("a == '\xe7\xba\xa2\\q'", 8, "unknown escape"),
    BAD("\xe7\xba\xa2 == ?", 6, "unexpected character '?'"),
    BAD("a == 1x", 6, "is not a number"),
    BAD("a == 1.2.3", 6, "is not a number"),
    BAD("a == 1e", 6, "is not a number"),
    BAD("a == 0x10", 6, "is not a number"),
    BAD("a == 1e999", 6, "out of range"),
    BAD("a == -", 6, "unexpected character '-'"),
    BAD("a == -x", 6, "unexpected character '-'"),
    BAD("a + 1 == 2", 3, "unexpected character '+'"),
    BAD("a == 1;", 7, "unexpected character ';'"),
    BAD("a == 1 -- comment", 8, "unexpected character '-'"),
    BAD("a == \x01", 6, "unexpected character 0x01"),
    BAD("metadata[k] == 1", 10, "a key in quotes"),
    BAD("metadata[''] == 1", 10, "a key in quotes"),
    BAD("metadata['k' == 1", 14, "expected ']'"),
    OK("metadata['k']", "metadata[\"k\"] == true"),
    BAD("a. == 1", 2, "unexpected character '.'"),
    BAD("t > timestamp_ms", 17, "after timestamp_ms"),
    BAD("t > timestamp_ms(", 18, "whole milliseconds"),
    BAD("t > timestamp_ms('x')", 18, "whole milliseconds"),
    BAD("t > timestamp_ms(1.5)", 18, "whole milliseconds"),
    BAD("t > timestamp_ms(1", 19, "expected ')'"),
    BAD("1 == 2", 6, "expected a field"),
    BAD("'x'", 4, "expected a comparison"),
    BAD("1 and a", 3, "expected a comparison"),
    BAD("1 == a == 1", 8, "expected 'and', 'or' or the end"),
    BAD("a < 1 < 2", 7, "expected 'and', 'or' or the end"),
    BAD("a == 1 not", 8, "expected 'and', 'or' or the end"),
    BAD("[a]", 1, "expected a field"),
    BAD("in [1]", 1, "expected a field"),
    BAD("null", 1, "expected a field"),
    BAD("a, b", 2, "expected a comparison"),
};

static bool same_value(const lk_value *a, const lk_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case LK_T_STR:
        return lk_str_eq(a->s, b->s);
    case LK_T_REAL:
        return a->d == b->d;
    case LK_T_BOOL:
        return a->b == b->b;
    default:
        return a->i == b->i;
    }
}

static bool same_tree(const lk_filter *a, const lk_filter *b)
{
    if (a->op != b->op || a->in_metadata != b->in_metadata || !lk_str_eq(a->field, b->field) ||
        a->n_values != b->n_values || a->n_kids != b->n_kids)
        return false;
    for (size_t i = 0; i < a->n_values; i++)
        if (!same_value(&a->values[i], &b->values[i]))
            return false;
    for (size_t i = 0; i < a->n_kids; i++)
        if (!same_tree(a->kids[i], b->kids[i]))
            return false;
    return true;
}

static void check_good(const grammar_case *c)
{
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_err err = {0};
    const lk_filter *f = NULL, *again = NULL;
    lk_buf out;
    lk_buf_init(&out, 0);
    if (lk_filter_parse(lk_str_of(c->text), &arena, &f, &err) != LK_OK)
        fail_msg("%s: column %d: %s", c->text, err.column, err.text);
    lk_filter_print(f, &out);
    assert_int_equal(lk_buf_check(&out, NULL), LK_OK);
    if (c->canonical)
        assert_string_equal(out.p, c->canonical);
    if (lk_filter_parse(lk_buf_str(&out), &arena, &again, &err) != LK_OK)
        fail_msg("%s printed as %s: column %d: %s", c->text, out.p, err.column, err.text);
    if (!same_tree(f, again))
        fail_msg("%s printed as %s reads as another tree", c->text, out.p);
    lk_buf_release(&out);
    lk_arena_release(&arena);
}

static void check_bad(const grammar_case *c)
{
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_err err = {0};
    const lk_filter *f = NULL;
    lk_code code = lk_filter_parse(lk_str_of(c->text), &arena, &f, &err);
    if (code != LK_E_INVALID || err.column != c->column || !strstr(err.text, c->complaint))
        fail_msg("%s: wanted column %d '%s', got code %d column %d: %s", c->text, c->column,
                 c->complaint, (int)code, err.column, err.text);
    assert_string_equal(err.field, "filter");
    assert_null(f);
    lk_arena_release(&arena);
}

static void every_case_of_the_grammar_reads_or_fails_as_the_table_says(void **state)
{
    (void)state;
    size_t good = 0, bad = 0;
    for (size_t i = 0; i < LK_ARRAY_LEN(grammar); i++) {
        if (grammar[i].complaint) {
            check_bad(&grammar[i]);
            bad++;
        } else {
            check_good(&grammar[i]);
            good++;
        }
    }
    print_message("# %zu cases read, %zu refused\n", good, bad);
    assert_true(good + bad >= 150);
}

static void text_that_is_no_text_is_refused(void **state)
{
    (void)state;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_err err = {0};
    const lk_filter *f = NULL;
    assert_int_equal(lk_filter_parse(LK_STR("a == '\xff'"), &arena, &f, &err), LK_E_INVALID);
    assert_non_null(strstr(err.text, "UTF-8"));
    assert_int_equal(lk_filter_parse(LK_STR("a == \0 1"), &arena, &f, &err), LK_E_INVALID);
    assert_non_null(strstr(err.text, "NUL"));
    lk_arena_release(&arena);
}

/* head repeated n times, mid, tail repeated n times */
static char *nested(const char *head, size_t n, const char *mid, const char *tail)
{
    lk_buf b;
    lk_buf_init(&b, 0);
    for (size_t i = 0; i < n; i++)
        lk_buf_puts(&b, head);
    lk_buf_puts(&b, mid);
    for (size_t i = 0; i < n; i++)
        lk_buf_puts(&b, tail);
    return lk_buf_steal(&b, NULL);
}

static lk_code parse_code(const char *text, int *ret_column)
{
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_err err = {0};
    const lk_filter *f = NULL;
    lk_code code = lk_filter_parse(lk_str_of(text), &arena, &f, &err);
    *ret_column = err.column;
    lk_arena_release(&arena);
    return code;
}

static void depth_size_and_count_are_limited(void **state)
{
    (void)state;
    static const struct {
        const char *head, *mid, *tail;
        size_t n;
        lk_code code;
        int column;
    } cases[] = {
        {"(", "a == 1", ")", LK_MAX_FILTER_DEPTH, LK_OK, 0},
        {"(", "a == 1", ")", LK_MAX_FILTER_DEPTH + 1, LK_E_LIMIT, LK_MAX_FILTER_DEPTH + 1},
        {"!", "a == 1", "", LK_MAX_FILTER_DEPTH, LK_OK, 0},
        {"!", "a == 1", "", LK_MAX_FILTER_DEPTH + 1, LK_E_LIMIT, LK_MAX_FILTER_DEPTH + 1},
        {"not (", "a == 1", ")", 1000, LK_E_LIMIT, 0},
        {"a and ", "b", "", 7000, LK_OK, 0},
        {"a and ", "b", "", 9000, LK_E_LIMIT, 0},
        {"", "a in [1", ",1", 16000, LK_E_INVALID, 0}, /* no closing bracket */
        {"", "a in [1", ",1", 20000, LK_E_LIMIT, 0},
        {" ", "a", "", LK_MAX_FILTER_BYTES - 1, LK_OK, 0},
        {" ", "a", "", LK_MAX_FILTER_BYTES, LK_E_LIMIT, 1},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        char *text = nested(cases[i].head, cases[i].n, cases[i].mid, cases[i].tail);
        int column = 0;
        assert_int_equal(parse_code(text, &column), cases[i].code);
        if (cases[i].column)
            assert_int_equal(column, cases[i].column);
        lk_free(text);
    }
}

static void like_follows_percent_underscore_and_backslash(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pattern;
        bool yes;
    } cases[] = {
        {"", "", true},
        {"", "%", true},
        {"", "_", false},
        {"a", "", false},
        {"a", "a", true},
        {"a", "A", false},
        {"abc", "a%", true},
        {"abc", "%c", true},
        {"abc", "%b%", true},
        {"abc", "a_c", true},
        {"abc", "___", true},
        {"abc", "__", false},
        {"abc", "____", false},
        {"abc", "%%%", true},
        {"abc", "a%d", false},
        {"aXbXc", "a%X%c", true},
        {"aaab", "%ab", true},
        {"mississippi", "%issip%", true},
        {"mississippi", "m%iss%ppi", true},
        {"mississippi", "m%iss%ippx", false},
        {"50%", "50\\%", true},
        {"500", "50\\%", false},
        {"a_b", "a\\_b", true},
        {"axb", "a\\_b", false},
        {"a\\b", "a\\\\b", true},
        {"%", "\\%", true},
        {"\xe7\xba\xa2\xe8\x89\xb2", "_\xe8\x89\xb2", true},
        {"\xe7\xba\xa2\xe8\x89\xb2", "__", true},
        {"\xe7\xba\xa2\xe8\x89\xb2", "___", false},
        {"\xe7\xba\xa2\xe8\x89\xb2", "%\xe8\x89\xb2%", true},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++)
        if (lk_like(lk_str_of(cases[i].text), lk_str_of(cases[i].pattern)) != cases[i].yes)
            fail_msg("'%s' like '%s' should be %d", cases[i].text, cases[i].pattern, cases[i].yes);
}

static void times_are_read_as_iso_8601_writes_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        bool ok;
    } cases[] = {
        {"1970-01-01", 0, true},
        {"1970-01-02", 86400000, true},
        {"1969-12-31T23:59:59.999Z", -1, true},
        {"2023-11-14T22:13:20Z", 1700000000000, true},
        {"2023-11-14 22:13:20", 1700000000000, true},
        {"2023-11-15T06:13:20+08:00", 1700000000000, true},
        {"2023-11-14T18:43:20-0330", 1700000000000, true},
        {"2023-11-14T22:13:20.123", 1700000000123, true},
        {"2023-11-14T22:13:20.1", 1700000000100, true},
        {"2023-11-14T22:13:20.1239", 1700000000123, true},
        {"2024-02-29", 1709164800000, true},
        {"2000-02-29", 951782400000, true},
        {"0001-01-01", -62135596800000, true},
        {"9999-12-31T23:59:59.999Z", 253402300799999, true},
        {"2023-02-29", 0, false},
        {"1900-02-29", 0, false},
        {"2023-13-01", 0, false},
        {"2023-00-01", 0, false},
        {"2023-01-00", 0, false},
        {"2023-1-1", 0, false},
        {"0000-01-01", 0, false},
        {"2023-01-01T", 0, false},
        {"2023-01-01T24:00", 0, false},
        {"2023-01-01T10", 0, false},
        {"2023-01-01T10:60", 0, false},
        {"2023-01-01T10:00:60", 0, false},
        {"2023-01-01T10:00:00.", 0, false},
        {"2023-01-01T10:00:00+", 0, false},
        {"2023-01-01T10:00:00+25:00", 0, false},
        {"2023-01-01T10:00:00Zx", 0, false},
        {"2023-01-01x", 0, false},
        {"", 0, false},
        {"tomorrow", 0, false},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        int64_t ms = 0;
        bool ok = lk_time_parse(lk_str_of(cases[i].text), &ms);
        if (ok != cases[i].ok || (ok && ms != cases[i].ms))
            fail_msg("%s: got %d %lld", cases[i].text, ok, (long long)ms);
    }
}

#define NAME(lit)                                                                                  \
    {                                                                                              \
        lit, sizeof(lit) - 1                                                                       \
    } /* LK_STR is no constant for gcc */

static const lk_field fields[] = {
    {NAME("category"), LK_T_STR, false},    {NAME("brightness"), LK_T_REAL, false},
    {NAME("width"), LK_T_INT, false},       {NAME("is_new"), LK_T_BOOL, false},
    {NAME("created_at"), LK_T_TIME, false}, {NAME("brand"), LK_T_STR, true},
    {NAME("price"), LK_T_REAL, true},       {NAME("width"), LK_T_INT, true},
};

static const struct {
    const char *text;
    bool open;
    const char *checked; /* canonical form after the check, or NULL */
    int column;
    const char *complaint;
} checks[] = {
    {"category == 'food'", false, "category == \"food\"", 0, NULL},
    {"metadata['category'] == 'food'", false, "category == \"food\"", 0, NULL},
    {"brand == 'acme'", false, "metadata[\"brand\"] == \"acme\"", 0, NULL},
    {"metadata['brand'] == 'acme'", false, "metadata[\"brand\"] == \"acme\"", 0, NULL},
    {"metadata['width'] == 3", false, "metadata[\"width\"] == 3", 0, NULL},
    {"width == 3", false, "width == 3", 0, NULL},
    {"brightness > 1", false, "brightness > 1.0", 0, NULL},
    {"brightness in [0, 1, 0.5]", false, "brightness in [0.0, 1.0, 0.5]", 0, NULL},
    {"width > 2.5", false, "width > 2", 0, NULL},
    {"width >= 2.5", false, "width > 2", 0, NULL},
    {"width < 2.5", false, "width <= 2", 0, NULL},
    {"width <= -2.5", false, "width <= -3", 0, NULL},
    {"width > -2.5", false, "width > -3", 0, NULL},
    {"width == 2.5", false, "width in []", 0, NULL},
    {"width != 2.5", false, "width not in []", 0, NULL},
    {"width == 2.0", false, "width == 2", 0, NULL},
    {"width >= 2.0", false, "width >= 2", 0, NULL},
    {"width > 1e300", false, "width in []", 0, NULL},
    {"width < 1e300", false, "width not in []", 0, NULL},
    {"width > -1e300", false, "width not in []", 0, NULL},
    {"width < -1e300", false, "width in []", 0, NULL},
    {"width in [1, 2.5, 3.0]", false, "width in [1, 3]", 0, NULL},
    {"is_new", false, "is_new == true", 0, NULL},
    {"is_new != false", false, "is_new != false", 0, NULL},
    {"created_at >= '2023-11-14T22:13:20Z'", false, "created_at >= timestamp_ms(1700000000000)", 0,
     NULL},
    {"created_at in ['1970-01-02']", false, "created_at in [timestamp_ms(86400000)]", 0, NULL},
    {"width > timestamp_ms(5)", false, "width > 5", 0, NULL},
    {"price > timestamp_ms(5)", false, "metadata[\"price\"] > 5.0", 0, NULL},
    {"category is null", false, "category is null", 0, NULL},
    {"metadata['new'] == 3", true, "metadata[\"new\"] == 3", 0, NULL},
    {"metadata['new'] like 'x'", true, "metadata[\"new\"] like \"x\"", 0, NULL},
    {"metadata['new'] == 3", false, NULL, 1, "unknown field 'new'"},
    {"true and categry == 'x'", false, NULL, 10, "did you mean 'category'"},
    {"categry == 'x'", true, NULL, 1, "did you mean 'category'"},
    {"zzz == 'x'", true, NULL, 1, "metadata['zzz']"},
    {"zzz == 'x'", false, NULL, 1, "unknown field 'zzz'"},
    {"category == 3", false, NULL, 1, "is of type string"},
    {"category > true", false, NULL, 1, "is of type string"},
    {"width == 'x'", false, NULL, 1, "is of type integer"},
    {"brightness == '0.5'", false, NULL, 1, "is of type real"},
    {"brightness like '0%'", false, NULL, 1, "like is for strings"},
    {"is_new > true", false, NULL, 1, "has no order"},
    {"is_new == 1", false, NULL, 1, "is of type boolean"},
    {"category", false, NULL, 1, "is of type string"},
    {"created_at > 1700000000000", false, NULL, 1, "timestamp_ms"},
    {"created_at > 'yesterday'", false, NULL, 1, "'yesterday' is none"},
    {"category in ['a', 3]", false, NULL, 1, "is of type string"},
    {"width == 1 and (is_new or brightness like 'x')", false, NULL, 27, "like is for strings"},
};

static void the_check_resolves_names_and_converts_literals(void **state)
{
    (void)state;
    for (size_t i = 0; i < LK_ARRAY_LEN(checks); i++) {
        lk_schema schema = {fields, LK_ARRAY_LEN(fields), checks[i].open};
        lk_arena arena;
        lk_arena_init(&arena, 0);
        lk_err err = {0};
        const lk_filter *f = NULL, *checked = NULL;
        assert_int_equal(lk_filter_parse(lk_str_of(checks[i].text), &arena, &f, &err), LK_OK);
        lk_code code = lk_filter_check(f, &schema, &arena, &checked, &err);
        lk_buf out;
        lk_buf_init(&out, 0);
        if (checks[i].checked) {
            if (code != LK_OK)
                fail_msg("%s: %s", checks[i].text, err.text);
            lk_filter_print(checked, &out);
            assert_string_equal(out.p, checks[i].checked);
        } else if (code != LK_E_INVALID || err.column != checks[i].column ||
                   !strstr(err.text, checks[i].complaint)) {
            fail_msg("%s: wanted column %d '%s', got code %d column %d: %s", checks[i].text,
                     checks[i].column, checks[i].complaint, (int)code, err.column, err.text);
        }
        lk_buf_release(&out);
        lk_arena_release(&arena);
    }
}

/* The row of the truth tests: width is 3, category "food", is_new true; everything else is null. */
static lk_value one_row(const void *row, lk_str field, bool in_metadata)
{
    (void)row;
    if (!in_metadata && lk_str_is(field, "width"))
        return (lk_value){.type = LK_T_INT, .i = 3};
    if (!in_metadata && lk_str_is(field, "category"))
        return (lk_value){.type = LK_T_STR, .s = LK_STR("food")};
    if (!in_metadata && lk_str_is(field, "is_new"))
        return (lk_value){.type = LK_T_BOOL, .b = true};
    return (lk_value){.type = LK_T_NULL};
}

static void unknown_is_neither_true_nor_false(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool yes;
    } cases[] = {
        {"", true},
        {"width == 3", true},
        {"width != 3", false},
        {"width > 2.5", true},
        {"width in [1, 3]", true},
        {"width not in [1, 3]", false},
        {"width not in []", true},
        {"width in []", false},
        {"width between 3 and 4", true},
        {"is_new", true},
        {"not is_new", false},
        {"category like 'f__d'", true},
        {"category not like 'f__d'", false},
        {"category < 'goat'", true},
        {"brightness == 1", false},
        {"not brightness == 1", false},
        {"brightness != 1", false},
        {"brightness in [1]", false},
        {"brightness not in [1]", false},
        {"brightness not in []", false},
        {"brightness is null", true},
        {"brightness is not null", false},
        {"brand like '%'", false},
        {"brand not like '%'", false},
        {"width == 3 or brightness == 1", true},
        {"brightness == 1 or width == 3", true},
        {"width == 4 or brightness == 1", false},
        {"not (width == 4 or brightness == 1)", false},
        {"not (width == 3 and brightness == 1)", false},
        {"not (width == 4 and brightness == 1)", true},
        {"width == 3 and brightness == 1", false},
        {"not not brightness == 1", false},
        {"metadata['none'] == 3 or true", true},
        {"not metadata['none'] == 3", false},
        {"false", false},
        {"not false", true},
    };
    lk_schema schema = {fields, LK_ARRAY_LEN(fields), true};
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_arena arena;
        lk_arena_init(&arena, 0);
        const lk_filter *f = NULL;
        assert_int_equal(lk_filter_parse(lk_str_of(cases[i].text), &arena, &f, NULL), LK_OK);
        assert_int_equal(lk_filter_check(f, &schema, &arena, &f, NULL), LK_OK);
        if (lk_filter_match(f, one_row, NULL) != cases[i].yes)
            fail_msg("%s should be %d", cases[i].text, cases[i].yes);
        lk_arena_release(&arena);
    }
}

static lk_code parse_and_check(void *ctx, lk_err *err)
{
    lk_schema schema = {fields, LK_ARRAY_LEN(fields), false};
    lk_arena arena;
    lk_arena_init(&arena, ctx ? *(size_t *)ctx : 0);
    const lk_filter *f = NULL;
    lk_code code = lk_filter_parse(
        LK_STR("category in ['a', 'b'] and (width > 2.5 or not is_new) or brand like 'x%'"), &arena,
        &f, err);
    if (code == LK_OK)
        code = lk_filter_check(f, &schema, &arena, &f, err);
    lk_arena_release(&arena);
    return code;
}

static void running_out_of_memory_anywhere_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, parse_and_check, NULL);
    /* An arena that is full at any size fails the same way. */
    size_t n_failed = 0;
    for (size_t limit = 1; limit < 8192; limit += 37) {
        lk_err err;
        lk_code code = parse_and_check(&limit, &err);
        assert_true(code == LK_OK || code == LK_E_NOMEM);
        n_failed += code == LK_E_NOMEM;
    }
    assert_true(n_failed > 10);
    assert_true(n_failed < 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_of_the_grammar_reads_or_fails_as_the_table_says),
        cmocka_unit_test(text_that_is_no_text_is_refused),
        cmocka_unit_test(depth_size_and_count_are_limited),
        cmocka_unit_test(like_follows_percent_underscore_and_backslash),
        cmocka_unit_test(times_are_read_as_iso_8601_writes_them),
        cmocka_unit_test(the_check_resolves_names_and_converts_literals),
        cmocka_unit_test(unknown_is_neither_true_nor_false),
        cmocka_unit_test(running_out_of_memory_anywhere_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
