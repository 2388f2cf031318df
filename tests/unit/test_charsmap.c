#include "support.h"

#include "base/mem.h"
#include "model/charsmap.h"

static void put_u32(unsigned char *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

/* The key "A" and its replacement "bc", laid out by hand: the root's offset is 1, so that "A" is
 * unit 1 ^ 0x41; there a key ends, and its offset of 2 leads to the value. */
enum { A_UNIT = 1 ^ 'A', N_UNITS = A_UNIT + 4, TABLE_BYTES = 4 + 4 * N_UNITS + 3 };

static void make_table(unsigned char ret[TABLE_BYTES])
{
    memset(ret, 0, TABLE_BYTES);
    put_u32(ret, 4 * N_UNITS);
    put_u32(ret + 4, 1u << 10);
    put_u32(ret + 4 + 4 * A_UNIT, 2u << 10 | 1u << 8 | 'A');
    put_u32(ret + 4 + 4 * (A_UNIT ^ 2), 1u << 31); /* the string at 0 */
    memcpy(ret + TABLE_BYTES - 3, "bc", 3);
}

static void a_run_that_has_one_is_replaced(void **state)
{
    (void)state;
    unsigned char table[TABLE_BYTES];
    lk_charsmap m;
    lk_err err;
    lk_str got = {0};
    make_table(table);
    test_ok(lk_charsmap_init(&m, (lk_blob){table, sizeof table}, &err), &err);
    assert_int_equal(lk_charsmap_take(&m, LK_STR("AB"), &got), 1);
    assert_true(lk_str_is(got, "bc"));
    assert_int_equal(lk_charsmap_take(&m, LK_STR("BA"), &got), 0);
    assert_int_equal(lk_charsmap_take(&m, LK_STR(""), &got), 0);
}

static void an_empty_table_replaces_nothing(void **state)
{
    (void)state;
    lk_charsmap m;
    lk_err err;
    lk_str got;
    test_ok(lk_charsmap_init(&m, (lk_blob){0}, &err), &err);
    assert_int_equal(lk_charsmap_take(&m, LK_STR("A"), &got), 0);
}

static void a_cut_table_is_refused(void **state)
{
    (void)state;
    unsigned char table[TABLE_BYTES];
    lk_charsmap m;
    make_table(table);
    for (size_t n = 1; n < sizeof table; n++)
        test_code(lk_charsmap_init(&m, (lk_blob){table, n}, NULL), LK_E_MODEL);
    table[TABLE_BYTES - 1] = 'd'; /* the last string has no end */
    test_code(lk_charsmap_init(&m, (lk_blob){table, sizeof table}, NULL), LK_E_MODEL);
}

/* Under the address sanitizer a step outside would show. */
static void a_table_of_noise_leads_nowhere_else(void **state)
{
    (void)state;
    test_rng rng = {7};
    unsigned char *table = lk_malloc(TABLE_BYTES); /* its own block */
    assert_non_null(table);
    for (int round = 0; round < 20000; round++) {
        lk_charsmap m;
        lk_err err;
        lk_str got = {0};
        for (size_t i = 0; i < TABLE_BYTES; i++)
            table[i] = (unsigned char)test_rng_below(&rng, 256);
        put_u32(table, 4 * N_UNITS);
        table[TABLE_BYTES - 1] = 0;
        test_ok(lk_charsmap_init(&m, (lk_blob){table, TABLE_BYTES}, &err), &err);
        for (unsigned c = 0; c < 256; c++) {
            char text[3] = {(char)c, (char)(c * 7), (char)round};
            size_t taken = lk_charsmap_take(&m, (lk_str){text, sizeof text}, &got);
            assert_true(taken <= sizeof text);
            assert_true(taken == 0 || got.n < TABLE_BYTES);
        }
    }
    lk_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_has_one_is_replaced),
        cmocka_unit_test(an_empty_table_replaces_nothing),
        cmocka_unit_test(a_cut_table_is_refused),
        cmocka_unit_test(a_table_of_noise_leads_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
