#include "model/preprocess.h"

lk_code lk_preprocess_pixels(const lk_card *card, const lk_image *im, lk_image *ret, lk_err *err)
{
    static const unsigned char black[3] = {0, 0, 0};
    return lk_resize_fit(im, card->fit, card->short_side, card->size, card->filter, black, ret,
                         err);
}

lk_code lk_preprocess(const lk_card *card, const lk_image *im, bool pixels_first, float *ret,
                      lk_err *err)
{
    lk_image square = {0};
    float value[3][256];
    lk_code code = lk_preprocess_pixels(card, im, &square, err);
    if (code)
        return code;
    /* A table a channel, in the order of operations of the reference: x / 255, then the rest. */
    for (size_t c = 0; c < 3; c++)
        for (size_t v = 0; v < 256; v++)
            value[c][v] = ((float)v / 255.0f - card->mean[c]) / card->std[c];
    size_t n = (size_t)card->size * card->size;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            ret[pixels_first ? 3 * i + c : c * n + i] = value[c][square.px[3 * i + c]];
    lk_image_release(&square);
    return LK_OK;
}
