/* What is known about a half file: a small JSON file beside it, rewritten whole. */
#ifndef LK_MODEL_NOTE_H
#define LK_MODEL_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sha256.h"

#define LK_MAX_HUB 1024

typedef struct lk_note {
    char hub[LK_MAX_HUB]; /* that the entity tag is of */
    char etag[96];        /* strong, or "" */
    uint64_t bytes;       /* of the whole; 0: not known */
    bool has_sha256;      /* as the hub says, of the whole */
    lk_sha256 sha256;
    uint64_t synced; /* bytes that are on disk whatever happens */
    bool done;       /* whole, and moved to where it belongs */
    bool vouched;    /* and the card or the hub had told its SHA-256 */
} lk_note;

/* A note that is missing or cannot be read is an empty one: the file starts anew. */
LK_CHECK lk_code lk_note_read(const char *path, lk_note *ret, lk_err *err); /* LK_E_NOMEM */
LK_CHECK lk_code lk_note_write(const char *path, const lk_note *n, lk_err *err);

#endif
