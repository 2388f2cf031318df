/* A catalog whose checksums are right and whose contents are not: opening it must refuse or
 * succeed, and what opened must stand its own check and take a write. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/os.h"
#include "store/vectors/embedded/internal.h"
#include "target.h"

#define DIM 4

static void path_in(const char *dir, const char *name, char *ret, size_t size)
{
    snprintf(ret, size, "%s/%s", dir, name);
}

/* vectors.1 with room for some rows, catalog.1 with one frame that says `data`. */
static bool write_files(const char *dir, const uint8_t *data, size_t size)
{
    char path[128], temp[128];
    lk_rowfile rows;
    lk_catalog catalog;
    lk_rowfile_init(&rows);
    lk_catalog_init(&catalog);
    lk_rowfile_shape shape = {.dim = DIM, .elem = LK_ELEM_F32, .collection = 1};
    lk_catalog_head head = {
        .dim = DIM, .elem = LK_ELEM_F32, .vectors = 1, .collection = 1, .generation = 1};
    path_in(dir, "vectors.1", path, sizeof path);
    bool ok = lk_rowfile_create(&rows, path, &shape, NULL) == LK_OK &&
              lk_rowfile_reserve(&rows, 16, NULL) == LK_OK;
    path_in(dir, "catalog.tmp.1", temp, sizeof temp);
    path_in(dir, "catalog.1", path, sizeof path);
    ok = ok && lk_catalog_create(&catalog, temp, &head, NULL) == LK_OK &&
         lk_catalog_add(&catalog, (lk_blob){data, size}, NULL) == LK_OK &&
         lk_catalog_finish(&catalog, path, dir, NULL) == LK_OK;
    lk_catalog_close(&catalog);
    lk_rowfile_close(&rows);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[] = "/tmp/lk-fuzz-XXXXXX";
    static const char *const names[] = {"vectors.1", "catalog.1", "catalog.2", "catalog.tmp.1",
                                        "lock"};
    if (!mkdtemp(dir))
        abort();
    lk_vectors *v = NULL;
    if (write_files(dir, data, size) && lk_vectors_open(dir, NULL, &v, NULL) == LK_OK) {
        const float vector[DIM] = {1, 2, 3, 4};
        lk_vector_row row = {.id = LK_STR("new"), .vector = vector};
        float back[DIM];
        if (lk_vectors_upsert(v, 1, &row, NULL) || lk_vectors_get(v, row.id, back, NULL))
            abort();
        lk_vectors_close(v);
        if (lk_vectors_open(dir, NULL, &v, NULL) || lk_vectors_get(v, row.id, back, NULL))
            abort();
    }
    lk_vectors_close(v);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        path_in(dir, names[i], path, sizeof path);
        unlink(path);
    }
    rmdir(dir);
    return 0;
}
