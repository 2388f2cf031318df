/* The definition of every kernel, in plain C. */
#include <string.h>

#include "kern/tables.h"
#include "kern/turn.h"

static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 1023, bits;
    float f;
    if (exp == 31) {
        bits = sign | 0x7f800000 | man << 13;
    } else if (exp) {
        bits = sign | (exp + 112) << 23 | man << 13;
    } else {
        /* Subnormal: man * 2^-24, exact in a float. */
        f = (float)man * 0x1p-24f;
        return sign ? -f : f;
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint16_t to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t abs = bits & 0x7fffffff;
    if (abs > 0x7f800000) /* not a number: quiet, the top of its payload kept */
        return (uint16_t)(sign | 0x7e00 | (abs >> 13 & 0x3ff));
    if (abs >= 0x477ff000) /* rounds to 65536 or more */
        return sign | 0x7c00;
    if (abs < 0x38800000) {
        /* Below 2^-14: adding 0.5 puts the 24 bits of a float where the subnormal's unit is the
         * last one, so that the addition rounds as the format wants. */
        float shifted;
        memcpy(&shifted, &abs, sizeof shifted);
        shifted += 0.5f;
        memcpy(&abs, &shifted, sizeof abs);
        return (uint16_t)(sign | (abs - 0x3f000000));
    }
    uint32_t even = abs >> 13 & 1;
    return (uint16_t)(sign | ((abs - 0x38000000 + 0xfff + even) >> 13));
}

static float dot_f32(const float *a, const float *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static float dot_f16(const float *a, const uint16_t *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * from_f16(b[i]);
    return sum;
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void dots_u4(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        int32_t sum = 0;
        for (size_t at = 0; at < dim; at += 128)
            for (size_t j = 0; j < 64; j++) {
                uint8_t two = rows[i][at / 2 + j];
                sum += (two & 15) * query[at + j] + (two >> 4) * query[at + 64 + j];
            }
        ret[i] = sum;
    }
}

static void dots_u8(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        int32_t sum = 0;
        for (size_t j = 0; j < dim; j++)
            sum += rows[i][j] * query[j];
        ret[i] = sum;
    }
}

static void f32_to_f16(const float *from, uint16_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = to_f16(from[i]);
}

static void f16_to_f32(const uint16_t *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from_f16(from[i]);
}

const lk_kern lk_kern_scalar = {
    .name = "scalar",
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
