#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/body.h"

static void the_media_type_tells_the_kind_of_body(void **state)
{
    (void)state;
    assert_int_equal(lk_body_kind_of("application/json"), LK_BODY_JSON);
    assert_int_equal(lk_body_kind_of("Application/JSON ; charset=utf-8"), LK_BODY_JSON);
    assert_int_equal(lk_body_kind_of("multipart/form-data; boundary=x"), LK_BODY_FORM);
    assert_int_equal(lk_body_kind_of("application/x-www-form-urlencoded"), LK_BODY_FORM);
    assert_int_equal(lk_body_kind_of("image/jpeg"), LK_BODY_IMAGE);
    assert_int_equal(lk_body_kind_of("application/octet-stream"), LK_BODY_IMAGE);
    assert_int_equal(lk_body_kind_of("application/jsonx"), LK_BODY_NONE);
    assert_int_equal(lk_body_kind_of("text/plain"), LK_BODY_NONE);
    assert_int_equal(lk_body_kind_of(""), LK_BODY_NONE);
}

static void a_body_over_its_limit_is_refused_before_and_while_it_comes(void **state)
{
    lk_budget budget = {.limit = 1000000};
    lk_body b;
    (void)state;
    lk_body_init(&b, &budget);
    assert_int_equal(lk_body_begin(&b, LK_BODY_JSON, 11, 10, 4, NULL), LK_E_LIMIT);
    lk_body_clear(&b, true);
    assert_int_equal(lk_body_begin(&b, LK_BODY_JSON, 0, 10, 4, NULL), LK_OK);
    assert_int_equal(lk_body_count(&b, 10, NULL), LK_OK);
    assert_int_equal(lk_body_count(&b, 1, NULL), LK_E_LIMIT);
    lk_body_clear(&b, false);
    assert_int_equal(atomic_load(&budget.used), 0);
}

static void bodies_share_one_budget_and_give_it_back(void **state)
{
    lk_budget budget = {.limit = 100};
    lk_body a, b;
    (void)state;
    lk_body_init(&a, &budget);
    lk_body_init(&b, &budget);
    assert_int_equal(lk_body_begin(&a, LK_BODY_FORM, 60, 1000, 4, NULL), LK_OK);
    assert_int_equal(lk_body_begin(&b, LK_BODY_FORM, 60, 1000, 4, NULL), LK_E_BUSY);
    lk_body_clear(&b, true);
    assert_int_equal(atomic_load(&budget.used), 60);
    lk_body_clear(&a, true);
    assert_int_equal(lk_body_begin(&b, LK_BODY_FORM, 60, 1000, 4, NULL), LK_OK);
    lk_body_clear(&b, false);
    assert_int_equal(atomic_load(&budget.used), 0);
}

static void parts_grow_by_pieces_and_are_found_by_name(void **state)
{
    lk_budget budget = {.limit = 1000};
    lk_body b;
    const lk_part *p = NULL;
    lk_err err = {0};
    (void)state;
    lk_body_init(&b, &budget);
    assert_int_equal(lk_body_begin(&b, LK_BODY_FORM, 0, 1000, 3, NULL), LK_OK);
    assert_int_equal(lk_body_part(&b, true, "file", "a.jpg", "image/jpeg", "ab", 2, NULL), 0);
    assert_int_equal(lk_body_part(&b, false, "file", "a.jpg", "image/jpeg", "cd", 2, NULL), 0);
    assert_int_equal(lk_body_part(&b, true, "text", NULL, NULL, "", 0, NULL), 0);
    assert_int_equal(lk_body_part(&b, true, "file", "b.jpg", NULL, "x", 1, NULL), 0);
    assert_int_equal(b.n_parts, 3);
    assert_int_equal(b.parts[0].data.n, 4);
    assert_memory_equal(b.parts[0].data.p, "abcd", 4);
    assert_int_equal(lk_body_one(&b, "text", &p, NULL), 0);
    assert_non_null(p);
    assert_null(p->filename);
    assert_int_equal(lk_part_text(p).n, 0);
    assert_int_equal(lk_body_one(&b, "nope", &p, NULL), 0);
    assert_null(p);
    assert_int_equal(lk_body_one(&b, "file", &p, &err), LK_E_INVALID);
    assert_string_equal(err.field, "file");
    assert_int_equal(lk_body_part(&b, true, "more", NULL, NULL, "x", 1, NULL), LK_E_LIMIT);
    lk_body_clear(&b, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_media_type_tells_the_kind_of_body),
        cmocka_unit_test(a_body_over_its_limit_is_refused_before_and_while_it_comes),
        cmocka_unit_test(bodies_share_one_budget_and_give_it_back),
        cmocka_unit_test(parts_grow_by_pieces_and_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
