/* Make an int8 model of a float one.
 *
 * Products with a constant weight (MatMul, Gemm) are replaced by products of integers: the weight
 * is int8 once and for all, the other side becomes 8 bits in each run (DynamicQuantizeLinear), so
 * that no photographs are needed to make the model. Everything else stays float. ONNX Runtime puts
 * the four nodes back together into one that uses the processor's 8-bit instructions. */
#ifndef LK_MODEL_QUANTIZE_H
#define LK_MODEL_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* The output that lk_quantize_probe adds. */
#define LK_QUANTIZE_NOISE "lk8/noise"

typedef struct lk_quantize_opts {
    size_t size;
    bool per_column; /* a scale for each column of a weight (the default), or one for all of it */
    bool narrow;     /* 7 bits a weight: for x86 processors without VNNI, whose sums overflow */
    const lk_str *skip; /* [n_skip]: products to leave as they are, by their result's name */
    size_t n_skip;
} lk_quantize_opts;

typedef struct lk_quantize_report {
    size_t n_products; /* that could be replaced */
    size_t n_replaced;
} lk_quantize_report;

void lk_quantize_opts_default(lk_quantize_opts *ret);

/* The new model is appended to *into. It takes one picture or text a run: the range of a run is
 * that of all its rows, and pictures that travel together would change one another's vectors.
 * A model without such products is appended as it stands. LK_E_MODEL: no ONNX model, weights in
 * other files or not finite. LK_E_UNSUPPORTED: int8 already, or an operator set below 11.
 * LK_E_NOMEM, LK_E_LIMIT: what was appended is not to be used. */
LK_CHECK lk_code lk_quantize(lk_blob model, const lk_quantize_opts *opts, lk_buf *into,
                             lk_quantize_report *ret, lk_err *err);

/* The float model again, with one output more, LK_QUANTIZE_NOISE [n_products]: for each product
 * |int8 - float|^2 / |float|^2 of its result, each computed from what the float model feeds it.
 * Says which products to skip; names[n_products] are made in *names_into. A model without such
 * products has no such output. Errors as above. */
LK_CHECK lk_code lk_quantize_probe(lk_blob model, const lk_quantize_opts *opts, lk_buf *into,
                                   lk_arena *names_into, const lk_str **ret_names,
                                   lk_quantize_report *ret, lk_err *err);

#endif
