/* The engine on real photographs: what goes in comes out, alike finds alike, and I1 to I5 hold.
 *
 * The photographs are the project's shared test material; without them these tests are skipped. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"
#include "support.h"

#define APPLE_1 "photos/grocery/test/Fruit/Apple/Granny-Smith/Granny-Smith_002.jpg"
#define APPLE_2 "photos/grocery/test/Fruit/Apple/Granny-Smith/Granny-Smith_003.jpg"
#define STREET "photos/coco-100/000000058636.jpg"

static const char *const photos[] = {
    APPLE_1,
    APPLE_2,
    STREET,
    "photos/coco-100/000000005802.jpg",
    "photos/coco-100/000000006818.jpg",
    "photos/coco-100/000000012448.jpg",
    "photos/coco-100/000000017627.jpg",
    "photos/coco-100/000000025560.jpg",
};
#define N_PHOTOS (sizeof photos / sizeof *photos)

typedef struct house {
    char dir[TEST_PATH];
    lk_engine_opts opts;
    lk_engine *e;
    lk_arena a;
    lk_err err;
} house;

static lk_blob photo(const char *name, lk_arena *a)
{
    char path[TEST_PATH], below[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_err err;
    test_path("assets", name, below);
    test_shared(below, path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    lk_blob b = {lk_arena_memdup(a, p, n), n};
    lk_free(p);
    return b;
}

static void open_again(house *h)
{
    lk_engine_close(h->e);
    h->e = NULL;
    if (lk_engine_open(&h->opts, LK_OPEN_EXISTING, &h->e, &h->err))
        fail_msg("%s", h->err.text);
}

static int setup(void **state)
{
    house *h = calloc(1, sizeof *h);
    test_dir_make(h->dir);
    if (lk_opt_defaults(lk_engine_opt_table, &h->opts, &h->err))
        fail_msg("%s", h->err.text);
    h->opts.data_dir = h->dir;
    lk_arena_init(&h->a, 0);
    if (lk_engine_open(&h->opts, LK_OPEN_CREATE, &h->e, &h->err))
        fail_msg("%s", h->err.text);
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

static lk_added add(house *h, const char *name, const char *id, const char *meta)
{
    lk_added out;
    lk_add in = {.bytes = photo(name, &h->a),
                 .id = lk_str_of(id),
                 .path = lk_str_of(name),
                 .meta = lk_str_of(meta)};
    if (lk_engine_add(h->e, &in, &h->a, &out, &h->err))
        fail_msg("%s: %s", name, h->err.text);
    return out;
}

static void add_all(house *h)
{
    for (size_t i = 0; i < N_PHOTOS; i++)
        (void)add(h, photos[i], NULL, NULL);
}

static lk_answer search(house *h, const lk_search *s)
{
    lk_answer out;
    if (lk_engine_search(h->e, s, &h->a, &out, &h->err))
        fail_msg("%s", h->err.text);
    return out;
}

static lk_code search_fails(house *h, const lk_search *s)
{
    lk_answer out;
    return lk_engine_search(h->e, s, &h->a, &out, &h->err);
}

static lk_verified verify(house *h, bool repair)
{
    lk_verified v;
    if (lk_engine_verify(h->e, true, repair, NULL, NULL, NULL, NULL, &v, &h->err))
        fail_msg("%s", h->err.text);
    return v;
}

static const lk_jval *doc_of(lk_str doc, lk_json **ret)
{
    assert_int_equal(lk_json_parse(doc, ret, NULL), LK_OK);
    return lk_json_root(*ret);
}

/* ---- ingest ---- */

