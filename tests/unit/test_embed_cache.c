/* The cache of embeddings: what is kept, for how long, in how much memory, and by how many runs. */
#include "support.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "model/embed_cache.h"

#define DIM 16
/* An entry's head beside its numbers, as the byte count tells it. */
static uint64_t entry_bytes;

typedef struct maker {
    atomic_size_t runs;
    float first; /* of the vector it makes */
    lk_code code;
    uint64_t sleep_ms;
} maker;

static lk_code make(void *ctx, float *ret, lk_err *err)
{
    maker *m = ctx;
    atomic_fetch_add(&m->runs, 1);
    for (uint64_t end = lk_now_ns() + m->sleep_ms * 1000000; lk_now_ns() < end;)
        sched_yield();
    if (m->code)
        return lk_fail_field(err, m->code, "text", "the maker fails");
    for (size_t i = 0; i < DIM; i++)
        ret[i] = m->first + (float)i;
    return LK_OK;
}

static lk_sha256 key_of(const char *text)
{
    lk_sha256 content, key;
    lk_err err;
    test_ok(lk_sha256_of(text, strlen(text), &content, &err), &err);
    test_ok(lk_embed_key("model@1:00", LK_TOWER_TEXT, &content, &key, &err), &err);
    return key;
}

static lk_embed_cache *open_cache(uint64_t max_bytes, uint64_t ttl_ms)
{
    lk_embed_cache *c = NULL;
    lk_err err;
    test_ok(lk_embed_cache_new(max_bytes, ttl_ms, &c, &err), &err);
    return c;
}

/* Ask for text; returns the first number, and checks the rest against it. */
static float ask(lk_embed_cache *c, const char *text, maker *m)
{
    float v[DIM] = {0};
    lk_err err;
    lk_sha256 key = key_of(text);
    test_ok(lk_embed_cache_get(c, &key, DIM, make, m, v, &err), &err);
    for (size_t i = 0; i < DIM; i++)
        assert_true(v[i] == v[0] + (float)i);
    return v[0];
}

static lk_embed_cache_stats stats_of(lk_embed_cache *c)
{
    lk_embed_cache_stats s;
    lk_embed_cache_stats_of(c, &s);
    return s;
}

static int measure(void **state)
{
    (void)state;
    maker m = {.first = 1};
    lk_embed_cache *c = open_cache(1 << 20, 0);
    ask(c, "one", &m);
    entry_bytes = stats_of(c).bytes;
    lk_embed_cache_free(c);
    assert_in_range(entry_bytes, DIM * sizeof(float), DIM * sizeof(float) + 256);
    return 0;
}

static void what_was_made_once_is_not_made_again(void **state)
{
    (void)state;
    lk_embed_cache *c = open_cache(1 << 20, 0);
    maker a = {.first = 1}, b = {.first = 100};
    assert_true(ask(c, "apple", &a) == 1);
    assert_true(ask(c, "apple", &b) == 1);
    assert_true(ask(c, "pear", &b) == 100);
    assert_true(ask(c, "pear", &a) == 100);
    assert_int_equal(a.runs, 1);
    assert_int_equal(b.runs, 1);
    lk_embed_cache_stats s = stats_of(c);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.misses, 2);
    assert_int_equal(s.shared, 0);
    assert_int_equal(s.entries, 2);
    assert_int_equal(s.bytes, 2 * entry_bytes);
    lk_embed_cache_free(c);
    lk_embed_cache_free(NULL);
}

static void the_same_bytes_differ_by_model_and_by_tower(void **state)
{
    (void)state;
    lk_sha256 content, keys[4];
    lk_err err;
    test_ok(lk_sha256_of("x", 1, &content, &err), &err);
    test_ok(lk_embed_key("a", LK_TOWER_TEXT, &content, &keys[0], &err), &err);
    test_ok(lk_embed_key("a", LK_TOWER_IMAGE, &content, &keys[1], &err), &err);
    test_ok(lk_embed_key("b", LK_TOWER_TEXT, &content, &keys[2], &err), &err);
    test_ok(lk_embed_key("at", LK_TOWER_TEXT, &content, &keys[3], &err), &err);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&keys[i], &keys[j], sizeof *keys);
}

