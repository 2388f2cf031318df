/* Embeddings that were made before, by what they were made of.
 *
 * A key is a SHA-256 over the model's key, the tower, and the SHA-256 of the picture's or text's
 * bytes, so that another model, or one with another preprocessing, never meets a vector that is not
 * its own. The least recently used go when the byte limit is reached, and all go when their time is
 * up. Threads that ask for the same new key at once share one run of the model: the first runs it,
 * the others wait for its vector or its error. Errors are not kept.
 *
 * Internally locked; the lock is not held while a model runs. */
#ifndef LK_MODEL_EMBED_CACHE_H
#define LK_MODEL_EMBED_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sha256.h"

typedef struct lk_embed_cache lk_embed_cache;

typedef enum lk_tower { LK_TOWER_IMAGE = 'i', LK_TOWER_TEXT = 't' } lk_tower;

/* max_bytes 0: nothing is kept, and threads still share. ttl_ms 0: kept until there is no room. */
LK_CHECK lk_code lk_embed_cache_new(uint64_t max_bytes, uint64_t ttl_ms, lk_embed_cache **ret,
                                    lk_err *err);
void lk_embed_cache_free(lk_embed_cache *c); /* NULL allowed; no call may be running */

/* content: the SHA-256 of the bytes that the tower is given (a file as it was sent; a text). */
LK_CHECK lk_code lk_embed_key(const char *model_key, lk_tower tower, const lk_sha256 *content,
                              lk_sha256 *ret, lk_err *err);

/* Makes ret[dim]; what it returns goes to every thread that waits. */
typedef lk_code lk_embed_fn(void *ctx, float *ret, lk_err *err);

/* The vector kept under key, or the one that embed makes, kept from then on when there is memory
 * for it. All calls with one key must have the same dim. embed must not ask this cache for the same
 * key. */
LK_CHECK lk_code lk_embed_cache_get(lk_embed_cache *c, const lk_sha256 *key, size_t dim,
                                    lk_embed_fn *embed, void *ctx, float *ret, lk_err *err);

typedef struct lk_embed_cache_stats {
    uint64_t hits, misses;
    uint64_t shared; /* hits that waited for another thread's run */
    uint64_t entries, bytes;
} lk_embed_cache_stats;
void lk_embed_cache_stats_of(lk_embed_cache *c, lk_embed_cache_stats *ret);

#endif
