/* How many searches by vector a second the server answers, and how late the slowest are.
 *
 *   http_load HOST:PORT [--connections 32] [--seconds 5] [--top-k 10] [--records] [--pid PID]
 *             [--queries Q.fbin]
 *
 * One thread keeps every connection busy with one request at a time (a closed loop, HTTP
 * keep-alive). Queries are random directions with a fixed seed, or rows of a file (their first
 * elements, if they are longer), made before the clock starts.
 * Latency is from the first byte written to the last byte read. Prints one JSON line. It shares the
 * processors with the server, so the rate is one of both together; server_cpu_s is the server's own
 * time when its process id is given with --pid. --records asks for whole records; without it only
 * ids and scores come back. */
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define N_QUERIES 256
#define MAX_DIM 4096
#define MAX_CONNECTIONS 1024
#define READ_BYTES (1 << 20)

typedef struct options {
    char host[128], port[16];
    int connections, top_k, pid;
    double seconds;
    bool fields;
    FILE *queries;
    int query_dim;
} options;

typedef struct client {
    int fd;
    size_t query, sent; /* which, and how much of it is written */
    size_t got, want;   /* bytes of the answer; want 0: the headers are not complete */
    char head[4096];
    uint64_t start_ns;
} client;

static char *requests[N_QUERIES];
static size_t request_len[N_QUERIES];
static char scratch[READ_BYTES];

static void die(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, errno ? strerror(errno) : "unexpected answer");
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int dial(const options *o)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int yes = 1;
    if (getaddrinfo(o->host, o->port, &hints, &list) != 0)
        die("address");
    int fd = socket(list->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, list->ai_addr, list->ai_addrlen) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    freeaddrinfo(list);
    return fd;
}

static int ask_dim(const options *o)
{
    static const char get[] = "GET /v1/stats HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    int fd = dial(o);
    size_t n = 0;
    ssize_t k;
    if (write(fd, get, sizeof get - 1) < 0)
        die("write");
    while (n < sizeof scratch - 1 && (k = read(fd, scratch + n, sizeof scratch - 1 - n)) > 0)
        n += (size_t)k;
    close(fd);
    scratch[n] = '\0';
    const char *at = strstr(scratch, "\"dim\":");
    int dim = at ? atoi(at + 6) : 0;
    errno = 0;
    if (dim < 1 || dim > MAX_DIM)
        die("the dimension in /v1/stats");
    return dim;
}

static uint64_t next_random(uint64_t *s) /* xorshift64* */
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 0x2545F4914F6CDD1Du;
}

static void make_requests(const options *o, int dim)
{
    uint64_t seed = 20261121;
    size_t cap = (size_t)dim * 16 + 512;
    char *body = malloc(cap);
    for (int q = 0; body && q < N_QUERIES; q++) {
        size_t n = (size_t)snprintf(body, cap, "{\"top_k\":%d,%s\"vector\":[", o->top_k,
                                    o->fields ? "" : "\"fields\":[],");
        float row[MAX_DIM];
        if (o->queries &&
            fread(row, sizeof *row, (size_t)o->query_dim, o->queries) != (size_t)o->query_dim)
            die("too few queries");
        for (int i = 0; i < dim; i++) {
            double v = o->queries ? (double)row[i]
                                  : (double)(next_random(&seed) >> 11) / 9007199254740992.0 - 0.5;
            n += (size_t)snprintf(body + n, cap - n, "%s%.6f", i ? "," : "", v);
        }
        n += (size_t)snprintf(body + n, cap - n, "]}");
        requests[q] = malloc(n + 256);
        if (!requests[q])
            die("memory");
        request_len[q] = (size_t)snprintf(requests[q], n + 256,
                                          "POST /v1/search HTTP/1.1\r\nHost: bench\r\n"
                                          "Content-Type: application/json\r\n"
                                          "Content-Length: %zu\r\n\r\n%s",
                                          n, body);
    }
    free(body);
}

static void send_some(client *c)
{
    while (c->sent < request_len[c->query]) {
        ssize_t k = write(c->fd, requests[c->query] + c->sent, request_len[c->query] - c->sent);
        if (k < 0 && errno == EAGAIN)
            return;
        if (k <= 0)
            die("write");
        c->sent += (size_t)k;
    }
}

static void start_one(client *c, size_t *next)
{
    c->query = (*next)++ % N_QUERIES;
    c->sent = c->got = c->want = 0;
    c->start_ns = now_ns();
    send_some(c);
}

static void read_head(client *c)
{
    c->head[c->got] = '\0';
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end)
        return;
    char *length = strstr(c->head, "Content-Length: ");
    errno = 0;
    if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0 || !length || length > end)
        die(c->head);
    c->want = (size_t)(end - c->head) + 4 + strtoul(length + 16, NULL, 10);
}

