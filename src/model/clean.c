/* ftfy mends texts on their way into CLIP, in training and ever since, so the mending is part of
 * the model. It is done here line by line and fix by fix in ftfy's order (6.3), over and over until
 * a line no longer changes:
 *
 *   references of HTML (unless a "<" came before) - C1 controls - Latin ligatures - full and half
 *   width - curly quotes - line breaks - terminal escapes - control characters - NFC
 *
 * Left out is its guess at wrongly decoded text ("sÃ³" for "só"). That is a heuristic of hundreds
 * of character pairs, made to mend archives; a query typed by a person has no use for it, and where
 * it does strike it may change what was meant.
 *
 * One thing is bounded that is not in ftfy: "&amp;amp;amp;…" loses one level in each round, which
 * makes the rounds as many as the text is long. After MAX_ROUNDS a line stays as it is. */
#include "model/clean.h"

#include "base/mem.h"
#include "model/html.h"

enum { MAX_ROUNDS = 32 };

/* ---- one character at a time ---- */

static const char *ligature_of(uint32_t cp)
{
    static const char *const typographic[] = {"ff", "fi", "fl", "ffi", "ffl"};
    static const char *const digraphs[] = {"D\u017d", "D\u017e", "d\u017e", "LJ", "Lj",
                                           "lj",      "NJ",      "Nj",      "nj"};
    if (cp >= 0xfb00 && cp <= 0xfb04)
        return typographic[cp - 0xfb00];
    if (cp >= 0x1c4 && cp <= 0x1cc)
        return digraphs[cp - 0x1c4];
    switch (cp) {
    case 0x132:
        return "IJ";
    case 0x133:
        return "ij";
    case 0x149:
        return "\u02bcn";
    case 0x1f1:
        return "DZ";
    case 0x1f2:
        return "Dz";
    case 0x1f3:
        return "dz";
    case 0xfb05:
        return "\u017ft";
    case 0xfb06:
        return "st";
    default:
        return NULL;
    }
}

static uint32_t straight_quote(uint32_t cp)
{
    if (cp == 0x2bc || (cp >= 0x2018 && cp <= 0x201b))
        return '\'';
    return cp >= 0x201c && cp <= 0x201f ? '"' : cp;
}

static void put_mended(lk_runes *out, uint32_t cp)
{
    cp = lk_html_c1(cp);
    size_t from = out->n;
    const char *ligature = cp > 0x130 ? ligature_of(cp) : NULL;
    if (ligature)
        lk_runes_put_utf8(out, lk_str_of(ligature));
    else if (cp == 0x3000)
        lk_runes_put(out, ' ');
    else
        lk_runes_put_usual_width(out, cp);
    for (size_t i = from; i < out->n; i++)
        out->p[i] = straight_quote(out->p[i]);
}

/* ---- one line ---- */

/* "\r\n", "\r" and Unicode's line breaks to "\n", in place. U+0085 is no longer there: as a C1
 * control it has become an ellipsis. */
static void mend_breaks(lk_runes *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint32_t cp = r->p[i];
        if (cp == '\r' && i + 1 < r->n && r->p[i + 1] == '\n')
            continue;
        r->p[n++] = cp == '\r' || cp == 0x2028 || cp == 0x2029 ? '\n' : cp;
    }
    r->n = n;
}

/* ESC [ digits and semicolons, a letter: how many code points, 0 for none. */
static size_t terminal_escape(const uint32_t *p, size_t n)
{
    size_t i = 2;
    if (n < 3 || p[0] != 0x1b || p[1] != '[')
        return 0;
    while (i < n && (p[i] == ';' || lk_uc_is_decimal(p[i])))
        i++;
    return i < n && (p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z' ? i + 1 : 0;
}

static bool is_unwanted(uint32_t cp)
{
    if (cp < 0x20)
        return cp != '\t' && cp != '\n' && cp != '\f' && cp != '\r';
    return cp == 0x7f || (cp >= 0x206a && cp <= 0x206f) || cp == 0xfeff ||
           (cp >= 0xfff9 && cp <= 0xfffc);
}

static void drop_controls(lk_runes *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n;) {
        size_t escape = terminal_escape(r->p + i, r->n - i);
        if (!escape && !is_unwanted(r->p[i]))
            r->p[n++] = r->p[i];
        i += escape ? escape : 1;
    }
    r->n = n;
}

