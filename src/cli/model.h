/* Verbs of the model command that stand in files of their own. */
#ifndef LK_CLI_MODEL_H
#define LK_CLI_MODEL_H

#include "cli/cli.h"

/* The command's options; each verb takes its own. */
typedef struct cli_model_opts {
    cli_common common;
    const char *to;                                 /* pull, add, quantize, migrate */
    const char *hub, *card_file, *revision, *token; /* pull */
    int64_t retries;
    uint64_t retry_wait_ms, stall_ms;
    const char *photos;                       /* check, quantize */
    uint64_t each_ms;                         /* bench */
    bool hold, rollback, forget_old, abandon; /* migrate */
    int64_t sample;
} cli_model_opts;

/* args: what follows the verb, closed by NULL. */
typedef int cli_model_verb(const cli_model_opts *o, char **args);

cli_model_verb cli_model_list, cli_model_pull, cli_model_check, cli_model_bench, cli_model_quantize,
    cli_model_migrate;

/* As cli_fail; but an error about a model is a failure, and never "nothing was found". */
int cli_model_fail(const cli_model_opts *o, lk_code code, const lk_err *err);

#endif
