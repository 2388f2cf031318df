/* The catalog written anew: one entry a live row, nothing outdated. Also how it is first made. */
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "store/vectors/embedded/internal.h"

#define FRAME_TARGET ((size_t)4 << 20)
#define SPARE_BYTES ((uint64_t)8 << 20)

void lk_embedded_put_options(lk_buf *b, const lk_embedded_options *o)
{
    const struct {
        const char *key;
        int64_t v;
    } numbers[] = {{"M", o->M}, {"ef_construction", o->ef_construction}, {"nlist", o->nlist}};
    lk_ops_put_option(b, LK_STR("space"), lk_str_of(o->space));
    lk_ops_put_option(b, LK_STR("index"), lk_str_of(o->index));
    for (size_t i = 0; i < LK_ARRAY_LEN(numbers); i++) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)numbers[i].v);
        lk_ops_put_option(b, lk_str_of(numbers[i].key), lk_str_of(text));
    }
}

uint64_t lk_embedded_entry_bytes(const lk_embedded *e, uint32_t slot)
{
    uint64_t bytes = 17 + lk_ids_at(&e->ids, slot).n;
    size_t n = lk_columns_count(e->columns);
    for (size_t i = 0; i < n; i++) {
        lk_value v = lk_columns_get(e->columns, i, slot);
        if (v.type == LK_T_STR)
            bytes += 6 + v.s.n;
        else if (v.type != LK_T_NULL)
            bytes += v.type == LK_T_BOOL ? 3 : 10;
    }
    return bytes;
}

static void put_slot(const lk_embedded *e, uint32_t slot, lk_buf *b)
{
    size_t n = lk_columns_count(e->columns);
    uint16_t n_attrs = 0;
    for (size_t i = 0; i < n; i++)
        n_attrs = (uint16_t)(n_attrs + (lk_columns_get(e->columns, i, slot).type != LK_T_NULL));
    lk_ops_put_row(b, slot, e->row_crc[slot], e->norm[slot], lk_ids_at(&e->ids, slot), n_attrs);
    for (size_t i = 0; i < n; i++) {
        lk_value v = lk_columns_get(e->columns, i, slot);
        if (v.type != LK_T_NULL)
            lk_ops_put_attr(b, (uint16_t)i, v.type, &v);
    }
}

static lk_code flush(lk_catalog *c, lk_buf *b, lk_err *err)
{
    lk_code code = lk_buf_check(b, err);
    if (code == LK_OK && b->n)
        code = lk_catalog_add(c, (lk_blob){(const unsigned char *)b->p, b->n}, err);
    lk_buf_clear(b);
    return code;
}

static lk_code write_all(const lk_embedded *e, lk_catalog *c, lk_err *err)
{
    lk_buf b;
    lk_buf_init(&b, LK_MAX_FRAME_BYTES);
    lk_embedded_put_options(&b, &e->options);
    for (size_t i = 0; i < lk_columns_count(e->columns); i++) {
        lk_field f = lk_columns_field(e->columns, i);
        lk_ops_put_field(&b, f.type, f.in_metadata, f.name);
    }
    lk_code code = flush(c, &b, err);
    for (size_t i = lk_bitmap_next(&e->live, 0); code == LK_OK && i != LK_BITMAP_NONE;
         i = lk_bitmap_next(&e->live, i + 1)) {
        put_slot(e, (uint32_t)i, &b);
        if (b.n >= FRAME_TARGET || b.failed)
            code = flush(c, &b, err);
    }
    if (code == LK_OK)
        code = flush(c, &b, err);
    lk_buf_release(&b);
    return code;
}

/* The writer is the only one who changes what is read here, so it reads without the lock. */
lk_code lk_embedded_compact(lk_embedded *e, lk_err *err)
{
    lk_catalog fresh;
    lk_catalog_init(&fresh);
    lk_catalog_head head = {.dim = (uint32_t)e->base.dim,
                            .elem = (uint32_t)e->elem,
                            .metric = (uint32_t)e->base.metric,
                            .vectors = e->vectors_n,
                            .collection = e->collection,
                            .generation = e->generation + 1};
    char *path = lk_embedded_path(e->dir, "catalog", head.generation);
    char *temp = lk_embedded_path(e->dir, "catalog.tmp", head.generation);
    lk_code code = path && temp ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory for the catalog");
    if (code == LK_OK)
        code = lk_catalog_create(&fresh, temp, &head, err);
    if (code == LK_OK)
        code = write_all(e, &fresh, err);
    if (code == LK_OK)
        code = lk_catalog_finish(&fresh, path, e->dir, err);
    if (code == LK_OK) {
        /* The new one counts from here on; the old one is at most a leftover. */
        if (e->catalog.path)
            lk_os()->unlink(e->catalog.path);
        lk_catalog_close(&e->catalog);
        e->catalog = fresh;
        e->generation = head.generation;
        lk_catalog_init(&fresh);
    } else if (path && temp) {
        lk_os()->unlink(temp);
        /* A rename that could not be synced leaves the new name, which must not outlive what the
         * old catalog is still to take. */
        if (lk_os_exists(path) && (lk_os()->unlink(path) || lk_os_sync_dir(e->dir, NULL)))
            e->catalog.broken = true;
    }
    lk_catalog_close(&fresh);
    lk_free(temp);
    lk_free(path);
    return code;
}

/* Rewriting costs about as much as reading at open; it pays when most of the log is outdated. */
static bool wants_compaction(const lk_embedded *e)
{
    return e->catalog.bytes > 2 * e->live_bytes + SPARE_BYTES;
}

void lk_embedded_compact_if_wanted(lk_embedded *e)
{
    if (!wants_compaction(e) || e->catalog.broken)
        return;
    lk_code code = lk_embedded_compact(e, NULL);
    (void)code; /* the log goes on as it is, and the next commit tries again */
}
