/* Pillow's resampling, bit for bit (Pillow, src/libImaging/Resample.c, describes the same sums), as
 * every version up to 12 does it and so every published model was trained with it; Pillow 13 takes
 * the passes in the other order for some shapes.
 *
 * For each output pixel the filter is centred on its place in the source and, when the picture
 * shrinks, stretched by the reduction, which is what makes it antialiased. Weights are computed in
 * double, normalised to a sum of one, and rounded to 22 fractional bits; sums are taken in int32,
 * started at one half, and clipped to 8 bits. The horizontal pass comes first and only over the
 * rows that the vertical pass will read; a pass that would change nothing is left out. Integer sums
 * do not depend on their order, so the AVX2 path gives the same bits as the plain one. */
#include "image/resize.h"

#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/mem.h"

#define PRECISION_BITS (32 - 8 - 2)
#define PI 3.14159265358979323846

static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double sinc(double x)
{
    return x == 0 ? 1 : sin(x * PI) / (x * PI);
}

static double lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

static const struct {
    double (*f)(double x);
    double support;
} kinds[] = {
    [LK_RESIZE_BICUBIC] = {bicubic, 2},
    [LK_RESIZE_BILINEAR] = {bilinear, 1},
    [LK_RESIZE_LANCZOS] = {lanczos, 3},
    [LK_RESIZE_BOX] = {box, 0.5},
};

/* The weights of one axis: output i reads in[first[i]] .. + count[i] - 1. */
typedef struct weights {
    unsigned n, taps; /* taps: room for each output, a multiple of 2 */
    unsigned *first, *count;
    int32_t *w; /* [n][taps], zero beyond count */
} weights;

static void weights_release(weights *k)
{
    lk_free(k->first);
    lk_free(k->count);
    lk_free(k->w);
}

static void fill(weights *k, unsigned i, unsigned in, double scale, double support,
                 double filter_scale, double (*f)(double), double *tmp)
{
    double center = (i + 0.5) * scale, sum = 0;
    int lo = (int)(center - support + 0.5), hi = (int)(center + support + 0.5);
    lo = lo < 0 ? 0 : lo;
    hi = hi > (int)in ? (int)in : hi;
    for (int x = lo; x < hi; x++) {
        tmp[x - lo] = f((x - center + 0.5) * (1 / filter_scale));
        sum += tmp[x - lo];
    }
    k->first[i] = (unsigned)lo;
    k->count[i] = (unsigned)(hi - lo);
    for (int x = 0; x < hi - lo; x++) {
        double v = (sum != 0 ? tmp[x] / sum : tmp[x]) * (1 << PRECISION_BITS);
        k->w[(size_t)i * k->taps + (size_t)x] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
    }
}

static lk_code weights_init(weights *k, unsigned in, unsigned out, lk_resize_filter kind,
                            lk_err *err)
{
    double scale = (double)in / out, filter_scale = scale < 1 ? 1 : scale;
    double support = kinds[kind].support * filter_scale;
    *k = (weights){.n = out, .taps = ((unsigned)ceil(support) * 2 + 2) & ~1u};
    k->first = lk_alloc_array(out, sizeof *k->first);
    k->count = lk_alloc_array(out, sizeof *k->count);
    k->w = lk_calloc((size_t)out * k->taps, sizeof *k->w);
    double *tmp = lk_alloc_array(k->taps, sizeof *tmp);
    bool ok = k->first && k->count && k->w && tmp;
    for (unsigned i = 0; ok && i < out; i++)
        fill(k, i, in, scale, support, filter_scale, kinds[kind].f, tmp);
    lk_free(tmp);
    if (ok)
        return LK_OK;
    weights_release(k);
    return lk_fail(err, LK_E_NOMEM, "out of memory for resizing");
}