/* True when the answer is complete. */
static bool read_some(client *c)
{
    for (;;) {
        bool head = c->want == 0;
        ssize_t k = head ? read(c->fd, c->head + c->got, sizeof c->head - 1 - c->got)
                         : read(c->fd, scratch, sizeof scratch);
        if (k < 0 && errno == EAGAIN)
            return false;
        if (k <= 0)
            die("read");
        c->got += (size_t)k;
        if (head)
            read_head(c);
        if (c->want && c->got >= c->want)
            return true;
    }
}

static double cpu_seconds(int pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = pid ? fopen(path, "r") : NULL;
    if (!f)
        return NAN;
    if (fscanf(f, "%*d %*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        user = system = 0;
    fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(const options *o, int dim, uint32_t *us, size_t n, double took, double cpu)
{
    if (n == 0)
        die("no answer came");
    qsort(us, n, sizeof *us, by_value);
    printf("{\"bench\":\"http_search\",\"dim\":%d,\"connections\":%d,\"top_k\":%d,\"records\":%s,"
           "\"seconds\":%.2f,\"requests\":%zu,\"rps\":%.0f,\"p50_us\":%u,\"p99_us\":%u,"
           "\"max_us\":%u",
           dim, o->connections, o->top_k, o->fields ? "true" : "false", took, n, (double)n / took,
           us[n / 2], us[n - 1 - n / 100], us[n - 1]);
    if (!isnan(cpu))
        printf(",\"server_cpu_s\":%.2f,\"rps_per_core\":%.0f", cpu, cpu > 0 ? (double)n / cpu : 0);
    printf("}\n");
}

static void run(const options *o, int dim)
{
    client *clients = calloc((size_t)o->connections, sizeof *clients);
    size_t cap = 1 << 22, n = 0, next = 0;
    uint32_t *us = malloc(cap * sizeof *us);
    int ep = epoll_create1(0);
    if (!clients || !us || ep < 0)
        die("memory");
    for (int i = 0; i < o->connections; i++) {
        clients[i].fd = dial(o);
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &clients[i]};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, clients[i].fd, &e) != 0)
            die("epoll");
        int flags = 1;
        if (ioctl(clients[i].fd, FIONBIO, &flags) != 0)
            die("ioctl");
    }
    double cpu = cpu_seconds(o->pid);
    uint64_t start = now_ns(), end = start + (uint64_t)(o->seconds * 1e9);
    for (int i = 0; i < o->connections; i++)
        start_one(&clients[i], &next);
    while (now_ns() < end) {
        struct epoll_event ready[64];
        int k = epoll_wait(ep, ready, 64, 100);
        for (int i = 0; i < k; i++) {
            client *c = ready[i].data.ptr;
            if (ready[i].events & EPOLLOUT)
                send_some(c);
            if (!(ready[i].events & EPOLLIN) || !read_some(c))
                continue;
            if (n < cap)
                us[n++] = (uint32_t)((now_ns() - c->start_ns) / 1000);
            start_one(c, &next);
        }
    }
    report(o, dim, us, n, (double)(now_ns() - start) / 1e9, cpu_seconds(o->pid) - cpu);
    free(clients);
    free(us);
}

int main(int argc, char **argv)
{
    options o = {.connections = 32, .seconds = 5, .top_k = 10};
    const char *colon = argc > 1 ? strrchr(argv[1], ':') : NULL;
    if (!colon || (size_t)(colon - argv[1]) >= sizeof o.host) {
        fprintf(stderr, "usage: http_load HOST:PORT [--connections N] [--seconds S] [--top-k N] "
                        "[--records] [--pid PID]\n");
        return 2;
    }
    memcpy(o.host, argv[1], (size_t)(colon - argv[1]));
    snprintf(o.port, sizeof o.port, "%s", colon + 1);
    for (int i = 2; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--records") == 0) {
            o.fields = true;
            continue;
        }
        if (strcmp(argv[i], "--connections") == 0)
            o.connections = atoi(value);
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = atof(value);
        else if (strcmp(argv[i], "--top-k") == 0)
            o.top_k = atoi(value);
        else if (strcmp(argv[i], "--pid") == 0)
            o.pid = atoi(value);
        else if (strcmp(argv[i], "--queries") == 0) {
            int head[2] = {0};
            o.queries = fopen(value, "rb");
            if (!o.queries || fread(head, sizeof head, 1, o.queries) != 1 || head[1] > MAX_DIM)
                die(value);
            o.query_dim = head[1];
        } else {
            fprintf(stderr, "http_load: unknown option %s\n", argv[i]);
            return 2;
        }
        i++;
    }
    if (o.connections < 1 || o.connections > MAX_CONNECTIONS || o.seconds <= 0)
        return 2;
    int dim = ask_dim(&o);
    make_requests(&o, dim);
    run(&o, dim);
    for (int q = 0; q < N_QUERIES; q++)
        free(requests[q]);
    return 0;
}
