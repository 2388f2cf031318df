/* A growing table of rows by slot whose rows never move.
 *
 * Rows stand in chunks of 65,536, mapped when they are first needed and zero until written, in
 * 2 MiB pages where the system gives them: a walk touches rows all over the table, and with small
 * pages every one of them would miss the address cache too.
 *
 * One writer reserves; any thread may read and write rows of reserved slots that it learnt of from
 * the writer. */
#ifndef LK_INDEX_PLANE_H
#define LK_INDEX_PLANE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LK_PLANE_SHIFT 16
#define LK_PLANE_CHUNK_ROWS ((size_t)1 << LK_PLANE_SHIFT)

typedef struct lk_plane {
    unsigned char **chunks; /* [65536], made once */
    size_t n_chunks;
    size_t row_bytes;
} lk_plane;

LK_CHECK lk_code lk_plane_init(lk_plane *p, size_t row_bytes, lk_err *err);
void lk_plane_release(lk_plane *p);

/* Rows of slots below n_rows. LK_E_NOMEM leaves it as it was. */
LK_CHECK lk_code lk_plane_reserve(lk_plane *p, size_t n_rows, lk_err *err);

static inline unsigned char *lk_plane_at(const lk_plane *p, uint32_t slot)
{
    return p->chunks[slot >> LK_PLANE_SHIFT] +
           (size_t)(slot & (LK_PLANE_CHUNK_ROWS - 1)) * p->row_bytes;
}

static inline size_t lk_plane_rows(const lk_plane *p)
{
    return p->n_chunks << LK_PLANE_SHIFT;
}

/* What rows below n_rows take, when they were all touched. */
static inline uint64_t lk_plane_bytes(const lk_plane *p, size_t n_rows)
{
    return (uint64_t)n_rows * p->row_bytes;
}

#endif
