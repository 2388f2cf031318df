/* The bundled model, as a user gets it, and models that must be refused. */
#include "support.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/embed.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/model.h"
#include "model/onnx.h"

#define MINI_DIM 256

static lk_model *open_mini(void)
{
    lk_model *m = NULL;
    lk_model_opts o;
    lk_err err;
    lk_model_opts_default(&o);
    test_ok(lk_model_open("mini", &o, &m, &err), &err);
    return m;
}

static double cosine(const float *a, const float *b)
{
    double s = 0;
    for (size_t i = 0; i < MINI_DIM; i++)
        s += (double)a[i] * (double)b[i];
    return s;
}

static void embed_photo(lk_model *m, const char *name, float *ret)
{
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_err err;
    lk_picture pic;
    lk_image_limits limits = lk_image_limits_default();
    test_shared(name, path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    test_ok(lk_picture_decode((lk_blob){p, n}, &limits, false, &pic, &err), &err);
    const lk_image *im = &pic.image;
    test_ok(lk_model_embed_images(m, 1, &im, ret, &err), &err);
    lk_picture_release(&pic);
    lk_free(p);
}

#define APPLE "assets/photos/grocery/test/Fruit/Apple/Granny-Smith/Granny-Smith_002.jpg"
#define STREET "assets/photos/coco-100/000000058636.jpg"

static void words_of_two_languages_mean_the_same(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"boat", "船"}, {"apple", "苹果"}, {"dog", "狗"}};
    float en[3][MINI_DIM], zh[3][MINI_DIM];
    lk_model *m = open_mini();
    lk_err err;
    for (size_t i = 0; i < 3; i++) {
        test_ok(lk_model_embed_text(m, lk_str_of(pairs[i][0]), en[i], &err), &err);
        test_ok(lk_model_embed_text(m, lk_str_of(pairs[i][1]), zh[i], &err), &err);
        assert_true(fabs(cosine(en[i], en[i]) - 1) < 1e-5);
    }
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            if (j != i)
                assert_true(cosine(en[i], zh[i]) > cosine(en[i], zh[j]) + 0.2);
    lk_model_close(m);
}

static void a_text_without_a_known_word_is_an_error(void **state)
{
    (void)state;
    float v[MINI_DIM];
    lk_model *m = open_mini();
    lk_err err;
    static const char *const texts[] = {"", "qzxwvk", "!!!", "the of and"};
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++)
        test_code(lk_model_embed_text(m, lk_str_of(texts[i]), v, &err), LK_E_NO_MEANING);
    lk_model_close(m);
}

static void a_photograph_is_nearest_to_its_own_word(void **state)
{
    (void)state;
    float photo[MINI_DIM], apple[MINI_DIM], other[MINI_DIM];
    lk_model *m = open_mini();
    lk_err err;
    embed_photo(m, APPLE, photo);
    test_ok(lk_model_embed_text(m, LK_STR("granny smith"), apple, &err), &err);
    static const char *const others[] = {"boat", "dog", "car", "house"};
    for (size_t i = 0; i < LK_ARRAY_LEN(others); i++) {
        test_ok(lk_model_embed_text(m, lk_str_of(others[i]), other, &err), &err);
        if (cosine(photo, apple) <= cosine(photo, other))
            fail_msg("%s is nearer than granny smith", others[i]);
    }
    lk_model_close(m);
}

static void a_batch_gives_what_single_pictures_give(void **state)
{
    (void)state;
    enum { N = 19 };
    static float many[N][MINI_DIM], one[MINI_DIM];
    lk_image images[N];
    const lk_image *list[N];
    lk_model *m = open_mini();
    lk_err err;
    test_rng rng = {42};
    for (size_t i = 0; i < N; i++) {
        test_ok(lk_image_new(&images[i], 40 + (unsigned)i, 60, &err), &err);
        for (size_t j = 0; j < (size_t)3 * images[i].width * 60; j++)
            images[i].px[j] = (unsigned char)test_rng_below(&rng, 256);
        list[i] = &images[i];
    }
    test_ok(lk_model_embed_images(m, N, list, many[0], &err), &err);
    for (size_t i = 0; i < N; i++) {
        test_ok(lk_model_embed_images(m, 1, &list[i], one, &err), &err);
        assert_true(cosine(one, many[i]) > 0.99999);
        lk_image_release(&images[i]);
    }
    lk_model_close(m);
}

