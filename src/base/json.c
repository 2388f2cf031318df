/* Reading JSON, over yyjson; writing it is jsonw.c's.
 *
 * yyjson reads without recursion and refuses bad UTF-8, infinite numbers and trailing text by
 * itself. What it does not bound is done around it: one pass over the text before it is parsed
 * finds nesting beyond the limit, so that no later walk over the values can go deep either; and one
 * pass over the values afterwards finds keys that stand twice in an object. That pass compares
 * small objects pairwise and sorts the keys of large ones, which no choice of keys can slow down as
 * it could a hash table.
 *
 * The text is copied once and parsed in place, so the address of a string in the copy is also its
 * place in the text, which gives faults their column. An lk_jval is a yyjson_val by another name.
 */
#include "base/json.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/mem.h"
#include "base/os.h"

struct lk_json {
    yyjson_doc *doc;
    char *text; /* the parsed copy; strings point into it */
};

static yyjson_val *val_of(const lk_jval *v)
{
    /* yyjson's readers take a plain pointer and leave what it points to alone. */
    return (yyjson_val *)(uintptr_t)v;
}

static const lk_jval *jval_of(const yyjson_val *v)
{
    return (const lk_jval *)v;
}

static void *alc_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return lk_malloc(size);
}

static void *alc_realloc(void *ctx, void *p, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return lk_realloc_array(p, size, 1);
}

static void alc_free(void *ctx, void *p)
{
    (void)ctx;
    lk_free(p);
}

static lk_code fail_at(lk_err *err, lk_code code, size_t at, const char *what)
{
    lk_fail(err, code, "not usable JSON: %s at byte %zu", what, at + 1);
    if (err)
        err->column = at < INT_MAX ? (int)at + 1 : 0;
    return code;
}

/* Strings are skipped and nothing else is judged: what is malformed is the parser's to refuse. */
static lk_code check_depth(lk_str text, lk_err *err)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > LK_MAX_JSON_DEPTH)
                return fail_at(err, LK_E_LIMIT, i, "nested deeper than 64 levels");
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return LK_OK;
}

static lk_str str_of(yyjson_val *v)
{
    return (lk_str){yyjson_get_str(v), yyjson_get_len(v)};
}

static lk_code fail_twice(const lk_json *doc, lk_str key, lk_err *err)
{
    size_t at = (size_t)(key.p - doc->text) - 1; /* the quote before it */
    lk_fail(err, LK_E_FORMAT, "not usable JSON: the key \"%.*s\" is there twice, again at byte %zu",
            (int)(key.n < 64 ? key.n : 64), key.p, at + 1);
    if (err)
        err->column = at < INT_MAX ? (int)at + 1 : 0;
    return LK_E_FORMAT;
}

enum { FEW_KEYS = 16 };

static lk_code check_few_keys(const lk_json *doc, yyjson_val *obj, lk_err *err)
{
    lk_str seen[FEW_KEYS];
    size_t n = 0;
    yyjson_obj_iter it = yyjson_obj_iter_with(obj);
    for (yyjson_val *k = yyjson_obj_iter_next(&it); k; k = yyjson_obj_iter_next(&it)) {
        lk_str key = str_of(k);
        for (size_t i = 0; i < n; i++) {
            if (lk_str_eq(seen[i], key))
                return fail_twice(doc, key, err);
        }
        seen[n++] = key;
    }
    return LK_OK;
}

/* By length, bytes, then place in the text. */
static int cmp_keys(const void *a, const void *b)
{
    const lk_str *x = a;
    const lk_str *y = b;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    int order = lk_str_cmp(*x, *y);
    return order != 0 ? order : (x->p > y->p) - (x->p < y->p);
}

