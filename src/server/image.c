/* One image: its record, its metadata, its files. */
#include <stdio.h>

#include "base/mem.h"
#include "server/handlers.h"

static lk_code answer_record(lk_request *rq, const lk_record *r, lk_err *err)
{
    lk_jw w;
    lk_reply_json(&rq->reply, 200, &w);
    lk_code code = lk_record_write(r, NULL, 0, &w, err);
    return code ? code : lk_reply_json_end(&rq->reply, err);
}

static lk_code find(lk_request *rq, lk_record *ret, lk_err *err)
{
    lk_code code = lk_check_id(rq->path_args[0], err);
    return code ? code : lk_engine_get(rq->engine, rq->path_args[0], &rq->arena, ret, err);
}

lk_code lk_handle_image_get(lk_request *rq, lk_err *err)
{
    lk_record r;
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    if (!code)
        code = find(rq, &r, err);
    return code ? code : answer_record(rq, &r, err);
}

lk_code lk_handle_image_patch(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"metadata"};
    lk_json *doc = NULL;
    lk_buf patch;
    lk_jw w;
    lk_record r;
    lk_buf_init(&patch, LK_MAX_META_BYTES * 8); /* the engine bounds what comes of it */
    lk_code code = lk_check_id(rq->path_args[0], err);
    if (!code)
        code = lk_request_json(rq, &doc, err);
    const lk_jval *root = doc ? lk_json_root(doc) : NULL, *meta = lk_jval_get(root, "metadata");
    if (!code)
        code = lk_json_only(root, known, LK_ARRAY_LEN(known), err);
    if (!code && lk_jval_type(meta) != LK_J_OBJ)
        code = lk_fail_field(err, LK_E_INVALID, "metadata", "metadata must be an object, not %s",
                             lk_jtype_name(lk_jval_type(meta)));
    if (!code) {
        lk_jw_init(&w, &patch);
        lk_jw_val(&w, meta);
        code = lk_buf_check(&patch, err);
    }
    if (!code)
        code =
            lk_engine_patch(rq->engine, rq->path_args[0], lk_buf_str(&patch), &rq->arena, &r, err);
    if (!code)
        code = answer_record(rq, &r, err);
    lk_buf_release(&patch);
    lk_json_free(doc);
    return code;
}

lk_code lk_handle_image_delete(lk_request *rq, lk_err *err)
{
    lk_code code = lk_check_id(rq->path_args[0], err);
    if (!code)
        code = lk_engine_delete(rq->engine, rq->path_args[0], err);
    if (!code)
        rq->reply.status = 204;
    return code;
}

/* ---- its files ---- */

/* The bytes are those of the hash, so an address that names it (?v=…) never changes its answer;
 * one without is asked about each time, since the id may come to hold another picture. */
static bool answer_cached(lk_request *rq, const lk_record *r, const char *variant, lk_str version)
{
    char hex[LK_SHA256_HEX + 1];
    lk_sha256_hex(&r->sha256, hex);
    bool fixed = version.n >= 8 && lk_str_starts((lk_str){hex, LK_SHA256_HEX}, version);
    const char *etag = lk_arena_printf(&rq->arena, "\"%s%s\"", hex, variant);
    lk_reply_header(&rq->reply, "ETag", etag);
    lk_reply_header(&rq->reply, "Cache-Control",
                    fixed ? "private, max-age=31536000, immutable" : "private, no-cache");
    if (!etag || !rq->in.if_none_match || !lk_request_has(rq, etag))
        return false;
    rq->reply.status = 304;
    return true;
}

/* A picture is shown and does nothing else, whatever it holds. */
static void answer_file(lk_request *rq, const char *mime)
{
    rq->reply.status = 200;
    rq->reply.media_type = mime;
    lk_reply_header(&rq->reply, "Content-Security-Policy", "default-src 'none'; sandbox");
}

lk_code lk_handle_image_thumbnail(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"size", "v"};
    int64_t size = 320;
    lk_str version = {"", 0};
    lk_record r;
    const char *mime = NULL;
    lk_code code = lk_args_only(&rq->query, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_request_int(rq, "size", 1, 100000, &size, err);
    if (!code && size != 320 && size != 1024)
        code = lk_fail_field(err, LK_E_INVALID, "size", "size must be 320 or 1024, not %lld",
                             (long long)size);
    if (!code)
        code = lk_request_str(rq, "v", &version, err);
    if (!code)
        code = find(rq, &r, err);
    if (code || answer_cached(rq, &r, size == 320 ? "-320" : "-1024", version))
        return code;
    code = lk_engine_thumbnail(rq->engine, r.id, size == 320 ? LK_THUMB_LIST : LK_THUMB_PREVIEW,
                               &rq->reply.body, &mime, err);
    if (!code)
        answer_file(rq, mime);
    return code;
}

static const char *disposition(lk_request *rq, const lk_record *r)
{
    lk_buf b;
    lk_buf_init(&b, 8192);
    lk_buf_puts(&b, "inline");
    if (r->filename.n > 0) {
        lk_buf_puts(&b, "; filename*=UTF-8''");
        lk_percent_encode(r->filename, &b);
    }
    const char *text = b.failed ? "inline" : lk_arena_strndup(&rq->arena, b.p, b.n);
    lk_buf_release(&b);
    return text;
}

lk_code lk_handle_image_original(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"v"};
    lk_str version = {"", 0};
    lk_record r;
    const char *mime = NULL;
    lk_code code = lk_args_only(&rq->query, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_request_str(rq, "v", &version, err);
    if (!code)
        code = find(rq, &r, err);
    if (code || answer_cached(rq, &r, "", version))
        return code;
    code = lk_engine_original(rq->engine, r.id, &rq->reply.body, &mime, err);
    if (code)
        return code;
    answer_file(rq, mime);
    lk_reply_header(&rq->reply, "Content-Disposition", disposition(rq, &r));
    return LK_OK;
}
