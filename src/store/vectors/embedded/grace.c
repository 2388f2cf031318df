#include "store/vectors/embedded/grace.h"

#include "base/mem.h"

void lk_grace_init(lk_grace *g)
{
    *g = (lk_grace){.epoch = 0};
    lk_mutex_init(&g->lock, LK_RANK_LEAF);
}

void lk_grace_release(lk_grace *g)
{
    lk_free(g->limbo[0].items);
    lk_free(g->limbo[1].items);
    lk_mutex_release(&g->lock);
}

unsigned lk_grace_enter(lk_grace *g)
{
    lk_mutex_lock(&g->lock);
    unsigned ticket = (unsigned)(g->epoch & 1);
    g->readers[ticket]++;
    lk_mutex_unlock(&g->lock);
    return ticket;
}

void lk_grace_leave(lk_grace *g, unsigned ticket)
{
    lk_mutex_lock(&g->lock);
    g->readers[ticket]--;
    lk_mutex_unlock(&g->lock);
}

/* The epoch is the writer's own to change, so it may read it without the lock. */
lk_code lk_grace_reserve(lk_grace *g, size_t n, lk_err *err)
{
    unsigned now = (unsigned)(g->epoch & 1);
    void *p = g->limbo[now].items;
    bool ok = lk_grow(&p, &g->limbo[now].cap, g->limbo[now].n + n, sizeof(lk_retired));
    g->limbo[now].items = p;
    return ok ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory to retire %zu slots", n);
}

void lk_grace_retire(lk_grace *g, lk_retired what)
{
    unsigned now = (unsigned)(g->epoch & 1);
    g->limbo[now].items[g->limbo[now].n++] = what;
}

void lk_grace_reclaim(lk_grace *g, lk_grace_free_fn *fn, void *ctx)
{
    unsigned before = (unsigned)((g->epoch + 1) & 1);
    lk_mutex_lock(&g->lock);
    bool moved = g->readers[before] == 0;
    if (moved)
        g->epoch++;
    lk_mutex_unlock(&g->lock);
    if (!moved)
        return;
    /* `before` is the current parity now: its limbo was filled two moves ago. */
    for (size_t i = 0; i < g->limbo[before].n; i++)
        fn(ctx, g->limbo[before].items[i]);
    g->limbo[before].n = 0;
}
