/* Do the embeddings of pictures move away from what the collection holds?
 *
 * Three numbers, for an alert to look at: the length of embeddings before they are made unit length
 * (its mean since the start, and of late), and how far the mean of the recent ones has turned from
 * the mean of the collection's first ones. Another source of pictures turns it as much as a broken
 * camera or a wrong decoder does: it is a question to somebody, the canary (model/canary.h) is an
 * answer. Internally locked. */
#ifndef LK_ENGINE_DRIFT_H
#define LK_ENGINE_DRIFT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/thread.h"

#define LK_DRIFT_REFERENCE 1000 /* the collection's first vectors, whose mean is the reference */
#define LK_DRIFT_WINDOW 256     /* recent: each new embedding weighs 1/256 */
#define LK_DRIFT_LEAST 32       /* the mean of fewer says nothing about their direction */

typedef struct lk_drift {
    lk_mutex lock;
    size_t dim;
    double *centroid, *recent; /* [dim]: sum of the reference; moving mean */
    size_t n_reference;
    uint64_t n_seen;
    double norm_sum, norm_recent;
} lk_drift;

typedef struct lk_drift_stats {
    uint64_t n_seen; /* pictures embedded since the start, those out of the cache not counted */
    size_t n_reference;
    double norm_mean, norm_recent;
    double distance; /* 1 - cosine of the two means; NaN when either is of fewer than
                      * LK_DRIFT_LEAST */
} lk_drift_stats;

LK_CHECK lk_code lk_drift_init(lk_drift *d, size_t dim, lk_err *err);
void lk_drift_release(lk_drift *d); /* an all-zero one is allowed */

/* norm: the embedding's length as the model gave it; unit: what became of it, [dim]. */
void lk_drift_see(lk_drift *d, double norm, const float *unit);
/* Make vectors[n][dim] the reference. */
void lk_drift_refer(lk_drift *d, size_t n, const float *vectors);
void lk_drift_stats_of(lk_drift *d, lk_drift_stats *ret);

#endif
