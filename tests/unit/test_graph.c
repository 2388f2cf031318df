/* A model's graph as a table. */
#include "support.h"

#include <string.h>

#include "base/embed.h"
#include "base/mem.h"
#include "model/graph.h"
#include "model/proto.h"

static lk_blob mini(void)
{
    const lk_embedded_file *f = lk_embedded_find("models/mini/image.onnx");
    assert_non_null(f);
    return (lk_blob){f->data, f->size};
}

static lk_code read_it(lk_blob model, lk_arena *a, lk_graph *g)
{
    lk_arena_init(a, 0);
    return lk_graph_read(model, a, g, NULL);
}

static void the_bundled_image_tower_is_laid_out(void **state)
{
    (void)state;
    lk_arena a;
    lk_graph g;
    test_code(read_it(mini(), &a, &g), LK_OK);
    assert_int_equal(g.opset, 17);
    assert_int_equal(g.n_nodes, 54);
    const lk_graph_name *out = lk_graph_find(&g, LK_STR("image_embeds"));
    assert_non_null(out);
    assert_int_equal(out->uses, 1); /* the graph's output */
    assert_true(lk_str_is(g.nodes[out->node - 1].op, "Div"));
    const lk_graph_name *w = lk_graph_find(&g, LK_STR("w64h"));
    assert_non_null(w);
    assert_int_equal(w->node, 0);
    const lk_graph_tensor *t = &g.tensors[w->tensor - 1];
    assert_int_equal(t->type, LK_ONNX_FLOAT16);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->data.n, (size_t)(t->dims[0] * t->dims[1]) * 2);
    assert_null(lk_graph_find(&g, LK_STR("w64hh")));
    lk_arena_release(&a);
}

static void attributes_are_found_by_name(void **state)
{
    (void)state;
    lk_arena a;
    lk_graph g;
    test_code(read_it(mini(), &a, &g), LK_OK);
    for (size_t i = 0; i < g.n_nodes; i++) {
        if (!lk_str_is(g.nodes[i].op, "Gemm"))
            continue;
        assert_int_equal(lk_graph_attr_int(&g.nodes[i], "transB", 0), 1);
        assert_int_equal(lk_graph_attr_int(&g.nodes[i], "transA", 0), 0);
        assert_true(lk_graph_attr_float(&g.nodes[i], "gamma", 0.5f) == 0.5f);
        lk_arena_release(&a);
        return;
    }
    fail_msg("the model has no Gemm");
}

static void put_node(lk_buf *graph, const char *op, const char *in, const char *out)
{
    lk_buf n;
    lk_buf_init(&n, 0);
    lk_pb_put_str(&n, LK_ONNX_NODE_INPUT, lk_str_of(in));
    lk_pb_put_str(&n, LK_ONNX_NODE_OUTPUT, lk_str_of(out));
    lk_pb_put_str(&n, LK_ONNX_NODE_OP, lk_str_of(op));
    lk_pb_put_bytes(graph, LK_ONNX_GRAPH_NODE, n.p, n.n);
    lk_buf_release(&n);
}

static void wrap(lk_buf *b, uint32_t number)
{
    lk_buf outer;
    lk_buf_init(&outer, 0);
    lk_pb_put_bytes(&outer, number, b->p, b->n);
    lk_buf_release(b);
    *b = outer;
}

static void what_an_inner_graph_uses_is_counted(void **state)
{
    (void)state;
    lk_arena a;
    lk_graph g;
    lk_buf inner, b;
    lk_buf_init(&inner, 0);
    put_node(&inner, "Neg", "x", "inside");
    wrap(&inner, 6); /* AttributeProto.g */
    wrap(&inner, LK_ONNX_NODE_ATTRIBUTE);
    lk_buf_init(&b, 0);
    put_node(&b, "Abs", "start", "x");
    lk_pb_put_bytes(&b, LK_ONNX_GRAPH_NODE, inner.p, inner.n);
    wrap(&b, LK_ONNX_MODEL_GRAPH);
    test_code(read_it((lk_blob){(unsigned char *)b.p, b.n}, &a, &g), LK_OK);
    assert_int_equal(lk_graph_find(&g, LK_STR("x"))->uses, 1);
    assert_null(lk_graph_find(&g, LK_STR("inside")));
    lk_arena_release(&a);
    lk_buf_release(&inner);
    lk_buf_release(&b);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    lk_arena a;
    lk_graph g;
    lk_buf b;
    lk_buf_init(&b, 0);
    put_node(&b, "Abs", "start", "x");
    put_node(&b, "Neg", "start", "x");
    wrap(&b, LK_ONNX_MODEL_GRAPH);
    test_code(read_it((lk_blob){(unsigned char *)b.p, b.n}, &a, &g), LK_E_MODEL); /* two of x */
    lk_arena_release(&a);
    test_code(read_it((lk_blob){(unsigned char *)b.p, b.n - 1}, &a, &g), LK_E_MODEL);
    lk_arena_release(&a);
    test_code(read_it((lk_blob){mini().p, mini().n / 2}, &a, &g), LK_E_MODEL);
    lk_arena_release(&a);
    test_code(read_it((lk_blob){NULL, 0}, &a, &g), LK_E_MODEL);
    lk_arena_release(&a);
    lk_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bundled_image_tower_is_laid_out),
        cmocka_unit_test(attributes_are_found_by_name),
        cmocka_unit_test(what_an_inner_graph_uses_is_counted),
        cmocka_unit_test(what_is_no_model_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
