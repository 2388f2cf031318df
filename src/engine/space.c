#include "engine/space.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"

#define META_KEY "spaces"
#define FIRST_FOLDER "images"

/* ---- one ---- */

static char *copy_of(const char *s, bool *ok)
{
    char *out = s ? lk_strdup(s) : NULL;
    *ok = *ok && (!s || out);
    return out;
}

lk_code lk_space_new(const char *name, const char *key, const char *folder, size_t dim,
                     lk_space **ret, lk_err *err)
{
    bool ok = true;
    lk_space *sp = lk_calloc(1, sizeof *sp);
    if (!sp)
        return lk_fail(err, LK_E_NOMEM, "out of memory");
    lk_mutex_init(&sp->lock, LK_RANK_ENGINE);
    sp->name = copy_of(name, &ok);
    sp->key = copy_of(key, &ok);
    sp->folder = copy_of(folder, &ok);
    sp->dim = dim;
    if (!ok) {
        lk_space_free(sp);
        return lk_fail(err, LK_E_NOMEM, "out of memory");
    }
    *ret = sp;
    return LK_OK;
}

void lk_space_free(lk_space *sp)
{
    if (!sp)
        return;
    lk_vectors_close(sp->vectors);
    lk_labels_unref(sp->labels);
    lk_model_close(sp->model);
    lk_drift_release(&sp->drift);
    lk_mutex_release(&sp->lock);
    lk_free(sp->name);
    lk_free(sp->key);
    lk_free(sp->folder);
    lk_free(sp);
}

static lk_code load(lk_engine *e, lk_space *sp, lk_err *err)
{
    lk_model_opts mo = lk_engine_model_opts(&e->opts, e->models_dir);
    lk_model *m = NULL;
    lk_code code = lk_model_open(sp->name, &mo, &m, err);
    if (code)
        return code;
    const lk_model_info *mi = lk_model_info_of(m);
    if (sp->key && strcmp(sp->key, mi->key) != 0)
        code = lk_fail_field(err, LK_E_MODEL, "model",
                             "the collection holds vectors of \"%s\", which \"%s\" cannot be "
                             "compared with",
                             sp->key, mi->key);
    if (!code)
        code = lk_drift_init(&sp->drift, mi->dim, err);
    if (code)
        lk_model_close(m);
    else
        sp->model = m;
    return code;
}

lk_code lk_space_model(lk_engine *e, lk_space *sp, lk_model **ret, lk_err *err)
{
    lk_mutex_lock(&sp->lock);
    lk_code code = sp->model ? LK_OK : load(e, sp, err);
    if (!code)
        *ret = sp->model;
    lk_mutex_unlock(&sp->lock);
    return code;
}

static lk_code folder_path(const lk_engine *e, const char *folder, char ret[PATH_MAX], lk_err *err)
{
    int n = snprintf(ret, PATH_MAX, "%s/collections/%s", e->data_dir, folder);
    if (n < 0 || n >= PATH_MAX)
        return lk_fail_field(err, LK_E_LIMIT, "data", "the path of the data folder is too long");
    return LK_OK;
}

lk_code lk_space_open_vectors(lk_engine *e, lk_space *sp, bool create, lk_err *err)
{
    char path[PATH_MAX];
    lk_vectors_opts vo;
    lk_vectors_opts_default(&vo);
    vo.space = sp->key;
    vo.dim = sp->dim;
    vo.create = create;
    lk_code code = folder_path(e, sp->folder, path, err);
    return code ? code : lk_vectors_open(path, &vo, &sp->vectors, err);
}

lk_code lk_space_new_folder(lk_engine *e, char ret[LK_SPACE_FOLDER], lk_err *err)
{
    char path[PATH_MAX];
    for (unsigned n = 2;; n++) {
        snprintf(ret, LK_SPACE_FOLDER, FIRST_FOLDER ".%u", n);
        lk_code code = folder_path(e, ret, path, err);
        if (code || !lk_os_exists(path))
            return code;
    }
}

/* A store's folder is flat. */
lk_code lk_space_remove_folder(lk_engine *e, const char *folder, lk_err *err)
{
    char path[PATH_MAX], file[PATH_MAX];
    lk_code code = folder_path(e, folder, path, err);
    DIR *d = code ? NULL : opendir(path);
    if (!d)
        return code || errno == ENOENT ? code : lk_fail_sys(err, errno, "cannot list %s", path);
    for (struct dirent *at; !code && (at = readdir(d));) {
        if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0)
            continue;
        int n = snprintf(file, sizeof file, "%s/%s", path, at->d_name);
        if (n < 0 || (size_t)n >= sizeof file)
            code = lk_fail(err, LK_E_LIMIT, "a path in %s is too long", path);
        else
            code = lk_os_remove(file, err);
    }
    closedir(d);
    if (!code && rmdir(path) != 0)
        code = lk_fail_sys(err, errno, "cannot remove %s", path);
    return code;
}

