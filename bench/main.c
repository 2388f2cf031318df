/* bench PHOTOS: adding beside the bare model, flat search, memory. bench/run adds search over HTTP.
 *
 * Rates are given beside what bounds them in the same run: adding beside the model alone on
 * pictures that are decoded already, search beside the time to read the vectors. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "bench.h"
#include "engine/engine.h"
#include "image/resize.h"
#include "kern/kern.h"
#include "model/model.h"
#include "store/vectors/vectors.h"

#define MAX_PHOTOS 1000
#define ROUNDS 8
#define MINI_SIDE 112 /* the bundled model's input: what is this size already needs no resize */

typedef struct photo {
    unsigned char *bytes;
    size_t n;
    lk_image input; /* decoded and resized for the model */
} photo;

static photo photos[MAX_PHOTOS];
static size_t n_photos;

static void read_photos(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) && n_photos < MAX_PHOTOS;) {
        char path[1024];
        photo *p = &photos[n_photos];
        lk_picture pic;
        lk_err err;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.' || lk_os_read_file(path, 0, &p->bytes, &p->n, &err))
            continue;
        if (lk_picture_decode((lk_blob){p->bytes, p->n}, NULL, false, &pic, &err)) {
            lk_free(p->bytes);
            continue;
        }
        bench_ok(lk_resize(&pic.image, MINI_SIDE, MINI_SIDE, LK_RESIZE_BICUBIC, &p->input, &err),
                 &err);
        lk_picture_release(&pic);
        n_photos++;
    }
    if (d)
        closedir(d);
}

/* ---- adding ---- */

typedef struct work {
    lk_model *model;
    lk_engine *engine;
    size_t first; /* id of the first picture */
} work;

static void bare(void *ctx, size_t i)
{
    work *w = ctx;
    float v[LK_MAX_DIM];
    lk_err err;
    const lk_image *im = &photos[i % n_photos].input;
    bench_ok(lk_model_embed_images(w->model, 1, &im, v, &err), &err);
}

static void add(void *ctx, size_t i)
{
    work *w = ctx;
    lk_arena a;
    lk_added out;
    lk_err err;
    char id[32];
    /* An id of its own, or the same bytes would be recognised and cost nothing. */
    snprintf(id, sizeof id, "%zu", w->first + i);
    lk_add in = {.bytes = {photos[i % n_photos].bytes, photos[i % n_photos].n},
                 .id = lk_str_of(id)};
    lk_arena_init(&a, 0);
    bench_ok(lk_engine_add(w->engine, &in, &a, &out, &err), &err);
    lk_arena_release(&a);
}

static double seconds(lk_for_fn *fn, work *w, size_t n, unsigned threads)
{
    lk_err err;
    uint64_t t0 = lk_now_ns();
    bench_ok(lk_parallel_for(n, threads, 1, fn, w, &err), &err);
    return (double)(lk_now_ns() - t0) / 1e9;
}

static void bench_adding(unsigned threads)
{
    char dir[256];
    lk_engine_opts eo;
    lk_model_opts mo;
    work w = {0};
    lk_err err;
    double model = 0, whole = 0;
    bench_dir_make(dir);
    lk_model_opts_default(&mo);
    bench_ok(lk_model_open("mini", &mo, &w.model, &err), &err);
    bench_ok(lk_opt_defaults(lk_engine_opt_table, &eo, &err), &err);
    eo.data_dir = dir;
    eo.embed_cache_bytes = 0; /* the rounds add the same pictures, and each is to be embedded */
    bench_ok(lk_engine_open(&eo, LK_OPEN_CREATE, &w.engine, &err), &err);
    (void)seconds(bare, &w, n_photos, threads); /* warm up */
    /* In turns, so that other work on the machine slows both alike. */
    for (size_t round = 0; round < ROUNDS; round++) {
        w.first = round * n_photos;
        model += seconds(bare, &w, n_photos, threads);
        whole += seconds(add, &w, n_photos, threads * 2);
    }
    double n = (double)(n_photos * ROUNDS);
    printf("add, %u cores: %.0f images/s; the model alone on decoded pictures %.0f images/s: %.0f "
           "%%\n",
           threads, n / whole, n / model, 100 * model / whole);
    printf("memory after adding %.0f pictures: %.0f MiB resident\n", n,
           (double)lk_os_rss_bytes() / (1 << 20));
    lk_engine_close(w.engine);
    lk_model_close(w.model);
    bench_dir_remove(dir);
}

/* ---- search ---- */

#define DIM 512

static void fill(lk_vectors *v, size_t n, size_t dim)
{
    enum { BATCH = 1000 };
    static char ids[BATCH][24];
    lk_vector_row rows[BATCH];
    lk_err err;
    float *x = lk_alloc_array(BATCH * dim, sizeof *x);
    for (size_t at = 0; x && at < n; at += BATCH) {
        size_t m = n - at < BATCH ? n - at : BATCH;
        for (size_t i = 0; i < m; i++) {
            snprintf(ids[i], sizeof ids[i], "v%zu", at + i);
            bench_vector(at + i + 1, dim, x + i * dim);
            rows[i] = (lk_vector_row){.id = lk_str_of(ids[i]), .vector = x + i * dim};
        }
        bench_ok(lk_vectors_upsert(v, m, rows, &err), &err);
    }
    lk_free(x);
}

static void bench_flat(size_t n)
{
    char dir[256];
    lk_vectors_opts vo;
    lk_vectors *v = NULL;
    lk_err err;
    bench_times t = {0};
    float q[DIM];
    bench_dir_make(dir);
    lk_vectors_opts_default(&vo);
    vo.dim = DIM;
    vo.space = "bench";
    vo.index = "flat";
    vo.create = true;
    bench_ok(lk_vectors_open(dir, &vo, &v, &err), &err);
    uint64_t t0 = lk_now_ns();
    fill(v, n, DIM);
    double fill_s = (double)(lk_now_ns() - t0) / 1e9;
    for (uint64_t i = 0; i < 300; i++) {
        lk_arena a;
        lk_vectors_found found;
        lk_vectors_query query = {.vector = q, .k = 10};
        bench_vector(1000000 + i, DIM, q);
        lk_arena_init(&a, 0);
        t0 = lk_now_ns();
        bench_ok(lk_vectors_search(v, &query, &a, &found, &err), &err);
        bench_add(&t, (double)(lk_now_ns() - t0) / 1000);
        lk_arena_release(&a);
    }
    double p50 = bench_percentile(&t, 0.5);
    printf(
        "flat search, %zu x %d f16, one thread: p50 %.0f us, p99 %.0f us (%.1f GB/s of vectors); "
        "durable upsert %.0f/s\n",
        n, DIM, p50, bench_percentile(&t, 0.99), (double)n * DIM * 2 / p50 / 1000,
        (double)n / fill_s);
    bench_release(&t);
    lk_vectors_close(v);
    bench_dir_remove(dir);
}

int main(int argc, char **argv)
{
    lk_err err;
    unsigned threads = lk_os_cpus();
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_ok(lk_image_start(&err), &err);
    printf("kernels: %s, processors: %u\n", lk_kern_best()->name, threads);
    if (argc > 1)
        read_photos(argv[1]);
    if (n_photos)
        bench_adding(threads);
    else
        puts("no photographs given: adding is not measured");
    bench_flat(1000);
    bench_flat(100000);
    return 0;
}
