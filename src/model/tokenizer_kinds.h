/* What a kind of tokenizer is to tokenizer.c: one const table over one struct.
 *
 * tokenizer.c checks the options and the text's length, unpacks the blobs, and adds begin token,
 * end token and padding; a kind is only what lies between. */
#ifndef LK_MODEL_TOKENIZER_KINDS_H
#define LK_MODEL_TOKENIZER_KINDS_H

#include "model/tokenizer.h"

typedef struct lk_tokenizer_driver {
    const char *name;
    size_t size; /* bytes of the struct that embeds lk_tokenizer as its first member */
    /* The rest of *t is zero. Sets begin_id, end_id, n_ids, and pad_id where it is -1. release
     * follows in any case. */
    lk_code (*init)(lk_tokenizer *t, const lk_tokenizer_opts *opts, lk_err *err);
    void (*release)(lk_tokenizer *t);
    /* The first max (at least 1) ids of the text at the most, without specials. */
    lk_code (*encode)(const lk_tokenizer *t, lk_str text, size_t max, int64_t *ids, size_t *ret_n,
                      lk_err *err);
} lk_tokenizer_driver;

struct lk_tokenizer {
    const lk_tokenizer_driver *driver;
    lk_tokenizer_like like;
    size_t max_tokens;
    int64_t begin_id, end_id; /* -1: none */
    int64_t pad_id, n_ids;
    char *unpacked[2]; /* vocab and merges, where they came packed */
};

extern const lk_tokenizer_driver lk_tokenizer_words, lk_tokenizer_bpe, lk_tokenizer_wordpiece,
    lk_tokenizer_sentencepiece;

#endif
