#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/progress.h"

typedef struct screen {
    int fd;   /* what the progress writes to */
    int look; /* what was written can be read here */
    char text[8192];
} screen;

static void screen_pipe(screen *s)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    s->look = ends[0];
    s->fd = ends[1];
    assert_int_equal(fcntl(s->look, F_SETFL, O_NONBLOCK), 0);
}

static void screen_terminal(screen *s, unsigned short columns)
{
    char name[128];
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    struct termios raw;
    s->look = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(s->look >= 0);
    assert_int_equal(grantpt(s->look), 0);
    assert_int_equal(unlockpt(s->look), 0);
    assert_int_equal(ptsname_r(s->look, name, sizeof name), 0);
    s->fd = open(name, O_RDWR | O_NOCTTY);
    assert_true(s->fd >= 0);
    assert_int_equal(tcgetattr(s->fd, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(s->fd, TCSANOW, &raw), 0);
    assert_int_equal(ioctl(s->fd, TIOCSWINSZ, &size), 0);
}

static const char *screen_read(screen *s)
{
    ssize_t n = read(s->look, s->text, sizeof s->text - 1);
    s->text[n > 0 ? n : 0] = '\0';
    return s->text;
}

static void screen_close(screen *s)
{
    close(s->fd);
    close(s->look);
}

static void plain_lines_come_every_five_seconds(void **state)
{
    (void)state;
    screen s;
    lk_progress p;
    test_faults_on();
    test_clock_stop(1000000000, 0);
    screen_pipe(&s);
    lk_progress_init(&p, s.fd, "adding", "images");
    lk_progress_set_total(&p, 1000);
    test_clock_add_ms(4999);
    lk_progress_add(&p, 99, 0);
    assert_string_equal(screen_read(&s), "");
    test_clock_add_ms(1);
    lk_progress_add(&p, 1, 0);
    assert_string_equal(screen_read(&s), "adding: 10 %, 100 of 1000 images, 20/s, 0:45 left\n");
    lk_progress_add(&p, 100, 0);
    assert_string_equal(screen_read(&s), "");
    test_clock_add_ms(5000);
    lk_progress_add(&p, 0, 2);
    assert_string_equal(screen_read(&s),
                        "adding: 20 %, 202 of 1000 images, 20/s, 0:40 left, 2 failed\n");
    lk_progress_finish(&p);
    assert_string_equal(screen_read(&s), "adding: 200 images in 0:10, 20/s, 2 failed\n");
    screen_close(&s);
    test_faults_off();
}

static void a_terminal_gets_a_bar_ten_times_a_second(void **state)
{
    (void)state;
    screen s;
    lk_progress p;
    test_faults_on();
    test_clock_stop(1000000000, 0);
    screen_terminal(&s, 100);
    lk_progress_init(&p, s.fd, "adding", "images");
    lk_progress_set(&p, 25, 100);
    assert_string_equal(screen_read(&s), "");
    test_clock_add_ms(10000);
    lk_progress_set(&p, 50, 100);
    assert_string_equal(screen_read(&s),
                        "\r\x1b[Kadding [====================>                   ]  50 %"
                        "  50 of 100 images  5.0/s  0:10 left");
    test_clock_add_ms(99);
    lk_progress_add(&p, 1, 0);
    assert_string_equal(screen_read(&s), "");
    test_clock_add_ms(1);
    lk_progress_add(&p, 49, 0);
    test_has(screen_read(&s),
             "[========================================] 100 %  100 of 100 images");
    lk_progress_finish(&p);
    assert_string_equal(screen_read(&s), "\r\x1b[Kadding: 100 images in 0:10, 9.9/s\n");
    screen_close(&s);
    test_faults_off();
}

static void the_bar_never_fills_the_line_to_its_last_column(void **state)
{
    (void)state;
    static const unsigned short widths[] = {1, 10, 20, 40, 60, 61, 79, 80, 200, 5000};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        screen s;
        lk_progress p;
        test_faults_on();
        test_clock_stop(1000000000, 0);
        screen_terminal(&s, widths[i]);
        lk_progress_init(&p, s.fd, "adding", "images");
        test_clock_add_ms(7265000);
        lk_progress_set(&p, 123456, 100000000);
        screen_read(&s);
        size_t n = strlen(s.text) - strlen("\r\x1b[K");
        if (n >= widths[i])
            fail_msg("%zu characters in %u columns: %s", n, widths[i], s.text);
        lk_progress_finish(&p);
        screen_close(&s);
        test_faults_off();
    }
}

