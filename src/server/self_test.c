#include "server/self_test.h"

#include "base/mem.h"

struct lk_self_tester {
    lk_engine *engine;
    lk_log *log;
    uint64_t every_ms;
    lk_mutex lock;
    lk_cond wake;
    bool stop;
    lk_thread *thread;
};

static void say(lk_log *log, const lk_self_test *t)
{
    switch (t->state) {
    case LK_CANARY_DRIFT:
        lk_log_warn(log, "the model no longer gives what was recorded: its embeddings have drifted",
                    LK_LD("image_cosine", t->image_cosine), LK_LD("text_cosine", t->text_cosine));
        break;
    case LK_CANARY_NONE:
        lk_log_info(log, "no canary is recorded for the model",
                    LK_LS("hint", "lookalike model check records one"));
        break;
    case LK_CANARY_SAME:
    case LK_CANARY_UNTESTED:
        lk_log_debug(log, "self-test", LK_LD("image_cosine", t->image_cosine),
                     LK_LD("text_cosine", t->text_cosine));
        break;
    }
}

static void run(void *ctx)
{
    lk_self_tester *t = ctx;
    bool stop = false;
    while (!stop) {
        lk_self_test got;
        lk_err err;
        if (lk_engine_self_test(t->engine, &got, &err))
            lk_log_error(t->log, "the self-test failed", LK_LS("reason", err.text));
        else
            say(t->log, &got);
        lk_mutex_lock(&t->lock);
        bool woken = true; /* by the stop, or for no reason */
        while (!t->stop && woken) {
            if (t->every_ms)
                woken = lk_cond_wait_ms(&t->wake, &t->lock, t->every_ms);
            else
                lk_cond_wait(&t->wake, &t->lock);
        }
        stop = t->stop;
        lk_mutex_unlock(&t->lock);
    }
}

lk_code lk_self_tester_start(lk_engine *e, lk_log *log, uint64_t every_ms, lk_self_tester **ret,
                             lk_err *err)
{
    lk_self_tester *t = lk_calloc(1, sizeof *t);
    if (!t)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the self-test");
    t->engine = e;
    t->log = log;
    t->every_ms = every_ms;
    lk_mutex_init(&t->lock, LK_RANK_SERVER);
    lk_cond_init(&t->wake);
    lk_code code = lk_thread_start(&t->thread, "self-test", run, t, err);
    if (code)
        lk_self_tester_stop(t);
    else
        *ret = t;
    return code;
}

void lk_self_tester_stop(lk_self_tester *t)
{
    if (!t)
        return;
    lk_mutex_lock(&t->lock);
    t->stop = true;
    lk_cond_signal(&t->wake);
    lk_mutex_unlock(&t->lock);
    lk_thread_join(t->thread);
    lk_cond_release(&t->wake);
    lk_mutex_release(&t->lock);
    lk_free(t);
}
