#include "image/container.h"

static unsigned u16le(const unsigned char *p)
{
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

static unsigned u16be(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t u32be(const unsigned char *p)
{
    return (uint32_t)u16be(p) << 16 | u16be(p + 2);
}

/* The offset behind a chain of GIF sub-blocks (length byte, data; a zero ends it); n when cut. */
static size_t skip_sub_blocks(lk_blob b, size_t at)
{
    while (at < b.n && b.p[at] != 0) {
        at += (size_t)b.p[at] + 1;
    }
    return at < b.n ? at + 1 : b.n;
}

static size_t colour_table_bytes(unsigned flags)
{
    return flags & 0x80 ? (size_t)6 << (flags & 7) : 0;
}

lk_code lk_gif_scan(lk_blob b, unsigned *ret_frames, lk_err *err)
{
    unsigned frames = 0;
    size_t at = b.n >= 13 ? 13 + colour_table_bytes(b.p[10]) : b.n;
    while (at < b.n && b.p[at] != 0x3b) {
        if (b.p[at] == 0x21) { /* extension: introducer, label, sub-blocks */
            at = skip_sub_blocks(b, at + 2);
        } else if (b.p[at] == 0x2c && b.n - at > 10) { /* image: place, size, flags, code size */
            const unsigned char *p = b.p + at + 1;
            unsigned right = u16le(p) + u16le(p + 4), bottom = u16le(p + 2) + u16le(p + 6);
            frames++;
            if (right > LK_MAX_IMAGE_SIDE || bottom > LK_MAX_IMAGE_SIDE) {
                return lk_fail(
                    err, LK_E_LIMIT,
                    "frame %u of the gif reaches to %u x %u, over the limit of %u a side", frames,
                    right, bottom, LK_MAX_IMAGE_SIDE);
            }
            if (frames > LK_MAX_FRAMES) {
                return lk_fail(err, LK_E_LIMIT, "the gif has more than %u frames", LK_MAX_FRAMES);
            }
            at = skip_sub_blocks(b, at + 11 + colour_table_bytes(p[8]));
        } else if (b.p[at] == 0x2c) {
            at = b.n;
        } else {
            return lk_fail(err, LK_E_CORRUPT, "the gif has no known block at byte %zu (0x%02x)", at,
                           b.p[at]);
        }
    }
    if (at >= b.n) {
        return lk_fail(err, LK_E_TRUNCATED, "the gif ends early, after %zu bytes in frame %u", b.n,
                       frames);
    }
    if (frames == 0) {
        return lk_fail(err, LK_E_CORRUPT, "the gif has no frame");
    }
    *ret_frames = frames;
    return LK_OK;
}

void lk_png_scan(lk_blob b, unsigned *ret_frames, lk_blob *ret_exif)
{
    *ret_frames = 1;
    *ret_exif = (lk_blob){0};
    /* Layout of a chunk: u32 length, type[4], data, crc[4]. */
    for (size_t at = 8; b.n >= 12 && at <= b.n - 12;) {
        size_t n = u32be(b.p + at);
        const unsigned char *data = b.p + at + 8;
        if (n > b.n - 12 - at) {
            return;
        }
        if (memcmp(b.p + at + 4, "acTL", 4) == 0 && n >= 8 && u32be(data) > 0) {
            *ret_frames = u32be(data);
        } else if (memcmp(b.p + at + 4, "eXIf", 4) == 0) {
            *ret_exif = (lk_blob){data, n};
        }
        at += n + 12;
    }
}

lk_jpeg_frame lk_jpeg_scan(lk_blob b)
{
    size_t at = 2;
    while (b.n >= 4 && at <= b.n - 4) {
        if (b.p[at] != 0xff) { /* decoders look for the next marker, and so do we */
            at++;
            continue;
        }
        unsigned marker = b.p[at + 1];
        if (marker == 0xff || marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) {
            at += marker == 0xff ? 1 : 2;
            continue;
        }
        bool is_frame =
            marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (is_frame && b.n - at >= 10) {
            return (lk_jpeg_frame){
                .precision = b.p[at + 4],
                .height = u16be(b.p + at + 5),
                .width = u16be(b.p + at + 7),
                .components = b.p[at + 9],
                .progressive = marker == 0xc2 || marker == 0xc6 || marker == 0xca || marker == 0xce,
            };
        }
        if (marker == 0xda || marker == 0xd9 || is_frame) {
            break;
        }
        at += 2 + (size_t)u16be(b.p + at + 2);
    }
    return (lk_jpeg_frame){0};
}

/* The last place of two or more bytes; encoders may pad what follows the end mark. */
static bool ends_with_mark(lk_blob b, const char *mark, size_t n)
{
    return b.n >= n && memmem(b.p, b.n, mark, n) != NULL;
}

bool lk_container_is_cut(lk_image_format format, lk_blob b)
{
    switch (format) {
    case LK_IMG_JPEG: {
        /* A thumbnail in the metadata has an end mark of its own, so look behind the last scan. */
        for (size_t i = b.n; i >= 2; i--) {
            if (b.p[i - 2] == 0xff && (b.p[i - 1] == 0xd9 || b.p[i - 1] == 0xda)) {
                return b.p[i - 1] == 0xda;
            }
        }
        return true;
    }
    case LK_IMG_PNG:
        return !ends_with_mark(b, "IEND", 4);
    case LK_IMG_WEBP:
        return b.n < 12 || b.n - 8 < ((size_t)u16le(b.p + 4) | (size_t)u16le(b.p + 6) << 16);
    default:
        return false;
    }
}
