/* The life of a server: options, threads, and an end in which nothing accepted is lost.
 *
 * Stopping goes in steps, each of which makes the next one safe:
 *
 *   LEAVING    /readyz says 503, so that a balancer looks elsewhere; all else goes on for
 * drain_delay STOPPING   new requests on connections that are kept get 503 and "Connection: close"
 *   quiesce    no new connections; those in the system's queue are still taken in
 *   drain      wait until every request has been answered (S2), for at most stop_ms
 *   ENDING     the pools run what they hold and end; every suspended request is resumed
 *   close      the sockets' threads end; idle connections are closed
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "server/address.h"
#include "server/internal.h"

#define OPT(member) offsetof(lk_server_opts, member)

const lk_opt lk_server_opt_table[] = {
    {.name = "listen",
     .letter = 'l',
     .type = LK_OPT_STR,
     .offset = OPT(listen),
     .dflt = "127.0.0.1:8080",
     .arg = "HOST:PORT",
     .env = "LOOKALIKE_LISTEN",
     .help = "address to serve on; port 0 takes any free one"},
    {.name = "workers",
     .type = LK_OPT_INT,
     .offset = OPT(workers),
     .max = 1024,
     .dflt = "0",
     .help = "threads that answer queries; 0: one a processor"},
    {.name = "upload-workers",
     .type = LK_OPT_INT,
     .offset = OPT(upload_workers),
     .max = 1024,
     .dflt = "0",
     .help = "threads that add pictures; 0: one a processor"},
    {.name = "io-threads",
     .type = LK_OPT_INT,
     .offset = OPT(io_threads),
     .max = 256,
     .dflt = "0",
     .help = "threads that read and write sockets; 0: one for four processors"},
    {.name = "queue",
     .type = LK_OPT_INT,
     .offset = OPT(queue),
     .min = 1,
     .max = 100000,
     .dflt = "512",
     .help = "requests that may wait for a worker; more get 429"},
    {.name = "max-connections",
     .type = LK_OPT_INT,
     .offset = OPT(max_connections),
     .min = 1,
     .max = 100000,
     .dflt = "1024",
     .help = "connections at once; more wait"},
    {.name = "max-body",
     .type = LK_OPT_BYTES,
     .offset = OPT(max_body),
     .min = 1024,
     .max = 1 << 30,
     .dflt = "128MiB",
     .help = "longest body of an upload; longer ones get 413"},
    {.name = "max-json",
     .type = LK_OPT_BYTES,
     .offset = OPT(max_json),
     .min = 1024,
     .max = 1 << 28,
     .dflt = "24MiB",
     .help = "longest JSON body"},
    {.name = "max-pending",
     .type = LK_OPT_BYTES,
     .offset = OPT(max_pending),
     .min = 1024,
     .max = 1e12,
     .dflt = "256MiB",
     .help = "bytes of bodies being received, all together; more get 503"},
    {.name = "max-headers",
     .type = LK_OPT_BYTES,
     .offset = OPT(max_headers),
     .min = 1024,
     .max = 1 << 20,
     .dflt = "16KiB",
     .help = "bytes of a request's headers; more get 431"},
    {.name = "max-url",
     .type = LK_OPT_BYTES,
     .offset = OPT(max_url),
     .min = 256,
     .max = 1 << 20,
     .dflt = "16KiB",
     .help = "bytes of a URL; more get 414"},
    {.name = "max-files",
     .type = LK_OPT_INT,
     .offset = OPT(max_files),
     .min = 1,
     .max = 10000,
     .dflt = "100",
     .help = "pictures in one upload"},
    {.name = "max-results",
     .type = LK_OPT_INT,
     .offset = OPT(max_results),
     .min = 1,
     .max = LK_MAX_TOP_K,
     .dflt = "1000",
     .help = "largest top_k and page of a list"},
    {.name = "idle-timeout",
     .type = LK_OPT_MS,
     .offset = OPT(idle_ms),
     .min = 1000,
     .max = 86400e3,
     .dflt = "60s",
     .help = "close a connection after so long without a byte"},
    {.name = "receive-timeout",
     .type = LK_OPT_MS,
     .offset = OPT(receive_ms),
     .min = 1000,
     .max = 86400e3,
     .dflt = "10m",
     .help = "longest time to receive one request"},
    {.name = "drain-delay",
     .type = LK_OPT_MS,
     .offset = OPT(drain_delay_ms),
     .max = 3600e3,
     .dflt = "0s",
     .help = "when stopping, serve on for so long while /readyz says 503"},
    {.name = "stop-timeout",
     .type = LK_OPT_MS,
     .offset = OPT(stop_ms),
     .max = 3600e3,
     .dflt = "30s",
     .help = "when stopping, wait at most so long for slow clients"},
    {.name = "self-test",
     .type = LK_OPT_MS,
     .offset = OPT(self_test_ms),
     .max = 31536000e3,
     .dflt = "1h",
     .env = "LOOKALIKE_SELF_TEST",
     .help = "time between two comparisons of the model with its canary; 0: only at the start"},
    {.name = "drift-unready",
     .type = LK_OPT_BOOL,
     .offset = OPT(drift_unready),
     .dflt = "false",
     .env = "LOOKALIKE_DRIFT_UNREADY",
     .help = "/healthz and /readyz say 503 once the model has drifted from its canary"},
    {.name = "cors",
     .type = LK_OPT_STR,
     .offset = OPT(cors),
     .dflt = "",
     .arg = "ORIGINS",
     .env = "LOOKALIKE_CORS",
     .help = "web origins whose pages may use the API, separated by commas, or *"},
    {.name = "access-log",
     .type = LK_OPT_BOOL,
     .offset = OPT(access_log),
     .dflt = "true",
     .help = "log a line for every request"},
    {.name = "image-urls",
     .type = LK_OPT_BOOL,
     .offset = OPT(image_urls),
     .dflt = "false",
     .env = "LOOKALIKE_IMAGE_URLS",
     .help = "let requests to /clip name pictures by URL: this server then fetches any address "
             "that it can reach"},
    {.name = NULL},
};

static unsigned threads_of(int64_t wanted)
{
    return wanted > 0 ? (unsigned)wanted : lk_os_cpus();
}

static lk_code start_pools(lk_server *s, lk_err *err)
{
    size_t queue = (size_t)s->opts.queue;
    lk_code code =
        lk_pool_new(&s->pools[LK_LANE_QUICK], "query", threads_of(s->opts.workers), queue, err);
    if (!code)
        code = lk_pool_new(&s->pools[LK_LANE_UPLOAD], "upload", threads_of(s->opts.upload_workers),
                           queue, err);
    return code;
}

static lk_code copy_opts(lk_server *s, const lk_server_opts *opts, lk_err *err)
{
    s->opts = *opts;
    s->listen = lk_strndup(opts->listen, strlen(opts->listen));
    s->cors = lk_strndup(opts->cors ? opts->cors : "", opts->cors ? strlen(opts->cors) : 0);
    s->opts.listen = s->listen;
    s->opts.cors = s->cors;
    if (!s->listen || !s->cors)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the server's options");
    s->budget.limit = (size_t)opts->max_pending;
    return LK_OK;
}

static void free_server(lk_server *s)
{
    for (int i = 0; i < LK_N_LANES; i++)
        lk_pool_free(s->pools[i]);
    lk_listener_close(s->listener);
    lk_mover_free(s->mover);
    lk_metrics_release(&s->metrics);
    lk_http_free(s->http);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    lk_free(s->listen);
    lk_free(s->cors);
    lk_mutex_release(&s->pool_lock);
    lk_free(s);
}

lk_code lk_server_open(const lk_server_opts *opts, lk_engine *e, lk_log *log, lk_server **ret,
                       lk_err *err)
{
    int fd = -1;
    lk_server *s = lk_calloc(1, sizeof *s);
    if (!s)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the server");
    lk_mutex_init(&s->pool_lock, LK_RANK_SERVER);
    s->engine = e;
    s->log = log;
    s->started_ns = lk_now_ns();
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lk_code code = s->wake_fd < 0 ? lk_fail_sys(err, errno, "cannot make an event") : LK_OK;
    if (!code && lk_os()->random(&s->id_seed, sizeof s->id_seed) != 0)
        code = lk_fail_sys(err, errno, "no random bytes");
    if (!code)
        code = copy_opts(s, opts, err);
    if (!code)
        code = lk_metrics_init(&s->metrics, lk_n_routes, err);
    if (!code && opts->image_urls)
        code = lk_http_new(&s->http, err);
    if (!code)
        code = start_pools(s, err);
    if (!code)
        code = lk_mover_new(e, log, &s->mover, err);
    if (!code)
        code = lk_listen_on(s->listen, &fd, &s->port, s->url, sizeof s->url, err);
    if (!code)
        code = lk_listener_open(s, fd, &s->listener, err);
    if (!code)
        code = lk_self_tester_start(e, log, opts->self_test_ms, &s->self_tester, err);
    if (code) {
        free_server(s);
        return code;
    }
    *ret = s;
    return LK_OK;
}

uint16_t lk_server_port(const lk_server *s)
{
    return s->port;
}

const char *lk_server_url(const lk_server *s)
{
    return s->url;
}

void lk_server_stop(lk_server *s)
{
    uint64_t one = 1;
    int kept = errno; /* this may be a signal handler */
    ssize_t n = write(s->wake_fd, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
    errno = kept;
}

