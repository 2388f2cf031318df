/* The HTTP client: libcurl with limits around it.
 *
 * A client keeps idle lines, each a curl easy handle in a multi handle of its own, which holds the
 * connection that the next request may reuse. A request takes a line or opens one, so any number
 * of threads may send at once and none waits for another.
 *
 * The transfer runs in the multi interface although it is alone there, because only so can this
 * file look up every tenth of a second: at the stop flag, and at how much has come lately. curl's
 * own low-speed limit counts whole seconds and is met by a peer that sends one byte now and then;
 * here a stall is less than STALL_BYTES in the given time, up and down together.
 *
 * Texts of errors name the URL without its query and credentials, where keys tend to be. */
#include "base/http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

enum {
    MAX_IDLE = 16,
    MAX_REDIRECTS = 10,
    POLL_MS = 100,
    STALL_BYTES = 1024,
    MAX_ERROR_BODY = 64 << 10,
    MAX_SHOWN_URL = 160
};

typedef struct line {
    CURLM *multi;
    CURL *easy;
} line;

struct lk_http {
    lk_mutex lock;
    line idle[MAX_IDLE];
    size_t n_idle;
};

lk_code lk_http_new(lk_http **ret, lk_err *err)
{
    lk_http *h = lk_calloc(1, sizeof *h);
    if (!h)
        return lk_fail(err, LK_E_NOMEM, "no memory for an HTTP client");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) { /* counted, and safe in any thread */
        lk_free(h);
        return lk_fail(err, LK_E_NOMEM, "libcurl cannot start");
    }
    lk_mutex_init(&h->lock, LK_RANK_LEAF);
    *ret = h;
    return LK_OK;
}

static void line_close(line l)
{
    if (l.easy)
        curl_easy_cleanup(l.easy);
    if (l.multi)
        curl_multi_cleanup(l.multi);
}

void lk_http_free(lk_http *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n_idle; i++)
        line_close(h->idle[i]);
    lk_mutex_release(&h->lock);
    lk_free(h);
    curl_global_cleanup();
}

static line line_take(lk_http *h)
{
    line l = {NULL, NULL};
    lk_mutex_lock(&h->lock);
    if (h->n_idle > 0)
        l = h->idle[--h->n_idle];
    lk_mutex_unlock(&h->lock);
    if (!l.easy) {
        l.multi = curl_multi_init();
        l.easy = curl_easy_init();
    }
    return l;
}

static void line_give_back(lk_http *h, line l)
{
    curl_easy_reset(l.easy); /* keeps the connection */
    lk_mutex_lock(&h->lock);
    bool room = h->n_idle < MAX_IDLE;
    if (room)
        h->idle[h->n_idle++] = l;
    lk_mutex_unlock(&h->lock);
    if (!room)
        line_close(l);
}

typedef struct transfer {
    const lk_http_request *rq;
    lk_http_response *response;
    CURL *easy;
    struct curl_slist *headers;
    size_t max_body_bytes;
    uint64_t body_bytes; /* of the body, dropped ones included */
    uint64_t content_length;
    uint64_t range_start; /* of Content-Range */
    uint64_t range_total;
    bool has_range;
    lk_code stopped; /* why the transfer was ended from this side */
    lk_err why;
    char url[MAX_SHOWN_URL];
    char curl_text[CURL_ERROR_SIZE];
} transfer;

/* scheme://host/path: no credentials, no query. */
static void show_url(const char *url, char ret[MAX_SHOWN_URL])
{
    const char *scheme_end = strstr(url, "://");
    const char *host = scheme_end ? scheme_end + 3 : url;
    size_t n_host = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', n_host);
    const char *from = at ? at + 1 : host;
    snprintf(ret, MAX_SHOWN_URL, "%.*s%.*s", (int)(host - url), url, (int)strcspn(from, "?#"),
             from);
}

static size_t stop(transfer *t, lk_code code)
{
    t->stopped = code;
    return 0; /* not what curl handed over, so it ends the transfer */
}

