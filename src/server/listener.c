/* libmicrohttpd, and nothing else, lives here.
 *
 * A few threads read and write sockets (epoll inside the library); a request that needs the engine
 * is suspended, handed to a worker, and resumed with its answer ready:
 *
 *   first byte   on_uri       the connection's request begins
 *   headers      on_access    head(): route and checks; then READING, or SINKING with a refusal
 *   body         on_access    pieces go to the request's buffers
 *   body's end   on_access    run(): inline, or WORKING: suspended, in a pool's queue
 *   (worker)     run_job      the handler; the answer is made; resume: ANSWERING
 *   resumed      on_access    the answer is queued for sending
 *   last byte    on_done      counted, logged, cleared for the connection's next request
 *
 * A refusal cannot be sent in the middle of a body, and closing early makes the system reset the
 * connection, so that the client never reads why. So the rest of a refused body is swallowed, up to
 * MAX_SINK; a client that waits for "100 Continue" is told at once.
 *
 * The library aborts when it is stopped while a request is suspended. A job always resumes, and
 * the pools are emptied before the listener is closed. */
#include "server/listener.h"

#include <microhttpd.h>

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "server/dispatch.h"
#include "server/internal.h"

#define MAX_SINK (256u << 20)    /* bytes of a refused body that are read and thrown away */
#define POOL_BYTES (32u << 10)   /* a connection's memory beside its headers; half is for reading */
#define FORM_BYTES (32u << 10)   /* the form parser's buffer */
#define ARENA_BYTES (256u << 20) /* of one request */
#define KEEP_ARENA_BYTES 262144  /* a connection at rest keeps no more than this */

struct lk_listener {
    lk_server *server;
    struct MHD_Daemon *daemon;
};

typedef enum stage { ST_HEAD, ST_READING, ST_SINKING, ST_WORKING, ST_ANSWERING } stage;

typedef struct conn {
    lk_request rq;
    struct MHD_Connection *mhd;
    struct MHD_PostProcessor *form; /* of a body in parts */
    struct MHD_Response *response;  /* made by whoever ran the handler */
    stage stage;
    uint64_t sunk;
    lk_err form_err; /* why the form's reader stopped */
} conn;

/* ---- connections ---- */

static void describe_peer(conn *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    c->rq.remote[0] = '\0';
    if (!info || !info->client_addr)
        return;
    socklen_t n = info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                           : sizeof(struct sockaddr_in);
    if (getnameinfo(info->client_addr, n, c->rq.remote, sizeof c->rq.remote, NULL, 0,
                    NI_NUMERICHOST) != 0)
        c->rq.remote[0] = '\0';
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    lk_server *s = ctx;
    conn *c = *socket_ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        c = lk_calloc(1, sizeof *c);
        *socket_ctx = c;
        if (!c)
            return;
        c->mhd = mhd;
        c->rq.server = s;
        c->rq.engine = s->engine;
        lk_arena_init(&c->rq.arena, ARENA_BYTES);
        lk_body_init(&c->rq.body, &s->budget);
        lk_reply_init(&c->rq.reply);
        describe_peer(c);
    } else if (c) {
        lk_arena_release(&c->rq.arena);
        lk_body_clear(&c->rq.body, false);
        lk_reply_clear(&c->rq.reply, false);
        lk_free(c);
        *socket_ctx = NULL;
    }
}

/* ---- a request begins ---- */

static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *mhd)
{
    lk_server *s = ctx;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    conn *c = info ? info->socket_context : NULL;
    if (!c)
        return NULL;
    atomic_fetch_add(&s->active, 1);
    lk_request *rq = &c->rq;
    size_t n = strlen(uri);
    char *copy = lk_arena_strndup(&rq->arena, uri, n); /* the library decodes its own in place */
    rq->target = copy ? (lk_str){copy, n} : (lk_str){"/", 1};
    rq->start_ns = lk_now_ns();
    c->stage = ST_HEAD;
    return c;
}

static bool good_request_id(const char *v)
{
    size_t n = strlen(v);
    for (size_t i = 0; i < n; i++)
        if (v[i] <= ' ' || v[i] > '~' || v[i] == '"' || v[i] == '\\')
            return false;
    return n > 0 && n < sizeof((lk_request *)0)->id;
}

