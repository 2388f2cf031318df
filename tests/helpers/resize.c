/* resize WIDTH HEIGHT OUT_WIDTH OUT_HEIGHT FILTER: raw RGB from stdin to stdout, for the comparison
 * with Pillow. */
#include <stdio.h>
#include <stdlib.h>

#include "image/resize.h"

int main(int argc, char **argv)
{
    unsigned v[5];
    lk_image in, out;
    lk_err err;
    if (argc != 6)
        return 2;
    for (int i = 0; i < 5; i++)
        v[i] = (unsigned)strtoul(argv[i + 1], NULL, 10);
    if (lk_image_new(&in, v[0], v[1], &err))
        return 1;
    size_t n = (size_t)v[0] * v[1] * 3;
    if (fread(in.px, 1, n, stdin) != n ||
        lk_resize(&in, v[2], v[3], (lk_resize_filter)v[4], &out, &err))
        return 1;
    fwrite(out.px, 1, (size_t)v[2] * v[3] * 3, stdout);
    lk_image_release(&out);
    lk_image_release(&in);
    return 0;
}
