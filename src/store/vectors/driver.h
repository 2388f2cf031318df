/* What a vector store is: one const table of functions over one struct it owns. Callers use
 * vectors.h; vectors.c checks arguments and limits once, so a driver is only the part that differs.
 *
 * Calls come from any number of threads. What is read lives in the caller's arena. */
#ifndef LK_STORE_VECTORS_DRIVER_H
#define LK_STORE_VECTORS_DRIVER_H

#include "store/vectors/vectors.h"

typedef struct lk_vectors_driver {
    const char *name; /* the scheme in "embedded:DIR" */
    size_t size;      /* bytes of the struct that embeds lk_vectors as its first member */

    /* Sets base.dim and base.metric. close is also called after an open that failed. */
    lk_code (*open)(lk_vectors *v, const char *where, const lk_vectors_opts *opts, lk_err *err);
    void (*close)(lk_vectors *v);
    lk_code (*upsert)(lk_vectors *v, size_t n, const lk_vector_row *rows, lk_err *err);
    lk_code (*remove)(lk_vectors *v, size_t n, const lk_str *ids, size_t *ret_deleted, lk_err *err);
    lk_code (*search)(lk_vectors *v, const lk_vectors_query *q, lk_arena *into,
                      lk_vectors_found *ret, lk_err *err);
    lk_code (*get)(lk_vectors *v, lk_str id, float *ret, lk_err *err);
    lk_code (*scan)(lk_vectors *v, const lk_filter *filter, size_t limit, uint64_t *cursor,
                    lk_arena *into, lk_str **ret, size_t *ret_n, lk_err *err);
    lk_code (*schema)(lk_vectors *v, lk_arena *into, lk_schema *ret, lk_err *err);
    lk_code (*info)(lk_vectors *v, lk_vectors_info *ret, lk_err *err);

    /* optional: LK_E_UNSUPPORTED without */
    lk_code (*values)(lk_vectors *v, lk_str field, size_t limit, lk_arena *into,
                      lk_value_count **ret, size_t *ret_n, lk_err *err);
    lk_code (*tune)(lk_vectors *v, const lk_vectors_opts *index, lk_err *err);
    lk_code (*build)(lk_vectors *v, const lk_vectors_opts *index, unsigned n_threads,
                     lk_progress_fn *progress, void *ctx, const lk_cancel *cancel, lk_err *err);
    /* optional: nothing to check without */
    lk_code (*verify)(lk_vectors *v, lk_err *err);
} lk_vectors_driver;

struct lk_vectors {
    const lk_vectors_driver *driver;
    size_t dim;
    lk_metric metric;
};

/* Open with a given table (a driver under test, or one that wraps another). */
LK_CHECK lk_code lk_vectors_open_with(const lk_vectors_driver *driver, const char *where,
                                      const lk_vectors_opts *opts, lk_vectors **ret, lk_err *err);

extern const lk_vectors_driver lk_vectors_embedded;

#endif
