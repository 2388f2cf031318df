/* How fast the embedded stores are on this machine.
 *
 *   build/bench/bench_store [--rows 200000] [--dim 512] [--dir DIR] [--json]
 *
 * Prints, with machine, commit and kernel: durable upserts in batches of 1,000 (alone, and while a
 * thread searches), search latency idle and during those writes, the time to open, to evaluate
 * filters and to verify, the memory held; puts of objects and records a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "base/opt.h"
#include "base/os.h"
#include "base/thread.h"
#include "kern/kern.h"
#include "store/objects/objects.h"
#include "store/records/records.h"
#include "store/vectors/vectors.h"

typedef struct options {
    int64_t rows, dim;
    const char *dir;
    bool json;
} options;

static const lk_opt table[] = {
    {.name = "rows",
     .type = LK_OPT_INT,
     .offset = offsetof(options, rows),
     .dflt = "200000",
     .min = 2000,
     .max = 100000000,
     .help = "vectors to store"},
    {.name = "dim",
     .type = LK_OPT_INT,
     .offset = offsetof(options, dim),
     .dflt = "512",
     .min = 8,
     .max = 4096,
     .help = "elements of a vector"},
    {.name = "dir",
     .type = LK_OPT_STR,
     .offset = offsetof(options, dir),
     .dflt = "bench-store",
     .help = "a folder that does not exist yet"},
    {.name = "json",
     .type = LK_OPT_BOOL,
     .offset = offsetof(options, json),
     .help = "one JSON line a figure"},
    {.name = NULL},
};

static options opt;
static lk_vectors *store;

static void check(lk_code code, const lk_err *err, const char *what)
{
    if (code) {
        fprintf(stderr, "%s: %s\n", what, err->text);
        exit(1);
    }
}

static void report(const char *what, double value, const char *unit)
{
    if (opt.json)
        printf("{\"bench\":\"store\",\"what\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"rows\":%lld,"
               "\"dim\":%lld}\n",
               what, value, unit, (long long)opt.rows, (long long)opt.dim);
    else
        printf("%-52s %12.6g %s\n", what, value, unit);
    fflush(stdout);
}

static double seconds_since(uint64_t start)
{
    return (double)(lk_now_ns() - start) / 1e9;
}

/* xorshift64* (Vigna 2016): fast, and good enough to fill vectors. */
static uint64_t next(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 2685821657736338717u;
}

static void fill(uint64_t seed, float *v)
{
    uint64_t s = seed * 0x9e3779b97f4a7c15u + 1;
    for (int64_t i = 0; i < opt.dim; i++)
        v[i] = (float)(int32_t)(uint32_t)next(&s) * 0x1p-31f;
}

#define BATCH 1000
#define N_ATTRS 10

/* About what the engine keeps of a photograph. */
static void attrs_of(uint64_t number, lk_attr *a, char (*text)[64])
{
    static const char *const categories[] = {"portrait", "landscape", "animal",   "food", "vehicle",
                                             "building", "nature",    "abstract", "text", "other"};
    static const char *const schemes[] = {"warm", "cool", "neutral"};
    snprintf(text[0], 64, "/home/user/Pictures/2024/%02llu/IMG_%08llu.jpg",
             (unsigned long long)(number % 12 + 1), (unsigned long long)number);
    snprintf(text[1], 64, "IMG_%08llu.jpg", (unsigned long long)number);
    const struct {
        const char *name;
        lk_value v;
    } all[N_ATTRS] = {
        {"path", {.type = LK_T_STR, .s = lk_str_of(text[0])}},
        {"filename", {.type = LK_T_STR, .s = lk_str_of(text[1])}},
        {"category", {.type = LK_T_STR, .s = lk_str_of(categories[number % 10])}},
        {"color_scheme", {.type = LK_T_STR, .s = lk_str_of(schemes[number % 3])}},
        {"format", {.type = LK_T_STR, .s = LK_STR("jpeg")}},
        {"brightness", {.type = LK_T_REAL, .d = (double)(number % 1000) / 1000}},
        {"saturation", {.type = LK_T_REAL, .d = (double)(number % 777) / 777}},
        {"width", {.type = LK_T_INT, .i = (int64_t)(640 + number % 4000)}},
        {"height", {.type = LK_T_INT, .i = (int64_t)(480 + number % 3000)}},
        {"created_at", {.type = LK_T_TIME, .i = 1700000000000 + (int64_t)number * 1000}},
    };
    for (size_t i = 0; i < N_ATTRS; i++)
        a[i] = (lk_attr){.name = lk_str_of(all[i].name), .value = all[i].v};
}

