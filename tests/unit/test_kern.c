/* Every kernel against the scalar definition, at every width around a vector's length, at addresses
 * that are not aligned, with zeros and extremes, within the bounds that kern.h states. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kern/kern.h"

#define MAX_N 1100

static const char *const names[] = {"avx2", "avx512", "avx512vnni", "neon"};

static uint64_t rng_state;
static uint64_t next_u64(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}
static float next_float(void)
{
    return (float)((double)(next_u64() >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1);
}

static const lk_kern *scalar(void)
{
    const lk_kern *k = lk_kern_named("scalar");
    assert_non_null(k);
    return k;
}

typedef void check_fn(const lk_kern *k);

static void on_every_set(check_fn *check)
{
    size_t ran = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const lk_kern *k = lk_kern_named(names[i]);
        if (!k)
            continue;
        rng_state = 42;
        check(k);
        ran++;
    }
    if (ran == 0)
        skip();
}

static void check_dot_f32(const lk_kern *k)
{
    static float a[MAX_N + 3], b[MAX_N + 3];
    for (size_t n = 0; n <= MAX_N; n = n < 140 ? n + 1 : n + 137)
        for (size_t off = 0; off < 3; off++) {
            double exact = 0, abs = 0;
            for (size_t i = 0; i < n; i++) {
                a[off + i] = next_float() * (i % 7 == 0 ? 1e4f : 1);
                b[off + i] = next_float();
                exact += (double)a[off + i] * (double)b[off + i];
                abs += fabs((double)a[off + i] * (double)b[off + i]);
            }
            double bound = (double)n * 0x1p-23 * abs;
            double got = (double)k->dot_f32(a + off, b + off, n);
            double def = (double)scalar()->dot_f32(a + off, b + off, n);
            if (fabs(got - exact) > bound || fabs(def - exact) > bound)
                fail_msg("%s n=%zu off=%zu: %.9g, scalar %.9g, exact %.9g, bound %.3g", k->name, n,
                         off, got, def, exact, bound);
        }
}

static void check_dot_f16(const lk_kern *k)
{
    static float a[MAX_N + 3];
    static uint16_t b[MAX_N + 3];
    for (size_t n = 0; n <= MAX_N; n = n < 140 ? n + 1 : n + 137)
        for (size_t off = 0; off < 3; off++) {
            double exact = 0, abs = 0;
            for (size_t i = 0; i < n; i++) {
                float v = next_float(), back;
                a[off + i] = next_float();
                scalar()->f32_to_f16(&v, &b[off + i], 1);
                scalar()->f16_to_f32(&b[off + i], &back, 1);
                exact += (double)a[off + i] * (double)back;
                abs += fabs((double)a[off + i] * (double)back);
            }
            double bound = (double)n * 0x1p-23 * abs;
            double got = (double)k->dot_f16(a + off, b + off, n);
            if (fabs(got - exact) > bound)
                fail_msg("%s n=%zu off=%zu: %.9g, exact %.9g, bound %.3g", k->name, n, off, got,
                         exact, bound);
        }
}

static void check_dot_i8(const lk_kern *k)
{
    static int8_t a[4099], b[4099];
    for (size_t n = 0; n <= 4096; n = n < 140 ? n + 1 : n + 989)
        for (size_t off = 0; off < 3; off++) {
            for (size_t i = 0; i < n; i++) {
                a[off + i] = (int8_t)((int)(next_u64() % 255) - 127);
                b[off + i] = (int8_t)((int)(next_u64() % 255) - 127);
            }
            assert_int_equal(k->dot_i8(a + off, b + off, n), scalar()->dot_i8(a + off, b + off, n));
        }
    memset(a, -127, sizeof a);
    memset(b, -127, sizeof b);
    assert_int_equal(k->dot_i8(a, b, 4096), 127 * 127 * 4096);
    memset(b, 127, sizeof b);
    assert_int_equal(k->dot_i8(a, b, 4096), -127 * 127 * 4096);
}

typedef void dots_fn(const uint8_t *const *rows, size_t n, const int8_t *query, size_t dim,
                     int32_t *ret);

/* Every number of rows around four, at odd addresses, then both ends of the range. */
static void check_dots(dots_fn *dots, dots_fn *truth, size_t step, size_t row_bytes_a_step)
{
    enum { ROWS = 9, DIM = 4224 };
    static uint8_t codes[ROWS * DIM + 3];
    static int8_t query[DIM + 3];
    for (size_t dim = step; dim <= DIM; dim = dim < 8 * step ? dim + step : dim * 2 + step)
        for (size_t n = 0; n <= ROWS; n++) {
            size_t off = n % 3, row_bytes = dim / step * row_bytes_a_step;
            const uint8_t *rows[ROWS];
            int32_t got[ROWS + 1], want[ROWS];
            for (size_t i = 0; i < sizeof codes; i++)
                codes[i] = (uint8_t)next_u64();
            for (size_t i = 0; i < sizeof query; i++)
                query[i] = (int8_t)((int)(next_u64() % 255) - 127);
            for (size_t i = 0; i < n; i++)
                rows[i] = codes + off + (n - 1 - i) * row_bytes;
            got[n] = 77;
            dots(rows, n, query + off, dim, got);
            truth(rows, n, query + off, dim, want);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(got[i], want[i]);
            assert_int_equal(got[n], 77); /* nothing is written behind the last */
        }
    for (int sign = -1; sign <= 1; sign += 2) {
        const uint8_t *rows[1] = {codes};
        int32_t got = 0, want = 1;
        memset(codes, 255, sizeof codes);
        memset(query, 127 * sign, sizeof query);
        dots(rows, 1, query, DIM, &got);
        truth(rows, 1, query, DIM, &want);
        assert_int_equal(got, want);
        assert_int_equal(got, sign * 127 * DIM * (row_bytes_a_step < step ? 15 : 255));
    }
}

