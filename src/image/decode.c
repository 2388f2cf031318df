/* From bytes to an upright picture, with every limit held before memory is taken.
 *
 * The order matters: size of the file, magic bytes, the file's own structure, the header as libvips
 * reads it, the limits, and only then pixels. Rows come in strips and go straight to where they
 * belong in the upright picture, so the peak is the picture itself plus what the format's decoder
 * must hold. All decodes of the process share one budget; a big picture waits until it fits, so
 * that many at once need no more memory than one may. */
#include <pthread.h>

#include "image/container.h"
#include "image/exif.h"
#include "image/libvips.h"

#define BUDGET_BYTES ((uint64_t)480 << 20)

/* The one mutable state of this room: memory is the process's, and so is its budget. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    uint64_t used;
} budget = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void take_budget(uint64_t bytes)
{
    pthread_mutex_lock(&budget.lock);
    while (budget.used > 0 && budget.used + bytes > BUDGET_BYTES)
        pthread_cond_wait(&budget.freed, &budget.lock);
    budget.used += bytes;
    pthread_mutex_unlock(&budget.lock);
}

static void give_budget(uint64_t bytes)
{
    pthread_mutex_lock(&budget.lock);
    budget.used -= bytes;
    pthread_cond_broadcast(&budget.freed);
    pthread_mutex_unlock(&budget.lock);
}

lk_code lk_image_start(lk_err *err)
{
    return lk_vips_start(err);
}

void lk_image_stop(void)
{
    lk_vips_stop();
}

/* What decoding needs at its peak. */
static uint64_t memory_of(const lk_vips_info *i, bool progressive)
{
    uint64_t pixels = (uint64_t)i->width * i->height, need = pixels * 3;
    if (i->holds_all)
        need += pixels * i->bands * i->sample_bytes;
    if (progressive) /* 16-bit coefficients of every sample */
        need += pixels * i->bands * 2;
    return need;
}

/* What the file's structure says before libvips is asked. */
static lk_code check_structure(lk_blob bytes, lk_image_header *h, bool *progressive, lk_err *err)
{
    lk_blob exif;
    *progressive = false;
    h->frames = 1;
    if (h->format == LK_IMG_GIF)
        return lk_gif_scan(bytes, &h->frames, err);
    if (h->format == LK_IMG_PNG)
        lk_png_scan(bytes, &h->frames, &exif);
    if (h->format == LK_IMG_JPEG) {
        lk_jpeg_frame f = lk_jpeg_scan(bytes);
        *progressive = f.progressive;
        if (f.precision && f.precision != 8)
            return lk_fail(err, LK_E_UNSUPPORTED, "JPEG pictures of %u bits a sample are not read",
                           f.precision);
    }
    return LK_OK;
}

static lk_code check_limits(const lk_image_header *h, uint64_t memory, const lk_image_limits *l,
                            lk_err *err)
{
    uint64_t pixels = (uint64_t)h->width * h->height;
    if (h->width > LK_MAX_IMAGE_SIDE || h->height > LK_MAX_IMAGE_SIDE)
        return lk_fail(err, LK_E_LIMIT, "the picture is %u x %u pixels, a side has at most %d",
                       h->width, h->height, LK_MAX_IMAGE_SIDE);
    if (pixels > l->max_pixels)
        return lk_fail(err, LK_E_LIMIT, "the picture is %u x %u pixels, the limit is %llu pixels",
                       h->width, h->height, (unsigned long long)l->max_pixels);
    if (memory > l->max_memory)
        return lk_fail(err, LK_E_LIMIT, "decoding %u x %u pixels of this kind needs %llu MiB",
                       h->width, h->height, (unsigned long long)(memory >> 20));
    return LK_OK;
}

