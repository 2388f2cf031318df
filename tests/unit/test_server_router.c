#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/router.h"

static lk_str args[LK_MAX_PATH_ARGS];
static unsigned allowed;

static const lk_route *match(unsigned method, const char *path)
{
    memset(args, 0, sizeof args);
    allowed = 0;
    return lk_route_match(lk_routes, lk_n_routes, method, lk_str_of(path), args, &allowed);
}

static void assert_route(unsigned method, const char *path, const char *label)
{
    const lk_route *r = match(method, path);
    assert_non_null(r);
    assert_string_equal(r->label, label);
}

static void assert_text(lk_str s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
}

static void a_path_and_a_method_choose_the_route(void **state)
{
    (void)state;
    assert_route(LK_POST, "/v1/search", "search");
    assert_route(LK_GET, "/v1/images", "images_list");
    assert_route(LK_POST, "/v1/images", "images_add");
    assert_route(LK_GET, "/", "page");
    assert_route(LK_POST, "/search", "query");
    assert_route(LK_POST, "/api/search_with_filters", "api_search_with_filters");
}

static void braces_match_one_segment_and_keep_its_escapes(void **state)
{
    (void)state;
    assert_route(LK_DELETE, "/v1/images/a%2Fb", "image_delete");
    assert_text(args[0], "a%2Fb");
    assert_route(LK_GET, "/v1/images/x/thumbnail", "image_thumbnail");
    assert_text(args[0], "x");
    assert_route(LK_GET, "/v1/images/thumbnail", "image_get");
    assert_route(LK_GET, "/assets/app.js", "asset");
    assert_text(args[0], "app.js");
}

static void what_is_no_route_has_no_methods(void **state)
{
    static const char *const paths[] = {
        "",
        "nothing",
        "//",
        "/v1",
        "/v1/images/",
        "/v1//x",
        "/v1/images/x/y",
        "/v1/search/",
        "/V1/search",
        "/assets/",
        "/assets/a/b",
        "/healthz/",
        "/v1/images//thumbnail",
    };
    (void)state;
    for (size_t i = 0; i < LK_ARRAY_LEN(paths); i++) {
        assert_null(match(LK_GET, paths[i]));
        assert_int_equal(allowed, 0);
    }
}

static void a_wrong_method_is_told_the_right_ones(void **state)
{
    lk_buf b;
    (void)state;
    assert_null(match(LK_DELETE, "/v1/images"));
    assert_int_equal(allowed, LK_GET | LK_HEAD | LK_POST | LK_OPTIONS);
    lk_buf_init(&b, 0);
    lk_methods_write(allowed, &b);
    assert_string_equal(b.p, "GET, HEAD, POST, OPTIONS");
    lk_buf_release(&b);
    assert_null(match(0, "/v1/images/x"));
    assert_int_equal(allowed, LK_GET | LK_HEAD | LK_PATCH | LK_DELETE | LK_OPTIONS);
}

static void every_route_is_reached_and_documented(void **state)
{
    (void)state;
    for (size_t i = 0; i < lk_n_routes; i++) {
        const lk_route *r = &lk_routes[i];
        assert_ptr_equal(match(r->method, r->path), r);
        assert_non_null(r->summary);
        assert_true(!(r->body & LK_BODY_JSON) || r->json);
        assert_true(!(r->body & LK_BODY_FORM) || r->form);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(lk_routes[j].label, r->label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_and_a_method_choose_the_route),
        cmocka_unit_test(braces_match_one_segment_and_keep_its_escapes),
        cmocka_unit_test(what_is_no_route_has_no_methods),
        cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
        cmocka_unit_test(every_route_is_reached_and_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
