#include "model/heap.h"

void lk_heap_push(lk_heap *h, lk_joint j)
{
    size_t i = h->n++;
    for (size_t up; i > 0 && j.key < h->p[up = (i - 1) / 2].key; i = up)
        h->p[i] = h->p[up];
    h->p[i] = j;
}

lk_joint lk_heap_pop(lk_heap *h)
{
    lk_joint top = h->p[0], last = h->p[--h->n];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < h->n; i = down) {
        if (down + 1 < h->n && h->p[down + 1].key < h->p[down].key)
            down++;
        if (last.key <= h->p[down].key)
            break;
        h->p[i] = h->p[down];
    }
    h->p[i] = last;
    return top;
}
