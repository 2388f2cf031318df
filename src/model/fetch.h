/* One file from a hub, into a half file that a later run goes on with. */
#ifndef LK_MODEL_FETCH_H
#define LK_MODEL_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/http.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/thread.h"

/* A remark for the person who waits: "trying again in 2 s: …". */
typedef void lk_say_fn(void *ctx, const char *sentence);

typedef struct lk_fetch {
    const char *url;
    const char *hub;  /* where url came from: entity tags of another hub say nothing */
    const char *what; /* the file's name, for sentences */
    const char *part; /* path of the half file */
    const char *note; /* path of what is known about it */
    uint64_t bytes;   /* as the card has them; 0: not known */
    bool has_sha256;
    lk_sha256 sha256;

    const char *token;        /* for the hub's "Authorization: Bearer", or NULL */
    unsigned retries;         /* attempts after the first that bring nothing new */
    uint64_t retry_ms;        /* the first pause; doubles up to a minute */
    uint64_t stall_ms;        /* next to nothing for so long ends an attempt */
    lk_progress_fn *progress; /* bytes of this file; NULL: none */
    lk_say_fn *say;           /* NULL: none */
    void *ctx;                /* of both */
    const lk_cancel *cancel;  /* NULL: none */
} lk_fetch;

/* When it returns LK_OK, the half file is the whole, is on disk, and has this size and SHA-256.
 * Otherwise it keeps what can be used later. LK_E_NET, LK_E_TIMEOUT, LK_E_TRUNCATED after the last
 * attempt; LK_E_NOT_FOUND, LK_E_DENIED as the hub says; LK_E_CORRUPT: the hub has another file;
 * LK_E_FULL, LK_E_CANCELED. */
LK_CHECK lk_code lk_fetch_file(lk_http *http, const lk_fetch *f, uint64_t *ret_bytes,
                               lk_sha256 *ret_sha256, lk_err *err);

#endif