static void check_dots_u4(const lk_kern *k)
{
    check_dots(k->dots_u4, scalar()->dots_u4, 128, 64);
}

static void check_dots_u8(const lk_kern *k)
{
    check_dots(k->dots_u8, scalar()->dots_u8, 64, 64);
}

static void dot_products_with_codes_of_4_bits_are_exact(void **state)
{
    (void)state;
    on_every_set(check_dots_u4);
}

static void dot_products_with_codes_of_8_bits_are_exact(void **state)
{
    (void)state;
    on_every_set(check_dots_u8);
}

/* By the definition: element i of the turned is the sum over j of x[j], less where i & j has an odd
 * number of bits. */
static double turned(const float *x, size_t n, size_t i)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += __builtin_parityll(i & j) ? -(double)x[j] : (double)x[j];
    return sum / sqrt((double)n);
}

static void check_hadamard(const lk_kern *k)
{
    static float x[4096 + 4], y[4096 + 4];
    for (size_t n = 1, log = 0; n <= 4096; n *= 2, log++)
        for (size_t off = 0; off < 3; off++) {
            double length = 0;
            for (size_t i = 0; i < n; i++) {
                x[off + i] = y[off + i] = next_float() * (i % 7 == 0 ? 1e4f : 1);
                length += (double)x[off + i] * (double)x[off + i];
            }
            y[off + n] = 77;
            double bound = (double)log * 0x1p-24 * sqrt(length);
            k->hadamard(y + off, n);
            assert_true(y[off + n] == 77); /* nothing is written behind the last */
            for (size_t i = 0; i < n; i += n < 256 ? 1 : n / 64 + 1) {
                double want = turned(x + off, n, i), got = (double)y[off + i];
                if (fabs(got - want) > bound)
                    fail_msg("%s n=%zu off=%zu: element %zu is %.9g, exact %.9g, bound %.3g",
                             k->name, n, off, i, got, want, bound);
            }
            k->hadamard(y + off, n); /* it is its own inverse */
            for (size_t i = 0; i < n; i++)
                assert_true(fabs((double)y[off + i] - (double)x[off + i]) <= 2 * bound);
        }
}

static void check_f32_to_i8(const lk_kern *k)
{
    static float x[MAX_N + 3];
    static int8_t got[MAX_N + 4], want[MAX_N + 3];
    const float scales[] = {1, 1e30f, 1e-30f, 1e-40f, 3e-45f, 0};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
        for (size_t n = 0; n <= MAX_N; n = n < 70 ? n + 1 : n + 137)
            for (size_t off = 0; off < 3; off++) {
                for (size_t i = 0; i < n; i++)
                    x[off + i] = next_float() * scales[s];
                got[off + n] = 77;
                float m = k->f32_to_i8(x + off, got + off, n), most = 0;
                assert_true(scalar()->f32_to_i8(x + off, want + off, n) == m);
                for (size_t i = 0; i < n; i++)
                    most = fmaxf(most, fabsf(x[off + i]));
                assert_true(m == most);
                assert_memory_equal(got + off, want + off, n);
                assert_int_equal(got[off + n], 77);
            }
}

