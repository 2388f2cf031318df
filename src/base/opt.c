/* Reading values by an option table; opt_help.c prints the same table for people.
 *
 * Every source of values ends in set_value, which knows the types and the ranges, and every fault
 * is told in the words the user wrote: "--top-k" on the command line, "top_k" in JSON, the
 * variable's name in the environment. */
#include "base/opt.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    MAX_TABLE = 128,
    MAX_SHOWN = 80 /* of a name or value that we quote back */
};

static void *member(const lk_opt *o, void *ret)
{
    return (char *)ret + o->offset;
}

/* Is `name` this option's, with '-' and '_' taken for the same? */
static bool is_named(const lk_opt *o, lk_str name)
{
    size_t i = 0;
    for (; i < name.n && o->name[i]; i++) {
        char c = name.p[i] == '_' ? '-' : name.p[i];
        if (c != o->name[i])
            return false;
    }
    return i == name.n && !o->name[i];
}

static const lk_opt *find(const lk_opt *table, lk_str name)
{
    for (const lk_opt *o = table; o->name; o++) {
        if (is_named(o, name))
            return o;
    }
    return NULL;
}

static const lk_opt *find_letter(const lk_opt *table, char letter)
{
    for (const lk_opt *o = table; o->name; o++) {
        if (letter && o->letter == letter)
            return o;
    }
    return NULL;
}

/* How an option is written where the value came from. */
typedef enum source {
    FROM_ARGV, /* --top-k */
    FROM_KEY,  /* top-k */
    FROM_JSON, /* top_k */
    FROM_ENV,  /* LOOKALIKE_TOP_K */
} source;

typedef struct shown {
    char text[MAX_SHOWN];
} shown;

static shown show_name(const char *name, source from)
{
    shown s;
    snprintf(s.text, sizeof s.text, "%s%s", from == FROM_ARGV ? "--" : "", name);
    for (char *c = s.text; from == FROM_JSON && *c; c++) {
        if (*c == '-')
            *c = '_';
    }
    return s;
}

static shown show(const lk_opt *o, source from)
{
    return show_name(from == FROM_ENV ? o->env : o->name, from);
}

static lk_code fail_unknown(const lk_opt *table, lk_str name, source from, lk_err *err)
{
    const char *names[MAX_TABLE];
    size_t n = 0;
    for (const lk_opt *o = table; o->name && n < MAX_TABLE; o++)
        names[n++] = o->name;
    const char *near = lk_str_closest(name, names, n);
    char written[MAX_SHOWN];
    snprintf(written, sizeof written, "%.*s", (int)(name.n < MAX_SHOWN ? name.n : MAX_SHOWN),
             name.p);
    const char *dashes = from == FROM_ARGV ? "--" : "";
    if (!near)
        return lk_fail_field(err, LK_E_INVALID, written, "unknown option %s%s", dashes, written);
    return lk_fail_field(err, LK_E_INVALID, written, "unknown option %s%s, did you mean %s?",
                         dashes, written, show_name(near, from).text);
}

static lk_code fail_value(const lk_opt *o, source from, const char *want, const char *value,
                          lk_err *err)
{
    return lk_fail_field(err, LK_E_INVALID, o->name, "%s must be %s, not \"%.*s\"",
                         show(o, from).text, want, MAX_SHOWN, value);
}

static bool has_range(const lk_opt *o)
{
    return o->min != 0 || o->max != 0;
}

/* "64MiB" for 67108864, "30s" for 30000: the largest unit that divides it. */
static void put_number(char ret[32], lk_opt_type type, double v)
{
    static const struct {
        lk_opt_type type;
        uint64_t factor;
        const char *unit;
    } units[] = {
        {LK_OPT_BYTES, 1ull << 40, "TiB"},
        {LK_OPT_BYTES, 1ull << 30, "GiB"},
        {LK_OPT_BYTES, 1ull << 20, "MiB"},
        {LK_OPT_BYTES, 1ull << 10, "KiB"},
        {LK_OPT_MS, 3600000, "h"},
        {LK_OPT_MS, 60000, "m"},
        {LK_OPT_MS, 1000, "s"},
        {LK_OPT_MS, 1, "ms"},
    };
    if (v > 0 && v < 0x1p63) {
        for (size_t i = 0; i < LK_ARRAY_LEN(units); i++) {
            if (units[i].type != type || (uint64_t)v % units[i].factor != 0)
                continue;
            snprintf(ret, 32, "%" PRIu64 "%s", (uint64_t)v / units[i].factor, units[i].unit);
            return;
        }
    }
    snprintf(ret, 32, "%.15g", v);
}

