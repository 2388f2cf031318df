/* add: folders and files into the collection, several at a time.
 *
 * The walk collects paths first (sorted, so that two runs see the same order), which gives progress
 * a total; workers then take the next path each. What is no picture by its first bytes is skipped
 * and counted. A picture whose bytes are there already is recognised by its hash before anything is
 * decoded, so a second run over a half-added folder goes straight to what is missing. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "cli/commands.h"

#define SNIFF_BYTES 4096
#define MAX_PATHS 50000000u
#define MAX_FOLDER_DEPTH 64

typedef struct add_opts {
    cli_common common;
    const char *id;
    lk_opt_list meta;
    const char *from_file;
    bool no_recurse;
} add_opts;

static const lk_opt options[] = {
    {.name = "id",
     .type = LK_OPT_STR,
     .offset = offsetof(add_opts, id),
     .arg = "ID",
     .help = "the id of a single picture (default: from its SHA-256)"},
    {.name = "meta",
     .letter = 'm',
     .type = LK_OPT_LIST,
     .offset = offsetof(add_opts, meta),
     .arg = "KEY=VALUE",
     .help = "metadata for every picture; numbers, true and false are typed"},
    {.name = "from-file",
     .type = LK_OPT_STR,
     .offset = offsetof(add_opts, from_file),
     .arg = "FILE",
     .help = "read paths from FILE, one a line (- is stdin)"},
    {.name = "no-recurse",
     .type = LK_OPT_BOOL,
     .offset = offsetof(add_opts, no_recurse),
     .dflt = "false",
     .help = "do not go into folders below the given ones"},
    {.name = NULL},
};

typedef struct path_list {
    char **v;
    size_t n, cap;
} path_list;

typedef struct failure {
    char *path;
    lk_err err;
} failure;

typedef struct job {
    const add_opts *o;
    lk_engine *e;
    path_list paths;
    lk_str meta;
    lk_buf one; /* the bytes of stdin, when that is the picture */
    lk_progress progress;

    lk_mutex lock; /* the counts and failures below */
    uint64_t added, duplicate, replaced, skipped;
    failure *failures;
    size_t n_failures, cap_failures;
} job;

/* ---- paths ---- */

static lk_code push(path_list *l, const char *path, lk_err *err)
{
    void *v = l->v;
    char *copy = lk_strdup(path);
    if (!copy || l->n >= MAX_PATHS || !lk_grow(&v, &l->cap, l->n + 1, sizeof *l->v)) {
        lk_free(copy);
        return lk_fail(err, LK_E_NOMEM, "out of memory for the list of files");
    }
    l->v = v;
    l->v[l->n++] = copy;
    return LK_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void release_paths(path_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        lk_free(l->v[i]);
    lk_free(l->v);
    *l = (path_list){0};
}

static lk_code walk(path_list *l, const char *dir, unsigned depth, bool recurse, lk_err *err);

/* Hidden entries are passed over; links to files are followed, links to folders are not, so that a
 * loop of links cannot trap the walk. */
static lk_code walk_entry(path_list *l, const char *path, unsigned depth, bool recurse, lk_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return LK_OK; /* gone since it was listed */
    bool link = S_ISLNK(st.st_mode);
    if (link && stat(path, &st) != 0)
        return LK_OK;
    if (S_ISREG(st.st_mode))
        return push(l, path, err);
    if (S_ISDIR(st.st_mode) && !link && recurse && depth < MAX_FOLDER_DEPTH)
        return walk(l, path, depth + 1, recurse, err);
    return LK_OK;
}

static lk_code walk(path_list *l, const char *dir, unsigned depth, bool recurse, lk_err *err)
{
    DIR *d = opendir(dir);
    path_list here = {0};
    lk_code code = LK_OK;
    if (!d)
        return lk_fail_sys(err, errno, "cannot read the folder \"%s\"", dir);
    for (struct dirent *e; !code && (e = readdir(d));) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.' && n > 0 && (size_t)n < sizeof path)
            code = push(&here, path, err);
    }
    closedir(d);
    if (here.n)
        qsort(here.v, here.n, sizeof *here.v, by_name);
    for (size_t i = 0; !code && i < here.n && !lk_cancel_is_set(&cli_stop); i++)
        code = walk_entry(l, here.v[i], depth, recurse, err);
    release_paths(&here);
    return code;
}

/* An argument: a file, or a folder to walk. Paths become absolute, as records keep them. */
static lk_code collect(job *j, const char *arg, lk_err *err)
{
    char path[PATH_MAX];
    struct stat st;
    if (!realpath(arg, path))
        return lk_fail_sys(err, errno, "\"%s\"", arg);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return walk(&j->paths, path, 0, !j->o->no_recurse, err);
    return push(&j->paths, path, err);
}

