/* An output of [N,width] is a row already, one of [N,width,1,1] (a pooled map) as well; of
 * [N,T,width] the card says which rows count.
 *
 * A safetensors file is eight bytes of length, a JSON header {name: {dtype, shape, data_offsets}},
 * and the numbers, little-endian. The pickles of PyTorch are programs, and are not read. */
#include "model/pool.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "kern/kern.h"
#include "model/model.h"

#define MAX_HEADER_BYTES (1u << 20)

static lk_code no_matrix(lk_err *err)
{
    return lk_fail(err, LK_E_MODEL,
                   "the projection is no safetensors file with one matrix of floats");
}

/* The matrix that the header describes, out of the bytes behind it. */
static lk_code read_matrix(const lk_jval *v, lk_blob data, lk_projection *ret, lk_err *err)
{
    const lk_jval *shape = lk_jval_get(v, "shape"), *at = lk_jval_get(v, "data_offsets");
    lk_str type = lk_jval_str(lk_jval_get(v, "dtype"));
    int64_t rows = lk_jval_int(lk_jval_at(shape, 0)), columns = lk_jval_int(lk_jval_at(shape, 1));
    int64_t from = lk_jval_int(lk_jval_at(at, 0)), to = lk_jval_int(lk_jval_at(at, 1));
    size_t item = lk_str_is(type, "F32") ? 4 : lk_str_is(type, "F16") ? 2 : 0;
    if (lk_jval_len(shape) != 2 || rows < 1 || columns < 1 || rows > LK_MAX_DIM ||
        columns > LK_MAX_DIM || !item || from < 0 || to < from || (uint64_t)to > data.n ||
        (uint64_t)(to - from) != (uint64_t)(rows * columns) * item)
        return no_matrix(err);
    size_t n = (size_t)(rows * columns);
    float *m = lk_alloc_array(n, sizeof *m);
    uint16_t *half = item == 2 ? lk_alloc_array(n, sizeof *half) : NULL;
    lk_code code = LK_OK;
    if (!m || (item == 2 && !half)) {
        lk_free(m);
        code = lk_fail(err, LK_E_NOMEM, "out of memory for a projection");
    } else if (half) { /* the bytes need not be aligned */
        memcpy(half, data.p + from, n * item);
        lk_kern_best()->f16_to_f32(half, m, n);
    } else {
        memcpy(m, data.p + from, n * item);
    }
    lk_free(half);
    if (!code)
        *ret = (lk_projection){(size_t)rows, (size_t)columns, m};
    return code;
}

lk_code lk_projection_read(lk_blob file, lk_projection *ret, lk_err *err)
{
    uint64_t length = 0;
    lk_json *json = NULL;
    lk_str key;
    const lk_jval *v, *matrix = NULL;
    size_t n = 0;
    for (size_t i = 0; i < 8 && i < file.n; i++)
        length |= (uint64_t)file.p[i] << 8 * i;
    if (file.n < 8 || length > MAX_HEADER_BYTES || length > file.n - 8)
        return no_matrix(err);
    if (lk_json_parse((lk_str){(const char *)file.p + 8, (size_t)length}, &json, NULL))
        return no_matrix(err);
    for (lk_jiter it = lk_jiter_of(lk_json_root(json)); lk_jiter_next(&it, &key, &v);) {
        if (lk_str_is(key, "__metadata__"))
            continue;
        matrix = v;
        n++;
    }
    lk_blob data = {file.p + 8 + length, file.n - 8 - (size_t)length};
    lk_code code = n == 1 ? read_matrix(matrix, data, ret, err) : no_matrix(err);
    lk_json_free(json);
    return code;
}

void lk_projection_release(lk_projection *p)
{
    if (!p)
        return;
    lk_free(p->m);
    *p = (lk_projection){0};
}

/* ---- pooling ---- */

/* One of rows[t][width] by the card's rule, to ret[width]. */
static void pool_one(lk_card_pool pool, const float *rows, size_t t, size_t width, float *ret)
{
    if (pool != LK_POOL_MEAN) {
        memcpy(ret, rows, width * sizeof *ret);
        return;
    }
    memset(ret, 0, width * sizeof *ret);
    for (size_t i = 0; i < t; i++)
        for (size_t j = 0; j < width; j++)
            ret[j] += rows[i * width + j];
    for (size_t j = 0; j < width; j++)
        ret[j] /= (float)(t ? t : 1);
}

/* Rows a picture and numbers a row; false when the shape does not fit the rule. */
static bool measure(lk_card_pool pool, const lk_tensor_info *s, size_t n, size_t *t, size_t *width)
{
    if (s->rank < 2 || s->shape[0] < (int64_t)n)
        return false;
    *t = 1;
    *width = (size_t)s->shape[1];
    if (pool != LK_POOL_NONE) {
        *t = (size_t)s->shape[1];
        *width = s->rank == 3 ? (size_t)s->shape[2] : 0;
        return s->rank == 3 && *t > 0;
    }
    for (size_t i = 2; i < s->rank; i++)
        if (s->shape[i] != 1)
            return false;
    return true;
}

static lk_code wrong_shape(const lk_pooling *p, const lk_tensor_info *s, lk_err *err)
{
    char text[LK_MAX_TENSOR_RANK * 24] = "";
    size_t at = 0;
    for (size_t i = 0; i < s->rank && at < sizeof text; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%lld", i ? "," : "",
                               (long long)s->shape[i]);
    size_t width = p->projection ? p->projection->columns : p->dim;
    if (p->pool == LK_POOL_NONE && s->rank == 3)
        return lk_fail(err, LK_E_MODEL,
                       "\"%s\" came as [%s]: the card must say by \"pool\" (cls, mean) which rows "
                       "of it count",
                       s->name, text);
    return lk_fail(err, LK_E_MODEL, "\"%s\" came as [%s] where [N,%s%zu] was wanted", s->name, text,
                   p->pool == LK_POOL_NONE ? "" : "T,", width);
}

lk_code lk_pool_rows(const lk_pooling *p, const lk_tensor_info *shape, const float *data, size_t n,
                     float *ret, lk_err *err)
{
    size_t t = 0, width = 0;
    float pooled[LK_MAX_DIM];
    const lk_projection *m = p->projection;
    if (!measure(p->pool, shape, n, &t, &width) || width != (m ? m->columns : p->dim))
        return wrong_shape(p, shape, err);
    for (size_t i = 0; i < n; i++) {
        const float *rows = data + i * t * width;
        float *row = ret + i * p->dim;
        size_t counted = p->n_tokens && p->n_tokens[i] < t ? p->n_tokens[i] : t;
        pool_one(p->pool, rows, counted, width, m ? pooled : row);
        for (size_t j = 0; m && j < p->dim; j++)
            row[j] = lk_kern_best()->dot_f32(m->m + j * width, pooled, width);
    }
    return LK_OK;
}
