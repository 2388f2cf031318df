/* A collection's own categories: what is added gets them, what is stored gets them on request. */
#include "support.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/internal.h"

#define APPLE "assets/photos/grocery/test/Fruit/Apple/Granny-Smith/Granny-Smith_002.jpg"
#define BANANA "assets/photos/grocery/test/Fruit/Banana/Banana_003.jpg"
#define STREET "assets/photos/coco-100/000000058636.jpg"
#define FRUIT "{\"labels\": {\"fruit\": [\"apple\", \"banana\"], \"street\": \"street\"}}"

typedef struct house {
    char dir[TEST_PATH];
    lk_engine_opts opts;
    lk_engine *e;
    lk_arena a;
    lk_err err;
} house;

static int setup(void **state)
{
    house *h = calloc(1, sizeof *h);
    test_dir_make(h->dir);
    test_ok(lk_opt_defaults(lk_engine_opt_table, &h->opts, &h->err), &h->err);
    h->opts.data_dir = h->dir;
    lk_arena_init(&h->a, 0);
    test_ok(lk_engine_open(&h->opts, LK_OPEN_CREATE, &h->e, &h->err), &h->err);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    house *h = *state;
    lk_engine_close(h->e);
    lk_arena_release(&h->a);
    test_dir_remove(h->dir);
    free(h);
    return 0;
}

static lk_record add(house *h, const char *name, const char *id)
{
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_added out;
    test_shared(name, path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &h->err), &h->err);
    lk_add in = {.bytes = {p, n}, .id = lk_str_of(id)};
    test_ok(lk_engine_add(h->e, &in, &h->a, &out, &h->err), &h->err);
    lk_free(p);
    return out.record;
}

static void set(house *h, const char *settings)
{
    test_ok(lk_engine_set_categories(h->e, lk_str_of(settings), &h->err), &h->err);
}

static lk_categories now(house *h)
{
    lk_categories c = {0};
    test_ok(lk_engine_categories(h->e, &h->a, &c, &h->err), &h->err);
    return c;
}

static lk_record get(house *h, const char *id)
{
    lk_record r;
    test_ok(lk_engine_get(h->e, lk_str_of(id), &h->a, &r, &h->err), &h->err);
    return r;
}

static size_t n_matching(house *h, const char *filter)
{
    lk_record *r = NULL;
    size_t n = 0;
    lk_str next;
    test_ok(lk_engine_list(h->e, (lk_str){"", 0}, 100, lk_str_of(filter), &h->a, &r, &n, &next,
                           &h->err),
            &h->err);
    return n;
}

static lk_relabeled relabel_all(house *h, size_t limit)
{
    lk_relabeled all = {0}, one = {0};
    do {
        test_ok(lk_engine_relabel(h->e, one.next, limit, &h->a, &one, &h->err), &h->err);
        all.seen += one.seen;
        all.changed += one.changed;
    } while (one.next.n);
    return all;
}

static void a_new_collection_has_the_models_categories(void **state)
{
    house *h = *state;
    lk_categories c = now(h);
    assert_string_equal(c.from, "model");
    assert_int_equal(c.settings.n, 0);
    assert_int_equal(c.n_labels, 10);
    assert_string_equal(c.labels[9], "other");
}

static void what_is_added_gets_the_collections_categories_and_filters_see_them(void **state)
{
    house *h = *state;
    set(h, FRUIT);
    lk_categories c = now(h);
    assert_string_equal(c.from, "prompts");
    assert_int_equal(c.n_labels, 2);
    lk_record apple = add(h, APPLE, "a"), street = add(h, STREET, "b");
    assert_true(lk_str_is(apple.category, "fruit"));
    assert_true(lk_str_is(street.category, "street"));
    assert_true(apple.confidence > 0.5 && apple.confidence <= 1);
    assert_int_equal(n_matching(h, "category == \"fruit\""), 1);
    assert_int_equal(n_matching(h, "category == \"street\""), 1);
    lk_stats st;
    test_ok(lk_engine_stats(h->e, &h->a, &st, &h->err), &h->err);
    test_has(st.categories.p, "\"fruit\":1");
}

