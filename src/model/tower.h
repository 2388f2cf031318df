/* One tower out of an ONNX file: the graph cut down to it, its session, and what follows it. */
#ifndef LK_MODEL_TOWER_H
#define LK_MODEL_TOWER_H

#include "model/card.h"
#include "model/onnx.h"
#include "model/pool.h"

typedef struct lk_tower {
    lk_session *session;
    const lk_card_tower *card;
    lk_projection projection; /* m NULL: none */
    size_t dim;
} lk_tower;

typedef enum lk_tower_kind { LK_TOWER_IMAGE, LK_TOWER_TEXT } lk_tower_kind;

/* All of *ret is set when this fails, too, and is to be released. The card outlives the tower.
 * LK_E_MODEL: a file is not as the card has it, or no output fits. */
LK_CHECK lk_code lk_tower_open(lk_onnx *runtime, const lk_card_source *from, const lk_card *card,
                               lk_tower_kind kind, lk_tower *ret, lk_err *err);
void lk_tower_release(lk_tower *t); /* NULL and an all-zero tower allowed */

/* Inputs in the session's order, of n or more rows, to ret[n][dim]. n_tokens[n]: how many of each
 * row's tokens count, NULL: all. */
LK_CHECK lk_code lk_tower_run(const lk_tower *t, const lk_tensor *inputs, size_t n,
                              const size_t *n_tokens, float *ret, lk_err *err);

#endif
