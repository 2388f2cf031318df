/* One record at a time: show, change, remove, list, and its picture. */
#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"

/* A filtered page looks at no more records than this; it may come back short, with a cursor. */
#define MAX_LIST_LOOKED 20000

lk_code lk_engine_get(lk_engine *e, lk_str id, lk_arena *into, lk_record *ret, lk_err *err)
{
    lk_record_row row;
    lk_code code = lk_records_get(e->records, id, into, &row, err);
    if (code == LK_E_NOT_FOUND)
        return lk_fail_field(err, code, "id", "there is no image \"%.*s\"",
                             (int)(id.n < 128 ? id.n : 128), id.p);
    return code ? code : lk_record_of_row(&row, into, ret, err);
}

/* ---- patch ---- */

/* RFC 7396 over two flat objects: patch's members win, null removes. Nested objects are replaced
 * whole. */
static void write_merged(lk_jw *w, const lk_jval *old, const lk_jval *patch)
{
    lk_str key;
    const lk_jval *v;
    lk_jw_obj(w);
    for (lk_jiter it = lk_jiter_of(old); lk_jiter_next(&it, &key, &v);) {
        lk_str pkey;
        const lk_jval *pv, *over = NULL;
        for (lk_jiter pit = lk_jiter_of(patch); lk_jiter_next(&pit, &pkey, &pv);)
            if (lk_str_eq(pkey, key))
                over = pv;
        if (over)
            continue;
        lk_jw_key_str(w, key);
        lk_jw_val(w, v);
    }
    for (lk_jiter it = lk_jiter_of(patch); lk_jiter_next(&it, &key, &v);)
        if (lk_jval_type(v) != LK_J_NULL) {
            lk_jw_key_str(w, key);
            lk_jw_val(w, v);
        }
    lk_jw_end_obj(w);
}

static lk_code patched_doc(lk_str old, const lk_jval *patch, lk_buf *out, lk_err *err)
{
    lk_json *json = NULL;
    lk_jw w;
    lk_str key;
    const lk_jval *v;
    lk_code code = lk_json_parse(old, &json, err);
    if (code)
        return code;
    lk_jw_init(&w, out);
    lk_jw_obj(&w);
    for (lk_jiter it = lk_jiter_of(lk_json_root(json)); lk_jiter_next(&it, &key, &v);) {
        lk_jw_key_str(&w, key);
        if (lk_str_is(key, "metadata"))
            write_merged(&w, v, patch);
        else if (lk_str_is(key, "updated_at"))
            lk_jw_int(&w, lk_wall_ms());
        else
            lk_jw_val(&w, v);
    }
    lk_jw_end_obj(&w);
    lk_json_free(json);
    return lk_buf_check(out, err);
}

lk_code lk_engine_put_attrs(lk_engine *e, const lk_space *sp, const lk_vector_row *row, lk_err *err)
{
    lk_code code = lk_vectors_upsert(sp->vectors, 1, row, err);
    if (!code && e->spaces.other) {
        code = lk_vectors_upsert(e->spaces.other->vectors, 1, row, err);
        code = code == LK_E_NOT_FOUND ? LK_OK : code;
    }
    return code;
}

static lk_code apply_patch(lk_engine *e, const lk_space *sp, lk_str id, const lk_jval *patch,
                           lk_arena *into, lk_record *ret, lk_err *err)
{
    lk_record_row row;
    lk_record now;
    lk_buf doc;
    lk_attr *attrs = NULL;
    lk_vector_row vrow = {.id = id};
    lk_buf_init(&doc, LK_MAX_RECORD_BYTES);
    lk_code code = lk_engine_get(e, id, into, &now, err);
    if (!code)
        code = lk_records_get(e->records, id, into, &row, err);
    if (!code)
        code = patched_doc(row.doc, patch, &doc, err);
    if (!code) {
        row.doc = (lk_str){lk_arena_strndup(into, doc.p, doc.n), doc.n};
        code = row.doc.p ? lk_record_attrs(row.doc, into, &attrs, &vrow.n_attrs, err)
                         : lk_fail(err, LK_E_NOMEM, "out of memory for a record");
    }
    vrow.attrs = attrs;
    if (!code)
        code = lk_engine_mark_dirty(e, err);
    if (!code)
        code = lk_engine_put_attrs(e, sp, &vrow, err);
    if (!code)
        code = lk_records_put(e->records, 1, &row, true, err);
    if (!code)
        code = lk_record_of_row(&row, into, ret, err);
    lk_buf_release(&doc);
    return code;
}

