/* Verify: every row against its checksum, the catalog's file against what is in memory. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "store/vectors/embedded/internal.h"

static lk_code verify_rows(lk_embedded *e, const lk_bitmap *live, const uint32_t *crc, lk_err *err)
{
    size_t row_bytes = e->rows.rows.row_bytes;
    for (size_t i = lk_bitmap_next(live, 0); i != LK_BITMAP_NONE; i = lk_bitmap_next(live, i + 1)) {
        if (lk_crc32c(lk_rows_at(&e->rows.rows, (uint32_t)i), row_bytes) == crc[i])
            continue;
        pthread_rwlock_rdlock(&e->lock);
        lk_str id = lk_ids_at(&e->ids, (uint32_t)i);
        lk_code code = lk_fail(err, LK_E_CORRUPT,
                               "the vector of '%.*s' (slot %zu) does not match its checksum",
                               (int)(id.n < 128 ? id.n : 128), id.p, i);
        pthread_rwlock_unlock(&e->lock);
        return code;
    }
    return LK_OK;
}

/* Counts what the log says is live, by slot. */
typedef struct recount {
    lk_bitmap live;
    const lk_embedded *e;
} recount;

static lk_code skip_attrs(const lk_embedded *e, lk_ops_reader *r, const lk_op *op, lk_err *err)
{
    for (uint16_t i = 0; i < op->n_attrs; i++) {
        uint16_t field;
        lk_value v;
        if (!lk_ops_attr_field(r, &field) || field >= lk_columns_count(e->columns) ||
            !lk_ops_attr_value(r, lk_columns_field(e->columns, field).type, &v))
            return lk_fail(err, LK_E_CORRUPT, "an entry's attributes make no sense");
    }
    return LK_OK;
}

/* Which slots are live follows from the last PUT or DELETE of each; a slot whose id moved on is
 * emptied by the PUT that took it, so ids are compared with those in memory at the end. */
static lk_code recount_frame(void *ctx, lk_blob payload, lk_err *err)
{
    recount *c = ctx;
    lk_ops_reader r = {.p = payload.p, .n = payload.n};
    lk_op op;
    while (lk_ops_next(&r, &op)) {
        if (op.slot >= c->live.n_bits && op.kind >= LK_OP_PUT)
            return lk_fail(err, LK_E_CORRUPT, "slot %u is beyond the last one", op.slot);
        if (op.kind == LK_OP_PUT) {
            uint32_t now = lk_ids_find(&c->e->ids, op.name);
            if (now == op.slot && c->e->row_crc[now] == op.row_crc)
                lk_bitmap_set(&c->live, op.slot);
            else
                lk_bitmap_unset(&c->live, op.slot);
        } else if (op.kind == LK_OP_DELETE) {
            lk_bitmap_unset(&c->live, op.slot);
        }
        lk_code code = skip_attrs(c->e, &r, &op, err);
        if (code)
            return code;
    }
    return r.bad ? lk_fail(err, LK_E_CORRUPT, "an entry makes no sense") : LK_OK;
}

typedef struct catalog_check {
    lk_embedded *e;
    lk_code code;
    lk_err err;
} catalog_check;

/* Runs alone among writers, so memory and file stand still; searches go on. */
static void verify_catalog(void *ctx)
{
    catalog_check *check = ctx;
    lk_embedded *e = check->e;
    recount c = {.e = e};
    lk_catalog file;
    lk_catalog_init(&file);
    lk_bitmap_init(&c.live);
    check->code = lk_bitmap_resize(&c.live, e->cap_slots, &check->err);
    if (check->code == LK_OK)
        check->code = lk_catalog_open(&file, e->catalog.path, &check->err);
    if (check->code == LK_OK)
        check->code = lk_catalog_replay(&file, false, recount_frame, &c, &check->err);
    for (size_t i = 0; check->code == LK_OK && i < e->n_slots; i++)
        if (lk_bitmap_get(&c.live, i) != lk_bitmap_get(&e->live, i))
            check->code = lk_fail(&check->err, LK_E_CORRUPT,
                                  "%s and the memory disagree about slot %zu", e->catalog.path, i);
    lk_bitmap_release(&c.live);
    lk_catalog_close(&file);
}

lk_code lk_embedded_verify(lk_vectors *v, lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    catalog_check check = {.e = e};
    lk_group_alone(&e->group, verify_catalog, &check);
    if (check.code) {
        if (err)
            *err = check.err;
        return check.code;
    }
    lk_bitmap live;
    lk_bitmap_init(&live);
    unsigned ticket = lk_grace_enter(&e->grace); /* rows read here are not written over (V4) */
    pthread_rwlock_rdlock(&e->lock);
    lk_code code = lk_bitmap_copy(&live, &e->live, err);
    uint32_t *crc = lk_memdup(e->row_crc, e->n_slots * sizeof *crc);
    pthread_rwlock_unlock(&e->lock);
    if (code == LK_OK && !crc)
        code = lk_fail(err, LK_E_NOMEM, "no memory to verify");
    if (code == LK_OK)
        code = verify_rows(e, &live, crc, err);
    lk_grace_leave(&e->grace, ticket);
    lk_free(crc);
    lk_bitmap_release(&live);
    return code;
}
