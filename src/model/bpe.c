/* CLIP's byte-level byte-pair encoding.
 *
 * A cleaned text is cut into pieces - runs of letters, single digits, runs of the rest, and the
 * endings 's 't 're 've 'm 'll 'd - and each piece's UTF-8 bytes are merged by rank. Vocabularies
 * write a byte as a printable character ("Ġ" for a space), and "</w>" behind the last of a word.
 *
 * LIKE_ORIGINAL equals open_clip's SimpleTokenizer but for what clean.c leaves out of ftfy; LIKE_HF
 * equals transformers' CLIPTokenizer (the fast one) of the same vocabulary. Both know the begin and
 * end token when a text spells them, each in its own spelling. */
#include "base/json.h"
#include "base/mem.h"
#include "model/clean.h"
#include "model/merge.h"
#include "model/tokenizer_kinds.h"
#include "model/vocab.h"

/* OpenAI's file holds more merges than the model was trained with, which is 49,408 ids less the
 * bytes twice and the two specials. */
#define OPENAI_MERGES (49408 - 512 - 2)

typedef struct bpe {
    lk_tokenizer base;
    uint32_t byte_ids[2][256]; /* within a word, and at its end */
    lk_pairs pairs;
} bpe;

/* ---- the vocabulary ---- */

/* While it is read: ids by string. */
typedef struct reader {
    lk_vocab vocab;
    lk_buf strings; /* those that stand in no file as they are */
    lk_json *json;
} reader;