lk_code lk_engine_patch(lk_engine *e, lk_str id, lk_str patch, lk_arena *into, lk_record *ret,
                        lk_err *err)
{
    lk_json *json = NULL;
    uint64_t key = lk_keylock_hash('i', id.p, id.n);
    lk_code code = lk_meta_parse(patch, &json, err);
    if (code)
        return code;
    const lk_space *sp = lk_gate_enter(e);
    lk_keylock_take(&e->keys, &key, 1);
    code = apply_patch(e, sp, id, lk_json_root(json), into, ret, err);
    lk_keylock_give(&e->keys, &key, 1);
    lk_gate_leave(e);
    lk_json_free(json);
    return code;
}

/* ---- delete ---- */

lk_code lk_engine_drop_object(lk_engine *e, const lk_sha256 *key, lk_err *err)
{
    lk_arena a;
    lk_str id;
    uint64_t lock = lk_keylock_hash('o', key->b, sizeof key->b);
    lk_arena_init(&a, 1u << 16);
    lk_keylock_take(&e->keys, &lock, 1);
    lk_code code = lk_records_find_object(e->records, key, &a, &id, err);
    if (code == LK_E_NOT_FOUND)
        code = lk_objects_delete(e->objects, key, err);
    lk_keylock_give(&e->keys, &lock, 1);
    lk_arena_release(&a);
    return code;
}

/* In the gate. */
static lk_code delete_one(lk_engine *e, const lk_space *sp, lk_str id, lk_err *err)
{
    lk_arena a;
    lk_record r;
    size_t n;
    uint64_t key = lk_keylock_hash('i', id.p, id.n);
    lk_arena_init(&a, LK_MAX_RECORD_BYTES * 4);
    lk_keylock_take(&e->keys, &key, 1);
    lk_code code = lk_engine_get(e, id, &a, &r, err);
    if (!code)
        code = lk_engine_mark_dirty(e, err);
    if (!code)
        code = lk_records_delete(e->records, 1, &id, &n, err);
    if (!code)
        code = lk_vectors_delete(sp->vectors, 1, &id, &n, err);
    if (!code && e->spaces.other)
        code = lk_vectors_delete(e->spaces.other->vectors, 1, &id, &n, err);
    lk_keylock_give(&e->keys, &key, 1);
    if (!code)
        code = lk_engine_drop_object(e, &r.sha256, err);
    lk_arena_release(&a);
    return code;
}

lk_code lk_engine_delete(lk_engine *e, lk_str id, lk_err *err)
{
    const lk_space *sp = lk_gate_enter(e);
    lk_code code = delete_one(e, sp, id, err);
    lk_gate_leave(e);
    return code;
}

lk_code lk_engine_delete_where(lk_engine *e, lk_str filter, uint64_t *ret_deleted, lk_err *err)
{
    lk_arena a;
    const lk_filter *f = NULL;
    uint64_t cursor = 0, deleted = 0;
    if (lk_str_trim(filter).n == 0)
        return lk_fail_field(err, LK_E_INVALID, "filter",
                             "an empty filter would delete everything");
    const lk_space *sp = lk_gate_enter(e);
    lk_arena_init(&a, 0);
    lk_code code = lk_space_filter(sp, filter, &a, &f, err);
    do {
        lk_str *ids = NULL;
        size_t n = 0;
        if (!code)
            code = lk_vectors_scan(sp->vectors, f, 1000, &cursor, &a, &ids, &n, err);
        for (size_t i = 0; !code && i < n; i++) {
            code = delete_one(e, sp, ids[i], err);
            deleted += code == LK_OK;
            if (code == LK_E_NOT_FOUND) /* somebody else was quicker */
                code = LK_OK;
        }
    } while (!code && cursor);
    lk_arena_release(&a);
    lk_gate_leave(e);
    *ret_deleted = deleted;
    return code;
}

