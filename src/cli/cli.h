/* The command line: one const table of commands.
 *
 * A command is its name, its usage, its options and a function. Help, man page and completions are
 * made from the same tables. Results go to stdout, everything else to stderr. Exit codes: 0 done or
 * found, 1 nothing found, 2 wrong usage, 3 some files failed, 4 any other failure, 130 stopped by
 * Ctrl-C. */
#ifndef LK_CLI_CLI_H
#define LK_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "base/opt.h"
#include "base/thread.h"
#include "engine/engine.h"

typedef enum cli_exit {
    CLI_FOUND = 0,
    CLI_NONE = 1,
    CLI_USAGE = 2,
    CLI_SOME_FAILED = 3,
    CLI_FAILED = 4,
    CLI_STOPPED = 130,
} cli_exit;

/* Every command's options begin with these. */
typedef struct cli_common {
    lk_engine_opts engine;
    bool json;
    bool quiet;
    bool help;
} cli_common;

#define CLI_MAX_OPTIONS 64

typedef struct cli_command {
    const char *name;
    const char *usage;      /* "PATH..." */
    const char *summary;    /* one line, for the list */
    const char *describe;   /* a paragraph or more, for --help and the man page */
    const lk_opt *options;  /* the command's own, or NULL; offsets into a struct that begins with
                             * cli_common */
    const lk_opt *inner;    /* another room's table, or NULL */
    size_t inner_offset;    /* where its struct stands in ours */
    size_t size;            /* of our struct; 0: cli_common alone */
    int min_args, max_args; /* -1: any number */
    bool hidden;
    int (*run)(void *opts, int argc, char **argv); /* argv[0..argc-1]: the arguments */
} cli_command;

extern const cli_command *const cli_commands[]; /* closed by NULL */
extern const lk_opt cli_common_table[];

/* The error on stderr, or as JSON on stdout with --json; returns the exit code that fits it. */
int cli_fail(const cli_common *c, lk_code code, const lk_err *err);
/* A usage mistake; returns CLI_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) LK_PRINTF(2, 3);
/* A remark on stderr, unless --quiet. */
void cli_say(const cli_common *c, const char *fmt, ...) LK_PRINTF(2, 3);

/* The engine over --data; on failure *ret_exit is what to return. */
bool cli_open(const cli_common *c, lk_open_mode mode, lk_engine **ret, int *ret_exit);

/* Set by SIGINT and SIGTERM once cli_catch_signals was called. */
extern lk_cancel cli_stop;
void cli_catch_signals(void);

/* A whole file or, for "-", stdin; up to limit bytes. */
LK_CHECK lk_code cli_read(const char *path, size_t limit, lk_buf *into, lk_err *err);

/* Print a buffer and a newline to stdout and release it; returns exit_code, or CLI_FAILED. */
int cli_print(lk_buf *b, int exit_code);

/* The options of a command as one table: its own, the engine's, the common ones. */
void cli_options_of(const cli_command *cmd, lk_opt ret[CLI_MAX_OPTIONS]);
/* --help of a command, or of everything (NULL). */
void cli_help(const cli_command *cmd, lk_buf *out);

#endif
