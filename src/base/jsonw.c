/* Writing JSON, straight into a buffer. */
#include <assert.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

void lk_jw_init(lk_jw *w, lk_buf *out)
{
    *w = (lk_jw){.out = out};
}

/* What stands before a value: a comma, unless it is the first or follows its key. */
static void before_value(lk_jw *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    assert((w->depth > 0 || !w->has[0]) && "a document is one value");
    if (w->has[w->depth])
        lk_buf_putc(w->out, ',');
    w->has[w->depth] = true;
}

static void open_container(lk_jw *w, char c)
{
    before_value(w);
    lk_buf_putc(w->out, c);
    w->depth++;
    assert(w->depth < LK_MAX_JSON_DEPTH);
    w->has[w->depth] = false;
}

static void close_container(lk_jw *w, char c)
{
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    lk_buf_putc(w->out, c);
}

void lk_jw_obj(lk_jw *w)
{
    open_container(w, '{');
}

void lk_jw_end_obj(lk_jw *w)
{
    close_container(w, '}');
}

void lk_jw_arr(lk_jw *w)
{
    open_container(w, '[');
}

void lk_jw_end_arr(lk_jw *w)
{
    close_container(w, ']');
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void put_escaped(lk_buf *out, unsigned char c)
{
    static const char letters[] = "btn?fr"; /* 8 to 13 */
    if (c == '"' || c == '\\')
        lk_buf_printf(out, "\\%c", c);
    else if (c >= 8 && c <= 13 && c != 11)
        lk_buf_printf(out, "\\%c", letters[c - 8]);
    else
        lk_buf_printf(out, "\\u%04x", c);
}

static void put_string(lk_buf *out, lk_str s)
{
    lk_buf_putc(out, '"');
    for (size_t i = 0; i < s.n;) {
        size_t from = i;
        while (i < s.n && is_plain((unsigned char)s.p[i]))
            i++;
        if (i > from) {
            lk_buf_put(out, s.p + from, i - from);
        } else if ((unsigned char)s.p[i] < 0x80) {
            put_escaped(out, (unsigned char)s.p[i++]);
        } else {
            char utf8[4];
            lk_buf_put(out, utf8, lk_utf8_put(lk_utf8_next(s, &i), utf8));
        }
    }
    lk_buf_putc(out, '"');
}

void lk_jw_key_str(lk_jw *w, lk_str key)
{
    assert(w->depth > 0 && !w->after_key);
    before_value(w);
    put_string(w->out, key);
    lk_buf_putc(w->out, ':');
    w->after_key = true;
}

void lk_jw_key(lk_jw *w, const char *key)
{
    lk_jw_key_str(w, lk_str_of(key));
}

void lk_jw_str(lk_jw *w, lk_str s)
{
    before_value(w);
    put_string(w->out, s);
}

void lk_jw_strz(lk_jw *w, const char *s)
{
    if (s)
        lk_jw_str(w, lk_str_of(s));
    else
        lk_jw_null(w);
}

void lk_jw_int(lk_jw *w, int64_t v)
{
    before_value(w);
    lk_buf_printf(w->out, "%jd", (intmax_t)v);
}

void lk_jw_uint(lk_jw *w, uint64_t v)
{
    before_value(w);
    lk_buf_printf(w->out, "%ju", (uintmax_t)v);
}

/* Whole numbers this small print fast and exactly. "-0" would be read back as an integer, which has
 * no such thing; with its point it keeps its sign. */
static bool put_whole(lk_buf *out, double v)
{
    if (v != trunc(v) || fabs(v) >= 1e15)
        return false;
    if (v == 0 && signbit(v))
        lk_buf_puts(out, "-0.0");
    else
        lk_buf_printf(out, "%jd", (intmax_t)v);
    return true;
}

/* The fewest digits, from `least` to `most`, that read back as the same number; `least` digits
 * always survive a trip through the type and `most` always tell neighbours apart. The program's
 * locale may write a comma for the point, so this thread's is set aside meanwhile. */
static void put_shortest(lk_buf *out, double v, int least, int most, bool is_float)
{
    char text[40];
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* static in glibc: no memory */
    locale_t before = uselocale(c);
    for (int digits = least; digits <= most; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (is_float ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    uselocale(before);
    freelocale(c);
    lk_buf_puts(out, text);
}

void lk_jw_real(lk_jw *w, double v)
{
    if (!isfinite(v)) {
        lk_jw_null(w);
        return;
    }
    before_value(w);
    if (!put_whole(w->out, v))
        put_shortest(w->out, v, 15, 17, false);
}

void lk_jw_float(lk_jw *w, float v)
{
    if (!isfinite(v)) {
        lk_jw_null(w);
        return;
    }
    before_value(w);
    if (!put_whole(w->out, (double)v))
        put_shortest(w->out, (double)v, 6, 9, true);
}

void lk_jw_bool(lk_jw *w, bool v)
{
    before_value(w);
    lk_buf_puts(w->out, v ? "true" : "false");
}

void lk_jw_null(lk_jw *w)
{
    before_value(w);
    lk_buf_puts(w->out, "null");
}

void lk_jw_raw(lk_jw *w, lk_str json)
{
    before_value(w);
    lk_buf_put(w->out, json.p, json.n);
}

static void put_scalar(lk_jw *w, const lk_jval *v)
{
    switch (lk_jval_type(v)) {
    case LK_J_BOOL:
        lk_jw_bool(w, lk_jval_bool(v));
        break;
    case LK_J_INT:
        lk_jw_int(w, lk_jval_int(v));
        break;
    case LK_J_REAL:
        lk_jw_real(w, lk_jval_real(v));
        break;
    case LK_J_STR:
        lk_jw_str(w, lk_jval_str(v));
        break;
    default:
        lk_jw_null(w);
    }
}

void lk_jw_val(lk_jw *w, const lk_jval *v)
{
    lk_jtype type = lk_jval_type(v);
    if (type != LK_J_ARR && type != LK_J_OBJ) {
        put_scalar(w, v);
        return;
    }
    /* A writer of its own at every level: a parsed value is at most LK_MAX_JSON_DEPTH deep, but
     * where it is written may lie deep as well. */
    before_value(w);
    lk_jw inner;
    lk_jw_init(&inner, w->out);
    lk_jiter it = lk_jiter_of(v);
    lk_str key;
    const lk_jval *value;
    bool is_obj = type == LK_J_OBJ;
    (is_obj ? lk_jw_obj : lk_jw_arr)(&inner);
    while (lk_jiter_next(&it, &key, &value)) {
        if (is_obj)
            lk_jw_key_str(&inner, key);
        lk_jw_val(&inner, value);
    }
    (is_obj ? lk_jw_end_obj : lk_jw_end_arr)(&inner);
}
