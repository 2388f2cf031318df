#include "image/libvips.h"

#include <string.h>
#include <vips/vips.h>

#include "base/mem.h"

#define STRIP_ROWS 32

struct lk_vips {
    VipsImage *im;
    lk_vips_info info;
};

/* A library prints nothing: what libvips warns of is either harmless or comes back as a failure. */
static void swallow(const char *domain, GLogLevelFlags level, const char *message, void *ctx)
{
    (void)domain, (void)level, (void)message, (void)ctx;
}

lk_code lk_vips_start(lk_err *err)
{
    g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING, swallow, NULL);
    if (VIPS_INIT("lookalike"))
        return lk_fail(err, LK_E_INTERNAL, "libvips does not start");
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    vips_cache_set_max_mem(0);
    vips_block_untrusted_set(TRUE);
    /* Plain text headers and raw samples: small enough to trust, and common test material. */
    vips_operation_block_set("VipsForeignLoadPpm", FALSE);
    return LK_OK;
}

void lk_vips_stop(void)
{
    vips_shutdown();
}

static VipsImage *load(lk_blob b, lk_image_format format)
{
    VipsImage *im = NULL;
    /* libvips only reads the buffer; its signature just does not say so. */
    void *p;
    memcpy(&p, &b.p, sizeof p);
#define LOAD(name)                                                                                 \
    name(p, b.n, &im, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL)
    int failed = -1;
    VipsSource *source = NULL;
    switch (format) {
    case LK_IMG_JPEG:
        failed = LOAD(vips_jpegload_buffer);
        break;
    case LK_IMG_PNG:
        failed = LOAD(vips_pngload_buffer);
        break;
    case LK_IMG_WEBP:
        failed = LOAD(vips_webpload_buffer);
        break;
    case LK_IMG_GIF:
        failed = LOAD(vips_gifload_buffer);
        break;
    case LK_IMG_TIFF:
        failed = LOAD(vips_tiffload_buffer);
        break;
    case LK_IMG_AVIF:
    case LK_IMG_HEIC:
        failed = LOAD(vips_heifload_buffer);
        break;
    case LK_IMG_PNM:
        source = vips_source_new_from_memory(p, b.n);
        failed = source ? vips_ppmload_source(source, &im, "access", VIPS_ACCESS_SEQUENTIAL,
                                              "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL)
                        : -1;
        if (source)
            g_object_unref(source);
        break;
    default:
        break;
    }
#undef LOAD
    vips_error_clear();
    return failed ? NULL : im;
}

static bool is_readable(lk_image_format format)
{
    return format != LK_IMG_UNKNOWN && format != LK_IMG_BMP && format != LK_IMG_JP2;
}

lk_code lk_vips_open(lk_blob bytes, lk_image_format format, lk_vips **ret, lk_err *err)
{
    if (!is_readable(format))
        return lk_fail(err, LK_E_UNSUPPORTED,
                       "%s pictures are not read: their loader is not trusted",
                       lk_image_format_name(format));
    VipsImage *im = load(bytes, format);
    if (!im)
        return lk_fail(err, LK_E_CORRUPT,
                       "the %s picture's header is damaged or of a kind that is "
                       "not read",
                       lk_image_format_name(format));
    lk_vips *v = lk_calloc(1, sizeof *v);
    if (!v) {
        g_object_unref(im);
        return lk_fail(err, LK_E_NOMEM, "out of memory for a picture");
    }
    int n = vips_image_get_n_pages(im), orientation = vips_image_get_orientation(im), flag = 0;
    v->im = im;
    v->info = (lk_vips_info){
        .width = (unsigned)vips_image_get_width(im),
        .height = (unsigned)vips_image_get_height(im),
        .frames = n > 0 ? (unsigned)n : 1,
        .bands = (unsigned)vips_image_get_bands(im),
        .sample_bytes = (unsigned)vips_format_sizeof(vips_image_get_format(im)),
        .orientation = orientation >= 1 && orientation <= 8 ? (unsigned)orientation : 1,
    };
    /* libheif turns the picture itself. */
    if (format == LK_IMG_HEIC || format == LK_IMG_AVIF)
        v->info.orientation = 1;
    v->info.holds_all = format == LK_IMG_WEBP || format == LK_IMG_GIF || format == LK_IMG_HEIC ||
                        format == LK_IMG_AVIF;
    if (vips_image_get_typeof(im, "interlaced") &&
        vips_image_get_int(im, "interlaced", &flag) == 0 && flag)
        v->info.holds_all = true;
    vips_error_clear();
    *ret = v;
    return LK_OK;
}

lk_code lk_vips_shrink(lk_vips *v, lk_blob bytes, unsigned factor, lk_err *err)
{
    VipsImage *im = NULL;
    void *p;
    memcpy(&p, &bytes.p, sizeof p);
    int failed = vips_jpegload_buffer(p, bytes.n, &im, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                      VIPS_FAIL_ON_TRUNCATED, "shrink", (int)factor, NULL);
    vips_error_clear();
    if (failed)
        return lk_fail(err, LK_E_CORRUPT, "the picture's pixels are damaged");
    g_object_unref(v->im);
    v->im = im;
    v->info.width = (unsigned)vips_image_get_width(im);
    v->info.height = (unsigned)vips_image_get_height(im);
    return LK_OK;
}

void lk_vips_close(lk_vips *v)
{
    if (!v)
        return;
    g_object_unref(v->im);
    lk_free(v);
}

lk_vips_info lk_vips_info_of(const lk_vips *v)
{
    return v->info;
}

lk_blob lk_vips_exif(const lk_vips *v)
{
    const void *p = NULL;
    size_t n = 0;
    if (!vips_image_get_typeof(v->im, VIPS_META_EXIF_NAME) ||
        vips_image_get_blob(v->im, VIPS_META_EXIF_NAME, &p, &n)) {
        vips_error_clear();
        return (lk_blob){0};
    }
    return (lk_blob){p, n};
}

const char *lk_vips_exif_comment(lk_vips *v)
{
    char **names = vips_image_get_fields(v->im);
    const char *text = NULL;
    for (char **n = names; n && *n && !text; n++)
        if (strncmp(*n, "png-comment-", 12) == 0 && strstr(*n, "Raw profile type exif") &&
            vips_image_get_string(v->im, *n, &text))
            text = NULL;
    g_strfreev(names);
    vips_error_clear();
    return text;
}

/* ---- to 8-bit RGB ---- */

/* Replace *im by what a step made of it; false when the step failed. */
static bool step(VipsImage **im, int failed, VipsImage *const *out)
{
    if (failed) {
        vips_error_clear();
        return false;
    }
    g_object_unref(*im);
    *im = *out;
    return true;
}

/* Most embedded profiles are sRGB itself, which changes nothing and costs much. */
static bool has_other_profile(VipsImage *im)
{
    const void *p = NULL;
    size_t n = 0;
    if (!vips_image_get_typeof(im, VIPS_META_ICC_NAME) ||
        vips_image_get_blob(im, VIPS_META_ICC_NAME, &p, &n)) {
        vips_error_clear();
        return false;
    }
    /* The description is ASCII or UTF-16. */
    return !memmem(p, n, "sRGB", 4) && !memmem(p, n, "s\0R\0G\0B", 7);
}

static bool to_srgb(VipsImage **im)
{
    VipsImage *out = NULL;
    VipsInterpretation type = vips_image_guess_interpretation(*im);
    bool cmyk = type == VIPS_INTERPRETATION_CMYK;
    if (cmyk || has_other_profile(*im)) {
        int failed = vips_icc_transform(*im, &out, "srgb", "embedded", TRUE, "input_profile",
                                        cmyk ? "cmyk" : "srgb", "intent", VIPS_INTENT_PERCEPTUAL,
                                        "depth", 8, NULL);
        if (step(im, failed, &out))
            return true;
        /* A profile that is broken is no reason to refuse the picture. */
    }
    if (type == VIPS_INTERPRETATION_B_W || type == VIPS_INTERPRETATION_sRGB)
        return true;
    out = NULL;
    if (vips_image_get_bands(*im) < 3 || type == VIPS_INTERPRETATION_MULTIBAND)
        type = vips_image_get_bands(*im) < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    else
        type = VIPS_INTERPRETATION_sRGB;
    return step(im, vips_colourspace(*im, &out, type, NULL), &out);
}

static bool to_bytes(VipsImage **im)
{
    VipsImage *out = NULL;
    if (vips_image_hasalpha(*im)) {
        double white[3] = {255, 255, 255};
        int n = vips_image_get_bands(*im) - 1;
        VipsArrayDouble *background = vips_array_double_new(white, n < 3 ? 1 : 3);
        int failed = vips_flatten(*im, &out, "background", background, NULL);
        vips_area_unref(VIPS_AREA(background));
        if (!step(im, failed, &out))
            return false;
    }
    int bands = vips_image_get_bands(*im);
    if (bands != 1 && bands != 3) {
        out = NULL;
        if (!step(im, vips_extract_band(*im, &out, 0, "n", bands > 3 ? 3 : 1, NULL), &out))
            return false;
    }
    if (vips_image_get_format(*im) != VIPS_FORMAT_UCHAR) {
        out = NULL;
        return step(im, vips_cast_uchar(*im, &out, NULL), &out);
    }
    return true;
}

/* VIPS_REGION_ADDR for column 0, without its sign conversions: rows are asked for whole, so that
 * only the top of what the region holds can differ. */
static const unsigned char *row_at(const VipsRegion *r, int y)
{
    return r->data + (ptrdiff_t)(y - r->valid.top) * r->bpl;
}

static bool copy_rows(VipsImage *im, lk_canvas *to)
{
    VipsRegion *r = vips_region_new(im);
    int w = vips_image_get_width(im), h = vips_image_get_height(im);
    bool ok = r != NULL;
    for (int y = 0; ok && y < h; y += STRIP_ROWS) {
        VipsRect rect = {0, y, w, h - y < STRIP_ROWS ? h - y : STRIP_ROWS};
        ok = vips_region_prepare(r, &rect) == 0;
        if (ok)
            lk_canvas_put(to, (unsigned)y, (unsigned)rect.height, row_at(r, y), (size_t)r->bpl,
                          (unsigned)vips_image_get_bands(im));
    }
    if (r)
        g_object_unref(r);
    vips_error_clear();
    return ok;
}

lk_code lk_vips_rows(lk_vips *v, lk_canvas *to, lk_err *err)
{
    VipsImage *im = v->im;
    g_object_ref(im);
    bool ok = to_srgb(&im) && to_bytes(&im) && vips_image_get_width(im) == (int)to->width &&
              vips_image_get_height(im) == (int)to->height && copy_rows(im, to);
    g_object_unref(im);
    return ok ? LK_OK : lk_fail(err, LK_E_CORRUPT, "the picture's pixels are damaged");
}

lk_code lk_vips_encode(const lk_image *im, lk_image_format format, int quality, lk_buf *out,
                       lk_err *err)
{
    void *p = NULL;
    size_t n = 0;
    int failed = -1;
    VipsImage *v =
        vips_image_new_from_memory(im->px, (size_t)im->width * im->height * 3, (int)im->width,
                                   (int)im->height, 3, VIPS_FORMAT_UCHAR);
    if (v && format == LK_IMG_JPEG)
        failed = vips_jpegsave_buffer(v, &p, &n, "Q", quality, "strip", TRUE, NULL);
    else if (v && format == LK_IMG_WEBP)
        failed = vips_webpsave_buffer(v, &p, &n, "Q", quality, "strip", TRUE, "effort", 2, NULL);
    else if (v && format == LK_IMG_PNG)
        failed = vips_pngsave_buffer(v, &p, &n, "strip", TRUE, NULL);
    if (v)
        g_object_unref(v);
    vips_error_clear();
    if (failed)
        return lk_fail(err, LK_E_UNSUPPORTED, "pictures cannot be written as %s here",
                       lk_image_format_name(format));
    lk_buf_put(out, p, n);
    g_free(p);
    return lk_buf_check(out, err);
}
