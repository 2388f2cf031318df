/* Vectors as embeddings are - clusters that overlap, in few directions that matter - with their
 * codes and the exact answers. */
#ifndef LK_TESTS_UNIT_CLUSTERS_H
#define LK_TESTS_UNIT_CLUSTERS_H

#include "support.h"

#include "index/codes.h"
#include "index/flat.h"

#define TEST_MAX_SET 65536
#define TEST_LATENT 24 /* directions that matter */

typedef struct test_set {
    size_t n, dim, n_clusters;
    test_rng rng;
    float *centres;    /* [n_clusters][TEST_LATENT] */
    float *spread;     /* [TEST_LATENT][dim] from there to the vectors */
    float *vectors;    /* [n][dim] */
    uint32_t *cluster; /* [n] */
    const unsigned char *chunk;
    lk_rows rows;
    lk_bitmap all;
    lk_codes *codes; /* of every vector, at the slot of its number */
} test_set;

/* n up to TEST_MAX_SET. The seed stands for the set. */
void test_set_make(test_set *s, size_t n, size_t dim, size_t n_clusters, unsigned bits,
                   uint64_t seed);
void test_set_drop(test_set *s);

/* Another vector of the same kind. */
void test_set_query(test_set *s, float *ret);
/* Of all slots, each with this chance; or whole clusters with it. */
void test_set_random(test_set *s, double part, lk_bitmap *ret);
void test_set_some_clusters(test_set *s, double part, lk_bitmap *ret);

/* How much of the k nearest in `which` (NULL: in all) is among found[n], which is 1 when there are
 * none. */
double test_set_recall(const test_set *s, const float *query, const lk_bitmap *which, size_t k,
                       const uint32_t *found, size_t n);

/* A normal value. */
float test_normal(test_rng *r);

#endif