static lk_code collect_list(job *j, const char *file, lk_err *err)
{
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_code code = cli_read(file, (size_t)1 << 30, &b, err);
    lk_str rest = lk_buf_str(&b);
    while (!code && rest.n) {
        lk_str line = lk_str_cut(&rest, '\n');
        char path[PATH_MAX];
        if (line.n == 0 || line.n >= sizeof path)
            continue;
        memcpy(path, line.p, line.n);
        path[line.n] = '\0';
        code = collect(j, path, err);
    }
    lk_buf_release(&b);
    return code;
}

/* ---- metadata ---- */

static void write_value(lk_jw *w, lk_str v)
{
    int64_t i;
    double d;
    if (lk_str_is(v, "true") || lk_str_is(v, "false"))
        lk_jw_bool(w, v.p[0] == 't');
    else if (lk_str_to_i64(v, &i))
        lk_jw_int(w, i);
    else if (lk_str_to_f64(v, &d))
        lk_jw_real(w, d);
    else
        lk_jw_str(w, v);
}

static lk_code build_meta(const lk_opt_list *l, lk_buf *b, lk_err *err)
{
    lk_jw w;
    lk_jw_init(&w, b);
    lk_jw_obj(&w);
    for (size_t i = 0; i < l->n; i++) {
        lk_str value = lk_str_of(l->v[i]);
        if (lk_str_find(value, LK_STR("=")) == SIZE_MAX)
            return lk_fail_field(err, LK_E_INVALID, "meta", "\"%s\" is not KEY=VALUE", l->v[i]);
        lk_str key = lk_str_cut(&value, '=');
        if (key.n == 0)
            return lk_fail_field(err, LK_E_INVALID, "meta", "\"%s\" has no key", l->v[i]);
        lk_jw_key_str(&w, key);
        write_value(&w, value);
    }
    lk_jw_end_obj(&w);
    return lk_buf_check(b, err);
}

/* ---- one file ---- */

static void count_failure(job *j, const char *path, const lk_err *err)
{
    void *v = j->failures;
    if (!lk_grow(&v, &j->cap_failures, j->n_failures + 1, sizeof *j->failures))
        return;
    j->failures = v;
    j->failures[j->n_failures++] = (failure){lk_strdup(path), *err};
    if (!j->o->common.quiet)
        fprintf(stderr, "%s%s: %s\n", j->progress.tty ? "\r\033[K" : "", path, err->text);
}

static void count(job *j, const char *path, lk_code code, const lk_added *a, const lk_err *err)
{
    lk_mutex_lock(&j->lock);
    if (code)
        count_failure(j, path, err);
    else if (!a)
        j->skipped++;
    else if (a->status == LK_ADDED)
        j->added++;
    else if (a->status == LK_ADD_DUPLICATE)
        j->duplicate++;
    else
        j->replaced++;
    lk_mutex_unlock(&j->lock);
    lk_progress_add(&j->progress, code ? 0 : 1, code ? 1 : 0);
}

/* By its first bytes, without reading a film to find out that it is one. */
static lk_code is_picture(const char *path, bool *ret, lk_err *err)
{
    unsigned char head[SNIFF_BYTES];
    const lk_os_table *os = lk_os();
    int fd = os->open(path, 0 /* O_RDONLY */, 0);
    if (fd < 0)
        return lk_fail_sys(err, errno, "cannot be opened");
    ssize_t n = os->read(fd, head, sizeof head);
    int sys = errno;
    os->close(fd);
    if (n < 0)
        return lk_fail_sys(err, sys, "cannot be read");
    *ret = lk_engine_is_picture((lk_blob){head, (size_t)n});
    return LK_OK;
}

static lk_code add_bytes(job *j, lk_blob bytes, const char *path, lk_arena *a, lk_added *ret,
                         lk_err *err)
{
    lk_add in = {
        .bytes = bytes, .id = lk_str_of(j->o->id), .path = lk_str_of(path), .meta = j->meta};
    return lk_engine_add(j->e, &in, a, ret, err);
}

static void add_path(void *ctx, size_t i)
{
    job *j = ctx;
    const char *path = j->paths.v[i];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_added added;
    lk_arena a;
    lk_err err = {0};
    bool picture = false;
    if (lk_cancel_is_set(&cli_stop))
        return;
    lk_arena_init(&a, 0);
    lk_code code = is_picture(path, &picture, &err);
    if (!code && picture)
        code = lk_os_read_file(path, j->o->common.engine.max_image_bytes, &p, &n, &err);
    if (!code && picture)
        code = add_bytes(j, (lk_blob){p, n}, path, &a, &added, &err);
    count(j, path, code, picture ? &added : NULL, &err);
    lk_free(p);
    lk_arena_release(&a);
}

/* ---- the whole ---- */

