/* catalog.<n>: what is known about each slot, as a log of checksummed frames.
 *
 *   0     header (64 bytes) and seal (12 bytes), in a page of 4096
 *   4096  frame, frame, …
 *
 * A frame is one commit: all of it counts or none. The log is read in one go at open. When most of
 * it is outdated it is written anew, compactly, under the next number; the highest number counts.
 *
 * The seal says up to where the file is known to be on disk. It is written after the sync and not
 * synced itself, so it may lag but never leads: a bad frame before it is damage to acknowledged
 * data (LK_E_CORRUPT); a bad last frame behind it was never acknowledged and is cut off.
 *
 * One owner. */
#ifndef LK_STORE_VECTORS_EMBEDDED_CATALOG_H
#define LK_STORE_VECTORS_EMBEDDED_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LK_CATALOG_HEADER 4096
#define LK_MAX_FRAME_BYTES ((uint64_t)1 << 30)

typedef struct lk_catalog_head {
    uint32_t dim;
    uint32_t elem;
    uint32_t metric;
    uint32_t vectors;    /* the n of vectors.<n> */
    uint64_t collection; /* a random number that its files share */
    uint64_t generation; /* the n of catalog.<n> */
} lk_catalog_head;

typedef struct lk_catalog {
    int fd;
    char *path;
    uint64_t bytes;
    uint64_t seq; /* of the next frame */
    bool broken;  /* what is on disk is not known: nothing more is written */
} lk_catalog;

void lk_catalog_init(lk_catalog *c); /* so that close is safe */
void lk_catalog_close(lk_catalog *c);

/* Start a new file at a temporary path; frames are added without a sync; finish makes it durable
 * and renames it to `path`. */
LK_CHECK lk_code lk_catalog_create(lk_catalog *c, const char *temp_path,
                                   const lk_catalog_head *head, lk_err *err);
LK_CHECK lk_code lk_catalog_add(lk_catalog *c, lk_blob payload, lk_err *err);
LK_CHECK lk_code lk_catalog_finish(lk_catalog *c, const char *path, const char *dir, lk_err *err);

/* Open, and hand every frame's payload to fn in order; its code stops the reading. */
typedef lk_code lk_catalog_frame_fn(void *ctx, lk_blob payload, lk_err *err);
LK_CHECK lk_code lk_catalog_open(lk_catalog *c, const char *path, lk_err *err);
LK_CHECK lk_code lk_catalog_read_head(lk_catalog *c, lk_catalog_head *ret, lk_err *err);
/* repair: cut off what was never acknowledged (else it is passed over). */
LK_CHECK lk_code lk_catalog_replay(lk_catalog *c, bool repair, lk_catalog_frame_fn *fn, void *ctx,
                                   lk_err *err);

/* Add one frame; on disk when it returns. After an error the file is as it was, or `broken` is
 * set and every later append fails until the folder is opened again. */
LK_CHECK lk_code lk_catalog_append(lk_catalog *c, lk_blob payload, lk_err *err);

#endif
