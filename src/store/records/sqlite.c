/* Records in one SQLite file.
 *
 * All writes go through one connection, in groups: what arrives while a commit is syncing shares
 * the next one. Each call runs in a savepoint of its own, so that one that fails (its id is taken)
 * takes nothing else with it. Reads use a small pool of connections of their own and see the last
 * commit; write-ahead logging keeps the two from waiting for each other. */
#include "store/sqlite.h"
#include "base/mem.h"
#include "base/os.h"
#include "store/group.h"
#include "store/records/driver.h"

#include <libgen.h>
#include <string.h>

#define APPLICATION_ID 0x4c4b5243u /* "LKRC" */
#define VERSION 1
#define MAX_READERS 16
#define MAX_GROUP 512

static const char schema[] =
    "CREATE TABLE records("
    " id TEXT NOT NULL PRIMARY KEY, object BLOB NOT NULL, created_ms INTEGER NOT NULL,"
    " doc TEXT NOT NULL) STRICT;"
    "CREATE INDEX records_by_time ON records(created_ms, id);"
    "CREATE INDEX records_by_object ON records(object);"
    "CREATE TABLE meta(key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT;";

typedef enum query {
    Q_GET,
    Q_FIND_OBJECT,
    Q_COUNT,
    Q_LIST_UP,
    Q_LIST_UP_AFTER,
    Q_LIST_DOWN,
    Q_LIST_DOWN_AFTER,
    Q_PAGE,
    Q_META,
    N_QUERIES
} query;

#define ROW "SELECT id, object, created_ms, doc FROM records "

static const char *const queries[N_QUERIES] = {
    [Q_GET] = ROW "WHERE id = ?1",
    [Q_FIND_OBJECT] = "SELECT id FROM records WHERE object = ?1 ORDER BY id LIMIT 1",
    [Q_COUNT] = "SELECT count(*) FROM records",
    [Q_LIST_UP] = ROW "ORDER BY created_ms, id LIMIT ?3",
    [Q_LIST_UP_AFTER] = ROW "WHERE (created_ms, id) > (?1, ?2) ORDER BY created_ms, id LIMIT ?3",
    [Q_LIST_DOWN] = ROW "ORDER BY created_ms DESC, id DESC LIMIT ?3",
    [Q_LIST_DOWN_AFTER] =
        ROW "WHERE (created_ms, id) < (?1, ?2) ORDER BY created_ms DESC, id DESC LIMIT ?3",
    [Q_PAGE] = ROW "WHERE id > ?1 ORDER BY id LIMIT ?3",
    [Q_META] = "SELECT value FROM meta WHERE key = ?1",
};

typedef struct reader {
    lk_sql *db;
    lk_stmt *stmts[N_QUERIES]; /* prepared at first use */
    struct reader *next;       /* idle ones */
} reader;

typedef struct store {
    lk_records base;
    char *path;
    lk_group group; /* guards what follows up to the readers */
    lk_sql *writer;
    lk_stmt *insert, *replace, *remove, *meta_put;
    lk_stmt *savepoint, *release, *undo;
    lk_mutex lock; /* of the pool */
    lk_cond idle_again;
    reader *idle;
    unsigned n_readers;
    bool ready; /* group and lock exist */
} store;

static store *of(lk_records *r)
{
    return (store *)r;
}

/* ---- writing ---- */

typedef enum call_kind { CALL_PUT, CALL_REMOVE, CALL_META } call_kind;

typedef struct call {
    lk_group_call base;
    call_kind kind;
    size_t n;
    const lk_record_row *rows;
    bool replace;
    const lk_str *ids;
    size_t deleted;
    lk_str key, value;
} call;

static lk_code do_put(store *s, const call *c, lk_err *err)
{
    lk_stmt *stmt = c->replace ? s->replace : s->insert;
    for (size_t i = 0; i < c->n; i++) {
        const lk_record_row *row = &c->rows[i];
        lk_stmt_bind_text(stmt, 1, row->id);
        lk_stmt_bind_blob(stmt, 2, (lk_blob){row->object.b, sizeof row->object.b});
        lk_stmt_bind_int(stmt, 3, row->created_ms);
        lk_stmt_bind_text(stmt, 4, row->doc);
        lk_code code = lk_stmt_run(stmt, err);
        if (code == LK_E_EXISTS)
            return lk_fail_field(err, code, "id", "a record with the id '%.*s' is there already",
                                 (int)(row->id.n < 128 ? row->id.n : 128), row->id.p);
        if (code)
            return code;
    }
    return LK_OK;
}

