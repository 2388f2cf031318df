/* Approximate nearest neighbours over rows by slot: one face over the graph and the inverted file.
 *
 * The index holds codes of the vectors and how to find near ones; the vectors themselves stay the
 * caller's (lk_rows) and rank the answer exactly in the end. Every slot is in one of these states:
 *
 *   absent ── put ──> waiting ── link ──> linked <── build ── claimed
 *     ^                  │ retire            │ retire
 *     ├──────────────────┘                   v
 *     └──────────── mended, handed back ── dead
 *
 * A waiting slot is found at once, by comparing its code; a dead one is walked over until mending
 * has led every link around it, and must not be used again before.
 *
 * put, retire and reserve are one writer's; link, mend, build and save belong to one other thread
 * (which may share its work out); searches are anyone's, and wait for neither. The caller drops
 * from the answer what died meanwhile, and keeps a slot that was handed back unused while a search
 * that began before may still hold it. */
#ifndef LK_INDEX_ANN_H
#define LK_INDEX_ANN_H

#include "base/bitmap.h"
#include "base/progress.h"
#include "base/thread.h"
#include "index/flat.h"
#include "index/rows.h"

typedef enum lk_ann_kind { LK_ANN_HNSW, LK_ANN_IVF } lk_ann_kind;

typedef struct lk_ann_opts {
    lk_ann_kind kind;
    size_t dim;
    lk_score score;
    bool unit;              /* all vectors have length 1: the inner product orders as L2 does */
    unsigned bits;          /* of a code's element: 4 or 8; 0 is 4 */
    size_t M;               /* links a slot is 2 M; 0 is LK_ANN_M */
    size_t ef_construction; /* 0 is LK_ANN_EF_CONSTRUCTION */
    size_t nlist;           /* 0: by the number of vectors */
    size_t scan_at_most;    /* rows that match a filter: so few are compared one by one, for about
                             * what a walk costs; 0 is LK_ANN_SCAN_AT_MOST */
} lk_ann_opts;

#define LK_ANN_M 24
#define LK_ANN_MAX_M 128
#define LK_ANN_EF_CONSTRUCTION 160
#define LK_ANN_MAX_EF 65536
#define LK_ANN_MAX_NLIST 65536
#define LK_ANN_SCAN_AT_MOST 20000

typedef struct lk_ann lk_ann;

LK_CHECK lk_code lk_ann_new(const lk_kern *kern, const lk_ann_opts *opts, lk_ann **ret,
                            lk_err *err);
void lk_ann_free(lk_ann *a); /* NULL allowed */

/* Room for slots below n. */
LK_CHECK lk_code lk_ann_reserve(lk_ann *a, size_t n_slots, lk_err *err);

/* A new index is made in three steps: train learns from some of the rows, claim takes slots in
 * while no one puts or retires (from then on the writer may), build links them on n_threads (0:
 * all). What train or build leaves after an error or LK_E_CANCELED is good for nothing but freeing.
 * progress and cancel may be NULL. */
LK_CHECK lk_code lk_ann_train(lk_ann *a, const lk_rows *rows, const lk_bitmap *which,
                              unsigned n_threads, const lk_cancel *cancel, lk_err *err);
LK_CHECK lk_code lk_ann_claim(lk_ann *a, const lk_bitmap *which, lk_err *err);
LK_CHECK lk_code lk_ann_build(lk_ann *a, const lk_rows *rows, unsigned n_threads,
                              lk_progress_fn *progress, void *ctx, const lk_cancel *cancel,
                              lk_err *err);

/* ---- the writer ---- */

/* Take a vector[dim] in under an absent slot for which there is room. Cannot fail. */
void lk_ann_put(lk_ann *a, uint32_t slot, const float *vector);
/* The slot's vector is gone. True: it may be used again (as above); false: after it was mended. */
bool lk_ann_retire(lk_ann *a, uint32_t slot);

/* ---- the other thread ---- */

size_t lk_ann_waiting(lk_ann *a);
size_t lk_ann_dead(lk_ann *a);
size_t lk_ann_linked(lk_ann *a);
/* Link at most max waiting slots on n_threads (0: all); *ret is how many were. LK_E_NOMEM: they go
 * on waiting. */
LK_CHECK lk_code lk_ann_link(lk_ann *a, const lk_rows *rows, size_t max, unsigned n_threads,
                             size_t *ret, lk_err *err);
/* Lead everything around the slots that are dead now; these are then absent, and set in *ret. */
LK_CHECK lk_code lk_ann_mend(lk_ann *a, unsigned n_threads, lk_bitmap *ret, lk_err *err);

/* ---- searching ---- */

typedef struct lk_ann_query {
    const float *vector; /* [dim] */
    size_t k;
    size_t ef, nprobe;      /* 0: by k */
    const lk_bitmap *which; /* only these; NULL: all */
    size_t matched;         /* how many they are */
} lk_ann_query;

typedef struct lk_ann_found {
    lk_near *hits; /* [n] scored by the rows, best first; in memory to lk_free */
    size_t n;
    const char *plan;
} lk_ann_found;

/* At least k hits when there are as many (dead ones counted), and those that tie with the last. */
LK_CHECK lk_code lk_ann_search(lk_ann *a, const lk_rows *rows, const lk_ann_query *q,
                               lk_ann_found *ret, lk_err *err);
/* Several at once, which a processor does in less time than one after the other. On an error none
 * has hits. */
LK_CHECK lk_code lk_ann_search_many(lk_ann *a, const lk_rows *rows, const lk_ann_query *q, size_t n,
                                    lk_ann_found *ret, lk_err *err);

uint64_t lk_ann_bytes(lk_ann *a); /* of memory */
const lk_ann_opts *lk_ann_opts_of(const lk_ann *a);

/* ---- on disk ---- */

/* Write what is linked to a new file, and sync it. stamp[n_slots] is the caller's mark of each
 * slot's vector. The other thread's. */
LK_CHECK lk_code lk_ann_save(lk_ann *a, const char *path, uint64_t collection,
                             const uint32_t *stamp, size_t n_slots, lk_err *err);

/* Read it back, on n_threads (0: all). Nothing in it is trusted: every block has its checksum, and
 * links are checked one by one. LK_E_NOT_FOUND; LK_E_FORMAT: of another version, collection or
 * other options; LK_E_CORRUPT, LK_E_TRUNCATED: damaged. */
LK_CHECK lk_code lk_ann_load(const lk_kern *kern, const lk_ann_opts *opts, const char *path,
                             uint64_t collection, unsigned n_threads, lk_ann **ret, lk_err *err);
/* Then, before anything else: compare with what there is now. A slot that is not live, or whose
 * mark is another one, is dead; a live slot that the file did not know is put. *ret_stale counts
 * live slots that are dead: mend, then put them. */
LK_CHECK lk_code lk_ann_catch_up(lk_ann *a, const lk_rows *rows, const lk_bitmap *live,
                                 const uint32_t *stamp, size_t *ret_stale, lk_err *err);
/* Is the slot still walked over, and not to be used? */
bool lk_ann_is_dead(lk_ann *a, uint32_t slot);

#endif
