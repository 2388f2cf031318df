/* Locks by key: work on different keys goes on side by side, work on the same key takes turns.
 *
 * A key is a 64-bit hash; two names that meet in one only wait for each other. All keys of a piece
 * of work are taken at once, so there is no order to get wrong and no deadlock. The mutex inside is
 * held for a few instructions, never while the work itself runs. Internally locked. */
#ifndef LK_ENGINE_KEYLOCK_H
#define LK_ENGINE_KEYLOCK_H

#include "base/str.h"
#include "base/thread.h"

#define LK_MAX_KEYS_HELD 256 /* at once, by all threads; more wait */

typedef struct lk_keylock {
    lk_mutex lock;
    lk_cond freed;
    uint64_t held[LK_MAX_KEYS_HELD];
    size_t n_held;
} lk_keylock;

void lk_keylock_init(lk_keylock *l);
void lk_keylock_release(lk_keylock *l);
/* Waits until none of keys[n] is held, then holds them all. n: at most 4. */
void lk_keylock_take(lk_keylock *l, const uint64_t *keys, size_t n);
void lk_keylock_give(lk_keylock *l, const uint64_t *keys, size_t n);

/* FNV-1a of kind and bytes, so that an id and an object's key of the same bytes differ. */
uint64_t lk_keylock_hash(char kind, const void *p, size_t n);

#endif
