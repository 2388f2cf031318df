/* The face of the record store: what every driver may rely on is checked here once. */
#include "store/records/records.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/records/driver.h"
#include "store/where.h"

#define SCAN_ROWS 256
#define MAX_META_KEY_BYTES 256
#define MAX_LIST_ROWS 10000

static const lk_records_driver *const drivers[] = {&lk_records_sqlite};

lk_code lk_records_open_with(const lk_records_driver *driver, const char *where, lk_records **ret,
                             lk_err *err)
{
    lk_records *r = lk_calloc(1, driver->size);
    if (!r)
        return lk_fail(err, LK_E_NOMEM, "no memory for the record store");
    r->driver = driver;
    lk_code code = driver->open(r, where, err);
    if (code) {
        lk_records_close(r);
        return code;
    }
    *ret = r;
    return LK_OK;
}

lk_code lk_records_open(const char *where, lk_records **ret, lk_err *err)
{
    const char *names[LK_ARRAY_LEN(drivers)];
    size_t which = 0;
    const char *rest = NULL;
    for (size_t i = 0; i < LK_ARRAY_LEN(drivers); i++)
        names[i] = drivers[i]->name;
    lk_code code = lk_where_parse(where, names, LK_ARRAY_LEN(drivers), &which, &rest, err);
    return code ? code : lk_records_open_with(drivers[which], rest, ret, err);
}

void lk_records_close(lk_records *r)
{
    if (!r)
        return;
    r->driver->close(r);
    lk_free(r);
}

static lk_code check_id(lk_str id, lk_err *err)
{
    if (id.n == 0)
        return lk_fail_field(err, LK_E_INVALID, "id", "an id must not be empty");
    if (id.n > LK_MAX_ID_BYTES)
        return lk_fail_field(err, LK_E_LIMIT, "id", "an id of %zu bytes is over the limit of %d",
                             id.n, LK_MAX_ID_BYTES);
    if (memchr(id.p, '\0', id.n))
        return lk_fail_field(err, LK_E_INVALID, "id", "an id must not hold the character NUL");
    if (!lk_utf8_valid(id))
        return lk_fail_field(err, LK_E_INVALID, "id", "an id must be valid UTF-8");
    return LK_OK;
}

static lk_code check_doc(lk_str doc, lk_err *err)
{
    if (doc.n > LK_MAX_RECORD_BYTES)
        return lk_fail(err, LK_E_LIMIT, "a record of %zu bytes is over the limit of %u", doc.n,
                       LK_MAX_RECORD_BYTES);
    lk_json *json = NULL;
    lk_code code = lk_json_parse(doc, &json, err);
    if (code)
        return lk_err_prefix(err, code, "a record's document");
    if (lk_jval_type(lk_json_root(json)) != LK_J_OBJ)
        code = lk_fail(err, LK_E_INVALID, "a record's document must be a JSON object");
    lk_json_free(json);
    return code;
}

lk_code lk_records_put(lk_records *r, size_t n, const lk_record_row *rows, bool replace,
                       lk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        lk_code code = check_id(rows[i].id, err);
        if (code == LK_OK)
            code = check_doc(rows[i].doc, err);
        if (code)
            return code;
    }
    return n ? r->driver->put(r, n, rows, replace, err) : LK_OK;
}

lk_code lk_records_get_many(lk_records *r, size_t n, const lk_str *ids, lk_arena *into,
                            lk_record_row *ret, lk_err *err)
{
    return n ? r->driver->get_many(r, n, ids, into, ret, err) : LK_OK;
}

lk_code lk_records_get(lk_records *r, lk_str id, lk_arena *into, lk_record_row *ret, lk_err *err)
{
    lk_record_row row = {0};
    lk_code code = r->driver->get_many(r, 1, &id, into, &row, err);
    if (code)
        return code;
    if (row.doc.n == 0)
        return lk_fail_field(err, LK_E_NOT_FOUND, "id", "no record has the id '%.*s'",
                             (int)(id.n < 128 ? id.n : 128), id.p);
    *ret = row;
    return LK_OK;
}

lk_code lk_records_delete(lk_records *r, size_t n, const lk_str *ids, size_t *ret_deleted,
                          lk_err *err)
{
    size_t deleted = 0;
    lk_code code = n ? r->driver->remove(r, n, ids, &deleted, err) : LK_OK;
    if (code == LK_OK && ret_deleted)
        *ret_deleted = deleted;
    return code;
}

lk_code lk_records_find_object(lk_records *r, const lk_sha256 *object, lk_arena *into,
                               lk_str *ret_id, lk_err *err)
{
    return r->driver->find_object(r, object, into, ret_id, err);
}

