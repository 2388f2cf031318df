/* Header, little-endian:
 *
 *    0  8  "LKCATLOG"
 *    8  4  format version, 1
 *   12  4  header bytes, 4096
 *   16  4  dimension
 *   20  4  element: 0 f16, 1 f32, 2 i8
 *   24  4  metric: 0 cosine, 1 inner product, 2 L2
 *   28  4  n of vectors.<n>
 *   32  8  collection
 *   40  8  generation
 *   48 12  zero
 *   60  4  CRC-32C of bytes 0..59
 *   64  8  seal: bytes known to be on disk
 *   72  4  CRC-32C of bytes 64..71
 *
 * Frame:
 *
 *    0  4  "LKFR"
 *    4  4  zero
 *    8  8  payload bytes
 *   16  8  number of the frame, from 0
 *   24  4  CRC-32C of the payload
 *   28  4  CRC-32C of bytes 0..27
 *   32     payload
 *
 * Why no database here: a million rows must be known within a second of opening, a commit should
 * cost one sequential write and one sync beside the vectors' own, and the whole must be checkable
 * without trusting what is checked. A log read in one go does that with less than a B-tree; what a
 * B-tree would add, reading parts of it, nobody needs, since ids and attributes live in memory. */
#include "store/vectors/embedded/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/vectors/embedded/le.h"

#define VERSION 1
#define HEAD_BYTES 64
#define SEAL_AT 64
#define SEAL_BYTES 12
#define FRAME_BYTES 32

static const char magic[8] = {'L', 'K', 'C', 'A', 'T', 'L', 'O', 'G'};
static const char frame_magic[4] = {'L', 'K', 'F', 'R'};

void lk_catalog_init(lk_catalog *c)
{
    *c = (lk_catalog){.fd = -1};
}

void lk_catalog_close(lk_catalog *c)
{
    if (c->fd >= 0)
        lk_os()->close(c->fd);
    lk_free(c->path);
    lk_catalog_init(c);
}

static void make_seal(unsigned char *seal, uint64_t bytes)
{
    lk_put_u64(seal, bytes);
    lk_put_u32(seal + 8, lk_crc32c(seal, 8));
}

static void make_head(unsigned char *page, const lk_catalog_head *head)
{
    memset(page, 0, LK_CATALOG_HEADER);
    memcpy(page, magic, sizeof magic);
    lk_put_u32(page + 8, VERSION);
    lk_put_u32(page + 12, LK_CATALOG_HEADER);
    lk_put_u32(page + 16, head->dim);
    lk_put_u32(page + 20, head->elem);
    lk_put_u32(page + 24, head->metric);
    lk_put_u32(page + 28, head->vectors);
    lk_put_u64(page + 32, head->collection);
    lk_put_u64(page + 40, head->generation);
    lk_put_u32(page + 60, lk_crc32c(page, 60));
    make_seal(page + SEAL_AT, LK_CATALOG_HEADER);
}

static lk_code start(lk_catalog *c, const char *path, int flags, lk_err *err)
{
    c->path = lk_strdup(path);
    if (!c->path)
        return lk_fail(err, LK_E_NOMEM, "no memory for the catalog");
    c->fd = lk_os()->open(path, flags, 0600);
    return c->fd < 0 ? lk_fail_sys(err, errno, "cannot open %s", path) : LK_OK;
}

lk_code lk_catalog_create(lk_catalog *c, const char *temp_path, const lk_catalog_head *head,
                          lk_err *err)
{
    unsigned char page[LK_CATALOG_HEADER];
    lk_code code = start(c, temp_path, O_RDWR | O_CREAT | O_TRUNC, err);
    if (code)
        return code;
    make_head(page, head);
    c->bytes = LK_CATALOG_HEADER;
    return lk_os_write_at(c->fd, page, sizeof page, 0, err);
}

/* A hint, so a failure to leave it is none. */
static void leave_seal(lk_catalog *c)
{
    unsigned char seal[SEAL_BYTES];
    make_seal(seal, c->bytes);
    lk_code code = lk_os_write_at(c->fd, seal, sizeof seal, SEAL_AT, NULL);
    (void)code;
}

