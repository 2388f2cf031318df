#include "model/words.h"

#include "base/mem.h"
#include "model/tokenizer_kinds.h"

struct lk_words {
    lk_str *terms; /* [n], by id */
    size_t n;
    uint32_t *slots; /* open addressing over ids; 0 (the padding's id) is empty */
    size_t mask;
    size_t max_words; /* in one term */
    size_t max_chars; /* in one Chinese term */
};

static uint64_t hash_of(lk_str s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* The term's slot, or the empty one where it would stand. */
static size_t find(const lk_words *w, lk_str s)
{
    size_t i = hash_of(s) & w->mask;
    while (w->slots[i] && !lk_str_eq(w->terms[w->slots[i]], s))
        i = (i + 1) & w->mask;
    return i;
}

static bool is_chinese(uint32_t cp)
{
    return cp >= 0x3400 && cp <= 0x9fff;
}
static bool is_alnum(uint32_t cp)
{
    return (cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9');
}
static bool is_joiner(uint32_t cp)
{
    return cp == '\'' || cp == '.' || cp == '-';
}

static void measure(lk_words *w, lk_str term)
{
    size_t words = 1, chars = 0;
    for (size_t i = 0; i < term.n; chars++)
        words += lk_utf8_next(term, &i) == ' ';
    if (words > w->max_words)
        w->max_words = words;
    if (chars > w->max_chars)
        w->max_chars = chars;
}

lk_code lk_words_new(lk_str vocab, lk_words **ret, lk_err *err)
{
    size_t n = 0, cap = 1;
    for (size_t i = 0; i < vocab.n; i++)
        n += vocab.p[i] == '\n';
    n += vocab.n > 0 && vocab.p[vocab.n - 1] != '\n';
    if (n < 2 || n > UINT32_MAX / 4)
        return lk_fail(err, LK_E_MODEL, "the word list has %zu terms", n);
    while (cap < 2 * n)
        cap *= 2;
    lk_words *w = lk_calloc(1, sizeof *w);
    if (w) {
        w->terms = lk_alloc_array(n, sizeof *w->terms);
        w->slots = lk_calloc(cap, sizeof *w->slots);
    }
    if (!w || !w->terms || !w->slots) {
        lk_words_free(w);
        return lk_fail(err, LK_E_NOMEM, "out of memory for the word list");
    }
    w->mask = cap - 1;
    for (; w->n < n; w->n++) {
        lk_str term = lk_str_cut(&vocab, '\n');
        if (term.n && term.p[term.n - 1] == '\r')
            term.n--;
        w->terms[w->n] = term;
        if (w->n == 0)
            continue;
        size_t at = find(w, term);
        if (w->slots[at]) {
            lk_code code =
                lk_fail(err, LK_E_MODEL, "the word list has \"%.*s\" twice", LK_STR_ARG(term));
            lk_words_free(w);
            return code;
        }
        w->slots[at] = (uint32_t)w->n;
        measure(w, term);
    }
    *ret = w;
    return LK_OK;
}

void lk_words_free(lk_words *w)
{
    if (!w)
        return;
    lk_free(w->terms);
    lk_free(w->slots);
    lk_free(w);
}

/* ---- a text ---- */

typedef struct out {
    int64_t *ids;
    size_t n, max;
} out;

static bool put_known(const lk_words *w, lk_str term, out *o)
{
    uint32_t id = w->slots[find(w, term)];
    if (id)
        o->ids[o->n++] = id;
    return id != 0;
}

/* words[n] as offsets into low; `joined` has room for all of them with single spaces. */
static void take_words(const lk_words *w, const lk_str *words, size_t n, char *joined, out *o)
{
    for (size_t i = 0; i < n && o->n < o->max;) {
        size_t most = n - i < w->max_words ? n - i : w->max_words, run = most;
        for (; run > 0; run--) {
            size_t len = 0;
            for (size_t j = 0; j < run; j++) {
                if (j)
                    joined[len++] = ' ';
                memcpy(joined + len, words[i + j].p, words[i + j].n);
                len += words[i + j].n;
            }
            if (put_known(w, (lk_str){joined, len}, o))
                break;
        }
        i += run ? run : 1;
    }
}

/* A run that begins and ends with a Chinese character. */
static void take_chinese(const lk_words *w, lk_str run, out *o)
{
    while (run.n && o->n < o->max) {
        size_t ends[64], n = 0, at = 0, taken = 0;
        size_t most = w->max_chars < LK_ARRAY_LEN(ends) ? w->max_chars : LK_ARRAY_LEN(ends);
        do { /* one character at least, whatever the list holds */
            (void)lk_utf8_next(run, &at);
            ends[n++] = at;
        } while (at < run.n && n < most);
        for (size_t k = n; k > 0 && !taken; k--)
            if (put_known(w, (lk_str){run.p, ends[k - 1]}, o))
                taken = ends[k - 1];
        if (!taken)
            taken = ends[0];
        run.p += taken;
        run.n -= taken;
    }
}

/* From a Chinese character on: over Chinese and [a-z0-9], back to the last Chinese one. */
static size_t chinese_end(lk_str low, size_t from)
{
    size_t end = from;
    for (size_t i = from; i < low.n;) {
        uint32_t cp = lk_utf8_next(low, &i);
        if (is_chinese(cp))
            end = i;
        else if (!is_alnum(cp))
            break;
    }
    return end;
}

static lk_str next_word(lk_str low, size_t from, size_t *ret_end)
{
    size_t end = from;
    while (end < low.n &&
           (is_alnum((unsigned char)low.p[end]) || is_joiner((unsigned char)low.p[end])))
        end++;
    *ret_end = end;
    while (end > from && is_joiner((unsigned char)low.p[end - 1]))
        end--;
    return (lk_str){low.p + from, end - from};
}

static void walk(const lk_words *w, lk_str low, lk_str *words, char *joined, out *o)
{
    size_t n = 0;
    for (size_t i = 0; i < low.n;) {
        size_t at = i;
        uint32_t cp = lk_utf8_next(low, &i);
        if (is_chinese(cp)) {
            take_words(w, words, n, joined, o);
            n = 0;
            i = chinese_end(low, at);
            take_chinese(w, (lk_str){low.p + at, i - at}, o);
        } else if (is_alnum(cp)) {
            words[n++] = next_word(low, at, &i);
        }
    }
    take_words(w, words, n, joined, o);
}

lk_code lk_words_tokenize(const lk_words *w, lk_str text, size_t max, int64_t *ids, size_t *ret_n,
                          lk_err *err)
{
    out o = {ids, 0, max};
    char *low = lk_strndup(text.p, text.n), *joined = lk_malloc(2 * text.n + 1);
    lk_str *words = lk_alloc_array(text.n / 2 + 1, sizeof *words);
    lk_code code = LK_OK;
    if (low && joined && words) {
        for (size_t i = 0; i < text.n; i++)
            if (low[i] >= 'A' && low[i] <= 'Z')
                low[i] = (char)(low[i] + ('a' - 'A'));
        walk(w, (lk_str){low, text.n}, words, joined, &o);
        *ret_n = o.n;
    } else {
        code = lk_fail(err, LK_E_NOMEM, "out of memory for the words");
    }
    lk_free(words);
    lk_free(joined);
    lk_free(low);
    return code;
}

/* ---- as a kind of tokenizer ---- */

typedef struct words_tokenizer {
    lk_tokenizer base;
    lk_words *words;
} words_tokenizer;

static lk_code init(lk_tokenizer *t, const lk_tokenizer_opts *opts, lk_err *err)
{
    words_tokenizer *self = (words_tokenizer *)t;
    lk_code code =
        lk_words_new((lk_str){(const char *)opts->vocab.p, opts->vocab.n}, &self->words, err);
    if (code)
        return code;
    t->begin_id = t->end_id = -1;
    t->pad_id = t->pad_id < 0 ? 0 : t->pad_id;
    t->n_ids = (int64_t)self->words->n;
    return LK_OK;
}

static void release(lk_tokenizer *t)
{
    lk_words_free(((words_tokenizer *)t)->words);
}

static lk_code encode(const lk_tokenizer *t, lk_str text, size_t max, int64_t *ids, size_t *ret_n,
                      lk_err *err)
{
    return lk_words_tokenize(((const words_tokenizer *)t)->words, text, max, ids, ret_n, err);
}

const lk_tokenizer_driver lk_tokenizer_words = {
    .name = "words",
    .size = sizeof(words_tokenizer),
    .init = init,
    .release = release,
    .encode = encode,
};
