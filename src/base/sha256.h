/* SHA-256 (FIPS 180-4) by libcrypto: the name of every stored picture. */
#ifndef LK_BASE_SHA256_H
#define LK_BASE_SHA256_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

typedef struct lk_sha256 {
    unsigned char b[32];
} lk_sha256;

#define LK_SHA256_HEX 64

LK_CHECK lk_code lk_sha256_of(const void *p, size_t n, lk_sha256 *ret, lk_err *err);
LK_CHECK lk_code lk_sha256_of_file(const char *path, lk_sha256 *ret, lk_err *err);
void lk_sha256_hex(const lk_sha256 *h, char ret[LK_SHA256_HEX + 1]);
bool lk_sha256_from_hex(lk_str hex, lk_sha256 *ret);

/* In pieces. */
typedef struct lk_sha256_ctx lk_sha256_ctx;
LK_CHECK lk_code lk_sha256_new(lk_sha256_ctx **ret, lk_err *err);
LK_CHECK lk_code lk_sha256_update(lk_sha256_ctx *c, const void *p, size_t n, lk_err *err);
LK_CHECK lk_code lk_sha256_final(lk_sha256_ctx *c, lk_sha256 *ret, lk_err *err); /* once */
void lk_sha256_free(lk_sha256_ctx *c);                                           /* NULL allowed */

/* HMAC-SHA-256, for request signatures. */
LK_CHECK lk_code lk_hmac_sha256(lk_blob key, lk_blob text, lk_sha256 *ret, lk_err *err);

#endif
