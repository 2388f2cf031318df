/* Objects as files of a folder.
 *
 *   ab/cd<60 more hex digits>          an original, by its SHA-256
 *   v/t320/ab/cd<60 more hex digits>   a variant of it
 *   tmp/<16 hex digits>                being written
 *
 * A put writes a temporary file, syncs it, renames it and syncs the folder it went to; whoever
 * looks sees nothing or all of it, before and after a crash. What a crash leaves in tmp/ is removed
 * at open, which is safe because one process owns the folder. Folder syncs are shared: puts that
 * wait at the same time pay for one. Variants stand apart so that listing originals does not read
 * past them, and deleting takes them first: a crash in between leaves an original that the sweeper
 * still finds, not variants that nothing points to.
 *
 * A put of what is there syncs it again before it says so: the one who wrote it may not have got
 * that far yet. A delete is not synced; a picture that reappears after a crash has no record and
 * is swept. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "store/group.h"
#include "store/objects/driver.h"

#define MAX_VARIANTS 16
#define NAME_CAP 17
#define MAX_GROUP 256

typedef struct store {
    lk_objects base;
    char *root;
    lk_group syncs;
    lk_mutex lock; /* of the names */
    char variants[MAX_VARIANTS][NAME_CAP];
    size_t n_variants;
    bool ready;
} store;

static store *of(lk_objects *o)
{
    return (store *)o;
}

/* A path in the store, in memory to lk_free; NULL: out of memory. */
static char *path_of(const store *s, const char *variant, const lk_sha256 *key, size_t levels)
{
    char hex[LK_SHA256_HEX + 1];
    lk_buf b;
    lk_buf_init(&b, 1 << 16);
    lk_sha256_hex(key, hex);
    lk_buf_puts(&b, s->root);
    if (*variant)
        lk_buf_printf(&b, "/v/%s", variant);
    lk_buf_printf(&b, "/%.2s", hex);
    if (levels > 1)
        lk_buf_printf(&b, "/%s", hex + 2);
    return lk_buf_steal(&b, NULL);
}

static lk_code fail_nomem(lk_err *err)
{
    return lk_fail(err, LK_E_NOMEM, "no memory for an object");
}

/* ---- names of variants ---- */

static bool known_variant(store *s, const char *variant)
{
    bool known = false;
    lk_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_variants; i++)
        known |= strcmp(s->variants[i], variant) == 0;
    lk_mutex_unlock(&s->lock);
    return known;
}

static lk_code note_variant(store *s, const char *variant, lk_err *err)
{
    lk_code code = LK_OK;
    if (known_variant(s, variant))
        return LK_OK;
    lk_mutex_lock(&s->lock);
    bool known = false;
    for (size_t i = 0; i < s->n_variants; i++)
        known |= strcmp(s->variants[i], variant) == 0;
    if (!known && s->n_variants == MAX_VARIANTS)
        code = lk_fail(err, LK_E_LIMIT, "more than %d kinds of variants", MAX_VARIANTS);
    else if (!known)
        snprintf(s->variants[s->n_variants++], NAME_CAP, "%s", variant);
    lk_mutex_unlock(&s->lock);
    return code;
}

/* ---- syncing folders ---- */

typedef struct sync_call {
    lk_group_call base;
    const char *dir;
} sync_call;

static void sync_dirs(void *owner, lk_group_call *chain)
{
    (void)owner;
    for (lk_group_call *c = chain; c; c = c->next) {
        const char *dir = ((sync_call *)c)->dir;
        const lk_group_call *same = chain;
        while (same != c && strcmp(((const sync_call *)same)->dir, dir) != 0)
            same = same->next;
        if (same == c) {
            c->code = lk_os_sync_dir(dir, &c->err);
        } else {
            c->code = same->code;
            c->err = same->err;
        }
    }
}

static lk_code sync_dir(store *s, const char *dir, lk_err *err)
{
    sync_call c = {.dir = dir};
    return lk_group_run(&s->syncs, &c.base, err);
}

/* ---- put ---- */

static lk_code write_temp(store *s, lk_blob bytes, bool lazy, char **ret_path, lk_err *err)
{
    unsigned char random[8];
    char hex[2 * sizeof random + 1];
    if (lk_os()->random(random, sizeof random))
        return lk_fail_sys(err, errno, "no random name for a temporary file");
    lk_hex_encode(random, sizeof random, hex);
    lk_buf b;
    lk_buf_init(&b, 1 << 16);
    lk_buf_printf(&b, "%s/tmp/%s", s->root, hex);
    char *path = lk_buf_steal(&b, NULL);
    if (!path)
        return fail_nomem(err);
    lk_code code = LK_OK;
    int fd = lk_os()->open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        code = lk_fail_sys(err, errno, "cannot write %s", path);
    if (code == LK_OK)
        code = lk_os_write_all(fd, bytes.p, bytes.n, err);
    if (code == LK_OK && !lazy && lk_os()->fdatasync(fd))
        code = lk_fail_sys(err, errno, "cannot sync %s", path);
    /* On some network file systems close is where a write that failed is told. */
    if (fd >= 0 && lk_os()->close(fd) && code == LK_OK)
        code = lk_fail_sys(err, errno, "cannot close %s", path);
    if (code) {
        if (fd >= 0)
            lk_os()->unlink(path);
        lk_free(path);
        return code;
    }
    *ret_path = path;
    return LK_OK;
}

