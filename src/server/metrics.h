/* Counters of the server, in the text form that Prometheus reads. Any number of threads. */
#ifndef LK_SERVER_METRICS_H
#define LK_SERVER_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LK_N_LATENCY_BOUNDS 14

typedef struct lk_route_metrics {
    atomic_uint_fast64_t by_status[600];
    atomic_uint_fast64_t buckets[LK_N_LATENCY_BOUNDS + 1]; /* the last: slower than every bound */
    atomic_uint_fast64_t sum_us;
    atomic_uint_fast64_t bytes_in, bytes_out;
} lk_route_metrics;

typedef struct lk_metrics {
    lk_route_metrics *routes; /* [n_routes + 1], the last for what matched none */
    size_t n_routes;
    atomic_uint_fast64_t broken; /* the client went away before the answer was sent */
} lk_metrics;

LK_CHECK lk_code lk_metrics_init(lk_metrics *m, size_t n_routes, lk_err *err);
void lk_metrics_release(lk_metrics *m);

void lk_metrics_count(lk_metrics *m, size_t route, unsigned status, uint64_t took_us,
                      size_t bytes_in, size_t bytes_out);

/* labels[n_routes]; the rest of the page (gauges) is the caller's. */
void lk_metrics_write(lk_metrics *m, const char *const *labels, lk_buf *out);
void lk_gauge_write(lk_buf *out, const char *name, const char *help, double value);

#endif
