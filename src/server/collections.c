/* /v1/collections: what a collection is made with, and the settings that may change. There is one
 * collection, "images", in a data folder. */
#include <stdio.h>

#include "base/mem.h"
#include "server/handlers.h"

#define NAME "images"
#define DEFAULT_STEP 200

const lk_arg_doc lk_collection_patch_doc[] = {
    {"categories", "any", "labels with prompts, or a classifier with classes; null: the model's"},
    {"index", "object",
     "kind (auto, flat, hnsw, ivf), M, ef_construction, nlist; built behind searches"},
    {NULL, NULL, NULL},
};
const lk_arg_doc lk_relabel_doc[] = {
    {"cursor", "string", "the last answer's next; from the start when left out"},
    {"limit", "integer", "how many images to look at, 200 when left out"},
    {NULL, NULL, NULL},
};

static void write_categories(const lk_categories *c, lk_jw *w)
{
    lk_jw_obj(w);
    lk_jw_key(w, "from");
    lk_jw_strz(w, c->from);
    lk_jw_key(w, "labels");
    lk_jw_arr(w);
    for (size_t i = 0; i < c->n_labels; i++)
        lk_jw_strz(w, c->labels[i]);
    lk_jw_end_arr(w);
    lk_jw_key(w, "settings");
    if (c->settings.n)
        lk_jw_raw(w, c->settings);
    else
        lk_jw_null(w);
    lk_jw_end_obj(w);
}

static lk_code write_collection(lk_request *rq, lk_jw *w, lk_err *err)
{
    lk_categories c = {0};
    lk_model_seen m;
    lk_stats st;
    lk_code code = lk_engine_stats(rq->engine, &rq->arena, &st, err);
    if (!code)
        code = lk_engine_model_of(rq->engine, &rq->arena, &m, err);
    if (!code)
        code = lk_engine_categories(rq->engine, &rq->arena, &c, err);
    if (code)
        return code;
    lk_jw_obj(w);
    lk_jw_key(w, "name");
    lk_jw_strz(w, NAME);
    lk_jw_key(w, "images");
    lk_jw_uint(w, st.images);
    lk_jw_key(w, "model");
    lk_jw_obj(w);
    lk_jw_key(w, "name");
    lk_jw_strz(w, m.name);
    lk_jw_key(w, "version");
    lk_jw_strz(w, m.version);
    lk_jw_key(w, "dim");
    lk_jw_uint(w, m.dim);
    lk_jw_end_obj(w);
    lk_jw_key(w, "categories");
    write_categories(&c, w);
    lk_jw_key(w, "index");
    lk_write_index(w, &st);
    lk_jw_end_obj(w);
    return LK_OK;
}

static lk_code check_name(const lk_request *rq, lk_err *err)
{
    lk_str name = rq->path_args[0];
    if (lk_str_is(name, NAME))
        return LK_OK;
    return lk_fail_field(err, LK_E_NOT_FOUND, "name", "there is no collection \"%.*s\", only " NAME,
                         (int)(name.n < 80 ? name.n : 80), name.p);
}

static lk_code answer_collection(lk_request *rq, lk_err *err)
{
    lk_jw w;
    lk_reply_json(&rq->reply, 200, &w);
    lk_code code = write_collection(rq, &w, err);
    return code ? code : lk_reply_json_end(&rq->reply, err);
}

lk_code lk_handle_collections(lk_request *rq, lk_err *err)
{
    lk_jw w;
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    if (code)
        return code;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "collections");
    lk_jw_arr(&w);
    code = write_collection(rq, &w, err);
    lk_jw_end_arr(&w);
    lk_jw_end_obj(&w);
    return code ? code : lk_reply_json_end(&rq->reply, err);
}

lk_code lk_handle_collection(lk_request *rq, lk_err *err)
{
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    if (!code)
        code = check_name(rq, err);
    return code ? code : answer_collection(rq, err);
}

/* ---- changes ---- */

/* Whoever may send requests may not read this machine's folders. */
static lk_code check_classifier(const lk_jval *settings, lk_err *err)
{
    lk_str name = lk_jval_str(lk_jval_get(settings, "classifier"));
    if (!memchr(name.p, '/', name.n) && !lk_str_is(name, "."))
        return LK_OK;
    return lk_fail_field(err, LK_E_DENIED, "classifier",
                         "a classifier is an installed model's name here, not a folder");
}

