/* embed: the vector of words, pictures, stored pictures, or of all of them mixed. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/commands.h"

typedef struct embed_opts {
    cli_common common;
    lk_opt_list text, image, like;
    double text_weight, image_weight;
    bool each;
} embed_opts;

#define AT(member) offsetof(embed_opts, member)
static const lk_opt embed_options[] = {
    {.name = "text",
     .letter = 't',
     .type = LK_OPT_LIST,
     .offset = AT(text),
     .arg = "TEXT",
     .help = "words; of several, the mean of all (may be repeated)"},
    {.name = "image",
     .letter = 'i',
     .type = LK_OPT_LIST,
     .offset = AT(image),
     .arg = "FILE",
     .help = "a picture (- is stdin; may be repeated)"},
    {.name = "like",
     .type = LK_OPT_LIST,
     .offset = AT(like),
     .arg = "ID",
     .help = "a stored picture (may be repeated)"},
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
    {.name = "each",
     .type = LK_OPT_BOOL,
     .offset = AT(each),
     .dflt = "false",
     .help = "a vector for each by itself: texts, then pictures, then stored pictures"},
    {.name = NULL},
};
#undef AT

#define MAX_PARTS (3 * LK_MAX_OPT_LIST + 1)

typedef struct embedding {
    const embed_opts *o;
    lk_str texts[LK_MAX_OPT_LIST + 1];
    size_t n_texts;
    lk_query_part parts[MAX_PARTS];
    size_t n;
    lk_arena a;
} embedding;

static lk_code add_image(embedding *m, const char *file, lk_err *err)
{
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_code code = cli_read(file, m->o->common.engine.max_image_bytes, &b, err);
    const unsigned char *copy = code ? NULL : lk_arena_memdup(&m->a, b.p, b.n);
    lk_query_part part = {
        .kind = LK_PART_IMAGE, .weight = (float)m->o->image_weight, .bytes = {copy, b.n}};
    lk_buf_release(&b);
    if (code)
        return lk_err_prefix(err, LK_E_INVALID, "%s", file);
    if (!copy)
        return lk_fail(err, LK_E_NOMEM, "out of memory for \"%s\"", file);
    m->parts[m->n++] = part;
    return LK_OK;
}

/* The words of all --text as one part, or with --each a part for each. */
static void add_texts(embedding *m, const char *first)
{
    const embed_opts *o = m->o;
    lk_query_part part = {.kind = LK_PART_TEXT, .weight = (float)o->text_weight};
    if (first)
        m->texts[m->n_texts++] = lk_str_of(first);
    for (size_t i = 0; i < o->text.n; i++)
        m->texts[m->n_texts++] = lk_str_of(o->text.v[i]);
    part.prompts = m->texts;
    part.n_prompts = m->n_texts;
    if (!o->each && m->n_texts)
        m->parts[m->n++] = part;
    part.n_prompts = 1;
    for (size_t i = 0; o->each && i < m->n_texts; i++, part.prompts++)
        m->parts[m->n++] = part;
}

static lk_code add_parts(embedding *m, const char *first, lk_err *err)
{
    const embed_opts *o = m->o;
    lk_code code = LK_OK;
    add_texts(m, first);
    for (size_t i = 0; !code && i < o->image.n; i++)
        code = add_image(m, o->image.v[i], err);
    for (size_t i = 0; !code && i < o->like.n; i++)
        m->parts[m->n++] =
            (lk_query_part){.kind = LK_PART_ID, .weight = 1, .text = lk_str_of(o->like.v[i])};
    return code;
}

static void write_numbers(lk_jw *w, const float *v, size_t dim)
{
    lk_jw_arr(w);
    for (size_t i = 0; i < dim; i++)
        lk_jw_float(w, v[i]);
    lk_jw_end_arr(w);
}

/* As text: the numbers of a vector in a line. */
static void put_line(lk_buf *b, const float *v, size_t dim)
{
    if (b->n)
        lk_buf_putc(b, '\n');
    for (size_t i = 0; i < dim; i++)
        lk_buf_printf(b, i ? " %.9g" : "%.9g", (double)v[i]);
}

static lk_code write_vectors(embedding *m, lk_engine *e, lk_buf *out, lk_err *err)
{
    lk_jw w;
    lk_model_seen model;
    bool json = m->o->common.json, each = m->o->each;
    size_t step = each ? 1 : m->n, dim = 0;
    lk_code code = lk_engine_model_of(e, &m->a, &model, err);
    if (!code && json) {
        lk_jw_init(&w, out);
        lk_jw_obj(&w);
        lk_jw_key(&w, "model");
        lk_jw_strz(&w, model.name);
        lk_jw_key(&w, "dim");
        lk_jw_uint(&w, model.dim);
        lk_jw_key(&w, each ? "vectors" : "vector");
        if (each)
            lk_jw_arr(&w);
    }
    for (size_t i = 0; !code && i < m->n; i += step) {
        const float *v = NULL;
        code = lk_engine_embed(e, m->parts + i, step, &m->a, &v, &dim, err);
        if (!code && json)
            write_numbers(&w, v, dim);
        else if (!code)
            put_line(out, v, dim);
    }
    if (!code && json) {
        if (each)
            lk_jw_end_arr(&w);
        lk_jw_end_obj(&w);
    }
    return code;
}

static int answer(embedding *m)
{
    lk_engine *e = NULL;
    lk_buf out;
    lk_err err = {0};
    int rc = CLI_FAILED;
    /* A model that is named needs no collection, and then must not wait for one in use. */
    bool alone = m->o->common.engine.model && m->o->like.n == 0;
    if (!cli_open(&m->o->common, alone ? LK_OPEN_MODEL : LK_OPEN_EXISTING, &e, &rc))
        return rc;
    lk_buf_init(&out, 0);
    lk_code code = write_vectors(m, e, &out, &err);
    lk_engine_close(e);
    if (!code)
        return cli_print(&out, CLI_FOUND);
    lk_buf_release(&out);
    return cli_fail(&m->o->common, code, &err);
}

static int run(void *opts, int argc, char **argv)
{
    embedding m = {.o = opts};
    lk_err err = {0};
    int rc;
    lk_arena_init(&m.a, 0);
    lk_code code = add_parts(&m, argc ? argv[0] : NULL, &err);
    if (code)
        rc = cli_fail(&m.o->common, code, &err);
    else if (m.n == 0)
        rc = cli_usage("embed", "there is nothing to embed: words, --image or --like");
    else
        rc = answer(&m);
    lk_arena_release(&m.a);
    return rc;
}

const cli_command cmd_embed = {
    .name = "embed",
    .usage = "[TEXT]",
    .summary = "print the vector of words or pictures",
    .describe =
        "Prints the vector that a search for the same would look for: the numbers in a line, or\n"
        "an object with --json. It is made by the collection's model; with --model by that one,\n"
        "and then no collection is needed.",
    .options = embed_options,
    .size = sizeof(embed_opts),
    .max_args = 1,
    .run = run,
};