static void upsert_batch(uint64_t from, uint64_t seed)
{
    static lk_vector_row rows[BATCH];
    static lk_attr attrs[BATCH][N_ATTRS];
    static char texts[BATCH][2][64], ids[BATCH][40];
    float *vectors = lk_alloc_array(BATCH, (size_t)opt.dim * sizeof *vectors);
    lk_err err;
    for (size_t i = 0; i < BATCH; i++) {
        uint64_t s = from + i;
        snprintf(ids[i], sizeof ids[i], "%016llx%016llx", (unsigned long long)next(&s),
                 (unsigned long long)(from + i));
        fill(from + i + seed, vectors + i * (size_t)opt.dim);
        attrs_of(from + i, attrs[i], texts[i]);
        rows[i] = (lk_vector_row){.id = lk_str_of(ids[i]),
                                  .vector = vectors + i * (size_t)opt.dim,
                                  .attrs = attrs[i],
                                  .n_attrs = N_ATTRS};
    }
    check(lk_vectors_upsert(store, BATCH, rows, &err), &err, "upsert");
    lk_free(vectors);
}

typedef struct searcher {
    atomic_bool stop;
    uint64_t us[1 << 16];
    size_t n;
    const char *filter;
} searcher;

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void search_once(searcher *s, uint64_t seed)
{
    lk_arena arena;
    lk_arena_init(&arena, 0);
    float *q = lk_arena_alloc(&arena, (size_t)opt.dim * sizeof *q);
    lk_err err;
    lk_schema schema;
    const lk_filter *f = NULL;
    fill(seed, q);
    if (s->filter) {
        check(lk_vectors_schema(store, &arena, &schema, &err), &err, "schema");
        check(lk_filter_parse(lk_str_of(s->filter), &arena, &f, &err), &err, "parse");
        check(lk_filter_check(f, &schema, &arena, &f, &err), &err, "check");
    }
    lk_vectors_query query = {.vector = q, .k = 10, .filter = f};
    lk_vectors_found found;
    uint64_t start = lk_now_ns();
    check(lk_vectors_search(store, &query, &arena, &found, &err), &err, "search");
    if (s->n < LK_ARRAY_LEN(s->us))
        s->us[s->n++] = (lk_now_ns() - start) / 1000;
    lk_arena_release(&arena);
}

static void report_latency(searcher *s, const char *what)
{
    char name[96];
    qsort(s->us, s->n, sizeof *s->us, by_number);
    snprintf(name, sizeof name, "%s, p50", what);
    report(name, (double)s->us[s->n / 2] / 1000, "ms");
    snprintf(name, sizeof name, "%s, p99", what);
    report(name, (double)s->us[s->n * 99 / 100] / 1000, "ms");
}

static void search_on(void *ctx)
{
    searcher *s = ctx;
    for (uint64_t seed = 1; !atomic_load(&s->stop); seed++)
        search_once(s, seed);
}

static void bench_search(const char *what, const char *filter, size_t n)
{
    searcher *s = lk_calloc(1, sizeof *s);
    s->filter = filter;
    for (size_t i = 0; i < n; i++)
        search_once(s, i + 1);
    report_latency(s, what);
    lk_free(s);
}

static void open_store(const char *path)
{
    lk_err err;
    lk_vectors_opts o;
    lk_vectors_opts_default(&o);
    o.dim = (size_t)opt.dim;
    o.create = true;
    check(lk_vectors_open(path, &o, &store, &err), &err, "open");
}

static void bench_vectors(const char *path)
{
    lk_err err;
    uint64_t n = (uint64_t)opt.rows / BATCH;
    open_store(path);
    uint64_t start = lk_now_ns();
    for (uint64_t b = 0; b < n; b++)
        upsert_batch(b * BATCH, 0);
    report("durable upsert in batches of 1,000", (double)(n * BATCH) / seconds_since(start), "/s");
    bench_search("exact search, idle", NULL, 60);
    bench_search("exact search, category == 'food' (10 %)", "category == 'food'", 60);
    bench_search("filter of three tests that nothing passes",
                 "width > 100 and brightness < 0.9 and filename like '%nothing%'", 60);
    searcher *s = lk_calloc(1, sizeof *s);
    lk_thread *t = NULL;
    check(lk_thread_start(&t, "searcher", search_on, s, &err), &err, "thread");
    uint64_t churn = n < 40 ? n : 40;
    start = lk_now_ns();
    for (uint64_t b = 0; b < churn; b++)
        upsert_batch(b * BATCH, 1000000000);
    report("durable upsert while one thread searches",
           (double)(churn * BATCH) / seconds_since(start), "/s");
    atomic_store(&s->stop, true);
    lk_thread_join(t);
    report_latency(s, "exact search during those writes");
    lk_free(s);
    lk_vectors_close(store);
    uint64_t rss = lk_os_rss_bytes();
    start = lk_now_ns();
    open_store(path);
    report("open", seconds_since(start) * 1000, "ms");
    report("memory the open took", (double)(lk_os_rss_bytes() - rss) / 0x1p20, "MiB");
    lk_vectors_info info;
    check(lk_vectors_info_of(store, &info, &err), &err, "info");
    report("memory by its own count", (double)info.memory_bytes / 0x1p20, "MiB");
    report("disk", (double)info.disk_bytes / 0x1p20, "MiB");
    start = lk_now_ns();
    check(lk_vectors_verify(store, &err), &err, "verify");
    report("verify", seconds_since(start) * 1000, "ms");
    lk_vectors_close(store);
}