/* Rename into place; the folder is made when it is not there yet. */
static lk_code place(const char *temp, const char *path, const char *dir, lk_err *err)
{
    if (lk_os()->rename(temp, path) == 0)
        return LK_OK;
    if (errno != ENOENT)
        return lk_fail_sys(err, errno, "cannot place %s", path);
    lk_code code = lk_os_mkdirs(dir, err);
    if (code == LK_OK && lk_os()->rename(temp, path))
        code = lk_fail_sys(err, errno, "cannot place %s", path);
    return code;
}

/* Is a whole file there? Then make sure that it is on disk too. A file of another size is what a
 * crash left of a lazy put, and is written anew. */
static lk_code settle_existing(store *s, const char *path, const char *dir, size_t bytes, bool lazy,
                               bool *ret_there, lk_err *err)
{
    struct stat st;
    *ret_there = false;
    int fd = lk_os()->open(path, O_RDONLY, 0);
    if (fd < 0)
        return errno == ENOENT ? LK_OK : lk_fail_sys(err, errno, "cannot open %s", path);
    lk_code code = LK_OK;
    if (lk_os()->fstat(fd, &st))
        code = lk_fail_sys(err, errno, "cannot look at %s", path);
    bool whole = code == LK_OK && (uint64_t)st.st_size == bytes;
    if (whole && !lazy && lk_os()->fdatasync(fd))
        code = lk_fail_sys(err, errno, "cannot sync %s", path);
    lk_os()->close(fd);
    if (code == LK_OK && whole && !lazy)
        code = sync_dir(s, dir, err);
    *ret_there = whole;
    return code;
}

static lk_code store_put(lk_objects *o, const lk_sha256 *key, const char *variant, lk_blob bytes,
                         bool lazy, lk_err *err)
{
    store *s = of(o);
    char *temp = NULL;
    char *path = path_of(s, variant, key, 2);
    char *dir = path_of(s, variant, key, 1);
    bool there = false;
    lk_code code = path && dir ? LK_OK : fail_nomem(err);
    if (code == LK_OK && *variant)
        code = note_variant(s, variant, err);
    if (code == LK_OK)
        code = settle_existing(s, path, dir, bytes.n, lazy, &there, err);
    if (code || there)
        goto out;
    code = write_temp(s, bytes, lazy, &temp, err);
    if (code)
        goto out;
    code = place(temp, path, dir, err);
    if (code)
        lk_os()->unlink(temp);
    else if (!lazy)
        code = sync_dir(s, dir, err);
out:
    lk_free(temp);
    lk_free(dir);
    lk_free(path);
    return code;
}

/* ---- get, has, remove ---- */

static lk_code fail_absent(const lk_sha256 *key, const char *variant, lk_err *err)
{
    char hex[LK_SHA256_HEX + 1];
    lk_sha256_hex(key, hex);
    return lk_fail(err, LK_E_NOT_FOUND, "no object %s%s%s", hex, *variant ? " variant " : "",
                   variant);
}

static lk_code read_whole(int fd, lk_buf *into, lk_err *err)
{
    struct stat st;
    if (lk_os()->fstat(fd, &st))
        return lk_fail_sys(err, errno, "cannot look at an object");
    size_t n = (size_t)st.st_size;
    char *p = lk_buf_reserve(into, n);
    if (!p)
        return lk_buf_check(into, err);
    lk_code code = lk_os_read_at(fd, p, n, 0, err);
    if (code == LK_OK) {
        into->n += n;
        into->p[into->n] = '\0';
    }
    return code;
}

static lk_code store_get(lk_objects *o, const lk_sha256 *key, const char *variant, lk_buf *into,
                         lk_err *err)
{
    char *path = path_of(of(o), variant, key, 2);
    if (!path)
        return fail_nomem(err);
    lk_code code = LK_OK;
    int fd = lk_os()->open(path, O_RDONLY, 0);
    if (fd < 0)
        code = errno == ENOENT ? fail_absent(key, variant, err)
                               : lk_fail_sys(err, errno, "cannot open %s", path);
    else
        code = read_whole(fd, into, err);
    if (fd >= 0)
        lk_os()->close(fd);
    lk_free(path);
    return code;
}

static lk_code store_has(lk_objects *o, const lk_sha256 *key, const char *variant, bool *ret,
                         lk_err *err)
{
    char *path = path_of(of(o), variant, key, 2);
    if (!path)
        return fail_nomem(err);
    *ret = lk_os_exists(path);
    lk_free(path);
    return LK_OK;
}

