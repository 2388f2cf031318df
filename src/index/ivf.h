/* An inverted file over codes: every slot in the list of its nearest centroid, and a search looks
 * through the nearest lists. Quick to build and four bytes a vector more than the codes, where a
 * graph takes a hundred and more.
 *
 * Many threads may add, put and search at the same time, each slot being added by one; one writer
 * drops meanwhile. A list is changed under its own lock, which a search holds while it copies some
 * hundred slots. */
#ifndef LK_INDEX_IVF_H
#define LK_INDEX_IVF_H

#include "base/bitmap.h"
#include "index/kmeans.h"
#include "index/spin.h"
#include "index/walk.h"

#define LK_IVF_MAX_LISTS 65536
#define LK_IVF_NO_LIST UINT32_MAX

typedef struct lk_slot_list {
    uint32_t *slots;
    size_t n, cap;
    uint32_t drops; /* how often slots were taken out: those behind them have moved */
    atomic_uchar lock;
} lk_slot_list;

typedef struct lk_ivf {
    const lk_codes *codes;
    size_t nlist;
    lk_codes *centroids; /* [nlist] rows of 8 bits; a snapshot keeps rows and terms */
    lk_plane where;      /* [slot] _Atomic uint32_t: its list + 1, or 0 */
    lk_slot_list *lists; /* [nlist] */
} lk_ivf;

/* codes outlives it and was trained, or is before lk_ivf_train. nlist is 1..LK_IVF_MAX_LISTS. */
LK_CHECK lk_code lk_ivf_init(lk_ivf *ivf, const lk_codes *codes, size_t nlist, lk_err *err);
void lk_ivf_release(lk_ivf *ivf); /* of one that is all zero, too */
LK_CHECK lk_code lk_ivf_reserve(lk_ivf *ivf, size_t n_slots, lk_err *err);

/* Learn the centroids from sample[n][dim], before the first slot; n may be 0. Some tens of vectors
 * a list are enough. progress (NULL allowed) is called from this thread. LK_E_NOMEM, LK_E_CANCELED
 * leave it as it was. */
LK_CHECK lk_code lk_ivf_train(lk_ivf *ivf, const float *sample, size_t n, unsigned n_threads,
                              lk_progress_fn *progress, void *ctx, const lk_cancel *cancel,
                              lk_err *err);

/* A reserved slot whose codes are written, into its nearest list, or into the one that a snapshot
 * names (LK_E_CORRUPT: there is none such). It is in no list yet. */
LK_CHECK lk_code lk_ivf_add(lk_ivf *ivf, uint32_t slot, lk_err *err);
LK_CHECK lk_code lk_ivf_put(lk_ivf *ivf, uint32_t slot, uint32_t list, lk_err *err);

/* The list of a reserved slot, or LK_IVF_NO_LIST. */
uint32_t lk_ivf_list(const lk_ivf *ivf, uint32_t slot);

/* Take these slots out of their lists. */
void lk_ivf_drop(lk_ivf *ivf, const lk_bitmap *dead);

/* Offer w the slots of the nprobe nearest lists, of those in `which` alone unless it is NULL, and
 * of further lists as long as w->ef slots were not met, so that k results come whenever k exist. w
 * was cleared and holds its query; its visited set holds the pool afterwards. Returns how many were
 * scored; w->failed says that memory ran out. */
size_t lk_ivf_search(const lk_ivf *ivf, lk_walk *w, size_t nprobe, const lk_bitmap *which);

#endif
