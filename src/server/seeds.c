/* The routes of older clients, answered in the JSON they know:
 *
 *   POST /api/upload                file              {"success":true,"image_id":…, features}
 *   POST /api/search                file, top_k       {"success":true,"results":[…],"total",…}
 *   POST /api/search_with_filters   … color_scheme, category
 *   POST /search                    query (text or file), filters, top_k
 *
 * Records stand flat in them: {"image_id","distance","similarity","score","category",…}. Errors
 * have the one form of this server. */
#include "base/mem.h"
#include "server/handlers.h"
#include "server/internal.h"

/* The members of a record's document, its id left out. */
static lk_code write_flat(const lk_record *r, lk_jw *w, lk_err *err)
{
    lk_json *doc = NULL;
    lk_str key;
    const lk_jval *v;
    lk_code code = lk_json_parse(r->doc, &doc, err);
    if (code)
        return code;
    lk_jiter it = lk_jiter_of(lk_json_root(doc));
    while (lk_jiter_next(&it, &key, &v)) {
        if (lk_str_is(key, "id"))
            continue;
        lk_jw_key_str(w, key);
        lk_jw_val(w, v);
    }
    lk_json_free(doc);
    return LK_OK;
}

static lk_code only(const lk_body *b, const char *const *known, size_t n, lk_err *err)
{
    for (size_t i = 0; i < b->n_parts; i++) {
        lk_arg one = {lk_str_of(b->parts[i].name), {"", 0}};
        lk_code code = lk_args_only(&(lk_args){&one, 1}, known, n, err);
        if (code)
            return code;
    }
    return LK_OK;
}

lk_code lk_handle_seed_upload(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"file", "metadata"};
    const lk_part *file = NULL, *meta = NULL;
    lk_added added;
    lk_jw w;
    lk_code code = only(&rq->body, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_body_one(&rq->body, "file", &file, err);
    if (!code)
        code = lk_body_one(&rq->body, "metadata", &meta, err);
    if (!code && !file)
        code = lk_fail_field(err, LK_E_INVALID, "file", "the form has no file");
    if (code)
        return code;
    lk_add add = {.bytes = lk_part_bytes(file),
                  .filename = lk_str_of(file->filename),
                  .meta = lk_part_text(meta)};
    rq->blame = LK_BLAME_PICTURE;
    code = lk_add_upload(rq, &add, &added, err);
    if (code)
        return code;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "success");
    lk_jw_bool(&w, true);
    lk_jw_key(&w, "image_id");
    lk_jw_str(&w, added.record.id);
    lk_jw_key(&w, "duplicate");
    lk_jw_bool(&w, added.status == LK_ADD_DUPLICATE);
    code = write_flat(&added.record, &w, err);
    lk_jw_key(&w, "took_ms");
    lk_jw_real(&w, lk_request_ms(rq));
    lk_jw_end_obj(&w);
    return code ? code : lk_reply_json_end(&rq->reply, err);
}

static lk_code answer(lk_request *rq, const lk_search *s, lk_err *err)
{
    lk_answer found;
    lk_jw w;
    lk_code code = lk_engine_search(rq->engine, s, &rq->arena, &found, err);
    if (code)
        return code;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "success");
    lk_jw_bool(&w, true);
    lk_jw_key(&w, "results");
    lk_jw_arr(&w);
    for (size_t i = 0; !code && i < found.n; i++) {
        const lk_hit *h = &found.hits[i];
        lk_jw_obj(&w);
        lk_jw_key(&w, "image_id");
        lk_jw_str(&w, h->record.id);
        lk_jw_key(&w, "distance");
        lk_jw_float(&w, h->distance);
        lk_jw_key(&w, "similarity");
        lk_jw_float(&w, h->similarity);
        lk_jw_key(&w, "score");
        lk_jw_float(&w, h->score);
        code = write_flat(&h->record, &w, err);
        lk_jw_end_obj(&w);
    }
    lk_jw_end_arr(&w);
    lk_jw_key(&w, "total");
    lk_jw_uint(&w, found.n);
    lk_jw_key(&w, "took_ms");
    lk_jw_real(&w, lk_request_ms(rq));
    lk_jw_end_obj(&w);
    return code ? code : lk_reply_json_end(&rq->reply, err);
}

static lk_code form_text(const lk_body *b, const char *name, lk_str *ret, lk_err *err)
{
    const lk_part *part = NULL;
    lk_code code = lk_body_one(b, name, &part, err);
    *ret = lk_part_text(part);
    if (!code && !lk_utf8_valid(*ret))
        code = lk_fail_field(err, LK_E_INVALID, name, "%s is not UTF-8 text", name);
    return code;
}

static lk_code form_top_k(const lk_request *rq, size_t *ret, lk_err *err)
{
    lk_str text;
    int64_t max = rq->server->opts.max_results, top_k = max < 10 ? max : 10;
    lk_code code = form_text(&rq->body, "top_k", &text, err);
    if (!code && text.n > 0)
        code = lk_text_int("top_k", text, 1, max, &top_k, err);
    *ret = (size_t)top_k;
    return code;
}

static lk_code add_choice(const lk_request *rq, const char *name, lk_buf *filter, lk_err *err)
{
    lk_str value;
    lk_code code = form_text(&rq->body, name, &value, err);
    if (!code && value.n > 0)
        lk_filter_add_text(filter, name, value);
    return code;
}

