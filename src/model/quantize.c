/* How a float model becomes an int8 one.
 *
 *   y = MatMul(x, w)    becomes    xq, xs, xz = DynamicQuantizeLinear(x)
 *                                  i = MatMulInteger(xq, wq, xz)
 *                                  y = Mul(Cast(i), Mul(xs, ws))        ws: of each column, or one
 *
 * and a Gemm the same with an Add behind. The four nodes are what ONNX Runtime's optimizer looks
 * for; it fuses them and the bias behind them. The other form, QuantizeLinear and DequantizeLinear
 * around float products, needs photographs to fix the ranges and is no faster.
 *
 * Convolutions stay float. Measured on the bundled model, one core of an AMD EPYC with AVX-512 and
 * VNNI: 3.9 ms a picture in float, 3.9 ms with unsigned integer convolutions, 21 ms with signed
 * ones.
 *
 * Q1. An x that several products share is made 8 bits once, and a shared weight is stored once.
 * Q2. A weight goes only when nothing else uses it, and what made it (a Cast of binary16) with it.
 * Q3. Our names begin with "lk8/"; a model that has such names is int8 already and is refused.
 * Q4. A sum of rows products of 8 and 8 bits fits 32 bits: rows <= 65,536. */
#include "model/quantize.h"

#include <stdio.h>

#include "base/mem.h"
#include "model/int8.h"
#include "model/onnx.h"
#include "model/proto.h"

#define PREFIX "lk8/"
#define MAX_ROWS 65536 /* Q4 */
#define MIN_OPSET 11   /* DynamicQuantizeLinear */

typedef struct product {
    const lk_graph_node *node;
    lk_graph_tensor w;
    lk_int8_shape shape;
    size_t act, weight; /* whose names are used: the first product's with the same x, w (Q1) */
} product;

typedef struct job {
    lk_quantize_opts opts;
    bool probe;
    lk_arena *names_into; /* probe */
    const lk_str **names;
    lk_arena arena;
    lk_graph g;
    product *products;
    size_t n_products, n_done;
    size_t *product_of;            /* [n_nodes]: 1-based; 0: none */
    bool *drop_node, *drop_tensor; /* [n_nodes], [n_tensors] */
    lk_buf *out;                   /* the new model */
    lk_buf message, attr;          /* in the making */
} job;

void lk_quantize_opts_default(lk_quantize_opts *ret)
{
    *ret = (lk_quantize_opts){.size = sizeof *ret, .per_column = true};
}

/* ---- what can be replaced ---- */

/* The constant of this name, as stored; a Cast of it to float is looked through. */
static bool find_constant(const lk_graph *g, lk_str name, unsigned depth, lk_graph_tensor *ret)
{
    const lk_graph_name *n = lk_graph_find(g, name);
    if (!n || depth > 2)
        return false;
    if (n->tensor) {
        *ret = g->tensors[n->tensor - 1];
        return depth > 0 || ret->type == LK_ONNX_FLOAT;
    }
    if (!n->node)
        return false;
    const lk_graph_node *node = &g->nodes[n->node - 1];
    if (node->domain.n || node->n_out != 1)
        return false;
    if (lk_str_is(node->op, "Constant"))
        return lk_graph_attr_tensor(node, "value", ret) &&
               (depth > 0 || ret->type == LK_ONNX_FLOAT);
    return lk_str_is(node->op, "Cast") && node->n_in == 1 &&
           lk_graph_attr_int(node, "to", 0) == LK_ONNX_FLOAT &&
           find_constant(g, node->in[0], depth + 1, ret);
}

static bool is_product(const job *j, const lk_graph_node *n, product *ret)
{
    bool gemm = lk_str_is(n->op, "Gemm");
    if (n->domain.n || n->n_out != 1 || n->n_in < 2 || n->n_in > 2 + (size_t)gemm ||
        !(gemm || lk_str_is(n->op, "MatMul")) || n->in[0].n == 0)
        return false;
    if (gemm && (lk_graph_attr_int(n, "transA", 0) != 0 ||
                 lk_graph_attr_float(n, "alpha", 1) != 1 || lk_graph_attr_float(n, "beta", 1) != 1))
        return false;
    bool transposed = gemm && lk_graph_attr_int(n, "transB", 0) != 0;
    *ret = (product){.node = n,
                     .shape = {.per_column = j->opts.per_column, .top = j->opts.narrow ? 63 : 127}};
    return find_constant(&j->g, n->in[1], 0, &ret->w) &&
           lk_int8_can(&ret->w, transposed, &ret->shape) && ret->shape.rows <= MAX_ROWS;
}

