/* The client against a server of this file: a thread that takes one connection at a time on
 * loopback, reads a request up to its body's end, and answers as the test says. */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/http.h"
#include "base/mem.h"

typedef struct server server;
typedef void answer_fn(server *s, int fd);

struct server {
    int listener;
    uint16_t port;
    answer_fn *answer;
    lk_thread *thread;
    atomic_bool stop;
    atomic_int n_requests;
    char request[8192]; /* the one being read or answered: the server thread's own */
    lk_mutex lock;
    char last[8192]; /* the last one whole, head and body, under the lock */
    char base[64];   /* "http://127.0.0.1:port" */
    lk_http *client;
};

static void say(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t put = send(fd, at, n, MSG_NOSIGNAL);
        if (put <= 0)
            return; /* the client has had enough, which some tests want */
        at += put;
        n -= (size_t)put;
    }
}

static void sayz(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

/* Wait for input, looking at the stop flag now and then. */
static bool readable(server *s, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (!atomic_load(&s->stop)) {
        if (poll(&p, 1, 20) > 0)
            return true;
    }
    return false;
}

static bool read_request(server *s, int fd)
{
    size_t n = 0;
    for (;;) {
        s->request[n] = '\0';
        const char *end = strstr(s->request, "\r\n\r\n");
        if (end) {
            const char *length = strcasestr(s->request, "\r\ncontent-length:");
            size_t want = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
            if (n >= (size_t)(end + 4 - s->request) + want)
                return true;
        }
        if (n + 1 == sizeof s->request || !readable(s, fd))
            return false;
        ssize_t got = recv(fd, s->request + n, sizeof s->request - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
    }
}

static void serve(void *ctx)
{
    server *s = ctx;
    while (readable(s, s->listener)) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            continue;
        /* Keep the connection while the answer leaves it usable, as the client hopes. */
        while (read_request(s, fd)) {
            atomic_fetch_add(&s->n_requests, 1);
            lk_mutex_lock(&s->lock);
            memcpy(s->last, s->request, sizeof s->last);
            lk_mutex_unlock(&s->lock);
            s->answer(s, fd);
            if (strstr(s->request, "GET /close"))
                break;
        }
        close(fd);
    }
}

static void server_start(server *s, answer_fn *answer)
{
    lk_err err;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    memset(s, 0, sizeof *s);
    s->answer = answer;
    lk_mutex_init(&s->lock, LK_RANK_LEAF);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
    snprintf(s->base, sizeof s->base, "http://127.0.0.1:%u", s->port);
    test_ok(lk_http_new(&s->client, &err), &err);
    test_ok(lk_thread_start(&s->thread, "server", serve, s, &err), &err);
}

static void server_stop(server *s)
{
    lk_http_free(s->client);
    atomic_store(&s->stop, true);
    lk_thread_join(s->thread);
    close(s->listener);
    lk_mutex_release(&s->lock);
}

static const char *last_request(server *s, char ret[8192])
{
    lk_mutex_lock(&s->lock);
    memcpy(ret, s->last, sizeof s->last);
    lk_mutex_unlock(&s->lock);
    return ret;
}

/* Send rq to the path; the url lives as long as this call. */
static lk_code send_to(server *s, const char *path, lk_http_request rq, lk_http_response *ret,
                       lk_err *err)
{
    char url[256];
    snprintf(url, sizeof url, "%s%s", s->base, path);
    rq.url = url;
    return lk_http_send(s->client, &rq, ret, err);
}

static void hello(server *s, int fd)
{
    (void)s;
    sayz(fd,
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"v1\"\r\nContent-Length: 5\r\n\r\n"
         "hello");
}

static void an_answer_comes_with_its_facts(void **state)
{
    (void)state;
    char last[8192];
    server s;
    lk_err err;
    lk_http_response r;
    server_start(&s, hello);
    const char *const headers[] = {"X-One: 1", "X-Two: 2", NULL};
    test_ok(send_to(&s, "/a?b=c", (lk_http_request){.headers = headers}, &r, &err), &err);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.content_type, "text/plain");
    assert_string_equal(r.etag, "\"v1\"");
    assert_int_equal(r.total_bytes, 5);
    assert_string_equal(lk_buf_str(&r.body).p, "hello");
    lk_http_response_release(&r);
    lk_http_response_release(NULL);
    test_has(last_request(&s, last), "GET /a?b=c HTTP/1.1\r\n");
    test_has(last_request(&s, last), "X-One: 1\r\n");
    test_has(last_request(&s, last), "X-Two: 2\r\n");
    test_has(last_request(&s, last), "User-Agent: lookalike/" LK_VERSION "\r\n");
    server_stop(&s);
    lk_http_free(NULL);
}

