/* Filters from outside: what parses must print as text that parses to a filter printed the same. */
#include <stdlib.h>

#include "filter/filter.h"
#include "target.h"

static const lk_filter *parse(lk_str text, lk_arena *arena, const lk_filter **ret_checked)
{
    static const char *const names[] = {"a", "b", "category", "width", "t"};
    static const lk_type types[] = {LK_T_STR, LK_T_BOOL, LK_T_REAL, LK_T_INT, LK_T_TIME};
    lk_field fields[5];
    for (size_t i = 0; i < 5; i++)
        fields[i] = (lk_field){.name = lk_str_of(names[i]), .type = types[i]};
    lk_schema schema = {fields, 5, true};
    const lk_filter *f = NULL;
    if (lk_filter_parse(text, arena, &f, NULL))
        return NULL;
    if (lk_filter_check(f, &schema, arena, ret_checked, NULL))
        *ret_checked = NULL;
    return f;
}

static lk_value no_value(const void *row, lk_str field, bool in_metadata)
{
    (void)row;
    (void)field;
    (void)in_metadata;
    return (lk_value){.type = LK_T_NULL};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_arena arena;
    lk_arena_init(&arena, 0);
    lk_buf first, second;
    lk_buf_init(&first, 0);
    lk_buf_init(&second, 0);
    const lk_filter *checked = NULL;
    const lk_filter *f = parse((lk_str){(const char *)data, size}, &arena, &checked);
    if (f) {
        if (checked)
            lk_filter_match(checked, no_value, NULL);
        lk_filter_print(f, &first);
        lk_str printed = lk_buf_str(&first);
        /* Quotes and parentheses that the text did without may make it longer than the limit. */
        if (printed.n <= LK_MAX_FILTER_BYTES) {
            f = parse(printed, &arena, &checked);
            if (!f)
                abort();
            lk_filter_print(f, &second);
            if (!lk_str_eq(printed, lk_buf_str(&second)))
                abort();
        }
    }
    lk_buf_release(&first);
    lk_buf_release(&second);
    lk_arena_release(&arena);
    return 0;
}
