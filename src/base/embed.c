#include "base/embed.h"

#include <stdlib.h>
#include <string.h>

static int by_path(const void *key, const void *member)
{
    return strcmp(key, ((const lk_embedded_file *)member)->path);
}

const lk_embedded_file *lk_embedded_find(const char *path)
{
    return bsearch(path, lk_embedded_files, lk_n_embedded_files, sizeof *lk_embedded_files,
                   by_path);
}
