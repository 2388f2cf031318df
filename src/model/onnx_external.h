/* ONNX models whose weights stand in other files beside them.
 *
 * The runtime would open such files by itself, and nobody would have checked them. So they are read
 * as all files of a model are - listed in its card, inside its folder, of the right SHA-256 - and
 * put into the model's bytes before anything else sees it. */
#ifndef LK_MODEL_ONNX_EXTERNAL_H
#define LK_MODEL_ONNX_EXTERNAL_H

#include "model/card.h"

/* The bytes of the file at this place beside the model. They are used until the call that asked for
 * them returns. */
typedef lk_code lk_onnx_outside_fn(void *ctx, lk_str location, lk_blob *ret, lk_err *err);

/* Append to *into the model with the weights of its graph inside it. LK_E_MODEL: a weight lies
 * outside of its file; LK_E_LIMIT: more than the format holds (2 GiB). */
LK_CHECK lk_code lk_onnx_embed_external(lk_blob model, lk_onnx_outside_fn *outside, void *ctx,
                                        lk_buf *into, lk_err *err);

/* A listed ONNX file of a model, whole: the other files are looked for among those listed. Errors
 * are lk_card_open_file's and the above. */
LK_CHECK lk_code lk_onnx_open_file(const lk_card_source *from, const lk_card *card,
                                   const char *name, lk_card_file *ret, lk_err *err);

#endif
