/* What is tried again: no connection, a time-out, 408, 429 and 500, 502, 503, 504. What is not: all
 * other statuses, because the same request would get the same answer. The pauses double and half of
 * each is left to chance, so that clients that failed together do not come back together; where the
 * service says when to come back, that is heeded. A try that could not end in time is not begun:
 * then the last reason is the answer. */
#include "model/remote.h"

#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"

#define MAX_PAUSE_MS 30000
#define MAX_SHOWN 160 /* bytes of the service's own sentence */

typedef struct call {
    lk_http *http;
    const lk_remote_opts *o;
    const char *url;
    lk_str body;
    uint64_t end_ns;
    uint64_t asked_ms; /* the pause that the service asked for */
} call;

static bool may_help(lk_code code, long status)
{
    if (status == 0)
        return code == LK_E_TIMEOUT || code == LK_E_NET;
    return status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504);
}

/* Services put their sentence in one of these. */
static lk_str sentence_of(const lk_jval *root)
{
    static const char *const members[] = {"message", "detail", "error"};
    for (size_t i = 0; i < LK_ARRAY_LEN(members); i++) {
        const lk_jval *v = lk_jval_get(root, members[i]);
        if (lk_jval_type(v) == LK_J_OBJ)
            v = lk_jval_get(v, "message");
        if (lk_jval_type(v) == LK_J_STR)
            return lk_jval_str(v);
    }
    return (lk_str){"", 0};
}

/* scheme://host of a URL, which has no credentials in it. */
static int host_bytes(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? (int)(host + 3 - url) + (int)strcspn(host + 3, "/?#") : (int)strcspn(url, "/?#");
}

static lk_code refused(const call *c, const lk_remote_answer *a, lk_err *err)
{
    lk_json *json = NULL;
    bool parsed = lk_json_parse(lk_buf_str(&a->body), &json, NULL) == LK_OK;
    lk_str says = parsed ? sentence_of(lk_json_root(json)) : (lk_str){"", 0};
    int shown = (int)(says.n < MAX_SHOWN ? says.n : MAX_SHOWN);
    int host = host_bytes(c->url);
    const char *colon = shown ? ": " : "";
    lk_code code = LK_E_NET;
    if (a->status == 401 || a->status == 403)
        code = lk_fail(err, LK_E_MODEL, "%.*s refuses the key in %s (%ld)%s%.*s", host, c->url,
                       c->o->key_name, a->status, colon, shown, says.p);
    else if (a->status == 429)
        code = lk_fail(err, LK_E_BUSY, "%.*s has had too many requests (429)%s%.*s", host, c->url,
                       colon, shown, says.p);
    else
        code =
            lk_fail(err, a->status == 408 || a->status == 504 ? LK_E_TIMEOUT : LK_E_NET,
                    "%.*s answers with %ld%s%.*s", host, c->url, a->status, colon, shown, says.p);
    lk_json_free(json);
    return code;
}

/* What a caller may make of it: our picture is not cut off or too large because the answer is. */
static lk_code as_failed_call(lk_code code, lk_err *err)
{
    if (code == LK_OK || code == LK_E_NOMEM || code == LK_E_TIMEOUT)
        return code;
    if (err)
        err->code = LK_E_NET;
    return LK_E_NET;
}

static lk_code try_once(call *c, lk_remote_answer *ret, lk_err *err)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Accept: application/json", NULL};
    lk_http_response r;
    uint64_t now = lk_now_ns();
    uint64_t left_ms = c->end_ns > now ? (c->end_ns - now) / 1000000 : 0;
    uint64_t ms = left_ms < c->o->try_ms ? left_ms : c->o->try_ms;
    lk_http_request rq = {.url = c->url,
                          .headers = headers,
                          .body = {(const unsigned char *)c->body.p, c->body.n},
                          .connect_ms = ms < 5000 ? ms + 1 : 5000,
                          .total_ms = ms + 1,
                          .max_body_bytes = c->o->max_bytes};
    lk_code code = as_failed_call(lk_http_send(c->http, &rq, &r, err), err);
    ret->status = code ? 0 : r.status;
    lk_buf_release(&ret->body);
    ret->body = r.body;
    lk_buf_init(&r.body, 0);
    c->asked_ms = code ? 0 : (r.retry_after_s < 3600 ? r.retry_after_s : 3600) * 1000;
    lk_http_response_release(&r);
    return !code && ret->status != 200 ? refused(c, ret, err) : code;
}

static uint64_t pause_of(const call *c, unsigned failed)
{
    uint64_t ms = c->o->pause_ms << (failed < 16 ? failed : 16), chance = 0;
    if (ms > MAX_PAUSE_MS)
        ms = MAX_PAUSE_MS;
    if (lk_os()->random(&chance, sizeof chance) == 0)
        ms = ms / 2 + chance % (ms / 2 + 1);
    return ms > c->asked_ms ? ms : c->asked_ms;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0)
        continue;
}

lk_code lk_remote_post(lk_http *http, const lk_remote_opts *o, const char *url, lk_str body,
                       lk_remote_answer *ret, lk_err *err)
{
    call c = {http, o, url, body, lk_now_ns() + o->total_ms * 1000000, 0};
    *ret = (lk_remote_answer){0};
    lk_code code = try_once(&c, ret, err);
    for (unsigned failed = 0; failed < o->retries && code && may_help(code, ret->status);
         failed++) {
        uint64_t ms = pause_of(&c, failed);
        if (lk_now_ns() + ms * 1000000 >= c.end_ns)
            break;
        sleep_ms(ms);
        code = try_once(&c, ret, err);
    }
    return code;
}

void lk_remote_answer_release(lk_remote_answer *a)
{
    lk_buf_release(&a->body);
    *a = (lk_remote_answer){0};
}
