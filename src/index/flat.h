/* Exact search: every row that may match is compared with the query.
 *
 * It serves small collections and narrow filters, and it is the oracle that the other indexes are
 * scored against, so it favours being obviously right. */
#ifndef LK_INDEX_FLAT_H
#define LK_INDEX_FLAT_H

#include "base/bitmap.h"
#include "index/rows.h"

typedef struct lk_near {
    uint32_t slot;
    float score; /* larger is nearer */
} lk_near;

typedef enum lk_score { LK_SCORE_DOT, LK_SCORE_NEG_L2 } lk_score; /* <q,x>, or -|q - x|^2 */

/* The score of one row; query_norm2 is <query, query>. */
float lk_flat_score(const lk_kern *kern, const lk_rows *rows, uint32_t slot, const float *query,
                    float query_norm2, lk_score score);

/* The k best of the slots set in `which`, best first, ties to the lower slot, to hits[k]; returns
 * how many. Never fails; any number of threads. */
size_t lk_flat_search(const lk_kern *kern, const lk_rows *rows, const lk_bitmap *which,
                      const float *query, lk_score score, size_t k, lk_near *ret_hits);

#endif
