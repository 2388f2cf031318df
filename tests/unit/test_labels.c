/* Categories by prompts and by a classifier, over the bundled model and a real ViT of ImageNet. */
#include "support.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "model/labels.h"

#define DIM 256
#define VIT "assets/models/vit-tiny/vision.onnx"
#define APPLE "assets/photos/grocery/test/Fruit/Apple/Granny-Smith/Granny-Smith_002.jpg"
#define BANANA "assets/photos/grocery/test/Fruit/Banana/Banana_003.jpg"

static lk_model *open_model(const char *name)
{
    lk_model *m = NULL;
    lk_model_opts o;
    lk_err err;
    lk_model_opts_default(&o);
    test_ok(lk_model_open(name, &o, &m, &err), &err);
    return m;
}

static lk_code make(lk_model *m, const char *spec, lk_labels **ret, lk_err *err)
{
    lk_json *json = NULL;
    lk_model_opts o;
    lk_model_opts_default(&o);
    memset(err, 0, sizeof *err);
    test_ok(lk_json_parse(lk_str_of(spec), &json, err), err);
    lk_code code = lk_labels_new(m, lk_json_root(json), &o, ret, err);
    lk_json_free(json);
    return code;
}

static void read_photo(const char *name, lk_picture *ret)
{
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_err err;
    lk_image_limits limits = lk_image_limits_default();
    test_shared(name, path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    test_ok(lk_picture_decode((lk_blob){p, n}, &limits, false, ret, &err), &err);
    lk_free(p);
}

static double sum_of(const float *v, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)v[i];
    return s;
}

static size_t best_of(const float *v, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = v[i] > v[best] ? i : best;
    return best;
}

/* ---- by prompts ---- */

static void a_label_is_the_mean_of_its_prompts_in_all_templates(void **state)
{
    (void)state;
    static const char *const texts[] = {"boat", "a boat on water", "ship", "a ship on water"};
    float v[DIM], mean[DIM] = {0}, dog[DIM], picture[DIM], probs[2];
    double norm = 0, cat_boat = 0, cat_dog = 0;
    lk_labels *l = NULL;
    lk_err err;
    lk_model *m = open_model("mini");
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++) {
        test_ok(lk_model_embed_text(m, lk_str_of(texts[i]), v, &err), &err);
        for (size_t j = 0; j < DIM; j++)
            mean[j] += v[j];
    }
    for (size_t j = 0; j < DIM; j++)
        norm += (double)mean[j] * (double)mean[j];
    test_ok(lk_model_embed_text(m, LK_STR("dog"), v, &err), &err);
    test_ok(lk_model_embed_text(m, LK_STR("a dog on water"), dog, &err), &err);
    double dog_norm = 0;
    for (size_t j = 0; j < DIM; j++) {
        dog[j] += v[j];
        dog_norm += (double)dog[j] * (double)dog[j];
    }
    test_ok(lk_model_embed_text(m, LK_STR("a harbour with boats"), picture, &err), &err);
    for (size_t j = 0; j < DIM; j++) {
        cat_boat += (double)picture[j] * (double)mean[j] / sqrt(norm);
        cat_dog += (double)picture[j] * (double)dog[j] / sqrt(dog_norm);
    }
    test_ok(make(m,
                 "{\"labels\": {\"vessel\": [\"boat\", \"ship\"], \"dog\": \"dog\"},"
                 " \"templates\": [\"{}\", \"a {} on water\"], \"logit_scale\": 7}",
                 &l, &err),
            &err);
    assert_int_equal(lk_labels_kind_of(l), LK_LABELS_PROMPTS);
    assert_int_equal(lk_labels_n(l), 2);
    assert_string_equal(lk_labels_names(l)[0], "vessel");
    test_ok(lk_labels_judge(l, picture, NULL, probs, &err), &err);
    double wanted = 1 / (1 + exp(7 * (cat_dog - cat_boat)));
    if (fabs((double)probs[0] - wanted) > 1e-5)
        fail_msg("%g where %g was wanted", (double)probs[0], wanted);
    assert_true(fabs(sum_of(probs, 2) - 1) < 1e-6);
    lk_labels_unref(l);
    lk_model_close(m);
}

