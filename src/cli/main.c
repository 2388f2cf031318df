#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"

const cli_command *const cli_commands[] = {
    &cmd_init,       &cmd_add,   &cmd_search, &cmd_similar,     &cmd_embed, &cmd_get,
    &cmd_list,       &cmd_rm,    &cmd_info,   &cmd_verify,      &cmd_serve, &cmd_index,
    &cmd_categories, &cmd_model, &cmd_demo,   &cmd_completions, &cmd_man,   NULL,
};

static const cli_command *find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[32];
    size_t n = 0;
    for (size_t i = 0; cli_commands[i] && n < LK_ARRAY_LEN(names); i++)
        if (!cli_commands[i]->hidden)
            names[n++] = cli_commands[i]->name;
    const char *near = lk_str_closest(lk_str_of(name), names, n);
    return near ? cli_usage(NULL, "there is no command \"%s\", did you mean \"%s\"?", name, near)
                : cli_usage(NULL, "there is no command \"%s\"", name);
}

static int print_help(const cli_command *cmd)
{
    lk_buf b;
    lk_buf_init(&b, 1u << 20);
    cli_help(cmd, &b);
    if (b.n && b.p[b.n - 1] == '\n')
        b.n--;
    return cli_print(&b, CLI_FOUND);
}

static int print_version(void)
{
    puts("lookalike " LK_VERSION);
    return CLI_FOUND;
}

/* Does this option, standing before the command, take the next word as its value? */
static bool takes_next(const char *word)
{
    bool is_long = word[1] == '-';
    lk_str name = lk_str_of(word + (is_long ? 2 : 1));
    const lk_opt *tables[] = {lk_engine_opt_table, cli_common_table};
    for (size_t t = 0; t < LK_ARRAY_LEN(tables); t++)
        for (const lk_opt *o = tables[t]; o->name; o++)
            if (is_long ? lk_str_is(name, o->name) : name.n == 1 && o->letter == name.p[0])
                return o->type != LK_OPT_BOOL;
    return false;
}

/* The command is the first word that is neither an option nor an option's value; 0: there is none.
 */
static int find_command_word(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0')
            return i;
        if (takes_next(argv[i]))
            i++;
    }
    return 0;
}

static int run_command(const cli_command *cmd, int argc, char **argv)
{
    lk_opt table[CLI_MAX_OPTIONS];
    lk_err err = {0};
    int n_args = 0, rc;
    cli_common *opts = lk_calloc(1, cmd->size ? cmd->size : sizeof(cli_common));
    if (!opts) {
        fputs("lookalike: out of memory\n", stderr);
        return CLI_FAILED;
    }
    cli_options_of(cmd, table);
    lk_code code = lk_opt_defaults(table, opts, &err);
    if (!code)
        code = lk_opt_parse_argv(table, opts, argc, argv, &n_args, &err);
    if (code)
        rc = cli_usage(cmd->name, "%s", err.text);
    else if (opts->help)
        rc = print_help(cmd);
    else if (n_args < cmd->min_args || (cmd->max_args >= 0 && n_args > cmd->max_args))
        rc = cli_usage(cmd->name, "usage: lookalike %s %s", cmd->name, cmd->usage);
    else
        rc = cmd->run(opts, n_args, argv + 1);
    lk_free(opts);
    return rc;
}

static bool has_word(int argc, char **argv, const char *a, const char *b)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], a) == 0 || strcmp(argv[i], b) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    int at = find_command_word(argc, argv);
    if (at == 0) {
        if (has_word(argc, argv, "--version", "-V"))
            return print_version();
        int rc = print_help(NULL);
        return has_word(argc, argv, "--help", "-h") ? rc : CLI_USAGE;
    }
    const char *word = argv[at], *about = at + 1 < argc ? argv[at + 1] : NULL;
    if (strcmp(word, "version") == 0)
        return print_version();
    if (strcmp(word, "help") == 0)
        return about && !find_command(about) ? unknown_command(about)
                                             : print_help(about ? find_command(about) : NULL);
    const cli_command *cmd = find_command(word);
    if (!cmd)
        return unknown_command(word);
    /* Options before the command move behind it: argv[1] is where the parser starts. */
    memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof *argv);
    return run_command(cmd, argc - 1, argv + 1);
}
