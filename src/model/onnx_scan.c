/* Weights outside the model's file.
 *
 * A TensorProto with data_location = EXTERNAL names a file that the runtime would open. The bytes
 * of such a file are not those that the card's checksum covers, so a model that has one is refused
 * before the runtime sees it. This walks just the fields in which a tensor can hide
 * (onnx.proto3, IR version 10), without copying and as deep as the runtime's parser would go, which
 * stops at 100 messages in one another. A group's fields count as those of the message around it:
 * the parser skips groups, so walking them can only refuse more. */
#include "model/onnx.h"
#include "model/proto.h"

#define MAX_DEPTH 101

typedef enum kind { K_NONE, K_MODEL, K_GRAPH, K_NODE, K_ATTR, K_TENSOR, K_SPARSE, K_FUNCTION } kind;

/* What a field of a message holds, as far as tensors go. */
static kind kind_of(kind in, uint32_t number)
{
    switch (in) {
    case K_MODEL:
        return number == 7 ? K_GRAPH : number == 25 ? K_FUNCTION : K_NONE;
    case K_GRAPH:
        return number == 1 ? K_NODE : number == 5 ? K_TENSOR : number == 15 ? K_SPARSE : K_NONE;
    case K_FUNCTION:
        return number == 7 ? K_NODE : K_NONE;
    case K_NODE:
        return number == 5 ? K_ATTR : K_NONE;
    case K_ATTR:
        return number == 5 || number == 10    ? K_TENSOR
               : number == 6 || number == 11  ? K_GRAPH
               : number == 22 || number == 23 ? K_SPARSE
                                              : K_NONE;
    case K_SPARSE:
        return number == 1 || number == 2 ? K_TENSOR : K_NONE;
    default:
        return K_NONE;
    }
}

#define TENSOR_EXTERNAL_DATA 13
#define TENSOR_DATA_LOCATION 14

static bool scan(lk_blob b, kind in, unsigned depth)
{
    lk_pb_field f;
    while (depth < MAX_DEPTH && lk_pb_next(&b, &f)) {
        if (in == K_TENSOR) {
            if (f.number == TENSOR_EXTERNAL_DATA ||
                (f.number == TENSOR_DATA_LOCATION && f.value == 1))
                return true;
            continue;
        }
        kind inner = kind_of(in, f.number);
        if (inner != K_NONE && scan(f.bytes, inner, depth + 1))
            return true;
    }
    return false;
}

bool lk_onnx_has_external_data(lk_blob model)
{
    return scan(model, K_MODEL, 0);
}