static void bodies_and_methods_arrive_as_given(void **state)
{
    (void)state;
    char last[8192];
    server s;
    lk_err err;
    lk_http_response r;
    const lk_blob body = {(const unsigned char *)"a=1\n{}", 6};
    server_start(&s, hello);
    test_ok(send_to(&s, "/", (lk_http_request){.body = body}, &r, &err), &err);
    lk_http_response_release(&r);
    test_has(last_request(&s, last), "POST / HTTP/1.1\r\n");
    test_has(last_request(&s, last), "Content-Length: 6\r\n");
    test_has(last_request(&s, last), "\r\n\r\na=1\n{}");
    assert_null(strstr(last_request(&s, last), "Expect:"));
    test_ok(send_to(&s, "/", (lk_http_request){.method = "PUT", .body = body}, &r, &err), &err);
    lk_http_response_release(&r);
    test_has(last_request(&s, last), "PUT / HTTP/1.1\r\n");
    test_has(last_request(&s, last), "\r\n\r\na=1\n{}");
    test_ok(send_to(&s, "/", (lk_http_request){.method = "DELETE"}, &r, &err), &err);
    lk_http_response_release(&r);
    test_has(last_request(&s, last), "DELETE / HTTP/1.1\r\n");
    test_ok(send_to(&s, "/", (lk_http_request){.method = "POST"}, &r, &err), &err);
    lk_http_response_release(&r);
    test_has(last_request(&s, last), "POST / HTTP/1.1\r\n");
    test_has(last_request(&s, last), "Content-Length: 0\r\n");
    server_stop(&s);
}

