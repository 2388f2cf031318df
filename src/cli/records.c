/* get, list, rm: stored pictures by id. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"

/* ---- get ---- */

static int run_get(void *opts, int argc, char **argv)
{
    const cli_common *c = opts;
    lk_engine *e = NULL;
    lk_arena a;
    lk_record r;
    lk_err err = {0};
    int rc = CLI_FAILED;
    (void)argc;
    if (!cli_open(c, LK_OPEN_EXISTING, &e, &rc))
        return rc;
    lk_arena_init(&a, 0);
    lk_code code = lk_engine_get(e, lk_str_of(argv[0]), &a, &r, &err);
    if (code) {
        rc = cli_fail(c, code, &err);
    } else {
        lk_buf b;
        lk_buf_init(&b, 0);
        lk_buf_put(&b, r.doc.p, r.doc.n);
        rc = cli_print(&b, CLI_FOUND);
    }
    lk_arena_release(&a);
    lk_engine_close(e);
    return rc;
}

const cli_command cmd_get = {
    .name = "get",
    .usage = "ID",
    .summary = "print what is known about a picture, as JSON",
    .describe = "Prints the record of a stored picture as one JSON document.",
    .min_args = 1,
    .max_args = 1,
    .run = run_get,
};

/* ---- list ---- */

typedef struct list_opts {
    cli_common common;
    const char *where;
    int64_t limit;
} list_opts;

static const lk_opt list_options[] = {
    {.name = "where",
     .letter = 'w',
     .type = LK_OPT_STR,
     .offset = offsetof(list_opts, where),
     .arg = "EXPR",
     .help = "only records for which this filter is true"},
    {.name = "limit",
     .letter = 'n',
     .type = LK_OPT_INT,
     .offset = offsetof(list_opts, limit),
     .dflt = "0",
     .min = 0,
     .max = 1e9,
     .help = "stop after so many; 0 is all"},
    {.name = NULL},
};

static void print_record(const list_opts *o, const lk_record *r)
{
    if (o->common.json) {
        printf("%.*s\n", LK_STR_ARG(r->doc));
        return;
    }
    lk_str where = r->path.n ? r->path : r->filename;
    printf("%.*s  %-10.*s %.*s\n", LK_STR_ARG(r->id), LK_STR_ARG(r->category), LK_STR_ARG(where));
}

static lk_code list_all(const list_opts *o, lk_engine *e, uint64_t *ret_n, lk_err *err)
{
    lk_buf cursor;
    lk_code code = LK_OK;
    bool more = true;
    lk_buf_init(&cursor, 65536);
    while (!code && more && (o->limit == 0 || *ret_n < (uint64_t)o->limit)) {
        lk_arena a;
        lk_record *r = NULL;
        size_t n = 0, most = 500;
        lk_str next = {0};
        if (o->limit && (uint64_t)o->limit - *ret_n < most)
            most = (size_t)((uint64_t)o->limit - *ret_n);
        lk_arena_init(&a, 0);
        code = lk_engine_list(e, lk_buf_str(&cursor), most, lk_str_of(o->where), &a, &r, &n, &next,
                              err);
        for (size_t i = 0; !code && i < n; i++)
            print_record(o, &r[i]);
        if (!code) {
            *ret_n += n;
            more = next.n > 0;
            lk_buf_clear(&cursor);
            lk_buf_put(&cursor, next.p, next.n);
            code = lk_buf_check(&cursor, err);
        }
        lk_arena_release(&a);
    }
    lk_buf_release(&cursor);
    return code;
}

static int run_list(void *opts, int argc, char **argv)
{
    const list_opts *o = opts;
    lk_engine *e = NULL;
    lk_err err = {0};
    uint64_t n = 0;
    int rc = CLI_FAILED;
    (void)argc, (void)argv;
    if (!cli_open(&o->common, LK_OPEN_EXISTING, &e, &rc))
        return rc;
    lk_code code = list_all(o, e, &n, &err);
    rc = code ? cli_fail(&o->common, code, &err) : n ? CLI_FOUND : CLI_NONE;
    lk_engine_close(e);
    return rc;
}

const cli_command cmd_list = {
    .name = "list",
    .usage = "",
    .summary = "list the stored pictures, newest first",
    .describe =
        "Lists the stored pictures, newest first: id, category and path a line; with --json\n"
        "one record a line.",
    .options = list_options,
    .size = sizeof(list_opts),
    .max_args = 0,
    .run = run_list,
};

/* ---- rm ---- */

typedef struct rm_opts {
    cli_common common;
    const char *where;
} rm_opts;

static const lk_opt rm_options[] = {
    {.name = "where",
     .letter = 'w',
     .type = LK_OPT_STR,
     .offset = offsetof(rm_opts, where),
     .arg = "EXPR",
     .help = "remove every picture for which this filter is true"},
    {.name = NULL},
};

static int report_removed(const cli_common *c, uint64_t removed, size_t failed)
{
    int rc = failed ? CLI_SOME_FAILED : removed ? CLI_FOUND : CLI_NONE;
    if (!c->json) {
        cli_say(c, "%llu removed, %zu failed", (unsigned long long)removed, failed);
        return rc;
    }
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_buf_printf(&b, "{\"removed\":%llu,\"failed\":%zu}", (unsigned long long)removed, failed);
    return cli_print(&b, rc);
}

static int run_rm(void *opts, int argc, char **argv)
{
    const rm_opts *o = opts;
    lk_engine *e = NULL;
    lk_err err = {0};
    uint64_t removed = 0;
    size_t failed = 0;
    int rc = CLI_FAILED;
    if ((argc == 0) == !o->where)
        return cli_usage("rm", "either ids or --where");
    if (!cli_open(&o->common, LK_OPEN_EXISTING, &e, &rc))
        return rc;
    lk_code code = LK_OK;
    if (o->where)
        code = lk_engine_delete_where(e, lk_str_of(o->where), &removed, &err);
    for (int i = 0; i < argc; i++) {
        if (lk_engine_delete(e, lk_str_of(argv[i]), &err) == LK_OK) {
            removed++;
            continue;
        }
        failed++;
        fprintf(stderr, "%s: %s\n", argv[i], err.text);
    }
    rc = code ? cli_fail(&o->common, code, &err) : report_removed(&o->common, removed, failed);
    lk_engine_close(e);
    return rc;
}

const cli_command cmd_rm = {
    .name = "rm",
    .usage = "ID...",
    .summary = "remove pictures by id or by filter",
    .describe =
        "Removes pictures: record, vector, and the stored file when no other record holds the\n"
        "same bytes. The files they were added from are not touched.",
    .options = rm_options,
    .size = sizeof(rm_opts),
    .max_args = -1,
    .run = run_rm,
};
