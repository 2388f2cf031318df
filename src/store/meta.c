#include "store/meta.h"

#include "base/mem.h"

lk_value lk_meta_value(const lk_jval *v)
{
    switch (lk_jval_type(v)) {
    case LK_J_STR:
        return (lk_value){.type = LK_T_STR, .s = lk_jval_str(v)};
    case LK_J_BOOL:
        return (lk_value){.type = LK_T_BOOL, .b = lk_jval_bool(v)};
    case LK_J_INT:
    case LK_J_REAL:
        return (lk_value){.type = LK_T_REAL, .d = lk_jval_real(v)};
    default:
        return (lk_value){.type = LK_T_NULL};
    }
}

static lk_code check_meta(const lk_jval *root, lk_err *err)
{
    lk_str key;
    const lk_jval *v;
    if (lk_jval_type(root) != LK_J_OBJ)
        return lk_fail_field(err, LK_E_INVALID, "metadata", "metadata are an object, not %s",
                             lk_jtype_name(lk_jval_type(root)));
    if (lk_jval_len(root) > LK_MAX_META_KEYS)
        return lk_fail_field(err, LK_E_LIMIT, "metadata", "metadata have at most %d keys, not %zu",
                             LK_MAX_META_KEYS, lk_jval_len(root));
    for (lk_jiter it = lk_jiter_of(root); lk_jiter_next(&it, &key, &v);) {
        lk_jtype t = lk_jval_type(v);
        if (t == LK_J_ARR || t == LK_J_OBJ)
            return lk_fail_field(err, LK_E_INVALID, "metadata",
                                 "\"%.*s\" is %s; metadata are texts, numbers, true and false",
                                 (int)(key.n < 64 ? key.n : 64), key.p, lk_jtype_name(t));
    }
    return LK_OK;
}

lk_code lk_meta_parse(lk_str text, lk_json **ret, lk_err *err)
{
    lk_json *json = NULL;
    if (text.n > LK_MAX_META_BYTES)
        return lk_fail_field(err, LK_E_LIMIT, "metadata", "metadata have at most %d bytes, not %zu",
                             LK_MAX_META_BYTES, text.n);
    lk_err why = {0};
    lk_code code = lk_json_parse(text, &json, &why);
    if (code == LK_E_NOMEM)
        return lk_fail(err, code, "%s", why.text);
    if (code) {
        code = lk_fail_field(err, LK_E_INVALID, "metadata", "%s", why.text);
        if (err)
            err->column = why.column;
        return code;
    }
    code = check_meta(lk_json_root(json), err);
    if (code)
        lk_json_free(json);
    else
        *ret = json;
    return code;
}

lk_code lk_meta_attrs(const lk_jval *meta, lk_arena *into, lk_attr *ret, size_t *ret_n, lk_err *err)
{
    size_t n = 0;
    bool ok = true;
    lk_str key;
    const lk_jval *v;
    for (lk_jiter it = lk_jiter_of(meta); ok && lk_jiter_next(&it, &key, &v);) {
        lk_attr a = {.name = key, .in_metadata = true, .value = lk_meta_value(v)};
        if (a.value.type == LK_T_NULL)
            continue;
        a.name.p = lk_arena_strndup(into, key.p, key.n);
        ok = a.name.p != NULL;
        if (a.value.type == LK_T_STR) {
            a.value.s.p = lk_arena_strndup(into, a.value.s.p, a.value.s.n);
            ok = ok && a.value.s.p;
        }
        ret[n++] = a;
    }
    if (!ok)
        return lk_fail(err, LK_E_NOMEM, "out of memory for metadata");
    *ret_n = n;
    return LK_OK;
}
