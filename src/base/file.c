/* Whole files and folders over the table of base/os.h, and the lock of a data folder.
 *
 * What these report as done is on disk: a file is written under another name, synced, renamed over
 * the old one, and then the folder is synced, because a rename is only as durable as the folder
 * that holds it. The same goes for a folder that was made.
 *
 * The lock is flock(2), which belongs to the open file and not to the process: another open of the
 * same path is refused in this process as well, and the kernel lets go of it however the process
 * ends. The file holds the owner's process id for the sentence a refused caller prints, and stays
 * where it is, since removing it would let two owners lock two files of one name. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

/* Read until the end or until one byte more than `limit` has come, which tells the caller. */
static lk_code read_to_end(int fd, size_t hint, size_t limit, lk_buf *b, lk_err *err)
{
    size_t want = hint < limit ? hint + 1 : limit + 1; /* the byte more shows the end at once */
    for (;;) {
        if (want > limit + 1 - b->n)
            want = limit + 1 - b->n;
        char *at = lk_buf_reserve(b, want);
        if (!at)
            return lk_buf_check(b, err);
        ssize_t got = lk_os()->read(fd, at, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return lk_fail_sys(err, errno, "cannot read");
        b->n += (size_t)got;
        b->p[b->n] = '\0';
        if (got == 0)
            return LK_OK;
        if (b->n > limit)
            return lk_fail(err, LK_E_LIMIT, "more than %zu bytes", limit);
        want = (size_t)got < want ? want - (size_t)got : (size_t)64 << 10;
    }
}

lk_code lk_os_read_file(const char *path, size_t limit_bytes, unsigned char **ret, size_t *ret_n,
                        lk_err *err)
{
    size_t limit = limit_bytes ? limit_bytes : (size_t)1 << 30;
    struct stat st;
    lk_buf b;
    lk_buf_init(&b, limit < SIZE_MAX / 2 ? limit + 1 : SIZE_MAX / 2);
    int fd = lk_os()->open(path, O_RDONLY, 0);
    if (fd < 0)
        return lk_fail_sys(err, errno, "cannot open %s", path);

    lk_code code = LK_OK;
    size_t hint = 0;
    if (lk_os()->fstat(fd, &st) != 0)
        code = lk_fail_sys(err, errno, "cannot examine %s", path);
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > limit)
        code = lk_fail(err, LK_E_LIMIT, "%s has %jd bytes, more than %zu", path,
                       (intmax_t)st.st_size, limit);
    else if (S_ISREG(st.st_mode))
        hint = (size_t)st.st_size;
    if (!code) {
        code = read_to_end(fd, hint, b.limit - 1, &b, err);
        if (code)
            lk_err_prefix(err, code, "%s", path);
    }
    lk_os()->close(fd);
    if (!code) {
        *ret_n = b.n;
        *ret = (unsigned char *)lk_buf_steal(&b, NULL);
    }
    lk_buf_release(&b);
    return code;
}

/* The folder part of path, into memory to lk_free; "." when it has none. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return lk_strdup(".");
    return lk_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

lk_code lk_os_sync_dir(const char *dir, lk_err *err)
{
    int fd = lk_os()->open(dir, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return lk_fail_sys(err, errno, "cannot open the folder %s", dir);
    lk_code code = LK_OK;
    /* EINVAL: the file system keeps no folder that could be synced. */
    if (lk_os()->fsync(fd) != 0 && errno != EINVAL)
        code = lk_fail_sys(err, errno, "cannot sync the folder %s", dir);
    lk_os()->close(fd);
    return code;
}

static lk_code sync_folder_of(const char *path, lk_err *err)
{
    char *dir = folder_of(path);
    if (!dir)
        return lk_fail(err, LK_E_NOMEM, "no memory to sync the folder of %s", path);
    lk_code code = lk_os_sync_dir(dir, err);
    lk_free(dir);
    return code;
}

static lk_code write_synced(const char *path, const void *p, size_t n, lk_err *err)
{
    int fd = lk_os()->open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0)
        return lk_fail_sys(err, errno, "cannot create %s", path);
    lk_code code = lk_os_write_all(fd, p, n, err);
    if (code)
        lk_err_prefix(err, code, "%s", path);
    if (!code && lk_os()->fsync(fd) != 0)
        code = lk_fail_sys(err, errno, "cannot sync %s", path);
    if (lk_os()->close(fd) != 0 && !code)
        code = lk_fail_sys(err, errno, "cannot close %s", path);
    if (code)
        lk_os()->unlink(path);
    return code;
}

