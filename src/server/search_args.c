#include "server/search_args.h"

#include <float.h>
#include <stdio.h>

#include "base/mem.h"

#define MAX_EF 100000
#define MAX_DIM 65536

const lk_arg_doc lk_search_json_doc[] = {
    {"text", "texts", "words to look for; of a list, the mean of all"},
    {"image", "string", "a picture to look for, base64"},
    {"id", "string", "a stored image to look for the like of"},
    {"vector", "[number]", "an embedding of this collection's model"},
    {"query", "[QueryPart]", "several of these, each with a weight; negative weights move away"},
    {"top_k", "integer", "how many results, 10 when left out"},
    {"offset", "integer", "how many of the best to skip"},
    {"filter", "string", "only images for which this is true, such as category == \"food\""},
    {"min_score", "number", "leave out what scores less"},
    {"fields", "[string]", "members of the record to return; an empty list: only ids and scores"},
    {"boosts", "[Boost]", "added to the score of images for which a filter is true"},
    {"ef", "integer", "how widely a graph index is searched"},
    {"nprobe", "integer", "how many lists of an ivf index are searched"},
    {"exact", "boolean", "compare with every image"},
    {NULL, NULL, NULL},
};

const lk_arg_doc lk_search_part_doc[] = {
    {"text", "texts", "words; of a list, the mean of all, as one part"},
    {"image", "string", "a picture, base64"},
    {"id", "string", "a stored image"},
    {"vector", "[number]", "an embedding"},
    {"weight", "number", "1 when left out"},
    {NULL, NULL, NULL},
};

const lk_arg_doc lk_search_form_doc[] = {
    {"file", "file", "a picture to look for; may be given several times"},
    {"file_weight", "number", "weight of each picture, 1 when left out"},
    {"text", "string", "words to look for; of several, the mean"},
    {"text_weight", "number", "weight of the words, 1 when left out"},
    {"id", "string", "a stored image to look for the like of"},
    {"top_k", "integer", "how many results, 10 when left out"},
    {"offset", "integer", "how many of the best to skip"},
    {"filter", "string", "only images for which this is true"},
    {"min_score", "number", "leave out what scores less"},
    {"fields", "string", "members of the record to return, separated by commas"},
    {"ef", "integer", "how widely a graph index is searched"},
    {"nprobe", "integer", "how many lists of an ivf index are searched"},
    {"exact", "boolean", "compare with every image"},
    {NULL, NULL, NULL},
};

static size_t names_of(const lk_arg_doc *doc, const char **names)
{
    size_t n = 0;
    for (; doc[n].name; n++)
        names[n] = doc[n].name;
    return n;
}

void lk_search_args_init(lk_search_args *a)
{
    a->n_fields = a->n_owned = 0;
    a->has_fields = a->has_picture = false;
    a->doc = NULL;
    lk_search_default(&a->search);
    a->search.parts = a->parts;
    a->search.boosts = a->boosts;
}

void lk_search_args_release(lk_search_args *a)
{
    for (size_t i = 0; i < a->n_owned; i++)
        lk_free(a->owned[i]);
    a->n_owned = 0;
    lk_json_free(a->doc);
    a->doc = NULL;
}

lk_code lk_search_own(lk_search_args *a, void *p, lk_err *err)
{
    if (a->n_owned == LK_MAX_QUERY_PARTS) {
        lk_free(p);
        return lk_fail_field(err, LK_E_INVALID, "query", "a query has at most %d parts",
                             LK_MAX_QUERY_PARTS);
    }
    a->owned[a->n_owned++] = p;
    return LK_OK;
}

lk_code lk_search_add_part(lk_search_args *a, lk_query_part part, lk_err *err)
{
    if (a->search.n_parts == LK_MAX_QUERY_PARTS)
        return lk_fail_field(err, LK_E_INVALID, "query", "a query has at most %d parts",
                             LK_MAX_QUERY_PARTS);
    if (part.kind == LK_PART_IMAGE)
        a->has_picture = true;
    a->parts[a->search.n_parts++] = part;
    return LK_OK;
}

/* ---- JSON ---- */

lk_code lk_base64_picture(lk_str text, lk_buf *into, lk_err *err)
{
    /* "data:image/png;base64,…" is what a browser has at hand. */
    size_t comma = lk_str_starts(text, LK_STR("data:")) ? lk_str_find(text, LK_STR(",")) : SIZE_MAX;
    if (comma != SIZE_MAX)
        text = (lk_str){text.p + comma + 1, text.n - comma - 1};
    lk_code code = lk_base64_get(text, into, err);
    if (!code)
        code = lk_buf_check(into, err);
    if (code == LK_E_NOMEM || (!code && into->n > 0))
        return code;
    return lk_fail_field(err, LK_E_INVALID, "image",
                         code ? "image is not base64" : "image is empty");
}

