/* fill: a data folder with many vectors and no pictures, to measure searches over HTTP on.
 *
 *   lookalike init --data DIR
 *   fill DIR BASE.fbin [N]
 *   lookalike --data DIR serve
 *
 * Puts a record and a vector for each of the first N rows. Where the folder's model makes shorter
 * vectors than the rows are, their first elements stand for them. Not a folder to keep: what the
 * records name as their pictures is not there. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "bench.h"
#include "store/records/records.h"
#include "store/vectors/vectors.h"

#define BATCH 1000

typedef struct rows {
    uint32_t n, dim;
    const float *p;
} rows;

static rows map(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    const uint32_t *p = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &st) == 0)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "fill: %s cannot be read\n", path);
        exit(1);
    }
    return (rows){p[0], p[1], (const float *)(const void *)(p + 2)};
}

static void put(lk_records *records, lk_vectors *vectors, const rows *r, size_t from, size_t n)
{
    static char ids[BATCH][16], docs[BATCH][128];
    lk_record_row rec[BATCH];
    lk_vector_row vec[BATCH];
    lk_err err;
    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "v%07zu", from + i);
        snprintf(docs[i], sizeof docs[i],
                 "{\"id\":\"%s\",\"path\":\"%s.jpg\",\"width\":640,\"height\":480}", ids[i],
                 ids[i]);
        rec[i] = (lk_record_row){.id = lk_str_of(ids[i]), .doc = lk_str_of(docs[i])};
        memcpy(&rec[i].object, &(uint64_t){from + i + 1}, sizeof(uint64_t));
        rec[i].created_ms = (int64_t)(from + i);
        vec[i] = (lk_vector_row){.id = lk_str_of(ids[i]), .vector = r->p + (from + i) * r->dim};
    }
    bench_ok(lk_vectors_upsert(vectors, n, vec, &err), &err);
    bench_ok(lk_records_put(records, n, rec, true, &err), &err);
}

int main(int argc, char **argv)
{
    char path[4096];
    lk_err err;
    lk_records *records = NULL;
    lk_vectors *vectors = NULL;
    lk_vectors_opts vo;
    lk_vectors_info info;
    if (argc < 3) {
        fprintf(stderr, "use: fill DIR BASE.fbin [N]\n");
        return 2;
    }
    rows r = map(argv[2]);
    size_t n = argc > 3 ? strtoul(argv[3], NULL, 10) : r.n;
    n = n < r.n ? n : r.n;
    snprintf(path, sizeof path, "%s/records.db", argv[1]);
    bench_ok(lk_records_open(path, &records, &err), &err);
    snprintf(path, sizeof path, "%s/collections/images", argv[1]);
    lk_vectors_opts_default(&vo);
    bench_ok(lk_vectors_open(path, &vo, &vectors, &err), &err);
    bench_ok(lk_vectors_info_of(vectors, &info, &err), &err);
    if (info.dim > r.dim) {
        fprintf(stderr, "fill: the folder's vectors have %zu elements, the file's %u\n", info.dim,
                r.dim);
        return 1;
    }
    for (size_t from = 0; from < n; from += BATCH) {
        put(records, vectors, &r, from, n - from < BATCH ? n - from : BATCH);
        fprintf(stderr, "\r%zu of %zu", from, n);
    }
    fprintf(stderr, "\r%zu rows\n", n);
    bench_ok(lk_vectors_build(vectors, NULL, 0, NULL, NULL, NULL, &err), &err);
    lk_vectors_close(vectors);
    lk_records_close(records);
    return 0;
}
