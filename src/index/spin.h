/* A byte that is held for microseconds at most. */
#ifndef LK_INDEX_SPIN_H
#define LK_INDEX_SPIN_H

#include <sched.h>
#include <stdatomic.h>

static inline void lk_spin_lock(atomic_uchar *l)
{
    for (unsigned tries = 0; atomic_exchange_explicit(l, 1, memory_order_acquire); tries++)
        if (tries > 64)
            sched_yield(); /* its holder may be waiting for this processor */
}

static inline void lk_spin_unlock(atomic_uchar *l)
{
    atomic_store_explicit(l, 0, memory_order_release);
}

#endif
