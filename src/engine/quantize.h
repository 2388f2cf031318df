/* An int8 model out of a float one, and what that costs in accuracy. */
#ifndef LK_ENGINE_QUANTIZE_H
#define LK_ENGINE_QUANTIZE_H

#include "engine/engine.h"

typedef struct lk_quantize_ask {
    const char *name;   /* of the float model, or its folder */
    const char *to;     /* NULL: NAME-int8 */
    const char *photos; /* a folder of pictures to compare with; NULL: the demonstration gallery */
    const lk_cancel *cancel; /* or NULL */
} lk_quantize_ask;

typedef struct lk_quantize_loss {
    size_t n;                       /* pictures or texts compared; 0: no such tower */
    double mean_cosine, min_cosine; /* of the int8 vectors to the float ones */
    lk_str worst;                   /* which had the least */
    double neighbours_kept;         /* 0..1 of each one's 10 nearest; negative: too few to tell */
    double float_ms, int8_ms;       /* one by one, on one thread */
} lk_quantize_loss;

typedef struct lk_quantize_done {
    lk_str name;
    size_t n_products, n_replaced;
    uint64_t bytes_before, bytes_after;
    lk_quantize_loss images, texts;
    size_t n_unreadable; /* files among the photographs that are no pictures */
} lk_quantize_done;

/* Makes the model in the models folder and compares it. When comparing fails the model stays, and
 * the error says what failed. LK_E_NOT_FOUND, LK_E_EXISTS, LK_E_UNSUPPORTED: nothing in it to make
 * int8; LK_E_INTERRUPTED. */
LK_CHECK lk_code lk_engine_model_quantize(const lk_engine_opts *opts, const lk_quantize_ask *ask,
                                          lk_arena *into, lk_quantize_done *ret, lk_err *err);

#endif
