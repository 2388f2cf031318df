/* int8 models of float ones: the same answers within the rounding, and what is refused. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/embed.h"
#include "base/mem.h"
#include "model/graph.h"
#include "model/onnx.h"
#include "model/proto.h"
#include "model/quantize.h"

/* ---- models made here ---- */

enum { K = 8, M = 5, ROWS = 3 };

typedef struct maker {
    lk_buf graph;
    int opset;
} maker;

static void start_model(maker *m)
{
    lk_buf_init(&m->graph, 0);
    m->opset = 17;
}

static void put_inside(lk_buf *b, uint32_t number, lk_buf *inner)
{
    lk_pb_put_bytes(b, number, inner->p, inner->n);
    lk_buf_release(inner);
}

/* A node of up to three inputs ("a b c"); attr: an integer, NULL for none. */
static void node(maker *m, const char *op, const char *inputs, const char *out, const char *attr,
                 int64_t value)
{
    lk_buf n, a;
    lk_str rest = lk_str_of(inputs);
    lk_buf_init(&n, 0);
    while (rest.n)
        lk_pb_put_str(&n, LK_ONNX_NODE_INPUT, lk_str_cut(&rest, ' '));
    lk_pb_put_str(&n, LK_ONNX_NODE_OUTPUT, lk_str_of(out));
    lk_pb_put_str(&n, LK_ONNX_NODE_OP, lk_str_of(op));
    if (attr) {
        lk_buf_init(&a, 0);
        lk_pb_put_str(&a, LK_ONNX_ATTR_NAME, lk_str_of(attr));
        lk_pb_put_varint(&a, LK_ONNX_ATTR_INT, (uint64_t)value);
        lk_pb_put_varint(&a, LK_ONNX_ATTR_TYPE, 2);
        put_inside(&n, LK_ONNX_NODE_ATTRIBUTE, &a);
    }
    put_inside(&m->graph, LK_ONNX_GRAPH_NODE, &n);
}

static void tensor(maker *m, const char *name, int type, size_t rows, size_t cols, const void *data)
{
    lk_buf t;
    lk_buf_init(&t, 0);
    lk_pb_put_varint(&t, LK_ONNX_TENSOR_DIMS, rows);
    if (cols)
        lk_pb_put_varint(&t, LK_ONNX_TENSOR_DIMS, cols);
    lk_pb_put_varint(&t, LK_ONNX_TENSOR_DATA_TYPE, (uint64_t)type);
    lk_pb_put_str(&t, LK_ONNX_TENSOR_NAME, lk_str_of(name));
    lk_pb_put_bytes(&t, LK_ONNX_TENSOR_RAW, data,
                    rows * (cols ? cols : 1) * (type == LK_ONNX_FLOAT16 ? 2 : 4));
    put_inside(&m->graph, LK_ONNX_GRAPH_INITIALIZER, &t);
}

/* Floats of [N, cols]. */
static void value(maker *m, uint32_t number, const char *name, size_t cols)
{
    lk_buf dims, dim, tensor_type, type, v;
    lk_buf_init(&dims, 0);
    lk_buf_init(&dim, 0);
    lk_pb_put_str(&dim, 2, LK_STR("N"));
    put_inside(&dims, 1, &dim);
    lk_buf_init(&dim, 0);
    lk_pb_put_varint(&dim, 1, cols);
    put_inside(&dims, 1, &dim);
    lk_buf_init(&tensor_type, 0);
    lk_pb_put_varint(&tensor_type, 1, LK_ONNX_FLOAT);
    put_inside(&tensor_type, 2, &dims);
    lk_buf_init(&type, 0);
    put_inside(&type, 1, &tensor_type);
    lk_buf_init(&v, 0);
    lk_pb_put_str(&v, 1, lk_str_of(name));
    put_inside(&v, 2, &type);
    put_inside(&m->graph, number, &v);
}

/* The model's bytes, to be released. */
static lk_buf finish(maker *m)
{
    lk_buf b, opset;
    lk_buf_init(&b, 0);
    lk_pb_put_varint(&b, 1, 8); /* ir_version */
    lk_pb_put_str(&m->graph, 2, LK_STR("test"));
    put_inside(&b, LK_ONNX_MODEL_GRAPH, &m->graph);
    lk_buf_init(&opset, 0);
    lk_pb_put_varint(&opset, 2, (uint64_t)m->opset);
    put_inside(&b, 8, &opset);
    return b;
}