static int report(job *j)
{
    bool stopped = lk_cancel_is_set(&cli_stop);
    int rc = stopped                                      ? CLI_STOPPED
             : j->n_failures                              ? CLI_SOME_FAILED
             : j->added + j->duplicate + j->replaced == 0 ? CLI_NONE
                                                          : CLI_FOUND;
    if (j->o->common.json) {
        lk_buf b;
        lk_jw w;
        lk_buf_init(&b, 0);
        lk_jw_init(&w, &b);
        lk_jw_obj(&w);
        const struct {
            const char *key;
            uint64_t n;
        } counts[] = {{"added", j->added},
                      {"duplicates", j->duplicate},
                      {"replaced", j->replaced},
                      {"skipped", j->skipped},
                      {"failed", j->n_failures}};
        for (size_t i = 0; i < LK_ARRAY_LEN(counts); i++) {
            lk_jw_key(&w, counts[i].key);
            lk_jw_uint(&w, counts[i].n);
        }
        lk_jw_key(&w, "stopped");
        lk_jw_bool(&w, stopped);
        lk_jw_key(&w, "failures");
        lk_jw_arr(&w);
        for (size_t i = 0; i < j->n_failures; i++) {
            lk_jw_obj(&w);
            lk_jw_key(&w, "path");
            lk_jw_strz(&w, j->failures[i].path);
            lk_jw_key(&w, "code");
            lk_jw_strz(&w, lk_code_word(j->failures[i].err.code));
            lk_jw_key(&w, "message");
            lk_jw_strz(&w, j->failures[i].err.text);
            lk_jw_end_obj(&w);
        }
        lk_jw_end_arr(&w);
        lk_jw_end_obj(&w);
        return cli_print(&b, rc);
    }
    cli_say(&j->o->common,
            "%llu added, %llu already there, %llu replaced, %llu no pictures, %zu failed%s",
            (unsigned long long)j->added, (unsigned long long)j->duplicate,
            (unsigned long long)j->replaced, (unsigned long long)j->skipped, j->n_failures,
            stopped ? " (stopped; the same command goes on from here)" : "");
    return rc;
}

static int add_stdin(job *j)
{
    lk_arena a;
    lk_added added;
    lk_err err = {0};
    lk_arena_init(&a, 0);
    lk_code code = cli_read("-", j->o->common.engine.max_image_bytes, &j->one, &err);
    if (!code)
        code = add_bytes(j, (lk_blob){(const unsigned char *)j->one.p, j->one.n}, NULL, &a, &added,
                         &err);
    count(j, "-", code, &added, &err);
    lk_arena_release(&a);
    return report(j);
}

static int add_paths(job *j, int argc, char **argv)
{
    lk_err err = {0};
    lk_code code = LK_OK;
    for (int i = 0; i < argc; i++)
        if (collect(j, argv[i], &err))
            count(j, argv[i], err.code, NULL, &err);
    if (j->o->from_file)
        code = collect_list(j, j->o->from_file, &err);
    if (!code && j->o->id && j->paths.n > 1)
        code =
            lk_fail_field(&err, LK_E_INVALID, "id", "--id names one picture, not %zu", j->paths.n);
    if (!code) {
        lk_progress_set_total(&j->progress, j->paths.n + j->n_failures);
        code = lk_parallel_for(j->paths.n, (unsigned)j->o->common.engine.threads, 1, add_path, j,
                               &err);
    }
    lk_progress_finish(&j->progress);
    return code ? cli_fail(&j->o->common, code, &err) : report(j);
}

static int run(void *opts, int argc, char **argv)
{
    add_opts *o = opts;
    job j = {.o = o};
    lk_buf meta;
    lk_err err = {0};
    int rc = CLI_USAGE;
    if (argc == 0 && !o->from_file)
        return cli_usage("add", "usage: lookalike add PATH...");
    cli_catch_signals();
    lk_buf_init(&meta, LK_MAX_META_BYTES);
    lk_buf_init(&j.one, 0);
    lk_mutex_init(&j.lock, LK_RANK_LEAF);
    bool from_stdin = argc == 1 && strcmp(argv[0], "-") == 0;
    lk_progress_init(&j.progress, o->common.quiet || from_stdin ? -1 : STDERR_FILENO, "adding",
                     "images");
    lk_code code = build_meta(&o->meta, &meta, &err);
    if (code)
        rc = cli_fail(&o->common, code, &err);
    else if (cli_open(&o->common, LK_OPEN_CREATE, &j.e, &rc)) {
        if (o->meta.n)
            j.meta = lk_buf_str(&meta);
        rc = from_stdin ? add_stdin(&j) : add_paths(&j, argc, argv);
    }
    lk_engine_close(j.e);
    for (size_t i = 0; i < j.n_failures; i++)
        lk_free(j.failures[i].path);
    lk_free(j.failures);
    release_paths(&j.paths);
    lk_mutex_release(&j.lock);
    lk_buf_release(&j.one);
    lk_buf_release(&meta);
    return rc;
}

const cli_command cmd_add = {
    .name = "add",
    .usage = "PATH...",
    .summary = "add pictures: files, or folders with all that is below them",
    .describe =
        "Adds pictures to the collection, which is made when it is not there. Folders are walked;\n"
        "what is no picture by its bytes is skipped and counted. A picture that is there already\n"
        "is recognised and not stored twice, so a run that was stopped goes on where it was when\n"
        "the same command is given again. `add -` reads one picture from stdin.",
    .options = options,
    .size = sizeof(add_opts),
    .max_args = -1,
    .run = run,
};
