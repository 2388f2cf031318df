/* A filter's text out of names and values that somebody sent: every value is quoted, so that none
 * of it can be read as anything but a value. */
#include "server/search_args.h"

static void put_quoted(lk_buf *out, lk_str s, char quote)
{
    lk_buf_putc(out, quote);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == quote || s.p[i] == '\\')
            lk_buf_putc(out, '\\');
        lk_buf_putc(out, s.p[i]);
    }
    lk_buf_putc(out, quote);
}

/* In backquotes any text is a field's name, built in or of the metadata. */
static void put_name(lk_buf *out, lk_str name)
{
    if (out->n > 0)
        lk_buf_puts(out, " and ");
    lk_buf_putc(out, '`');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '`')
            lk_buf_putc(out, '`');
        lk_buf_putc(out, name.p[i]);
    }
    lk_buf_putc(out, '`');
}

static lk_code put_value(lk_buf *out, lk_str name, const lk_jval *v, lk_err *err)
{
    lk_jw w;
    switch (lk_jval_type(v)) {
    case LK_J_STR:
        put_quoted(out, lk_jval_str(v), '"');
        return LK_OK;
    case LK_J_BOOL:
        lk_buf_puts(out, lk_jval_bool(v) ? "true" : "false");
        return LK_OK;
    case LK_J_INT:
    case LK_J_REAL:
        lk_jw_init(&w, out);
        lk_jw_val(&w, v);
        return LK_OK;
    default:
        return lk_fail_field(err, LK_E_INVALID, "filters",
                             "the value of \"%.*s\" must be a string, a number, true or false",
                             name.n < 64 ? (int)name.n : 64, name.p);
    }
}

lk_code lk_filter_add_equal(lk_buf *filter, lk_str name, const lk_jval *value, lk_err *err)
{
    lk_jiter it;
    lk_str key;
    const lk_jval *item;
    if (name.n == 0)
        return lk_fail_field(err, LK_E_INVALID, "filters", "the name of a field is empty");
    put_name(filter, name);
    if (lk_jval_type(value) == LK_J_NULL) {
        lk_buf_puts(filter, " is null");
        return LK_OK;
    }
    if (lk_jval_type(value) != LK_J_ARR) {
        lk_buf_puts(filter, " == ");
        return put_value(filter, name, value, err);
    }
    lk_code code = LK_OK;
    it = lk_jiter_of(value);
    lk_buf_puts(filter, " in [");
    for (size_t i = 0; !code && lk_jiter_next(&it, &key, &item); i++) {
        if (i > 0)
            lk_buf_puts(filter, ", ");
        code = put_value(filter, name, item, err);
    }
    lk_buf_puts(filter, "]");
    return code;
}

void lk_filter_add_text(lk_buf *filter, const char *name, lk_str value)
{
    put_name(filter, lk_str_of(name));
    lk_buf_puts(filter, " == ");
    put_quoted(filter, value, '"');
}