static lk_code check_many_keys(const lk_json *doc, yyjson_val *obj, size_t n, lk_err *err)
{
    if (n > LK_MAX_JSON_KEYS)
        return lk_fail(err, LK_E_LIMIT, "a JSON object has %zu keys, more than %d", n,
                       LK_MAX_JSON_KEYS);
    lk_str *keys = lk_alloc_array(n, sizeof *keys);
    if (!keys)
        return lk_fail(err, LK_E_NOMEM, "no memory to check %zu JSON keys", n);
    size_t at = 0;
    yyjson_obj_iter it = yyjson_obj_iter_with(obj);
    for (yyjson_val *k = yyjson_obj_iter_next(&it); k; k = yyjson_obj_iter_next(&it))
        keys[at++] = str_of(k);
    qsort(keys, n, sizeof *keys, cmp_keys);

    lk_code code = LK_OK;
    for (size_t i = 1; i < n && !code; i++) {
        if (lk_str_eq(keys[i - 1], keys[i]))
            code = fail_twice(doc, keys[i], err);
    }
    lk_free(keys);
    return code;
}

/* The values of a document lie one behind the other in memory, in the order of the text. */
static lk_code check_keys(const lk_json *doc, lk_err *err)
{
    yyjson_val *root = yyjson_doc_get_root(doc->doc);
    size_t n_values = yyjson_doc_get_val_count(doc->doc);
    lk_code code = LK_OK;
    for (size_t i = 0; i < n_values && !code; i++) {
        size_t n = yyjson_obj_size(root + i); /* 0 for all but objects */
        if (n > FEW_KEYS)
            code = check_many_keys(doc, root + i, n, err);
        else if (n > 1)
            code = check_few_keys(doc, root + i, err);
    }
    return code;
}

static lk_code parse_copy(lk_json *doc, lk_str text, lk_err *err)
{
    const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, NULL};
    yyjson_read_err fault;
    size_t total;
    if (lk_add_size(text.n, YYJSON_PADDING_SIZE, &total))
        doc->text = lk_malloc(total);
    if (!doc->text)
        return lk_fail(err, LK_E_NOMEM, "no memory for %zu bytes of JSON", text.n);
    memcpy(doc->text, text.p, text.n);
    memset(doc->text + text.n, 0, YYJSON_PADDING_SIZE);
    doc->doc = yyjson_read_opts(doc->text, text.n, YYJSON_READ_INSITU, &alc, &fault);
    if (doc->doc)
        return LK_OK;
    if (fault.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return lk_fail(err, LK_E_NOMEM, "no memory for the values in %zu bytes of JSON", text.n);
    return fail_at(err, LK_E_FORMAT, fault.pos, fault.msg);
}

lk_code lk_json_parse(lk_str text, lk_json **ret, lk_err *err)
{
    if (text.n == 0)
        return fail_at(err, LK_E_FORMAT, 0, "the text is empty");
    lk_code code = check_depth(text, err);
    if (code)
        return code;
    lk_json *doc = lk_calloc(1, sizeof *doc);
    if (!doc)
        return lk_fail(err, LK_E_NOMEM, "no memory for a JSON document");
    code = parse_copy(doc, text, err);
    if (!code)
        code = check_keys(doc, err);
    if (code) {
        lk_json_free(doc);
        return code;
    }
    *ret = doc;
    return LK_OK;
}

void lk_json_free(lk_json *doc)
{
    if (!doc)
        return;
    yyjson_doc_free(doc->doc);
    lk_free(doc->text);
    lk_free(doc);
}

const lk_jval *lk_json_root(const lk_json *doc)
{
    return jval_of(yyjson_doc_get_root(doc->doc));
}

lk_jtype lk_jval_type(const lk_jval *v)
{
    yyjson_val *val = val_of(v);
    switch (yyjson_get_type(val)) {
    case YYJSON_TYPE_BOOL:
        return LK_J_BOOL;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_sint(val) || (yyjson_is_uint(val) && yyjson_get_uint(val) <= INT64_MAX))
            return LK_J_INT;
        return LK_J_REAL;
    case YYJSON_TYPE_STR:
        return LK_J_STR;
    case YYJSON_TYPE_ARR:
        return LK_J_ARR;
    case YYJSON_TYPE_OBJ:
        return LK_J_OBJ;
    default:
        return LK_J_NULL;
    }
}

