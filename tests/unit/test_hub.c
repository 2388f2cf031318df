#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/hub.h"

#define SHA "640d35c619d8f9d315f99417ea20a23a24467d490293f0ef9e1adddcf1e32fed"

static lk_code parse(const char *card, lk_arena *a, lk_hub *ret, lk_err *err)
{
    lk_arena_init(a, 0);
    return lk_hub_parse(lk_str_of(card), a, ret, err);
}

static void a_card_says_where_its_files_are(void **state)
{
    (void)state;
    lk_arena a;
    lk_hub h;
    lk_err err;
    test_ok(parse("{\"name\": \"clip\", \"hub\": {\"repository\": \"Xenova/clip-vit-base-patch32\","
                  "\"files\": [{\"from\": \"onnx/vision_model.onnx\", \"to\": \"vision.onnx\"},"
                  "{\"from\": \"onnx/vocab.json\", \"sha256\": \"" SHA "\", \"bytes\": 7},"
                  "{\"from\": \"merges.txt\", \"repository\": \"o/other\"}]},"
                  "\"files\": {\"merges.txt\": {\"sha256\": \"" SHA "\", \"bytes\": 9}}}",
                  &a, &h, &err),
            &err);
    assert_string_equal(h.name, "clip");
    assert_string_equal(h.repository, "Xenova/clip-vit-base-patch32");
    assert_string_equal(h.revision, "main");
    assert_int_equal(h.n_files, 3);
    assert_string_equal(h.files[0].to, "vision.onnx");
    assert_false(h.files[0].has_sha256);
    assert_int_equal(h.files[0].bytes, 0);
    assert_string_equal(h.files[1].to, "vocab.json");
    assert_true(h.files[1].has_sha256);
    assert_int_equal(h.files[1].bytes, 7);
    assert_string_equal(lk_hub_repository(&h, &h.files[0]), h.repository);
    assert_string_equal(lk_hub_repository(&h, &h.files[2]), "o/other");
    assert_true(h.files[2].has_sha256);
    assert_int_equal(h.files[2].bytes, 9);
    lk_arena_release(&a);
}

static void a_card_without_a_hub_or_with_a_bad_one_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hub, *says;
        lk_code code;
    } cases[] = {
        {"null", "hub.repository", LK_E_MODEL},
        {"{\"repository\": \"a\", \"files\": []}", "owner/name", LK_E_MODEL},
        {"{\"repository\": \"a/b/c\", \"files\": []}", "owner/name", LK_E_MODEL},
        {"{\"repository\": \"../b\", \"files\": []}", "owner/name", LK_E_MODEL},
        {"{\"repository\": \"a/b?x\", \"files\": []}", "owner/name", LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": []}", "hub.files", LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": [{\"to\": \"x\"}]}", "from", LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": [{\"from\": \"../x\"}]}", "leaves", LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": [{\"from\": \"x\", \"to\": \"/x\"}]}", "leaves",
         LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": [{\"from\": \"model.json\"}]}", "model.json",
         LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": [{\"from\": \"x\"}, {\"from\": \"y/x\"}]}",
         "two files", LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": [{\"from\": \"x\", \"sha256\": \"12\"}]}", "sha256",
         LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": [{\"from\": \"x\", \"bytes\": 0}]}", "bytes",
         LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"revision\": \"\", \"files\": [{\"from\": \"x\"}]}",
         "hub.revision", LK_E_MODEL},
        {"{\"repository\": \"a/b\", \"files\": [{\"from\": \"x\", \"repository\": \"c\"}]}",
         "owner/name", LK_E_MODEL},
    };
    lk_arena a;
    lk_hub h;
    lk_err err;
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        char card[512];
        snprintf(card, sizeof card, "{\"name\": \"clip\", \"hub\": %s}", cases[i].hub);
        lk_code code = parse(card, &a, &h, &err);
        if (code != cases[i].code)
            fail_msg("%s: %s", card, lk_code_word(code));
        test_has(err.text, cases[i].says);
        lk_arena_release(&a);
    }
    test_code(parse("{\"name\": \"clip\"}", &a, &h, &err), LK_E_UNSUPPORTED);
    lk_arena_release(&a);
    test_code(parse("{", &a, &h, &err), LK_E_MODEL);
    lk_arena_release(&a);
}

static void addresses_are_made_of_their_parts(void **state)
{
    (void)state;
    lk_buf b;
    lk_err err;
    lk_hub_file f = {.from = "onnx/a b#.onnx", .to = "a"};
    lk_hub h = {.repository = "o/n", .revision = "refs/pr/1"};
    lk_buf_init(&b, 0);
    test_ok(lk_hub_url(&h, &f, "http://127.0.0.1:8/mirror//", &b, &err), &err);
    assert_string_equal(b.p,
                        "http://127.0.0.1:8/mirror/o/n/resolve/refs%2Fpr%2F1/onnx/a%20b%23.onnx");
    lk_buf_release(&b);
}

static void a_hub_is_an_address_of_http(void **state)
{
    (void)state;
    static const char *const good[] = {"https://huggingface.co", "http://127.0.0.1:9/x/"};
    static const char *const bad[] = {"",          "huggingface.co", "ftp://a",    "file:///etc",
                                      "https://",  "https:///x",     "http://a?b", "http://a b",
                                      "http://a\n"};
    lk_err err;
    for (size_t i = 0; i < LK_ARRAY_LEN(good); i++)
        test_ok(lk_hub_check_base(good[i], &err), &err);
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        test_code(lk_hub_check_base(bad[i], &err), LK_E_INVALID);
        assert_string_equal(err.field, "hub");
    }
}

static void a_finished_card_lists_what_came(void **state)
{
    (void)state;
    lk_buf b;
    lk_err err;
    lk_hub_file f = {.from = "x/a", .to = "a", .bytes = 5, .has_sha256 = true};
    assert_true(lk_sha256_from_hex(LK_STR(SHA), &f.sha256));
    lk_buf_init(&b, 0);
    test_ok(lk_hub_finish_card(LK_STR("{\"name\": \"n\", \"files\": {\"old\": 1}, \"dim\": 2}"), 1,
                               &f, &b, &err),
            &err);
    assert_string_equal(b.p, "{\"name\":\"n\",\"dim\":2,\"files\":{\"a\":{\"sha256\":\"" SHA
                             "\",\"bytes\":5}}}\n");
    lk_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card_says_where_its_files_are),
        cmocka_unit_test(a_card_without_a_hub_or_with_a_bad_one_is_refused),
        cmocka_unit_test(addresses_are_made_of_their_parts),
        cmocka_unit_test(a_hub_is_an_address_of_http),
        cmocka_unit_test(a_finished_card_lists_what_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
