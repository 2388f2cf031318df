#include "image/phash.h"

#include <math.h>
#include <stdlib.h>

#include "image/resize.h"

#define SIDE 32
#define KEPT 8 /* low frequencies each way, without the constant ones */

/* cos((2x + 1) u pi / 64) for u = 1..8. */
static void fill_basis(double basis[KEPT][SIDE])
{
    for (int u = 0; u < KEPT; u++)
        for (int x = 0; x < SIDE; x++)
            basis[u][x] = cos((2 * x + 1) * (u + 1) * 3.14159265358979323846 / (2 * SIDE));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

lk_code lk_phash_of(const lk_image *im, uint64_t *ret, lk_err *err)
{
    double basis[KEPT][SIDE], rows[KEPT][SIDE], f[KEPT * KEPT], sorted[KEPT * KEPT];
    lk_image small = {0};
    lk_code code = lk_resize(im, SIDE, SIDE, LK_RESIZE_BILINEAR, &small, err);
    if (code)
        return code;
    fill_basis(basis);
    for (int u = 0; u < KEPT; u++)
        for (int y = 0; y < SIDE; y++) {
            rows[u][y] = 0;
            for (int x = 0; x < SIDE; x++) {
                const unsigned char *p = small.px + 3 * (y * SIDE + x);
                /* ITU-R BT.601 luma. */
                rows[u][y] += basis[u][x] * (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]);
            }
        }
    lk_image_release(&small);
    for (int v = 0; v < KEPT; v++)
        for (int u = 0; u < KEPT; u++) {
            double s = 0;
            for (int y = 0; y < SIDE; y++)
                s += basis[v][y] * rows[u][y];
            f[v * KEPT + u] = s;
        }
    memcpy(sorted, f, sizeof f);
    qsort(sorted, KEPT * KEPT, sizeof *sorted, ascending);
    double median = (sorted[KEPT * KEPT / 2 - 1] + sorted[KEPT * KEPT / 2]) / 2;
    uint64_t bits = 0;
    for (int i = 0; i < KEPT * KEPT; i++)
        bits |= (uint64_t)(f[i] > median) << i;
    *ret = bits;
    return LK_OK;
}
