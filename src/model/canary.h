/* A canary: what a model makes of one picture and one text that are part of this program.
 *
 * It is recorded when a model is checked, in canary.json in the model's folder, and compared later.
 * A runtime that computes otherwise, a decoder that swaps channels, another crop, resize or
 * normalisation move the embedding, and would quietly spoil every search; the canary shows it
 * before. A recording belongs to one model key, whose hash covers the card's preprocessing and the
 * checksums of its files. */
#ifndef LK_MODEL_CANARY_H
#define LK_MODEL_CANARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "model/model.h"

#define LK_CANARY_FILE "canary.json"

/* Changes with the picture or the text; a recording of another version counts as none. */
#define LK_CANARY_VERSION 1

/* Under this cosine a model has drifted, where nobody says otherwise. The slightest mistake tried
 * on the bundled model and a vision transformer, bilinear for bicubic, gives 0.9987 and less
 * (measured: test_canary); rounding alone stays over 0.9999. Models of 8-bit weights may scatter
 * wider from one kind of processor to the next. */
#define LK_CANARY_MIN 0.9995

#define LK_CANARY_TEXT "A red boat, two dogs & an apple: 一只船"

typedef struct lk_canary {
    size_t dim;
    float *image, *text; /* [dim], unit length; NULL: no such tower, or no word that it knows */
} lk_canary;

/* Append the picture as a file (PPM: no encoder has a say in its bytes). */
LK_CHECK lk_code lk_canary_picture(lk_buf *into, lk_err *err);

/* Picture and text through the whole pipeline, decoder included. */
LK_CHECK lk_code lk_canary_measure(lk_model *m, lk_canary *ret, lk_err *err);
void lk_canary_release(lk_canary *c); /* NULL allowed */

/* What was recorded for the model that lk_model_open finds by this name. LK_E_NOT_FOUND: nothing,
 * or for another key; LK_E_CORRUPT: no recording at all. */
LK_CHECK lk_code lk_canary_read(const char *name, const char *models_dir, const char *key,
                                lk_canary *ret, lk_err *err);
/* Record it, in place of an earlier one. LK_E_UNSUPPORTED for the model inside the program, whose
 * recording is inside as well. */
LK_CHECK lk_code lk_canary_write(const char *name, const char *models_dir, const char *key,
                                 const lk_canary *c, lk_err *err);

typedef struct lk_canary_cosines {
    bool has_image, has_text; /* was it recorded? */
    double image, text;       /* -1..1; 0 when the model no longer gives one */
} lk_canary_cosines;

void lk_canary_compare(const lk_canary *then, const lk_canary *now, lk_canary_cosines *ret);

#endif