static void a_record_tells_what_the_picture_is(void **state)
{
    house *h = *state;
    lk_json *json = NULL;
    lk_added a = add(h, APPLE_1, NULL, "{\"brand\":\"acme\",\"price\":3}");
    const lk_jval *d = doc_of(a.record.doc, &json);
    double sum = 0;
    lk_str key;
    const lk_jval *v;
    assert_int_equal(a.status, LK_ADDED);
    assert_true(lk_str_is(lk_jval_str(lk_jval_get(d, "format")), "jpeg"));
    assert_true(lk_str_is(lk_jval_str(lk_jval_get(d, "filename")), "Granny-Smith_002.jpg"));
    assert_true(lk_str_is(lk_jval_str(lk_jval_get(d, "path")), APPLE_1));
    assert_int_equal(lk_jval_int(lk_jval_get(d, "width")), 348);
    assert_int_equal(lk_jval_int(lk_jval_get(d, "height")), 348);
    assert_int_equal(lk_jval_len(lk_jval_get(d, "all_probs")), 10);
    for (lk_jiter it = lk_jiter_of(lk_jval_get(d, "all_probs")); lk_jiter_next(&it, &key, &v);)
        sum += lk_jval_real(v);
    assert_true(fabs(sum - 1) < 1e-4);
    assert_true(lk_jval_real(lk_jval_get(d, "brightness")) > 0);
    assert_true(lk_jval_len(lk_jval_get(d, "dominant_colors")) > 0);
    assert_int_equal(lk_jval_str(lk_jval_get(d, "phash")).n, 16);
    assert_int_equal(lk_jval_int(lk_jval_get(lk_jval_get(d, "metadata"), "price")), 3);
    lk_json_free(json);
}

static void the_same_bytes_are_stored_once(void **state)
{
    house *h = *state;
    lk_added first = add(h, APPLE_1, NULL, NULL), again = add(h, APPLE_1, NULL, NULL);
    assert_int_equal(again.status, LK_ADD_DUPLICATE);
    assert_true(lk_str_eq(first.record.id, again.record.id));
    lk_added named = add(h, APPLE_1, "my-apple", NULL);
    assert_int_equal(named.status, LK_ADDED);
    lk_verified v = verify(h, false);
    assert_int_equal(v.records, 2);
    assert_int_equal(v.objects, 1);
    assert_int_equal(v.extras, 0);
}

static void an_object_goes_with_its_last_record(void **state)
{
    house *h = *state;
    lk_added a = add(h, APPLE_1, NULL, NULL);
    (void)add(h, APPLE_1, "second", NULL);
    assert_int_equal(lk_engine_delete(h->e, a.record.id, &h->err), LK_OK);
    assert_int_equal(verify(h, false).objects, 1);
    assert_int_equal(lk_engine_delete(h->e, LK_STR("second"), &h->err), LK_OK);
    lk_verified v = verify(h, false);
    assert_int_equal(v.records + v.objects + v.vectors + v.extras, 0);
    assert_int_equal(lk_engine_delete(h->e, LK_STR("second"), &h->err), LK_E_NOT_FOUND);
}

static void an_id_can_be_given_another_picture(void **state)
{
    house *h = *state;
    lk_search s;
    (void)add(h, APPLE_1, "x", NULL);
    lk_added r = add(h, STREET, "x", NULL);
    assert_int_equal(r.status, LK_ADD_REPLACED);
    lk_verified v = verify(h, false);
    assert_int_equal(v.records, 1);
    assert_int_equal(v.objects, 1);
    lk_query_part part = {.kind = LK_PART_IMAGE, .weight = 1, .bytes = photo(STREET, &h->a)};
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    assert_true(search(h, &s).hits[0].score > 0.999f);
}

static void bad_pictures_and_metadata_change_nothing(void **state)
{
    house *h = *state;
    lk_added out;
    lk_blob apple = photo(APPLE_1, &h->a);
    const struct {
        lk_add in;
        lk_code code;
        const char *field;
    } bad[] = {
        {{.bytes = {NULL, 0}}, LK_E_INVALID, "file"},
        {{.bytes = {(const unsigned char *)"hello, world", 12}}, LK_E_FORMAT, NULL},
        {{.bytes = {apple.p, apple.n / 2}}, LK_E_TRUNCATED, NULL},
        {{.bytes = apple, .meta = LK_STR("[1]")}, LK_E_INVALID, "metadata"},
        {{.bytes = apple, .meta = LK_STR("{\"a\":")}, LK_E_INVALID, "metadata"},
        {{.bytes = apple, .meta = LK_STR("{\"a\":{\"b\":1}}")}, LK_E_INVALID, "metadata"},
        {{.bytes = apple, .id = {"a\0b", 3}}, LK_E_INVALID, "id"},
        {{.bytes = apple, .id = LK_STR("\xff")}, LK_E_INVALID, "id"},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        lk_code code = lk_engine_add(h->e, &bad[i].in, &h->a, &out, &h->err);
        if (code != bad[i].code)
            fail_msg("case %zu: %s (%s), not %s", i, lk_code_word(code), h->err.text,
                     lk_code_word(bad[i].code));
        if (bad[i].field)
            assert_string_equal(h->err.field, bad[i].field);
        assert_true(h->err.text[0]);
    }
    lk_verified v = verify(h, false);
    assert_int_equal(v.records + v.objects + v.vectors + v.extras, 0);
}

