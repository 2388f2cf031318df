/* When may a slot be used again? When every search that could still hold it has ended.
 *
 * Readers enter and leave; the writer retires a slot and gets it back after a grace period. Time is
 * cut into epochs of which at most two have readers. What was retired in epoch e is free once the
 * writer moves from e + 1 to e + 2, and it moves on only when the epoch before has no reader left:
 *
 *   retired in e ── readers of e may hold it ── move to e+1 ── no reader of e left ── free
 *
 * Entering costs one short lock. Internally locked; retire and reclaim belong to the one writer. */
#ifndef LK_STORE_VECTORS_EMBEDDED_GRACE_H
#define LK_STORE_VECTORS_EMBEDDED_GRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/thread.h"

typedef struct lk_retired {
    uint32_t slot;
    bool owns_text; /* the id went with it, not on to another slot */
} lk_retired;

typedef struct lk_grace {
    lk_mutex lock;
    uint64_t epoch;
    size_t readers[2]; /* by the parity of their epoch */
    struct {
        lk_retired *items;
        size_t n, cap;
    } limbo[2];
} lk_grace;

void lk_grace_init(lk_grace *g);
void lk_grace_release(lk_grace *g);
unsigned lk_grace_enter(lk_grace *g); /* what to leave with */
void lk_grace_leave(lk_grace *g, unsigned ticket);

LK_CHECK lk_code lk_grace_reserve(lk_grace *g, size_t n, lk_err *err);
void lk_grace_retire(lk_grace *g, lk_retired what); /* into room that was reserved */
/* Move on if possible and hand over what became free. */
typedef void lk_grace_free_fn(void *ctx, lk_retired what);
void lk_grace_reclaim(lk_grace *g, lk_grace_free_fn *fn, void *ctx);

#endif
