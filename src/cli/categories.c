/* categories: what pictures are put into; choosing that, and a new look at the stored ones. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/progress.h"
#include "cli/commands.h"

#define MAX_SETTINGS_BYTES (1u << 20)
#define STEP 200 /* pictures looked at between two looks at the stop flag */

typedef struct categories_opts {
    cli_common common;
    lk_opt_list label, template;
    const char *classifier, *rest;
    bool apply;
} categories_opts;

#define AT(member) offsetof(categories_opts, member)
static const lk_opt options[] = {
    {.name = "label",
     .letter = 'l',
     .type = LK_OPT_LIST,
     .offset = AT(label),
     .arg = "NAME[=TEXT]",
     .help =
         "set: a label and a prompt for it, or a class of the classifier; without TEXT the name "
         "itself; several with one name belong together"},
    {.name = "template",
     .type = LK_OPT_LIST,
     .offset = AT(template),
     .arg = "TEXT",
     .help = "set: what prompts are put into, at {}: \"a photo of a {}\""},
    {.name = "classifier",
     .type = LK_OPT_STR,
     .offset = AT(classifier),
     .arg = "NAME",
     .help = "set: a model with classes, by name or folder, instead of prompts"},
    {.name = "rest",
     .type = LK_OPT_STR,
     .offset = AT(rest),
     .arg = "NAME",
     .help = "set: the label of classes that no label names (default: other)"},
    {.name = "apply",
     .type = LK_OPT_BOOL,
     .offset = AT(apply),
     .dflt = "false",
     .help = "set, reset: put the stored pictures into the new categories, too"},
    {.name = NULL},
};
#undef AT

/* ---- show ---- */

static void write_categories(const lk_categories *c, lk_jw *w)
{
    lk_jw_obj(w);
    lk_jw_key(w, "from");
    lk_jw_strz(w, c->from);
    lk_jw_key(w, "labels");
    lk_jw_arr(w);
    for (size_t i = 0; i < c->n_labels; i++)
        lk_jw_strz(w, c->labels[i]);
    lk_jw_end_arr(w);
    lk_jw_key(w, "settings");
    if (c->settings.n)
        lk_jw_raw(w, c->settings);
    else
        lk_jw_null(w);
    lk_jw_end_obj(w);
}

static lk_code show(const categories_opts *o, lk_engine *e, lk_err *err)
{
    lk_arena a;
    lk_categories c = {0};
    lk_arena_init(&a, 0);
    lk_code code = lk_engine_categories(e, &a, &c, err);
    if (!code && o->common.json) {
        lk_buf b;
        lk_jw w;
        lk_buf_init(&b, 0);
        lk_jw_init(&w, &b);
        write_categories(&c, &w);
        (void)cli_print(&b, CLI_FOUND);
    } else if (!code) {
        printf("%zu labels, from %s\n", c.n_labels,
               strcmp(c.from, "model") == 0 ? "the model" : c.from);
        for (size_t i = 0; i < c.n_labels; i++)
            printf("  %s\n", c.labels[i]);
    }
    lk_arena_release(&a);
    return code;
}

/* ---- set ---- */

static lk_str name_of(const char *label)
{
    lk_str rest = lk_str_of(label);
    return lk_str_cut(&rest, '=');
}

static bool seen_before(const lk_opt_list *l, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (lk_str_eq(name_of(l->v[j]), name_of(l->v[i])))
            return true;
    return false;
}

/* {"name": ["text", …], …}, in the order of the first --label of each name. */
static void write_labels(const lk_opt_list *l, lk_jw *w)
{
    lk_jw_key(w, "labels");
    lk_jw_obj(w);
    for (size_t i = 0; i < l->n; i++) {
        if (seen_before(l, i))
            continue;
        lk_jw_key_str(w, name_of(l->v[i]));
        lk_jw_arr(w);
        for (size_t j = i; j < l->n; j++) {
            const char *eq = strchr(l->v[j], '=');
            if (lk_str_eq(name_of(l->v[j]), name_of(l->v[i])))
                lk_jw_strz(w, eq ? eq + 1 : l->v[j]);
        }
        lk_jw_end_arr(w);
    }
    lk_jw_end_obj(w);
}

static lk_code settings_of_options(const categories_opts *o, lk_buf *out, lk_err *err)
{
    lk_jw w;
    const struct {
        const char *key, *text;
    } texts[] = {{"classifier", o->classifier}, {"rest", o->rest}};
    lk_jw_init(&w, out);
    lk_jw_obj(&w);
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++)
        if (texts[i].text) {
            lk_jw_key(&w, texts[i].key);
            lk_jw_strz(&w, texts[i].text);
        }
    if (o->label.n)
        write_labels(&o->label, &w);
    if (o->template.n) {
        lk_jw_key(&w, "templates");
        lk_jw_arr(&w);
        for (size_t i = 0; i < o->template.n; i++)
            lk_jw_strz(&w, o->template.v[i]);
        lk_jw_end_arr(&w);
    }
    lk_jw_end_obj(&w);
    return lk_buf_check(out, err);
}

