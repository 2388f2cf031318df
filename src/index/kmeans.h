/* K-means by mini-batches (Sculley 2010, "Web-scale k-means clustering"), in the space of codes.
 *
 * Means are kept as floats while they are learnt and compared as codes of 8 bits, whose error is
 * far below the distance between two of them: a comparison is one integer dot product. */
#ifndef LK_INDEX_KMEANS_H
#define LK_INDEX_KMEANS_H

#include "base/progress.h"
#include "index/codes.h"

/* What one run of it is given. */
typedef struct lk_kmeans {
    lk_codes *centroids; /* k rows are reserved */
    size_t k;
    unsigned n_threads;
    lk_progress_fn *progress; /* NULL allowed; called from the calling thread */
    void *ctx;
    const lk_cancel *cancel; /* NULL allowed */
} lk_kmeans;

/* Write the codes of k centroids of sample[n][dim]. The same input always gives the same ones. n
 * may be 0, which leaves all at the mean, or less than k, which leaves some that nothing is nearest
 * to. LK_E_NOMEM, LK_E_CANCELED: the rows hold nothing of use. */
LK_CHECK lk_code lk_kmeans_train(const lk_kmeans *km, const float *sample, size_t n, lk_err *err);

/* ret[i] = the centroid nearest to queries[i], of the first k. */
void lk_kmeans_nearest(const lk_codes *centroids, size_t k, const lk_code_query *queries, size_t n,
                       uint32_t *ret);

#endif
