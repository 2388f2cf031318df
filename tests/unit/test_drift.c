#include "engine/drift.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "support.h"

#define DIM 16

/* A unit vector around one axis: the same direction but for some noise. */
static void around(test_rng *r, size_t axis, float ret[DIM])
{
    double sum = 0;
    for (size_t i = 0; i < DIM; i++) {
        ret[i] = (float)(0.3 * (test_rng_unit(r) - 0.5) + (i == axis ? 1 : 0));
        sum += (double)ret[i] * (double)ret[i];
    }
    for (size_t i = 0; i < DIM; i++)
        ret[i] /= (float)sqrt(sum);
}

static void refer_around(lk_drift *d, test_rng *r, size_t axis)
{
    static float rows[100][DIM];
    for (size_t i = 0; i < 100; i++)
        around(r, axis, rows[i]);
    lk_drift_refer(d, 100, rows[0]);
}

static void embeddings_that_turn_away_are_far_and_others_near(void **state)
{
    (void)state;
    lk_drift d = {0};
    lk_drift_stats s;
    lk_err err;
    test_rng r = {11};
    float v[DIM];
    test_ok(lk_drift_init(&d, DIM, &err), &err);
    refer_around(&d, &r, 3);
    for (size_t i = 0; i < 300; i++) {
        around(&r, 3, v);
        lk_drift_see(&d, 10, v);
    }
    lk_drift_stats_of(&d, &s);
    if (!(s.distance < 0.01))
        fail_msg("the same pictures are %g away", s.distance);
    for (size_t i = 0; i < LK_DRIFT_WINDOW; i++) {
        around(&r, 5, v);
        lk_drift_see(&d, 12, v);
    }
    lk_drift_stats_of(&d, &s);
    if (!(s.distance > 0.2))
        fail_msg("other pictures are %g away", s.distance);
    /* 300 of length 10 and 256 of length 12: the mean stays behind what is recent. */
    if (fabs(s.norm_mean - (300 * 10 + 256 * 12) / 556.0) > 1e-9)
        fail_msg("mean length %g", s.norm_mean);
    if (!(s.norm_recent > 11.2 && s.norm_recent < 12))
        fail_msg("recent length %g", s.norm_recent);
    lk_drift_release(&d);
}

static void too_few_embeddings_have_no_distance(void **state)
{
    (void)state;
    lk_drift d = {0};
    lk_drift_stats s;
    lk_err err;
    test_rng r = {12};
    float v[DIM];
    test_ok(lk_drift_init(&d, DIM, &err), &err);
    lk_drift_stats_of(&d, &s);
    assert_true(isnan(s.norm_mean) && isnan(s.norm_recent) && isnan(s.distance));
    refer_around(&d, &r, 0);
    for (size_t i = 0; i < LK_DRIFT_LEAST; i++) {
        lk_drift_stats_of(&d, &s);
        assert_true(isnan(s.distance));
        around(&r, 0, v);
        lk_drift_see(&d, 1, v);
    }
    lk_drift_stats_of(&d, &s);
    assert_true(!isnan(s.distance));
    lk_drift_refer(&d, LK_DRIFT_LEAST - 1, (float[(LK_DRIFT_LEAST - 1) * DIM]){1});
    lk_drift_stats_of(&d, &s);
    assert_int_equal(s.n_reference, LK_DRIFT_LEAST - 1);
    assert_true(isnan(s.distance));
    lk_drift_release(&d);
}

static void *see_many(void *ctx)
{
    float v[DIM] = {1};
    for (size_t i = 0; i < 1000; i++)
        lk_drift_see(ctx, 2, v);
    return NULL;
}

static void threads_lose_no_embedding(void **state)
{
    (void)state;
    lk_drift d = {0};
    lk_drift_stats s;
    lk_err err;
    pthread_t t[4];
    test_ok(lk_drift_init(&d, DIM, &err), &err);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, see_many, &d), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    lk_drift_stats_of(&d, &s);
    assert_int_equal(s.n_seen, 4000);
    assert_true(fabs(s.norm_mean - 2) < 1e-12 && fabs(s.norm_recent - 2) < 1e-12);
    lk_drift_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings_that_turn_away_are_far_and_others_near),
        cmocka_unit_test(too_few_embeddings_have_no_distance),
        cmocka_unit_test(threads_lose_no_embedding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
