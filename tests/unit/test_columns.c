#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "filter/columns.h"
#include "support.h"

static uint64_t seed;

static uint32_t roll(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* ---- random rows ---- */

#define N_FIELDS 7

#define NAME(lit)                                                                                  \
    {                                                                                              \
        lit, sizeof(lit) - 1                                                                       \
    } /* LK_STR is no constant for gcc */

static const lk_field fields[N_FIELDS] = {
    {NAME("s"), LK_T_STR, false},  {NAME("i"), LK_T_INT, false},  {NAME("d"), LK_T_REAL, false},
    {NAME("b"), LK_T_BOOL, false}, {NAME("t"), LK_T_TIME, false}, {NAME("s"), LK_T_STR, true},
    {NAME("m"), LK_T_INT, true},
};

static const char *const words[] = {"",     "a", "ab", "b",  "food", "foot",
                                    "it's", "%", "_x", "\\", "50%",  "\xe7\xba\xa2"};

typedef struct row {
    lk_value v[N_FIELDS];
} row;

static lk_value random_value(lk_type type)
{
    static const double reals[] = {0, -0.0, 0.5, 1, 2.5, -3, 1e300, -1e300};
    static const int64_t ints[] = {0, 1, 2, 3, -1, INT64_MAX, INT64_MIN, 1000};
    lk_value v = {.type = type};
    switch (type) {
    case LK_T_STR:
        v.s = lk_str_of(words[roll(LK_ARRAY_LEN(words))]);
        break;
    case LK_T_REAL:
        v.d = reals[roll(LK_ARRAY_LEN(reals))];
        break;
    case LK_T_BOOL:
        v.b = roll(2);
        break;
    default:
        v.i = ints[roll(LK_ARRAY_LEN(ints))];
        break;
    }
    return v;
}

static lk_value value_of(const void *p, lk_str field, bool in_metadata)
{
    const row *r = p;
    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].in_metadata == in_metadata && lk_str_eq(fields[i].name, field))
            return r->v[i];
    return (lk_value){.type = LK_T_NULL};
}

/* ---- random filters, as text ---- */

static void put_quoted(lk_buf *b, const char *s)
{
    lk_buf_putc(b, '\'');
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            lk_buf_putc(b, '\\');
        lk_buf_putc(b, *s);
    }
    lk_buf_putc(b, '\'');
}

static void put_literal(lk_buf *b, lk_type type)
{
    lk_value v = random_value(type);
    switch (type) {
    case LK_T_STR:
        lk_buf_putc(b, '\'');
        for (size_t i = 0; i < v.s.n; i++) {
            if (v.s.p[i] == '\'' || v.s.p[i] == '\\')
                lk_buf_putc(b, '\\');
            lk_buf_putc(b, v.s.p[i]);
        }
        lk_buf_putc(b, '\'');
        break;
    case LK_T_REAL:
        lk_buf_printf(b, "%.17g", v.d);
        break;
    case LK_T_BOOL:
        lk_buf_puts(b, v.b ? "true" : "false");
        break;
    case LK_T_TIME:
        lk_buf_printf(b, "timestamp_ms(%lld)", (long long)v.i);
        break;
    default:
        if (roll(5) == 0) /* a real against a whole number */
            lk_buf_printf(b, "%.17g", random_value(LK_T_REAL).d);
        else
            lk_buf_printf(b, "%lld", (long long)v.i);
        break;
    }
}

static void put_field(lk_buf *b, const lk_field *f)
{
    if (f->in_metadata)
        lk_buf_printf(b, "metadata['%.*s']", LK_STR_ARG(f->name));
    else
        lk_buf_put(b, f->name.p, f->name.n);
}

static void put_leaf(lk_buf *b)
{
    static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};
    static const char *const patterns[] = {"%", "a%", "%o%", "_", "foo_", "%\\%", "\\_x", "%'%"};
    const lk_field *f = &fields[roll(N_FIELDS)];
    switch (roll(8)) {
    case 0:
        put_field(b, f);
        lk_buf_puts(b, roll(2) ? " is null" : " is not null");
        return;
    case 1:
    case 2: {
        put_field(b, f);
        lk_buf_puts(b, roll(2) ? " in [" : " not in [");
        uint32_t n = roll(5);
        for (uint32_t i = 0; i < n; i++) {
            if (i)
                lk_buf_puts(b, ", ");
            put_literal(b, f->type);
        }
        lk_buf_putc(b, ']');
        return;
    }
    case 3:
        if (f->type == LK_T_STR) {
            put_field(b, f);
            lk_buf_puts(b, roll(2) ? " like " : " not like ");
            put_quoted(b, patterns[roll(LK_ARRAY_LEN(patterns))]);
            return;
        }
        break;
    case 4:
        lk_buf_puts(b, roll(2) ? "metadata['never'] == 3" : "metadata['never'] is null");
        return;
    case 5:
        if (roll(4) == 0) {
            lk_buf_puts(b, roll(2) ? "true" : "false");
            return;
        }
        break;
    default:
        break;
    }
    put_field(b, f);
    lk_buf_printf(b, " %s ", ops[f->type == LK_T_BOOL ? roll(2) : roll(6)]);
    put_literal(b, f->type);
}