static unsigned char clip8(int32_t v)
{
    v >>= PRECISION_BITS;
    return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* ---- across ---- */

static void across_plain(const weights *k, const unsigned char *in, unsigned char *out)
{
    for (unsigned i = 0; i < k->n; i++) {
        const unsigned char *p = in + 3 * (size_t)k->first[i];
        const int32_t *w = k->w + (size_t)i * k->taps;
        int32_t s[3] = {1 << (PRECISION_BITS - 1), 1 << (PRECISION_BITS - 1),
                        1 << (PRECISION_BITS - 1)};
        for (unsigned t = 0; t < k->count[i]; t++, p += 3)
            for (int c = 0; c < 3; c++)
                s[c] += p[c] * w[t];
        for (int c = 0; c < 3; c++)
            out[3 * i + (unsigned)c] = clip8(s[c]);
    }
}

#if defined(__x86_64__)
/* Two source pixels at once: lanes 0-3 hold one as R G B x, lanes 4-7 the next. Loads of 8 bytes
 * read two bytes past the second pixel, so the last pairs of a row are left to the plain loop. */
__attribute__((target("avx2"))) static void across_avx2(const weights *k, unsigned width,
                                                        const unsigned char *in, unsigned char *out)
{
    const __m128i spread = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    for (unsigned i = 0; i < k->n; i++) {
        const unsigned char *p = in + 3 * (size_t)k->first[i];
        const int32_t *w = k->w + (size_t)i * k->taps;
        unsigned n = k->count[i], t = 0;
        __m256i sum = _mm256_setzero_si256();
        for (; t + 2 <= n && k->first[i] + t + 3 <= width; t += 2) {
            __m128i bytes = _mm_shuffle_epi8(_mm_loadu_si64(p + 3 * (size_t)t), spread);
            __m256i v = _mm256_cvtepu8_epi32(bytes);
            __m256i c = _mm256_set_m128i(_mm_set1_epi32(w[t + 1]), _mm_set1_epi32(w[t]));
            sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(v, c));
        }
        int32_t s[4];
        __m128i both = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        _mm_storeu_si128((__m128i *)s, both);
        for (; t < n; t++)
            for (int c = 0; c < 3; c++)
                s[c] += p[3 * (size_t)t + (size_t)c] * w[t];
        for (int c = 0; c < 3; c++)
            out[3 * i + (unsigned)c] = clip8(s[c] + (1 << (PRECISION_BITS - 1)));
    }
}
#endif

static void across(const weights *k, unsigned width, const unsigned char *in, unsigned char *out)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        across_avx2(k, width, in, out);
        return;
    }
#endif
    (void)width;
    across_plain(k, in, out);
}

/* ---- down ---- */

/* One output row of n bytes from count rows; sums[n] is scratch. The loops are over neighbours, so
 * that the compiler turns them into vector code. */
static void down(const int32_t *w, unsigned count, const unsigned char *in, size_t row_bytes,
                 size_t n, int32_t *restrict sums, unsigned char *restrict out)
{
    for (size_t x = 0; x < n; x++)
        sums[x] = 1 << (PRECISION_BITS - 1);
    for (unsigned t = 0; t < count; t++, in += row_bytes) {
        int32_t c = w[t];
        for (size_t x = 0; x < n; x++)
            sums[x] += in[x] * c;
    }
    for (size_t x = 0; x < n; x++)
        out[x] = clip8(sums[x]);
}

static lk_code pass_down(const lk_image *src, unsigned first_row, const weights *k, lk_image *ret,
                         lk_err *err)
{
    size_t row = (size_t)src->width * 3;
    int32_t *sums = lk_alloc_array(row, sizeof *sums);
    lk_code code = sums ? lk_image_new(ret, src->width, k->n, err)
                        : lk_fail(err, LK_E_NOMEM, "out of memory for resizing");
    for (unsigned i = 0; !code && i < k->n; i++)
        down(k->w + (size_t)i * k->taps, k->count[i], src->px + (k->first[i] - first_row) * row,
             row, row, sums, ret->px + i * row);
    lk_free(sums);
    return code;
}

static lk_code pass_across(const lk_image *src, unsigned first_row, unsigned n_rows,
                           const weights *k, lk_image *ret, lk_err *err)
{
    lk_code code = lk_image_new(ret, k->n, n_rows, err);
    for (unsigned y = 0; !code && y < n_rows; y++)
        across(k, src->width, src->px + (size_t)(first_row + y) * src->width * 3,
               ret->px + (size_t)y * k->n * 3);
    return code;
}

static lk_code copy(const lk_image *src, lk_image *ret, lk_err *err)
{
    lk_code code = lk_image_new(ret, src->width, src->height, err);
    if (!code)
        memcpy(ret->px, src->px, (size_t)src->width * src->height * 3);
    return code;
}

