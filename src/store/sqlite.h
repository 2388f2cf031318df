/* SQLite, as far as the stores need it: a connection, statements, errors as our codes.
 *
 * The only file that includes sqlite3.h is sqlite.c. A connection and its statements have one owner
 * at a time. Writers use write-ahead logging and sync at every commit (synchronous=FULL), so what
 * was committed is on disk; readers on connections of their own never wait for them. */
#ifndef LK_STORE_SQLITE_H
#define LK_STORE_SQLITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef struct lk_sql lk_sql;
typedef struct lk_stmt lk_stmt;

typedef enum lk_sql_mode { LK_SQL_WRITE, LK_SQL_READ } lk_sql_mode;

/* LK_SQL_WRITE makes the file when it is not there. LK_E_CORRUPT when it is no SQLite file. */
LK_CHECK lk_code lk_sql_open(const char *path, lk_sql_mode mode, lk_sql **ret, lk_err *err);
void lk_sql_close(lk_sql *db); /* its statements first; NULL allowed */
LK_CHECK lk_code lk_sql_exec(lk_sql *db, const char *text, lk_err *err);
/* Roll back what is open, if anything. */
void lk_sql_rollback(lk_sql *db);
/* Rows that the latest statement inserted, updated or deleted. */
uint64_t lk_sql_changes(lk_sql *db);

/* Make or check the file's kind: PRAGMA application_id and user_version. A fresh file gets `schema`
 * and both; another kind or a newer version is LK_E_FORMAT. */
LK_CHECK lk_code lk_sql_schema(lk_sql *db, uint32_t application_id, int version, const char *schema,
                               lk_err *err);
/* PRAGMA integrity_check: LK_E_CORRUPT with its first complaint. */
LK_CHECK lk_code lk_sql_verify(lk_sql *db, lk_err *err);

LK_CHECK lk_code lk_stmt_new(lk_sql *db, const char *text, lk_stmt **ret, lk_err *err);
void lk_stmt_free(lk_stmt *s); /* NULL allowed */
/* Bind parameter i (from 1). A failure shows at the next step. Bytes must live until reset. */
void lk_stmt_bind_text(lk_stmt *s, int i, lk_str v);
void lk_stmt_bind_blob(lk_stmt *s, int i, lk_blob v);
void lk_stmt_bind_int(lk_stmt *s, int i, int64_t v);
/* *ret_row: is there a row? A unique key that is taken is LK_E_EXISTS. Values point into the
 * statement and live until the next step or reset. */
LK_CHECK lk_code lk_stmt_step(lk_stmt *s, bool *ret_row, lk_err *err);
/* One step that gives no row, then reset. */
LK_CHECK lk_code lk_stmt_run(lk_stmt *s, lk_err *err);
lk_str lk_stmt_text(lk_stmt *s, int column); /* from 0 */
lk_blob lk_stmt_blob(lk_stmt *s, int column);
int64_t lk_stmt_int(lk_stmt *s, int column);
void lk_stmt_reset(lk_stmt *s); /* NULL allowed */

#endif
