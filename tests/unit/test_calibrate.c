/* Which products stay float: those that the probe finds noisy, and no others. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "model/calibrate.h"
#include "model/compare.h"
#include "model/quantize_model.h"

#define PHOTOS "assets/photos/coco-100/"

static const char *const photos[] = {PHOTOS "000000058636.jpg", PHOTOS "000000462565.jpg",
                                     PHOTOS "000000397133.jpg"};

/* Both of them: one of the two may be NULL. */
static void take_photos(lk_calibrate *cal, lk_compare *cmp)
{
    for (size_t i = 0; i < LK_ARRAY_LEN(photos); i++) {
        char path[TEST_PATH];
        unsigned char *p = NULL;
        size_t n = 0;
        lk_picture pic;
        lk_err err;
        lk_image_limits limits = lk_image_limits_default();
        test_shared(photos[i], path);
        test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
        test_ok(lk_picture_decode((lk_blob){p, n}, &limits, false, &pic, &err), &err);
        if (cal)
            test_ok(lk_calibrate_image(cal, &pic.image, &err), &err);
        if (cmp)
            test_ok(lk_compare_image(cmp, &pic.image, photos[i], &err), &err);
        lk_picture_release(&pic);
        lk_free(p);
    }
}

/* A folder for the vision transformer at hand, which comes without a card. */
static void make_card(const char *dir)
{
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_sha256 h;
    char hex[LK_SHA256_HEX + 1];
    lk_buf b;
    lk_err err;
    test_shared("assets/models/vit-tiny/vision.onnx", path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    test_ok(lk_sha256_of(p, n, &h, &err), &err);
    lk_sha256_hex(&h, hex);
    lk_buf_init(&b, 0);
    lk_buf_printf(
        &b,
        "{\"name\":\"vit\",\"version\":\"1\",\"dim\":192,\"image\":{\"file\":\"v.onnx\","
        "\"output\":\"embedding\",\"size\":224,\"short_side\":248,\"mean\":[0.5,0.5,0.5],"
        "\"std\":[0.5,0.5,0.5]},\"files\":{\"v.onnx\":{\"sha256\":\"%s\",\"bytes\":%zu}}}",
        hex, n);
    test_path(dir, "v.onnx", path);
    test_write(path, p, n);
    test_path(dir, "model.json", path);
    test_write(path, b.p, b.n);
    lk_buf_release(&b);
    lk_free(p);
}

static double mean_cosine(const char *dir, const char *made, const lk_model_opts *o)
{
    lk_model *a = NULL, *b = NULL;
    lk_compare *c = NULL;
    lk_compare_side images;
    lk_err err;
    test_ok(lk_model_open(dir, o, &a, &err), &err);
    test_ok(lk_model_open(made, o, &b, &err), &err);
    test_ok(lk_compare_new(a, b, &c, &err), &err);
    take_photos(NULL, c);
    test_ok(lk_compare_images(c, &images, &err), &err);
    lk_compare_free(c);
    lk_model_close(a);
    lk_model_close(b);
    return images.mean_cosine;
}

static void the_one_noisy_product_is_found_and_left_in_float(void **state)
{
    (void)state;
    char dir[TEST_PATH], models[TEST_PATH];
    lk_calibrate *c = NULL;
    lk_model_opts o;
    lk_quantize_opts how;
    lk_quantized all, most;
    lk_err err;
    test_shared("assets/models/vit-tiny/vision.onnx", dir); /* or skip */
    test_ok(lk_image_start(&err), &err);
    test_dir_make(dir);
    test_path(dir, "models", models);
    make_card(dir);
    lk_model_opts_default(&o);
    o.models_dir = models;
    lk_quantize_opts_default(&how);
    test_ok(lk_model_quantize(dir, "all", &o, &how, NULL, &all, &err), &err);
    test_ok(lk_calibrate_new(dir, &o, &how, &c, &err), &err);
    take_photos(c, NULL);
    test_ok(lk_calibrate_noisy(c, 0.01, &how.skip, &how.n_skip, &err), &err);
    assert_int_equal(how.n_skip, 1);
    test_ok(lk_model_quantize(dir, "most", &o, &how, NULL, &most, &err), &err);
    assert_int_equal(all.n_replaced, 48);
    assert_int_equal(most.n_replaced, 47);
    double worse = mean_cosine(dir, "all", &o), better = mean_cosine(dir, "most", &o);
    if (!(better > 0.995 && worse < 0.96))
        fail_msg("mean cosines are %g with all products int8, %g with all but one", worse, better);
    lk_calibrate_free(c);
    test_dir_remove(dir);
}

static void texts_and_pictures_are_probed_without_a_finding_in_calm_towers(void **state)
{
    (void)state;
    char dir[TEST_PATH];
    lk_calibrate *c = NULL;
    lk_model_opts o;
    lk_quantize_opts how;
    lk_image im;
    lk_err err;
    const lk_str *names = NULL;
    size_t n = 0;
    test_source("tests/data/towers/both", dir);
    lk_model_opts_default(&o);
    lk_quantize_opts_default(&how);
    test_ok(lk_image_new(&im, 8, 8, &err), &err);
    for (size_t i = 0; i < 3 * 64; i++)
        im.px[i] = (unsigned char)(37 * i);
    test_ok(lk_calibrate_new(dir, &o, &how, &c, &err), &err);
    test_ok(lk_calibrate_noisy(c, 0, &names, &n, &err), &err);
    assert_int_equal(n, 0); /* nothing was run yet */
    test_ok(lk_calibrate_image(c, &im, &err), &err);
    test_ok(lk_calibrate_text(c, LK_STR("red apple"), &err), &err);
    test_ok(lk_calibrate_text(c, LK_STR("zzz"), &err), &err); /* no word of it is known */
    test_ok(lk_calibrate_noisy(c, 0.01, &names, &n, &err), &err);
    assert_int_equal(n, 0);
    test_ok(lk_calibrate_noisy(c, 0, &names, &n, &err), &err);
    assert_true(n > 0);
    lk_calibrate_free(c);
    lk_image_release(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_noisy_product_is_found_and_left_in_float),
        cmocka_unit_test(texts_and_pictures_are_probed_without_a_finding_in_calm_towers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