static void the_settings_outlive_the_process(void **state)
{
    house *h = *state;
    set(h, FRUIT);
    lk_engine_close(h->e);
    h->e = NULL;
    test_ok(lk_engine_open(&h->opts, LK_OPEN_EXISTING, &h->e, &h->err), &h->err);
    assert_string_equal(now(h).from, "prompts");
    assert_true(lk_str_is(add(h, APPLE, "a").category, "fruit"));
    set(h, "");
    lk_engine_close(h->e);
    h->e = NULL;
    test_ok(lk_engine_open(&h->opts, LK_OPEN_EXISTING, &h->e, &h->err), &h->err);
    assert_string_equal(now(h).from, "model");
}

static void settings_that_are_refused_change_nothing(void **state)
{
    house *h = *state;
    static const char *const bad[] = {"{", "[]", "{\"labels\": {}}", "{\"labels\": [\"qzxwvk\"]}",
                                      "{\"classifier\": \"mini\"}"};
    set(h, FRUIT);
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        lk_code code = lk_engine_set_categories(h->e, lk_str_of(bad[i]), &h->err);
        if (code != LK_E_INVALID && code != LK_E_NO_MEANING)
            fail_msg("%s: %s", bad[i], lk_code_word(code));
        assert_string_equal(now(h).from, "prompts");
        assert_int_equal(now(h).n_labels, 2);
    }
}

static void stored_pictures_change_when_they_are_relabelled_and_not_before(void **state)
{
    house *h = *state;
    static const char *const names[] = {APPLE, BANANA, STREET};
    lk_str before[3];
    for (size_t i = 0; i < 3; i++) {
        char id[2] = {(char)('a' + (int)i), '\0'};
        before[i] = add(h, names[i], id).doc;
    }
    lk_relabeled same = relabel_all(h, 2);
    assert_int_equal(same.seen, 3);
    assert_int_equal(same.changed, 0);
    set(h, FRUIT);
    assert_true(lk_str_eq(get(h, "a").doc, before[0]));
    lk_relabeled first = relabel_all(h, 1);
    assert_int_equal(first.seen, 3);
    assert_int_equal(first.changed, 3);
    assert_true(lk_str_is(get(h, "a").category, "fruit"));
    assert_int_equal(n_matching(h, "category in [\"fruit\", \"street\"]"), 3);
    assert_int_equal(relabel_all(h, 100).changed, 0);
    set(h, "");
    assert_int_equal(relabel_all(h, 100).changed, 3);
    assert_int_equal(n_matching(h, "category in [\"fruit\", \"street\"]"), 0);
    /* All but the last digits of probabilities is as it was, in its old place. */
    lk_json *was = NULL, *is = NULL;
    test_ok(lk_json_parse(before[0], &was, &h->err), &h->err);
    test_ok(lk_json_parse(get(h, "a").doc, &is, &h->err), &h->err);
    lk_jiter it = lk_jiter_of(lk_json_root(was)), other = lk_jiter_of(lk_json_root(is));
    lk_str key, other_key;
    const lk_jval *v, *other_v;
    while (lk_jiter_next(&it, &key, &v)) {
        assert_true(lk_jiter_next(&other, &other_key, &other_v));
        assert_true(lk_str_eq(key, other_key));
    }
    assert_false(lk_jiter_next(&other, &other_key, &other_v));
    lk_json_free(was);
    lk_json_free(is);
}

typedef struct bustle {
    house *h;
    lk_blob photo;
    atomic_int wrong;
} bustle;

