/* One tower out of an ONNX file: the graph cut down to it, its session, and what follows it. */
#ifndef LK_MODEL_TOWER_H
#define LK_MODEL_TOWER_H

#include "model/card.h"
#include "model/onnx.h"
#include "model/pool.h"

typedef enum lk_tower_kind { LK_TOWER_IMAGE, LK_TOWER_TEXT } lk_tower_kind;

/* For one who looks into the towers of a model: may change what a tower's session is made of, and
 * is shown the outputs that it added. */
typedef struct lk_tower_tap {
    void *ctx;
    /* Append to *into what to use instead of the model, or nothing. */
    lk_code (*change)(void *ctx, lk_tower_kind kind, lk_blob model, lk_buf *into, lk_err *err);
    /* After each run, of an output beyond the first. Valid during the call. */
    void (*see)(void *ctx, lk_tower_kind kind, const lk_tensor_info *shape, const float *data);
} lk_tower_tap;

typedef struct lk_tower {
    lk_session *session;
    const lk_card_tower *card;
    lk_projection projection; /* m NULL: none */
    size_t dim;
    lk_tower_kind kind;
    const lk_tower_tap *tap; /* or NULL */
} lk_tower;

/* The tensor of the tower's file, given as its bytes, that the embedding is made of: the card's, or
 * the one found. The name is made in *into. LK_E_MODEL: none fits. */
LK_CHECK lk_code lk_tower_output(const lk_card_source *from, const lk_card *card,
                                 lk_tower_kind kind, lk_blob model, lk_arena *into,
                                 const char **ret, lk_err *err);

/* All of *ret is set when this fails, too, and is to be released. The card and the tap (NULL: none)
 * outlive the tower. LK_E_MODEL: a file is not as the card has it, or no output fits. */
LK_CHECK lk_code lk_tower_open(lk_onnx *runtime, const lk_card_source *from, const lk_card *card,
                               lk_tower_kind kind, const lk_tower_tap *tap, lk_tower *ret,
                               lk_err *err);
void lk_tower_release(lk_tower *t); /* NULL and an all-zero tower allowed */

/* Inputs in the session's order, of n or more rows, to ret[n][dim]. n_tokens[n]: how many of each
 * row's tokens count, NULL: all. */
LK_CHECK lk_code lk_tower_run(const lk_tower *t, const lk_tensor *inputs, size_t n,
                              const size_t *n_tokens, float *ret, lk_err *err);

#endif
