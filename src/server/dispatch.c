/* Checks come in the order of their cost, and before the body wherever they can: a request that
 * will be refused should not be uploaded first.
 *
 * A browser sends a form from any page to any server without asking, so a page of another site
 * could add or delete pictures on a server that listens on this machine only. Browsers say whose
 * page it is (Origin); what changes something is refused when that is another site, unless the
 * cors option names it. */
#include "server/dispatch.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "server/internal.h"

static lk_next refuse(lk_request *rq, unsigned status, lk_err *err)
{
    lk_dispatch_refuse(rq, status, err);
    return LK_NEXT_ANSWER;
}

static bool origin_allowed(const lk_request *rq)
{
    const char *cors = rq->server->cors;
    if (!cors || !cors[0])
        return false;
    if (strcmp(cors, "*") == 0)
        return true;
    lk_str rest = lk_str_of(cors);
    while (rest.n > 0)
        if (lk_str_is(lk_str_trim(lk_str_cut(&rest, ',')), rq->in.origin))
            return true;
    return false;
}

/* Is the page that sent this one of ours? "http://HOST" against the Host header. */
static bool same_origin(const lk_request *rq)
{
    lk_str origin = lk_str_of(rq->in.origin);
    size_t at = lk_str_find(origin, LK_STR("://"));
    if (at == SIZE_MAX || !rq->in.host)
        return false;
    origin.p += at + 3;
    origin.n -= at + 3;
    return lk_str_eq_nocase(origin, lk_str_of(rq->in.host));
}

