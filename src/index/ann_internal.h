/* What the files of an index share. */
#ifndef LK_INDEX_ANN_INTERNAL_H
#define LK_INDEX_ANN_INTERNAL_H

#include "index/ann.h"
#include "index/graph.h"
#include "index/ivf.h"

#define LK_ANN_IDLE_WALKS 64

typedef enum lk_ann_state {
    LK_ANN_ABSENT,
    LK_ANN_WAITING,
    LK_ANN_LINKING, /* by the other thread, now */
    LK_ANN_LINKED,
    LK_ANN_DEAD,
} lk_ann_state;

struct lk_ann {
    lk_ann_opts opts; /* with the defaults put in */
    const lk_kern *kern;
    lk_codes *codes;
    lk_graph graph; /* of kind hnsw */
    lk_ivf ivf;     /* of kind ivf; made when it is trained */

    lk_mutex lock;
    lk_plane states;   /* _Atomic uint8_t, changed under the lock */
    uint32_t *waiting; /* oldest first */
    size_t n_waiting, cap_waiting;
    size_t n_linking; /* the first so many of waiting */
    size_t n_linked, n_dead;
    size_t n_slots; /* all slots that were ever taken in are below */

    uint32_t *stamps; /* [n_slots] between load and catch_up */

    atomic_uchar walks_lock;
    lk_walk *walks[LK_ANN_IDLE_WALKS];
    size_t n_walks;
};

static inline _Atomic uint8_t *lk_ann_state_at(const lk_ann *a, uint32_t slot)
{
    return (_Atomic uint8_t *)(void *)lk_plane_at(&a->states, slot);
}

static inline lk_ann_state lk_ann_state_of(const lk_ann *a, uint32_t slot)
{
    return (lk_ann_state)atomic_load_explicit(lk_ann_state_at(a, slot), memory_order_relaxed);
}

static inline void lk_ann_set_state(lk_ann *a, uint32_t slot, lk_ann_state s)
{
    atomic_store_explicit(lk_ann_state_at(a, slot), (uint8_t)s, memory_order_relaxed);
}

/* A walk for one search, to give back. */
LK_CHECK lk_code lk_ann_take_walk(lk_ann *a, lk_walk **ret, lk_err *err);
void lk_ann_give_walk(lk_ann *a, lk_walk *w); /* NULL allowed */

/* A slot whose codes are written and that no other thread links. */
LK_CHECK lk_code lk_ann_link_one(lk_ann *a, lk_walk *w, uint32_t slot, const float *vector,
                                 lk_err *err);

/* Begin walks at as many of order[n], slots in random order whose codes are written, as suit
 * n_linked slots. */
LK_CHECK lk_code lk_ann_route(lk_ann *a, const uint32_t *order, size_t n, size_t n_linked,
                              lk_err *err);

/* The same at a sample of what is linked and not in `dead` (NULL: nothing is). */
LK_CHECK lk_code lk_ann_route_anew(lk_ann *a, const lk_bitmap *dead, lk_err *err);

#endif
