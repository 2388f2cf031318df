/* Texts from outside, for every kind of tokenizer: the first byte picks kind and like (or way), the
 * rest is the text. Ids are within the vocabulary, what follows them is padding, and a shorter
 * length gives the same ids as far as it reaches. */
#include <stdlib.h>
#include <string.h>

#include "model/proto.h"
#include "model/tokenizer.h"
#include "target.h"

enum { LONG = 77, SHORT = 9 };

static const char *const vocabs[LK_N_TOKENIZERS] = {
    [LK_TOK_WORDS] = "<pad>\na\ncat\nhot dog\n\u732b\n\u7334\u732b\nco-op\n",
    [LK_TOK_BPE] = "#version\nc a\nca t</w>\ns s\nss ss\n\u00c3 \u00a9</w>\n",
    [LK_TOK_WORDPIECE] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\n##s\na\n##a\n\u732b\n!\ne\n",
};

/* The vocabulary of a kind; SentencePiece's has some pieces, one that is never cut, and no bytes.
 */
static void put_vocab(lk_tokenizer_kind kind, bool unigram, lk_buf *b)
{
    static const char *const pieces[] = {"<unk>", "</s>", "\u2581",    "a",     "c",
                                         "ca",    "cat",  "\u2581cat", "\u732b"};
    if (kind != LK_TOK_SENTENCEPIECE) {
        lk_buf_puts(b, vocabs[kind]);
        return;
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t begun = lk_pb_begin(b, 1);
        lk_pb_put_str(b, 1, lk_str_of(pieces[i]));
        lk_pb_put_float(b, 2, -(float)(i % 4));
        lk_pb_put_varint(b, 3, i == 0 ? 2 : i == 1 ? 3 : i == 8 ? 4 : 1);
        lk_pb_end(b, begun);
    }
    size_t begun = lk_pb_begin(b, 2);
    lk_pb_put_varint(b, 3, unigram ? 1 : 2);
    lk_pb_end(b, begun);
}

static void encode(lk_tokenizer_opts o, size_t max_tokens, lk_str text, int64_t *ids, size_t *ret_n)
{
    lk_tokenizer *t = NULL;
    lk_err err;
    o.max_tokens = max_tokens;
    if (lk_tokenizer_new(&o, &t, &err) || lk_tokenizer_encode(t, text, ids, ret_n, &err) ||
        *ret_n > max_tokens)
        abort();
    for (size_t i = 0; i < max_tokens; i++)
        if (ids[i] < 0 || ids[i] >= lk_tokenizer_n_ids(t) ||
            (i >= *ret_n && ids[i] != ids[max_tokens - 1]))
            abort();
    lk_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t all[LONG], head[SHORT];
    size_t n_all, n_head;
    lk_tokenizer_opts o;
    if (size == 0)
        return 0;
    lk_tokenizer_kind kind = (lk_tokenizer_kind)(data[0] / 4 % LK_N_TOKENIZERS);
    if (kind == LK_TOK_NONE || size - 1 > LK_MAX_TEXT_BYTES)
        return 0;
    lk_buf vocab;
    lk_buf_init(&vocab, 0);
    put_vocab(kind, data[0] & 1, &vocab);
    lk_tokenizer_opts_default(kind, &o);
    o.vocab = (lk_blob){(const unsigned char *)vocab.p, vocab.n};
    if (kind != LK_TOK_SENTENCEPIECE && data[0] & 1)
        o.like = LK_TOK_LIKE_HF;
    o.lower_case = data[0] & 2;
    lk_str text = {(const char *)data + 1, size - 1};
    encode(o, LONG, text, all, &n_all);
    encode(o, SHORT, text, head, &n_head);
    /* But for the end token, which a cut moves. */
    size_t same = n_head < n_all || n_head == 0 ? n_head : n_head - 1;
    same -= same == SHORT;
    if (n_head > n_all || memcmp(all, head, same * sizeof *all) != 0)
        abort();
    lk_buf_release(&vocab);
    return 0;
}
