/* search and similar: a question from the command line, hits as a table or as JSON. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"

typedef struct search_opts {
    cli_common common;
    lk_opt_list image, like, unlike, without, boost, fields;
    const char *where;
    int64_t top_k, offset, ef, nprobe;
    double text_weight, image_weight, min_score;
    bool exact;
} search_opts;

#define AT(member) offsetof(search_opts, member)
#define PAGING                                                                                     \
    {.name = "where",                                                                              \
     .letter = 'w',                                                                                \
     .type = LK_OPT_STR,                                                                           \
     .offset = AT(where),                                                                          \
     .arg = "EXPR",                                                                                \
     .help = "a filter: 'category == \"food\" && brightness > 0.3'"},                              \
        {.name = "top-k",                                                                          \
         .letter = 'n',                                                                            \
         .type = LK_OPT_INT,                                                                       \
         .offset = AT(top_k),                                                                      \
         .dflt = "10",                                                                             \
         .min = 1,                                                                                 \
         .max = LK_MAX_TOP_K,                                                                      \
         .help = "how many hits"},                                                                 \
        {.name = "offset",                                                                         \
         .type = LK_OPT_INT,                                                                       \
         .offset = AT(offset),                                                                     \
         .dflt = "0",                                                                              \
         .min = 0,                                                                                 \
         .max = LK_MAX_OFFSET,                                                                     \
         .help = "hits to pass over first"},                                                       \
        {.name = "min-score",                                                                      \
         .type = LK_OPT_REAL,                                                                      \
         .offset = AT(min_score),                                                                  \
         .dflt = "-1000",                                                                          \
         .min = -1000,                                                                             \
         .max = 1000,                                                                              \
         .help = "leave out hits below this score"},                                               \
        {.name = "boost",                                                                          \
         .type = LK_OPT_LIST,                                                                      \
         .offset = AT(boost),                                                                      \
         .arg = "EXPR=N",                                                                          \
         .help = "add N to the score of hits for which the filter is true"},                       \
        {.name = "fields",                                                                         \
         .type = LK_OPT_LIST,                                                                      \
         .offset = AT(fields),                                                                     \
         .arg = "NAME",                                                                            \
         .help = "with --json: only this field of each record (may be repeated)"},                 \
        {.name = "ef",                                                                             \
         .type = LK_OPT_INT,                                                                       \
         .offset = AT(ef),                                                                         \
         .dflt = "0",                                                                              \
         .min = 0,                                                                                 \
         .max = 100000,                                                                            \
         .help = "effort of a graph index; 0 chooses by top-k"},                                   \
        {.name = "nprobe",                                                                         \
         .type = LK_OPT_INT,                                                                       \
         .offset = AT(nprobe),                                                                     \
         .dflt = "0",                                                                              \
         .min = 0,                                                                                 \
         .max = 65536,                                                                             \
         .help = "lists of an ivf index to look through; 0 chooses"},                              \
    {                                                                                              \
        .name = "exact", .type = LK_OPT_BOOL, .offset = AT(exact), .dflt = "false",                \
        .help = "compare with every picture, whatever the index"                                   \
    }

static const lk_opt search_options[] = {
    {.name = "image",
     .letter = 'i',
     .type = LK_OPT_LIST,
     .offset = AT(image),
     .arg = "FILE",
     .help = "look for pictures like this one (- is stdin; may be repeated)"},
    {.name = "like",
     .type = LK_OPT_LIST,
     .offset = AT(like),
     .arg = "ID",
     .help = "look for pictures like this stored one (may be repeated)"},
    {.name = "unlike",
     .type = LK_OPT_LIST,
     .offset = AT(unlike),
     .arg = "ID",
     .help = "and unlike this stored one (may be repeated)"},
    {.name = "without",
     .type = LK_OPT_LIST,
     .offset = AT(without),
     .arg = "TEXT",
     .help = "and unlike these words (may be repeated)"},
    {.name = "text-weight",
     .type = LK_OPT_REAL,
     .offset = AT(text_weight),
     .dflt = "1",
     .min = -1000,
     .max = 1000,
     .help = "weight of the words when mixed with pictures"},
    {.name = "image-weight",
     .type = LK_OPT_REAL,
     .offset = AT(image_weight),
     .dflt = "1",
     .min = -1000,
     .max = 1000,
     .help = "weight of each picture when mixed"},
    PAGING,
    {.name = NULL},
};

static const lk_opt similar_options[] = {PAGING, {.name = NULL}};
#undef AT

typedef struct question {
    const search_opts *o;
    lk_query_part parts[LK_MAX_QUERY_PARTS];
    size_t n;
    lk_boost boosts[LK_MAX_BOOSTS];
    lk_search s;
    lk_arena a;
} question;

static lk_code add_part(question *q, lk_query_part p, lk_err *err)
{
    if (q->n == LK_MAX_QUERY_PARTS)
        return lk_fail(err, LK_E_INVALID, "a query has at most %d parts", LK_MAX_QUERY_PARTS);
    q->parts[q->n++] = p;
    return LK_OK;
}

static lk_code add_image(question *q, const char *file, lk_err *err)
{
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_code code = cli_read(file, q->o->common.engine.max_image_bytes, &b, err);
    const unsigned char *copy = code ? NULL : lk_arena_memdup(&q->a, b.p, b.n);
    size_t n = b.n;
    lk_buf_release(&b);
    if (code)
        return lk_err_prefix(err, LK_E_INVALID, "%s", file);
    if (!copy)
        return lk_fail(err, LK_E_NOMEM, "out of memory for \"%s\"", file);
    return add_part(q,
                    (lk_query_part){.kind = LK_PART_IMAGE,
                                    .weight = (float)q->o->image_weight,
                                    .bytes = {copy, n}},
                    err);
}

static lk_code add_texts(question *q, const lk_opt_list *l, lk_part_kind kind, float weight,
                         lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < l->n; i++)
        code = add_part(
            q, (lk_query_part){.kind = kind, .weight = weight, .text = lk_str_of(l->v[i])}, err);
    return code;
}

/* EXPR=N: the number stands behind the last '='. */
static lk_code add_boosts(question *q, lk_err *err)
{
    const lk_opt_list *l = &q->o->boost;
    if (l->n > LK_MAX_BOOSTS)
        return lk_fail_field(err, LK_E_INVALID, "boost", "there are at most %d boosts",
                             LK_MAX_BOOSTS);
    for (size_t i = 0; i < l->n; i++) {
        const char *eq = strrchr(l->v[i], '=');
        double add;
        if (!eq || eq == l->v[i] || !lk_str_to_f64(lk_str_of(eq + 1), &add))
            return lk_fail_field(err, LK_E_INVALID, "boost", "\"%s\" is not EXPR=NUMBER", l->v[i]);
        q->boosts[i] = (lk_boost){{l->v[i], (size_t)(eq - l->v[i])}, (float)add};
    }
    q->s.boosts = q->boosts;
    q->s.n_boosts = l->n;
    return LK_OK;
}

