/* Group commit: calls that arrive while one is being made durable wait together and share the next
 * commit, so that a slow sync is paid once for all of them.
 *
 *   A ──commit──────┐
 *     B, C, D queue └─commit B C D──
 *
 * The caller whose turn it is leads: it takes everything that is queued and runs `commit` on the
 * chain, alone and without the lock. Internally locked. */
#ifndef LK_STORE_GROUP_H
#define LK_STORE_GROUP_H

#include <stdbool.h>

#include "base/err.h"
#include "base/thread.h"

/* A call in a group; it lives on its caller's stack, as the first member of what it asks for. */
typedef struct lk_group_call {
    struct lk_group_call *next;
    lk_code code; /* set by commit */
    lk_err err;   /* likewise; the leader must not write into another caller's lk_err */
    bool done;
} lk_group_call;

/* Carry out the whole chain, in order, and set every code. */
typedef void lk_group_commit_fn(void *owner, lk_group_call *chain);

typedef struct lk_group {
    lk_mutex lock;
    lk_cond turn;
    lk_group_call *head, *tail;
    bool leading;
    unsigned max; /* calls in one commit */
    lk_group_commit_fn *commit;
    void *owner;
} lk_group;

void lk_group_init(lk_group *g, unsigned max, lk_group_commit_fn *commit, void *owner);
void lk_group_release(lk_group *g);
/* Waits until the call is carried out; its code, with the detail in *err. */
LK_CHECK lk_code lk_group_run(lk_group *g, lk_group_call *call, lk_err *err);
/* Run fn alone, while no commit runs. */
void lk_group_alone(lk_group *g, void (*fn)(void *ctx), void *ctx);

#endif
