/* Lookalike's vector index alone, for other programs: vectors in a folder, found by likeness under
 * filters, without pictures and models.
 *
 *     lookalike_vectors_options o = {.size = sizeof o, .dim = 512, .create = 1};
 *     lookalike_vectors *v;
 *     lookalike_vectors_answer *found;
 *     lookalike_error err;
 *     if (lookalike_vectors_open("data", &o, &v, &err))
 *         return complain(err.text);
 *     if (lookalike_vectors_upsert(v, n, ids, vectors, 512, metadata, &err))
 *         return complain(err.text);
 *     lookalike_vectors_query q = {.size = sizeof q, .n = 1, .vectors = query, .dim = 512, .k = 5};
 *     if (lookalike_vectors_search(v, &q, &found, &err) == 0)
 *         for (size_t i = 0; i < found->n; i++)
 *             printf("%s %f\n", found->hits[i].id, found->hits[i].score);
 *     lookalike_vectors_free(found);
 *     lookalike_vectors_close(v);
 *
 * Calls return 0, or a positive code with its word and one sentence in the error (NULL allowed);
 * what they return through pointers is then untouched. Texts are UTF-8 and NUL-terminated. An id is
 * any text of 1 to 512 bytes. A vector has 1 to 4096 elements, all finite and not all zero; calls
 * that take vectors take their dim beside them, so that another one is an error and no overrun.
 *
 * What is written is on disk when the call returns. A handle may be used from any number of
 * threads, and searches never wait for writers; one process opens a folder, once. Structs that the
 * caller fills begin with their size, so that they can grow. */
#ifndef LOOKALIKE_VECTORS_H
#define LOOKALIKE_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "lookalike_error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lookalike_vectors lookalike_vectors;

/* What is 0 or NULL takes what is stored, or the default of a new collection. */
typedef struct lookalike_vectors_options {
    size_t size;
    size_t dim;            /* needed with create; another one than the stored is refused */
    const char *metric;    /* "cosine" (the default), "ip", "l2"; fixed when it is created */
    const char *originals; /* how vectors are kept: "f16" (the default), "f32", "i8"; likewise */
    const char *index;     /* "auto" (the default), "flat", "hnsw", "ivf" */
    int M;                 /* hnsw: links of a vector, 4 to 128; 24 */
    int ef_construction;   /* hnsw: care while building, 8 to 65536; 160 */
    int nlist;             /* ivf: lists, 1 to 65536; by the number of vectors */
    int create;            /* make the collection when it is not there, else "not_found" */
} lookalike_vectors_options;

/* Version of the library at hand. */
LOOKALIKE_API const char *lookalike_vectors_version(void);

/* "locked" when somebody, this process too, has the folder open. NULL options open what is there.
 */
LOOKALIKE_API int lookalike_vectors_open(const char *dir, const lookalike_vectors_options *options,
                                         lookalike_vectors **ret, lookalike_error *err);
/* NULL allowed; no call may be running */
LOOKALIKE_API void lookalike_vectors_close(lookalike_vectors *v);

/* Put vectors[n][dim] (row after row) in under ids[n], replacing what is there under them; at most
 * 65536 in a call, no id twice, all or nothing. metadata[n]: of each the JSON object that filters
 * see, of texts, numbers, true and false under at most 256 keys, or NULL for none; NULL: none has
 * any. A key holds one type throughout the collection. vectors NULL: only the metadata of what is
 * there change ("not_found" when it is not). */
LOOKALIKE_API int lookalike_vectors_upsert(lookalike_vectors *v, size_t n, const char *const *ids,
                                           const float *vectors, size_t dim,
                                           const char *const *metadata, lookalike_error *err);

/* Ids that are not there are no error; *ret_deleted (NULL allowed) counts those that were. */
LOOKALIKE_API int lookalike_vectors_delete(lookalike_vectors *v, size_t n, const char *const *ids,
                                           size_t *ret_deleted, lookalike_error *err);

