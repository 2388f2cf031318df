/* A walk from the wanted tensors upwards marks what they need. The bodies of loops and branches may
 * use any tensor outside them by its name; each name that such a body mentions counts as needed,
 * which at worst keeps a node too many. */
#include "model/onnx_cut.h"

#include "base/mem.h"
#include "model/graph.h"
#include "model/proto.h"

enum { GRAPH_VALUE = 13 };
enum { ATTRIBUTE_GRAPH = 6, ATTRIBUTE_GRAPHS = 11 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2 };
enum { TYPE_TENSOR = 1, TENSOR_ELEMENT = 1, TENSOR_SHAPE = 2, SHAPE_AXIS = 1, AXIS_SIZE = 1 };
enum { ELEMENT_INT32 = 6 };

#define MAX_DEPTH 32
#define MAX_VALUES 64 /* inputs, or outputs */
#define MAX_NAME 127  /* of a wanted tensor; its length takes one byte */

struct lk_cut {
    lk_blob model;
    lk_arena arena;
    lk_graph graph; /* a name's mark[0]: it is needed */
    size_t n_in, n_out;
    lk_cut_value *in, *out;
    bool feeds[MAX_VALUES]; /* an input is needed */
    bool *keeps;            /* a node */
    size_t *todo;           /* nodes whose inputs are still to be marked */
    size_t n_todo;
};

/* ---- reading ---- */

/* The first field of that number that holds bytes; {NULL, 0} when there is none. */
static lk_blob find(lk_blob message, uint32_t number)
{
    lk_pb_field f;
    while (lk_pb_next(&message, &f))
        if (f.number == number && f.wire == LK_PB_BYTES)
            return f.bytes;
    return (lk_blob){0};
}

static lk_str name_of(lk_blob value)
{
    lk_blob b = find(value, VALUE_NAME);
    return (lk_str){(const char *)b.p, b.n};
}

/* One axis; -1 for a free one. */
static int64_t axis_size(lk_blob axis)
{
    lk_pb_field f;
    while (lk_pb_next(&axis, &f))
        if (f.number == AXIS_SIZE && f.wire == LK_PB_VARINT && f.value <= INT32_MAX)
            return (int64_t)f.value;
    return -1;
}

static lk_cut_value read_value(lk_blob value)
{
    lk_cut_value v = {name_of(value), .rank = LK_RANK_UNKNOWN, .last = -1};
    lk_blob tensor = find(find(value, VALUE_TYPE), TYPE_TENSOR);
    lk_pb_field f, axis;
    while (lk_pb_next(&tensor, &f)) {
        if (f.number == TENSOR_ELEMENT) {
            v.is_int = f.value == ELEMENT_INT32 || f.value == LK_ONNX_INT64;
            v.is_real = f.value == LK_ONNX_FLOAT || f.value == LK_ONNX_FLOAT16;
        } else if (f.number == TENSOR_SHAPE) {
            v.rank = 0;
            for (lk_blob shape = f.bytes; lk_pb_next(&shape, &axis);) {
                if (axis.number != SHAPE_AXIS)
                    continue;
                v.rank++;
                v.last = axis_size(axis.bytes);
            }
        }
    }
    return v;
}

/* A weight may be listed among the inputs, too; it need not be fed. */
static bool is_weight(const lk_cut *c, lk_str name)
{
    const lk_graph_name *n = lk_graph_find(&c->graph, name);
    return n && n->tensor;
}

static lk_code read_values(lk_cut *c, lk_err *err)
{
    lk_pb_field f;
    size_t n_in = 0, n_out = 0;
    for (lk_blob b = c->graph.bytes; lk_pb_next(&b, &f);) {
        n_in += f.number == LK_ONNX_GRAPH_INPUT && !is_weight(c, name_of(f.bytes));
        n_out += f.number == LK_ONNX_GRAPH_OUTPUT;
    }
    if (n_in > MAX_VALUES || n_out > MAX_VALUES)
        return lk_fail(err, LK_E_MODEL, "the model has %zu inputs and %zu outputs", n_in, n_out);
    c->in = lk_arena_zalloc(&c->arena, n_in + 1, sizeof *c->in);
    c->out = lk_arena_zalloc(&c->arena, n_out + 1, sizeof *c->out);
    c->keeps = lk_arena_zalloc(&c->arena, c->graph.n_nodes + 1, sizeof *c->keeps);
    c->todo = lk_arena_zalloc(&c->arena, c->graph.n_nodes + 1, sizeof *c->todo);
    if (!c->in || !c->out || !c->keeps || !c->todo)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    for (lk_blob b = c->graph.bytes; lk_pb_next(&b, &f);) {
        if (f.number == LK_ONNX_GRAPH_INPUT && !is_weight(c, name_of(f.bytes)))
            c->in[c->n_in++] = read_value(f.bytes);
        else if (f.number == LK_ONNX_GRAPH_OUTPUT)
            c->out[c->n_out++] = read_value(f.bytes);
    }
    return LK_OK;
}