static enum MHD_Result see_header(void *ctx, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    lk_request *rq = ctx;
    (void)kind;
    value = value ? value : "";
    lk_str name = lk_str_of(key);
    rq->in.bytes += name.n + strlen(value) + 4;
    if (lk_str_eq_nocase(name, LK_STR("content-type")))
        rq->in.content_type = value;
    else if (lk_str_eq_nocase(name, LK_STR("content-length")))
        rq->in.has_length = lk_str_to_u64(lk_str_of(value), &rq->in.content_length);
    else if (lk_str_eq_nocase(name, LK_STR("transfer-encoding")))
        rq->in.chunked = true;
    else if (lk_str_eq_nocase(name, LK_STR("expect")))
        rq->in.expects_continue = true;
    else if (lk_str_eq_nocase(name, LK_STR("if-none-match")))
        rq->in.if_none_match = value;
    else if (lk_str_eq_nocase(name, LK_STR("origin")))
        rq->in.origin = value;
    else if (lk_str_eq_nocase(name, LK_STR("host")))
        rq->in.host = value;
    else if (lk_str_eq_nocase(name, LK_STR("x-request-id")) && good_request_id(value))
        snprintf(rq->id, sizeof rq->id, "%s", value);
    return MHD_YES;
}

static lk_method method_of(const char *name)
{
    static const struct {
        const char *name;
        lk_method method;
    } known[] = {{"GET", LK_GET},     {"POST", LK_POST},     {"HEAD", LK_HEAD},
                 {"PATCH", LK_PATCH}, {"DELETE", LK_DELETE}, {"OPTIONS", LK_OPTIONS}};
    for (size_t i = 0; i < LK_ARRAY_LEN(known); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].method;
    return 0;
}

static void read_head(conn *c, const char *method)
{
    lk_request *rq = &c->rq;
    memset(&rq->in, 0, sizeof rq->in);
    rq->id[0] = '\0';
    rq->route = NULL;
    rq->method = method_of(method);
    rq->method_name = method;
    memset(&rq->query, 0, sizeof rq->query);
    memset(rq->path_args, 0, sizeof rq->path_args);
    (void)MHD_get_connection_values(c->mhd, MHD_HEADER_KIND, see_header, rq);
    if (!rq->id[0]) {
        uint64_t n = atomic_fetch_add_explicit(&rq->server->id_next, 1, memory_order_relaxed);
        n = rq->server->id_seed + n * 0x9E3779B97F4A7C15u;
        snprintf(rq->id, sizeof rq->id, "%016" PRIx64, n);
    }
}

/* ---- the body ---- */

static enum MHD_Result see_part(void *ctx, enum MHD_ValueKind kind, const char *key,
                                const char *filename, const char *content_type,
                                const char *transfer_encoding, const char *data, uint64_t offset,
                                size_t size)
{
    conn *c = ctx;
    (void)kind;
    (void)transfer_encoding;
    lk_code code = lk_body_part(&c->rq.body, offset == 0, key, filename, content_type, data, size,
                                &c->form_err);
    return code ? MHD_NO : MHD_YES;
}

static lk_code feed(conn *c, const char *data, size_t n, lk_err *err)
{
    lk_body *b = &c->rq.body;
    lk_code code = lk_body_count(b, n, err);
    if (code)
        return code;
    if (b->kind != LK_BODY_FORM)
        return lk_body_append(b, data, n, err);
    if (!c->form) {
        c->form = MHD_create_post_processor(c->mhd, FORM_BYTES, see_part, c);
        if (!c->form)
            return lk_fail(err, LK_E_INVALID, "the form's Content-Type has no usable boundary");
    }
    if (MHD_post_process(c->form, data, n) == MHD_YES)
        return LK_OK;
    if (c->form_err.code) {
        *err = c->form_err;
        return err->code;
    }
    return lk_fail(err, LK_E_INVALID, "the form is malformed");
}

/* The form's reader must have seen its end, or the body was cut off. */
static lk_code end_form(conn *c, lk_err *err)
{
    if (!c->form)
        return LK_OK;
    enum MHD_Result whole = MHD_destroy_post_processor(c->form);
    c->form = NULL;
    return whole == MHD_YES ? LK_OK : lk_fail(err, LK_E_INVALID, "the form ends too early");
}