static void without_a_total_there_is_only_a_count(void **state)
{
    (void)state;
    screen s;
    lk_progress p;
    test_faults_on();
    test_clock_stop(1000000000, 0);
    screen_terminal(&s, 80);
    lk_progress_init(&p, s.fd, "adding", "images");
    test_clock_add_ms(3600000);
    lk_progress_add(&p, 7200, 0);
    assert_string_equal(screen_read(&s), "\r\x1b[Kadding  7200 images  2.0/s");
    lk_progress_set_total(&p, 72000);
    test_clock_add_ms(100);
    lk_progress_add(&p, 0, 0);
    test_has(screen_read(&s), "9:00:01 left");
    lk_progress_finish(&p);
    test_has(screen_read(&s), "7200 images in 1:00:00, 2.0/s\n");
    screen_close(&s);
    test_faults_off();
}

static void more_than_the_total_is_all_of_it(void **state)
{
    (void)state;
    screen s;
    lk_progress p;
    test_faults_on();
    test_clock_stop(1000000000, 0);
    screen_pipe(&s);
    lk_progress_init(&p, s.fd, "adding", "images");
    lk_progress_set_total(&p, 10);
    test_clock_add_ms(5000);
    lk_progress_add(&p, 12, 3);
    test_has(screen_read(&s), "adding: 100 %, 15 of 10 images, 3.0/s, 3 failed\n");
    lk_progress_finish(&p);
    screen_close(&s);
    test_faults_off();
}

static void a_silent_progress_writes_nothing_and_a_broken_one_goes_on(void **state)
{
    (void)state;
    screen s;
    lk_progress p;
    test_faults_on();
    lk_progress_init(&p, -1, "adding", "images");
    lk_progress_add(&p, 1, 0);
    lk_progress_finish(&p);
    assert_int_equal(test_calls(TEST_WRITE), 0);

    screen_pipe(&s);
    test_clock_stop(1000000000, 0);
    lk_progress_init(&p, s.fd, "adding", "images");
    test_fail_from(TEST_WRITE, 1, EIO);
    test_clock_add_ms(6000);
    lk_progress_add(&p, 1, 0);
    lk_progress_finish(&p);
    assert_int_equal(p.done, 1);
    assert_int_equal(test_calls(TEST_WRITE), 2);
    screen_close(&s);
    test_faults_off();
}

static void add_one(void *ctx, size_t i)
{
    lk_progress_add(ctx, 1, i % 10 == 0);
}

static void any_thread_may_add(void **state)
{
    (void)state;
    lk_err err;
    lk_progress p;
    lk_progress_init(&p, -1, "adding", "images");
    test_ok(lk_parallel_for(1000, 4, 7, add_one, &p, &err), &err);
    assert_int_equal(p.done, 1000);
    assert_int_equal(p.failed, 100);
    lk_progress_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_come_every_five_seconds),
        cmocka_unit_test(a_terminal_gets_a_bar_ten_times_a_second),
        cmocka_unit_test(the_bar_never_fills_the_line_to_its_last_column),
        cmocka_unit_test(without_a_total_there_is_only_a_count),
        cmocka_unit_test(more_than_the_total_is_all_of_it),
        cmocka_unit_test(a_silent_progress_writes_nothing_and_a_broken_one_goes_on),
        cmocka_unit_test(any_thread_may_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
