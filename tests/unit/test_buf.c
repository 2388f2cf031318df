#include "support.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void appends_add_up_and_end_in_a_zero(void **state)
{
    (void)state;
    lk_err err;
    lk_buf b;
    lk_buf_init(&b, 0);
    assert_string_equal(lk_buf_str(&b).p, "");
    lk_buf_put(&b, NULL, 0);
    lk_buf_puts(&b, "a");
    lk_buf_putc(&b, 'b');
    lk_buf_printf(&b, "%d%s", 12, "c");
    memcpy(lk_buf_reserve(&b, 2), "de", 2);
    b.n += 2;
    test_ok(lk_buf_check(&b, &err), &err);
    assert_string_equal(b.p, "ab12cde");
    assert_int_equal(b.n, 7);
    lk_buf_clear(&b);
    assert_string_equal(b.p, "");
    lk_buf_release(&b);
    lk_buf_release(NULL);
}

static void the_limit_is_exact_and_the_failure_sticks(void **state)
{
    (void)state;
    lk_err err;
    lk_buf b;
    lk_buf_init(&b, 5);
    lk_buf_puts(&b, "12345");
    test_ok(lk_buf_check(&b, &err), &err);
    lk_buf_putc(&b, '6');
    test_code(lk_buf_check(&b, &err), LK_E_LIMIT);
    test_has(err.text, "5 bytes");
    lk_buf_put(&b, "", 0);
    assert_null(lk_buf_reserve(&b, 0));
    assert_int_equal(b.n, 5);
    assert_null(lk_buf_steal(&b, NULL));
    test_ok(lk_buf_check(&b, &err), &err);
    lk_buf_printf(&b, "%d", 123456);
    test_code(lk_buf_check(&b, &err), LK_E_LIMIT);
    lk_buf_clear(&b);
    lk_buf_puts(&b, "again");
    test_ok(lk_buf_check(&b, &err), &err);
    lk_buf_release(&b);
}

static void stolen_memory_is_the_callers(void **state)
{
    (void)state;
    lk_buf b;
    size_t n;
    lk_buf_init(&b, 0);
    lk_buf_puts(&b, "pear");
    char *p = lk_buf_steal(&b, &n);
    assert_string_equal(p, "pear");
    assert_int_equal(n, 4);
    assert_null(b.p);
    lk_free(p);
    p = lk_buf_steal(&b, &n);
    assert_string_equal(p, "");
    assert_int_equal(n, 0);
    lk_free(p);
}

static lk_code append_much(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_buf b;
    lk_buf_init(&b, 0);
    for (int i = 0; i < 1000; i++)
        lk_buf_printf(&b, "line %d\n", i);
    lk_code code = lk_buf_check(&b, err);
    if (code) /* what fitted before is still there, whole */
        assert_int_equal(strlen(b.p ? b.p : ""), b.n);
    lk_buf_release(&b);
    return code;
}

static void allocation_failures_are_told_at_the_end(void **state)
{
    (void)state;
    assert_true(test_sweep(TEST_ALLOC, 12, LK_E_NOMEM, append_much, NULL) > 3);
}

static void hexadecimal_goes_both_ways(void **state)
{
    (void)state;
    unsigned char bytes[4] = {0x00, 0x7f, 0xa5, 0xff};
    unsigned char again[4] = {1, 2, 3, 4};
    char hex[9];
    lk_hex_encode(bytes, 4, hex);
    assert_string_equal(hex, "007fa5ff");
    assert_false(lk_hex_decode(LK_STR("007fa5f"), again, 4));
    assert_false(lk_hex_decode(LK_STR("007fa5fg"), again, 4));
    assert_int_equal(again[0], 1);
    assert_true(lk_hex_decode(LK_STR("007FA5ff"), again, 4));
    assert_memory_equal(bytes, again, 4);
}

static void base64_equals_rfc_4648_and_goes_both_ways(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    lk_err err;
    lk_buf b;
    lk_buf_init(&b, 0);
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_buf_clear(&b);
        lk_base64_put(&b, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(lk_buf_str(&b).p, cases[i][1]);
        lk_buf_clear(&b);
        test_ok(lk_base64_get(lk_str_of(cases[i][1]), &b, &err), &err);
        assert_string_equal(lk_buf_str(&b).p, cases[i][0]);
        lk_buf_clear(&b);
        lk_str bare = lk_str_of(cases[i][1]);
        while (lk_str_ends(bare, LK_STR("=")))
            bare.n--;
        test_ok(lk_base64_get(bare, &b, &err), &err);
        assert_string_equal(lk_buf_str(&b).p, cases[i][0]);
    }
    test_rng rng = {3};
    for (size_t n = 0; n < 300; n++) {
        unsigned char data[300];
        for (size_t i = 0; i < n; i++)
            data[i] = (unsigned char)test_rng_next(&rng);
        lk_buf text;
        lk_buf_init(&text, 0);
        lk_base64_put(&text, data, n);
        lk_buf_clear(&b);
        test_ok(lk_base64_get(lk_buf_str(&text), &b, &err), &err);
        assert_int_equal(b.n, n);
        assert_memory_equal(lk_buf_str(&b).p, data, n);
        lk_buf_release(&text);
    }
    lk_buf_release(&b);
}

static void base64_takes_both_alphabets_and_white_space(void **state)
{
    (void)state;
    lk_err err;
    lk_buf b;
    lk_buf_init(&b, 0);
    test_ok(lk_base64_get(LK_STR(" +/\r\n+/-_-_ "), &b, &err), &err);
    assert_memory_equal(b.p, "\xfb\xff\xbf\xfb\xff\xbf", 6);
    lk_buf_release(&b);
}

static void bad_base64_is_refused_where_it_is_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int column;
    } cases[] = {{"Zm9v*", 5}, {"Zg=a", 4},  {"Z", 2},    {"Zg===", 5},
                 {"Zg=", 4},   {"Zm9v=", 6}, {"Zm9vY", 6}};
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        lk_err err = {.code = LK_OK};
        lk_buf b;
        lk_buf_init(&b, 0);
        lk_buf_puts(&b, "kept");
        test_code(lk_base64_get(lk_str_of(cases[i].text), &b, &err), LK_E_FORMAT);
        assert_int_equal(err.column, cases[i].column);
        assert_string_equal(b.p, "kept");
        lk_buf_release(&b);
    }
    lk_err err;
    lk_buf b;
    lk_buf_init(&b, 5);
    test_code(lk_base64_get(LK_STR("Zm9vYmFy"), &b, &err), LK_E_LIMIT);
    lk_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_add_up_and_end_in_a_zero),
        cmocka_unit_test(the_limit_is_exact_and_the_failure_sticks),
        cmocka_unit_test(stolen_memory_is_the_callers),
        cmocka_unit_test(allocation_failures_are_told_at_the_end),
        cmocka_unit_test(hexadecimal_goes_both_ways),
        cmocka_unit_test(base64_equals_rfc_4648_and_goes_both_ways),
        cmocka_unit_test(base64_takes_both_alphabets_and_white_space),
        cmocka_unit_test(bad_base64_is_refused_where_it_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