const char *lk_jtype_name(lk_jtype type)
{
    static const char *const names[] = {
        [LK_J_NULL] = "null",     [LK_J_BOOL] = "true or false", [LK_J_INT] = "an integer",
        [LK_J_REAL] = "a number", [LK_J_STR] = "a string",       [LK_J_ARR] = "an array",
        [LK_J_OBJ] = "an object",
    };
    return (unsigned)type < LK_ARRAY_LEN(names) ? names[type] : "nothing known";
}

size_t lk_jval_len(const lk_jval *v)
{
    yyjson_val *val = val_of(v);
    return yyjson_is_arr(val) ? yyjson_arr_size(val) : yyjson_obj_size(val);
}

const lk_jval *lk_jval_get(const lk_jval *obj, const char *key)
{
    return jval_of(yyjson_obj_get(val_of(obj), key));
}

const lk_jval *lk_jval_at(const lk_jval *arr, size_t i)
{
    return jval_of(yyjson_arr_get(val_of(arr), i));
}

lk_jiter lk_jiter_of(const lk_jval *container)
{
    yyjson_val *val = val_of(container);
    bool is_obj = yyjson_is_obj(val);
    size_t n = lk_jval_len(container);
    return (lk_jiter){
        .at = n > 0 ? jval_of(unsafe_yyjson_get_first(val)) : NULL,
        .left = n,
        .is_obj = is_obj,
    };
}

bool lk_jiter_next(lk_jiter *it, lk_str *ret_key, const lk_jval **ret_value)
{
    if (it->left == 0)
        return false;
    yyjson_val *at = val_of(it->at);
    lk_str key = LK_STR("");
    if (it->is_obj) {
        key = str_of(at);
        at++; /* a member's value stands behind its key */
    }
    if (ret_key)
        *ret_key = key;
    if (ret_value)
        *ret_value = jval_of(at);
    it->left--;
    it->at = it->left > 0 ? jval_of(unsafe_yyjson_get_next(at)) : NULL;
    return true;
}

bool lk_jval_bool(const lk_jval *v)
{
    return yyjson_get_bool(val_of(v));
}

int64_t lk_jval_int(const lk_jval *v)
{
    return lk_jval_type(v) == LK_J_INT ? yyjson_get_sint(val_of(v)) : 0;
}

double lk_jval_real(const lk_jval *v)
{
    return yyjson_get_num(val_of(v));
}

lk_str lk_jval_str(const lk_jval *v)
{
    yyjson_val *val = val_of(v);
    return yyjson_is_str(val) ? str_of(val) : LK_STR("");
}

static lk_code wrong_type(lk_err *err, const char *key, const char *want, const lk_jval *v)
{
    return lk_fail_field(err, LK_E_INVALID, key, "%s must be %s, not %s", key, want,
                         lk_jtype_name(lk_jval_type(v)));
}

/* The member, or NULL when it is absent or null. */
static const lk_jval *present(const lk_jval *obj, const char *key)
{
    const lk_jval *v = lk_jval_get(obj, key);
    return lk_jval_type(v) == LK_J_NULL ? NULL : v;
}

lk_code lk_json_get_bool(const lk_jval *obj, const char *key, bool *ret, lk_err *err)
{
    const lk_jval *v = present(obj, key);
    if (!v)
        return LK_OK;
    if (lk_jval_type(v) != LK_J_BOOL)
        return wrong_type(err, key, "true or false", v);
    *ret = lk_jval_bool(v);
    return LK_OK;
}

lk_code lk_json_get_int(const lk_jval *obj, const char *key, int64_t min, int64_t max, int64_t *ret,
                        lk_err *err)
{
    const lk_jval *v = present(obj, key);
    if (!v)
        return LK_OK;
    int64_t i = lk_jval_int(v);
    double d = lk_jval_real(v);
    switch (lk_jval_type(v)) {
    case LK_J_INT:
        break;
    case LK_J_REAL: /* 10.0 is what some clients make of 10 */
        if (d != trunc(d))
            return wrong_type(err, key, "an integer", v);
        if (fabs(d) >= 0x1p63)
            return lk_fail_field(err, LK_E_INVALID, key, "%s must be %jd to %jd, not %g", key,
                                 (intmax_t)min, (intmax_t)max, d);
        i = (int64_t)d;
        break;
    default:
        return wrong_type(err, key, "an integer", v);
    }
    if (i < min || i > max)
        return lk_fail_field(err, LK_E_INVALID, key, "%s must be %jd to %jd, not %jd", key,
                             (intmax_t)min, (intmax_t)max, (intmax_t)i);
    *ret = i;
    return LK_OK;
}

