#include "model/int8.h"

#include <math.h>

#include "base/mem.h"
#include "kern/kern.h"

static size_t elem_bytes(const lk_graph_tensor *w)
{
    return w->type == LK_ONNX_FLOAT ? 4 : w->type == LK_ONNX_FLOAT16 ? 2 : 0;
}

bool lk_int8_can(const lk_graph_tensor *w, bool transposed, lk_int8_shape *ret)
{
    size_t n = 0;
    if (!elem_bytes(w) || w->rank != 2 || w->dims[0] < 1 || w->dims[1] < 1 ||
        !lk_mul_size((size_t)w->dims[0], (size_t)w->dims[1], &n) ||
        !lk_mul_size(n, elem_bytes(w), &n) || n != w->data.n)
        return false;
    ret->transposed = transposed;
    ret->rows = (size_t)w->dims[transposed];
    ret->cols = (size_t)w->dims[!transposed];
    return true;
}

/* Line i of the tensor as it is stored, as floats. */
static void read_line(const lk_graph_tensor *w, size_t i, uint16_t *half, float *ret)
{
    size_t n = (size_t)w->dims[1], bytes = elem_bytes(w);
    const unsigned char *p = w->data.p + i * n * bytes;
    if (bytes == 4) {
        memcpy(ret, p, n * 4);
    } else {
        memcpy(half, p, n * 2); /* where it stands it need not be aligned */
        lk_kern_best()->f16_to_f32(half, ret, n);
    }
}

static int8_t round_to(float v, float inverse, int top)
{
    long q = lrintf(v * inverse);
    return (int8_t)(q > top ? top : q < -top ? -top : q);
}

/* The largest |w| of each column (or of all) to amax; false when one is not finite. */
static bool find_largest(const lk_graph_tensor *w, const lk_int8_shape *s, uint16_t *half,
                         float *line, float *amax)
{
    for (size_t i = 0; i < (s->per_column ? s->cols : 1); i++)
        amax[i] = 0;
    for (size_t i = 0; i < (size_t)w->dims[0]; i++) {
        read_line(w, i, half, line);
        for (size_t j = 0; j < (size_t)w->dims[1]; j++) {
            size_t at = !s->per_column ? 0 : s->transposed ? i : j;
            if (!isfinite(line[j]))
                return false;
            amax[at] = fmaxf(amax[at], fabsf(line[j]));
        }
    }
    return true;
}

lk_code lk_int8_weights(const lk_graph_tensor *w, const lk_int8_shape *s, int8_t *ret_q,
                        float *ret_scale, lk_err *err)
{
    size_t n_line = (size_t)w->dims[1], n_scales = s->per_column ? s->cols : 1;
    float *line = lk_alloc_array(n_line, sizeof *line);
    float *inverse = lk_alloc_array(n_scales, sizeof *inverse);
    uint16_t *half = lk_alloc_array(n_line, sizeof *half);
    lk_code code = line && inverse && half ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory");
    if (!code && !find_largest(w, s, half, line, ret_scale))
        code = lk_fail(err, LK_E_MODEL, "the weight \"%.*s\" has numbers that are not finite",
                       (int)(w->name.n < 80 ? w->name.n : 80), w->name.p);
    for (size_t i = 0; !code && i < n_scales; i++) {
        /* A column of zeros, or of next to nothing, becomes zeros. */
        bool some = ret_scale[i] > 1e-30f;
        inverse[i] = some ? (float)s->top / ret_scale[i] : 0;
        ret_scale[i] = some ? ret_scale[i] / (float)s->top : 1;
    }
    for (size_t i = 0; !code && i < (size_t)w->dims[0]; i++) {
        read_line(w, i, half, line);
        for (size_t j = 0; j < n_line; j++) {
            size_t row = s->transposed ? j : i, col = s->transposed ? i : j;
            ret_q[row * s->cols + col] =
                round_to(line[j], inverse[s->per_column ? col : 0], s->top);
        }
    }
    lk_free(line);
    lk_free(inverse);
    lk_free(half);
    return code;
}
