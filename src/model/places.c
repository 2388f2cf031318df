#include "model/places.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"

/* Inside the program: a small model that runs everywhere, and the card of one that a service runs.
 */
static const struct {
    const char *name, *prefix;
} bundled[] = {{"mini", "models/mini"}, {"roboflow", "models/roboflow"}};

static const char *bundled_prefix(const char *name)
{
    for (size_t i = 0; i < LK_ARRAY_LEN(bundled); i++)
        if (strcmp(name, bundled[i].name) == 0)
            return bundled[i].prefix;
    return NULL;
}

bool lk_model_is_bundled(const char *name)
{
    return bundled_prefix(name) != NULL;
}

lk_code lk_model_locate(const char *name, const char *models_dir, char path[PATH_MAX],
                        lk_card_source *ret, lk_err *err)
{
    *ret = (lk_card_source){0};
    if (strchr(name, '/') || strcmp(name, ".") == 0) {
        ret->dir = name;
        return LK_OK;
    }
    int n = snprintf(path, PATH_MAX, "%s/%s", models_dir ? models_dir : "", name);
    if (models_dir && n > 0 && n < PATH_MAX && lk_os_exists(path)) {
        ret->dir = path;
        return LK_OK;
    }
    ret->embedded = bundled_prefix(name);
    if (ret->embedded)
        return LK_OK;
    return lk_fail_field(err, LK_E_NOT_FOUND, "model",
                         "there is no model \"%s\" (lookalike model list shows what there is)",
                         name);
}

lk_code lk_model_info_of_card(const lk_card *c, lk_arena *into, lk_model_info *ret, lk_err *err)
{
    *ret = (lk_model_info){.name = c->name,
                           .version = c->version,
                           .describe = c->describe,
                           .dim = c->dim,
                           .has_image = c->has_image,
                           .side = c->short_side,
                           .has_text = c->has_text,
                           .logit_scale = c->logit_scale};
    return lk_card_key(c, into, &ret->key, err);
}

/* ---- listing ---- */

static lk_code show(const lk_card_source *from, const char *name, const char *where,
                    lk_model_see_fn *see, void *ctx, lk_err *err)
{
    lk_arena a;
    lk_card card;
    lk_model_info info;
    lk_err why = {0};
    lk_arena_init(&a, 0);
    lk_code code = lk_card_read(from, &a, &card, &why);
    if (!code)
        code = lk_model_info_of_card(&card, &a, &info, &why);
    if (code == LK_E_IO && why.sys == ENOTDIR)
        code = LK_E_NOT_FOUND; /* a file among the folders */
    if (code && code != LK_E_NOMEM && code != LK_E_NOT_FOUND) {
        info = (lk_model_info){.name = name, .version = "", .key = "", .describe = why.text};
        code = LK_OK;
    }
    if (code && err)
        *err = why;
    if (!code)
        see(ctx, &info, where);
    lk_arena_release(&a);
    return code;
}

lk_code lk_model_list(const lk_model_opts *opts, lk_model_see_fn *see, void *ctx, lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < LK_ARRAY_LEN(bundled); i++) {
        lk_card_source from = {.embedded = bundled[i].prefix};
        code = show(&from, bundled[i].name, bundled[i].name, see, ctx, err);
    }
    DIR *d = opts->models_dir ? opendir(opts->models_dir) : NULL;
    if (!d)
        return code;
    for (struct dirent *e; !code && (e = readdir(d));) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", opts->models_dir, e->d_name);
        lk_card_source from = {.dir = path};
        if (e->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof path)
            continue;
        code = show(&from, e->d_name, path, see, ctx, err);
        if (code == LK_E_NOT_FOUND) /* some other folder */
            code = LK_OK;
    }
    closedir(d);
    return code;
}
