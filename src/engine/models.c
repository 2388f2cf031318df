#include "engine/models.h"

#include <limits.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"
#include "model/install.h"
#include "model/trial.h"

/* The options of the model room; dir holds the path that is made. */
static lk_code model_opts(const lk_engine_opts *o, char dir[PATH_MAX], lk_model_opts *ret,
                          lk_err *err)
{
    int n = o->models_dir ? snprintf(dir, PATH_MAX, "%s", o->models_dir)
                          : snprintf(dir, PATH_MAX, "%s/models", o->data_dir);
    if (n < 0 || n >= PATH_MAX)
        return lk_fail_field(err, LK_E_LIMIT, "models",
                             "the path of the models folder is too long");
    *ret = lk_engine_model_opts(o, dir);
    return LK_OK;
}

/* ---- listing ---- */

typedef struct listing {
    lk_model_listed_fn *see;
    void *ctx;
    const char *models_dir;
    lk_code code;
    lk_err err;
} listing;

static void see_here(void *ctx, const lk_model_info *info, const char *where)
{
    const listing *l = ctx;
    const char *slash = strrchr(where, '/');
    const lk_model_listed m = {.name = slash ? slash + 1 : where,
                               .state = info->dim == 0 ? LK_MODEL_FAULTY
                                        : slash        ? LK_MODEL_INSTALLED
                                                       : LK_MODEL_BUNDLED,
                               .version = info->version,
                               .describe = info->describe,
                               .where = slash ? where : "",
                               .dim = info->dim,
                               .has_image = info->has_image,
                               .has_text = info->has_text};
    l->see(l->ctx, &m);
}

static bool is_installed(const listing *l, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", l->models_dir, name);
    return n > 0 && (size_t)n < sizeof path && lk_os_exists(path);
}

static void see_shipped(void *ctx, const char *name, lk_str text)
{
    listing *l = ctx;
    lk_arena a;
    lk_hub hub;
    lk_card card;
    if (l->code || is_installed(l, name))
        return;
    lk_arena_init(&a, 0);
    lk_code code = lk_pull_card(text, &a, &hub, &card, &l->err);
    if (code && code != LK_E_UNSUPPORTED) /* of files that are exported, not pulled */
        l->code = code;
    const lk_model_listed m = {.name = name,
                               .state = LK_MODEL_PULLABLE,
                               .version = code ? "" : card.version,
                               .describe = code ? "" : card.describe,
                               .where = code ? "" : hub.repository,
                               .dim = code ? 0 : card.dim,
                               .has_image = !code && card.has_image,
                               .has_text = !code && card.has_text};
    if (!code)
        l->see(l->ctx, &m);
    lk_arena_release(&a);
}

lk_code lk_engine_models(const lk_engine_opts *opts, lk_model_listed_fn *see, void *ctx,
                         lk_err *err)
{
    char dir[PATH_MAX];
    lk_model_opts mo;
    listing l = {.see = see, .ctx = ctx, .models_dir = dir};
    lk_code code = model_opts(opts, dir, &mo, err);
    if (!code)
        code = lk_model_list(&mo, see_here, &l, err);
    if (!code)
        lk_model_shipped(see_shipped, &l);
    if (l.code && err)
        *err = l.err;
    return code ? code : l.code;
}

/* ---- in and out ---- */

lk_code lk_engine_model_pull(const lk_engine_opts *opts, const lk_pull_opts *pull, lk_pulled *ret,
                             lk_err *err)
{
    char dir[PATH_MAX];
    lk_model_opts mo;
    lk_pull_opts p = *pull;
    lk_code code = model_opts(opts, dir, &mo, err);
    p.model = &mo;
    return code ? code : lk_model_pull(&p, ret, err);
}

lk_code lk_engine_model_add(const lk_engine_opts *opts, const char *dir, const char *name,
                            const lk_cancel *cancel, lk_pulled *ret, lk_err *err)
{
    char models[PATH_MAX];
    lk_model_opts mo;
    lk_pulled done = {.name = ""};
    lk_code code = model_opts(opts, models, &mo, err);
    if (!code)
        code = lk_model_add(dir, name, &mo, cancel, done.name, err);
    if (!code && snprintf(done.where, sizeof done.where, "%s/%s", models, done.name) < 0)
        code = lk_fail(err, LK_E_INTERNAL, "the model's path cannot be written");
    if (!code)
        *ret = done;
    return code;
}

/* The models that the data folder's collection lives in, or keeps vectors of; NULL where there is
 * none. */
