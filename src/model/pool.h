/* From what a tower gives to one row a picture or text: pooling, then a matrix. */
#ifndef LK_MODEL_POOL_H
#define LK_MODEL_POOL_H

#include "model/card.h"
#include "model/onnx.h"

/* A matrix [rows][columns] that follows the pooling. Immutable. */
typedef struct lk_projection {
    size_t rows, columns;
    float *m;
} lk_projection;

/* Out of a safetensors file with exactly one matrix, of float or half. LK_E_MODEL for another. */
LK_CHECK lk_code lk_projection_read(lk_blob safetensors, lk_projection *ret, lk_err *err);
void lk_projection_release(lk_projection *p); /* NULL allowed */

typedef struct lk_pooling {
    lk_card_pool pool;
    size_t dim;                      /* of a finished row */
    const lk_projection *projection; /* or NULL */
    const size_t *n_tokens;          /* [n], LK_POOL_MEAN: rows that count; NULL: all */
} lk_pooling;

/* A tower's output of n or more rows (a fixed batch is filled up) to ret[n][dim]. LK_E_MODEL says
 * which shape was met where another was wanted. */
LK_CHECK lk_code lk_pool_rows(const lk_pooling *p, const lk_tensor_info *shape, const float *data,
                              size_t n, float *ret, lk_err *err);

#endif
