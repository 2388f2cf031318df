/* An option table printed for people: --help, and roff for the man page. */
#include "base/opt.h"

enum { HELP_COLUMN = 30, HELP_WIDTH = 80 };

static void put_arg(const lk_opt *o, lk_buf *out)
{
    static const char *const by_type[] = {
        [LK_OPT_INT] = "N",   [LK_OPT_REAL] = "X",   [LK_OPT_BYTES] = "SIZE",
        [LK_OPT_MS] = "TIME", [LK_OPT_STR] = "TEXT", [LK_OPT_LIST] = "TEXT",
    };
    if (o->arg) {
        lk_buf_puts(out, o->arg);
        return;
    }
    if (o->type != LK_OPT_ENUM) {
        lk_buf_puts(out, by_type[o->type]);
        return;
    }
    for (size_t i = 0; o->words[i]; i++)
        lk_buf_printf(out, "%s%s", i ? "|" : "", o->words[i]);
}

/* A switch that is on unless it is turned off is shown with the form that turns it off. */
static const char *maybe_no(const lk_opt *o)
{
    return o->type == LK_OPT_BOOL && o->dflt && strcmp(o->dflt, "true") == 0 ? "[no-]" : "";
}

/* The sentence, then what else is good to know. */
static void put_sentence(const lk_opt *o, lk_buf *out)
{
    lk_buf_puts(out, o->help);
    if (o->type == LK_OPT_LIST)
        lk_buf_puts(out, " (may be given several times)");
    if (o->dflt && *o->dflt && o->type != LK_OPT_BOOL)
        lk_buf_printf(out, " [default: %s]", o->dflt);
    if (o->env)
        lk_buf_printf(out, " [environment: %s]", o->env);
}

/* Words of text from `column` on, broken before HELP_WIDTH. */
static void put_wrapped(lk_str text, lk_buf *out)
{
    size_t column = HELP_COLUMN;
    bool first = true;
    while (text.n > 0) {
        lk_str word = lk_str_cut(&text, ' ');
        if (!first && column + 1 + word.n > HELP_WIDTH) {
            lk_buf_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (!first) {
            lk_buf_putc(out, ' ');
            column++;
        }
        lk_buf_put(out, word.p, word.n);
        column += word.n;
        first = false;
    }
    lk_buf_putc(out, '\n');
}

void lk_opt_help(const lk_opt *table, lk_buf *out)
{
    for (const lk_opt *o = table; o->name; o++) {
        size_t from = out->n;
        if (o->letter)
            lk_buf_printf(out, "  -%c, --%s%s", o->letter, maybe_no(o), o->name);
        else
            lk_buf_printf(out, "      --%s%s", maybe_no(o), o->name);
        if (o->type != LK_OPT_BOOL) {
            lk_buf_putc(out, ' ');
            put_arg(o, out);
        }
        size_t width = out->n - from;
        if (width + 2 > HELP_COLUMN)
            lk_buf_printf(out, "\n%*s", HELP_COLUMN, "");
        else
            lk_buf_printf(out, "%*s", (int)(HELP_COLUMN - width), "");

        lk_buf sentence;
        lk_buf_init(&sentence, 0);
        put_sentence(o, &sentence);
        put_wrapped(lk_buf_str(&sentence), out);
        if (lk_buf_check(&sentence, NULL))
            out->failed = true;
        lk_buf_release(&sentence);
    }
}

static void put_roff(lk_str text, lk_buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (i == 0 && (c == '.' || c == '\''))
            lk_buf_puts(out, "\\&");
        if (c == '-')
            lk_buf_puts(out, "\\-");
        else if (c == '\\')
            lk_buf_puts(out, "\\e");
        else
            lk_buf_putc(out, c == '\n' ? ' ' : c);
    }
}

void lk_opt_man(const lk_opt *table, lk_buf *out)
{
    for (const lk_opt *o = table; o->name; o++) {
        lk_buf piece;
        lk_buf_init(&piece, 0);
        lk_buf_puts(out, ".TP\n");
        if (o->letter)
            lk_buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
        lk_buf_printf(out, "\\fB\\-\\-%s", maybe_no(o));
        put_roff(lk_str_of(o->name), out);
        lk_buf_puts(out, "\\fR");
        if (o->type != LK_OPT_BOOL) {
            put_arg(o, &piece);
            lk_buf_puts(out, " \\fI");
            put_roff(lk_buf_str(&piece), out);
            lk_buf_puts(out, "\\fR");
        }
        lk_buf_clear(&piece);
        put_sentence(o, &piece);
        lk_buf_putc(out, '\n');
        put_roff(lk_buf_str(&piece), out);
        lk_buf_putc(out, '\n');
        if (lk_buf_check(&piece, NULL))
            out->failed = true;
        lk_buf_release(&piece);
    }
}
