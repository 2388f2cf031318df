#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

static size_t count_entries(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

static void assert_holds(const char *path, const char *want)
{
    lk_err err;
    unsigned char *bytes = NULL;
    size_t n = 0;
    test_ok(lk_os_read_file(path, 0, &bytes, &n, &err), &err);
    assert_string_equal((char *)bytes, want);
    assert_int_equal(n, strlen(want));
    lk_free(bytes);
}

static void what_is_written_is_read_back_and_replaced_whole(void **state)
{
    (void)state;
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    test_dir_make(dir);
    test_path(dir, "note", path);
    test_ok(lk_os_write_file(path, "a long first text", 17, &err), &err);
    assert_holds(path, "a long first text");
    test_ok(lk_os_write_file(path, "short", 5, &err), &err);
    assert_holds(path, "short");
    test_ok(lk_os_write_file(path, NULL, 0, &err), &err);
    assert_holds(path, "");
    assert_int_equal(count_entries(dir), 1);
    test_dir_remove(dir);
}

static void the_limit_of_a_read_is_exact(void **state)
{
    (void)state;
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    unsigned char *bytes = NULL;
    size_t n = 0;
    test_dir_make(dir);
    test_path(dir, "note", path);
    test_write(path, "12345", 5);
    test_code(lk_os_read_file(path, 4, &bytes, &n, &err), LK_E_LIMIT);
    test_has(err.text, path);
    assert_null(bytes);
    test_ok(lk_os_read_file(path, 5, &bytes, &n, &err), &err);
    assert_int_equal(n, 5);
    lk_free(bytes);
    test_faults_on();
    test_short_io(2);
    test_fail_nth(TEST_READ, 2, EINTR);
    test_ok(lk_os_read_file(path, 5, &bytes, &n, &err), &err);
    assert_string_equal((char *)bytes, "12345");
    lk_free(bytes);
    test_faults_off();
    test_dir_remove(dir);
}

/* /proc files claim a size of 0 and have one all the same; /dev/zero never ends. */
static void files_that_do_not_know_their_size_are_read_to_the_end(void **state)
{
    (void)state;
    lk_err err;
    unsigned char *bytes = NULL;
    size_t n = 0;
    test_ok(lk_os_read_file("/proc/self/status", 0, &bytes, &n, &err), &err);
    test_has((char *)bytes, "Name:");
    assert_int_equal(strlen((char *)bytes), n);
    lk_free(bytes);
    test_code(lk_os_read_file("/dev/zero", 100000, &bytes, &n, &err), LK_E_LIMIT);
    test_code(lk_os_read_file("/", 0, &bytes, &n, &err), LK_E_IO);
    test_code(lk_os_read_file("/no such file", 0, &bytes, &n, &err), LK_E_NOT_FOUND);
    test_has(err.text, "/no such file");
}

/* Every call that replacing a file makes, failed once: the old text or the new one stands there
 * afterwards, whole, and nothing else. */
static void a_failed_write_leaves_the_old_file_and_no_litter(void **state)
{
    (void)state;
    static const test_call calls[] = {TEST_ALLOC, TEST_RANDOM, TEST_OPEN,  TEST_WRITE,
                                      TEST_SYNC,  TEST_CLOSE,  TEST_RENAME};
    char dir[TEST_PATH];
    char path[TEST_PATH];
    test_dir_make(dir);
    test_path(dir, "note", path);
    for (size_t i = 0; i < LK_ARRAY_LEN(calls); i++) {
        for (size_t nth = 1; nth <= 2; nth++) {
            lk_err err = {.code = LK_OK};
            test_write(path, "old", 3);
            test_faults_on();
            test_fail_nth(calls[i], nth, EIO);
            lk_code code = lk_os_write_file(path, "new", 3, &err);
            size_t n_calls = test_calls(calls[i]);
            assert_int_equal(test_live_allocations(), 0);
            test_faults_off();
            if (nth == 1 || n_calls >= nth) {
                bool only_closes_a_folder = calls[i] == TEST_CLOSE && nth == 2;
                if (!code && !only_closes_a_folder)
                    fail_msg("call %d failed the %zu. time and nobody noticed", (int)calls[i], nth);
            }
            /* The second open and sync are the folder's, after the rename. */
            assert_holds(path, code && nth == 1 ? "old" : "new");
            assert_int_equal(count_entries(dir), 1);
        }
    }
    test_faults_on();
    test_write(path, "old", 3);
    test_disk_bytes(2);
    lk_err err;
    test_code(lk_os_write_file(path, "new", 3, &err), LK_E_FULL);
    test_has(err.text, path);
    test_faults_off();
    assert_holds(path, "old");
    assert_int_equal(count_entries(dir), 1);
    test_dir_remove(dir);
}

/* The file before the rename and the folder after it, or the name may be lost with the power. */
static void a_write_is_synced_with_its_folder(void **state)
{
    (void)state;
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    test_dir_make(dir);
    test_path(dir, "note", path);
    test_faults_on();
    test_ok(lk_os_write_file(path, "new", 3, &err), &err);
    assert_int_equal(test_calls(TEST_SYNC), 2);
    test_fail_nth(TEST_SYNC, 2, EIO);
    test_code(lk_os_write_file(path, "newer", 5, &err), LK_E_IO);
    test_has(err.text, "cannot sync the folder");
    test_faults_off();
    test_dir_remove(dir);
}

static void folders_are_made_with_all_above_them(void **state)
{
    (void)state;
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    struct stat st;
    test_dir_make(dir);
    test_path(dir, "a//b/c/", path);
    test_ok(lk_os_mkdirs(path, &err), &err);
    test_ok(lk_os_mkdirs(path, &err), &err);
    test_path(dir, "a/b/c", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0700u, 0);
    test_path(dir, "file", path);
    test_write(path, "x", 1);
    test_code(lk_os_mkdirs(path, &err), LK_E_EXISTS);
    test_path(dir, "file/under", path);
    assert_int_not_equal(lk_os_mkdirs(path, &err), LK_OK);
    test_code(lk_os_mkdirs("", &err), LK_E_INVALID);

    test_path(dir, "d/e", path);
    test_faults_on();
    test_fail_nth(TEST_MKDIR, 2, ENOSPC);
    test_code(lk_os_mkdirs(path, &err), LK_E_FULL);
    test_fail_nth(TEST_SYNC, 1, EIO);
    test_code(lk_os_mkdirs(path, &err), LK_E_IO);
    assert_int_equal(test_live_allocations(), 0);
    test_faults_off();
    test_dir_remove(dir);
}

static void removing_what_is_not_there_is_fine(void **state)
{
    (void)state;
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    test_dir_make(dir);
    test_path(dir, "note", path);
    assert_false(lk_os_exists(path));
    test_ok(lk_os_remove(path, &err), &err);
    test_write(path, "x", 1);
    assert_true(lk_os_exists(path));
    test_ok(lk_os_remove(path, &err), &err);
    assert_false(lk_os_exists(path));
    test_code(lk_os_remove("/proc/version", &err), LK_E_DENIED);
    test_code(lk_os_sync_dir(path, &err), LK_E_NOT_FOUND);
    test_ok(lk_os_sync_dir(dir, &err), &err);
    test_dir_remove(dir);
}

static void a_second_open_in_this_process_is_refused_the_lock(void **state)
{
    (void)state;
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    char pid[24];
    int fd = -1;
    int second = -1;
    test_dir_make(dir);
    test_path(dir, "lock", path);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    test_ok(lk_os_lock(path, &fd, &err), &err);
    test_code(lk_os_lock(path, &second, &err), LK_E_LOCKED);
    test_has(err.text, pid);
    test_has(err.text, path);
    assert_int_equal(second, -1);
    lk_os_unlock(fd);
    lk_os_unlock(-1);
    test_ok(lk_os_lock(path, &fd, &err), &err);
    lk_os_unlock(fd);
    test_dir_remove(dir);
}

/* In a child: take the lock, tell the parent, and wait to be killed. */
static void hold(const char *path, int tell)
{
    int fd = -1;
    if (lk_os_lock(path, &fd, NULL) == LK_OK && write(tell, "x", 1) == 1)
        pause();
    _exit(1);
}

static void another_process_is_named_until_it_ends(void **state)
{
    (void)state;
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    char pid[24];
    char byte;
    int ends[2];
    int fd = -1;
    test_dir_make(dir);
    test_path(dir, "lock", path);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        hold(path, ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    snprintf(pid, sizeof pid, "process %ld", (long)child);
    test_code(lk_os_lock(path, &fd, &err), LK_E_LOCKED);
    test_has(err.text, pid);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    test_ok(lk_os_lock(path, &fd, &err), &err);
    lk_os_unlock(fd);
    close(ends[0]);
    close(ends[1]);
    test_dir_remove(dir);
}

static void a_lock_that_cannot_be_written_is_not_taken(void **state)
{
    (void)state;
    static const test_call calls[] = {TEST_OPEN, TEST_TRUNCATE, TEST_WRITE};
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    int fd = -1;
    test_dir_make(dir);
    test_path(dir, "lock", path);
    for (size_t i = 0; i < LK_ARRAY_LEN(calls); i++) {
        test_faults_on();
        test_fail_nth(calls[i], 1, ENOSPC);
        test_code(lk_os_lock(path, &fd, &err), LK_E_FULL);
        test_has(err.text, path);
        test_faults_off();
        test_ok(lk_os_lock(path, &fd, &err), &err);
        lk_os_unlock(fd);
    }
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back_and_replaced_whole),
        cmocka_unit_test(the_limit_of_a_read_is_exact),
        cmocka_unit_test(files_that_do_not_know_their_size_are_read_to_the_end),
        cmocka_unit_test(a_failed_write_leaves_the_old_file_and_no_litter),
        cmocka_unit_test(a_write_is_synced_with_its_folder),
        cmocka_unit_test(folders_are_made_with_all_above_them),
        cmocka_unit_test(removing_what_is_not_there_is_fine),
        cmocka_unit_test(a_second_open_in_this_process_is_refused_the_lock),
        cmocka_unit_test(another_process_is_named_until_it_ends),
        cmocka_unit_test(a_lock_that_cannot_be_written_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
