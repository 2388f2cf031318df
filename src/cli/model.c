/* model: what models there are, and whether one runs here. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"

typedef struct listing {
    lk_jw *w; /* NULL: a table */
} listing;

static void see(void *ctx, const lk_model_seen *m)
{
    const listing *l = ctx;
    if (!l->w && m->dim == 0) {
        printf("%-20s cannot be used: %s  %s\n", m->name, m->describe, m->where);
        return;
    }
    if (!l->w) {
        printf("%-20s %-4s %5zu  %s%s  %s\n", m->name, m->version, m->dim,
               m->has_image ? "image" : "     ", m->has_text ? " text" : "     ", m->where);
        return;
    }
    lk_jw_obj(l->w);
    const struct {
        const char *key, *text;
    } texts[] = {{"name", m->name},
                 {"version", m->version},
                 {"description", m->describe},
                 {"where", m->where}};
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++) {
        lk_jw_key(l->w, texts[i].key);
        lk_jw_strz(l->w, texts[i].text);
    }
    lk_jw_key(l->w, "dim");
    lk_jw_uint(l->w, m->dim);
    lk_jw_key(l->w, "image");
    lk_jw_bool(l->w, m->has_image);
    lk_jw_key(l->w, "text");
    lk_jw_bool(l->w, m->has_text);
    lk_jw_end_obj(l->w);
}

static int list(const cli_common *c)
{
    lk_buf b;
    lk_jw w;
    listing l = {c->json ? &w : NULL};
    lk_err err = {0};
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    if (c->json)
        lk_jw_arr(&w);
    lk_code code = lk_engine_models(&c->engine, see, &l, &err);
    if (c->json)
        lk_jw_end_arr(&w);
    if (!code && c->json)
        return cli_print(&b, CLI_FOUND);
    lk_buf_release(&b);
    return code ? cli_fail(c, code, &err) : CLI_FOUND;
}

static int check(const cli_common *c, const char *name)
{
    lk_arena a;
    lk_str report;
    lk_err err = {0};
    lk_arena_init(&a, 0);
    lk_code code = lk_engine_model_check(&c->engine, name, &a, &report, &err);
    int rc = CLI_FOUND;
    if (code) {
        rc = cli_fail(c, code, &err);
        rc = rc == CLI_NONE ? CLI_FAILED : rc;
    } else {
        lk_buf b;
        lk_jw w;
        lk_buf_init(&b, 0);
        lk_jw_init(&w, &b);
        if (c->json)
            lk_jw_str(&w, report);
        else
            lk_buf_put(&b, report.p, report.n);
        rc = cli_print(&b, CLI_FOUND);
    }
    lk_arena_release(&a);
    return rc;
}

static int run(void *opts, int argc, char **argv)
{
    const cli_common *c = opts;
    if (argc == 1 && strcmp(argv[0], "list") == 0)
        return list(c);
    if (strcmp(argv[0], "check") == 0)
        return check(c, argc > 1 ? argv[1] : c->engine.model ? c->engine.model : "mini");
    return cli_usage("model", "\"%s\" is neither list nor check", argv[0]);
}

const cli_command cmd_model = {
    .name = "model",
    .usage = "list | check [NAME]",
    .summary = "list the models there are, or check that one runs",
    .describe =
        "`model list` shows the bundled model and those in the models folder. `model check`\n"
        "loads a model by name or folder, holds its files against its card, and runs it. The "
        "first\n"
        "check records the model's canary, what it makes of one built-in picture and text, in\n"
        "canary.json in its folder; later ones fail when it makes something else of them.",
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
