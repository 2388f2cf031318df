/* A bounded ring of jobs under a lock: what the queue and the pool of base/thread.h are made of.
 * Private to this room. Internally locked. */
#ifndef LK_BASE_RING_H
#define LK_BASE_RING_H

#include "base/thread.h"

typedef struct lk_ring_slot {
    lk_job_fn *fn; /* NULL in a queue of pointers */
    void *ctx;
} lk_ring_slot;

typedef struct lk_ring {
    lk_mutex lock;
    lk_cond not_empty;
    lk_cond not_full;
    lk_ring_slot *slots; /* [cap] */
    size_t cap;
    size_t head; /* the oldest */
    size_t n;
    bool closed;
} lk_ring;

LK_CHECK lk_code lk_ring_init(lk_ring *r, size_t cap, lk_err *err);
void lk_ring_release(lk_ring *r);
bool lk_ring_put(lk_ring *r, lk_ring_slot slot, bool wait); /* false: closed, or full and no wait */
/* Waits until `until_ns` of the monotonic clock, or for ever for UINT64_MAX. */
bool lk_ring_take(lk_ring *r, uint64_t until_ns, lk_ring_slot *ret);
void lk_ring_close(lk_ring *r);
size_t lk_ring_len(lk_ring *r);

#endif
