/* Distance kernels: one table of functions an instruction set, the best one chosen at run time.
 *
 * The scalar kernel is the definition; every other one is tested against it within the bound that
 * stands at its member below. Sums of floats are taken in another order by each set, so results
 * may differ by the bound, but are always the same for the same table and input.
 * The tables are immutable; any thread may use them. Pointers need no alignment. */
#ifndef LK_KERN_KERN_H
#define LK_KERN_KERN_H

#include <stddef.h>
#include <stdint.h>

typedef struct lk_kern {
    const char *name; /* "scalar", "avx2", "avx512", "avx512vnni", "neon" */

    /* sum a[i] * b[i], float accumulators; error <= n * 2^-23 * sum |a[i] * b[i]|. */
    float (*dot_f32)(const float *a, const float *b, size_t n);
    /* The same with b in IEEE 754 binary16. */
    float (*dot_f16)(const float *a, const uint16_t *b, size_t n);
    /* Exact in int32 while n <= 131072 (127 * 127 * n < 2^31). Values -127..127. */
    int32_t (*dot_i8)(const int8_t *a, const int8_t *b, size_t n);

    /* ret[i] = sum over j of code(rows[i])[j] * query[j], for n rows at once: the cost of ending a
     * sum is shared. Accumulators are int32; exact in every set, because
     *   u4: 15 * 127 * dim < 2^23 for dim <= 4224, u8: 255 * 127 * dim < 2^28 likewise.
     *
     * u4: dim is a multiple of 128; of each 64 bytes, byte j holds code j in its low half and code
     * 64 + j in its high one. u8: dim is a multiple of 64, a byte a code. Query values -127..127.
     */
    void (*dots_u4)(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret);
    void (*dots_u8)(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                    int32_t *ret);

    /* x[n] turned in place by the Hadamard matrix / sqrt(n), n a power of two from 1 to 4096; error
     * <= log2(n) * 2^-24 of the length of x, an element. */
    void (*hadamard)(float *x, size_t n);
    /* to[i] = x[i] * 127 / m rounded to nearest, where m, which is returned, is the largest |x[i]|;
     * zeros when that is 0. Finite input. Exact the same in every set. */
    float (*f32_to_i8)(const float *x, int8_t *to, size_t n);

    /* Round to nearest, ties to even; overflow gives infinity. Exact the same in every set. */
    void (*f32_to_f16)(const float *from, uint16_t *to, size_t n);
    void (*f16_to_f32)(const uint16_t *from, float *to, size_t n);
} lk_kern;

/* The fastest table this processor runs. The environment variable
 * LK_KERN=scalar|avx2|avx512|avx512vnni|neon forces one; a name that this processor lacks is passed
 * over. */
const lk_kern *lk_kern_best(void);
/* A table by name, or NULL when this build or processor lacks it. */
const lk_kern *lk_kern_named(const char *name);

#endif