static void the_cards_scale_counts_where_none_is_given(void **state)
{
    (void)state;
    float v[DIM], own[2], given[2];
    lk_labels *l = NULL;
    lk_err err;
    lk_model *m = open_model("mini");
    assert_true(lk_model_info_of(m)->logit_scale == 24);
    test_ok(lk_model_embed_text(m, LK_STR("puppy"), v, &err), &err);
    test_ok(make(m, "{\"labels\": [\"dog\", \"boat\"]}", &l, &err), &err);
    test_ok(lk_labels_judge(l, v, NULL, own, &err), &err);
    lk_labels_unref(l);
    test_ok(make(m, "{\"labels\": [\"dog\", \"boat\"], \"logit_scale\": 24}", &l, &err), &err);
    test_ok(lk_labels_judge(l, v, NULL, given, &err), &err);
    lk_labels_unref(l);
    assert_memory_equal(own, given, sizeof own);
    assert_true(own[0] > 0.9F);
    lk_model_close(m);
}

static void a_prompt_of_unknown_words_is_passed_over_and_a_label_of_such_is_an_error(void **state)
{
    (void)state;
    float v[DIM], with[2], without[2];
    lk_labels *l = NULL;
    lk_err err;
    lk_model *m = open_model("mini");
    test_ok(lk_model_embed_text(m, LK_STR("cat"), v, &err), &err);
    test_ok(make(m, "{\"labels\": {\"a\": [\"cat\", \"qzxwvk\"], \"b\": \"dog\"}}", &l, &err),
            &err);
    test_ok(lk_labels_judge(l, v, NULL, with, &err), &err);
    lk_labels_unref(l);
    test_ok(make(m, "{\"labels\": {\"a\": \"cat\", \"b\": \"dog\"}}", &l, &err), &err);
    test_ok(lk_labels_judge(l, v, NULL, without, &err), &err);
    lk_labels_unref(l);
    assert_memory_equal(with, without, sizeof with);
    test_code(make(m, "{\"labels\": {\"a\": \"qzxwvk\", \"b\": \"dog\"}}", &l, &err),
              LK_E_NO_MEANING);
    test_has(err.text, "\"a\"");
    lk_model_close(m);
}

static void the_models_own_labels_are_as_its_card_has_them(void **state)
{
    (void)state;
    float v[DIM], probs[10], wanted[10];
    lk_labels *l = NULL;
    lk_model_opts o;
    lk_err err;
    lk_model *m = open_model("mini");
    lk_model_opts_default(&o);
    test_ok(lk_labels_new(m, NULL, &o, &l, &err), &err);
    assert_int_equal(lk_labels_kind_of(l), LK_LABELS_MODEL);
    assert_int_equal(lk_labels_n(l), 10);
    assert_string_equal(lk_labels_names(l)[9], "other");
    test_ok(lk_model_embed_text(m, LK_STR("pizza"), v, &err), &err);
    test_ok(lk_labels_judge(l, v, NULL, probs, &err), &err);
    test_ok(lk_model_classify(m, v, wanted, &err), &err);
    assert_memory_equal(probs, wanted, sizeof probs);
    lk_labels_unref(l);
    lk_model_close(m);
}

/* ---- by a classifier ---- */

/* A folder with the ViT's scores as its rows; the classes that tests name have their names. */
static void make_classifier(const char *dir, size_t n_classes)
{
    static const struct {
        int i;
        const char *name;
    } named[] = {{948, "Granny Smith"}, {950, "orange"}, {951, "lemon"},
                 {954, "banana"},       {134, "crane"},  {517, "crane"}};
    char vit[TEST_PATH], path[TEST_PATH], hex[2][LK_SHA256_HEX + 1];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_buf classes, card;
    lk_sha256 h;
    lk_err err;
    test_shared(VIT, vit);
    test_ok(lk_os_read_file(vit, 0, &p, &n, &err), &err);
    test_path(dir, "vision.onnx", path);
    test_ok(lk_os_write_file(path, p, n, &err), &err);
    test_ok(lk_sha256_of(p, n, &h, &err), &err);
    lk_sha256_hex(&h, hex[0]);
    lk_free(p);
    lk_buf_init(&classes, 1 << 20);
    for (int i = 0; i < (int)n_classes; i++) {
        const char *name = NULL;
        for (size_t k = 0; k < LK_ARRAY_LEN(named); k++)
            name = named[k].i == i ? named[k].name : name;
        if (name)
            lk_buf_printf(&classes, "%s\n", name);
        else
            lk_buf_printf(&classes, "class %d\n", i);
    }
    test_path(dir, "classes.txt", path);
    test_ok(lk_os_write_file(path, classes.p, classes.n, &err), &err);
    test_ok(lk_sha256_of(classes.p, classes.n, &h, &err), &err);
    lk_sha256_hex(&h, hex[1]);
    lk_buf_init(&card, 1 << 16);
    lk_buf_printf(&card,
                  "{\"name\":\"vit-classes\",\"version\":\"1\",\"dim\":1000,\"image\":{\"file\":"
                  "\"vision.onnx\",\"output\":\"logits\",\"size\":224,\"short_side\":248,"
                  "\"mean\":[0.5,0.5,0.5],\"std\":[0.5,0.5,0.5]},"
                  "\"classes\":{\"file\":\"classes.txt\"},\"files\":{\"vision.onnx\":{\"sha256\":"
                  "\"%s\",\"bytes\":%zu},\"classes.txt\":{\"sha256\":\"%s\",\"bytes\":%zu}}}",
                  hex[0], n, hex[1], classes.n);
    test_path(dir, "model.json", path);
    test_ok(lk_os_write_file(path, card.p, card.n, &err), &err);
    lk_buf_release(&card);
    lk_buf_release(&classes);
}

