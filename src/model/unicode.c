/* The one file that knows libutf8proc.
 *
 * Its whole-string functions are passed over: they take UTF-8 and allocate on their own, and put
 * combining marks in order by swapping neighbours, which a text of nothing but marks makes
 * quadratic. Here marks are counted into their classes, and only the tables are asked. */
#include "model/unicode.h"

#include <utf8proc.h>

#include "base/mem.h"

void lk_runes_release(lk_runes *r)
{
    lk_free(r->p);
    *r = (lk_runes){0};
}

static bool reserve(lk_runes *r, size_t more)
{
    void *p = r->p;
    size_t want;
    if (r->failed || !lk_add_size(r->n, more, &want) ||
        (want > r->cap && !lk_grow(&p, &r->cap, want, sizeof *r->p)))
        r->failed = true;
    else
        r->p = p;
    return !r->failed;
}

void lk_runes_put(lk_runes *r, uint32_t cp)
{
    if (r->n < r->cap || reserve(r, 1))
        r->p[r->n++] = cp;
}

void lk_runes_put_ascii(lk_runes *r, const char *z)
{
    while (*z)
        lk_runes_put(r, (unsigned char)*z++);
}

void lk_runes_put_all(lk_runes *r, const uint32_t *p, size_t n)
{
    if (n == 0 || !reserve(r, n))
        return;
    memcpy(r->p + r->n, p, n * sizeof *p);
    r->n += n;
}

void lk_runes_put_utf8(lk_runes *r, lk_str text)
{
    if (!reserve(r, text.n))
        return;
    for (size_t i = 0; i < text.n;)
        r->p[r->n++] = lk_utf8_next(text, &i);
}

/* ---- canonical forms ---- */

static unsigned class_of(uint32_t cp)
{
    return (unsigned)utf8proc_get_property((utf8proc_int32_t)cp)->combining_class;
}

/* Order a run of combining marks by class, equal ones as they came; scratch[n]. */
static void order_marks(uint32_t *p, size_t n, uint32_t *scratch)
{
    size_t at[257] = {0};
    for (size_t i = 0; i < n; i++)
        at[class_of(p[i]) + 1]++;
    for (size_t c = 1; c < LK_ARRAY_LEN(at); c++)
        at[c] += at[c - 1];
    for (size_t i = 0; i < n; i++)
        scratch[at[class_of(p[i])]++] = p[i];
    memcpy(p, scratch, n * sizeof *p);
}

/* r is as long as it gets; its tail from `from` on is put into canonical order. */
static void order_all_marks(lk_runes *r, size_t from)
{
    size_t end = r->n;
    if (!reserve(r, end - from)) /* scratch behind the end */
        return;
    for (size_t i = from; i < end;) {
        size_t run = i;
        while (run < end && class_of(r->p[run]) != 0)
            run++;
        if (run - i > 1)
            order_marks(r->p + i, run - i, r->p + end);
        i = run > i ? run : i + 1;
    }
}

enum { MAX_PARTS = 4 }; /* no decomposition that is asked for here is longer */

/* What the tables gave for cp, or cp itself where they had no answer. */
static void put_parts(lk_runes *r, uint32_t cp, const utf8proc_int32_t *parts, utf8proc_ssize_t n)
{
    if (n < 1 || n > MAX_PARTS)
        lk_runes_put(r, cp);
    else
        lk_runes_put_all(r, (const uint32_t *)parts, (size_t)n);
}

void lk_runes_decompose(lk_runes *r, size_t from)
{
    lk_runes out = {0};
    while (from < r->n && r->p[from] < 0xc0) /* nothing below it decomposes or combines */
        from++;
    if (r->failed || from == r->n)
        return;
    for (size_t i = from; i < r->n; i++) {
        utf8proc_int32_t parts[MAX_PARTS];
        int boundary = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)r->p[i], parts, MAX_PARTS,
                                                     UTF8PROC_DECOMPOSE, &boundary);
        put_parts(&out, r->p[i], parts, n);
    }
    order_all_marks(&out, 0);
    r->n = from;
    r->failed |= out.failed;
    lk_runes_put_all(r, out.p, out.failed ? 0 : out.n);
    lk_runes_release(&out);
}

