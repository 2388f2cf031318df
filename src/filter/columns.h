/* Attributes in memory, one typed column a field, indexed by a dense slot.
 *
 * Strings are kept once each in a dictionary, so a test on them is made once a distinct value and
 * the rows are compared as numbers. A filter narrows a set of candidate slots word by word; words
 * without candidates are skipped, so cheap or selective tests written first pay off.
 *
 * Threads: many readers or one writer, kept apart by the owner's lock. Evaluation takes about a
 * millisecond a million rows and test, so a reader-writer lock held for that long costs less than
 * copying columns for snapshots would; the writer's updates are per row and shorter still. */
#ifndef LK_FILTER_COLUMNS_H
#define LK_FILTER_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bitmap.h"
#include "base/err.h"
#include "filter/filter.h"

#define LK_MAX_COLUMNS 1024

typedef struct lk_columns lk_columns;

LK_CHECK lk_code lk_columns_new(lk_columns **ret, lk_err *err);
void lk_columns_free(lk_columns *c); /* NULL allowed */

/* The number of a column, counted from 0 in the order of their making, or SIZE_MAX. */
size_t lk_columns_find(const lk_columns *c, lk_str name, bool in_metadata);
/* Find it or make it. LK_E_INVALID when it is there with another type, LK_E_LIMIT over
 * LK_MAX_COLUMNS. */
LK_CHECK lk_code lk_columns_need(lk_columns *c, lk_str name, bool in_metadata, lk_type type,
                                 size_t *ret, lk_err *err);
size_t lk_columns_count(const lk_columns *c);
lk_field lk_columns_field(const lk_columns *c, size_t column); /* its name lives in c */

/* Room for slots below n, so that lk_columns_set on them can only fail for a new string. */
LK_CHECK lk_code lk_columns_reserve(lk_columns *c, size_t n_slots, lk_err *err);
/* Overwrite one cell; LK_T_NULL empties it. A whole number fits a real column; any other type but
 * the column's is LK_E_INVALID naming the field. Copies strings. */
LK_CHECK lk_code lk_columns_set(lk_columns *c, size_t column, size_t slot, const lk_value *v,
                                lk_err *err);
void lk_columns_clear(lk_columns *c, size_t slot); /* every cell of the slot */

/* Make a later lk_columns_set of this value, on a slot with room, unable to fail: for a writer that
 * must first reach the disk. Every hold is followed by one let_go, after the set or instead of it.
 */
LK_CHECK lk_code lk_columns_hold(lk_columns *c, size_t column, const lk_value *v, lk_err *err);
void lk_columns_let_go(lk_columns *c, size_t column, const lk_value *v);
/* Take back the columns from number n on. */
void lk_columns_truncate(lk_columns *c, size_t n);

/* A string lives until its cell is written again. */
lk_value lk_columns_get(const lk_columns *c, size_t column, size_t slot);

/* *io := the slots of *io for which the checked filter is true; a slot that no column reaches has
 * null everywhere. LK_E_NOMEM leaves *io undefined. The exact count is lk_bitmap_count's. */
LK_CHECK lk_code lk_columns_narrow(const lk_columns *c, const lk_filter *checked, lk_bitmap *io,
                                   lk_err *err);

/* A string column's distinct values with the number of cells that hold each, most first, ties by
 * bytes; values point into c. At most limit. */
typedef struct lk_columns_value {
    lk_str value;
    uint64_t n;
} lk_columns_value;
LK_CHECK lk_code lk_columns_values(const lk_columns *c, size_t column, size_t limit, lk_arena *into,
                                   lk_columns_value **ret, size_t *ret_n, lk_err *err);

size_t lk_columns_bytes(const lk_columns *c); /* memory held */

#endif
