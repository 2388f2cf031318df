/* SentencePiece, by merging pairs or by score, from its .model file; SigLIP's and SigLIP2's
 * (Gemma's).
 *
 * A text is lower-cased letter by letter if the card says so, normalised as the model has it, and
 * cut into pieces (cut.c). What is in no piece is written in bytes where the model has them, and is
 * the unknown piece otherwise, one for a run of it. Behind the ids stands the model's end token;
 * there is no begin token, as SigLIP wants it.
 *
 * Specials ("<bos>") are not looked for in texts, with LIKE_HF either: there is one way here, and
 * it is the library's. */
#include "base/mem.h"
#include "model/pieces.h"
#include "model/tokenizer_kinds.h"

#define MAX_NORMAL_BYTES (4 * LK_MAX_TEXT_BYTES)

typedef struct sentencepiece {
    lk_tokenizer base;
    lk_pieces pieces;
    bool lower_case;
} sentencepiece;

static lk_code init(lk_tokenizer *base, const lk_tokenizer_opts *opts, lk_err *err)
{
    sentencepiece *t = (sentencepiece *)base;
    if (base->like != LK_TOK_LIKE_ORIGINAL)
        return lk_fail(err, LK_E_UNSUPPORTED, "only like the library (\"original\") is built");
    lk_code code = lk_pieces_read(&t->pieces, opts->vocab, err);
    if (code)
        return code;
    t->lower_case = opts->lower_case;
    base->begin_id = -1;
    base->end_id = t->pieces.end == LK_NO_ID ? -1 : (int64_t)t->pieces.end;
    base->n_ids = (int64_t)t->pieces.n;
    if (base->pad_id < 0)
        base->pad_id = t->pieces.pad == LK_NO_ID ? 0 : (int64_t)t->pieces.pad;
    return LK_OK;
}

static void release(lk_tokenizer *base)
{
    lk_pieces_release(&((sentencepiece *)base)->pieces);
}

/* ---- normalisation ---- */

static void put_utf8(lk_buf *b, uint32_t cp)
{
    char bytes[4];
    lk_buf_put(b, bytes, lk_utf8_put(cp, bytes));
}

/* What is not UTF-8 becomes U+FFFD. */
static void put_valid(const sentencepiece *t, lk_str text, lk_buf *ret)
{
    for (size_t i = 0; i < text.n;) {
        uint32_t low[2] = {lk_utf8_next(text, &i)};
        size_t n = t->lower_case ? lk_uc_lower(low[0], low) : 1;
        for (size_t k = 0; k < n; k++)
            put_utf8(ret, low[k]);
    }
}

/* The beginning of text, as it is replaced: a piece that is never changed, a run that the model
 * replaces, or a character. Returns the bytes taken. */
static size_t take(const lk_pieces *p, lk_str text, lk_str *ret)
{
    size_t n = lk_pieces_whole_at(p, text);
    if (n == 0)
        n = lk_charsmap_take(&p->replacements, text, ret);
    else
        *ret = (lk_str){text.p, n};
    if (n == 0) {
        (void)lk_utf8_next(text, &n);
        *ret = (lk_str){text.p, n};
    }
    return n;
}

static void put_space(const lk_pieces *p, lk_buf *ret)
{
    lk_buf_puts(ret, p->escape_spaces ? "\u2581" : " ");
}

static void drop_spaces_behind(const lk_pieces *p, lk_buf *b)
{
    lk_str space = p->escape_spaces ? LK_STR("\u2581") : LK_STR(" ");
    while (lk_str_ends(lk_buf_str(b), space)) {
        b->n -= space.n;
        b->p[b->n] = '\0';
    }
}

static void normalize(const lk_pieces *p, lk_str text, lk_buf *ret)
{
    lk_str part = {0};
    size_t n = 0, at = 0;
    while (p->squeeze_spaces && at < text.n) {
        n = take(p, (lk_str){text.p + at, text.n - at}, &part);
        if (!lk_str_is(part, " "))
            break;
        at += n;
    }
    if (at == text.n)
        return;
    if (p->space_before)
        put_space(p, ret);
    for (bool after_space = p->squeeze_spaces; at < text.n; at += n) {
        n = take(p, (lk_str){text.p + at, text.n - at}, &part);
        size_t i = 0;
        while (after_space && i < part.n && part.p[i] == ' ')
            i++;
        if (i < part.n)
            after_space = p->squeeze_spaces && part.p[part.n - 1] == ' ';
        for (; i < part.n; i++)
            if (part.p[i] == ' ')
                put_space(p, ret);
            else
                lk_buf_putc(ret, part.p[i]);
    }
    if (p->squeeze_spaces)
        drop_spaces_behind(p, ret);
    if (p->space_behind)
        put_space(p, ret);
}

/* ---- ids ---- */

typedef struct out {
    const lk_pieces *p;
    int64_t *ids;
    size_t n, max;
    bool unknown; /* the last one was */
} out;

static void put(out *o, uint32_t id)
{
    if (o->n < o->max)
        o->ids[o->n++] = id;
}

static void put_piece(out *o, lk_str part)
{
    uint32_t id = lk_vocab_find(&o->p->texts, part);
    bool unknown = id == LK_NO_ID;
    if (!unknown)
        put(o, id);
    else if (o->p->byte_fallback)
        for (size_t i = 0; i < part.n; i++)
            put(o, o->p->bytes[(unsigned char)part.p[i]]);
    else if (!o->unknown)
        put(o, o->p->unk);
    o->unknown = unknown;
}

static lk_code put_normal(out *o, lk_str text, lk_err *err)
{
    lk_runes ends = {0};
    lk_code code = o->p->unigram ? lk_cut_by_score(o->p, text, &ends, err)
                                 : lk_cut_by_merging(o->p, text, &ends, err);
    size_t begin = 0;
    for (size_t i = 0; !code && i < ends.n; i++) {
        put_piece(o, (lk_str){text.p + begin, ends.p[i] - begin});
        begin = ends.p[i];
    }
    lk_runes_release(&ends);
    return code;
}

static lk_code encode(const lk_tokenizer *base, lk_str text, size_t max, int64_t *ids,
                      size_t *ret_n, lk_err *err)
{
    const sentencepiece *t = (const sentencepiece *)base;
    out o = {.p = &t->pieces, .ids = ids, .max = max};
    lk_buf valid, normal;
    lk_buf_init(&valid, MAX_NORMAL_BYTES);
    lk_buf_init(&normal, MAX_NORMAL_BYTES);
    put_valid(t, text, &valid);
    lk_code code = lk_buf_check(&valid, err);
    if (!code) {
        normalize(o.p, lk_buf_str(&valid), &normal);
        code = lk_buf_check(&normal, err);
    }
    if (!code)
        code = put_normal(&o, lk_buf_str(&normal), err);
    lk_buf_release(&valid);
    lk_buf_release(&normal);
    *ret_n = o.n;
    return code;
}

const lk_tokenizer_driver lk_tokenizer_sentencepiece = {
    .name = "sentencepiece",
    .size = sizeof(sentencepiece),
    .init = init,
    .release = release,
    .encode = encode,
};
