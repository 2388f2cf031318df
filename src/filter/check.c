/* From what was written to what can be evaluated: names resolved, every literal of its field's
 * type.
 *
 * Names. metadata['x'] means the metadata key x; where there is none but a built-in field x, it
 * means that field, because that is how users of other systems ask for it. A bare x means the
 * built-in field, else the metadata key. With an open schema metadata['x'] may name a key that no
 * row has yet: it is null everywhere. A bare name never gets that grace: it is more often a slip of
 * the keyboard than a wish for nothing.
 *
 * Types. Whole numbers become reals for a real field. A real literal against a whole-number field
 * is rounded to the equivalent whole one (x > 2.5 is x > 2); where no whole number can make it true
 * or false the test becomes an empty `in` or its negation, which keeps null unknown. ISO text
 * becomes a time for a time field; times become milliseconds for a number field. Nothing else is
 * converted: text that looks like a number is text. */
#include <math.h>

#include "base/mem.h"
#include "filter/lex.h"
#include "filter/time.h"

typedef struct checker {
    const lk_schema *schema;
    lk_arena *arena;
    lk_err *err;
} checker;

const char *lk_type_name(lk_type t)
{
    static const char *const names[] = {"null", "boolean", "integer", "real", "string", "time"};
    return (size_t)t < LK_ARRAY_LEN(names) ? names[t] : "unknown";
}

static lk_code fail_nomem(checker *c)
{
    return lk_fail(c->err, LK_E_NOMEM, "no memory for the filter");
}

static const lk_field *find(const lk_schema *schema, lk_str name, bool in_metadata)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        const lk_field *f = &schema->fields[i];
        if (f->in_metadata == in_metadata && lk_str_eq(f->name, name))
            return f;
    }
    return NULL;
}

static lk_code fail_unknown(checker *c, const lk_filter *f)
{
    const lk_schema *s = c->schema;
    const char **names = lk_arena_zalloc(c->arena, s->n_fields + 1, sizeof *names);
    char *word = lk_arena_strndup(c->arena, f->field.p, f->field.n);
    if (!names || !word)
        return fail_nomem(c);
    for (size_t i = 0; i < s->n_fields; i++) {
        names[i] = lk_arena_strndup(c->arena, s->fields[i].name.p, s->fields[i].name.n);
        if (!names[i])
            return fail_nomem(c);
    }
    const char *near = lk_str_closest(f->field, names, s->n_fields);
    if (near) {
        return lk_filter_fail(c->err, LK_E_INVALID, f->column,
                              "unknown field '%.64s', did you mean '%.64s'?", word, near);
    }
    return lk_filter_fail(c->err, LK_E_INVALID, f->column,
                          s->open ? "unknown field '%.64s' (write metadata['%.64s'] for a key that "
                                    "no record has yet)"
                                  : "unknown field '%.64s'",
                          word, word);
}

static lk_code resolve(checker *c, const lk_filter *f, lk_filter *ret)
{
    const lk_field *field = find(c->schema, f->field, f->in_metadata);
    if (!field)
        field = find(c->schema, f->field, !f->in_metadata);
    if (field) {
        ret->in_metadata = field->in_metadata;
        ret->type = field->type;
        return LK_OK;
    }
    if (f->in_metadata && c->schema->open) {
        ret->type = LK_T_NULL;
        return LK_OK;
    }
    return fail_unknown(c, f);
}

static const char *example_of(lk_type t)
{
    switch (t) {
    case LK_T_BOOL:
        return "true or false";
    case LK_T_INT:
    case LK_T_REAL:
        return "a number";
    case LK_T_TIME:
        return "'2024-05-01T10:20:30Z' or timestamp_ms(1714558830000)";
    default:
        return "a string in quotes";
    }
}

static lk_code fail_type(checker *c, const lk_filter *f, lk_type got)
{
    return lk_filter_fail(c->err, LK_E_INVALID, f->column,
                          "'%.*s' is of type %s and cannot be compared with type %s; write %s",
                          (int)(f->field.n < 64 ? f->field.n : 64), f->field.p,
                          lk_type_name(f->type), lk_type_name(got), example_of(f->type));
}

/* A literal to the field's type. A real for a whole-number field is left as it is. */
static lk_code convert(checker *c, const lk_filter *f, const lk_value *v, lk_value *ret)
{
    *ret = *v;
    lk_type want = f->type;
    if (v->type == want || want == LK_T_NULL)
        return LK_OK;
    if (v->type == LK_T_TIME && want == LK_T_INT) {
        ret->type = LK_T_INT;
        return LK_OK;
    }
    if ((v->type == LK_T_TIME || v->type == LK_T_INT) && want == LK_T_REAL) {
        *ret = (lk_value){.type = LK_T_REAL, .d = (double)v->i};
        return LK_OK;
    }
    if (v->type == LK_T_REAL && want == LK_T_INT)
        return LK_OK;
    if (v->type == LK_T_STR && want == LK_T_TIME) {
        *ret = (lk_value){.type = LK_T_TIME};
        if (lk_time_parse(v->s, &ret->i))
            return LK_OK;
        return lk_filter_fail(c->err, LK_E_INVALID, f->column,
                              "'%.*s' is a time, and '%.*s' is none; write %s",
                              (int)(f->field.n < 64 ? f->field.n : 64), f->field.p,
                              (int)(v->s.n < 48 ? v->s.n : 48), v->s.p, example_of(want));
    }
    return fail_type(c, f, v->type);
}