static lk_code add_base64(lk_search_args *a, lk_str text, float weight, lk_err *err)
{
    lk_buf b;
    size_t n = 0;
    lk_buf_init(&b, 0);
    lk_code code = lk_base64_picture(text, &b, err);
    if (code) {
        lk_buf_release(&b);
        return code;
    }
    unsigned char *bytes = (unsigned char *)lk_buf_steal(&b, &n);
    code = lk_search_own(a, bytes, err);
    lk_query_part part = {.kind = LK_PART_IMAGE, .weight = weight, .bytes = {bytes, n}};
    return code ? code : lk_search_add_part(a, part, err);
}

static lk_code add_vector(lk_search_args *a, const lk_jval *obj, float weight, lk_err *err)
{
    float *v = NULL;
    size_t n = 0;
    lk_code code = lk_json_get_floats(obj, "vector", MAX_DIM, &v, &n, err);
    if (!code)
        code = lk_search_own(a, v, err);
    lk_query_part part = {.kind = LK_PART_VECTOR, .weight = weight, .vector = v, .n = n};
    return code ? code : lk_search_add_part(a, part, err);
}

static lk_code add_text(lk_search_args *a, const lk_jval *obj, const char *key, lk_part_kind kind,
                        float weight, lk_err *err)
{
    lk_query_part part = {.kind = kind, .weight = weight};
    lk_code code = lk_json_get_str(obj, key, &part.text, err);
    if (!code && kind == LK_PART_ID)
        code = lk_check_id(part.text, err);
    if (!code && kind == LK_PART_TEXT && lk_str_trim(part.text).n == 0)
        code = lk_fail_field(err, LK_E_INVALID, key, "%s is empty", key);
    return code ? code : lk_search_add_part(a, part, err);
}

/* Several prompts; the list is kept with the search. */
static lk_code add_prompts(lk_search_args *a, const lk_jval *list, float weight, lk_err *err)
{
    lk_str key;
    const lk_jval *v;
    lk_query_part part = {.kind = LK_PART_TEXT, .weight = weight};
    size_t n = lk_jval_len(list);
    if (n < 1 || n > LK_MAX_PROMPTS)
        return lk_fail_field(err, LK_E_INVALID, "text", "text has %zu items; 1 to %d are allowed",
                             n, LK_MAX_PROMPTS);
    lk_str *prompts = lk_alloc_array(n, sizeof *prompts);
    if (!prompts)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the texts");
    lk_code code = lk_search_own(a, prompts, err);
    for (lk_jiter it = lk_jiter_of(list); !code && lk_jiter_next(&it, &key, &v);) {
        if (lk_jval_type(v) != LK_J_STR || lk_str_trim(lk_jval_str(v)).n == 0)
            return lk_fail_field(err, LK_E_INVALID, "text", "item %zu of text is no text",
                                 part.n_prompts + 1);
        prompts[part.n_prompts++] = lk_jval_str(v);
    }
    part.prompts = prompts;
    return code ? code : lk_search_add_part(a, part, err);
}

static bool given(const lk_jval *obj, const char *key)
{
    return lk_jval_type(lk_jval_get(obj, key)) != LK_J_NULL;
}

/* Whatever of text, image, id and vector the object holds; *ret_n counts them. */
static lk_code add_parts_of(lk_search_args *a, const lk_jval *obj, float weight, size_t *ret_n,
                            lk_err *err)
{
    lk_code code = LK_OK;
    size_t before = a->search.n_parts;
    const lk_jval *text = lk_jval_get(obj, "text");
    if (lk_jval_type(text) == LK_J_ARR)
        code = add_prompts(a, text, weight, err);
    else if (given(obj, "text"))
        code = add_text(a, obj, "text", LK_PART_TEXT, weight, err);
    if (!code && given(obj, "image")) {
        lk_str base64 = {0};
        code = lk_json_get_str(obj, "image", &base64, err);
        if (!code)
            code = add_base64(a, base64, weight, err);
    }
    if (!code && given(obj, "id"))
        code = add_text(a, obj, "id", LK_PART_ID, weight, err);
    if (!code && given(obj, "vector"))
        code = add_vector(a, obj, weight, err);
    *ret_n = a->search.n_parts - before;
    return code;
}

