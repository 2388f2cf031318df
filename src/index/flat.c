#include "index/flat.h"

/* hits[n] is a heap with the worst hit on top, so that a row that is no better is turned away with
 * one comparison. */

static bool worse(lk_near a, lk_near b)
{
    return a.score < b.score || (a.score == b.score && a.slot > b.slot);
}

static void sift_down(lk_near *h, size_t n, size_t i)
{
    lk_near moved = h[i];
    for (size_t kid; (kid = 2 * i + 1) < n; i = kid) {
        if (kid + 1 < n && worse(h[kid + 1], h[kid]))
            kid++;
        if (!worse(h[kid], moved))
            break;
        h[i] = h[kid];
    }
    h[i] = moved;
}

static void sift_up(lk_near *h, size_t i)
{
    lk_near moved = h[i];
    for (; i > 0 && worse(moved, h[(i - 1) / 2]); i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = moved;
}

float lk_flat_score(const lk_kern *kern, const lk_rows *rows, uint32_t slot, const float *query,
                    float query_norm2, lk_score score)
{
    const void *row = lk_rows_at(rows, slot);
    float dot = lk_row_dot(kern, rows->elem, query, row, rows->dim);
    if (score == LK_SCORE_DOT)
        return dot;
    float own[4096];
    lk_row_decode(kern, rows->elem, row, rows->dim, own);
    return 2 * dot - query_norm2 - kern->dot_f32(own, own, rows->dim);
}

size_t lk_flat_search(const lk_kern *kern, const lk_rows *rows, const lk_bitmap *which,
                      const float *query, lk_score score, size_t k, lk_near *ret_hits)
{
    size_t n = 0;
    float norm2 = kern->dot_f32(query, query, rows->dim);
    for (size_t i = lk_bitmap_next(which, 0); k > 0 && i != LK_BITMAP_NONE;
         i = lk_bitmap_next(which, i + 1)) {
        lk_near hit = {(uint32_t)i, lk_flat_score(kern, rows, (uint32_t)i, query, norm2, score)};
        if (n < k) {
            ret_hits[n] = hit;
            sift_up(ret_hits, n++);
        } else if (worse(ret_hits[0], hit)) {
            ret_hits[0] = hit;
            sift_down(ret_hits, n, 0);
        }
    }
    for (size_t left = n; left > 1; left--) {
        lk_near last = ret_hits[left - 1];
        ret_hits[left - 1] = ret_hits[0];
        ret_hits[0] = last;
        sift_down(ret_hits, left - 1, 0);
    }
    return n;
}
