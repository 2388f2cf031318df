/* A matrix of weights as int8 and scales: w is about q * scale, and zero stays zero.
 *
 * One scale for all, or one for each column, which fits columns of unlike size better. The range is
 * the same on both sides of zero, so that a product needs no correction for a zero point. */
#ifndef LK_MODEL_INT8_H
#define LK_MODEL_INT8_H

#include "model/graph.h"

typedef struct lk_int8_shape {
    size_t rows, cols; /* of the result: rows are summed over by a product */
    bool transposed;   /* the tensor is [cols][rows] */
    bool per_column;
    int top; /* the largest |q|: 127, or 63 where products of 8 bits overflow */
} lk_int8_shape;

/* Can this tensor be read as a matrix of floats? Fills rows and cols. */
bool lk_int8_can(const lk_graph_tensor *w, bool transposed, lk_int8_shape *ret);

/* ret_q[rows][cols]; ret_scale[cols], or [1]. LK_E_MODEL: a weight is not finite. */
LK_CHECK lk_code lk_int8_weights(const lk_graph_tensor *w, const lk_int8_shape *shape,
                                 int8_t *ret_q, float *ret_scale, lk_err *err);

#endif
