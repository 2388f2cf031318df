/* The compiled form is a number of bytes, so many bytes of a double-array trie (Aoe 1989, in the
 * units of the darts-clone library), and strings that each end in a zero. A key's value is where
 * its string begins.
 *
 * A unit holds, from its lowest bit: 8 bits of label, 1 bit that says that a key ends here, 1 bit
 * by which the offset is 8 places further left, and 22 bits of offset; a leaf holds 31 bits of
 * value. Offsets come from a file, so each step is held to the trie's length. */
#include "model/charsmap.h"

#include "base/mem.h"

static uint32_t u32_at(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

lk_code lk_charsmap_init(lk_charsmap *m, lk_blob compiled, lk_err *err)
{
    *m = (lk_charsmap){0};
    if (compiled.n == 0)
        return LK_OK;
    size_t trie = compiled.n > 4 ? u32_at(compiled.p) : 0, rest = compiled.n - 4;
    if (trie < 4 || trie % 4 != 0 || trie >= rest || compiled.p[compiled.n - 1] != 0)
        return lk_fail(err, LK_E_MODEL, "the table of replacements is not whole");
    m->trie = (lk_blob){compiled.p + 4, trie};
    m->strings = (lk_str){(const char *)compiled.p + 4 + trie, rest - trie};
    return LK_OK;
}

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* Unit `at`; one that no key leads to when it lies outside. */
static uint32_t unit_at(const lk_charsmap *m, size_t at)
{
    return at < m->trie.n / 4 ? u32_at(m->trie.p + 4 * at) : UINT32_MAX;
}

size_t lk_charsmap_take(const lk_charsmap *m, lk_str text, lk_str *ret)
{
    size_t taken = 0, at = m->trie.n ? offset_of(unit_at(m, 0)) : 0;
    for (size_t i = 0; m->trie.n && i < text.n; i++) {
        at ^= (unsigned char)text.p[i];
        uint32_t unit = unit_at(m, at);
        if ((unit & (1u << 31 | 0xff)) != (unsigned char)text.p[i])
            break;
        at ^= offset_of(unit);
        uint32_t value = unit & 1u << 8 ? unit_at(m, at) & ~(1u << 31) : UINT32_MAX;
        if (value >= m->strings.n)
            continue;
        taken = i + 1;
        *ret = lk_str_of(m->strings.p + value); /* the last of them ends in a zero as well */
    }
    return taken;
}