static void refuse_body(conn *c, const lk_err *err)
{
    unsigned status = err->code == LK_E_LIMIT ? 413 : err->code == LK_E_BUSY ? 503 : 0;
    lk_dispatch_refuse(&c->rq, status, err);
    lk_body_clear(&c->rq.body, false);
    c->stage = ST_SINKING;
}

static enum MHD_Result read_body(conn *c, const char *data, size_t *n)
{
    lk_request *rq = &c->rq;
    lk_err err = {0};
    size_t size = *n;
    *n = 0;
    if (lk_now_ns() - rq->start_ns > rq->server->opts.receive_ms * 1000000)
        return MHD_NO; /* too slow: the connection closes */
    if (c->stage == ST_SINKING) {
        c->sunk += size;
        return c->sunk > MAX_SINK ? MHD_NO : MHD_YES;
    }
    if (feed(c, data, size, &err) != LK_OK)
        refuse_body(c, &err);
    return MHD_YES;
}

/* ---- the answer ---- */

/* The response borrows the request's bytes, which stay until on_done. */
static struct MHD_Response *make_response(lk_request *rq)
{
    lk_reply *r = &rq->reply;
    union {
        const void *in;
        void *out;
    } bytes = {r->fixed ? r->fixed : r->body.p}; /* the library takes void * and only reads */
    size_t n = r->fixed ? r->n_fixed : r->body.n;
    struct MHD_Response *resp =
        MHD_create_response_from_buffer(n, bytes.out, MHD_RESPMEM_PERSISTENT);
    if (!resp)
        return NULL;
    if (r->media_type)
        (void)MHD_add_response_header(resp, "Content-Type", r->media_type);
    for (size_t i = 0; i < r->n_headers; i++)
        (void)MHD_add_response_header(resp, r->headers[i].name, r->headers[i].value);
    return resp;
}

static enum MHD_Result send_answer(conn *c)
{
    if (!c->response)
        c->response = make_response(&c->rq);
    if (!c->response)
        return MHD_NO;
    enum MHD_Result sent = MHD_queue_response(c->mhd, c->rq.reply.status, c->response);
    MHD_destroy_response(c->response);
    c->response = NULL;
    return sent;
}

static void run_job(void *ctx)
{
    conn *c = ctx;
    lk_dispatch_run(&c->rq);
    c->response = make_response(&c->rq);
    c->stage = ST_ANSWERING;
    MHD_resume_connection(c->mhd); /* from here on c is the socket thread's */
}

static enum MHD_Result run(conn *c)
{
    lk_request *rq = &c->rq;
    lk_server *s = rq->server;
    lk_lane lane = rq->route->lane;
    if (lane == LK_LANE_INLINE) {
        lk_dispatch_run(rq);
        return send_answer(c);
    }
    c->stage = ST_WORKING;
    MHD_suspend_connection(c->mhd); /* before the push: a worker may be done at once */
    lk_mutex_lock(&s->pool_lock);
    bool ending = lk_server_phase(s) == LK_ENDING; /* S1 */
    bool taken = !ending && lk_pool_try_run(s->pools[lane], run_job, c);
    lk_mutex_unlock(&s->pool_lock);
    if (taken)
        return MHD_YES;
    lk_err err = {0};
    lk_fail(&err, LK_E_BUSY, ending ? "the server is stopping" : "too many requests are waiting");
    lk_dispatch_refuse(rq, ending ? 503 : 429, &err);
    c->stage = ST_ANSWERING;
    MHD_resume_connection(c->mhd);
    return MHD_YES;
}

static enum MHD_Result begin(conn *c, const char *method)
{
    read_head(c, method);
    if (lk_dispatch_head(&c->rq) == LK_NEXT_BODY) {
        c->stage = ST_READING;
        return MHD_YES;
    }
    bool body_comes = c->rq.in.chunked || c->rq.in.content_length > 0;
    c->stage = ST_SINKING;
    if (body_comes && (c->rq.in.expects_continue || c->rq.in.content_length > MAX_SINK))
        return send_answer(c);
    return MHD_YES;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *n, void **request_ctx)
{
    conn *c = *request_ctx;
    lk_err err = {0};
    (void)ctx;
    (void)mhd;
    (void)url;
    (void)version;
    if (!c)
        return MHD_NO;
    if (c->stage == ST_HEAD)
        return begin(c, method);
    if (*n > 0)
        return read_body(c, data, n);
    switch (c->stage) {
    case ST_READING:
        if (end_form(c, &err) == LK_OK)
            return run(c);
        lk_dispatch_refuse(&c->rq, 0, &err);
        return send_answer(c);
    case ST_SINKING:
    case ST_ANSWERING:
        return send_answer(c);
    default:
        return MHD_YES;
    }
}

