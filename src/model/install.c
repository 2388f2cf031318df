#include "model/install.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "model/canary.h"
#include "model/card.h"
#include "model/parity.h"
#include "model/places.h"
#include "model/trial.h"

/* What may stand beside a card and is not listed by it, since nothing of it decides what a vector
 * means: what a check replays, and papers. */
static const char *const companions[] = {LK_PARITY_FILE, LK_CANARY_FILE, "LICENSE", "README.md"};

#define MAX_COMPANION_BYTES ((size_t)64 << 20)

/* ---- copying ---- */

/* Where files go: a path for each name, whose folder is made. */
typedef lk_code path_fn(const void *ctx, const char *name, char ret[PATH_MAX], lk_err *err);

typedef struct copy {
    const lk_card_source *from;
    path_fn *path;
    const void *ctx;
} copy;

static lk_code put(const copy *c, const char *name, lk_blob bytes, lk_err *err)
{
    char path[PATH_MAX];
    lk_code code = c->path(c->ctx, name, path, err);
    return code ? code : lk_os_write_file(path, bytes.p, bytes.n, err);
}

static lk_code copy_listed(const copy *c, const lk_card *card, lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < card->n_files; i++) {
        lk_card_file f;
        code = lk_card_open_file(c->from, card, card->files[i].name, &f, err);
        if (code)
            break;
        code = put(c, card->files[i].name, f.bytes, err);
        lk_card_file_release(&f);
    }
    return code;
}

static lk_code copy_unlisted(const copy *c, const char *name, size_t limit, lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_read_file(c->from, name, limit, &f, err);
    if (code)
        return code;
    code = put(c, name, f.bytes, err);
    lk_card_file_release(&f);
    return code;
}

/* The card comes last: a folder without one is no model. */
static lk_code copy_model(const copy *c, const lk_card *card, lk_err *err)
{
    lk_code code = copy_listed(c, card, err);
    for (size_t i = 0; !code && i < LK_ARRAY_LEN(companions); i++) {
        code = copy_unlisted(c, companions[i], MAX_COMPANION_BYTES, err);
        if (code == LK_E_NOT_FOUND)
            code = LK_OK;
    }
    return code ? code : copy_unlisted(c, "model.json", LK_MAX_CARD_BYTES, err);
}

/* ---- adding ---- */

static lk_code staged_path(const void *ctx, const char *name, char ret[PATH_MAX], lk_err *err)
{
    return lk_staging_path(ctx, name, ret, err);
}

static lk_code install(lk_staging *s, const lk_card_source *from, const lk_card *card,
                       const lk_model_opts *opts, const lk_cancel *cancel, lk_err *err)
{
    const copy c = {from, staged_path, s};
    if (lk_os_exists(s->target))
        return lk_fail_field(err, LK_E_EXISTS, "name", "%s is there already", s->target);
    lk_code code = lk_staging_drop_model(s, err);
    if (!code)
        code = copy_model(&c, card, err);
    if (!code)
        code = lk_model_try(s->dir, opts, cancel, err);
    if (!code)
        return lk_staging_place(s, err);
    lk_code dropped =
        lk_staging_drop_model(s, NULL); /* the sentence about the model matters more */
    (void)dropped;
    return code;
}

lk_code lk_model_add(const char *dir, const char *name, const lk_model_opts *opts,
                     const lk_cancel *cancel, char ret_name[LK_MAX_MODEL_NAME + 1], lk_err *err)
{
    const lk_card_source from = {.dir = dir};
    lk_arena a;
    lk_card card;
    lk_staging s = {.lock_fd = -1};
    lk_arena_init(&a, 0);
    lk_code code = lk_card_read(&from, &a, &card, err);
    if (code == LK_E_NOT_FOUND)
        code = lk_fail_field(err, code, "dir", "there is no model.json in \"%s\"", dir);
    if (!code)
        code = lk_staging_open(opts->models_dir, name ? name : card.name, &s, err);
    if (!code)
        code = install(&s, &from, &card, opts, cancel, err);
    lk_staging_close(&s);
    if (!code)
        snprintf(ret_name, LK_MAX_MODEL_NAME + 1, "%s", name ? name : card.name);
    lk_arena_release(&a);
    return code;
}

/* ---- removing ---- */

lk_code lk_model_remove(const char *name, const lk_model_opts *opts, lk_err *err)
{
    lk_staging s;
    lk_code code = lk_staging_open(opts->models_dir, name, &s, err);
    if (code)
        return code;
    code = lk_staging_remove_model(&s, err);
    if (code == LK_E_NOT_FOUND && s.had_rest)
        code = lk_staging_clear(&s, err);
    lk_staging_close(&s);
    return code;
}

/* ---- exporting ---- */

/* A folder that holds nothing but its two dots, or that is not there yet. */
static lk_code check_empty(const char *dir, lk_err *err)
{
    DIR *d = opendir(dir);
    bool empty = true;
    if (!d && errno == ENOENT)
        return LK_OK;
    if (!d)
        return lk_fail_sys(err, errno, "cannot read the folder \"%s\"", dir);
    for (struct dirent *e; (e = readdir(d));)
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    closedir(d);
    return empty ? LK_OK
                 : lk_fail_field(err, LK_E_EXISTS, "dir", "the folder \"%s\" is not empty", dir);
}

static lk_code plain_path(const void *ctx, const char *name, char ret[PATH_MAX], lk_err *err)
{
    char folder[PATH_MAX];
    int n = snprintf(ret, PATH_MAX, "%s/%s", (const char *)ctx, name);
    if (n < 0 || n >= PATH_MAX)
        return lk_fail_field(err, LK_E_LIMIT, "dir", "the path of \"%s\" is too long", name);
    snprintf(folder, sizeof folder, "%s", ret);
    *strrchr(folder, '/') = '\0';
    return lk_os_mkdirs(folder, err);
}

lk_code lk_model_export(const char *name, const lk_model_opts *opts, const char *dir, lk_err *err)
{
    char path[PATH_MAX];
    lk_arena a;
    lk_card card;
    lk_card_source from;
    const copy c = {&from, plain_path, dir};
    lk_arena_init(&a, 0);
    lk_code code = lk_model_locate(name, opts->models_dir, path, &from, err);
    if (!code)
        code = lk_card_read(&from, &a, &card, err);
    if (!code)
        code = check_empty(dir, err);
    if (!code)
        code = copy_model(&c, &card, err);
    lk_arena_release(&a);
    return code;
}
