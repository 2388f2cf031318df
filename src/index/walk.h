/* What one search over a graph needs for itself: the best slots so far, those still to look
 * around from, those seen. One owner; use it for one search after the other. */
#ifndef LK_INDEX_WALK_H
#define LK_INDEX_WALK_H

#include <math.h>

#include "index/codes.h"
#include "index/flat.h"
#include "index/visited.h"

#define LK_WALK_EXPANDED                                                                           \
    (UINT32_C(1) << 31)    /* in a slot of the pool: its neighbours were looked at */
#define LK_WALK_GATHER 256 /* slots scored in one step, at most */

typedef struct lk_walk {
    lk_code_query query;
    int8_t *q; /* [code_dim] of the query */

    /* The best so far, best first; apart, because looking for a place reads scores alone. */
    float *scores;   /* [ef] */
    uint32_t *slots; /* [ef], LK_WALK_EXPANDED in them */
    size_t n_pool, ef, cap_scores, cap_slots;
    /* A search ends before the pool is done when the next slot to expand is farther off, by this
     * factor of squared distances, than the rank-th best; 0: it does not. */
    size_t rank;
    float slack;
    size_t next; /* all before it are expanded */

    uint32_t *seen;       /* [LK_WALK_GATHER + 1] slots to score in this step */
    const uint8_t **rows; /* [LK_WALK_GATHER] their codes */
    size_t n_seen;
    bool gathered; /* and asked the memory for them */
    lk_visited visited;

    bool keep_history; /* of every slot expanded, which building wants */
    lk_near *history;
    size_t n_history, cap_history;
    bool failed; /* memory ran out: what was found so far counts */

    uint64_t n_steps, n_scored; /* since lk_walk_init */
} lk_walk;

LK_CHECK lk_code lk_walk_init(lk_walk *w, const lk_codes *c, lk_err *err);
void lk_walk_release(lk_walk *w); /* NULL allowed */

/* Begin anew, keeping the ef best. LK_E_NOMEM. The query is the caller's to set. */
LK_CHECK lk_code lk_walk_clear(lk_walk *w, size_t ef, lk_err *err);

/* A slot not seen before, which has its place in the pool. */
void lk_walk_put(lk_walk *w, uint32_t slot, float score);

/* Score w->seen, whose codes w->rows holds, and put those into the pool that have a place there. */
void lk_walk_score(lk_walk *w, const lk_codes *c);

/* The score that a slot must pass to have one. */
static inline float lk_walk_bar(const lk_walk *w)
{
    return w->n_pool == w->ef ? w->scores[w->ef - 1] : -INFINITY;
}

#endif
