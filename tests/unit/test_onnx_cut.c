/* Files cut down to what some tensors need. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/card.h"
#include "model/graph.h"
#include "model/onnx_cut.h"
#include "model/proto.h"

/* lk_card_file_release afterwards. */
static lk_card_file read_model(const char *name)
{
    char path[TEST_PATH], below[64];
    lk_card_file f = {0};
    lk_err err;
    snprintf(below, sizeof below, "tests/data/towers/%s/model.onnx", name);
    test_source(below, path);
    test_ok(lk_os_read_file(path, 1u << 20, &f.own, &f.bytes.n, &err), &err);
    f.bytes.p = f.own;
    return f;
}

/* The model of that name cut down to one tensor, laid out; *whole: it was left as it is. */
static void cut_to(const char *name, const char *tensor, lk_buf *into, lk_arena *a, lk_graph *ret,
                   bool *whole)
{
    lk_card_file model = read_model(name);
    lk_cut *c = NULL;
    lk_str wanted = lk_str_of(tensor);
    lk_err err;
    lk_buf_init(into, 0);
    lk_arena_init(a, 0);
    test_ok(lk_cut_new(model.bytes, &c, &err), &err);
    test_ok(lk_cut_write(c, 1, &wanted, into, whole, &err), &err);
    if (!*whole)
        test_ok(lk_graph_read((lk_blob){(unsigned char *)into->p, into->n}, a, ret, &err), &err);
    lk_cut_free(c);
    lk_card_file_release(&model);
}

static bool has(const lk_graph *g, const char *name)
{
    return lk_graph_find(g, lk_str_of(name)) != NULL;
}

static void the_other_tower_is_gone_with_its_weights(void **state)
{
    (void)state;
    static const struct {
        const char *tensor, *keeps, *drops;
        size_t n_nodes;
    } towers[] = {{"image_embeds", "w_image", "w_text", 2},
                  {"text_embeds", "w_text", "w_image", 5}};
    for (size_t i = 0; i < LK_ARRAY_LEN(towers); i++) {
        lk_buf b;
        lk_arena a;
        lk_graph g;
        bool whole = true;
        cut_to("both", towers[i].tensor, &b, &a, &g, &whole);
        assert_false(whole);
        assert_int_equal(g.n_nodes, towers[i].n_nodes); /* of ten */
        assert_true(has(&g, towers[i].keeps));
        assert_false(has(&g, towers[i].drops));
        assert_false(has(&g, "logits_per_image"));
        lk_arena_release(&a);
        lk_buf_release(&b);
    }
}

static void what_a_branch_uses_is_kept(void **state)
{
    (void)state;
    lk_buf b;
    lk_arena a;
    lk_graph g;
    bool whole = true;
    cut_to("branch", "embedding", &b, &a, &g, &whole);
    assert_false(whole);
    assert_int_equal(g.n_nodes, 4); /* Flatten, MatMul, Exp, If; no Sin */
    assert_true(has(&g, "scale") && has(&g, "left") && has(&g, "c"));
    assert_false(has(&g, "unwanted"));
    lk_arena_release(&a);
    lk_buf_release(&b);
}

static void a_model_that_is_needed_whole_is_left_as_it_is(void **state)
{
    (void)state;
    lk_buf b;
    lk_arena a;
    lk_graph g;
    bool whole = false;
    cut_to("rows", "last_hidden_state", &b, &a, &g, &whole);
    assert_true(whole);
    assert_int_equal(b.n, 0);
    lk_arena_release(&a);
    lk_buf_release(&b);
}

static void which_inputs_a_tensor_needs_is_known(void **state)
{
    (void)state;
    lk_card_file model = read_model("both");
    lk_cut *c = NULL;
    lk_err err;
    bool needs[3];
    test_ok(lk_cut_new(model.bytes, &c, &err), &err);
    assert_int_equal(lk_cut_n_inputs(c), 3);
    assert_int_equal(lk_cut_n_outputs(c), 4);
    assert_true(lk_cut_input(c, 0)->is_int && lk_cut_input(c, 1)->is_real);
    assert_int_equal(lk_cut_output(c, 1)->last, 192);
    test_ok(lk_cut_needs(c, 1, &LK_STR("image_embeds"), needs, &err), &err);
    assert_true(!needs[0] && needs[1] && !needs[2]);
    test_ok(lk_cut_needs(c, 1, &LK_STR("text_embeds"), needs, &err), &err);
    assert_true(needs[0] && !needs[1] && needs[2]);
    test_ok(lk_cut_needs(c, 1, &LK_STR("logits_per_image"), needs, &err), &err);
    assert_true(needs[0] && needs[1] && needs[2]);
    test_code(lk_cut_needs(c, 1, &LK_STR("pixel_values"), needs, &err), LK_E_MODEL);
    test_code(lk_cut_needs(c, 1, &LK_STR("nothing"), needs, &err), LK_E_MODEL);
    lk_cut_free(c);
    lk_card_file_release(&model);
}

static lk_code cut_it(void *ctx, lk_err *err)
{
    lk_cut *c = NULL;
    lk_buf b;
    bool whole;
    lk_buf_init(&b, 0);
    lk_code code = lk_cut_new(*(lk_blob *)ctx, &c, err);
    if (!code)
        code = lk_cut_write(c, 1, &LK_STR("text_embeds"), &b, &whole, err);
    lk_cut_free(c);
    lk_buf_release(&b);
    return code;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    lk_card_file model = read_model("both");
    test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, cut_it, &model.bytes);
    lk_card_file_release(&model);
}

static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    lk_card_file file = read_model("both");
    lk_blob good = file.bytes;
    unsigned char *bytes = lk_malloc(good.n);
    test_rng rng = {11};
    size_t refused = 0, cut = 0;
    assert_non_null(bytes);
    for (size_t round = 0; round < 2000; round++) {
        memcpy(bytes, good.p, good.n);
        size_t n = round % 2 ? good.n : (size_t)test_rng_below(&rng, good.n);
        for (size_t k = 0; k < 6; k++)
            bytes[test_rng_below(&rng, good.n)] = (unsigned char)test_rng_below(&rng, 256);
        lk_blob b = {bytes, n};
        *(cut_it(&b, NULL) ? &refused : &cut) += 1;
    }
    assert_true(refused > 500 && cut > 100);
    lk_free(bytes);
    lk_card_file_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_other_tower_is_gone_with_its_weights),
        cmocka_unit_test(what_a_branch_uses_is_kept),
        cmocka_unit_test(a_model_that_is_needed_whole_is_left_as_it_is),
        cmocka_unit_test(which_inputs_a_tensor_needs_is_known),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
        cmocka_unit_test(damaged_bytes_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