/* ---- search ---- */

static void a_picture_finds_itself_and_its_like(void **state)
{
    house *h = *state;
    lk_search s;
    add_all(h);
    lk_query_part part = {.kind = LK_PART_IMAGE, .weight = 1, .bytes = photo(APPLE_1, &h->a)};
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    s.top_k = 3;
    lk_answer a = search(h, &s);
    assert_int_equal(a.n, 3);
    assert_true(lk_str_is(a.hits[0].record.path, APPLE_1));
    assert_true(a.hits[0].score > 0.999f);
    assert_true(lk_str_is(a.hits[1].record.path, APPLE_2));
    for (size_t i = 0; i < a.n; i++) {
        assert_true(fabsf(a.hits[i].distance - (1 - a.hits[i].score)) < 1e-6f);
        assert_true(fabsf(a.hits[i].similarity - (1 + a.hits[i].score) / 2) < 1e-6f);
        assert_true(i == 0 || a.hits[i - 1].score >= a.hits[i].score);
    }
}

static void pages_join_without_gap_or_overlap(void **state)
{
    house *h = *state;
    lk_search s;
    add_all(h);
    lk_query_part part = {.kind = LK_PART_TEXT, .weight = 1, .text = LK_STR("apple")};
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    s.top_k = N_PHOTOS;
    lk_answer all = search(h, &s);
    assert_int_equal(all.n, N_PHOTOS);
    s.top_k = 3;
    for (s.offset = 0; s.offset < N_PHOTOS; s.offset += 3) {
        lk_answer page = search(h, &s);
        for (size_t i = 0; i < page.n; i++)
            assert_true(lk_str_eq(page.hits[i].record.id, all.hits[s.offset + i].record.id));
    }
    s.offset = N_PHOTOS + 5;
    assert_int_equal(search(h, &s).n, 0);
}

