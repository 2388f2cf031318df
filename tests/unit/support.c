#include "support.h"

#include <errno.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void test_dir_make(char ret[TEST_PATH])
{
    const char *tmp = getenv("TMPDIR");
    snprintf(ret, TEST_PATH, "%s/lk-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(ret))
        fail_msg("no scratch folder %s: %s", ret, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void test_dir_remove(const char *dir)
{
    if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fail_msg("cannot remove %s: %s", dir, strerror(errno));
}

void test_path(const char *dir, const char *name, char ret[TEST_PATH])
{
    int n = snprintf(ret, TEST_PATH, "%s/%s", dir, name);
    if (n < 0 || n >= TEST_PATH)
        fail_msg("a path too long: %s/%s", dir, name);
}

void test_write(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        fail_msg("cannot write %s: %s", path, strerror(errno));
}

void test_source(const char *name, char ret[TEST_PATH])
{
    const char *root = getenv("LK_SOURCE_ROOT");
    test_path(root ? root : ".", name, ret);
}

void test_shared(const char *name, char ret[TEST_PATH])
{
    char beside[TEST_PATH];
    test_source("../shared", beside);
    test_path(beside, name, ret);
    if (access(ret, R_OK) != 0) {
        print_message("no test material at %s\n", ret);
        skip();
    }
}

/* The state of the table in use. Atomic, because a test may have threads under it. */
static struct {
    atomic_size_t calls[TEST_N_CALLS];
    atomic_size_t fail_at[TEST_N_CALLS]; /* the count that fails; 0: none */
    atomic_bool fail_on[TEST_N_CALLS];   /* and all after it */
    atomic_int sys[TEST_N_CALLS];
    atomic_size_t disk_left;
    atomic_size_t max_io;
    atomic_long live;
    atomic_size_t faults;
    atomic_bool clock_stopped;
    _Atomic uint64_t now_ns;
    _Atomic int64_t wall_ms;
} faults;

static bool faulty(test_call call)
{
    size_t count = atomic_fetch_add(&faults.calls[call], 1) + 1;
    size_t at = atomic_load(&faults.fail_at[call]);
    if (at == 0 || count < at || (count > at && !atomic_load(&faults.fail_on[call])))
        return false;
    atomic_fetch_add(&faults.faults, 1);
    errno = atomic_load(&faults.sys[call]);
    return true;
}

static void *counted(void *p)
{
    if (p)
        atomic_fetch_add(&faults.live, 1);
    return p;
}

static void *faulty_malloc(size_t size)
{
    return faulty(TEST_ALLOC) ? NULL : counted(lk_os_real()->malloc(size));
}

static void *faulty_calloc(size_t n, size_t size)
{
    return faulty(TEST_ALLOC) ? NULL : counted(lk_os_real()->calloc(n, size));
}

static void *faulty_realloc(void *p, size_t size)
{
    if (faulty(TEST_ALLOC))
        return NULL;
    return p ? lk_os_real()->realloc(p, size) : counted(lk_os_real()->realloc(p, size));
}

static void *faulty_aligned_alloc(size_t align, size_t size)
{
    return faulty(TEST_ALLOC) ? NULL : counted(lk_os_real()->aligned_alloc(align, size));
}

static void faulty_free(void *p)
{
    if (p)
        atomic_fetch_sub(&faults.live, 1);
    lk_os_real()->free(p);
}

static int faulty_open(const char *path, int flags, mode_t mode)
{
    return faulty(TEST_OPEN) ? -1 : lk_os_real()->open(path, flags, mode);
}

static int faulty_close(int fd)
{
    bool fails = faulty(TEST_CLOSE);
    int sys = errno;
    int got = lk_os_real()->close(fd); /* as the kernel does: it is closed all the same */
    if (!fails)
        return got;
    errno = sys;
    return -1;
}

static size_t io_size(size_t n)
{
    size_t max = atomic_load(&faults.max_io);
    return n < max ? n : max;
}

/* How many of n bytes the disk still takes; 0 and ENOSPC when none. */
static size_t disk_room(size_t n)
{
    size_t left = atomic_load(&faults.disk_left);
    size_t taken = n < left ? n : left;
    if (left != SIZE_MAX)
        atomic_fetch_sub(&faults.disk_left, taken);
    errno = ENOSPC;
    return taken;
}

static ssize_t faulty_read(int fd, void *p, size_t n)
{
    return faulty(TEST_READ) ? -1 : lk_os_real()->read(fd, p, io_size(n));
}

static ssize_t faulty_pread(int fd, void *p, size_t n, off_t at)
{
    return faulty(TEST_READ) ? -1 : lk_os_real()->pread(fd, p, io_size(n), at);
}

static ssize_t faulty_write(int fd, const void *p, size_t n)
{
    if (faulty(TEST_WRITE))
        return -1;
    size_t taken = n > 0 ? disk_room(io_size(n)) : 0;
    return n > 0 && taken == 0 ? -1 : lk_os_real()->write(fd, p, taken);
}

static ssize_t faulty_pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (faulty(TEST_WRITE))
        return -1;
    size_t taken = n > 0 ? disk_room(io_size(n)) : 0;
    return n > 0 && taken == 0 ? -1 : lk_os_real()->pwrite(fd, p, taken, at);
}

static int faulty_fsync(int fd)
{
    return faulty(TEST_SYNC) ? -1 : lk_os_real()->fsync(fd);
}

static int faulty_fdatasync(int fd)
{
    return faulty(TEST_SYNC) ? -1 : lk_os_real()->fdatasync(fd);
}

static int faulty_ftruncate(int fd, off_t size)
{
    return faulty(TEST_TRUNCATE) ? -1 : lk_os_real()->ftruncate(fd, size);
}

static int faulty_fallocate(int fd, off_t at, off_t size)
{
    return faulty(TEST_FALLOCATE) ? -1 : lk_os_real()->fallocate(fd, at, size);
}

static int faulty_rename(const char *from, const char *to)
{
    return faulty(TEST_RENAME) ? -1 : lk_os_real()->rename(from, to);
}

static int faulty_unlink(const char *path)
{
    return faulty(TEST_UNLINK) ? -1 : lk_os_real()->unlink(path);
}

static int faulty_mkdir(const char *path, mode_t mode)
{
    return faulty(TEST_MKDIR) ? -1 : lk_os_real()->mkdir(path, mode);
}

static int faulty_fstat(int fd, struct stat *ret)
{
    return faulty(TEST_STAT) ? -1 : lk_os_real()->fstat(fd, ret);
}

static void *faulty_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    /* MAP_FAILED, without the header it stands in. */
    return faulty(TEST_MMAP) ? (void *)-1 : lk_os_real()->mmap(at, size, prot, flags, fd, offset);
}

static uint64_t faulty_monotonic_ns(void)
{
    bool stopped = atomic_load(&faults.clock_stopped);
    return stopped ? atomic_load(&faults.now_ns) : lk_os_real()->monotonic_ns();
}

static int64_t faulty_wall_ms(void)
{
    bool stopped = atomic_load(&faults.clock_stopped);
    return stopped ? atomic_load(&faults.wall_ms) : lk_os_real()->wall_ms();
}

static int faulty_random(void *p, size_t n)
{
    return faulty(TEST_RANDOM) ? -1 : lk_os_real()->random(p, n);
}

static int real_munmap(void *p, size_t size)
{
    return lk_os_real()->munmap(p, size);
}

static const lk_os_table faulty_table = {
    .malloc = faulty_malloc,
    .calloc = faulty_calloc,
    .realloc = faulty_realloc,
    .aligned_alloc = faulty_aligned_alloc,
    .free = faulty_free,
    .open = faulty_open,
    .close = faulty_close,
    .read = faulty_read,
    .pread = faulty_pread,
    .write = faulty_write,
    .pwrite = faulty_pwrite,
    .fsync = faulty_fsync,
    .fdatasync = faulty_fdatasync,
    .ftruncate = faulty_ftruncate,
    .fallocate = faulty_fallocate,
    .rename = faulty_rename,
    .unlink = faulty_unlink,
    .mkdir = faulty_mkdir,
    .fstat = faulty_fstat,
    .mmap = faulty_mmap,
    .munmap = real_munmap,
    .monotonic_ns = faulty_monotonic_ns,
    .wall_ms = faulty_wall_ms,
    .random = faulty_random,
};

void test_faults_on(void)
{
    for (size_t i = 0; i < TEST_N_CALLS; i++) {
        atomic_store(&faults.calls[i], 0);
        atomic_store(&faults.fail_at[i], 0);
        atomic_store(&faults.fail_on[i], false);
    }
    atomic_store(&faults.disk_left, SIZE_MAX);
    atomic_store(&faults.max_io, SIZE_MAX);
    atomic_store(&faults.live, 0);
    atomic_store(&faults.faults, 0);
    atomic_store(&faults.clock_stopped, false);
    lk_os_use(&faulty_table);
}

void test_faults_off(void)
{
    lk_os_use(NULL);
}

static void fail_at(test_call call, size_t n, int sys, bool and_after)
{
    atomic_store(&faults.sys[call], sys);
    atomic_store(&faults.fail_on[call], and_after);
    atomic_store(&faults.fail_at[call], n ? atomic_load(&faults.calls[call]) + n : 0);
}

void test_fail_nth(test_call call, size_t n, int sys)
{
    fail_at(call, n, sys, false);
}

void test_fail_from(test_call call, size_t n, int sys)
{
    fail_at(call, n, sys, true);
}

void test_disk_bytes(size_t n)
{
    atomic_store(&faults.disk_left, n);
}

void test_short_io(size_t max)
{
    atomic_store(&faults.max_io, max);
}

size_t test_calls(test_call call)
{
    return atomic_load(&faults.calls[call]);
}

long test_live_allocations(void)
{
    return atomic_load(&faults.live);
}

size_t test_sweep(test_call call, int sys, lk_code want, test_try_fn *fn, void *ctx)
{
    for (size_t n = 1;; n++) {
        lk_err err = {.code = LK_OK};
        test_faults_on();
        test_fail_from(call, n, sys);
        lk_code code = fn(ctx, &err);
        size_t seen = atomic_load(&faults.faults);
        long live = test_live_allocations();
        test_faults_off();
        if (live != 0)
            fail_msg("fault %zu: %ld allocations are left behind", n, live);
        if (seen == 0) {
            if (code)
                fail_msg("without a fault: %s (%s)", lk_code_word(code), err.text);
            if (n == 1)
                fail_msg("the sweep met no call that could fail");
            return n - 1;
        }
        if (code != want)
            fail_msg("fault %zu: %s (%s), expected %s", n, lk_code_word(code), err.text,
                     lk_code_word(want));
        if (err.code != code || err.text[0] == '\0')
            fail_msg("fault %zu: %s comes without a sentence", n, lk_code_word(code));
    }
}

void test_clock_stop(uint64_t monotonic_ns, int64_t wall_ms)
{
    atomic_store(&faults.now_ns, monotonic_ns);
    atomic_store(&faults.wall_ms, wall_ms);
    atomic_store(&faults.clock_stopped, true);
}

void test_clock_add_ms(uint64_t ms)
{
    atomic_fetch_add(&faults.now_ns, ms * 1000000);
    atomic_fetch_add(&faults.wall_ms, (int64_t)ms);
}

uint64_t test_rng_next(test_rng *r)
{
    uint64_t z = r->s += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t test_rng_below(test_rng *r, uint64_t n)
{
    return test_rng_next(r) % n;
}

double test_rng_unit(test_rng *r)
{
    return (double)(test_rng_next(r) >> 11) * 0x1p-53;
}