static bool is_skipped(const lk_quantize_opts *o, lk_str name)
{
    for (size_t i = 0; i < o->n_skip; i++)
        if (lk_str_eq(o->skip[i], name))
            return true;
    return false;
}

static lk_code find_products(job *j, lk_err *err)
{
    const lk_graph *g = &j->g;
    product p;
    size_t all = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        all += is_product(j, &g->nodes[i], &p);
    j->products = lk_arena_zalloc(&j->arena, all + 1, sizeof *j->products);
    j->product_of = lk_arena_zalloc(&j->arena, g->n_nodes + 1, sizeof *j->product_of);
    j->drop_node = lk_arena_zalloc(&j->arena, g->n_nodes + 1, sizeof *j->drop_node);
    j->drop_tensor = lk_arena_zalloc(&j->arena, g->n_tensors + 1, sizeof *j->drop_tensor);
    if (!j->products || !j->product_of || !j->drop_node || !j->drop_tensor)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a model's graph");
    for (size_t i = 0; i < g->n_nodes; i++) {
        if (!is_product(j, &g->nodes[i], &p))
            continue;
        size_t at = j->n_products++;
        j->products[at] = p;
        if (j->probe || !is_skipped(&j->opts, p.node->out[0]))
            j->product_of[i] = at + 1;
    }
    return LK_OK;
}

static bool has_our_names(const lk_graph *g)
{
    for (size_t i = 0; i < g->n_names; i++)
        if (lk_str_starts(g->names[i].name, LK_STR(PREFIX)))
            return true;
    return false;
}

/* One use of it fewer: what is then of no use goes (Q2). */
static void let_go(job *j, lk_str name)
{
    lk_graph_name *n = lk_graph_find(&j->g, name);
    if (!n || --n->uses > 0)
        return;
    if (n->tensor)
        j->drop_tensor[n->tensor - 1] = true;
    if (!n->node)
        return;
    const lk_graph_node *node = &j->g.nodes[n->node - 1];
    j->drop_node[n->node - 1] = true;
    for (size_t i = 0; i < node->n_in; i++)
        let_go(j, node->in[i]);
}

/* ---- writing ---- */

typedef struct name {
    char z[40];
} name;

/* "lk8/<kind><i>/<part>" */
static name our(char kind, size_t i, const char *part)
{
    name n;
    snprintf(n.z, sizeof n.z, PREFIX "%c%zu/%s", kind, i, part);
    return n;
}

static void begin_node(job *j, const char *op)
{
    lk_buf_clear(&j->message);
    lk_pb_put_str(&j->message, LK_ONNX_NODE_OP, lk_str_of(op));
}

static void node_in(job *j, lk_str s)
{
    lk_pb_put_str(&j->message, LK_ONNX_NODE_INPUT, s);
}

static void node_out(job *j, lk_str s)
{
    lk_pb_put_str(&j->message, LK_ONNX_NODE_OUTPUT, s);
}

/* AttributeProto.type, and the field that holds such a value. */
enum { ATTR_INT = 2, ATTR_INTS = 7, ATTR_INTS_FIELD = 8 };

static void put_attr(job *j, const char *attr, uint32_t field, int type, int64_t value)
{
    lk_buf_clear(&j->attr);
    lk_pb_put_str(&j->attr, LK_ONNX_ATTR_NAME, lk_str_of(attr));
    lk_pb_put_varint(&j->attr, field, (uint64_t)value);
    lk_pb_put_varint(&j->attr, LK_ONNX_ATTR_TYPE, (uint64_t)type);
    lk_pb_put_bytes(&j->message, LK_ONNX_NODE_ATTRIBUTE, j->attr.p, j->attr.n);
}

static void node_attr_int(job *j, const char *attr, int64_t value)
{
    put_attr(j, attr, LK_ONNX_ATTR_INT, ATTR_INT, value);
}

