/* The canary catches what makes embeddings quietly wrong. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/embed.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "model/canary.h"
#include "support.h"

static lk_model *open_model(const char *name)
{
    lk_model *m = NULL;
    lk_model_opts o;
    lk_err err;
    lk_model_opts_default(&o);
    test_ok(lk_model_open(name, &o, &m, &err), &err);
    return m;
}

static lk_canary measure(lk_model *m)
{
    lk_canary c = {0};
    lk_err err;
    test_ok(lk_canary_measure(m, &c, &err), &err);
    return c;
}

typedef void spoil_fn(lk_image *im);

static void swap_red_and_blue(lk_image *im)
{
    for (size_t i = 0; i < (size_t)3 * im->width * im->height; i += 3) {
        unsigned char red = im->px[i];
        im->px[i] = im->px[i + 2];
        im->px[i + 2] = red;
    }
}

static void swap_red_and_green(lk_image *im)
{
    for (size_t i = 0; i < (size_t)3 * im->width * im->height; i += 3) {
        unsigned char red = im->px[i];
        im->px[i] = im->px[i + 1];
        im->px[i + 1] = red;
    }
}

static void turn_over(lk_image *im)
{
    size_t n = (size_t)im->width * im->height;
    for (size_t i = 0; i < n / 2; i++)
        for (size_t c = 0; c < 3; c++) {
            unsigned char v = im->px[3 * i + c];
            im->px[3 * i + c] = im->px[3 * (n - 1 - i) + c];
            im->px[3 * (n - 1 - i) + c] = v;
        }
}

static void mirror(lk_image *im)
{
    for (size_t y = 0; y < im->height; y++)
        for (size_t x = 0; x < im->width / 2; x++)
            for (size_t c = 0; c < 3; c++) {
                unsigned char *a = im->px + 3 * (y * im->width + x) + c;
                unsigned char *b = im->px + 3 * (y * im->width + im->width - 1 - x) + c;
                unsigned char v = *a;
                *a = *b;
                *b = v;
            }
}

/* Keeps one pixel of each block, as a resize without smoothing does. */
static void thin_out(lk_image *im)
{
    for (size_t y = 0; y < im->height; y++)
        for (size_t x = 0; x < im->width; x++)
            memcpy(im->px + 3 * (y * im->width + x),
                   im->px + 3 * ((y - y % 4) * im->width + (x - x % 4)), 3);
}

static void cut_a_twentieth(lk_image *im)
{
    unsigned w = im->width - im->width / 20, h = im->height - im->height / 20;
    for (size_t y = 0; y < h; y++)
        memmove(im->px + 3 * y * w, im->px + 3 * y * im->width, (size_t)3 * w);
    im->width = w;
    im->height = h;
}

static double spoiled_cosine(lk_model *m, const lk_canary *good, spoil_fn *spoil)
{
    static float v[LK_MAX_DIM];
    lk_buf file;
    lk_picture pic = {0};
    lk_image_limits limits = lk_image_limits_default();
    lk_err err;
    lk_canary_cosines cos;
    lk_canary now = {.dim = good->dim, .image = v};
    lk_buf_init(&file, 0);
    test_ok(lk_canary_picture(&file, &err), &err);
    test_ok(lk_picture_decode((lk_blob){(const unsigned char *)file.p, file.n}, &limits, false,
                              &pic, &err),
            &err);
    spoil(&pic.image);
    const lk_image *one = &pic.image;
    test_ok(lk_model_embed_images(m, 1, &one, v, &err), &err);
    lk_canary_compare(good, &now, &cos);
    lk_picture_release(&pic);
    lk_buf_release(&file);
    return cos.image;
}

/* ---- models to spoil ---- */

static void copy_file(const char *dir, const char *name, lk_blob bytes)
{
    char path[TEST_PATH];
    test_path(dir, name, path);
    test_write(path, bytes.p, bytes.n);
}

