/* BERT's WordPiece.
 *
 * Controls go, white space parts words, and so does each Chinese character and each punctuation
 * mark, which are words of their own. Unless case is kept, a word is lower-cased and loses its
 * accents. Of a word the longest known head is taken, then of its rest the longest known with "##"
 * before it, and so on; a word where that gets stuck is [UNK] as a whole.
 *
 * Two programs are followed, which differ in corners:
 *
 *                            LIKE_ORIGINAL (Google's)     LIKE_HF (transformers, the fast one)
 *   longest word             200 characters               100
 *   private characters       as any other                 dropped
 *   U+2B820 to U+2B91F       Chinese                      not
 *   case and accents         lower case, then accents;    accents, then lower case letter by
 *                            final sigma                  letter
 *   [CLS] in a text          punctuation and a word       the token
 *
 * LIKE_HF's tables of characters are of Unicode 8, and marks and punctuation that are younger count
 * there as letters; here they are what they are. */
#include "base/mem.h"
#include "model/tokenizer_kinds.h"
#include "model/unicode.h"
#include "model/vocab.h"

#define MAX_WORD 200 /* characters */

enum { UNK, CLS, SEP, PAD, MASK, N_SPECIALS };

static const char *const specials[N_SPECIALS] = {
    [UNK] = "[UNK]", [CLS] = "[CLS]", [SEP] = "[SEP]", [PAD] = "[PAD]", [MASK] = "[MASK]"};

typedef struct wordpiece {
    lk_tokenizer base;
    lk_vocab vocab;
    uint32_t special_ids[N_SPECIALS]; /* LK_NO_ID: not in this vocabulary */
    size_t max_word;
    bool lower_case;
} wordpiece;

/* ---- the vocabulary: a string a line, its id the line's number from 0 ---- */

static size_t count_lines(lk_str text)
{
    size_t n = 0;
    for (; text.n; n++)
        (void)lk_str_cut(&text, '\n');
    return n;
}

/* Of two equal strings the later one counts, as in a Python dictionary; so the last comes first. */
static lk_code read_vocab(lk_vocab *v, lk_str text, lk_err *err)
{
    size_t n = count_lines(text);
    lk_code code = lk_vocab_init(v, n, err);
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    for (size_t id = n; !code && id-- > 0;) {
        size_t begin = text.n;
        while (begin > 0 && text.p[begin - 1] != '\n')
            begin--;
        lk_str line = {text.p + begin, text.n - begin};
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n)
            code = lk_vocab_put_first(v, (uint32_t)id, line, err);
        text.n = begin ? begin - 1 : 0;
    }
    return code;
}

static lk_code init(lk_tokenizer *base, const lk_tokenizer_opts *opts, lk_err *err)
{
    wordpiece *t = (wordpiece *)base;
    lk_code code = read_vocab(&t->vocab, (lk_str){(const char *)opts->vocab.p, opts->vocab.n}, err);
    if (code)
        return code;
    for (size_t i = 0; i < N_SPECIALS; i++) {
        t->special_ids[i] = lk_vocab_find(&t->vocab, lk_str_of(specials[i]));
        if (t->special_ids[i] == LK_NO_ID && i != MASK)
            return lk_fail(err, LK_E_MODEL, "the vocabulary lacks %s", specials[i]);
    }
    t->max_word = base->like == LK_TOK_LIKE_HF ? 100 : MAX_WORD;
    t->lower_case = opts->lower_case;
    base->begin_id = t->special_ids[CLS];
    base->end_id = t->special_ids[SEP];
    base->n_ids = (int64_t)t->vocab.n;
    if (base->pad_id < 0)
        base->pad_id = t->special_ids[PAD];
    return LK_OK;
}

static void release(lk_tokenizer *base)
{
    lk_vocab_release(&((wordpiece *)base)->vocab);
}

/* ---- characters ---- */

static bool is_chinese(uint32_t cp, lk_tokenizer_like like)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
           (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2b81f) ||
           (cp >= (like == LK_TOK_LIKE_HF ? 0x2b920 : 0x2b820) && cp <= 0x2ceaf) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

/* All of ASCII that is neither letter nor digit counts. */
static bool is_punctuation(uint32_t cp)
{
    return (cp >= '!' && cp <= '/') || (cp >= ':' && cp <= '@') || (cp >= '[' && cp <= '`') ||
           (cp >= '{' && cp <= '~') || lk_uc_is_punctuation(cp);
}

static bool is_dropped(uint32_t cp, lk_tokenizer_like like)
{
    if (cp == '\t' || cp == '\n' || cp == '\r')
        return false;
    return cp == 0 || cp == 0xfffd || lk_uc_is_control_or_format(cp) ||
           (like == LK_TOK_LIKE_HF && lk_uc_is_private(cp));
}

/* ---- words ---- */

typedef struct out {
    const wordpiece *t;
    int64_t *ids;
    size_t n, max;
} out;

static void put(out *o, uint32_t id)
{
    if (o->n < o->max)
        o->ids[o->n++] = id;
}

/* A word as bytes. Two bytes stand free before it, for the "##". */
typedef struct spelled {
    char bytes[2 + 4 * MAX_WORD];
    size_t starts[MAX_WORD + 1]; /* of each character in bytes, and the end of all */
    size_t n;
} spelled;

static void spell(const uint32_t *word, size_t n, spelled *ret)
{
    ret->n = n;
    ret->starts[0] = 2;
    for (size_t i = 0; i < n; i++)
        ret->starts[i + 1] = ret->starts[i] + lk_utf8_put(word[i], ret->bytes + ret->starts[i]);
}

/* The longest string of the vocabulary at character *at, and *at moved behind it. What stands
 * before *at is overwritten. */