static void categories_are_ten_and_sum_to_one(void **state)
{
    (void)state;
    float photo[MINI_DIM], probs[LK_MAX_LABELS];
    double sum = 0;
    lk_model *m = open_mini();
    const lk_model_info *info = lk_model_info_of(m);
    lk_err err;
    embed_photo(m, STREET, photo);
    assert_int_equal(info->n_labels, 10);
    assert_string_equal(info->labels[0], "portrait");
    assert_string_equal(info->labels[9], "other");
    test_ok(lk_model_classify(m, photo, probs, &err), &err);
    for (size_t i = 0; i < info->n_labels; i++)
        sum += (double)probs[i];
    assert_true(fabs(sum - 1) < 1e-5);
    lk_model_close(m);
}

/* Pictures of several shapes in batches of 1 to 4, and as many texts. */
static void embed_mixed(lk_model *m, size_t n)
{
    static const unsigned sides[] = {40, 112, 250};
    for (size_t i = 0; i < n;) {
        float v[4 * MINI_DIM];
        lk_image im;
        lk_err err;
        size_t batch = 1 + i % 4;
        test_ok(lk_image_new(&im, sides[i % 3], sides[i / 3 % 3], &err), &err);
        memset(im.px, 100, (size_t)3 * im.width * im.height);
        const lk_image *same[4] = {&im, &im, &im, &im};
        test_ok(lk_model_embed_images(m, batch, same, v, &err), &err);
        lk_image_release(&im);
        for (size_t k = 0; k < batch; k++)
            test_ok(lk_model_embed_text(m, k % 2 ? LK_STR("boat") : LK_STR("a red dog"), v, &err),
                    &err);
        i += batch;
    }
}

/* A sanitizer keeps what was freed, up to a quarter of a gigabyte, to see who still uses it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLAT_WITHIN (512u << 20)
#else
#define FLAT_WITHIN (8u << 20)
#endif

static void resident_memory_stays_flat(void **state)
{
    (void)state;
    lk_model *m = open_mini();
    embed_mixed(m, 200);
    uint64_t before = lk_os_rss_bytes();
    embed_mixed(m, 1500);
    uint64_t after = lk_os_rss_bytes();
    lk_model_close(m);
    if (after > before + FLAT_WITHIN)
        fail_msg("thousands of embeddings took %llu bytes", (unsigned long long)(after - before));
}

/* ---- models that are refused ---- */

static lk_blob embedded(const char *name)
{
    const lk_embedded_file *f = lk_embedded_find(name);
    assert_non_null(f);
    return (lk_blob){f->data, f->size};
}

/* The bundled model as a folder, to be spoiled. */
static void unpack(const char *dir)
{
    static const char *const names[] = {"model.json", "image.onnx", "text.onnx", "vocab.txt",
                                        "categories.json"};
    char path[TEST_PATH], from[64];
    for (size_t i = 0; i < LK_ARRAY_LEN(names); i++) {
        snprintf(from, sizeof from, "models/mini/%s", names[i]);
        lk_blob b = embedded(from);
        test_path(dir, names[i], path);
        test_write(path, b.p, b.n);
    }
}

static lk_code open_dir(const char *dir, lk_err *err)
{
    lk_model *m = NULL;
    lk_model_opts o;
    lk_model_opts_default(&o);
    lk_code code = lk_model_open(dir, &o, &m, err);
    lk_model_close(m);
    return code;
}

