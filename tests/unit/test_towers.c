/* Towers of every shape that exporters publish: small models with random weights, each beside what
 * ONNX Runtime and numpy made of one picture and one text (tools/make-test-models). */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "model/model.h"
#include "model/tower.h"

#define DIM 16
#define SIDE 8

static void folder_of(const char *name, char ret[TEST_PATH])
{
    char below[64];
    snprintf(below, sizeof below, "tests/data/towers/%s", name);
    test_source(below, ret);
}

static lk_model *open_folder(const char *dir)
{
    lk_model *m = NULL;
    lk_model_opts o;
    lk_err err;
    lk_model_opts_default(&o);
    test_ok(lk_model_open(dir, &o, &m, &err), &err);
    return m;
}

/* Byte i of the pixels is 37 * i modulo 256. */
static void make_picture(lk_image *ret)
{
    lk_err err;
    test_ok(lk_image_new(ret, SIDE, SIDE, &err), &err);
    for (size_t i = 0; i < 3 * SIDE * SIDE; i++)
        ret->px[i] = (unsigned char)(37 * i);
}

/* expected.json's member of that name. */
static void read_expected(const char *dir, const char *member, float ret[DIM])
{
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_json *json = NULL;
    lk_err err;
    test_path(dir, "expected.json", path);
    test_ok(lk_os_read_file(path, 1u << 20, &p, &n, &err), &err);
    test_ok(lk_json_parse((lk_str){(const char *)p, n}, &json, &err), &err);
    const lk_jval *row = lk_jval_get(lk_json_root(json), member);
    assert_int_equal(lk_jval_len(row), DIM);
    for (size_t i = 0; i < DIM; i++)
        ret[i] = (float)lk_jval_real(lk_jval_at(row, i));
    lk_json_free(json);
    lk_free(p);
}

static void expect_near(const char *dir, const char *member, const float *got, double within)
{
    float want[DIM];
    read_expected(dir, member, want);
    for (size_t i = 0; i < DIM; i++)
        if (!(fabs((double)(got[i] - want[i])) <= within))
            fail_msg("%s: %s[%zu] is %g, expected %g", dir, member, i, (double)got[i],
                     (double)want[i]);
}

static void expect_picture(const char *name, double within)
{
    char dir[TEST_PATH];
    float rows[3][DIM];
    lk_image im;
    lk_err err;
    folder_of(name, dir);
    make_picture(&im);
    const lk_image *three[3] = {&im, &im, &im};
    lk_model *m = open_folder(dir);
    test_ok(lk_model_embed_images(m, 3, three, rows[0], &err), &err);
    for (size_t i = 0; i < 3; i++)
        expect_near(dir, "image", rows[i], within);
    lk_model_close(m);
    lk_image_release(&im);
}

static void expect_text(const char *name, double within)
{
    char dir[TEST_PATH];
    float row[DIM];
    lk_err err;
    folder_of(name, dir);
    lk_model *m = open_folder(dir);
    test_ok(lk_model_embed_text(m, LK_STR("red apple"), row, &err), &err);
    expect_near(dir, "text", row, within);
    lk_model_close(m);
}

/* ---- every shape ---- */

static void both_towers_come_out_of_one_file(void **state)
{
    (void)state;
    expect_picture("both", 1e-5);
    expect_text("both", 1e-5);
}

static void a_pooled_layer_inside_the_graph_is_promoted(void **state)
{
    (void)state;
    expect_picture("inner", 1e-5);
}

static void the_first_row_is_taken_out_of_halves_with_pixels_first(void **state)
{
    (void)state;
    expect_picture("rows", 2e-3); /* a half's 11 bits */
}

static void a_masked_mean_goes_through_the_matrix_that_follows(void **state)
{
    (void)state;
    expect_text("mean", 1e-5);
}

static void a_branch_reaches_tensors_outside_it(void **state)
{
    (void)state;
    expect_picture("branch", 1e-5);
}

/* ---- the unused tower ---- */