static void put_filter(lk_buf *b, unsigned depth)
{
    uint32_t kind = depth ? roll(5) : 0;
    if (kind == 0 || kind == 4) {
        put_leaf(b);
    } else if (kind == 1) {
        lk_buf_puts(b, "not (");
        put_filter(b, depth - 1);
        lk_buf_putc(b, ')');
    } else {
        uint32_t n = 2 + roll(2);
        for (uint32_t i = 0; i < n; i++) {
            if (i)
                lk_buf_puts(b, kind == 2 ? " and " : " or ");
            lk_buf_putc(b, '(');
            put_filter(b, depth - 1);
            lk_buf_putc(b, ')');
        }
    }
}

#define N_ROWS 333

static void fill(lk_columns *c, row *rows)
{
    size_t at[N_FIELDS];
    for (size_t f = 0; f < N_FIELDS; f++)
        assert_int_equal(
            lk_columns_need(c, fields[f].name, fields[f].in_metadata, fields[f].type, &at[f], NULL),
            LK_OK);
    /* Every cell is written three times over, so that overwriting is what is tested. */
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < N_ROWS; i++) {
            for (size_t f = 0; f < N_FIELDS; f++) {
                lk_value v = roll(4) ? random_value(fields[f].type) : (lk_value){.type = LK_T_NULL};
                rows[i].v[f] = v;
                assert_int_equal(lk_columns_set(c, at[f], i, &v, NULL), LK_OK);
            }
        }
    }
}

static void evaluation_over_columns_equals_the_row_by_row_definition(void **state)
{
    (void)state;
    seed = 20240501;
    lk_columns *c = NULL;
    row *rows = lk_calloc(N_ROWS, sizeof *rows);
    assert_int_equal(lk_columns_new(&c, NULL), LK_OK);
    fill(c, rows);
    lk_schema schema = {fields, N_FIELDS, true};
    size_t n_true = 0, n_false = 0;
    for (int round = 0; round < 3000; round++) {
        lk_arena arena;
        lk_arena_init(&arena, 0);
        lk_buf text, printed;
        lk_buf_init(&text, 0);
        lk_buf_init(&printed, 0);
        put_filter(&text, 3);
        const lk_filter *f = NULL, *again = NULL;
        lk_err err = {0};
        if (lk_filter_parse(lk_buf_str(&text), &arena, &f, &err) != LK_OK ||
            lk_filter_check(f, &schema, &arena, &f, &err) != LK_OK)
            fail_msg("%s: %s", text.p, err.text);
        /* What is printed means the same. */
        lk_filter_print(f, &printed);
        if (lk_filter_parse(lk_buf_str(&printed), &arena, &again, &err) != LK_OK ||
            lk_filter_check(again, &schema, &arena, &again, &err) != LK_OK)
            fail_msg("%s printed as %s: %s", text.p, printed.p, err.text);
        lk_bitmap bits;
        lk_bitmap_init(&bits);
        assert_int_equal(lk_bitmap_resize(&bits, N_ROWS, NULL), LK_OK);
        lk_bitmap_fill(&bits, true);
        lk_bitmap_unset(&bits, 5); /* no candidate must never come back */
        assert_int_equal(lk_columns_narrow(c, f, &bits, NULL), LK_OK);
        for (size_t i = 0; i < N_ROWS; i++) {
            bool want = lk_filter_match(f, value_of, &rows[i]);
            if (lk_bitmap_get(&bits, i) != (want && i != 5))
                fail_msg("round %d, row %zu: %s", round, i, text.p);
            if (lk_filter_match(again, value_of, &rows[i]) != want)
                fail_msg("round %d, row %zu: %s is not %s", round, i, printed.p, text.p);
            n_true += want;
            n_false += !want;
        }
        lk_bitmap_release(&bits);
        lk_buf_release(&text);
        lk_buf_release(&printed);
        lk_arena_release(&arena);
    }
    assert_true(n_true > 100000);
    assert_true(n_false > 100000);
    lk_columns_free(c);
    lk_free(rows);
}