static lk_blob bundled(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "models/mini/%s", name);
    const lk_embedded_file *f = lk_embedded_find(path);
    assert_non_null(f);
    return (lk_blob){f->data, f->size};
}

/* The text with the first `from` replaced, as the folder's card. */
static void write_card(const char *dir, lk_str text, const char *from, const char *to)
{
    size_t at = lk_str_find(text, lk_str_of(from));
    lk_buf b;
    lk_buf_init(&b, 0);
    assert_true(at != SIZE_MAX);
    lk_buf_put(&b, text.p, at);
    lk_buf_puts(&b, to);
    lk_buf_put(&b, text.p + at + strlen(from), text.n - at - strlen(from));
    copy_file(dir, "model.json", (lk_blob){(const unsigned char *)b.p, b.n});
    lk_buf_release(&b);
}

static lk_str mini_card(void)
{
    lk_blob b = bundled("model.json");
    return (lk_str){(const char *)b.p, b.n};
}

static void unpack_mini(const char *dir)
{
    static const char *const names[] = {"model.json", "image.onnx", "text.onnx", "vocab.txt",
                                        "categories.json"};
    for (size_t i = 0; i < LK_ARRAY_LEN(names); i++)
        copy_file(dir, names[i], bundled(names[i]));
}

/* A real ImageNet model behind a card of its own; skips without the test material. */
static void unpack_vit(const char *dir, lk_buf *ret_card)
{
    char path[TEST_PATH], hex[LK_SHA256_HEX + 1];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_sha256 h;
    lk_err err;
    test_shared("assets/models/vit-tiny/vision.onnx", path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    copy_file(dir, "vision.onnx", (lk_blob){p, n});
    test_ok(lk_sha256_of(p, n, &h, &err), &err);
    lk_sha256_hex(&h, hex);
    lk_free(p);
    lk_buf_printf(ret_card,
                  "{\"name\": \"vit-tiny\", \"version\": \"1\", \"dim\": 192, \"image\": {"
                  "\"file\": \"vision.onnx\", \"output\": \"embedding\", \"size\": 224, "
                  "\"short_side\": 248, \"resize\": \"crop\", \"resize_filter\": \"bicubic\", "
                  "\"mean\": [0.5,0.5,0.5], \"std\": [0.5,0.5,0.5]}, \"files\": {"
                  "\"vision.onnx\": {\"sha256\": \"%s\", \"bytes\": %zu}}}",
                  hex, n);
}

typedef struct edit {
    const char *from, *to;
} edit;

/* Each edit of the card must move the picture's embedding beyond the threshold. */
static void check_edits(const char *dir, lk_str card, const lk_canary *good, const edit *edits,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lk_canary_cosines cos;
        write_card(dir, card, edits[i].from, edits[i].to);
        lk_model *m = open_model(dir);
        lk_canary now = measure(m);
        lk_canary_compare(good, &now, &cos);
        print_message("%s: cosine %.5f\n", edits[i].to, cos.image);
        if (cos.image >= LK_CANARY_MIN)
            fail_msg("%s: cosine %.6f is not under %g", edits[i].to, cos.image, LK_CANARY_MIN);
        lk_canary_release(&now);
        lk_model_close(m);
    }
}

static void check_spoils(lk_model *m, const lk_canary *good)
{
    static const struct {
        const char *what;
        spoil_fn *fn;
    } spoils[] = {
        {"red and blue swapped", swap_red_and_blue},
        {"red and green swapped", swap_red_and_green},
        {"turned over", turn_over},
        {"mirrored", mirror},
        {"resized without smoothing", thin_out},
        {"a twentieth cut off", cut_a_twentieth},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(spoils); i++) {
        double cosine = spoiled_cosine(m, good, spoils[i].fn);
        print_message("%s: cosine %.5f\n", spoils[i].what, cosine);
        if (cosine >= LK_CANARY_MIN)
            fail_msg("%s: cosine %.6f is not under %g", spoils[i].what, cosine, LK_CANARY_MIN);
    }
}

