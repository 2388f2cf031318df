/* ann: our index alone over files of vectors, as bench/peers measures the others.
 *
 *   ann --base B.fbin --query Q.fbin [--truth T.ibin] [--index hnsw|ivf|flat]
 *       [--originals f16|f32|i8] [--M N] [--ef-construction N] [--nlist N] [--bits 4|8] [--l2]
 *       [--threads N] [--queries N] [--ef N,N,..] [--nprobe N,N,..]
 *       [--where random:SHARE|cluster:SHARE:LABELS.i32] [--repeats N] [--cache FILE] [--churn N]
 *       [--json]
 *
 * One line a point: recall@10, queries a second of one thread by the wall clock (qps) and by its
 * own processor time (cpu_qps) over calls of BATCH queries, and the time of single calls (p50,
 * p99); with each the time to build on --threads threads and the memory that the index holds
 * (rss_mb: what this process holds itself; the originals are a mapped file, as in the store). Best
 * of --repeats; of single calls the best of each query, so that other work on the machine stays out
 * of them. With --cache the index is kept in that file, or taken from it and not built.
 *
 * --churn replaces every vector N times over before measuring, a tenth at a time: retired, mended,
 * put back with another's vector and linked; in the end the same vectors are there.
 *
 * Without --truth, or under --where, truth is an exact scan of the base here. Filters are those of
 * peers_filter.cpp. .fbin: int32 n, int32 dim, then floats; .ibin: int32 n, int32 k, then int32s.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "bench.h"
#include "index/ann.h"

#define K 10
#define BATCH 64
#define SHIFT 16
#define MAX_POINTS 32
#define COLLECTION 1

typedef struct file {
    uint32_t n, width;
    const void *rows;
} file;

typedef struct settings {
    const char *base, *query, *truth, *index, *originals, *where, *cache;
    lk_ann_opts opts;
    unsigned threads;
    size_t n_queries, repeats, churn;
    size_t points[MAX_POINTS], n_points;
    bool json;
} settings;

typedef struct bench {
    settings s;
    file base, query;
    lk_rows exact, rows; /* float32 of the file; the originals as a store keeps them */
    lk_bitmap all, which;
    bool filtered;
    size_t matched;
    uint32_t *truth;          /* [n_queries][K] */
    unsigned char *originals; /* what rows reads */
    lk_ann *ann;
    double build_s, build_cpu_s;
} bench;

static _Noreturn void die(const char *what, const char *which)
{
    fprintf(stderr, "ann: %s: %s\n", what, which);
    exit(2);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static file map(const char *path)
{
    struct stat st;
    int fd = path ? open(path, O_RDONLY) : -1;
    if (fd < 0 || fstat(fd, &st) || st.st_size < 8)
        die("cannot be read", path ? path : "--base and --query are needed");
    const uint32_t *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED || (uint64_t)st.st_size < 8 + (uint64_t)p[0] * p[1] * 4)
        die("is cut", path);
    return (file){p[0], p[1], p + 2};
}

/* ---- rows ---- */

static lk_rows rows_over(const unsigned char *p, size_t n, size_t row_bytes, size_t dim,
                         lk_elem elem)
{
    size_t n_chunks = (n >> SHIFT) + 1;
    const unsigned char **chunks = lk_alloc_array(n_chunks, sizeof *chunks);
    for (size_t i = 0; i < n_chunks; i++)
        chunks[i] = p + (i << SHIFT) * row_bytes;
    return (lk_rows){chunks, SHIFT, row_bytes, dim, elem};
}

typedef struct encoding {
    const bench *b;
    unsigned char *to;
} encoding;

static void encode_one(void *ctx, size_t i)
{
    encoding *e = ctx;
    const bench *b = e->b;
    lk_row_encode(lk_kern_best(), b->rows.elem, (const float *)b->base.rows + i * b->base.width,
                  b->base.width, e->to + i * b->rows.row_bytes);
}