/* A list of one. */
static void node_attr_ints(job *j, const char *attr, int64_t value)
{
    put_attr(j, attr, ATTR_INTS_FIELD, ATTR_INTS, value);
}

static void end_node(job *j)
{
    lk_pb_put_bytes(j->out, LK_ONNX_GRAPH_NODE, j->message.p, j->message.n);
}

/* out = op(a, b); b.n == 0: of a alone. */
static void put_op(job *j, const char *op, lk_str a, lk_str b, lk_str out)
{
    begin_node(j, op);
    node_in(j, a);
    if (b.n)
        node_in(j, b);
    node_out(j, out);
    end_node(j);
}

#define S(n) lk_str_of((n).z)
#define NONE ((lk_str){"", 0})

/* An initializer of n bytes, which the caller writes to the memory returned; NULL: out of memory.
 */
static void *put_tensor(job *j, name n, int type, size_t rank, const size_t *dims, size_t bytes)
{
    lk_buf_clear(&j->message);
    for (size_t i = 0; i < rank; i++)
        lk_pb_put_varint(&j->message, LK_ONNX_TENSOR_DIMS, dims[i]);
    lk_pb_put_varint(&j->message, LK_ONNX_TENSOR_DATA_TYPE, (uint64_t)type);
    lk_pb_put_str(&j->message, LK_ONNX_TENSOR_NAME, S(n));
    lk_pb_put_head(&j->message, LK_ONNX_TENSOR_RAW, bytes);
    lk_pb_put_head(j->out, LK_ONNX_GRAPH_INITIALIZER, j->message.n + bytes);
    lk_buf_put(j->out, j->message.p, j->message.n);
    char *p = lk_buf_reserve(j->out, bytes);
    if (p) {
        j->out->n += bytes;
        p[bytes] = '\0';
    }
    return p;
}

static lk_code put_weight(job *j, size_t at, lk_err *err)
{
    const product *p = &j->products[at];
    size_t dims[2] = {p->shape.rows, p->shape.cols}, n_scales = p->shape.per_column ? dims[1] : 1;
    float *scale = lk_alloc_array(n_scales, sizeof *scale);
    lk_code code = scale ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for a weight");
    void *q =
        code ? NULL : put_tensor(j, our('w', at, "q"), LK_ONNX_INT8, 2, dims, dims[0] * dims[1]);
    if (!code && !q)
        code = lk_buf_check(j->out, err);
    if (!code)
        code = lk_int8_weights(&p->w, &p->shape, q, scale, err);
    if (!code) {
        void *s = put_tensor(j, our('w', at, "s"), LK_ONNX_FLOAT, p->shape.per_column ? 1 : 0,
                             &dims[1], n_scales * sizeof *scale);
        if (s)
            memcpy(s, scale, n_scales * sizeof *scale);
    }
    lk_free(scale);
    return code;
}

/* Which earlier product has made this name 8 bits already (Q1)? Else this one has to. */
static size_t shared(job *j, lk_str of, size_t which, size_t at)
{
    lk_graph_name *n = lk_graph_find(&j->g, of);
    if (!n)
        return at;
    if (!n->mark[which])
        n->mark[which] = at + 1;
    return n->mark[which] - 1;
}

/* to = x times the weight, in integers. */
static lk_code put_product(job *j, size_t at, lk_str to, lk_err *err)
{
    product *p = &j->products[at];
    lk_str x = p->node->in[0];
    lk_code code = LK_OK;
    p->act = shared(j, x, 0, at);
    p->weight = shared(j, p->node->in[1], 1, at);
    if (j->products[p->weight].shape.transposed != p->shape.transposed)
        p->weight = at;
    if (p->weight == at)
        code = put_weight(j, at, err);
    name xq = our('a', p->act, "q"), xs = our('a', p->act, "s"), xz = our('a', p->act, "z");
    if (p->act == at) {
        begin_node(j, "DynamicQuantizeLinear");
        node_in(j, x);
        node_out(j, S(xq));
        node_out(j, S(xs));
        node_out(j, S(xz));
        end_node(j);
    }
    name wq = our('w', p->weight, "q"), ws = our('w', p->weight, "s");
    name sum = our('p', at, "i"), real = our('p', at, "f"), scale = our('p', at, "s");
    begin_node(j, "MatMulInteger");
    node_in(j, S(xq));
    node_in(j, S(wq));
    node_in(j, S(xz));
    node_out(j, S(sum));
    end_node(j);
    begin_node(j, "Cast");
    node_in(j, S(sum));
    node_out(j, S(real));
    node_attr_int(j, "to", LK_ONNX_FLOAT);
    end_node(j);
    put_op(j, "Mul", S(xs), S(ws), S(scale));
    put_op(j, "Mul", S(real), S(scale), to);
    return code;
}