/* The stored vector to ret[dim], as written up to the precision of the originals. "not_found". */
LOOKALIKE_API int lookalike_vectors_get(lookalike_vectors *v, const char *id, float *ret,
                                        size_t dim, lookalike_error *err);

typedef struct lookalike_vectors_query {
    size_t size;
    size_t n;             /* queries, at most 65536 */
    const float *vectors; /* [n][dim], need not be of unit length */
    size_t dim;
    size_t k;   /* hits of each, at most 16384; 0: 10 */
    int ef;     /* hnsw: vectors to look at, more finds better; 0: by k */
    int nprobe; /* ivf: lists to look at; 0: by k */
    int exact;  /* compare every vector that passes the filter */
    /* brand == "acme" and price < 30; metadata['brand'] where no vector may have the key yet. Or
     * NULL. */
    const char *filter;
    int has_min_score;
    float min_score; /* leave out what scores lower */
} lookalike_vectors_query;

typedef struct lookalike_vectors_hit {
    const char *id;
    float score; /* cosine or inner product; for l2 minus the distance: larger is always nearer */
} lookalike_vectors_hit;

typedef struct lookalike_vectors_answer {
    const lookalike_vectors_hit *hits; /* best first, ties by id */
    size_t n;
    uint64_t matched; /* vectors that pass the filter; all without one */
    const char *plan; /* "flat", "graph", "filtered_graph", "scan", "ivf" */
} lookalike_vectors_answer;

/* *ret: one answer a query, in their order, with all hits and ids in one block to
 * lookalike_vectors_free. All of the queries or none. */
LOOKALIKE_API int lookalike_vectors_search(lookalike_vectors *v,
                                           const lookalike_vectors_query *query,
                                           lookalike_vectors_answer **ret, lookalike_error *err);
LOOKALIKE_API void lookalike_vectors_free(lookalike_vectors_answer *answers); /* NULL allowed */

/* done of total. Not 0 stops the work. Called by threads of the library, one at a time. */
typedef int lookalike_vectors_progress(void *ctx, uint64_t done, uint64_t total);

/* index, M, ef_construction, nlist: other ones from now on; what is NULL or 0 stays. */
typedef struct lookalike_vectors_building {
    size_t size;
    const char *index;
    int M, ef_construction, nlist;
    int threads;                          /* 0: one a processor */
    lookalike_vectors_progress *progress; /* or NULL */
    void *ctx;
} lookalike_vectors_building;

/* Build the index anew and return when it is in force and on disk. Searches and writes go on
 * meanwhile; searches compare every vector until then. Nobody has to call this: the index is built
 * in the background when there are 20,000 vectors, and follows every write. NULL: with the options
 * in force, on all processors. "canceled" when progress said so; the library then begins again by
 * itself when the options want an index. */
LOOKALIKE_API int lookalike_vectors_build(lookalike_vectors *v,
                                          const lookalike_vectors_building *how,
                                          lookalike_error *err);

typedef struct lookalike_vectors_info {
    size_t size; /* set by the caller */
    size_t dim;
    const char *metric;            /* "cosine" … */
    uint64_t n;                    /* vectors */
    uint64_t deleted;              /* places not yet used again */
    char index[16];                /* in force now: "flat", "hnsw", "ivf" */
    char asked[16];                /* in the options: "auto", "flat" … */
    char state[16];                /* "ready", "building", "stale" */
    double built;                  /* share of the vectors that the index covers, 0 to 1 */
    int M, ef_construction, nlist; /* of the options; 0: the defaults */
    uint64_t memory_bytes, disk_bytes;
} lookalike_vectors_info;

LOOKALIKE_API int lookalike_vectors_stat(lookalike_vectors *v, lookalike_vectors_info *ret,
                                         lookalike_error *err);

#ifdef __cplusplus
}
#endif

#endif
