/* Coding, and scoring with codes.
 *
 * The grid's step is 0.335 of the vector's root mean square for 4 bits, the best even grid of 16
 * levels for normal values (Max 1960, table II); for 8 bits the largest element sets it. Levels are
 * (c - 7.5) or (c - 127.5): halves, so sums are kept doubled and stay whole. */
#include "index/codes.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define STEP_4 0.335f
#define SIGN_SEED UINT64_C(0x9e3779b97f4a7c15)
#define SCORE_BLOCK 64

/* ---- rotation ---- */

/* Signs are part of the format: the same dimension always gets the same ones. */
static void make_signs(float *signs, size_t n)
{
    uint64_t x = SIGN_SEED;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        signs[i] = x >> 63 ? 1.0f : -1.0f;
    }
}

/* Where the dimension is no power of two, the largest one that fits is turned at both ends, twice,
 * so that every element meets every other. */
static void rotate(const lk_codes *c, float *x)
{
    size_t n = c->code_dim, part = 128;
    while (2 * part <= n)
        part *= 2;
    for (int turn = 0; turn < (part == n ? 1 : 2); turn++) {
        for (size_t i = 0; i < n; i++)
            x[i] *= c->signs[i];
        c->kern->hadamard(x, part);
        if (part < n)
            c->kern->hadamard(x + n - part, part);
    }
}

/* ---- birth and training ---- */

lk_code lk_codes_new(const lk_kern *kern, size_t dim, unsigned bits, bool even_lengths,
                     lk_codes **ret, lk_err *err)
{
    lk_codes *c = lk_calloc(1, sizeof *c);
    lk_code code = c ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory for an index");
    if (code)
        return code;
    size_t code_dim = (dim + even_lengths + 127) / 128 * 128;
    *c = (lk_codes){.kern = kern,
                    .dim = dim,
                    .code_dim = code_dim,
                    .bits = bits,
                    .longer = even_lengths,
                    .mean = lk_calloc(code_dim, sizeof(float)),
                    .signs = lk_alloc_array(code_dim, sizeof(float))};
    code = c->mean && c->signs ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory for an index");
    if (code == LK_OK)
        code = lk_plane_init(&c->rows, code_dim * bits / 8, err);
    if (code == LK_OK)
        code = lk_plane_init(&c->terms, sizeof(lk_code_terms), err);
    if (code) {
        lk_codes_free(c);
        return code;
    }
    make_signs(c->signs, code_dim);
    *ret = c;
    return LK_OK;
}

lk_code lk_codes_beside(const lk_codes *c, unsigned bits, lk_codes **ret, lk_err *err)
{
    lk_codes *other = NULL;
    lk_code code = lk_codes_new(c->kern, c->dim, bits, c->longer, &other, err);
    if (code)
        return code;
    other->longest = c->longest;
    memcpy(other->mean, c->mean, c->code_dim * sizeof *c->mean);
    *ret = other;
    return LK_OK;
}

void lk_codes_free(lk_codes *c)
{
    if (!c)
        return;
    lk_plane_release(&c->rows);
    lk_plane_release(&c->terms);
    lk_free(c->mean);
    lk_free(c->signs);
    lk_free(c);
}

static float evening(const lk_codes *c, const float *vector)
{
    float rest = c->longest * c->longest - c->kern->dot_f32(vector, vector, c->dim);
    return rest > 0 ? sqrtf(rest) : 0;
}

lk_code lk_codes_train(lk_codes *c, const float *sample, size_t n, lk_err *err)
{
    double *sum = lk_calloc(c->dim + 1, sizeof *sum);
    if (!sum)
        return lk_fail(err, LK_E_NOMEM, "no memory to train an index");
    for (size_t i = 0; c->longer && i < n; i++) {
        const float *v = sample + i * c->dim;
        c->longest = fmaxf(c->longest, sqrtf(c->kern->dot_f32(v, v, c->dim)));
    }
    for (size_t i = 0; i < n; i++) {
        const float *v = sample + i * c->dim;
        for (size_t j = 0; j < c->dim; j++)
            sum[j] += (double)v[j];
        if (c->longer)
            sum[c->dim] += (double)evening(c, v);
    }
    for (size_t j = 0; n && j < c->dim + c->longer; j++)
        c->mean[j] = (float)(sum[j] / (double)n);
    lk_free(sum);
    return LK_OK;
}

lk_code lk_codes_reserve(lk_codes *c, size_t n_rows, lk_err *err)
{
    lk_code code = lk_plane_reserve(&c->rows, n_rows, err);
    return code ? code : lk_plane_reserve(&c->terms, n_rows, err);
}

/* ---- coding ---- */

static void prepare(const lk_codes *c, const float *vector, bool stored, float *ret)
{
    for (size_t i = 0; i < c->dim; i++)
        ret[i] = vector[i] - c->mean[i];
    if (c->longer)
        ret[c->dim] = (stored ? evening(c, vector) : 0) - c->mean[c->dim];
    size_t n = c->dim + c->longer;
    memset(ret + n, 0, (c->code_dim - n) * sizeof *ret);
    rotate(c, ret);
}

static uint8_t level(float x, float per_step, float middle)
{
    float c = floorf(x * per_step) + middle + 0.5f;
    return (uint8_t)(c < 0 ? 0 : c > 2 * middle ? 2 * middle : c);
}

