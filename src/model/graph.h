/* An ONNX model's graph as a table of views: nodes, initializers, and what each name is.
 *
 * For those who rewrite a model. Only the top graph is laid out; what graphs inside a node's
 * attributes use is counted, so that nobody takes a tensor away from under them. Everything points
 * into the model's bytes or the arena given; nothing is copied and nothing trusted: names may be
 * missing or used before they are made, which the runtime refuses and we only survive. */
#ifndef LK_MODEL_GRAPH_H
#define LK_MODEL_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* Field numbers of onnx.proto3. */
enum {
    LK_ONNX_MODEL_GRAPH = 7,
    LK_ONNX_GRAPH_NODE = 1,
    LK_ONNX_GRAPH_INITIALIZER = 5,
    LK_ONNX_GRAPH_INPUT = 11,
    LK_ONNX_GRAPH_OUTPUT = 12,
    LK_ONNX_NODE_INPUT = 1,
    LK_ONNX_NODE_OUTPUT = 2,
    LK_ONNX_NODE_OP = 4,
    LK_ONNX_NODE_ATTRIBUTE = 5,
    LK_ONNX_ATTR_NAME = 1,
    LK_ONNX_ATTR_FLOAT = 2,
    LK_ONNX_ATTR_INT = 3,
    LK_ONNX_ATTR_TENSOR = 5,
    LK_ONNX_ATTR_TYPE = 20,
    LK_ONNX_TENSOR_DIMS = 1,
    LK_ONNX_TENSOR_DATA_TYPE = 2,
    LK_ONNX_TENSOR_FLOAT_DATA = 4,
    LK_ONNX_TENSOR_NAME = 8,
    LK_ONNX_TENSOR_RAW = 9,
};

/* TensorProto.DataType. */
enum { LK_ONNX_FLOAT = 1, LK_ONNX_INT8 = 3, LK_ONNX_INT64 = 7, LK_ONNX_FLOAT16 = 10 };

typedef struct lk_graph_tensor {
    lk_str name;
    int32_t type; /* LK_ONNX_… or another of the format's */
    size_t rank;
    int64_t dims[4]; /* the first of them */
    lk_blob data;    /* little-endian elements; empty when they are kept in another way */
} lk_graph_tensor;

typedef struct lk_graph_node {
    lk_str op, domain; /* domain "": ONNX's own */
    size_t n_in, n_out;
    lk_str *in, *out;
    lk_blob bytes; /* NodeProto */
} lk_graph_node;

typedef struct lk_graph_name {
    lk_str name;
    size_t node;    /* that makes it, 1-based; 0: none */
    size_t tensor;  /* initializer of this name, 1-based; 0: none */
    bool input;     /* the graph's, and maybe an initializer as well: its default */
    size_t uses;    /* as an input, of nodes inside attributes too, or as the graph's output */
    size_t mark[2]; /* the caller's; 0 at first */
} lk_graph_name;

typedef struct lk_graph {
    lk_blob bytes; /* GraphProto */
    int64_t opset; /* of ONNX's own operators; 0: not said */
    size_t n_nodes, n_tensors, n_names;
    lk_graph_node *nodes;
    lk_graph_tensor *tensors;
    lk_graph_name *names; /* sorted by name */
} lk_graph;

/* LK_E_MODEL: not an ONNX model; LK_E_NOMEM, also when *into is full. */
LK_CHECK lk_code lk_graph_read(lk_blob model, lk_arena *into, lk_graph *ret, lk_err *err);

/* NULL when nothing has this name. */
lk_graph_name *lk_graph_find(const lk_graph *g, lk_str name);

/* A node's attribute, or what it is when absent. */
int64_t lk_graph_attr_int(const lk_graph_node *n, const char *name, int64_t absent);
float lk_graph_attr_float(const lk_graph_node *n, const char *name, float absent);
/* False: there is none. */
bool lk_graph_attr_tensor(const lk_graph_node *n, const char *name, lk_graph_tensor *ret);

#endif
