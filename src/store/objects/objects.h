/* Objects: the pictures' bytes, content-addressed (I4), and what is derived from them.
 *
 * A key is the SHA-256 of the original; a variant names a derived file under the same key ("" is
 * the original, "t320" and "t1024" thumbnails). Putting what is there already is fine and cheap. */
#ifndef LK_STORE_OBJECTS_H
#define LK_STORE_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/sha256.h"
#include "base/str.h"

typedef struct lk_objects lk_objects;

/* where: "file:DIR" (the embedded driver; a bare path means it). */
LK_CHECK lk_code lk_objects_open(const char *where, lk_objects **ret, lk_err *err);
void lk_objects_close(lk_objects *o); /* NULL allowed */

/* On disk when it returns (I2) unless lazy: a lazy put may be lost in a crash and is for variants.
 * variant: [a-z0-9]{0,16}. */
LK_CHECK lk_code lk_objects_put(lk_objects *o, const lk_sha256 *key, const char *variant,
                                lk_blob bytes, bool lazy, lk_err *err);
/* Appended to *into. LK_E_NOT_FOUND. */
LK_CHECK lk_code lk_objects_get(lk_objects *o, const lk_sha256 *key, const char *variant,
                                lk_buf *into, lk_err *err);
LK_CHECK lk_code lk_objects_has(lk_objects *o, const lk_sha256 *key, const char *variant, bool *ret,
                                lk_err *err);
/* The original and every variant; an absent key is fine. */
LK_CHECK lk_code lk_objects_delete(lk_objects *o, const lk_sha256 *key, lk_err *err);
/* Every original, in any order. Stops when see returns anything but LK_OK. */
typedef lk_code lk_objects_see_fn(void *ctx, const lk_sha256 *key, uint64_t bytes);
LK_CHECK lk_code lk_objects_list(lk_objects *o, lk_objects_see_fn *see, void *ctx, lk_err *err);

#endif