static float dot(const float *a, const float *b, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

static void several_prompts_are_one_part_in_their_mean_direction(void **state)
{
    house *h = *state;
    const lk_str words[3] = {LK_STR("apple"), LK_STR("pear"), LK_STR("fruit")};
    const float *one[3], *mean = NULL, *heavy = NULL;
    double sum[LK_MAX_DIM] = {0}, length = 0;
    size_t dim = 0;
    for (size_t i = 0; i < 3; i++) {
        lk_query_part p = {.kind = LK_PART_TEXT, .weight = 1, .text = words[i]};
        test_ok(lk_engine_embed(h->e, &p, 1, &h->a, &one[i], &dim, &h->err), &h->err);
        for (size_t j = 0; j < dim; j++)
            sum[j] += (double)one[i][j];
    }
    for (size_t j = 0; j < dim; j++)
        length += sum[j] * sum[j];
    lk_query_part p = {.kind = LK_PART_TEXT, .weight = 1, .prompts = words, .n_prompts = 3};
    test_ok(lk_engine_embed(h->e, &p, 1, &h->a, &mean, &dim, &h->err), &h->err);
    for (size_t j = 0; j < dim; j++)
        assert_true(fabs((double)mean[j] - sum[j] / sqrt(length)) < 1e-6);
    /* As one part beside another it weighs one, not three. */
    lk_query_part both[2] = {p, {.kind = LK_PART_TEXT, .weight = 1, .text = LK_STR("street")}};
    const float *street = NULL;
    test_ok(lk_engine_embed(h->e, &both[1], 1, &h->a, &street, &dim, &h->err), &h->err);
    test_ok(lk_engine_embed(h->e, both, 2, &h->a, &heavy, &dim, &h->err), &h->err);
    assert_true(fabsf(dot(heavy, mean, dim) - dot(heavy, street, dim)) < 1e-5f);
    p.n_prompts = LK_MAX_PROMPTS + 1;
    test_code(lk_engine_embed(h->e, &p, 1, &h->a, &mean, &dim, &h->err), LK_E_INVALID);
    assert_string_equal(h->err.field, "text");
}

static lk_stats stats_of(house *h)
{
    lk_stats st;
    if (lk_engine_stats(h->e, &h->a, &st, &h->err))
        fail_msg("%s", h->err.text);
    return st;
}

static void what_was_embedded_once_comes_out_of_the_cache(void **state)
{
    house *h = *state;
    const float *first = NULL, *again = NULL;
    size_t dim = 0;
    lk_query_part word = {.kind = LK_PART_TEXT, .weight = 1, .text = LK_STR("apple")};
    lk_query_part file = {.kind = LK_PART_IMAGE, .weight = 1, .bytes = photo(APPLE_1, &h->a)};
    (void)add(h, APPLE_1, "a", NULL);
    assert_int_equal(stats_of(h).embed_misses, 1);
    (void)add(h, APPLE_1, "b", NULL); /* the same bytes under another id */
    test_ok(lk_engine_embed(h->e, &file, 1, &h->a, &first, &dim, &h->err), &h->err);
    assert_int_equal(stats_of(h).embed_misses, 1);
    assert_int_equal(stats_of(h).embed_hits, 2);
    test_ok(lk_engine_embed(h->e, &word, 1, &h->a, &first, &dim, &h->err), &h->err);
    test_ok(lk_engine_embed(h->e, &word, 1, &h->a, &again, &dim, &h->err), &h->err);
    assert_memory_equal(first, again, dim * sizeof *first);
    assert_int_equal(stats_of(h).embed_misses, 2);
    assert_int_equal(stats_of(h).embed_hits, 3);
    assert_int_equal(stats_of(h).embed_entries, 2);
    lk_query_part odd = {.kind = LK_PART_TEXT, .weight = 1, .text = LK_STR("qqzzx")};
    test_code(lk_engine_embed(h->e, &odd, 1, &h->a, &again, &dim, &h->err), LK_E_NO_MEANING);
    assert_int_equal(stats_of(h).embed_entries, 2);
}

static void a_cache_of_no_bytes_keeps_nothing(void **state)
{
    house *h = *state;
    const float *v = NULL;
    size_t dim = 0;
    lk_query_part word = {.kind = LK_PART_TEXT, .weight = 1, .text = LK_STR("apple")};
    h->opts.embed_cache_bytes = 0;
    open_again(h);
    for (int i = 0; i < 3; i++)
        test_ok(lk_engine_embed(h->e, &word, 1, &h->a, &v, &dim, &h->err), &h->err);
    assert_int_equal(stats_of(h).embed_hits, 0);
    assert_int_equal(stats_of(h).embed_misses, 3);
    assert_int_equal(stats_of(h).embed_bytes, 0);
}

static void words_and_pictures_mix_by_weight(void **state)
{
    house *h = *state;
    lk_search s;
    const float *text = NULL, *image = NULL;
    float mix[LK_MAX_DIM];
    size_t dim = 0;
    lk_stats stats;
    add_all(h);
    assert_int_equal(lk_engine_stats(h->e, &h->a, &stats, &h->err), LK_OK);
    lk_query_part parts[2] = {
        {.kind = LK_PART_TEXT, .weight = 0.7f, .text = LK_STR("apple")},
        {.kind = LK_PART_IMAGE, .weight = 0.3f, .bytes = photo(STREET, &h->a)},
    };
    test_ok(lk_engine_embed(h->e, &parts[0], 1, &h->a, &text, &dim, &h->err), &h->err);
    test_ok(lk_engine_embed(h->e, &parts[1], 1, &h->a, &image, &dim, &h->err), &h->err);
    assert_int_equal(dim, stats.dim);
    for (size_t i = 0; i < stats.dim; i++)
        mix[i] = 0.7f * text[i] + 0.3f * image[i];
    lk_search_default(&s);
    s.parts = parts;
    s.n_parts = 2;
    lk_answer a = search(h, &s);
    lk_query_part whole = {.kind = LK_PART_VECTOR, .weight = 1, .vector = mix, .n = stats.dim};
    s.parts = &whole;
    s.n_parts = 1;
    lk_answer b = search(h, &s);
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++) {
        assert_true(lk_str_eq(a.hits[i].record.id, b.hits[i].record.id));
        assert_true(fabsf(a.hits[i].score - b.hits[i].score) < 1e-5f);
    }
}

