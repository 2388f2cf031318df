/* A record's document: what filters see of it and what answers show of it.
 *
 * The document is the one truth; attributes are derived from it by the table below and can be
 * derived again at any time, so that a new filterable field is one line here. */
#include "base/mem.h"
#include "engine/internal.h"

typedef struct builtin {
    const char *name;  /* in filters */
    const char *group; /* the object inside the document that holds it, or NULL */
    const char *key;   /* in the document */
    lk_type type;
} builtin;

static const builtin builtins[] = {
    {"format", NULL, "format", LK_T_STR},
    {"bytes", NULL, "bytes", LK_T_INT},
    {"width", NULL, "width", LK_T_INT},
    {"height", NULL, "height", LK_T_INT},
    {"frames", NULL, "frames", LK_T_INT},
    {"path", NULL, "path", LK_T_STR},
    {"filename", NULL, "filename", LK_T_STR},
    {"created_at", NULL, "created_at", LK_T_TIME},
    {"timestamp", NULL, "created_at", LK_T_TIME},
    {"updated_at", NULL, "updated_at", LK_T_TIME},
    {"taken_at", "exif", "taken_at", LK_T_TIME},
    {"camera", "exif", "camera", LK_T_STR},
    {"category", NULL, "category", LK_T_STR},
    {"confidence", NULL, "confidence", LK_T_REAL},
    {"color_scheme", NULL, "color_scheme", LK_T_STR},
    {"brightness", NULL, "brightness", LK_T_REAL},
    {"saturation", NULL, "saturation", LK_T_REAL},
};

/* Members of a document that are no filter fields but may be asked for. */
static const char *const other_members[] = {
    "id",    "sha256",   "all_probs", "dominant_colors", "color_distribution",
    "phash", "metadata", "exif",
};

static lk_value value_of(const lk_jval *v, lk_type type)
{
    lk_value r = {.type = type};
    lk_jtype have = lk_jval_type(v);
    bool number = have == LK_J_INT || have == LK_J_REAL;
    switch (type) {
    case LK_T_STR:
        r.s = lk_jval_str(v);
        return have == LK_J_STR ? r : (lk_value){.type = LK_T_NULL};
    case LK_T_INT:
    case LK_T_TIME:
        r.i = lk_jval_int(v);
        return have == LK_J_INT ? r : (lk_value){.type = LK_T_NULL};
    case LK_T_REAL:
        r.d = lk_jval_real(v);
        return number ? r : (lk_value){.type = LK_T_NULL};
    case LK_T_BOOL:
        r.b = lk_jval_bool(v);
        return have == LK_J_BOOL ? r : (lk_value){.type = LK_T_NULL};
    case LK_T_NULL:
        break;
    }
    return (lk_value){.type = LK_T_NULL};
}

static lk_value builtin_value(const lk_jval *root, const builtin *b)
{
    const lk_jval *at = b->group ? lk_jval_get(root, b->group) : root;
    return value_of(lk_jval_get(at, b->key), b->type);
}

static lk_value copied(lk_value v, lk_arena *into, bool *ok)
{
    if (v.type == LK_T_STR) {
        v.s.p = lk_arena_strndup(into, v.s.p, v.s.n);
        *ok = *ok && v.s.p;
    }
    return v;
}

lk_code lk_record_attrs(lk_str doc, lk_arena *into, lk_attr **ret, size_t *ret_n, lk_err *err)
{
    lk_json *json = NULL;
    lk_code code = lk_json_parse(doc, &json, err);
    if (code)
        return code;
    const lk_jval *root = lk_json_root(json), *meta = lk_jval_get(root, "metadata");
    size_t n = 0;
    bool ok = true;
    lk_attr *attrs =
        lk_arena_zalloc(into, LK_ARRAY_LEN(builtins) + lk_jval_len(meta), sizeof *attrs);
    for (size_t i = 0; attrs && i < LK_ARRAY_LEN(builtins); i++) {
        lk_value v = builtin_value(root, &builtins[i]);
        attrs[n++] = (lk_attr){lk_str_of(builtins[i].name), false, copied(v, into, &ok)};
    }
    size_t n_meta = 0;
    code = attrs && ok ? lk_meta_attrs(meta, into, attrs + n, &n_meta, err)
                       : lk_fail(err, LK_E_NOMEM, "out of memory for a record's attributes");
    lk_json_free(json);
    if (code)
        return code;
    *ret = attrs;
    *ret_n = n + n_meta;
    return LK_OK;
}

lk_code lk_space_schema(const lk_space *sp, lk_arena *into, lk_schema *ret, lk_err *err)
{
    lk_schema seen;
    lk_code code = lk_vectors_schema(sp->vectors, into, &seen, err);
    if (code)
        return code;
    lk_field *f = lk_arena_zalloc(into, LK_ARRAY_LEN(builtins) + seen.n_fields, sizeof *f);
    if (!f)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the schema");
    size_t n = 0;
    for (size_t i = 0; i < LK_ARRAY_LEN(builtins); i++)
        f[n++] = (lk_field){lk_str_of(builtins[i].name), builtins[i].type, false};
    for (size_t i = 0; i < seen.n_fields; i++)
        if (seen.fields[i].in_metadata)
            f[n++] = seen.fields[i];
    *ret = (lk_schema){f, n, true};
    return LK_OK;
}

