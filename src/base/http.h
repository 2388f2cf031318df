/* An HTTP client over libcurl: requests with limits, time-outs and a sink for the body.
 *
 * HTTP and HTTPS only, certificates checked, proxy variables honoured, at most ten redirects and
 * none from https to http. A client keeps connections and is internally locked. */
#ifndef LK_BASE_HTTP_H
#define LK_BASE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"

typedef struct lk_http lk_http;

/* Takes body bytes as they come; anything but LK_OK stops the transfer with that code. It sees the
 * bodies of 2xx answers only: what comes with another status is collected in the response, for the
 * sentence that the server may have put there. */
typedef lk_code lk_http_sink_fn(void *ctx, const void *p, size_t n);

/* Sees the headers of every answer, of those that redirect as well, before any body. An answer
 * begins with its status line, whose name is empty. */
typedef void lk_http_header_fn(void *ctx, lk_str name, lk_str value);

typedef struct lk_http_response lk_http_response;
/* Called before the sink sees the first byte, which is that of number `at` of the resource; status,
 * etag and total_bytes of *r are known by then. Anything but LK_OK, with its sentence, stops the
 * transfer. */
typedef lk_code lk_http_begin_fn(void *ctx, const lk_http_response *r, uint64_t at, lk_err *err);

typedef struct lk_http_request {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
    lk_blob body;
    uint64_t connect_ms;   /* 0: 10 s */
    uint64_t total_ms;     /* 0: 60 s */
    uint64_t stall_ms;     /* give up after so long with next to nothing received; 0: 30 s */
    size_t max_body_bytes; /* 0: 64 MiB; over it LK_E_LIMIT */
    uint64_t resume_at;    /* ask for the bytes from here on; a server that sends the whole instead
                            * (200, not 206) has the bytes before it dropped, unless there is a
                            * `begin`, which is told that the first byte has the number 0 */
    lk_http_sink_fn *sink; /* NULL: the body is collected in the response */
    void *sink_ctx;
    lk_http_begin_fn *begin;       /* with sink_ctx; NULL: none */
    lk_http_header_fn *see_header; /* with sink_ctx; NULL: none */
    const lk_cancel *cancel;       /* NULL: none */
} lk_http_request;

struct lk_http_response {
    long status;
    char content_type[96];
    char etag[96];
    uint64_t total_bytes;   /* the whole resource's, 0 when unknown */
    uint64_t retry_after_s; /* 0: none asked for */
    lk_buf body;
};

LK_CHECK lk_code lk_http_new(lk_http **ret, lk_err *err);
void lk_http_free(lk_http *h); /* NULL allowed */
/* LK_OK means that an answer came, whole, whatever its status. LK_E_NET, LK_E_TIMEOUT, LK_E_LIMIT,
 * LK_E_CANCELED, LK_E_TRUNCATED, LK_E_INVALID (the URL), LK_E_DENIED (a certificate that nobody
 * vouches for) or the sink's code otherwise. The response must be released in either case. */
LK_CHECK lk_code lk_http_send(lk_http *h, const lk_http_request *rq, lk_http_response *ret,
                              lk_err *err);
void lk_http_response_release(lk_http_response *r);

#endif
