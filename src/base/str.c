#include "base/str.h"

#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool lk_str_eq(lk_str a, lk_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool lk_str_is(lk_str a, const char *z)
{
    return lk_str_eq(a, lk_str_of(z));
}

bool lk_str_eq_nocase(lk_str a, lk_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

static uint64_t load(const char *p, size_t n)
{
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return w;
}

/* Multiply by an odd constant (2^64 over the golden ratio) and fold the high half, where the mixing
 * is best, back into the low one. */
static uint64_t mix(uint64_t h, uint64_t w)
{
    h = (h ^ w) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

/* Eight bytes a step; the last step takes the last eight, some of them again. */
uint32_t lk_str_hash(lk_str s)
{
    uint64_t h = s.n, w;
    if (s.n < sizeof w)
        return (uint32_t)mix(mix(h, load(s.p, s.n)), 0);
    for (size_t i = 0; i + sizeof w < s.n; i += sizeof w) {
        memcpy(&w, s.p + i, sizeof w);
        h = mix(h, w);
    }
    memcpy(&w, s.p + s.n - sizeof w, sizeof w);
    return (uint32_t)mix(mix(h, w), 0);
}

int lk_str_cmp(lk_str a, lk_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

bool lk_str_starts(lk_str s, lk_str head)
{
    return s.n >= head.n && lk_str_eq((lk_str){s.p, head.n}, head);
}

bool lk_str_ends(lk_str s, lk_str tail)
{
    return s.n >= tail.n && (tail.n == 0 || memcmp(s.p + s.n - tail.n, tail.p, tail.n) == 0);
}

size_t lk_str_find(lk_str s, lk_str what)
{
    if (what.n == 0)
        return 0;
    const char *at = s.n > 0 ? memmem(s.p, s.n, what.p, what.n) : NULL;
    return at ? (size_t)(at - s.p) : SIZE_MAX;
}

lk_str lk_str_trim(lk_str s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

lk_str lk_str_cut(lk_str *s, char sep)
{
    const char *at = s->n > 0 ? memchr(s->p, sep, s->n) : NULL;
    lk_str head = {s->p, at ? (size_t)(at - s->p) : s->n};
    size_t taken = head.n + (at ? 1 : 0);
    if (taken > 0)
        *s = (lk_str){s->p + taken, s->n - taken};
    return head;
}

bool lk_str_to_u64(lk_str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i]) || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}

bool lk_str_to_i64(lk_str s, int64_t *ret)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    if (minus)
        s = (lk_str){s.p + 1, s.n - 1};
    if (!lk_str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    *ret = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* -?digits[.digits][e[+-]digits], with a digit on at least one side of the point. What strtod reads
 * beyond that (hexadecimal, "inf", "nan", leading space) is not a number to our users. */
static bool is_decimal(lk_str s)
{
    size_t i = 0;
    size_t digits = 0;
    if (i < s.n && s.p[i] == '-')
        i++;
    for (; i < s.n && is_digit(s.p[i]); i++)
        digits++;
    if (i < s.n && s.p[i] == '.')
        i++;
    for (; i < s.n && is_digit(s.p[i]); i++)
        digits++;
    if (digits == 0)
        return false;
    if (i == s.n)
        return true;
    if (s.p[i] != 'e' && s.p[i] != 'E')
        return false;
    i++;
    if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
        i++;
    size_t exponent = i;
    while (i < s.n && is_digit(s.p[i]))
        i++;
    return i == s.n && i > exponent;
}

bool lk_str_to_f64(lk_str s, double *ret)
{
    char z[512];
    if (s.n >= sizeof z || !is_decimal(s))
        return false;
    memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    /* The program's locale may write a comma for the point; glibc's "C" is static and free. */
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return false;
    double v = strtod_l(z, NULL, c);
    freelocale(c);
    if (!isfinite(v))
        return false;
    *ret = v;
    return true;
}

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* digits, then the name of a unit in any case. */
static bool to_scaled(lk_str s, const unit *units, size_t n_units, uint64_t *ret)
{
    size_t n = 0;
    uint64_t v;
    while (n < s.n && is_digit(s.p[n]))
        n++;
    if (!lk_str_to_u64((lk_str){s.p, n}, &v))
        return false;
    lk_str name = {s.p + n, s.n - n};
    for (size_t i = 0; i < n_units; i++) {
        if (!lk_str_eq_nocase(name, lk_str_of(units[i].name)))
            continue;
        if (__builtin_mul_overflow(v, units[i].factor, &v))
            return false;
        *ret = v;
        return true;
    }
    return false;
}

bool lk_str_to_bytes(lk_str s, uint64_t *ret)
{
    static const unit units[] = {
        {"", 1},
        {"b", 1},
        {"k", 1ull << 10},
        {"kb", 1ull << 10},
        {"kib", 1ull << 10},
        {"m", 1ull << 20},
        {"mb", 1ull << 20},
        {"mib", 1ull << 20},
        {"g", 1ull << 30},
        {"gb", 1ull << 30},
        {"gib", 1ull << 30},
        {"t", 1ull << 40},
        {"tb", 1ull << 40},
        {"tib", 1ull << 40},
    };
    return to_scaled(s, units, sizeof units / sizeof *units, ret);
}

bool lk_str_to_ms(lk_str s, uint64_t *ret)
{
    static const unit units[] = {
        {"", 1000},     {"ms", 1},      {"s", 1000},     {"m", 60000},
        {"min", 60000}, {"h", 3600000}, {"d", 86400000},
    };
    return to_scaled(s, units, sizeof units / sizeof *units, ret);
}

uint32_t lk_utf8_next(lk_str s, size_t *i)
{
    const unsigned char *p = (const unsigned char *)s.p + *i;
    size_t left = s.n - *i;
    uint32_t cp = p[0];
    size_t n = cp < 0x80 ? 1 : cp < 0xC2 ? 0 : cp < 0xE0 ? 2 : cp < 0xF0 ? 3 : cp < 0xF5 ? 4 : 0;
    if (n == 1) {
        *i += 1;
        return cp;
    }
    if (n == 0 || n > left)
        goto malformed;
    cp &= 0x7Fu >> n;
    for (size_t k = 1; k < n; k++) {
        if ((p[k] & 0xC0) != 0x80)
            goto malformed;
        cp = cp << 6 | (p[k] & 0x3Fu);
    }
    /* Longer than needed, a surrogate, or beyond Unicode. */
    if ((n == 3 && cp < 0x800) || (n == 4 && cp < 0x10000) || (cp >= 0xD800 && cp <= 0xDFFF) ||
        cp > 0x10FFFF)
        goto malformed;
    *i += n;
    return cp;

malformed:
    *i += 1;
    return 0xFFFD;
}

bool lk_utf8_valid(lk_str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t at = i;
        /* A written U+FFFD takes three bytes, a malformed byte is passed over by one. */
        if (lk_utf8_next(s, &i) == 0xFFFD && i - at == 1)
            return false;
    }
    return true;
}

size_t lk_utf8_put(uint32_t cp, char ret[4])
{
    unsigned char *p = (unsigned char *)ret;
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        cp = 0xFFFD;
    if (cp < 0x80) {
        p[0] = (unsigned char)cp;
        return 1;
    }
    if (cp < 0x800) {
        p[0] = (unsigned char)(0xC0 | cp >> 6);
        p[1] = (unsigned char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        p[0] = (unsigned char)(0xE0 | cp >> 12);
        p[1] = (unsigned char)(0x80 | (cp >> 6 & 0x3F));
        p[2] = (unsigned char)(0x80 | (cp & 0x3F));
        return 3;
    }
    p[0] = (unsigned char)(0xF0 | cp >> 18);
    p[1] = (unsigned char)(0x80 | (cp >> 12 & 0x3F));
    p[2] = (unsigned char)(0x80 | (cp >> 6 & 0x3F));
    p[3] = (unsigned char)(0x80 | (cp & 0x3F));
    return 4;
}

enum { MAX_WORD = 64 };

/* '-' and '_' are one letter to somebody who misremembers a name, and so is the case. */
static char folded(char c)
{
    return c == '_' ? '-' : lower(c);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edit distance where a swap of neighbours counts one (optimal string alignment), in three rows.
 * Both words at most MAX_WORD bytes. */
static unsigned distance(lk_str a, lk_str b)
{
    unsigned rows[3][MAX_WORD + 1];
    unsigned *before = rows[0];
    unsigned *above = rows[1];
    unsigned *row = rows[2];
    for (unsigned j = 0; j <= b.n; j++)
        above[j] = before[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            char ca = folded(a.p[i - 1]);
            char cb = folded(b.p[j - 1]);
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == folded(b.p[j - 2]) && cb == folded(a.p[i - 2]) &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.n];
}

const char *lk_str_closest(lk_str word, const char *const *names, size_t n)
{
    const char *best = NULL;
    unsigned best_distance = UINT_MAX;
    if (word.n > MAX_WORD)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        lk_str name = lk_str_of(names[i]);
        if (name.n > MAX_WORD)
            continue;
        unsigned d = distance(word, name);
        if (d < best_distance && (size_t)d * 3 <= word.n) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