/* The card with the first `from` replaced, written to the folder. */
static void edit_card(const char *dir, const char *from, const char *to)
{
    char path[TEST_PATH];
    lk_blob card = embedded("models/mini/model.json");
    const char *text = (const char *)card.p, *at = strstr(text, from);
    lk_buf b;
    assert_non_null(at);
    lk_buf_init(&b, 0);
    lk_buf_put(&b, text, (size_t)(at - text));
    lk_buf_puts(&b, to);
    lk_buf_puts(&b, at + strlen(from));
    test_path(dir, "model.json", path);
    test_write(path, b.p, b.n);
    lk_buf_release(&b);
}

static void a_wrong_card_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says;
    } bad[] = {
        {"\"dim\": 256", "\"dim\": 128", "128"},
        {"\"dim\": 256", "\"dim\": 0", "dim"},
        {"\"dim\": 256", "\"dim\": 256, \"driver\": \"steam\"", "driver \"steam\""},
        {"\"dim\": 256", "\"dim\": 256, \"driver\": \"roboflow\"", "\"remote\" is missing"},
        {"\"dim\": 256", "\"dim\": 256, \"remote\": {\"url\": \"http://x\"}", "driver onnx"},
        {"\"dim\": 256", "\"dim\": 256, \"driver\": \"roboflow\", \"remote\": {}", "url"},
        {"\"size\": 112", "\"size\": 224", "224"},
        {"\"squash\"", "\"stretch\"", "resize"},
        {"\"tokenizer\": \"words\"", "\"tokenizer\": \"runes\"", "tokenizer"},
        {"\"file\": \"image.onnx\"", "\"file\": \"../image.onnx\"", "leaves the model's folder"},
        {"\"file\": \"image.onnx\"", "\"file\": \"/etc/passwd\"", "leaves the model's folder"},
        {"\"file\": \"image.onnx\"", "\"file\": \"other.onnx\"", "does not list"},
        {"640d35c6", "00000000", "SHA-256"},
        {"\"bytes\": 6964779", "\"bytes\": 6964778", "6964779"},
        {"\"version\": \"1\"", "\"version\": 1", "version"},
        {"{", "[", "card"},
    };
    char dir[TEST_PATH];
    lk_err err;
    test_dir_make(dir);
    unpack(dir);
    test_ok(open_dir(dir, &err), &err);
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        edit_card(dir, bad[i].from, bad[i].to);
        lk_code code = open_dir(dir, &err);
        if (code != LK_E_MODEL)
            fail_msg("%s: %s", bad[i].to, lk_code_word(code));
        test_has(err.text, bad[i].says);
    }
    test_dir_remove(dir);
}

static void missing_and_linked_files_are_refused(void **state)
{
    (void)state;
    char dir[TEST_PATH], path[TEST_PATH], real[TEST_PATH];
    lk_err err;
    test_dir_make(dir);
    test_code(open_dir(dir, &err), LK_E_NOT_FOUND);
    test_has(err.text, "model.json");
    unpack(dir);
    test_path(dir, "vocab.txt", path);
    test_path(dir, "real.txt", real);
    assert_int_equal(rename(path, real), 0);
    test_code(open_dir(dir, &err), LK_E_MODEL);
    test_has(err.text, "vocab.txt");
    assert_int_equal(symlink(real, path), 0);
    test_code(open_dir(dir, &err), LK_E_MODEL);
    test_has(err.text, "symbolic link");
    test_dir_remove(dir);
    lk_model *m = NULL;
    lk_model_opts o;
    lk_model_opts_default(&o);
    test_code(lk_model_open("no-such-model", &o, &m, &err), LK_E_NOT_FOUND);
    test_has(err.text, "no-such-model");
    o.provider = "abacus";
    test_code(lk_model_open("mini", &o, &m, &err), LK_E_INVALID);
    static const char *const accelerators[] = {"cuda", "tensorrt"};
    for (size_t i = 0; i < LK_ARRAY_LEN(accelerators); i++) {
        o.provider = accelerators[i];
        lk_code code = lk_model_open("mini", &o, &m, &err);
        if (code == LK_OK) { /* this machine has one */
            lk_model_close(m);
            continue;
        }
        if (code == LK_E_UNSUPPORTED)
            test_has(err.text, "--onnxruntime names the library");
        test_has(err.text, accelerators[i][0] == 'c' ? "UDA" : "ensor");
    }
    o.provider = NULL;
    o.runtime = "/nonexistent/libonnxruntime.so";
    test_code(lk_model_open("mini", &o, &m, &err), LK_E_NOT_FOUND);
}