static lk_code read_item(lk_search_args *a, const lk_jval *item, lk_err *err)
{
    const char *names[8];
    double weight = 1;
    size_t n = 0;
    if (lk_jval_type(item) != LK_J_OBJ)
        return lk_fail_field(err, LK_E_INVALID, "", "a part must be an object, not %s",
                             lk_jtype_name(lk_jval_type(item)));
    lk_code code = lk_json_only(item, names, names_of(lk_search_part_doc, names), err);
    if (!code)
        code = lk_json_get_real(item, "weight", (double)-FLT_MAX, (double)FLT_MAX, &weight, err);
    if (!code && weight == 0)
        code = lk_fail_field(err, LK_E_INVALID, "weight", "weight must not be 0");
    if (!code)
        code = add_parts_of(a, item, (float)weight, &n, err);
    if (!code && n != 1)
        code = lk_fail_field(err, LK_E_INVALID, "",
                             "a part has one of text, image, id and vector, not %zu", n);
    return code;
}

lk_code lk_fail_item(lk_err *err, lk_code code, const char *list, size_t i)
{
    if (strcmp(err->field, list) == 0)
        return code; /* the list as a whole is at fault */
    char field[sizeof err->field];
    int column = err->column;
    snprintf(field, sizeof field, err->field[0] ? "%s[%zu].%.20s" : "%s[%zu]", list, i, err->field);
    lk_err_prefix(err, code, "%s[%zu]", list, i);
    snprintf(err->field, sizeof err->field, "%s", field);
    err->column = column;
    return code;
}

static lk_code read_list(const lk_jval *root, const char *key, size_t max, lk_jiter *ret,
                         lk_err *err)
{
    const lk_jval *list = lk_jval_get(root, key);
    lk_jtype type = lk_jval_type(list);
    *ret = (lk_jiter){0};
    if (type == LK_J_NULL)
        return LK_OK;
    if (type != LK_J_ARR)
        return lk_fail_field(err, LK_E_INVALID, key, "%s must be an array, not %s", key,
                             lk_jtype_name(type));
    if (lk_jval_len(list) > max)
        return lk_fail_field(err, LK_E_INVALID, key, "%s has %zu items, more than %zu", key,
                             lk_jval_len(list), max);
    *ret = lk_jiter_of(list);
    return LK_OK;
}

static lk_code read_query(lk_search_args *a, const lk_jval *root, lk_err *err)
{
    lk_jiter it;
    lk_str key;
    const lk_jval *item;
    lk_code code = read_list(root, "query", LK_MAX_QUERY_PARTS, &it, err);
    for (size_t i = 0; !code && lk_jiter_next(&it, &key, &item); i++) {
        code = read_item(a, item, err);
        if (code)
            return lk_fail_item(err, code, "query", i);
    }
    return code;
}

static lk_code read_boosts(lk_search_args *a, const lk_jval *root, lk_err *err)
{
    static const char *const known[] = {"expr", "add"};
    lk_jiter it;
    lk_str key;
    const lk_jval *item;
    lk_code code = read_list(root, "boosts", LK_MAX_BOOSTS, &it, err);
    for (size_t i = 0; !code && lk_jiter_next(&it, &key, &item); i++) {
        double add = 0;
        lk_boost *b = &a->boosts[i];
        if (lk_jval_type(item) != LK_J_OBJ || !given(item, "expr") || !given(item, "add"))
            code = lk_fail_field(err, LK_E_INVALID, "",
                                 "a boost is an object with \"expr\" and \"add\"");
        if (!code)
            code = lk_json_only(item, known, LK_ARRAY_LEN(known), err);
        if (!code)
            code = lk_json_get_str(item, "expr", &b->expr, err);
        if (!code)
            code = lk_json_get_real(item, "add", -1e6, 1e6, &add, err);
        if (code)
            return lk_fail_item(err, code, "boosts", i);
        b->add = (float)add;
        a->search.n_boosts = i + 1;
    }
    return code;
}

static lk_code read_fields(lk_search_args *a, const lk_jval *root, lk_err *err)
{
    lk_jiter it;
    lk_str key;
    const lk_jval *item;
    lk_code code = read_list(root, "fields", LK_MAX_FIELDS, &it, err);
    a->has_fields = given(root, "fields");
    while (!code && lk_jiter_next(&it, &key, &item)) {
        if (lk_jval_type(item) != LK_J_STR)
            return lk_fail_field(err, LK_E_INVALID, "fields", "fields must hold strings, not %s",
                                 lk_jtype_name(lk_jval_type(item)));
        a->fields[a->n_fields++] = lk_jval_str(item);
    }
    return code;
}

