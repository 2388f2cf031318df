#include "model/proto.h"

/* ---- reading ---- */

bool lk_pb_next_varint(lk_blob *b, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && b->n; shift += 7) {
        unsigned char c = *b->p++;
        b->n--;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

bool lk_pb_next(lk_blob *b, lk_pb_field *ret)
{
    lk_blob at = *b;
    uint64_t tag = 0, n = 0;
    if (!lk_pb_next_varint(&at, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return false;
    *ret = (lk_pb_field){.number = (uint32_t)(tag >> 3), .wire = (lk_pb_wire)(tag & 7)};
    switch (ret->wire) {
    case LK_PB_VARINT:
        if (!lk_pb_next_varint(&at, &ret->value))
            return false;
        break;
    case LK_PB_FIXED64:
        n = 8;
        break;
    case LK_PB_BYTES:
        if (!lk_pb_next_varint(&at, &n))
            return false;
        break;
    case LK_PB_FIXED32:
        n = 4;
        break;
    case LK_PB_GROUP:
    case LK_PB_GROUP_END:
        break;
    default:
        return false;
    }
    if (n > at.n)
        return false;
    ret->bytes = (lk_blob){at.p, (size_t)n};
    at.p += n;
    at.n -= (size_t)n;
    ret->whole = (lk_blob){b->p, b->n - at.n};
    *b = at;
    return true;
}

/* ---- writing ---- */

static void put_varint(lk_buf *b, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        lk_buf_putc(b, (char)(v | 0x80));
    lk_buf_putc(b, (char)v);
}

void lk_pb_put_varint(lk_buf *b, uint32_t number, uint64_t value)
{
    put_varint(b, (uint64_t)number << 3 | LK_PB_VARINT);
    put_varint(b, value);
}

void lk_pb_put_head(lk_buf *b, uint32_t number, size_t n)
{
    put_varint(b, (uint64_t)number << 3 | LK_PB_BYTES);
    put_varint(b, n);
}

void lk_pb_put_bytes(lk_buf *b, uint32_t number, const void *p, size_t n)
{
    lk_pb_put_head(b, number, n);
    lk_buf_put(b, p, n);
}

void lk_pb_put_str(lk_buf *b, uint32_t number, lk_str s)
{
    lk_pb_put_bytes(b, number, s.p, s.n);
}

void lk_pb_put_float(lk_buf *b, uint32_t number, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_varint(b, (uint64_t)number << 3 | LK_PB_FIXED32);
    for (unsigned i = 0; i < 4; i++, bits >>= 8)
        lk_buf_putc(b, (char)bits);
}

/* Room is left for the length, which is filled in by its longer spelling; readers take both. */
enum { LENGTH_BYTES = 5 };

size_t lk_pb_begin(lk_buf *b, uint32_t number)
{
    put_varint(b, (uint64_t)number << 3 | LK_PB_BYTES);
    lk_buf_put(b, "\0\0\0\0", LENGTH_BYTES);
    return b->n;
}

void lk_pb_end(lk_buf *b, size_t begun)
{
    if (b->failed)
        return;
    size_t n = b->n - begun;
    for (size_t i = 0; i < LENGTH_BYTES; i++, n >>= 7)
        b->p[begun - LENGTH_BYTES + i] = (char)((n & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}
