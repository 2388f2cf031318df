/* Add the pictures named on the command line, then print those that look like the first.
 *
 *     cc find.c $(pkg-config --cflags --libs lookalike) -o find && ./find *.jpg */
#include <lookalike.h>
#include <stdio.h>
#include <stdlib.h>

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *p = NULL;
    if (!f)
        return NULL;
    if (fseek(f, 0, SEEK_END) == 0) {
        long size = ftell(f);
        rewind(f);
        p = size > 0 ? malloc((size_t)size) : NULL;
        *n = p ? fread(p, 1, (size_t)size, f) : 0;
    }
    fclose(f);
    return p;
}

int main(int argc, char **argv)
{
    lookalike_options o = {.size = sizeof o, .data_dir = "find-data", .create = 1};
    lookalike *l = NULL;
    lookalike_error err;
    if (argc < 2 || lookalike_open(&o, &l, &err)) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: find PICTURE..." : err.text);
        return 2;
    }
    for (int i = argc - 1; i > 0; i--) {
        size_t n = 0;
        char *bytes = read_file(argv[i], &n), *json = NULL;
        if (!bytes || lookalike_add(l, bytes, n, argv[i], argv[i], NULL, &json, &err))
            fprintf(stderr, "%s: %s\n", argv[i], bytes ? err.text : "cannot be read");
        lookalike_free(json);
        free(bytes);
    }
    char *json = NULL;
    lookalike_query q = {.size = sizeof q, .id = argv[1], .top_k = 5};
    int failed = lookalike_search(l, &q, &json, &err);
    puts(failed ? err.text : json);
    lookalike_free(json);
    lookalike_close(l);
    return failed != 0;
}
