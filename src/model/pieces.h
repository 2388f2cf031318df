/* A SentencePiece model: pieces with scores and what they are for, and what is done to a text
 * before it is cut into them. Built by one thread, then immutable; its strings are views of the
 * file. */
#ifndef LK_MODEL_PIECES_H
#define LK_MODEL_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "model/charsmap.h"
#include "model/unicode.h"
#include "model/vocab.h"

typedef struct lk_pieces {
    size_t n;
    lk_vocab texts;         /* pieces that a text may be cut into; the others have no string here */
    lk_vocab whole;         /* those of them that are never cut nor changed ("user defined") */
    bool begins_whole[256]; /* bytes that such a one begins with */
    float *scores;          /* [n] */
    float min_score, max_score; /* of the pieces that are cut */
    bool unigram;               /* else by merging pairs */
    bool byte_fallback;         /* what has no piece is written in bytes */
    uint32_t bytes[256];
    uint32_t unk;
    uint32_t end, pad; /* LK_NO_ID: it has none */

    lk_charsmap replacements;
    bool space_before, space_behind; /* one is put there */
    bool squeeze_spaces;             /* runs to one, none at the ends */
    bool escape_spaces;              /* as U+2581 */
} lk_pieces;

/* LK_E_MODEL, LK_E_UNSUPPORTED for a model of words or characters, LK_E_NOMEM. Release follows in
 * any case. */
LK_CHECK lk_code lk_pieces_read(lk_pieces *p, lk_blob file, lk_err *err);
void lk_pieces_release(lk_pieces *p);

/* Length of the longest piece at the beginning of text that is never cut; 0: there is none. */
size_t lk_pieces_whole_at(const lk_pieces *p, lk_str text);

/* Append to *ret where each piece of the text ends, in bytes. The text is UTF-8, normalised. A
 * character that is in no piece stands alone. LK_E_NOMEM. */
LK_CHECK lk_code lk_cut_by_merging(const lk_pieces *p, lk_str text, lk_runes *ret, lk_err *err);
LK_CHECK lk_code lk_cut_by_score(const lk_pieces *p, lk_str text, lk_runes *ret, lk_err *err);

#endif