static void cells_read_back_as_written_and_empty_as_null(void **state)
{
    (void)state;
    lk_columns *c = NULL;
    size_t s = 0, d = 0;
    assert_int_equal(lk_columns_new(&c, NULL), LK_OK);
    assert_int_equal(lk_columns_need(c, LK_STR("s"), false, LK_T_STR, &s, NULL), LK_OK);
    assert_int_equal(lk_columns_need(c, LK_STR("d"), false, LK_T_REAL, &d, NULL), LK_OK);
    lk_value food = {.type = LK_T_STR, .s = LK_STR("food")};
    lk_value three = {.type = LK_T_INT, .i = 3};
    assert_int_equal(lk_columns_set(c, s, 1000, &food, NULL), LK_OK);
    assert_int_equal(lk_columns_set(c, d, 1000, &three, NULL), LK_OK);
    assert_true(lk_str_is(lk_columns_get(c, s, 1000).s, "food"));
    assert_true(lk_columns_get(c, d, 1000).d == 3.0);
    assert_int_equal(lk_columns_get(c, s, 999).type, LK_T_NULL);
    assert_int_equal(lk_columns_get(c, s, 50000).type, LK_T_NULL);
    lk_columns_clear(c, 1000);
    assert_int_equal(lk_columns_get(c, s, 1000).type, LK_T_NULL);
    assert_int_equal(lk_columns_get(c, d, 1000).type, LK_T_NULL);
    lk_columns_free(c);
}

static void a_value_of_another_type_is_refused_by_name(void **state)
{
    (void)state;
    lk_columns *c = NULL;
    size_t s = 0, again = 0;
    lk_err err = {0};
    lk_value three = {.type = LK_T_INT, .i = 3};
    assert_int_equal(lk_columns_new(&c, NULL), LK_OK);
    assert_int_equal(lk_columns_need(c, LK_STR("brand"), true, LK_T_STR, &s, NULL), LK_OK);
    assert_int_equal(lk_columns_set(c, s, 0, &three, &err), LK_E_INVALID);
    assert_string_equal(err.field, "brand");
    assert_int_equal(lk_columns_need(c, LK_STR("brand"), true, LK_T_INT, &again, &err),
                     LK_E_INVALID);
    assert_non_null(strstr(err.text, "'brand' holds values of type string"));
    /* The same name outside the metadata is another field. */
    assert_int_equal(lk_columns_need(c, LK_STR("brand"), false, LK_T_INT, &again, NULL), LK_OK);
    assert_int_not_equal(s, again);
    lk_columns_free(c);
}

static void values_are_counted_exactly_through_churn(void **state)
{
    (void)state;
    seed = 11;
    lk_columns *c = NULL;
    size_t s = 0;
    uint32_t want[50] = {0};
    uint32_t holds[400];
    assert_int_equal(lk_columns_new(&c, NULL), LK_OK);
    assert_int_equal(lk_columns_need(c, LK_STR("s"), false, LK_T_STR, &s, NULL), LK_OK);
    memset(holds, 0xff, sizeof holds);
    for (int i = 0; i < 20000; i++) {
        uint32_t slot = roll(400), value = roll(50);
        char text[16];
        snprintf(text, sizeof text, "value-%u", (unsigned)value);
        lk_value v = {.type = LK_T_STR, .s = lk_str_of(text)};
        if (holds[slot] != UINT32_MAX)
            want[holds[slot]]--;
        if (roll(5) == 0) {
            lk_columns_clear(c, slot);
            holds[slot] = UINT32_MAX;
        } else {
            assert_int_equal(lk_columns_set(c, s, slot, &v, NULL), LK_OK);
            holds[slot] = value;
            want[value]++;
        }
    }
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_columns_value *got = NULL;
    size_t n = 0;
    assert_int_equal(lk_columns_values(c, s, 1000, &arena, &got, &n, NULL), LK_OK);
    assert_true(n > 40 && n <= 50);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i].n, want[atoi(got[i].value.p + 6)]);
        if (i)
            assert_true(got[i - 1].n >= got[i].n);
    }
    assert_int_equal(lk_columns_values(c, s, 3, &arena, &got, &n, NULL), LK_OK);
    assert_int_equal(n, 3);
    lk_arena_release(&arena);
    /* 50 values were ever alive at once: churn must not have grown the dictionary. */
    assert_true(lk_columns_bytes(c) < 20000);
    lk_columns_free(c);
}

/* ---- one writer, many readers, under the owner's lock ---- */

typedef struct shared {
    pthread_rwlock_t lock;
    lk_columns *c;
    const lk_filter *odd;
    atomic_bool stop;
    atomic_size_t wrong;
} shared;

static void read_on(void *p)
{
    shared *sh = p;
    while (!atomic_load(&sh->stop)) {
        lk_bitmap bits;
        lk_bitmap_init(&bits);
        pthread_rwlock_rdlock(&sh->lock);
        if (lk_bitmap_resize(&bits, 1000, NULL) == LK_OK) {
            lk_bitmap_fill(&bits, true);
            if (lk_columns_narrow(sh->c, sh->odd, &bits, NULL) != LK_OK)
                atomic_fetch_add(&sh->wrong, 1);
        }
        pthread_rwlock_unlock(&sh->lock);
        /* Both cells of a row change under one lock, so no reader may see them disagree. */
        if (lk_bitmap_count(&bits) != 0)
            atomic_fetch_add(&sh->wrong, 1);
        lk_bitmap_release(&bits);
    }
}