/* ---- pictures ---- */

lk_code lk_engine_original(lk_engine *e, lk_str id, lk_buf *into, const char **ret_mime,
                           lk_err *err)
{
    lk_arena a;
    lk_record r;
    lk_arena_init(&a, LK_MAX_RECORD_BYTES * 4);
    lk_code code = lk_engine_get(e, id, &a, &r, err);
    if (!code)
        code = lk_objects_get(e->objects, &r.sha256, "", into, err);
    if (!code) {
        lk_blob bytes = {(const unsigned char *)into->p, into->n};
        *ret_mime = lk_image_format_mime(lk_image_sniff(bytes));
    }
    lk_arena_release(&a);
    return code;
}

static lk_code make_thumbnail(lk_engine *e, const lk_sha256 *key, lk_thumb which,
                              const char *variant, lk_buf *into, lk_err *err)
{
    lk_image_limits limits = lk_engine_limits(e);
    lk_picture pic = {0};
    lk_buf original;
    lk_buf_init(&original, (size_t)e->opts.max_image_bytes + 1);
    lk_code code = lk_objects_get(e->objects, key, "", &original, err);
    if (!code)
        code = lk_picture_decode((lk_blob){(const unsigned char *)original.p, original.n}, &limits,
                                 false, &pic, err);
    if (!code)
        code = lk_thumb_make(e, &pic.image, which, into, err);
    if (!code)
        code = lk_objects_put(e->objects, key, variant,
                              (lk_blob){(const unsigned char *)into->p, into->n}, true, err);
    lk_picture_release(&pic);
    lk_buf_release(&original);
    return code;
}

lk_code lk_engine_thumbnail(lk_engine *e, lk_str id, lk_thumb which, lk_buf *into,
                            const char **ret_mime, lk_err *err)
{
    lk_arena a;
    lk_record r;
    char variant[16];
    lk_arena_init(&a, LK_MAX_RECORD_BYTES * 4);
    lk_thumb_variant(e, which, variant);
    lk_code code = lk_engine_get(e, id, &a, &r, err);
    if (!code) {
        code = lk_objects_get(e->objects, &r.sha256, variant, into, err);
        if (code == LK_E_NOT_FOUND)
            code = make_thumbnail(e, &r.sha256, which, variant, into, err);
    }
    *ret_mime = lk_image_format_mime(e->opts.thumb_format ? LK_IMG_WEBP : LK_IMG_JPEG);
    lk_arena_release(&a);
    return code;
}

/* ---- list ---- */

lk_code lk_engine_list(lk_engine *e, lk_str cursor, size_t limit, lk_str filter, lk_arena *into,
                       lk_record **ret, size_t *ret_n, lk_str *ret_next, lk_err *err)
{
    const lk_filter *f = NULL;
    size_t n = 0, looked = 0;
    if (limit < 1 || limit > LK_MAX_TOP_K)
        return lk_fail_field(err, LK_E_INVALID, "limit", "limit must be between 1 and %d, not %zu",
                             LK_MAX_TOP_K, limit);
    lk_record *out = lk_arena_zalloc(into, limit, sizeof *out);
    if (!out)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a list");
    lk_space *sp = lk_space_pin(e);
    lk_code code = lk_space_filter(sp, filter, into, &f, err);
    lk_space_unpin(e, sp);
    do {
        lk_record_row *rows = NULL;
        size_t n_rows = 0;
        if (!code)
            code = lk_records_list(e->records, cursor, limit - n, true, into, &rows, &n_rows,
                                   &cursor, err);
        for (size_t i = 0; !code && i < n_rows; i++) {
            bool match = true;
            if (f)
                code = lk_record_match(f, rows[i].doc, &match, err);
            if (!code && match)
                code = lk_record_of_row(&rows[i], into, &out[n++], err);
        }
        looked += n_rows;
    } while (!code && n < limit && cursor.n && looked < MAX_LIST_LOOKED);
    if (code)
        return code;
    *ret = out;
    *ret_n = n;
    *ret_next = cursor;
    return LK_OK;
}
