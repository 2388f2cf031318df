/* vectors.<n>: the vectors themselves, one row a slot, mapped read-only in chunks that never move.
 *
 *   0     header page (4096 bytes, layout in rowfile.c)
 *   4096  row of slot 0, row of slot 1, …
 *
 * The file grows by real reservation, so that a full disk shows when it grows and never as a bus
 * error of a reader. One writer; readers may read any row that was published to them. */
#ifndef LK_STORE_VECTORS_EMBEDDED_ROWFILE_H
#define LK_STORE_VECTORS_EMBEDDED_ROWFILE_H

#include "base/err.h"
#include "index/rows.h"

#define LK_ROWFILE_HEADER 4096
#define LK_ROWFILE_SHIFT 16
#define LK_ROWFILE_CHUNKS 65536 /* of 1 << LK_ROWFILE_SHIFT rows: every uint32 slot */

typedef struct lk_rowfile {
    int fd;
    char *path;
    uint64_t cap_rows;
    const unsigned char **chunks; /* [LK_ROWFILE_CHUNKS], made once */
    size_t n_chunks;
    lk_rows rows;
} lk_rowfile;

typedef struct lk_rowfile_shape {
    size_t dim;
    lk_elem elem;
    uint64_t collection; /* the same number as in the catalog */
} lk_rowfile_shape;

size_t lk_rowfile_row_bytes(lk_elem elem, size_t dim);

void lk_rowfile_init(lk_rowfile *f); /* so that close is safe */
LK_CHECK lk_code lk_rowfile_create(lk_rowfile *f, const char *path, const lk_rowfile_shape *shape,
                                   lk_err *err);
/* LK_E_FORMAT, LK_E_CORRUPT: not that file. LK_E_TRUNCATED: shorter than n_rows rows. */
LK_CHECK lk_code lk_rowfile_open(lk_rowfile *f, const char *path, const lk_rowfile_shape *shape,
                                 lk_err *err);
void lk_rowfile_close(lk_rowfile *f);

/* Room for rows of slots below n_rows, on disk and mapped. */
LK_CHECK lk_code lk_rowfile_reserve(lk_rowfile *f, uint64_t n_rows, lk_err *err);
LK_CHECK lk_code lk_rowfile_write(lk_rowfile *f, uint32_t slot, size_t n, const void *rows,
                                  lk_err *err);
LK_CHECK lk_code lk_rowfile_sync(lk_rowfile *f, lk_err *err);
LK_CHECK lk_code lk_rowfile_bytes(const lk_rowfile *f, uint64_t *ret, lk_err *err);

#endif
