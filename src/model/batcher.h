/* Work of several threads done together: runs of a model that share a batch.
 *
 * Whoever asks runs: there is no thread of the batcher's own. At most n_runs runs go on at once,
 * one thread each; what is asked for meanwhile waits in line, and the next free run takes a fair
 * share of it. With a free run at hand a caller waits for company only while more callers are on
 * their way than there are free runs for them, and never longer than wait_ms: one who comes alone
 * is not held up, and nor are two on two processors. Internally locked. */
#ifndef LK_MODEL_BATCHER_H
#define LK_MODEL_BATCHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LK_MAX_BATCH 64

typedef struct lk_batcher lk_batcher;

/* Do in[n] to out[n], all of the same key, 1 <= n <= max_batch, on the calling thread. */
typedef lk_code lk_batch_fn(void *ctx, uint64_t key, size_t n, const void *const *in,
                            void *const *out, lk_err *err);

typedef struct lk_batcher_opts {
    size_t size;
    unsigned n_runs;  /* at once; at least 1 */
    unsigned wait_ms; /* 0: everything runs alone */
    lk_batch_fn *fn;
    void *ctx;
} lk_batcher_opts;

typedef struct lk_batcher_stats {
    uint64_t items, runs; /* items / runs is the mean batch */
    uint64_t waits;       /* runs that waited for company */
    size_t in_line;       /* items, now */
} lk_batcher_stats;

void lk_batcher_opts_default(lk_batcher_opts *ret);
LK_CHECK lk_code lk_batcher_new(const lk_batcher_opts *o, lk_batcher **ret, lk_err *err);
void lk_batcher_free(lk_batcher *b); /* NULL allowed; no call may be running */

/* A caller says that it is on its way, before it prepares its items; afterwards it either runs them
 * or takes it back. */
void lk_batcher_expect(lk_batcher *b);
void lk_batcher_expect_no_more(lk_batcher *b);

/* Items of one key, of a caller that was expected, which may travel with others of that key in
 * batches of at most max_batch (1..LK_MAX_BATCH, the same for all of a key). Returns when all n are
 * done; the error is that of the first of them that failed. A batch that fails is done again one by
 * one, so that no item fails for another's sake. */
LK_CHECK lk_code lk_batcher_run(lk_batcher *b, uint64_t key, size_t max_batch, size_t n,
                                const void *const *in, void *const *out, lk_err *err);

void lk_batcher_stats_of(lk_batcher *b, lk_batcher_stats *ret);

#endif