lk_code lk_cut_new(lk_blob model, lk_cut **ret, lk_err *err)
{
    lk_cut *c = lk_calloc(1, sizeof *c);
    if (!c)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    c->model = model;
    lk_arena_init(&c->arena, 0);
    lk_code code = lk_graph_read(model, &c->arena, &c->graph, err);
    if (!code)
        code = read_values(c, err);
    if (code) {
        lk_cut_free(c);
        return code;
    }
    *ret = c;
    return LK_OK;
}

void lk_cut_free(lk_cut *c)
{
    if (!c)
        return;
    lk_arena_release(&c->arena);
    lk_free(c);
}

size_t lk_cut_n_inputs(const lk_cut *c)
{
    return c->n_in;
}
size_t lk_cut_n_outputs(const lk_cut *c)
{
    return c->n_out;
}
const lk_cut_value *lk_cut_input(const lk_cut *c, size_t i)
{
    return &c->in[i];
}
const lk_cut_value *lk_cut_output(const lk_cut *c, size_t i)
{
    return &c->out[i];
}

/* ---- marking ---- */

static void mark(lk_cut *c, lk_str name)
{
    lk_graph_name *n = lk_graph_find(&c->graph, name);
    if (!n) /* a name of a body's own */
        return;
    n->mark[0] = 1;
    for (size_t i = 0; n->input && i < c->n_in; i++)
        c->feeds[i] = c->feeds[i] || lk_str_eq(c->in[i].name, name);
    if (n->node && !c->keeps[n->node - 1]) {
        c->keeps[n->node - 1] = true;
        c->todo[c->n_todo++] = n->node - 1;
    }
}

static void mark_body(lk_cut *c, lk_blob graph, unsigned depth);

/* What the bodies in a node's attributes mention. */
static void mark_attributes(lk_cut *c, lk_blob node, unsigned depth)
{
    lk_pb_field f, a;
    while (lk_pb_next(&node, &f))
        for (lk_blob b = f.bytes; f.number == LK_ONNX_NODE_ATTRIBUTE && lk_pb_next(&b, &a);)
            if (a.number == ATTRIBUTE_GRAPH || a.number == ATTRIBUTE_GRAPHS)
                mark_body(c, a.bytes, depth + 1);
}

static void mark_body(lk_cut *c, lk_blob graph, unsigned depth)
{
    lk_pb_field f, in;
    while (depth < MAX_DEPTH && lk_pb_next(&graph, &f)) {
        if (f.number == LK_ONNX_GRAPH_OUTPUT)
            mark(c, name_of(f.bytes));
        if (f.number != LK_ONNX_GRAPH_NODE)
            continue;
        for (lk_blob b = f.bytes; lk_pb_next(&b, &in);)
            if (in.number == LK_ONNX_NODE_INPUT)
                mark(c, (lk_str){(const char *)in.bytes.p, in.bytes.n});
        mark_attributes(c, f.bytes, depth);
    }
}

static lk_code mark_all(lk_cut *c, size_t n, const lk_str *tensors, lk_err *err)
{
    for (size_t i = 0; i < c->graph.n_names; i++)
        c->graph.names[i].mark[0] = 0;
    memset(c->feeds, 0, sizeof c->feeds);
    memset(c->keeps, 0, c->graph.n_nodes * sizeof *c->keeps);
    c->n_todo = 0;
    for (size_t i = 0; i < n; i++) {
        const lk_graph_name *name = lk_graph_find(&c->graph, tensors[i]);
        if (!name || !name->node || tensors[i].n > MAX_NAME)
            return lk_fail(err, LK_E_MODEL, "the model makes no tensor \"%.*s\"",
                           LK_STR_ARG(tensors[i]));
        mark(c, tensors[i]);
    }
    while (c->n_todo) {
        const lk_graph_node *node = &c->graph.nodes[c->todo[--c->n_todo]];
        for (size_t i = 0; i < node->n_in; i++)
            mark(c, node->in[i]);
        mark_attributes(c, node->bytes, 0);
    }
    return LK_OK;
}

lk_code lk_cut_needs(lk_cut *c, size_t n, const lk_str *tensors, bool *ret, lk_err *err)
{
    lk_code code = mark_all(c, n, tensors, err);
    if (!code)
        memcpy(ret, c->feeds, c->n_in * sizeof *ret);
    return code;
}

/* ---- the head ---- */

/* Is the node a product of its first input with a weight of `width` rows? */
static bool is_head(const lk_cut *c, const lk_graph_node *node, size_t width)
{
    bool gemm = lk_str_is(node->op, "Gemm");
    if ((!gemm && !lk_str_is(node->op, "MatMul")) || node->n_in < 2)
        return false;
    const lk_graph_name *w = lk_graph_find(&c->graph, node->in[1]);
    const lk_graph_tensor *t = w && w->tensor ? &c->graph.tensors[w->tensor - 1] : NULL;
    size_t rows = gemm && lk_graph_attr_int(node, "transB", 0) ? 1 : 0;
    return t && t->rank == 2 && t->dims[rows] == (int64_t)width &&
           !(gemm && lk_graph_attr_int(node, "transA", 0));
}

