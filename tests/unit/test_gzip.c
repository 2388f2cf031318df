#include "support.h"

#include <errno.h>

#include "base/gzip.h"
#include "base/mem.h"

/* "hello hello hello\n", packed by Python's gzip with mtime 0. */
static const unsigned char hello[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
    0x57, 0xc8, 0x40, 0x90, 0x5c, 0x00, 0x3b, 0x7c, 0x8a, 0xdf, 0x12, 0x00, 0x00, 0x00,
};
static const char text[] = "hello hello hello\n";

static lk_code unpack(const unsigned char *p, size_t n, size_t limit, lk_buf *b, lk_err *err)
{
    lk_buf_init(b, limit);
    return lk_gunzip((lk_blob){p, n}, b, err);
}

static void packed_bytes_come_out_as_they_went_in(void **state)
{
    (void)state;
    lk_buf b;
    lk_err err;
    assert_true(lk_is_gzip((lk_blob){hello, sizeof hello}));
    assert_false(lk_is_gzip((lk_blob){hello, 1}));
    assert_false(lk_is_gzip((lk_blob){(const unsigned char *)text, sizeof text}));
    test_ok(unpack(hello, sizeof hello, 0, &b, &err), &err);
    assert_string_equal(b.p, text);
    lk_buf_release(&b);
}

static void members_follow_one_another(void **state)
{
    (void)state;
    unsigned char twice[2 * sizeof hello];
    lk_buf b;
    lk_err err;
    memcpy(twice, hello, sizeof hello);
    memcpy(twice + sizeof hello, hello, sizeof hello);
    test_ok(unpack(twice, sizeof twice, 0, &b, &err), &err);
    assert_int_equal(b.n, 2 * (sizeof text - 1));
    assert_string_equal(b.p + sizeof text - 1, text);
    lk_buf_release(&b);
}

static void a_cut_at_any_byte_is_truncated(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof hello; n++) {
        lk_buf b;
        test_code(unpack(hello, n, 0, &b, NULL), LK_E_TRUNCATED);
        lk_buf_release(&b);
    }
}

static void a_wrong_checksum_is_corrupt(void **state)
{
    (void)state;
    unsigned char wrong[sizeof hello];
    lk_buf b;
    memcpy(wrong, hello, sizeof hello);
    wrong[sizeof wrong - 8] ^= 1;
    test_code(unpack(wrong, sizeof wrong, 0, &b, NULL), LK_E_CORRUPT);
    lk_buf_release(&b);
}

static void the_limit_holds(void **state)
{
    (void)state;
    lk_buf b;
    test_code(unpack(hello, sizeof hello, 5, &b, NULL), LK_E_LIMIT);
    assert_true(b.n <= 5);
    lk_buf_release(&b);
}

static lk_code try_unpack(void *ctx, lk_err *err)
{
    lk_buf b;
    (void)ctx;
    lk_code code = unpack(hello, sizeof hello, 0, &b, err);
    lk_buf_release(&b);
    return code;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, try_unpack, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_bytes_come_out_as_they_went_in),
        cmocka_unit_test(members_follow_one_another),
        cmocka_unit_test(a_cut_at_any_byte_is_truncated),
        cmocka_unit_test(a_wrong_checksum_is_corrupt),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