lk_code lk_catalog_add(lk_catalog *c, lk_blob payload, lk_err *err)
{
    unsigned char head[FRAME_BYTES] = {0};
    if (payload.n > LK_MAX_FRAME_BYTES)
        return lk_fail(err, LK_E_LIMIT, "a commit of %zu bytes is too large", payload.n);
    memcpy(head, frame_magic, sizeof frame_magic);
    lk_put_u64(head + 8, payload.n);
    lk_put_u64(head + 16, c->seq);
    lk_put_u32(head + 24, lk_crc32c(payload.p, payload.n));
    lk_put_u32(head + 28, lk_crc32c(head, 28));
    lk_code code = lk_os_write_at(c->fd, head, sizeof head, c->bytes, err);
    if (code == LK_OK)
        code = lk_os_write_at(c->fd, payload.p, payload.n, c->bytes + FRAME_BYTES, err);
    if (code)
        return lk_err_prefix(err, code, "%s", c->path);
    c->bytes += FRAME_BYTES + payload.n;
    c->seq++;
    return LK_OK;
}

lk_code lk_catalog_finish(lk_catalog *c, const char *path, const char *dir, lk_err *err)
{
    char *copy = lk_strdup(path);
    if (!copy)
        return lk_fail(err, LK_E_NOMEM, "no memory for the catalog");
    lk_code code = LK_OK;
    leave_seal(c); /* before the sync: the name that makes it count comes after it */
    if (lk_os()->fdatasync(c->fd))
        code = lk_fail_sys(err, errno, "cannot sync %s", c->path);
    if (code == LK_OK && lk_os()->rename(c->path, path))
        code = lk_fail_sys(err, errno, "cannot place %s", path);
    if (code) {
        lk_free(copy);
        return code;
    }
    lk_free(c->path);
    c->path = copy;
    return lk_os_sync_dir(dir, err);
}

lk_code lk_catalog_append(lk_catalog *c, lk_blob payload, lk_err *err)
{
    if (c->broken)
        return lk_fail(err, LK_E_IO,
                       "%s could not be written before, and takes nothing until it is opened again",
                       c->path);
    uint64_t bytes = c->bytes;
    uint64_t seq = c->seq;
    lk_code code = lk_catalog_add(c, payload, err);
    if (code == LK_OK && lk_os()->fdatasync(c->fd))
        code = lk_fail_sys(err, errno, "cannot sync %s", c->path);
    if (code == LK_OK) {
        leave_seal(c);
        return LK_OK;
    }
    /* Part of the frame, or all of it, may lie behind the end: take it back, and durably, so that
     * what was refused now does not count after a crash. */
    c->bytes = bytes;
    c->seq = seq;
    c->broken = lk_os()->ftruncate(c->fd, (off_t)bytes) || lk_os()->fdatasync(c->fd);
    return code;
}

lk_code lk_catalog_open(lk_catalog *c, const char *path, lk_err *err)
{
    struct stat st;
    lk_code code = start(c, path, O_RDWR, err);
    if (code == LK_OK && lk_os()->fstat(c->fd, &st))
        code = lk_fail_sys(err, errno, "cannot look at %s", path);
    if (code == LK_OK)
        c->bytes = (uint64_t)st.st_size;
    return code;
}

lk_code lk_catalog_read_head(lk_catalog *c, lk_catalog_head *ret, lk_err *err)
{
    unsigned char p[HEAD_BYTES];
    lk_code code = lk_os_read_at(c->fd, p, sizeof p, 0, err);
    if (code)
        return lk_err_prefix(err, code == LK_E_TRUNCATED ? LK_E_CORRUPT : code, "%s", c->path);
    if (memcmp(p, magic, sizeof magic) != 0)
        return lk_fail(err, LK_E_FORMAT, "%s is no catalog", c->path);
    if (lk_get_u32(p + 60) != lk_crc32c(p, 60))
        return lk_fail(err, LK_E_CORRUPT, "the header of %s is damaged", c->path);
    if (lk_get_u32(p + 8) != VERSION)
        return lk_fail(err, LK_E_FORMAT, "%s has format version %u, this program knows %d", c->path,
                       lk_get_u32(p + 8), VERSION);
    if (c->bytes < LK_CATALOG_HEADER)
        return lk_fail(err, LK_E_CORRUPT, "%s ends within its header", c->path);
    *ret = (lk_catalog_head){.dim = lk_get_u32(p + 16),
                             .elem = lk_get_u32(p + 20),
                             .metric = lk_get_u32(p + 24),
                             .vectors = lk_get_u32(p + 28),
                             .collection = lk_get_u64(p + 32),
                             .generation = lk_get_u64(p + 40)};
    return LK_OK;
}

