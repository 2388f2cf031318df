#include "model/graph.h"

#include <stdlib.h>

#include "model/proto.h"

#define MAX_DEPTH 101 /* as deep as the runtime's parser goes */

static lk_str as_str(lk_blob b)
{
    return (lk_str){(const char *)b.p, b.n};
}

static lk_code damaged(lk_err *err, const char *where)
{
    return lk_fail(err, LK_E_MODEL, "the model is no ONNX file: %s cannot be read", where);
}

static lk_code short_of_memory(lk_err *err)
{
    return lk_fail(err, LK_E_NOMEM, "out of memory for a model's graph");
}

/* ---- tensors and nodes ---- */

static bool add_dim(lk_graph_tensor *t, uint64_t dim)
{
    if (dim > INT64_MAX)
        return false;
    if (t->rank < sizeof t->dims / sizeof t->dims[0])
        t->dims[t->rank] = (int64_t)dim;
    t->rank++;
    return true;
}

static bool read_dims(lk_graph_tensor *t, const lk_pb_field *f)
{
    lk_blob packed = f->bytes;
    uint64_t dim;
    if (f->wire == LK_PB_VARINT)
        return add_dim(t, f->value);
    while (packed.n)
        if (!lk_pb_next_varint(&packed, &dim) || !add_dim(t, dim))
            return false;
    return true;
}

static bool read_tensor(lk_blob b, lk_graph_tensor *ret)
{
    lk_graph_tensor t = {.type = 0};
    lk_pb_field f;
    while (lk_pb_next(&b, &f)) {
        if (f.number == LK_ONNX_TENSOR_DIMS && !read_dims(&t, &f))
            return false;
        if (f.number == LK_ONNX_TENSOR_DATA_TYPE && f.wire == LK_PB_VARINT && f.value < 1000)
            t.type = (int32_t)f.value;
        if (f.number == LK_ONNX_TENSOR_NAME && f.wire == LK_PB_BYTES)
            t.name = as_str(f.bytes);
        /* Packed floats are the same bytes as raw ones. */
        if (f.wire == LK_PB_BYTES && (f.number == LK_ONNX_TENSOR_RAW ||
                                      (f.number == LK_ONNX_TENSOR_FLOAT_DATA && !t.data.n)))
            t.data = f.bytes;
    }
    *ret = t;
    return b.n == 0;
}

static lk_code read_node(lk_blob b, lk_arena *into, lk_graph_node *ret, lk_err *err)
{
    lk_graph_node n = {.bytes = b};
    lk_blob rest = b;
    lk_pb_field f;
    while (lk_pb_next(&rest, &f)) {
        n.n_in += f.number == LK_ONNX_NODE_INPUT && f.wire == LK_PB_BYTES;
        n.n_out += f.number == LK_ONNX_NODE_OUTPUT && f.wire == LK_PB_BYTES;
    }
    if (rest.n)
        return damaged(err, "a node");
    n.in = lk_arena_zalloc(into, n.n_in + n.n_out + 1, sizeof *n.in);
    if (!n.in)
        return short_of_memory(err);
    n.out = n.in + n.n_in;
    for (size_t i = 0, o = 0; lk_pb_next(&b, &f);) {
        if (f.wire != LK_PB_BYTES)
            continue;
        if (f.number == LK_ONNX_NODE_INPUT)
            n.in[i++] = as_str(f.bytes);
        else if (f.number == LK_ONNX_NODE_OUTPUT)
            n.out[o++] = as_str(f.bytes);
        else if (f.number == LK_ONNX_NODE_OP)
            n.op = as_str(f.bytes);
        else if (f.number == 7)
            n.domain = as_str(f.bytes);
    }
    if (lk_str_is(n.domain, "ai.onnx"))
        n.domain = (lk_str){"", 0};
    *ret = n;
    return LK_OK;
}