/* ---- objects and records, from several threads as the ingest does it ---- */

typedef struct put_job {
    lk_objects *objects;
    lk_records *records;
    atomic_uint_fast64_t next;
    uint64_t n;
    size_t bytes;
} put_job;

static void put_on(void *ctx)
{
    put_job *job = ctx;
    lk_err err;
    unsigned char *bytes = lk_calloc(1, job->bytes);
    for (;;) {
        uint64_t i = atomic_fetch_add(&job->next, 1);
        if (i >= job->n)
            break;
        lk_sha256 key;
        char id[32];
        memcpy(bytes, &i, sizeof i);
        check(lk_sha256_of(&i, sizeof i, &key, &err), &err, "sha256");
        if (job->objects)
            check(lk_objects_put(job->objects, &key, "", (lk_blob){bytes, job->bytes}, false, &err),
                  &err, "object");
        snprintf(id, sizeof id, "%llu", (unsigned long long)i);
        lk_record_row row = {.id = lk_str_of(id),
                             .object = key,
                             .created_ms = (int64_t)i,
                             .doc = LK_STR("{\"format\":\"jpeg\",\"width\":640,\"height\":480}")};
        if (job->records)
            check(lk_records_put(job->records, 1, &row, true, &err), &err, "record");
    }
    lk_free(bytes);
}

static void bench_puts(put_job *job, unsigned n_threads, const char *what)
{
    lk_err err;
    lk_thread *threads[8];
    char name[96];
    uint64_t start = lk_now_ns();
    for (unsigned i = 0; i < n_threads; i++)
        check(lk_thread_start(&threads[i], "putter", put_on, job, &err), &err, "thread");
    for (unsigned i = 0; i < n_threads; i++)
        lk_thread_join(threads[i]);
    snprintf(name, sizeof name, "%s, %u thread%s", what, n_threads, n_threads > 1 ? "s" : "");
    report(name, (double)job->n / seconds_since(start), "/s");
}

static void bench_stores(void)
{
    char path[4096];
    lk_err err;
    for (unsigned n_threads = 1; n_threads <= 4; n_threads *= 4) {
        put_job objects = {.n = 2000, .bytes = 200000};
        put_job records = {.n = 2000, .bytes = 8};
        snprintf(path, sizeof path, "%s/objects%u", opt.dir, n_threads);
        check(lk_objects_open(path, &objects.objects, &err), &err, "objects");
        bench_puts(&objects, n_threads, "durable objects of 200 kB");
        lk_objects_close(objects.objects);
        snprintf(path, sizeof path, "%s/records%u.db", opt.dir, n_threads);
        check(lk_records_open(path, &records.records, &err), &err, "records");
        bench_puts(&records, n_threads, "durable records, one a call");
        lk_records_close(records.records);
    }
}

int main(int argc, char **argv)
{
    lk_err err;
    int n_args = 0;
    char path[4096];
    check(lk_opt_defaults(table, &opt, &err), &err, "options");
    check(lk_opt_parse_argv(table, &opt, argc, argv, &n_args, &err), &err, "options");
    if (lk_os_exists(opt.dir)) {
        fprintf(stderr, "%s is there already\n", opt.dir);
        return 2;
    }
    struct utsname u;
    uname(&u);
    printf("# %s %s, %u processors, kernel table %s, version %s\n", u.sysname, u.machine,
           lk_os_cpus(), lk_kern_best()->name, LK_VERSION);
    snprintf(path, sizeof path, "%s/vectors", opt.dir);
    bench_vectors(path);
    bench_stores();
    return 0;
}