static lk_blob blob(const lk_buf *b)
{
    return (lk_blob){(const unsigned char *)b->p, b->n};
}

static float weights[K * M], bias[M];

static void fill_weights(void)
{
    test_rng rng = {7};
    for (size_t i = 0; i < K * M; i++)
        weights[i] = (float)(test_rng_unit(&rng) - 0.5) * (i % M == 2 ? 40.0f : 1.0f);
    for (size_t i = 0; i < M; i++)
        bias[i] = (float)i;
}

static lk_buf plain_product(void)
{
    maker m;
    start_model(&m);
    value(&m, LK_ONNX_GRAPH_INPUT, "x", K);
    tensor(&m, "w", LK_ONNX_FLOAT, K, M, weights);
    node(&m, "MatMul", "x w", "y", NULL, 0);
    value(&m, LK_ONNX_GRAPH_OUTPUT, "y", M);
    return finish(&m);
}

/* ---- running ---- */

typedef struct wanted {
    const char *output;
    size_t n;
    float *ret;
    bool found;
} wanted;

static lk_code see(void *ctx, const lk_tensor_info *shape, const float *data, lk_err *err)
{
    wanted *w = ctx;
    (void)err;
    if (strcmp(shape->name, w->output) == 0) {
        memcpy(w->ret, data, w->n * sizeof *data);
        w->found = true;
    }
    return LK_OK;
}

static void run_one(lk_session *s, const lk_tensor *in, const char *output, size_t n, float *ret)
{
    wanted w = {output, n, ret, false};
    lk_err err;
    test_ok(lk_session_run(s, in, see, &w, &err), &err);
    assert_true(w.found);
}

/* Row by row, as int8 models want it; the float model gives the same this way. */
static void run_rows(lk_blob model, float *ret)
{
    lk_onnx *o = NULL;
    lk_session *s = NULL;
    lk_err err;
    float x[K];
    test_ok(lk_onnx_open(NULL, "cpu", &o, &err), &err);
    test_ok(lk_session_new(o, model, &s, &err), &err);
    test_rng rng = {99};
    for (size_t r = 0; r < ROWS; r++) {
        int64_t shape[2] = {1, K};
        lk_tensor in = {LK_TENSOR_F32, x, 2, shape};
        for (size_t i = 0; i < K; i++)
            x[i] = (float)test_rng_unit(&rng) * 4 - 1;
        run_one(s, &in, "y", M, ret + r * M);
    }
    lk_session_free(s);
    lk_onnx_close(o);
}

static lk_buf quantized(const lk_buf *model, const lk_quantize_opts *opts)
{
    lk_buf b;
    lk_err err;
    lk_quantize_report report;
    lk_buf_init(&b, 0);
    test_ok(lk_quantize(blob(model), opts, &b, &report, &err), &err);
    return b;
}

static lk_quantize_opts defaults(void)
{
    lk_quantize_opts o;
    lk_quantize_opts_default(&o);
    return o;
}

/* The largest difference in column c of the two models' outputs. */
static double worst(const lk_buf *a, const lk_buf *b, size_t c)
{
    float ya[ROWS * M], yb[ROWS * M];
    double d = 0;
    run_rows(blob(a), ya);
    run_rows(blob(b), yb);
    for (size_t r = 0; r < ROWS; r++)
        d = fmax(d, fabs((double)ya[r * M + c] - (double)yb[r * M + c]));
    return d;
}

/* How far a result may be off: both sides round to half a step. Values of x lie in -1..3. */
static double bound(double largest_weight)
{
    double x_step = 4.0 / 255, w_step = largest_weight / 127;
    return K * (x_step / 2 * largest_weight + w_step / 2 * 3 + x_step * w_step / 4);
}

static size_t count(const lk_buf *model, const char *op)
{
    lk_arena a;
    lk_graph g;
    lk_err err;
    size_t n = 0;
    lk_arena_init(&a, 0);
    test_ok(lk_graph_read(blob(model), &a, &g, &err), &err);
    for (size_t i = 0; i < g.n_nodes; i++)
        n += lk_str_is(g.nodes[i].op, op);
    lk_arena_release(&a);
    return n;
}

