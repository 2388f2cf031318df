/* Learning centroids.
 *
 * Every pass goes over the sample once, in batches: each vector of a batch is given to its nearest
 * centroid, then the centroids move. A centroid is the running mean of what it was given, and what
 * it was given before the pass counts half: early passes gave it vectors that are others' by now.
 * It begins at a random vector, and begins anew at another one when a pass gave it nothing: a
 * random vector mostly lies where vectors are many. */
#include "index/kmeans.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define PASSES 6
#define MAX_BATCH 16384
#define BATCH_BYTES ((size_t)32 << 20) /* of turned vectors */
#define TILE 16                        /* queries that share the centroids in the nearest cache */
#define BLOCK 64
#define SEED UINT64_C(0x2545f4914f6cdd1d)

typedef struct run {
    const lk_kmeans *km;
    const float *sample;
    size_t n, dim, code_dim;
    uint64_t random;
    uint32_t *order;   /* [n] the sample in random order */
    float *means;      /* [k][code_dim] */
    float *weights;    /* [k] how many vectors a mean stands for */
    uint32_t *members; /* [k] given in this pass */

    size_t from, n_batch; /* of order */
    float *turned;        /* [MAX_BATCH at most][code_dim] */
    int8_t *bytes;        /* the same as queries */
    uint32_t *nearest;
} run;

static uint64_t next_random(run *r)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

static size_t batch_size(const run *r)
{
    size_t most = BATCH_BYTES / (r->code_dim * sizeof(float));
    most = most < MAX_BATCH ? most : MAX_BATCH;
    return r->n < most ? r->n : most;
}

static void release(run *r)
{
    lk_free(r->order);
    lk_free(r->means);
    lk_free(r->weights);
    lk_free(r->members);
    lk_free(r->turned);
    lk_free(r->bytes);
    lk_free(r->nearest);
}

static lk_code init(run *r, const lk_kmeans *km, const float *sample, size_t n, lk_err *err)
{
    size_t code_dim = km->centroids->code_dim;
    *r = (run){.km = km,
               .sample = sample,
               .n = n,
               .dim = km->centroids->dim,
               .code_dim = code_dim,
               .random = SEED,
               .order = lk_alloc_array(n, sizeof *r->order),
               .means = lk_calloc(km->k, code_dim * sizeof *r->means),
               .weights = lk_calloc(km->k, sizeof *r->weights),
               .members = lk_calloc(km->k, sizeof *r->members)};
    size_t batch = batch_size(r);
    r->turned = lk_alloc_array(batch, code_dim * sizeof *r->turned);
    r->bytes = lk_alloc_array(batch, code_dim);
    r->nearest = lk_alloc_array(batch, sizeof *r->nearest);
    if (r->order && r->means && r->weights && r->members && r->turned && r->bytes && r->nearest)
        return LK_OK;
    release(r);
    return lk_fail(err, LK_E_NOMEM, "no memory to learn %zu centroids", km->k);
}

/* ---- centroids ---- */

static void seed(run *r, size_t j, uint32_t vector)
{
    float *mean = r->means + j * r->code_dim;
    lk_codes_turn(r->km->centroids, r->sample + (size_t)vector * r->dim, mean);
    lk_codes_put_turned(r->km->centroids, (uint32_t)j, mean);
    r->weights[j] = 1;
}

static void seed_all(run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t j = next_random(r) % (i + 1);
        r->order[i] = r->order[j];
        r->order[j] = (uint32_t)i;
    }
    for (size_t j = 0; j < r->km->k; j++) {
        if (r->n)
            seed(r, j, r->order[j % r->n]);
        else
            lk_codes_put_turned(r->km->centroids, (uint32_t)j, r->means + j * r->code_dim);
    }
}

static void move_centroids(run *r)
{
    for (size_t i = 0; i < r->n_batch; i++) {
        size_t j = r->nearest[i];
        const float *x = r->turned + i * r->code_dim;
        float *mean = r->means + j * r->code_dim;
        r->members[j]++;
        float part = 1 / (r->weights[j] += 1);
        for (size_t d = 0; d < r->code_dim; d++)
            mean[d] += (x[d] - mean[d]) * part;
    }
    for (size_t j = 0; j < r->km->k; j++)
        if (r->members[j])
            lk_codes_put_turned(r->km->centroids, (uint32_t)j, r->means + j * r->code_dim);
}

