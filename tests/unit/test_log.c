#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

typedef struct sink {
    lk_log log;
    int ends[2];
    char text[8192];
} sink;

static void sink_init(sink *s, lk_log_level level, bool json)
{
    assert_int_equal(pipe(s->ends), 0);
    assert_int_equal(fcntl(s->ends[0], F_SETFL, O_NONBLOCK), 0);
    lk_log_init(&s->log, s->ends[1], level, json);
}

static const char *sink_read(sink *s)
{
    ssize_t n = read(s->ends[0], s->text, sizeof s->text - 1);
    s->text[n > 0 ? n : 0] = '\0';
    return s->text;
}

static void sink_release(sink *s)
{
    lk_log_release(&s->log);
    close(s->ends[0]);
    close(s->ends[1]);
}

static void a_text_line_has_time_level_words_and_fields(void **state)
{
    (void)state;
    sink s;
    test_faults_on();
    test_clock_stop(0, 1795253400123);
    sink_init(&s, LK_LOG_INFO, false);
    lk_log_info(&s.log, "listening", LK_LS("address", "127.0.0.1:8080"), LK_LI("port", 8080),
                LK_LD("load", 0.5));
    assert_string_equal(sink_read(&s), "2026-11-21T09:30:00.123Z info  listening "
                                       "address=127.0.0.1:8080 port=8080 load=0.5\n");
    sink_release(&s);
    test_faults_off();
}

static void a_json_line_is_json(void **state)
{
    (void)state;
    sink s;
    lk_err err;
    lk_json *doc = NULL;
    test_faults_on();
    test_clock_stop(0, -1);
    sink_init(&s, LK_LOG_DEBUG, true);
    lk_log_error(&s.log, "cannot \"read\"\n", LK_LS("path", "a\x80\nb"), LK_LS("none", NULL),
                 LK_LI("n", -3));
    sink_read(&s);
    assert_int_equal(s.text[strlen(s.text) - 1], '\n');
    test_ok(lk_json_parse(lk_str_trim(lk_str_of(s.text)), &doc, &err), &err);
    const lk_jval *o = lk_json_root(doc);
    assert_string_equal(lk_jval_str(lk_jval_get(o, "time")).p, "1969-12-31T23:59:59.999Z");
    assert_string_equal(lk_jval_str(lk_jval_get(o, "level")).p, "error");
    assert_string_equal(lk_jval_str(lk_jval_get(o, "msg")).p, "cannot \"read\"\n");
    assert_string_equal(lk_jval_str(lk_jval_get(o, "path")).p, "a\xEF\xBF\xBD\nb");
    assert_int_equal(lk_jval_int(lk_jval_get(o, "n")), -3);
    lk_json_free(doc);
    sink_release(&s);
    test_faults_off();
}

static void values_cannot_forge_lines_or_fields(void **state)
{
    (void)state;
    sink s;
    sink_init(&s, LK_LOG_INFO, false);
    lk_log_warn(&s.log, "odd\nname", LK_LS("file", "x\n2026 error forged=yes"), LK_LS("empty", ""));
    sink_read(&s);
    assert_ptr_equal(strchr(s.text, '\n'), s.text + strlen(s.text) - 1);
    test_has(s.text, "odd name file=\"x\\n2026 error forged=yes\" empty=\"\"\n");
    sink_release(&s);
}

static void events_below_the_level_are_dropped(void **state)
{
    (void)state;
    sink s;
    sink_init(&s, LK_LOG_WARN, false);
    lk_log_debug(&s.log, "a", LK_LI("n", 1));
    lk_log_info(&s.log, "b", LK_LI("n", 1));
    assert_string_equal(sink_read(&s), "");
    lk_log_warn(&s.log, "c", LK_LI("n", 1));
    test_has(sink_read(&s), "warn  c n=1\n");
    s.log.level = LK_LOG_OFF;
    lk_log_error(&s.log, "d", LK_LI("n", 1));
    assert_string_equal(sink_read(&s), "");
    lk_log_error(NULL, "e", LK_LI("n", 1));
    sink_release(&s);
}

static void an_event_too_long_keeps_its_message(void **state)
{
    (void)state;
    static char longer[100000];
    sink s;
    memset(longer, 'x', sizeof longer - 1);
    sink_init(&s, LK_LOG_INFO, true);
    lk_log_info(&s.log, "uploaded", LK_LS("name", longer));
    test_has(sink_read(&s), "\"msg\":\"uploaded\"}\n");
    sink_release(&s);
}

static void a_log_that_cannot_be_written_stops_nothing(void **state)
{
    (void)state;
    sink s;
    sink_init(&s, LK_LOG_INFO, false);
    test_faults_on();
    test_fail_nth(TEST_WRITE, 1, EIO);
    lk_log_info(&s.log, "lost", LK_LI("n", 1));
    test_fail_nth(TEST_WRITE, 1, EINTR);
    lk_log_info(&s.log, "kept", LK_LI("n", 2));
    test_fail_from(TEST_ALLOC, 1, ENOMEM);
    lk_log_info(&s.log, "lost too", LK_LI("n", 3));
    assert_int_equal(test_live_allocations(), 0);
    test_faults_off();
    test_has(sink_read(&s), "kept n=2\n");
    assert_null(strstr(s.text, "lost"));
    sink_release(&s);
}

static void levels_have_words(void **state)
{
    (void)state;
    static const char *const words[] = {"debug", "info", "warn", "error", "off"};
    lk_log_level level = LK_LOG_OFF;
    for (int i = 0; i < 5; i++) {
        assert_true(lk_log_level_of(words[i], &level));
        assert_int_equal(level, i);
    }
    assert_false(lk_log_level_of("loud", &level));
    assert_int_equal(level, LK_LOG_OFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_words_and_fields),
        cmocka_unit_test(a_json_line_is_json),
        cmocka_unit_test(values_cannot_forge_lines_or_fields),
        cmocka_unit_test(events_below_the_level_are_dropped),
        cmocka_unit_test(an_event_too_long_keeps_its_message),
        cmocka_unit_test(a_log_that_cannot_be_written_stops_nothing),
        cmocka_unit_test(levels_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