static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    lk_embed_cache *c = open_cache(3 * entry_bytes + 1, 0);
    maker m = {.first = 1}, again = {.first = 2};
    ask(c, "a", &m);
    ask(c, "b", &m);
    ask(c, "c", &m);
    ask(c, "a", &m); /* now b is the oldest */
    ask(c, "d", &m);
    assert_int_equal(m.runs, 4);
    assert_int_equal(stats_of(c).entries, 3);
    assert_true(stats_of(c).bytes <= 3 * entry_bytes + 1);
    assert_true(ask(c, "a", &again) == 1);
    assert_true(ask(c, "c", &again) == 1);
    assert_true(ask(c, "d", &again) == 1);
    assert_int_equal(again.runs, 0);
    assert_true(ask(c, "b", &again) == 2);
    lk_embed_cache_free(c);
}

static void many_more_keys_than_room_stay_within_the_limit(void **state)
{
    (void)state;
    lk_embed_cache *c = open_cache(50 * entry_bytes, 0);
    maker m = {.first = 0};
    char name[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "%d", i % 700);
        ask(c, name, &m);
        assert_true(stats_of(c).bytes <= 50 * entry_bytes);
    }
    assert_int_equal(stats_of(c).entries, 50);
    assert_int_equal(m.runs, 5000); /* 700 in turn never meet in 50 */
    lk_embed_cache_free(c);
}

static void a_vector_ends_when_its_time_is_up_however_often_it_is_used(void **state)
{
    (void)state;
    test_faults_on();
    test_clock_stop(1000000000, 0);
    lk_embed_cache *c = open_cache(1 << 20, 1000);
    maker m = {.first = 1};
    ask(c, "a", &m);
    test_clock_add_ms(600);
    ask(c, "a", &m);
    test_clock_add_ms(399);
    ask(c, "a", &m);
    assert_int_equal(m.runs, 1);
    test_clock_add_ms(1);
    ask(c, "a", &m);
    assert_int_equal(m.runs, 2);
    assert_int_equal(stats_of(c).entries, 1);
    assert_int_equal(stats_of(c).bytes, entry_bytes);
    lk_embed_cache_free(c);
    test_faults_off();
}

static void with_no_room_nothing_is_kept_and_all_is_answered(void **state)
{
    (void)state;
    lk_embed_cache *c = open_cache(0, 0);
    maker m = {.first = 7};
    assert_true(ask(c, "a", &m) == 7);
    assert_true(ask(c, "a", &m) == 7);
    assert_int_equal(m.runs, 2);
    assert_int_equal(stats_of(c).bytes, 0);
    lk_embed_cache_free(c);
}

static void an_error_is_told_and_not_kept(void **state)
{
    (void)state;
    lk_embed_cache *c = open_cache(1 << 20, 0);
    maker bad = {.code = LK_E_NO_MEANING}, good = {.first = 3};
    float v[DIM];
    lk_err err = {0};
    lk_sha256 key = key_of("a");
    test_code(lk_embed_cache_get(c, &key, DIM, make, &bad, v, &err), LK_E_NO_MEANING);
    assert_string_equal(err.field, "text");
    assert_string_equal(err.text, "the maker fails");
    test_code(lk_embed_cache_get(c, &key, DIM, make, &bad, v, NULL), LK_E_NO_MEANING);
    assert_int_equal(stats_of(c).entries, 0);
    assert_true(ask(c, "a", &good) == 3);
    lk_embed_cache_free(c);
}

/* ---- many threads */

typedef struct crowd {
    lk_embed_cache *c;
    maker m;
    atomic_size_t right, told;
} crowd;

static void ask_in_crowd(void *ctx, size_t i)
{
    crowd *k = ctx;
    float v[DIM];
    lk_err err = {0};
    lk_sha256 key = key_of("the same");
    (void)i;
    lk_code code = lk_embed_cache_get(k->c, &key, DIM, make, &k->m, v, &err);
    if (!code && v[0] == 5 && v[DIM - 1] == 5 + DIM - 1)
        atomic_fetch_add(&k->right, 1);
    if (code == LK_E_MODEL && strcmp(err.text, "the maker fails") == 0)
        atomic_fetch_add(&k->told, 1);
}

static void threads_that_ask_at_once_share_one_run(void **state)
{
    (void)state;
    crowd k = {.c = open_cache(1 << 20, 0), .m = {.first = 5, .sleep_ms = 50}};
    lk_err err;
    test_ok(lk_parallel_for(8, 8, 1, ask_in_crowd, &k, &err), &err);
    assert_int_equal(k.right, 8);
    assert_int_equal(k.m.runs, 1);
    assert_int_equal(stats_of(k.c).hits, 7);
    assert_int_equal(stats_of(k.c).misses, 1);
    lk_embed_cache_free(k.c);
}

