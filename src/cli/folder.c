/* init, info, verify, index, demo: the data folder as a whole. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/progress.h"
#include "cli/commands.h"

/* ---- init ---- */

static int run_init(void *opts, int argc, char **argv)
{
    const cli_common *c = opts;
    lk_engine *e = NULL;
    int rc = CLI_FAILED;
    (void)argc, (void)argv;
    if (!cli_open(c, LK_OPEN_CREATE, &e, &rc))
        return rc;
    lk_engine_close(e);
    if (!c->json) {
        cli_say(c, "a collection is in \"%s\"", c->engine.data_dir);
        return CLI_FOUND;
    }
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    lk_jw_obj(&w);
    lk_jw_key(&w, "data");
    lk_jw_strz(&w, c->engine.data_dir);
    lk_jw_end_obj(&w);
    return cli_print(&b, CLI_FOUND);
}

const cli_command cmd_init = {
    .name = "init",
    .usage = "",
    .summary = "make an empty collection",
    .describe =
        "Makes an empty collection in the data folder, bound to a model (--model, otherwise\n"
        "the bundled one). A collection that is there already is left as it is.",
    .max_args = 0,
    .run = run_init,
};

/* ---- info ---- */

static void write_stats(const lk_stats *s, lk_jw *w)
{
    const struct {
        const char *key;
        uint64_t v;
    } counts[] = {{"images", s->images},
                  {"vectors", s->vectors},
                  {"dim", s->dim},
                  {"objects_bytes", s->objects_bytes},
                  {"data_bytes", s->data_bytes},
                  {"memory_bytes", s->memory_bytes}};
    const struct {
        const char *key, *text;
    } texts[] = {{"model", s->model_name},        {"model_version", s->model_version},
                 {"model_key", s->model_key},     {"index", s->index},
                 {"index_state", s->index_state}, {"index_asked", s->index_asked}};
    lk_jw_obj(w);
    for (size_t i = 0; i < LK_ARRAY_LEN(counts); i++) {
        lk_jw_key(w, counts[i].key);
        lk_jw_uint(w, counts[i].v);
    }
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++) {
        lk_jw_key(w, texts[i].key);
        lk_jw_strz(w, texts[i].text);
    }
    lk_jw_key(w, "index_built");
    lk_jw_real(w, s->index_built);
    lk_jw_key(w, "index_M");
    lk_jw_int(w, s->index_M);
    lk_jw_key(w, "index_ef_construction");
    lk_jw_int(w, s->index_ef_construction);
    lk_jw_key(w, "index_nlist");
    lk_jw_int(w, s->index_nlist);
    lk_jw_key(w, "categories");
    lk_jw_raw(w, s->categories);
    lk_jw_key(w, "color_schemes");
    lk_jw_raw(w, s->color_schemes);
    lk_jw_end_obj(w);
}

static void print_stats(const lk_stats *s)
{
    printf("images         %llu\n", (unsigned long long)s->images);
    printf("pictures       %.1f MiB\n", (double)s->objects_bytes / (1 << 20));
    printf("data           %.1f MiB\n", (double)s->data_bytes / (1 << 20));
    printf("model          %s %s, %zu dimensions\n", s->model_name, s->model_version, s->dim);
    printf("index          %s, %s, %.0f %% built\n", s->index, s->index_state,
           s->index_built * 100);
    printf("categories     %.*s\n", LK_STR_ARG(s->categories));
    printf("color schemes  %.*s\n", LK_STR_ARG(s->color_schemes));
}

static int run_info(void *opts, int argc, char **argv)
{
    const cli_common *c = opts;
    lk_engine *e = NULL;
    lk_arena a;
    lk_stats s;
    lk_err err = {0};
    int rc = CLI_FAILED;
    (void)argc, (void)argv;
    if (!cli_open(c, LK_OPEN_EXISTING, &e, &rc))
        return rc;
    lk_arena_init(&a, 0);
    lk_code code = lk_engine_stats(e, &a, &s, &err);
    if (code) {
        rc = cli_fail(c, code, &err);
    } else if (c->json) {
        lk_buf b;
        lk_jw w;
        lk_buf_init(&b, 0);
        lk_jw_init(&w, &b);
        write_stats(&s, &w);
        rc = cli_print(&b, CLI_FOUND);
    } else {
        print_stats(&s);
        rc = CLI_FOUND;
    }
    lk_arena_release(&a);
    lk_engine_close(e);
    return rc;
}

const cli_command cmd_info = {
    .name = "info",
    .usage = "",
    .summary = "tell how much is stored, and how",
    .describe = "Tells how many pictures are stored, their size, the model and the index.",
    .max_args = 0,
    .run = run_info,
};

/* ---- verify ---- */

typedef struct verify_opts {
    cli_common common;
    bool deep, repair;
} verify_opts;

static const lk_opt verify_options[] = {
    {.name = "deep",
     .type = LK_OPT_BOOL,
     .offset = offsetof(verify_opts, deep),
     .dflt = "false",
     .help = "read every picture and compare its SHA-256"},
    {.name = "repair",
     .type = LK_OPT_BOOL,
     .offset = offsetof(verify_opts, repair),
     .dflt = "false",
     .help = "remove what an interrupted write left over"},
    {.name = NULL},
};

static void print_fault(void *ctx, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "%s\n", sentence);
}