static lk_code store_remove(lk_objects *o, const lk_sha256 *key, lk_err *err)
{
    store *s = of(o);
    char names[MAX_VARIANTS][NAME_CAP];
    lk_mutex_lock(&s->lock);
    size_t n = s->n_variants;
    memcpy(names, s->variants, sizeof names);
    lk_mutex_unlock(&s->lock);
    lk_code code = LK_OK;
    for (size_t i = 0; code == LK_OK && i <= n; i++) {
        char *path = path_of(s, i < n ? names[i] : "", key, 2); /* the original last */
        code = path ? lk_os_remove(path, err) : fail_nomem(err);
        lk_free(path);
    }
    return code;
}

/* ---- list ---- */

static bool key_of(const char *dir, const char *name, lk_sha256 *ret)
{
    char hex[LK_SHA256_HEX + 1];
    if (strlen(dir) != 2 || strlen(name) != LK_SHA256_HEX - 2)
        return false;
    snprintf(hex, sizeof hex, "%s%s", dir, name);
    return lk_sha256_from_hex((lk_str){hex, LK_SHA256_HEX}, ret);
}

static lk_code list_dir(DIR *d, const char *name, lk_objects_see_fn *see, void *ctx)
{
    lk_code code = LK_OK;
    struct dirent *e;
    while (code == LK_OK && (e = readdir(d))) {
        lk_sha256 key;
        struct stat st;
        /* An object may be deleted between the two calls: then it is no longer there to be seen. */
        if (key_of(name, e->d_name, &key) && fstatat(dirfd(d), e->d_name, &st, 0) == 0)
            code = see(ctx, &key, (uint64_t)st.st_size);
    }
    return code;
}

static lk_code store_list(lk_objects *o, lk_objects_see_fn *see, void *ctx, lk_err *err)
{
    store *s = of(o);
    lk_code code = LK_OK;
    for (unsigned i = 0; code == LK_OK && i < 256; i++) {
        lk_sha256 head = {{(unsigned char)i}};
        char name[3];
        snprintf(name, sizeof name, "%02x", i);
        char *path = path_of(s, "", &head, 1);
        if (!path)
            return fail_nomem(err);
        DIR *d = opendir(path);
        if (d)
            code = list_dir(d, name, see, ctx);
        else if (errno != ENOENT)
            code = lk_fail_sys(err, errno, "cannot list %s", path);
        if (d)
            closedir(d);
        lk_free(path);
    }
    return code;
}

/* ---- opening ---- */

typedef lk_code name_fn(store *s, const char *path, const char *name, lk_err *err);

static lk_code sweep_one(store *s, const char *path, const char *name, lk_err *err)
{
    (void)s;
    (void)name;
    return lk_os_remove(path, err);
}

static lk_code note_one(store *s, const char *path, const char *name, lk_err *err)
{
    (void)path;
    return strlen(name) < NAME_CAP ? note_variant(s, name, err) : LK_OK;
}

/* Call fn for every name in root/sub. */
static lk_code each_name(store *s, const char *sub, name_fn *fn, lk_err *err)
{
    lk_buf b;
    lk_buf_init(&b, 1 << 16);
    lk_buf_printf(&b, "%s/%s", s->root, sub);
    char *path = lk_buf_steal(&b, NULL);
    if (!path)
        return fail_nomem(err);
    lk_code code = lk_os_mkdirs(path, err);
    DIR *d = code == LK_OK ? opendir(path) : NULL;
    if (code == LK_OK && !d)
        code = lk_fail_sys(err, errno, "cannot list %s", path);
    struct dirent *e;
    while (code == LK_OK && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        lk_buf_init(&b, 1 << 16);
        lk_buf_printf(&b, "%s/%s", path, e->d_name);
        code = lk_buf_check(&b, err);
        if (code == LK_OK)
            code = fn(s, b.p, e->d_name, err);
        lk_buf_release(&b);
    }
    if (d)
        closedir(d);
    lk_free(path);
    return code;
}

static lk_code store_open(lk_objects *o, const char *where, lk_err *err)
{
    store *s = of(o);
    lk_group_init(&s->syncs, MAX_GROUP, sync_dirs, s);
    lk_mutex_init(&s->lock, LK_RANK_STORE);
    s->ready = true;
    s->root = lk_strdup(where);
    if (!s->root)
        return fail_nomem(err);
    lk_code code = lk_os_mkdirs(where, err);
    if (code == LK_OK)
        code = each_name(s, "tmp", sweep_one, err);
    if (code == LK_OK)
        code = each_name(s, "v", note_one, err);
    return code;
}

static void store_close(lk_objects *o)
{
    store *s = of(o);
    lk_free(s->root);
    if (s->ready) {
        lk_mutex_release(&s->lock);
        lk_group_release(&s->syncs);
    }
}

const lk_objects_driver lk_objects_folder = {
    .name = "file",
    .size = sizeof(store),
    .open = store_open,
    .close = store_close,
    .put = store_put,
    .get = store_get,
    .has = store_has,
    .remove = store_remove,
    .list = store_list,
};
