#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/embed.h"

static void every_file_is_found_by_its_path(void **state)
{
    (void)state;
    assert_true(lk_n_embedded_files > 0);
    for (size_t i = 0; i < lk_n_embedded_files; i++)
        assert_ptr_equal(lk_embedded_find(lk_embedded_files[i].path), &lk_embedded_files[i]);
    assert_null(lk_embedded_files[lk_n_embedded_files].path);
}

static void the_table_is_sorted_and_aligned_and_each_file_ends_in_a_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < lk_n_embedded_files; i++) {
        const lk_embedded_file *f = &lk_embedded_files[i];
        assert_int_equal((uintptr_t)f->data % 64, 0);
        assert_int_equal(f->data[f->size], 0);
        if (i > 0)
            assert_true(strcmp(f[-1].path, f->path) < 0);
    }
}

static void an_unknown_path_is_not_found(void **state)
{
    (void)state;
    assert_null(lk_embedded_find("models/mini"));
    assert_null(lk_embedded_find("models/mini/model.json2"));
    assert_null(lk_embedded_find(""));
}

static void the_bytes_are_those_of_the_file(void **state)
{
    (void)state;
    const char *path = "models/mini/model.json";
    const lk_embedded_file *f = lk_embedded_find(path);
    assert_non_null(f);

    char name[4096];
    snprintf(name, sizeof name, "%s/%s", getenv("LK_SOURCE_ROOT"), path);
    FILE *in = fopen(name, "rb");
    assert_non_null(in);
    char *want = malloc(f->size + 1);
    assert_non_null(want);
    assert_int_equal(fread(want, 1, f->size + 1, in), f->size);
    assert_memory_equal(f->data, want, f->size);
    free(want);
    fclose(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_is_found_by_its_path),
        cmocka_unit_test(the_table_is_sorted_and_aligned_and_each_file_ends_in_a_zero),
        cmocka_unit_test(an_unknown_path_is_not_found),
        cmocka_unit_test(the_bytes_are_those_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