/* Is this real a whole number of int64? 2^63 itself is not. */
static bool whole(double d, int64_t *ret)
{
    const double two_to_63 = 9223372036854775808.0;
    if (d < -two_to_63 || d >= two_to_63 || floor(d) != d)
        return false;
    *ret = (int64_t)d;
    return true;
}

/* True (or false) for every row that has a value, unknown for the others. */
static lk_code always(checker *c, lk_filter *f, bool value, const lk_filter **ret)
{
    f->op = LK_F_IN;
    f->values = NULL;
    f->n_values = 0;
    *ret = f;
    if (!value)
        return LK_OK;
    lk_filter *inverse = lk_arena_zalloc(c->arena, 1, sizeof *inverse);
    const lk_filter **kid = lk_arena_memdup(c->arena, ret, sizeof *ret);
    if (!inverse || !kid)
        return fail_nomem(c);
    *inverse = (lk_filter){.op = LK_F_NOT, .column = f->column, .n_kids = 1, .kids = kid};
    *ret = inverse;
    return LK_OK;
}

/* A comparison of a whole-number field with the real *v. */
static lk_code compare_int_with_real(checker *c, lk_filter *f, lk_value *v, const lk_filter **ret)
{
    double d = v->d;
    *v = (lk_value){.type = LK_T_INT};
    *ret = f;
    if (whole(d, &v->i))
        return LK_OK;
    bool above = f->op == LK_F_GT || f->op == LK_F_GE;
    if (f->op == LK_F_EQ || f->op == LK_F_NE)
        return always(c, f, f->op == LK_F_NE, ret);
    if (!whole(floor(d), &v->i))
        return always(c, f, (d < 0) == above, ret);
    f->op = above ? LK_F_GT : LK_F_LE;
    return LK_OK;
}

static lk_code check_in(checker *c, lk_filter *f, const lk_filter *from)
{
    lk_value *values = lk_arena_zalloc(c->arena, from->n_values + 1, sizeof *values);
    if (!values)
        return fail_nomem(c);
    size_t n = 0;
    for (size_t i = 0; i < from->n_values; i++) {
        lk_value v;
        lk_code code = convert(c, f, &from->values[i], &v);
        if (code != LK_OK)
            return code;
        if (f->type == LK_T_INT && v.type == LK_T_REAL) {
            double d = v.d;
            v = (lk_value){.type = LK_T_INT};
            if (!whole(d, &v.i))
                continue; /* no whole number equals it */
        }
        values[n++] = v;
    }
    f->values = values;
    f->n_values = n;
    return LK_OK;
}

static lk_code check_comparison(checker *c, lk_filter *f, const lk_filter *from,
                                const lk_filter **ret)
{
    lk_value *v = lk_arena_zalloc(c->arena, 1, sizeof *v);
    if (!v)
        return fail_nomem(c);
    lk_code code = convert(c, f, &from->values[0], v);
    if (code != LK_OK)
        return code;
    if (f->type == LK_T_BOOL && f->op != LK_F_EQ && f->op != LK_F_NE) {
        return lk_filter_fail(c->err, LK_E_INVALID, f->column,
                              "'%.*s' is true or false and has no order",
                              (int)(f->field.n < 64 ? f->field.n : 64), f->field.p);
    }
    f->values = v;
    *ret = f;
    if (f->type == LK_T_INT && v->type == LK_T_REAL)
        return compare_int_with_real(c, f, v, ret);
    return LK_OK;
}

static lk_code check_leaf(checker *c, const lk_filter *from, lk_filter *f, const lk_filter **ret)
{
    lk_code code = resolve(c, from, f);
    if (code != LK_OK)
        return code;
    *ret = f;
    switch (f->op) {
    case LK_F_IS_NULL:
        return LK_OK;
    case LK_F_IN:
        return check_in(c, f, from);
    case LK_F_LIKE:
        if (f->type != LK_T_STR && f->type != LK_T_NULL) {
            return lk_filter_fail(
                c->err, LK_E_INVALID, f->column, "'%.*s' is of type %s; like is for strings",
                (int)(f->field.n < 64 ? f->field.n : 64), f->field.p, lk_type_name(f->type));
        }
        return LK_OK;
    default:
        return check_comparison(c, f, from, ret);
    }
}

static lk_code check(checker *c, const lk_filter *from, const lk_filter **ret)
{
    lk_filter *f = lk_arena_memdup(c->arena, from, sizeof *from);
    if (!f)
        return fail_nomem(c);
    if (f->op == LK_F_TRUE || f->op == LK_F_FALSE) {
        *ret = f;
        return LK_OK;
    }
    if (f->n_kids == 0)
        return check_leaf(c, from, f, ret);
    const lk_filter **kids = lk_arena_zalloc(c->arena, f->n_kids, sizeof *kids);
    if (!kids)
        return fail_nomem(c);
    for (size_t i = 0; i < f->n_kids; i++) {
        lk_code code = check(c, from->kids[i], &kids[i]);
        if (code != LK_OK)
            return code;
    }
    f->kids = kids;
    *ret = f;
    return LK_OK;
}

lk_code lk_filter_check(const lk_filter *f, const lk_schema *schema, lk_arena *arena,
                        const lk_filter **ret, lk_err *err)
{
    checker c = {.schema = schema, .arena = arena, .err = err};
    const lk_filter *checked = NULL;
    lk_code code = check(&c, f, &checked);
    if (code == LK_OK)
        *ret = checked;
    return code;
}
