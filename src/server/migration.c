/* Moving the collection to another model over HTTP:
 *
 *   GET    /v1/migration                 how it stands
 *   POST   /v1/migration                 {"to": NAME} moves, {"rollback": true} goes back, {} goes
 *                                        on with what is unfinished; 202, and GET tells the rest
 *   DELETE /v1/migration                 stops the move that runs; it can be gone on with
 *   DELETE /v1/migration?vectors=old     removes the earlier model's vectors, =unfinished those of
 *                                        a move that is given up
 *
 * Only models that are installed by a name can be moved to: a request must not make the server
 * read a folder of its choice. */
#include "base/mem.h"
#include "server/handlers.h"
#include "server/internal.h"

const lk_arg_doc lk_migrate_json_doc[] = {
    {"to", "string", "the installed model to move to; without it, what is unfinished goes on"},
    {"rollback", "boolean", "back to the earlier model instead"},
    {"hold", "boolean", "make the vectors and compare, but do not change over"},
    {"sample", "integer", "pictures whose nearest are compared, 200 when left out"},
    {NULL, NULL, NULL},
};

static lk_code answer(lk_request *rq, unsigned status, lk_err *err)
{
    lk_migration m;
    lk_jw w;
    lk_code code = lk_engine_migration(rq->engine, &rq->arena, &m, err);
    if (code)
        return code;
    lk_reply_json(&rq->reply, status, &w);
    lk_jw_obj(&w);
    lk_migration_write(&m, &w);
    lk_mover_write(rq->server->mover, &w);
    lk_jw_end_obj(&w);
    return lk_reply_json_end(&rq->reply, err);
}

lk_code lk_handle_migration(lk_request *rq, lk_err *err)
{
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    return code ? code : answer(rq, 200, err);
}

/* ---- start ---- */

typedef struct wish {
    lk_str to;
    bool rollback, hold;
    int64_t sample;
} wish;

static lk_code read_wish(const lk_jval *o, wish *ret, lk_err *err)
{
    static const char *const known[] = {"to", "rollback", "hold", "sample"};
    *ret = (wish){.to = {"", 0}, .sample = 200};
    lk_code code = lk_json_only(o, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_json_get_str(o, "to", &ret->to, err);
    if (!code)
        code = lk_json_get_bool(o, "rollback", &ret->rollback, err);
    if (!code)
        code = lk_json_get_bool(o, "hold", &ret->hold, err);
    if (!code)
        code = lk_json_get_int(o, "sample", 0, LK_MAX_MIGRATE_SAMPLE, &ret->sample, err);
    if (!code && ret->rollback && ret->to.n)
        code = lk_fail_field(err, LK_E_INVALID, "rollback",
                             "\"to\" and \"rollback\" exclude each "
                             "other");
    if (!code && (memchr(ret->to.p, '/', ret->to.n) || lk_str_starts(ret->to, LK_STR("."))))
        code = lk_fail_field(err, LK_E_INVALID, "to", "the name of an installed model is wanted");
    return code;
}

/* Without a name: the model of the unfinished move, whatever it was called by who began it. */
static lk_code complete(lk_request *rq, wish *w, lk_err *err)
{
    lk_migration m;
    if (w->to.n || w->rollback)
        return LK_OK;
    lk_code code = lk_engine_migration(rq->engine, &rq->arena, &m, err);
    if (!code && m.state != LK_MIGRATION_UNFINISHED)
        code = lk_fail_field(err, LK_E_INVALID, "to", "there is no unfinished move to go on with");
    if (!code)
        w->to = lk_str_of(m.other);
    return code;
}

lk_code lk_handle_migration_start(lk_request *rq, lk_err *err)
{
    lk_json *doc = NULL;
    wish w;
    lk_code code = lk_request_json(rq, &doc, err);
    if (!code)
        code = read_wish(lk_json_root(doc), &w, err);
    if (!code)
        code = complete(rq, &w, err);
    if (!code)
        code = lk_mover_start(rq->server->mover, w.to, w.hold, (size_t)w.sample, err);
    lk_json_free(doc);
    return code ? code : answer(rq, 202, err);
}

/* ---- stop, and give up ---- */

lk_code lk_handle_migration_stop(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"vectors"};
    lk_str which = {"", 0};
    lk_code code = lk_args_only(&rq->query, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_request_str(rq, "vectors", &which, err);
    if (code)
        return code;
    if (!which.n)
        code = lk_mover_stop(rq->server->mover, err);
    else if (lk_str_is(which, "old") || lk_str_is(which, "unfinished"))
        code = lk_engine_migrate_forget(rq->engine, lk_str_is(which, "unfinished"), err);
    else
        code = lk_fail_field(err, LK_E_INVALID, "vectors", "vectors is old or unfinished");
    return code ? code : answer(rq, 200, err);
}
