/* The kernels that a compiler turns into good vector code by itself: written once, compiled in each
 * table's file with that file's instructions. */
#ifndef LK_KERN_TURN_H
#define LK_KERN_TURN_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

static inline void hadamard_pass(float *restrict x, size_t n, size_t half)
{
    for (size_t at = 0; at < n; at += 2 * half)
        for (size_t i = at; i < at + half; i++) {
            float a = x[i], b = x[i + half];
            x[i] = a + b;
            x[i + half] = a - b;
        }
}

/* Widths that are constants are what lets short passes become shuffles. */
static void hadamard(float *x, size_t n)
{
    float norm = 1 / sqrtf((float)n);
    if (n >= 16) {
        hadamard_pass(x, n, 1);
        hadamard_pass(x, n, 2);
        hadamard_pass(x, n, 4);
        hadamard_pass(x, n, 8);
        for (size_t half = 16; half < n; half *= 2)
            hadamard_pass(x, n, half);
    } else {
        for (size_t half = 1; half < n; half *= 2)
            hadamard_pass(x, n, half);
    }
    for (size_t i = 0; i < n; i++)
        x[i] *= norm;
}

static float f32_to_i8(const float *restrict x, int8_t *restrict to, size_t n)
{
    float most[16] = {0}, m = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) {
            float v = fabsf(x[i + j]);
            most[j] = v > most[j] ? v : most[j];
        }
    for (; i < n; i++)
        most[0] = fabsf(x[i]) > most[0] ? fabsf(x[i]) : most[0];
    for (size_t j = 0; j < 16; j++)
        m = most[j] > m ? most[j] : m;
    float by = m > 0 ? 127 / m : 0;
    for (i = 0; i < n; i++) {
        float v = x[i] * by;
        v = v < -127 ? -127 : v > 127 ? 127 : v; /* 127 / m overflows when m is subnormal */
        to[i] = (int8_t)(int32_t)(v + (v < 0 ? -0.5f : 0.5f));
    }
    return m;
}

#endif