static void hostile_model_bytes_never_crash(void **state)
{
    (void)state;
    lk_blob good = embedded("models/mini/text.onnx");
    unsigned char *bytes = malloc(good.n);
    lk_onnx *rt = NULL;
    lk_err err;
    test_rng rng = {7};
    size_t refused = 0;
    assert_non_null(bytes);
    test_ok(lk_onnx_open(NULL, NULL, &rt, &err), &err);
    for (size_t round = 0; round < 60; round++) {
        lk_session *s = NULL;
        memcpy(bytes, good.p, good.n);
        size_t n = round % 2 ? good.n : (size_t)test_rng_below(&rng, good.n);
        for (size_t k = 0; k < 8; k++) /* the structure stands at both ends */
            bytes[k % 2 ? test_rng_below(&rng, 400) : good.n - 1 - test_rng_below(&rng, 400)] =
                (unsigned char)test_rng_below(&rng, 256);
        lk_code code = lk_session_new(rt, (lk_blob){bytes, n}, &s, &err);
        assert_true(code == LK_OK || code == LK_E_MODEL);
        refused += code != LK_OK;
        lk_session_free(s);
    }
    assert_true(refused > 20);
    lk_onnx_close(rt);
    free(bytes);
}

static void weights_in_other_files_are_seen(void **state)
{
    (void)state;
    /* ModelProto.graph(7) { initializer(5) { data_location(14) = EXTERNAL } } and, hidden deeper,
     * graph { node(1) { attribute(5) { t(5) { external_data(13) } } } } */
    static const unsigned char plain[] = {0x3a, 4, 0x2a, 2, 0x70, 1},
                               deep[] = {0x3a, 9, 0x0a, 7, 0x2a, 5, 0x2a, 3, 0x6a, 1, 0},
                               inside[] = {0x3a, 4, 0x2a, 2, 0x70, 0}, torn[] = {0x3a, 200, 0x2a},
                               /* the same behind an empty group, which the runtime skips */
        grouped[] = {0x33, 0x34, 0x3a, 4, 0x2a, 2, 0x70, 1};
    assert_true(lk_onnx_has_external_data((lk_blob){plain, sizeof plain}));
    assert_true(lk_onnx_has_external_data((lk_blob){deep, sizeof deep}));
    assert_true(lk_onnx_has_external_data((lk_blob){grouped, sizeof grouped}));
    assert_false(lk_onnx_has_external_data((lk_blob){inside, sizeof inside}));
    assert_false(lk_onnx_has_external_data((lk_blob){torn, sizeof torn}));
    assert_false(lk_onnx_has_external_data(embedded("models/mini/image.onnx")));
}

static void see(void *ctx, const lk_model_info *info, const char *where)
{
    if (strcmp(info->name, "lookalike-mini") == 0 && strcmp(where, "mini") == 0)
        ++*(size_t *)ctx;
}

static void the_bundled_model_is_listed_and_keyed(void **state)
{
    (void)state;
    lk_model_opts o;
    lk_err err;
    size_t n = 0;
    lk_model_opts_default(&o);
    test_ok(lk_model_list(&o, see, &n, &err), &err);
    assert_int_equal(n, 1);
    lk_model *m = open_mini();
    test_has(lk_model_info_of(m)->key, "lookalike-mini@1:");
    assert_int_equal(lk_model_info_of(m)->dim, MINI_DIM);
    lk_model_close(m);
}

static int start(void **state)
{
    (void)state;
    lk_err err;
    test_ok(lk_image_start(&err), &err);
    return 0;
}

/* ---- runs that are shared ---- */

