#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "index/flat.h"

#define DIM 19
#define N 300
#define K 10

static uint64_t rng_state = 42;
static float next_float(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (float)((double)(rng_state >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1);
}

typedef struct set {
    unsigned char *chunks[5];
    lk_rows rows;
    float vectors[N][DIM];
    lk_bitmap all;
} set;

static void fill(set *s, lk_elem elem)
{
    size_t row_bytes = (lk_elem_bytes(elem, DIM) + 3) / 4 * 4;
    s->rows = (lk_rows){(const unsigned char *const *)s->chunks, 6, row_bytes, DIM, elem};
    for (size_t i = 0; i < 5; i++) {
        s->chunks[i] = calloc(64, row_bytes);
        assert_non_null(s->chunks[i]);
    }
    lk_bitmap_init(&s->all);
    assert_int_equal(lk_bitmap_resize(&s->all, N, NULL), LK_OK);
    lk_bitmap_fill(&s->all, true);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < DIM; j++)
            s->vectors[i][j] = next_float();
        lk_row_encode(lk_kern_best(), elem, s->vectors[i], DIM,
                      s->chunks[i / 64] + i % 64 * row_bytes);
    }
}

static void drop(set *s)
{
    for (size_t i = 0; i < 5; i++)
        free(s->chunks[i]);
    lk_bitmap_release(&s->all);
}

/* The k best by a double sum over decoded rows. */
static void against_sorting(lk_elem elem, lk_score score)
{
    set s;
    lk_near hits[K];
    float q[DIM], row[DIM];
    double exact[N];
    fill(&s, elem);
    for (size_t j = 0; j < DIM; j++)
        q[j] = next_float();
    for (uint32_t i = 0; i < N; i++) {
        lk_row_decode(lk_kern_best(), elem, lk_rows_at(&s.rows, i), DIM, row);
        exact[i] = 0;
        for (size_t j = 0; j < DIM; j++)
            exact[i] += score == LK_SCORE_DOT ? (double)q[j] * (double)row[j]
                                              : -pow((double)q[j] - (double)row[j], 2);
    }
    assert_int_equal(lk_flat_search(lk_kern_best(), &s.rows, &s.all, q, score, K, hits), K);
    for (size_t h = 0; h < K; h++) {
        size_t better = 0;
        for (size_t i = 0; i < N; i++)
            better += exact[i] > exact[hits[h].slot];
        assert_int_equal(better, h);
        assert_true(fabs((double)hits[h].score - exact[hits[h].slot]) < 1e-4);
    }
    drop(&s);
}

static void the_best_rows_come_first_in_every_element_type(void **state)
{
    (void)state;
    for (lk_elem e = LK_ELEM_F16; e <= LK_ELEM_I8; e++) {
        against_sorting(e, LK_SCORE_DOT);
        against_sorting(e, LK_SCORE_NEG_L2);
    }
}

static void only_the_given_slots_are_searched(void **state)
{
    (void)state;
    set s;
    lk_near hits[N];
    fill(&s, LK_ELEM_F32);
    lk_bitmap_fill(&s.all, false);
    lk_bitmap_set(&s.all, 7);
    lk_bitmap_set(&s.all, 64);
    lk_bitmap_set(&s.all, 299);
    assert_int_equal(
        lk_flat_search(lk_kern_best(), &s.rows, &s.all, s.vectors[64], LK_SCORE_DOT, N, hits), 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(lk_bitmap_get(&s.all, hits[i].slot));
    lk_bitmap_fill(&s.all, false);
    assert_int_equal(
        lk_flat_search(lk_kern_best(), &s.rows, &s.all, s.vectors[64], LK_SCORE_DOT, N, hits), 0);
    drop(&s);
}

static void equal_scores_are_ordered_by_slot(void **state)
{
    (void)state;
    set s;
    lk_near hits[K];
    fill(&s, LK_ELEM_F32);
    for (size_t i = 0; i < N; i++)
        lk_row_encode(lk_kern_best(), LK_ELEM_F32, s.vectors[0], DIM,
                      s.chunks[i / 64] + i % 64 * s.rows.row_bytes);
    assert_int_equal(
        lk_flat_search(lk_kern_best(), &s.rows, &s.all, s.vectors[0], LK_SCORE_DOT, K, hits), K);
    for (uint32_t i = 0; i < K; i++)
        assert_int_equal(hits[i].slot, i);
    drop(&s);
}

static void bytes_keep_each_number_within_half_a_step(void **state)
{
    (void)state;
    float v[DIM], back[DIM], max = 0;
    unsigned char row[64];
    for (size_t i = 0; i < DIM; i++) {
        v[i] = next_float();
        max = fmaxf(max, fabsf(v[i]));
    }
    lk_row_encode(lk_kern_best(), LK_ELEM_I8, v, DIM, row);
    lk_row_decode(lk_kern_best(), LK_ELEM_I8, row, DIM, back);
    for (size_t i = 0; i < DIM; i++)
        assert_true(fabsf(v[i] - back[i]) <= max / 127 * 0.5001f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_rows_come_first_in_every_element_type),
        cmocka_unit_test(only_the_given_slots_are_searched),
        cmocka_unit_test(equal_scores_are_ordered_by_slot),
        cmocka_unit_test(bytes_keep_each_number_within_half_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