/* The value of a header line called name, or nothing. */
static bool is_header(lk_str text, const char *name, lk_str *ret_value)
{
    lk_str head = lk_str_cut(&text, ':');
    if (!lk_str_eq_nocase(head, lk_str_of(name)))
        return false;
    *ret_value = lk_str_trim(text);
    return true;
}

/* "bytes 100-199/1000", where the total may be "*" */
static void read_content_range(transfer *t, lk_str value)
{
    uint64_t start;
    if (!lk_str_starts(value, LK_STR("bytes ")))
        return;
    value = (lk_str){value.p + 6, value.n - 6};
    lk_str span = lk_str_cut(&value, '/');
    if (!lk_str_to_u64(lk_str_cut(&span, '-'), &start))
        return;
    t->has_range = true;
    t->range_start = start;
    if (!lk_str_to_u64(value, &t->range_total))
        t->range_total = 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    transfer *t = ctx;
    lk_http_response *r = t->response;
    lk_str text = lk_str_trim((lk_str){p, size * n});
    lk_str value;
    if (lk_str_starts(text, LK_STR("HTTP/"))) { /* a new answer: after a redirect, say */
        r->etag[0] = '\0';
        t->has_range = false;
        t->content_length = 0;
        if (t->rq->see_header)
            t->rq->see_header(t->rq->sink_ctx, LK_STR(""), text);
        return size * n;
    }
    if (t->rq->see_header && text.n > 0) {
        lk_str rest = text;
        lk_str name = lk_str_cut(&rest, ':');
        t->rq->see_header(t->rq->sink_ctx, name, lk_str_trim(rest));
    }
    if (is_header(text, "etag", &value)) {
        if (value.n < sizeof r->etag) { /* half a tag would match nothing */
            memcpy(r->etag, value.p, value.n);
            r->etag[value.n] = '\0';
        }
    } else if (is_header(text, "content-range", &value)) {
        read_content_range(t, value);
    } else if (is_header(text, "content-length", &value)) {
        if (!lk_str_to_u64(value, &t->content_length))
            t->content_length = 0;
    }
    return size * n;
}

static size_t collect(transfer *t, const char *p, size_t n, size_t limit, bool cut)
{
    lk_buf *body = &t->response->body;
    size_t room = limit > body->n ? limit - body->n : 0;
    size_t kept = cut && n > room ? room : n;
    lk_buf_put(body, p, kept);
    lk_code code = lk_buf_check(body, &t->why);
    return code ? stop(t, code) : n;
}

/* At the first byte of a 206: are these the bytes that were asked for? */
static bool range_is_right(transfer *t, long status)
{
    if (status != 206 || t->rq->resume_at == 0 || t->body_bytes > 0)
        return true;
    if (t->has_range && t->range_start == t->rq->resume_at)
        return true;
    lk_fail(&t->why, LK_E_NET, "%s sent another part than the one from byte %" PRIu64, t->url,
            t->rq->resume_at);
    return false;
}

static void read_facts(const transfer *t, CURL *easy)
{
    lk_http_response *r = t->response;
    const char *type = NULL;
    curl_off_t retry_s = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &r->status);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_s);
    if (curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type)
        snprintf(r->content_type, sizeof r->content_type, "%s", type);
    r->retry_after_s = retry_s > 0 ? (uint64_t)retry_s : 0;
    if (t->has_range)
        r->total_bytes = t->range_total;
    else if (r->status == 200)
        r->total_bytes = t->content_length;
}

static bool begin(transfer *t, long status)
{
    if (!t->rq->begin || t->body_bytes > 0)
        return true;
    read_facts(t, t->easy);
    t->stopped =
        t->rq->begin(t->rq->sink_ctx, t->response, status == 206 ? t->rq->resume_at : 0, &t->why);
    return t->stopped == LK_OK;
}

