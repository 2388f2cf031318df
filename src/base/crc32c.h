/* CRC-32C (Castagnoli; RFC 3720, appendix B.4): the checksum of everything we write to disk. */
#ifndef LK_BASE_CRC32C_H
#define LK_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t lk_crc32c(const void *p, size_t n);
/* The checksum of what `crc` is the checksum of, followed by p[n]. */
uint32_t lk_crc32c_add(uint32_t crc, const void *p, size_t n);
/* The same without the processor's instruction: the definition that tests compare with. */
uint32_t lk_crc32c_plain(const void *p, size_t n);

#endif