static void unavailable(server *s, int fd)
{
    (void)s;
    sayz(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy");
}

static lk_code never(void *ctx, const void *p, size_t n)
{
    (void)p;
    *(size_t *)ctx += n;
    return LK_E_INTERNAL;
}

static void an_error_status_is_an_answer_and_spares_the_sink(void **state)
{
    (void)state;
    server s;
    lk_err err;
    lk_http_response r;
    size_t seen = 0;
    server_start(&s, unavailable);
    test_ok(send_to(&s, "/", (lk_http_request){.sink = never, .sink_ctx = &seen}, &r, &err), &err);
    assert_int_equal(r.status, 503);
    assert_int_equal(r.retry_after_s, 7);
    assert_string_equal(lk_buf_str(&r.body).p, "busy");
    assert_int_equal(seen, 0);
    lk_http_response_release(&r);
    server_stop(&s);
}

static void redirects(server *s, int fd)
{
    char text[256];
    int n = 0;
    if (sscanf(s->request, "GET /%d ", &n) == 1 && n > 0) {
        snprintf(
            text, sizeof text,
            "HTTP/1.1 302 Found\r\nLocation: /%d\r\nETag: \"no\"\r\nContent-Length: 3\r\n\r\nbad",
            n - 1);
        sayz(fd, text);
    } else if (strstr(s->request, "GET /file")) {
        sayz(fd, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
    } else {
        sayz(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend");
    }
}

static void redirects_are_followed_ten_times_and_only_over_http(void **state)
{
    (void)state;
    server s;
    lk_err err;
    lk_http_response r;
    server_start(&s, redirects);
    test_ok(send_to(&s, "/10", (lk_http_request){0}, &r, &err), &err);
    assert_int_equal(r.status, 200);
    assert_string_equal(lk_buf_str(&r.body).p, "end");
    assert_string_equal(r.etag, "");
    lk_http_response_release(&r);
    test_code(send_to(&s, "/11", (lk_http_request){0}, &r, &err), LK_E_NET);
    lk_http_response_release(&r);
    test_code(send_to(&s, "/file", (lk_http_request){0}, &r, &err), LK_E_NET);
    lk_http_response_release(&r);
    server_stop(&s);
}

static void truncated(server *s, int fd)
{
    (void)s;
    sayz(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    shutdown(fd, SHUT_RDWR);
}

static void nothing(server *s, int fd)
{
    (void)s;
    shutdown(fd, SHUT_RDWR);
}

static void garbage(server *s, int fd)
{
    (void)s;
    sayz(fd, "\x16\x03\x01 this is no HTTP\r\n\r\n");
    shutdown(fd, SHUT_RDWR);
}

static void a_broken_answer_is_no_answer(void **state)
{
    (void)state;
    static const struct {
        answer_fn *answer;
        lk_code code;
    } cases[] = {{truncated, LK_E_TRUNCATED}, {nothing, LK_E_NET}, {garbage, LK_E_NET}};
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        server s;
        lk_err err;
        lk_http_response r;
        server_start(&s, cases[i].answer);
        test_code(send_to(&s, "/secret?key=hidden", (lk_http_request){0}, &r, &err), cases[i].code);
        test_has(err.text, "/secret");
        assert_null(strstr(err.text, "hidden"));
        lk_http_response_release(&r);
        server_stop(&s);
    }
}

static void a_megabyte(server *s, int fd)
{
    static char body[1 << 20];
    (void)s;
    memset(body, 'x', sizeof body);
    bool chunked = strstr(s->request, "GET /chunked") != NULL;
    sayz(fd, chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n"
                     : "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    say(fd, body, sizeof body);
    if (chunked)
        sayz(fd, "\r\n0\r\n\r\n");
}

static lk_code count_bytes(void *ctx, const void *p, size_t n)
{
    (void)p;
    *(size_t *)ctx += n;
    return LK_OK;
}

static void a_body_is_bounded_to_the_byte(void **state)
{
    (void)state;
    static const char *const paths[] = {"/plain", "/chunked"};
    for (size_t i = 0; i < 2; i++) {
        server s;
        lk_err err;
        lk_http_response r;
        size_t n = 0;
        server_start(&s, a_megabyte);
        test_ok(send_to(&s, paths[i], (lk_http_request){.max_body_bytes = 1 << 20}, &r, &err),
                &err);
        assert_int_equal(r.body.n, 1 << 20);
        lk_http_response_release(&r);
        lk_http_request rq = {.sink = count_bytes, .sink_ctx = &n};
        test_ok(send_to(&s, paths[i], rq, &r, &err), &err);
        assert_int_equal(n, 1 << 20);
        assert_int_equal(r.body.n, 0);
        lk_http_response_release(&r);
        rq.max_body_bytes = (1 << 20) - 1;
        n = 0;
        test_code(send_to(&s, paths[i], rq, &r, &err), LK_E_LIMIT);
        assert_true(n < 1 << 20);
        lk_http_response_release(&r);
        test_code(send_to(&s, paths[i], (lk_http_request){.max_body_bytes = 1000}, &r, &err),
                  LK_E_LIMIT);
        test_has(err.text, "1000 bytes");
        lk_http_response_release(&r);
        server_stop(&s);
    }
}

static void a_sink_that_fails_ends_the_transfer_with_its_code(void **state)
{
    (void)state;
    server s;
    lk_err err;
    lk_http_response r;
    size_t n = 0;
    server_start(&s, a_megabyte);
    test_code(send_to(&s, "/", (lk_http_request){.sink = never, .sink_ctx = &n}, &r, &err),
              LK_E_INTERNAL);
    assert_in_range(n, 1, 1 << 19);
    lk_http_response_release(&r);
    server_stop(&s);
}

/* 26 letters: the range asked for, or the whole, or another part, as the path says. */
static void letters(server *s, int fd)
{
    static const char body[] = "abcdefghijklmnopqrstuvwxyz";
    char head[256];
    size_t from = 0;
    const char *range = strcasestr(s->request, "\r\nrange: bytes=");
    if (range)
        from = strtoul(range + 15, NULL, 10);
    if (strstr(s->request, "GET /whole") || !range) {
        from = 0;
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n");
    } else if (from >= 26) {
        sayz(fd, "HTTP/1.1 416 No\r\nContent-Range: bytes */26\r\nContent-Length: 0\r\n\r\n");
        return;
    } else {
        size_t told = strstr(s->request, "GET /other") ? from - 1 : from;
        snprintf(
            head, sizeof head,
            "HTTP/1.1 206 Part\r\nContent-Range: bytes %zu-25/26\r\nContent-Length: %zu\r\n\r\n",
            told, 26 - from);
    }
    sayz(fd, head);
    sayz(fd, body + from);
}

static void a_download_goes_on_where_it_stopped(void **state)
{
    (void)state;
    char last[8192];
    static const char *const paths[] = {"/part", "/whole"};
    server s;
    lk_err err;
    lk_http_response r;
    server_start(&s, letters);
    for (size_t i = 0; i < 2; i++) {
        test_ok(send_to(&s, paths[i], (lk_http_request){.resume_at = 20}, &r, &err), &err);
        assert_string_equal(lk_buf_str(&r.body).p, "uvwxyz");
        assert_int_equal(r.total_bytes, 26);
        assert_int_equal(r.status, i == 0 ? 206 : 200);
        lk_http_response_release(&r);
    }
    test_has(last_request(&s, last), "Range: bytes=20-\r\n");
    test_code(send_to(&s, "/other", (lk_http_request){.resume_at = 20}, &r, &err), LK_E_NET);
    test_has(err.text, "another part");
    lk_http_response_release(&r);
    test_ok(send_to(&s, "/part", (lk_http_request){.resume_at = 26}, &r, &err), &err);
    assert_int_equal(r.status, 416);
    lk_http_response_release(&r);
    server_stop(&s);
}

/* A byte now and then, for ever. */
typedef struct taking {
    lk_buf bytes;
    uint64_t at, total;
    long status;
    size_t n_begun;
    char seen[64]; /* of the header Location or Content-Range */
    bool refuse;
} taking;

static lk_code take_begin(void *ctx, const lk_http_response *r, uint64_t at, lk_err *err)
{
    taking *t = ctx;
    t->n_begun++;
    t->at = at;
    t->total = r->total_bytes;
    t->status = r->status;
    return t->refuse ? lk_fail(err, LK_E_FULL, "no room for %llu", (unsigned long long)t->total)
                     : LK_OK;
}

static lk_code take(void *ctx, const void *p, size_t n)
{
    taking *t = ctx;
    lk_buf_put(&t->bytes, p, n);
    return LK_OK;
}

static void take_header(void *ctx, lk_str name, lk_str value)
{
    taking *t = ctx;
    if (lk_str_eq_nocase(name, LK_STR("location")) ||
        lk_str_eq_nocase(name, LK_STR("content-range")))
        snprintf(t->seen, sizeof t->seen, "%.*s", LK_STR_ARG(value));
}

static void a_sink_may_be_told_where_the_bytes_begin(void **state)
{
    (void)state;
    server s;
    lk_err err;
    lk_http_response r;
    taking t = {.n_begun = 0};
    lk_http_request rq = {.resume_at = 20,
                          .sink = take,
                          .sink_ctx = &t,
                          .begin = take_begin,
                          .see_header = take_header};
    lk_buf_init(&t.bytes, 0);
    server_start(&s, letters);
    test_ok(send_to(&s, "/part", rq, &r, &err), &err);
    lk_http_response_release(&r);
    assert_string_equal(lk_buf_str(&t.bytes).p, "uvwxyz");
    assert_int_equal(t.at, 20);
    assert_int_equal(t.total, 26);
    assert_int_equal(t.status, 206);
    assert_int_equal(t.n_begun, 1);
    assert_string_equal(t.seen, "bytes 20-25/26");

    lk_buf_clear(&t.bytes);
    test_ok(send_to(&s, "/whole", rq, &r, &err), &err);
    lk_http_response_release(&r);
    assert_string_equal(lk_buf_str(&t.bytes).p, "abcdefghijklmnopqrstuvwxyz");
    assert_int_equal(t.at, 0);
    assert_int_equal(t.status, 200);

    t.refuse = true;
    lk_buf_clear(&t.bytes);
    test_code(send_to(&s, "/part", rq, &r, &err), LK_E_FULL);
    lk_http_response_release(&r);
    assert_string_equal(err.text, "no room for 26");
    assert_int_equal(t.bytes.n, 0);
    lk_buf_release(&t.bytes);
    server_stop(&s);
}

static void the_headers_of_redirects_are_seen(void **state)
{
    (void)state;
    server s;
    lk_err err;
    lk_http_response r;
    taking t = {.n_begun = 0};
    server_start(&s, redirects);
    test_ok(
        send_to(&s, "/2", (lk_http_request){.sink_ctx = &t, .see_header = take_header}, &r, &err),
        &err);
    lk_http_response_release(&r);
    assert_string_equal(t.seen, "/0");
    server_stop(&s);
}

static void drip(server *s, int fd)
{
    sayz(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (!atomic_load(&s->stop)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        sayz(fd, "x");
        if (poll(&p, 1, 20) > 0) /* the client hung up */
            return;
    }
}

static void a_peer_that_drips_is_given_up(void **state)
{
    (void)state;
    server s;
    lk_err err;
    lk_http_response r;
    server_start(&s, drip);
    uint64_t before = lk_now_ns();
    test_code(send_to(&s, "/", (lk_http_request){.stall_ms = 300}, &r, &err), LK_E_TIMEOUT);
    test_has(err.text, "next to nothing for 300 ms");
    lk_http_response_release(&r);
    test_code(send_to(&s, "/", (lk_http_request){.total_ms = 300}, &r, &err), LK_E_TIMEOUT);
    lk_http_response_release(&r);
    assert_in_range((lk_now_ns() - before) / 1000000, 600, 20000);
    server_stop(&s);
}

static void cancel_soon(void *ctx)
{
    usleep(100000);
    lk_cancel_set(ctx);
}

static void a_stop_flag_ends_a_transfer_at_once(void **state)
{
    (void)state;
    server s;
    lk_err err;
    lk_http_response r;
    lk_thread *t = NULL;
    lk_cancel cancel = {.stop = false};
    server_start(&s, drip);
    uint64_t before = lk_now_ns();
    test_ok(lk_thread_start(&t, "cancel", cancel_soon, &cancel, &err), &err);
    test_code(send_to(&s, "/", (lk_http_request){.cancel = &cancel}, &r, &err), LK_E_CANCELED);
    lk_http_response_release(&r);
    assert_in_range((lk_now_ns() - before) / 1000000, 100, 10000);
    lk_thread_join(t);
    int n = atomic_load(&s.n_requests);
    test_code(send_to(&s, "/", (lk_http_request){.cancel = &cancel}, &r, &err), LK_E_CANCELED);
    lk_http_response_release(&r);
    assert_int_equal(atomic_load(&s.n_requests), n);
    server_stop(&s);
}

static void what_cannot_be_reached_is_told_without_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        lk_code code;
        const char *part;
    } cases[] = {
        {"http://user:hidden@127.0.0.1:1/x?key=hidden", LK_E_NET, "http://127.0.0.1:1/x: "},
        {"https://127.0.0.1:1/", LK_E_NET, "https://127.0.0.1:1/"},
        {"ftp://127.0.0.1/x", LK_E_NET, "ftp://127.0.0.1/x"},
        {"file:///etc/passwd", LK_E_NET, "file:///etc/passwd"},
        {"http://", LK_E_INVALID, "http://"},
        {"", LK_E_INVALID, ":"},
    };
    lk_err err;
    lk_http *h = NULL;
    test_ok(lk_http_new(&h, &err), &err);
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_http_response r;
        const lk_http_request rq = {.url = cases[i].url, .connect_ms = 2000};
        test_code(lk_http_send(h, &rq, &r, &err), cases[i].code);
        test_has(err.text, cases[i].part);
        assert_null(strstr(err.text, "hidden"));
        lk_http_response_release(&r);
    }
    lk_http_free(h);
}

typedef struct many {
    server *s;
    atomic_int n_ok;
} many;

static void send_one(void *ctx, size_t i)
{
    many *m = ctx;
    lk_http_response r;
    (void)i;
    if (send_to(m->s, "/close", (lk_http_request){0}, &r, NULL) == LK_OK && r.status == 200)
        atomic_fetch_add(&m->n_ok, 1);
    lk_http_response_release(&r);
}

static void any_number_of_threads_may_send(void **state)
{
    (void)state;
    server s;
    lk_err err;
    many m = {.s = &s};
    server_start(&s, hello);
    test_ok(lk_parallel_for(60, 4, 1, send_one, &m, &err), &err);
    assert_int_equal(m.n_ok, 60);
    server_stop(&s);
}

static lk_code fetch(void *ctx, lk_err *err)
{
    server *s = ctx;
    lk_http *client = NULL;
    lk_http_response r;
    lk_http_request rq = {.url = s->base};
    lk_code code = lk_http_new(&client, err);
    if (code)
        return code;
    code = lk_http_send(client, &rq, &r, err);
    lk_http_response_release(&r);
    lk_http_free(client);
    return code;
}

static void allocation_failures_are_told(void **state)
{
    (void)state;
    server s;
    server_start(&s, hello);
    assert_int_equal(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, fetch, &s), 2);
    server_stop(&s);
}

int main(void)
{
    static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                          "ALL_PROXY"};
    for (size_t i = 0; i < LK_ARRAY_LEN(proxies); i++)
        unsetenv(proxies[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_with_its_facts),
        cmocka_unit_test(bodies_and_methods_arrive_as_given),
        cmocka_unit_test(an_error_status_is_an_answer_and_spares_the_sink),
        cmocka_unit_test(redirects_are_followed_ten_times_and_only_over_http),
        cmocka_unit_test(a_broken_answer_is_no_answer),
        cmocka_unit_test(a_body_is_bounded_to_the_byte),
        cmocka_unit_test(a_sink_that_fails_ends_the_transfer_with_its_code),
        cmocka_unit_test(a_download_goes_on_where_it_stopped),
        cmocka_unit_test(a_sink_may_be_told_where_the_bytes_begin),
        cmocka_unit_test(the_headers_of_redirects_are_seen),
        cmocka_unit_test(a_peer_that_drips_is_given_up),
        cmocka_unit_test(a_stop_flag_ends_a_transfer_at_once),
        cmocka_unit_test(what_cannot_be_reached_is_told_without_secrets),
        cmocka_unit_test(any_number_of_threads_may_send),
        cmocka_unit_test(allocation_failures_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