/* Also where the best set is the scalar one. */
static void bytes_are_the_nearest_in_parts_of_the_largest(void **state)
{
    (void)state;
    const float x[] = {-2, 2, 1, 0.00787f, -0.00787f, 0.00788f, 0, -1.5f};
    const int8_t want[] = {-127, 127, 64, 0, 0, 1, 0, -95};
    int8_t got[8];
    assert_true(scalar()->f32_to_i8(x, got, 8) == 2);
    assert_memory_equal(got, want, 8);
}

static void turns_are_within_their_bound(void **state)
{
    (void)state;
    rng_state = 42;
    check_hadamard(scalar());
    on_every_set(check_hadamard);
}

static void bytes_of_floats_are_equal_everywhere(void **state)
{
    (void)state;
    on_every_set(check_f32_to_i8);
}

/* All 65,536 halves, and floats around every rounding edge. */
static void check_f16(const lk_kern *k)
{
    static uint16_t h[65536], back[65536];
    static float f[65536], g[65536];
    for (size_t i = 0; i < 65536; i++)
        h[i] = (uint16_t)i;
    k->f16_to_f32(h, f, 65536);
    scalar()->f16_to_f32(h, g, 65536);
    for (size_t i = 0; i < 65536; i++)
        if (!(isnan(f[i]) && isnan(g[i])))
            assert_memory_equal(&f[i], &g[i], sizeof *f);
    for (uint32_t top = 0; top < 65536; top++) {
        uint32_t bits = top << 16 | (uint32_t)(next_u64() & 0xffff);
        memcpy(&f[top], &bits, sizeof bits);
    }
    k->f32_to_f16(f, h, 65536);
    scalar()->f32_to_f16(f, back, 65536);
    for (size_t i = 0; i < 65536; i++)
        if (!isnan(f[i]) && h[i] != back[i])
            fail_msg("%s: %.9g becomes %04x, by definition %04x", k->name, (double)f[i], h[i],
                     back[i]);
    for (size_t n = 0; n < 40; n++) { /* nothing is written past the end */
        memset(h, 0xab, 64 * sizeof *h);
        k->f32_to_f16(f, h, n);
        assert_int_equal(h[n], 0xabab);
        memset(g, 0xab, 64 * sizeof *g);
        k->f16_to_f32(back, g, n);
        uint32_t guard;
        memcpy(&guard, &g[n], sizeof guard);
        assert_int_equal(guard, 0xabababab);
    }
}

static void float_dot_products_are_within_their_bound(void **state)
{
    (void)state;
    on_every_set(check_dot_f32);
}

static void half_dot_products_are_within_their_bound(void **state)
{
    (void)state;
    on_every_set(check_dot_f16);
}

static void byte_dot_products_are_exact(void **state)
{
    (void)state;
    on_every_set(check_dot_i8);
}

static void half_conversions_are_equal_everywhere(void **state)
{
    (void)state;
    on_every_set(check_f16);
}

static void scalar_halves_are_ieee_binary16(void **state)
{
    (void)state;
    const struct {
        float f;
        uint16_t h;
    } known[] = {{0, 0},          {1, 0x3c00},        {-2, 0xc000},   {65504, 0x7bff},
                 {65520, 0x7c00}, {65519, 0x7bff},    {0x1p-24f, 1},  {0x1p-25f, 0},
                 {0x1.8p-24f, 2}, {0x1p-14f, 0x0400}, {0.1f, 0x2e66}, {1.0009765f, 0x3c01},
                 {-0.0f, 0x8000}, {INFINITY, 0x7c00}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint16_t h;
        scalar()->f32_to_f16(&known[i].f, &h, 1);
        if (h != known[i].h)
            fail_msg("%.9g becomes %04x, not %04x", (double)known[i].f, h, known[i].h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_dot_products_are_within_their_bound),
        cmocka_unit_test(half_dot_products_are_within_their_bound),
        cmocka_unit_test(byte_dot_products_are_exact),
        cmocka_unit_test(dot_products_with_codes_of_4_bits_are_exact),
        cmocka_unit_test(dot_products_with_codes_of_8_bits_are_exact),
        cmocka_unit_test(turns_are_within_their_bound),
        cmocka_unit_test(bytes_are_the_nearest_in_parts_of_the_largest),
        cmocka_unit_test(bytes_of_floats_are_equal_everywhere),
        cmocka_unit_test(half_conversions_are_equal_everywhere),
        cmocka_unit_test(scalar_halves_are_ieee_binary16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
