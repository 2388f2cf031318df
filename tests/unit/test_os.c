#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

typedef struct file {
    char dir[TEST_PATH];
    int fd;
} file;

static void file_make(file *f)
{
    char path[TEST_PATH];
    test_dir_make(f->dir);
    test_path(f->dir, "data", path);
    f->fd = lk_os()->open(path, O_RDWR | O_CREAT, 0600);
    assert_true(f->fd >= 0);
}

static void file_remove(file *f)
{
    lk_os()->close(f->fd);
    test_dir_remove(f->dir);
}

static void whole_ranges_survive_short_counts_and_signals(void **state)
{
    (void)state;
    lk_err err;
    file f;
    char text[] = "a pear, a plum and a quince";
    char again[sizeof text] = "";
    test_faults_on();
    file_make(&f);
    test_short_io(3);
    test_fail_nth(TEST_WRITE, 2, EINTR);
    test_ok(lk_os_write_at(f.fd, text, sizeof text, 100, &err), &err);
    test_fail_nth(TEST_READ, 3, EINTR);
    test_ok(lk_os_read_at(f.fd, again, sizeof text, 100, &err), &err);
    assert_string_equal(again, text);

    test_fail_nth(TEST_WRITE, 1, EINTR);
    assert_int_equal(lseek(f.fd, 0, SEEK_SET), 0);
    test_ok(lk_os_write_all(f.fd, "pear", 4, &err), &err);
    test_ok(lk_os_read_at(f.fd, again, 4, 0, &err), &err);
    assert_memory_equal(again, "pear", 4);
    test_ok(lk_os_read_at(f.fd, NULL, 0, 1000000, &err), &err);
    file_remove(&f);
    test_faults_off();
}

static void errors_of_the_system_come_back_as_codes(void **state)
{
    (void)state;
    lk_err err;
    file f;
    char byte;
    test_faults_on();
    file_make(&f);
    test_fail_nth(TEST_WRITE, 1, EIO);
    test_code(lk_os_write_at(f.fd, "x", 1, 0, &err), LK_E_IO);
    assert_int_equal(err.sys, EIO);
    test_fail_nth(TEST_READ, 1, EIO);
    test_code(lk_os_read_at(f.fd, &byte, 1, 0, &err), LK_E_IO);
    test_disk_bytes(4);
    test_code(lk_os_write_at(f.fd, "12345", 5, 0, &err), LK_E_FULL);
    test_code(lk_os_write_all(f.fd, "1", 1, &err), LK_E_FULL);
    test_disk_bytes(SIZE_MAX);
    test_code(lk_os_read_at(f.fd, &byte, 1, 4, &err), LK_E_TRUNCATED);
    test_code(lk_os_read_at(f.fd, &byte, 1, UINT64_MAX, &err), LK_E_LIMIT);
    test_code(lk_os_write_at(f.fd, "1", 1, INT64_MAX, &err), LK_E_LIMIT);
    file_remove(&f);
    test_faults_off();
}

static void reserved_space_is_there_or_refused(void **state)
{
    (void)state;
    file f;
    struct stat st;
    file_make(&f);
    assert_int_equal(lk_os()->fallocate(f.fd, 0, 100000), 0);
    assert_int_equal(lk_os()->fstat(f.fd, &st), 0);
    assert_int_equal(st.st_size, 100000);
    assert_int_equal(lk_os()->fallocate(-1, 0, 1), -1);
    assert_int_equal(errno, EBADF);
    file_remove(&f);
}

static void opened_files_are_not_inherited_by_programs_we_start(void **state)
{
    (void)state;
    file f;
    file_make(&f);
    assert_int_equal(fcntl(f.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    file_remove(&f);
}

static void clocks_move_forward_and_random_bytes_differ(void **state)
{
    (void)state;
    uint64_t before = lk_now_ns();
    assert_true(lk_now_ns() >= before);
    assert_true(lk_wall_ms() > 1700000000000);
    unsigned char a[64] = {0};
    unsigned char b[64] = {0};
    assert_int_equal(lk_os()->random(a, sizeof a), 0);
    assert_int_equal(lk_os()->random(b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
}

static void the_machine_is_described(void **state)
{
    (void)state;
    assert_in_range(lk_os_cpus(), 1, (unsigned)sysconf(_SC_NPROCESSORS_CONF));
    uint64_t before = lk_os_rss_bytes();
    assert_true(before > 100000);
    size_t n = 64 << 20;
    char *p = lk_malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i += 1024)
        ((volatile char *)p)[i] = 1;
    assert_true(lk_os_rss_bytes() > before + n / 2);
    lk_free(p);
}

static void a_test_may_replace_the_table_and_give_it_back(void **state)
{
    (void)state;
    test_faults_on();
    assert_ptr_not_equal(lk_os(), lk_os_real());
    test_clock_stop(5000000000, 1000);
    assert_int_equal(lk_now_ns(), 5000000000);
    test_clock_add_ms(3);
    assert_int_equal(lk_now_ns(), 5003000000);
    assert_int_equal(lk_wall_ms(), 1003);
    test_faults_off();
    assert_ptr_equal(lk_os(), lk_os_real());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_ranges_survive_short_counts_and_signals),
        cmocka_unit_test(errors_of_the_system_come_back_as_codes),
        cmocka_unit_test(reserved_space_is_there_or_refused),
        cmocka_unit_test(opened_files_are_not_inherited_by_programs_we_start),
        cmocka_unit_test(clocks_move_forward_and_random_bytes_differ),
        cmocka_unit_test(the_machine_is_described),
        cmocka_unit_test(a_test_may_replace_the_table_and_give_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
