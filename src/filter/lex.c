#include "filter/lex.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

static const char *const keywords[] = {"and", "or",      "not",  "in",   "like",
                                       "is",  "between", "null", "true", "false"};

bool lk_lex_is_keyword(lk_str word)
{
    for (size_t i = 0; i < LK_ARRAY_LEN(keywords); i++)
        if (lk_str_eq_nocase(word, lk_str_of(keywords[i])))
            return true;
    return false;
}

lk_code lk_filter_fail(lk_err *err, lk_code code, int column, const char *fmt, ...)
{
    if (!err)
        return code;
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    lk_fail_field(err, code, "filter", "%s", text);
    err->column = column;
    return code;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Every character outside ASCII may be part of a name: words of any language are. */
static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
           (unsigned char)c >= 0x80;
}

static bool continues_name(char c)
{
    return starts_name(c) || is_digit(c);
}

/* The length of a dotted name at the head of s, 0 when there is none. */
static size_t name_length(lk_str s)
{
    size_t n = 0;
    for (;;) {
        if (n >= s.n || !starts_name(s.p[n]))
            return n ? n - 1 : 0; /* without the dot that nothing follows */
        while (n < s.n && continues_name(s.p[n]))
            n++;
        if (n >= s.n || s.p[n] != '.')
            return n;
        n++;
    }
}

bool lk_lex_is_bare_name(lk_str name)
{
    if (name.n == 0 || name_length(name) != name.n)
        return false;
    lk_str rest = name;
    lk_str first = lk_str_cut(&rest, '.');
    return !lk_lex_is_keyword(name) && !lk_lex_is_keyword(first) &&
           !lk_str_eq_nocase(first, LK_STR("metadata")) && !lk_str_is(first, "$meta") &&
           !lk_str_eq_nocase(name, LK_STR("timestamp_ms"));
}

static char peek(const lk_lexer *lx, size_t ahead)
{
    return lx->at + ahead < lx->text.n ? lx->text.p[lx->at + ahead] : '\0';
}

/* Take n bytes as the token's raw text and count their characters. */
static void take(lk_lexer *lx, size_t n, lk_tok *ret)
{
    ret->raw = (lk_str){lx->text.p + lx->at, n};
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)lx->text.p[lx->at + i] & 0xc0) != 0x80)
            lx->column++;
    lx->at += n;
}

static int column_at(const lk_lexer *lx, size_t at)
{
    int column = lx->column;
    for (size_t i = lx->at; i < at; i++)
        column += ((unsigned char)lx->text.p[i] & 0xc0) != 0x80;
    return column;
}

static lk_code lex_name(lk_lexer *lx, lk_tok *ret)
{
    lk_str rest = {lx->text.p + lx->at, lx->text.n - lx->at};
    take(lx, name_length(rest), ret);
    ret->type = LK_TOK_NAME;
    ret->value.s = ret->raw;
    return LK_OK;
}

