/* How fast a model runs here: time a call and pictures or texts a second.
 *
 * Pictures are decoded ones (640 x 480), so that resizing is in it and reading JPEG is not. */
#ifndef LK_MODEL_BENCH_H
#define LK_MODEL_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/thread.h"
#include "model/model.h"

#define LK_MAX_BENCH_WORKERS 64

typedef struct lk_bench_row {
    bool is_text;
    size_t batch; /* pictures or texts a call */
    unsigned workers;
    size_t n_calls;                /* of all workers, after a warm-up that is not counted */
    double p50_ms, p95_ms, max_ms; /* a call */
    double per_second;             /* pictures or texts */
    double cpu_ms; /* of processors, a picture or text: the same on a busy machine */
} lk_bench_row;

typedef struct lk_bench_opts {
    uint64_t each_ms;        /* for each row */
    const lk_cancel *cancel; /* NULL: none */
} lk_bench_opts;

/* Measure one row: the members before n_calls say which. LK_E_UNSUPPORTED: the model has no such
 * tower. LK_E_CANCELED. */
LK_CHECK lk_code lk_model_bench(lk_model *m, const lk_bench_opts *opts, lk_bench_row *row,
                                lk_err *err);

#endif
