/* A chained hash table over entries that also hang in one list, newest use first.
 *
 * The table is sized once, from the byte limit, so that nothing is rehashed under the lock. Keys
 * are SHA-256, so their first bytes are as good an index as any. A run of the model that others
 * wait for is a `flight`, which lives on the stack of the thread that runs it: that thread leaves
 * only after the last waiter has copied the result, so sharing needs no memory and cannot fail.
 *
 * E1. An entry is in its chain and in the list, or in neither, and bytes is the sum of all.
 * E2. A key has at most one flight, and none while a fresh entry of it is there.
 * E3. Time-outs count from when a vector was made, so entries made later end later; using one does
 *     not lengthen its life. */
#include "model/embed_cache.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"

#define BYTES_A_SLOT 1024 /* about what a vector of 256 numbers takes */
#define MIN_SLOTS 64
#define MAX_SLOTS ((size_t)1 << 22)

typedef struct entry {
    struct entry *chain;         /* the next in the slot */
    struct entry *newer, *older; /* by last use */
    lk_sha256 key;
    uint64_t until_ns; /* UINT64_MAX: for ever */
    size_t dim;
    float vector[];
} entry;

typedef struct flight {
    struct flight *next;
    lk_sha256 key;
    size_t waiting;
    bool done;
    lk_code code;
    const float *vector;
    const lk_err *err;
} flight;

struct lk_embed_cache {
    lk_mutex lock;
    lk_cond changed; /* a flight is done, or its last waiter has gone */
    entry **slots;
    size_t n_slots; /* a power of two */
    entry *newest, *oldest;
    flight *flights;
    uint64_t max_bytes, ttl_ns;
    lk_embed_cache_stats stats;
};

lk_code lk_embed_cache_new(uint64_t max_bytes, uint64_t ttl_ms, lk_embed_cache **ret, lk_err *err)
{
    lk_embed_cache *c = lk_calloc(1, sizeof *c);
    size_t n = MIN_SLOTS;
    while (n < MAX_SLOTS && n < max_bytes / BYTES_A_SLOT)
        n *= 2;
    entry **slots = c ? lk_calloc(n, sizeof *slots) : NULL;
    if (!slots) {
        lk_free(c);
        return lk_fail(err, LK_E_NOMEM, "out of memory for the cache of embeddings");
    }
    c->slots = slots;
    c->n_slots = n;
    c->max_bytes = max_bytes;
    c->ttl_ns = ttl_ms < UINT64_MAX / 1000000 ? ttl_ms * 1000000 : 0;
    lk_mutex_init(&c->lock, LK_RANK_MODEL);
    lk_cond_init(&c->changed);
    *ret = c;
    return LK_OK;
}

void lk_embed_cache_free(lk_embed_cache *c)
{
    if (!c)
        return;
    for (entry *e = c->newest, *next; e; e = next) {
        next = e->older;
        lk_free(e);
    }
    lk_free(c->slots);
    lk_cond_release(&c->changed);
    lk_mutex_release(&c->lock);
    lk_free(c);
}

lk_code lk_embed_key(const char *model_key, lk_tower tower, const lk_sha256 *content,
                     lk_sha256 *ret, lk_err *err)
{
    lk_sha256_ctx *h = NULL;
    const char kind = (char)tower;
    lk_code code = lk_sha256_new(&h, err);
    if (!code) /* with its NUL, so that no two texts of key and tower run into one */
        code = lk_sha256_update(h, model_key, strlen(model_key) + 1, err);
    if (!code)
        code = lk_sha256_update(h, &kind, 1, err);
    if (!code)
        code = lk_sha256_update(h, content->b, sizeof content->b, err);
    if (!code)
        code = lk_sha256_final(h, ret, err);
    lk_sha256_free(h);
    return code;
}