/* The bytes of a whole, sound frame with at least this number at the head of p[n], else 0. */
static uint64_t frame_at(const unsigned char *p, uint64_t n, uint64_t min_seq, uint64_t *ret_seq)
{
    if (n < FRAME_BYTES || memcmp(p, frame_magic, sizeof frame_magic) != 0 ||
        lk_get_u32(p + 28) != lk_crc32c(p, 28))
        return 0;
    uint64_t payload = lk_get_u64(p + 8);
    *ret_seq = lk_get_u64(p + 16);
    if (*ret_seq < min_seq || payload > n - FRAME_BYTES ||
        lk_get_u32(p + 24) != lk_crc32c(p + FRAME_BYTES, payload))
        return 0;
    return FRAME_BYTES + payload;
}

/* Is a sound frame behind the bad one? Then the bad one is no unfinished end. */
static bool sound_frame_after(const unsigned char *p, uint64_t n, uint64_t seq)
{
    uint64_t found;
    for (uint64_t i = 1; i + FRAME_BYTES <= n; i++)
        if (p[i] == (unsigned char)frame_magic[0] && frame_at(p + i, n - i, seq, &found))
            return true;
    return false;
}

static uint64_t sealed_bytes(const unsigned char *page)
{
    const unsigned char *seal = page + SEAL_AT;
    return lk_get_u32(seal + 8) == lk_crc32c(seal, 8) ? lk_get_u64(seal) : 0;
}

static lk_code replay(lk_catalog *c, const unsigned char *p, lk_catalog_frame_fn *fn, void *ctx,
                      uint64_t *ret_end, lk_err *err)
{
    uint64_t at = LK_CATALOG_HEADER;
    c->seq = 0;
    while (at < c->bytes) {
        uint64_t seq = 0;
        uint64_t n = frame_at(p + at, c->bytes - at, c->seq, &seq);
        if (n == 0 || seq != c->seq) {
            if (n || at < sealed_bytes(p) || sound_frame_after(p + at, c->bytes - at, c->seq))
                return lk_fail(err, LK_E_CORRUPT, "%s is damaged at byte %llu", c->path,
                               (unsigned long long)at);
            break;
        }
        lk_code code = fn(ctx, (lk_blob){p + at + FRAME_BYTES, n - FRAME_BYTES}, err);
        if (code == LK_E_CORRUPT)
            return lk_err_prefix(err, code, "%s, byte %llu", c->path, (unsigned long long)at);
        if (code)
            return code;
        at += n;
        c->seq++;
    }
    if (at < sealed_bytes(p))
        return lk_fail(err, LK_E_CORRUPT, "%s ends at byte %llu and once held %llu", c->path,
                       (unsigned long long)at, (unsigned long long)sealed_bytes(p));
    *ret_end = at;
    return LK_OK;
}

lk_code lk_catalog_replay(lk_catalog *c, bool repair, lk_catalog_frame_fn *fn, void *ctx,
                          lk_err *err)
{
    uint64_t end = 0;
    void *p = lk_os()->mmap(NULL, c->bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, c->fd, 0);
    if (p == MAP_FAILED)
        return lk_fail_sys(err, errno, "cannot map %s", c->path);
    lk_code code = replay(c, p, fn, ctx, &end, err);
    lk_os()->munmap(p, c->bytes);
    if (code || end == c->bytes || !repair)
        return code;
    if (lk_os()->ftruncate(c->fd, (off_t)end) || lk_os()->fdatasync(c->fd))
        return lk_fail_sys(err, errno, "cannot cut the unfinished end off %s", c->path);
    c->bytes = end;
    return LK_OK;
}
