#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/mem.h"
#include "base/os.h"

struct lk_sha256_ctx {
    EVP_MD_CTX *md;
};

static lk_code crypto_failed(lk_err *err)
{
    return lk_fail(err, LK_E_NOMEM, "libcrypto cannot compute SHA-256");
}

lk_code lk_sha256_new(lk_sha256_ctx **ret, lk_err *err)
{
    lk_sha256_ctx *c = lk_malloc(sizeof *c);
    if (!c)
        return lk_fail(err, LK_E_NOMEM, "no memory for a SHA-256 state");
    c->md = EVP_MD_CTX_new();
    if (!c->md || !EVP_DigestInit_ex(c->md, EVP_sha256(), NULL)) {
        lk_sha256_free(c);
        return crypto_failed(err);
    }
    *ret = c;
    return LK_OK;
}

lk_code lk_sha256_update(lk_sha256_ctx *c, const void *p, size_t n, lk_err *err)
{
    return EVP_DigestUpdate(c->md, p, n) ? LK_OK : crypto_failed(err);
}

lk_code lk_sha256_final(lk_sha256_ctx *c, lk_sha256 *ret, lk_err *err)
{
    lk_sha256 h;
    if (!EVP_DigestFinal_ex(c->md, h.b, NULL))
        return crypto_failed(err);
    *ret = h;
    return LK_OK;
}

void lk_sha256_free(lk_sha256_ctx *c)
{
    if (!c)
        return;
    EVP_MD_CTX_free(c->md);
    lk_free(c);
}

lk_code lk_sha256_of(const void *p, size_t n, lk_sha256 *ret, lk_err *err)
{
    lk_sha256 h;
    if (!EVP_Digest(p, n, h.b, NULL, EVP_sha256(), NULL))
        return crypto_failed(err);
    *ret = h;
    return LK_OK;
}

static lk_code update_from(lk_sha256_ctx *c, int fd, const char *path, lk_err *err)
{
    enum { PIECE = 256 << 10 };
    lk_code code = LK_OK;
    unsigned char *piece = lk_malloc(PIECE);
    if (!piece)
        return lk_fail(err, LK_E_NOMEM, "no memory to read %s", path);
    while (!code) {
        ssize_t n = lk_os()->read(fd, piece, PIECE);
        if (n == 0)
            break;
        if (n > 0)
            code = lk_sha256_update(c, piece, (size_t)n, err);
        else if (errno != EINTR)
            code = lk_fail_sys(err, errno, "cannot read %s", path);
    }
    lk_free(piece);
    return code;
}

lk_code lk_sha256_of_file(const char *path, lk_sha256 *ret, lk_err *err)
{
    lk_sha256_ctx *c = NULL;
    int fd = lk_os()->open(path, O_RDONLY, 0);
    if (fd < 0)
        return lk_fail_sys(err, errno, "cannot open %s", path);
    lk_code code = lk_sha256_new(&c, err);
    if (!code)
        code = update_from(c, fd, path, err);
    if (!code)
        code = lk_sha256_final(c, ret, err);
    lk_sha256_free(c);
    lk_os()->close(fd);
    return code;
}

void lk_sha256_hex(const lk_sha256 *h, char ret[LK_SHA256_HEX + 1])
{
    lk_hex_encode(h->b, sizeof h->b, ret);
}

bool lk_sha256_from_hex(lk_str hex, lk_sha256 *ret)
{
    return lk_hex_decode(hex, ret->b, sizeof ret->b);
}

lk_code lk_hmac_sha256(lk_blob key, lk_blob text, lk_sha256 *ret, lk_err *err)
{
    if (key.n > INT_MAX)
        return lk_fail(err, LK_E_LIMIT, "a key of %zu bytes is too long for HMAC", key.n);
    lk_sha256 h;
    /* libcrypto takes a NULL key for "the one before", so an empty key needs an address. */
    const void *k = key.n > 0 ? (const void *)key.p : "";
    if (!HMAC(EVP_sha256(), k, (int)key.n, text.p, text.n, h.b, NULL))
        return crypto_failed(err);
    *ret = h;
    return LK_OK;
}