static lk_code read_parts(lk_graph *g, lk_arena *into, lk_err *err)
{
    lk_blob b = g->bytes;
    lk_pb_field f;
    lk_code code = LK_OK;
    while (lk_pb_next(&b, &f)) {
        g->n_nodes += f.number == LK_ONNX_GRAPH_NODE && f.wire == LK_PB_BYTES;
        g->n_tensors += f.number == LK_ONNX_GRAPH_INITIALIZER && f.wire == LK_PB_BYTES;
    }
    if (b.n)
        return damaged(err, "the graph");
    g->nodes = lk_arena_zalloc(into, g->n_nodes + 1, sizeof *g->nodes);
    g->tensors = lk_arena_zalloc(into, g->n_tensors + 1, sizeof *g->tensors);
    if (!g->nodes || !g->tensors)
        return short_of_memory(err);
    b = g->bytes;
    for (size_t n = 0, t = 0; !code && lk_pb_next(&b, &f);) {
        if (f.wire != LK_PB_BYTES)
            continue;
        if (f.number == LK_ONNX_GRAPH_NODE)
            code = read_node(f.bytes, into, &g->nodes[n++], err);
        else if (f.number == LK_ONNX_GRAPH_INITIALIZER && !read_tensor(f.bytes, &g->tensors[t++]))
            code = damaged(err, "a tensor");
    }
    return code;
}

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
    return lk_str_cmp(((const lk_graph_name *)a)->name, ((const lk_graph_name *)b)->name);
}

lk_graph_name *lk_graph_find(const lk_graph *g, lk_str name)
{
    lk_graph_name key = {.name = name};
    return g->n_names ? bsearch(&key, g->names, g->n_names, sizeof key, by_name) : NULL;
}

static void use(const lk_graph *g, lk_str name)
{
    lk_graph_name *n = lk_graph_find(g, name);
    if (n)
        n->uses++;
}

/* ValueInfoProto.name */
static lk_str value_name(lk_blob b)
{
    lk_pb_field f;
    while (lk_pb_next(&b, &f))
        if (f.number == 1 && f.wire == LK_PB_BYTES)
            return as_str(f.bytes);
    return (lk_str){"", 0};
}

typedef enum level { IN_GRAPH, IN_NODE, IN_ATTR } level;

/* What nodes and outputs of a graph use, and of the graphs inside it. */
static void count_uses(const lk_graph *g, lk_blob b, level in, unsigned depth)
{
    lk_pb_field f;
    while (depth < MAX_DEPTH && lk_pb_next(&b, &f)) {
        if (f.wire != LK_PB_BYTES)
            continue;
        if (in == IN_GRAPH && f.number == LK_ONNX_GRAPH_NODE)
            count_uses(g, f.bytes, IN_NODE, depth + 1);
        else if (in == IN_GRAPH && f.number == LK_ONNX_GRAPH_OUTPUT)
            use(g, value_name(f.bytes));
        else if (in == IN_NODE && f.number == LK_ONNX_NODE_INPUT)
            use(g, as_str(f.bytes));
        else if (in == IN_NODE && f.number == LK_ONNX_NODE_ATTRIBUTE)
            count_uses(g, f.bytes, IN_ATTR, depth + 1);
        else if (in == IN_ATTR && (f.number == 6 || f.number == 11)) /* g, graphs */
            count_uses(g, f.bytes, IN_GRAPH, depth + 1);
    }
}

/* Names that stand twice become one; false when both are made here. Before version 4 of the format
 * every initializer was an input, too. */
static bool merge_names(lk_graph *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->n_names; i++) {
        lk_graph_name *n = &g->names[i], *last = kept ? &g->names[kept - 1] : NULL;
        if (n->name.n == 0) /* an output that nobody wants */
            continue;
        if (!last || !lk_str_eq(last->name, n->name)) {
            g->names[kept++] = *n;
            continue;
        }
        if (last->node || n->node || last->input == n->input)
            return false;
        last->tensor += n->tensor; /* one of them is 0 */
        last->input = true;
    }
    g->n_names = kept;
    return true;
}

