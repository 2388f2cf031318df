/* The routes of Roboflow's inference server for CLIP, in its JSON, answered by this server's model:
 *
 *   POST /clip/embed_image  image: I or [I]            {"embeddings":[[…]],"time":s,…}
 *   POST /clip/embed_text   text: "…" or ["…"]         the same
 *   POST /clip/compare      subject, subject_type,     {"similarity":[f] or {label: f},"time":s,…}
 *                           prompt, prompt_type
 *
 * I is {"type":"base64","value":"…"}, or with "url" where the option image-urls allows it. Its type
 * "numpy" is a pickle, which would run whatever it holds, and is refused. Members that are about
 * Roboflow's own service (api_key, clip_version_id, source …) are passed over: the model is this
 * collection's, and its name is in the answer. Vectors are of unit length, Roboflow's are not;
 * similarities are cosines in both. Errors carry a "message" beside the form they have elsewhere,
 * because that is where its clients look. */
#include "base/http.h"
#include "base/mem.h"
#include "server/handlers.h"
#include "server/internal.h"

#define MAX_ITEMS 256 /* in one request */

typedef enum kind { AN_IMAGE, A_TEXT } kind;

/* ---- one item ---- */

static lk_code fetch(lk_request *rq, lk_str url, lk_buf *into, lk_err *err)
{
    lk_http_response got = {0};
    if (!rq->server->http)
        return lk_fail_field(err, LK_E_DENIED, "image",
                             "this server fetches no pictures by URL (its option image-urls is "
                             "off): send the picture itself as base64");
    if (!lk_str_starts(url, LK_STR("http://")) && !lk_str_starts(url, LK_STR("https://")))
        return lk_fail_field(err, LK_E_INVALID, "image", "%.80s is not an http or https URL",
                             url.p);
    lk_http_request ask = {.url = url.p,
                           .connect_ms = 5000,
                           .total_ms = 30000,
                           .max_body_bytes = (size_t)rq->server->opts.max_body};
    lk_code code = lk_http_send(rq->server->http, &ask, &got, err);
    if (!code && got.status != 200)
        code = lk_fail_field(err, LK_E_INVALID, "image", "the picture's URL answers with %ld",
                             got.status);
    if (!code)
        lk_buf_put(into, got.body.p, got.body.n);
    lk_http_response_release(&got);
    return code ? code : lk_buf_check(into, err);
}

static lk_code read_image(lk_request *rq, const lk_jval *v, lk_buf *into, lk_err *err)
{
    lk_str type = {"base64", 6}, value = {"", 0};
    if (lk_jval_type(v) != LK_J_OBJ)
        return lk_fail_field(err, LK_E_INVALID, "image",
                             "an image is {\"type\":\"base64\",\"value\":\"...\"}, not %s",
                             lk_jtype_name(lk_jval_type(v)));
    lk_code code = lk_json_get_str(v, "type", &type, err);
    if (!code)
        code = lk_json_get_str(v, "value", &value, err);
    if (code)
        return code;
    if (lk_str_is(type, "url"))
        return fetch(rq, value, into, err);
    if (!lk_str_is(type, "base64"))
        return lk_fail_field(err, LK_E_INVALID, "type",
                             "images are taken as base64%s, not as %.40s",
                             rq->server->http ? " or url" : "", type.p);
    return lk_base64_picture(value, into, err);
}

static lk_code embed(lk_request *rq, const lk_jval *v, kind what, const float **ret,
                     size_t *ret_dim, lk_err *err)
{
    lk_buf picture;
    lk_query_part part = {.kind = LK_PART_TEXT, .weight = 1};
    lk_code code = LK_OK;
    lk_buf_init(&picture, 0);
    if (what == A_TEXT && lk_jval_type(v) != LK_J_STR) {
        code = lk_fail_field(err, LK_E_INVALID, "text", "a text must be a string, not %s",
                             lk_jtype_name(lk_jval_type(v)));
    } else if (what == A_TEXT) {
        part.text = lk_jval_str(v);
    } else {
        code = read_image(rq, v, &picture, err);
        part.kind = LK_PART_IMAGE;
        part.bytes = (lk_blob){(const unsigned char *)picture.p, picture.n};
    }
    if (!code) {
        rq->blame = what == AN_IMAGE ? LK_BLAME_PICTURE : LK_BLAME_REQUEST;
        code = lk_engine_embed(rq->engine, &part, 1, &rq->arena, ret, ret_dim, err);
    }
    lk_buf_release(&picture);
    return code;
}

