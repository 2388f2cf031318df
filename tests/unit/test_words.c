#include "support.h"

#include <errno.h>

#include "base/mem.h"
#include "model/words.h"

static const char vocab[] =
    "<pad>\na\nboat\nhot dog\nhot\nsan francisco\nco-op\n船\n帆船\n苹果\nt恤\n4x4\n";
enum { A = 1, BOAT, HOT_DOG, HOT, SAN_FRANCISCO, CO_OP, SHIP, SAIL, APPLE };

static void check(const char *text, size_t n, const int64_t *want)
{
    lk_words *w = NULL;
    lk_err err;
    int64_t ids[32];
    size_t got = 0;
    test_ok(lk_words_new(lk_str_of(vocab), &w, &err), &err);
    test_ok(lk_words_tokenize(w, lk_str_of(text), LK_ARRAY_LEN(ids), ids, &got, &err), &err);
    if (got != n)
        fail_msg("\"%s\": %zu terms, not %zu", text, got, n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] != want[i])
            fail_msg("\"%s\": term %zu is %lld, not %lld", text, i, (long long)ids[i],
                     (long long)want[i]);
    lk_words_free(w);
}

#define CHECK(text, ...)                                                                           \
    check(text, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static void the_longest_run_of_words_is_taken(void **state)
{
    (void)state;
    CHECK("boat", BOAT);
    CHECK("A Boat!", A, BOAT);
    CHECK("hot dog", HOT_DOG);
    CHECK("hot   dog hot", HOT_DOG, HOT);
    CHECK("hot, dog", HOT_DOG);
    CHECK("a hot boat in San Francisco", A, HOT, BOAT, SAN_FRANCISCO);
    CHECK("'co-op'.", CO_OP);
}

static void what_is_in_no_term_is_passed_over(void **state)
{
    (void)state;
    check("", 0, NULL);
    check("zebra ... ---", 0, NULL);
    check("\xff\xfe", 0, NULL);
    CHECK("zebra boat zebra", BOAT);
    CHECK("hot zebra dog", HOT);
}

static void chinese_is_cut_from_left_to_right(void **state)
{
    (void)state;
    CHECK("船", SHIP);
    CHECK("帆船", SAIL);
    CHECK("一只帆船和苹果", SAIL, APPLE);
    CHECK("boat船boat", BOAT, SHIP, BOAT);
}

static void a_text_is_cut_at_the_most_terms(void **state)
{
    (void)state;
    lk_words *w = NULL;
    lk_err err;
    int64_t ids[3] = {-1, -1, -1};
    size_t n = 0;
    test_ok(lk_words_new(lk_str_of(vocab), &w, &err), &err);
    test_ok(lk_words_tokenize(w, LK_STR("boat a boat a"), 2, ids, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_int_equal(ids[2], -1);
    test_ok(lk_words_tokenize(w, LK_STR("船船船船"), 2, ids, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_int_equal(ids[2], -1);
    lk_words_free(w);
}

static void a_broken_list_is_refused(void **state)
{
    (void)state;
    lk_words *w = NULL;
    test_code(lk_words_new(LK_STR(""), &w, NULL), LK_E_MODEL);
    test_code(lk_words_new(LK_STR("<pad>\n"), &w, NULL), LK_E_MODEL);
    test_code(lk_words_new(LK_STR("<pad>\na\nb\na\n"), &w, NULL), LK_E_MODEL);
}

static lk_code make_and_use(void *ctx, lk_err *err)
{
    lk_words *w = NULL;
    int64_t ids[8];
    size_t n;
    (void)ctx;
    lk_code code = lk_words_new(lk_str_of(vocab), &w, err);
    if (!code)
        code = lk_words_tokenize(w, LK_STR("a hot dog 帆船"), 8, ids, &n, err);
    lk_words_free(w);
    return code;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, make_and_use, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_run_of_words_is_taken),
        cmocka_unit_test(what_is_in_no_term_is_passed_over),
        cmocka_unit_test(chinese_is_cut_from_left_to_right),
        cmocka_unit_test(a_text_is_cut_at_the_most_terms),
        cmocka_unit_test(a_broken_list_is_refused),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
