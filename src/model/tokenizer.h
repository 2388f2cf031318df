/* Tokenizers: a text to the ids that a text tower was trained on.
 *
 * Vectors go quietly wrong when ids differ a little from training, so each kind here is held, id
 * for id, to a program that others train and serve with. Two programs tokenize for one model at
 * times and differ in corners; `like` says which of them is meant:
 *
 *   kind                   LK_TOK_LIKE_ORIGINAL               LK_TOK_LIKE_HF
 *   LK_TOK_BPE             open_clip's SimpleTokenizer        Hugging Face's CLIPTokenizerFast
 *   LK_TOK_WORDPIECE       Google's, as in cn_clip            Hugging Face's BertTokenizerFast
 *   LK_TOK_SENTENCEPIECE   the sentencepiece library          (not built)
 *   LK_TOK_WORDS           words.h; there is but one
 *
 * What is left out of each stands in the file of the kind. A text that is not UTF-8 counts as if
 * each wrong byte were U+FFFD. Tokenizers are immutable: any number of threads may encode. */
#ifndef LK_MODEL_TOKENIZER_H
#define LK_MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LK_MAX_TOKENS 4096                    /* one text's */
#define LK_MAX_TEXT_BYTES ((size_t)256 << 10) /* longer texts are refused */
#define LK_MAX_VOCAB_BYTES ((size_t)64 << 20) /* of each blob, unpacked */

typedef enum lk_tokenizer_kind {
    LK_TOK_NONE,
    LK_TOK_WORDS,
    LK_TOK_BPE,
    LK_TOK_WORDPIECE,
    LK_TOK_SENTENCEPIECE,
    LK_N_TOKENIZERS
} lk_tokenizer_kind;

typedef enum lk_tokenizer_like { LK_TOK_LIKE_ORIGINAL, LK_TOK_LIKE_HF } lk_tokenizer_like;

typedef struct lk_tokenizer_opts {
    size_t size;
    lk_tokenizer_kind kind;
    lk_tokenizer_like like;
    /* WORDS: vocab.txt. BPE: bpe_simple_vocab_16e6.txt, or vocab.json with merges.txt beside it.
     * WORDPIECE: vocab.txt. SENTENCEPIECE: the .model file. Each may be gzip. */
    lk_blob vocab, merges;
    size_t max_tokens; /* length of an encoded text, specials and padding included */
    int64_t pad_id;    /* -1: as the kind has it (0, the end token in HF's CLIP, [PAD]) */
    bool lower_case;   /* WORDPIECE: and without accents; SENTENCEPIECE: letters only */
} lk_tokenizer_opts;

/* What the published models of the kind use: BPE 77 tokens; WORDPIECE 52, lower case;
 * SENTENCEPIECE 64, lower case; WORDS 32. The blobs are empty, like is LK_TOK_LIKE_ORIGINAL. */
void lk_tokenizer_opts_default(lk_tokenizer_kind kind, lk_tokenizer_opts *ret);

/* "words", "bpe", "wordpiece", "sentencepiece": as a card names them; NULL for none. */
const char *lk_tokenizer_kind_name(lk_tokenizer_kind kind);

typedef struct lk_tokenizer lk_tokenizer;

/* The blobs must outlive the tokenizer. LK_E_MODEL when they are not what the kind reads,
 * LK_E_UNSUPPORTED for a kind that is not built in. */
LK_CHECK lk_code lk_tokenizer_new(const lk_tokenizer_opts *opts, lk_tokenizer **ret, lk_err *err);
void lk_tokenizer_free(lk_tokenizer *t); /* NULL allowed */

size_t lk_tokenizer_max_tokens(const lk_tokenizer *t);
/* One more than the largest id that encode gives: at most the rows of the tower's word table. */
int64_t lk_tokenizer_n_ids(const lk_tokenizer *t);

/* Fills ids[max_tokens]: begin token, the text's ids as far as they fit, end token, padding. *ret_n
 * counts them without the padding, and is the text's attention mask: 1 for the first *ret_n. A kind
 * without specials (WORDS) gives 0 for a text of which it knows nothing. LK_E_LIMIT over
 * LK_MAX_TEXT_BYTES, LK_E_NOMEM. */
LK_CHECK lk_code lk_tokenizer_encode(const lk_tokenizer *t, lk_str text, int64_t *ids,
                                     size_t *ret_n, lk_err *err);

#endif
