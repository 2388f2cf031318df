/* A move of the server's collection to another model, on a thread of its own while requests are
 * answered. Internally locked. */
#ifndef LK_SERVER_MOVER_H
#define LK_SERVER_MOVER_H

#include "base/log.h"
#include "engine/migrate.h"

typedef struct lk_mover lk_mover;

LK_CHECK lk_code lk_mover_new(lk_engine *e, lk_log *log, lk_mover **ret, lk_err *err);
/* Stops what runs and waits for it; it goes on with the next start. NULL allowed. */
void lk_mover_free(lk_mover *m);

/* to: a model's name; empty: back to the one that is kept. LK_E_BUSY: a move runs. */
LK_CHECK lk_code lk_mover_start(lk_mover *m, lk_str to, bool hold, size_t sample, lk_err *err);
/* LK_E_NOT_FOUND: none runs. */
LK_CHECK lk_code lk_mover_stop(lk_mover *m, lk_err *err);

/* The members "done" and "total" of a move that runs, and "last": the report or the error of the
 * last one, null when there was none. */
void lk_mover_write(lk_mover *m, lk_jw *w);

#endif
