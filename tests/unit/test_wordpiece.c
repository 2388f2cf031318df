#include "support.h"

#include <errno.h>

#include "base/mem.h"
#include "model/tokenizer.h"

static const char small[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
                            "cat\n##s\n##ca\n##cat\ncafe\n\u732b\n!\n[\n]\nsep\nC\nCaf\u00e9\n";
enum { UNK = 1, CLS, SEP, MASK, CAT, S_, CA_, CAT_, CAFE, MAO, BANG, OPEN, CLOSE, SEP_WORD };
enum { CAPITAL_C = SEP_WORD + 1, CAFE_CASED, N_IDS };

static lk_tokenizer *make(lk_tokenizer_like like, bool lower_case, size_t max_tokens)
{
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    lk_tokenizer_opts_default(LK_TOK_WORDPIECE, &o);
    o.like = like;
    o.vocab = (lk_blob){(const unsigned char *)small, strlen(small)};
    o.lower_case = lower_case;
    o.max_tokens = max_tokens;
    test_ok(lk_tokenizer_new(&o, &t, &err), &err);
    assert_int_equal(lk_tokenizer_n_ids(t), N_IDS);
    return t;
}

static void check(const lk_tokenizer *t, lk_str text, size_t n, const int64_t *want)
{
    int64_t ids[LK_MAX_TOKENS];
    size_t got;
    lk_err err;
    test_ok(lk_tokenizer_encode(t, text, ids, &got, &err), &err);
    if (got != n)
        fail_msg("\"%s\": %zu ids, not %zu", text.p, got, n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] != want[i])
            fail_msg("\"%s\": id %zu is %lld, not %lld", text.p, i, (long long)ids[i],
                     (long long)want[i]);
    for (size_t i = n; i < lk_tokenizer_max_tokens(t); i++)
        assert_int_equal(ids[i], 0);
}

#define CHECK(t, text, ...)                                                                        \
    check(t, LK_STR(text), sizeof((int64_t[]){CLS, __VA_ARGS__ SEP}) / sizeof(int64_t),            \
          (int64_t[]){CLS, __VA_ARGS__ SEP})

static void the_longest_pieces_are_taken_from_the_left(void **state)
{
    (void)state;
    lk_tokenizer *t = make(LK_TOK_LIKE_ORIGINAL, true, 12);
    CHECK(t, "", );
    CHECK(t, "catcats", CAT, CAT_, S_, );
    CHECK(t, "catca", CAT, CA_, );
    CHECK(t, "catcb cat", UNK, CAT, ); /* stuck: the word is unknown as a whole */
    CHECK(t, "##s", UNK, UNK, UNK, );  /* punctuation, not the piece */
    lk_tokenizer_free(t);
}

static void case_and_accents_go_unless_they_are_kept(void **state)
{
    (void)state;
    for (int like = LK_TOK_LIKE_ORIGINAL; like <= LK_TOK_LIKE_HF; like++) {
        lk_tokenizer *t = make((lk_tokenizer_like)like, true, 12);
        CHECK(t, " CATS\tcafe\u0301! Caf\u00e9", CAT, S_, CAFE, BANG, CAFE, );
        lk_tokenizer_free(t);
        t = make((lk_tokenizer_like)like, false, 12);
        CHECK(t, "C Caf\u00e9 cafe\u0301 CAT", CAPITAL_C, CAFE_CASED, UNK, UNK, );
        lk_tokenizer_free(t);
    }
}

static void chinese_and_punctuation_stand_alone_and_controls_go(void **state)
{
    (void)state;
    lk_tokenizer *t = make(LK_TOK_LIKE_ORIGINAL, true, 12);
    CHECK(t, "cat\u732b\u732bcat!cat", CAT, MAO, MAO, CAT, BANG, CAT, );
    CHECK(t, "c\u200da\1t\u3000cat", CAT, CAT, );
    check(t, (lk_str){"c\0at\xff", 5}, 3, (int64_t[]){CLS, CAT, SEP});
    lk_tokenizer_free(t);
}

