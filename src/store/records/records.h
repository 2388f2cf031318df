/* Records: what is known about each picture, as one JSON document under the picture's id.
 *
 * The record is the commit point of an ingest (I1): when it exists, its vector and its object do.
 * Drivers stand behind one const table (driver.h); this is the face the engine calls. */
#ifndef LK_STORE_RECORDS_H
#define LK_STORE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sha256.h"
#include "base/str.h"

#define LK_MAX_ID_BYTES 512
#define LK_MAX_RECORD_BYTES (1u << 20)

typedef struct lk_records lk_records;

typedef struct lk_record_row {
    lk_str id;
    lk_sha256 object;   /* the original's key */
    int64_t created_ms; /* list order: created_ms, then id */
    lk_str doc;         /* a JSON object */
} lk_record_row;

/* where: "sqlite:PATH" (the embedded driver; a bare path means it). */
LK_CHECK lk_code lk_records_open(const char *where, lk_records **ret, lk_err *err);
void lk_records_close(lk_records *r); /* NULL allowed */

/* All or nothing and on disk when it returns. replace: overwrite rows of the same id, else
 * LK_E_EXISTS naming the first. Any thread; calls that arrive together share one commit (group
 * commit). */
LK_CHECK lk_code lk_records_put(lk_records *r, size_t n, const lk_record_row *rows, bool replace,
                                lk_err *err);
LK_CHECK lk_code lk_records_get(lk_records *r, lk_str id, lk_arena *into, lk_record_row *ret,
                                lk_err *err); /* LK_E_NOT_FOUND */
/* ret[n] in the order of ids; an absent one has an empty doc. One round trip. */
LK_CHECK lk_code lk_records_get_many(lk_records *r, size_t n, const lk_str *ids, lk_arena *into,
                                     lk_record_row *ret, lk_err *err);
LK_CHECK lk_code lk_records_delete(lk_records *r, size_t n, const lk_str *ids, size_t *ret_deleted,
                                   lk_err *err); /* absent ids are fine */
/* The id of a record over this object, LK_E_NOT_FOUND when there is none. */
LK_CHECK lk_code lk_records_find_object(lk_records *r, const lk_sha256 *object, lk_arena *into,
                                        lk_str *ret_id, lk_err *err);
/* By source path, so that a second run skips what it has: the id, size and mtime-independent
 * object. */
LK_CHECK lk_code lk_records_count(lk_records *r, uint64_t *ret, lk_err *err);
/* Up to limit rows after the cursor (empty: from the start), newest first when descending.
 * *ret_next is the next cursor, empty at the end. */
LK_CHECK lk_code lk_records_list(lk_records *r, lk_str cursor, size_t limit, bool descending,
                                 lk_arena *into, lk_record_row **ret, size_t *ret_n,
                                 lk_str *ret_next, lk_err *err);
/* Visit all in id order; stops when see returns anything but LK_OK. */
typedef lk_code lk_records_see_fn(void *ctx, const lk_record_row *row);
LK_CHECK lk_code lk_records_scan(lk_records *r, lk_records_see_fn *see, void *ctx, lk_err *err);
/* Small named texts of the collection (its model's key, its options). Absent: LK_E_NOT_FOUND. */
LK_CHECK lk_code lk_records_meta_put(lk_records *r, lk_str key, lk_str value, lk_err *err);
LK_CHECK lk_code lk_records_meta_get(lk_records *r, lk_str key, lk_arena *into, lk_str *ret,
                                     lk_err *err);
/* The driver's own check of its files; LK_E_CORRUPT with its first complaint. */
LK_CHECK lk_code lk_records_verify(lk_records *r, lk_err *err);

#endif