static lk_code read_numbers(lk_search_args *a, const lk_jval *root, int64_t max_results,
                            lk_err *err)
{
    lk_search *s = &a->search;
    int64_t top_k = (int64_t)s->top_k < max_results ? (int64_t)s->top_k : max_results, offset = 0;
    lk_code code = lk_json_get_int(root, "top_k", 1, max_results, &top_k, err);
    if (!code)
        code = lk_json_get_int(root, "offset", 0, LK_MAX_OFFSET, &offset, err);
    if (!code)
        code = lk_json_get_int(root, "ef", 1, MAX_EF, &s->ef, err);
    if (!code)
        code = lk_json_get_int(root, "nprobe", 1, MAX_EF, &s->nprobe, err);
    if (!code)
        code = lk_json_get_bool(root, "exact", &s->exact, err);
    s->has_min_score = given(root, "min_score");
    if (!code)
        code = lk_json_get_real(root, "min_score", -1e6, 1e6, &s->min_score, err);
    s->top_k = (size_t)top_k;
    s->offset = (size_t)offset;
    return code;
}

lk_code lk_search_args_parts(lk_search_args *a, const lk_jval *obj, lk_err *err)
{
    size_t n = 0;
    lk_code code = add_parts_of(a, obj, 1, &n, err);
    return code ? code : read_query(a, obj, err);
}

static lk_code nothing_asked(lk_err *err)
{
    return lk_fail_field(err, LK_E_INVALID, "query",
                         "there is nothing to search for: give text, image, id, vector or query");
}

lk_code lk_search_args_json(lk_search_args *a, lk_json *doc, int64_t max_results, lk_err *err)
{
    const char *names[24];
    const lk_jval *root = lk_json_root(doc);
    a->doc = doc;
    lk_code code = lk_json_only(root, names, names_of(lk_search_json_doc, names), err);
    if (!code)
        code = read_numbers(a, root, max_results, err);
    if (!code)
        code = lk_json_get_str(root, "filter", &a->search.filter, err);
    if (!code)
        code = read_fields(a, root, err);
    if (!code)
        code = read_boosts(a, root, err);
    if (!code)
        code = lk_search_args_parts(a, root, err);
    if (!code && a->search.n_parts == 0)
        code = nothing_asked(err);
    return code;
}

/* ---- forms ---- */

static lk_code form_text(const lk_body *body, const char *name, lk_str *ret, bool *ret_found,
                         lk_err *err)
{
    const lk_part *part = NULL;
    lk_code code = lk_body_one(body, name, &part, err);
    *ret_found = part != NULL;
    if (!code && part && !lk_utf8_valid(lk_part_text(part)))
        return lk_fail_field(err, LK_E_INVALID, name, "%s is not UTF-8 text", name);
    if (!code && part)
        *ret = lk_part_text(part);
    return code;
}

static lk_code form_int(const lk_body *body, const char *name, int64_t min, int64_t max,
                        int64_t *ret, lk_err *err)
{
    lk_str text = {"", 0};
    bool found = false;
    lk_code code = form_text(body, name, &text, &found, err);
    return code || !found || !text.n ? code : lk_text_int(name, text, min, max, ret, err);
}

static lk_code form_weight(const lk_body *body, const char *name, float *ret, lk_err *err)
{
    lk_str text = {"", 0};
    bool found = false;
    double v = 1;
    lk_code code = form_text(body, name, &text, &found, err);
    if (!code && found)
        code = lk_text_real(name, text, &v, err);
    if (!code && (v == 0 || v > (double)FLT_MAX || v < (double)-FLT_MAX))
        return lk_fail_field(err, LK_E_INVALID, name, "%s must be a number other than 0", name);
    *ret = (float)v;
    return code;
}

static lk_code form_known(const lk_body *body, lk_err *err)
{
    const char *names[24];
    lk_arg seen[1];
    size_t n = names_of(lk_search_form_doc, names);
    for (size_t i = 0; i < body->n_parts; i++) {
        seen[0] = (lk_arg){lk_str_of(body->parts[i].name), {"", 0}};
        lk_code code = lk_args_only(&(lk_args){seen, 1}, names, n, err);
        if (code)
            return code;
    }
    return LK_OK;
}

