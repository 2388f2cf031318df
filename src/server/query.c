#include "server/query.h"

#include <math.h>

#include "base/mem.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

lk_code lk_percent_decode(lk_str text, bool plus, lk_arena *into, lk_str *ret, lk_err *err)
{
    char *out = lk_arena_alloc(into, text.n + 1);
    size_t n = 0;
    if (!out)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a URL");
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;
            if (low < 0)
                return lk_fail(err, LK_E_INVALID, "the URL has a '%%' without two hex digits");
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0')
            return lk_fail(err, LK_E_INVALID, "the URL holds a zero byte");
        out[n++] = c;
    }
    out[n] = '\0';
    if (!lk_utf8_valid((lk_str){out, n}))
        return lk_fail(err, LK_E_INVALID, "the URL is not UTF-8 after decoding");
    *ret = (lk_str){out, n};
    return LK_OK;
}

lk_code lk_args_parse(lk_str text, lk_arena *into, lk_args *ret, lk_err *err)
{
    size_t max = 0, n = 0;
    for (lk_str rest = text; rest.n > 0; max++)
        (void)lk_str_cut(&rest, '&');
    if (max > LK_MAX_QUERY_ARGS)
        return lk_fail(err, LK_E_LIMIT, "the URL has %zu arguments, more than %d", max,
                       LK_MAX_QUERY_ARGS);
    lk_arg *v = lk_arena_zalloc(into, max + 1, sizeof *v);
    if (!v)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a URL");
    for (lk_str rest = text; rest.n > 0;) {
        lk_str value = lk_str_cut(&rest, '&');
        if (value.n == 0)
            continue;
        lk_str name = lk_str_cut(&value, '=');
        lk_code code = lk_percent_decode(name, true, into, &v[n].name, err);
        if (!code)
            code = lk_percent_decode(value, true, into, &v[n].value, err);
        if (code)
            return code;
        n++;
    }
    *ret = (lk_args){v, n};
    return LK_OK;
}

lk_code lk_args_one(const lk_args *args, const char *name, lk_str *ret, bool *ret_found,
                    lk_err *err)
{
    bool found = false;
    for (size_t i = 0; i < args->n; i++) {
        if (!lk_str_is(args->v[i].name, name))
            continue;
        if (found)
            return lk_fail_field(err, LK_E_INVALID, name, "%s is given twice", name);
        found = true;
        *ret = args->v[i].value;
    }
    *ret_found = found;
    return LK_OK;
}

lk_code lk_args_only(const lk_args *args, const char *const *known, size_t n, lk_err *err)
{
    for (size_t i = 0; i < args->n; i++) {
        lk_str name = args->v[i].name;
        bool ok = false;
        for (size_t j = 0; j < n && !ok; j++)
            ok = lk_str_is(name, known[j]);
        if (ok)
            continue;
        char field[48];
        size_t len = name.n < sizeof field - 1 ? name.n : sizeof field - 1;
        memcpy(field, name.p, len);
        field[len] = '\0';
        const char *near = lk_str_closest(name, known, n);
        if (near)
            return lk_fail_field(err, LK_E_INVALID, field,
                                 "unknown argument \"%s\", did you mean \"%s\"", field, near);
        return lk_fail_field(err, LK_E_INVALID, field, "unknown argument \"%s\"", field);
    }
    return LK_OK;
}

/* What a sentence shows of somebody's text. */
static int shown(lk_str s)
{
    return s.n < 64 ? (int)s.n : 64;
}

lk_code lk_text_int(const char *field, lk_str text, int64_t min, int64_t max, int64_t *ret,
                    lk_err *err)
{
    int64_t v = 0;
    if (!lk_str_to_i64(text, &v))
        return lk_fail_field(err, LK_E_INVALID, field, "%s must be a whole number, not \"%.*s\"",
                             field, shown(text), text.p);
    if (v < min || v > max)
        return lk_fail_field(err, LK_E_INVALID, field, "%s must be between %lld and %lld, not %lld",
                             field, (long long)min, (long long)max, (long long)v);
    *ret = v;
    return LK_OK;
}

lk_code lk_text_real(const char *field, lk_str text, double *ret, lk_err *err)
{
    double v = 0;
    if (!lk_str_to_f64(text, &v) || !isfinite(v))
        return lk_fail_field(err, LK_E_INVALID, field, "%s must be a number, not \"%.*s\"", field,
                             shown(text), text.p);
    *ret = v;
    return LK_OK;
}

lk_code lk_text_bool(const char *field, lk_str text, bool *ret, lk_err *err)
{
    bool yes = lk_str_is(text, "true") || lk_str_is(text, "1");
    if (!yes && !lk_str_is(text, "false") && !lk_str_is(text, "0"))
        return lk_fail_field(err, LK_E_INVALID, field, "%s must be true or false, not \"%.*s\"",
                             field, shown(text), text.p);
    *ret = yes;
    return LK_OK;
}
