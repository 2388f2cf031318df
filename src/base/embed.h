/* Files carried inside the program: the page and the bundled model.
 *
 * web/meson.build and models/meson.build name them; tools/embed writes the table. A file is known
 * by its path in the source tree, "web/index.html". Immutable. */
#ifndef LK_BASE_EMBED_H
#define LK_BASE_EMBED_H

#include <stddef.h>

typedef struct lk_embedded_file {
    const char *path;
    const unsigned char *data; /* aligned to 64, and a zero byte follows the last */
    size_t size;               /* without that zero byte */
} lk_embedded_file;

/* Sorted by path, and closed by an entry of NULLs that the count leaves out. */
extern const lk_embedded_file lk_embedded_files[];
extern const size_t lk_n_embedded_files;

/* The file of that path, or NULL. It lives as long as the program. */
const lk_embedded_file *lk_embedded_find(const char *path);

#endif
