/* AVX-512 (F, BW, DQ, VL): masks take the tail, so there is no scalar rest. A second table has the
 * code kernels of processors with VNNI, which multiply and add bytes in one instruction; those
 * functions alone are compiled for it. */
#include <immintrin.h>

#include "kern/tables.h"
#include "kern/turn.h"

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

/* Four sums of sixteen at once, to four numbers. */
static __m128i sum16x4(const __m512i s[4])
{
    __m512i ab =
        _mm512_add_epi32(_mm512_unpacklo_epi32(s[0], s[1]), _mm512_unpackhi_epi32(s[0], s[1]));
    __m512i cd =
        _mm512_add_epi32(_mm512_unpacklo_epi32(s[2], s[3]), _mm512_unpackhi_epi32(s[2], s[3]));
    __m512i t = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(t), _mm512_extracti64x4_epi64(t, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

#define VNNI __attribute__((target("avx512vnni")))
#define INLINE inline __attribute__((always_inline))

/* The sums of four rows of codes with one query. */
typedef void four_fn(const uint8_t *const rows[4], const int8_t *query, size_t dim, __m512i s[4]);

/* Four rows at a time share the query's registers and the end of their sums; the last row stands in
 * for those that are missing. Inlined with `four`, so that it costs no call. */
static INLINE void by_fours(four_fn *four, const uint8_t *const *rows, size_t n,
                            const int8_t *query, size_t dim, int32_t *ret)
{
    for (size_t i = 0; i < n; i += 4) {
        const uint8_t *at[4];
        __m512i s[4];
        for (size_t r = 0; r < 4; r++) {
            at[r] = rows[i + r < n ? i + r : n - 1];
            s[r] = _mm512_setzero_si512();
        }
        four(at, query, dim, s);
        __mmask8 m = n - i < 4 ? (__mmask8)((1u << (n - i)) - 1) : 15;
        _mm_mask_storeu_epi32(ret + i, m, sum16x4(s));
    }
}

/* A pair's sum is at most 2 * 15 * 127, so that two of them fit 16 bits before widening. */
static INLINE void four_u4(const uint8_t *const rows[4], const int8_t *query, size_t dim,
                           __m512i s[4])
{
    const __m512i low = _mm512_set1_epi8(15), ones = _mm512_set1_epi16(1);
    for (size_t at = 0; at < dim; at += 128) {
        __m512i x = _mm512_loadu_si512(query + at), y = _mm512_loadu_si512(query + at + 64);
        for (size_t r = 0; r < 4; r++) {
            __m512i c = _mm512_loadu_si512(rows[r] + at / 2);
            __m512i t = _mm512_maddubs_epi16(_mm512_and_si512(c, low), x);
            c = _mm512_and_si512(_mm512_srli_epi16(c, 4), low);
            t = _mm512_add_epi16(t, _mm512_maddubs_epi16(c, y));
            s[r] = _mm512_add_epi32(s[r], _mm512_madd_epi16(t, ones));
        }
    }
}

static void dots_u4(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret)
{
    by_fours(four_u4, rows, n, query, dim, ret);
}

static INLINE void four_u8(const uint8_t *const rows[4], const int8_t *query, size_t dim,
                           __m512i s[4])
{
    for (size_t at = 0; at < dim; at += 32) {
        __m512i x = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i_u *)(query + at)));
        for (size_t r = 0; r < 4; r++) {
            __m512i c = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i_u *)(rows[r] + at)));
            s[r] = _mm512_add_epi32(s[r], _mm512_madd_epi16(c, x));
        }
    }
}

static void dots_u8(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret)
{
    by_fours(four_u8, rows, n, query, dim, ret);
}

VNNI static INLINE void four_u4_vnni(const uint8_t *const rows[4], const int8_t *query, size_t dim,
                                     __m512i s[4])
{
    const __m512i low = _mm512_set1_epi8(15);
    for (size_t at = 0; at < dim; at += 128) {
        __m512i x = _mm512_loadu_si512(query + at), y = _mm512_loadu_si512(query + at + 64);
        for (size_t r = 0; r < 4; r++) {
            __m512i c = _mm512_loadu_si512(rows[r] + at / 2);
            s[r] = _mm512_dpbusd_epi32(s[r], _mm512_and_si512(c, low), x);
            c = _mm512_and_si512(_mm512_srli_epi16(c, 4), low);
            s[r] = _mm512_dpbusd_epi32(s[r], c, y);
        }
    }
}

VNNI static void dots_u4_vnni(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                              int32_t *ret)
{
    by_fours(four_u4_vnni, rows, n, query, dim, ret);
}

VNNI static INLINE void four_u8_vnni(const uint8_t *const rows[4], const int8_t *query, size_t dim,
                                     __m512i s[4])
{
    for (size_t at = 0; at < dim; at += 64) {
        __m512i x = _mm512_loadu_si512(query + at);
        for (size_t r = 0; r < 4; r++)
            s[r] = _mm512_dpbusd_epi32(s[r], _mm512_loadu_si512(rows[r] + at), x);
    }
}

VNNI static void dots_u8_vnni(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                              int32_t *ret)
{
    by_fours(four_u8_vnni, rows, n, query, dim, ret);
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

#define REST                                                                                       \
    .dot_f32 = dot_f32, .dot_f16 = dot_f16, .dot_i8 = dot_i8, .hadamard = hadamard,                \
    .f32_to_i8 = f32_to_i8, .f32_to_f16 = f32_to_f16, .f16_to_f32 = f16_to_f32

const lk_kern lk_kern_avx512 = {.name = "avx512", .dots_u4 = dots_u4, .dots_u8 = dots_u8, REST};
const lk_kern lk_kern_avx512vnni = {
    .name = "avx512vnni", .dots_u4 = dots_u4_vnni, .dots_u8 = dots_u8_vnni, REST};
