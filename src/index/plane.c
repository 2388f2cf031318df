#include "index/plane.h"

#include <sys/mman.h>

#include "base/mem.h"
#include "base/os.h"

#define MAX_CHUNKS ((size_t)1 << (32 - LK_PLANE_SHIFT))
#define HUGE_BYTES ((size_t)2 << 20)

lk_code lk_plane_init(lk_plane *p, size_t row_bytes, lk_err *err)
{
    *p = (lk_plane){.row_bytes = row_bytes};
    p->chunks = lk_calloc(MAX_CHUNKS, sizeof *p->chunks);
    return p->chunks ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory for an index");
}

static size_t chunk_bytes(const lk_plane *p)
{
    return p->row_bytes << LK_PLANE_SHIFT;
}

void lk_plane_release(lk_plane *p)
{
    for (size_t i = 0; i < p->n_chunks; i++)
        lk_os()->munmap(p->chunks[i], chunk_bytes(p));
    lk_free(p->chunks);
    *p = (lk_plane){0};
}

/* Mapped with room to spare, which is given back, so that it begins where a huge page may. */
static unsigned char *map_chunk(size_t bytes)
{
    size_t spare = bytes < HUGE_BYTES ? 0 : HUGE_BYTES;
    unsigned char *p = lk_os()->mmap(NULL, bytes + spare, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || !spare)
        return p == MAP_FAILED ? NULL : p;
    size_t before = (HUGE_BYTES - (uintptr_t)p % HUGE_BYTES) % HUGE_BYTES;
    if (before)
        lk_os()->munmap(p, before);
    if (spare - before)
        lk_os()->munmap(p + before + bytes, spare - before);
    madvise(p + before, bytes, MADV_HUGEPAGE); /* only a wish */
    return p + before;
}

lk_code lk_plane_reserve(lk_plane *p, size_t n_rows, lk_err *err)
{
    if (n_rows > (size_t)UINT32_MAX)
        return lk_fail(err, LK_E_LIMIT, "an index holds at most %u vectors", UINT32_MAX);
    while (lk_plane_rows(p) < n_rows) {
        unsigned char *chunk = map_chunk(chunk_bytes(p));
        if (!chunk)
            return lk_fail(err, LK_E_NOMEM, "no memory for an index over %zu vectors", n_rows);
        p->chunks[p->n_chunks++] = chunk;
    }
    return LK_OK;
}