/* The originals in a file without a name, mapped read-only. */
static void make_rows(bench *b)
{
    lk_err err;
    size_t dim = b->base.width;
    lk_elem elem = strcmp(b->s.originals, "f32") == 0  ? LK_ELEM_F32
                   : strcmp(b->s.originals, "i8") == 0 ? LK_ELEM_I8
                                                       : LK_ELEM_F16;
    size_t row_bytes = (lk_elem_bytes(elem, dim) + 3) / 4 * 4, bytes = row_bytes * b->base.n + 1;
    char path[] = "/tmp/ann-rows-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) || ftruncate(fd, (off_t)bytes))
        die("cannot be written", path);
    unsigned char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        die("cannot be mapped", path);
    b->exact = rows_over(b->base.rows, b->base.n, dim * sizeof(float), dim, LK_ELEM_F32);
    b->rows = rows_over(p, b->base.n, row_bytes, dim, elem);
    bench_ok(lk_parallel_for(b->base.n, b->s.threads, 256, encode_one, &(encoding){b, p}, &err),
             &err);
    b->originals = p;
    close(fd);
}

/* ---- filters ---- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int by_mix(const void *a, const void *b)
{
    uint64_t x = mix(*(const uint32_t *)a), y = mix(*(const uint32_t *)b);
    return x < y ? -1 : x > y;
}

static void filter_clusters(bench *b, double share, const char *path)
{
    file labels = map(path);
    const uint32_t *label = labels.rows;
    uint32_t n = 0;
    if (labels.n < b->base.n)
        die("has fewer labels than there are rows", path);
    for (size_t i = 0; i < b->base.n; i++)
        n = label[i] >= n ? label[i] + 1 : n;
    uint32_t *size = lk_calloc(n, sizeof *size), *order = lk_alloc_array(n, sizeof *order);
    bool *taken = lk_calloc(n, sizeof *taken);
    for (size_t i = 0; i < b->base.n; i++)
        size[label[i]]++;
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    qsort(order, n, sizeof *order, by_mix);
    double room = share * (double)b->base.n;
    for (uint32_t i = 0; i < n; i++)
        if (size[order[i]] <= room) {
            taken[order[i]] = true;
            room -= size[order[i]];
        }
    for (size_t i = 0; i < b->base.n; i++)
        if (taken[label[i]])
            lk_bitmap_set(&b->which, i);
    lk_free(size);
    lk_free(order);
    lk_free(taken);
}

static void make_filter(bench *b)
{
    lk_err err;
    bench_ok(lk_bitmap_resize(&b->all, b->base.n, &err), &err);
    bench_ok(lk_bitmap_resize(&b->which, b->base.n, &err), &err);
    lk_bitmap_fill(&b->all, true);
    b->filtered = b->s.where;
    if (!b->filtered) {
        lk_bitmap_fill(&b->which, true);
    } else {
        char kind[16] = "", path[1024] = "";
        double share = 0;
        if (sscanf(b->s.where, "%15[a-z]:%lf:%1023s", kind, &share, path) < 2)
            die("is random:SHARE or cluster:SHARE:LABELS.i32", "--where");
        if (strcmp(kind, "cluster") == 0)
            filter_clusters(b, share, path);
        for (size_t i = 0; strcmp(kind, "random") == 0 && i < b->base.n; i++)
            if ((double)(mix(i) >> 32) < share * 4294967296.0)
                lk_bitmap_set(&b->which, i);
    }
    b->matched = lk_bitmap_count(&b->which);
}

/* ---- truth ---- */

static void true_one(void *ctx, size_t i)
{
    bench *b = ctx;
    lk_near near[K];
    size_t n =
        lk_flat_search(lk_kern_best(), &b->exact, &b->which,
                       (const float *)b->query.rows + i * b->query.width, b->s.opts.score, K, near);
    for (size_t j = 0; j < K; j++)
        b->truth[i * K + j] = j < n ? near[j].slot : UINT32_MAX;
}

static void make_truth(bench *b)
{
    lk_err err;
    b->truth = lk_alloc_array(b->s.n_queries * K, sizeof *b->truth);
    if (b->filtered || !b->s.truth) {
        bench_ok(lk_parallel_for(b->s.n_queries, b->s.threads, 1, true_one, b, &err), &err);
        return;
    }
    file t = map(b->s.truth);
    if (t.n < b->s.n_queries || t.width < K)
        die("has too few rows or columns", b->s.truth);
    for (size_t i = 0; i < b->s.n_queries; i++)
        memcpy(b->truth + i * K, (const uint32_t *)t.rows + i * t.width, K * sizeof *b->truth);
}

/* ---- building ---- */

