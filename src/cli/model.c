/* model: what models there are, and whether one runs here. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/model.h"

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

static const lk_opt options[] = {
    {.name = "to",
     .type = LK_OPT_STR,
     .offset = offsetof(cli_model_opts, to),
     .arg = "NAME",
     .help = "quantize: name of the int8 model (default: NAME-int8)"},
    {.name = "photos",
     .type = LK_OPT_STR,
     .offset = offsetof(cli_model_opts, photos),
     .arg = "DIR",
     .help = "quantize: pictures to compare with (default: the demonstration gallery)"},
    {.name = NULL},
};

static int run(void *opts, int argc, char **argv)
{
    const cli_model_opts *o = opts;
    const cli_common *c = &o->common;
    if (argc == 1 && strcmp(argv[0], "list") == 0)
        return list(c);
    if (strcmp(argv[0], "check") == 0)
        return check(c, argc > 1 ? argv[1] : c->engine.model ? c->engine.model : "mini");
    if (argc == 2 && strcmp(argv[0], "quantize") == 0)
        return cli_model_quantize(o, argv[1]);
    return cli_usage("model", "\"%s\" is none of list, check [NAME], quantize NAME", argv[0]);
}

const cli_command cmd_model = {
    .name = "model",
    .usage = "list | check [NAME] | quantize NAME",
    .summary = "list the models there are, check that one runs, make one int8",
    .describe =
        "`model list` shows the bundled model and those in the models folder. `model check`\n"
        "loads a model by name or folder, holds its files against its card, and runs it. The\n"
        "first check records the model's canary, what it makes of one built-in picture and text,\n"
        "in canary.json in its folder; later ones fail when it makes something else of them.\n"
        "`model quantize` makes an int8 model of a float one and says how far its vectors are\n"
        "off: transformers become two to three times as fast on processors with VNNI, while\n"
        "convolutions stay as they are. A collection of the one cannot be searched with the\n"
        "other.",
    .options = options,
    .size = sizeof(cli_model_opts),
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