static void threads_that_share_a_run_share_its_error(void **state)
{
    (void)state;
    crowd k = {.c = open_cache(1 << 20, 0), .m = {.code = LK_E_MODEL, .sleep_ms = 50}};
    lk_err err;
    test_ok(lk_parallel_for(8, 8, 1, ask_in_crowd, &k, &err), &err);
    assert_int_equal(k.told, 8);
    lk_embed_cache_stats s = stats_of(k.c);
    assert_int_equal(s.misses, k.m.runs);
    assert_int_equal(s.shared, 8 - k.m.runs);
    lk_embed_cache_free(k.c);
}

typedef struct mixture {
    lk_embed_cache *c;
    atomic_size_t wrong;
} mixture;

static lk_code make_number(void *ctx, float *ret, lk_err *err)
{
    (void)err;
    for (size_t i = 0; i < DIM; i++)
        ret[i] = (float)*(const int *)ctx;
    return LK_OK;
}

static void ask_for_numbers(void *ctx, size_t seed)
{
    mixture *x = ctx;
    test_rng rng = {seed};
    for (int i = 0; i < 400; i++) {
        char name[16];
        float v[DIM] = {0};
        int number = (int)test_rng_below(&rng, 40);
        snprintf(name, sizeof name, "%d", number);
        lk_sha256 key = key_of(name);
        lk_code code = lk_embed_cache_get(x->c, &key, DIM, make_number, &number, v, NULL);
        for (size_t j = 0; j < DIM; j++)
            if (code || v[j] != (float)number)
                atomic_fetch_add(&x->wrong, 1);
    }
}

static void threads_that_push_each_other_out_get_their_own_vectors(void **state)
{
    (void)state;
    mixture x = {.c = open_cache(10 * entry_bytes, 0)};
    lk_err err;
    test_ok(lk_parallel_for(8, 8, 1, ask_for_numbers, &x, &err), &err);
    assert_int_equal(x.wrong, 0);
    assert_int_equal(stats_of(x.c).entries, 10);
    assert_int_equal(stats_of(x.c).hits + stats_of(x.c).misses, 8 * 400);
    lk_embed_cache_free(x.c);
}

/* ---- memory runs short */

static lk_code new_and_free(void *ctx, lk_err *err)
{
    lk_embed_cache *c = NULL;
    (void)ctx;
    lk_code code = lk_embed_cache_new(1 << 20, 0, &c, err);
    lk_embed_cache_free(c);
    return code;
}

static void a_cache_without_memory_is_no_cache(void **state)
{
    (void)state;
    assert_int_equal(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, new_and_free, NULL), 2);
}

static void without_memory_for_an_entry_the_vector_is_given_and_not_kept(void **state)
{
    (void)state;
    lk_sha256 key = key_of("a");
    float v[DIM];
    lk_err err;
    maker m = {.first = 9};
    test_faults_on();
    lk_embed_cache *c = open_cache(1 << 20, 0);
    test_fail_nth(TEST_ALLOC, 1, ENOMEM);
    test_ok(lk_embed_cache_get(c, &key, DIM, make, &m, v, &err), &err);
    assert_true(v[0] == 9);
    assert_int_equal(stats_of(c).entries, 0);
    test_ok(lk_embed_cache_get(c, &key, DIM, make, &m, v, &err), &err);
    assert_int_equal(stats_of(c).entries, 1);
    assert_int_equal(m.runs, 2);
    lk_embed_cache_free(c);
    assert_int_equal(test_live_allocations(), 0);
    test_faults_off();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_made_once_is_not_made_again),
        cmocka_unit_test(the_same_bytes_differ_by_model_and_by_tower),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(many_more_keys_than_room_stay_within_the_limit),
        cmocka_unit_test(a_vector_ends_when_its_time_is_up_however_often_it_is_used),
        cmocka_unit_test(with_no_room_nothing_is_kept_and_all_is_answered),
        cmocka_unit_test(an_error_is_told_and_not_kept),
        cmocka_unit_test(threads_that_ask_at_once_share_one_run),
        cmocka_unit_test(threads_that_share_a_run_share_its_error),
        cmocka_unit_test(threads_that_push_each_other_out_get_their_own_vectors),
        cmocka_unit_test(a_cache_without_memory_is_no_cache),
        cmocka_unit_test(without_memory_for_an_entry_the_vector_is_given_and_not_kept),
    };
    return cmocka_run_group_tests(tests, measure, NULL);
}