static lk_code do_remove(store *s, call *c, lk_err *err)
{
    c->deleted = 0;
    for (size_t i = 0; i < c->n; i++) {
        lk_stmt_bind_text(s->remove, 1, c->ids[i]);
        lk_code code = lk_stmt_run(s->remove, err);
        if (code)
            return code;
        c->deleted += lk_sql_changes(s->writer);
    }
    return LK_OK;
}

static lk_code do_call(store *s, call *c, lk_err *err)
{
    switch (c->kind) {
    case CALL_PUT:
        return do_put(s, c, err);
    case CALL_REMOVE:
        return do_remove(s, c, err);
    case CALL_META:
        lk_stmt_bind_text(s->meta_put, 1, c->key);
        lk_stmt_bind_text(s->meta_put, 2, c->value);
        return lk_stmt_run(s->meta_put, err);
    }
    return LK_E_INTERNAL;
}

/* One call in its savepoint. A failure that SQLite answered by rolling everything back (disk full,
 * out of memory) shows when the savepoint is gone: then the whole group fails. */
static lk_code do_savepoint(store *s, call *c, bool *ret_all_lost)
{
    lk_err *err = &c->base.err;
    lk_code code = lk_stmt_run(s->savepoint, err);
    if (code) {
        *ret_all_lost = true;
        return code;
    }
    code = do_call(s, c, err);
    if (code && lk_stmt_run(s->undo, NULL))
        *ret_all_lost = true;
    else if (lk_stmt_run(s->release, code ? NULL : err)) {
        *ret_all_lost = true;
        code = code ? code : LK_E_IO;
    }
    return code;
}

static void fail_all(lk_group_call *chain, lk_code code, const lk_err *err)
{
    for (; chain; chain = chain->next) {
        chain->code = code;
        chain->err = *err;
    }
}

static void commit(void *owner, lk_group_call *chain)
{
    store *s = owner;
    lk_err err = {0};
    lk_code code = lk_sql_exec(s->writer, "BEGIN IMMEDIATE", &err);
    bool all_lost = false;
    for (lk_group_call *c = chain; code == LK_OK && c; c = c->next) {
        c->code = do_savepoint(s, (call *)c, &all_lost);
        if (all_lost) {
            code = c->code;
            err = c->err;
        }
    }
    if (code == LK_OK)
        code = lk_sql_exec(s->writer, "COMMIT", &err);
    if (code) {
        lk_sql_rollback(s->writer);
        fail_all(chain, code, &err);
    }
}

static lk_code store_put(lk_records *r, size_t n, const lk_record_row *rows, bool replace,
                         lk_err *err)
{
    call c = {.kind = CALL_PUT, .n = n, .rows = rows, .replace = replace};
    return lk_group_run(&of(r)->group, &c.base, err);
}

static lk_code store_remove(lk_records *r, size_t n, const lk_str *ids, size_t *ret_deleted,
                            lk_err *err)
{
    call c = {.kind = CALL_REMOVE, .n = n, .ids = ids};
    lk_code code = lk_group_run(&of(r)->group, &c.base, err);
    if (code == LK_OK)
        *ret_deleted = c.deleted;
    return code;
}

static lk_code store_meta_put(lk_records *r, lk_str key, lk_str value, lk_err *err)
{
    call c = {.kind = CALL_META, .key = key, .value = value};
    return lk_group_run(&of(r)->group, &c.base, err);
}

/* ---- reading ---- */

static void free_reader(reader *rd)
{
    for (size_t i = 0; i < N_QUERIES; i++)
        lk_stmt_free(rd->stmts[i]);
    lk_sql_close(rd->db);
    lk_free(rd);
}

