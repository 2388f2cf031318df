/* A graph of near neighbours over codes, walked greedily to the nearest ones.
 *
 * One level of links, a fixed row of them a slot, chosen as Vamana does (Subramanya et al. 2019,
 * "DiskANN"): candidates are all that the search for the new vector expanded, and a candidate is
 * dropped when a kept one is nearer to it, by the factor alpha, than the new vector is. Walks begin
 * at the nearest of a sample (pivots.h).
 *
 * Any number of threads may walk while others insert: links are atomic words, and a walker may see
 * a row half old and half new, of which every word is right by itself. Inserting threads meet under
 * locks striped over the slots. A slot that is no longer wanted stays and is walked over until
 * lk_graph_detach has led every link around it. */
#ifndef LK_INDEX_GRAPH_H
#define LK_INDEX_GRAPH_H

#include <stdatomic.h>

#include "base/bitmap.h"
#include "index/pivots.h"
#include "index/spin.h"
#include "index/walk.h"

#define LK_GRAPH_LOCKS 4096
#define LK_GRAPH_TOGETHER 16 /* walks that go in turn, at most */
#define LK_GRAPH_MAX_DEGREE 256
#define LK_GRAPH_MAX_SLOTS (UINT32_C(1) << 31) /* the walk's flag is above */

typedef struct lk_graph {
    const lk_kern *kern;
    const lk_codes *codes;
    size_t degree; /* links a slot, a multiple of 16: whole cache lines */
    size_t ef_construction;
    float alpha;
    float twin;        /* vectors so near, by the squared length, are as good as equal */
    lk_plane links;    /* [slot][degree] _Atomic uint32_t: slot + 1; the first 0 ends them */
    lk_pivots *pivots; /* NULL: walks find nothing */
    atomic_uchar pivots_lock;
    atomic_uchar locks[LK_GRAPH_LOCKS];
} lk_graph;

/* codes outlives the graph. degree is rounded up to a multiple of 16. */
LK_CHECK lk_code lk_graph_init(lk_graph *g, const lk_codes *codes, size_t degree,
                               size_t ef_construction, lk_err *err);
void lk_graph_release(lk_graph *g);
LK_CHECK lk_code lk_graph_reserve(lk_graph *g, size_t n_slots, lk_err *err);

/* Begin walks at the nearest of sample[n], slots in random order whose codes are written; they need
 * not be linked yet. A graph without it finds nothing. */
LK_CHECK lk_code lk_graph_route(lk_graph *g, const uint32_t *sample, size_t n, lk_err *err);

/* Link a slot whose codes are written vector[dim] is what it stands for.
 * LK_E_NOMEM leaves the graph usable and the slot perhaps half linked. */
LK_CHECK lk_code lk_graph_insert(lk_graph *g, lk_walk *w, uint32_t slot, const float *vector,
                                 lk_err *err);

/* Lead the links of `slot` around those in `dead`: where much is lost, the links of the dead
 * replace them. LK_E_NOMEM leaves them. */
LK_CHECK lk_code lk_graph_detach(lk_graph *g, lk_walk *w, uint32_t slot, const lk_bitmap *dead,
                                 lk_err *err);
/* Empty a dead slot's own row, after every other was detached from it. */
void lk_graph_forget(lk_graph *g, uint32_t slot);

/* The links of a slot to ret[degree]; returns how many. */
size_t lk_graph_links(const lk_graph *g, uint32_t slot, uint32_t *ret);

/* Walks that were cleared and hold their query, to the end; together, so that one waits for memory
 * while another computes. Leaves the ef best of each in its pool. */
void lk_graph_walk(const lk_graph *g, lk_walk *const *walks, size_t n);

/* What share of what is near the query of w (which was cleared and holds it) is in `which`; 0..1.
 */
double lk_graph_share(const lk_graph *g, const lk_walk *w, const lk_bitmap *which);

/* The same over the slots in `which` alone: walks over two links where one leads out of it, begins
 * from a sample of it, and stops after max_scored scores (false: it was stopped). */
bool lk_graph_walk_filtered(const lk_graph *g, lk_walk *w, const lk_bitmap *which,
                            size_t max_scored);

#endif
