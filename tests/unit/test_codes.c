/* What codes answer against what the vectors themselves would, within the bound of codes.h. */
#include "clusters.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ROWS 100
#define QUERIES 20

typedef enum metric { L2, DOT, COSINE, N_METRICS } metric;
static const char *const metric_names[] = {"L2", "inner product", "cosine"};

static const size_t dims[] = {1, 3, 127, 128, 129, 512, 1000, 4096};

typedef struct set {
    metric metric;
    size_t dim;
    float *rows, *queries; /* [ROWS][dim], [QUERIES][dim] */
    lk_codes *codes;
} set;

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Off the origin, of several lengths unless the metric is the cosine. */
static void draw(const set *s, test_rng *r, float *ret)
{
    float by = 0.5f + (float)test_rng_unit(r);
    for (size_t i = 0; i < s->dim; i++)
        ret[i] = by * (test_normal(r) + 0.5f);
    if (s->metric == COSINE)
        by = 1 / (float)sqrt(dot(ret, ret, s->dim));
    for (size_t i = 0; s->metric == COSINE && i < s->dim; i++)
        ret[i] *= by;
}

static void make(set *s, metric m, size_t dim, unsigned bits)
{
    lk_err err;
    test_rng r = {dim * 16 + bits + m};
    *s = (set){.metric = m,
               .dim = dim,
               .rows = malloc(ROWS * dim * sizeof(float)),
               .queries = malloc(QUERIES * dim * sizeof(float))};
    assert_true(s->rows && s->queries);
    for (size_t i = 0; i < ROWS; i++)
        draw(s, &r, s->rows + i * dim);
    for (size_t i = 0; i < QUERIES; i++)
        draw(s, &r, s->queries + i * dim);
    test_ok(lk_codes_new(lk_kern_best(), dim, bits, m == DOT, &s->codes, &err), &err);
    test_ok(lk_codes_train(s->codes, s->rows, ROWS, &err), &err);
    test_ok(lk_codes_reserve(s->codes, ROWS, &err), &err);
    for (uint32_t i = 0; i < ROWS; i++)
        lk_codes_put(s->codes, i, s->rows + i * dim);
}

static void drop(set *s)
{
    free(s->rows);
    free(s->queries);
    lk_codes_free(s->codes);
}

/* Of what codes stand for: centred on the mean, and lengthened by `more`. */
static double centred(const set *s, const float *v, double more, double *ret)
{
    double norm2 = 0;
    for (size_t i = 0; i < s->dim; i++)
        ret[i] = (double)v[i] - (double)s->codes->mean[i];
    ret[s->dim] = s->metric == DOT ? more - (double)s->codes->mean[s->dim] : 0;
    for (size_t i = 0; i <= s->dim; i++)
        norm2 += ret[i] * ret[i];
    return norm2;
}

static double evening(const set *s, const float *v)
{
    double longest = (double)s->codes->longest;
    return sqrt(fmax(0, longest * longest - dot(v, v, s->dim)));
}

/* The exact score, and the product of the two lengths. */
static double exact(const set *s, const float *query, double q_more, const float *row,
                    double *ret_lengths)
{
    static double q[4097], x[4097];
    double q2 = centred(s, query, q_more, q), x2 = centred(s, row, evening(s, row), x), sum = 0;
    for (size_t i = 0; i <= s->dim; i++)
        sum += q[i] * x[i];
    *ret_lengths = sqrt(q2 * x2);
    return sum - x2 / 2;
}

typedef struct errors {
    double square, most;
    size_t n;
} errors;

static void add_error(errors *e, double got, double want, double lengths)
{
    double error = lengths > 0 ? fabs(got - want) / lengths : fabs(got - want);
    e->square += error * error;
    e->most = fmax(e->most, error);
    e->n++;
}

/* The bound of codes.h. */
static double bound(const lk_codes *c)
{
    return (c->bits == 4 ? 0.12 : 0.016) / sqrt((double)(c->dim + c->longer));
}

static void check(const set *s, const errors *e, double of, const char *what)
{
    double rms = sqrt(e->square / (double)e->n);
    if (!(rms <= of) || !(e->most <= 6 * of))
        fail_msg("%s, %s, %zu dimensions, %u bits: error %.5f, most %.5f, bound %.5f\n", what,
                 metric_names[s->metric], s->dim, s->codes->bits, rms, e->most, of);
}

