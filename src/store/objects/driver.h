/* What an object store is: one const table of functions over one struct it owns. Callers use
 * objects.h; objects.c checks arguments and limits once, so a driver is only the part that differs.
 *
 * Calls come from any number of threads. */
#ifndef LK_STORE_OBJECTS_DRIVER_H
#define LK_STORE_OBJECTS_DRIVER_H

#include "store/objects/objects.h"

typedef struct lk_objects_driver {
    const char *name; /* the scheme in "file:DIR" */
    size_t size;      /* bytes of the struct that embeds lk_objects as its first member */

    /* close is also called after an open that failed. */
    lk_code (*open)(lk_objects *o, const char *where, lk_err *err);
    void (*close)(lk_objects *o);
    /* Idempotent. lazy only comes with a variant. */
    lk_code (*put)(lk_objects *o, const lk_sha256 *key, const char *variant, lk_blob bytes,
                   bool lazy, lk_err *err);
    lk_code (*get)(lk_objects *o, const lk_sha256 *key, const char *variant, lk_buf *into,
                   lk_err *err);
    lk_code (*has)(lk_objects *o, const lk_sha256 *key, const char *variant, bool *ret,
                   lk_err *err);
    lk_code (*remove)(lk_objects *o, const lk_sha256 *key, lk_err *err);
    lk_code (*list)(lk_objects *o, lk_objects_see_fn *see, void *ctx, lk_err *err);
} lk_objects_driver;

struct lk_objects {
    const lk_objects_driver *driver;
};

/* Open with a given table (a driver under test, or one that wraps another). */
LK_CHECK lk_code lk_objects_open_with(const lk_objects_driver *driver, const char *where,
                                      lk_objects **ret, lk_err *err);

extern const lk_objects_driver lk_objects_folder;

#endif
