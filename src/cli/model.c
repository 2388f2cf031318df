/* model: what models there are; bringing in, taking out, checking and measuring them.
 *
 * Each verb is a function in the table below; those that say more than a line have a file. */
#include "cli/model.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "engine/models.h"

#define AT(member) offsetof(cli_model_opts, member)
static const lk_opt options[] = {
    {.name = "to",
     .type = LK_OPT_STR,
     .offset = AT(to),
     .arg = "NAME",
     .help = "pull, add, quantize: the new model's name (default: the card's; NAME-int8); "
             "migrate: the model to move to"},
    {.name = "hub",
     .type = LK_OPT_STR,
     .offset = AT(hub),
     .arg = "URL",
     .env = "HF_ENDPOINT",
     .help =
         "pull: where models are published, or a mirror of it (default: https://huggingface.co)"},
    {.name = "card",
     .type = LK_OPT_STR,
     .offset = AT(card_file),
     .arg = "FILE",
     .help = "pull: a card of one's own, instead of one in the program"},
    {.name = "revision",
     .type = LK_OPT_STR,
     .offset = AT(revision),
     .arg = "NAME",
     .help = "pull: branch, tag or commit (default: as the card says, else main)"},
    {.name = "token",
     .type = LK_OPT_STR,
     .offset = AT(token),
     .arg = "TOKEN",
     .env = "HF_TOKEN",
     .help = "pull: for hubs that ask for an account; never sent over plain http"},
    {.name = "retries",
     .type = LK_OPT_INT,
     .offset = AT(retries),
     .dflt = "4",
     .min = 0,
     .max = 100,
     .help = "pull: attempts after one that brought nothing new"},
    {.name = "retry-wait",
     .type = LK_OPT_MS,
     .offset = AT(retry_wait_ms),
     .dflt = "1s",
     .min = 0,
     .max = 60000,
     .help = "pull: pause before another attempt; doubles each time"},
    {.name = "stall",
     .type = LK_OPT_MS,
     .offset = AT(stall_ms),
     .dflt = "30s",
     .min = 1000,
     .max = 3600000,
     .help = "pull: try again after so long with next to nothing received"},
    {.name = "photos",
     .type = LK_OPT_STR,
     .offset = AT(photos),
     .arg = "DIR",
     .help = "check: where the photographs of a parity file are; quantize: pictures to "
             "compare with (default: the demonstration gallery)"},
    {.name = "each",
     .type = LK_OPT_MS,
     .offset = AT(each_ms),
     .dflt = "2s",
     .min = 10,
     .max = 600000,
     .help = "bench: time for each line"},
    {.name = "hold",
     .type = LK_OPT_BOOL,
     .offset = AT(hold),
     .dflt = "false",
     .help = "migrate: make the vectors and compare, but stay with the old model"},
    {.name = "sample",
     .type = LK_OPT_INT,
     .offset = AT(sample),
     .dflt = "200",
     .min = 0,
     .max = 100000,
     .help = "migrate: pictures whose nearest are compared between the two models"},
    {.name = "rollback",
     .type = LK_OPT_BOOL,
     .offset = AT(rollback),
     .dflt = "false",
     .help = "migrate: back to the earlier model"},
    {.name = "forget-old",
     .type = LK_OPT_BOOL,
     .offset = AT(forget_old),
     .dflt = "false",
     .help = "migrate: remove the earlier model's vectors; there is no way back then"},
    {.name = "abandon",
     .type = LK_OPT_BOOL,
     .offset = AT(abandon),
     .dflt = "false",
     .help = "migrate: give up an unfinished move"},
    {.name = NULL},
};
#undef AT

int cli_model_fail(const cli_model_opts *o, lk_code code, const lk_err *err)
{
    int rc = cli_fail(&o->common, code, err);
    return code == LK_E_CANCELED ? CLI_STOPPED : rc == CLI_NONE ? CLI_FAILED : rc;
}

/* ---- verbs of a line ---- */

/* {"name": …, "where": …}, or a sentence. */
static int done(const cli_model_opts *o, const char *name, const char *where, const char *sentence)
{
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    if (!o->common.json) {
        lk_buf_puts(&b, sentence);
        return cli_print(&b, CLI_FOUND);
    }
    lk_jw_obj(&w);
    lk_jw_key(&w, "name");
    lk_jw_strz(&w, name);
    lk_jw_key(&w, "where");
    if (where)
        lk_jw_strz(&w, where);
    else
        lk_jw_null(&w);
    lk_jw_end_obj(&w);
    return cli_print(&b, CLI_FOUND);
}

