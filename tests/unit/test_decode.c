/* Decoding at a fraction of the size. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "image/encode.h"
#include "image/resize.h"

#define WIDTH 1600
#define HEIGHT 1201

/* Slopes of colour, with a step that a shrunk picture keeps. */
static void draw(lk_buf *jpeg)
{
    lk_image im;
    lk_err err;
    test_ok(lk_image_new(&im, WIDTH, HEIGHT, &err), &err);
    for (size_t y = 0; y < HEIGHT; y++)
        for (size_t x = 0; x < WIDTH; x++) {
            unsigned char *px = im.px + 3 * (y * WIDTH + x);
            px[0] = (unsigned char)(x * 255 / WIDTH);
            px[1] = (unsigned char)(y * 255 / HEIGHT);
            px[2] = x < WIDTH / 2 ? 40 : 200;
        }
    lk_buf_init(jpeg, 0);
    test_ok(lk_image_encode(&im, LK_IMG_JPEG, 90, jpeg, &err), &err);
    lk_image_release(&im);
}

static lk_picture decode(const lk_buf *b, unsigned enough_side)
{
    lk_image_limits limits = lk_image_limits_default();
    lk_picture pic;
    lk_err err;
    limits.enough_side = enough_side;
    test_ok(lk_picture_decode((lk_blob){(unsigned char *)b->p, b->n}, &limits, false, &pic, &err),
            &err);
    return pic;
}

static void a_jpeg_shrinks_as_long_as_enough_is_left(void **state)
{
    (void)state;
    static const struct {
        unsigned enough, width, height;
    } cases[] = {{0, 1600, 1201}, {1201, 1600, 1201}, {601, 1600, 1201}, {600, 800, 600},
                 {512, 800, 600}, {300, 400, 300},    {150, 200, 150},   {1, 200, 150}};
    lk_buf b;
    draw(&b);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lk_picture pic = decode(&b, cases[i].enough);
        assert_int_equal(pic.image.width, cases[i].width);
        assert_int_equal(pic.image.height, cases[i].height);
        assert_int_equal(pic.width, WIDTH);
        assert_int_equal(pic.height, HEIGHT);
        assert_int_equal(pic.header.width, WIDTH);
        lk_picture_release(&pic);
    }
    lk_buf_release(&b);
}

static void a_shrunk_picture_looks_like_the_resized_one(void **state)
{
    (void)state;
    lk_buf b;
    lk_image small[2];
    lk_err err;
    double sum = 0;
    draw(&b);
    for (size_t i = 0; i < 2; i++) {
        lk_picture pic = decode(&b, i ? 512 : 0);
        test_ok(lk_resize(&pic.image, 224, 168, LK_RESIZE_BICUBIC, &small[i], &err), &err);
        lk_picture_release(&pic);
    }
    for (size_t i = 0; i < 3 * 224 * 168; i++)
        sum += abs(small[0].px[i] - small[1].px[i]);
    if (sum / (3 * 224 * 168) > 0.5)
        fail_msg("a value is off by %g on average", sum / (3 * 224 * 168));
    assert_true(sum > 0); /* they were made in two ways */
    lk_image_release(&small[0]);
    lk_image_release(&small[1]);
    lk_buf_release(&b);
}

static void other_formats_come_whole(void **state)
{
    (void)state;
    lk_image im;
    lk_buf b;
    lk_err err;
    test_ok(lk_image_new(&im, 64, 48, &err), &err);
    memset(im.px, 7, 3 * 64 * 48);
    lk_buf_init(&b, 0);
    test_ok(lk_image_encode(&im, LK_IMG_PNG, 90, &b, &err), &err);
    lk_picture pic = decode(&b, 1);
    assert_int_equal(pic.image.width, 64);
    lk_picture_release(&pic);
    lk_image_release(&im);
    lk_buf_release(&b);
}

static void a_cut_jpeg_is_refused_at_any_size(void **state)
{
    (void)state;
    lk_image_limits limits = lk_image_limits_default();
    lk_picture pic;
    lk_buf b;
    draw(&b);
    limits.enough_side = 100;
    test_code(
        lk_picture_decode((lk_blob){(unsigned char *)b.p, b.n / 2}, &limits, false, &pic, NULL),
        LK_E_TRUNCATED);
    lk_buf_release(&b);
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
        cmocka_unit_test(a_jpeg_shrinks_as_long_as_enough_is_left),
        cmocka_unit_test(a_shrunk_picture_looks_like_the_resized_one),
        cmocka_unit_test(other_formats_come_whole),
        cmocka_unit_test(a_cut_jpeg_is_refused_at_any_size),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