static uint32_t take_longest(const lk_vocab *v, spelled *s, size_t *at)
{
    size_t begin = s->starts[*at], end = s->n;
    if (*at > 0) {
        begin -= 2;
        s->bytes[begin] = s->bytes[begin + 1] = '#';
    }
    for (; end > *at; end--) {
        lk_str part = {s->bytes + begin, s->starts[end] - begin};
        uint32_t id = part.n <= v->longest ? lk_vocab_find(v, part) : LK_NO_ID;
        if (id != LK_NO_ID) {
            *at = end;
            return id;
        }
    }
    return LK_NO_ID;
}

static void put_word(out *o, const uint32_t *word, size_t n)
{
    spelled s;
    uint32_t ids[MAX_WORD];
    size_t n_ids = 0, at = 0;
    if (n <= o->t->max_word) {
        spell(word, n, &s);
        while (at < n && (ids[n_ids] = take_longest(&o->t->vocab, &s, &at)) != LK_NO_ID)
            n_ids++;
    }
    if (at < n) {
        put(o, o->t->special_ids[UNK]);
        return;
    }
    for (size_t i = 0; i < n_ids; i++)
        put(o, ids[i]);
}

/* text[n] holds words between white space; each punctuation mark is one of its own. Words behind
 * the last id that is wanted are not looked at. */
static void put_words(out *o, const uint32_t *text, size_t n)
{
    for (size_t i = 0, end; i < n && o->n < o->max; i = end) {
        end = i + 1;
        if (lk_uc_is_space(text[i]))
            continue;
        if (!is_punctuation(text[i]))
            while (end < n && !lk_uc_is_space(text[end]) && !is_punctuation(text[end]))
                end++;
        put_word(o, text + i, end - i);
    }
}

/* ---- texts ---- */

/* Append what is kept of text, with spaces for all white space that the reference means by it, and
 * around Chinese characters. */
static void put_kept(const wordpiece *t, lk_str text, lk_runes *ret)
{
    for (size_t i = 0; i < text.n;) {
        uint32_t cp = lk_utf8_next(text, &i);
        bool chinese = is_chinese(cp, t->base.like);
        if (is_dropped(cp, t->base.like))
            continue;
        if (chinese)
            lk_runes_put(ret, ' ');
        lk_runes_put(ret, cp);
        if (chinese)
            lk_runes_put(ret, ' ');
    }
}

static void drop_accents(lk_runes *r)
{
    size_t n = 0;
    lk_runes_decompose(r, 0);
    for (size_t i = 0; i < r->n; i++)
        if (!lk_uc_is_nonspacing(r->p[i]))
            r->p[n++] = r->p[i];
    r->n = n;
}

/* The context of a sigma is its word: white space is neither cased nor passed over. */
static void put_lower(const lk_runes *in, bool final_sigma, lk_runes *ret)
{
    for (size_t i = 0; i < in->n; i++) {
        uint32_t low[2];
        size_t n = lk_uc_lower(in->p[i], low);
        if (in->p[i] == 0x3a3 && final_sigma && lk_uc_is_final_sigma(in->p, in->n, i))
            low[0] = 0x3c2;
        lk_runes_put_all(ret, low, n);
    }
}

static lk_code put_text(out *o, lk_str text, lk_err *err)
{
    lk_runes kept = {0}, low = {0};
    bool google = o->t->base.like == LK_TOK_LIKE_ORIGINAL;
    put_kept(o->t, text, &kept);
    if (o->t->lower_case && !google)
        drop_accents(&kept);
    if (o->t->lower_case)
        put_lower(&kept, google, &low);
    if (o->t->lower_case && google)
        drop_accents(&low);
    const lk_runes *words = o->t->lower_case ? &low : &kept;
    lk_code code =
        kept.failed || low.failed ? lk_fail(err, LK_E_NOMEM, "out of memory for a text") : LK_OK;
    if (!code)
        put_words(o, words->p, words->n);
    lk_runes_release(&kept);
    lk_runes_release(&low);
    return code;
}

/* Which special begins text, or N_SPECIALS. */
static size_t special_at(const wordpiece *t, lk_str text)
{
    size_t i = 0;
    while (i < N_SPECIALS &&
           (t->special_ids[i] == LK_NO_ID || !lk_str_starts(text, lk_str_of(specials[i]))))
        i++;
    return i;
}

/* Specials are taken out of the text as it came, and what lies between is treated each for itself.
 */
static lk_code encode_hf(out *o, lk_str text, lk_err *err)
{
    lk_code code = LK_OK;
    size_t begin = 0;
    for (size_t i = 0; !code && i < text.n && o->n < o->max; i++) {
        size_t s =
            text.p[i] == '[' ? special_at(o->t, (lk_str){text.p + i, text.n - i}) : N_SPECIALS;
        if (s == N_SPECIALS)
            continue;
        code = put_text(o, (lk_str){text.p + begin, i - begin}, err);
        put(o, o->t->special_ids[s]);
        begin = i + strlen(specials[s]);
        i = begin - 1;
    }
    if (!code && o->n < o->max)
        code = put_text(o, (lk_str){text.p + begin, text.n - begin}, err);
    return code;
}

static lk_code encode(const lk_tokenizer *base, lk_str text, size_t max, int64_t *ids,
                      size_t *ret_n, lk_err *err)
{
    out o = {.t = (const wordpiece *)base, .ids = ids, .max = max};
    lk_code code =
        base->like == LK_TOK_LIKE_HF ? encode_hf(&o, text, err) : put_text(&o, text, err);
    *ret_n = o.n;
    return code;
}

const lk_tokenizer_driver lk_tokenizer_wordpiece = {
    .name = "wordpiece",
    .size = sizeof(wordpiece),
    .init = init,
    .release = release,
    .encode = encode,
};