static lk_code take_reader(store *s, reader **ret, lk_err *err)
{
    lk_mutex_lock(&s->lock);
    while (!s->idle && s->n_readers >= MAX_READERS)
        lk_cond_wait(&s->idle_again, &s->lock);
    reader *rd = s->idle;
    if (rd)
        s->idle = rd->next;
    else
        s->n_readers++; /* keeps its place while the connection is made outside the lock */
    lk_mutex_unlock(&s->lock);
    lk_code code = LK_OK;
    if (!rd) {
        rd = lk_calloc(1, sizeof *rd);
        code = rd ? lk_sql_open(s->path, LK_SQL_READ, &rd->db, err)
                  : lk_fail(err, LK_E_NOMEM, "no memory for a reader");
        if (code) {
            lk_free(rd);
            lk_mutex_lock(&s->lock);
            s->n_readers--;
            lk_cond_signal(&s->idle_again);
            lk_mutex_unlock(&s->lock);
            return code;
        }
    }
    *ret = rd;
    return LK_OK;
}

static void give_reader(store *s, reader *rd)
{
    lk_mutex_lock(&s->lock);
    rd->next = s->idle;
    s->idle = rd;
    lk_cond_signal(&s->idle_again);
    lk_mutex_unlock(&s->lock);
}

/* A reader with the query prepared. */
static lk_code take_query(store *s, query q, reader **ret, lk_stmt **ret_stmt, lk_err *err)
{
    reader *rd = NULL;
    lk_code code = take_reader(s, &rd, err);
    if (code == LK_OK && !rd->stmts[q])
        code = lk_stmt_new(rd->db, queries[q], &rd->stmts[q], err);
    if (code && rd)
        give_reader(s, rd);
    if (code)
        return code;
    *ret = rd;
    *ret_stmt = rd->stmts[q];
    return LK_OK;
}

static void give_query(store *s, reader *rd, lk_stmt *stmt)
{
    lk_stmt_reset(stmt);
    give_reader(s, rd);
}

static lk_code copy_text(lk_stmt *stmt, int column, lk_arena *into, lk_str *ret, lk_err *err)
{
    lk_str text = lk_stmt_text(stmt, column);
    char *p = lk_arena_strndup(into, text.p, text.n);
    if (!p)
        return lk_fail(err, LK_E_NOMEM, "no memory for a record");
    *ret = (lk_str){p, text.n};
    return LK_OK;
}

static lk_code copy_row(lk_stmt *stmt, lk_arena *into, lk_record_row *ret, lk_err *err)
{
    lk_blob object = lk_stmt_blob(stmt, 1);
    lk_record_row row = {.created_ms = lk_stmt_int(stmt, 2)};
    if (object.n != sizeof row.object.b)
        return lk_fail(err, LK_E_CORRUPT, "a record's object key has %zu bytes, not %zu", object.n,
                       sizeof row.object.b);
    memcpy(row.object.b, object.p, sizeof row.object.b);
    lk_code code = copy_text(stmt, 0, into, &row.id, err);
    if (code == LK_OK)
        code = copy_text(stmt, 3, into, &row.doc, err);
    if (code == LK_OK)
        *ret = row;
    return code;
}

static lk_code store_get_many(lk_records *r, size_t n, const lk_str *ids, lk_arena *into,
                              lk_record_row *ret, lk_err *err)
{
    store *s = of(r);
    reader *rd = NULL;
    lk_stmt *stmt = NULL;
    lk_code code = take_query(s, Q_GET, &rd, &stmt, err);
    if (code)
        return code;
    /* One transaction: all rows are of the same moment. */
    if (n > 1)
        code = lk_sql_exec(rd->db, "BEGIN", err);
    for (size_t i = 0; code == LK_OK && i < n; i++) {
        bool found = false;
        ret[i] = (lk_record_row){.id = ids[i]};
        lk_stmt_bind_text(stmt, 1, ids[i]);
        code = lk_stmt_step(stmt, &found, err);
        if (code == LK_OK && found)
            code = copy_row(stmt, into, &ret[i], err);
        lk_stmt_reset(stmt);
    }
    lk_sql_rollback(rd->db);
    give_query(s, rd, stmt);
    return code;
}