static void a_negative_weight_moves_away(void **state)
{
    house *h = *state;
    lk_search s;
    add_all(h);
    lk_query_part parts[2] = {
        {.kind = LK_PART_IMAGE, .weight = 1, .bytes = photo(STREET, &h->a)},
        {.kind = LK_PART_IMAGE, .weight = -0.5f, .bytes = photo(APPLE_1, &h->a)},
    };
    lk_search_default(&s);
    s.parts = parts;
    s.n_parts = 2;
    lk_answer a = search(h, &s);
    assert_true(lk_str_is(a.hits[0].record.path, STREET));
    assert_true(lk_str_is(a.hits[a.n - 1].record.path, APPLE_1));
}

static void similar_leaves_the_asked_one_out(void **state)
{
    house *h = *state;
    lk_search s;
    add_all(h);
    lk_added apple = add(h, APPLE_1, NULL, NULL);
    lk_query_part part = {.kind = LK_PART_ID, .weight = 1, .text = apple.record.id};
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    s.exclude_parts = true;
    s.top_k = N_PHOTOS;
    lk_answer a = search(h, &s);
    assert_int_equal(a.n, N_PHOTOS - 1);
    assert_true(lk_str_is(a.hits[0].record.path, APPLE_2));
    for (size_t i = 0; i < a.n; i++)
        assert_false(lk_str_eq(a.hits[i].record.id, apple.record.id));
}

static void filters_and_minimum_scores_narrow(void **state)
{
    house *h = *state;
    lk_search s;
    (void)add(h, APPLE_1, "a", "{\"shop\":\"north\",\"stock\":3}");
    (void)add(h, APPLE_2, "b", "{\"shop\":\"south\",\"stock\":4.5}");
    (void)add(h, STREET, "c", NULL);
    lk_query_part part = {.kind = LK_PART_IMAGE, .weight = 1, .bytes = photo(APPLE_1, &h->a)};
    const struct {
        const char *filter, *ids;
    } cases[] = {
        {"shop == 'south'", "b"},
        {"metadata['shop'] in [\"north\", \"south\"]", "ab"},
        {"stock > 3 and shop is not null", "b"},
        {"shop is null", "c"},
        {"width == 348 && height == 348", "ab"},
        {"filename like \"Granny%\" and not (shop == 'north')", "b"},
        {"created_at >= timestamp_ms(0)", "abc"},
        {"metadata['never_seen'] == 1", ""},
    };
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    for (size_t i = 0; i < LK_ARRAY_LEN(cases); i++) {
        s.filter = lk_str_of(cases[i].filter);
        lk_answer a = search(h, &s);
        if (a.n != strlen(cases[i].ids))
            fail_msg("%s: %zu hits, not %s", cases[i].filter, a.n, cases[i].ids);
        for (size_t j = 0; j < a.n; j++)
            assert_non_null(strchr(cases[i].ids, a.hits[j].record.id.p[0]));
    }
    s.filter = (lk_str){0};
    s.has_min_score = true;
    s.min_score = 0.999;
    assert_int_equal(search(h, &s).n, 1);
}

static void boosts_lift_what_they_match(void **state)
{
    house *h = *state;
    lk_search s;
    (void)add(h, APPLE_1, "old", "{\"is_new\":false}");
    (void)add(h, APPLE_2, "new", "{\"is_new\":true}");
    (void)add(h, STREET, "other", NULL);
    lk_query_part part = {.kind = LK_PART_IMAGE, .weight = 1, .bytes = photo(APPLE_1, &h->a)};
    lk_boost boost = {LK_STR("is_new"), 2};
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    s.boosts = &boost;
    s.n_boosts = 1;
    s.top_k = 1;
    lk_answer a = search(h, &s);
    assert_int_equal(a.n, 1);
    assert_true(lk_str_is(a.hits[0].record.id, "new"));
    assert_true(a.hits[0].score > 2);
    boost.expr = LK_STR("width >");
    assert_int_equal(search_fails(h, &s), LK_E_INVALID);
    assert_string_equal(h->err.field, "boosts");
}