/* ---- both ---- */

void lk_spaces_init(lk_spaces *s)
{
    lk_mutex_init(&s->lock, LK_RANK_ENGINE);
    lk_cond_init(&s->changed);
}

void lk_spaces_release(lk_spaces *s)
{
    lk_space_free(s->now);
    lk_space_free(s->other);
    lk_cond_release(&s->changed);
    lk_mutex_release(&s->lock);
}

lk_space *lk_space_pin(lk_engine *e)
{
    lk_mutex_lock(&e->spaces.lock);
    lk_space *sp = e->spaces.now;
    sp->pins++;
    lk_mutex_unlock(&e->spaces.lock);
    return sp;
}

void lk_space_unpin(lk_engine *e, lk_space *sp)
{
    lk_mutex_lock(&e->spaces.lock);
    sp->pins--;
    lk_cond_broadcast(&e->spaces.changed);
    lk_mutex_unlock(&e->spaces.lock);
}

lk_space *lk_gate_enter(lk_engine *e)
{
    lk_spaces *s = &e->spaces;
    lk_mutex_lock(&s->lock);
    while (s->shut)
        lk_cond_wait(&s->changed, &s->lock);
    s->writers++;
    lk_space *sp = s->now;
    lk_mutex_unlock(&s->lock);
    return sp;
}

void lk_gate_leave(lk_engine *e)
{
    lk_mutex_lock(&e->spaces.lock);
    e->spaces.writers--;
    lk_cond_broadcast(&e->spaces.changed);
    lk_mutex_unlock(&e->spaces.lock);
}

void lk_gate_shut(lk_engine *e)
{
    lk_spaces *s = &e->spaces;
    lk_mutex_lock(&s->lock);
    while (s->shut) /* by another */
        lk_cond_wait(&s->changed, &s->lock);
    s->shut = true;
    while (s->writers)
        lk_cond_wait(&s->changed, &s->lock);
    lk_mutex_unlock(&s->lock);
}

void lk_gate_open(lk_engine *e)
{
    lk_mutex_lock(&e->spaces.lock);
    e->spaces.shut = false;
    lk_cond_broadcast(&e->spaces.changed);
    lk_mutex_unlock(&e->spaces.lock);
}

/* ---- what is written down ---- */

static void write_space(lk_jw *w, const char *key, const lk_space *sp)
{
    lk_jw_key(w, key);
    lk_jw_obj(w);
    lk_jw_key(w, "model");
    lk_jw_strz(w, sp->name);
    lk_jw_key(w, "key");
    lk_jw_strz(w, sp->key);
    lk_jw_key(w, "folder");
    lk_jw_strz(w, sp->folder);
    lk_jw_key(w, "dim");
    lk_jw_uint(w, sp->dim);
    lk_jw_end_obj(w);
}

lk_code lk_spaces_save(lk_engine *e, const lk_space *now, const lk_space *other, bool filling,
                       lk_err *err)
{
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 1u << 16);
    lk_jw_init(&w, &b);
    lk_jw_obj(&w);
    write_space(&w, "now", now);
    if (other) {
        write_space(&w, "other", other);
        lk_jw_key(&w, "filling");
        lk_jw_bool(&w, filling);
    }
    lk_jw_end_obj(&w);
    lk_code code = lk_buf_check(&b, err);
    if (!code)
        code = lk_records_meta_put(e->records, LK_STR(META_KEY), lk_buf_str(&b), err);
    lk_buf_release(&b);
    return code;
}

/* One name, no path. */
static bool is_folder_name(lk_str s)
{
    return s.n > 0 && s.n < 64 && s.p[0] != '.' && !memchr(s.p, '/', s.n) && !memchr(s.p, 0, s.n);
}

static lk_code read_space(const lk_jval *o, lk_space **ret, lk_err *err)
{
    lk_str name = lk_jval_str(lk_jval_get(o, "model")), key = lk_jval_str(lk_jval_get(o, "key"));
    lk_str folder = lk_jval_str(lk_jval_get(o, "folder"));
    int64_t dim = lk_jval_int(lk_jval_get(o, "dim"));
    if (!name.n || !key.n || !is_folder_name(folder) || dim < 1 || dim > LK_MAX_DIM)
        return lk_fail(err, LK_E_CORRUPT, "the collection's note of its model makes no sense");
    return lk_space_new(name.p, key.p, folder.p, (size_t)dim, ret, err);
}

static lk_code read_spaces(lk_spaces *s, lk_str text, lk_err *err)
{
    lk_json *json = NULL;
    lk_code code = lk_json_parse(text, &json, err);
    const lk_jval *root = code ? NULL : lk_json_root(json);
    if (!code)
        code = read_space(lk_jval_get(root, "now"), &s->now, err);
    if (!code && lk_jval_get(root, "other"))
        code = read_space(lk_jval_get(root, "other"), &s->other, err);
    s->filling = !code && lk_jval_bool(lk_jval_get(root, "filling"));
    lk_json_free(json);
    return code;
}

