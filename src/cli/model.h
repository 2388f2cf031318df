/* Verbs of the model command that stand in files of their own. */
#ifndef LK_CLI_MODEL_H
#define LK_CLI_MODEL_H

#include "cli/cli.h"

/* The command's options; each verb takes its own. */
typedef struct cli_model_opts {
    cli_common common;
    const char *to, *photos; /* quantize */
} cli_model_opts;

int cli_model_quantize(const cli_model_opts *o, const char *name);

#endif
