#include "store/sqlite.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/mem.h"

#define BUSY_MS 10000

struct lk_sql {
    sqlite3 *db;
};

struct lk_stmt {
    sqlite3 *db;
    sqlite3_stmt *s;
    int bind_error;
};

static lk_code code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return LK_E_NOMEM;
    case SQLITE_FULL:
        return LK_E_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return LK_E_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return LK_E_BUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return LK_E_DENIED;
    case SQLITE_TOOBIG:
        return LK_E_LIMIT;
    case SQLITE_CONSTRAINT:
        return LK_E_EXISTS;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return LK_E_INTERNAL;
    default:
        return LK_E_IO;
    }
}

static lk_code fail(sqlite3 *db, int rc, lk_err *err)
{
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
    return lk_fail(err, code_of(rc), "%s: %s", path && *path ? path : "database",
                   db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

lk_code lk_sql_exec(lk_sql *db, const char *text, lk_err *err)
{
    int rc = sqlite3_exec(db->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? LK_OK : fail(db->db, rc, err);
}

lk_code lk_sql_open(const char *path, lk_sql_mode mode, lk_sql **ret, lk_err *err)
{
    lk_sql *db = lk_calloc(1, sizeof *db);
    if (!db)
        return lk_fail(err, LK_E_NOMEM, "no memory for a connection to %s", path);
    int flags = mode == LK_SQL_WRITE
                    ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                    : SQLITE_OPEN_READWRITE; /* a reader of a WAL writes its index */
    int rc = sqlite3_open_v2(path, &db->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    lk_code code = LK_OK;
    if (rc != SQLITE_OK) {
        code = lk_fail(err, code_of(rc), "cannot open %s: %s", path,
                       db->db ? sqlite3_errmsg(db->db) : sqlite3_errstr(rc));
    }
    if (code == LK_OK) {
        sqlite3_busy_timeout(db->db, BUSY_MS);
        sqlite3_extended_result_codes(db->db, 1);
        code = lk_sql_exec(db,
                           mode == LK_SQL_WRITE
                               ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                 "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                               : "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF;",
                           err);
    }
    if (code) {
        lk_sql_close(db);
        return code;
    }
    *ret = db;
    return LK_OK;
}

void lk_sql_close(lk_sql *db)
{
    if (!db)
        return;
    sqlite3_close(db->db);
    lk_free(db);
}

void lk_sql_rollback(lk_sql *db)
{
    if (!sqlite3_get_autocommit(db->db))
        sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

uint64_t lk_sql_changes(lk_sql *db)
{
    return (uint64_t)sqlite3_changes64(db->db);
}

static lk_code read_pragma(lk_sql *db, const char *text, int64_t *ret, lk_err *err)
{
    lk_stmt *s = NULL;
    bool row = false;
    lk_code code = lk_stmt_new(db, text, &s, err);
    if (code == LK_OK)
        code = lk_stmt_step(s, &row, err);
    if (code == LK_OK)
        *ret = row ? lk_stmt_int(s, 0) : 0;
    lk_stmt_free(s);
    return code;
}

lk_code lk_sql_schema(lk_sql *db, uint32_t application_id, int version, const char *schema,
                      lk_err *err)
{
    const char *path = sqlite3_db_filename(db->db, "main");
    int64_t have_id = 0, have_version = 0, n_tables = 0;
    lk_code code = read_pragma(db, "PRAGMA application_id", &have_id, err);
    if (code == LK_OK)
        code = read_pragma(db, "PRAGMA user_version", &have_version, err);
    if (code == LK_OK)
        code = read_pragma(db, "SELECT count(*) FROM sqlite_schema", &n_tables, err);
    if (code)
        return code;
    if (have_id == 0 && n_tables == 0) {
        char stamp[96];
        snprintf(stamp, sizeof stamp, "PRAGMA application_id=%u; PRAGMA user_version=%d;",
                 application_id, version);
        code = lk_sql_exec(db, "BEGIN IMMEDIATE", err);
        if (code == LK_OK)
            code = lk_sql_exec(db, schema, err);
        if (code == LK_OK)
            code = lk_sql_exec(db, stamp, err);
        if (code == LK_OK)
            code = lk_sql_exec(db, "COMMIT", err);
        if (code)
            lk_sql_rollback(db);
        return code;
    }
    if (have_id != (int64_t)application_id)
        return lk_fail(err, LK_E_FORMAT, "%s is a database of another program", path);
    if (have_version != version)
        return lk_fail(err, LK_E_FORMAT, "%s has format version %lld, this program knows %d", path,
                       (long long)have_version, version);
    return LK_OK;
}

lk_code lk_sql_verify(lk_sql *db, lk_err *err)
{
    lk_stmt *s = NULL;
    bool row = false;
    lk_code code = lk_stmt_new(db, "PRAGMA integrity_check(1)", &s, err);
    if (code == LK_OK)
        code = lk_stmt_step(s, &row, err);
    if (code == LK_OK && row && !lk_str_is(lk_stmt_text(s, 0), "ok")) {
        lk_str text = lk_stmt_text(s, 0);
        code = lk_fail(err, LK_E_CORRUPT, "%s: %.*s", sqlite3_db_filename(db->db, "main"),
                       (int)(text.n < 160 ? text.n : 160), text.p);
    }
    lk_stmt_free(s);
    return code;
}

lk_code lk_stmt_new(lk_sql *db, const char *text, lk_stmt **ret, lk_err *err)
{
    lk_stmt *s = lk_calloc(1, sizeof *s);
    if (!s)
        return lk_fail(err, LK_E_NOMEM, "no memory for a statement");
    s->db = db->db;
    int rc = sqlite3_prepare_v3(db->db, text, -1, SQLITE_PREPARE_PERSISTENT, &s->s, NULL);
    if (rc != SQLITE_OK) {
        lk_free(s);
        return fail(db->db, rc, err);
    }
    *ret = s;
    return LK_OK;
}

void lk_stmt_free(lk_stmt *s)
{
    if (!s)
        return;
    sqlite3_finalize(s->s);
    lk_free(s);
}

static void keep_error(lk_stmt *s, int rc)
{
    if (rc != SQLITE_OK && s->bind_error == SQLITE_OK)
        s->bind_error = rc;
}

void lk_stmt_bind_text(lk_stmt *s, int i, lk_str v)
{
    keep_error(s, sqlite3_bind_text64(s->s, i, v.p ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void lk_stmt_bind_blob(lk_stmt *s, int i, lk_blob v)
{
    keep_error(s, sqlite3_bind_blob64(s->s, i, v.p ? (const void *)v.p : "", v.n, SQLITE_STATIC));
}

void lk_stmt_bind_int(lk_stmt *s, int i, int64_t v)
{
    keep_error(s, sqlite3_bind_int64(s->s, i, v));
}

lk_code lk_stmt_step(lk_stmt *s, bool *ret_row, lk_err *err)
{
    if (s->bind_error != SQLITE_OK)
        return lk_fail(err, code_of(s->bind_error), "%s", sqlite3_errstr(s->bind_error));
    int rc = sqlite3_step(s->s);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return fail(s->db, rc, err);
    *ret_row = rc == SQLITE_ROW;
    return LK_OK;
}

lk_code lk_stmt_run(lk_stmt *s, lk_err *err)
{
    bool row = false;
    lk_code code = lk_stmt_step(s, &row, err);
    lk_stmt_reset(s);
    return code;
}

lk_str lk_stmt_text(lk_stmt *s, int column)
{
    const unsigned char *p = sqlite3_column_text(s->s, column);
    return (lk_str){p ? (const char *)p : "", p ? (size_t)sqlite3_column_bytes(s->s, column) : 0};
}

lk_blob lk_stmt_blob(lk_stmt *s, int column)
{
    const unsigned char *p = sqlite3_column_blob(s->s, column);
    return (lk_blob){p, p ? (size_t)sqlite3_column_bytes(s->s, column) : 0};
}

int64_t lk_stmt_int(lk_stmt *s, int column)
{
    return sqlite3_column_int64(s->s, column);
}

void lk_stmt_reset(lk_stmt *s)
{
    if (!s)
        return;
    sqlite3_reset(s->s);
    sqlite3_clear_bindings(s->s);
    s->bind_error = SQLITE_OK;
}