static lk_code set_categories(lk_request *rq, const lk_jval *v, lk_err *err)
{
    char field[sizeof err->field];
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 1u << 20);
    lk_code code = check_classifier(v, err);
    if (!code && lk_jval_type(v) != LK_J_NULL) {
        lk_jw_init(&w, &b);
        lk_jw_val(&w, v);
        code = lk_buf_check(&b, err);
    }
    if (!code)
        code = lk_engine_set_categories(rq->engine, lk_buf_str(&b), err);
    lk_buf_release(&b);
    if (code && err->field[0] && strcmp(err->field, "categories") != 0) {
        snprintf(field, sizeof field, "categories.%.20s", err->field);
        snprintf(err->field, sizeof err->field, "%s", field);
    }
    return code;
}

static lk_code set_index(lk_request *rq, const lk_jval *v, lk_err *err)
{
    static const char *const known[] = {"kind", "M", "ef_construction", "nlist"};
    lk_index_opts o = {.kind = NULL};
    lk_str kind = {NULL, 0};
    lk_code code = lk_json_only(v, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_json_get_str(v, "kind", &kind, err);
    if (!code && kind.p) {
        o.kind = lk_arena_strndup(&rq->arena, kind.p, kind.n);
        code = o.kind ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory for a request");
    }
    if (!code)
        code = lk_json_get_int(v, "M", 0, 128, &o.M, err);
    if (!code)
        code = lk_json_get_int(v, "ef_construction", 0, 65536, &o.ef_construction, err);
    if (!code)
        code = lk_json_get_int(v, "nlist", 0, 65536, &o.nlist, err);
    return code ? code : lk_engine_tune_index(rq->engine, &o, err);
}

lk_code lk_handle_collection_patch(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"categories", "index"};
    lk_json *doc = NULL;
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    if (!code)
        code = check_name(rq, err);
    if (!code)
        code = lk_request_json(rq, &doc, err);
    const lk_jval *root = code ? NULL : lk_json_root(doc);
    if (!code)
        code = lk_json_only(root, known, LK_ARRAY_LEN(known), err);
    if (!code && lk_jval_len(root) == 0)
        code = lk_fail_field(err, LK_E_INVALID, "", "categories or index are missing");
    if (!code && lk_jval_get(root, "index"))
        code = set_index(rq, lk_jval_get(root, "index"), err);
    if (!code && lk_jval_get(root, "categories"))
        code = set_categories(rq, lk_jval_get(root, "categories"), err);
    lk_json_free(doc);
    return code ? code : answer_collection(rq, err);
}

/* ---- a new look at what is stored ---- */

static lk_code relabel(lk_request *rq, const lk_jval *root, lk_err *err)
{
    static const char *const known[] = {"cursor", "limit"};
    lk_str cursor = {"", 0};
    int64_t limit = DEFAULT_STEP;
    lk_relabeled r;
    lk_jw w;
    lk_code code = lk_json_only(root, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_json_get_str(root, "cursor", &cursor, err);
    if (!code)
        code = lk_json_get_int(root, "limit", 1, LK_MAX_TOP_K, &limit, err);
    if (!code)
        code = lk_engine_relabel(rq->engine, cursor, (size_t)limit, &rq->arena, &r, err);
    if (code)
        return code;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "seen");
    lk_jw_uint(&w, r.seen);
    lk_jw_key(&w, "changed");
    lk_jw_uint(&w, r.changed);
    lk_jw_key(&w, "next");
    if (r.next.n)
        lk_jw_str(&w, r.next);
    else
        lk_jw_null(&w);
    lk_jw_end_obj(&w);
    return lk_reply_json_end(&rq->reply, err);
}

lk_code lk_handle_collection_relabel(lk_request *rq, lk_err *err)
{
    lk_json *doc = NULL;
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    if (!code)
        code = check_name(rq, err);
    if (!code)
        code = lk_request_json(rq, &doc, err);
    if (!code)
        code = relabel(rq, lk_json_root(doc), err);
    lk_json_free(doc);
    return code;
}
