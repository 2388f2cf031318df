/* Header, little-endian:
 *
 *    0  8  "LKVECTRS"
 *    8  4  format version, 1
 *   12  4  header bytes, 4096
 *   16  4  dimension
 *   20  4  element: 0 f16, 1 f32, 2 i8
 *   24  4  row bytes
 *   28  4  zero
 *   32  8  collection
 *   40 20  zero
 *   60  4  CRC-32C of bytes 0..59
 *
 * Rows carry no checksum of their own, which would break their alignment; the catalog's entry of a
 * row holds it. */
#include "store/vectors/embedded/rowfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/vectors/embedded/le.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rows are mapped as they lie in the file, which is little-endian"
#endif

#define VERSION 1
#define HEAD_BYTES 64
#define MIN_GROWTH ((uint64_t)64 << 10)
#define MAX_GROWTH ((uint64_t)64 << 20)

static const char magic[8] = {'L', 'K', 'V', 'E', 'C', 'T', 'R', 'S'};

size_t lk_rowfile_row_bytes(lk_elem elem, size_t dim)
{
    return (lk_elem_bytes(elem, dim) + 3) & ~(size_t)3;
}

static size_t chunk_bytes(const lk_rowfile *f)
{
    return f->rows.row_bytes << LK_ROWFILE_SHIFT;
}

void lk_rowfile_init(lk_rowfile *f)
{
    *f = (lk_rowfile){.fd = -1};
}

void lk_rowfile_close(lk_rowfile *f)
{
    for (size_t i = 0; i < f->n_chunks; i++)
        lk_os()->munmap((void *)(uintptr_t)f->chunks[i], chunk_bytes(f));
    if (f->fd >= 0)
        lk_os()->close(f->fd);
    lk_free(f->chunks);
    lk_free(f->path);
    lk_rowfile_init(f);
}

static void write_head(unsigned char *head, const lk_rowfile_shape *shape)
{
    memset(head, 0, HEAD_BYTES);
    memcpy(head, magic, sizeof magic);
    lk_put_u32(head + 8, VERSION);
    lk_put_u32(head + 12, LK_ROWFILE_HEADER);
    lk_put_u32(head + 16, (uint32_t)shape->dim);
    lk_put_u32(head + 20, (uint32_t)shape->elem);
    lk_put_u32(head + 24, (uint32_t)lk_rowfile_row_bytes(shape->elem, shape->dim));
    lk_put_u64(head + 32, shape->collection);
    lk_put_u32(head + 60, lk_crc32c(head, 60));
}

static lk_code check_head(const lk_rowfile *f, const lk_rowfile_shape *shape, lk_err *err)
{
    unsigned char head[HEAD_BYTES], want[HEAD_BYTES];
    lk_code code = lk_os_read_at(f->fd, head, sizeof head, 0, err);
    if (code)
        return lk_err_prefix(err, code, "%s", f->path);
    if (memcmp(head, magic, sizeof magic) != 0)
        return lk_fail(err, LK_E_FORMAT, "%s holds no vectors", f->path);
    if (lk_get_u32(head + 60) != lk_crc32c(head, 60))
        return lk_fail(err, LK_E_CORRUPT, "the header of %s is damaged", f->path);
    if (lk_get_u32(head + 8) != VERSION)
        return lk_fail(err, LK_E_FORMAT, "%s has format version %u, this program knows %d", f->path,
                       lk_get_u32(head + 8), VERSION);
    write_head(want, shape);
    if (memcmp(head, want, sizeof head) != 0)
        return lk_fail(err, LK_E_CORRUPT, "%s belongs to another collection", f->path);
    return LK_OK;
}

static lk_code start(lk_rowfile *f, const char *path, int flags, const lk_rowfile_shape *shape,
                     lk_err *err)
{
    f->path = lk_strdup(path);
    f->chunks = lk_calloc(LK_ROWFILE_CHUNKS, sizeof *f->chunks);
    if (!f->path || !f->chunks)
        return lk_fail(err, LK_E_NOMEM, "no memory for the vectors' file");
    f->rows = (lk_rows){.chunks = f->chunks,
                        .shift = LK_ROWFILE_SHIFT,
                        .row_bytes = lk_rowfile_row_bytes(shape->elem, shape->dim),
                        .dim = shape->dim,
                        .elem = shape->elem};
    f->fd = lk_os()->open(path, flags, 0600);
    if (f->fd < 0)
        return lk_fail_sys(err, errno, "cannot open %s", path);
    return LK_OK;
}