static void spelled_specials_are_tokens_only_for_hugging_face(void **state)
{
    (void)state;
    lk_tokenizer *t = make(LK_TOK_LIKE_ORIGINAL, true, 12);
    CHECK(t, "cat[SEP]", CAT, OPEN, SEP_WORD, CLOSE, );
    lk_tokenizer_free(t);
    t = make(LK_TOK_LIKE_HF, true, 12);
    CHECK(t, "cat[SEP][MASK]cat[", CAT, SEP, MASK, CAT, OPEN, );
    CHECK(t, "[sep][SEP", OPEN, SEP_WORD, CLOSE, OPEN, SEP_WORD, );
    lk_tokenizer_free(t);
}

static void a_word_over_the_limit_is_unknown(void **state)
{
    (void)state;
    char text[256] = "";
    const size_t most[] = {[LK_TOK_LIKE_ORIGINAL] = 200, [LK_TOK_LIKE_HF] = 100};
    for (int like = LK_TOK_LIKE_ORIGINAL; like <= LK_TOK_LIKE_HF; like++) {
        int64_t ids[LK_MAX_TOKENS];
        size_t n;
        lk_err err;
        lk_tokenizer *t = make((lk_tokenizer_like)like, true, 300);
        memcpy(text, "cat", 3);
        memset(text + 3, 's', most[like]);
        test_ok(lk_tokenizer_encode(t, (lk_str){text, most[like]}, ids, &n, &err), &err);
        assert_int_equal(n, 2 + 1 + most[like] - 3);
        test_ok(lk_tokenizer_encode(t, (lk_str){text, most[like] + 1}, ids, &n, &err), &err);
        assert_int_equal(n, 3);
        assert_int_equal(ids[1], UNK);
        lk_tokenizer_free(t);
    }
}

static void a_text_too_long_loses_its_end_and_keeps_the_end_token(void **state)
{
    (void)state;
    lk_tokenizer *t = make(LK_TOK_LIKE_ORIGINAL, true, 4);
    CHECK(t, "cat cats", CAT, CAT, );
    CHECK(t, "catca catca", CAT, CA_, );
    lk_tokenizer_free(t);
}

static lk_code try_vocab(const char *text, lk_err *err)
{
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_tokenizer_opts_default(LK_TOK_WORDPIECE, &o);
    o.vocab = (lk_blob){(const unsigned char *)text, strlen(text)};
    lk_code code = lk_tokenizer_new(&o, &t, err);
    lk_tokenizer_free(t);
    return code;
}

static void a_vocabulary_without_the_specials_is_refused(void **state)
{
    (void)state;
    lk_err err;
    test_code(try_vocab("", &err), LK_E_MODEL);
    test_code(try_vocab("[PAD]\n[CLS]\n[SEP]\ncat\n", &err), LK_E_MODEL);
    test_has(err.text, "the vocabulary lacks [UNK]");
    test_ok(try_vocab("[PAD]\r\n[UNK]\r\n[CLS]\r\n\r\n[SEP]", &err), &err); /* no mask, no cat */
}

static lk_code make_and_use(void *ctx, lk_err *err)
{
    lk_tokenizer *t = NULL;
    int64_t ids[52];
    size_t n;
    lk_code code = lk_tokenizer_new(ctx, &t, err);
    if (!code)
        code = lk_tokenizer_encode(t, LK_STR("Caf\u00e9 [SEP] \u732b cats"), ids, &n, err);
    lk_tokenizer_free(t);
    return code;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    lk_tokenizer_opts o;
    lk_tokenizer_opts_default(LK_TOK_WORDPIECE, &o);
    o.vocab = (lk_blob){(const unsigned char *)small, strlen(small)};
    for (int like = LK_TOK_LIKE_ORIGINAL; like <= LK_TOK_LIKE_HF; like++) {
        o.like = (lk_tokenizer_like)like;
        test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, make_and_use, &o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_pieces_are_taken_from_the_left),
        cmocka_unit_test(case_and_accents_go_unless_they_are_kept),
        cmocka_unit_test(chinese_and_punctuation_stand_alone_and_controls_go),
        cmocka_unit_test(spelled_specials_are_tokens_only_for_hugging_face),
        cmocka_unit_test(a_word_over_the_limit_is_unknown),
        cmocka_unit_test(a_text_too_long_loses_its_end_and_keeps_the_end_token),
        cmocka_unit_test(a_vocabulary_without_the_specials_is_refused),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