bool lk_cut_before_head(const lk_cut *c, size_t i, size_t width, lk_str *ret)
{
    enum { STEPS = 4 }; /* a bias, a softmax, a reshape may follow the matrix */
    lk_str name = c->out[i].name;
    for (size_t step = 0; step < STEPS; step++) {
        const lk_graph_name *n = lk_graph_find(&c->graph, name);
        const lk_graph_node *node = n && n->node ? &c->graph.nodes[n->node - 1] : NULL;
        if (!node || node->n_in == 0)
            return false;
        name = node->in[0];
        if (!is_head(c, node, width))
            continue;
        *ret = name;
        return true;
    }
    return false;
}

/* ---- writing ---- */

static bool is_whole(const lk_cut *c, size_t n, const lk_str *tensors)
{
    bool whole = c->n_out == n;
    for (size_t i = 0; whole && i < n; i++)
        whole = lk_str_eq(c->out[i].name, tensors[i]);
    for (size_t i = 0; whole && i < c->graph.n_nodes; i++)
        whole = c->keeps[i];
    for (size_t i = 0; whole && i < c->n_in; i++)
        whole = c->feeds[i];
    return whole;
}

/* Is the weight or input of that name needed? */
static bool keeps_name(const lk_cut *c, lk_str name)
{
    const lk_graph_name *n = lk_graph_find(&c->graph, name);
    return n && n->mark[0];
}

/* The declaration of a tensor, as an output or inside; {NULL, 0} when there is none. */
static lk_blob declared(const lk_cut *c, lk_str name)
{
    lk_pb_field f;
    for (lk_blob b = c->graph.bytes; lk_pb_next(&b, &f);)
        if ((f.number == LK_ONNX_GRAPH_OUTPUT || f.number == GRAPH_VALUE) &&
            lk_str_eq(name_of(f.bytes), name))
            return f.bytes;
    return (lk_blob){0};
}

/* Declarations of inner tensors are left out: the runtime infers them. */
static void write_graph(const lk_cut *c, size_t n, const lk_str *tensors, lk_buf *b)
{
    lk_pb_field f;
    size_t node = 0, tensor = 0;
    for (lk_blob body = c->graph.bytes; lk_pb_next(&body, &f);) {
        if (f.wire != LK_PB_BYTES) /* a graph has no other fields */
            continue;
        bool keep = f.number != LK_ONNX_GRAPH_OUTPUT && f.number != GRAPH_VALUE;
        if (f.number == LK_ONNX_GRAPH_NODE)
            keep = c->keeps[node++];
        else if (f.number == LK_ONNX_GRAPH_INITIALIZER)
            keep = keeps_name(c, c->graph.tensors[tensor++].name);
        else if (f.number == LK_ONNX_GRAPH_INPUT)
            keep = keeps_name(c, name_of(f.bytes));
        if (keep)
            lk_buf_put(b, f.whole.p, f.whole.n);
    }
    for (size_t i = 0; i < n; i++) {
        lk_blob value = declared(c, tensors[i]);
        if (value.p) {
            lk_pb_put_bytes(b, LK_ONNX_GRAPH_OUTPUT, value.p, value.n);
        } else {
            lk_pb_put_head(b, LK_ONNX_GRAPH_OUTPUT, 2 + tensors[i].n); /* MAX_NAME */
            lk_pb_put_str(b, VALUE_NAME, tensors[i]);
        }
    }
}

static void write_model(const lk_cut *c, size_t n, const lk_str *tensors, lk_buf *b)
{
    lk_pb_field f;
    for (lk_blob model = c->model; lk_pb_next(&model, &f);)
        if (f.number != LK_ONNX_MODEL_GRAPH)
            lk_buf_put(b, f.whole.p, f.whole.n);
    size_t begun = lk_pb_begin(b, LK_ONNX_MODEL_GRAPH);
    write_graph(c, n, tensors, b);
    lk_pb_end(b, begun);
}

lk_code lk_cut_write(lk_cut *c, size_t n, const lk_str *tensors, lk_buf *into, bool *ret_whole,
                     lk_err *err)
{
    lk_code code = mark_all(c, n, tensors, err);
    if (code)
        return code;
    *ret_whole = is_whole(c, n, tensors);
    if (*ret_whole)
        return LK_OK;
    /* All at once: growing by halves would copy the weights several times over. */
    if (!lk_buf_reserve(into, c->model.n + 4096))
        return lk_buf_check(into, err);
    write_model(c, n, tensors, into);
    return lk_buf_check(into, err);
}
