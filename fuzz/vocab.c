/* Vocabularies from outside: the first byte picks kind and like; the rest is the vocabulary, and
 * behind a 0xff the merges. What is taken for one must encode a text within its ids. */
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "A cat's caf\u00e9, \u732b\u732b 123 [SEP]<|endoftext|>\n\xff";
    int64_t ids[77];
    size_t n;
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    if (size == 0)
        return 0;
    lk_tokenizer_opts_default((lk_tokenizer_kind)(data[0] / 4 % LK_N_TOKENIZERS), &o);
    const uint8_t *merges =
        o.kind == LK_TOK_SENTENCEPIECE ? NULL : memchr(data + 1, 0xff, size - 1);
    o.like = data[0] & 1 ? LK_TOK_LIKE_HF : LK_TOK_LIKE_ORIGINAL;
    o.vocab = (lk_blob){data + 1, merges ? (size_t)(merges - data - 1) : size - 1};
    if (merges)
        o.merges = (lk_blob){merges + 1, (size_t)(data + size - merges - 1)};
    o.max_tokens = sizeof ids / sizeof *ids;
    if (lk_tokenizer_new(&o, &t, &err))
        return 0;
    /* A model of SentencePiece may replace a character by what is too long. */
    lk_code code = lk_tokenizer_encode(t, (lk_str){text, sizeof text - 1}, ids, &n, &err);
    if (code && code != LK_E_LIMIT)
        abort();
    for (size_t i = 0; !code && i < o.max_tokens; i++)
        if (ids[i] < 0 || ids[i] >= lk_tokenizer_n_ids(t))
            abort();
    lk_tokenizer_free(t);
    return 0;
}