static bool equal(const lk_runes *a, const lk_runes *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n * sizeof *a->p) == 0);
}

/* Mend *line in place; a and b are scratch. */
static void mend_line(lk_runes *line, bool html, lk_runes *a, lk_runes *b)
{
    for (int round = 0; round < MAX_ROUNDS; round++) {
        a->n = b->n = 0;
        if (html)
            lk_html_unescape(line->p, line->n, LK_HTML_STRICT, a);
        else
            lk_runes_put_all(a, line->p, line->n);
        for (size_t i = 0; i < a->n; i++)
            put_mended(b, a->p[i]);
        mend_breaks(b);
        drop_controls(b);
        lk_runes_compose(b, 0);
        line->failed |= a->failed || b->failed;
        if (line->failed || equal(line, b))
            return;
        line->n = 0;
        lk_runes_put_all(line, b->p, b->n);
    }
}

static void fix_text(const lk_runes *in, lk_runes *out)
{
    lk_runes line = {0}, a = {0}, b = {0};
    bool html = true;
    for (size_t i = 0, end; i < in->n && !out->failed; i = end) {
        for (end = i; end < in->n && in->p[end] != '\n'; end++)
            html &= in->p[end] != '<'; /* from the first one on it is HTML, and left alone */
        end += end < in->n;
        line.n = 0;
        lk_runes_put_all(&line, in->p + i, end - i);
        mend_line(&line, html, &a, &b);
        lk_runes_put_all(out, line.p, line.n);
        out->failed |= line.failed;
    }
    lk_runes_release(&line);
    lk_runes_release(&a);
    lk_runes_release(&b);
}

/* ---- the whole text ---- */

/* What Python's str.split() cuts at: white space, and four separators among the controls. */
static bool is_python_space(uint32_t cp)
{
    return lk_uc_is_space(cp) || (cp >= 0x1c && cp <= 0x1f);
}

static void put_lower(const uint32_t *p, size_t n, bool final_sigma, lk_runes *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t low[2];
        size_t n_low = lk_uc_lower(p[i], low);
        if (p[i] == 0x3a3 && final_sigma && lk_uc_is_final_sigma(p, n, i))
            low[0] = 0x3c2;
        lk_runes_put_all(out, low, n_low);
    }
}

/* Runs of white space to single spaces and none at the ends, in place. */
static void squeeze(lk_runes *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        bool space = is_python_space(r->p[i]);
        if (!space || (n && r->p[n - 1] != ' '))
            r->p[n++] = space ? ' ' : r->p[i];
    }
    r->n = n && r->p[n - 1] == ' ' ? n - 1 : n;
}

void lk_clean_open_clip(lk_str text, lk_runes *ret)
{
    lk_runes a = {0}, b = {0};
    lk_runes_put_utf8(&a, text);
    fix_text(&a, &b);
    for (int twice = 0; twice < 2; twice++) {
        a.n = 0;
        lk_html_unescape(b.p, b.n, LK_HTML_LENIENT, &a);
        b.n = 0;
        lk_runes_put_all(&b, a.p, a.n);
    }
    squeeze(&b);
    put_lower(b.p, b.n, true, ret);
    ret->failed |= a.failed || b.failed;
    lk_runes_release(&a);
    lk_runes_release(&b);
}

void lk_clean_hf_clip(lk_str text, lk_runes *ret)
{
    lk_runes a = {0};
    lk_runes_put_utf8(&a, text);
    lk_runes_compose(&a, 0);
    put_lower(a.p, a.n, false, ret);
    ret->failed |= a.failed;
    lk_runes_release(&a);
}
