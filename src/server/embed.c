/* POST /v1/embed: the vector that a search for the same would look for, or a vector for each of
 * several inputs. Either all inputs are embedded or the answer names the one at fault. */
#include "base/mem.h"
#include "server/handlers.h"

#define MAX_INPUTS 256

const lk_arg_doc lk_embed_input_doc[] = {
    {"text", "texts", "words; of a list, the mean of all"},
    {"image", "string", "a picture, base64"},
    {"id", "string", "a stored image"},
    {"vector", "[number]", "an embedding, to be mixed with others"},
    {"query", "[QueryPart]", "several of these, each with a weight"},
    {NULL, NULL, NULL},
};
const lk_arg_doc lk_embed_json_doc[] = {
    {"text", "texts", "words; of a list, the mean of all"},
    {"image", "string", "a picture, base64"},
    {"id", "string", "a stored image"},
    {"vector", "[number]", "an embedding, to be mixed with others"},
    {"query", "[QueryPart]", "several of these, each with a weight"},
    {"inputs", "[EmbedInput]", "instead of all these: what to embed, each by itself"},
    {NULL, NULL, NULL},
};

static lk_code begin(lk_request *rq, lk_jw *w, lk_model_seen *ret, lk_err *err)
{
    lk_model_seen m;
    lk_code code = lk_engine_model_of(rq->engine, &rq->arena, &m, err);
    if (code)
        return code;
    *ret = m;
    lk_reply_json(&rq->reply, 200, w);
    lk_jw_obj(w);
    lk_jw_key(w, "model");
    lk_jw_strz(w, m.name);
    lk_jw_key(w, "dim");
    lk_jw_uint(w, m.dim);
    return LK_OK;
}

static lk_code finish(lk_request *rq, const lk_model_seen *m, lk_jw *w, lk_err *err)
{
    lk_code code = lk_engine_model_still(rq->engine, m, err);
    if (code)
        return code;
    lk_jw_key(w, "took_ms");
    lk_jw_real(w, lk_request_ms(rq));
    lk_jw_end_obj(w);
    return lk_reply_json_end(&rq->reply, err);
}

/* The vector of what a holds, as an array. */
static lk_code write_vector(lk_request *rq, const lk_search_args *a, lk_jw *w, lk_err *err)
{
    const lk_search *s = &a->search;
    const float *v = NULL;
    size_t dim = 0;
    rq->blame = a->has_picture ? LK_BLAME_PICTURE : LK_BLAME_REQUEST;
    if (s->n_parts == 0)
        return lk_fail(err, LK_E_INVALID,
                       "there is nothing to embed: give text, image, id, vector or query");
    lk_code code = lk_engine_embed(rq->engine, s->parts, s->n_parts, &rq->arena, &v, &dim, err);
    if (code)
        return code;
    lk_jw_arr(w);
    for (size_t i = 0; i < dim; i++)
        lk_jw_float(w, v[i]);
    lk_jw_end_arr(w);
    return LK_OK;
}

static lk_code answer_one(lk_request *rq, const lk_search_args *a, lk_err *err)
{
    lk_jw w;
    lk_model_seen m;
    lk_code code = begin(rq, &w, &m, err);
    if (code)
        return code;
    lk_jw_key(&w, "vector");
    code = write_vector(rq, a, &w, err);
    return code ? code : finish(rq, &m, &w, err);
}

/* ---- several inputs ---- */

static lk_code write_input(lk_request *rq, const lk_jval *input, lk_jw *w, lk_err *err)
{
    const char *names[8];
    size_t n = 0;
    lk_search_args a;
    if (lk_jval_type(input) != LK_J_OBJ)
        return lk_fail_field(err, LK_E_INVALID, "", "an input must be an object, not %s",
                             lk_jtype_name(lk_jval_type(input)));
    for (; lk_embed_input_doc[n].name; n++)
        names[n] = lk_embed_input_doc[n].name;
    lk_search_args_init(&a);
    lk_code code = lk_json_only(input, names, n, err);
    if (!code)
        code = lk_search_args_parts(&a, input, err);
    if (!code)
        code = write_vector(rq, &a, w, err);
    lk_search_args_release(&a);
    return code;
}

