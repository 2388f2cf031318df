/* fit FILE crop|squash|pad SHORT_SIDE SIZE FILTER: the square of a picture that a model would see,
 * raw RGB to stdout, for the comparison with Pillow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "image/resize.h"

static const char *const fits[] = {"crop", "squash", "pad"};
static const char *const filters[] = {"bicubic", "bilinear", "lanczos", "box"};

static int place(const char *const *words, int n, const char *word)
{
    int i = 0;
    while (i < n && strcmp(words[i], word) != 0)
        i++;
    return i;
}

int main(int argc, char **argv)
{
    static const unsigned char black[3] = {0, 0, 0};
    unsigned char *p = NULL;
    size_t n = 0;
    lk_picture pic = {0};
    lk_image square = {0};
    lk_err err;
    if (argc != 6)
        return 2;
    unsigned short_side = (unsigned)strtoul(argv[3], NULL, 10),
             size = (unsigned)strtoul(argv[4], NULL, 10);
    lk_code code = lk_image_start(&err);
    if (!code)
        code = lk_os_read_file(argv[1], 0, &p, &n, &err);
    if (!code)
        code = lk_picture_decode((lk_blob){p, n}, NULL, false, &pic, &err);
    if (!code)
        code = lk_resize_fit(&pic.image, (lk_fit)place(fits, 3, argv[2]), short_side, size,
                             (lk_resize_filter)place(filters, 4, argv[5]), black, &square, &err);
    if (code)
        fprintf(stderr, "fit: %s\n", err.text);
    else
        fwrite(square.px, 3, (size_t)size * size, stdout);
    lk_image_release(&square);
    lk_picture_release(&pic);
    lk_free(p);
    return code ? 1 : 0;
}