static void wrong_searches_name_the_field(void **state)
{
    house *h = *state;
    float v[3] = {1, NAN, 0};
    lk_query_part text = {.kind = LK_PART_TEXT, .weight = 1, .text = LK_STR("apple")};
    lk_query_part zero = text, none = text, gone, narrow, both[2] = {text, text};
    zero.weight = 0;
    none.text = LK_STR("qzxwv");
    gone = (lk_query_part){.kind = LK_PART_ID, .weight = 1, .text = LK_STR("nobody")};
    narrow = (lk_query_part){.kind = LK_PART_VECTOR, .weight = 1, .vector = v, .n = 3};
    both[1].weight = -1;
    const struct {
        lk_search s;
        lk_code code;
        const char *field;
    } bad[] = {
        {{.parts = &text, .n_parts = 0, .top_k = 1}, LK_E_INVALID, "query"},
        {{.parts = &text, .n_parts = 1, .top_k = 0}, LK_E_INVALID, "top_k"},
        {{.parts = &text, .n_parts = 1, .top_k = 5000}, LK_E_INVALID, "top_k"},
        {{.parts = &text, .n_parts = 1, .top_k = 1, .offset = 99999}, LK_E_INVALID, "offset"},
        {{.parts = &text, .n_parts = 1, .top_k = 1, .filter = LK_STR("widht > 3")},
         LK_E_INVALID,
         "filter"},
        {{.parts = &zero, .n_parts = 1, .top_k = 1}, LK_E_INVALID, "weight"},
        {{.parts = &none, .n_parts = 1, .top_k = 1}, LK_E_NO_MEANING, NULL},
        {{.parts = &gone, .n_parts = 1, .top_k = 1}, LK_E_NOT_FOUND, "id"},
        {{.parts = &narrow, .n_parts = 1, .top_k = 1}, LK_E_INVALID, "vector"},
        {{.parts = both, .n_parts = 2, .top_k = 1}, LK_E_INVALID, "query"},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        lk_code code = search_fails(h, &bad[i].s);
        if (code != bad[i].code || (bad[i].field && strcmp(h->err.field, bad[i].field) != 0))
            fail_msg("case %zu: %s, field \"%s\": %s", i, lk_code_word(code), h->err.field,
                     h->err.text);
    }
}

/* ---- records ---- */

static void a_patch_merges_metadata_and_filters_follow(void **state)
{
    house *h = *state;
    lk_record r;
    lk_search s;
    lk_json *json = NULL;
    (void)add(h, APPLE_1, "a", "{\"shop\":\"north\",\"stock\":3}");
    assert_int_equal(lk_engine_patch(h->e, LK_STR("a"),
                                     LK_STR("{\"shop\":\"west\",\"stock\":null}"), &h->a, &r,
                                     &h->err),
                     LK_OK);
    const lk_jval *meta = lk_jval_get(doc_of(r.doc, &json), "metadata");
    assert_true(lk_str_is(lk_jval_str(lk_jval_get(meta, "shop")), "west"));
    assert_null(lk_jval_get(meta, "stock"));
    lk_json_free(json);
    lk_query_part part = {.kind = LK_PART_ID, .weight = 1, .text = LK_STR("a")};
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    s.filter = LK_STR("shop == 'west' and stock is null");
    assert_int_equal(search(h, &s).n, 1);
    s.filter = LK_STR("shop == 'north'");
    assert_int_equal(search(h, &s).n, 0);
    assert_int_equal(lk_engine_patch(h->e, LK_STR("a"), LK_STR("[]"), &h->a, &r, &h->err),
                     LK_E_INVALID);
    assert_int_equal(lk_engine_patch(h->e, LK_STR("b"), LK_STR("{}"), &h->a, &r, &h->err),
                     LK_E_NOT_FOUND);
}

static void a_list_goes_through_everything_once(void **state)
{
    house *h = *state;
    size_t seen = 0;
    lk_str cursor = {0};
    add_all(h);
    do {
        lk_record *r = NULL;
        size_t n = 0;
        assert_int_equal(
            lk_engine_list(h->e, cursor, 3, (lk_str){0}, &h->a, &r, &n, &cursor, &h->err), LK_OK);
        assert_true(n <= 3);
        seen += n;
    } while (cursor.n);
    assert_int_equal(seen, N_PHOTOS);
}

