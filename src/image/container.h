/* What a file's own structure says before a decoder is trusted with it.
 *
 * Only walks: no allocation, no pixel, every step bounds-checked. */
#ifndef LK_IMAGE_CONTAINER_H
#define LK_IMAGE_CONTAINER_H

#include "image/image.h"

#define LK_MAX_FRAMES 100000

/* Every block up to the trailer must hold together. LK_E_TRUNCATED: no trailer; LK_E_CORRUPT: a
 * block of no known kind, or no frame; LK_E_LIMIT: too many frames, or one that reaches past
 * LK_MAX_IMAGE_SIDE. */
LK_CHECK lk_code lk_gif_scan(lk_blob bytes, unsigned *ret_frames, lk_err *err);

/* APNG's frame count (1 for a still picture) and the eXIf chunk (empty when absent). */
void lk_png_scan(lk_blob bytes, unsigned *ret_frames, lk_blob *ret_exif);

typedef struct lk_jpeg_frame {
    unsigned precision; /* bits a sample; 0: no frame header was found */
    unsigned width, height, components;
    bool progressive; /* decoders then hold the whole picture's coefficients */
} lk_jpeg_frame;

lk_jpeg_frame lk_jpeg_scan(lk_blob bytes);

/* Whether the file lacks the end that its format prescribes. */
bool lk_container_is_cut(lk_image_format format, lk_blob bytes);

#endif
