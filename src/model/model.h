/* A model: pictures and words to unit vectors of one space.
 *
 * A model is a folder with a card (model.json); a driver behind this face runs it (ONNX Runtime
 * here, a remote service elsewhere). Everything that decides what a vector means - files,
 * preprocessing, tokenizer - goes into the model's key, and vectors of different keys never meet.
 * Internally locked: any number of threads may embed at once; each uses one core. */
#ifndef LK_MODEL_MODEL_H
#define LK_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "image/image.h"

#define LK_MAX_DIM 4096
#define LK_MAX_LABELS 64
#define LK_MAX_LABEL_BYTES 128

typedef struct lk_model lk_model;

typedef struct lk_model_opts {
    size_t size;
    const char
        *models_dir;    /* where pulled and added models stand; NULL: only bundled ones and paths */
    unsigned n_threads; /* sessions run at once at the most; 0: one a processor */
    unsigned batch_wait_ms; /* how long a run may wait for others that are on their way to share it;
                             * 0: what is asked for together runs together, and no more */
    const char *runtime;    /* path of libonnxruntime, NULL: the known names */
    const char *provider;   /* "cpu" (NULL), "cuda", "tensorrt" */
    const struct lk_tower_tap *tap; /* inside this room: looks into the towers; or NULL */

    /* Of models that a service runs. */
    const char *remote_url;  /* instead of the card's; NULL: the card's */
    uint64_t remote_ms;      /* for a call with all its tries */
    unsigned remote_retries; /* after the first try */
} lk_model_opts;

void lk_model_opts_default(lk_model_opts *ret);

/* name: a folder's path (has a '/' or is "."), a name in models_dir, or a bundled one ("mini").
 * Checks the card, the files' SHA-256 and the tensors' shapes. LK_E_NOT_FOUND, LK_E_MODEL with the
 * reason. */
LK_CHECK lk_code lk_model_open(const char *name, const lk_model_opts *opts, lk_model **ret,
                               lk_err *err);
void lk_model_close(lk_model *m); /* NULL allowed */

typedef struct lk_model_info {
    const char *name, *version; /* "lookalike-mini", "1" */
    const char *key;            /* name@version:hash of all that gives a vector its meaning */
    const char *describe;       /* one sentence or "" */
    size_t dim;
    bool has_image, has_text;
    unsigned side;   /* short side that a picture is brought to; 0: not known */
    size_t n_labels; /* zero-shot categories; 0: the card has none */
    const char *const *labels;
    double logit_scale; /* of a softmax over cosines to texts */
    size_t n_classes;   /* dim where the model is a classifier, whose rows are scores; else 0 */
    const char *const *classes;
} lk_model_info;

const lk_model_info *lk_model_info_of(const lk_model *m); /* lives as long as the model */

/* images[n] to ret[n][dim], unit length. Deterministic: the batch a picture travels in does not
 * matter beyond float rounding. LK_E_UNSUPPORTED without an image tower. */
LK_CHECK lk_code lk_model_embed_images(lk_model *m, size_t n, const lk_image *const *images,
                                       float *ret, lk_err *err);
/* The same, with the length of each embedding before it was made unit length to ret_norms[n]. */
LK_CHECK lk_code lk_model_embed_measured(lk_model *m, size_t n, const lk_image *const *images,
                                         float *ret, float *ret_norms, lk_err *err);
/* texts[n] to ret[n][dim], unit length; zeros for one of which the model knows no word. */
LK_CHECK lk_code lk_model_embed_texts(lk_model *m, size_t n, const lk_str *texts, float *ret,
                                      lk_err *err);
/* One text to ret[dim], unit length. LK_E_NO_MEANING when no word of it is known to the model. */
LK_CHECK lk_code lk_model_embed_text(lk_model *m, lk_str text, float *ret, lk_err *err);

/* Embeddings made so far, and in how many runs: requests that meet share one. */
void lk_model_runs(const lk_model *m, uint64_t *ret_items, uint64_t *ret_runs);

/* Zero-shot: ret_probs[n_labels], softmax over the labels, sums to 1. LK_E_UNSUPPORTED without
 * labels. */
LK_CHECK lk_code lk_model_classify(const lk_model *m, const float *vector, float *ret_probs,
                                   lk_err *err);

/* What `model list` shows: every bundled and installed model, cards only. Calls see once each; a
 * folder whose card cannot be used comes with dim 0 and the reason in `describe`. where: the
 * folder, or a bundled model's name, which has no '/' in it. */
typedef void lk_model_see_fn(void *ctx, const lk_model_info *info, const char *where);
LK_CHECK lk_code lk_model_list(const lk_model_opts *opts, lk_model_see_fn *see, void *ctx,
                               lk_err *err);

#endif
