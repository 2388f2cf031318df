#include "store/vectors/embedded/ops.h"

#include "store/vectors/embedded/le.h"

static void put_u8(lk_buf *b, unsigned v)
{
    lk_buf_putc(b, (char)v);
}

static void put_u16(lk_buf *b, uint16_t v)
{
    unsigned char p[2];
    lk_put_u16(p, v);
    lk_buf_put(b, p, sizeof p);
}

static void put_u32(lk_buf *b, uint32_t v)
{
    unsigned char p[4];
    lk_put_u32(p, v);
    lk_buf_put(b, p, sizeof p);
}

static void put_u64(lk_buf *b, uint64_t v)
{
    unsigned char p[8];
    lk_put_u64(p, v);
    lk_buf_put(b, p, sizeof p);
}

static void put_name(lk_buf *b, lk_str s)
{
    put_u16(b, (uint16_t)s.n);
    lk_buf_put(b, s.p, s.n);
}

static void put_value(lk_buf *b, lk_str s)
{
    put_u32(b, (uint32_t)s.n);
    lk_buf_put(b, s.p, s.n);
}

void lk_ops_put_field(lk_buf *b, lk_type type, bool in_metadata, lk_str name)
{
    put_u8(b, LK_OP_FIELD);
    put_u8(b, (unsigned)type);
    put_u8(b, in_metadata);
    put_name(b, name);
}

void lk_ops_put_option(lk_buf *b, lk_str key, lk_str value)
{
    put_u8(b, LK_OP_OPTION);
    put_name(b, key);
    put_value(b, value);
}

void lk_ops_put_row(lk_buf *b, uint32_t slot, uint32_t row_crc, float norm, lk_str id,
                    uint16_t n_attrs)
{
    uint32_t bits;
    memcpy(&bits, &norm, sizeof bits);
    put_u8(b, LK_OP_PUT);
    put_u32(b, slot);
    put_u32(b, row_crc);
    put_u32(b, bits);
    put_name(b, id);
    put_u16(b, n_attrs);
}

void lk_ops_put_attrs(lk_buf *b, uint32_t slot, uint16_t n_attrs)
{
    put_u8(b, LK_OP_ATTRS);
    put_u32(b, slot);
    put_u16(b, n_attrs);
}

void lk_ops_put_attr(lk_buf *b, uint16_t field, lk_type type, const lk_value *v)
{
    put_u16(b, field);
    switch (type) {
    case LK_T_BOOL:
        put_u8(b, v->b);
        break;
    case LK_T_REAL: {
        double d = v->type == LK_T_INT ? (double)v->i : v->d;
        uint64_t bits;
        memcpy(&bits, &d, sizeof bits);
        put_u64(b, bits);
        break;
    }
    case LK_T_STR:
        put_value(b, v->s);
        break;
    default:
        put_u64(b, (uint64_t)v->i);
        break;
    }
}

void lk_ops_put_delete(lk_buf *b, uint32_t slot)
{
    put_u8(b, LK_OP_DELETE);
    put_u32(b, slot);
}

/* ---- reading: every length is checked against what is left ---- */

static const unsigned char *take(lk_ops_reader *r, size_t n)
{
    if (r->bad || n > r->n) {
        r->bad = true;
        return NULL;
    }
    const unsigned char *p = r->p;
    r->p += n;
    r->n -= n;
    return p;
}

static unsigned get_u8(lk_ops_reader *r)
{
    const unsigned char *p = take(r, 1);
    return p ? *p : 0;
}

static uint16_t get_u16(lk_ops_reader *r)
{
    const unsigned char *p = take(r, 2);
    return p ? lk_get_u16(p) : 0;
}

static uint32_t get_u32(lk_ops_reader *r)
{
    const unsigned char *p = take(r, 4);
    return p ? lk_get_u32(p) : 0;
}

static uint64_t get_u64(lk_ops_reader *r)
{
    const unsigned char *p = take(r, 8);
    return p ? lk_get_u64(p) : 0;
}

static lk_str get_bytes(lk_ops_reader *r, size_t n)
{
    const unsigned char *p = take(r, n);
    return p ? (lk_str){(const char *)p, n} : (lk_str){"", 0};
}

static bool is_field_type(lk_type t)
{
    return t == LK_T_BOOL || t == LK_T_INT || t == LK_T_REAL || t == LK_T_STR || t == LK_T_TIME;
}

bool lk_ops_next(lk_ops_reader *r, lk_op *ret)
{
    if (r->bad || r->n == 0)
        return false;
    *ret = (lk_op){.kind = (lk_op_kind)get_u8(r)};
    switch (ret->kind) {
    case LK_OP_FIELD:
        ret->type = (lk_type)get_u8(r);
        ret->in_metadata = get_u8(r) != 0;
        ret->name = get_bytes(r, get_u16(r));
        if (!is_field_type(ret->type) || ret->name.n == 0)
            r->bad = true;
        break;
    case LK_OP_OPTION:
        ret->name = get_bytes(r, get_u16(r));
        ret->value = get_bytes(r, get_u32(r));
        break;
    case LK_OP_PUT: {
        ret->slot = get_u32(r);
        ret->row_crc = get_u32(r);
        uint32_t bits = get_u32(r);
        memcpy(&ret->norm, &bits, sizeof bits);
        ret->name = get_bytes(r, get_u16(r));
        ret->n_attrs = get_u16(r);
        break;
    }
    case LK_OP_ATTRS:
        ret->slot = get_u32(r);
        ret->n_attrs = get_u16(r);
        break;
    case LK_OP_DELETE:
        ret->slot = get_u32(r);
        break;
    default:
        r->bad = true;
        break;
    }
    return !r->bad;
}

bool lk_ops_attr_field(lk_ops_reader *r, uint16_t *ret)
{
    *ret = get_u16(r);
    return !r->bad;
}

bool lk_ops_attr_value(lk_ops_reader *r, lk_type type, lk_value *ret)
{
    *ret = (lk_value){.type = type};
    switch (type) {
    case LK_T_BOOL:
        ret->b = get_u8(r) != 0;
        break;
    case LK_T_REAL: {
        uint64_t bits = get_u64(r);
        memcpy(&ret->d, &bits, sizeof bits);
        break;
    }
    case LK_T_STR:
        ret->s = get_bytes(r, get_u32(r));
        break;
    default:
        ret->i = (int64_t)get_u64(r);
        break;
    }
    return !r->bad;
}