static lk_code store_find_object(lk_records *r, const lk_sha256 *object, lk_arena *into,
                                 lk_str *ret_id, lk_err *err)
{
    store *s = of(r);
    reader *rd = NULL;
    lk_stmt *stmt = NULL;
    bool found = false;
    lk_code code = take_query(s, Q_FIND_OBJECT, &rd, &stmt, err);
    if (code)
        return code;
    lk_stmt_bind_blob(stmt, 1, (lk_blob){object->b, sizeof object->b});
    code = lk_stmt_step(stmt, &found, err);
    if (code == LK_OK && !found)
        code = lk_fail(err, LK_E_NOT_FOUND, "no record is over this object");
    if (code == LK_OK)
        code = copy_text(stmt, 0, into, ret_id, err);
    give_query(s, rd, stmt);
    return code;
}

static lk_code store_count(lk_records *r, uint64_t *ret, lk_err *err)
{
    store *s = of(r);
    reader *rd = NULL;
    lk_stmt *stmt = NULL;
    bool found = false;
    lk_code code = take_query(s, Q_COUNT, &rd, &stmt, err);
    if (code)
        return code;
    code = lk_stmt_step(stmt, &found, err);
    if (code == LK_OK)
        *ret = (uint64_t)lk_stmt_int(stmt, 0);
    give_query(s, rd, stmt);
    return code;
}

/* Run a query that gives whole rows: at most limit of them to ret. */
static lk_code read_rows(lk_stmt *stmt, size_t limit, lk_arena *into, lk_record_row *ret,
                         size_t *ret_n, lk_err *err)
{
    size_t n = 0;
    bool found = true;
    lk_code code = LK_OK;
    while (code == LK_OK && n < limit) {
        code = lk_stmt_step(stmt, &found, err);
        if (code || !found)
            break;
        code = copy_row(stmt, into, &ret[n], err);
        n += code == LK_OK;
    }
    if (code == LK_OK)
        *ret_n = n;
    return code;
}

static lk_code store_list(lk_records *r, bool has_after, int64_t created_ms, lk_str id,
                          size_t limit, bool descending, lk_arena *into, lk_record_row *ret,
                          size_t *ret_n, lk_err *err)
{
    store *s = of(r);
    reader *rd = NULL;
    lk_stmt *stmt = NULL;
    query q = descending ? (has_after ? Q_LIST_DOWN_AFTER : Q_LIST_DOWN)
                         : (has_after ? Q_LIST_UP_AFTER : Q_LIST_UP);
    lk_code code = take_query(s, q, &rd, &stmt, err);
    if (code)
        return code;
    if (has_after) {
        lk_stmt_bind_int(stmt, 1, created_ms);
        lk_stmt_bind_text(stmt, 2, id);
    }
    lk_stmt_bind_int(stmt, 3, (int64_t)limit);
    code = read_rows(stmt, limit, into, ret, ret_n, err);
    give_query(s, rd, stmt);
    return code;
}

static lk_code store_page(lk_records *r, lk_str after, size_t limit, lk_arena *into,
                          lk_record_row *ret, size_t *ret_n, lk_err *err)
{
    store *s = of(r);
    reader *rd = NULL;
    lk_stmt *stmt = NULL;
    lk_code code = take_query(s, Q_PAGE, &rd, &stmt, err);
    if (code)
        return code;
    lk_stmt_bind_text(stmt, 1, after);
    lk_stmt_bind_int(stmt, 3, (int64_t)limit);
    code = read_rows(stmt, limit, into, ret, ret_n, err);
    give_query(s, rd, stmt);
    return code;
}

static lk_code store_meta_get(lk_records *r, lk_str key, lk_arena *into, lk_str *ret, lk_err *err)
{
    store *s = of(r);
    reader *rd = NULL;
    lk_stmt *stmt = NULL;
    bool found = false;
    lk_code code = take_query(s, Q_META, &rd, &stmt, err);
    if (code)
        return code;
    lk_stmt_bind_text(stmt, 1, key);
    code = lk_stmt_step(stmt, &found, err);
    if (code == LK_OK && !found)
        code = lk_fail(err, LK_E_NOT_FOUND, "nothing is kept under the key '%.*s'",
                       (int)(key.n < 64 ? key.n : 64), key.p);
    if (code == LK_OK)
        code = copy_text(stmt, 0, into, ret, err);
    give_query(s, rd, stmt);
    return code;
}

