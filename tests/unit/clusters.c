#include "clusters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

float test_normal(test_rng *r)
{
    double u = 1 - test_rng_unit(r), v = test_rng_unit(r);
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* Directions matter less and less, for the centres and around them; some noise is everywhere. */
static void draw(test_set *s, uint32_t cluster, float *ret)
{
    float z[TEST_LATENT];
    for (size_t l = 0; l < TEST_LATENT; l++)
        z[l] = s->centres[cluster * TEST_LATENT + l] +
               0.7f * test_normal(&s->rng) / sqrtf(1 + (float)l);
    for (size_t j = 0; j < s->dim; j++) {
        ret[j] = 0.1f * test_normal(&s->rng);
        for (size_t l = 0; l < TEST_LATENT; l++)
            ret[j] += z[l] * s->spread[l * s->dim + j];
    }
}

static uint32_t any_cluster(test_set *s)
{
    return (uint32_t)test_rng_below(&s->rng, s->n_clusters);
}

void test_set_make(test_set *s, size_t n, size_t dim, size_t n_clusters, unsigned bits,
                   uint64_t seed)
{
    lk_err err;
    *s = (test_set){.n = n, .dim = dim, .n_clusters = n_clusters, .rng = {seed}};
    assert_true(n <= TEST_MAX_SET);
    s->centres = malloc(n_clusters * TEST_LATENT * sizeof(float));
    s->spread = malloc(TEST_LATENT * dim * sizeof(float));
    s->vectors = malloc((n ? n : 1) * dim * sizeof(float));
    s->cluster = malloc((n ? n : 1) * sizeof(uint32_t));
    assert_true(s->centres && s->spread && s->vectors && s->cluster);
    for (size_t i = 0; i < n_clusters * TEST_LATENT; i++)
        s->centres[i] = test_normal(&s->rng) / powf(1 + (float)(i % TEST_LATENT), 0.4f);
    for (size_t i = 0; i < TEST_LATENT * dim; i++)
        s->spread[i] = test_normal(&s->rng);
    for (size_t i = 0; i < n; i++)
        draw(s, s->cluster[i] = any_cluster(s), s->vectors + i * dim);
    s->chunk = (const unsigned char *)s->vectors;
    s->rows = (lk_rows){&s->chunk, 16, dim * sizeof(float), dim, LK_ELEM_F32};
    lk_bitmap_init(&s->all);
    test_ok(lk_bitmap_resize(&s->all, n, &err), &err);
    lk_bitmap_fill(&s->all, true);
    test_ok(lk_codes_new(lk_kern_best(), dim, bits, false, &s->codes, &err), &err);
    test_ok(lk_codes_train(s->codes, s->vectors, n < 1000 ? n : 1000, &err), &err);
    test_ok(lk_codes_reserve(s->codes, n, &err), &err);
    for (size_t i = 0; i < n; i++)
        lk_codes_put(s->codes, (uint32_t)i, s->vectors + i * dim);
}

void test_set_drop(test_set *s)
{
    free(s->centres);
    free(s->spread);
    free(s->vectors);
    free(s->cluster);
    lk_bitmap_release(&s->all);
    lk_codes_free(s->codes);
}

void test_set_query(test_set *s, float *ret)
{
    draw(s, any_cluster(s), ret);
}

void test_set_random(test_set *s, double part, lk_bitmap *ret)
{
    lk_bitmap_init(ret);
    assert_int_equal(lk_bitmap_resize(ret, s->n, NULL), LK_OK);
    for (size_t i = 0; i < s->n; i++)
        if (test_rng_unit(&s->rng) < part)
            lk_bitmap_set(ret, i);
}

void test_set_some_clusters(test_set *s, double part, lk_bitmap *ret)
{
    bool *in = calloc(s->n_clusters, sizeof *in);
    assert_non_null(in);
    lk_bitmap_init(ret);
    assert_int_equal(lk_bitmap_resize(ret, s->n, NULL), LK_OK);
    for (size_t c = 0; c < s->n_clusters; c++)
        in[c] = test_rng_unit(&s->rng) < part;
    for (size_t i = 0; i < s->n; i++)
        if (in[s->cluster[i]])
            lk_bitmap_set(ret, i);
    free(in);
}

double test_set_recall(const test_set *s, const float *query, const lk_bitmap *which, size_t k,
                       const uint32_t *found, size_t n)
{
    lk_near *best = calloc(k, sizeof *best);
    size_t hits = 0;
    assert_non_null(best);
    size_t n_best = lk_flat_search(lk_kern_best(), &s->rows, which ? which : &s->all, query,
                                   LK_SCORE_NEG_L2, k, best);
    for (size_t i = 0; i < n_best; i++)
        for (size_t j = 0; j < n; j++)
            hits += found[j] == best[i].slot;
    free(best);
    return n_best ? (double)hits / (double)n_best : 1;
}
