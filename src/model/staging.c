#include "model/staging.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "base/os.h"
#include "model/places.h"

bool lk_model_name_ok(lk_str name)
{
    if (name.n == 0 || name.n > LK_MAX_MODEL_NAME || name.p[0] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

static lk_code join(const char *dir, const char *prefix, const char *name, char ret[PATH_MAX],
                    lk_err *err)
{
    int n = snprintf(ret, PATH_MAX, "%s/%s%s", dir, prefix, name);
    if (n < 0 || n >= PATH_MAX)
        return lk_fail_field(err, LK_E_LIMIT, "models",
                             "the path of the models folder is too long");
    return LK_OK;
}

/* ---- removing ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)at;
    return kind == FTW_DP ? rmdir(path) : lk_os()->unlink(path);
}

/* Depth first, and never through a symbolic link. */
static lk_code remove_tree(const char *path, lk_err *err)
{
    enum { OPEN_FOLDERS = 16 };
    if (!lk_os_exists(path) || nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) == 0)
        return LK_OK;
    return lk_fail_sys(err, errno, "cannot remove %s", path);
}

/* ---- the folder ---- */

static lk_code make_folders(const lk_staging *s, lk_err *err)
{
    lk_code code = lk_os_mkdirs(s->dir, err);
    return code ? code : lk_os_mkdirs(s->work, err);
}

lk_code lk_staging_open(const char *models_dir, const char *name, lk_staging *ret, lk_err *err)
{
    char lock[PATH_MAX];
    ret->lock_fd = -1;
    if (!lk_model_name_ok(lk_str_of(name)))
        return lk_fail_field(err, LK_E_INVALID, "name",
                             "\"%.80s\" is no name for a model: letters, digits, . _ - only", name);
    if (lk_model_is_bundled(name))
        return lk_fail_field(err, LK_E_INVALID, "name", "\"%s\" is the bundled model's name", name);
    lk_code code = join(models_dir, "", "", ret->models_dir, err);
    if (!code)
        code = join(models_dir, ".partial-", name, ret->partial, err);
    if (!code)
        code = join(ret->partial, "model", "", ret->dir, err);
    if (!code)
        code = join(ret->partial, "work", "", ret->work, err);
    if (!code)
        code = join(models_dir, "", name, ret->target, err);
    if (!code)
        code = join(models_dir, ".lock-", name, lock, err);
    if (!code)
        code = lk_os_mkdirs(models_dir, err);
    if (!code)
        code = lk_os_lock(lock, &ret->lock_fd, err);
    if (code == LK_E_LOCKED)
        lk_err_prefix(err, code, "the model %s is being installed or removed elsewhere", name);
    ret->had_rest = !code && lk_os_exists(ret->partial);
    if (!code)
        code = make_folders(ret, err);
    if (code)
        lk_staging_close(ret);
    return code;
}

void lk_staging_close(lk_staging *s)
{
    if (s->lock_fd < 0)
        return;
    (void)(rmdir(s->work) || rmdir(s->dir) || rmdir(s->partial)); /* as far as they are empty */
    lk_os_unlock(s->lock_fd);
    s->lock_fd = -1;
}

lk_code lk_staging_path(const lk_staging *s, const char *name, char ret[PATH_MAX], lk_err *err)
{
    lk_code code = join(s->dir, "", name, ret, err);
    char *slash = code ? NULL : strrchr(ret, '/');
    if (!slash || strchr(name, '/') == NULL)
        return code;
    *slash = '\0';
    code = lk_os_mkdirs(ret, err);
    *slash = '/';
    return code;
}

lk_code lk_staging_work_path(const lk_staging *s, const char *name, char ret[PATH_MAX], lk_err *err)
{
    return join(s->work, "", name, ret, err);
}

/* The model is where it belongs, or gone; a folder that stays behind harms nobody. */
static void remove_rest(const lk_staging *s)
{
    lk_code code = remove_tree(s->partial, NULL);
    (void)code;
}

lk_code lk_staging_place(lk_staging *s, lk_err *err)
{
    if (lk_os_exists(s->target))
        return lk_fail_field(err, LK_E_EXISTS, "name", "%s is there already", s->target);
    lk_code code = lk_os_sync_dir(s->dir, err);
    if (!code && lk_os()->rename(s->dir, s->target) != 0)
        code = lk_fail_sys(err, errno, "cannot rename %s to %s", s->dir, s->target);
    if (!code)
        code = lk_os_sync_dir(s->models_dir, err);
    if (!code)
        remove_rest(s);
    return code;
}

lk_code lk_staging_drop_model(lk_staging *s, lk_err *err)
{
    lk_code code = remove_tree(s->dir, err);
    return code ? code : make_folders(s, err);
}

lk_code lk_staging_clear(lk_staging *s, lk_err *err)
{
    lk_code code = remove_tree(s->partial, err);
    return code ? code : make_folders(s, err);
}

lk_code lk_staging_remove_model(lk_staging *s, lk_err *err)
{
    if (!lk_os_exists(s->target))
        return lk_fail_field(err, LK_E_NOT_FOUND, "name", "there is no folder %s", s->target);
    lk_code code = lk_staging_clear(s, err);
    if (!code && lk_os()->rename(s->target, s->dir) != 0) /* over an empty folder */
        code = lk_fail_sys(err, errno, "cannot rename %s to %s", s->target, s->dir);
    if (!code)
        code = lk_os_sync_dir(s->models_dir, err);
    if (!code)
        remove_rest(s);
    return code;
}
