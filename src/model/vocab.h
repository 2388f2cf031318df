/* A vocabulary: strings to ids and back. Built by one thread, then immutable. */
#ifndef LK_MODEL_VOCAB_H
#define LK_MODEL_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LK_MAX_IDS ((size_t)1 << 22)
#define LK_NO_ID UINT32_MAX

typedef struct lk_vocab {
    lk_str *strings; /* [n], by id; views that the caller keeps alive; p is NULL for a gap */
    size_t n;        /* ids are below it */
    uint32_t *slots; /* open addressing over ids; LK_NO_ID is empty */
    size_t mask;
    size_t longest; /* bytes */
} lk_vocab;

/* Room for ids below n (at most LK_MAX_IDS). LK_E_LIMIT, LK_E_NOMEM. Nothing to release then. */
LK_CHECK lk_code lk_vocab_init(lk_vocab *v, size_t n, lk_err *err);
void lk_vocab_release(lk_vocab *v);

/* LK_E_MODEL for an id out of room or already given, and for a string that has an id. */
LK_CHECK lk_code lk_vocab_put(lk_vocab *v, uint32_t id, lk_str s, lk_err *err);
/* The same, but a string that has an id keeps it, and the new id gets no string. */
LK_CHECK lk_code lk_vocab_put_first(lk_vocab *v, uint32_t id, lk_str s, lk_err *err);

uint32_t lk_vocab_find(const lk_vocab *v, lk_str s); /* LK_NO_ID: it has none */

#endif
