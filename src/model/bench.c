#include "model/bench.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/os.h"

#define TEXT "a photo of a dog, 狗的照片"

enum { WIDTH = 640, HEIGHT = 480, WARM_UP_CALLS = 2, MAX_BENCH_BATCH = 64 };

#define MAX_CALLS ((size_t)1 << 20) /* a worker's; a row that is full ends there */

typedef struct worker {
    lk_model *m;
    const lk_bench_row *row;
    const lk_image *const *images; /* [batch] */
    const lk_cancel *cancel;
    uint64_t until_ns;
    float *out; /* [batch][dim] */
    float *ms;  /* [n], a call each */
    size_t n, cap;
    lk_code code;
    lk_err err;
} worker;

/* ---- one call ---- */

static lk_code call(worker *w)
{
    size_t dim = lk_model_info_of(w->m)->dim;
    if (!w->row->is_text)
        return lk_model_embed_images(w->m, w->row->batch, w->images, w->out, &w->err);
    for (size_t i = 0; i < w->row->batch; i++) {
        lk_code code = lk_model_embed_text(w->m, LK_STR(TEXT), w->out + i * dim, &w->err);
        if (code)
            return code;
    }
    return LK_OK;
}

static lk_code measure(worker *w)
{
    void *v = w->ms;
    uint64_t start = lk_now_ns();
    lk_code code = call(w);
    if (code)
        return code;
    if (!lk_grow(&v, &w->cap, w->n + 1, sizeof *w->ms))
        return lk_fail(&w->err, LK_E_NOMEM, "out of memory for measurements");
    w->ms = v;
    w->ms[w->n++] = (float)((double)(lk_now_ns() - start) / 1e6);
    return LK_OK;
}

static void work(void *ctx)
{
    worker *w = ctx;
    do {
        w->code = lk_cancel_is_set(w->cancel)
                      ? lk_fail(&w->err, LK_E_CANCELED, "stopped on request")
                      : measure(w);
    } while (!w->code && lk_now_ns() < w->until_ns && w->n < MAX_CALLS);
}

/* ---- one row ---- */

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* What all workers measured. */
static lk_code sum_up(const worker *w, unsigned n, double seconds, double cpu_ms, lk_bench_row *row,
                      lk_err *err)
{
    size_t all = 0, at = 0;
    for (unsigned i = 0; i < n; i++)
        all += w[i].n;
    float *ms = lk_alloc_array(all, sizeof *ms);
    if (!ms)
        return lk_fail(err, LK_E_NOMEM, "out of memory for measurements");
    for (unsigned i = 0; i < n; i++) {
        memcpy(ms + at, w[i].ms, w[i].n * sizeof *ms);
        at += w[i].n;
    }
    qsort(ms, all, sizeof *ms, by_size);
    row->n_calls = all;
    row->p50_ms = (double)ms[all / 2];
    row->p95_ms = (double)ms[all * 95 / 100];
    row->max_ms = (double)ms[all - 1];
    row->per_second = (double)(all * row->batch) / seconds;
    row->cpu_ms = cpu_ms / (double)(all * row->batch);
    lk_free(ms);
    return LK_OK;
}

/* Of all threads of this process, since it began. */
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static lk_code run_workers(worker *w, lk_bench_row *row, uint64_t each_ms, lk_err *err)
{
    lk_thread *threads[LK_MAX_BENCH_WORKERS] = {0};
    lk_code code = LK_OK;
    for (unsigned i = 0; !code && i < WARM_UP_CALLS; i++)
        code = call(&w[0]);
    if (code && err)
        *err = w[0].err;
    double cpu = cpu_ms();
    uint64_t start = lk_now_ns();
    for (unsigned i = 0; !code && i < row->workers; i++) {
        w[i].until_ns = start + each_ms * 1000000;
        code = lk_thread_start(&threads[i], "lk-bench", work, &w[i], err);
    }
    for (unsigned i = 0; i < row->workers; i++)
        if (threads[i])
            lk_thread_join(threads[i]);
    double seconds = (double)(lk_now_ns() - start) / 1e9;
    cpu = cpu_ms() - cpu;
    for (unsigned i = 0; !code && i < row->workers; i++) {
        code = w[i].code;
        if (code && err)
            *err = w[i].err;
    }
    return code ? code : sum_up(w, row->workers, seconds, cpu, row, err);
}

/* Noise would be unkind to nobody here: the time does not depend on the pixels. */
static void draw(lk_image *im)
{
    for (size_t i = 0; i < (size_t)3 * im->width * im->height; i++)
        im->px[i] = (unsigned char)(i * 2654435761u >> 13);
}

lk_code lk_model_bench(lk_model *m, const lk_bench_opts *opts, lk_bench_row *row, lk_err *err)
{
    const lk_model_info *mi = lk_model_info_of(m);
    const lk_image *images[MAX_BENCH_BATCH];
    lk_image im = {0};
    if (row->is_text ? !mi->has_text : !mi->has_image)
        return lk_fail(err, LK_E_UNSUPPORTED, "the model %s has no %s tower", mi->name,
                       row->is_text ? "text" : "image");
    if (row->batch < 1 || row->batch > MAX_BENCH_BATCH || row->workers < 1 ||
        row->workers > LK_MAX_BENCH_WORKERS)
        return lk_fail_field(err, LK_E_INVALID, "batch", "a batch is 1 to %d, workers 1 to %d",
                             MAX_BENCH_BATCH, LK_MAX_BENCH_WORKERS);
    worker *w = lk_calloc(row->workers, sizeof *w);
    if (!w)
        return lk_fail(err, LK_E_NOMEM, "out of memory to measure a model");
    lk_code code = lk_image_new(&im, WIDTH, HEIGHT, err);
    if (!code)
        draw(&im);
    for (size_t i = 0; i < row->batch; i++)
        images[i] = &im;
    for (unsigned i = 0; !code && i < row->workers; i++) {
        w[i] = (worker){.m = m, .row = row, .images = images, .cancel = opts->cancel};
        w[i].out = lk_alloc_array(row->batch * mi->dim, sizeof *w[i].out);
        if (!w[i].out)
            code = lk_fail(err, LK_E_NOMEM, "out of memory to measure a model");
    }
    if (!code)
        code = run_workers(w, row, opts->each_ms, err);
    for (unsigned i = 0; i < row->workers; i++) {
        lk_free(w[i].out);
        lk_free(w[i].ms);
    }
    lk_free(w);
    lk_image_release(&im);
    return code;
}
