/* Tables whose rows never move. */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "index/plane.h"

static void rows_stay_where_they_are_while_the_table_grows(void **state)
{
    (void)state;
    lk_plane p;
    lk_err err;
    test_ok(lk_plane_init(&p, 12, &err), &err);
    assert_int_equal(lk_plane_rows(&p), 0);
    test_ok(lk_plane_reserve(&p, 1, &err), &err);
    assert_int_equal(lk_plane_rows(&p), LK_PLANE_CHUNK_ROWS);
    unsigned char *first = lk_plane_at(&p, 0), *last = lk_plane_at(&p, LK_PLANE_CHUNK_ROWS - 1);
    assert_ptr_equal(last, first + 12 * (LK_PLANE_CHUNK_ROWS - 1));
    memset(first, 1, 12);
    memset(last, 2, 12);
    test_ok(lk_plane_reserve(&p, 3 * LK_PLANE_CHUNK_ROWS, &err), &err);
    test_ok(lk_plane_reserve(&p, 5, &err), &err); /* never less */
    assert_int_equal(lk_plane_rows(&p), 3 * LK_PLANE_CHUNK_ROWS);
    assert_ptr_equal(lk_plane_at(&p, 0), first);
    assert_ptr_equal(lk_plane_at(&p, LK_PLANE_CHUNK_ROWS - 1), last);
    assert_int_equal(first[11], 1);
    assert_int_equal(last[0], 2);
    lk_plane_release(&p);
    lk_plane_release(&p);
}

static void rows_are_zero_until_they_are_written(void **state)
{
    (void)state;
    lk_plane p;
    lk_err err;
    test_ok(lk_plane_init(&p, 64, &err), &err);
    test_ok(lk_plane_reserve(&p, LK_PLANE_CHUNK_ROWS + 1, &err), &err);
    for (uint32_t slot = 0; slot < 2 * LK_PLANE_CHUNK_ROWS; slot += 997)
        for (size_t i = 0; i < 64; i++)
            assert_int_equal(lk_plane_at(&p, slot)[i], 0);
    lk_plane_release(&p);
}

static void large_chunks_begin_where_a_huge_page_may(void **state)
{
    (void)state;
    lk_plane p;
    lk_err err;
    test_ok(lk_plane_init(&p, 256, &err), &err);
    test_ok(lk_plane_reserve(&p, 2 * LK_PLANE_CHUNK_ROWS, &err), &err);
    for (uint32_t slot = 0; slot < 2 * LK_PLANE_CHUNK_ROWS; slot += LK_PLANE_CHUNK_ROWS) {
        assert_int_equal((uintptr_t)lk_plane_at(&p, slot) % ((uintptr_t)2 << 20), 0);
        memset(lk_plane_at(&p, slot + LK_PLANE_CHUNK_ROWS - 1), 3, 256);
    }
    lk_plane_release(&p);
}

static void a_table_has_an_end(void **state)
{
    (void)state;
    lk_plane p;
    lk_err err;
    test_ok(lk_plane_init(&p, 4, &err), &err);
    test_code(lk_plane_reserve(&p, (size_t)UINT32_MAX + 1, &err), LK_E_LIMIT);
    assert_int_equal(lk_plane_rows(&p), 0);
    lk_plane_release(&p);
}

static lk_code grow(void *ctx, lk_err *err)
{
    lk_plane p = {0};
    (void)ctx;
    lk_code code = lk_plane_init(&p, 64, err);
    if (code == LK_OK) {
        code = lk_plane_reserve(&p, 3 * LK_PLANE_CHUNK_ROWS, err);
        for (size_t slot = 0; slot < lk_plane_rows(&p); slot += LK_PLANE_CHUNK_ROWS)
            assert_int_equal(lk_plane_at(&p, (uint32_t)slot)[0], 0); /* what there is, is usable */
    }
    lk_plane_release(&p);
    return code;
}

static void short_memory_is_said_and_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, grow, NULL), 1);
    assert_int_equal(test_sweep(TEST_MMAP, ENOMEM, LK_E_NOMEM, grow, NULL), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stay_where_they_are_while_the_table_grows),
        cmocka_unit_test(rows_are_zero_until_they_are_written),
        cmocka_unit_test(large_chunks_begin_where_a_huge_page_may),
        cmocka_unit_test(a_table_has_an_end),
        cmocka_unit_test(short_memory_is_said_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
