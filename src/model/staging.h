/* Where a model is put together before it is one.
 *
 *   <models>/.partial-NAME/model    the finished files; kept when the work is interrupted
 *   <models>/.partial-NAME/work     what its maker needs meanwhile: half files, notes
 *   <models>/.lock-NAME             held by the process that works on NAME
 *   <models>/NAME/                  the model: made by one rename, whole or not at all
 *
 * Whoever brings in, replaces or removes NAME holds the lock meanwhile. One owner. */
#ifndef LK_MODEL_STAGING_H
#define LK_MODEL_STAGING_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

#define LK_MAX_MODEL_NAME 64

typedef struct lk_staging {
    char models_dir[PATH_MAX];
    char partial[PATH_MAX]; /* <models>/.partial-NAME */
    char dir[PATH_MAX];     /* <models>/.partial-NAME/model */
    char work[PATH_MAX];
    char target[PATH_MAX]; /* <models>/NAME */
    bool had_rest;         /* an earlier run left something behind */
    int lock_fd;
} lk_staging;

/* A name that can be a folder: 1..64 of a-z A-Z 0-9 . _ -, no dot first. */
bool lk_model_name_ok(lk_str name);

/* Take the lock; make the folders as far as they are missing. LK_E_LOCKED: somebody else is at it.
 * LK_E_INVALID: no good name, or that of the bundled model. */
LK_CHECK lk_code lk_staging_open(const char *models_dir, const char *name, lk_staging *ret,
                                 lk_err *err);
/* The path of one of the model's files, whose folder is made; LK_E_LIMIT when it is too long. */
LK_CHECK lk_code lk_staging_path(const lk_staging *s, const char *name, char ret[PATH_MAX],
                                 lk_err *err);
/* The path of a file of its maker's. */
LK_CHECK lk_code lk_staging_work_path(const lk_staging *s, const char *name, char ret[PATH_MAX],
                                      lk_err *err);
/* Every file is written and synced: make them the model. LK_E_EXISTS when there is one. */
LK_CHECK lk_code lk_staging_place(lk_staging *s, lk_err *err);
/* Forget the finished files, or everything; the lock stays. */
LK_CHECK lk_code lk_staging_drop_model(lk_staging *s, lk_err *err);
LK_CHECK lk_code lk_staging_clear(lk_staging *s, lk_err *err);
void lk_staging_close(lk_staging *s); /* lets go of the lock, keeps the folder */

/* Remove the installed model under the lock: it disappears by one rename. */
LK_CHECK lk_code lk_staging_remove_model(lk_staging *s, lk_err *err);

#endif
