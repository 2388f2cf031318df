/* A load of keep-alive connections, each with a thread of its own that waits for its answer. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "bench.h"

typedef struct client {
    uint16_t port;
    const char *request;
    size_t request_len;
    uint64_t end_ns;
    bench_times times;
    size_t failed;
} client;

static int dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* One whole answer; false when it is not a 200 with a length. */
static int read_answer(int fd, char *buf, size_t cap)
{
    size_t n = 0, want = 0;
    while (want == 0 || n < want) {
        ssize_t got = recv(fd, buf + n, cap - 1 - n, 0);
        if (got <= 0)
            return 0;
        n += (size_t)got;
        buf[n] = '\0';
        char *end = want ? NULL : strstr(buf, "\r\n\r\n");
        if (end) {
            char *len = strcasestr(buf, "content-length:");
            if (!len || len > end)
                return 0;
            want = (size_t)(end + 4 - buf) + strtoul(len + 15, NULL, 10);
        }
    }
    return strncmp(buf, "HTTP/1.1 200", 12) == 0;
}

static void run(void *ctx)
{
    client *c = ctx;
    size_t cap = 1 << 20;
    char *buf = lk_malloc(cap);
    int fd = dial(c->port);
    while (buf && fd >= 0 && lk_now_ns() < c->end_ns) {
        uint64_t t0 = lk_now_ns();
        if (send(fd, c->request, c->request_len, MSG_NOSIGNAL) != (ssize_t)c->request_len ||
            !read_answer(fd, buf, cap)) {
            c->failed++;
            break;
        }
        bench_add(&c->times, (double)(lk_now_ns() - t0) / 1000);
    }
    if (fd >= 0)
        close(fd);
    else
        c->failed++;
    lk_free(buf);
}

double bench_http(uint16_t port, const char *path, const char *body, unsigned connections,
                  double seconds, bench_times *times)
{
    lk_err err = {.text = "a request failed"};
    size_t len = strlen(body) + 512, failed = 0;
    char *request = lk_malloc(len);
    client *clients = lk_calloc(connections, sizeof *clients);
    lk_thread **threads = lk_calloc(connections, sizeof *threads);
    if (!request || !clients || !threads)
        bench_ok(LK_E_NOMEM, &err);
    int n = snprintf(request, len,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     path, strlen(body), body);
    uint64_t t0 = lk_now_ns();
    for (unsigned i = 0; i < connections; i++) {
        clients[i] = (client){.port = port,
                              .request = request,
                              .request_len = (size_t)n,
                              .end_ns = t0 + (uint64_t)(seconds * 1e9)};
        bench_ok(lk_thread_start(&threads[i], "client", run, &clients[i], &err), &err);
    }
    for (unsigned i = 0; i < connections; i++) {
        lk_thread_join(threads[i]);
        failed += clients[i].failed;
        for (size_t j = 0; j < clients[i].times.n; j++)
            bench_add(times, clients[i].times.us[j]);
        bench_release(&clients[i].times);
    }
    double took = (double)(lk_now_ns() - t0) / 1e9;
    lk_free(threads);
    lk_free(clients);
    lk_free(request);
    bench_ok(failed ? LK_E_NET : LK_OK, &err);
    return (double)times->n / took;
}
