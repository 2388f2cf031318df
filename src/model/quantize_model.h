/* An int8 model of a float one: its towers made int8, its other files copied, a card of its own. */
#ifndef LK_MODEL_QUANTIZE_MODEL_H
#define LK_MODEL_QUANTIZE_MODEL_H

#include "base/thread.h"
#include "model/model.h"
#include "model/quantize.h"
#include "model/staging.h"

typedef struct lk_quantized {
    char name[LK_MAX_MODEL_NAME + 1];
    size_t n_products, n_replaced;      /* products with a constant weight, of all towers */
    uint64_t bytes_before, bytes_after; /* of the towers' files */
} lk_quantized;

/* Make opts->models_dir/TO of the model NAME (found as lk_model_open does); to NULL: NAME-int8. It
 * is tried and appears by one rename. LK_E_EXISTS, LK_E_LOCKED, LK_E_UNSUPPORTED when no tower has
 * a product to replace, and lk_quantize's. */
LK_CHECK lk_code lk_model_quantize(const char *name, const char *to, const lk_model_opts *opts,
                                   const lk_quantize_opts *how, const lk_cancel *cancel,
                                   lk_quantized *ret, lk_err *err);

#endif
