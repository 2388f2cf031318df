/* model migrate: a collection moves to another model, or back. */
#include "cli/model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/progress.h"
#include "engine/migrate.h"

/* ---- the report ---- */

static void put_text(const lk_migrated *r, lk_buf *b)
{
    if (r->switched)
        lk_buf_printf(b, "the collection moved to %s", r->to);
    else
        lk_buf_printf(b, "the collection stays with %s", r->from);
    lk_buf_printf(b, "\n%llu pictures, %llu vectors made, %llu failed",
                  (unsigned long long)r->pictures, (unsigned long long)r->made,
                  (unsigned long long)r->failed);
    if (r->n_sample)
        lk_buf_printf(b,
                      "\nof the %zu nearest of %zu pictures %.1f %% are the same; the nearest one "
                      "is for %.1f %%",
                      r->k, r->n_sample, 100 * r->overlap, 100 * r->same_first);
    if (r->loses_words)
        lk_buf_puts(b, "\nthe new model has no text tower: it finds nothing by words");
    if (r->switched)
        lk_buf_printf(b,
                      "\nthe vectors of %s are kept: --rollback goes back to them, --forget-old "
                      "removes them",
                      r->from);
    if (r->switched)
        lk_buf_puts(b, "\nrecords keep their categories until `lookalike categories apply` looks "
                       "at them again");
    else if (r->failed)
        lk_buf_puts(b, "\nremove the pictures that failed, or mend them, and call again");
}

static void say_fault(void *ctx, const char *sentence)
{
    cli_say(ctx, "%s", sentence);
}

static int move(const cli_model_opts *o, lk_engine *e, lk_arena *a)
{
    lk_cancel *stop = &cli_stop;
    lk_progress p;
    lk_migrated r;
    lk_err err = {0};
    lk_buf b;
    cli_common common = o->common; /* what say_fault takes is not const */
    lk_migrate m = {.to = o->rollback ? NULL : o->to,
                    .hold = o->hold,
                    .sample = (size_t)o->sample,
                    .threads = (unsigned)o->common.engine.threads,
                    .see = say_fault,
                    .see_ctx = &common,
                    .progress = lk_progress_set,
                    .progress_ctx = &p,
                    .cancel = stop};
    lk_progress_init(&p, o->common.quiet ? -1 : STDERR_FILENO, "embedding", "images");
    lk_code code = lk_engine_migrate(e, &m, a, &r, &err);
    lk_progress_finish(&p);
    if (code)
        return cli_model_fail(o, code, &err);
    lk_buf_init(&b, 0);
    if (o->common.json) {
        lk_jw w;
        lk_jw_init(&w, &b);
        lk_migrated_write(&r, &w);
    } else {
        put_text(&r, &b);
    }
    return cli_print(&b, r.failed ? CLI_SOME_FAILED : CLI_FOUND);
}

/* ---- the rest ---- */

static int forget(const cli_model_opts *o, lk_engine *e)
{
    lk_err err = {0};
    lk_buf b;
    lk_code code = lk_engine_migrate_forget(e, o->abandon, &err);
    if (code)
        return cli_model_fail(o, code, &err);
    lk_buf_init(&b, 0);
    if (o->common.json)
        lk_buf_puts(&b, "{\"forgotten\":true}");
    else
        lk_buf_puts(&b, o->abandon ? "what was made so far is removed"
                                   : "the earlier model's vectors are removed");
    return cli_print(&b, CLI_FOUND);
}

static int show(const cli_model_opts *o, lk_engine *e, lk_arena *a)
{
    lk_migration m;
    lk_err err = {0};
    lk_buf b;
    lk_code code = lk_engine_migration(e, a, &m, &err);
    if (code)
        return cli_model_fail(o, code, &err);
    lk_buf_init(&b, 0);
    if (o->common.json) {
        lk_jw w;
        lk_jw_init(&w, &b);
        lk_jw_obj(&w);
        lk_migration_write(&m, &w);
        lk_jw_end_obj(&w);
        return cli_print(&b, CLI_FOUND);
    }
    lk_buf_printf(&b, "the collection's model is %s", m.model);
    if (m.state != LK_MIGRATION_NONE)
        lk_buf_printf(&b,
                      m.state == LK_MIGRATION_KEPT
                          ? "\nthe vectors of %s are kept: %llu of %llu images, %.1f MiB"
                          : "\nthe move to %s is unfinished: %llu of %llu images, %.1f MiB",
                      m.other, (unsigned long long)m.other_vectors, (unsigned long long)m.images,
                      (double)m.other_bytes / 1048576);
    return cli_print(&b, CLI_FOUND);
}

int cli_model_migrate(const cli_model_opts *o, char **args)
{
    lk_engine *e = NULL;
    lk_arena a;
    int rc = CLI_FAILED;
    (void)args;
    if ((o->to != NULL) + o->rollback + o->forget_old + o->abandon > 1)
        return cli_usage("model",
                         "--to, --rollback, --forget-old and --abandon exclude each other");
    cli_catch_signals();
    if (!cli_open(&o->common, LK_OPEN_EXISTING, &e, &rc))
        return rc == CLI_NONE ? CLI_FAILED : rc;
    lk_arena_init(&a, 0);
    if (o->to || o->rollback)
        rc = move(o, e, &a);
    else
        rc = o->forget_old || o->abandon ? forget(o, e) : show(o, e, &a);
    lk_arena_release(&a);
    lk_engine_close(e);
    return rc;
}
