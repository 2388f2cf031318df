/* AVX-512 (F, BW, DQ, VL): masks take the tail, so there is no scalar rest. */
#include <immintrin.h>

#include "kern/tables.h"

static __mmask16 tail16(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

static float dot_f32(const float *a, const float *b, size_t n)
{
    __m512 s[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                   _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t j = 0; j < 4; j++)
            s[j] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16 * j), _mm512_loadu_ps(b + i + 16 * j),
                                   s[j]);
    for (; i + 16 <= n; i += 16)
        s[0] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s[0]);
    if (i < n) {
        __mmask16 m = tail16(n - i);
        s[1] =
            _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, a + i), _mm512_maskz_loadu_ps(m, b + i), s[1]);
    }
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
}

static __m512 load_f16(__mmask16 m, const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, p));
}

static float dot_f16(const float *a, const uint16_t *b, size_t n)
{
    __m512 s[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                   _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t j = 0; j < 4; j++)
            s[j] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16 * j),
                                   load_f16(0xffff, b + i + 16 * j), s[j]);
    for (; i < n; i += 16) {
        __mmask16 m = n - i < 16 ? tail16(n - i) : 0xffff;
        s[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, a + i), load_f16(m, b + i), s[0]);
    }
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    __m512i s = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 32) {
        __mmask32 m = n - i < 32 ? (__mmask32)((UINT64_C(1) << (n - i)) - 1) : 0xffffffff;
        __m512i x = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, a + i));
        __m512i y = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, b + i));
        s = _mm512_add_epi32(s, _mm512_madd_epi16(x, y));
    }
    return _mm512_reduce_add_epi32(s);
}

static void f32_to_f16(const float *from, uint16_t *to, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = n - i < 16 ? tail16(n - i) : 0xffff;
        __m256i h = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(m, from + i), _MM_FROUND_TO_NEAREST_INT);
        _mm256_mask_storeu_epi16(to + i, m, h);
    }
}

static void f16_to_f32(const uint16_t *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = n - i < 16 ? tail16(n - i) : 0xffff;
        _mm512_mask_storeu_ps(to + i, m, load_f16(m, from + i));
    }
}

const lk_kern lk_kern_avx512 = {
    .name = "avx512",
    .dot_f32 = dot_f32,
    .dot_f16 = dot_f16,
    .dot_i8 = dot_i8,
    .f32_to_f16 = f32_to_f16,
    .f16_to_f32 = f16_to_f32,
};
