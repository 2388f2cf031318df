#include "support.h"

#include <errno.h>

#include "base/mem.h"
#include "model/tokenizer.h"

static lk_blob blob_of(const char *z)
{
    return (lk_blob){(const unsigned char *)z, strlen(z)};
}

static void a_text_of_words_is_padded_to_its_length(void **state)
{
    (void)state;
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    int64_t ids[5];
    size_t n = 99;
    lk_tokenizer_opts_default(LK_TOK_WORDS, &o);
    o.vocab = blob_of("<pad>\nred\nboat\n");
    o.max_tokens = LK_ARRAY_LEN(ids);
    test_ok(lk_tokenizer_new(&o, &t, &err), &err);
    assert_int_equal(lk_tokenizer_max_tokens(t), 5);
    assert_int_equal(lk_tokenizer_n_ids(t), 3);
    test_ok(lk_tokenizer_encode(t, LK_STR("a red boat"), ids, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_memory_equal(ids, ((int64_t[]){1, 2, 0, 0, 0}), sizeof ids);
    test_ok(lk_tokenizer_encode(t, LK_STR("nothing"), ids, &n, &err), &err);
    assert_int_equal(n, 0);
    lk_tokenizer_free(t);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    lk_tokenizer_opts_default(LK_TOK_NONE, &o);
    test_code(lk_tokenizer_new(&o, &t, &err), LK_E_UNSUPPORTED);
    lk_tokenizer_opts_default(LK_TOK_WORDS, &o);
    test_code(lk_tokenizer_new(&o, &t, &err), LK_E_MODEL); /* no vocabulary */
    o.vocab = blob_of("<pad>\nred\n");
    o.max_tokens = 2;
    test_code(lk_tokenizer_new(&o, &t, &err), LK_E_MODEL);
    o.max_tokens = LK_MAX_TOKENS + 1;
    test_code(lk_tokenizer_new(&o, &t, &err), LK_E_MODEL);
    o.max_tokens = 3;
    o.vocab = blob_of("\x1f\x8b\x08 cut off");
    test_code(lk_tokenizer_new(&o, &t, &err), LK_E_MODEL);
    assert_null(t);
}

static void a_text_over_the_limit_is_refused(void **state)
{
    (void)state;
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    int64_t ids[32];
    size_t n = 99;
    char *text = lk_malloc(LK_MAX_TEXT_BYTES + 1);
    assert_non_null(text);
    memset(text, 'a', LK_MAX_TEXT_BYTES + 1);
    lk_tokenizer_opts_default(LK_TOK_WORDS, &o);
    o.vocab = blob_of("<pad>\nred\n");
    test_ok(lk_tokenizer_new(&o, &t, &err), &err);
    test_code(lk_tokenizer_encode(t, (lk_str){text, LK_MAX_TEXT_BYTES + 1}, ids, &n, &err),
              LK_E_LIMIT);
    assert_string_equal(err.field, "text");
    assert_int_equal(n, 99);
    test_ok(lk_tokenizer_encode(t, (lk_str){text, LK_MAX_TEXT_BYTES}, ids, &n, &err), &err);
    lk_tokenizer_free(t);
    lk_free(text);
}

static lk_code make_and_use(void *ctx, lk_err *err)
{
    lk_tokenizer *t = NULL;
    int64_t ids[LK_MAX_TOKENS];
    size_t n;
    lk_code code = lk_tokenizer_new(ctx, &t, err);
    if (!code)
        code = lk_tokenizer_encode(t, LK_STR("A red boat, 2 boats"), ids, &n, err);
    lk_tokenizer_free(t);
    return code;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    lk_tokenizer_opts o;
    lk_tokenizer_opts_default(LK_TOK_WORDS, &o);
    o.vocab = blob_of("<pad>\nred\nboat\n");
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, make_and_use, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_of_words_is_padded_to_its_length),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(a_text_over_the_limit_is_refused),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
