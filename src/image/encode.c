#include "image/encode.h"

#include "image/libvips.h"

lk_code lk_image_encode(const lk_image *im, lk_image_format format, int quality, lk_buf *out,
                        lk_err *err)
{
    if (quality < 1 || quality > 100)
        return lk_fail(err, LK_E_INVALID, "the quality is between 1 and 100, not %d", quality);
    return lk_vips_encode(im, format, quality, out, err);
}