enum { CALLERS = 8, ROUNDS = 6 };

typedef struct caller {
    lk_model *m;
    size_t nth;
    const float (*want)[MINI_DIM];
    double worst;
    lk_code code;
    lk_thread *thread;
} caller;

static void draw(size_t nth, lk_image *ret)
{
    lk_err err;
    test_ok(lk_image_new(ret, 160, 120, &err), &err);
    for (size_t i = 0; i < (size_t)160 * 120 * 3; i++)
        ret->px[i] = (unsigned char)((i / 480 + nth * 37) * (i % (nth + 3) + 1) + i % 480 / 2);
}

static void embed_in_turn(void *ctx)
{
    caller *c = ctx;
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t nth = (c->nth + round) % CALLERS;
        float v[MINI_DIM];
        lk_image im;
        const lk_image *one = &im;
        lk_err err;
        draw(nth, &im);
        lk_code code = lk_model_embed_images(c->m, 1, &one, v, &err);
        c->code = c->code ? c->code : code;
        for (size_t i = 0; i < MINI_DIM; i++)
            c->worst = fmax(c->worst, fabs((double)v[i] - (double)c->want[nth][i]));
        lk_image_release(&im);
    }
}

/* 2^-20 of a unit vector: only the order of a few additions may differ. */
#define SHARED_BOUND 1e-6

static void pictures_of_several_callers_share_runs_and_keep_their_vectors(void **state)
{
    (void)state;
    static float want[CALLERS][MINI_DIM];
    caller c[CALLERS];
    lk_model *m = NULL;
    lk_model_opts o;
    lk_err err;
    uint64_t items[2], runs[2];
    lk_model_opts_default(&o);
    o.n_threads = 1;
    o.batch_wait_ms = 200;
    test_ok(lk_model_open("mini", &o, &m, &err), &err);
    for (size_t i = 0; i < CALLERS; i++) {
        lk_image im;
        const lk_image *one = &im;
        draw(i, &im);
        test_ok(lk_model_embed_images(m, 1, &one, want[i], &err), &err);
        lk_image_release(&im);
    }
    lk_model_runs(m, &items[0], &runs[0]);
    for (size_t i = 0; i < CALLERS; i++) {
        c[i] = (caller){.m = m, .nth = i, .want = (const float(*)[MINI_DIM])want};
        test_ok(lk_thread_start(&c[i].thread, "caller", embed_in_turn, &c[i], &err), &err);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        lk_thread_join(c[i].thread);
        assert_int_equal(c[i].code, LK_OK);
        if (!(c[i].worst <= SHARED_BOUND))
            fail_msg("a number of a vector is off by %g", c[i].worst);
    }
    lk_model_runs(m, &items[1], &runs[1]);
    assert_int_equal(items[1] - items[0], CALLERS * ROUNDS);
    if (runs[1] - runs[0] >= CALLERS * ROUNDS)
        fail_msg("%d pictures took %d runs", CALLERS * ROUNDS, (int)(runs[1] - runs[0]));
    print_message("%d pictures in %d runs\n", CALLERS * ROUNDS, (int)(runs[1] - runs[0]));
    lk_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_two_languages_mean_the_same),
        cmocka_unit_test(a_text_without_a_known_word_is_an_error),
        cmocka_unit_test(a_photograph_is_nearest_to_its_own_word),
        cmocka_unit_test(a_batch_gives_what_single_pictures_give),
        cmocka_unit_test(categories_are_ten_and_sum_to_one),
        cmocka_unit_test(resident_memory_stays_flat),
        cmocka_unit_test(a_wrong_card_is_refused_with_its_reason),
        cmocka_unit_test(missing_and_linked_files_are_refused),
        cmocka_unit_test(hostile_model_bytes_never_crash),
        cmocka_unit_test(weights_in_other_files_are_seen),
        cmocka_unit_test(the_bundled_model_is_listed_and_keyed),
        cmocka_unit_test(pictures_of_several_callers_share_runs_and_keep_their_vectors),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
