/* The growing buffer of base/str.h, and the encodings that fill one. */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"

void lk_buf_init(lk_buf *b, size_t limit_bytes)
{
    *b = (lk_buf){.limit = limit_bytes ? limit_bytes : (size_t)1 << 30};
}

void lk_buf_release(lk_buf *b)
{
    if (!b)
        return;
    lk_free(b->p);
    lk_buf_init(b, b->limit);
}

void lk_buf_clear(lk_buf *b)
{
    b->n = 0;
    b->failed = false;
    b->over = false;
    if (b->p)
        b->p[0] = '\0';
}

char *lk_buf_reserve(lk_buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > b->limit - b->n) {
        b->failed = true;
        b->over = true;
        return NULL;
    }
    size_t want;
    void *p = b->p;
    if (!lk_add_size(b->n + n, 1, &want) || !lk_grow(&p, &b->cap, want, 1)) {
        b->failed = true;
        return NULL;
    }
    b->p = p;
    b->p[b->n] = '\0';
    b->p[b->n + n] = '\0';
    return b->p + b->n;
}

void lk_buf_put(lk_buf *b, const void *p, size_t n)
{
    char *at = lk_buf_reserve(b, n);
    if (!at || n == 0)
        return;
    memcpy(at, p, n);
    b->n += n;
}

void lk_buf_puts(lk_buf *b, const char *z)
{
    lk_buf_put(b, z, strlen(z));
}

void lk_buf_putc(lk_buf *b, char c)
{
    lk_buf_put(b, &c, 1);
}

void lk_buf_printf(lk_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
        return;
    }
    char *at = lk_buf_reserve(b, (size_t)n);
    if (!at)
        return;
    va_start(args, fmt);
    vsnprintf(at, (size_t)n + 1, fmt, args);
    va_end(args);
    b->n += (size_t)n;
}

lk_code lk_buf_check(const lk_buf *b, lk_err *err)
{
    if (!b->failed)
        return LK_OK;
    if (b->over)
        return lk_fail(err, LK_E_LIMIT, "more than the %zu bytes allowed here", b->limit);
    return lk_fail(err, LK_E_NOMEM, "no memory for more than %zu bytes", b->n);
}

lk_str lk_buf_str(const lk_buf *b)
{
    return (lk_str){b->p ? b->p : "", b->n};
}

char *lk_buf_steal(lk_buf *b, size_t *ret_n)
{
    char *p = lk_buf_reserve(b, 0); /* an empty buffer has no memory yet */
    if (!p) {
        lk_buf_release(b);
        return NULL;
    }
    p = b->p;
    if (ret_n)
        *ret_n = b->n;
    lk_buf_init(b, b->limit);
    return p;
}

void lk_hex_encode(const void *p, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * n] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool lk_hex_decode(lk_str hex, void *ret, size_t n)
{
    unsigned char *bytes = ret;
    if (n > SIZE_MAX / 2 || hex.n != 2 * n)
        return false;
    for (size_t i = 0; i < hex.n; i++) {
        if (hex_digit(hex.p[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(hex_digit(hex.p[2 * i]) << 4 | hex_digit(hex.p[2 * i + 1]));
    return true;
}

void lk_percent_encode(lk_str text, lk_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            lk_buf_putc(out, (char)c);
        } else {
            lk_buf_putc(out, '%');
            lk_buf_putc(out, digits[c >> 4]);
            lk_buf_putc(out, digits[c & 15]);
        }
    }
}

void lk_base64_put(lk_buf *b, const void *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)bytes[i] << 16;
        if (left > 1)
            v |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            v |= bytes[i + 2];
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], '=', '='};
        if (left > 1)
            four[2] = digits[v >> 6 & 63];
        if (left > 2)
            four[3] = digits[v & 63];
        lk_buf_put(b, four, 4);
    }
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

static lk_code base64_fault(lk_buf *into, size_t n_before, size_t at, const char *what, lk_err *err)
{
    into->n = n_before;
    if (into->p)
        into->p[n_before] = '\0';
    lk_code code = lk_fail(err, LK_E_FORMAT, "not base64: %s at byte %zu", what, at + 1);
    if (err)
        err->column = at < INT32_MAX ? (int)at + 1 : 0;
    return code;
}

lk_code lk_base64_get(lk_str text, lk_buf *into, lk_err *err)
{
    size_t n_before = into->n;
    size_t n_digits = 0;
    size_t n_pads = 0;
    uint32_t v = 0;
    lk_buf_reserve(into, 0);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            continue;
        int digit = base64_digit(c);
        if (c == '=' && n_pads < 2) {
            n_pads++;
            continue;
        }
        if (digit < 0 || n_pads > 0)
            return base64_fault(into, n_before, i, "an unexpected character", err);
        v = v << 6 | (uint32_t)digit;
        n_digits++;
        if (n_digits % 4 == 0) {
            unsigned char three[3] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8),
                                      (unsigned char)v};
            lk_buf_put(into, three, 3);
        }
    }
    size_t rest = n_digits % 4;
    if (rest == 1 || (n_pads > 0 && n_pads != (4 - rest) % 4))
        return base64_fault(into, n_before, text.n, "the data end too early", err);
    if (rest == 2)
        lk_buf_putc(into, (char)(v >> 4));
    if (rest == 3) {
        unsigned char two[2] = {(unsigned char)(v >> 10), (unsigned char)(v >> 2)};
        lk_buf_put(into, two, 2);
    }
    return lk_buf_check(into, err);
}