static void say_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    fprintf(stderr, "\rbuilding %llu of %llu%s", (unsigned long long)done,
            (unsigned long long)total, done == total ? "\n" : "");
}

/* The index that an earlier call left in --cache; false: there is none. */
static bool reopen(bench *b, const uint32_t *stamp)
{
    lk_err err;
    size_t stale;
    if (!b->s.cache || access(b->s.cache, F_OK))
        return false;
    bench_ok(lk_ann_load(lk_kern_best(), &b->s.opts, b->s.cache, COLLECTION, b->s.threads, &b->ann,
                         &err),
             &err);
    bench_ok(lk_ann_catch_up(b->ann, &b->rows, &b->all, stamp, &stale, &err), &err);
    return true;
}

static void keep(bench *b, const uint32_t *stamp)
{
    lk_err err;
    if (b->s.cache)
        bench_ok(lk_ann_save(b->ann, b->s.cache, COLLECTION, stamp, b->base.n, &err), &err);
}

static void build(bench *b)
{
    lk_err err;
    if (strcmp(b->s.index, "flat") == 0)
        return;
    uint32_t *stamp = lk_calloc(b->base.n, sizeof *stamp); /* the rows never change */
    if (reopen(b, stamp)) {
        lk_free(stamp);
        return;
    }
    double from = seconds(CLOCK_MONOTONIC), cpu_from = seconds(CLOCK_PROCESS_CPUTIME_ID);
    bench_ok(lk_ann_new(lk_kern_best(), &b->s.opts, &b->ann, &err), &err);
    bench_ok(lk_ann_train(b->ann, &b->rows, &b->all, b->s.threads, NULL, &err), &err);
    bench_ok(lk_ann_claim(b->ann, &b->all, &err), &err);
    bench_ok(lk_ann_build(b->ann, &b->rows, b->s.threads, isatty(2) ? say_progress : NULL, NULL,
                          NULL, &err),
             &err);
    b->build_s = seconds(CLOCK_MONOTONIC) - from;
    b->build_cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_from;
    keep(b, stamp);
    lk_free(stamp);
}

/* ---- churn ---- */

/* Vectors go round within a tenth, one step a time, and come home at the last. */
static void churn(bench *b)
{
    lk_err err;
    lk_bitmap mended;
    size_t n = b->base.n, dim = b->base.width, linked = 0;
    lk_bitmap_init(&mended);
    for (size_t round = 1; round <= b->s.churn; round++) {
        double from = seconds(CLOCK_MONOTONIC), mending = 0;
        size_t step = round == b->s.churn ? 0 : 10 * round;
        for (size_t tenth = 0; tenth < 10; tenth++) {
            for (size_t i = tenth; i < n; i += 10)
                lk_ann_retire(b->ann, (uint32_t)i);
            double mend_from = seconds(CLOCK_MONOTONIC);
            bench_ok(lk_ann_mend(b->ann, b->s.threads, &mended, &err), &err);
            mending += seconds(CLOCK_MONOTONIC) - mend_from;
            for (size_t i = tenth; i < n; i += 10) {
                size_t as = i + step < n ? i + step : (i + step) % 10;
                const float *vector = (const float *)b->base.rows + as * dim;
                lk_row_encode(lk_kern_best(), b->rows.elem, vector, dim,
                              b->originals + i * b->rows.row_bytes);
                lk_ann_put(b->ann, (uint32_t)i, vector);
            }
            bench_ok(lk_ann_link(b->ann, &b->rows, n, b->s.threads, &linked, &err), &err);
        }
        fprintf(stderr, "replaced all %zu for the %zu. time in %.1f s, %.1f of them mending\n", n,
                round, seconds(CLOCK_MONOTONIC) - from, mending);
    }
    lk_bitmap_release(&mended);
}

/* ---- measuring ---- */

static lk_ann_query query_of(const bench *b, size_t i, size_t point)
{
    bool ivf = b->s.opts.kind == LK_ANN_IVF;
    return (lk_ann_query){.vector = (const float *)b->query.rows + i * b->query.width,
                          .k = K,
                          .ef = ivf ? 0 : point,
                          .nprobe = ivf ? point : 0,
                          .which = b->filtered ? &b->which : NULL,
                          .matched = b->matched};
}

