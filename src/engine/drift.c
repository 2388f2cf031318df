#include "engine/drift.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

lk_code lk_drift_init(lk_drift *d, size_t dim, lk_err *err)
{
    double *sums = lk_calloc(dim * 2, sizeof *sums);
    if (!sums)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the drift of embeddings");
    *d = (lk_drift){.dim = dim, .centroid = sums, .recent = sums + dim};
    lk_mutex_init(&d->lock, LK_RANK_LEAF);
    return LK_OK;
}

void lk_drift_release(lk_drift *d)
{
    if (!d->centroid)
        return;
    lk_mutex_release(&d->lock);
    lk_free(d->centroid);
    d->centroid = NULL;
}

void lk_drift_see(lk_drift *d, double norm, const float *unit)
{
    lk_mutex_lock(&d->lock);
    d->n_seen++;
    d->norm_sum += norm;
    /* A plain mean until the window is full, so that the first one does not linger. */
    double weight = 1.0 / (double)(d->n_seen < LK_DRIFT_WINDOW ? d->n_seen : LK_DRIFT_WINDOW);
    d->norm_recent += weight * (norm - d->norm_recent);
    for (size_t i = 0; i < d->dim; i++)
        d->recent[i] += weight * ((double)unit[i] - d->recent[i]);
    lk_mutex_unlock(&d->lock);
}

void lk_drift_refer(lk_drift *d, size_t n, const float *vectors)
{
    lk_mutex_lock(&d->lock);
    d->n_reference = n;
    memset(d->centroid, 0, d->dim * sizeof *d->centroid);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d->dim; j++)
            d->centroid[j] += (double)vectors[i * d->dim + j];
    lk_mutex_unlock(&d->lock);
}

static double distance(const lk_drift *d)
{
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < d->dim; i++) {
        dot += d->centroid[i] * d->recent[i];
        aa += d->centroid[i] * d->centroid[i];
        bb += d->recent[i] * d->recent[i];
    }
    return aa > 0 && bb > 0 ? 1 - dot / sqrt(aa * bb) : NAN;
}

void lk_drift_stats_of(lk_drift *d, lk_drift_stats *ret)
{
    lk_mutex_lock(&d->lock);
    bool enough = d->n_seen >= LK_DRIFT_LEAST && d->n_reference >= LK_DRIFT_LEAST;
    *ret = (lk_drift_stats){
        .n_seen = d->n_seen,
        .n_reference = d->n_reference,
        .norm_mean = d->n_seen ? d->norm_sum / (double)d->n_seen : NAN,
        .norm_recent = d->n_seen ? d->norm_recent : NAN,
        .distance = enough ? distance(d) : NAN,
    };
    lk_mutex_unlock(&d->lock);
}