lk_code lk_handle_seed_search(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"file", "top_k", "color_scheme", "category"};
    const lk_part *file = NULL;
    lk_search s;
    lk_buf filter;
    lk_buf_init(&filter, 65536);
    lk_search_default(&s);
    lk_code code = only(&rq->body, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_body_one(&rq->body, "file", &file, err);
    if (!code && (!file || file->data.n == 0))
        code = lk_fail_field(err, LK_E_INVALID, "file",
                             file ? "the file is empty" : "the form has no file");
    if (!code)
        code = form_top_k(rq, &s.top_k, err);
    if (!code)
        code = add_choice(rq, "color_scheme", &filter, err);
    if (!code)
        code = add_choice(rq, "category", &filter, err);
    if (!code)
        code = lk_buf_check(&filter, err);
    if (!code) {
        lk_query_part part = {.kind = LK_PART_IMAGE, .weight = 1, .bytes = lk_part_bytes(file)};
        s.parts = &part;
        s.n_parts = 1;
        s.filter = lk_buf_str(&filter);
        rq->blame = LK_BLAME_PICTURE;
        code = answer(rq, &s, err);
    }
    lk_buf_release(&filter);
    return code;
}

/* ---- POST /search ---- */

/* `filters` as an object of equalities, or as a filter's text. */
static lk_code filter_of(const lk_jval *v, lk_buf *filter, lk_err *err)
{
    lk_str key;
    const lk_jval *value;
    switch (lk_jval_type(v)) {
    case LK_J_NULL:
        return LK_OK;
    case LK_J_STR:
        lk_buf_put(filter, lk_jval_str(v).p, lk_jval_str(v).n);
        return lk_buf_check(filter, err);
    case LK_J_OBJ:
        break;
    default:
        return lk_fail_field(err, LK_E_INVALID, "filters",
                             "filters must be an object or a string, not %s",
                             lk_jtype_name(lk_jval_type(v)));
    }
    lk_jiter it = lk_jiter_of(v);
    lk_code code = LK_OK;
    while (!code && lk_jiter_next(&it, &key, &value))
        code = lk_filter_add_equal(filter, key, value, err);
    return code ? code : lk_buf_check(filter, err);
}

/* In a form an object of filters comes as text, told by its brace. */
static lk_code form_filter(const lk_request *rq, lk_buf *filter, lk_err *err)
{
    lk_str text;
    lk_json *doc = NULL;
    lk_code code = form_text(&rq->body, "filters", &text, err);
    if (code || lk_str_trim(text).n == 0)
        return code;
    if (lk_str_trim(text).p[0] != '{') {
        lk_buf_put(filter, text.p, text.n);
        return lk_buf_check(filter, err);
    }
    code = lk_json_parse(text, &doc, err);
    if (code)
        return lk_fail_field(err, code == LK_E_NOMEM ? code : LK_E_INVALID, "filters",
                             "filters is no JSON object");
    code = filter_of(lk_json_root(doc), filter, err);
    lk_json_free(doc);
    return code;
}

static lk_code query_form(lk_request *rq, lk_buf *filter, lk_search *s, lk_query_part *part,
                          lk_err *err)
{
    static const char *const known[] = {"query", "file", "filters", "top_k"};
    const lk_part *query = NULL, *file = NULL;
    lk_code code = only(&rq->body, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_body_one(&rq->body, "query", &query, err);
    if (!code)
        code = lk_body_one(&rq->body, "file", &file, err);
    if (!code)
        code = form_top_k(rq, &s->top_k, err);
    if (!code)
        code = form_filter(rq, filter, err);
    if (code)
        return code;
    if (!file && query && query->filename)
        file = query;
    if (file)
        *part = (lk_query_part){.kind = LK_PART_IMAGE, .weight = 1, .bytes = lk_part_bytes(file)};
    else
        part->text = lk_part_text(query);
    if (file ? part->bytes.n == 0 : lk_str_trim(part->text).n == 0)
        return lk_fail_field(err, LK_E_INVALID, "query", "query is empty");
    if (!file && !lk_utf8_valid(part->text))
        return lk_fail_field(err, LK_E_INVALID, "query", "query is not UTF-8 text");
    return LK_OK;
}

static lk_code query_json(lk_request *rq, lk_json **ret_doc, lk_buf *filter, lk_search *s,
                          lk_query_part *part, lk_err *err)
{
    static const char *const known[] = {"query", "filters", "top_k"};
    int64_t max = rq->server->opts.max_results, top_k = max < 10 ? max : 10;
    lk_code code = lk_request_json(rq, ret_doc, err);
    const lk_jval *root = code ? NULL : lk_json_root(*ret_doc);
    if (!code)
        code = lk_json_only(root, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_json_get_str(root, "query", &part->text, err);
    if (!code && lk_str_trim(part->text).n == 0)
        code = lk_fail_field(err, LK_E_INVALID, "query", "query is empty");
    if (!code)
        code = lk_json_get_int(root, "top_k", 1, max, &top_k, err);
    if (!code)
        code = filter_of(lk_jval_get(root, "filters"), filter, err);
    s->top_k = (size_t)top_k;
    return code;
}

lk_code lk_handle_seed_query(lk_request *rq, lk_err *err)
{
    lk_search s;
    lk_query_part part = {.kind = LK_PART_TEXT, .weight = 1, .text = {"", 0}};
    lk_json *doc = NULL;
    lk_buf filter;
    lk_buf_init(&filter, 65536);
    lk_search_default(&s);
    lk_code code = rq->body.kind == LK_BODY_FORM ? query_form(rq, &filter, &s, &part, err)
                                                 : query_json(rq, &doc, &filter, &s, &part, err);
    if (!code) {
        s.parts = &part;
        s.n_parts = 1;
        s.filter = lk_buf_str(&filter);
        rq->blame = part.kind == LK_PART_IMAGE ? LK_BLAME_PICTURE : LK_BLAME_REQUEST;
        code = answer(rq, &s, err);
    }
    lk_buf_release(&filter);
    lk_json_free(doc);
    return code;
}
