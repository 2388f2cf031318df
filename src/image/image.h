/* The image room: from untrusted bytes to sRGB pixels, and what can be read off them.
 *
 * Bytes are probed (format and size from the header), checked against the limits, and only then
 * decoded: upright, 8-bit sRGB, without alpha, first frame of an animation. libvips decodes; the
 * resize is our own, because a model must see the same pixels it was trained on. All calls are
 * safe from any number of threads; an lk_image has one owner. */
#ifndef LK_IMAGE_IMAGE_H
#define LK_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Interleaved RGB, 8 bits, sRGB, rows without padding: px[height][width][3]. */
typedef struct lk_image {
    unsigned char *px;
    unsigned width, height;
} lk_image;

LK_CHECK lk_code lk_image_new(lk_image *ret, unsigned width, unsigned height, lk_err *err);
void lk_image_release(lk_image *im); /* NULL and an all-zero image allowed */

typedef enum lk_image_format {
    LK_IMG_UNKNOWN,
    LK_IMG_JPEG,
    LK_IMG_PNG,
    LK_IMG_WEBP,
    LK_IMG_GIF,
    LK_IMG_TIFF,
    LK_IMG_AVIF,
    LK_IMG_HEIC,
    LK_IMG_BMP,
    LK_IMG_PNM, /* PBM, PGM, PPM: P1 to P6 */
    LK_IMG_JP2,
} lk_image_format;

const char *lk_image_format_name(lk_image_format f); /* "jpeg", "unknown" */
const char *lk_image_format_mime(lk_image_format f); /* "image/jpeg" */

typedef struct lk_image_limits {
    uint64_t max_pixels; /* width x height of the header; default 100,000,000 */
    uint64_t max_bytes;  /* of the file; default 64 MiB */
    uint64_t max_memory; /* that decoding may need at its peak, pixels included; default 480 MiB */
    /* A JPEG's decoder may give a half, a quarter or an eighth of the picture, as long as its short
     * side is not under this. 0, the default: the picture itself. */
    unsigned enough_side;
} lk_image_limits;

lk_image_limits lk_image_limits_default(void);

/* Which of the known formats the first bytes announce, by magic numbers alone. */
lk_image_format lk_image_sniff(lk_blob bytes);

typedef struct lk_image_header {
    lk_image_format format;
    unsigned width, height; /* as stored, before orientation (HEIC and AVIF: after it) */
    unsigned frames;        /* 1 for a still picture */
    unsigned orientation;   /* EXIF 1..8; 1 when absent */
} lk_image_header;

#define LK_MAX_IMAGE_SIDE 65535

/* Read the header and hold it against the limits; decodes no pixel. LK_E_FORMAT: no picture that we
 * read; LK_E_LIMIT: over max_pixels, max_bytes, max_memory or 65,535 a side; LK_E_UNSUPPORTED: a
 * known format in a form that we do not read; LK_E_TRUNCATED, LK_E_CORRUPT. NULL limits: the
 * defaults. */
LK_CHECK lk_code lk_image_probe(lk_blob bytes, const lk_image_limits *limits, lk_image_header *ret,
                                lk_err *err);

/* What cameras write; strings are empty and numbers 0 when absent. */
typedef struct lk_exif {
    char make[64], model[64], lens[64], software[64];
    int64_t taken_ms; /* DateTimeOriginal as milliseconds since 1970, in the zone of
                         OffsetTimeOriginal, else UTC */
    bool has_taken;
    unsigned orientation;
    double exposure_s, f_number, focal_mm;
    unsigned iso;
    bool has_gps; /* only filled when asked for */
    double latitude, longitude, altitude_m;
} lk_exif;

typedef struct lk_picture {
    lk_image_header header;
    unsigned width, height; /* upright, as a viewer has it */
    lk_image image;         /* upright; of that size unless enough_side made it smaller */
    lk_exif exif;
} lk_picture;

/* Decode. Same errors as the probe; nothing is kept of a broken file. Many threads may decode at
 * once; the sum of what they need is bounded, so a big picture may wait for others to end. */
LK_CHECK lk_code lk_picture_decode(lk_blob bytes, const lk_image_limits *limits, bool want_gps,
                                   lk_picture *ret, lk_err *err);
void lk_picture_release(lk_picture *p);

/* Start and stop libvips once a process, before threads and after them. */
LK_CHECK lk_code lk_image_start(lk_err *err);
void lk_image_stop(void);

#endif