/* One text field, or the mean of several; empty ones are left out. */
static lk_code form_texts(lk_search_args *a, const lk_body *body, float weight, lk_err *err)
{
    lk_query_part part = {.kind = LK_PART_TEXT, .weight = weight};
    lk_str *prompts = lk_alloc_array(LK_MAX_PROMPTS, sizeof *prompts);
    lk_code code = prompts ? lk_search_own(a, prompts, err)
                           : lk_fail(err, LK_E_NOMEM, "out of memory for the texts");
    for (size_t i = 0; !code && i < body->n_parts; i++) {
        lk_str text = lk_part_text(&body->parts[i]);
        if (strcmp(body->parts[i].name, "text") != 0 || lk_str_trim(text).n == 0)
            continue;
        if (!lk_utf8_valid(text))
            return lk_fail_field(err, LK_E_INVALID, "text", "text is not UTF-8 text");
        if (part.n_prompts == LK_MAX_PROMPTS)
            return lk_fail_field(err, LK_E_INVALID, "text", "text is given over %d times",
                                 LK_MAX_PROMPTS);
        prompts[part.n_prompts++] = text;
    }
    part.prompts = prompts;
    return code || part.n_prompts == 0 ? code : lk_search_add_part(a, part, err);
}

static lk_code form_parts(lk_search_args *a, const lk_body *body, lk_err *err)
{
    float text_weight = 1, file_weight = 1;
    bool has_id = false;
    lk_query_part id = {.kind = LK_PART_ID, .weight = 1};
    lk_code code = form_weight(body, "text_weight", &text_weight, err);
    if (!code)
        code = form_weight(body, "file_weight", &file_weight, err);
    if (!code)
        code = form_texts(a, body, text_weight, err);
    if (!code)
        code = form_text(body, "id", &id.text, &has_id, err);
    if (!code && has_id)
        code = lk_check_id(id.text, err);
    if (!code && has_id)
        code = lk_search_add_part(a, id, err);
    for (size_t i = 0; !code && i < body->n_parts; i++) {
        if (strcmp(body->parts[i].name, "file") != 0)
            continue;
        lk_query_part file = {
            .kind = LK_PART_IMAGE, .weight = file_weight, .bytes = lk_part_bytes(&body->parts[i])};
        if (file.bytes.n == 0)
            return lk_fail_field(err, LK_E_INVALID, "file", "the file is empty");
        code = lk_search_add_part(a, file, err);
    }
    return code;
}

static lk_code form_fields(lk_search_args *a, const lk_body *body, lk_err *err)
{
    lk_str text = {0};
    lk_code code = form_text(body, "fields", &text, &a->has_fields, err);
    while (!code && text.n > 0) {
        lk_str one = lk_str_trim(lk_str_cut(&text, ','));
        if (a->n_fields == LK_MAX_FIELDS)
            return lk_fail_field(err, LK_E_INVALID, "fields", "fields has more than %d items",
                                 LK_MAX_FIELDS);
        if (one.n > 0)
            a->fields[a->n_fields++] = one;
    }
    return code;
}

lk_code lk_search_args_form(lk_search_args *a, const lk_body *body, int64_t max_results,
                            lk_err *err)
{
    lk_search *s = &a->search;
    int64_t top_k = (int64_t)s->top_k < max_results ? (int64_t)s->top_k : max_results, offset = 0;
    lk_str text = {"", 0};
    bool found = false;
    lk_code code = form_known(body, err);
    if (!code)
        code = form_int(body, "top_k", 1, max_results, &top_k, err);
    if (!code)
        code = form_int(body, "offset", 0, LK_MAX_OFFSET, &offset, err);
    if (!code)
        code = form_int(body, "ef", 1, MAX_EF, &s->ef, err);
    if (!code)
        code = form_int(body, "nprobe", 1, MAX_EF, &s->nprobe, err);
    if (!code)
        code = form_text(body, "filter", &s->filter, &found, err);
    if (!code)
        code = form_text(body, "exact", &text, &found, err);
    if (!code && found)
        code = lk_text_bool("exact", text, &s->exact, err);
    if (!code)
        code = form_text(body, "min_score", &text, &s->has_min_score, err);
    if (!code && s->has_min_score)
        code = lk_text_real("min_score", text, &s->min_score, err);
    if (!code)
        code = form_fields(a, body, err);
    if (!code)
        code = form_parts(a, body, err);
    s->top_k = (size_t)top_k;
    s->offset = (size_t)offset;
    if (!code && s->n_parts == 0)
        code = lk_fail_field(err, LK_E_INVALID, "file",
                             "there is nothing to search for: give file, text or id");
    return code;
}