/* The headers that every answer has. */
static void add_headers(lk_request *rq)
{
    lk_reply *r = &rq->reply;
    lk_reply_header(r, "X-Content-Type-Options", "nosniff");
    lk_reply_header(r, "X-Request-Id", rq->id);
    if (rq->in.origin && origin_allowed(rq)) {
        bool any = strcmp(rq->server->cors, "*") == 0;
        lk_reply_header(r, "Access-Control-Allow-Origin", any ? "*" : rq->in.origin);
        lk_reply_header(r, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
        lk_reply_header(r, "Vary", "Origin");
    }
    if (lk_server_phase(rq->server) != LK_SERVING)
        lk_reply_header(r, "Connection", "close");
}

void lk_dispatch_refuse(lk_request *rq, unsigned status, const lk_err *err)
{
    lk_reply_clear(&rq->reply, true);
    lk_reply_error(&rq->reply, status ? status : lk_status_of(err->code, LK_BLAME_REQUEST), err);
    add_headers(rq);
}

static const char *allow_of(lk_request *rq, unsigned methods)
{
    lk_buf b;
    lk_buf_init(&b, 256);
    lk_methods_write(methods, &b);
    const char *text = lk_arena_strndup(&rq->arena, b.p, b.n);
    lk_buf_release(&b);
    return text;
}

static lk_next answer_options(lk_request *rq, unsigned allowed)
{
    const char *allow = allow_of(rq, allowed);
    lk_reply_clear(&rq->reply, true);
    rq->reply.status = 204;
    lk_reply_header(&rq->reply, "Allow", allow);
    if (rq->in.origin && origin_allowed(rq)) {
        lk_reply_header(&rq->reply, "Access-Control-Allow-Methods", allow);
        lk_reply_header(&rq->reply, "Access-Control-Allow-Headers", "Content-Type, X-Request-Id");
        lk_reply_header(&rq->reply, "Access-Control-Max-Age", "600");
    }
    add_headers(rq);
    return LK_NEXT_ANSWER;
}

static lk_next no_route(lk_request *rq, unsigned allowed)
{
    lk_err err = {0};
    if (allowed && rq->method == LK_OPTIONS)
        return answer_options(rq, allowed);
    if (!allowed) {
        lk_fail(&err, LK_E_NOT_FOUND, "there is nothing at \"%.*s\"",
                rq->path.n < 128 ? (int)rq->path.n : 128, rq->path.p);
        return refuse(rq, 404, &err);
    }
    lk_fail(&err, LK_E_UNSUPPORTED, "%s is not for this address, only %s", rq->method_name,
            allow_of(rq, allowed));
    lk_next next = refuse(rq, 405, &err);
    lk_reply_header(&rq->reply, "Allow", allow_of(rq, allowed));
    return next;
}

static const char *kinds_text(unsigned kinds)
{
    switch (kinds) {
    case LK_BODY_JSON:
        return "application/json";
    case LK_BODY_FORM:
        return "multipart/form-data";
    case LK_BODY_JSON | LK_BODY_FORM:
        return "application/json or multipart/form-data";
    default:
        return "multipart/form-data, or the picture itself as image/*";
    }
}

static lk_next begin_body(lk_request *rq)
{
    lk_err err = {0};
    unsigned takes = rq->route->body;
    bool has_body = rq->in.chunked || rq->in.content_length > 0;
    if (!takes && !has_body)
        return LK_NEXT_BODY;
    if (!takes) {
        lk_fail(&err, LK_E_INVALID, "this request takes no body");
        return refuse(rq, 400, &err);
    }
    const char *type = rq->in.content_type;
    lk_body_kind kind = type ? lk_body_kind_of(type) : LK_BODY_NONE;
    if (!has_body && !type) {
        lk_fail(&err, LK_E_INVALID, "the body is empty; %s is expected", kinds_text(takes));
        return refuse(rq, 400, &err);
    }
    if (!(kind & takes)) {
        lk_fail(&err, LK_E_UNSUPPORTED, "the body must be %s, not %.100s", kinds_text(takes),
                type ? type : "without a Content-Type");
        return refuse(rq, 415, &err);
    }
    const lk_server_opts *o = &rq->server->opts;
    uint64_t max = kind == LK_BODY_JSON ? o->max_json : o->max_body;
    if (rq->in.content_length > max) {
        lk_fail(&err, LK_E_LIMIT, "the body has %" PRIu64 " bytes, more than %" PRIu64,
                rq->in.content_length, max);
        return refuse(rq, 413, &err);
    }
    /* Every file may come with an id and metadata, and a form with a few fields of its own. */
    lk_code code = lk_body_begin(&rq->body, kind, (size_t)rq->in.content_length, (size_t)max,
                                 (size_t)o->max_files * 3 + 16, &err);
    return code ? refuse(rq, code == LK_E_LIMIT ? 413 : 503, &err) : LK_NEXT_BODY;
}

static lk_code parse_target(lk_request *rq, lk_err *err)
{
    lk_str rest = rq->target;
    rq->path = lk_str_cut(&rest, '?');
    return lk_args_parse(rest, &rq->arena, &rq->query, err);
}

static bool changes_something(const lk_request *rq)
{
    return rq->method == LK_POST || rq->method == LK_PATCH || rq->method == LK_DELETE;
}

lk_next lk_dispatch_head(lk_request *rq)
{
    lk_server *s = rq->server;
    lk_str raw_args[LK_MAX_PATH_ARGS] = {{0}};
    unsigned allowed = 0;
    lk_err err = {0};
    if (rq->target.n > s->opts.max_url) {
        rq->path = (lk_str){rq->target.p, 32};
        lk_fail(&err, LK_E_LIMIT, "the URL has %zu bytes, more than %" PRIu64, rq->target.n,
                s->opts.max_url);
        return refuse(rq, 414, &err);
    }
    if (rq->in.bytes > s->opts.max_headers) {
        lk_fail(&err, LK_E_LIMIT, "the headers have %zu bytes, more than %" PRIu64, rq->in.bytes,
                s->opts.max_headers);
        return refuse(rq, 431, &err);
    }
    lk_code code = parse_target(rq, &err);
    if (code)
        return refuse(rq, 0, &err);
    unsigned method = rq->method == LK_HEAD ? LK_GET : rq->method;
    rq->route = lk_route_match(lk_routes, lk_n_routes, method, rq->path, raw_args, &allowed);
    if (!rq->route)
        return no_route(rq, allowed);
    if (lk_server_phase(s) >= LK_STOPPING && !rq->route->when_stopping) {
        lk_fail(&err, LK_E_BUSY, "the server is stopping");
        return refuse(rq, 503, &err);
    }
    if (changes_something(rq) && rq->in.origin && !same_origin(rq) && !origin_allowed(rq)) {
        lk_fail(&err, LK_E_DENIED, "a page of %.100s may not use this server; see the cors option",
                rq->in.origin);
        return refuse(rq, 403, &err);
    }
    for (size_t i = 0; !code && i < LK_MAX_PATH_ARGS && raw_args[i].n; i++)
        code = lk_percent_decode(raw_args[i], false, &rq->arena, &rq->path_args[i], &err);
    return code ? refuse(rq, 0, &err) : begin_body(rq);
}

void lk_dispatch_run(lk_request *rq)
{
    lk_err err = {0};
    rq->blame = LK_BLAME_REQUEST;
    lk_reply_clear(&rq->reply, true);
    lk_code code = rq->route->handle(rq, &err);
    if (code) {
        err.code = code;
        lk_dispatch_refuse(rq, lk_status_of(code, rq->blame), &err);
    } else {
        add_headers(rq);
    }
}

void lk_dispatch_done(lk_request *rq, bool whole)
{
    lk_server *s = rq->server;
    uint64_t took_us = (lk_now_ns() - rq->start_ns) / 1000;
    unsigned status = whole ? rq->reply.status : 499;
    size_t bytes = !whole ? 0 : rq->reply.fixed ? rq->reply.n_fixed : rq->reply.body.n;
    size_t route = rq->route ? (size_t)(rq->route - lk_routes) : lk_n_routes;
    if (!whole)
        atomic_fetch_add_explicit(&s->metrics.broken, 1, memory_order_relaxed);
    lk_metrics_count(&s->metrics, route, status, took_us, rq->body.received, bytes);
    if (!s->opts.access_log || !s->log)
        return;
    char path[256];
    snprintf(path, sizeof path, "%.*s", rq->path.n < 255 ? (int)rq->path.n : 255,
             rq->path.p ? rq->path.p : "");
    lk_log_info(s->log, "request", LK_LS("method", rq->method_name ? rq->method_name : "?"),
                LK_LS("path", path), LK_LI("status", status), LK_LI("bytes", bytes),
                LK_LI("took_us", took_us), LK_LS("remote", rq->remote), LK_LS("id", rq->id));
}