static lk_code check_range(const lk_opt *o, double v, source from, const char *value, lk_err *err)
{
    if (!has_range(o) || (v >= o->min && v <= o->max))
        return LK_OK;
    char min[32];
    char max[32];
    char want[80];
    put_number(min, o->type, o->min);
    put_number(max, o->type, o->max);
    snprintf(want, sizeof want, "%s to %s", min, max);
    return fail_value(o, from, want, value, err);
}

static bool bool_of(const char *value, bool *ret)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < LK_ARRAY_LEN(yes); i++) {
        bool is_yes = lk_str_eq_nocase(lk_str_of(value), lk_str_of(yes[i]));
        if (is_yes || lk_str_eq_nocase(lk_str_of(value), lk_str_of(no[i]))) {
            *ret = is_yes;
            return true;
        }
    }
    return false;
}

static lk_code set_number(const lk_opt *o, void *to, const char *value, source from, lk_err *err)
{
    lk_str s = lk_str_of(value);
    int64_t i = 0;
    uint64_t u = 0;
    double d = 0;
    const char *want = "a number";
    bool ok = false;
    switch (o->type) {
    case LK_OPT_INT:
        want = "an integer";
        ok = lk_str_to_i64(s, &i);
        d = (double)i;
        break;
    case LK_OPT_REAL:
        ok = lk_str_to_f64(s, &d);
        break;
    case LK_OPT_BYTES:
        want = "a size such as 64MiB";
        ok = lk_str_to_bytes(s, &u);
        d = (double)u;
        break;
    default:
        want = "a time such as 30s or 500ms";
        ok = lk_str_to_ms(s, &u);
        d = (double)u;
        break;
    }
    if (!ok)
        return fail_value(o, from, want, value, err);
    lk_code code = check_range(o, d, from, value, err);
    if (code)
        return code;
    if (o->type == LK_OPT_INT)
        *(int64_t *)to = i;
    else if (o->type == LK_OPT_REAL)
        *(double *)to = d;
    else
        *(uint64_t *)to = u;
    return LK_OK;
}

static lk_code set_word(const lk_opt *o, int *to, const char *value, source from, lk_err *err)
{
    char want[160] = "one of";
    size_t n = strlen(want);
    for (int i = 0; o->words[i]; i++) {
        if (strcmp(o->words[i], value) == 0) {
            *to = i;
            return LK_OK;
        }
        if (n < sizeof want)
            n += (size_t)snprintf(want + n, sizeof want - n, "%s %s", i ? "," : "", o->words[i]);
    }
    return fail_value(o, from, want, value, err);
}

static lk_code add_to_list(const lk_opt *o, lk_opt_list *to, const char *value, source from,
                           lk_err *err)
{
    if (to->n == LK_MAX_OPT_LIST)
        return lk_fail_field(err, LK_E_LIMIT, o->name, "%s is given more than %d times",
                             show(o, from).text, LK_MAX_OPT_LIST);
    to->v[to->n++] = value;
    return LK_OK;
}

static lk_code set_value(const lk_opt *o, void *ret, const char *value, source from, lk_err *err)
{
    void *to = member(o, ret);
    switch (o->type) {
    case LK_OPT_BOOL:
        return bool_of(value, to) ? LK_OK : fail_value(o, from, "true or false", value, err);
    case LK_OPT_STR:
        *(const char **)to = value;
        return LK_OK;
    case LK_OPT_ENUM:
        return set_word(o, to, value, from, err);
    case LK_OPT_LIST:
        return add_to_list(o, to, value, from, err);
    default:
        return set_number(o, to, value, from, err);
    }
}

static void clear_member(const lk_opt *o, void *ret)
{
    static const size_t sizes[] = {
        [LK_OPT_BOOL] = sizeof(bool),   [LK_OPT_INT] = sizeof(int64_t),
        [LK_OPT_REAL] = sizeof(double), [LK_OPT_BYTES] = sizeof(uint64_t),
        [LK_OPT_MS] = sizeof(uint64_t), [LK_OPT_STR] = sizeof(const char *),
        [LK_OPT_ENUM] = sizeof(int),    [LK_OPT_LIST] = sizeof(lk_opt_list),
    };
    memset(member(o, ret), 0, sizes[o->type]);
}