static size_t session_inputs(lk_onnx *rt, const char *name, lk_tower_kind kind,
                             char ret[LK_MAX_INPUTS][128])
{
    char dir[TEST_PATH];
    lk_arena a;
    lk_card card;
    lk_tower t;
    lk_err err;
    folder_of(name, dir);
    lk_card_source from = {.dir = dir};
    lk_arena_init(&a, 0);
    test_ok(lk_card_read(&from, &a, &card, &err), &err);
    test_ok(lk_tower_open(rt, &from, &card, kind, NULL, &t, &err), &err);
    size_t n = lk_session_n_inputs(t.session);
    for (size_t i = 0; i < n; i++)
        snprintf(ret[i], sizeof ret[i], "%s", lk_session_input(t.session, i)->name);
    assert_int_equal(lk_session_n_outputs(t.session), 1);
    lk_tower_release(&t);
    lk_arena_release(&a);
    return n;
}

static void a_session_of_a_combined_file_asks_only_for_its_own_tower(void **state)
{
    (void)state;
    lk_onnx *rt = NULL;
    lk_err err;
    char names[LK_MAX_INPUTS][128];
    test_ok(lk_onnx_open(NULL, NULL, &rt, &err), &err);
    assert_int_equal(session_inputs(rt, "both", LK_TOWER_IMAGE, names), 1);
    assert_string_equal(names[0], "pixel_values");
    assert_int_equal(session_inputs(rt, "both", LK_TOWER_TEXT, names), 2);
    assert_string_equal(names[0], "input_ids");
    assert_string_equal(names[1], "attention_mask");
    assert_int_equal(session_inputs(rt, "mean", LK_TOWER_TEXT, names), 3);
    lk_onnx_close(rt);
}

/* ---- cards that do not fit ---- */

/* Write p[n] with `to` in place of the first `from`, which is there. */
static void write_edited(const char *path, lk_str text, const char *from, const char *to)
{
    char *z = strndup(text.p, text.n), *at = z ? strstr(z, from) : NULL;
    lk_buf b;
    if (!at)
        fail_msg("%s does not hold %s", path, from);
    lk_buf_init(&b, 0);
    lk_buf_put(&b, z, (size_t)(at - z));
    lk_buf_puts(&b, to);
    lk_buf_puts(&b, at + strlen(from));
    test_write(path, b.p, b.n);
    lk_buf_release(&b);
    free(z);
}

/* A copy of the folder with its card edited. */
static void copy_edited(const char *name, const char *dir, const char *from, const char *to)
{
    static const char *const files[] = {"model.onnx", "vocab.txt", "dense.safetensors",
                                        "model.json"};
    char source[TEST_PATH], path[TEST_PATH];
    folder_of(name, source);
    for (size_t i = 0; i < LK_ARRAY_LEN(files); i++) {
        unsigned char *p = NULL;
        size_t n = 0;
        test_path(source, files[i], path);
        if (lk_os_read_file(path, 1u << 20, &p, &n, NULL)) /* not every folder has all */
            continue;
        test_path(dir, files[i], path);
        if (strcmp(files[i], "model.json") == 0)
            write_edited(path, (lk_str){(const char *)p, n}, from, to);
        else
            test_write(path, p, n);
        lk_free(p);
    }
}

static void edit(const char *dir, const char *from, const char *to)
{
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_err err;
    test_path(dir, "model.json", path);
    test_ok(lk_os_read_file(path, 1u << 20, &p, &n, &err), &err);
    write_edited(path, (lk_str){(const char *)p, n}, from, to);
    lk_free(p);
}

/* WordPiece's [CLS] cat [SEP] are numbers 2, 1 and 3, as "green red blue" are in the list of words;
 * the rows of 52 that the card has it padded to are masked out. */
