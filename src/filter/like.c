#include "filter/like.h"

/* The next place at or after t where the pattern's literal head could begin. */
static size_t next_start(lk_str text, size_t t, lk_str pattern, size_t p)
{
    if (p >= pattern.n || pattern.p[p] == '_' || pattern.p[p] == '%')
        return t;
    size_t literal = pattern.p[p] == '\\' && p + 1 < pattern.n ? p + 1 : p;
    const char *hit = t < text.n ? memchr(text.p + t, pattern.p[literal], text.n - t) : NULL;
    return hit ? (size_t)(hit - text.p) : text.n;
}

/* Match greedily and, when stuck, let the latest % swallow one character more. An earlier % never
 * needs another try: what follows it up to the latest one has matched at its first possible place.
 * So the work is bounded by |text| * |pattern|, whatever the pattern.
 *
 * Literals are compared byte by byte, which for UTF-8 is the same as character by character; only
 * `_` and the steps of % go by whole characters. */
bool lk_like(lk_str text, lk_str pattern)
{
    size_t t = 0, p = 0;
    size_t retry_p = SIZE_MAX, retry_t = 0;
    while (t < text.n || p < pattern.n) {
        if (p < pattern.n && pattern.p[p] == '%') {
            if (++p == pattern.n)
                return true;
            retry_p = p;
            retry_t = t = next_start(text, t, pattern, p);
            continue;
        }
        if (p < pattern.n && t < text.n) {
            if (pattern.p[p] == '_') {
                lk_utf8_next(text, &t);
                p++;
                continue;
            }
            size_t literal = pattern.p[p] == '\\' && p + 1 < pattern.n ? p + 1 : p;
            if (pattern.p[literal] == text.p[t]) {
                t++;
                p = literal + 1;
                continue;
            }
        }
        if (retry_p == SIZE_MAX || retry_t >= text.n)
            return false;
        lk_utf8_next(text, &retry_t);
        retry_t = t = next_start(text, retry_t, pattern, retry_p);
        p = retry_p;
    }
    return true;
}