/* The item is at fault, not what the item holds. */
static lk_code blame_item(lk_err *err, lk_code code, const char *list, size_t i)
{
    if (strcmp(err->field, "image") == 0 || strcmp(err->field, "text") == 0)
        err->field[0] = '\0';
    return lk_fail_item(err, code, list, i);
}

/* ---- answers ---- */

static void begin(lk_request *rq, const lk_model_seen *model, lk_jw *w)
{
    lk_reply_json(&rq->reply, 200, w);
    lk_jw_obj(w);
    lk_jw_key(w, "inference_id");
    lk_jw_strz(w, rq->id);
    lk_jw_key(w, "frame_id");
    lk_jw_null(w);
    lk_jw_key(w, "model");
    lk_jw_strz(w, model->name);
}

static lk_code finish(lk_request *rq, lk_jw *w, lk_err *err)
{
    lk_jw_key(w, "time");
    lk_jw_real(w, lk_request_ms(rq) / 1000);
    lk_jw_end_obj(w);
    return lk_reply_json_end(&rq->reply, err);
}

/* The error where Roboflow's clients look for it, and as this server tells errors elsewhere. */
static lk_code tell(lk_request *rq, lk_code code, lk_err *err)
{
    lk_jw w;
    err->code = code;
    lk_reply_json(&rq->reply, lk_status_of(code, rq->blame), &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "message");
    lk_jw_strz(&w, err->text[0] ? err->text : lk_code_text(code));
    lk_jw_key(&w, "error");
    lk_error_write(&w, err);
    lk_jw_end_obj(&w);
    if (rq->reply.status == 503)
        lk_reply_header(&rq->reply, "Retry-After", "1");
    return lk_reply_json_end(&rq->reply, err);
}

/* ---- embeddings ---- */

static lk_code write_embedding(lk_request *rq, const lk_jval *v, kind what, lk_jw *w, lk_err *err)
{
    const float *vector = NULL;
    size_t dim = 0;
    lk_code code = embed(rq, v, what, &vector, &dim, err);
    if (code)
        return code;
    lk_jw_arr(w);
    for (size_t i = 0; i < dim; i++)
        lk_jw_float(w, vector[i]);
    lk_jw_end_arr(w);
    return LK_OK;
}

static lk_code check_count(const lk_jval *v, const char *name, lk_err *err)
{
    size_t n = lk_jval_len(v);
    if (lk_jval_type(v) == LK_J_NULL)
        return lk_fail_field(err, LK_E_INVALID, name, "%s is missing", name);
    bool many = lk_jval_type(v) == LK_J_ARR || lk_jval_type(v) == LK_J_OBJ;
    if (many && (n < 1 || n > MAX_ITEMS))
        return lk_fail_field(err, LK_E_INVALID, name, "%s has %zu items; 1 to %d are allowed", name,
                             n, MAX_ITEMS);
    return LK_OK;
}

static lk_code write_embeddings(lk_request *rq, const lk_jval *v, const char *name, kind what,
                                lk_jw *w, lk_err *err)
{
    lk_str key;
    const lk_jval *item;
    size_t i = 0;
    if (lk_jval_type(v) != LK_J_ARR)
        return write_embedding(rq, v, what, w, err);
    for (lk_jiter it = lk_jiter_of(v); lk_jiter_next(&it, &key, &item); i++) {
        lk_code code = write_embedding(rq, item, what, w, err);
        if (code)
            return blame_item(err, code, name, i);
    }
    return LK_OK;
}

static lk_code answer_embeddings(lk_request *rq, const lk_jval *root, const char *name, kind what,
                                 lk_err *err)
{
    lk_model_seen model;
    lk_jw w;
    const lk_jval *v = lk_jval_get(root, name);
    lk_code code = check_count(v, name, err);
    if (!code)
        code = lk_engine_model_of(rq->engine, &rq->arena, &model, err);
    if (code)
        return code;
    begin(rq, &model, &w);
    lk_jw_key(&w, "embeddings");
    lk_jw_arr(&w);
    code = write_embeddings(rq, v, name, what, &w, err);
    if (!code)
        code = lk_engine_model_still(rq->engine, &model, err);
    if (code)
        return code;
    lk_jw_end_arr(&w);
    return finish(rq, &w, err);
}

static lk_code handle_embed(lk_request *rq, const char *name, kind what, lk_err *err)
{
    lk_json *doc = NULL;
    lk_code code = lk_request_json(rq, &doc, err);
    if (!code)
        code = answer_embeddings(rq, lk_json_root(doc), name, what, err);
    lk_json_free(doc);
    return code ? tell(rq, code, err) : LK_OK;
}

