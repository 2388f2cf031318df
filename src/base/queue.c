#include <assert.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/ring.h"

lk_code lk_ring_init(lk_ring *r, size_t cap, lk_err *err)
{
    if (cap == 0)
        return lk_fail(err, LK_E_INVALID, "a queue of 0 places holds nothing");
    lk_ring_slot *slots = lk_calloc(cap, sizeof *slots);
    if (!slots)
        return lk_fail(err, LK_E_NOMEM, "no memory for a queue of %zu places", cap);
    *r = (lk_ring){.slots = slots, .cap = cap};
    lk_mutex_init(&r->lock, LK_RANK_QUEUE);
    lk_cond_init(&r->not_empty);
    lk_cond_init(&r->not_full);
    return LK_OK;
}

void lk_ring_release(lk_ring *r)
{
    lk_cond_release(&r->not_full);
    lk_cond_release(&r->not_empty);
    lk_mutex_release(&r->lock);
    lk_free(r->slots);
    r->slots = NULL;
}

bool lk_ring_put(lk_ring *r, lk_ring_slot slot, bool wait)
{
    lk_mutex_lock(&r->lock);
    while (wait && r->n == r->cap && !r->closed)
        lk_cond_wait(&r->not_full, &r->lock);
    bool fits = r->n < r->cap && !r->closed;
    if (fits) {
        r->slots[(r->head + r->n) % r->cap] = slot;
        r->n++;
        lk_cond_signal(&r->not_empty);
    }
    lk_mutex_unlock(&r->lock);
    return fits;
}

bool lk_ring_take(lk_ring *r, uint64_t until_ns, lk_ring_slot *ret)
{
    lk_mutex_lock(&r->lock);
    while (r->n == 0 && !r->closed) {
        if (until_ns == UINT64_MAX) {
            lk_cond_wait(&r->not_empty, &r->lock);
            continue;
        }
        uint64_t now_ns = lk_now_ns();
        if (now_ns >= until_ns)
            break;
        lk_cond_wait_ms(&r->not_empty, &r->lock, (until_ns - now_ns + 999999) / 1000000);
    }
    bool any = r->n > 0;
    if (any) {
        *ret = r->slots[r->head];
        r->head = (r->head + 1) % r->cap;
        r->n--;
        lk_cond_signal(&r->not_full);
    }
    lk_mutex_unlock(&r->lock);
    return any;
}

void lk_ring_close(lk_ring *r)
{
    lk_mutex_lock(&r->lock);
    r->closed = true;
    lk_cond_broadcast(&r->not_empty);
    lk_cond_broadcast(&r->not_full);
    lk_mutex_unlock(&r->lock);
}

size_t lk_ring_len(lk_ring *r)
{
    lk_mutex_lock(&r->lock);
    size_t n = r->n;
    lk_mutex_unlock(&r->lock);
    return n;
}

struct lk_queue {
    lk_ring ring;
};

lk_code lk_queue_new(lk_queue **ret, size_t capacity, lk_err *err)
{
    lk_queue *q = lk_malloc(sizeof *q);
    if (!q)
        return lk_fail(err, LK_E_NOMEM, "no memory for a queue");
    lk_code code = lk_ring_init(&q->ring, capacity, err);
    if (code) {
        lk_free(q);
        return code;
    }
    *ret = q;
    return LK_OK;
}

void lk_queue_free(lk_queue *q)
{
    if (!q)
        return;
    lk_ring_release(&q->ring);
    lk_free(q);
}

bool lk_queue_try_push(lk_queue *q, void *item)
{
    assert(item);
    return lk_ring_put(&q->ring, (lk_ring_slot){.ctx = item}, false);
}

bool lk_queue_push(lk_queue *q, void *item)
{
    assert(item);
    return lk_ring_put(&q->ring, (lk_ring_slot){.ctx = item}, true);
}

void *lk_queue_pop(lk_queue *q)
{
    lk_ring_slot slot;
    return lk_ring_take(&q->ring, UINT64_MAX, &slot) ? slot.ctx : NULL;
}

void *lk_queue_pop_ms(lk_queue *q, uint64_t ms)
{
    lk_ring_slot slot;
    uint64_t now_ns = lk_now_ns();
    uint64_t left_ns = ms < (UINT64_MAX - now_ns) / 1000000 ? ms * 1000000 : UINT64_MAX - now_ns;
    return lk_ring_take(&q->ring, now_ns + left_ns, &slot) ? slot.ctx : NULL;
}

void lk_queue_close(lk_queue *q)
{
    lk_ring_close(&q->ring);
}

size_t lk_queue_len(lk_queue *q)
{
    return lk_ring_len(&q->ring);
}
