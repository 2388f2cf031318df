#include "support.h"

#include <errno.h>
#include <string.h>

#include "base/sha256.h"

static const char abc_hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void hashes_equal_the_published_ones(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *hex;
    } cases[] = {
        /* FIPS 180-4 examples */
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", abc_hex},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lk_err err;
        lk_sha256 h;
        char hex[LK_SHA256_HEX + 1];
        test_ok(lk_sha256_of(cases[i].text, strlen(cases[i].text), &h, &err), &err);
        lk_sha256_hex(&h, hex);
        assert_string_equal(hex, cases[i].hex);
    }
}

static void pieces_give_the_hash_of_the_whole(void **state)
{
    (void)state;
    lk_err err;
    test_rng rng = {2};
    unsigned char data[5000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)test_rng_next(&rng);
    lk_sha256 whole;
    lk_sha256 pieced;
    lk_sha256_ctx *c = NULL;
    test_ok(lk_sha256_of(data, sizeof data, &whole, &err), &err);
    test_ok(lk_sha256_new(&c, &err), &err);
    for (size_t i = 0; i < sizeof data;) {
        size_t n = (size_t)test_rng_below(&rng, 200);
        if (n > sizeof data - i)
            n = sizeof data - i;
        test_ok(lk_sha256_update(c, data + i, n, &err), &err);
        i += n;
    }
    test_ok(lk_sha256_final(c, &pieced, &err), &err);
    lk_sha256_free(c);
    lk_sha256_free(NULL);
    assert_memory_equal(whole.b, pieced.b, 32);
}

static void a_file_has_the_hash_of_its_bytes(void **state)
{
    (void)state;
    lk_err err;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    lk_sha256 h;
    char hex[LK_SHA256_HEX + 1];
    test_dir_make(dir);
    test_path(dir, "abc", path);
    test_write(path, "abc", 3);
    test_faults_on();
    test_short_io(1);
    test_fail_nth(TEST_READ, 2, EINTR);
    test_ok(lk_sha256_of_file(path, &h, &err), &err);
    lk_sha256_hex(&h, hex);
    assert_string_equal(hex, abc_hex);
    test_fail_nth(TEST_READ, 2, EIO);
    test_code(lk_sha256_of_file(path, &h, &err), LK_E_IO);
    test_has(err.text, path);
    test_faults_off();
    test_path(dir, "none", path);
    test_code(lk_sha256_of_file(path, &h, &err), LK_E_NOT_FOUND);
    test_code(lk_sha256_of_file(dir, &h, &err), LK_E_IO);
    test_dir_remove(dir);
}

static void hexadecimal_reads_back_and_nothing_else_does(void **state)
{
    (void)state;
    lk_sha256 h;
    lk_sha256 again;
    assert_true(lk_sha256_from_hex(lk_str_of(abc_hex), &h));
    char upper[LK_SHA256_HEX + 1];
    for (size_t i = 0; i <= LK_SHA256_HEX; i++)
        upper[i] = (char)(abc_hex[i] >= 'a' ? abc_hex[i] - 32 : abc_hex[i]);
    assert_true(lk_sha256_from_hex(lk_str_of(upper), &again));
    assert_memory_equal(h.b, again.b, 32);
    assert_false(lk_sha256_from_hex((lk_str){abc_hex, 63}, &again));
    upper[10] = 'g';
    assert_false(lk_sha256_from_hex(lk_str_of(upper), &again));
    assert_memory_equal(h.b, again.b, 32);
}

static void keyed_hashes_equal_those_of_rfc_4231(void **state)
{
    (void)state;
    lk_err err;
    lk_sha256 h;
    char hex[LK_SHA256_HEX + 1];
    const unsigned char *key = (const unsigned char *)"Jefe";
    const unsigned char *text = (const unsigned char *)"what do ya want for nothing?";
    test_ok(lk_hmac_sha256((lk_blob){key, 4}, (lk_blob){text, 28}, &h, &err), &err);
    lk_sha256_hex(&h, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    test_ok(lk_hmac_sha256((lk_blob){NULL, 0}, (lk_blob){NULL, 0}, &h, &err), &err);
    lk_sha256_hex(&h, hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static lk_code hash_file(void *ctx, lk_err *err)
{
    lk_sha256 h;
    return lk_sha256_of_file(ctx, &h, err);
}

static void allocation_failures_are_told(void **state)
{
    (void)state;
    char dir[TEST_PATH];
    char path[TEST_PATH];
    test_dir_make(dir);
    test_path(dir, "abc", path);
    test_write(path, "abc", 3);
    assert_int_equal(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, hash_file, path), 2);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_equal_the_published_ones),
        cmocka_unit_test(pieces_give_the_hash_of_the_whole),
        cmocka_unit_test(a_file_has_the_hash_of_its_bytes),
        cmocka_unit_test(hexadecimal_reads_back_and_nothing_else_does),
        cmocka_unit_test(keyed_hashes_equal_those_of_rfc_4231),
        cmocka_unit_test(allocation_failures_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