static lk_code read_names(lk_graph *g, lk_arena *into, lk_err *err)
{
    size_t n = g->n_tensors;
    lk_pb_field f;
    for (size_t i = 0; i < g->n_nodes; i++)
        n += g->nodes[i].n_out;
    for (lk_blob b = g->bytes; lk_pb_next(&b, &f);)
        n += f.number == LK_ONNX_GRAPH_INPUT;
    g->names = lk_arena_zalloc(into, n + 1, sizeof *g->names);
    if (!g->names)
        return short_of_memory(err);
    n = 0;
    for (size_t i = 0; i < g->n_tensors; i++)
        g->names[n++] = (lk_graph_name){.name = g->tensors[i].name, .tensor = i + 1};
    for (size_t i = 0; i < g->n_nodes; i++)
        for (size_t j = 0; j < g->nodes[i].n_out; j++)
            g->names[n++] = (lk_graph_name){.name = g->nodes[i].out[j], .node = i + 1};
    for (lk_blob b = g->bytes; lk_pb_next(&b, &f);)
        if (f.number == LK_ONNX_GRAPH_INPUT && f.wire == LK_PB_BYTES)
            g->names[n++] = (lk_graph_name){.name = value_name(f.bytes), .input = true};
    qsort(g->names, n, sizeof *g->names, by_name);
    g->n_names = n;
    if (!merge_names(g))
        return damaged(err, "a name that is made twice");
    count_uses(g, g->bytes, IN_GRAPH, 0);
    return LK_OK;
}

/* ---- the model ---- */

/* OperatorSetIdProto: domain(1), version(2). */
static void read_opset(lk_blob b, int64_t *ret)
{
    lk_str domain = {"", 0};
    uint64_t version = 0;
    lk_pb_field f;
    while (lk_pb_next(&b, &f)) {
        if (f.number == 1 && f.wire == LK_PB_BYTES)
            domain = as_str(f.bytes);
        if (f.number == 2 && f.wire == LK_PB_VARINT && f.value <= INT32_MAX)
            version = f.value;
    }
    if (domain.n == 0 || lk_str_is(domain, "ai.onnx"))
        *ret = (int64_t)version;
}

lk_code lk_graph_read(lk_blob model, lk_arena *into, lk_graph *ret, lk_err *err)
{
    lk_graph g = {.opset = 0};
    size_t n_graphs = 0;
    lk_pb_field f;
    lk_blob b = model;
    while (lk_pb_next(&b, &f)) {
        if (f.wire != LK_PB_BYTES)
            continue;
        if (f.number == LK_ONNX_MODEL_GRAPH) {
            g.bytes = f.bytes;
            n_graphs++;
        } else if (f.number == 8) {
            read_opset(f.bytes, &g.opset);
        }
    }
    if (b.n || n_graphs != 1)
        return damaged(err, "the model");
    lk_code code = read_parts(&g, into, err);
    if (!code)
        code = read_names(&g, into, err);
    if (!code)
        *ret = g;
    return code;
}

/* ---- attributes ---- */

static bool attr(const lk_graph_node *n, const char *name, uint32_t number, lk_pb_field *ret)
{
    lk_blob node = n->bytes;
    lk_pb_field a, f;
    while (lk_pb_next(&node, &a)) {
        if (a.number != LK_ONNX_NODE_ATTRIBUTE || a.wire != LK_PB_BYTES)
            continue;
        bool named = false, found = false;
        for (lk_blob b = a.bytes; lk_pb_next(&b, &f);) {
            named = named || (f.number == LK_ONNX_ATTR_NAME && f.wire == LK_PB_BYTES &&
                              lk_str_is(as_str(f.bytes), name));
            if (f.number == number) {
                *ret = f;
                found = true;
            }
        }
        if (named && found)
            return true;
    }
    return false;
}

int64_t lk_graph_attr_int(const lk_graph_node *n, const char *name, int64_t absent)
{
    lk_pb_field f;
    return attr(n, name, LK_ONNX_ATTR_INT, &f) && f.wire == LK_PB_VARINT ? (int64_t)f.value
                                                                         : absent;
}

float lk_graph_attr_float(const lk_graph_node *n, const char *name, float absent)
{
    lk_pb_field f;
    float v;
    if (!attr(n, name, LK_ONNX_ATTR_FLOAT, &f) || f.wire != LK_PB_FIXED32)
        return absent;
    memcpy(&v, f.bytes.p, sizeof v);
    return v;
}

bool lk_graph_attr_tensor(const lk_graph_node *n, const char *name, lk_graph_tensor *ret)
{
    lk_pb_field f;
    return attr(n, name, LK_ONNX_ATTR_TENSOR, &f) && f.wire == LK_PB_BYTES &&
           read_tensor(f.bytes, ret);
}