static lk_code store_verify(lk_records *r, lk_err *err)
{
    store *s = of(r);
    reader *rd = NULL;
    lk_code code = take_reader(s, &rd, err);
    if (code)
        return code;
    code = lk_sql_verify(rd->db, err);
    give_reader(s, rd);
    return code;
}

/* ---- opening ---- */

static lk_code prepare_writer(store *s, lk_err *err)
{
    static const char insert[] =
        "INSERT INTO records(id, object, created_ms, doc) VALUES(?1, ?2, ?3, ?4)";
    static const char upsert[] =
        "INSERT INTO records(id, object, created_ms, doc) VALUES(?1, ?2, ?3, ?4)"
        " ON CONFLICT(id) DO UPDATE SET object = ?2, created_ms = ?3, doc = ?4";
    struct {
        const char *text;
        lk_stmt **ret;
    } all[] = {
        {insert, &s->insert},
        {upsert, &s->replace},
        {"DELETE FROM records WHERE id = ?1", &s->remove},
        {"INSERT INTO meta(key, value) VALUES(?1, ?2)"
         " ON CONFLICT(key) DO UPDATE SET value = ?2",
         &s->meta_put},
        {"SAVEPOINT one", &s->savepoint},
        {"RELEASE one", &s->release},
        {"ROLLBACK TO one", &s->undo},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(all); i++) {
        lk_code code = lk_stmt_new(s->writer, all[i].text, all[i].ret, err);
        if (code)
            return code;
    }
    return LK_OK;
}

/* The folder that holds the file is made, and synced once the file is in it. */
static lk_code open_file(store *s, lk_err *err)
{
    char *copy = lk_strdup(s->path);
    if (!copy)
        return lk_fail(err, LK_E_NOMEM, "no memory for the record store");
    const char *dir = dirname(copy);
    bool fresh = !lk_os_exists(s->path);
    lk_code code = fresh ? lk_os_mkdirs(dir, err) : LK_OK;
    if (code == LK_OK)
        code = lk_sql_open(s->path, LK_SQL_WRITE, &s->writer, err);
    if (code == LK_OK)
        code = lk_sql_schema(s->writer, APPLICATION_ID, VERSION, schema, err);
    if (code == LK_OK && fresh)
        code = lk_os_sync_dir(dir, err);
    lk_free(copy);
    return code;
}

static lk_code store_open(lk_records *r, const char *where, lk_err *err)
{
    store *s = of(r);
    lk_group_init(&s->group, MAX_GROUP, commit, s);
    lk_mutex_init(&s->lock, LK_RANK_STORE);
    lk_cond_init(&s->idle_again);
    s->ready = true;
    s->path = lk_strdup(where);
    if (!s->path)
        return lk_fail(err, LK_E_NOMEM, "no memory for the record store");
    lk_code code = open_file(s, err);
    return code ? code : prepare_writer(s, err);
}

static void store_close(lk_records *r)
{
    store *s = of(r);
    while (s->idle) {
        reader *rd = s->idle;
        s->idle = rd->next;
        free_reader(rd);
    }
    lk_stmt *stmts[] = {s->insert,    s->replace, s->remove, s->meta_put,
                        s->savepoint, s->release, s->undo};
    for (size_t i = 0; i < LK_ARRAY_LEN(stmts); i++)
        lk_stmt_free(stmts[i]);
    lk_sql_close(s->writer);
    lk_free(s->path);
    if (s->ready) {
        lk_cond_release(&s->idle_again);
        lk_mutex_release(&s->lock);
        lk_group_release(&s->group);
    }
}

const lk_records_driver lk_records_sqlite = {
    .name = "sqlite",
    .size = sizeof(store),
    .open = store_open,
    .close = store_close,
    .put = store_put,
    .get_many = store_get_many,
    .remove = store_remove,
    .find_object = store_find_object,
    .count = store_count,
    .list = store_list,
    .page = store_page,
    .meta_put = store_meta_put,
    .meta_get = store_meta_get,
    .verify = store_verify,
};