static size_t on_body(char *p, size_t size, size_t n_items, void *ctx)
{
    transfer *t = ctx;
    size_t n = size * n_items;
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299)
        return collect(t, p, n, MAX_ERROR_BODY, true);
    if (!range_is_right(t, status))
        return stop(t, LK_E_NET);
    if (!begin(t, status))
        return 0;

    uint64_t before = t->body_bytes;
    uint64_t drop = status == 200 && !t->rq->begin ? t->rq->resume_at : 0;
    t->body_bytes += n;
    uint64_t wanted = t->body_bytes > drop ? t->body_bytes - drop : 0;
    if (wanted > t->max_body_bytes) {
        lk_fail(&t->why, LK_E_LIMIT, "%s sent more than the %zu bytes allowed", t->url,
                t->max_body_bytes);
        return stop(t, LK_E_LIMIT);
    }
    size_t skip = before >= drop ? 0 : drop - before < n ? (size_t)(drop - before) : n;
    if (skip == n)
        return n;
    if (!t->rq->sink)
        return collect(t, p + skip, n - skip, t->max_body_bytes, false) ? n : 0;
    lk_code code = t->rq->sink(t->rq->sink_ctx, p + skip, n - skip);
    if (code) {
        lk_fail(&t->why, code, "the bytes of %s could not be taken: %s", t->url,
                lk_code_text(code));
        return stop(t, code);
    }
    return n;
}

static bool add_header(transfer *t, const char *text)
{
    struct curl_slist *longer = curl_slist_append(t->headers, text);
    if (longer)
        t->headers = longer;
    return longer != NULL;
}

static uint64_t or_else(uint64_t v, uint64_t dflt)
{
    return v ? v : dflt;
}

static long as_long(uint64_t v)
{
    return v < INT32_MAX ? (long)v : INT32_MAX;
}

static bool set_method(CURL *easy, const lk_http_request *rq)
{
    bool has_body = rq->body.p != NULL;
    const char *method = rq->method ? rq->method : has_body ? "POST" : "GET";
    bool ok = true;
    if (has_body) {
        ok = ok && !curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)rq->body.p);
        ok = ok && !curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.n);
    }
    if (strcmp(method, "HEAD") == 0)
        ok = ok && !curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (strcmp(method, "POST") == 0 && !has_body)
        ok = ok && !curl_easy_setopt(easy, CURLOPT_POST, 1L) &&
             !curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
    else if (strcmp(method, has_body ? "POST" : "GET") != 0)
        ok = ok && !curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    return ok;
}

static bool set_headers(transfer *t, CURL *easy)
{
    bool ok = add_header(t, "Expect:"); /* ask to send and then wait a second: no */
    for (const char *const *p = t->rq->headers; ok && p && *p; p++)
        ok = add_header(t, *p);
    if (t->rq->resume_at > 0) {
        char range[40];
        snprintf(range, sizeof range, "%" PRIu64 "-", t->rq->resume_at);
        ok = ok && !curl_easy_setopt(easy, CURLOPT_RANGE, range);
    }
    return ok && !curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
}

/* What every request has in common, and the bounds of this one. */
static bool set_bounds(transfer *t, CURL *easy)
{
    const lk_http_request *rq = t->rq;
    bool secure = strncasecmp(rq->url, "https:", 6) == 0;
    const struct {
        CURLoption name;
        long value;
    } numbers[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_FOLLOWLOCATION, 1},
        {CURLOPT_MAXREDIRS, MAX_REDIRECTS},
        {CURLOPT_CONNECTTIMEOUT_MS, as_long(or_else(rq->connect_ms, 10000))},
        {CURLOPT_TIMEOUT_MS, as_long(or_else(rq->total_ms, 60000))},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1}, /* a proxy's own are not the answer's */
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(numbers); i++) {
        if (curl_easy_setopt(easy, numbers[i].name, numbers[i].value))
            return false;
    }
    return !curl_easy_setopt(easy, CURLOPT_URL, rq->url) &&
           !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
           !curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https") &&
           !curl_easy_setopt(easy, CURLOPT_USERAGENT, "lookalike/" LK_VERSION) &&
           !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->curl_text) &&
           !curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) &&
           !curl_easy_setopt(easy, CURLOPT_HEADERDATA, t) &&
           !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) &&
           !curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
}

static uint64_t moved_bytes(CURL *easy)
{
    curl_off_t down = 0;
    curl_off_t up = 0;
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &up);
    return (uint64_t)down + (uint64_t)up;
}

