#include "image/image.h"

#include "base/mem.h"

lk_code lk_image_new(lk_image *ret, unsigned width, unsigned height, lk_err *err)
{
    if (width == 0 || height == 0) {
        return lk_fail(err, LK_E_INVALID, "a picture of %u x %u pixels has none", width, height);
    }
    size_t row_bytes, size;
    unsigned char *px = NULL;
    if (lk_mul_size(width, 3, &row_bytes) && lk_mul_size(row_bytes, height, &size)) {
        px = lk_malloc(size);
    }
    if (!px) {
        return lk_fail(err, LK_E_NOMEM, "no memory for a picture of %u x %u pixels", width, height);
    }
    *ret = (lk_image){px, width, height};
    return LK_OK;
}

void lk_image_release(lk_image *im)
{
    if (im) {
        lk_free(im->px);
        *im = (lk_image){0};
    }
}

void lk_picture_release(lk_picture *p)
{
    if (p) {
        lk_image_release(&p->image);
    }
}

lk_image_limits lk_image_limits_default(void)
{
    return (lk_image_limits){
        .max_pixels = 100 * 1000 * 1000,
        .max_bytes = 64u << 20,
        .max_memory = 480u << 20,
    };
}

static const struct {
    const char *name, *mime;
} formats[] = {
    [LK_IMG_UNKNOWN] = {"unknown", "application/octet-stream"},
    [LK_IMG_JPEG] = {"jpeg", "image/jpeg"},
    [LK_IMG_PNG] = {"png", "image/png"},
    [LK_IMG_WEBP] = {"webp", "image/webp"},
    [LK_IMG_GIF] = {"gif", "image/gif"},
    [LK_IMG_TIFF] = {"tiff", "image/tiff"},
    [LK_IMG_AVIF] = {"avif", "image/avif"},
    [LK_IMG_HEIC] = {"heic", "image/heic"},
    [LK_IMG_BMP] = {"bmp", "image/bmp"},
    [LK_IMG_PNM] = {"pnm", "image/x-portable-anymap"},
    [LK_IMG_JP2] = {"jp2", "image/jp2"},
};

const char *lk_image_format_name(lk_image_format f)
{
    return formats[(size_t)f < LK_ARRAY_LEN(formats) ? f : LK_IMG_UNKNOWN].name;
}

const char *lk_image_format_mime(lk_image_format f)
{
    return formats[(size_t)f < LK_ARRAY_LEN(formats) ? f : LK_IMG_UNKNOWN].mime;
}

static bool has(lk_blob b, size_t at, const char *magic, size_t n)
{
    return b.n >= at + n && memcmp(b.p + at, magic, n) == 0;
}
#define HAS(at, lit) has(bytes, (at), (lit), sizeof(lit) - 1)

/* ISO base media: the major brand first, then the compatible ones, as a HEIC may call itself mif1.
 * Layout: u32 size, "ftyp", major[4], minor[4], compatible[4]... */
static lk_image_format sniff_brand(lk_blob bytes)
{
    static const struct {
        const char *brand;
        lk_image_format format;
    } brands[] = {
        {"avif", LK_IMG_AVIF}, {"avis", LK_IMG_AVIF}, {"heic", LK_IMG_HEIC}, {"heix", LK_IMG_HEIC},
        {"heim", LK_IMG_HEIC}, {"heis", LK_IMG_HEIC}, {"hevc", LK_IMG_HEIC}, {"hevx", LK_IMG_HEIC},
    };
    size_t box = (size_t)bytes.p[2] << 8 | bytes.p[3];
    size_t end = box < bytes.n ? box : bytes.n;
    for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) {
        for (size_t i = 0; i < LK_ARRAY_LEN(brands); i++) {
            if (has(bytes, at, brands[i].brand, 4)) {
                return brands[i].format;
            }
        }
    }
    return HAS(8, "mif1") || HAS(8, "msf1") ? LK_IMG_HEIC : LK_IMG_UNKNOWN;
}

lk_image_format lk_image_sniff(lk_blob bytes)
{
    if (HAS(0, "\xff\xd8\xff")) {
        return LK_IMG_JPEG;
    }
    if (HAS(0, "\x89PNG\r\n\x1a\n")) {
        return LK_IMG_PNG;
    }
    if (HAS(0, "RIFF") && HAS(8, "WEBP")) {
        return LK_IMG_WEBP;
    }
    if (HAS(0, "GIF87a") || HAS(0, "GIF89a")) {
        return LK_IMG_GIF;
    }
    /* Classic TIFF, then BigTIFF; either byte order. */
    if (HAS(0, "II*\0") || HAS(0, "MM\0*") || HAS(0, "II+\0") || HAS(0, "MM\0+")) {
        return LK_IMG_TIFF;
    }
    if (HAS(0, "\0\0") && HAS(4, "ftyp") && bytes.n >= 16) {
        return sniff_brand(bytes);
    }
    if (HAS(0, "\0\0\0\x0cjP  \r\n\x87\n") || HAS(0, "\xff\x4f\xff\x51")) {
        return LK_IMG_JP2;
    }
    /* Two letters are a weak sign, so the size of the header behind them must be a real one. */
    if (HAS(0, "BM") && bytes.n >= 18 && bytes.p[15] == 0 && bytes.p[16] == 0 && bytes.p[17] == 0 &&
        (bytes.p[14] == 12 || bytes.p[14] >= 40)) {
        return LK_IMG_BMP;
    }
    if (bytes.n >= 3 && bytes.p[0] == 'P' && bytes.p[1] >= '1' && bytes.p[1] <= '6' &&
        (bytes.p[2] == ' ' || bytes.p[2] == '#' || (bytes.p[2] >= '\t' && bytes.p[2] <= '\r'))) {
        return LK_IMG_PNM;
    }
    return LK_IMG_UNKNOWN;
}