static void fields_are_picked_and_unknown_ones_refused(void **state)
{
    house *h = *state;
    lk_buf b;
    lk_jw w;
    lk_json *json = NULL;
    lk_added a = add(h, APPLE_1, "a", "{\"shop\":\"north\"}");
    lk_str fields[] = {LK_STR("id"), LK_STR("metadata.shop"), LK_STR("width")};
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    assert_int_equal(lk_record_write(&a.record, fields, 3, &w, &h->err), LK_OK);
    const lk_jval *d = doc_of(lk_buf_str(&b), &json);
    assert_int_equal(lk_jval_len(d), 3);
    assert_true(lk_str_is(lk_jval_str(lk_jval_get(d, "metadata.shop")), "north"));
    lk_json_free(json);
    fields[0] = LK_STR("nonsense");
    assert_int_equal(lk_record_write(&a.record, fields, 3, &w, &h->err), LK_E_INVALID);
    lk_buf_release(&b);
}

static void originals_come_back_and_thumbnails_fit(void **state)
{
    house *h = *state;
    lk_buf b;
    const char *mime = NULL;
    lk_picture pic;
    lk_image_limits limits = lk_image_limits_default();
    lk_blob apple = photo(STREET, &h->a);
    (void)add(h, STREET, "a", NULL);
    lk_buf_init(&b, 0);
    assert_int_equal(lk_engine_original(h->e, LK_STR("a"), &b, &mime, &h->err), LK_OK);
    assert_string_equal(mime, "image/jpeg");
    assert_int_equal(b.n, apple.n);
    assert_memory_equal(b.p, apple.p, apple.n);
    for (lk_thumb t = LK_THUMB_LIST; t <= LK_THUMB_PREVIEW; t++) {
        unsigned side = t == LK_THUMB_LIST ? 320 : 1024;
        lk_buf_clear(&b);
        assert_int_equal(lk_engine_thumbnail(h->e, LK_STR("a"), t, &b, &mime, &h->err), LK_OK);
        lk_blob bytes = {(const unsigned char *)b.p, b.n};
        assert_int_equal(lk_picture_decode(bytes, &limits, true, &pic, &h->err), LK_OK);
        assert_true(pic.image.width <= side && pic.image.height <= side);
        assert_false(pic.exif.make[0] || pic.exif.has_gps);
        lk_picture_release(&pic);
    }
    lk_buf_release(&b);
}

/* ---- the folder ---- */

static void everything_is_there_after_reopening(void **state)
{
    house *h = *state;
    lk_search s;
    add_all(h);
    open_again(h);
    lk_verified v = verify(h, false);
    assert_int_equal(v.records, N_PHOTOS);
    assert_int_equal(v.vectors, N_PHOTOS);
    assert_int_equal(v.extras, 0);
    lk_query_part part = {.kind = LK_PART_IMAGE, .weight = 1, .bytes = photo(APPLE_1, &h->a)};
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    assert_true(lk_str_is(search(h, &s).hits[0].record.path, APPLE_1));
}

static void a_second_owner_is_told_who_holds_the_folder(void **state)
{
    house *h = *state;
    lk_engine *second = NULL;
    char pid[32];
    assert_int_equal(lk_engine_open(&h->opts, LK_OPEN_EXISTING, &second, &h->err), LK_E_LOCKED);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_non_null(strstr(h->err.text, pid));
}

static void a_folder_without_a_collection_is_named(void **state)
{
    house *h = *state;
    lk_engine *e = NULL;
    lk_engine_opts o = h->opts;
    o.data_dir = "/nonexistent/folder";
    assert_int_equal(lk_engine_open(&o, LK_OPEN_EXISTING, &e, &h->err), LK_E_NOT_FOUND);
    assert_non_null(strstr(h->err.text, "/nonexistent/folder"));
    assert_string_equal(h->err.field, "data");
}