typedef void each_fn(set *s);
static void on_each(each_fn *fn)
{
    set s;
    for (metric m = L2; m < N_METRICS; m++)
        for (unsigned bits = 4; bits <= 8; bits += 4)
            for (size_t i = 0; i < LK_ARRAY_LEN(dims); i++) {
                make(&s, m, dims[i], bits);
                fn(&s);
                drop(&s);
            }
}

static void check_queries(set *s)
{
    uint32_t slots[ROWS];
    float scores[ROWS];
    int8_t bytes[LK_MAX_CODE_DIM];
    lk_code_query q;
    errors asked = {0}, stored = {0};
    for (uint32_t i = 0; i < ROWS; i++)
        slots[i] = i;
    for (size_t i = 0; i < QUERIES; i++) {
        const float *query = s->queries + i * s->dim;
        double lengths;
        lk_codes_query(s->codes, query, false, bytes, &q);
        lk_codes_score(s->codes, &q, slots, ROWS, scores);
        for (size_t j = 0; j < ROWS; j++) {
            double want = exact(s, query, 0, s->rows + j * s->dim, &lengths);
            add_error(&asked, (double)scores[j], want, lengths);
        }
        const float *row = s->rows + i * s->dim;
        lk_codes_query(s->codes, row, true, bytes, &q);
        lk_codes_score(s->codes, &q, slots, ROWS, scores);
        for (size_t j = 0; j < ROWS; j++) {
            double want = exact(s, row, evening(s, row), s->rows + j * s->dim, &lengths);
            add_error(&stored, (double)scores[j], want, lengths);
        }
    }
    check(s, &asked, bound(s->codes), "queries");
    check(s, &stored, bound(s->codes), "stored vectors");
}

static void scores_are_within_their_bound_of_the_exact_ones(void **state)
{
    (void)state;
    on_each(check_queries);
}

static void check_slots(set *s)
{
    uint32_t slots[ROWS];
    float scores[ROWS];
    int8_t bytes[LK_MAX_CODE_DIM];
    lk_code_query q;
    errors others = {0};
    for (uint32_t i = 0; i < ROWS; i++)
        slots[i] = i;
    for (uint32_t i = 0; i < QUERIES; i++) {
        const float *row = s->rows + i * s->dim;
        lk_codes_query_slot(s->codes, i, bytes, &q);
        lk_codes_score(s->codes, &q, slots, ROWS, scores);
        for (uint32_t j = 0; j < ROWS; j++) {
            double lengths;
            double want = exact(s, row, evening(s, row), s->rows + j * s->dim, &lengths);
            if (j != i)
                add_error(&others, (double)scores[j], want, lengths);
        }
    }
    check(s, &others, 1.5 * bound(s->codes), "codes for codes");
}

static void the_codes_of_a_slot_stand_in_for_its_vector(void **state)
{
    (void)state;
    on_each(check_slots);
}

static void lengthened_vectors_order_as_their_inner_products(void **state)
{
    (void)state;
    set s;
    double lengths;
    make(&s, DOT, 129, 4);
    for (size_t i = 0; i < QUERIES; i++) {
        const float *q = s.queries + i * s.dim;
        double apart = exact(&s, q, 0, s.rows, &lengths) - dot(q, s.rows, s.dim);
        for (size_t j = 1; j < ROWS; j++) {
            const float *row = s.rows + j * s.dim;
            double now = exact(&s, q, 0, row, &lengths) - dot(q, row, s.dim);
            assert_true(fabs(now - apart) < 1e-4 * lengths);
        }
    }
    drop(&s);
}

static void one_query_serves_tables_of_both_sizes(void **state)
{
    (void)state;
    set s;
    lk_err err;
    lk_codes *wide;
    uint32_t slots[ROWS];
    float scores[2][ROWS];
    int8_t bytes[LK_MAX_CODE_DIM];
    lk_code_query q;
    for (metric m = L2; m < N_METRICS; m++) {
        make(&s, m, 200, 4);
        test_ok(lk_codes_beside(s.codes, 8, &wide, &err), &err);
        test_ok(lk_codes_reserve(wide, ROWS, &err), &err);
        for (uint32_t i = 0; i < ROWS; i++) {
            float x[LK_MAX_CODE_DIM];
            slots[i] = i;
            lk_codes_turn(s.codes, s.rows + i * s.dim, x);
            lk_codes_put_turned(wide, i, x);
        }
        lk_codes_query(s.codes, s.queries, false, bytes, &q);
        lk_codes_score(s.codes, &q, slots, ROWS, scores[0]);
        lk_codes_score(wide, &q, slots, ROWS, scores[1]);
        for (size_t i = 0; i < ROWS; i++) {
            double lengths, want = exact(&s, s.queries, 0, s.rows + i * s.dim, &lengths);
            assert_true(fabs((double)scores[0][i] - want) <= 6 * bound(s.codes) * lengths);
            assert_true(fabs((double)scores[1][i] - want) <= 6 * bound(wide) * lengths);
        }
        lk_codes_free(wide);
        drop(&s);
    }
}