static int add(const cli_model_opts *o, char **args)
{
    char text[PATH_MAX + 128];
    lk_pulled added;
    lk_err err = {0};
    cli_catch_signals();
    lk_code code = lk_engine_model_add(&o->common.engine, args[0], o->to, &cli_stop, &added, &err);
    if (code)
        return cli_model_fail(o, code, &err);
    snprintf(text, sizeof text, "%s is installed in %s", added.name, added.where);
    return done(o, added.name, added.where, text);
}

static int rm(const cli_model_opts *o, char **args)
{
    char text[128];
    lk_err err = {0};
    lk_code code = lk_engine_model_remove(&o->common.engine, args[0], &err);
    if (code)
        return cli_model_fail(o, code, &err);
    snprintf(text, sizeof text, "%s is removed", args[0]);
    return done(o, args[0], NULL, text);
}

static int export_to(const cli_model_opts *o, char **args)
{
    char text[PATH_MAX + 128];
    lk_err err = {0};
    lk_code code = lk_engine_model_export(&o->common.engine, args[0], args[1], &err);
    if (code)
        return cli_model_fail(o, code, &err);
    snprintf(text, sizeof text, "%.80s is written to %s", args[0], args[1]);
    return done(o, args[0], args[1], text);
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int min_args, max_args;
    cli_model_verb *run;
} verbs[] = {
    {"list", 0, 0, cli_model_list},
    {"pull", 0, 1, cli_model_pull},
    {"add", 1, 1, add},
    {"rm", 1, 1, rm},
    {"check", 0, 1, cli_model_check},
    {"bench", 0, 1, cli_model_bench},
    {"export", 2, 2, export_to},
    {"quantize", 1, 1, cli_model_quantize},
    {"migrate", 0, 0, cli_model_migrate},
};

static int run(void *opts, int argc, char **argv)
{
    const char *names[LK_ARRAY_LEN(verbs)];
    char *args[4] = {NULL};
    for (int i = 1; i < argc && i < (int)LK_ARRAY_LEN(args); i++)
        args[i - 1] = argv[i];
    for (size_t i = 0; i < LK_ARRAY_LEN(verbs); i++) {
        names[i] = verbs[i].name;
        if (strcmp(argv[0], verbs[i].name) != 0)
            continue;
        if (argc - 1 < verbs[i].min_args || argc - 1 > verbs[i].max_args)
            return cli_usage("model", "usage: lookalike model %s", cmd_model.usage);
        return verbs[i].run(opts, args);
    }
    const char *near = lk_str_closest(lk_str_of(argv[0]), names, LK_ARRAY_LEN(names));
    return near ? cli_usage("model", "\"%s\" is no verb, did you mean \"%s\"?", argv[0], near)
                : cli_usage("model", "usage: lookalike model %s", cmd_model.usage);
}

const cli_command cmd_model = {
    .name = "model",
    .usage = "list | pull NAME | add DIR | rm NAME | check [NAME] | bench [NAME] | "
             "export NAME DIR | quantize NAME | migrate",
    .summary = "list, download, install, check and measure models",
    .describe =
        "`model list` shows the bundled model, those in the models folder, and those that can be\n"
        "pulled. `model pull` downloads one from the hub that its card names (--hub: a mirror),\n"
        "goes on where an earlier download stopped, and installs it only when it is whole and\n"
        "runs; the variables https_proxy, http_proxy, all_proxy and no_proxy are honoured.\n"
        "`model add` installs a folder with a card, `model rm` removes a model, and `model "
        "export`\n"
        "writes one to a folder, to be changed and added again. `model check` holds a model, by\n"
        "name or folder, against its card and runs it, and `model bench` measures it. The first\n"
        "check records the model's canary, what it makes of one built-in picture and text, in\n"
        "canary.json in its folder; later ones fail when it makes something else of them.\n"
        "`model quantize` makes an int8 model of a float one and says how far its vectors are\n"
        "off: transformers become two to three times as fast on processors with VNNI, while\n"
        "convolutions stay as they are. A collection of the one cannot be searched with the\n"
        "other.\n"
        "`model migrate --to NAME` moves the data folder's collection to another model: the new\n"
        "vectors are made beside the old ones out of the stored pictures, and when all are there\n"
        "the collection changes over in one step. Stopped or killed, it goes on where it was with\n"
        "the next call. It tells how many of the nearest pictures stayed the same. --rollback\n"
        "goes back, until --forget-old removes the earlier vectors; without an option it says how\n"
        "it stands. A running server does the same at /v1/migration.",
    .options = options,
    .size = sizeof(cli_model_opts),
    .min_args = 1,
    .max_args = 3,
    .run = run,
};
