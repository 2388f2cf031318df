/* Categories of pictures: labels, and what tells them apart. Three kinds:
 *
 *   the model's own      as its card has them
 *   by prompts           {"labels": {"cat": ["a cat", "猫"], "dog": "a dog"}, "templates": ["a
 * photo of {}"], "logit_scale": 100} by a classifier      {"classifier": "NAME", "labels":
 * {"fruit": ["banana", "lemon"]}, "rest": "other"}
 *
 * By prompts: a label is the mean of its prompts' embeddings, each prompt put into each template,
 * and a picture's probabilities are a softmax over its cosines to the labels, times the scale (the
 * card's, when none is given). A label without prompts, in a list of labels, is its own prompt. By
 * a classifier: a softmax over all its classes; a label has the sum of the classes it names, and
 * what none names goes to the rest. Without labels its classes are the labels.
 *
 * Immutable and counted: any number of threads. The model must outlive them. */
#ifndef LK_MODEL_LABELS_H
#define LK_MODEL_LABELS_H

#include "base/json.h"
#include "model/model.h"

#define LK_MAX_PROMPTS_IN_ALL 4096 /* templates counted in */
#define LK_MAX_TEMPLATES 100

typedef struct lk_labels lk_labels;

typedef enum lk_labels_kind {
    LK_LABELS_NONE, /* the model has none of its own */
    LK_LABELS_MODEL,
    LK_LABELS_PROMPTS,
    LK_LABELS_CLASSIFIER,
} lk_labels_kind;

/* spec NULL: the model's own. Prompts are embedded and the classifier is loaded now. LK_E_INVALID
 * names the member at fault; LK_E_NO_MEANING: of no prompt of a label the model knows a word;
 * LK_E_UNSUPPORTED: prompts for a model without texts; as lk_model_open for the classifier. */
LK_CHECK lk_code lk_labels_new(lk_model *m, const lk_jval *spec, const lk_model_opts *opts,
                               lk_labels **ret, lk_err *err);
lk_labels *lk_labels_ref(lk_labels *l);
void lk_labels_unref(lk_labels *l); /* NULL allowed */

lk_labels_kind lk_labels_kind_of(const lk_labels *l);
size_t lk_labels_n(const lk_labels *l);
const char *const *lk_labels_names(const lk_labels *l);

/* ret_probs[n], which sum to 1. vector[dim] is the picture's embedding by the model; the picture
 * itself matters to a classifier only, and may be NULL otherwise. */
LK_CHECK lk_code lk_labels_judge(const lk_labels *l, const float *vector, const lk_image *im,
                                 float *ret_probs, lk_err *err);

#endif
