/* An ONNX file cut down to what some of its tensors need.
 *
 * Two uses. A file that holds both towers is cut in two, so that the unused one is neither loaded
 * nor run; and a tensor inside the graph (a pooled layer that the exporter made no output) becomes
 * the output. Which output belongs to which tower follows from the inputs that it needs. One owner.
 */
#ifndef LK_MODEL_ONNX_CUT_H
#define LK_MODEL_ONNX_CUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

#define LK_RANK_UNKNOWN ((size_t)-1)

/* An input or output as the file declares it. */
typedef struct lk_cut_value {
    lk_str name;  /* in the file's bytes */
    bool is_int;  /* int32 or int64 */
    bool is_real; /* float or half */
    size_t rank;  /* LK_RANK_UNKNOWN: not declared */
    int64_t last; /* the last axis; -1: free or not declared */
} lk_cut_value;

typedef struct lk_cut lk_cut;

/* Keeps pointers into model, which must outlive it. LK_E_MODEL: no graph in it. */
LK_CHECK lk_code lk_cut_new(lk_blob model, lk_cut **ret, lk_err *err);
void lk_cut_free(lk_cut *c); /* NULL allowed */

/* What is to be fed, weights not counted, and what is declared to come out. */
size_t lk_cut_n_inputs(const lk_cut *c);
size_t lk_cut_n_outputs(const lk_cut *c);
const lk_cut_value *lk_cut_input(const lk_cut *c, size_t i);
const lk_cut_value *lk_cut_output(const lk_cut *c, size_t i);

/* Which inputs the tensors need: ret[n_inputs]. LK_E_MODEL when the graph makes no tensor of such a
 * name. */
LK_CHECK lk_code lk_cut_needs(lk_cut *c, size_t n, const lk_str *tensors, bool *ret, lk_err *err);

/* What a classifier reads: the tensor that is multiplied by the last matrix, of `width` rows,
 * before output i. False: there is no such matrix. */
bool lk_cut_before_head(const lk_cut *c, size_t i, size_t width, lk_str *ret);

/* Append to *into the model with just what the tensors need, and them as its outputs in their
 * order. Nothing is appended, and *ret_whole is true, when that is the model as it stands. */
LK_CHECK lk_code lk_cut_write(lk_cut *c, size_t n, const lk_str *tensors, lk_buf *into,
                              bool *ret_whole, lk_err *err);

#endif
