/* A model held against what it gave where it was made. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "image/image.h"
#include "model/parity.h"

static lk_model *open_both(char dir[TEST_PATH])
{
    lk_model *m = NULL;
    lk_model_opts o;
    lk_err err;
    lk_model_opts_default(&o);
    test_source("tests/data/towers/both", dir);
    test_ok(lk_model_open(dir, &o, &m, &err), &err);
    return m;
}

/* The test's picture as photo.ppm, and its SHA-256. */
static void write_photo(const char *dir, char ret_hex[LK_SHA256_HEX + 1])
{
    char path[TEST_PATH];
    unsigned char bytes[11 + 192] = "P6\n8 8\n255\n";
    lk_sha256 sum;
    lk_err err;
    for (size_t i = 0; i < 192; i++)
        bytes[11 + i] = (unsigned char)(37 * i);
    test_path(dir, "photo.ppm", path);
    test_write(path, bytes, sizeof bytes);
    test_ok(lk_sha256_of(bytes, sizeof bytes, &sum, &err), &err);
    lk_sha256_hex(&sum, ret_hex);
}

/* expected.json's rows as they stand there: {"image": […], "text": […]}. */
static lk_str expected_row(lk_str json, const char *member)
{
    const char *at = strstr(json.p, member), *open = at ? strchr(at, '[') : NULL,
               *end = open ? strchr(open, ']') : NULL;
    assert_non_null(end);
    return (lk_str){open, (size_t)(end - open) + 1};
}

typedef struct fixture {
    char dir[TEST_PATH], file[TEST_PATH], hex[LK_SHA256_HEX + 1];
    lk_model *m;
    lk_buf expected;
} fixture;

static void begin(fixture *f)
{
    char models[TEST_PATH], path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_err err;
    test_dir_make(f->dir);
    test_path(f->dir, LK_PARITY_FILE, f->file);
    write_photo(f->dir, f->hex);
    f->m = open_both(models);
    test_path(models, "expected.json", path);
    test_ok(lk_os_read_file(path, 1u << 20, &p, &n, &err), &err);
    lk_buf_init(&f->expected, 0);
    lk_buf_put(&f->expected, p, n);
    lk_buf_putc(&f->expected, '\0');
    lk_free(p);
}

static void finish(fixture *f)
{
    lk_model_close(f->m);
    lk_buf_release(&f->expected);
    test_dir_remove(f->dir);
}

/* A parity file of one photograph and two texts; the second text is given the first one's row. */
static void write_parity(const fixture *f, const char *photo, const char *hex, const char *second)
{
    lk_str image = expected_row(lk_buf_str(&f->expected), "image"),
           text = expected_row(lk_buf_str(&f->expected), "text");
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_buf_printf(&b,
                  "{\"made_by\": \"numpy\", \"images\": [{\"path\": \"%s\", \"sha256\": \"%s\", "
                  "\"embedding\": %.*s}], \"texts\": [{\"text\": \"red apple\", \"embedding\": "
                  "%.*s}, {\"text\": \"%s\", \"embedding\": %.*s}]}",
                  photo, hex, LK_STR_ARG(image), LK_STR_ARG(text), second, LK_STR_ARG(text));
    test_write(f->file, b.p, b.n);
    lk_buf_release(&b);
}

static void the_same_embeddings_have_a_cosine_of_one(void **state)
{
    (void)state;
    fixture f;
    lk_parity p;
    lk_err err;
    begin(&f);
    write_parity(&f, "photo.ppm", f.hex, "red, apple");
    test_ok(lk_parity_replay(f.m, f.file, f.dir, &p, &err), &err);
    assert_string_equal(p.made_by, "numpy");
    assert_int_equal(p.images.n, 1);
    assert_int_equal(p.texts.n, 2);
    assert_true(p.images.min_cosine > 1 - 1e-6 && p.images.mean_cosine > 1 - 1e-6);
    assert_true(p.texts.min_cosine > 1 - 1e-6 && p.texts.min_cosine < 1 + 1e-6);
    assert_true(fabs(p.texts.alike - 1) < 1e-6); /* the same row twice */
    finish(&f);
}

static void the_least_is_named(void **state)
{
    (void)state;
    fixture f;
    lk_parity p;
    lk_err err;
    begin(&f);
    write_parity(&f, "photo.ppm", f.hex, "blue");
    test_ok(lk_parity_replay(f.m, f.file, f.dir, &p, &err), &err);
    assert_string_equal(p.texts.worst, "blue");
    assert_true(p.texts.min_cosine < 0.9);
    assert_true(fabs(p.texts.mean_cosine - (1 + p.texts.min_cosine) / 2) < 1e-6);
    finish(&f);
}

static void without_their_folder_photographs_are_skipped_and_counted(void **state)
{
    (void)state;
    fixture f;
    lk_parity p;
    lk_err err;
    begin(&f);
    write_parity(&f, "missing.ppm", f.hex, "red apple");
    test_ok(lk_parity_replay(f.m, f.file, NULL, &p, &err), &err);
    assert_int_equal(p.images.n, 0);
    assert_int_equal(p.n_skipped, 1);
    assert_int_equal(p.texts.n, 2);
    finish(&f);
}

static void what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    static const char other[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const char *const files[] = {
        "[]",
        "{}",
        "{\"texts\": []}",
        "{\"texts\": {\"a\": 1}}",
        "{\"texts\": [{}]}",
        "{\"texts\": [{\"text\": \"red\", \"embedding\": [1, 2]}]}",
        "{\"texts\": [{\"text\": \"red\", \"embedding\": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}]}",
        "{\"images\": [{\"path\": \"../photo.ppm\", "
        "\"embedding\": [1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}]}"};
    fixture f;
    lk_parity p = {.n_skipped = 77};
    lk_err err;
    begin(&f);
    test_code(lk_parity_replay(f.m, f.file, f.dir, &p, &err), LK_E_NOT_FOUND);
    write_parity(&f, "missing.ppm", f.hex, "blue");
    test_code(lk_parity_replay(f.m, f.file, f.dir, &p, &err), LK_E_NOT_FOUND);
    write_parity(&f, "photo.ppm", other, "blue");
    test_code(lk_parity_replay(f.m, f.file, f.dir, &p, &err), LK_E_INVALID);
    test_has(err.text, "photo.ppm");
    for (size_t i = 0; i < LK_ARRAY_LEN(files); i++) {
        test_write(f.file, files[i], strlen(files[i]));
        lk_code code = lk_parity_replay(f.m, f.file, f.dir, &p, &err);
        if (code != LK_E_MODEL)
            fail_msg("%s: %s", files[i], lk_code_word(code));
    }
    assert_int_equal(p.n_skipped, 77);
    finish(&f);
}

static int start(void **state)
{
    (void)state;
    lk_err err;
    test_ok(lk_image_start(&err), &err);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_embeddings_have_a_cosine_of_one),
        cmocka_unit_test(the_least_is_named),
        cmocka_unit_test(without_their_folder_photographs_are_skipped_and_counted),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