static lk_code answer_many(lk_request *rq, const lk_jval *root, lk_err *err)
{
    const lk_jval *list = lk_jval_get(root, "inputs"), *input;
    lk_jw w;
    lk_str key;
    lk_model_seen m;
    size_t i = 0;
    if (lk_jval_type(list) != LK_J_ARR || lk_jval_len(root) != 1)
        return lk_fail_field(err, LK_E_INVALID, "inputs", "inputs must be an array, and alone");
    if (lk_jval_len(list) > MAX_INPUTS)
        return lk_fail_field(err, LK_E_INVALID, "inputs", "inputs has %zu items, more than %d",
                             lk_jval_len(list), MAX_INPUTS);
    lk_code code = begin(rq, &w, &m, err);
    if (code)
        return code;
    lk_jw_key(&w, "vectors");
    lk_jw_arr(&w);
    for (lk_jiter it = lk_jiter_of(list); lk_jiter_next(&it, &key, &input); i++) {
        code = write_input(rq, input, &w, err);
        if (code)
            return lk_fail_item(err, code, "inputs", i);
    }
    lk_jw_end_arr(&w);
    return finish(rq, &m, &w, err);
}

/* ---- the three kinds of body ---- */

static lk_code embed_json(lk_request *rq, lk_search_args *a, lk_err *err)
{
    const char *names[8];
    size_t n = 0;
    for (; lk_embed_json_doc[n].name; n++)
        names[n] = lk_embed_json_doc[n].name;
    lk_code code = lk_request_json(rq, &a->doc, err);
    const lk_jval *root = code ? NULL : lk_json_root(a->doc);
    if (!code)
        code = lk_json_only(root, names, n, err);
    if (!code && lk_jval_get(root, "inputs"))
        return answer_many(rq, root, err);
    if (!code)
        code = lk_search_args_parts(a, root, err);
    return code ? code : answer_one(rq, a, err);
}

/* The fields are a search's, without those about results. */
static lk_code embed_form(lk_request *rq, lk_search_args *a, lk_err *err)
{
    static const char *const known[] = {"text", "text_weight", "file", "file_weight", "id"};
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < rq->body.n_parts; i++) {
        lk_arg one = {lk_str_of(rq->body.parts[i].name), {"", 0}};
        code = lk_args_only(&(lk_args){&one, 1}, known, LK_ARRAY_LEN(known), err);
    }
    if (!code)
        code = lk_search_args_form(a, &rq->body, LK_MAX_TOP_K, err);
    return code ? code : answer_one(rq, a, err);
}

static lk_code embed_picture(lk_request *rq, lk_search_args *a, lk_err *err)
{
    lk_str whole = lk_buf_str(&rq->body.whole);
    lk_query_part part = {
        .kind = LK_PART_IMAGE, .weight = 1, .bytes = {(const unsigned char *)whole.p, whole.n}};
    if (whole.n == 0)
        return lk_fail(err, LK_E_INVALID, "the body is empty; a picture is expected");
    lk_code code = lk_search_add_part(a, part, err);
    return code ? code : answer_one(rq, a, err);
}

lk_code lk_handle_embed(lk_request *rq, lk_err *err)
{
    lk_search_args a;
    lk_search_args_init(&a);
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    if (!code && rq->body.kind == LK_BODY_FORM)
        code = embed_form(rq, &a, err);
    else if (!code && rq->body.kind == LK_BODY_IMAGE)
        code = embed_picture(rq, &a, err);
    else if (!code)
        code = embed_json(rq, &a, err);
    lk_search_args_release(&a);
    return code;
}
