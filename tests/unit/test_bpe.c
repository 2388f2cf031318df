#include "support.h"

#include <errno.h>

#include "base/mem.h"
#include "model/tokenizer.h"

/* A whole vocabulary in OpenAI's form: bytes 0..511, "ca" 512, "cat</w>" 513, specials 514, 515. */
static const char small[] = "#version\nc a\nca t</w>\n";
enum { CAT = 513, BEGIN = 514, END = 515 };

static lk_tokenizer *make(const char *vocab, const char *merges, size_t max_tokens)
{
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    lk_tokenizer_opts_default(LK_TOK_BPE, &o);
    o.vocab = (lk_blob){(const unsigned char *)vocab, strlen(vocab)};
    o.merges = (lk_blob){(const unsigned char *)merges, strlen(merges)};
    o.max_tokens = max_tokens;
    test_ok(lk_tokenizer_new(&o, &t, &err), &err);
    return t;
}

static void check(const lk_tokenizer *t, lk_str text, size_t n, const int64_t *want)
{
    int64_t ids[LK_MAX_TOKENS];
    size_t got;
    lk_err err;
    test_ok(lk_tokenizer_encode(t, text, ids, &got, &err), &err);
    assert_int_equal(got, n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] != want[i])
            fail_msg("\"%s\": id %zu is %lld, not %lld", text.p, i, (long long)ids[i],
                     (long long)want[i]);
    for (size_t i = n; i < lk_tokenizer_max_tokens(t); i++)
        assert_int_equal(ids[i], 0);
}

#define CHECK(t, text, ...)                                                                        \
    check(t, text, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static void clips_own_vocabulary_gives_its_known_ids(void **state)
{
    (void)state;
    char path[TEST_PATH];
    unsigned char *p;
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    lk_tokenizer_opts_default(LK_TOK_BPE, &o);
    test_shared("assets/clip/bpe_simple_vocab_16e6.txt.gz", path);
    test_ok(lk_os_read_file(path, 0, &p, &o.vocab.n, &err), &err);
    o.vocab.p = p;
    test_ok(lk_tokenizer_new(&o, &t, &err), &err);
    assert_int_equal(lk_tokenizer_n_ids(t), 49408);
    assert_int_equal(lk_tokenizer_max_tokens(t), 77);
    CHECK(t, LK_STR(""), 49406, 49407);
    CHECK(t, LK_STR("a photo of a cat"), 49406, 320, 1125, 539, 320, 2368, 49407);
    CHECK(t, LK_STR("  A  PHOTO\nof a Cat "), 49406, 320, 1125, 539, 320, 2368, 49407);
    lk_tokenizer_free(t);
    lk_free(p);
}

static void a_text_too_long_loses_its_end_and_keeps_the_end_token(void **state)
{
    (void)state;
    lk_tokenizer *t = make(small, "", 4);
    assert_int_equal(lk_tokenizer_n_ids(t), 516);
    CHECK(t, LK_STR("cat"), BEGIN, CAT, END);
    CHECK(t, LK_STR("cat cat"), BEGIN, CAT, CAT, END);
    CHECK(t, LK_STR("cat cat cat"), BEGIN, CAT, CAT, END);
    lk_tokenizer_free(t);
}

static void what_is_not_utf_8_counts_as_the_replacement_character(void **state)
{
    (void)state;
    lk_tokenizer *t = make(small, "", 9);
    int64_t bad[9], replaced[9];
    size_t n_bad, n_replaced;
    lk_err err;
    test_ok(lk_tokenizer_encode(t, LK_STR("cat \xff"), bad, &n_bad, &err), &err);
    test_ok(lk_tokenizer_encode(t, LK_STR("cat \ufffd"), replaced, &n_replaced, &err), &err);
    assert_int_equal(n_bad, 6);
    assert_int_equal(n_replaced, 6);
    assert_memory_equal(bad, replaced, sizeof bad);
    lk_tokenizer_free(t);
}

static void lines_may_end_as_windows_writes_them(void **state)
{
    (void)state;
    lk_tokenizer *t = make("#version\r\nc a\r\nca t</w>\r\n", "", 4);
    CHECK(t, LK_STR("cat"), BEGIN, CAT, END);
    lk_tokenizer_free(t);
}

static void refuse(const char *vocab, const char *merges, const char *why)
{
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    lk_tokenizer_opts_default(LK_TOK_BPE, &o);
    o.vocab = (lk_blob){(const unsigned char *)vocab, strlen(vocab)};
    o.merges = (lk_blob){(const unsigned char *)merges, strlen(merges)};
    test_code(lk_tokenizer_new(&o, &t, &err), LK_E_MODEL);
    test_has(err.text, why);
    assert_null(t);
}

static void a_broken_vocabulary_is_refused_with_its_fault(void **state)
{
    (void)state;
    refuse("#version\nc at\n", "", "the merge \"c at\" has parts without an id");
    refuse("#version\nc a\nc a\n", "", "has \"ca\" twice");
    refuse("#version\nc\n", "", "the merge of id 512 has not two parts");
    refuse("#version\n\n \n", "", "the merge of id 512 has not two parts");
    refuse("{\"a\":0", "c a\n", "bpe");
    refuse("[]", "c a\n", "lacks <|startoftext|> or <|endoftext|>");
    refuse("{\"a\":\"b\"}", "c a\n", "the id of \"a\" is no id");
    refuse("{\"a\":-1}", "c a\n", "the id of \"a\" is no id");
    refuse("{\"a\":4194304}", "c a\n", "the id of \"a\" is no id");
    refuse("{\"<|startoftext|>\":1,\"<|endoftext|>\":1}", "c a\n", "gives the id 1 twice");
    refuse("{\"<|startoftext|>\":0,\"<|endoftext|>\":1}", "c a\n", "lacks \"");
}

static lk_code make_and_use(void *ctx, lk_err *err)
{
    lk_tokenizer *t = NULL;
    int64_t ids[77];
    size_t n;
    lk_code code = lk_tokenizer_new(ctx, &t, err);
    if (!code)
        code = lk_tokenizer_encode(t, LK_STR("Cat &amp; caf\u00e9 e\u0301"), ids, &n, err);
    lk_tokenizer_free(t);
    return code;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    lk_tokenizer_opts o;
    lk_tokenizer_opts_default(LK_TOK_BPE, &o);
    o.vocab = (lk_blob){(const unsigned char *)small, strlen(small)};
    for (int like = LK_TOK_LIKE_ORIGINAL; like <= LK_TOK_LIKE_HF; like++) {
        o.like = (lk_tokenizer_like)like;
        test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, make_and_use, &o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_own_vocabulary_gives_its_known_ids),
        cmocka_unit_test(a_text_too_long_loses_its_end_and_keeps_the_end_token),
        cmocka_unit_test(what_is_not_utf_8_counts_as_the_replacement_character),
        cmocka_unit_test(lines_may_end_as_windows_writes_them),
        cmocka_unit_test(a_broken_vocabulary_is_refused_with_its_fault),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
