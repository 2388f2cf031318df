/* Is a model as its card says, and does it run here?
 *
 * Files are read by this process; everything that runs the graph happens in a child (trial.h). All
 * faults that can be seen are told, not only the first. */
#ifndef LK_MODEL_CHECK_H
#define LK_MODEL_CHECK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/thread.h"
#include "model/model.h"

#define LK_MAX_CHECK_ROWS 48

typedef struct lk_check_row {
    char what[48]; /* "card", "file", "load", "picture", "text", "parity", "canary" */
    char of[160];  /* the file's name, or "" */
    bool ok;
    char says[272]; /* a sentence, or what was measured */
} lk_check_row;

typedef struct lk_checked {
    char name[64], version[32], key[128]; /* as far as there is a card that can be read */
    char where[PATH_MAX];                 /* the folder, or "bundled" */
    size_t dim;
    bool has_image, has_text;
    bool ok; /* every row is */
    lk_check_row rows[LK_MAX_CHECK_ROWS];
    size_t n_rows;
} lk_checked;

typedef struct lk_check_opts {
    const lk_model_opts *model;
    double canary_min;       /* cosines of a canary under this are a fault */
    const char *photos;      /* where the photographs of a parity file are; NULL: texts only */
    const lk_cancel *cancel; /* NULL: none */
} lk_check_opts;

/* A model without faults that has no canary (canary.h) gets its canary recorded.
 *
 * LK_OK with ret->ok false: there are faults, in the rows. LK_E_NOT_FOUND: there is no such model.
 */
LK_CHECK lk_code lk_model_check(const char *name, const lk_check_opts *opts, lk_checked *ret,
                                lk_err *err);

#endif