static void the_card_says_how_texts_become_numbers(void **state)
{
    (void)state;
    static const char vocab[] = "[PAD]\ncat\n[CLS]\n[SEP]\n[UNK]\n";
    char dir[TEST_PATH], path[TEST_PATH], hex[LK_SHA256_HEX + 1], card[256];
    float want[DIM], got[DIM];
    lk_sha256 hash;
    lk_err err;
    folder_of("both", dir);
    lk_model *m = open_folder(dir);
    test_ok(lk_model_embed_text(m, LK_STR("green red blue"), want, &err), &err);
    lk_model_close(m);

    test_ok(lk_sha256_of(vocab, sizeof vocab - 1, &hash, &err), &err);
    lk_sha256_hex(&hash, hex);
    snprintf(card, sizeof card, "\"files\": {\"pieces.txt\": {\"sha256\": \"%s\", \"bytes\": %zu},",
             hex, sizeof vocab - 1);
    test_dir_make(dir);
    copy_edited("both", dir, "\"files\": {", card);
    edit(dir, "\"words\"", "\"wordpiece\"");
    edit(dir, "\"vocab\": \"vocab.txt\"", "\"vocab\": \"pieces.txt\"");
    test_path(dir, "pieces.txt", path);
    test_write(path, vocab, sizeof vocab - 1);
    m = open_folder(dir);
    test_ok(lk_model_embed_text(m, LK_STR("CAT"), got, &err), &err);
    for (size_t i = 0; i < DIM; i++)
        assert_true(fabs((double)(got[i] - want[i])) < 1e-6);
    lk_model_close(m);
    test_dir_remove(dir);
}

static void what_a_classifier_reads_is_found_without_a_name(void **state)
{
    (void)state;
    char dir[TEST_PATH], own[TEST_PATH];
    float row[DIM];
    lk_image im;
    lk_err err;
    const lk_image *one = &im;
    folder_of("inner", own);
    test_dir_make(dir);
    copy_edited("inner", dir, "\"output\": \"pooled\",", "");
    make_picture(&im);
    lk_model *m = open_folder(dir);
    test_ok(lk_model_embed_images(m, 1, &one, row, &err), &err);
    expect_near(own, "image", row, 1e-5);
    lk_model_close(m);
    lk_image_release(&im);
    test_dir_remove(dir);
}

static void a_card_that_does_not_fit_its_towers_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *from, *to, *says;
    } bad[] = {
        {"inner", "\"output\": \"pooled\"", "\"output\": \"flatter\"", "makes no tensor"},
        {"inner", "\"output\": \"pooled\"", "\"output\": \"map\"", "came as [1,16,6,6]"},
        {"inner", "\"output\": \"pooled\",", "\"pool\": \"cls\",", "no output of 16 numbers"},
        {"rows", "\"pool\": \"cls\",", "", "no output of 16 numbers"},
        {"rows", "\"pool\": \"cls\"", "\"pool\": \"sum\"", "pool"},
        {"rows", "\"size\": 8", "\"size\": 9", "[N,3,9,9]"},
        {"mean", "\"pool\": \"mean\",", "\"output\": \"token_embeddings\",",
         "must say by \"pool\""},
        {"mean", "\"padding\": \"full\"", "\"padding\": \"full\", \"max_terms\": 7",
         "wants 6 terms"},
        {"mean", "\"dim\": 16", "\"dim\": 15", "gives 16 numbers"},
        {"mean", "\"projection\": \"dense.safetensors\"", "\"projection\": \"model.onnx\"",
         "no safetensors file"},
        {"both", "\"dim\": 16", "\"dim\": 24", "no output of 24 numbers"},
    };
    lk_model_opts o;
    lk_model_opts_default(&o);
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        char dir[TEST_PATH];
        lk_model *m = NULL;
        lk_err err = {0};
        test_dir_make(dir);
        copy_edited(bad[i].name, dir, bad[i].from, bad[i].to);
        lk_code code = lk_model_open(dir, &o, &m, &err);
        if (code != LK_E_MODEL || !strstr(err.text, bad[i].says))
            fail_msg("%s with %s: %s, \"%s\"", bad[i].name, bad[i].to, lk_code_word(code),
                     err.text);
        test_dir_remove(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_towers_come_out_of_one_file),
        cmocka_unit_test(a_pooled_layer_inside_the_graph_is_promoted),
        cmocka_unit_test(the_first_row_is_taken_out_of_halves_with_pixels_first),
        cmocka_unit_test(a_masked_mean_goes_through_the_matrix_that_follows),
        cmocka_unit_test(a_branch_reaches_tensors_outside_it),
        cmocka_unit_test(a_session_of_a_combined_file_asks_only_for_its_own_tower),
        cmocka_unit_test(the_card_says_how_texts_become_numbers),
        cmocka_unit_test(what_a_classifier_reads_is_found_without_a_name),
        cmocka_unit_test(a_card_that_does_not_fit_its_towers_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
