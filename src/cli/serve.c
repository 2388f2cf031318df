/* serve: the page and the API over HTTP, until a signal asks it to stop. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "engine/models.h"
#include "server/server.h"

typedef struct serve_opts {
    cli_common common;
    int log_level;
    bool log_json;
    lk_server_opts server; /* last: its table's offsets are moved to here */
} serve_opts;

static const char *const levels[] = {"debug", "info", "warn", "error", "off", NULL};

static const lk_opt own_options[] = {
    {.name = "log-level",
     .type = LK_OPT_ENUM,
     .offset = offsetof(serve_opts, log_level),
     .dflt = "info",
     .words = levels,
     .env = "LOOKALIKE_LOG_LEVEL",
     .help = "what to log"},
    {.name = "log-json",
     .type = LK_OPT_BOOL,
     .offset = offsetof(serve_opts, log_json),
     .dflt = "false",
     .env = "LOOKALIKE_LOG_JSON",
     .help = "log one JSON object a line"},
    {.name = NULL},
};

static int run(void *opts, int argc, char **argv)
{
    serve_opts *o = opts;
    lk_engine *e = NULL;
    lk_server *s = NULL;
    lk_log log;
    lk_err err = {0};
    int rc = CLI_FAILED;
    (void)argc, (void)argv;
    cli_catch_signals();
    lk_code code = lk_engine_model_vet(&o->common.engine, &cli_stop, &err);
    if (code) {
        rc = cli_fail(&o->common, code, &err);
        return rc == CLI_NONE ? CLI_FAILED : rc;
    }
    if (!cli_open(&o->common, LK_OPEN_CREATE, &e, &rc))
        return rc;
    lk_log_init(&log, STDERR_FILENO, (lk_log_level)o->log_level, o->log_json);
    code = lk_server_open(&o->server, e, &log, &s, &err);
    if (code) {
        rc = cli_fail(&o->common, code, &err);
    } else {
        printf("serving on %s\n", lk_server_url(s));
        fflush(stdout);
        lk_server_run(s, &cli_stop);
        lk_log_info(&log, "stopping", LK_LS("address", lk_server_url(s)));
        rc = CLI_FOUND;
    }
    lk_server_close(s);
    lk_engine_close(e);
    lk_log_release(&log);
    return rc;
}

const cli_command cmd_serve = {
    .name = "serve",
    .usage = "",
    .summary = "serve the page and the API over HTTP",
    .describe = "Serves the web page and the API. SIGTERM and Ctrl-C stop it: requests that were\n"
                "accepted are finished first.",
    .options = own_options,
    .inner = lk_server_opt_table,
    .inner_offset = offsetof(serve_opts, server),
    .size = sizeof(serve_opts),
    .max_args = 0,
    .run = run,
};
