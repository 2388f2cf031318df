/* What is read off pixels: colours, perceptual hash, EXIF, orientation. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/colour.h"
#include "image/exif.h"
#include "image/phash.h"
#include "image/resize.h"

static lk_image solid(unsigned char r, unsigned char g, unsigned char b)
{
    lk_image im;
    lk_err err;
    test_ok(lk_image_new(&im, 90, 70, &err), &err);
    for (size_t i = 0; i < 90 * 70; i++) {
        im.px[3 * i] = r;
        im.px[3 * i + 1] = g;
        im.px[3 * i + 2] = b;
    }
    return im;
}

static lk_picture picture(const char *name)
{
    char path[TEST_PATH], below[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_err err;
    lk_picture pic;
    test_path("assets", name, below);
    test_shared(below, path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    test_ok(lk_picture_decode((lk_blob){p, n}, NULL, true, &pic, &err), &err);
    lk_free(p);
    return pic;
}

/* ---- colours ---- */

static void one_colour_is_named_and_alone(void **state)
{
    (void)state;
    static const struct {
        unsigned char rgb[3];
        const char *name;
        lk_colour_scheme scheme;
    } known[] = {
        {{220, 20, 30}, "red", LK_COLOUR_WARM},       {{255, 140, 0}, "orange", LK_COLOUR_WARM},
        {{240, 220, 30}, "yellow", LK_COLOUR_WARM},   {{30, 160, 40}, "green", LK_COLOUR_COOL},
        {{0, 200, 200}, "cyan", LK_COLOUR_COOL},      {{20, 60, 220}, "blue", LK_COLOUR_COOL},
        {{120, 40, 180}, "purple", LK_COLOUR_COOL},   {{255, 150, 190}, "pink", LK_COLOUR_WARM},
        {{110, 65, 25}, "brown", LK_COLOUR_WARM},     {{5, 5, 5}, "black", LK_COLOUR_NEUTRAL},
        {{128, 128, 128}, "grey", LK_COLOUR_NEUTRAL}, {{252, 252, 252}, "white", LK_COLOUR_NEUTRAL},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(known); i++) {
        const unsigned char *c = known[i].rgb;
        lk_image im = solid(c[0], c[1], c[2]);
        lk_colours got;
        lk_err err;
        size_t best = 0;
        test_ok(lk_colours_of(&im, &got, &err), &err);
        for (size_t b = 1; b < LK_N_COLOUR_BINS; b++)
            if (got.distribution[b] > got.distribution[best])
                best = b;
        assert_string_equal(lk_colour_bin_name(best), known[i].name);
        if (got.scheme != known[i].scheme)
            fail_msg("%s is %s", known[i].name, lk_colour_scheme_name(got.scheme));
        assert_int_equal(got.n, 1);
        assert_memory_equal(got.dominant[0].rgb, c, 3);
        assert_true(fabsf(got.dominant[0].share - 1) < 1e-6f);
        lk_image_release(&im);
    }
}

static void shares_sum_to_one_and_do_not_change(void **state)
{
    (void)state;
    lk_picture pic = picture("photos/coco-100/000000058636.jpg");
    lk_colours a, b;
    lk_err err;
    float shares = 0, bins = 0;
    test_ok(lk_colours_of(&pic.image, &a, &err), &err);
    test_ok(lk_colours_of(&pic.image, &b, &err), &err);
    assert_memory_equal(&a, &b, sizeof a);
    for (size_t i = 0; i < a.n; i++) {
        shares += a.dominant[i].share;
        assert_true(i == 0 || a.dominant[i].share <= a.dominant[i - 1].share);
    }
    for (size_t i = 0; i < LK_N_COLOUR_BINS; i++)
        bins += a.distribution[i];
    assert_true(fabsf(shares - 1) < 1e-4f && fabsf(bins - 1) < 1e-4f);
    assert_true(a.brightness > 0 && a.brightness < 1 && a.saturation >= 0 && a.saturation <= 1);
    lk_picture_release(&pic);
}

static void brightness_goes_from_black_to_white(void **state)
{
    (void)state;
    float last = -1;
    for (int v = 0; v <= 255; v += 51) {
        lk_image im = solid((unsigned char)v, (unsigned char)v, (unsigned char)v);
        lk_colours c;
        lk_err err;
        test_ok(lk_colours_of(&im, &c, &err), &err);
        assert_true(c.brightness > last);
        assert_true(c.saturation < 1e-6f);
        last = c.brightness;
        lk_image_release(&im);
    }
    assert_true(last > 0.99f);
}

/* ---- perceptual hash ---- */

static uint64_t hash_of(const char *name)
{
    lk_picture pic = picture(name);
    uint64_t h = 0;
    lk_err err;
    test_ok(lk_phash_of(&pic.image, &h, &err), &err);
    lk_picture_release(&pic);
    return h;
}

static void edits_stay_near_and_other_pictures_far(void **state)
{
    (void)state;
    static const char *const edits[] = {"blur-a-little",  "sharpen-a-little", "shrink-a-little",
                                        "shrink-a-lot",   "high-contrast",    "high-saturation",
                                        "square-256x256", "square-512x512"};
    static const char *const others[] = {"000000005802", "000000006818", "000000012448",
                                         "000000017627", "000000025560", "000000058636"};
    char name[TEST_PATH];
    uint64_t original = hash_of("neardup/pdq/bridge-mods/aaa-orig.jpg");
    for (size_t i = 0; i < LK_ARRAY_LEN(edits); i++) {
        snprintf(name, sizeof name, "neardup/pdq/bridge-mods/%s.jpg", edits[i]);
        unsigned d = lk_phash_distance(original, hash_of(name));
        if (d > 10)
            fail_msg("%s differs in %u bits", edits[i], d);
    }
    for (size_t i = 0; i < LK_ARRAY_LEN(others); i++) {
        snprintf(name, sizeof name, "photos/coco-100/%s.jpg", others[i]);
        unsigned d = lk_phash_distance(original, hash_of(name));
        if (d < 16)
            fail_msg("%s differs in only %u bits", others[i], d);
    }
}