lk_code lk_resize(const lk_image *src, unsigned width, unsigned height, lk_resize_filter filter,
                  lk_image *ret, lk_err *err)
{
    weights x = {0}, y = {0};
    lk_image mid = {0};
    if (width == 0 || height == 0)
        return lk_fail(err, LK_E_INVALID, "a picture cannot be %u x %u pixels", width, height);
    if (width == src->width && height == src->height)
        return copy(src, ret, err);
    lk_code code = weights_init(&x, src->width, width, filter, err);
    if (!code)
        code = weights_init(&y, src->height, height, filter, err);
    if (!code && height == src->height) {
        code = pass_across(src, 0, height, &x, ret, err);
    } else if (!code && width == src->width) {
        code = pass_down(src, 0, &y, ret, err);
    } else if (!code) {
        unsigned first = y.first[0], end = y.first[height - 1] + y.count[height - 1];
        code = pass_across(src, first, end - first, &x, &mid, err);
        if (!code)
            code = pass_down(&mid, first, &y, ret, err);
    }
    lk_image_release(&mid);
    weights_release(&x);
    weights_release(&y);
    return code;
}

/* ---- fits ---- */

/* Python's round(): halves go to the even neighbour. */
static unsigned round_half_even(double v)
{
    return (unsigned)nearbyint(v);
}

static lk_code cut(const lk_image *src, unsigned size, lk_image *ret, lk_err *err)
{
    unsigned left = round_half_even((src->width - size) / 2.0);
    unsigned top = round_half_even((src->height - size) / 2.0);
    lk_code code = lk_image_new(ret, size, size, err);
    for (unsigned y = 0; !code && y < size; y++)
        memcpy(ret->px + (size_t)y * size * 3,
               src->px + ((size_t)(top + y) * src->width + left) * 3, (size_t)size * 3);
    return code;
}

static lk_code paste(const lk_image *src, unsigned size, const unsigned char rgb[3], lk_image *ret,
                     lk_err *err)
{
    unsigned left = (size - src->width) / 2, top = (size - src->height) / 2;
    lk_code code = lk_image_new(ret, size, size, err);
    for (size_t i = 0; !code && i < (size_t)size * size; i++)
        memcpy(ret->px + 3 * i, rgb, 3);
    for (unsigned y = 0; !code && y < src->height; y++)
        memcpy(ret->px + ((size_t)(top + y) * size + left) * 3,
               src->px + (size_t)y * src->width * 3, (size_t)src->width * 3);
    return code;
}

static unsigned at_least_one(uint64_t v)
{
    return v ? (unsigned)v : 1;
}

/* n / d to the nearest, a half to the even one, as Python's round() has it; at least 1. */
static unsigned nearest(uint64_t n, uint64_t d)
{
    uint64_t q = n / d, twice = 2 * (n % d);
    return at_least_one(q + (twice > d || (twice == d && q % 2)));
}

lk_code lk_resize_fit(const lk_image *src, lk_fit fit, unsigned short_side, unsigned size,
                      lk_resize_filter filter, const unsigned char pad_rgb[3], lk_image *ret,
                      lk_err *err)
{
    uint64_t w = src->width, h = src->height;
    lk_image mid = {0};
    lk_code code;
    if (size == 0 || (fit == LK_FIT_CROP && short_side < size))
        return lk_fail(err, LK_E_INVALID, "a square of %u pixels cannot be cut from %u", size,
                       short_side);
    if (fit == LK_FIT_SQUASH)
        return lk_resize(src, size, size, filter, ret, err);
    if (fit == LK_FIT_CROP) {
        unsigned long_side = (unsigned)((uint64_t)short_side * (w > h ? w : h) / (w > h ? h : w));
        code = lk_resize(src, w > h ? long_side : short_side, w > h ? short_side : long_side,
                         filter, &mid, err);
        if (!code)
            code = cut(&mid, size, ret, err);
    } else {
        code = lk_resize(src, w >= h ? size : nearest(size * w, h),
                         h >= w ? size : nearest(size * h, w), filter, &mid, err);
        if (!code)
            code = paste(&mid, size, pad_rgb, ret, err);
    }
    lk_image_release(&mid);
    return code;
}

lk_code lk_resize_within(const lk_image *src, unsigned long_side, lk_image *ret, lk_err *err)
{
    uint64_t w = src->width, h = src->height, most = w > h ? w : h;
    if (most <= long_side)
        return copy(src, ret, err);
    return lk_resize(src, at_least_one((w * long_side + most / 2) / most),
                     at_least_one((h * long_side + most / 2) / most), LK_RESIZE_BICUBIC, ret, err);
}
