/* The page and its files, out of the program itself. */
#include <stdio.h>

#include "base/embed.h"
#include "base/mem.h"
#include "server/handlers.h"

/* Nothing from elsewhere, no inline script, no frame around it. */
static const char page_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const char *type_of(lk_str name)
{
    static const struct {
        const char *ending, *type;
    } known[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".json", "application/json"},
        {".png", "image/png"},
        {".webmanifest", "application/manifest+json"},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(known); i++)
        if (lk_str_ends(name, lk_str_of(known[i].ending)))
            return known[i].type;
    return "application/octet-stream";
}

static lk_code answer_file(lk_request *rq, const char *path, lk_err *err)
{
    lk_sha256 sum;
    char hex[LK_SHA256_HEX + 1];
    const lk_embedded_file *f = lk_embedded_find(path);
    if (!f)
        return lk_fail(err, LK_E_NOT_FOUND, "there is nothing at \"%.*s\"",
                       rq->path.n < 128 ? (int)rq->path.n : 128, rq->path.p);
    lk_code code = lk_sha256_of(f->data, f->size, &sum, err);
    if (code)
        return code;
    lk_sha256_hex(&sum, hex);
    const char *etag = lk_arena_printf(&rq->arena, "\"%.32s\"", hex);
    lk_reply *r = &rq->reply;
    lk_reply_header(r, "ETag", etag);
    lk_reply_header(r, "Cache-Control", "no-cache");
    lk_reply_header(r, "Content-Security-Policy", page_policy);
    lk_reply_header(r, "Referrer-Policy", "no-referrer");
    if (etag && rq->in.if_none_match && lk_request_has(rq, etag)) {
        r->status = 304;
        return LK_OK;
    }
    r->status = 200;
    r->media_type = type_of(lk_str_of(path));
    r->fixed = f->data;
    r->n_fixed = f->size;
    return LK_OK;
}

lk_code lk_handle_page(lk_request *rq, lk_err *err)
{
    return answer_file(rq, "web/index.html", err);
}

lk_code lk_handle_asset(lk_request *rq, lk_err *err)
{
    const char *path = lk_arena_printf(&rq->arena, "web/%s", rq->path_args[0].p);
    if (!path)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a path");
    return answer_file(rq, path, err);
}