static lk_code lex_number(lk_lexer *lx, lk_tok *ret, lk_err *err)
{
    size_t n = 0;
    bool real = false;
    size_t digits = 0;
    if (peek(lx, 0) == '-' || peek(lx, 0) == '+')
        n++;
    size_t start = peek(lx, 0) == '+' ? 1 : 0; /* lk_str_to_* know no plus */
    for (; is_digit(peek(lx, n)) || (peek(lx, n) == '.' && !real); n++) {
        real |= peek(lx, n) == '.';
        digits += is_digit(peek(lx, n));
    }
    if (peek(lx, n) == 'e' || peek(lx, n) == 'E') {
        size_t sign = peek(lx, n + 1) == '-' || peek(lx, n + 1) == '+';
        if (is_digit(peek(lx, n + 1 + sign))) {
            real = true;
            n += 1 + sign;
            while (is_digit(peek(lx, n)))
                n++;
        }
    }
    int column = lx->column;
    if (digits == 0 || continues_name(peek(lx, n)) || peek(lx, n) == '.') {
        while (continues_name(peek(lx, n)) || peek(lx, n) == '.')
            n++;
        take(lx, n, ret);
        return lk_filter_fail(err, LK_E_INVALID, column, "'%.*s' is not a number",
                              (int)(n < 60 ? n : 60), ret->raw.p);
    }
    take(lx, n, ret);
    ret->type = LK_TOK_NUMBER;
    lk_str digits_of = {ret->raw.p + start, n - start};
    if (!real && lk_str_to_i64(digits_of, &ret->value.i)) {
        ret->value.type = LK_T_INT;
        return LK_OK;
    }
    if (!lk_str_to_f64(digits_of, &ret->value.d)) {
        return lk_filter_fail(err, LK_E_INVALID, column, "the number '%.*s' is out of range",
                              (int)(n < 60 ? n : 60), ret->raw.p);
    }
    ret->value.type = LK_T_REAL;
    return LK_OK;
}