/* ---- what is caught ---- */

static void swapped_channels_flips_and_cuts_are_caught(void **state)
{
    (void)state;
    lk_model *m = open_model("mini");
    lk_canary good = measure(m);
    check_spoils(m, &good);
    lk_canary_release(&good);
    lk_model_close(m);
}

static void another_crop_resize_or_normalisation_is_caught(void **state)
{
    (void)state;
    static const edit edits[] = {
        {"\"squash\"", "\"crop\""},
        {"\"squash\"", "\"pad\""},
        {"\"bicubic, antialiased\"", "\"bilinear\""},
        {"\"bicubic, antialiased\"", "\"box\""},
        {"\"mean\": [\n   0.5,\n   0.5,\n   0.5", "\"mean\": [0.485, 0.456, 0.406"},
        {"\"std\": [\n   0.5,\n   0.5,\n   0.5", "\"std\": [0.229, 0.224, 0.225"},
    };
    char dir[TEST_PATH];
    test_dir_make(dir);
    unpack_mini(dir);
    lk_model *m = open_model("mini");
    lk_canary good = measure(m);
    check_edits(dir, mini_card(), &good, edits, LK_ARRAY_LEN(edits));
    lk_canary_release(&good);
    lk_model_close(m);
    test_dir_remove(dir);
}

static void the_same_is_caught_with_a_vision_transformer(void **state)
{
    (void)state;
    static const edit edits[] = {
        {"\"crop\"", "\"squash\""},
        {"\"crop\"", "\"pad\""},
        {"\"short_side\": 248", "\"short_side\": 256"},
        {"\"short_side\": 248", "\"short_side\": 224"},
        {"\"bicubic\"", "\"bilinear\""},
        {"\"mean\": [0.5,0.5,0.5]", "\"mean\": [0.485,0.456,0.406]"},
        {"\"std\": [0.5,0.5,0.5]", "\"std\": [0.229,0.224,0.225]"},
    };
    char dir[TEST_PATH];
    lk_buf card;
    lk_buf_init(&card, 0);
    test_dir_make(dir);
    unpack_vit(dir, &card);
    write_card(dir, lk_buf_str(&card), "{", "{");
    lk_model *m = open_model(dir);
    lk_canary good = measure(m);
    assert_null(good.text);
    check_spoils(m, &good);
    check_edits(dir, lk_buf_str(&card), &good, edits, LK_ARRAY_LEN(edits));
    lk_canary_release(&good);
    lk_model_close(m);
    lk_buf_release(&card);
    test_dir_remove(dir);
}

static void another_vocabulary_is_caught_by_the_text(void **state)
{
    (void)state;
    lk_model *m = open_model("mini");
    lk_canary good = measure(m), now = measure(m);
    lk_canary_cosines cos;
    lk_err err;
    assert_non_null(good.text);
    test_ok(lk_model_embed_text(m, LK_STR("a red boat, two dogs"), now.text, &err), &err);
    lk_canary_compare(&good, &now, &cos);
    assert_true(cos.has_text && cos.image > 0.99999);
    if (cos.text >= LK_CANARY_MIN)
        fail_msg("half the words lost: cosine %.6f", cos.text);
    lk_free(now.text); /* and a model that knows no word of it any more */
    now.text = NULL;
    lk_canary_compare(&good, &now, &cos);
    assert_true(cos.has_text && cos.text == 0);
    lk_canary_release(&good);
    lk_canary_release(&now);
    lk_model_close(m);
}

/* ---- what is not ---- */

