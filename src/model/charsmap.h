/* SentencePiece's table of replacements: which character or run of them stands for which other
 * ("\uff21" for "A"). It comes compiled in a model file and says all that the model wants done to
 * its texts. Immutable; a view of the file's bytes. */
#ifndef LK_MODEL_CHARSMAP_H
#define LK_MODEL_CHARSMAP_H

#include "base/err.h"
#include "base/str.h"

typedef struct lk_charsmap {
    lk_blob trie; /* units of 4 bytes, little-endian; empty: nothing is replaced */
    lk_str strings;
} lk_charsmap;

/* compiled may be empty. LK_E_MODEL when it is no such table. */
LK_CHECK lk_code lk_charsmap_init(lk_charsmap *m, lk_blob compiled, lk_err *err);

/* The longest run at the beginning of text that is replaced: its bytes, and *ret what stands for
 * it; 0 when none is. */
size_t lk_charsmap_take(const lk_charsmap *m, lk_str text, lk_str *ret);

#endif
