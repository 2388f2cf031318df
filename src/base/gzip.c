#include "base/gzip.h"

#include <limits.h>

#define ZLIB_CONST /* next_in points to const bytes */
#include <zlib.h>

#include "base/mem.h"

#define STEP ((size_t)64 << 10)

bool lk_is_gzip(lk_blob packed)
{
    return packed.n >= 2 && packed.p[0] == 0x1f && packed.p[1] == 0x8b;
}

static voidpf zalloc(voidpf ctx, uInt n, uInt size)
{
    (void)ctx;
    return lk_calloc(n, size);
}

static void zfree(voidpf ctx, voidpf p)
{
    (void)ctx;
    lk_free(p);
}

/* One step of output; *ret_status is zlib's. */
static lk_code step(z_stream *z, lk_buf *into, int *ret_status, lk_err *err)
{
    size_t left = into->limit - into->n, room = left < STEP ? left : STEP;
    char *to = lk_buf_reserve(into, room ? room : 1);
    if (!to)
        return lk_buf_check(into, err);
    z->next_out = (Bytef *)to;
    z->avail_out = (uInt)room;
    *ret_status = inflate(z, Z_NO_FLUSH);
    into->n += room - z->avail_out;
    into->p[into->n] = '\0';
    if (*ret_status == Z_MEM_ERROR)
        return lk_fail(err, LK_E_NOMEM, "out of memory for unpacking");
    if (*ret_status == Z_BUF_ERROR || (*ret_status == Z_OK && z->avail_out && !z->avail_in))
        return lk_fail(err, LK_E_TRUNCATED, "the packed data end too early");
    if (*ret_status != Z_OK && *ret_status != Z_STREAM_END)
        return lk_fail(err, LK_E_CORRUPT, "the packed data are damaged");
    return LK_OK;
}

lk_code lk_gunzip(lk_blob packed, lk_buf *into, lk_err *err)
{
    z_stream z = {.zalloc = zalloc, .zfree = zfree};
    int status = Z_OK;
    if (packed.n > UINT_MAX)
        return lk_fail(err, LK_E_LIMIT, "%zu packed bytes are too many", packed.n);
    if (inflateInit2(&z, 15 + 16) != Z_OK) /* 16: gzip's header and checksum */
        return lk_fail(err, LK_E_NOMEM, "out of memory for unpacking");
    z.next_in = packed.p;
    z.avail_in = (uInt)packed.n;
    lk_code code = LK_OK;
    while (!code && !(status == Z_STREAM_END && z.avail_in == 0)) {
        if (status == Z_STREAM_END && inflateReset(&z) != Z_OK) /* another member follows */
            code = lk_fail(err, LK_E_CORRUPT, "the packed data are damaged");
        if (!code)
            code = step(&z, into, &status, err);
    }
    inflateEnd(&z);
    return code;
}