static size_t n_tensors(const lk_buf *model, const char *name)
{
    lk_arena a;
    lk_graph g;
    lk_err err;
    lk_arena_init(&a, 0);
    test_ok(lk_graph_read(blob(model), &a, &g, &err), &err);
    const lk_graph_name *n = lk_graph_find(&g, lk_str_of(name));
    size_t found = n && n->tensor;
    lk_arena_release(&a);
    return found;
}

/* ---- tests ---- */

static void a_product_is_off_by_no_more_than_its_rounding(void **state)
{
    (void)state;
    lk_quantize_opts o = defaults();
    lk_buf f = plain_product(), q = quantized(&f, &o);
    o.per_column = false;
    lk_buf one = quantized(&f, &o);
    for (size_t c = 0; c < M; c++) {
        double wide = worst(&f, &q, c), narrow = worst(&f, &one, c);
        double largest = c == 2 ? 20 : 0.5;
        if (wide > bound(largest) || wide == 0)
            fail_msg("column %zu is off by %g, not 0 to %g", c, wide, bound(largest));
        if (narrow > bound(20))
            fail_msg("with one scale column %zu is off by %g", c, narrow);
        /* The loud column sets the one scale, which the quiet ones pay for. */
        if (c != 2)
            assert_true(narrow > wide);
    }
    lk_buf_release(&f);
    lk_buf_release(&q);
    lk_buf_release(&one);
}

static void a_gemm_keeps_its_bias_and_its_transposed_weight(void **state)
{
    (void)state;
    maker m;
    float turned[K * M];
    lk_quantize_opts o = defaults();
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < M; j++)
            turned[j * K + i] = weights[i * M + j];
    start_model(&m);
    value(&m, LK_ONNX_GRAPH_INPUT, "x", K);
    tensor(&m, "w", LK_ONNX_FLOAT, M, K, turned);
    tensor(&m, "b", LK_ONNX_FLOAT, M, 0, bias);
    node(&m, "Gemm", "x w b", "y", "transB", 1);
    value(&m, LK_ONNX_GRAPH_OUTPUT, "y", M);
    lk_buf f = finish(&m), q = quantized(&f, &o);
    assert_int_equal(count(&q, "Gemm"), 0);
    assert_int_equal(n_tensors(&q, "w"), 0);
    for (size_t c = 0; c < M; c++)
        if (worst(&f, &q, c) > bound(c == 2 ? 20 : 0.5))
            fail_msg("column %zu is off by %g", c, worst(&f, &q, c));
    lk_buf_release(&f);
    lk_buf_release(&q);
}

static void a_half_weight_behind_a_cast_goes_with_its_cast(void **state)
{
    (void)state;
    maker m;
    uint16_t half[K * M];
    lk_quantize_opts o = defaults();
    for (size_t i = 0; i < K * M; i++)
        half[i] = (uint16_t)(0x3800 + i); /* 0.5 and up */
    start_model(&m);
    value(&m, LK_ONNX_GRAPH_INPUT, "x", K);
    tensor(&m, "h", LK_ONNX_FLOAT16, K, M, half);
    node(&m, "Cast", "h", "w", "to", LK_ONNX_FLOAT);
    node(&m, "MatMul", "x w", "y", NULL, 0);
    value(&m, LK_ONNX_GRAPH_OUTPUT, "y", M);
    lk_buf f = finish(&m), q = quantized(&f, &o);
    assert_int_equal(count(&q, "Cast"), 1); /* of the sums */
    assert_int_equal(n_tensors(&q, "h"), 0);
    assert_true(worst(&f, &q, 0) <= bound(0.55));
    lk_buf_release(&f);
    lk_buf_release(&q);
}

