#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "server/reply.h"

static void an_error_has_one_form(void **state)
{
    lk_reply r;
    lk_err err;
    (void)state;
    lk_reply_init(&r);
    lk_fail_field(&err, LK_E_INVALID, "filter", "unexpected \"%s\"", "\x01");
    err.column = 7;
    lk_reply_error(&r, 400, &err);
    assert_int_equal(r.status, 400);
    assert_string_equal(r.media_type, "application/json");
    assert_string_equal(
        r.body.p, "{\"error\":{\"code\":\"invalid\",\"message\":\"unexpected \\\"\\u0001\\\"\","
                  "\"field\":\"filter\",\"column\":7}}\n");
    lk_fail(&err, LK_E_NOT_FOUND, "there is no image \"x\"");
    lk_reply_error(&r, 404, &err);
    assert_string_equal(r.body.p, "{\"error\":{\"code\":\"not_found\",\"message\":\"there is no "
                                  "image \\\"x\\\"\"}}\n");
    lk_reply_clear(&r, false);
}

static void who_must_wait_is_told_how_long(void **state)
{
    lk_reply r;
    lk_err err;
    (void)state;
    lk_reply_init(&r);
    lk_fail(&err, LK_E_BUSY, "too much");
    lk_reply_error(&r, 429, &err);
    assert_int_equal(r.n_headers, 1);
    assert_string_equal(r.headers[0].name, "Retry-After");
    lk_reply_clear(&r, false);
}

static void the_same_code_blames_the_picture_or_the_server(void **state)
{
    (void)state;
    assert_int_equal(lk_status_of(LK_E_FORMAT, LK_BLAME_REQUEST), 400);
    assert_int_equal(lk_status_of(LK_E_FORMAT, LK_BLAME_PICTURE), 415);
    assert_int_equal(lk_status_of(LK_E_CORRUPT, LK_BLAME_REQUEST), 500);
    assert_int_equal(lk_status_of(LK_E_CORRUPT, LK_BLAME_PICTURE), 422);
    assert_int_equal(lk_status_of(LK_E_LIMIT, LK_BLAME_PICTURE), 413);
    for (int code = LK_OK + 1; code < LK_N_CODES; code++) {
        unsigned status = lk_status_of((lk_code)code, LK_BLAME_REQUEST);
        assert_in_range(status, 400, 599);
    }
}

static void a_latency_is_counted_in_its_bucket_and_all_above(void **state)
{
    static const char *const labels[] = {"search"};
    lk_metrics m;
    lk_buf b;
    (void)state;
    assert_int_equal(lk_metrics_init(&m, 1, NULL), 0);
    lk_metrics_count(&m, 0, 200, 2500, 10, 20);
    lk_metrics_count(&m, 0, 200, 2501, 10, 20);
    lk_metrics_count(&m, 0, 400, 99000000, 1, 2);
    lk_metrics_count(&m, 9, 404, 1, 0, 5);
    lk_buf_init(&b, 0);
    lk_metrics_write(&m, labels, &b);
    static const char *const lines[] = {
        "requests_total{route=\"search\",code=\"200\"} 2\n",
        "requests_total{route=\"search\",code=\"400\"} 1\n",
        "requests_total{route=\"none\",code=\"404\"} 1\n",
        "seconds_bucket{route=\"search\",le=\"0.001\"} 0\n",
        "seconds_bucket{route=\"search\",le=\"0.0025\"} 1\n",
        "seconds_bucket{route=\"search\",le=\"0.005\"} 2\n",
        "seconds_bucket{route=\"search\",le=\"60\"} 2\n",
        "seconds_bucket{route=\"search\",le=\"+Inf\"} 3\n",
        "seconds_count{route=\"search\"} 3\n",
        "seconds_sum{route=\"search\"} 99.005001\n",
        "received_bytes_total{route=\"search\"} 21\n",
        "sent_bytes_total{route=\"none\"} 5\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (!strstr(b.p, lines[i]))
            print_error("missing: %s", lines[i]);
        assert_non_null(strstr(b.p, lines[i]));
    }
    lk_buf_release(&b);
    lk_metrics_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_one_form),
        cmocka_unit_test(who_must_wait_is_told_how_long),
        cmocka_unit_test(the_same_code_blames_the_picture_or_the_server),
        cmocka_unit_test(a_latency_is_counted_in_its_bucket_and_all_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