/* ---- answers ---- */

static lk_code write_hits(const question *q, const lk_answer *a, lk_jw *w, lk_err *err)
{
    lk_str fields[LK_MAX_OPT_LIST];
    lk_code code = LK_OK;
    for (size_t i = 0; i < q->o->fields.n; i++)
        fields[i] = lk_str_of(q->o->fields.v[i]);
    lk_jw_obj(w);
    lk_jw_key(w, "results");
    lk_jw_arr(w);
    for (size_t i = 0; !code && i < a->n; i++) {
        const lk_hit *h = &a->hits[i];
        lk_jw_obj(w);
        lk_jw_key(w, "id");
        lk_jw_str(w, h->record.id);
        lk_jw_key(w, "score");
        lk_jw_float(w, h->score);
        lk_jw_key(w, "distance");
        lk_jw_float(w, h->distance);
        lk_jw_key(w, "similarity");
        lk_jw_float(w, h->similarity);
        lk_jw_key(w, "image");
        code = lk_record_write(&h->record, fields, q->o->fields.n, w, err);
        if (!code)
            lk_jw_end_obj(w);
    }
    if (code)
        return code;
    lk_jw_end_arr(w);
    lk_jw_key(w, "matched");
    lk_jw_uint(w, a->matched);
    lk_jw_key(w, "took_ms");
    lk_jw_real(w, (double)(a->embed_us + a->search_us + a->join_us) / 1000);
    lk_jw_end_obj(w);
    return LK_OK;
}

static void print_table(const lk_answer *a, size_t offset)
{
    bool tty = isatty(STDOUT_FILENO) != 0;
    const char *dim = tty ? "\033[2m" : "", *bold = tty ? "\033[1m" : "",
               *plain = tty ? "\033[0m" : "";
    for (size_t i = 0; i < a->n; i++) {
        const lk_record *r = &a->hits[i].record;
        lk_str where = r->path.n ? r->path : r->filename.n ? r->filename : r->id;
        printf("%3zu  %s%.3f%s  %-10.*s %s%.*s%s  %.*s\n", offset + i + 1, bold,
               (double)a->hits[i].score, plain, LK_STR_ARG(r->category), dim,
               (int)(r->id.n < 12 ? r->id.n : 12), r->id.p, plain, LK_STR_ARG(where));
    }
}