static bool is_printable_byte(unsigned b)
{
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

/* The character that stands for each byte: itself when it is printable, else one from U+0100 on. */
static void spell_bytes(uint32_t ret[256])
{
    uint32_t next = 256;
    for (unsigned b = 0; b < 256; b++)
        ret[b] = is_printable_byte(b) ? b : next++;
}

/* The spelling of a byte to a string: "a" or "a</w>". */
static size_t spell(uint32_t cp, bool end, char ret[8])
{
    static const char mark[4] = {'<', '/', 'w', '>'};
    size_t n = lk_utf8_put(cp, ret);
    if (end)
        memcpy(ret + n, mark, sizeof mark);
    return end ? n + sizeof mark : n;
}

static lk_code find_bytes(bpe *t, const lk_vocab *v, lk_err *err)
{
    uint32_t spelled[256];
    spell_bytes(spelled);
    for (unsigned end = 0; end < 2; end++) {
        for (unsigned b = 0; b < 256; b++) {
            char s[8];
            size_t n = spell(spelled[b], end, s);
            t->byte_ids[end][b] = lk_vocab_find(v, (lk_str){s, n});
            if (t->byte_ids[end][b] == LK_NO_ID)
                return lk_fail(err, LK_E_MODEL, "the vocabulary lacks \"%.*s\"", (int)n, s);
        }
    }
    return LK_OK;
}

/* The next line of a merge file without its line end. */
static lk_str next_line(lk_str *text)
{
    lk_str line = lk_str_cut(text, '\n');
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static size_t count_merges(lk_str text, size_t max)
{
    size_t n = 0;
    while (text.n && n < max)
        n += next_line(&text).n > 0;
    return n;
}

static lk_code add_string(reader *r, uint32_t id, lk_str a, lk_str b, lk_err *err)
{
    char *at = lk_buf_reserve(&r->strings, a.n + b.n); /* reserved whole before: never moves */
    if (!at)
        return lk_buf_check(&r->strings, err);
    lk_buf_put(&r->strings, a.p, a.n);
    lk_buf_put(&r->strings, b.p, b.n);
    return lk_vocab_put(&r->vocab, id, (lk_str){at, a.n + b.n}, err);
}

/* OpenAI's form: ids are the bytes in the order of their spelling, the same at the end of a word,
 * the merges, begin and end token. */
static lk_code read_openai(bpe *t, reader *r, lk_str merges, size_t n_merges, lk_err *err)
{
    uint32_t spelled[256], id = 0;
    spell_bytes(spelled);
    lk_code code = lk_vocab_init(&r->vocab, 512 + n_merges + 2, err);
    if (!code && !lk_buf_reserve(&r->strings, 512 * 8 + merges.n))
        code = lk_buf_check(&r->strings, err);
    for (unsigned end = 0; end < 2; end++)
        for (unsigned printable = 2; printable-- > 0;)
            for (unsigned b = 0; !code && b < 256; b++) {
                char s[8];
                if (is_printable_byte(b) == printable)
                    code = add_string(r, id++, (lk_str){s, spell(spelled[b], end, s)}, LK_STR(""),
                                      err);
            }
    while (!code && id < 512 + n_merges) {
        lk_str right = next_line(&merges);
        if (right.n == 0)
            continue;
        lk_str left = lk_str_cut(&right, ' ');
        if (left.n == 0 || right.n == 0)
            code = lk_fail(err, LK_E_MODEL, "the merge of id %u has not two parts", id);
        else
            code = add_string(r, id++, left, right, err);
    }
    t->base.begin_id = id;
    t->base.end_id = id + 1;
    t->base.n_ids = id + 2;
    return code;
}

/* Hugging Face's form: vocab.json holds the ids by string. */
static lk_code read_hf(bpe *t, reader *r, lk_str vocab, lk_err *err)
{
    static const lk_str begin = {"<|startoftext|>", 15}, end = {"<|endoftext|>", 13};
    lk_str key;
    const lk_jval *v;
    int64_t n = 0;
    lk_code code = lk_json_parse(vocab, &r->json, err);
    if (code)
        return code;
    for (lk_jiter it = lk_jiter_of(lk_json_root(r->json)); lk_jiter_next(&it, &key, &v);) {
        int64_t id = lk_jval_int(v);
        if (lk_jval_type(v) != LK_J_INT || id < 0 || id >= (int64_t)LK_MAX_IDS)
            return lk_fail(err, LK_E_MODEL, "the id of \"%.*s\" is no id", LK_STR_ARG(key));
        n = id >= n ? id + 1 : n;
    }
    code = lk_vocab_init(&r->vocab, (size_t)n, err);
    for (lk_jiter it = lk_jiter_of(lk_json_root(r->json)); !code && lk_jiter_next(&it, &key, &v);)
        code = lk_vocab_put(&r->vocab, (uint32_t)lk_jval_int(v), key, err);
    if (code)
        return code;
    uint32_t begin_id = lk_vocab_find(&r->vocab, begin), end_id = lk_vocab_find(&r->vocab, end);
    if (begin_id == LK_NO_ID || end_id == LK_NO_ID)
        return lk_fail(err, LK_E_MODEL, "the vocabulary lacks %s or %s", begin.p, end.p);
    t->base.begin_id = begin_id;
    t->base.end_id = end_id;
    t->base.n_ids = n;
    return LK_OK;
}

/* "left right" to a pair of that rank; joined is scratch. */
static lk_code read_pair(const lk_vocab *v, lk_str line, uint32_t rank, lk_buf *joined,
                         lk_pair *ret, lk_err *err)
{
    lk_str right = line, left = lk_str_cut(&right, ' ');
    lk_buf_clear(joined);
    lk_buf_put(joined, left.p, left.n);
    lk_buf_put(joined, right.p, right.n);
    lk_code code = lk_buf_check(joined, err);
    if (code)
        return code;
    *ret = (lk_pair){lk_vocab_find(v, left), lk_vocab_find(v, right), rank,
                     lk_vocab_find(v, lk_buf_str(joined))};
    if (ret->left == LK_NO_ID || ret->right == LK_NO_ID || ret->merged == LK_NO_ID)
        return lk_fail(err, LK_E_MODEL, "the merge \"%.*s\" has parts without an id",
                       (int)(line.n < 80 ? line.n : 80), line.p);
    return LK_OK;
}

/* The first n merges, ranked as they come. */
static lk_code read_pairs(bpe *t, const lk_vocab *v, lk_str merges, size_t n, lk_err *err)
{
    lk_buf joined;
    lk_buf_init(&joined, 0);
    lk_code code = lk_pairs_init(&t->pairs, n, err);
    for (uint32_t rank = 0; !code && rank < n;) {
        lk_pair p;
        lk_str line = next_line(&merges);
        if (line.n == 0)
            continue;
        code = read_pair(v, line, rank++, &joined, &p, err);
        if (!code)
            lk_pairs_put(&t->pairs, &p);
    }
    lk_buf_release(&joined);
    return code;
}

static lk_code init(lk_tokenizer *base, const lk_tokenizer_opts *opts, lk_err *err)
{
    bpe *t = (bpe *)base;
    reader r = {0};
    lk_str vocab = {(const char *)opts->vocab.p, opts->vocab.n};
    lk_str merges = {(const char *)opts->merges.p, opts->merges.n};
    bool hf = merges.n > 0;
    size_t most = hf ? SIZE_MAX : OPENAI_MERGES;
    if (!hf)
        merges = vocab;
    if (!hf || lk_str_starts(merges, LK_STR("#version")))
        (void)next_line(&merges);
    size_t n_merges = count_merges(merges, most);
    lk_buf_init(&r.strings, 0);
    lk_code code = hf ? read_hf(t, &r, vocab, err) : read_openai(t, &r, merges, n_merges, err);
    if (!code)
        code = find_bytes(t, &r.vocab, err);
    if (!code)
        code = read_pairs(t, &r.vocab, merges, n_merges, err);
    if (base->pad_id < 0)
        base->pad_id = base->like == LK_TOK_LIKE_HF ? base->end_id : 0;
    lk_vocab_release(&r.vocab);
    lk_buf_release(&r.strings);
    lk_json_free(r.json);
    return code;
}

static void release(lk_tokenizer *base)
{
    lk_pairs_release(&((bpe *)base)->pairs);
}

/* ---- pieces ---- */

/* A combining mark whose other case is a letter. Where case is ignored, Python's regex takes it
 * neither for a letter nor for anything else, and open_clip drops it. */
#define IOTA_BELOW 0x345

typedef struct special {
    const char *begin, *end; /* as a text spells them */
} special;

static const special specials[] = {
    [LK_TOK_LIKE_ORIGINAL] = {"<start_of_text>", "<end_of_text>"},
    [LK_TOK_LIKE_HF] = {"<|startoftext|>", "<|endoftext|>"},
};

/* Does p[n] begin with z? `fold`: and "\u017f" is an "s", as where case is ignored. Returns z's
 * length, 0 for no. */
static size_t matches(const uint32_t *p, size_t n, const char *z, bool fold)
{
    size_t i = 0;
    for (; z[i]; i++)
        if (i == n || (p[i] != (unsigned char)z[i] && !(fold && z[i] == 's' && p[i] == 0x17f)))
            return 0;
    return i;
}

static bool is_rest(uint32_t cp)
{
    return !lk_uc_is_letter(cp) && !lk_uc_is_number(cp) && !lk_uc_is_space(cp);
}

static bool is_rest_folded(uint32_t cp)
{
    return is_rest(cp) && cp != IOTA_BELOW;
}

/* What parts pieces and belongs to none. */
static bool is_between(const lk_tokenizer *t, uint32_t cp)
{
    return lk_uc_is_space(cp) || (t->like == LK_TOK_LIKE_ORIGINAL && cp == IOTA_BELOW);
}

/* Length of the piece at p[0], which is not between pieces. */
static size_t piece_at(const lk_tokenizer *t, const uint32_t *p, size_t n)
{
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    bool fold = t->like == LK_TOK_LIKE_ORIGINAL;
    size_t i = matches(p, n, specials[t->like].begin, fold);
    if (!i)
        i = matches(p, n, specials[t->like].end, fold);
    for (size_t k = 0; !i && p[0] == '\'' && k < LK_ARRAY_LEN(endings); k++)
        i = matches(p, n, endings[k], fold);
    if (i || lk_uc_is_number(p[0]))
        return i ? i : 1;
    bool (*is_like_it)(uint32_t cp) = lk_uc_is_letter(p[0]) ? lk_uc_is_letter
                                      : fold                ? is_rest_folded
                                                            : is_rest;
    while (i < n && is_like_it(p[i]))
        i++;
    return i;
}

/* ---- encoding ---- */

typedef struct out {
    const bpe *t;
    int64_t *ids;
    size_t n, max;
    lk_runes symbols; /* scratch: ids of a piece */
} out;

static void put(out *o, int64_t id)
{
    if (o->n < o->max)
        o->ids[o->n++] = id;
}

static lk_code put_piece(out *o, const uint32_t *p, size_t n, lk_err *err)
{
    o->symbols.n = 0;
    for (size_t i = 0; i < n; i++) {
        char bytes[4];
        size_t n_bytes = lk_utf8_put(p[i], bytes);
        for (size_t k = 0; k < n_bytes; k++) {
            bool end = i + 1 == n && k + 1 == n_bytes;
            lk_runes_put(&o->symbols, o->t->byte_ids[end][(unsigned char)bytes[k]]);
        }
    }
    if (o->symbols.failed)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a text");
    lk_code code = lk_merge(&o->t->pairs, o->symbols.p, &o->symbols.n, err);
    for (size_t i = 0; !code && i < o->symbols.n; i++)
        put(o, o->symbols.p[i]);
    return code;
}

/* text[n] is clean. Pieces behind the last id that is wanted are not looked at. */
static lk_code put_clean(out *o, const uint32_t *text, size_t n, lk_err *err)
{
    const lk_tokenizer *t = &o->t->base;
    const special *s = &specials[t->like];
    lk_code code = LK_OK;
    for (size_t i = 0, len; !code && i < n && o->n < o->max; i += len) {
        bool between = is_between(t, text[i]);
        len = between ? 1 : piece_at(t, text + i, n - i);
        if (between)
            continue;
        if (t->like == LK_TOK_LIKE_ORIGINAL && len == matches(text + i, len, s->begin, false))
            put(o, t->begin_id);
        else if (t->like == LK_TOK_LIKE_ORIGINAL && len == matches(text + i, len, s->end, false))
            put(o, t->end_id);
        else
            code = put_piece(o, text + i, len, err);
    }
    return code;
}

static lk_code encode_original(out *o, lk_str text, lk_err *err)
{
    lk_runes clean = {0};
    lk_clean_open_clip(text, &clean);
    lk_code code = clean.failed ? lk_fail(err, LK_E_NOMEM, "out of memory for a text")
                                : put_clean(o, clean.p, clean.n, err);
    lk_runes_release(&clean);
    return code;
}

/* Here the specials are taken out of the text as it came, and what lies between is cleaned each for
 * itself. */
static lk_code encode_hf(out *o, lk_str text, lk_err *err)
{
    lk_str begin = lk_str_of(specials[LK_TOK_LIKE_HF].begin);
    lk_str end = lk_str_of(specials[LK_TOK_LIKE_HF].end);
    lk_runes clean = {0};
    lk_code code = LK_OK;
    while (!code && text.n && o->n < o->max) {
        size_t a = lk_str_find(text, begin), b = lk_str_find(text, end), at = a < b ? a : b;
        lk_str part = {text.p, at < text.n ? at : text.n};
        size_t used = at == SIZE_MAX ? text.n : at + (a < b ? begin.n : end.n);
        clean.n = 0;
        lk_clean_hf_clip(part, &clean);
        code = clean.failed ? lk_fail(err, LK_E_NOMEM, "out of memory for a text")
                            : put_clean(o, clean.p, clean.n, err);
        if (at != SIZE_MAX)
            put(o, a < b ? o->t->base.begin_id : o->t->base.end_id);
        text = (lk_str){text.p + used, text.n - used};
    }
    lk_runes_release(&clean);
    return code;
}

static lk_code encode(const lk_tokenizer *base, lk_str text, size_t max, int64_t *ids,
                      size_t *ret_n, lk_err *err)
{
    out o = {.t = (const bpe *)base, .ids = ids, .max = max};
    lk_code code =
        base->like == LK_TOK_LIKE_HF ? encode_hf(&o, text, err) : encode_original(&o, text, err);
    lk_runes_release(&o.symbols);
    *ret_n = o.n;
    return code;
}

const lk_tokenizer_driver lk_tokenizer_bpe = {
    .name = "bpe",
    .size = sizeof(bpe),
    .init = init,
    .release = release,
    .encode = encode,
};
