/* Protobuf's wire format, as far as ONNX needs it: fields of a message one by one, and the same
 * back. Reading never copies: a length-delimited field is a view of the input. Nothing here knows
 * a schema; callers know the numbers (onnx.proto3). Immutable views, no state. */
#ifndef LK_MODEL_PROTO_H
#define LK_MODEL_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef enum lk_pb_wire {
    LK_PB_VARINT = 0,
    LK_PB_FIXED64 = 1,
    LK_PB_BYTES = 2, /* strings, messages, packed numbers */
    LK_PB_GROUP = 3, /* no value: what stands in a group comes as fields of the message around it */
    LK_PB_GROUP_END = 4,
    LK_PB_FIXED32 = 5,
} lk_pb_wire;

typedef struct lk_pb_field {
    uint32_t number;
    lk_pb_wire wire;
    uint64_t value; /* varints */
    lk_blob bytes;  /* fixed ones have 4 or 8 */
    lk_blob whole;  /* tag and all, to be copied as it stands */
} lk_pb_field;

/* The next field of *b, which moves past it. False at the end or at bytes that are no field; b->n
 * tells which: 0 only at a clean end. */
bool lk_pb_next(lk_blob *b, lk_pb_field *ret);
/* One varint, of a packed field for example. */
bool lk_pb_next_varint(lk_blob *b, uint64_t *ret);

void lk_pb_put_varint(lk_buf *b, uint32_t number, uint64_t value);
void lk_pb_put_bytes(lk_buf *b, uint32_t number, const void *p, size_t n);
void lk_pb_put_str(lk_buf *b, uint32_t number, lk_str s);
void lk_pb_put_float(lk_buf *b, uint32_t number, float value);
/* A tag and a length; the caller then writes exactly n bytes. */
void lk_pb_put_head(lk_buf *b, uint32_t number, size_t n);
/* A message whose length is known only at its end, below 32 GiB: put the fields between the two
 * calls, and give end what begin returned. */
size_t lk_pb_begin(lk_buf *b, uint32_t number);
void lk_pb_end(lk_buf *b, size_t begun);

#endif
