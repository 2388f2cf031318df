/* What all kinds of tokenizers share: checked options, unpacked blobs, specials and padding. */
#include "model/tokenizer.h"

#include "base/gzip.h"
#include "base/mem.h"
#include "model/tokenizer_kinds.h"

static const lk_tokenizer_driver *const drivers[LK_N_TOKENIZERS] = {
    [LK_TOK_WORDS] = &lk_tokenizer_words,
    [LK_TOK_BPE] = &lk_tokenizer_bpe,
    [LK_TOK_WORDPIECE] = &lk_tokenizer_wordpiece,
    [LK_TOK_SENTENCEPIECE] = &lk_tokenizer_sentencepiece,
};

static const char *const names[LK_N_TOKENIZERS] = {
    [LK_TOK_WORDS] = "words",
    [LK_TOK_BPE] = "bpe",
    [LK_TOK_WORDPIECE] = "wordpiece",
    [LK_TOK_SENTENCEPIECE] = "sentencepiece",
};

const char *lk_tokenizer_kind_name(lk_tokenizer_kind kind)
{
    return kind < LK_N_TOKENIZERS ? names[kind] : NULL;
}

void lk_tokenizer_opts_default(lk_tokenizer_kind kind, lk_tokenizer_opts *ret)
{
    static const size_t max_tokens[LK_N_TOKENIZERS] = {
        [LK_TOK_WORDS] = 32,
        [LK_TOK_BPE] = 77,
        [LK_TOK_WORDPIECE] = 52,
        [LK_TOK_SENTENCEPIECE] = 64,
    };
    *ret = (lk_tokenizer_opts){
        .size = sizeof *ret,
        .kind = kind,
        .max_tokens = kind < LK_N_TOKENIZERS ? max_tokens[kind] : 0,
        .pad_id = -1,
        .lower_case = true,
    };
}

/* *blob as it is, or unpacked into memory that *ret_own holds. */
static lk_code unpack(lk_blob *blob, char **ret_own, lk_err *err)
{
    if (!lk_is_gzip(*blob)) {
        if (blob->n > LK_MAX_VOCAB_BYTES)
            return lk_fail(err, LK_E_LIMIT, "a vocabulary of %zu bytes is too long", blob->n);
        return LK_OK;
    }
    lk_buf b;
    lk_buf_init(&b, LK_MAX_VOCAB_BYTES);
    lk_code code = lk_gunzip(*blob, &b, err);
    if (!code) {
        *ret_own = lk_buf_steal(&b, &blob->n);
        blob->p = (const unsigned char *)*ret_own;
    }
    lk_buf_release(&b);
    return code;
}

lk_code lk_tokenizer_new(const lk_tokenizer_opts *opts, lk_tokenizer **ret, lk_err *err)
{
    lk_tokenizer_opts o = *opts;
    const lk_tokenizer_driver *driver = o.kind < LK_N_TOKENIZERS ? drivers[o.kind] : NULL;
    if (!driver)
        return lk_fail(err, LK_E_UNSUPPORTED, "there is no tokenizer of kind %d", (int)o.kind);
    if (o.max_tokens < 3 || o.max_tokens > LK_MAX_TOKENS)
        return lk_fail(err, LK_E_MODEL, "a text of %zu tokens is not within 3..%d", o.max_tokens,
                       LK_MAX_TOKENS);
    lk_tokenizer *t = lk_calloc(1, driver->size);
    if (!t)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a tokenizer");
    t->driver = driver;
    t->like = o.like;
    t->max_tokens = o.max_tokens;
    t->pad_id = o.pad_id;
    lk_code code = unpack(&o.vocab, &t->unpacked[0], err);
    if (!code)
        code = unpack(&o.merges, &t->unpacked[1], err);
    if (!code)
        code = driver->init(t, &o, err);
    if (code) {
        lk_tokenizer_free(t);
        return code == LK_E_NOMEM ? code : lk_err_prefix(err, LK_E_MODEL, "%s", driver->name);
    }
    *ret = t;
    return LK_OK;
}

void lk_tokenizer_free(lk_tokenizer *t)
{
    if (!t)
        return;
    t->driver->release(t);
    for (size_t i = 0; i < LK_ARRAY_LEN(t->unpacked); i++)
        lk_free(t->unpacked[i]);
    lk_free(t);
}

size_t lk_tokenizer_max_tokens(const lk_tokenizer *t)
{
    return t->max_tokens;
}

int64_t lk_tokenizer_n_ids(const lk_tokenizer *t)
{
    return t->n_ids;
}

lk_code lk_tokenizer_encode(const lk_tokenizer *t, lk_str text, int64_t *ids, size_t *ret_n,
                            lk_err *err)
{
    size_t begin = t->begin_id >= 0, end = t->end_id >= 0, n = 0;
    if (text.n > LK_MAX_TEXT_BYTES)
        return lk_fail_field(err, LK_E_LIMIT, "text",
                             "a text of %zu bytes is over the limit of %zu", text.n,
                             LK_MAX_TEXT_BYTES);
    lk_code code = t->driver->encode(t, text, t->max_tokens - begin - end, ids + begin, &n, err);
    if (code)
        return code;
    if (begin)
        ids[0] = t->begin_id;
    n += begin;
    if (end)
        ids[n++] = t->end_id;
    *ret_n = n;
    while (n < t->max_tokens)
        ids[n++] = t->pad_id;
    return LK_OK;
}