static void extras_of_a_crash_are_swept(void **state)
{
    house *h = *state;
    lk_sha256 key;
    char marker[TEST_PATH];
    float v[LK_MAX_DIM] = {1};
    lk_vector_row row = {.id = LK_STR("ghost"), .vector = v};
    (void)add(h, APPLE_1, NULL, NULL);
    assert_int_equal(lk_sha256_of("ghost", 5, &key, NULL), LK_OK);
    lk_blob bytes = {(const unsigned char *)"ghost", 5};
    assert_int_equal(lk_objects_put(h->e->objects, &key, "", bytes, false, &h->err), LK_OK);
    assert_int_equal(lk_vectors_upsert(h->e->spaces.now->vectors, 1, &row, &h->err), LK_OK);
    assert_int_equal(verify(h, false).extras, 2);
    /* A crash leaves the marker; a clean close removes it, so put it back. */
    lk_engine_close(h->e);
    h->e = NULL;
    test_path(h->dir, "unclean", marker);
    assert_int_equal(lk_os_write_file(marker, "", 0, &h->err), LK_OK);
    assert_int_equal(lk_engine_open(&h->opts, LK_OPEN_EXISTING, &h->e, &h->err), LK_OK);
    lk_verified after = verify(h, false);
    assert_int_equal(after.extras, 0);
    assert_int_equal(after.records, 1);
    assert_int_equal(after.objects, 1);
    assert_int_equal(after.vectors, 1);
}

static void damage_is_found_by_a_deep_verify(void **state)
{
    house *h = *state;
    lk_verified v;
    lk_added a = add(h, APPLE_1, NULL, NULL);
    assert_int_equal(lk_objects_delete(h->e->objects, &a.record.sha256, &h->err), LK_OK);
    assert_int_equal(lk_engine_verify(h->e, true, false, NULL, NULL, NULL, NULL, &v, &h->err),
                     LK_E_CORRUPT);
    assert_int_equal(v.faults, 1);
}

#define FOUR_THREADS 4
static void add_one(void *ctx, size_t i)
{
    house *h = ctx;
    lk_arena a;
    lk_added out;
    lk_err err;
    char path[TEST_PATH], below[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    test_path("assets", photos[i % N_PHOTOS], below);
    test_shared(below, path);
    lk_arena_init(&a, 0);
    if (lk_os_read_file(path, 0, &p, &n, &err))
        fprintf(stderr, "read: %s\n", err.text);
    lk_add in = {.bytes = {p, n}};
    if (lk_engine_add(h->e, &in, &a, &out, &err))
        fprintf(stderr, "add: %s\n", err.text);
    lk_free(p);
    lk_arena_release(&a);
}

static void the_same_picture_from_many_threads_is_one_record(void **state)
{
    house *h = *state;
    (void)photo(APPLE_1, &h->a); /* skips without the photographs */
    assert_int_equal(lk_parallel_for(N_PHOTOS * 4, FOUR_THREADS, 1, add_one, h, &h->err), LK_OK);
    lk_verified v = verify(h, false);
    assert_int_equal(v.records, N_PHOTOS);
    assert_int_equal(v.vectors, N_PHOTOS);
    assert_int_equal(v.objects, N_PHOTOS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_tells_what_the_picture_is),
        TEST(the_same_bytes_are_stored_once),
        TEST(an_object_goes_with_its_last_record),
        TEST(an_id_can_be_given_another_picture),
        TEST(bad_pictures_and_metadata_change_nothing),
        TEST(a_picture_finds_itself_and_its_like),
        TEST(pages_join_without_gap_or_overlap),
        TEST(several_prompts_are_one_part_in_their_mean_direction),
        TEST(what_was_embedded_once_comes_out_of_the_cache),
        TEST(a_cache_of_no_bytes_keeps_nothing),
        TEST(words_and_pictures_mix_by_weight),
        TEST(a_negative_weight_moves_away),
        TEST(similar_leaves_the_asked_one_out),
        TEST(filters_and_minimum_scores_narrow),
        TEST(boosts_lift_what_they_match),
        TEST(wrong_searches_name_the_field),
        TEST(a_patch_merges_metadata_and_filters_follow),
        TEST(a_list_goes_through_everything_once),
        TEST(fields_are_picked_and_unknown_ones_refused),
        TEST(originals_come_back_and_thumbnails_fit),
        TEST(everything_is_there_after_reopening),
        TEST(a_second_owner_is_told_who_holds_the_folder),
        TEST(a_folder_without_a_collection_is_named),
        TEST(extras_of_a_crash_are_swept),
        TEST(damage_is_found_by_a_deep_verify),
        TEST(the_same_picture_from_many_threads_is_one_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
