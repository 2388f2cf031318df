/* How unlike are two models of one dimension: the same pictures and texts through both.
 *
 * Cosines between the two vectors of each picture and text, and the share of each picture's nearest
 * neighbours that are the same for both models. One owner; the models outlive it. */
#ifndef LK_MODEL_COMPARE_H
#define LK_MODEL_COMPARE_H

#include "model/model.h"

#define LK_COMPARE_NEIGHBOURS 10
#define LK_MAX_COMPARED 2000 /* of each kind */

typedef struct lk_compare lk_compare;

typedef struct lk_compare_side {
    size_t n; /* 0: the rest says nothing */
    double mean_cosine, min_cosine;
    double neighbours_kept; /* 0..1, of LK_COMPARE_NEIGHBOURS; negative: too few to tell */
    double ms[2];           /* a picture or text, of either model */
    char worst[128];        /* the name or text with min_cosine, cut where it is longer */
} lk_compare_side;

/* LK_E_INVALID: their dimensions differ. */
LK_CHECK lk_code lk_compare_new(lk_model *a, lk_model *b, lk_compare **ret, lk_err *err);
void lk_compare_free(lk_compare *c); /* NULL allowed */

/* What one of the models has no tower for is passed over, and so is a text of which it knows no
 * word. LK_E_LIMIT beyond LK_MAX_COMPARED. */
LK_CHECK lk_code lk_compare_image(lk_compare *c, const lk_image *im, const char *name, lk_err *err);
LK_CHECK lk_code lk_compare_text(lk_compare *c, lk_str text, lk_err *err);

/* May be asked at any time. LK_E_NOMEM. */
LK_CHECK lk_code lk_compare_images(const lk_compare *c, lk_compare_side *ret, lk_err *err);
LK_CHECK lk_code lk_compare_texts(const lk_compare *c, lk_compare_side *ret, lk_err *err);

#endif
