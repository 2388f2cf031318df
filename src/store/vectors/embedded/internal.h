/* The embedded vector store: what its files share.
 *
 *   <dir>/lock          held while the folder is open
 *   <dir>/vectors.<n>   the vectors, a row a slot (rowfile.h)
 *   <dir>/catalog.<n>   ids, attributes, options: a log (catalog.h, ops.h)
 *   <dir>/index         derived from these (index.h)
 *
 * Invariants:
 * V1. A row is written only to a slot that no reader can reach: a free one.
 * V2. A commit is durable when its frame is: rows are synced before the frame is written.
 * V3. Memory changes after the frame is durable, and then cannot fail: all room is made before.
 * V4. A slot that was given up is used again only after a grace period (grace.h), so what a search
 *     found keeps its vector and its id until the search ends.
 * V5. A slot's cells are empty while it is not live.
 *
 * Writers go through `group` and are alone. Readers and the writer meet under `lock`, held for a
 * filter's evaluation or a few rows' publication, never across I/O. */
#ifndef LK_STORE_VECTORS_EMBEDDED_INTERNAL_H
#define LK_STORE_VECTORS_EMBEDDED_INTERNAL_H

#include <pthread.h>

#include "base/bitmap.h"
#include "filter/columns.h"
#include "kern/kern.h"
#include "store/group.h"
#include "store/vectors/driver.h"
#include "store/vectors/embedded/catalog.h"
#include "store/vectors/embedded/grace.h"
#include "store/vectors/embedded/ids.h"
#include "store/vectors/embedded/index.h"
#include "store/vectors/embedded/ops.h"
#include "store/vectors/embedded/rowfile.h"

typedef struct lk_embedded_options {
    char space[LK_MAX_SPACE_BYTES + 1];
    char index[8];
    int64_t M, ef_construction, nlist;
} lk_embedded_options;

typedef struct lk_embedded {
    lk_vectors base;
    char *dir;
    int lock_fd;
    const lk_kern *kern;
    lk_elem elem;
    bool ready; /* locks exist */

    /* What readers see; under `lock`. */
    pthread_rwlock_t lock;
    lk_ids ids;
    lk_bitmap live;
    lk_columns *columns;
    uint32_t *row_crc; /* [n_slots] */
    float *norm;       /* [n_slots] length of a vector before it was made unit, for cosine */
    size_t cap_slots;  /* of row_crc, norm, live and columns */
    size_t n_slots;
    size_t n_live;
    lk_embedded_options options;

    lk_grace grace;
    lk_rowfile rows;
    lk_embedded_index index;

    /* The writer's own. */
    lk_group group;
    lk_catalog catalog;
    uint64_t collection;
    uint64_t generation;
    uint32_t vectors_n;
    uint64_t live_bytes; /* about what a compact catalog would take */
    uint32_t *free;      /* slots to use again, the next one last */
    size_t n_free, cap_free;
    uint32_t *again; /* slots whose grace period begins again */
    size_t n_again, cap_again;
} lk_embedded;

static inline lk_embedded *lk_embedded_of(lk_vectors *v)
{
    return (lk_embedded *)v;
}

/* Room in memory for slots below n_slots and n_new more ids. Takes the lock for writing. */
LK_CHECK lk_code lk_embedded_reserve(lk_embedded *e, size_t n_slots, size_t n_new, lk_err *err);
/* How many bytes of the catalog a live row takes. */
uint64_t lk_embedded_entry_bytes(const lk_embedded *e, uint32_t slot);

/* dir/name.n in memory to lk_free; NULL: out of memory. */
char *lk_embedded_path(const char *dir, const char *name, uint64_t n);

/* write.c; called by the group's leader */
void lk_embedded_commit(void *owner, lk_group_call *chain);
lk_code lk_embedded_upsert(lk_vectors *v, size_t n, const lk_vector_row *rows, lk_err *err);
lk_code lk_embedded_remove(lk_vectors *v, size_t n, const lk_str *ids, size_t *ret_deleted,
                           lk_err *err);

/* read.c */
lk_code lk_embedded_search(lk_vectors *v, const lk_vectors_query *q, lk_arena *into,
                           lk_vectors_found *ret, lk_err *err);
lk_code lk_embedded_get(lk_vectors *v, lk_str id, float *ret, lk_err *err);
lk_code lk_embedded_scan(lk_vectors *v, const lk_filter *filter, size_t limit, uint64_t *cursor,
                         lk_arena *into, lk_str **ret, size_t *ret_n, lk_err *err);
lk_code lk_embedded_schema(lk_vectors *v, lk_arena *into, lk_schema *ret, lk_err *err);
lk_code lk_embedded_values(lk_vectors *v, lk_str field, size_t limit, lk_arena *into,
                           lk_value_count **ret, size_t *ret_n, lk_err *err);
lk_code lk_embedded_info(lk_vectors *v, lk_vectors_info *ret, lk_err *err);

/* verify.c */
lk_code lk_embedded_verify(lk_vectors *v, lk_err *err);

/* compact.c */
void lk_embedded_put_options(lk_buf *b, const lk_embedded_options *o);
/* Write the catalog anew under the next number and go on with that. The writer's turn. */
LK_CHECK lk_code lk_embedded_compact(lk_embedded *e, lk_err *err);
/* The same when most of the log is outdated. Nothing depends on it, so it does not fail. */
void lk_embedded_compact_if_wanted(lk_embedded *e);

#endif