/* One thread changes the categories, one relabels, the others add. */
static void bustle_about(void *ctx, size_t i)
{
    static const char *const settings[] = {FRUIT, "", "{\"labels\": [\"dog\", \"cat\", \"boat\"]}"};
    bustle *b = ctx;
    for (size_t round = 0; round < 12; round++) {
        lk_arena a;
        lk_err err = {0};
        lk_code code = LK_OK;
        lk_arena_init(&a, 0);
        if (i == 0) {
            code = lk_engine_set_categories(b->h->e, lk_str_of(settings[round % 3]), &err);
        } else if (i == 1) {
            lk_relabeled r;
            code = lk_engine_relabel(b->h->e, (lk_str){"", 0}, 100, &a, &r, &err);
        } else {
            char id[48];
            lk_added out;
            snprintf(id, sizeof id, "%zu-%zu", i, round);
            lk_add in = {.bytes = b->photo, .id = lk_str_of(id)};
            code = lk_engine_add(b->h->e, &in, &a, &out, &err);
            if (!code && out.record.category.n == 0)
                code = lk_fail(&err, LK_E_INVALID, "no category");
        }
        if (code) {
            print_message("%s\n", err.text);
            atomic_fetch_add(&b->wrong, 1);
        }
        lk_arena_release(&a);
    }
}

static void categories_may_change_while_pictures_are_added_and_relabelled(void **state)
{
    house *h = *state;
    char path[TEST_PATH];
    unsigned char *p = NULL;
    bustle b = {.h = h};
    test_shared(STREET, path);
    test_ok(lk_os_read_file(path, 0, &p, &b.photo.n, &h->err), &h->err);
    b.photo.p = p;
    test_ok(lk_parallel_for(4, 4, 1, bustle_about, &b, &h->err), &h->err);
    assert_int_equal(atomic_load(&b.wrong), 0);
    set(h, FRUIT);
    assert_int_equal(relabel_all(h, 7).seen, 24);
    assert_int_equal(n_matching(h, "category == \"street\""), 24);
    lk_verified v;
    test_ok(lk_engine_verify(h->e, true, false, NULL, NULL, NULL, NULL, &v, &h->err), &h->err);
    assert_int_equal(v.faults, 0);
    lk_free(p);
}

static void settings_that_no_longer_hold_are_told_and_can_be_changed(void **state)
{
    house *h = *state;
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_added out;
    test_shared(APPLE, path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &h->err), &h->err);
    test_ok(lk_records_meta_put(h->e->records, LK_STR("categories"),
                                LK_STR("{\"classifier\":\"gone\"}"), &h->err),
            &h->err);
    lk_engine_close(h->e);
    h->e = NULL;
    test_ok(lk_engine_open(&h->opts, LK_OPEN_EXISTING, &h->e, &h->err), &h->err);
    lk_add in = {.bytes = {p, n}};
    test_code(lk_engine_add(h->e, &in, &h->a, &out, &h->err), LK_E_MODEL);
    test_has(h->err.text, "the collection's categories: there is no model \"gone\"");
    set(h, "");
    test_ok(lk_engine_add(h->e, &in, &h->a, &out, &h->err), &h->err);
    lk_free(p);
}

static void the_number_of_a_step_is_bounded(void **state)
{
    house *h = *state;
    lk_relabeled r;
    lk_str none = {"", 0};
    test_code(lk_engine_relabel(h->e, none, 0, &h->a, &r, &h->err), LK_E_INVALID);
    test_code(lk_engine_relabel(h->e, none, LK_MAX_TOP_K + 1, &h->a, &r, &h->err), LK_E_INVALID);
    assert_string_equal(h->err.field, "limit");
    test_ok(lk_engine_relabel(h->e, none, 10, &h->a, &r, &h->err), &h->err);
    assert_int_equal(r.seen, 0);
    assert_int_equal(r.next.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_collection_has_the_models_categories, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            what_is_added_gets_the_collections_categories_and_filters_see_them, setup, teardown),
        cmocka_unit_test_setup_teardown(the_settings_outlive_the_process, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_that_are_refused_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(
            stored_pictures_change_when_they_are_relabelled_and_not_before, setup, teardown),
        cmocka_unit_test_setup_teardown(
            categories_may_change_while_pictures_are_added_and_relabelled, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_that_no_longer_hold_are_told_and_can_be_changed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_number_of_a_step_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