static void begin_pass(run *r, unsigned pass)
{
    for (size_t j = 0; j < r->km->k; j++) {
        if (pass && !r->members[j])
            seed(r, j, (uint32_t)(next_random(r) % r->n));
        r->weights[j] *= 0.5f;
        r->members[j] = 0;
    }
}

/* ---- the nearest of them ---- */

static void nearest_of_tile(const lk_codes *centroids, size_t k, const lk_code_query *queries,
                            size_t n, uint32_t *ret)
{
    uint32_t slots[BLOCK];
    const uint8_t *rows[BLOCK];
    float scores[BLOCK], best[TILE];
    for (size_t i = 0; i < n; i++) {
        best[i] = -INFINITY;
        ret[i] = 0;
    }
    for (size_t from = 0; from < k; from += BLOCK) {
        size_t m = k - from < BLOCK ? k - from : BLOCK;
        for (size_t j = 0; j < m; j++)
            rows[j] = lk_plane_at(&centroids->rows, slots[j] = (uint32_t)(from + j));
        for (size_t i = 0; i < n; i++) {
            lk_codes_score_rows(centroids, &queries[i], slots, rows, m, scores);
            for (size_t j = 0; j < m; j++)
                if (scores[j] > best[i]) {
                    best[i] = scores[j];
                    ret[i] = slots[j];
                }
        }
    }
}

void lk_kmeans_nearest(const lk_codes *centroids, size_t k, const lk_code_query *queries, size_t n,
                       uint32_t *ret)
{
    for (size_t from = 0; from < n; from += TILE)
        nearest_of_tile(centroids, k, queries + from, n - from < TILE ? n - from : TILE,
                        ret + from);
}

static void assign_tile(void *ctx, size_t tile)
{
    run *r = ctx;
    lk_code_query queries[TILE];
    size_t first = tile * TILE;
    size_t m = r->n_batch - first < TILE ? r->n_batch - first : TILE;
    if (lk_cancel_is_set(r->km->cancel))
        return;
    for (size_t i = 0; i < m; i++) {
        float *x = r->turned + (first + i) * r->code_dim;
        size_t vector = r->order[r->from + first + i];
        lk_codes_turn(r->km->centroids, r->sample + vector * r->dim, x);
        lk_codes_query_turned(r->km->centroids, x, r->bytes + (first + i) * r->code_dim,
                              &queries[i]);
    }
    lk_kmeans_nearest(r->km->centroids, r->km->k, queries, m, r->nearest + first);
}

/* ---- the whole ---- */

static lk_code learn_batch(run *r, lk_err *err)
{
    lk_code code =
        lk_parallel_for((r->n_batch + TILE - 1) / TILE, r->km->n_threads, 1, assign_tile, r, err);
    if (code == LK_OK && lk_cancel_is_set(r->km->cancel))
        code = lk_fail(err, LK_E_CANCELED, "stopped while the centroids were learnt");
    if (code == LK_OK)
        move_centroids(r);
    return code;
}

lk_code lk_kmeans_train(const lk_kmeans *km, const float *sample, size_t n, lk_err *err)
{
    run r;
    lk_code code = n > UINT32_MAX
                       ? lk_fail(err, LK_E_LIMIT, "a sample has at most %u vectors", UINT32_MAX)
                       : init(&r, km, sample, n, err);
    if (code)
        return code;
    seed_all(&r);
    for (unsigned pass = 0; n && pass < PASSES && code == LK_OK; pass++) {
        begin_pass(&r, pass);
        for (r.from = 0; r.from < n && code == LK_OK; r.from += r.n_batch) {
            size_t batch = batch_size(&r);
            r.n_batch = n - r.from < batch ? n - r.from : batch;
            code = learn_batch(&r, err);
            if (code == LK_OK && km->progress)
                km->progress(km->ctx, pass * n + r.from + r.n_batch, PASSES * n);
        }
    }
    release(&r);
    return code;
}