static void on_done(void *ctx, struct MHD_Connection *mhd, void **request_ctx,
                    enum MHD_RequestTerminationCode why)
{
    lk_server *s = ctx;
    conn *c = *request_ctx;
    (void)mhd;
    if (!c)
        return;
    lk_dispatch_done(&c->rq, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (c->form)
        (void)MHD_destroy_post_processor(c->form);
    if (c->response)
        MHD_destroy_response(c->response);
    c->form = NULL;
    c->response = NULL;
    memset(&c->form_err, 0, sizeof c->form_err);
    c->sunk = 0;
    lk_body_clear(&c->rq.body, true);
    lk_reply_clear(&c->rq.reply, true);
    if (c->rq.arena.used_bytes > KEEP_ARENA_BYTES) {
        lk_arena_release(&c->rq.arena);
        lk_arena_init(&c->rq.arena, ARENA_BYTES);
    } else {
        lk_arena_clear(&c->rq.arena);
    }
    *request_ctx = NULL;
    atomic_fetch_sub(&s->active, 1);
}

/* ---- the daemon ---- */

static void on_log(void *ctx, const char *fmt, va_list args) LK_PRINTF(2, 0);
static void on_log(void *ctx, const char *fmt, va_list args)
{
    lk_server *s = ctx;
    char text[256];
    int n = vsnprintf(text, sizeof text, fmt, args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    while (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    lk_log_debug(s->log, "http library", LK_LS("text", text));
}

static unsigned io_threads(const lk_server_opts *o)
{
    if (o->io_threads > 0)
        return (unsigned)o->io_threads;
    unsigned n = lk_os_cpus() / 4;
    return n ? n : 1;
}

static struct MHD_Daemon *start(lk_server *s, int fd)
{
    const lk_server_opts *o = &s->opts;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    unsigned n_io = io_threads(o);
    uint64_t idle_s = (o->idle_ms + 999) / 1000;
    struct MHD_OptionItem more[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)o->max_connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)idle_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)(o->max_headers + o->max_url + POOL_BYTES),
         NULL},
        {n_io > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)n_io, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(flags, 0, NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_log,
                            s, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s, MHD_OPTION_NOTIFY_COMPLETED,
                            on_done, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
                            MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

lk_code lk_listener_open(lk_server *s, int fd, lk_listener **ret, lk_err *err)
{
    lk_listener *l = lk_calloc(1, sizeof *l);
    if (!l) {
        close(fd);
        return lk_fail(err, LK_E_NOMEM, "out of memory for the server");
    }
    l->server = s;
    l->daemon = start(s, fd);
    if (!l->daemon) {
        int sys = errno;
        close(fd);
        lk_free(l);
        return lk_fail_sys(err, sys, "the HTTP library does not start");
    }
    *ret = l;
    return LK_OK;
}

/* Clients whose connection the system has completed already believe to be connected: take them in,
 * so that they get an answer (a 503) and no reset. */
static void adopt_backlog(lk_listener *l, int fd)
{
    for (;;) {
        struct sockaddr_storage from;
        socklen_t n = sizeof from;
        int peer = accept4(fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer < 0)
            return;
        if (MHD_add_connection(l->daemon, peer, (struct sockaddr *)&from, n) != MHD_YES)
            return; /* the library has closed it */
    }
}

void lk_listener_quiesce(lk_listener *l)
{
    int fd = MHD_quiesce_daemon(l->daemon);
    if (fd < 0)
        return;
    adopt_backlog(l, fd);
    close(fd);
}

void lk_listener_close(lk_listener *l)
{
    if (!l)
        return;
    MHD_stop_daemon(l->daemon);
    lk_free(l);
}
