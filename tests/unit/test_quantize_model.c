/* A model's folder made int8: what is in it, that it runs, and what is refused. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/card.h"
#include "model/quantize_model.h"

#define DIM 16
#define SIDE 8

typedef struct scene {
    char dir[TEST_PATH], models[TEST_PATH], both[TEST_PATH];
    lk_model_opts o;
    lk_quantize_opts how;
} scene;

static void set(scene *s)
{
    test_dir_make(s->dir);
    test_path(s->dir, "models", s->models);
    test_source("tests/data/towers/both", s->both);
    lk_model_opts_default(&s->o);
    s->o.models_dir = s->models;
    lk_quantize_opts_default(&s->how);
}

static void embed(const char *name, const lk_model_opts *o, float image[DIM], float text[DIM])
{
    lk_model *m = NULL;
    lk_image im;
    const lk_image *one = &im;
    lk_err err;
    test_ok(lk_image_new(&im, SIDE, SIDE, &err), &err);
    for (size_t i = 0; i < 3 * SIDE * SIDE; i++)
        im.px[i] = (unsigned char)(37 * i);
    test_ok(lk_model_open(name, o, &m, &err), &err);
    test_ok(lk_model_embed_images(m, 1, &one, image, &err), &err);
    test_ok(lk_model_embed_text(m, LK_STR("red apple"), text, &err), &err);
    lk_model_close(m);
    lk_image_release(&im);
}

static double cosine(const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < DIM; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void an_int8_model_stands_beside_its_float_one(void **state)
{
    (void)state;
    scene s;
    lk_quantized done;
    lk_err err;
    float image[2][DIM], text[2][DIM];
    set(&s);
    test_ok(lk_model_quantize(s.both, NULL, &s.o, &s.how, NULL, &done, &err), &err);
    assert_string_equal(done.name, "both-int8");
    assert_true(done.n_replaced > 0 && done.n_replaced == done.n_products);
    assert_true(done.bytes_after < done.bytes_before);
    embed(s.both, &s.o, image[0], text[0]);
    embed("both-int8", &s.o, image[1], text[1]);
    if (!(cosine(image[0], image[1]) > 0.999 && cosine(text[0], text[1]) > 0.999))
        fail_msg("cosines are %g, %g", cosine(image[0], image[1]), cosine(text[0], text[1]));
    assert_memory_not_equal(image[0], image[1], sizeof image[0]);
    test_dir_remove(s.dir);
}

static void read_card(const char *dir, lk_arena *a, lk_card *ret, const char **key)
{
    const lk_card_source from = {.dir = dir};
    lk_err err;
    test_ok(lk_card_read(&from, a, ret, &err), &err);
    test_ok(lk_card_key(ret, a, key, &err), &err);
}

static void its_card_has_its_name_and_another_key(void **state)
{
    (void)state;
    scene s;
    char dir[TEST_PATH];
    lk_quantized done;
    lk_card before, after;
    lk_arena a;
    lk_err err;
    const char *key[2];
    set(&s);
    lk_arena_init(&a, 0);
    test_ok(lk_model_quantize(s.both, "small", &s.o, &s.how, NULL, &done, &err), &err);
    test_path(s.models, "small", dir);
    read_card(s.both, &a, &before, &key[0]);
    read_card(dir, &a, &after, &key[1]);
    assert_string_equal(after.name, "small");
    assert_string_equal(after.image.file, before.image.file);
    assert_string_equal(after.image.output, "image_embeds");
    assert_string_equal(after.text.output, "text_embeds");
    assert_int_equal(after.n_files, before.n_files);
    assert_string_not_equal(strchr(key[0], ':'), strchr(key[1], ':'));
    lk_arena_release(&a);
    test_dir_remove(s.dir);
}

static void refuse(const scene *s, const char *name, const char *to, lk_code want, const char *part)
{
    lk_quantized done;
    lk_err err = {0};
    test_code(lk_model_quantize(name, to, &s->o, &s->how, NULL, &done, &err), want);
    test_has(err.text, part);
}

static void what_cannot_be_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    scene s;
    char inner[TEST_PATH], left[TEST_PATH];
    lk_quantized done;
    lk_err err;
    set(&s);
    refuse(&s, "nobody", NULL, LK_E_NOT_FOUND, "nobody");
    refuse(&s, s.both, "a/b", LK_E_INVALID, "no name");
    refuse(&s, s.both, "mini", LK_E_INVALID, "bundled");
    test_source("tests/data/towers/mean", inner);
    refuse(&s, inner, "nothing", LK_E_UNSUPPORTED, "no product");
    test_source("tests/data/towers/inner", inner); /* its only product makes classes */
    refuse(&s, inner, "nothing", LK_E_UNSUPPORTED, "no product");
    test_path(s.models, "nothing", left);
    assert_false(lk_os_exists(left));
    test_path(s.models, ".partial-nothing/model/model.onnx", left);
    assert_false(lk_os_exists(left));
    test_ok(lk_model_quantize(s.both, NULL, &s.o, &s.how, NULL, &done, &err), &err);
    refuse(&s, s.both, NULL, LK_E_EXISTS, "there already");
    refuse(&s, "both-int8", "again", LK_E_UNSUPPORTED, "int8 already");
    test_dir_remove(s.dir);
}

typedef struct attempt {
    scene *s;
    size_t n;
} attempt;

static lk_code try_it(void *ctx, lk_err *err)
{
    attempt *t = ctx;
    char name[32];
    lk_quantized done;
    snprintf(name, sizeof name, "try-%zu", t->n++);
    return lk_model_quantize(t->s->both, name, &t->s->o, &t->s->how, NULL, &done, err);
}

static void a_disk_that_fails_leaves_no_half_a_model(void **state)
{
    (void)state;
    scene s;
    char left[TEST_PATH];
    float image[DIM], text[DIM];
    size_t n_absent = 0;
    attempt t = {&s, 0};
    set(&s);
    size_t faults = test_sweep(TEST_SYNC, EIO, LK_E_IO, try_it, &t);
    assert_true(faults > 2);
    for (size_t i = 0; i < faults; i++) {
        char name[32];
        snprintf(name, sizeof name, "try-%zu", i);
        test_path(s.models, name, left);
        if (lk_os_exists(left)) /* only the sync after the rename failed */
            embed(name, &s.o, image, text);
        else
            n_absent++;
    }
    assert_true(n_absent > 2);
    test_dir_remove(s.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_int8_model_stands_beside_its_float_one),
        cmocka_unit_test(its_card_has_its_name_and_another_key),
        cmocka_unit_test(what_cannot_be_is_refused_and_leaves_nothing),
        cmocka_unit_test(a_disk_that_fails_leaves_no_half_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