static int answer(question *q, lk_engine *e)
{
    lk_answer a;
    lk_err err = {0};
    lk_code code = lk_engine_search(e, &q->s, &q->a, &a, &err);
    if (!code && q->o->common.json) {
        lk_buf b;
        lk_jw w;
        lk_buf_init(&b, 0);
        lk_jw_init(&w, &b);
        code = write_hits(q, &a, &w, &err);
        if (!code)
            return cli_print(&b, a.n ? CLI_FOUND : CLI_NONE);
        lk_buf_release(&b);
    }
    if (code)
        return cli_fail(&q->o->common, code, &err);
    print_table(&a, q->s.offset);
    if (a.n == 0)
        cli_say(&q->o->common, "nothing found");
    return a.n ? CLI_FOUND : CLI_NONE;
}

static lk_code ask(question *q, lk_err *err)
{
    const search_opts *o = q->o;
    q->s.parts = q->parts;
    q->s.n_parts = q->n;
    q->s.top_k = (size_t)o->top_k;
    q->s.offset = (size_t)o->offset;
    q->s.filter = lk_str_of(o->where);
    q->s.ef = o->ef;
    q->s.nprobe = o->nprobe;
    q->s.exact = o->exact;
    q->s.exclude_parts = true;
    q->s.has_min_score = o->min_score > -1000;
    q->s.min_score = o->min_score;
    return add_boosts(q, err);
}

static int finish(question *q, lk_code code, lk_err *err)
{
    lk_engine *e = NULL;
    int rc = CLI_FAILED;
    if (!code)
        code = ask(q, err);
    if (code)
        rc = cli_fail(&q->o->common, code, err);
    else if (cli_open(&q->o->common, LK_OPEN_EXISTING, &e, &rc))
        rc = answer(q, e);
    lk_engine_close(e);
    lk_arena_release(&q->a);
    return rc;
}

static int run_search(void *opts, int argc, char **argv)
{
    const search_opts *o = opts;
    question q = {.o = o};
    lk_err err = {0};
    lk_code code = LK_OK;
    lk_search_default(&q.s);
    lk_arena_init(&q.a, 0);
    if (argc == 1)
        code = add_part(&q,
                        (lk_query_part){.kind = LK_PART_TEXT,
                                        .weight = (float)o->text_weight,
                                        .text = lk_str_of(argv[0])},
                        &err);
    for (size_t i = 0; !code && i < o->image.n; i++)
        code = add_image(&q, o->image.v[i], &err);
    if (!code)
        code = add_texts(&q, &o->like, LK_PART_ID, 1, &err);
    if (!code)
        code = add_texts(&q, &o->unlike, LK_PART_ID, -1, &err);
    if (!code)
        code = add_texts(&q, &o->without, LK_PART_TEXT, -1, &err);
    if (!code && q.n == 0) {
        lk_arena_release(&q.a);
        return cli_usage("search", "there is nothing to search for: words, --image or --like");
    }
    return finish(&q, code, &err);
}

static int run_similar(void *opts, int argc, char **argv)
{
    question q = {.o = opts};
    lk_err err = {0};
    (void)argc;
    lk_search_default(&q.s);
    lk_arena_init(&q.a, 0);
    lk_code code = add_part(
        &q, (lk_query_part){.kind = LK_PART_ID, .weight = 1, .text = lk_str_of(argv[0])}, &err);
    return finish(&q, code, &err);
}

const cli_command cmd_search = {
    .name = "search",
    .usage = "[TEXT]",
    .summary = "find pictures by words, by pictures, or by both",
    .describe = "Finds the pictures that are nearest to the question. Words (English or Chinese),\n"
                "pictures and stored pictures may be mixed; each part has a weight, and --unlike\n"
                "and --without move away from something. A question of which the model knows no\n"
                "word is answered so, with exit status 1, and not by a guess.",
    .options = search_options,
    .size = sizeof(search_opts),
    .max_args = 1,
    .run = run_search,
};

const cli_command cmd_similar = {
    .name = "similar",
    .usage = "ID",
    .summary = "find pictures like a stored one",
    .describe = "Finds the stored pictures that are nearest to the one of this id, without it.",
    .options = similar_options,
    .size = sizeof(search_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run_similar,
};
