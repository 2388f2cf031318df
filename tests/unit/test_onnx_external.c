/* Weights in files beside the model's: the same answers as with the weights inside, and nothing
 * read that the card does not list. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/graph.h"
#include "model/model.h"
#include "model/onnx.h"
#include "model/onnx_external.h"
#include "model/proto.h"

#define DIM 16
#define SIDE 8

/* ---- a model with its weights taken out ---- */

static void put_entry(lk_buf *tensor, const char *key, const char *value)
{
    lk_buf e;
    lk_buf_init(&e, 0);
    lk_pb_put_str(&e, 1, lk_str_of(key));
    lk_pb_put_str(&e, 2, lk_str_of(value));
    lk_pb_put_bytes(tensor, 13, e.p, e.n);
    lk_buf_release(&e);
}

static void put_number(lk_buf *tensor, const char *key, size_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", value);
    put_entry(tensor, key, text);
}

/* The tensor with its bytes moved to *weights. */
static void move_out(lk_buf *graph, lk_blob tensor, const char *location, lk_buf *weights)
{
    lk_pb_field f;
    size_t begun = lk_pb_begin(graph, LK_ONNX_GRAPH_INITIALIZER);
    while (lk_pb_next(&tensor, &f)) {
        if (f.number != LK_ONNX_TENSOR_RAW) {
            lk_buf_put(graph, f.whole.p, f.whole.n);
            continue;
        }
        put_entry(graph, "location", location);
        put_number(graph, "offset", weights->n);
        put_number(graph, "length", f.bytes.n);
        lk_pb_put_varint(graph, 14, 1);
        lk_buf_put(weights, f.bytes.p, f.bytes.n);
    }
    lk_pb_end(graph, begun);
}

static void take_apart(lk_blob model, const char *location, lk_buf *ret_model, lk_buf *ret_weights)
{
    lk_pb_field f, g;
    lk_buf_init(ret_model, 0);
    lk_buf_init(ret_weights, 0);
    while (lk_pb_next(&model, &f)) {
        if (f.number != LK_ONNX_MODEL_GRAPH) {
            lk_buf_put(ret_model, f.whole.p, f.whole.n);
            continue;
        }
        size_t begun = lk_pb_begin(ret_model, LK_ONNX_MODEL_GRAPH);
        for (lk_blob graph = f.bytes; lk_pb_next(&graph, &g);)
            if (g.number == LK_ONNX_GRAPH_INITIALIZER)
                move_out(ret_model, g.bytes, location, ret_weights);
            else
                lk_buf_put(ret_model, g.whole.p, g.whole.n);
        lk_pb_end(ret_model, begun);
    }
}

/* ---- its folder ---- */

static void put_file(lk_buf *card, const char *name, const void *p, size_t n)
{
    lk_sha256 h;
    lk_err err;
    char hex[LK_SHA256_HEX + 1];
    test_ok(lk_sha256_of(p, n, &h, &err), &err);
    lk_sha256_hex(&h, hex);
    lk_buf_printf(card, "\"%s\":{\"sha256\":\"%s\",\"bytes\":%zu}", name, hex, n);
}

typedef struct place {
    const char *location; /* that the model names */
    bool listed;
} place;