/* Four hexadecimal digits at byte `at` of the text, or -1. */
static int hex4(lk_str text, size_t at)
{
    int v = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = i < text.n ? text.p[i] : '\0';
        int digit = is_digit(c)              ? c - '0'
                    : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                    : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                             : -1;
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

/* One \u escape (two of them for a character beyond U+FFFF); *i stands on the 'u'. False:
 * malformed, half a pair, or NUL. */
static bool unicode_escape(lk_str text, size_t *i, char *out, size_t *n)
{
    int high = hex4(text, *i + 1);
    if (high <= 0 || (high >= 0xdc00 && high <= 0xdfff))
        return false;
    uint32_t cp = (uint32_t)high;
    *i += 5;
    if (high >= 0xd800 && high <= 0xdbff) {
        int low = *i + 1 < text.n && text.p[*i] == '\\' && text.p[*i + 1] == 'u'
                      ? hex4(text, *i + 2)
                      : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        cp = 0x10000u + (((uint32_t)high - 0xd800u) << 10) + ((uint32_t)low - 0xdc00u);
        *i += 6;
    }
    *n += lk_utf8_put(cp, out + *n);
    return true;
}

/* The escape whose backslash stands at *i. */
static bool escape(lk_str text, size_t *i, char *out, size_t *n)
{
    static const char from[] = "\\'\"/`bfnrt";
    static const char to[] = "\\'\"/`\b\f\n\r\t";
    char c = *i + 1 < text.n ? text.p[*i + 1] : '\0';
    if (c == 'u') {
        (*i)++;
        return unicode_escape(text, i, out, n);
    }
    if (c == '%' || c == '_') {
        out[(*n)++] = '\\';
        out[(*n)++] = c;
        *i += 2;
        return true;
    }
    const char *hit = c ? memchr(from, c, sizeof from - 1) : NULL;
    if (!hit)
        return false;
    out[(*n)++] = to[hit - from];
    *i += 2;
    return true;
}

/* At most how many bytes the quoted text that begins at `from` reads as. */
static size_t quoted_bytes(lk_str text, size_t from, char quote)
{
    size_t i = from;
    while (i < text.n && (text.p[i] != quote || (i + 1 < text.n && text.p[i + 1] == quote)))
        i += (text.p[i] == '\\' && quote != '`') || text.p[i] == quote ? 2 : 1;
    return (i < text.n ? i : text.n) - from;
}

/* A string or a backquoted name. What it reads as is never longer than what stands there. */
static lk_code lex_quoted(lk_lexer *lx, lk_tok *ret, lk_err *err)
{
    lk_str text = lx->text;
    char quote = text.p[lx->at];
    size_t i = lx->at + 1;
    char *out = lk_arena_alloc(lx->arena, quoted_bytes(text, i, quote) + 1);
    if (!out)
        return lk_filter_fail(err, LK_E_NOMEM, lx->column, "out of memory");
    size_t n = 0;
    for (;;) {
        if (i >= text.n) {
            return lk_filter_fail(err, LK_E_INVALID, lx->column, "the closing %c is missing",
                                  quote);
        }
        char c = text.p[i];
        if (c == quote) {
            if (i + 1 >= text.n || text.p[i + 1] != quote)
                break;
            out[n++] = quote;
            i += 2;
        } else if (c == '\\' && quote != '`') {
            size_t at = i;
            if (!escape(text, &i, out, &n)) {
                return lk_filter_fail(err, LK_E_INVALID, column_at(lx, at),
                                      "unknown escape after the backslash");
            }
        } else {
            out[n++] = c;
            i++;
        }
    }
    take(lx, i + 1 - lx->at, ret);
    ret->type = quote == '`' ? LK_TOK_NAME : LK_TOK_STRING;
    ret->quoted = quote == '`';
    ret->value.type = LK_T_STR;
    ret->value.s = (lk_str){out, n};
    if (ret->quoted && n == 0)
        return lk_filter_fail(err, LK_E_INVALID, ret->column, "a name must not be empty");
    return LK_OK;
}

static lk_code lex_sign(lk_lexer *lx, lk_tok *ret, lk_err *err)
{
    static const struct {
        char text[3];
        lk_tok_type type;
    } signs[] = {
        {"==", LK_TOK_EQ},   {"!=", LK_TOK_NE},       {"<>", LK_TOK_NE},        {"<=", LK_TOK_LE},
        {">=", LK_TOK_GE},   {"&&", LK_TOK_AND_SIGN}, {"||", LK_TOK_OR_SIGN},   {"=", LK_TOK_EQ},
        {"<", LK_TOK_LT},    {">", LK_TOK_GT},        {"!", LK_TOK_NOT_SIGN},   {"(", LK_TOK_OPEN},
        {")", LK_TOK_CLOSE}, {"[", LK_TOK_OPEN_LIST}, {"]", LK_TOK_CLOSE_LIST}, {",", LK_TOK_COMMA},
    };
    lk_str rest = {lx->text.p + lx->at, lx->text.n - lx->at};
    for (size_t i = 0; i < LK_ARRAY_LEN(signs); i++) {
        if (lk_str_starts(rest, lk_str_of(signs[i].text))) {
            take(lx, strlen(signs[i].text), ret);
            ret->type = signs[i].type;
            return LK_OK;
        }
    }
    char c = rest.p[0];
    if (c == '&' || c == '|') {
        return lk_filter_fail(err, LK_E_INVALID, lx->column, "expected '%c%c', found '%c'", c, c,
                              c);
    }
    if ((unsigned char)c < 0x20 || c == 0x7f) {
        return lk_filter_fail(err, LK_E_INVALID, lx->column, "unexpected character 0x%02x",
                              (unsigned)(unsigned char)c);
    }
    return lk_filter_fail(err, LK_E_INVALID, lx->column, "unexpected character '%c'", c);
}

lk_code lk_lex_next(lk_lexer *lx, lk_tok *ret, lk_err *err)
{
    while (lx->at < lx->text.n && lx->text.p[lx->at] && strchr(" \t\r\n", lx->text.p[lx->at])) {
        lx->at++;
        lx->column++;
    }
    *ret = (lk_tok){.type = LK_TOK_END, .column = lx->column};
    if (lx->at >= lx->text.n)
        return LK_OK;
    char c = peek(lx, 0);
    char next = peek(lx, 1);
    if (starts_name(c))
        return lex_name(lx, ret);
    if (c == '\'' || c == '"' || c == '`')
        return lex_quoted(lx, ret, err);
    if (is_digit(c) || (c == '.' && is_digit(next)) ||
        ((c == '-' || c == '+') && (is_digit(next) || next == '.')))
        return lex_number(lx, ret, err);
    return lex_sign(lx, ret, err);
}
