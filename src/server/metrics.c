/* Every counter is its own atomic and none guards any data, so all accesses are relaxed: a scrape
 * may see a request in one counter and not yet in another, which Prometheus expects. */
#include "server/metrics.h"

#include <inttypes.h>

#include "base/mem.h"

/* Upper bounds in microseconds: from a search in memory to a slow upload. */
static const uint64_t bounds_us[LK_N_LATENCY_BOUNDS] = {
    250,   500,    1000,   2500,    5000,    10000,    25000,
    50000, 100000, 250000, 1000000, 2500000, 10000000, 60000000,
};

static uint64_t get(atomic_uint_fast64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void add(atomic_uint_fast64_t *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

lk_code lk_metrics_init(lk_metrics *m, size_t n_routes, lk_err *err)
{
    memset(m, 0, sizeof *m);
    m->routes = lk_calloc(n_routes + 1, sizeof *m->routes);
    if (!m->routes)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the counters");
    m->n_routes = n_routes;
    return LK_OK;
}

void lk_metrics_release(lk_metrics *m)
{
    lk_free(m->routes);
    m->routes = NULL;
}

void lk_metrics_count(lk_metrics *m, size_t route, unsigned status, uint64_t took_us,
                      size_t bytes_in, size_t bytes_out)
{
    lk_route_metrics *r = &m->routes[route < m->n_routes ? route : m->n_routes];
    size_t i = 0;
    while (i < LK_N_LATENCY_BOUNDS && took_us > bounds_us[i])
        i++;
    add(&r->buckets[i], 1);
    add(&r->sum_us, took_us);
    add(&r->by_status[status < 600 ? status : 0], 1);
    add(&r->bytes_in, bytes_in);
    add(&r->bytes_out, bytes_out);
}

static void head(lk_buf *out, const char *name, const char *type, const char *help)
{
    lk_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_requests(lk_metrics *m, const char *const *labels, lk_buf *out)
{
    head(out, "lookalike_http_requests_total", "counter",
         "Requests answered, by route and status.");
    for (size_t i = 0; i <= m->n_routes; i++)
        for (unsigned status = 0; status < 600; status++) {
            uint64_t n = get(&m->routes[i].by_status[status]);
            if (n)
                lk_buf_printf(
                    out, "lookalike_http_requests_total{route=\"%s\",code=\"%u\"} %" PRIu64 "\n",
                    i < m->n_routes ? labels[i] : "none", status, n);
        }
}

static void write_latency(lk_route_metrics *r, const char *label, lk_buf *out)
{
    static const char name[] = "lookalike_http_request_seconds";
    uint64_t n = 0;
    for (size_t i = 0; i < LK_N_LATENCY_BOUNDS; i++) {
        n += get(&r->buckets[i]);
        lk_buf_printf(out, "%s_bucket{route=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, label,
                      (double)bounds_us[i] / 1e6, n);
    }
    n += get(&r->buckets[LK_N_LATENCY_BOUNDS]);
    lk_buf_printf(out, "%s_bucket{route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, n);
    lk_buf_printf(out, "%s_sum{route=\"%s\"} %.6f\n", name, label, (double)get(&r->sum_us) / 1e6);
    lk_buf_printf(out, "%s_count{route=\"%s\"} %" PRIu64 "\n", name, label, n);
}

static bool was_used(lk_route_metrics *r)
{
    for (size_t i = 0; i <= LK_N_LATENCY_BOUNDS; i++)
        if (get(&r->buckets[i]))
            return true;
    return false;
}

static void write_bytes(lk_metrics *m, const char *const *labels, bool in, lk_buf *out)
{
    const char *name =
        in ? "lookalike_http_received_bytes_total" : "lookalike_http_sent_bytes_total";
    head(out, name, "counter",
         in ? "Bytes of bodies received, by route." : "Bytes of bodies sent, by route.");
    for (size_t i = 0; i <= m->n_routes; i++) {
        lk_route_metrics *r = &m->routes[i];
        if (was_used(r))
            lk_buf_printf(out, "%s{route=\"%s\"} %" PRIu64 "\n", name,
                          i < m->n_routes ? labels[i] : "none",
                          get(in ? &r->bytes_in : &r->bytes_out));
    }
}

void lk_metrics_write(lk_metrics *m, const char *const *labels, lk_buf *out)
{
    write_requests(m, labels, out);
    head(out, "lookalike_http_request_seconds", "histogram",
         "Time from a request's first byte to the last byte of its answer.");
    for (size_t i = 0; i <= m->n_routes; i++)
        if (was_used(&m->routes[i]))
            write_latency(&m->routes[i], i < m->n_routes ? labels[i] : "none", out);
    write_bytes(m, labels, true, out);
    write_bytes(m, labels, false, out);
    head(out, "lookalike_http_broken_total", "counter",
         "Requests whose client went away before the whole answer was sent.");
    lk_buf_printf(out, "lookalike_http_broken_total %" PRIu64 "\n", get(&m->broken));
}

void lk_gauge_write(lk_buf *out, const char *name, const char *help, double value)
{
    head(out, name, "gauge", help);
    lk_buf_printf(out, "%s %.17g\n", name, value);
}
