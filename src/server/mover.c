#include "server/mover.h"

#include "base/mem.h"

struct lk_mover {
    lk_engine *engine;
    lk_log *log;
    lk_mutex lock;
    lk_thread *thread; /* of the last move, running or not; joined by the next and by the end */
    bool running;
    lk_cancel cancel;
    uint64_t done, total;

    char *to; /* NULL: back */
    bool hold;
    size_t sample;

    bool has_last;
    lk_code code; /* of the last move, with err or report; its texts live in the arena */
    lk_err err;
    lk_migrated report;
    lk_arena arena;
};

static void see_progress(void *ctx, uint64_t done, uint64_t total)
{
    lk_mover *m = ctx;
    lk_mutex_lock(&m->lock);
    m->done = done;
    m->total = total;
    lk_mutex_unlock(&m->lock);
}

static void see_fault(void *ctx, const char *sentence)
{
    const lk_mover *m = ctx;
    lk_log_warn(m->log, "a picture cannot be embedded", LK_LS("reason", sentence));
}

static void say(lk_mover *m, lk_code code, const lk_err *err, const lk_migrated *r)
{
    if (code)
        lk_log_warn(m->log, "the move to another model ended", LK_LS("reason", err->text));
    else
        lk_log_info(m->log,
                    r->switched ? "the collection moved to another model"
                                : "the collection stays with its model",
                    LK_LS("from", r->from), LK_LS("to", r->to), LK_LI("pictures", r->pictures),
                    LK_LI("made", r->made), LK_LI("failed", r->failed),
                    LK_LD("overlap", r->overlap));
}

static void run(void *ctx)
{
    lk_mover *m = ctx;
    lk_err err = {0};
    lk_migrated r = {0};
    const lk_migrate job = {.to = m->to,
                            .known_only = true,
                            .hold = m->hold,
                            .sample = m->sample,
                            .see = see_fault,
                            .see_ctx = m,
                            .progress = see_progress,
                            .progress_ctx = m,
                            .cancel = &m->cancel};
    lk_code code = lk_engine_migrate(m->engine, &job, &m->arena, &r, &err);
    say(m, code, &err, &r);
    lk_mutex_lock(&m->lock);
    m->code = code;
    m->err = err;
    m->report = r;
    m->has_last = true;
    m->running = false;
    lk_mutex_unlock(&m->lock);
}

lk_code lk_mover_new(lk_engine *e, lk_log *log, lk_mover **ret, lk_err *err)
{
    lk_mover *m = lk_calloc(1, sizeof *m);
    if (!m)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the server");
    m->engine = e;
    m->log = log;
    /* Progress comes with a lock of the engine's held. */
    lk_mutex_init(&m->lock, LK_RANK_LEAF);
    lk_arena_init(&m->arena, 0);
    *ret = m;
    return LK_OK;
}

void lk_mover_free(lk_mover *m)
{
    if (!m)
        return;
    lk_cancel_set(&m->cancel);
    lk_thread_join(m->thread);
    lk_arena_release(&m->arena);
    lk_mutex_release(&m->lock);
    lk_free(m->to);
    lk_free(m);
}

/* With the lock: nothing runs, and what the last move left is let go. */
static lk_code prepare(lk_mover *m, lk_str to, lk_err *err)
{
    char *name = to.n ? lk_strndup(to.p, to.n) : NULL;
    if (to.n && !name)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a move to another model");
    lk_thread_join(m->thread); /* it has said that it is done */
    m->thread = NULL;
    lk_free(m->to);
    lk_arena_clear(&m->arena);
    m->to = name;
    m->has_last = false;
    m->done = m->total = 0;
    atomic_store(&m->cancel.stop, false);
    return LK_OK;
}

lk_code lk_mover_start(lk_mover *m, lk_str to, bool hold, size_t sample, lk_err *err)
{
    lk_mutex_lock(&m->lock);
    lk_code code = m->running ? lk_fail(err, LK_E_BUSY, "a move to another model runs already")
                              : prepare(m, to, err);
    m->hold = code ? m->hold : hold;
    m->sample = code ? m->sample : sample;
    if (!code) {
        code = lk_thread_start(&m->thread, "migrate", run, m, err);
        m->running = code == LK_OK;
    }
    lk_mutex_unlock(&m->lock);
    return code;
}

lk_code lk_mover_stop(lk_mover *m, lk_err *err)
{
    lk_mutex_lock(&m->lock);
    bool running = m->running;
    if (running)
        lk_cancel_set(&m->cancel);
    lk_mutex_unlock(&m->lock);
    return running ? LK_OK : lk_fail(err, LK_E_NOT_FOUND, "no move to another model runs");
}

void lk_mover_write(lk_mover *m, lk_jw *w)
{
    lk_mutex_lock(&m->lock);
    lk_jw_key(w, "done");
    lk_jw_uint(w, m->done);
    lk_jw_key(w, "total");
    lk_jw_uint(w, m->total);
    lk_jw_key(w, "last");
    if (!m->has_last) {
        lk_jw_null(w);
    } else if (m->code) {
        lk_jw_obj(w);
        lk_jw_key(w, "error");
        lk_jw_obj(w);
        lk_jw_key(w, "code");
        lk_jw_strz(w, lk_code_word(m->code));
        lk_jw_key(w, "message");
        lk_jw_strz(w, m->err.text);
        lk_jw_end_obj(w);
        lk_jw_end_obj(w);
    } else {
        lk_migrated_write(&m->report, w);
    }
    lk_mutex_unlock(&m->lock);
}
