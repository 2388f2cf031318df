#include "server/reply.h"

#include "base/mem.h"

#define KEEP_BYTES 65536

void lk_reply_init(lk_reply *r)
{
    memset(r, 0, sizeof *r);
    lk_buf_init(&r->body, LK_MAX_REPLY_BYTES);
}

void lk_reply_clear(lk_reply *r, bool keep)
{
    lk_buf body = r->body;
    if (keep && body.cap <= KEEP_BYTES) {
        lk_buf_clear(&body);
    } else {
        lk_buf_release(&body);
        lk_buf_init(&body, LK_MAX_REPLY_BYTES);
    }
    memset(r, 0, sizeof *r);
    r->body = body;
}

void lk_reply_header(lk_reply *r, const char *name, const char *value)
{
    if (!value || r->n_headers == LK_MAX_REPLY_HEADERS)
        return;
    r->headers[r->n_headers].name = name;
    r->headers[r->n_headers].value = value;
    r->n_headers++;
}

void lk_reply_json(lk_reply *r, unsigned status, lk_jw *w)
{
    r->status = status;
    r->media_type = "application/json";
    r->fixed = NULL;
    lk_buf_clear(&r->body);
    lk_jw_init(w, &r->body);
}

lk_code lk_reply_json_end(lk_reply *r, lk_err *err)
{
    lk_buf_putc(&r->body, '\n');
    return lk_buf_check(&r->body, err);
}

static unsigned status_of_picture(lk_code code)
{
    switch (code) {
    case LK_E_FORMAT:
    case LK_E_UNSUPPORTED:
        return 415;
    case LK_E_TRUNCATED:
    case LK_E_CORRUPT:
        return 422;
    case LK_E_LIMIT:
        return 413;
    default:
        return 0;
    }
}

unsigned lk_status_of(lk_code code, lk_blame blame)
{
    unsigned picture = blame == LK_BLAME_PICTURE ? status_of_picture(code) : 0;
    if (picture)
        return picture;
    switch (code) {
    case LK_OK:
        return 200;
    case LK_E_INVALID:
    case LK_E_FORMAT:
    case LK_E_LIMIT:
        return 400;
    case LK_E_NO_MEANING:
        return 422;
    case LK_E_DENIED:
        return 403;
    case LK_E_NOT_FOUND:
        return 404;
    case LK_E_EXISTS:
        return 409;
    case LK_E_FULL:
        return 507;
    case LK_E_UNSUPPORTED:
        return 501;
    case LK_E_NET:
        return 502;
    case LK_E_NOMEM:
    case LK_E_BUSY:
    case LK_E_LOCKED:
    case LK_E_MODEL:
    case LK_E_CANCELED:
        return 503;
    case LK_E_TIMEOUT:
        return 504;
    default:
        return 500;
    }
}

void lk_error_write(lk_jw *w, const lk_err *e)
{
    lk_jw_obj(w);
    lk_jw_key(w, "code");
    lk_jw_strz(w, lk_code_word(e->code));
    lk_jw_key(w, "message");
    lk_jw_strz(w, e->text[0] ? e->text : lk_code_text(e->code));
    if (e->field[0]) {
        lk_jw_key(w, "field");
        lk_jw_strz(w, e->field);
    }
    if (e->column > 0) {
        lk_jw_key(w, "column");
        lk_jw_int(w, e->column);
    }
    lk_jw_end_obj(w);
}

void lk_reply_error(lk_reply *r, unsigned status, const lk_err *e)
{
    lk_jw w;
    lk_reply_json(r, status, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "error");
    lk_error_write(&w, e);
    lk_jw_end_obj(&w);
    if (lk_reply_json_end(r, NULL) != LK_OK) {
        r->fixed = "{\"error\":{\"code\":\"out_of_memory\",\"message\":\"out of memory\"}}\n";
        r->n_fixed = strlen(r->fixed);
    }
    if (status == 429 || status == 503)
        lk_reply_header(r, "Retry-After", "1");
}
