#include "support.h"

#include <string.h>

#include "base/crc32c.h"

static void known_checksums_come_out(void **state)
{
    (void)state;
    unsigned char b[48];
    assert_int_equal(lk_crc32c("", 0), 0);
    assert_int_equal(lk_crc32c("123456789", 9), 0xe3069283u);
    /* RFC 3720, appendix B.4 */
    memset(b, 0, 32);
    assert_int_equal(lk_crc32c(b, 32), 0x8a9136aau);
    memset(b, 0xff, 32);
    assert_int_equal(lk_crc32c(b, 32), 0x62a8ab43u);
    for (unsigned char i = 0; i < 32; i++)
        b[i] = i;
    assert_int_equal(lk_crc32c(b, 32), 0x46dd794eu);
}

static void the_processor_and_the_table_agree_and_pieces_add_up(void **state)
{
    (void)state;
    unsigned char b[300];
    test_rng rng = {.s = 3};
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)test_rng_next(&rng);
    for (size_t n = 0; n < 290; n++) {
        const unsigned char *p = b + n % 9;
        uint32_t whole = lk_crc32c(p, n);
        assert_int_equal(whole, lk_crc32c_plain(p, n));
        assert_int_equal(whole, lk_crc32c_add(lk_crc32c(p, n / 3), p + n / 3, n - n / 3));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_checksums_come_out),
        cmocka_unit_test(the_processor_and_the_table_agree_and_pieces_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