void lk_runes_compose(lk_runes *r, size_t from)
{
    size_t i = from;
    while (i < r->n && r->p[i] < 0x300) /* nothing below it combines with what stands before */
        i++;
    if (i == r->n)
        return;
    lk_runes_decompose(r, from);
    if (r->failed)
        return;
    utf8proc_ssize_t n =
        utf8proc_normalize_utf32((utf8proc_int32_t *)(r->p + from), (utf8proc_ssize_t)(r->n - from),
                                 UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n >= 0)
        r->n = from + (size_t)n;
}

/* ---- properties ---- */

static utf8proc_category_t category_of(uint32_t cp)
{
    return utf8proc_category((utf8proc_int32_t)cp);
}

bool lk_uc_is_letter(uint32_t cp)
{
    utf8proc_category_t c = category_of(cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool lk_uc_is_number(uint32_t cp)
{
    utf8proc_category_t c = category_of(cp);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool lk_uc_is_decimal(uint32_t cp)
{
    return category_of(cp) == UTF8PROC_CATEGORY_ND;
}

bool lk_uc_is_nonspacing(uint32_t cp)
{
    return category_of(cp) == UTF8PROC_CATEGORY_MN;
}

bool lk_uc_is_punctuation(uint32_t cp)
{
    utf8proc_category_t c = category_of(cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool lk_uc_is_separator_space(uint32_t cp)
{
    return category_of(cp) == UTF8PROC_CATEGORY_ZS;
}

bool lk_uc_is_control_or_format(uint32_t cp)
{
    utf8proc_category_t c = category_of(cp);
    return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF;
}

bool lk_uc_is_private(uint32_t cp)
{
    return category_of(cp) == UTF8PROC_CATEGORY_CO;
}

bool lk_uc_is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0d) || cp == 0x85 || cp == 0x2028 || cp == 0x2029 ||
           lk_uc_is_separator_space(cp);
}

/* ---- case ---- */

size_t lk_uc_lower(uint32_t cp, uint32_t ret[2])
{
    ret[0] = cp;
    if (cp < 0x80) {
        ret[0] += cp >= 'A' && cp <= 'Z' ? 'a' - 'A' : 0;
    } else if (cp == 0x130) { /* the one letter whose lower case is two (SpecialCasing.txt) */
        ret[0] = 'i';
        ret[1] = 0x307;
        return 2;
    } else {
        ret[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    }
    return 1;
}

/* Cased of Unicode's chapter 3.13, for what is not case-ignorable. */
static bool is_cased(uint32_t cp)
{
    utf8proc_category_t c = category_of(cp);
    utf8proc_int32_t at = (utf8proc_int32_t)cp;
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LT) || cp == 0xaa || cp == 0xba ||
           utf8proc_tolower(at) != at || utf8proc_toupper(at) != at ||
           (cp >= 0x1f130 && cp <= 0x1f149) || (cp >= 0x1f150 && cp <= 0x1f169) ||
           (cp >= 0x1f170 && cp <= 0x1f189);
}

static bool is_case_ignorable(uint32_t cp)
{
    static const uint16_t within_words[] = {'\'',   '.',    ':',    0xb7,   0x387,  0x55f,
                                            0x5f4,  0x2018, 0x2019, 0x2024, 0x2027, 0xfe13,
                                            0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    for (size_t i = 0; i < LK_ARRAY_LEN(within_words); i++)
        if (cp == within_words[i])
            return true;
    utf8proc_category_t c = category_of(cp);
    return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
           c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK;
}

bool lk_uc_is_final_sigma(const uint32_t *text, size_t n, size_t i)
{
    size_t before = i, after = i + 1;
    while (before > 0 && is_case_ignorable(text[before - 1]))
        before--;
    if (before == 0 || !is_cased(text[before - 1]))
        return false;
    while (after < n && is_case_ignorable(text[after]))
        after++;
    return after == n || !is_cased(text[after]);
}

void lk_runes_put_usual_width(lk_runes *r, uint32_t cp)
{
    utf8proc_int32_t parts[MAX_PARTS];
    int boundary = 0;
    utf8proc_ssize_t n = 0;
    if (cp >= 0xff01 && cp <= 0xffef) {
        n = utf8proc_decompose_char((utf8proc_int32_t)cp, parts, MAX_PARTS,
                                    UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
        if (n > 1 && n <= MAX_PARTS)
            n = utf8proc_normalize_utf32(parts, n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    }
    put_parts(r, cp, parts, n);
}
