/* Fetch a model's published files and install it.
 *
 * The card says where the files are (hub.h); it is one of those in the program, models/cards/NAME,
 * or a file. Everything is put together in a folder beside the models (staging.h), held against
 * sizes and sums, loaded once, and becomes the model by a rename: a half or wrong download never
 * does. A run that was stopped goes on where it was. */
#ifndef LK_MODEL_PULL_H
#define LK_MODEL_PULL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"
#include "base/thread.h"
#include "model/card.h"
#include "model/fetch.h"
#include "model/hub.h"
#include "model/model.h"
#include "model/staging.h"

typedef struct lk_pull_opts {
    size_t size;
    const char *card;      /* of those in the program */
    const char *card_file; /* a card's path, instead */
    const char *name;      /* the model's; NULL: as the card says */
    const char *hub;       /* NULL: LK_HUB_DEFAULT */
    const char *revision;  /* NULL: the card's */
    const char *token;     /* sent to the hub, over https only; or NULL */
    uint64_t retries;      /* attempts after one that broke, unless they bring something new */
    uint64_t retry_ms;
    uint64_t stall_ms;
    const lk_model_opts *model; /* models_dir is where it goes; the rest loads it once */
    lk_progress_fn *progress;   /* bytes of all files; total 0 while it is not known */
    lk_say_fn *say;
    void *ctx; /* of both */
    const lk_cancel *cancel;
} lk_pull_opts;

void lk_pull_opts_default(lk_pull_opts *ret);

typedef struct lk_pulled {
    char name[LK_MAX_MODEL_NAME + 1];
    char where[PATH_MAX];
    uint64_t bytes; /* of all files */
    size_t n_files;
    bool was_there; /* whole, so that nothing was done */
} lk_pulled;

/* LK_E_NOT_FOUND: no such card, or the hub lacks a file. LK_E_LOCKED: another process is at it.
 * LK_E_MODEL: the card, or what came does not run. The rest as lk_fetch_file. */
LK_CHECK lk_code lk_model_pull(const lk_pull_opts *o, lk_pulled *ret, lk_err *err);

/* What a card and its hub say before anything is fetched; sums that nobody knows are zeros. Strings
 * live in *into. LK_E_UNSUPPORTED: it names no hub. */
LK_CHECK lk_code lk_pull_card(lk_str card, lk_arena *into, lk_hub *ret_hub, lk_card *ret,
                              lk_err *err);

/* The cards in the program that can be pulled: see is called with a name and the card's text. */
typedef void lk_card_see_fn(void *ctx, const char *name, lk_str card);
void lk_model_shipped(lk_card_see_fn *see, void *ctx);

#endif