void lk_server_run(lk_server *s, const lk_cancel *stop)
{
    /* A flag wakes nobody, so it is looked at ten times a second. */
    int step_ms = stop ? 100 : -1;
    while (!lk_cancel_is_set(stop)) {
        struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};
        if (poll(&p, 1, step_ms) > 0)
            return;
    }
}

static void sleep_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

/* Wait until nothing is being answered, and stays so for a moment: what a client had written before
 * it saw that the server stops has been read by then. */
static void drain(lk_server *s, uint64_t limit_ms)
{
    uint64_t end = lk_now_ns() + limit_ms * 1000000;
    unsigned calm = 0;
    while (calm < 10 && lk_now_ns() < end) {
        sleep_ms(5);
        calm = atomic_load(&s->active) == 0 ? calm + 1 : 0;
    }
}

void lk_server_close(lk_server *s)
{
    if (!s)
        return;
    atomic_store(&s->phase, LK_LEAVING);
    sleep_ms(s->opts.drain_delay_ms);
    atomic_store(&s->phase, LK_STOPPING);
    lk_listener_quiesce(s->listener);
    drain(s, s->opts.stop_ms);
    lk_self_tester_stop(s->self_tester);
    (void)!lk_mover_stop(s->mover, NULL); /* most often none runs */
    lk_mutex_lock(&s->pool_lock);
    atomic_store(&s->phase, LK_ENDING);
    lk_mutex_unlock(&s->pool_lock);
    for (int i = 0; i < LK_N_LANES; i++) {
        lk_pool_free(s->pools[i]);
        s->pools[i] = NULL;
    }
    drain(s, 500); /* the answers of the last jobs */
    free_server(s);
}
