#include "store/group.h"

#include <stddef.h>

void lk_group_init(lk_group *g, unsigned max, lk_group_commit_fn *commit, void *owner)
{
    *g = (lk_group){.max = max, .commit = commit, .owner = owner};
    lk_mutex_init(&g->lock, LK_RANK_STORE);
    lk_cond_init(&g->turn);
}

void lk_group_release(lk_group *g)
{
    lk_cond_release(&g->turn);
    lk_mutex_release(&g->lock);
}

/* Cut up to max calls off the queue's head. */
static lk_group_call *take(lk_group *g)
{
    lk_group_call *first = g->head;
    lk_group_call *last = first;
    for (unsigned n = 1; n < g->max && last->next; n++)
        last = last->next;
    g->head = last->next;
    if (!g->head)
        g->tail = NULL;
    last->next = NULL;
    return first;
}

/* Lead one commit. Called and returns with the lock held, which is dropped in between. */
static void lead(lk_group *g)
{
    lk_group_call *chain = take(g);
    g->leading = true;
    lk_mutex_unlock(&g->lock);
    g->commit(g->owner, chain);
    lk_mutex_lock(&g->lock);
    while (chain) {
        lk_group_call *next = chain->next; /* read before done: the call may vanish after it */
        chain->done = true;
        chain = next;
    }
    g->leading = false;
    lk_cond_broadcast(&g->turn);
}

lk_code lk_group_run(lk_group *g, lk_group_call *call, lk_err *err)
{
    call->next = NULL;
    call->code = LK_OK;
    call->done = false;
    lk_mutex_lock(&g->lock);
    if (g->tail)
        g->tail->next = call;
    else
        g->head = call;
    g->tail = call;
    while (!call->done)
        if (g->leading)
            lk_cond_wait(&g->turn, &g->lock);
        else
            lead(g); /* perhaps of earlier calls only, when there are more than max */
    lk_mutex_unlock(&g->lock);
    if (call->code && err)
        *err = call->err;
    return call->code;
}

void lk_group_alone(lk_group *g, void (*fn)(void *ctx), void *ctx)
{
    lk_mutex_lock(&g->lock);
    while (g->leading)
        lk_cond_wait(&g->turn, &g->lock);
    g->leading = true;
    lk_mutex_unlock(&g->lock);
    fn(ctx);
    lk_mutex_lock(&g->lock);
    g->leading = false;
    lk_cond_broadcast(&g->turn);
    lk_mutex_unlock(&g->lock);
}