/* to = what product `at` gives, its bias added. */
static lk_code put_replacement(job *j, size_t at, lk_str to, lk_err *err)
{
    const lk_graph_node *n = j->products[at].node;
    bool biased = n->n_in == 3 && n->in[2].n;
    name bare = our('p', at, "b");
    lk_code code = put_product(j, at, biased ? S(bare) : to, err);
    if (biased)
        put_op(j, "Add", S(bare), n->in[2], to);
    return code;
}

/* ---- the probe ---- */

/* An attribute of one whole number before operator set 18, an input since then. */
#define AXES_ARE_INPUT 18
#define LAST_AXIS PREFIX "last"
#define ONE_AXIS PREFIX "one"

/* ret = |row|^2 of each row of a. */
static void put_energy(job *j, lk_str a, lk_str ret)
{
    begin_node(j, "ReduceSumSquare");
    node_in(j, a);
    if (j->g.opset >= AXES_ARE_INPUT)
        node_in(j, LK_STR(LAST_AXIS));
    node_out(j, ret);
    node_attr_int(j, "keepdims", 0);
    if (j->g.opset < AXES_ARE_INPUT)
        node_attr_ints(j, "axes", -1);
    end_node(j);
}

/* Beside product `at`, which stays: how far its int8 form is off. Row by row, because a network may
 * have one row of huge numbers, which makes the range coarse for all others: that does not show in
 * the sum over all rows, of which the huge one is most. */
static lk_code put_noise(job *j, size_t at, lk_err *err)
{
    const lk_graph_node *n = j->products[at].node;
    name y = our('p', at, "y"), diff = our('p', at, "d"), off = our('p', at, "e"),
         all = our('p', at, "t"), ratio = our('p', at, "r"), mean = our('p', at, "m"),
         line = our('p', at, "n");
    lk_code code = put_replacement(j, at, S(y), err);
    put_op(j, "Sub", S(y), n->out[0], S(diff));
    put_energy(j, S(diff), S(off));
    put_energy(j, n->out[0], S(all));
    put_op(j, "Div", S(off), S(all), S(ratio));
    begin_node(j, "ReduceMean");
    node_in(j, S(ratio));
    node_out(j, S(mean));
    node_attr_int(j, "keepdims", 0);
    end_node(j);
    put_op(j, "Reshape", S(mean), LK_STR(ONE_AXIS), S(line));
    return code;
}

static void put_axis(job *j, name n, int64_t axis)
{
    size_t one = 1;
    void *p = put_tensor(j, n, LK_ONNX_INT64, 1, &one, sizeof axis);
    if (p)
        memcpy(p, &axis, sizeof axis);
}

/* All noises as one output. */
static void put_noises(job *j)
{
    put_axis(j, (name){ONE_AXIS}, 1);
    put_axis(j, (name){LAST_AXIS}, -1);
    begin_node(j, "Concat");
    for (size_t i = 0; i < j->n_products; i++)
        node_in(j, S(our('p', i, "n")));
    node_out(j, LK_STR(LK_QUANTIZE_NOISE));
    node_attr_int(j, "axis", 0);
    end_node(j);
}

/* ---- inputs and outputs ---- */

/* One message inside another: *inner, to be released by the caller as the same buffer. */
static void wrap(lk_buf *inner, lk_buf *scratch, uint32_t number)
{
    lk_buf_clear(scratch);
    lk_pb_put_bytes(scratch, number, inner->p, inner->n);
    lk_buf t = *inner;
    *inner = *scratch;
    *scratch = t;
}

