/* Search: by anything, by a stored image. */
#include "base/mem.h"
#include "server/handlers.h"
#include "server/internal.h"

static lk_code write_hit(const lk_search_args *a, const lk_hit *h, lk_jw *w, lk_err *err)
{
    lk_code code = LK_OK;
    lk_jw_obj(w);
    lk_jw_key(w, "id");
    lk_jw_str(w, h->record.id);
    lk_jw_key(w, "score");
    lk_jw_float(w, h->score);
    lk_jw_key(w, "similarity");
    lk_jw_float(w, h->similarity);
    lk_jw_key(w, "distance");
    lk_jw_float(w, h->distance);
    if (!a->has_fields || a->n_fields > 0) {
        lk_jw_key(w, "image");
        code = lk_record_write(&h->record, a->fields, a->n_fields, w, err);
    }
    if (!code)
        lk_jw_end_obj(w);
    return code;
}

static lk_code answer_hits(lk_request *rq, const lk_search_args *a, const lk_answer *found,
                           lk_err *err)
{
    lk_jw w;
    lk_code code = LK_OK;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "results");
    lk_jw_arr(&w);
    for (size_t i = 0; !code && i < found->n; i++)
        code = write_hit(a, &found->hits[i], &w, err);
    if (code)
        return code;
    lk_jw_end_arr(&w);
    lk_jw_key(&w, "matched");
    lk_jw_uint(&w, found->matched);
    lk_jw_key(&w, "plan");
    lk_jw_strz(&w, found->plan);
    lk_jw_key(&w, "took_ms");
    lk_jw_real(&w, lk_request_ms(rq));
    lk_jw_end_obj(&w);
    return lk_reply_json_end(&rq->reply, err);
}

/* A field that no record can have is told before the search, and also when nothing is found. */
static lk_code check_fields(const lk_search_args *a, lk_err *err)
{
    lk_record empty = {.doc = LK_STR("{}")};
    lk_buf scratch;
    lk_jw w;
    if (a->n_fields == 0)
        return LK_OK;
    lk_buf_init(&scratch, 1u << 16);
    lk_jw_init(&w, &scratch);
    lk_code code = lk_record_write(&empty, a->fields, a->n_fields, &w, err);
    lk_buf_release(&scratch);
    return code;
}

static lk_code search(lk_request *rq, lk_search_args *a, lk_err *err)
{
    lk_answer found;
    lk_code code = check_fields(a, err);
    if (code)
        return code;
    if (a->has_picture)
        rq->blame = LK_BLAME_PICTURE;
    code = lk_engine_search(rq->engine, &a->search, &rq->arena, &found, err);
    return code ? code : answer_hits(rq, a, &found, err);
}

lk_code lk_handle_search(lk_request *rq, lk_err *err)
{
    lk_search_args a;
    lk_json *doc = NULL;
    int64_t max = rq->server->opts.max_results;
    lk_search_args_init(&a);
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    if (!code && rq->body.kind == LK_BODY_FORM) {
        code = lk_search_args_form(&a, &rq->body, max, err);
    } else if (!code) {
        code = lk_request_json(rq, &doc, err);
        if (!code)
            code = lk_search_args_json(&a, doc, max, err);
    }
    if (!code)
        code = search(rq, &a, err);
    lk_search_args_release(&a);
    return code;
}

lk_code lk_handle_similar(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"top_k", "filter"};
    lk_search_args a;
    int64_t max = rq->server->opts.max_results;
    int64_t top_k = max < 10 ? max : 10;
    lk_search_args_init(&a);
    lk_query_part part = {.kind = LK_PART_ID, .weight = 1, .text = rq->path_args[0]};
    lk_code code = lk_check_id(part.text, err);
    if (!code)
        code = lk_args_only(&rq->query, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_request_int(rq, "top_k", 1, max, &top_k, err);
    if (!code)
        code = lk_request_str(rq, "filter", &a.search.filter, err);
    if (!code)
        code = lk_search_add_part(&a, part, err);
    a.search.top_k = (size_t)top_k;
    a.search.exclude_parts = true;
    if (!code)
        code = search(rq, &a, err);
    lk_search_args_release(&a);
    return code;
}
