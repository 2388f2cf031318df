/* The tokenizer of a word list: longest known runs of words, Chinese included.
 *
 * The vocabulary is UTF-8, one lower-case term a line; a term's id is its line counted from 0, and
 * line 0 is padding. A text is lower-cased and split into runs of Chinese characters (with letters
 * or digits between them) and the rest. In the rest, words are [a-z0-9][a-z0-9'.-]* without . ' -
 * at their ends, and from left to right the longest run of words that is a term is taken; in
 * Chinese, the longest run of characters. What is in no term is passed over. Immutable. */
#ifndef LK_MODEL_WORDS_H
#define LK_MODEL_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef struct lk_words lk_words;

/* Keeps pointers into vocab, which must outlive it. LK_E_MODEL for an empty list or a term twice.
 */
LK_CHECK lk_code lk_words_new(lk_str vocab, lk_words **ret, lk_err *err);
void lk_words_free(lk_words *w); /* NULL allowed */

/* Ids of the text's terms to ids[max]; *ret_n how many. */
LK_CHECK lk_code lk_words_tokenize(const lk_words *w, lk_str text, size_t max, int64_t *ids,
                                   size_t *ret_n, lk_err *err);

#endif
