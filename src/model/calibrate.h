/* Which products of a model lose too much as int8?
 *
 * The float model is run with a probe beside each product that could be int8, on a few pictures and
 * texts. Most products lose little. In some networks one or two have a row of huge numbers, which
 * makes the 8 bits of all other rows coarse; left in float they cost next to no time. One owner. */
#ifndef LK_MODEL_CALIBRATE_H
#define LK_MODEL_CALIBRATE_H

#include "model/model.h"
#include "model/quantize.h"

typedef struct lk_calibrate lk_calibrate;

/* name and opts as for lk_model_open; how says how the products would be made int8. */
LK_CHECK lk_code lk_calibrate_new(const char *name, const lk_model_opts *opts,
                                  const lk_quantize_opts *how, lk_calibrate **ret, lk_err *err);
void lk_calibrate_free(lk_calibrate *c); /* NULL allowed */

/* What the model has no tower for, and texts of which it knows no word, are passed over. */
LK_CHECK lk_code lk_calibrate_image(lk_calibrate *c, const lk_image *im, lk_err *err);
LK_CHECK lk_code lk_calibrate_text(lk_calibrate *c, lk_str text, lk_err *err);

/* The products whose mean noise |int8 - float|^2 / |float|^2 so far is over the limit:
 * (*ret)[*ret_n], for lk_quantize_opts.skip; they live as long as *c. LK_E_NOMEM. */
LK_CHECK lk_code lk_calibrate_noisy(lk_calibrate *c, double limit, const lk_str **ret,
                                    size_t *ret_n, lk_err *err);

#endif