static void judge_photo(const lk_labels *l, const char *name, float *ret)
{
    lk_picture pic;
    lk_err err;
    read_photo(name, &pic);
    test_ok(lk_labels_judge(l, NULL, &pic.image, ret, &err), &err);
    lk_picture_release(&pic);
}

static void classes_add_up_to_the_labels_that_claim_them(void **state)
{
    (void)state;
    char dir[TEST_PATH], spec[TEST_PATH + 200];
    float all[1000], some[3];
    lk_labels *l = NULL;
    lk_err err;
    test_dir_make(dir);
    make_classifier(dir, 1000);
    lk_model *m = open_model("mini");
    snprintf(spec, sizeof spec, "{\"classifier\": \"%s\"}", dir);
    test_ok(make(m, spec, &l, &err), &err);
    assert_int_equal(lk_labels_kind_of(l), LK_LABELS_CLASSIFIER);
    assert_int_equal(lk_labels_n(l), 1000);
    judge_photo(l, APPLE, all);
    assert_true(fabs(sum_of(all, 1000) - 1) < 1e-4);
    assert_string_equal(lk_labels_names(l)[best_of(all, 1000)], "Granny Smith");
    lk_labels_unref(l);
    snprintf(spec, sizeof spec,
             "{\"classifier\": \"%s\", \"labels\": {\"green\": \"Granny Smith\", \"yellow\": "
             "[\"banana\", \"lemon\"]}, \"rest\": \"another\"}",
             dir);
    test_ok(make(m, spec, &l, &err), &err);
    assert_int_equal(lk_labels_n(l), 3);
    assert_string_equal(lk_labels_names(l)[2], "another");
    judge_photo(l, APPLE, some);
    assert_true(fabs((double)some[0] - (double)all[948]) < 1e-6);
    assert_true(fabs((double)some[1] - (double)all[951] - (double)all[954]) < 1e-6);
    assert_true(fabs(sum_of(some, 3) - 1) < 1e-4);
    judge_photo(l, BANANA, some);
    assert_int_equal(best_of(some, 3), 1);
    lk_labels_unref(l);
    lk_model_close(m);
    test_dir_remove(dir);
}

/* ---- what is refused ---- */

static void a_wrong_specification_is_refused_with_its_member(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *field, *says;
    } bad[] = {
        {"[]", "categories", "an object, not an array"},
        {"{}", "labels", "labels are an object"},
        {"{\"labels\": {}}", "labels", "labels are an object"},
        {"{\"labels\": 5}", "labels", "labels are an object"},
        {"{\"labels\": [\"a\", 5]}", "labels", "1 to 128 bytes"},
        {"{\"labels\": [\"dog\", \"dog\"]}", "labels", "twice"},
        {"{\"labels\": {\"dog\": []}}", "labels", "\"dog\" has a text or a list"},
        {"{\"labels\": {\"dog\": {\"a\": 1}}}", "labels", "\"dog\" has a text or a list"},
        {"{\"labels\": {\"dog\": [\"dog\", 1]}}", "labels", "\"dog\" has a text or a list"},
        {"{\"labels\": [\"dog\"], \"templates\": []}", "templates", "{}"},
        {"{\"labels\": [\"dog\"], \"templates\": [\"a photo\"]}", "templates", "{}"},
        {"{\"labels\": [\"dog\"], \"templates\": \"a {}\"}", "templates", "{}"},
        {"{\"labels\": [\"dog\"], \"logit_scale\": 0}", "logit_scale", ""},
        {"{\"labels\": [\"dog\"], \"scale\": 5}", "scale", ""},
        {"{\"classifier\": \"no-such-model\"}", "model", "no-such-model"},
        {"{\"classifier\": \"mini\"}", "classifier", "it is no classifier"},
        {"{\"classifier\": 5}", "classifier", ""},
    };
    lk_labels *l = NULL;
    lk_err err;
    lk_model *m = open_model("mini");
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        lk_code code = make(m, bad[i].spec, &l, &err);
        if (code != LK_E_INVALID && code != LK_E_NOT_FOUND)
            fail_msg("%s: %s", bad[i].spec, lk_code_word(code));
        assert_string_equal(err.field, bad[i].field);
        test_has(err.text, bad[i].says);
    }
    lk_model_close(m);
}

