#include "engine/keylock.h"

void lk_keylock_init(lk_keylock *l)
{
    lk_mutex_init(&l->lock, LK_RANK_ENGINE);
    lk_cond_init(&l->freed);
    l->n_held = 0;
}

void lk_keylock_release(lk_keylock *l)
{
    lk_cond_release(&l->freed);
    lk_mutex_release(&l->lock);
}

static bool is_held(const lk_keylock *l, uint64_t key)
{
    for (size_t i = 0; i < l->n_held; i++)
        if (l->held[i] == key)
            return true;
    return false;
}

static bool can_take(const lk_keylock *l, const uint64_t *keys, size_t n)
{
    if (l->n_held + n > LK_MAX_KEYS_HELD)
        return false;
    for (size_t i = 0; i < n; i++)
        if (is_held(l, keys[i]))
            return false;
    return true;
}

void lk_keylock_take(lk_keylock *l, const uint64_t *keys, size_t n)
{
    lk_mutex_lock(&l->lock);
    while (!can_take(l, keys, n))
        lk_cond_wait(&l->freed, &l->lock);
    for (size_t i = 0; i < n; i++)
        l->held[l->n_held++] = keys[i];
    lk_mutex_unlock(&l->lock);
}

void lk_keylock_give(lk_keylock *l, const uint64_t *keys, size_t n)
{
    lk_mutex_lock(&l->lock);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < l->n_held; j++)
            if (l->held[j] == keys[i]) {
                l->held[j] = l->held[--l->n_held];
                break;
            }
    lk_cond_broadcast(&l->freed);
    lk_mutex_unlock(&l->lock);
}

uint64_t lk_keylock_hash(char kind, const void *p, size_t n)
{
    uint64_t h = (0xcbf29ce484222325u ^ (unsigned char)kind) * 0x100000001b3u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 0x100000001b3u;
    return h;
}