lk_code lk_records_count(lk_records *r, uint64_t *ret, lk_err *err)
{
    return r->driver->count(r, ret, err);
}

/* A cursor is "<created_ms>:<id>" of the last row given out: it stays right while rows come and go,
 * which an offset would not. */
static lk_code read_cursor(lk_str cursor, int64_t *ret_ms, lk_str *ret_id, lk_err *err)
{
    lk_str rest = cursor;
    lk_str ms = lk_str_cut(&rest, ':');
    if (!lk_str_to_i64(ms, ret_ms) || check_id(rest, NULL))
        return lk_fail_field(err, LK_E_INVALID, "cursor", "'%.*s' is not a cursor",
                             (int)(cursor.n < 128 ? cursor.n : 128), cursor.p);
    *ret_id = rest;
    return LK_OK;
}

lk_code lk_records_list(lk_records *r, lk_str cursor, size_t limit, bool descending, lk_arena *into,
                        lk_record_row **ret, size_t *ret_n, lk_str *ret_next, lk_err *err)
{
    int64_t after_ms = 0;
    lk_str after_id = {0};
    if (limit == 0 || limit > MAX_LIST_ROWS)
        return lk_fail_field(err, LK_E_INVALID, "limit", "%zu is not between 1 and %d", limit,
                             MAX_LIST_ROWS);
    lk_code code = cursor.n ? read_cursor(cursor, &after_ms, &after_id, err) : LK_OK;
    if (code)
        return code;
    /* One more than asked for tells whether a next page exists. */
    lk_record_row *rows = lk_arena_zalloc(into, limit + 1, sizeof *rows);
    if (!rows)
        return lk_fail(err, LK_E_NOMEM, "no memory for a list of records");
    size_t n = 0;
    code = r->driver->list(r, cursor.n != 0, after_ms, after_id, limit + 1, descending, into, rows,
                           &n, err);
    if (code)
        return code;
    lk_str next = {"", 0};
    if (n > limit) {
        const lk_record_row *last = &rows[limit - 1];
        char *text =
            lk_arena_printf(into, "%" PRId64 ":%.*s", last->created_ms, LK_STR_ARG(last->id));
        if (!text)
            return lk_fail(err, LK_E_NOMEM, "no memory for a cursor");
        next = lk_str_of(text);
        n = limit;
    }
    *ret = rows;
    *ret_n = n;
    *ret_next = next;
    return LK_OK;
}

/* Page by page, so that no statement stays open while the visitor works. */
lk_code lk_records_scan(lk_records *r, lk_records_see_fn *see, void *ctx, lk_err *err)
{
    lk_code code = LK_OK;
    lk_record_row *rows = lk_calloc(SCAN_ROWS, sizeof *rows);
    char *after = lk_malloc(LK_MAX_ID_BYTES);
    size_t after_n = 0;
    size_t n = SCAN_ROWS;
    if (!rows || !after)
        code = lk_fail(err, LK_E_NOMEM, "no memory to visit the records");
    while (code == LK_OK && n == SCAN_ROWS) {
        lk_arena page;
        lk_arena_init(&page, 0);
        code = r->driver->page(r, (lk_str){after, after_n}, SCAN_ROWS, &page, rows, &n, err);
        for (size_t i = 0; code == LK_OK && i < n; i++)
            code = see(ctx, &rows[i]);
        if (code == LK_OK && n) {
            after_n = rows[n - 1].id.n;
            memcpy(after, rows[n - 1].id.p, after_n);
        }
        lk_arena_release(&page);
    }
    lk_free(after);
    lk_free(rows);
    return code;
}

static lk_code check_key(lk_str key, lk_err *err)
{
    if (key.n == 0 || key.n > MAX_META_KEY_BYTES)
        return lk_fail(err, LK_E_INVALID, "a key of %zu bytes is not within 1 and %d", key.n,
                       MAX_META_KEY_BYTES);
    return LK_OK;
}

lk_code lk_records_meta_put(lk_records *r, lk_str key, lk_str value, lk_err *err)
{
    lk_code code = check_key(key, err);
    if (code == LK_OK && value.n > LK_MAX_RECORD_BYTES)
        code = lk_fail(err, LK_E_LIMIT, "a value of %zu bytes is over the limit of %u", value.n,
                       LK_MAX_RECORD_BYTES);
    return code ? code : r->driver->meta_put(r, key, value, err);
}

lk_code lk_records_meta_get(lk_records *r, lk_str key, lk_arena *into, lk_str *ret, lk_err *err)
{
    lk_code code = check_key(key, err);
    return code ? code : r->driver->meta_get(r, key, into, ret, err);
}

lk_code lk_records_verify(lk_records *r, lk_err *err)
{
    return r->driver->verify ? r->driver->verify(r, err) : LK_OK;
}