/* The header, and the open handle for who goes on to decode (NULL: close it here). */
static lk_code open_checked(lk_blob bytes, const lk_image_limits *limits, lk_image_header *ret,
                            lk_vips **ret_vips, uint64_t *ret_memory, lk_err *err)
{
    lk_image_limits dflt = lk_image_limits_default();
    const lk_image_limits *l = limits ? limits : &dflt;
    lk_image_header h = {.format = lk_image_sniff(bytes), .orientation = 1};
    bool progressive = false;
    lk_vips *v = NULL;
    if (bytes.n == 0)
        return lk_fail(err, LK_E_FORMAT, "the file is empty");
    if (bytes.n > l->max_bytes)
        return lk_fail(err, LK_E_LIMIT, "the file has %zu bytes, the limit is %llu", bytes.n,
                       (unsigned long long)l->max_bytes);
    if (h.format == LK_IMG_UNKNOWN)
        return lk_fail(err, LK_E_FORMAT, "the file is no picture of a known format");
    lk_code code = check_structure(bytes, &h, &progressive, err);
    if (!code)
        code = lk_vips_open(bytes, h.format, &v, err);
    if (code == LK_E_CORRUPT && lk_container_is_cut(h.format, bytes))
        code = lk_fail(err, LK_E_TRUNCATED, "the %s picture ends too early",
                       lk_image_format_name(h.format));
    if (code)
        return code;
    lk_vips_info info = lk_vips_info_of(v);
    h.width = info.width;
    h.height = info.height;
    h.orientation = info.orientation;
    if (info.frames > h.frames)
        h.frames = info.frames;
    *ret_memory = memory_of(&info, progressive);
    code = check_limits(&h, *ret_memory, l, err);
    if (!code && lk_container_is_cut(h.format, bytes))
        code = lk_fail(err, LK_E_TRUNCATED, "the %s picture ends too early",
                       lk_image_format_name(h.format));
    if (code || !ret_vips)
        lk_vips_close(v);
    else
        *ret_vips = v;
    if (!code)
        *ret = h;
    return code;
}

lk_code lk_image_probe(lk_blob bytes, const lk_image_limits *limits, lk_image_header *ret,
                       lk_err *err)
{
    uint64_t memory;
    return open_checked(bytes, limits, ret, NULL, &memory, err);
}

static void read_exif(lk_vips *v, lk_blob bytes, bool want_gps, lk_picture *p)
{
    lk_blob exif = lk_vips_exif(v);
    unsigned frames;
    if (exif.n == 0 && p->header.format == LK_IMG_PNG)
        lk_png_scan(bytes, &frames, &exif);
    const char *comment = exif.n ? NULL : lk_vips_exif_comment(v);
    if (comment)
        lk_exif_parse_hex(comment, want_gps, &p->exif);
    else
        lk_exif_parse(exif, want_gps, &p->exif);
    bool turned = p->header.format == LK_IMG_HEIC || p->header.format == LK_IMG_AVIF;
    if (p->header.orientation == 1 && !turned)
        p->header.orientation = p->exif.orientation;
}

/* By how much the decoder may shrink the picture: its transform of 8 x 8 blocks gives 4 x 4, 2 x 2
 * or 1 x 1 just as well, which saves most of the work on a photograph that is about to be resized.
 */
static unsigned shrink_of(const lk_image_header *h, const lk_image_limits *limits)
{
    unsigned factor = 1, side = h->width < h->height ? h->width : h->height;
    if (!limits || !limits->enough_side || h->format != LK_IMG_JPEG)
        return 1;
    while (factor < 8 && side / (factor * 2) >= limits->enough_side)
        factor *= 2;
    return factor;
}

lk_code lk_picture_decode(lk_blob bytes, const lk_image_limits *limits, bool want_gps,
                          lk_picture *ret, lk_err *err)
{
    lk_picture p = {0};
    lk_vips *v = NULL;
    lk_canvas canvas;
    uint64_t memory = 0;
    lk_code code = open_checked(bytes, limits, &p.header, &v, &memory, err);
    if (code)
        return code;
    read_exif(v, bytes, want_gps, &p);
    bool swaps = p.header.orientation >= 5;
    unsigned factor = shrink_of(&p.header, limits);
    p.width = swaps ? p.header.height : p.header.width;
    p.height = swaps ? p.header.width : p.header.height;
    take_budget(memory);
    if (factor > 1)
        code = lk_vips_shrink(v, bytes, factor, err);
    if (!code) {
        lk_vips_info now = lk_vips_info_of(v);
        code = lk_image_new(&p.image, swaps ? now.height : now.width,
                            swaps ? now.width : now.height, err);
    }
    if (!code) {
        lk_canvas_init(&canvas, &p.image, p.header.orientation);
        code = lk_vips_rows(v, &canvas, err);
    }
    lk_vips_close(v);
    give_budget(memory);
    if (code)
        lk_picture_release(&p);
    else
        *ret = p;
    return code;
}