static void readers_under_the_lock_see_whole_rows_while_a_writer_works(void **state)
{
    (void)state;
    seed = 5;
    shared sh = {.c = NULL};
    lk_arena arena;
    lk_arena_init(&arena, 0);
    size_t s = 0, n = 0;
    assert_int_equal(lk_columns_new(&sh.c, NULL), LK_OK);
    assert_int_equal(lk_columns_need(sh.c, LK_STR("s"), false, LK_T_STR, &s, NULL), LK_OK);
    assert_int_equal(lk_columns_need(sh.c, LK_STR("i"), false, LK_T_INT, &n, NULL), LK_OK);
    lk_schema schema = {fields, N_FIELDS, true};
    assert_int_equal(lk_filter_parse(LK_STR("(s == 'a' and i != 1) or (s == 'b' and i != 2)"),
                                     &arena, &sh.odd, NULL),
                     LK_OK);
    assert_int_equal(lk_filter_check(sh.odd, &schema, &arena, &sh.odd, NULL), LK_OK);
    pthread_rwlock_init(&sh.lock, NULL);
    lk_thread *t[2] = {0};
    for (int i = 0; i < 2; i++)
        assert_int_equal(lk_thread_start(&t[i], "reader", read_on, &sh, NULL), LK_OK);
    for (int i = 0; i < 3000; i++) {
        bool a = roll(2);
        lk_value text = {.type = LK_T_STR, .s = a ? LK_STR("a") : LK_STR("b")};
        lk_value number = {.type = LK_T_INT, .i = a ? 1 : 2};
        size_t slot = roll(1000);
        pthread_rwlock_wrlock(&sh.lock);
        lk_code code = lk_columns_set(sh.c, s, slot, &text, NULL);
        if (code == LK_OK)
            code = lk_columns_set(sh.c, n, slot, &number, NULL);
        pthread_rwlock_unlock(&sh.lock);
        assert_int_equal(code, LK_OK);
    }
    atomic_store(&sh.stop, true);
    for (int i = 0; i < 2; i++)
        lk_thread_join(t[i]);
    assert_int_equal(atomic_load(&sh.wrong), 0);
    pthread_rwlock_destroy(&sh.lock);
    lk_columns_free(sh.c);
    lk_arena_release(&arena);
}

static lk_code build_and_ask(void *ctx, lk_err *err)
{
    (void)ctx;
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_columns *c = NULL;
    const lk_filter *f = NULL;
    lk_schema schema = {fields, N_FIELDS, true};
    lk_bitmap bits;
    lk_bitmap_init(&bits);
    lk_code code = lk_columns_new(&c, err);
    size_t at = 0;
    for (size_t i = 0; code == LK_OK && i < N_FIELDS; i++)
        code = lk_columns_need(c, fields[i].name, fields[i].in_metadata, fields[i].type, &at, err);
    for (size_t i = 0; code == LK_OK && i < 100; i++) {
        char text[16];
        snprintf(text, sizeof text, "v%zu", i % 30);
        lk_value v = {.type = LK_T_STR, .s = lk_str_of(text)};
        code = lk_columns_set(c, 0, i, &v, err);
    }
    if (code == LK_OK)
        code = lk_filter_parse(LK_STR("s like 'v1%' or (i in [1, 2] and s in ['v1', 'v2'])"),
                               &arena, &f, err);
    if (code == LK_OK)
        code = lk_filter_check(f, &schema, &arena, &f, err);
    if (code == LK_OK)
        code = lk_bitmap_resize(&bits, 100, err);
    if (code == LK_OK) {
        lk_bitmap_fill(&bits, true);
        code = lk_columns_narrow(c, f, &bits, err);
    }
    if (code == LK_OK && lk_bitmap_count(&bits) != 34)
        code = LK_E_INTERNAL;
    lk_bitmap_release(&bits);
    lk_columns_free(c);
    lk_arena_release(&arena);
    return code;
}

static void running_out_of_memory_anywhere_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, build_and_ask, NULL) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation_over_columns_equals_the_row_by_row_definition),
        cmocka_unit_test(cells_read_back_as_written_and_empty_as_null),
        cmocka_unit_test(a_value_of_another_type_is_refused_by_name),
        cmocka_unit_test(values_are_counted_exactly_through_churn),
        cmocka_unit_test(readers_under_the_lock_see_whole_rows_while_a_writer_works),
        cmocka_unit_test(running_out_of_memory_anywhere_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