static int run_verify(void *opts, int argc, char **argv)
{
    const verify_opts *o = opts;
    lk_engine *e = NULL;
    lk_verified v;
    lk_progress p;
    lk_err err = {0};
    int rc = CLI_FAILED;
    (void)argc, (void)argv;
    if (!cli_open(&o->common, LK_OPEN_EXISTING, &e, &rc))
        return rc;
    lk_progress_init(&p, o->common.quiet ? -1 : STDERR_FILENO, "verifying", "records");
    lk_code code =
        lk_engine_verify(e, o->deep, o->repair, print_fault, NULL, lk_progress_set, &p, &v, &err);
    lk_progress_finish(&p);
    lk_engine_close(e);
    if (code && code != LK_E_CORRUPT)
        return cli_fail(&o->common, code, &err);
    rc = v.faults ? CLI_FAILED : CLI_FOUND;
    if (!o->common.json) {
        cli_say(&o->common, "%llu records, %llu vectors, %llu pictures: %llu faults, %llu extras%s",
                (unsigned long long)v.records, (unsigned long long)v.vectors,
                (unsigned long long)v.objects, (unsigned long long)v.faults,
                (unsigned long long)v.extras,
                v.extras == 0 ? ""
                : o->repair   ? " (removed)"
                              : " (--repair removes them)");
        return rc;
    }
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_buf_printf(&b,
                  "{\"records\":%llu,\"vectors\":%llu,\"objects\":%llu,\"faults\":%llu,"
                  "\"extras\":%llu}",
                  (unsigned long long)v.records, (unsigned long long)v.vectors,
                  (unsigned long long)v.objects, (unsigned long long)v.faults,
                  (unsigned long long)v.extras);
    return cli_print(&b, rc);
}

const cli_command cmd_verify = {
    .name = "verify",
    .usage = "",
    .summary = "check that everything stored is whole",
    .describe = "Checks that every record has its vector and its picture, and that the files are\n"
                "whole. Exit status 4 when something is missing or damaged.",
    .options = verify_options,
    .size = sizeof(verify_opts),
    .max_args = 0,
    .run = run_verify,
};

/* ---- index ---- */

typedef struct index_opts {
    cli_common common;
    const char *kind;
    int64_t M, ef_construction, nlist;
} index_opts;

static const lk_opt index_options[] = {
    {.name = "kind",
     .type = LK_OPT_STR,
     .offset = offsetof(index_opts, kind),
     .arg = "NAME",
     .help = "auto, flat, hnsw or ivf (default: as it is)"},
    {.name = "M",
     .type = LK_OPT_INT,
     .offset = offsetof(index_opts, M),
     .arg = "N",
     .dflt = "0",
     .max = 128,
     .help = "hnsw: half the links of a vector, 4 to 128; 0 as it is, at first 24"},
    {.name = "ef-construction",
     .type = LK_OPT_INT,
     .offset = offsetof(index_opts, ef_construction),
     .arg = "N",
     .dflt = "0",
     .max = 65536,
     .help = "hnsw: candidates for links, 8 to 65536; 0 as it is, at first 160"},
    {.name = "nlist",
     .type = LK_OPT_INT,
     .offset = offsetof(index_opts, nlist),
     .arg = "N",
     .dflt = "0",
     .max = 65536,
     .help = "ivf: lists; 0 as it is, at first by the number of vectors"},
    {.name = NULL},
};

static int run_index(void *opts, int argc, char **argv)
{
    const index_opts *o = opts;
    lk_engine *e = NULL;
    lk_progress p;
    lk_err err = {0};
    int rc = CLI_FAILED;
    if (strcmp(argv[0], "status") == 0)
        return run_info(opts, argc, argv);
    if (strcmp(argv[0], "build") != 0)
        return cli_usage("index", "\"%s\" is neither build nor status", argv[0]);
    cli_catch_signals();
    if (!cli_open(&o->common, LK_OPEN_EXISTING, &e, &rc))
        return rc;
    lk_index_opts opts_now = {o->kind, o->M, o->ef_construction, o->nlist};
    lk_progress_init(&p, o->common.quiet ? -1 : STDERR_FILENO, "building", "vectors");
    lk_code code = lk_engine_build_index(e, &opts_now, lk_progress_set, &p, &cli_stop, &err);
    lk_progress_finish(&p);
    lk_engine_close(e);
    return code == LK_E_CANCELED ? CLI_STOPPED
           : code                ? cli_fail(&o->common, code, &err)
                                 : CLI_FOUND;
}

const cli_command cmd_index = {
    .name = "index",
    .usage = "build|status",
    .summary = "build the vector index, or tell its state",
    .describe =
        "Builds the index over the stored vectors anew, or tells its state. \"auto\" compares\n"
        "every vector up to 20,000 of them and builds a graph (hnsw) from there on; \"ivf\"\n"
        "is quicker to build and smaller. What is given here stays the collection's.",
    .options = index_options,
    .size = sizeof(index_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run_index,
};

/* ---- demo ---- */

static int run_demo(void *opts, int argc, char **argv)
{
    const cli_common *c = opts;
    lk_err err = {0};
    size_t n = 0;
    (void)argc;
    lk_code code = lk_demo_draw(argv[0], &n, &err);
    if (code)
        return cli_fail(c, code, &err);
    cli_say(c, "%zu pictures drawn in \"%s\"", n, argv[0]);
    return CLI_FOUND;
}

const cli_command cmd_demo = {
    .name = "demo",
    .usage = "DIR",
    .summary = "draw a small gallery to try things with",
    .describe = "Draws a small gallery of simple scenes and patterns as picture files in DIR.",
    .min_args = 1,
    .max_args = 1,
    .run = run_demo,
};