/* ---- orientation ---- */

/* Mean difference of two pictures, 0..255, at a size small enough to pass over their edges. */
static double difference(const lk_image *a, const lk_image *b)
{
    lk_image x, y;
    lk_err err;
    double sum = 0;
    test_ok(lk_resize(a, 32, 32, LK_RESIZE_BOX, &x, &err), &err);
    test_ok(lk_resize(b, 32, 32, LK_RESIZE_BOX, &y, &err), &err);
    for (size_t i = 0; i < 32 * 32 * 3; i++)
        sum += abs(x.px[i] - y.px[i]);
    lk_image_release(&x);
    lk_image_release(&y);
    return sum / (32 * 32 * 3);
}

static void every_orientation_comes_out_upright(void **state)
{
    (void)state;
    static const struct {
        const char *reference, *head, *tail;
    } sets[] = {
        {"lovell_sharp__Landscape_1.jpg", "lovell_sharp__Landscape_", ".jpg"},
        {"python-pillow_Pillow__hopper.jpg", "python-pillow_Pillow__hopper_orientation_", ".jpg"},
        {"python-pillow_Pillow__hopper.jpg", "python-pillow_Pillow__hopper_orientation_", ".webp"},
    };
    char name[TEST_PATH];
    for (size_t s = 0; s < LK_ARRAY_LEN(sets); s++) {
        test_path("odd/exif-orientation", sets[s].reference, name);
        lk_picture want = picture(name);
        for (unsigned i = 2; i <= 8; i++) {
            snprintf(name, sizeof name, "odd/exif-orientation/%s%u%s", sets[s].head, i,
                     sets[s].tail);
            lk_picture got = picture(name);
            assert_int_equal(got.header.orientation, i);
            assert_int_equal(got.image.width > got.image.height,
                             want.image.width > want.image.height);
            double d = difference(&want.image, &got.image);
            if (d > 6)
                fail_msg("%s: the mean difference is %.1f", name, d);
            lk_picture_release(&got);
        }
        lk_picture_release(&want);
    }
}

/* ---- EXIF ---- */

/* A little-endian TIFF with make, model, orientation and DateTimeOriginal in the Exif directory. */
static const unsigned char tiff[] = {
    'I',  'I',  42,  0,   8,   0,   0,   0,   4,   0,   0x0f, 0x01,
    2,    0,    5,   0,   0,   0,   62,  0,   0,   0,            /* Make at 62 */
    0x10, 0x01, 2,   0,   3,   0,   0,   0,   'X', '1', 0,    0, /* Model inline */
    0x12, 0x01, 3,   0,   1,   0,   0,   0,   6,   0,   0,    0, /* Orientation */
    0x69, 0x87, 4,   0,   1,   0,   0,   0,   68,  0,   0,    0, /* Exif directory at 68 */
    0,    0,    0,   0,   'A', 'c', 'm', 'e', 0,   0,   1,    0,
    0x03, 0x90, 2,   0,   20,  0,   0,   0,   86,  0,   0,    0, /* DateTimeOriginal at 86 */
    0,    0,    0,   0,   '2', '0', '2', '0', ':', '0', '2',  ':',
    '2',  '9',  ' ', '1', '2', ':', '3', '4', ':', '5', '6',  0,
};

static void exif_is_read(void **state)
{
    (void)state;
    lk_exif x;
    lk_exif_parse((lk_blob){tiff, sizeof tiff}, false, &x);
    assert_string_equal(x.make, "Acme");
    assert_string_equal(x.model, "X1");
    assert_int_equal(x.orientation, 6);
    assert_true(x.has_taken);
    assert_true(x.taken_ms == INT64_C(1582979696000)); /* 2020-02-29T12:34:56Z */
    assert_false(x.has_gps);
}

static void damaged_exif_is_never_an_error(void **state)
{
    (void)state;
    unsigned char bytes[sizeof tiff];
    lk_exif x;
    test_rng rng = {42};
    for (size_t cut = 0; cut <= sizeof tiff; cut++) {
        unsigned char *exact = malloc(cut ? cut : 1); /* so that a read past the end is seen */
        memcpy(exact, tiff, cut);
        lk_exif_parse((lk_blob){exact, cut}, true, &x);
        assert_in_range(x.orientation, 1, 8);
        free(exact);
    }
    for (size_t round = 0; round < 20000; round++) {
        memcpy(bytes, tiff, sizeof bytes);
        for (size_t k = 0; k < 3; k++)
            bytes[test_rng_below(&rng, sizeof bytes)] = (unsigned char)test_rng_below(&rng, 256);
        lk_exif_parse((lk_blob){bytes, sizeof bytes}, true, &x);
        assert_in_range(x.orientation, 1, 8);
        assert_true(memchr(x.make, 0, sizeof x.make) && memchr(x.model, 0, sizeof x.model));
    }
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
        cmocka_unit_test(one_colour_is_named_and_alone),
        cmocka_unit_test(shares_sum_to_one_and_do_not_change),
        cmocka_unit_test(brightness_goes_from_black_to_white),
        cmocka_unit_test(edits_stay_near_and_other_pictures_far),
        cmocka_unit_test(every_orientation_comes_out_upright),
        cmocka_unit_test(exif_is_read),
        cmocka_unit_test(damaged_exif_is_never_an_error),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