lk_code lk_json_get_real(const lk_jval *obj, const char *key, double min, double max, double *ret,
                         lk_err *err)
{
    const lk_jval *v = present(obj, key);
    if (!v)
        return LK_OK;
    if (lk_jval_type(v) != LK_J_INT && lk_jval_type(v) != LK_J_REAL)
        return wrong_type(err, key, "a number", v);
    double d = lk_jval_real(v);
    if (d < min || d > max)
        return lk_fail_field(err, LK_E_INVALID, key, "%s must be %g to %g, not %g", key, min, max,
                             d);
    *ret = d;
    return LK_OK;
}

lk_code lk_json_get_str(const lk_jval *obj, const char *key, lk_str *ret, lk_err *err)
{
    const lk_jval *v = present(obj, key);
    if (!v)
        return LK_OK;
    if (lk_jval_type(v) != LK_J_STR)
        return wrong_type(err, key, "a string", v);
    *ret = lk_jval_str(v);
    return LK_OK;
}

static lk_code read_floats(const lk_jval *arr, const char *key, float *to, lk_err *err)
{
    const lk_jval *v;
    lk_jiter it = lk_jiter_of(arr);
    for (size_t i = 0; lk_jiter_next(&it, NULL, &v); i++) {
        lk_jtype type = lk_jval_type(v);
        if (type != LK_J_INT && type != LK_J_REAL)
            return lk_fail_field(err, LK_E_INVALID, key, "%s[%zu] must be a number, not %s", key, i,
                                 lk_jtype_name(type));
        double d = lk_jval_real(v);
        to[i] = (float)d;
        if (!isfinite(to[i]))
            return lk_fail_field(err, LK_E_INVALID, key, "%s[%zu] is %g, too large for a float",
                                 key, i, d);
    }
    return LK_OK;
}

lk_code lk_json_get_floats(const lk_jval *obj, const char *key, size_t max, float **ret,
                           size_t *ret_n, lk_err *err)
{
    const lk_jval *v = present(obj, key);
    if (!v)
        return LK_OK;
    if (lk_jval_type(v) != LK_J_ARR)
        return wrong_type(err, key, "an array of numbers", v);
    size_t n = lk_jval_len(v);
    if (n > max)
        return lk_fail_field(err, LK_E_INVALID, key, "%s has %zu numbers, more than %zu", key, n,
                             max);
    float *floats = lk_alloc_array(n, sizeof *floats);
    if (!floats)
        return lk_fail(err, LK_E_NOMEM, "no memory for %zu numbers", n);
    lk_code code = read_floats(v, key, floats, err);
    if (code) {
        lk_free(floats);
        return code;
    }
    *ret = floats;
    *ret_n = n;
    return LK_OK;
}

lk_code lk_json_only(const lk_jval *obj, const char *const *known, size_t n, lk_err *err)
{
    lk_str key;
    lk_jiter it = lk_jiter_of(obj);
    while (it.is_obj && lk_jiter_next(&it, &key, NULL)) {
        size_t i = 0;
        while (i < n && !lk_str_is(key, known[i]))
            i++;
        if (i < n)
            continue;
        const char *near = lk_str_closest(key, known, n);
        int shown = (int)(key.n < 64 ? key.n : 64);
        char name[sizeof err->field];
        size_t n_name = key.n < sizeof name ? key.n : sizeof name - 1;
        memcpy(name, key.p, n_name);
        name[n_name] = '\0';
        return lk_fail_field(err, LK_E_INVALID, name, "unknown field \"%.*s\"%s%s%s", shown, key.p,
                             near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "");
    }
    return LK_OK;
}