static void the_same_model_sings_the_same(void **state)
{
    (void)state;
    lk_model *m = open_model("mini"), *again = open_model("mini");
    lk_canary a = measure(m), b = measure(again);
    lk_canary_cosines cos;
    lk_canary_compare(&a, &b, &cos);
    assert_true(cos.has_image && cos.has_text);
    if (cos.image < 0.999999 || cos.text < 0.999999)
        fail_msg("cosines %.8f and %.8f", cos.image, cos.text);
    lk_canary_release(&a);
    lk_canary_release(&b);
    lk_model_close(m);
    lk_model_close(again);
}

/* ---- the recording ---- */

static void a_recording_comes_back_and_belongs_to_one_key(void **state)
{
    (void)state;
    char dir[TEST_PATH], path[TEST_PATH];
    lk_err err;
    lk_canary got = {0};
    lk_canary_cosines cos;
    test_dir_make(dir);
    unpack_mini(dir);
    lk_model *m = open_model(dir);
    const char *key = lk_model_info_of(m)->key;
    lk_canary c = measure(m);
    test_code(lk_canary_read(dir, NULL, key, &got, &err), LK_E_NOT_FOUND);
    test_ok(lk_canary_write(dir, NULL, key, &c, &err), &err);
    test_ok(lk_canary_read(dir, NULL, key, &got, &err), &err);
    lk_canary_compare(&got, &c, &cos);
    assert_true(cos.image > 0.9999999 && cos.text > 0.9999999);
    lk_canary_release(&got);
    test_code(lk_canary_read(dir, NULL, "other@1:0", &got, &err), LK_E_NOT_FOUND);
    static const char *const broken[] = {
        "", "[]x", "{\"version\": 1, \"model\": \"%s\"",
        "{\"version\": 1, \"model\": \"%s\", \"image\": [1, true]}",
        "{\"version\": 1, \"model\": \"%s\", \"image\": []}"};
    test_path(dir, "canary.json", path);
    for (size_t i = 0; i < LK_ARRAY_LEN(broken); i++) {
        lk_buf text;
        lk_str rest = lk_str_of(broken[i]), head = lk_str_cut(&rest, '%');
        lk_buf_init(&text, 0);
        lk_buf_put(&text, head.p, head.n);
        if (rest.n)
            lk_buf_printf(&text, "%s%.*s", key, (int)rest.n - 1, rest.p + 1);
        test_write(path, text.p ? text.p : "", text.n);
        lk_buf_release(&text);
        test_code(lk_canary_read(dir, NULL, key, &got, &err), LK_E_CORRUPT);
        test_has(err.text, "canary.json");
    }
    lk_canary_release(&c);
    lk_model_close(m);
    test_dir_remove(dir);
}

/* It was recorded on another machine: the bound is for other instructions and another runtime. */
static void the_bundled_model_sings_as_it_was_recorded(void **state)
{
    (void)state;
    lk_model *m = open_model("mini");
    lk_canary then = {0}, now = measure(m);
    lk_canary_cosines cos;
    lk_err err;
    test_ok(lk_canary_read("mini", NULL, lk_model_info_of(m)->key, &then, &err), &err);
    lk_canary_compare(&then, &now, &cos);
    assert_true(cos.has_image && cos.has_text);
    if (cos.image < 0.9999 || cos.text < 0.9999)
        fail_msg("cosines %.8f and %.8f", cos.image, cos.text);
    test_code(lk_canary_write("mini", NULL, "key", &now, &err), LK_E_UNSUPPORTED);
    lk_canary_release(&then);
    lk_canary_release(&now);
    lk_model_close(m);
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
        cmocka_unit_test(swapped_channels_flips_and_cuts_are_caught),
        cmocka_unit_test(another_crop_resize_or_normalisation_is_caught),
        cmocka_unit_test(the_same_is_caught_with_a_vision_transformer),
        cmocka_unit_test(another_vocabulary_is_caught_by_the_text),
        cmocka_unit_test(the_same_model_sings_the_same),
        cmocka_unit_test(a_recording_comes_back_and_belongs_to_one_key),
        cmocka_unit_test(the_bundled_model_sings_as_it_was_recorded),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
