/* AVX2 with FMA and F16C: four accumulators of eight floats hide the latency of the multiply-add.
 */
#include <immintrin.h>
#include <string.h>

#include "kern/tables.h"
#include "kern/turn.h"

static float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static __m256 load_f16(const uint16_t *p)
{
    __m128i h;
    memcpy(&h, p, sizeof h);
    return _mm256_cvtph_ps(h);
}

static float dot_f32(const float *a, const float *b, size_t n)
{
    __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (size_t j = 0; j < 4; j++)
            s[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), _mm256_loadu_ps(b + i + 8 * j),
                                   s[j]);
    for (; i + 8 <= n; i += 8)
        s[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s[0]);
    float sum = sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
    return sum + lk_kern_scalar.dot_f32(a + i, b + i, n - i);
}

static float dot_f16(const float *a, const uint16_t *b, size_t n)
{
    __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (size_t j = 0; j < 4; j++)
            s[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8 * j), load_f16(b + i + 8 * j), s[j]);
    for (; i + 8 <= n; i += 8)
        s[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), load_f16(b + i), s[0]);
    float sum = sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
    return sum + lk_kern_scalar.dot_f16(a + i, b + i, n - i);
}

static int32_t sum8_i32(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    __m256i s = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m128i x, y;
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        s = _mm256_add_epi32(s,
                             _mm256_madd_epi16(_mm256_cvtepi8_epi16(x), _mm256_cvtepi8_epi16(y)));
    }
    return sum8_i32(s) + lk_kern_scalar.dot_i8(a + i, b + i, n - i);
}

static __m256i load32(const void *p)
{
    __m256i v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* A pair's sum is at most 2 * 15 * 127 and four of them fit 16 bits, so that widening is done once
 * for 128 codes. */
static void dots_u4(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret)
{
    const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    for (size_t i = 0; i < n; i++) {
        __m256i s = _mm256_setzero_si256();
        for (size_t at = 0; at < dim; at += 128) {
            __m256i a = load32(rows[i] + at / 2), b = load32(rows[i] + at / 2 + 32);
            __m256i t = _mm256_maddubs_epi16(_mm256_and_si256(a, low), load32(query + at));
            t = _mm256_add_epi16(
                t, _mm256_maddubs_epi16(_mm256_and_si256(b, low), load32(query + at + 32)));
            a = _mm256_and_si256(_mm256_srli_epi16(a, 4), low);
            b = _mm256_and_si256(_mm256_srli_epi16(b, 4), low);
            t = _mm256_add_epi16(t, _mm256_maddubs_epi16(a, load32(query + at + 64)));
            t = _mm256_add_epi16(t, _mm256_maddubs_epi16(b, load32(query + at + 96)));
            s = _mm256_add_epi32(s, _mm256_madd_epi16(t, ones));
        }
        ret[i] = sum8_i32(s);
    }
}

/* 255 * 127 * 2 does not fit 16 bits, so both sides are widened first. */
static void dots_u8(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        __m256i s = _mm256_setzero_si256();
        for (size_t at = 0; at < dim; at += 16) {
            __m128i x, y;
            memcpy(&x, rows[i] + at, sizeof x);
            memcpy(&y, query + at, sizeof y);
            s = _mm256_add_epi32(
                s, _mm256_madd_epi16(_mm256_cvtepu8_epi16(x), _mm256_cvtepi8_epi16(y)));
        }
        ret[i] = sum8_i32(s);
    }
}

static void f32_to_f16(const float *from, uint16_t *to, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
        memcpy(to + i, &h, sizeof h);
    }
    lk_kern_scalar.f32_to_f16(from + i, to + i, n - i);
}

static void f16_to_f32(const uint16_t *from, float *to, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(to + i, load_f16(from + i));
    lk_kern_scalar.f16_to_f32(from + i, to + i, n - i);
}

const lk_kern lk_kern_avx2 = {
    .name = "avx2",
    .dot_f32 = dot_f32,
    .dot_f16 = dot_f16,
    .dot_i8 = dot_i8,
    .dots_u4 = dots_u4,
    .dots_u8 = dots_u8,
    .hadamard = hadamard,
    .f32_to_i8 = f32_to_i8,
    .f32_to_f16 = f32_to_f16,
    .f16_to_f32 = f16_to_f32,
};
