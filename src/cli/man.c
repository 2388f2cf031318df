/* The man page and the shells' completions, from the tables that everything else reads too. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"

/* ---- man ---- */

/* roff: a line must not begin with a dot or a quote, and backslashes and hyphens are escaped. */
static void put_roff(lk_buf *b, const char *text)
{
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            lk_buf_puts(b, "\\&");
        if (*text == '\\')
            lk_buf_puts(b, "\\e");
        else if (*text == '-')
            lk_buf_puts(b, "\\-");
        else
            lk_buf_putc(b, *text);
        start = *text == '\n';
    }
}

static void put_command(lk_buf *b, const cli_command *c)
{
    lk_buf_puts(b, ".SS ");
    put_roff(b, c->name);
    lk_buf_putc(b, ' ');
    put_roff(b, c->usage);
    lk_buf_putc(b, '\n');
    put_roff(b, c->describe);
    lk_buf_putc(b, '\n');
    if (c->options)
        lk_opt_man(c->options, b);
    if (c->inner)
        lk_opt_man(c->inner, b);
}

static int run_man(void *opts, int argc, char **argv)
{
    lk_buf b;
    (void)opts, (void)argc, (void)argv;
    lk_buf_init(&b, 1u << 20);
    lk_buf_puts(&b, ".TH LOOKALIKE 1 \"\" \"lookalike " LK_VERSION "\" \"User Commands\"\n"
                    ".SH NAME\nlookalike \\- find pictures that look or mean alike\n"
                    ".SH SYNOPSIS\n.B lookalike\n[\\-\\-data DIR] COMMAND [ARGUMENT]...\n"
                    ".SH DESCRIPTION\nStores pictures and finds the ones that look or mean alike: "
                    "by picture, by words, by both, under filters.\n.SH COMMANDS\n");
    for (size_t i = 0; cli_commands[i]; i++)
        if (!cli_commands[i]->hidden)
            put_command(&b, cli_commands[i]);
    lk_buf_puts(&b, ".SH COMMON OPTIONS\nThese go with every command, before or after it.\n");
    lk_opt_man(lk_engine_opt_table, &b);
    lk_opt_man(cli_common_table, &b);
    lk_buf_puts(&b, ".SH EXIT STATUS\n0 done or found, 1 nothing found, 2 wrong usage, 3 some "
                    "files failed, 4 another failure, 130 stopped by a signal.");
    return cli_print(&b, CLI_FOUND);
}

const cli_command cmd_man = {
    .name = "man",
    .usage = "",
    .summary = "print the manual page",
    .describe = "Prints the manual page as roff.",
    .max_args = 0,
    .hidden = true,
    .run = run_man,
};

/* ---- completions ---- */

static void bash_completion(lk_buf *b)
{
    lk_buf_puts(b,
                "_lookalike()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} words cmd i\n"
                "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "        case ${COMP_WORDS[i]} in -*) ;; *) cmd=${COMP_WORDS[i]}; break ;; esac\n"
                "    done\n    case $cmd in\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        lk_opt table[CLI_MAX_OPTIONS];
        cli_options_of(cli_commands[i], table);
        lk_buf_printf(b, "    %s) words=\"", cli_commands[i]->name);
        for (const lk_opt *o = table; o->name; o++)
            lk_buf_printf(b, "--%s ", o->name);
        lk_buf_puts(b, "\" ;;\n");
    }
    lk_buf_puts(b, "    *) words=\"");
    for (size_t i = 0; cli_commands[i]; i++)
        if (!cli_commands[i]->hidden)
            lk_buf_printf(b, "%s ", cli_commands[i]->name);
    lk_buf_puts(b, "help version\" ;;\n    esac\n"
                   "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                   "    [[ $cur == -* || -z $cmd ]] || mapfile -t COMPREPLY < <(compgen -f -- "
                   "\"$cur\")\n}\ncomplete -o filenames -F _lookalike lookalike");
}

static void fish_completion(lk_buf *b)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        const cli_command *c = cli_commands[i];
        lk_opt table[CLI_MAX_OPTIONS];
        if (c->hidden)
            continue;
        lk_buf_printf(b, "complete -c lookalike -n __fish_use_subcommand -a %s -d '%s'\n", c->name,
                      c->summary);
        cli_options_of(c, table);
        for (const lk_opt *o = table; o->name; o++)
            lk_buf_printf(b, "complete -c lookalike -n '__fish_seen_subcommand_from %s' -l %s%s\n",
                          c->name, o->name, o->type == LK_OPT_BOOL ? "" : " -r");
    }
    lk_buf_puts(b, "complete -c lookalike -l version");
}

static int run_completions(void *opts, int argc, char **argv)
{
    lk_buf b;
    (void)opts, (void)argc;
    lk_buf_init(&b, 1u << 20);
    if (strcmp(argv[0], "bash") == 0)
        bash_completion(&b);
    else if (strcmp(argv[0], "zsh") == 0) {
        lk_buf_puts(&b, "autoload -U +X bashcompinit && bashcompinit\n");
        bash_completion(&b);
    } else if (strcmp(argv[0], "fish") == 0)
        fish_completion(&b);
    else {
        lk_buf_release(&b);
        return cli_usage("completions", "\"%s\" is neither bash, zsh nor fish", argv[0]);
    }
    return cli_print(&b, CLI_FOUND);
}

const cli_command cmd_completions = {
    .name = "completions",
    .usage = "bash|zsh|fish",
    .summary = "print completions for a shell",
    .describe = "Prints completions: eval \"$(lookalike completions bash)\".",
    .min_args = 1,
    .max_args = 1,
    .run = run_completions,
};