static lk_code models_of_data(const lk_engine_opts *o, lk_arena *a, const char *ret[2], lk_err *err)
{
    char path[PATH_MAX];
    int lock = -1, n = snprintf(path, sizeof path, "%s/records.db", o->data_dir);
    lk_records *r = NULL;
    ret[0] = ret[1] = NULL;
    if (n < 0 || (size_t)n >= sizeof path || !lk_os_exists(path))
        return LK_OK;
    snprintf(path, sizeof path, "%s/lock", o->data_dir);
    lk_code code = lk_os_lock(path, &lock, err);
    snprintf(path, sizeof path, "%s/records.db", o->data_dir);
    if (!code)
        code = lk_records_open(path, &r, err);
    if (!code)
        code = lk_spaces_models(r, a, ret, err);
    lk_records_close(r);
    if (lock >= 0)
        lk_os_unlock(lock);
    return code;
}

lk_code lk_engine_model_remove(const lk_engine_opts *opts, const char *name, lk_err *err)
{
    char dir[PATH_MAX];
    const char *needed[2];
    lk_model_opts mo;
    lk_arena a;
    lk_arena_init(&a, 0);
    lk_code code = model_opts(opts, dir, &mo, err);
    if (!code)
        code = models_of_data(opts, &a, needed, err);
    for (size_t i = 0; !code && i < 2; i++)
        if (needed[i] && strcmp(needed[i], name) == 0)
            code = lk_fail_field(err, LK_E_DENIED, "name",
                                 "the collection in \"%s\" was made with %s and needs it",
                                 opts->data_dir, name);
    if (!code)
        code = lk_model_remove(name, &mo, err);
    lk_arena_release(&a);
    return code;
}

lk_code lk_engine_model_export(const lk_engine_opts *opts, const char *name, const char *dir,
                               lk_err *err)
{
    char models[PATH_MAX];
    lk_model_opts mo;
    lk_code code = model_opts(opts, models, &mo, err);
    return code ? code : lk_model_export(name, &mo, dir, err);
}

/* ---- trying ---- */

lk_code lk_engine_model_check(const lk_engine_opts *opts, const char *name, const char *photos,
                              const lk_cancel *cancel, lk_checked *ret, lk_err *err)
{
    char dir[PATH_MAX];
    lk_model_opts mo;
    lk_code code = model_opts(opts, dir, &mo, err);
    const lk_check_opts co = {
        .model = &mo, .canary_min = opts->canary_min, .photos = photos, .cancel = cancel};
    return code ? code : lk_model_check(name, &co, ret, err);
}

lk_code lk_engine_model_vet(const lk_engine_opts *opts, const lk_cancel *cancel, lk_err *err)
{
    char dir[PATH_MAX];
    const char *names[2] = {NULL};
    lk_model_opts mo;
    lk_arena a;
    lk_arena_init(&a, 0);
    lk_code code = model_opts(opts, dir, &mo, err);
    if (!code)
        code = models_of_data(opts, &a, names, err);
    if (opts->model || !names[0])
        names[0] = opts->model ? opts->model : "mini";
    for (size_t i = 0; !code && i < 2; i++)
        if (names[i])
            code = lk_model_vet(names[i], &mo, cancel, err);
    lk_arena_release(&a);
    return code;
}

static lk_code bench_rows(lk_model *m, const lk_bench_opts *bench, lk_benched *b, lk_err *err)
{
    static const lk_bench_row rows[] = {{.batch = 1, .workers = 1},
                                        {.batch = 1, .workers = 2},
                                        {.batch = 8, .workers = 1},
                                        {.batch = 8, .workers = 2},
                                        {.is_text = true, .batch = 1, .workers = 1},
                                        {.is_text = true, .batch = 1, .workers = 2}};
    const lk_model_info *mi = lk_model_info_of(m);
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < LK_ARRAY_LEN(rows); i++) {
        if (rows[i].is_text ? !mi->has_text : !mi->has_image)
            continue;
        lk_bench_row *row = &b->rows[b->n_rows++];
        *row = rows[i];
        code = lk_model_bench(m, bench, row, err);
    }
    return code;
}

lk_code lk_engine_model_bench(const lk_engine_opts *opts, const char *name,
                              const lk_bench_opts *bench, lk_benched *ret, lk_err *err)
{
    char dir[PATH_MAX];
    lk_model_opts mo;
    lk_model *m = NULL;
    lk_benched b = {.cpus = lk_os_cpus()};
    lk_code code = model_opts(opts, dir, &mo, err);
    uint64_t start = lk_now_ns();
    if (!code)
        code = lk_model_open(name, &mo, &m, err);
    if (code)
        return code;
    b.load_ms = (double)(lk_now_ns() - start) / 1e6;
    b.dim = lk_model_info_of(m)->dim;
    snprintf(b.name, sizeof b.name, "%s", lk_model_info_of(m)->name);
    code = bench_rows(m, bench, &b, err);
    b.resident_bytes = lk_os_rss_bytes();
    lk_model_close(m);
    if (!code)
        *ret = b;
    return code;
}
