#include "model/vocab.h"

#include "base/mem.h"

lk_code lk_vocab_init(lk_vocab *v, size_t n, lk_err *err)
{
    *v = (lk_vocab){.n = n, .mask = 7};
    if (n > LK_MAX_IDS)
        return lk_fail(err, LK_E_LIMIT, "a vocabulary of %zu entries is too large", n);
    while (v->mask < 2 * n)
        v->mask = 2 * v->mask + 1;
    v->strings = lk_calloc(n, sizeof *v->strings);
    v->slots = lk_alloc_array(v->mask + 1, sizeof *v->slots);
    if (!v->strings || !v->slots) {
        lk_vocab_release(v);
        return lk_fail(err, LK_E_NOMEM, "out of memory for a vocabulary");
    }
    memset(v->slots, 0xff, (v->mask + 1) * sizeof *v->slots);
    return LK_OK;
}

void lk_vocab_release(lk_vocab *v)
{
    lk_free(v->strings);
    lk_free(v->slots);
    *v = (lk_vocab){0};
}

/* The string's slot, or the empty one where it would stand. */
static size_t slot_of(const lk_vocab *v, lk_str s)
{
    size_t i = lk_str_hash(s) & v->mask;
    while (v->slots[i] != LK_NO_ID && !lk_str_eq(v->strings[v->slots[i]], s))
        i = (i + 1) & v->mask;
    return i;
}

lk_code lk_vocab_put_first(lk_vocab *v, uint32_t id, lk_str s, lk_err *err)
{
    if (id >= v->n || v->strings[id].p)
        return lk_fail(err, LK_E_MODEL, "the vocabulary gives the id %u twice or out of range", id);
    size_t at = slot_of(v, s);
    if (v->slots[at] != LK_NO_ID)
        return LK_OK;
    v->slots[at] = id;
    v->strings[id] = s;
    if (s.n > v->longest)
        v->longest = s.n;
    return LK_OK;
}

lk_code lk_vocab_put(lk_vocab *v, uint32_t id, lk_str s, lk_err *err)
{
    if (lk_vocab_find(v, s) != LK_NO_ID)
        return lk_fail(err, LK_E_MODEL, "the vocabulary has \"%.*s\" twice",
                       (int)(s.n < 80 ? s.n : 80), s.p);
    return lk_vocab_put_first(v, id, s, err);
}

uint32_t lk_vocab_find(const lk_vocab *v, lk_str s)
{
    return v->slots[slot_of(v, s)];
}
