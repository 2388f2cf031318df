/* The operating system, behind one table.
 *
 * Every file, clock, random and memory call whose failure matters goes through `lk_os()`, so that a
 * test can put a table in place that fails the nth call, fills the disk or stops the clock. The
 * helpers below are built on the table. Replacing the table is for tests, before threads start; it
 * is the one piece of mutable file-scope state in the library. */
#ifndef LK_BASE_OS_H
#define LK_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

typedef struct lk_os_table {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t n, size_t size);
    void *(*realloc)(void *p, size_t size);
    void *(*aligned_alloc)(size_t align, size_t size);
    void (*free)(void *p);

    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*read)(int fd, void *p, size_t n);
    ssize_t (*pread)(int fd, void *p, size_t n, off_t at);
    ssize_t (*write)(int fd, const void *p, size_t n);
    ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
    int (*fsync)(int fd);
    int (*fdatasync)(int fd);
    int (*ftruncate)(int fd, off_t size);
    int (*fallocate)(int fd, off_t at, off_t size); /* really reserves; errno ENOSPC when full */
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*fstat)(int fd, struct stat *ret);
    void *(*mmap)(void *at, size_t size, int prot, int flags, int fd, off_t offset);
    int (*munmap)(void *p, size_t size);

    uint64_t (*monotonic_ns)(void);
    int64_t (*wall_ms)(void);         /* since 1970-01-01 UTC */
    int (*random)(void *p, size_t n); /* 0, or -1 and errno */
} lk_os_table;

const lk_os_table *lk_os(void);
/* The table of real calls, to copy and change. */
const lk_os_table *lk_os_real(void);
/* Use *table (kept by the caller) from now on; NULL restores the real one. */
void lk_os_use(const lk_os_table *table);

/* Whole-range forms: retry on EINTR and short counts. A short file is LK_E_TRUNCATED. */
LK_CHECK lk_code lk_os_read_at(int fd, void *p, size_t n, uint64_t at, lk_err *err);
LK_CHECK lk_code lk_os_write_at(int fd, const void *p, size_t n, uint64_t at, lk_err *err);
LK_CHECK lk_code lk_os_write_all(int fd, const void *p, size_t n, lk_err *err);

/* The file's bytes in memory to lk_free (a NUL follows them). Over limit_bytes: LK_E_LIMIT. */
LK_CHECK lk_code lk_os_read_file(const char *path, size_t limit_bytes, unsigned char **ret,
                                 size_t *ret_n, lk_err *err);
/* All or nothing and durable: temporary file beside it, fsync, rename, fsync of the folder. */
LK_CHECK lk_code lk_os_write_file(const char *path, const void *p, size_t n, lk_err *err);
LK_CHECK lk_code lk_os_sync_dir(const char *dir, lk_err *err);
LK_CHECK lk_code lk_os_mkdirs(const char *path, lk_err *err); /* like mkdir -p, mode 0700 & umask */
LK_CHECK lk_code lk_os_remove(const char *path, lk_err *err); /* an absent file is fine */
bool lk_os_exists(const char *path);

/* Take the lock file `path` for the life of the process (or until lk_os_unlock). Another holder,
 * in this process too: LK_E_LOCKED, the text naming its process id. */
LK_CHECK lk_code lk_os_lock(const char *path, int *ret_fd, lk_err *err);
void lk_os_unlock(int fd);

uint64_t lk_now_ns(void);       /* monotonic */
int64_t lk_wall_ms(void);       /* since 1970-01-01 UTC */
unsigned lk_os_cpus(void);      /* processors this process may use, at least 1 */
uint64_t lk_os_rss_bytes(void); /* resident memory of this process, 0 when unknown */

#endif