/* Nothing, next to nothing, the mean itself, and very long ones beside the usual. */
static void odd_vectors_have_finite_scores(void **state)
{
    (void)state;
    enum { ODD = 5 };
    const float values[ODD] = {0, 1e-30f, 1e-41f, 1e15f, -1e15f};
    uint32_t slots[ODD + 1];
    float scores[ODD + 1], v[512];
    int8_t bytes[LK_MAX_CODE_DIM];
    lk_code_query q;
    set s;
    for (metric m = L2; m <= DOT; m++)
        for (unsigned bits = 4; bits <= 8; bits += 4) {
            make(&s, m, 512, bits);
            for (uint32_t i = 0; i <= ODD; i++) {
                for (size_t j = 0; j < 512; j++)
                    v[j] = i < ODD ? values[i] : s.codes->mean[j];
                slots[i] = i;
                lk_codes_put(s.codes, i, v);
            }
            for (uint32_t i = 0; i <= ODD; i++) {
                lk_codes_query_slot(s.codes, i, bytes, &q);
                lk_codes_score(s.codes, &q, slots, ODD + 1, scores);
                for (size_t j = 0; j <= ODD; j++)
                    assert_true(isfinite(scores[j]));
                for (size_t j = 0; j < 512; j++)
                    v[j] = i < ODD ? values[i] : s.codes->mean[j];
                lk_codes_query(s.codes, v, false, bytes, &q);
                lk_codes_score(s.codes, &q, slots, ODD + 1, scores);
                for (size_t j = 0; j <= ODD; j++)
                    assert_true(isfinite(scores[j]));
            }
            drop(&s);
        }
}

static void more_slots_than_a_block_score_as_one_by_one(void **state)
{
    (void)state;
    set s;
    int8_t bytes[LK_MAX_CODE_DIM];
    lk_code_query q;
    uint32_t slots[2 * ROWS];
    float scores[2 * ROWS], one;
    make(&s, L2, 128, 4);
    lk_codes_query(s.codes, s.queries, false, bytes, &q);
    for (size_t n = 0; n <= 2 * ROWS; n += n < 4 ? 1 : 49) {
        for (uint32_t i = 0; i < n; i++)
            slots[i] = i * 7 % ROWS;
        lk_codes_score(s.codes, &q, slots, n, scores);
        for (size_t i = 0; i < n; i++) {
            lk_codes_score(s.codes, &q, &slots[i], 1, &one);
            assert_true(one == scores[i]);
        }
    }
    drop(&s);
}

static lk_code new_and_trained(void *ctx, lk_err *err)
{
    const set *s = ctx;
    lk_codes *c = NULL, *beside = NULL;
    lk_code code = lk_codes_new(lk_kern_best(), s->dim, 4, true, &c, err);
    if (code == LK_OK)
        code = lk_codes_train(c, s->rows, ROWS, err);
    if (code == LK_OK)
        code = lk_codes_reserve(c, 70000, err);
    if (code == LK_OK)
        code = lk_codes_beside(c, 8, &beside, err);
    lk_codes_free(c);
    lk_codes_free(beside);
    return code;
}

static void short_memory_is_said_and_leaves_nothing_behind(void **state)
{
    (void)state;
    set s;
    make(&s, L2, 128, 4);
    assert_true(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, new_and_trained, &s) >= 9);
    assert_true(test_sweep(TEST_MMAP, ENOMEM, LK_E_NOMEM, new_and_trained, &s) == 4);
    drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_within_their_bound_of_the_exact_ones),
        cmocka_unit_test(the_codes_of_a_slot_stand_in_for_its_vector),
        cmocka_unit_test(lengthened_vectors_order_as_their_inner_products),
        cmocka_unit_test(one_query_serves_tables_of_both_sizes),
        cmocka_unit_test(odd_vectors_have_finite_scores),
        cmocka_unit_test(more_slots_than_a_block_score_as_one_by_one),
        cmocka_unit_test(short_memory_is_said_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