static void pack(const lk_codes *c, const uint8_t *codes, uint8_t *row)
{
    if (c->bits == 8) {
        memcpy(row, codes, c->code_dim);
        return;
    }
    for (size_t at = 0; at < c->code_dim; at += 128)
        for (size_t j = 0; j < 64; j++)
            row[at / 2 + j] = (uint8_t)(codes[at + j] | codes[at + 64 + j] << 4);
}

void lk_codes_turn(const lk_codes *c, const float *vector, float *ret)
{
    prepare(c, vector, true, ret);
}

void lk_codes_put(lk_codes *c, uint32_t slot, const float *vector)
{
    float x[LK_MAX_CODE_DIM];
    prepare(c, vector, true, x);
    lk_codes_put_turned(c, slot, x);
}

void lk_codes_put_turned(lk_codes *c, uint32_t slot, const float *x)
{
    float most = 0;
    uint8_t codes[LK_MAX_CODE_DIM];
    size_t n = c->code_dim;
    float middle = c->bits == 4 ? 7.5f : 127.5f;
    float norm2 = c->kern->dot_f32(x, x, n);
    for (size_t i = 0; c->bits == 8 && i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    float step = c->bits == 4 ? STEP_4 * sqrtf(norm2 / (float)n) : most / 127.5f;
    float per_step = step > 0 ? 1 / step : 0, along = 0;
    for (size_t i = 0; i < n; i++) {
        codes[i] = level(x[i], per_step, middle);
        along += ((float)codes[i] - middle) * x[i];
    }
    pack(c, codes, lk_plane_at(&c->rows, slot));
    lk_code_terms t = {.scale = along > 0 ? norm2 / along : 0, .norm2 = norm2};
    memcpy(lk_plane_at(&c->terms, slot), &t, sizeof t);
}

/* ---- queries ---- */

static int32_t sum_of(const int8_t *q, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += q[i];
    return sum;
}

void lk_codes_query(const lk_codes *c, const float *vector, bool stored, int8_t *q,
                    lk_code_query *ret)
{
    float x[LK_MAX_CODE_DIM];
    prepare(c, vector, stored, x);
    lk_codes_query_turned(c, x, q, ret);
}

void lk_codes_query_turned(const lk_codes *c, const float *x, int8_t *q, lk_code_query *ret)
{
    ret->q = q;
    ret->s = 0.5f * c->kern->f32_to_i8(x, q, c->code_dim) / 127; /* halved: sums are doubled */
    ret->sum = sum_of(q, c->code_dim);
    ret->norm2 = c->kern->dot_f32(x, x, c->code_dim);
}

void lk_codes_query_slot(const lk_codes *c, uint32_t slot, int8_t *q, lk_code_query *ret)
{
    const uint8_t *row = lk_plane_at(&c->rows, slot);
    if (c->bits == 8) {
        for (size_t i = 0; i < c->code_dim; i++) { /* halves go up or down, else they add up */
            int level = row[i] - 128 + (c->signs[i] > 0);
            q[i] = (int8_t)(level < -127 ? -127 : level > 127 ? 127 : level);
        }
    } else {
        for (size_t at = 0; at < c->code_dim; at += 128)
            for (size_t j = 0; j < 64; j++) {
                uint8_t two = row[at / 2 + j];
                q[at + j] = (int8_t)(2 * (two & 15) - 15);
                q[at + 64 + j] = (int8_t)(2 * (two >> 4) - 15);
            }
    }
    ret->q = q;
    ret->s = lk_codes_terms(c, slot)->scale * (c->bits == 4 ? 0.25f : 0.5f);
    ret->norm2 = lk_codes_terms(c, slot)->norm2;
    ret->sum = sum_of(q, c->code_dim);
}

void lk_codes_score_rows(const lk_codes *c, const lk_code_query *q, const uint32_t *slots,
                         const uint8_t *const *rows, size_t n, float *ret)
{
    int32_t dots[SCORE_BLOCK];
    int32_t base = q->sum * (c->bits == 4 ? 15 : 255); /* twice middle * sum(q) */
    for (size_t from = 0; from < n; from += SCORE_BLOCK) {
        size_t m = n - from < SCORE_BLOCK ? n - from : SCORE_BLOCK;
        if (c->bits == 4)
            c->kern->dots_u4(rows + from, m, q->q, c->code_dim, dots);
        else
            c->kern->dots_u8(rows + from, m, q->q, c->code_dim, dots);
        for (size_t i = 0; i < m; i++) {
            const lk_code_terms *t = lk_codes_terms(c, slots[from + i]);
            ret[from + i] = q->s * t->scale * (float)(2 * dots[i] - base) - 0.5f * t->norm2;
        }
    }
}

void lk_codes_score(const lk_codes *c, const lk_code_query *q, const uint32_t *slots, size_t n,
                    float *ret)
{
    const uint8_t *rows[SCORE_BLOCK];
    for (size_t from = 0; from < n; from += SCORE_BLOCK) {
        size_t m = n - from < SCORE_BLOCK ? n - from : SCORE_BLOCK;
        for (size_t i = 0; i < m; i++)
            rows[i] = lk_plane_at(&c->rows, slots[from + i]);
        lk_codes_score_rows(c, q, slots + from, rows, m, ret + from);
    }
}