/* ValueInfoProto { name(1), type(2) { tensor_type(1) { elem_type(1), shape(2) { dim(1) … } } } } */
enum {
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_ELEM = 1,
    TENSOR_SHAPE = 2,
    DIM = 1
};

/* The value of the last field of this number, NULL bytes when there is none. */
static lk_pb_field find_field(lk_blob b, uint32_t number)
{
    lk_pb_field f, found = {0};
    while (lk_pb_next(&b, &f))
        if (f.number == number)
            found = f;
    return found;
}

/* An input as it was, but for a free first axis of several: that becomes one. */
static void put_input(job *j, const lk_pb_field *f)
{
    lk_blob tensor = find_field(find_field(f->bytes, VALUE_TYPE).bytes, TYPE_TENSOR).bytes;
    lk_blob shape = find_field(tensor, TENSOR_SHAPE).bytes, rest = shape;
    lk_pb_field first, dim;
    if (!lk_pb_next(&rest, &first) || rest.n == 0 || first.number != DIM ||
        find_field(first.bytes, 1).value != 0) {
        lk_buf_put(j->out, f->whole.p, f->whole.n);
        return;
    }
    lk_buf *b = &j->message, *scratch = &j->attr;
    lk_buf_clear(b);
    lk_pb_put_bytes(b, DIM, "\x08\x01", 2); /* dim_value(1) = 1 */
    while (lk_pb_next(&rest, &dim))
        lk_buf_put(b, dim.whole.p, dim.whole.n);
    wrap(b, scratch, TENSOR_SHAPE);
    lk_pb_put_varint(b, TENSOR_ELEM, find_field(tensor, TENSOR_ELEM).value);
    wrap(b, scratch, TYPE_TENSOR);
    wrap(b, scratch, VALUE_TYPE);
    lk_pb_put_bytes(b, VALUE_NAME, find_field(f->bytes, VALUE_NAME).bytes.p,
                    find_field(f->bytes, VALUE_NAME).bytes.n);
    lk_pb_put_bytes(j->out, LK_ONNX_GRAPH_INPUT, b->p, b->n);
}

static void put_noise_output(job *j)
{
    lk_buf *b = &j->message, *scratch = &j->attr, dim;
    lk_buf_clear(b);
    lk_buf_init(&dim, 0);
    lk_pb_put_varint(&dim, 1, j->n_products); /* dim_value */
    lk_pb_put_bytes(b, DIM, dim.p, dim.n);
    lk_buf_release(&dim);
    wrap(b, scratch, TENSOR_SHAPE);
    lk_pb_put_varint(b, TENSOR_ELEM, LK_ONNX_FLOAT);
    wrap(b, scratch, TYPE_TENSOR);
    wrap(b, scratch, VALUE_TYPE);
    lk_pb_put_str(b, VALUE_NAME, LK_STR(LK_QUANTIZE_NOISE));
    lk_pb_put_bytes(j->out, LK_ONNX_GRAPH_OUTPUT, b->p, b->n);
}

/* ---- the model ---- */

static bool is_dropped_default(const job *j, lk_blob value)
{
    lk_blob b = find_field(value, VALUE_NAME).bytes;
    const lk_graph_name *n = lk_graph_find(&j->g, (lk_str){(const char *)b.p, b.n});
    return n && n->tensor && j->drop_tensor[n->tensor - 1];
}

static lk_code put_node_field(job *j, const lk_pb_field *f, size_t i, lk_err *err)
{
    size_t at = j->product_of[i];
    if (j->probe || (!at && !j->drop_node[i]))
        lk_buf_put(j->out, f->whole.p, f->whole.n);
    if (!at)
        return LK_OK;
    j->n_done++;
    return j->probe ? put_noise(j, at - 1, err)
                    : put_replacement(j, at - 1, j->g.nodes[i].out[0], err);
}