static void a_wrong_map_of_classes_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *more, *says;
    } bad[] = {
        {"\"labels\": {\"a\": \"no such class\"}", "has no class \"no such class\""},
        {"\"labels\": {\"a\": \"banana\", \"b\": [\"banana\"]}", "claimed by \"a\" and by \"b\""},
        {"\"templates\": [\"{}\"]", "templates"},
        {"\"rest\": \"\", \"labels\": [\"banana\"]", "1 to 128 bytes"},
    };
    char dir[TEST_PATH], spec[TEST_PATH + 200];
    lk_labels *l = NULL;
    lk_model_opts o;
    lk_err err;
    test_dir_make(dir);
    make_classifier(dir, 1000);
    lk_model *text_model = open_model("mini");
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        snprintf(spec, sizeof spec, "{\"classifier\": \"%s\", %s}", dir, bad[i].more);
        test_code(make(text_model, spec, &l, &err), LK_E_INVALID);
        test_has(err.text, bad[i].says);
    }
    lk_model_opts_default(&o);
    lk_model *none = open_model(dir);
    test_code(make(none, "{\"labels\": [\"dog\"]}", &l, &err), LK_E_UNSUPPORTED);
    test_ok(lk_labels_new(none, NULL, &o, &l, &err), &err);
    assert_int_equal(lk_labels_kind_of(l), LK_LABELS_NONE);
    assert_int_equal(lk_labels_n(l), 0);
    lk_labels_unref(l);
    lk_model_close(none);
    lk_model_close(text_model);
    make_classifier(dir, 999);
    lk_model *m = NULL;
    test_code(lk_model_open(dir, &o, &m, &err), LK_E_MODEL);
    test_has(err.text, "names 999 classes, the model scores 1000");
    test_dir_remove(dir);
}

/* ---- memory ---- */

typedef struct making {
    lk_model *m;
    lk_json *spec;
} making;

static lk_code make_and_judge(void *ctx, lk_err *err)
{
    const making *w = ctx;
    lk_labels *l = NULL;
    lk_model_opts o;
    float v[DIM] = {1}, probs[2];
    lk_model_opts_default(&o);
    lk_code code = lk_labels_new(w->m, lk_json_root(w->spec), &o, &l, err);
    if (!code)
        code = lk_labels_judge(l, v, NULL, probs, err);
    lk_labels_unref(l);
    return code;
}

static void memory_that_runs_out_anywhere_is_told_and_given_back(void **state)
{
    (void)state;
    lk_err err;
    making w = {.m = open_model("mini")};
    test_ok(lk_json_parse(LK_STR("{\"labels\": {\"a\": [\"cat\", \"dog\"], \"b\": \"boat\"}, "
                                 "\"templates\": [\"{}\", \"a {}\"]}"),
                          &w.spec, &err),
            &err);
    assert_true(test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, make_and_judge, &w) > 5);
    lk_json_free(w.spec);
    lk_model_close(w.m);
}

static int start(void **state)
{
    (void)state;
    return lk_image_start(NULL) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_is_the_mean_of_its_prompts_in_all_templates),
        cmocka_unit_test(the_cards_scale_counts_where_none_is_given),
        cmocka_unit_test(a_prompt_of_unknown_words_is_passed_over_and_a_label_of_such_is_an_error),
        cmocka_unit_test(the_models_own_labels_are_as_its_card_has_them),
        cmocka_unit_test(classes_add_up_to_the_labels_that_claim_them),
        cmocka_unit_test(a_wrong_specification_is_refused_with_its_member),
        cmocka_unit_test(a_wrong_map_of_classes_is_refused),
        cmocka_unit_test(memory_that_runs_out_anywhere_is_told_and_given_back),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