/* Move the transfer along until it ends or this side ends it. CURLE_OK also when t->stopped. */
static CURLcode drive(transfer *t, line l)
{
    const uint64_t stall_ns = or_else(t->rq->stall_ms, 30000) * 1000000;
    uint64_t mark_bytes = 0;
    uint64_t mark_ns = lk_now_ns();
    for (;;) {
        int running = 0;
        if (curl_multi_perform(l.multi, &running) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
        if (running == 0)
            break;
        uint64_t moved = moved_bytes(l.easy);
        uint64_t now_ns = lk_now_ns();
        if (moved - mark_bytes >= STALL_BYTES) {
            mark_bytes = moved;
            mark_ns = now_ns;
        }
        if (lk_cancel_is_set(t->rq->cancel)) {
            t->stopped = lk_fail(&t->why, LK_E_CANCELED, "%s was stopped on request", t->url);
            return CURLE_OK;
        }
        if (now_ns - mark_ns >= stall_ns) {
            t->stopped =
                lk_fail(&t->why, LK_E_TIMEOUT, "%s sent next to nothing for %" PRIu64 " ms", t->url,
                        stall_ns / 1000000);
            return CURLE_OK;
        }
        if (curl_multi_poll(l.multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
    }
    int left = 0;
    CURLMsg *done = curl_multi_info_read(l.multi, &left);
    return done ? done->data.result : CURLE_OUT_OF_MEMORY;
}

static lk_code code_of_curl(CURLcode failed)
{
    switch (failed) {
    case CURLE_OPERATION_TIMEDOUT:
        return LK_E_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return LK_E_NOMEM;
    case CURLE_PARTIAL_FILE:
        return LK_E_TRUNCATED;
    case CURLE_URL_MALFORMAT:
        return LK_E_INVALID;
    case CURLE_PEER_FAILED_VERIFICATION: /* another try would end the same way */
        return LK_E_DENIED;
    default:
        return LK_E_NET;
    }
}

static lk_code run(transfer *t, line l, lk_err *err)
{
    if (curl_multi_add_handle(l.multi, l.easy) != CURLM_OK)
        return lk_fail(err, LK_E_NOMEM, "no memory for a request to %s", t->url);
    CURLcode failed = drive(t, l);
    read_facts(t, l.easy);
    curl_multi_remove_handle(l.multi, l.easy);
    if (t->stopped) {
        if (err)
            *err = t->why;
        return t->stopped;
    }
    if (failed)
        return lk_fail(err, code_of_curl(failed), "%s: %s", t->url,
                       t->curl_text[0] ? t->curl_text : curl_easy_strerror(failed));
    return LK_OK;
}

lk_code lk_http_send(lk_http *h, const lk_http_request *rq, lk_http_response *ret, lk_err *err)
{
    transfer t = {
        .rq = rq,
        .response = ret,
        .max_body_bytes = rq->max_body_bytes ? rq->max_body_bytes : (size_t)64 << 20,
    };
    memset(ret, 0, sizeof *ret);
    lk_buf_init(&ret->body, t.max_body_bytes > MAX_ERROR_BODY ? t.max_body_bytes : MAX_ERROR_BODY);
    show_url(rq->url, t.url);
    if (lk_cancel_is_set(rq->cancel))
        return lk_fail(err, LK_E_CANCELED, "%s was stopped on request", t.url);

    line l = line_take(h);
    t.easy = l.easy;
    lk_code code = LK_OK;
    if (!l.easy || !l.multi || !set_bounds(&t, l.easy) || !set_method(l.easy, rq) ||
        !set_headers(&t, l.easy))
        code = lk_fail(err, LK_E_NOMEM, "no memory for a request to %s", t.url);
    if (!code)
        code = run(&t, l, err);
    if (l.easy && l.multi)
        line_give_back(h, l);
    else
        line_close(l);
    curl_slist_free_all(t.headers);
    return code;
}

void lk_http_response_release(lk_http_response *r)
{
    if (r)
        lk_buf_release(&r->body);
}
