/* A model from a folder into the models folder, and out of it. */
#ifndef LK_MODEL_INSTALL_H
#define LK_MODEL_INSTALL_H

#include "base/err.h"
#include "base/thread.h"
#include "model/model.h"
#include "model/staging.h"

/* Install a copy of the model in dir: its card, every file that the card lists, held against its
 * SHA-256, and the companions that stand beside them. It is tried before it becomes a model. name:
 * NULL is the card's. opts->models_dir is where it goes. LK_E_EXISTS, LK_E_MODEL with the reason;
 * LK_E_INVALID: no good name. */
LK_CHECK lk_code lk_model_add(const char *dir, const char *name, const lk_model_opts *opts,
                              const lk_cancel *cancel, char ret_name[LK_MAX_MODEL_NAME + 1],
                              lk_err *err);

/* Remove an installed model, half a one as well. LK_E_NOT_FOUND. */
LK_CHECK lk_code lk_model_remove(const char *name, const lk_model_opts *opts, lk_err *err);

/* Write a bundled or installed model, checked, to dir: a new folder, or an empty one. */
LK_CHECK lk_code lk_model_export(const char *name, const lk_model_opts *opts, const char *dir,
                                 lk_err *err);

#endif
