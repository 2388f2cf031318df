#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static void *real_aligned_alloc(size_t align, size_t size)
{
    void *p = NULL;
    int failed = posix_memalign(&p, align, size);
    return failed ? NULL : p;
}

static int real_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags | O_CLOEXEC, mode);
}

static int real_fallocate(int fd, off_t at, off_t size)
{
    int failed = posix_fallocate(fd, at, size);
    if (!failed)
        return 0;
    errno = failed;
    return -1;
}

static int real_fstat(int fd, struct stat *ret)
{
    return fstat(fd, ret);
}

static uint64_t real_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t real_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int real_random(void *p, size_t n)
{
    unsigned char *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

static const lk_os_table real = {
    .malloc = malloc,
    .calloc = calloc,
    .realloc = realloc,
    .aligned_alloc = real_aligned_alloc,
    .free = free,
    .open = real_open,
    .close = close,
    .read = read,
    .pread = pread,
    .write = write,
    .pwrite = pwrite,
    .fsync = fsync,
    .fdatasync = fdatasync,
    .ftruncate = ftruncate,
    .fallocate = real_fallocate,
    .rename = rename,
    .unlink = unlink,
    .mkdir = mkdir,
    .fstat = real_fstat,
    .mmap = mmap,
    .munmap = munmap,
    .monotonic_ns = real_monotonic_ns,
    .wall_ms = real_wall_ms,
    .random = real_random,
};

static const lk_os_table *current = &real;

const lk_os_table *lk_os(void)
{
    return current;
}

const lk_os_table *lk_os_real(void)
{
    return &real;
}

void lk_os_use(const lk_os_table *table)
{
    current = table ? table : &real;
}

/* One call is kept under what every kernel takes at once. */
static size_t piece(size_t n)
{
    return n < (size_t)1 << 30 ? n : (size_t)1 << 30;
}

static bool fits_off_t(uint64_t at, size_t n)
{
    return at <= INT64_MAX && n <= INT64_MAX - at;
}

lk_code lk_os_read_at(int fd, void *p, size_t n, uint64_t at, lk_err *err)
{
    unsigned char *to = p;
    size_t done = 0;
    if (!fits_off_t(at, n))
        return lk_fail(err, LK_E_LIMIT, "no file has %zu bytes at %" PRIu64, n, at);
    while (done < n) {
        ssize_t got = lk_os()->pread(fd, to + done, piece(n - done), (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return lk_fail_sys(err, errno, "cannot read %zu bytes at %" PRIu64, n, at);
        if (got == 0)
            return lk_fail(err, LK_E_TRUNCATED, "the file ends %zu bytes into the %zu at %" PRIu64,
                           done, n, at);
        done += (size_t)got;
    }
    return LK_OK;
}

lk_code lk_os_write_at(int fd, const void *p, size_t n, uint64_t at, lk_err *err)
{
    const unsigned char *from = p;
    size_t done = 0;
    if (!fits_off_t(at, n))
        return lk_fail(err, LK_E_LIMIT, "no file holds %zu bytes at %" PRIu64, n, at);
    while (done < n) {
        ssize_t put = lk_os()->pwrite(fd, from + done, piece(n - done), (off_t)(at + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return lk_fail_sys(err, errno, "cannot write %zu bytes at %" PRIu64, n, at);
        done += (size_t)put;
    }
    return LK_OK;
}

lk_code lk_os_write_all(int fd, const void *p, size_t n, lk_err *err)
{
    const unsigned char *from = p;
    size_t done = 0;
    while (done < n) {
        ssize_t put = lk_os()->write(fd, from + done, piece(n - done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return lk_fail_sys(err, errno, "cannot write %zu bytes", n);
        done += (size_t)put;
    }
    return LK_OK;
}

uint64_t lk_now_ns(void)
{
    return lk_os()->monotonic_ns();
}

int64_t lk_wall_ms(void)
{
    return lk_os()->wall_ms();
}

/* The share of processors that the control group grants ("max 100000" is no bound), rounded up. */
static unsigned cgroup_cpus(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    unsigned long quota = 0;
    unsigned long period = 0;
    int n = fscanf(f, "%lu %lu", &quota, &period);
    fclose(f);
    if (n != 2 || quota == 0 || period == 0)
        return 0;
    return (unsigned)((quota + period - 1) / period);
}

unsigned lk_os_cpus(void)
{
    cpu_set_t set;
    long n = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    else
        n = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned cpus = n > 0 ? (unsigned)n : 1;
    unsigned granted = cgroup_cpus();
    return granted > 0 && granted < cpus ? granted : cpus;
}

uint64_t lk_os_rss_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    uint64_t pages = 0;
    int n = fscanf(f, "%*u %" SCNu64, &pages);
    fclose(f);
    return n == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
