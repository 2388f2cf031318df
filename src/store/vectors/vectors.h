/* Vectors: (id, vector, attributes), searched by likeness under a filter.
 *
 * The vectors and attributes are data (acknowledged after fdatasync); any index over them is
 * derived (I3). Internally locked: searches never wait for writers. Drivers stand behind one const
 * table (driver.h); "embedded" is our own engine. */
#ifndef LK_STORE_VECTORS_H
#define LK_STORE_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/progress.h"
#include "base/str.h"
#include "base/thread.h"
#include "filter/filter.h"

#define LK_MAX_DIM 4096
#define LK_MAX_K 16384
#define LK_MAX_VECTOR_ID_BYTES 512
#define LK_MAX_BATCH_ROWS 65536
#define LK_MAX_ATTRS 512
#define LK_MAX_ATTR_NAME_BYTES 256
#define LK_MAX_ATTR_BYTES 65536
#define LK_MAX_SPACE_BYTES 512

typedef struct lk_vectors lk_vectors;

typedef enum lk_metric { LK_METRIC_COSINE, LK_METRIC_IP, LK_METRIC_L2 } lk_metric;

/* What a collection of vectors is; fixed when it is created, except the index. */
typedef struct lk_vectors_opts {
    size_t size;
    size_t dim; /* 1..4096 */
    lk_metric metric;
    const char *space;     /* the model's key; another one is refused at open (LK_E_MODEL) */
    const char *index;     /* "auto" (NULL), "flat", "hnsw", "ivf" */
    const char *originals; /* "f16" (NULL), "f32", "i8" */
    int64_t M, ef_construction, nlist; /* 0: the index's defaults */
    bool create;                       /* make it when it is not there, else LK_E_NOT_FOUND */
} lk_vectors_opts;

void lk_vectors_opts_default(lk_vectors_opts *ret);

/* where: "embedded:DIR" (a bare path means it). Fields of opts left 0 or NULL take what is stored.
 */
LK_CHECK lk_code lk_vectors_open(const char *where, const lk_vectors_opts *opts, lk_vectors **ret,
                                 lk_err *err);
void lk_vectors_close(lk_vectors *v); /* NULL allowed */

typedef struct lk_attr {
    lk_str name;
    bool in_metadata;
    lk_value value; /* LK_T_NULL: none */
} lk_attr;

typedef struct lk_vector_row {
    lk_str id; /* any bytes but NUL, at most 512 */
    const float
        *vector; /* [dim] finite, not all zero; NULL keeps the stored one (attributes only) */
    const lk_attr *attrs;
    size_t n_attrs;
} lk_vector_row;

/* All or nothing, durable when it returns; replaces rows of the same id whole. A type that differs
 * from an attribute's earlier one is LK_E_INVALID naming it (a whole number may go where reals
 * are). The same id twice in one batch: LK_E_INVALID. No vector and no such id: LK_E_NOT_FOUND. */
LK_CHECK lk_code lk_vectors_upsert(lk_vectors *v, size_t n, const lk_vector_row *rows, lk_err *err);
LK_CHECK lk_code lk_vectors_delete(lk_vectors *v, size_t n, const lk_str *ids, size_t *ret_deleted,
                                   lk_err *err);

typedef struct lk_vectors_query {
    const float *vector;     /* [dim], finite, not all zero; need not be unit length */
    size_t k;                /* 1..16384 */
    const lk_filter *filter; /* checked against lk_vectors_schema, or NULL */
    bool has_min_score;
    float min_score;
    int64_t ef;     /* 0: by k and the index */
    int64_t nprobe; /* likewise */
    bool exact;     /* compare every row */
} lk_vectors_query;

typedef struct lk_vectors_hit {
    lk_str id;   /* in the arena */
    float score; /* cosine or inner product; for L2 minus the distance: larger is always nearer */
} lk_vectors_hit;

typedef struct lk_vectors_found {
    lk_vectors_hit *hits; /* best first, ties by id bytes */
    size_t n;
    uint64_t matched; /* rows that pass the filter; all rows without one */
    const char *plan; /* "flat", "graph", "filtered_graph", "scan", "ivf" */
} lk_vectors_found;

LK_CHECK lk_code lk_vectors_search(lk_vectors *v, const lk_vectors_query *q, lk_arena *into,
                                   lk_vectors_found *ret, lk_err *err);

/* The stored vector (as written, up to the originals' precision) to ret[dim]. LK_E_NOT_FOUND. */
LK_CHECK lk_code lk_vectors_get(lk_vectors *v, lk_str id, float *ret, lk_err *err);
/* Ids in any order that match the filter (NULL: all), at most limit from *cursor (0 at first; 0
 * again at the end). */
LK_CHECK lk_code lk_vectors_scan(lk_vectors *v, const lk_filter *filter, size_t limit,
                                 uint64_t *cursor, lk_arena *into, lk_str **ret, size_t *ret_n,
                                 lk_err *err);

/* The fields that filters may name, as of now; lives in *into. */
LK_CHECK lk_code lk_vectors_schema(lk_vectors *v, lk_arena *into, lk_schema *ret, lk_err *err);
/* Values of a string attribute with their counts, most first (for the page's filters). */
typedef struct lk_value_count {
    lk_str value;
    uint64_t n;
} lk_value_count;
LK_CHECK lk_code lk_vectors_values(lk_vectors *v, lk_str field, size_t limit, lk_arena *into,
                                   lk_value_count **ret, size_t *ret_n, lk_err *err);

typedef struct lk_vectors_info {
    size_t dim;
    lk_metric metric;
    uint64_t n;                        /* live rows */
    uint64_t deleted;                  /* rows not yet reused */
    char index[16];                    /* "flat", "hnsw" … as in force now */
    char asked[16];                    /* "auto", "flat" … as the options have it */
    int64_t M, ef_construction, nlist; /* likewise; 0: the index's defaults */
    char state[16];                    /* "ready", "building", "stale" */
    double built;                      /* share of the rows that the index covers, 0..1 */
    uint64_t memory_bytes, disk_bytes;
} lk_vectors_info;

LK_CHECK lk_code lk_vectors_info_of(lk_vectors *v, lk_vectors_info *ret, lk_err *err);
/* Other index options from now on (index, M, ef_construction, nlist; what is NULL or 0 stays). What
 * has to be built for them is built behind searches. LK_E_UNSUPPORTED as below. */
LK_CHECK lk_code lk_vectors_tune(lk_vectors *v, const lk_vectors_opts *index, lk_err *err);
/* (Re)build the index now on n_threads (0: all). Searches go on. NULL progress and cancel allowed.
 * LK_E_UNSUPPORTED by drivers that index by themselves. */
LK_CHECK lk_code lk_vectors_build(lk_vectors *v, const lk_vectors_opts *index, unsigned n_threads,
                                  lk_progress_fn *progress, void *ctx, const lk_cancel *cancel,
                                  lk_err *err);
/* Checksums and cross references of the driver's own files; LK_E_CORRUPT with the first complaint.
 */
LK_CHECK lk_code lk_vectors_verify(lk_vectors *v, lk_err *err);

#endif
