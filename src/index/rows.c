#include "index/rows.h"

#include <math.h>
#include <string.h>

size_t lk_elem_bytes(lk_elem elem, size_t dim)
{
    switch (elem) {
    case LK_ELEM_F16:
        return dim * 2;
    case LK_ELEM_F32:
        return dim * 4;
    case LK_ELEM_I8:
        return sizeof(float) + dim;
    }
    return 0;
}

static void encode_i8(const float *vector, size_t dim, unsigned char *ret)
{
    float max = 0;
    for (size_t i = 0; i < dim; i++)
        max = fmaxf(max, fabsf(vector[i]));
    float scale = max / 127;
    memcpy(ret, &scale, sizeof scale);
    for (size_t i = 0; i < dim; i++) {
        int8_t b = scale > 0 ? (int8_t)lrintf(vector[i] / scale) : 0;
        memcpy(ret + sizeof scale + i, &b, 1);
    }
}

void lk_row_encode(const lk_kern *k, lk_elem elem, const float *vector, size_t dim, void *ret)
{
    if (elem == LK_ELEM_F16)
        k->f32_to_f16(vector, ret, dim);
    else if (elem == LK_ELEM_F32)
        memcpy(ret, vector, dim * sizeof *vector);
    else
        encode_i8(vector, dim, ret);
}

void lk_row_decode(const lk_kern *k, lk_elem elem, const void *row, size_t dim, float *ret)
{
    const unsigned char *bytes = row;
    float scale;
    if (elem == LK_ELEM_F16) {
        k->f16_to_f32(row, ret, dim);
    } else if (elem == LK_ELEM_F32) {
        memcpy(ret, row, dim * sizeof *ret);
    } else {
        memcpy(&scale, bytes, sizeof scale);
        for (size_t i = 0; i < dim; i++)
            ret[i] = scale * (float)(int8_t)bytes[sizeof scale + i];
    }
}

float lk_row_dot(const lk_kern *k, lk_elem elem, const float *query, const void *row, size_t dim)
{
    if (elem == LK_ELEM_F16)
        return k->dot_f16(query, row, dim);
    if (elem == LK_ELEM_F32)
        return k->dot_f32(query, row, dim);
    const unsigned char *bytes = row;
    float scale, sum = 0;
    memcpy(&scale, bytes, sizeof scale);
    for (size_t i = 0; i < dim; i++)
        sum += query[i] * (float)(int8_t)bytes[sizeof scale + i];
    return scale * sum;
}