/* LK_E_NOT_FOUND: nothing is written down. */
static lk_code read_note(lk_records *r, lk_spaces *s, lk_err *err)
{
    lk_arena a;
    lk_str text;
    lk_arena_init(&a, 1u << 20);
    lk_code code = lk_records_meta_get(r, LK_STR(META_KEY), &a, &text, err);
    if (!code)
        code = read_spaces(s, text, err);
    lk_arena_release(&a);
    return code;
}

lk_code lk_spaces_models(lk_records *r, lk_arena *into, const char *ret[2], lk_err *err)
{
    lk_spaces s = {0};
    ret[0] = ret[1] = NULL;
    lk_spaces_init(&s);
    lk_code code = read_note(r, &s, err);
    const lk_space *both[2] = {s.now, s.other};
    for (size_t i = 0; !code && i < 2; i++) {
        if (!both[i])
            continue;
        ret[i] = lk_arena_strndup(into, both[i]->name, strlen(both[i]->name));
        if (!ret[i])
            code = lk_fail(err, LK_E_NOMEM, "out of memory");
    }
    lk_spaces_release(&s);
    return code == LK_E_NOT_FOUND ? LK_OK : code;
}

/* ---- opening ---- */

lk_code lk_space_name(const char *asked, char **ret, lk_err *err)
{
    char path[PATH_MAX];
    bool is_folder = strchr(asked, '/') || strcmp(asked, ".") == 0;
    char *name = lk_strdup(is_folder && realpath(asked, path) ? path : asked);
    if (!name)
        return lk_fail(err, LK_E_NOMEM, "out of memory");
    *ret = name;
    return LK_OK;
}

lk_code lk_spaces_model_alone(lk_engine *e, lk_err *err)
{
    return lk_space_new(e->opts.model ? e->opts.model : "mini", NULL, NULL, 0, &e->spaces.now, err);
}

lk_code lk_space_make(lk_engine *e, const char *asked, const char *folder, lk_space **ret,
                      lk_err *err)
{
    char *name = NULL;
    lk_model *m = NULL;
    lk_space *sp = NULL;
    lk_code code = lk_space_name(asked, &name, err);
    if (!code)
        code = lk_space_new(name, NULL, folder, 0, &sp, err);
    lk_free(name);
    if (!code)
        code = lk_space_model(e, sp, &m, err);
    if (!code) {
        sp->dim = lk_model_info_of(m)->dim;
        sp->key = lk_strdup(lk_model_info_of(m)->key);
        code = sp->key ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory");
    }
    if (code)
        lk_space_free(sp);
    else
        *ret = sp;
    return code;
}

/* The model asked for must be the collection's, whatever it is called. */
static lk_code take_asked(lk_engine *e, lk_space *sp, lk_err *err)
{
    lk_model *m = NULL;
    char *name = NULL;
    lk_code code = lk_space_name(e->opts.model, &name, err);
    if (code)
        return code;
    lk_free(sp->name);
    sp->name = name;
    return lk_space_model(e, sp, &m, err);
}

lk_code lk_spaces_open(lk_engine *e, lk_err *err)
{
    lk_spaces *s = &e->spaces;
    lk_code code = read_note(e->records, s, err);
    bool is_new = code == LK_E_NOT_FOUND;
    if (is_new)
        code = lk_space_make(e, e->opts.model ? e->opts.model : "mini", FIRST_FOLDER, &s->now, err);
    if (!code && !is_new && e->opts.model)
        code = take_asked(e, s->now, err);
    /* A second space is made here when its note was written and its folder not yet. */
    if (!code)
        code = lk_space_open_vectors(e, s->now, true, err);
    if (!code && s->other)
        code = lk_space_open_vectors(e, s->other, true, err);
    if (!code && is_new)
        code = lk_spaces_save(e, s->now, NULL, false, err);
    return code;
}

/* "images", "images.2" … */
static bool is_ours(const char *name)
{
    size_t n = strlen(FIRST_FOLDER);
    return strncmp(name, FIRST_FOLDER, n) == 0 && (name[n] == '\0' || name[n] == '.');
}

lk_code lk_spaces_sweep(lk_engine *e, lk_err *err)
{
    const lk_spaces *s = &e->spaces;
    char path[PATH_MAX];
    lk_code code = folder_path(e, "", path, err);
    DIR *d = code ? NULL : opendir(path);
    if (!d)
        return code ? code : lk_fail_sys(err, errno, "cannot list %s", path);
    for (struct dirent *at; !code && (at = readdir(d));)
        if (is_ours(at->d_name) && strcmp(at->d_name, s->now->folder) != 0 &&
            (!s->other || strcmp(at->d_name, s->other->folder) != 0))
            code = lk_space_remove_folder(e, at->d_name, err);
    closedir(d);
    return code;
}
