/* Numbers in files: little-endian, whatever the machine. */
#ifndef LK_STORE_VECTORS_EMBEDDED_LE_H
#define LK_STORE_VECTORS_EMBEDDED_LE_H

#include <stdint.h>
#include <string.h>

static inline void lk_put_u16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}
static inline void lk_put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}
static inline void lk_put_u64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}
static inline uint16_t lk_get_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t lk_get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t lk_get_u64(const unsigned char *p)
{
    return (uint64_t)lk_get_u32(p) | (uint64_t)lk_get_u32(p + 4) << 32;
}

#endif