static lk_code set(const categories_opts *o, lk_engine *e, const char *file, lk_err *err)
{
    lk_buf b;
    lk_buf_init(&b, MAX_SETTINGS_BYTES);
    lk_code code =
        file ? cli_read(file, MAX_SETTINGS_BYTES, &b, err) : settings_of_options(o, &b, err);
    if (!code && b.n == 0)
        code = lk_fail(err, LK_E_INVALID, "\"%s\" is empty", file);
    if (!code)
        code = lk_engine_set_categories(e, lk_buf_str(&b), err);
    lk_buf_release(&b);
    return code;
}

/* ---- apply ---- */

static lk_code step(lk_engine *e, lk_buf *cursor, uint64_t *ret_seen, uint64_t *ret_changed,
                    bool *ret_more, lk_err *err)
{
    lk_arena a;
    lk_relabeled r;
    lk_arena_init(&a, 0);
    lk_code code = lk_engine_relabel(e, lk_buf_str(cursor), STEP, &a, &r, err);
    if (!code) {
        *ret_seen += r.seen;
        *ret_changed += r.changed;
        *ret_more = r.next.n > 0;
        lk_buf_clear(cursor);
        lk_buf_put(cursor, r.next.p, r.next.n);
        code = lk_buf_check(cursor, err);
    }
    lk_arena_release(&a);
    return code;
}

static lk_code apply(const categories_opts *o, lk_engine *e, lk_err *err)
{
    lk_buf cursor;
    lk_progress p;
    lk_stats s;
    lk_arena a;
    uint64_t seen = 0, changed = 0;
    bool more = true;
    lk_arena_init(&a, 0);
    lk_buf_init(&cursor, 65536);
    lk_code code = lk_engine_stats(e, &a, &s, err);
    lk_progress_init(&p, o->common.quiet ? -1 : STDERR_FILENO, "looking", "pictures");
    while (!code && more) {
        code = lk_cancel_is_set(&cli_stop)
                   ? lk_fail(err, LK_E_CANCELED, "stopped; `categories apply` begins anew")
                   : step(e, &cursor, &seen, &changed, &more, err);
        if (!code)
            lk_progress_set(&p, seen, s.images);
    }
    lk_progress_finish(&p);
    if (!code && o->common.json)
        printf("{\"seen\":%llu,\"changed\":%llu}\n", (unsigned long long)seen,
               (unsigned long long)changed);
    else if (!code)
        cli_say(&o->common, "%llu pictures looked at, %llu changed", (unsigned long long)seen,
                (unsigned long long)changed);
    lk_buf_release(&cursor);
    lk_arena_release(&a);
    return code;
}

/* ---- the command ---- */

static int run(void *opts, int argc, char **argv)
{
    const categories_opts *o = opts;
    const char *verb = argc ? argv[0] : "show";
    bool is_set = strcmp(verb, "set") == 0, is_reset = strcmp(verb, "reset") == 0,
         is_apply = strcmp(verb, "apply") == 0;
    bool by_options = o->label.n || o->classifier;
    lk_engine *e = NULL;
    lk_err err = {0};
    int rc = CLI_FAILED;
    lk_code code = LK_OK;
    if (!is_set && !is_reset && !is_apply && strcmp(verb, "show") != 0)
        return cli_usage("categories", "\"%s\" is none of show, set, reset and apply", verb);
    if (is_set ? (argc == 2) == by_options : argc == 2 || by_options)
        return cli_usage("categories", is_set ? "set takes a file, or --label or --classifier"
                                              : "only set takes a file or --label");
    if (!cli_open(&o->common, LK_OPEN_EXISTING, &e, &rc))
        return rc;
    cli_catch_signals();
    if (is_set)
        code = set(o, e, argc == 2 ? argv[1] : NULL, &err);
    else if (is_reset)
        code = lk_engine_set_categories(e, LK_STR(""), &err);
    if (!code && (is_apply || ((is_set || is_reset) && o->apply)))
        code = apply(o, e, &err);
    else if (!code)
        code = show(o, e, &err);
    lk_engine_close(e);
    rc = code ? cli_fail(&o->common, code, &err) : CLI_FOUND;
    return rc == CLI_NONE ? CLI_FAILED : rc; /* a label or model that is not there is no answer */
}

const cli_command cmd_categories = {
    .name = "categories",
    .usage = "[show | set [FILE] | reset | apply]",
    .summary = "choose what pictures are put into",
    .describe =
        "Every picture that is added is put into one of the collection's categories: those of its\n"
        "model, or labels of one's own. `categories set` takes them from --label, or from a JSON\n"
        "file (- is stdin): {\"labels\": {\"cat\": [\"a cat\", \"a kitten\"], \"dog\": \"a dog\"}, "
        "\"templates\":\n"
        "[\"a photo of {}\"], \"logit_scale\": 100} gives each label the mean of its prompts, and "
        "a\n"
        "picture the label it is nearest to; {\"classifier\": \"NAME\", \"labels\": {\"fruit\": "
        "[\"banana\",\n"
        "\"lemon\"]}, \"rest\": \"other\"} adds up the classes of a classifier, and without labels "
        "takes\n"
        "its classes as they are. `categories reset` goes back to the model's. Pictures that are\n"
        "stored keep their categories until `categories apply`, or --apply, looks at them again.",
    .options = options,
    .size = sizeof(categories_opts),
    .min_args = 0,
    .max_args = 2,
    .run = run,
};