static void what_is_shared_is_done_once_and_what_is_used_elsewhere_stays(void **state)
{
    (void)state;
    maker m;
    lk_quantize_opts o = defaults();
    start_model(&m);
    value(&m, LK_ONNX_GRAPH_INPUT, "x", K);
    tensor(&m, "w", LK_ONNX_FLOAT, K, M, weights);
    tensor(&m, "v", LK_ONNX_FLOAT, K, M, weights);
    node(&m, "MatMul", "x w", "a", NULL, 0);
    node(&m, "MatMul", "x v", "b", NULL, 0);
    node(&m, "MatMul", "x w", "c", NULL, 0);
    node(&m, "ReduceSum", "v", "sum", "keepdims", 0);
    node(&m, "Sum", "a b c sum", "y", NULL, 0);
    value(&m, LK_ONNX_GRAPH_OUTPUT, "y", M);
    lk_buf f = finish(&m), q = quantized(&f, &o);
    assert_int_equal(count(&q, "DynamicQuantizeLinear"), 1);
    assert_int_equal(count(&q, "MatMulInteger"), 3);
    assert_int_equal(n_tensors(&q, "w"), 0);
    assert_int_equal(n_tensors(&q, "v"), 1);
    assert_int_equal(n_tensors(&q, "lk8/w0/q") + n_tensors(&q, "lk8/w1/q"), 2);
    assert_int_equal(n_tensors(&q, "lk8/w2/q"), 0);
    assert_true(worst(&f, &q, 0) <= 3 * bound(0.5));
    lk_buf_release(&f);
    lk_buf_release(&q);
}

static void a_skipped_product_stays_as_it_was(void **state)
{
    (void)state;
    const lk_str skip[1] = {LK_STR("y")};
    lk_quantize_opts o = defaults();
    o.skip = skip;
    o.n_skip = 1;
    lk_buf f = plain_product(), q = quantized(&f, &o);
    assert_int_equal(count(&q, "MatMul"), 1);
    assert_int_equal(n_tensors(&q, "w"), 1);
    assert_true(worst(&f, &q, 2) == 0);
    lk_buf_release(&f);
    lk_buf_release(&q);
}

static void one_picture_travels_alone(void **state)
{
    (void)state;
    lk_onnx *rt = NULL;
    lk_session *s = NULL;
    lk_err err;
    lk_quantize_opts o = defaults();
    lk_buf f = plain_product(), q = quantized(&f, &o);
    test_ok(lk_onnx_open(NULL, "cpu", &rt, &err), &err);
    test_ok(lk_session_new(rt, blob(&q), &s, &err), &err);
    assert_int_equal(lk_session_input(s, 0)->shape[0], 1);
    assert_int_equal(lk_session_input(s, 0)->shape[1], K);
    assert_string_equal(lk_session_input(s, 0)->name, "x");
    lk_session_free(s);
    lk_onnx_close(rt);
    lk_buf_release(&f);
    lk_buf_release(&q);
}

static void refuse(const lk_buf *model, lk_code want, const char *part)
{
    lk_quantize_opts o = defaults();
    lk_quantize_report report;
    lk_buf b;
    lk_err err = {0};
    lk_buf_init(&b, 0);
    test_code(lk_quantize(blob(model), &o, &b, &report, &err), want);
    test_has(err.text, part);
    lk_buf_release(&b);
}

static void what_cannot_be_made_int8_is_refused_with_a_sentence(void **state)
{
    (void)state;
    maker m;
    lk_quantize_opts o = defaults();
    lk_buf f = plain_product(), q = quantized(&f, &o);
    refuse(&q, LK_E_UNSUPPORTED, "int8 already");
    f.n--;
    refuse(&f, LK_E_MODEL, "no ONNX file");
    f.n++;

    start_model(&m);
    value(&m, LK_ONNX_GRAPH_INPUT, "x", K);
    node(&m, "Abs", "x", "y", NULL, 0);
    value(&m, LK_ONNX_GRAPH_OUTPUT, "y", K);
    lk_buf no_product = finish(&m), same = quantized(&no_product, &o);
    assert_int_equal(same.n, no_product.n);
    assert_memory_equal(same.p, no_product.p, same.n);

    float broken[K * M];
    memcpy(broken, weights, sizeof broken);
    broken[3] = NAN;
    start_model(&m);
    m.opset = 10;
    tensor(&m, "w", LK_ONNX_FLOAT, K, M, broken);
    node(&m, "MatMul", "x w", "y", NULL, 0);
    lk_buf old = finish(&m);
    refuse(&old, LK_E_UNSUPPORTED, "operator set 10");

    start_model(&m);
    tensor(&m, "w", LK_ONNX_FLOAT, K, M, broken);
    node(&m, "MatMul", "x w", "y", NULL, 0);
    lk_buf infinite = finish(&m);
    refuse(&infinite, LK_E_MODEL, "\"w\" has numbers that are not finite");

    lk_buf_release(&f);
    lk_buf_release(&q);
    lk_buf_release(&no_product);
    lk_buf_release(&same);
    lk_buf_release(&old);
    lk_buf_release(&infinite);
}