lk_code lk_opt_defaults(const lk_opt *table, void *ret, lk_err *err)
{
    for (const lk_opt *o = table; o->name; o++) {
        /* A list's default could not be taken back by the user. */
        assert(o->type != LK_OPT_LIST || !o->dflt);
        lk_code code = LK_OK;
        clear_member(o, ret);
        if (o->dflt)
            code = set_value(o, ret, o->dflt, FROM_KEY, err);
        assert(!code && "the table's own default is valid");
        const char *env = o->env ? getenv(o->env) : NULL;
        if (!code && env && *env)
            code = set_value(o, ret, env, FROM_ENV, err);
        if (code)
            return code;
    }
    return LK_OK;
}

lk_code lk_opt_set(const lk_opt *table, void *ret, lk_str name, const char *value, lk_err *err)
{
    const lk_opt *o = find(table, name);
    return o ? set_value(o, ret, value, FROM_KEY, err) : fail_unknown(table, name, FROM_KEY, err);
}

/* The command line under reading. */
typedef struct cursor {
    char **argv;
    int argc;
    int i; /* the argument that is being read */
} cursor;

static lk_code take_value(const lk_opt *o, void *ret, cursor *at, const char *value, lk_err *err)
{
    if (!value && at->i + 1 >= at->argc)
        return lk_fail_field(err, LK_E_INVALID, o->name, "--%s needs a value", o->name);
    if (!value)
        value = at->argv[++at->i];
    return set_value(o, ret, value, FROM_ARGV, err);
}

/* --name, --name=value, --name value, --no-name */
static lk_code read_long(const lk_opt *table, void *ret, cursor *at, lk_err *err)
{
    lk_str name = lk_str_of(at->argv[at->i] + 2);
    const char *equals = memchr(name.p, '=', name.n);
    const char *value = equals ? equals + 1 : NULL;
    if (equals)
        name.n = (size_t)(equals - name.p);

    const lk_opt *o = find(table, name);
    if (!o && !value && lk_str_starts(name, LK_STR("no-"))) {
        o = find(table, (lk_str){name.p + 3, name.n - 3});
        if (o && o->type == LK_OPT_BOOL)
            return set_value(o, ret, "false", FROM_ARGV, err);
        o = NULL;
    }
    if (!o)
        return fail_unknown(table, name, FROM_ARGV, err);
    if (o->type == LK_OPT_BOOL)
        return set_value(o, ret, value ? value : "true", FROM_ARGV, err);
    return take_value(o, ret, at, value, err);
}

/* -v, -vq, -n 10, -n10 */
static lk_code read_letters(const lk_opt *table, void *ret, cursor *at, lk_err *err)
{
    const char *letters = at->argv[at->i] + 1;
    lk_code code = LK_OK;
    for (; *letters && !code; letters++) {
        const lk_opt *o = find_letter(table, *letters);
        if (!o)
            return lk_fail_field(err, LK_E_INVALID, at->argv[at->i], "unknown option -%c in \"%s\"",
                                 *letters, at->argv[at->i]);
        if (o->type != LK_OPT_BOOL)
            return take_value(o, ret, at, letters[1] ? letters + 1 : NULL, err);
        code = set_value(o, ret, "true", FROM_ARGV, err);
    }
    return code;
}

lk_code lk_opt_parse_argv(const lk_opt *table, void *ret, int argc, char **argv, int *ret_n_args,
                          lk_err *err)
{
    cursor at = {.argv = argv, .argc = argc, .i = 1};
    int n_args = 0;
    bool ended = false;
    for (; at.i < argc; at.i++) {
        const char *arg = argv[at.i];
        lk_code code = LK_OK;
        if (ended || arg[0] != '-' || arg[1] == '\0') /* "-" is a name for standard input */
            argv[++n_args] = argv[at.i];
        else if (strcmp(arg, "--") == 0)
            ended = true;
        else if (arg[1] == '-')
            code = read_long(table, ret, &at, err);
        else
            code = read_letters(table, ret, &at, err);
        if (code)
            return code;
    }
    *ret_n_args = n_args;
    return LK_OK;
}

