/* The index of an embedded collection: derived from the rows, kept up to date behind the writer.
 *
 *   <dir>/index         the index as it was saved last; what changed since is found by comparing
 *
 * One thread at a time works on it (`busy`): the collection's own, which links what was put, mends
 * around what was given up, builds when the collection has grown to want one and saves now and
 * then; or a caller of lk_embedded_index_build. Searches use it once it is ready, and compare every
 * row until then.
 *
 * A slot that was given up is used again when the grace period after giving it up is over and the
 * index does not walk over it any more; if that comes later, after another grace period. */
#ifndef LK_STORE_VECTORS_EMBEDDED_INDEX_H
#define LK_STORE_VECTORS_EMBEDDED_INDEX_H

#include "base/bitmap.h"
#include "base/progress.h"
#include "base/thread.h"
#include "index/ann.h"

struct lk_embedded;

typedef struct lk_embedded_ann { /* shared by counting */
    atomic_uint refs;
    lk_ann *ann;
    atomic_bool ready;
} lk_embedded_ann;

typedef struct lk_embedded_index {
    lk_mutex lock;
    lk_cond changed;
    lk_thread *thread;
    bool up, busy, stop, failed;      /* failed: not before something changes again */
    unsigned asked;                   /* how often there was something new */
    lk_cancel cancel;                 /* of what is being built, at closing */
    lk_embedded_ann *now;             /* NULL: none */
    atomic_uint_fast64_t done, total; /* of a build */

    /* The writer's. */
    lk_bitmap parked;    /* slots past their grace period that the index walks over */
    lk_bitmap once_more; /* mended before their grace period was over: another one is due */
    size_t unsaved;      /* puts and retirements since the file was written; any thread's, locked */
} lk_embedded_index;

void lk_embedded_index_init(lk_embedded_index *x);
/* Read the file if the options want an index, before slots are listed as free. */
LK_CHECK lk_code lk_embedded_index_load(struct lk_embedded *e, lk_err *err);
/* Begin to work on it. */
LK_CHECK lk_code lk_embedded_index_start(struct lk_embedded *e, lk_err *err);
/* Stop working and save what is worth saving. */
void lk_embedded_index_close(struct lk_embedded *e);

/* The index to use until it is let go; NULL: none, or not ready. */
lk_embedded_ann *lk_embedded_index_hold(struct lk_embedded *e, bool ready);
void lk_embedded_index_let_go(lk_embedded_ann *x); /* NULL allowed */

/* The writer's calls. reserve is the one that can fail, before anything is durable. */
LK_CHECK lk_code lk_embedded_index_reserve(struct lk_embedded *e, size_t n_slots, lk_err *err);
void lk_embedded_index_put(struct lk_embedded *e, uint32_t slot);
void lk_embedded_index_retire(struct lk_embedded *e, uint32_t slot);
/* Its grace period is over: may it be used again? */
typedef enum lk_slot_fate { LK_SLOT_FREE, LK_SLOT_PARKED, LK_SLOT_ONCE_MORE } lk_slot_fate;
lk_slot_fate lk_embedded_index_may_reuse(struct lk_embedded *e, uint32_t slot);
bool lk_embedded_index_walks_over(struct lk_embedded *e, uint32_t slot);
/* Something was written: there may be work. Waits a little when linking is far behind. */
void lk_embedded_index_wake(struct lk_embedded *e);

LK_CHECK lk_code lk_embedded_index_build(struct lk_embedded *e, unsigned n_threads,
                                         lk_progress_fn *progress, void *ctx,
                                         const lk_cancel *cancel, lk_err *err);

#endif
