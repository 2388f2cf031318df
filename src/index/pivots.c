#include "index/pivots.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define MOST_LOOKED 4096 /* at a bit each, under a filter */

static size_t heads_for(size_t n)
{
    size_t heads = (size_t)sqrt((double)n);
    return heads < LK_PIVOTS_MAX_HEADS ? heads : LK_PIVOTS_MAX_HEADS;
}

/* The list of each slot, by counting sort. */
static lk_code fill(lk_pivots *p, const lk_codes *c, const uint32_t *sample, size_t n, lk_err *err)
{
    float scores[LK_PIVOTS_MAX_HEADS];
    uint32_t at[LK_PIVOTS_MAX_HEADS];
    lk_code_query q;
    int8_t *bytes = lk_alloc_array(c->code_dim, 1);
    uint16_t *list = lk_alloc_array(n, sizeof *list);
    lk_code code = bytes && list ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory for an index");
    for (size_t i = 0; code == LK_OK && i < n; i++) {
        lk_codes_query_slot(c, sample[i], bytes, &q);
        lk_codes_score(c, &q, p->heads, p->n_heads, scores);
        for (size_t j = list[i] = 0; j < p->n_heads; j++)
            if (scores[j] > scores[list[i]])
                list[i] = (uint16_t)j;
        p->from[list[i] + 1]++;
    }
    for (size_t j = 0; code == LK_OK && j < p->n_heads; j++) {
        at[j] = p->from[j];
        p->from[j + 1] += p->from[j];
    }
    for (size_t i = 0; code == LK_OK && i < n; i++)
        p->slots[at[list[i]]++] = sample[i];
    lk_free(bytes);
    lk_free(list);
    return code;
}

lk_code lk_pivots_new(const lk_codes *c, const uint32_t *sample, size_t n, lk_pivots **ret,
                      lk_err *err)
{
    lk_pivots *p = lk_calloc(1, sizeof *p);
    if (!p)
        return lk_fail(err, LK_E_NOMEM, "no memory for an index");
    p->refs = 1;
    p->n_heads = heads_for(n);
    p->heads = lk_alloc_array(p->n_heads, sizeof *p->heads);
    p->from = lk_calloc(p->n_heads + 1, sizeof *p->from);
    p->slots = lk_alloc_array(n, sizeof *p->slots);
    lk_code code = LK_OK;
    if (!p->heads || !p->from || !p->slots) {
        code = lk_fail(err, LK_E_NOMEM, "no memory for an index");
    } else {
        memcpy(p->heads, sample, p->n_heads * sizeof *sample);
        code = fill(p, c, sample, n, err);
    }
    if (code)
        lk_pivots_unref(p);
    else
        *ret = p;
    return code;
}

void lk_pivots_unref(lk_pivots *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    lk_free(p->heads);
    lk_free(p->from);
    lk_free(p->slots);
    lk_free(p);
}

size_t lk_pivots_near(const lk_pivots *p, const lk_codes *c, const lk_code_query *q,
                      const lk_bitmap *which, size_t max, uint32_t *ret, size_t *ret_looked)
{
    float scores[LK_PIVOTS_MAX_HEADS];
    size_t n = 0, looked = 0;
    lk_codes_score(c, q, p->heads, p->n_heads, scores);
    for (size_t lists = 0; n < max && looked < MOST_LOOKED && lists < p->n_heads; lists++) {
        size_t best = 0;
        for (size_t j = 1; j < p->n_heads; j++)
            if (scores[j] > scores[best])
                best = j;
        scores[best] = -INFINITY;
        for (uint32_t i = p->from[best]; i < p->from[best + 1] && n < max; i++) {
            ret[n] = p->slots[i];
            n += !which || lk_bitmap_get(which, p->slots[i]);
            looked++;
        }
    }
    if (ret_looked)
        *ret_looked = looked;
    return n;
}