static lk_code fail_json(const lk_opt *o, const char *want, const lk_jval *v, lk_err *err)
{
    return lk_fail_field(err, LK_E_INVALID, o->name, "%s must be %s, not %s",
                         show(o, FROM_JSON).text, want, lk_jtype_name(lk_jval_type(v)));
}

static lk_code set_json_str(const lk_opt *o, void *ret, const lk_jval *v, lk_err *err)
{
    lk_str s = lk_jval_str(v);
    if (lk_jval_type(v) != LK_J_STR)
        return fail_json(o, o->type == LK_OPT_LIST ? "strings" : "a string", v, err);
    if (memchr(s.p, '\0', s.n))
        return lk_fail_field(err, LK_E_INVALID, o->name, "%s holds a zero byte",
                             show(o, FROM_JSON).text);
    return set_value(o, ret, s.p, FROM_JSON, err);
}

static lk_code set_json_real(const lk_opt *o, void *ret, double d, lk_err *err)
{
    char text[40];
    snprintf(text, sizeof text, "%g", d);
    lk_code code = check_range(o, d, FROM_JSON, text, err);
    if (!code)
        *(double *)member(o, ret) = d;
    return code;
}

static lk_code set_json_number(const lk_opt *o, void *ret, const lk_jval *v, lk_err *err)
{
    char text[40];
    double d = lk_jval_real(v);
    if (o->type == LK_OPT_REAL)
        return set_json_real(o, ret, d, err);
    if (lk_jval_type(v) == LK_J_INT)
        snprintf(text, sizeof text, "%" PRId64, lk_jval_int(v));
    else if (o->type == LK_OPT_MS && d >= 0 && d < 1e15)
        snprintf(text, sizeof text, "%.0fms", d * 1000); /* 0.5 is half a second */
    else if (d == trunc(d) && fabs(d) < 0x1p53)          /* 10.0 is what some clients make of 10 */
        snprintf(text, sizeof text, "%.0f", d);
    else
        return fail_json(o, o->type == LK_OPT_BYTES ? "a whole number" : "an integer", v, err);
    return set_value(o, ret, text, FROM_JSON, err);
}

static lk_code set_json(const lk_opt *o, void *ret, const lk_jval *v, lk_err *err)
{
    lk_jtype type = lk_jval_type(v);
    bool is_number = type == LK_J_INT || type == LK_J_REAL;
    lk_code code = LK_OK;
    switch (o->type) {
    case LK_OPT_BOOL:
        if (type != LK_J_BOOL)
            return fail_json(o, "true or false", v, err);
        *(bool *)member(o, ret) = lk_jval_bool(v);
        return LK_OK;
    case LK_OPT_INT:
    case LK_OPT_REAL:
        if (!is_number)
            return fail_json(o, o->type == LK_OPT_INT ? "an integer" : "a number", v, err);
        return set_json_number(o, ret, v, err);
    case LK_OPT_BYTES:
    case LK_OPT_MS:
        return is_number ? set_json_number(o, ret, v, err) : set_json_str(o, ret, v, err);
    case LK_OPT_LIST:
        if (type == LK_J_ARR) {
            lk_jiter it = lk_jiter_of(v);
            for (const lk_jval *item; !code && lk_jiter_next(&it, NULL, &item);)
                code = set_json_str(o, ret, item, err);
            return code;
        }
        return set_json_str(o, ret, v, err);
    default:
        return set_json_str(o, ret, v, err);
    }
}

lk_code lk_opt_parse_json(const lk_opt *table, void *ret, const lk_jval *obj, lk_err *err)
{
    lk_str key;
    const lk_jval *v;
    if (lk_jval_type(obj) != LK_J_OBJ)
        return lk_fail(err, LK_E_INVALID, "options must be an object, not %s",
                       lk_jtype_name(lk_jval_type(obj)));
    lk_jiter it = lk_jiter_of(obj);
    while (lk_jiter_next(&it, &key, &v)) {
        const lk_opt *o = find(table, key);
        lk_code code = LK_OK;
        if (!o)
            code = fail_unknown(table, key, FROM_JSON, err);
        else if (lk_jval_type(v) != LK_J_NULL)
            code = set_json(o, ret, v, err);
        if (code)
            return code;
    }
    return LK_OK;
}
