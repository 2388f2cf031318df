/* What a record store is: one const table of functions over one struct it owns. Callers use
 * records.h; records.c checks arguments and limits once, so a driver is only the part that differs.
 *
 * Calls come from any number of threads. Rows read are copied into the caller's arena. */
#ifndef LK_STORE_RECORDS_DRIVER_H
#define LK_STORE_RECORDS_DRIVER_H

#include "store/records/records.h"

typedef struct lk_records_driver {
    const char *name; /* the scheme in "sqlite:PATH" */
    size_t size;      /* bytes of the struct that embeds lk_records as its first member */

    /* close is also called after an open that failed. */
    lk_code (*open)(lk_records *r, const char *where, lk_err *err);
    void (*close)(lk_records *r);
    lk_code (*put)(lk_records *r, size_t n, const lk_record_row *rows, bool replace, lk_err *err);
    lk_code (*get_many)(lk_records *r, size_t n, const lk_str *ids, lk_arena *into,
                        lk_record_row *ret, lk_err *err); /* an absent one has an empty doc */
    lk_code (*remove)(lk_records *r, size_t n, const lk_str *ids, size_t *ret_deleted, lk_err *err);
    lk_code (*find_object)(lk_records *r, const lk_sha256 *object, lk_arena *into, lk_str *ret_id,
                           lk_err *err);
    lk_code (*count)(lk_records *r, uint64_t *ret, lk_err *err);
    /* Up to limit rows strictly after (created_ms, id) in either direction; has_after false: from
     * the start. */
    lk_code (*list)(lk_records *r, bool has_after, int64_t created_ms, lk_str id, size_t limit,
                    bool descending, lk_arena *into, lk_record_row *ret, size_t *ret_n,
                    lk_err *err);
    /* Up to limit rows with an id greater than `after`, in id order. */
    lk_code (*page)(lk_records *r, lk_str after, size_t limit, lk_arena *into, lk_record_row *ret,
                    size_t *ret_n, lk_err *err);
    lk_code (*meta_put)(lk_records *r, lk_str key, lk_str value, lk_err *err);
    lk_code (*meta_get)(lk_records *r, lk_str key, lk_arena *into, lk_str *ret, lk_err *err);

    /* optional */
    lk_code (*verify)(lk_records *r, lk_err *err);
} lk_records_driver;

struct lk_records {
    const lk_records_driver *driver;
};

/* Open with a given table (a driver under test, or one that wraps another). */
LK_CHECK lk_code lk_records_open_with(const lk_records_driver *driver, const char *where,
                                      lk_records **ret, lk_err *err);

extern const lk_records_driver lk_records_sqlite;

#endif
