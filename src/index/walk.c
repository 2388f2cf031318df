#include "index/walk.h"

#include <string.h>

#define CELLS_A_PLACE 256 /* of the pool: a walk sees some tens of slots for each */

lk_code lk_walk_init(lk_walk *w, const lk_codes *c, lk_err *err)
{
    *w = (lk_walk){.q = lk_alloc_array(c->code_dim, 1),
                   .seen = lk_alloc_array(LK_WALK_GATHER + 1, sizeof *w->seen),
                   .rows = lk_alloc_array(LK_WALK_GATHER, sizeof *w->rows)};
    if (lk_visited_init(&w->visited) && w->q && w->seen && w->rows)
        return LK_OK;
    lk_walk_release(w);
    return lk_fail(err, LK_E_NOMEM, "no memory for a search");
}

void lk_walk_release(lk_walk *w)
{
    if (!w)
        return;
    lk_free(w->q);
    lk_free(w->scores);
    lk_free(w->slots);
    lk_free(w->seen);
    lk_free(w->rows);
    lk_free(w->history);
    lk_visited_release(&w->visited);
    *w = (lk_walk){0};
}

lk_code lk_walk_clear(lk_walk *w, size_t ef, lk_err *err)
{
    void *scores = w->scores, *slots = w->slots;
    bool ok = lk_grow(&scores, &w->cap_scores, ef, sizeof *w->scores) &&
              lk_grow(&slots, &w->cap_slots, ef, sizeof *w->slots);
    w->scores = scores;
    w->slots = slots;
    if (!ok)
        return lk_fail(err, LK_E_NOMEM, "no memory for a search with ef %zu", ef);
    w->ef = ef;
    w->n_pool = w->next = w->n_seen = w->n_history = 0;
    w->failed = w->gathered = false;
    w->rank = 0;
    lk_visited_clear(&w->visited, CELLS_A_PLACE * ef);
    return LK_OK;
}

#define COUNTED 256

/* How many of scores[n], in falling order, are at least `score`. By halving down to what counting
 * does faster, which has no branch to guess wrong and looks at sixteen bytes at a time. */
static size_t place_of(const float *scores, size_t n, float score)
{
    size_t from = 0;
    while (n > COUNTED) {
        size_t half = n / 2;
        from += scores[from + half - 1] >= score ? half : 0;
        n -= half;
    }
    uint32_t before = 0;
    for (size_t i = 0; i < n; i++)
        before += scores[from + i] >= score;
    return from + before;
}

void lk_walk_put(lk_walk *w, uint32_t slot, float score)
{
    w->n_pool -= w->n_pool == w->ef;
    size_t at = place_of(w->scores, w->n_pool, score), n = w->n_pool - at;
    memmove(w->scores + at + 1, w->scores + at, n * sizeof *w->scores);
    memmove(w->slots + at + 1, w->slots + at, n * sizeof *w->slots);
    w->scores[at] = score;
    w->slots[at] = slot;
    w->n_pool++;
    w->next = at < w->next ? at : w->next;
}

/* Most slots stay below the bar as it stood at first, and are set aside without a branch. */
void lk_walk_score(lk_walk *w, const lk_codes *c)
{
    float scores[LK_WALK_GATHER];
    uint16_t good[LK_WALK_GATHER];
    size_t n_good = 0;
    lk_codes_score_rows(c, &w->query, w->seen, w->rows, w->n_seen, scores);
    float bar = lk_walk_bar(w);
    for (size_t i = 0; i < w->n_seen; i++) {
        good[n_good] = (uint16_t)i;
        n_good += scores[i] > bar;
    }
    for (size_t i = 0; i < n_good; i++)
        /* The first n_good are set. NOLINTNEXTLINE(clang-analyzer-core*) */
        if (scores[good[i]] > lk_walk_bar(w))
            lk_walk_put(w, w->seen[good[i]], scores[good[i]]);
    w->n_scored += w->n_seen;
    w->n_seen = 0;
}
