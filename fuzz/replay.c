/* Feed every file of a corpus folder, and every prefix length of it that is a power of two, to a
 * fuzz target: the regression test that needs no fuzzer. One TAP case a file. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

enum { MAX_BYTES = 1 << 24 };

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Each length in a block of its own size, so that a sanitizer sees the first byte read past it. */
static int feed(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        return -1;
    memcpy(exact, bytes, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static int replay(const char *path, uint8_t *scratch)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return -1;
    size_t size = fread(scratch, 1, MAX_BYTES, in);
    fclose(in);
    for (size_t part = 1; part < size; part *= 2) {
        if (feed(scratch, part) < 0)
            return -1;
    }
    return feed(scratch, size);
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int n = argc == 2 ? scandir(argv[1], &entries, visible, alphasort) : -1;
    uint8_t *scratch = malloc(MAX_BYTES);
    if (n < 1 || !scratch) {
        fprintf(stderr, "usage: %s FOLDER (with at least one file)\n", argv[0]);
        return 2;
    }
    printf("1..%d\n", n);
    int status = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        int result = replay(path, scratch);
        printf("%s %d - %s\n", result < 0 ? "not ok" : "ok", i + 1, entries[i]->d_name);
        fflush(stdout);
        status |= result < 0;
        free(entries[i]);
    }
    free(entries);
    free(scratch);
    return status;
}