lk_code lk_rowfile_create(lk_rowfile *f, const char *path, const lk_rowfile_shape *shape,
                          lk_err *err)
{
    unsigned char page[LK_ROWFILE_HEADER] = {0};
    lk_code code = start(f, path, O_RDWR | O_CREAT | O_TRUNC, shape, err);
    write_head(page, shape);
    if (code == LK_OK)
        code = lk_os_write_at(f->fd, page, sizeof page, 0, err);
    return code ? code : lk_rowfile_sync(f, err);
}

lk_code lk_rowfile_bytes(const lk_rowfile *f, uint64_t *ret, lk_err *err)
{
    struct stat st;
    if (lk_os()->fstat(f->fd, &st))
        return lk_fail_sys(err, errno, "cannot look at %s", f->path);
    *ret = (uint64_t)st.st_size;
    return LK_OK;
}

/* Chunks are mapped whole, beyond the end of the file too: those pages are not touched before the
 * file has grown over them. */
static lk_code map_chunks(lk_rowfile *f, uint64_t n_rows, lk_err *err)
{
    while ((uint64_t)f->n_chunks << LK_ROWFILE_SHIFT < n_rows) {
        off_t at = (off_t)(LK_ROWFILE_HEADER + f->n_chunks * chunk_bytes(f));
        void *p = lk_os()->mmap(NULL, chunk_bytes(f), PROT_READ, MAP_SHARED, f->fd, at);
        if (p == MAP_FAILED)
            return lk_fail_sys(err, errno, "cannot map %s", f->path);
        f->chunks[f->n_chunks++] = p;
    }
    return LK_OK;
}

lk_code lk_rowfile_open(lk_rowfile *f, const char *path, const lk_rowfile_shape *shape, lk_err *err)
{
    uint64_t bytes = 0;
    lk_code code = start(f, path, O_RDWR, shape, err);
    if (code == LK_OK)
        code = check_head(f, shape, err);
    if (code == LK_OK)
        code = lk_rowfile_bytes(f, &bytes, err);
    if (code)
        return code;
    f->cap_rows = bytes < LK_ROWFILE_HEADER ? 0 : (bytes - LK_ROWFILE_HEADER) / f->rows.row_bytes;
    if (f->cap_rows > UINT32_MAX)
        f->cap_rows = UINT32_MAX;
    return map_chunks(f, f->cap_rows, err);
}

lk_code lk_rowfile_reserve(lk_rowfile *f, uint64_t n_rows, lk_err *err)
{
    if (n_rows <= f->cap_rows)
        return LK_OK;
    if (n_rows > UINT32_MAX)
        return lk_fail(err, LK_E_LIMIT, "a collection holds at most %u vectors", UINT32_MAX);
    uint64_t row = f->rows.row_bytes;
    uint64_t growth = f->cap_rows * row / 2;
    growth = growth < MIN_GROWTH ? MIN_GROWTH : growth > MAX_GROWTH ? MAX_GROWTH : growth;
    uint64_t cap = f->cap_rows + growth / row;
    cap = cap < n_rows ? n_rows : cap > UINT32_MAX ? UINT32_MAX : cap;
    off_t at = (off_t)(LK_ROWFILE_HEADER + f->cap_rows * row);
    if (lk_os()->fallocate(f->fd, at, (off_t)((cap - f->cap_rows) * row)))
        return lk_fail_sys(err, errno, "cannot grow %s", f->path);
    lk_code code = map_chunks(f, cap, err);
    if (code == LK_OK)
        f->cap_rows = cap;
    return code;
}

lk_code lk_rowfile_write(lk_rowfile *f, uint32_t slot, size_t n, const void *rows, lk_err *err)
{
    uint64_t at = LK_ROWFILE_HEADER + (uint64_t)slot * f->rows.row_bytes;
    lk_code code = lk_os_write_at(f->fd, rows, n * f->rows.row_bytes, at, err);
    return code ? lk_err_prefix(err, code, "%s", f->path) : LK_OK;
}

lk_code lk_rowfile_sync(lk_rowfile *f, lk_err *err)
{
    if (lk_os()->fdatasync(f->fd))
        return lk_fail_sys(err, errno, "cannot sync %s", f->path);
    return LK_OK;
}
