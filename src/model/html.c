/* The names stand in models/html-entities.txt, inside the program; tools/entities writes it. They
 * are sorted, so that a name is found by halving the text itself, without a table to build. */
#include "model/html.h"

#include "base/embed.h"
#include "base/mem.h"

enum { MAX_NAME = 33, MAX_PARTS = 3 };

/* What a reference stands for. n is 0 for one that stands for nothing. */
typedef struct meaning {
    uint32_t parts[MAX_PARTS];
    size_t n;
} meaning;

/* ---- names ---- */

/* The line that byte `at` belongs to; *ret_begin is where it begins. */
static lk_str line_at(lk_str text, size_t at, size_t *ret_begin)
{
    size_t begin = at, end = at;
    while (begin > 0 && text.p[begin - 1] != '\n')
        begin--;
    while (end < text.n && text.p[end] != '\n')
        end++;
    *ret_begin = begin;
    return (lk_str){text.p + begin, end - begin};
}

static uint32_t hex_of(lk_str s)
{
    uint32_t v = 0;
    for (size_t i = 0; i < s.n; i++)
        v = v * 16 + (uint32_t)(s.p[i] <= '9' ? s.p[i] - '0' : s.p[i] - 'a' + 10);
    return v;
}

static bool find_name(lk_str name, meaning *ret)
{
    const lk_embedded_file *f = lk_embedded_find("models/html-entities.txt");
    lk_str text = {f ? (const char *)f->data : "", f ? f->size : 0};
    size_t low = 0, high = text.n;
    while (low < high) {
        size_t begin;
        lk_str line = line_at(text, low + (high - low) / 2, &begin), codes = line;
        lk_str known = lk_str_cut(&codes, '\t');
        int order = lk_str_cmp(name, known);
        if (order == 0) {
            for (ret->n = 0; codes.n && ret->n < MAX_PARTS;)
                ret->parts[ret->n++] = hex_of(lk_str_cut(&codes, ' '));
            return true;
        }
        if (order < 0)
            high = begin;
        else
            low = begin + line.n + 1;
    }
    return false;
}

/* ---- numbers ---- */

uint32_t lk_html_c1(uint32_t cp)
{
    static const uint16_t windows_1252[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
    };
    return cp >= 0x80 && cp <= 0x9f ? windows_1252[cp - 0x80] : cp;
}

static meaning mean_number(uint32_t v)
{
    if (v == 0 || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return (meaning){{0xfffd}, 1};
    if (v >= 0x80 && v <= 0x9f)
        return (meaning){{lk_html_c1(v)}, 1};
    bool control = (v < 0x20 && v != '\t' && v != '\n' && v != '\f' && v != '\r') || v == 0x7f;
    bool no_character = (v >= 0xfdd0 && v <= 0xfdef) || (v & 0xfffe) == 0xfffe;
    return (meaning){{v}, !(control || no_character)};
}

static int digit_of(uint32_t cp, uint32_t base)
{
    if (cp >= '0' && cp <= '9')
        return (int)(cp - '0');
    cp |= 0x20;
    return base == 16 && cp >= 'a' && cp <= 'f' ? (int)(cp - 'a' + 10) : -1;
}

/* "#65", "#x41": how many code points it takes, 0 when it is no number. */
static size_t read_number(const uint32_t *in, size_t n, uint32_t *ret)
{
    uint32_t base = n > 1 && (in[1] | 0x20) == 'x' ? 16 : 10, v = 0;
    size_t from = base == 16 ? 2 : 1, i = from;
    for (int d; i < n && (d = digit_of(in[i], base)) >= 0; i++)
        v = v > 0x10ffff ? v : v * base + (uint32_t)d;
    *ret = v;
    return i > from ? i : 0;
}

/* ---- references; in[0] follows the "&" ---- */

static bool is_alnum(uint32_t cp)
{
    return (cp >= '0' && cp <= '9') || ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z');
}

static size_t read_lenient(const uint32_t *in, size_t n, meaning *ret)
{
    char name[MAX_NAME];
    size_t len = 0;
    uint32_t v;
    if (n && in[0] == '#') {
        size_t taken = read_number(in, n, &v);
        if (taken)
            *ret = mean_number(v);
        return taken && taken < n && in[taken] == ';' ? taken + 1 : taken;
    }
    for (; len < n && len < MAX_NAME - 1 && is_alnum(in[len]); len++)
        name[len] = (char)in[len];
    if (len < n && in[len] == ';')
        name[len++] = ';';
    for (; len > 1; len--)
        if (find_name((lk_str){name, len}, ret))
            return len;
    return 0;
}

static size_t read_strict(const uint32_t *in, size_t n, meaning *ret)
{
    char name[MAX_NAME] = "^";
    size_t from = n && in[0] == '#', len = from;
    uint32_t v;
    for (; len < n && len < from + 24 && is_alnum(in[len]); len++)
        name[1 + len - from] = (char)in[len];
    if (len == from || len == n || in[len] != ';')
        return 0;
    if (from) {
        if (read_number(in, n, &v) != len || v == ';')
            return 0; /* ftfy takes a semicolon in the result for a reference read in part */
        *ret = mean_number(v);
        return len + 1;
    }
    name[++len] = ';';
    if (find_name((lk_str){name + 1, len}, ret) || find_name((lk_str){name, len + 1}, ret))
        return len;
    return 0;
}

void lk_html_unescape(const uint32_t *in, size_t n, lk_html_mode mode, lk_runes *out)
{
    for (size_t i = 0; i < n; i++) {
        meaning m = {{0}, 0};
        size_t taken = 0;
        if (in[i] == '&')
            taken = mode == LK_HTML_STRICT ? read_strict(in + i + 1, n - i - 1, &m)
                                           : read_lenient(in + i + 1, n - i - 1, &m);
        if (taken)
            lk_runes_put_all(out, m.parts, m.n);
        else
            lk_runes_put(out, in[i]);
        i += taken;
    }
}
