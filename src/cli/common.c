/* What the commands share: options, errors, the engine, signals, help. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/cli.h"

const lk_opt cli_common_table[] = {
    {.name = "json",
     .type = LK_OPT_BOOL,
     .offset = offsetof(cli_common, json),
     .dflt = "false",
     .help = "print results as JSON"},
    {.name = "quiet",
     .letter = 'q',
     .type = LK_OPT_BOOL,
     .offset = offsetof(cli_common, quiet),
     .dflt = "false",
     .help = "no progress and no remarks"},
    {.name = "help",
     .letter = 'h',
     .type = LK_OPT_BOOL,
     .offset = offsetof(cli_common, help),
     .dflt = "false",
     .help = "show this help"},
    {.name = NULL},
};

void cli_options_of(const cli_command *cmd, lk_opt ret[CLI_MAX_OPTIONS])
{
    /* Own options first: they are what --help is read for. */
    const struct {
        const lk_opt *table;
        size_t offset;
    } parts[] = {{cmd->options, 0},
                 {cmd->inner, cmd->inner_offset},
                 {lk_engine_opt_table, offsetof(cli_common, engine)},
                 {cli_common_table, 0}};
    size_t n = 0;
    for (size_t t = 0; t < LK_ARRAY_LEN(parts); t++)
        for (const lk_opt *o = parts[t].table; o && o->name; o++) {
            assert(n < CLI_MAX_OPTIONS - 1);
            ret[n] = *o;
            ret[n++].offset += parts[t].offset;
        }
    ret[n] = (lk_opt){0};
}

static void write_error(lk_jw *w, const lk_err *err)
{
    lk_jw_obj(w);
    lk_jw_key(w, "error");
    lk_jw_obj(w);
    lk_jw_key(w, "code");
    lk_jw_strz(w, lk_code_word(err->code));
    lk_jw_key(w, "message");
    lk_jw_strz(w, err->text);
    if (err->field[0]) {
        lk_jw_key(w, "field");
        lk_jw_strz(w, err->field);
    }
    if (err->column) {
        lk_jw_key(w, "column");
        lk_jw_int(w, err->column);
    }
    lk_jw_end_obj(w);
    lk_jw_end_obj(w);
}

int cli_fail(const cli_common *c, lk_code code, const lk_err *err)
{
    int rc = code == LK_E_INVALID                                ? CLI_USAGE
             : code == LK_E_NO_MEANING || code == LK_E_NOT_FOUND ? CLI_NONE
                                                                 : CLI_FAILED;
    if (c->json) {
        lk_buf b;
        lk_jw w;
        lk_buf_init(&b, 0);
        lk_jw_init(&w, &b);
        write_error(&w, err);
        return cli_print(&b, rc);
    }
    fprintf(stderr, "lookalike: %s", err->text);
    if (err->field[0] && err->column)
        fprintf(stderr, " (%s, column %d)", err->field, err->column);
    else if (err->field[0])
        fprintf(stderr, " (%s)", err->field);
    fputc('\n', stderr);
    return rc;
}

int cli_usage(const char *command, const char *fmt, ...)
{
    va_list args;
    fputs("lookalike: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nTry: lookalike %s%s--help\n", command ? command : "", command ? " " : "");
    return CLI_USAGE;
}

void cli_say(const cli_common *c, const char *fmt, ...)
{
    va_list args;
    if (c->quiet)
        return;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

bool cli_open(const cli_common *c, lk_open_mode mode, lk_engine **ret, int *ret_exit)
{
    lk_err err = {0};
    lk_code code = lk_engine_open(&c->engine, mode, ret, &err);
    if (code) {
        *ret_exit = cli_fail(c, code, &err);
        /* "Nothing found" is an answer about pictures; a folder that is not there is a failure. */
        if (*ret_exit == CLI_NONE)
            *ret_exit = CLI_FAILED;
    }
    return code == LK_OK;
}

lk_cancel cli_stop;

static void on_signal(int sig)
{
    (void)sig;
    lk_cancel_set(&cli_stop);
}

void cli_catch_signals(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sigemptyset(&sa.sa_mask);
    sa.sa_flags = (int)SA_RESETHAND; /* a second Ctrl-C ends the process at once */
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static lk_code read_stdin(size_t limit, lk_buf *into, lk_err *err)
{
    for (;;) {
        char *p = lk_buf_reserve(into, 65536);
        if (!p || into->n > limit)
            return lk_fail(err, LK_E_LIMIT, "stdin holds over %zu bytes", limit);
        ssize_t n = read(STDIN_FILENO, p, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lk_fail_sys(err, errno, "stdin");
        if (n == 0)
            return LK_OK;
        into->n += (size_t)n;
    }
}

lk_code cli_read(const char *path, size_t limit, lk_buf *into, lk_err *err)
{
    unsigned char *p = NULL;
    size_t n = 0;
    if (strcmp(path, "-") == 0)
        return read_stdin(limit, into, err);
    lk_code code = lk_os_read_file(path, limit, &p, &n, err);
    if (!code)
        lk_buf_put(into, p, n);
    lk_free(p);
    return code ? code : lk_buf_check(into, err);
}

int cli_print(lk_buf *b, int exit_code)
{
    lk_err err = {0};
    lk_buf_putc(b, '\n');
    if (lk_buf_check(b, &err)) {
        fprintf(stderr, "lookalike: %s\n", err.text);
        exit_code = CLI_FAILED;
    } else if (fwrite(b->p, 1, b->n, stdout) != b->n || fflush(stdout) != 0) {
        exit_code = CLI_FAILED;
    }
    lk_buf_release(b);
    return exit_code;
}

void cli_help(const cli_command *cmd, lk_buf *out)
{
    if (cmd) {
        lk_opt table[CLI_MAX_OPTIONS];
        cli_options_of(cmd, table);
        lk_buf_printf(out, "Usage: lookalike %s [OPTION]... %s\n\n%s\n\nOptions:\n", cmd->name,
                      cmd->usage, cmd->describe);
        lk_opt_help(table, out);
        return;
    }
    lk_buf_puts(out, "Usage: lookalike [--data DIR] COMMAND [ARGUMENT]...\n\n"
                     "Stores pictures and finds the ones that look or mean alike: by picture, by\n"
                     "words, by both, under filters.\n\nCommands:\n");
    for (size_t i = 0; cli_commands[i]; i++)
        if (!cli_commands[i]->hidden)
            lk_buf_printf(out, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    lk_buf_puts(out,
                "\nExit status: 0 done or found, 1 nothing found, 2 wrong usage, 3 some files\n"
                "failed, 4 another failure, 130 stopped.\n\n`lookalike COMMAND --help` tells "
                "more.\n");
}
