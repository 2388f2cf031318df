/* EXIF out of untrusted bytes: a TIFF structure with three directories that matter. */
#ifndef LK_IMAGE_EXIF_H
#define LK_IMAGE_EXIF_H

#include "image/image.h"

/* bytes: a TIFF structure, with or without "Exif\0\0" before it. Never fails: what is missing,
 * damaged or out of range stays empty, and orientation is 1 unless a valid one is found. */
void lk_exif_parse(lk_blob bytes, bool want_gps, lk_exif *ret);

/* The same from ImageMagick's text form ("\nexif\n  1234\n4578..."), as it stands in PNG comments.
 */
void lk_exif_parse_hex(const char *text, bool want_gps, lk_exif *ret);

#endif
