#include "filter/like.h"

/* Match greedily and, when stuck, let the latest % swallow one character more. An earlier % never
 * needs another try: what follows it up to the latest one has matched at its first possible place.
 * So the work is bounded by |text| * |pattern|, whatever the pattern. */
bool lk_like(lk_str text, lk_str pattern)
{
    size_t t = 0, p = 0;
    size_t retry_p = SIZE_MAX, retry_t = 0;
    while (t < text.n || p < pattern.n) {
        if (p < pattern.n && pattern.p[p] == '%') {
            retry_p = ++p;
            retry_t = t;
            continue;
        }
        if (p < pattern.n && t < text.n) {
            size_t next_t = t;
            size_t next_p = p;
            uint32_t c = lk_utf8_next(text, &next_t);
            if (pattern.p[p] == '_') {
                t = next_t;
                p++;
                continue;
            }
            if (pattern.p[p] == '\\' && p + 1 < pattern.n)
                next_p++;
            if (lk_utf8_next(pattern, &next_p) == c) {
                t = next_t;
                p = next_p;
                continue;
            }
        }
        if (retry_p == SIZE_MAX || retry_t >= text.n)
            return false;
        lk_utf8_next(text, &retry_t);
        t = retry_t;
        p = retry_p;
    }
    return true;
}