lk_code lk_handle_clip_embed_image(lk_request *rq, lk_err *err)
{
    return handle_embed(rq, "image", AN_IMAGE, err);
}

lk_code lk_handle_clip_embed_text(lk_request *rq, lk_err *err)
{
    return handle_embed(rq, "text", A_TEXT, err);
}

/* ---- comparisons ---- */

static lk_code read_kind(const lk_jval *root, const char *name, kind *ret, lk_err *err)
{
    lk_str text = {"", 0};
    lk_code code = lk_json_get_str(root, name, &text, err);
    if (code || !text.n)
        return code;
    if (!lk_str_is(text, "image") && !lk_str_is(text, "text"))
        return lk_fail_field(err, LK_E_INVALID, name, "%s is image or text, not %.40s", name,
                             text.p);
    *ret = lk_str_is(text, "image") ? AN_IMAGE : A_TEXT;
    return LK_OK;
}

static lk_code write_cosine(lk_request *rq, const float *subject, size_t dim, const lk_jval *prompt,
                            kind what, lk_jw *w, lk_err *err)
{
    const float *v = NULL;
    double sum = 0;
    size_t n = 0;
    lk_code code = embed(rq, prompt, what, &v, &n, err);
    if (!code && n != dim)
        code = lk_fail(err, LK_E_BUSY, "the model was changed meanwhile: ask again");
    for (size_t i = 0; !code && i < dim; i++)
        sum += (double)subject[i] * (double)v[i];
    if (!code)
        lk_jw_real(w, sum);
    return code;
}

/* One number, a list of them, or an object of them, as the prompt is one item, a list, or an object
 * of labels. */
static lk_code write_similarity(lk_request *rq, const float *subject, size_t dim,
                                const lk_jval *prompt, kind what, lk_jw *w, lk_err *err)
{
    lk_str key;
    const lk_jval *item;
    lk_code code = LK_OK;
    lk_jtype type = lk_jval_type(prompt);
    bool labels =
        type == LK_J_OBJ && !(lk_jval_get(prompt, "type") && lk_jval_get(prompt, "value"));
    if (labels)
        lk_jw_obj(w);
    else
        lk_jw_arr(w);
    if (!labels && type != LK_J_ARR)
        code = write_cosine(rq, subject, dim, prompt, what, w, err);
    size_t i = 0;
    lk_jiter it = lk_jiter_of(prompt);
    for (; (labels || type == LK_J_ARR) && lk_jiter_next(&it, &key, &item); i++) {
        if (labels)
            lk_jw_key_str(w, key);
        code = write_cosine(rq, subject, dim, item, what, w, err);
        if (code)
            return blame_item(err, code, "prompt", i);
    }
    if (code)
        return code;
    if (labels)
        lk_jw_end_obj(w);
    else
        lk_jw_end_arr(w);
    return LK_OK;
}

static lk_code compare(lk_request *rq, const lk_jval *root, lk_err *err)
{
    kind subject_kind = AN_IMAGE, prompt_kind = A_TEXT;
    const lk_jval *subject = lk_jval_get(root, "subject"), *prompt = lk_jval_get(root, "prompt");
    const float *v = NULL;
    size_t dim = 0;
    lk_model_seen model;
    lk_jw w;
    lk_code code = read_kind(root, "subject_type", &subject_kind, err);
    if (!code)
        code = read_kind(root, "prompt_type", &prompt_kind, err);
    if (!code)
        code = check_count(subject, "subject", err);
    if (!code)
        code = check_count(prompt, "prompt", err);
    if (!code)
        code = lk_engine_model_of(rq->engine, &rq->arena, &model, err);
    if (!code)
        code = embed(rq, subject, subject_kind, &v, &dim, err);
    if (code)
        return code;
    begin(rq, &model, &w);
    lk_jw_key(&w, "parent_id");
    lk_jw_null(&w);
    lk_jw_key(&w, "similarity");
    code = write_similarity(rq, v, dim, prompt, prompt_kind, &w, err);
    if (!code)
        code = lk_engine_model_still(rq->engine, &model, err);
    return code ? code : finish(rq, &w, err);
}

lk_code lk_handle_clip_compare(lk_request *rq, lk_err *err)
{
    lk_json *doc = NULL;
    lk_code code = lk_request_json(rq, &doc, err);
    if (!code)
        code = compare(rq, lk_json_root(doc), err);
    lk_json_free(doc);
    return code ? tell(rq, code, err) : LK_OK;
}