static void the_probe_answers_as_before_and_tells_the_noise(void **state)
{
    (void)state;
    static const int opsets[] = {17, 20};
    for (size_t i = 0; i < 2; i++) {
        maker m;
        lk_quantize_opts o = defaults();
        lk_quantize_report report;
        lk_err err;
        lk_onnx *rt = NULL;
        lk_session *s = NULL;
        float x[K] = {1, 2, 3, -1, 0.5f, 0.25f, 2.5f, -0.3f}, noise = 0;
        int64_t shape[2] = {1, K};
        lk_tensor in = {LK_TENSOR_F32, x, 2, shape};
        lk_buf p;
        start_model(&m);
        m.opset = opsets[i];
        value(&m, LK_ONNX_GRAPH_INPUT, "x", K);
        tensor(&m, "w", LK_ONNX_FLOAT, K, M, weights);
        node(&m, "MatMul", "x w", "y", NULL, 0);
        value(&m, LK_ONNX_GRAPH_OUTPUT, "y", M);
        lk_buf f = finish(&m);
        lk_buf_init(&p, 0);
        const lk_str *names = NULL;
        lk_arena a;
        lk_arena_init(&a, 0);
        test_ok(lk_quantize_probe(blob(&f), &o, &p, &a, &names, &report, &err), &err);
        assert_int_equal(report.n_products, 1);
        assert_true(lk_str_is(names[0], "y"));
        lk_arena_release(&a);
        assert_true(worst(&f, &p, 0) == 0);
        test_ok(lk_onnx_open(NULL, "cpu", &rt, &err), &err);
        test_ok(lk_session_new(rt, blob(&p), &s, &err), &err);
        assert_string_equal(lk_session_output(s, 1)->name, LK_QUANTIZE_NOISE);
        run_one(s, &in, LK_QUANTIZE_NOISE, 1, &noise);
        if (!(noise > 0 && noise < 1e-3f))
            fail_msg("the noise is %g", (double)noise);
        lk_session_free(s);
        lk_onnx_close(rt);
        lk_buf_release(&p);
        lk_buf_release(&f);
    }
}

static lk_code try_quantize(void *ctx, lk_err *err)
{
    lk_quantize_opts o = defaults();
    lk_quantize_report report;
    lk_buf b;
    lk_buf_init(&b, 0);
    lk_code code = lk_quantize(blob(ctx), &o, &b, &report, err);
    lk_buf_release(&b);
    return code;
}

static void short_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    lk_buf f = plain_product();
    assert_true(test_sweep(TEST_ALLOC, 0, LK_E_NOMEM, try_quantize, &f) > 3);
    lk_buf_release(&f);
}

static void the_vision_transformer_at_hand_keeps_its_directions(void **state)
{
    (void)state;
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_err err;
    lk_quantize_opts o = defaults();
    lk_quantize_report report;
    lk_buf b;
    test_shared("assets/models/vit-tiny/vision.onnx", path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    lk_buf_init(&b, 0);
    test_ok(lk_quantize((lk_blob){p, n}, &o, &b, &report, &err), &err);
    assert_int_equal(report.n_products, 49);
    assert_int_equal(report.n_replaced, 49);
    assert_true(b.n < n * 6 / 10); /* binary16 to int8 */
    lk_buf_release(&b);
    lk_free(p);
}

static int start(void **state)
{
    (void)state;
    fill_weights();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_is_off_by_no_more_than_its_rounding),
        cmocka_unit_test(a_gemm_keeps_its_bias_and_its_transposed_weight),
        cmocka_unit_test(a_half_weight_behind_a_cast_goes_with_its_cast),
        cmocka_unit_test(what_is_shared_is_done_once_and_what_is_used_elsewhere_stays),
        cmocka_unit_test(a_skipped_product_stays_as_it_was),
        cmocka_unit_test(one_picture_travels_alone),
        cmocka_unit_test(what_cannot_be_made_int8_is_refused_with_a_sentence),
        cmocka_unit_test(the_probe_answers_as_before_and_tells_the_noise),
        cmocka_unit_test(short_memory_leaves_nothing_behind),
        cmocka_unit_test(the_vision_transformer_at_hand_keeps_its_directions),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