/* A model in dir/m whose weights are said to be at a location; they are in dir/m/onnx/w.bin. */
static void make_folder(const char *dir, place where)
{
    char path[TEST_PATH], target[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_buf model, weights, card;
    lk_err err;
    test_source("tests/data/towers/both/model.onnx", path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    take_apart((lk_blob){p, n}, where.location, &model, &weights);
    assert_true(model.n < 4096 && weights.n > 8192);
    test_path(dir, "m/onnx", target);
    test_ok(lk_os_mkdirs(target, &err), &err);
    test_path(dir, "m/onnx/model.onnx", target);
    test_write(target, model.p, model.n);
    test_path(dir, "m/onnx/w.bin", target);
    test_write(target, weights.p, weights.n);
    lk_buf_init(&card, 0);
    lk_buf_puts(&card, "{\"name\":\"m\",\"version\":\"1\",\"dim\":16,"
                       "\"image\":{\"file\":\"onnx/model.onnx\",\"size\":8,\"resize\":\"squash\","
                       "\"mean\":[0.5,0.5,0.5],\"std\":[0.25,0.25,0.25]},\"files\":{");
    put_file(&card, "onnx/model.onnx", model.p, model.n);
    if (where.listed) {
        lk_buf_puts(&card, ",");
        put_file(&card, "onnx/w.bin", weights.p, weights.n);
    }
    lk_buf_puts(&card, "}}");
    test_path(dir, "m/model.json", target);
    test_write(target, card.p, card.n);
    lk_buf_release(&card);
    lk_buf_release(&model);
    lk_buf_release(&weights);
    lk_free(p);
}

static lk_code open_model(const char *dir, lk_model **ret, lk_err *err)
{
    char path[TEST_PATH];
    lk_model_opts o;
    lk_model_opts_default(&o);
    test_path(dir, "m", path);
    return lk_model_open(path, &o, ret, err);
}

static void embed(lk_model *m, float ret[DIM])
{
    lk_image im;
    const lk_image *one = &im;
    lk_err err;
    test_ok(lk_image_new(&im, SIDE, SIDE, &err), &err);
    for (size_t i = 0; i < 3 * SIDE * SIDE; i++)
        im.px[i] = (unsigned char)(37 * i);
    test_ok(lk_model_embed_images(m, 1, &one, ret, &err), &err);
    lk_image_release(&im);
}

/* ---- tests ---- */

static void weights_beside_the_model_answer_as_those_inside(void **state)
{
    (void)state;
    char dir[TEST_PATH], inside[TEST_PATH];
    float a[DIM], b[DIM];
    lk_model *m = NULL;
    lk_model_opts o;
    lk_err err;
    test_dir_make(dir);
    make_folder(dir, (place){"w.bin", true});
    test_ok(open_model(dir, &m, &err), &err);
    embed(m, a);
    lk_model_close(m);
    lk_model_opts_default(&o);
    test_source("tests/data/towers/both", inside);
    test_ok(lk_model_open(inside, &o, &m, &err), &err);
    embed(m, b);
    lk_model_close(m);
    assert_memory_equal(a, b, sizeof a);
    test_dir_remove(dir);
}

static void refuse(place where, const char *sentence)
{
    char dir[TEST_PATH];
    lk_model *m = NULL;
    lk_err err = {0};
    test_dir_make(dir);
    make_folder(dir, where);
    test_code(open_model(dir, &m, &err), LK_E_MODEL);
    test_has(err.text, sentence);
    test_dir_remove(dir);
}

static void only_what_the_card_lists_is_opened(void **state)
{
    (void)state;
    refuse((place){"w.bin", false}, "does not list \"onnx/w.bin\"");
    refuse((place){"../onnx/w.bin", true}, "does not list \"onnx/../onnx/w.bin\"");
    refuse((place){"/etc/hostname", true}, "does not list \"onnx//etc/hostname\"");
}

static void changed_and_cut_weights_are_refused(void **state)
{
    (void)state;
    char dir[TEST_PATH], path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_model *m = NULL;
    lk_err err = {0};
    test_dir_make(dir);
    make_folder(dir, (place){"w.bin", true});
    test_path(dir, "m/onnx/w.bin", path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    p[100] ^= 1;
    test_write(path, p, n);
    test_code(open_model(dir, &m, &err), LK_E_MODEL);
    test_has(err.text, "SHA-256");
    p[100] ^= 1;
    test_write(path, p, n - 1);
    test_code(open_model(dir, &m, &err), LK_E_MODEL);
    test_has(err.text, "bytes");
    lk_free(p);
    test_dir_remove(dir);
}

static lk_code give_little(void *ctx, lk_str location, lk_blob *ret, lk_err *err)
{
    (void)location, (void)err;
    *ret = *(const lk_blob *)ctx;
    return LK_OK;
}

static void a_weight_beyond_the_end_of_its_file_is_refused(void **state)
{
    (void)state;
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_buf model, weights, whole;
    lk_err err = {0};
    test_source("tests/data/towers/both/model.onnx", path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    take_apart((lk_blob){p, n}, "w", &model, &weights);
    lk_blob apart = {(unsigned char *)model.p, model.n},
            all = {(unsigned char *)weights.p, weights.n}, less = {all.p, all.n - 1};
    lk_buf_init(&whole, 0);
    test_code(lk_onnx_embed_external(apart, give_little, &less, &whole, &err), LK_E_MODEL);
    test_has(err.text, "beyond the end");
    lk_buf_clear(&whole);
    test_ok(lk_onnx_embed_external(apart, give_little, &all, &whole, &err), &err);
    assert_false(lk_onnx_has_external_data((lk_blob){(unsigned char *)whole.p, whole.n}));
    lk_buf_release(&whole);
    lk_buf_release(&model);
    lk_buf_release(&weights);
    lk_free(p);
}

static void key_with_weights(char first_digit, char ret[256])
{
    char card[1024];
    lk_arena a;
    lk_card c;
    const char *key = NULL;
    lk_err err;
    snprintf(
        card, sizeof card,
        "{\"name\":\"m\",\"version\":\"1\",\"dim\":16,\"image\":{\"file\":\"a\",\"size\":8,"
        "\"mean\":[0,0,0],\"std\":[1,1,1]},\"files\":{\"a\":{\"sha256\":\"%064d\",\"bytes\":1},"
        "\"b\":{\"sha256\":\"%c%063d\",\"bytes\":1}}}",
        0, first_digit, 0);
    lk_arena_init(&a, 0);
    test_ok(lk_card_parse(lk_str_of(card), &a, &c, &err), &err);
    test_ok(lk_card_key(&c, &a, &key, &err), &err);
    snprintf(ret, 256, "%s", key);
    lk_arena_release(&a);
}

static void the_key_covers_the_weights_outside(void **state)
{
    (void)state;
    char one[256], two[256];
    key_with_weights('1', one);
    key_with_weights('2', two);
    assert_string_not_equal(one, two);
    key_with_weights('1', two);
    assert_string_equal(one, two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_beside_the_model_answer_as_those_inside),
        cmocka_unit_test(only_what_the_card_lists_is_opened),
        cmocka_unit_test(changed_and_cut_weights_are_refused),
        cmocka_unit_test(the_key_covers_the_weights_outside),
        cmocka_unit_test(a_weight_beyond_the_end_of_its_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