lk_code lk_os_write_file(const char *path, const void *p, size_t n, lk_err *err)
{
    unsigned char salt[8];
    char hex[2 * sizeof salt + 1];
    if (lk_os()->random(salt, sizeof salt) != 0)
        return lk_fail_sys(err, errno, "no random bytes to name a temporary file");
    lk_hex_encode(salt, sizeof salt, hex);

    lk_buf temp;
    lk_buf_init(&temp, 0);
    lk_buf_printf(&temp, "%s.%s.tmp", path, hex);
    lk_code code = lk_buf_check(&temp, err);
    if (!code)
        code = write_synced(temp.p, p, n, err);
    if (!code && lk_os()->rename(temp.p, path) != 0) {
        code = lk_fail_sys(err, errno, "cannot rename %s to %s", temp.p, path);
        lk_os()->unlink(temp.p);
    }
    if (!code)
        code = sync_folder_of(path, err);
    lk_buf_release(&temp);
    return code;
}

static lk_code make_one(const char *path, lk_err *err)
{
    struct stat st;
    if (lk_os()->mkdir(path, 0700) == 0)
        return sync_folder_of(path, err);
    int sys = errno;
    if (sys == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return LK_OK;
    if (sys == EEXIST)
        return lk_fail(err, LK_E_EXISTS, "%s exists and is no folder", path);
    return lk_fail_sys(err, sys, "cannot make the folder %s", path);
}

lk_code lk_os_mkdirs(const char *path, lk_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return LK_OK;
    if (path[0] == '\0')
        return lk_fail(err, LK_E_INVALID, "a folder needs a name");
    char *head = lk_strdup(path);
    if (!head)
        return lk_fail(err, LK_E_NOMEM, "no memory to make the folder %s", path);
    lk_code code = LK_OK;
    for (size_t i = 1; !code; i++) {
        char c = head[i];
        if (c != '/' && c != '\0')
            continue;
        head[i] = '\0';
        if (head[i - 1] != '/')
            code = make_one(head, err);
        head[i] = c;
        if (c == '\0')
            break;
    }
    lk_free(head);
    return code;
}

lk_code lk_os_remove(const char *path, lk_err *err)
{
    if (lk_os()->unlink(path) == 0 || errno == ENOENT)
        return LK_OK;
    return lk_fail_sys(err, errno, "cannot remove %s", path);
}

bool lk_os_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static lk_code locked_by(int fd, const char *path, lk_err *err)
{
    char pid[24] = "";
    ssize_t n = lk_os()->pread(fd, pid, sizeof pid - 1, 0);
    lk_str text = lk_str_trim((lk_str){pid, n > 0 ? (size_t)n : 0});
    uint64_t id;
    if (lk_str_to_u64(text, &id) && id == (uint64_t)getpid())
        return lk_fail(err, LK_E_LOCKED, "%s is already held by this process, %" PRIu64, path, id);
    if (lk_str_to_u64(text, &id))
        return lk_fail(err, LK_E_LOCKED, "%s is held by process %" PRIu64, path, id);
    return lk_fail(err, LK_E_LOCKED, "%s is held by another process", path);
}

lk_code lk_os_lock(const char *path, int *ret_fd, lk_err *err)
{
    char pid[24];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    int fd = lk_os()->open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return lk_fail_sys(err, errno, "cannot open the lock file %s", path);

    lk_code code = LK_OK;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        code = errno == EWOULDBLOCK ? locked_by(fd, path, err)
                                    : lk_fail_sys(err, errno, "cannot lock %s", path);
    } else if (lk_os()->ftruncate(fd, 0) != 0) {
        code = lk_fail_sys(err, errno, "cannot write the lock file %s", path);
    } else {
        code = lk_os_write_at(fd, pid, (size_t)n, 0, err);
        if (code)
            lk_err_prefix(err, code, "%s", path);
    }
    if (code) {
        lk_os()->close(fd);
        return code;
    }
    *ret_fd = fd;
    return LK_OK;
}

void lk_os_unlock(int fd)
{
    if (fd < 0)
        return;
    /* A forked child may share the open file; LOCK_UN lets go for both, close alone would not. */
    flock(fd, LOCK_UN);
    lk_os()->close(fd);
}