static void search(bench *b, size_t from, size_t n, size_t point, lk_ann_found *ret)
{
    lk_ann_query q[BATCH];
    lk_err err;
    for (size_t i = 0; i < n; i++)
        q[i] = query_of(b, from + i, point);
    if (b->ann) {
        bench_ok(lk_ann_search_many(b->ann, &b->rows, q, n, ret, &err), &err);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        ret[i] = (lk_ann_found){.hits = lk_alloc_array(K, sizeof *ret[i].hits), .plan = "flat"};
        ret[i].n = lk_flat_search(lk_kern_best(), &b->rows, &b->which, q[i].vector, b->s.opts.score,
                                  K, ret[i].hits);
    }
}

static size_t hits_of(const bench *b, size_t query, const lk_ann_found *f)
{
    size_t hits = 0;
    for (size_t i = 0; i < f->n && i < K; i++)
        for (size_t j = 0; j < K; j++)
            hits += b->truth[query * K + j] == f->hits[i].slot;
    return hits;
}

static size_t true_hits(const bench *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->s.n_queries * K; i++)
        n += b->truth[i] != UINT32_MAX;
    return n;
}

static double status_mb(const char *field)
{
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, field, strlen(field)) == 0)
            kb = strtod(line + strlen(field), NULL);
    if (f)
        fclose(f);
    return kb / 1024;
}

static void say(const bench *b, size_t point, double recall, double qps, double cpu_qps, double p50,
                double p99, const char *plan)
{
    const char *knob = b->s.opts.kind == LK_ANN_IVF ? "nprobe" : "ef";
    double mb = status_mb("RssAnon:");
    printf(
        b->s.json
            ? "{\"index\": \"%s\", \"params\": {\"%s\": %zu}, \"plan\": \"%s\", \"recall\": %.5f, "
              "\"qps\": %.1f, \"cpu_qps\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
              "\"build_s\": %.2f, \"build_cpu_s\": %.2f, \"rss_mb\": %.0f"
            : "%s %s %zu  %s  recall %.4f  %.0f/s (%.0f/s of processor)  p50 %.1f us  p99 %.1f us"
              "  built in %.1f s (%.1f s of processors)  %.0f MB",
        b->s.index, knob, point, plan, recall, qps, cpu_qps, p50, p99, b->build_s, b->build_cpu_s,
        mb);
    if (b->filtered)
        printf(b->s.json ? ", \"where\": \"%s\", \"matched\": %zu" : "  where %s, %zu match",
               b->s.where, b->matched);
    puts(b->s.json ? "}" : "");
    fflush(stdout);
}

/* Microseconds of one query in a call of its own. */
static double single(bench *b, size_t query, size_t point)
{
    lk_ann_found found;
    double from = seconds(CLOCK_MONOTONIC);
    search(b, query, 1, point, &found);
    double us = (seconds(CLOCK_MONOTONIC) - from) * 1e6;
    lk_free(found.hits);
    return us;
}

static void measure(bench *b, size_t point)
{
    double wall = 0, cpu = 0;
    size_t hits = 0;
    const char *plan = "";
    lk_ann_found found[BATCH];
    for (size_t round = 0; round < b->s.repeats; round++) {
        double from = seconds(CLOCK_MONOTONIC), cpu_from = seconds(CLOCK_THREAD_CPUTIME_ID);
        hits = 0;
        for (size_t i = 0, n; i < b->s.n_queries; i += n) {
            n = b->s.n_queries - i < BATCH ? b->s.n_queries - i : BATCH;
            search(b, i, n, point, found);
            for (size_t j = 0; j < n; j++) {
                hits += hits_of(b, i + j, &found[j]);
                plan = found[j].plan;
                lk_free(found[j].hits);
            }
        }
        double took = seconds(CLOCK_MONOTONIC) - from;
        double cpu_took = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_from;
        wall = round == 0 || took < wall ? took : wall;
        cpu = round == 0 || cpu_took < cpu ? cpu_took : cpu;
    }
    bench_times times = {0};
    for (size_t i = 0; i < b->s.n_queries; i++)
        bench_add(&times, single(b, i, point));
    for (size_t round = 1; round < b->s.repeats; round++) {
        for (size_t i = 0; i < b->s.n_queries; i++) {
            double us = single(b, i, point);
            times.us[i] = us < times.us[i] ? us : times.us[i];
        }
    }
    double p50 = bench_percentile(&times, 0.5), p99 = bench_percentile(&times, 0.99);
    bench_release(&times);
    double n = (double)b->s.n_queries;
    say(b, point, (double)hits / (double)true_hits(b), n / wall, n / cpu, p50, p99, plan);
}

