/* model pull: download a model, with progress and remarks on stderr. */
#include <stdio.h>
#include <unistd.h>

#include "base/progress.h"
#include "cli/model.h"
#include "engine/models.h"

typedef struct pulling {
    const cli_model_opts *o;
    lk_progress progress; /* MiB */
} pulling;

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    pulling *p = ctx;
    lk_progress_set(&p->progress, done >> 20, (total + 0xfffff) >> 20);
}

static void on_say(void *ctx, const char *sentence)
{
    const pulling *p = ctx;
    cli_say(&p->o->common, "%s%s", p->progress.tty ? "\r\033[K" : "", sentence);
}

static void put_json(lk_buf *b, const lk_pulled *d)
{
    lk_jw w;
    lk_jw_init(&w, b);
    lk_jw_obj(&w);
    lk_jw_key(&w, "name");
    lk_jw_strz(&w, d->name);
    lk_jw_key(&w, "where");
    lk_jw_strz(&w, d->where);
    lk_jw_key(&w, "files");
    lk_jw_uint(&w, d->n_files);
    lk_jw_key(&w, "bytes");
    lk_jw_uint(&w, d->bytes);
    lk_jw_key(&w, "was_there");
    lk_jw_bool(&w, d->was_there);
    lk_jw_end_obj(&w);
}

/* What is said when a download ends early: nothing is lost. */
static void say_rest(const cli_model_opts *o, lk_code code)
{
    if (code == LK_E_NET || code == LK_E_TIMEOUT || code == LK_E_TRUNCATED || code == LK_E_FULL ||
        code == LK_E_CANCELED)
        cli_say(&o->common, "what has come is kept; the same command goes on from there");
}

int cli_model_pull(const cli_model_opts *o, char **args)
{
    pulling p = {.o = o};
    lk_pull_opts po;
    lk_pulled pulled;
    lk_buf b;
    lk_err err = {0};
    if (!args[0] && !o->card_file)
        return cli_usage("model", "usage: lookalike model pull NAME, or --card FILE");
    lk_pull_opts_default(&po);
    po.card = args[0];
    po.card_file = o->card_file;
    po.name = o->to || !o->card_file ? o->to : args[0];
    po.hub = o->hub;
    po.revision = o->revision;
    po.token = o->token;
    po.retries = (uint64_t)o->retries;
    po.retry_ms = o->retry_wait_ms;
    po.stall_ms = o->stall_ms;
    po.progress = on_progress;
    po.say = on_say;
    po.ctx = &p;
    po.cancel = &cli_stop;
    cli_catch_signals();
    lk_progress_init(&p.progress, o->common.quiet ? -1 : STDERR_FILENO, "pulling", "MiB");
    lk_code code = lk_engine_model_pull(&o->common.engine, &po, &pulled, &err);
    if (code || pulled.was_there)
        p.progress.fd = -1; /* there is no sum to draw */
    lk_progress_finish(&p.progress);
    if (code) {
        int rc = cli_model_fail(o, code, &err);
        say_rest(o, code);
        return rc;
    }
    lk_buf_init(&b, 0);
    if (o->common.json)
        put_json(&b, &pulled);
    else
        lk_buf_printf(&b, "%s is %s in %s", pulled.name,
                      pulled.was_there ? "there already, whole," : "installed", pulled.where);
    return cli_print(&b, CLI_FOUND);
}
