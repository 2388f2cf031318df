/* What a frame of the catalog says: operations, one behind the other, little-endian.
 *
 *   1 FIELD   type u8, in metadata u8, name          fields are numbered from 0 as they come
 *   2 OPTION  key, value                             the latest of a key counts
 *   3 PUT     slot u32, row CRC u32, norm f32, id, attributes
 *   4 ATTRS   slot u32, attributes                   in place of the slot's earlier ones
 *   5 DELETE  slot u32
 *
 *   name, key, id   length u16, bytes                value   length u32, bytes
 *   attributes      count u16, then field u16 and a value by the field's type: boolean u8,
 *                   integer and time i64, real f64, string as value
 *
 * A PUT of an id that another slot holds empties that slot. */
#ifndef LK_STORE_VECTORS_EMBEDDED_OPS_H
#define LK_STORE_VECTORS_EMBEDDED_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "filter/filter.h"

typedef enum lk_op_kind {
    LK_OP_FIELD = 1,
    LK_OP_OPTION = 2,
    LK_OP_PUT = 3,
    LK_OP_ATTRS = 4,
    LK_OP_DELETE = 5,
} lk_op_kind;

typedef struct lk_op {
    lk_op_kind kind;
    uint32_t slot;
    uint32_t row_crc;
    float norm;
    lk_str name; /* a field's name, an option's key, an id */
    lk_type type;
    bool in_metadata;
    lk_str value;     /* of an option */
    uint16_t n_attrs; /* to be read with lk_ops_attr */
} lk_op;

void lk_ops_put_field(lk_buf *b, lk_type type, bool in_metadata, lk_str name);
void lk_ops_put_option(lk_buf *b, lk_str key, lk_str value);
/* Followed by n_attrs of lk_ops_put_attr. */
void lk_ops_put_row(lk_buf *b, uint32_t slot, uint32_t row_crc, float norm, lk_str id,
                    uint16_t n_attrs);
void lk_ops_put_attrs(lk_buf *b, uint32_t slot, uint16_t n_attrs);
/* v in the field's type; a whole number for a real field is converted. */
void lk_ops_put_attr(lk_buf *b, uint16_t field, lk_type type, const lk_value *v);
void lk_ops_put_delete(lk_buf *b, uint32_t slot);

typedef struct lk_ops_reader {
    const unsigned char *p;
    size_t n;
    bool bad; /* something ran over the end or was none of the above */
} lk_ops_reader;

/* False at the end, and when bad. Names and values point into the frame. */
bool lk_ops_next(lk_ops_reader *r, lk_op *ret);
/* The next attribute's field, and then its value by that field's type. */
bool lk_ops_attr_field(lk_ops_reader *r, uint16_t *ret);
bool lk_ops_attr_value(lk_ops_reader *r, lk_type type, lk_value *ret);

#endif