/* ---- the command line ---- */

static void read_points(settings *s, const char *list)
{
    s->n_points = 0;
    for (char *end; *list && s->n_points < MAX_POINTS; list = *end == ',' ? end + 1 : end) {
        s->points[s->n_points++] = strtoul(list, &end, 10);
        if (end == list)
            die("is a list of numbers, with commas", "--ef or --nprobe");
    }
}

static void usual_points(settings *s)
{
    static const size_t graph[] = {10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256};
    static const size_t ivf[] = {4, 8, 16, 32, 64, 128, 256, 512};
    bool is_ivf = s->opts.kind == LK_ANN_IVF;
    if (s->n_points)
        return;
    s->n_points = strcmp(s->index, "flat") == 0 ? 1
                  : is_ivf                      ? sizeof ivf / sizeof *ivf
                                                : sizeof graph / sizeof *graph;
    memcpy(s->points, is_ivf ? ivf : graph, s->n_points * sizeof *s->points);
}

static void read_settings(settings *s, int argc, char **argv)
{
    *s = (settings){.index = "hnsw", .originals = "f16", .threads = 2, .repeats = 3};
    s->n_queries = SIZE_MAX;
    s->opts.score = LK_SCORE_DOT;
    s->opts.unit = true;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *v = i + 1 < argc ? argv[i + 1] : "";
        bool alone = strcmp(name, "--json") == 0 || strcmp(name, "--l2") == 0;
        if (!alone && i + 1 == argc)
            die("needs a value", name);
        i += !alone;
        if (strcmp(name, "--json") == 0)
            s->json = true;
        else if (strcmp(name, "--l2") == 0)
            s->opts.score = LK_SCORE_NEG_L2;
        else if (strcmp(name, "--base") == 0)
            s->base = v;
        else if (strcmp(name, "--query") == 0)
            s->query = v;
        else if (strcmp(name, "--truth") == 0)
            s->truth = v;
        else if (strcmp(name, "--index") == 0)
            s->index = v;
        else if (strcmp(name, "--originals") == 0)
            s->originals = v;
        else if (strcmp(name, "--where") == 0)
            s->where = v;
        else if (strcmp(name, "--cache") == 0)
            s->cache = v;
        else if (strcmp(name, "--churn") == 0)
            s->churn = strtoul(v, NULL, 10);
        else if (strcmp(name, "--M") == 0)
            s->opts.M = strtoul(v, NULL, 10);
        else if (strcmp(name, "--ef-construction") == 0)
            s->opts.ef_construction = strtoul(v, NULL, 10);
        else if (strcmp(name, "--nlist") == 0)
            s->opts.nlist = strtoul(v, NULL, 10);
        else if (strcmp(name, "--bits") == 0)
            s->opts.bits = (unsigned)strtoul(v, NULL, 10);
        else if (strcmp(name, "--threads") == 0)
            s->threads = (unsigned)strtoul(v, NULL, 10);
        else if (strcmp(name, "--queries") == 0)
            s->n_queries = strtoul(v, NULL, 10);
        else if (strcmp(name, "--repeats") == 0)
            s->repeats = strtoul(v, NULL, 10);
        else if (strcmp(name, "--ef") == 0 || strcmp(name, "--nprobe") == 0)
            read_points(s, v);
        else
            die("there is no such option", name);
    }
    s->opts.kind = strcmp(s->index, "ivf") == 0 ? LK_ANN_IVF : LK_ANN_HNSW;
    usual_points(s);
}

int main(int argc, char **argv)
{
    static bench b;
    read_settings(&b.s, argc, argv);
    b.base = map(b.s.base);
    b.query = map(b.s.query);
    if (b.base.width != b.query.width)
        die("has vectors of another width", b.s.query);
    b.s.opts.dim = b.base.width;
    b.s.n_queries = b.s.n_queries < b.query.n ? b.s.n_queries : b.query.n;
    make_rows(&b);
    make_filter(&b);
    make_truth(&b);
    build(&b);
    if (b.ann)
        churn(&b);
    for (size_t i = 0; i < b.s.n_points; i++)
        measure(&b, b.s.points[i]);
    return 0;
}
