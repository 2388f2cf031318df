/* NEON, as every AArch64 processor has it. */
#include <arm_neon.h>

#include "kern/tables.h"
#include "kern/turn.h"

static float32x4_t load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

static float sum_of(const float32x4_t s[4])
{
    return vaddvq_f32(vaddq_f32(vaddq_f32(s[0], s[1]), vaddq_f32(s[2], s[3])));
}

static float dot_f32(const float *a, const float *b, size_t n)
{
    float32x4_t s[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 4; j++)
            s[j] = vfmaq_f32(s[j], vld1q_f32(a + i + 4 * j), vld1q_f32(b + i + 4 * j));
    return sum_of(s) + lk_kern_scalar.dot_f32(a + i, b + i, n - i);
}

static float dot_f16(const float *a, const uint16_t *b, size_t n)
{
    float32x4_t s[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 4; j++)
            s[j] = vfmaq_f32(s[j], vld1q_f32(a + i + 4 * j), load_f16(b + i + 4 * j));
    return sum_of(s) + lk_kern_scalar.dot_f16(a + i, b + i, n - i);
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    int32x4_t s = vdupq_n_s32(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        int8x16_t x = vld1q_s8(a + i), y = vld1q_s8(b + i);
        s = vpadalq_s16(s, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
        s = vpadalq_s16(s, vmull_high_s8(x, y));
    }
    return vaddvq_s32(s) + lk_kern_scalar.dot_i8(a + i, b + i, n - i);
}

/* Codes of 4 bits fit the signed bytes that vmull_s8 wants, and a product fits 16 bits. */
static void dots_u4(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        int32x4_t s = vdupq_n_s32(0);
        for (size_t at = 0; at < dim; at += 128)
            for (size_t j = 0; j < 64; j += 16) {
                uint8x16_t two = vld1q_u8(rows[i] + at / 2 + j);
                int8x16_t a = vreinterpretq_s8_u8(vandq_u8(two, vdupq_n_u8(15)));
                int8x16_t b = vreinterpretq_s8_u8(vshrq_n_u8(two, 4));
                int8x16_t x = vld1q_s8(query + at + j), y = vld1q_s8(query + at + 64 + j);
                s = vpadalq_s16(s, vmull_s8(vget_low_s8(a), vget_low_s8(x)));
                s = vpadalq_s16(s, vmull_high_s8(a, x));
                s = vpadalq_s16(s, vmull_s8(vget_low_s8(b), vget_low_s8(y)));
                s = vpadalq_s16(s, vmull_high_s8(b, y));
            }
        ret[i] = vaddvq_s32(s);
    }
}

static void dots_u8(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        int32x4_t s = vdupq_n_s32(0);
        for (size_t at = 0; at < dim; at += 8) {
            int16x8_t x = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(rows[i] + at)));
            int16x8_t y = vmovl_s8(vld1_s8(query + at));
            s = vmlal_s16(s, vget_low_s16(x), vget_low_s16(y));
            s = vmlal_high_s16(s, x, y);
        }
        ret[i] = vaddvq_s32(s);
    }
}

static void f32_to_f16(const float *from, uint16_t *to, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u16(to + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(from + i))));
    lk_kern_scalar.f32_to_f16(from + i, to + i, n - i);
}

static void f16_to_f32(const uint16_t *from, float *to, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(to + i, load_f16(from + i));
    lk_kern_scalar.f16_to_f32(from + i, to + i, n - i);
}

const lk_kern lk_kern_neon = {
    .name = "neon",
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
