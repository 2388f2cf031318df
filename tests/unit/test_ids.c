#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/vectors/embedded/ids.h"

#define N_IDS 500
#define N_SLOTS 1000

static void put(lk_ids *ids, uint32_t slot, lk_str id)
{
    lk_err err;
    test_ok(lk_ids_reserve(ids, N_SLOTS, 1, &err), &err);
    const char *text = lk_ids_text_new(ids, id);
    assert_non_null(text);
    lk_ids_put(ids, slot, text, id.n);
}

static lk_str id_of(uint32_t number, char *buf)
{
    /* Lengths from 1 to 512, so that every size of text is used. */
    size_t n = 1 + number * 7 % 512;
    memset(buf, 'x', n);
    int k = snprintf(buf, 16, "%u", number);
    buf[k] = 'x';
    return (lk_str){buf, n > (size_t)k ? n : (size_t)k};
}

static void ids_are_found_moved_and_dropped_as_a_plain_list_would(void **state)
{
    (void)state;
    lk_ids ids;
    lk_ids_init(&ids);
    test_rng rng = {.s = 17};
    uint32_t slot_of[N_IDS];
    bool taken[N_SLOTS] = {false};
    memset(slot_of, 0xff, sizeof slot_of);
    char buf[600];
    for (int step = 0; step < 40000; step++) {
        uint32_t number = (uint32_t)test_rng_below(&rng, N_IDS);
        uint32_t slot = (uint32_t)test_rng_below(&rng, N_SLOTS);
        lk_str id = id_of(number, buf);
        assert_int_equal(lk_ids_find(&ids, id), slot_of[number]);
        if (slot_of[number] == LK_NO_SLOT && !taken[slot]) {
            put(&ids, slot, id);
            taken[slot] = true;
            slot_of[number] = slot;
        } else if (slot_of[number] != LK_NO_SLOT && taken[slot]) {
            lk_str text = lk_ids_at(&ids, slot_of[number]);
            assert_true(lk_str_eq(text, id));
            lk_ids_drop(&ids, slot_of[number]);
            assert_true(lk_str_eq(lk_ids_at(&ids, slot_of[number]), id)); /* still named */
            lk_ids_text_free(&ids, text.p, text.n);
            taken[slot_of[number]] = false;
            slot_of[number] = LK_NO_SLOT;
        } else if (slot_of[number] != LK_NO_SLOT) {
            lk_ids_move(&ids, slot_of[number], slot);
            taken[slot_of[number]] = false;
            taken[slot] = true;
            slot_of[number] = slot;
        }
    }
    size_t n = 0;
    for (uint32_t i = 0; i < N_IDS; i++)
        n += slot_of[i] != LK_NO_SLOT;
    assert_int_equal(ids.n, n);
    /* 500 ids of at most 512 bytes: churn has used texts again. */
    assert_true(ids.text_bytes < 4 * ((size_t)256 << 10));
    lk_ids_release(&ids);
}

static lk_code build(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_ids ids;
    lk_ids_init(&ids);
    char buf[600];
    lk_code code = LK_OK;
    for (uint32_t i = 0; code == LK_OK && i < 300; i++) {
        lk_str id = id_of(i, buf);
        code = lk_ids_reserve(&ids, i + 1, 1, err);
        const char *text = code == LK_OK ? lk_ids_text_new(&ids, id) : NULL;
        if (text)
            lk_ids_put(&ids, i, text, id.n);
        else if (code == LK_OK)
            code = lk_fail(err, LK_E_NOMEM, "no memory for an id");
    }
    for (uint32_t i = 0; i < ids.n; i++)
        assert_int_equal(lk_ids_find(&ids, id_of(i, buf)), i);
    lk_ids_release(&ids);
    return code;
}

static void running_out_of_memory_leaves_the_ids_as_they_were(void **state)
{
    (void)state;
    assert_true(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, build, NULL) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_found_moved_and_dropped_as_a_plain_list_would),
        cmocka_unit_test(running_out_of_memory_leaves_the_ids_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