static bool same(const lk_sha256 *a, const lk_sha256 *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static entry **slot_of(const lk_embed_cache *c, const lk_sha256 *key)
{
    uint64_t h;
    memcpy(&h, key->b, sizeof h);
    return &c->slots[h & (c->n_slots - 1)];
}

static uint64_t bytes_of(size_t dim)
{
    return sizeof(entry) + dim * sizeof(float);
}

/* ---- the list and the table, under the lock ---- */

static void unlink_used(lk_embed_cache *c, entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_newest(lk_embed_cache *c, entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop(lk_embed_cache *c, entry *e)
{
    entry **at = slot_of(c, &e->key);
    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    unlink_used(c, e);
    c->stats.bytes -= bytes_of(e->dim);
    c->stats.entries--;
    lk_free(e);
}

/* The fresh entry of that key, now the newest in use; NULL when there is none. */
static entry *find(lk_embed_cache *c, const lk_sha256 *key)
{
    for (entry *e = *slot_of(c, key); e; e = e->chain) {
        if (!same(&e->key, key))
            continue;
        if (lk_now_ns() >= e->until_ns) {
            drop(c, e);
            return NULL;
        }
        unlink_used(c, e);
        link_newest(c, e);
        return e;
    }
    return NULL;
}

/* Without memory or room the vector is not kept: the next who asks runs the model again. */
static void keep(lk_embed_cache *c, const lk_sha256 *key, size_t dim, const float *vector)
{
    uint64_t bytes = bytes_of(dim);
    if (bytes > c->max_bytes)
        return;
    entry *e = lk_malloc((size_t)bytes);
    if (!e)
        return;
    while (c->oldest && c->stats.bytes + bytes > c->max_bytes)
        drop(c, c->oldest);
    e->key = *key;
    e->dim = dim;
    e->until_ns = c->ttl_ns ? lk_now_ns() + c->ttl_ns : UINT64_MAX;
    memcpy(e->vector, vector, dim * sizeof *vector);
    entry **slot = slot_of(c, key);
    e->chain = *slot;
    *slot = e;
    link_newest(c, e);
    c->stats.bytes += bytes;
    c->stats.entries++;
}

/* ---- flights ---- */

static flight *find_flight(const lk_embed_cache *c, const lk_sha256 *key)
{
    flight *f = c->flights;
    while (f && !same(&f->key, key))
        f = f->next;
    return f;
}

/* Wait for another thread's run; entered and left with the lock held. */
static lk_code join(lk_embed_cache *c, flight *f, size_t dim, float *ret, lk_err *err)
{
    f->waiting++;
    while (!f->done)
        lk_cond_wait(&c->changed, &c->lock);
    lk_code code = f->code;
    if (!code)
        memcpy(ret, f->vector, dim * sizeof *ret);
    else if (err)
        *err = *f->err;
    if (--f->waiting == 0)
        lk_cond_broadcast(&c->changed);
    return code;
}

/* Run the model, keep what it gave, and see the waiters off; entered and left with the lock held.
 */
static lk_code fly(lk_embed_cache *c, const lk_sha256 *key, size_t dim, lk_embed_fn *embed,
                   void *ctx, float *ret, lk_err *err)
{
    lk_err own = {0};
    flight f = {.next = c->flights, .key = *key, .vector = ret, .err = &own};
    c->flights = &f;
    lk_mutex_unlock(&c->lock);
    f.code = embed(ctx, ret, &own);
    lk_mutex_lock(&c->lock);
    if (!f.code)
        keep(c, key, dim, ret);
    flight **at = &c->flights;
    while (*at != &f)
        at = &(*at)->next;
    *at = f.next;
    f.done = true;
    lk_cond_broadcast(&c->changed);
    while (f.waiting > 0)
        lk_cond_wait(&c->changed, &c->lock);
    if (f.code && err)
        *err = own;
    return f.code;
}

lk_code lk_embed_cache_get(lk_embed_cache *c, const lk_sha256 *key, size_t dim, lk_embed_fn *embed,
                           void *ctx, float *ret, lk_err *err)
{
    lk_code code = LK_OK;
    lk_mutex_lock(&c->lock);
    const entry *e = find(c, key);
    flight *f = e ? NULL : find_flight(c, key);
    if (e || f)
        c->stats.hits++;
    else
        c->stats.misses++;
    if (e) {
        memcpy(ret, e->vector, dim * sizeof *ret);
    } else if (f) {
        c->stats.shared++;
        code = join(c, f, dim, ret, err);
    } else {
        code = fly(c, key, dim, embed, ctx, ret, err);
    }
    lk_mutex_unlock(&c->lock);
    return code;
}

void lk_embed_cache_stats_of(lk_embed_cache *c, lk_embed_cache_stats *ret)
{
    lk_mutex_lock(&c->lock);
    *ret = c->stats;
    lk_mutex_unlock(&c->lock);
}
