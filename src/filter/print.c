/* The canonical text of a filter: what users see back, and what the property test reads again. */
#include "base/json.h"
#include "filter/lex.h"

static void print_string(lk_str s, lk_buf *out)
{
    lk_buf_putc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            lk_buf_putc(out, '\\');
            lk_buf_putc(out, (char)c);
        } else if (c == '\n') {
            lk_buf_puts(out, "\\n");
        } else if (c == '\t') {
            lk_buf_puts(out, "\\t");
        } else if (c == '\r') {
            lk_buf_puts(out, "\\r");
        } else if (c < 0x20 || c == 0x7f) {
            lk_buf_printf(out, "\\u%04x", (unsigned)c);
        } else {
            lk_buf_putc(out, (char)c);
        }
    }
    lk_buf_putc(out, '"');
}

/* The shortest form that reads back equal, and never mistaken for a whole number. */
static void print_real(double d, lk_buf *out)
{
    size_t start = out->n;
    lk_jw w;
    lk_jw_init(&w, out);
    lk_jw_real(&w, d);
    if (!out->failed && !memchr(out->p + start, '.', out->n - start) &&
        !memchr(out->p + start, 'e', out->n - start) &&
        !memchr(out->p + start, 'E', out->n - start))
        lk_buf_puts(out, ".0");
}

static void print_value(const lk_value *v, lk_buf *out)
{
    switch (v->type) {
    case LK_T_NULL:
        lk_buf_puts(out, "null");
        break;
    case LK_T_BOOL:
        lk_buf_puts(out, v->b ? "true" : "false");
        break;
    case LK_T_INT:
        lk_buf_printf(out, "%lld", (long long)v->i);
        break;
    case LK_T_REAL:
        print_real(v->d, out);
        break;
    case LK_T_STR:
        print_string(v->s, out);
        break;
    case LK_T_TIME:
        lk_buf_printf(out, "timestamp_ms(%lld)", (long long)v->i);
        break;
    }
}

static void print_field(const lk_filter *f, lk_buf *out)
{
    if (f->in_metadata) {
        lk_buf_puts(out, "metadata[");
        print_string(f->field, out);
        lk_buf_putc(out, ']');
        return;
    }
    if (lk_lex_is_bare_name(f->field)) {
        lk_buf_put(out, f->field.p, f->field.n);
        return;
    }
    lk_buf_putc(out, '`');
    for (size_t i = 0; i < f->field.n; i++) {
        if (f->field.p[i] == '`')
            lk_buf_putc(out, '`');
        lk_buf_putc(out, f->field.p[i]);
    }
    lk_buf_putc(out, '`');
}

static void print_in(const lk_filter *f, bool inverse, lk_buf *out)
{
    print_field(f, out);
    lk_buf_puts(out, inverse ? " not in [" : " in [");
    for (size_t i = 0; i < f->n_values; i++) {
        if (i)
            lk_buf_puts(out, ", ");
        print_value(&f->values[i], out);
    }
    lk_buf_putc(out, ']');
}

static void print_not(const lk_filter *kid, lk_buf *out)
{
    switch (kid->op) {
    case LK_F_IN:
        print_in(kid, true, out);
        break;
    case LK_F_LIKE:
        print_field(kid, out);
        lk_buf_puts(out, " not like ");
        print_value(&kid->values[0], out);
        break;
    case LK_F_IS_NULL:
        print_field(kid, out);
        lk_buf_puts(out, " is not null");
        break;
    case LK_F_AND:
    case LK_F_OR:
        lk_buf_puts(out, "not (");
        lk_filter_print(kid, out);
        lk_buf_putc(out, ')');
        break;
    default:
        lk_buf_puts(out, "not ");
        lk_filter_print(kid, out);
        break;
    }
}

static void print_chain(const lk_filter *f, lk_buf *out)
{
    for (size_t i = 0; i < f->n_kids; i++) {
        const lk_filter *kid = f->kids[i];
        bool nested = kid->op == LK_F_AND || kid->op == LK_F_OR;
        if (i)
            lk_buf_puts(out, f->op == LK_F_AND ? " and " : " or ");
        if (nested)
            lk_buf_putc(out, '(');
        lk_filter_print(kid, out);
        if (nested)
            lk_buf_putc(out, ')');
    }
}

static const char *sign_of(lk_filter_op op)
{
    switch (op) {
    case LK_F_EQ:
        return " == ";
    case LK_F_NE:
        return " != ";
    case LK_F_LT:
        return " < ";
    case LK_F_LE:
        return " <= ";
    case LK_F_GT:
        return " > ";
    case LK_F_GE:
        return " >= ";
    default:
        return " like ";
    }
}

void lk_filter_print(const lk_filter *f, lk_buf *out)
{
    switch (f->op) {
    case LK_F_AND:
    case LK_F_OR:
        print_chain(f, out);
        break;
    case LK_F_NOT:
        print_not(f->kids[0], out);
        break;
    case LK_F_IN:
        print_in(f, false, out);
        break;
    case LK_F_IS_NULL:
        print_field(f, out);
        lk_buf_puts(out, " is null");
        break;
    case LK_F_TRUE:
        lk_buf_puts(out, "true");
        break;
    case LK_F_FALSE:
        lk_buf_puts(out, "false");
        break;
    default:
        print_field(f, out);
        lk_buf_puts(out, sign_of(f->op));
        print_value(&f->values[0], out);
        break;
    }
}