static lk_code put_graph(job *j, lk_err *err)
{
    size_t node = 0, tensor = 0;
    lk_pb_field f;
    lk_code code = LK_OK;
    for (size_t i = 0; !j->probe && i < j->g.n_nodes; i++)
        if (j->product_of[i])
            let_go(j, j->g.nodes[i].in[1]);
    for (lk_blob b = j->g.bytes; !code && lk_pb_next(&b, &f);) {
        if (f.wire == LK_PB_BYTES && f.number == LK_ONNX_GRAPH_NODE)
            code = put_node_field(j, &f, node++, err);
        else if (f.wire == LK_PB_BYTES && f.number == LK_ONNX_GRAPH_INPUT) {
            if (!is_dropped_default(j, f.bytes))
                put_input(j, &f);
        } else if (f.wire != LK_PB_BYTES || f.number != LK_ONNX_GRAPH_INITIALIZER ||
                   !j->drop_tensor[tensor++])
            lk_buf_put(j->out, f.whole.p, f.whole.n);
    }
    if (!code && j->probe) {
        put_noises(j);
        put_noise_output(j);
    }
    if (!code)
        code = lk_buf_check(&j->message, err);
    if (!code)
        code = lk_buf_check(&j->attr, err);
    return code ? code : lk_buf_check(j->out, err);
}

static lk_code put_model(job *j, lk_blob model, lk_err *err)
{
    lk_pb_field f;
    lk_code code = LK_OK;
    while (!code && lk_pb_next(&model, &f)) {
        if (f.number == LK_ONNX_MODEL_GRAPH && f.wire == LK_PB_BYTES) {
            size_t begun = lk_pb_begin(j->out, LK_ONNX_MODEL_GRAPH);
            code = put_graph(j, err);
            lk_pb_end(j->out, begun);
        } else {
            lk_buf_put(j->out, f.whole.p, f.whole.n);
        }
    }
    return code;
}

/* Of the results, in memory that outlives the model's bytes. */
static lk_code copy_names(const job *j, lk_arena *into, const lk_str **ret, lk_err *err)
{
    lk_str *names = lk_arena_zalloc(into, j->n_products + 1, sizeof *names);
    for (size_t i = 0; names && i < j->n_products; i++) {
        lk_str of = j->products[i].node->out[0];
        names[i] = (lk_str){lk_arena_strndup(into, of.p, of.n), of.n};
        if (!names[i].p)
            names = NULL;
    }
    if (!names)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a model's graph");
    *ret = names;
    return LK_OK;
}

static lk_code run(job *j, lk_blob model, lk_quantize_report *ret, lk_err *err)
{
    lk_code code = LK_OK;
    if (lk_onnx_has_external_data(model))
        return lk_fail(err, LK_E_MODEL, "the model keeps weights in other files");
    lk_arena_init(&j->arena, 0);
    lk_buf_init(&j->message, 0);
    lk_buf_init(&j->attr, 0);
    code = lk_graph_read(model, &j->arena, &j->g, err);
    if (!code && has_our_names(&j->g))
        code = lk_fail(err, LK_E_UNSUPPORTED, "the model is int8 already");
    if (!code && j->g.opset < MIN_OPSET)
        code = lk_fail(err, LK_E_UNSUPPORTED,
                       "the model uses ONNX operator set %lld; int8 needs %d or newer",
                       (long long)j->g.opset, MIN_OPSET);
    if (!code)
        code = find_products(j, err);
    if (!code && j->n_products)
        code = put_model(j, model, err);
    else if (!code)
        lk_buf_put(j->out, model.p, model.n);
    if (!code)
        code = lk_buf_check(j->out, err);
    if (!code && j->probe)
        code = copy_names(j, j->names_into, j->names, err);
    if (!code)
        *ret = (lk_quantize_report){.n_products = j->n_products, .n_replaced = j->n_done};
    lk_buf_release(&j->attr);
    lk_buf_release(&j->message);
    lk_arena_release(&j->arena);
    return code;
}

lk_code lk_quantize(lk_blob model, const lk_quantize_opts *opts, lk_buf *into,
                    lk_quantize_report *ret, lk_err *err)
{
    job j = {.opts = *opts, .out = into};
    return run(&j, model, ret, err);
}

lk_code lk_quantize_probe(lk_blob model, const lk_quantize_opts *opts, lk_buf *into,
                          lk_arena *names_into, const lk_str **ret_names, lk_quantize_report *ret,
                          lk_err *err)
{
    job j = {
        .opts = *opts, .probe = true, .names_into = names_into, .names = ret_names, .out = into};
    return run(&j, model, ret, err);
}