lk_code lk_space_filter(const lk_space *sp, lk_str text, lk_arena *into, const lk_filter **ret,
                        lk_err *err)
{
    lk_schema schema;
    const lk_filter *raw = NULL;
    *ret = NULL;
    if (lk_str_trim(text).n == 0)
        return LK_OK;
    lk_code code = lk_filter_parse(text, into, &raw, err);
    if (!code)
        code = lk_space_schema(sp, into, &schema, err);
    if (!code)
        code = lk_filter_check(raw, &schema, into, ret, err);
    return code;
}

static lk_value row_value(const void *row, lk_str field, bool in_metadata)
{
    if (in_metadata) {
        const lk_jval *meta = lk_jval_get(row, "metadata");
        lk_jiter it = lk_jiter_of(meta);
        lk_str key;
        const lk_jval *v;
        while (lk_jiter_next(&it, &key, &v))
            if (lk_str_eq(key, field))
                return lk_meta_value(v);
        return (lk_value){.type = LK_T_NULL};
    }
    for (size_t i = 0; i < LK_ARRAY_LEN(builtins); i++)
        if (lk_str_is(field, builtins[i].name))
            return builtin_value(row, &builtins[i]);
    return (lk_value){.type = LK_T_NULL};
}

lk_code lk_record_match(const lk_filter *f, lk_str doc, bool *ret, lk_err *err)
{
    lk_json *json = NULL;
    lk_code code = lk_json_parse(doc, &json, err);
    if (code)
        return code;
    *ret = lk_filter_match(f, row_value, lk_json_root(json));
    lk_json_free(json);
    return LK_OK;
}

static lk_str member(const lk_jval *root, const char *key, lk_arena *into, bool *ok)
{
    lk_str s = lk_jval_str(lk_jval_get(root, key));
    const char *p = lk_arena_strndup(into, s.p, s.n);
    *ok = *ok && p;
    return (lk_str){p, s.n};
}

lk_code lk_record_of_row(const lk_record_row *row, lk_arena *into, lk_record *ret, lk_err *err)
{
    lk_json *json = NULL;
    lk_code code = lk_json_parse(row->doc, &json, err);
    if (code)
        return lk_err_prefix(err, LK_E_CORRUPT, "the record of \"%.*s\"", LK_STR_ARG(row->id));
    const lk_jval *root = lk_json_root(json);
    bool ok = true;
    lk_record r = {.id = row->id, .sha256 = row->object, .doc = row->doc};
    r.format = member(root, "format", into, &ok);
    r.filename = member(root, "filename", into, &ok);
    r.path = member(root, "path", into, &ok);
    r.category = member(root, "category", into, &ok);
    r.color_scheme = member(root, "color_scheme", into, &ok);
    r.confidence = lk_jval_real(lk_jval_get(root, "confidence"));
    lk_json_free(json);
    if (!ok)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a record");
    *ret = r;
    return LK_OK;
}

static bool known_field(lk_str name)
{
    if (lk_str_starts(name, LK_STR("metadata.")))
        return name.n > sizeof("metadata.") - 1;
    for (size_t i = 0; i < LK_ARRAY_LEN(builtins); i++)
        if (lk_str_is(name, builtins[i].name))
            return true;
    for (size_t i = 0; i < LK_ARRAY_LEN(other_members); i++)
        if (lk_str_is(name, other_members[i]))
            return true;
    return false;
}

static const lk_jval *find_field(const lk_jval *root, lk_str name)
{
    char key[LK_MAX_ID_BYTES];
    lk_str rest = name;
    if (lk_str_starts(name, LK_STR("metadata."))) {
        root = lk_jval_get(root, "metadata");
        (void)lk_str_cut(&rest, '.');
    }
    if (rest.n >= sizeof key)
        return NULL;
    memcpy(key, rest.p, rest.n);
    key[rest.n] = '\0';
    for (size_t i = 0; i < LK_ARRAY_LEN(builtins); i++)
        if (rest.p == name.p && lk_str_is(name, builtins[i].name))
            return lk_jval_get(builtins[i].group ? lk_jval_get(root, builtins[i].group) : root,
                               builtins[i].key);
    return lk_jval_get(root, key);
}

lk_code lk_record_write(const lk_record *r, const lk_str *fields, size_t n_fields, lk_jw *w,
                        lk_err *err)
{
    if (n_fields == 0) {
        lk_jw_raw(w, r->doc);
        return LK_OK;
    }
    for (size_t i = 0; i < n_fields; i++)
        if (!known_field(fields[i]))
            return lk_fail_field(err, LK_E_INVALID, "fields", "there is no field \"%.*s\"",
                                 LK_STR_ARG(fields[i]));
    lk_json *json = NULL;
    lk_code code = lk_json_parse(r->doc, &json, err);
    if (code)
        return code;
    lk_jw_obj(w);
    for (size_t i = 0; i < n_fields; i++) {
        const lk_jval *v = find_field(lk_json_root(json), fields[i]);
        lk_jw_key_str(w, fields[i]);
        if (v)
            lk_jw_val(w, v);
        else
            lk_jw_null(w);
    }
    lk_jw_end_obj(w);
    lk_json_free(json);
    return LK_OK;
}
