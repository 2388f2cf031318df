/* Strings: lk_str is a view (pointer and length, not NUL-terminated), lk_buf a growing byte buffer
 * with a limit it is born with. Text is UTF-8 throughout. */
#ifndef LK_BASE_STR_H
#define LK_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

typedef struct lk_str {
    const char *p;
    size_t n;
} lk_str;

/* Bytes that somebody else owns. */
typedef struct lk_blob {
    const unsigned char *p;
    size_t n;
} lk_blob;

#define LK_STR(lit) ((lk_str){("" lit), sizeof(lit) - 1})
#define LK_STR_ARG(s) (int)(s).n, (s).p /* for "%.*s" */

static inline lk_str lk_str_of(const char *z)
{
    return (lk_str){z ? z : "", z ? strlen(z) : 0};
}

bool lk_str_eq(lk_str a, lk_str b);
bool lk_str_is(lk_str a, const char *z);
bool lk_str_eq_nocase(lk_str a, lk_str b); /* ASCII */
int lk_str_cmp(lk_str a, lk_str b);        /* bytewise */
/* For tables in memory only: not stable across versions or machines, and no defence against keys
 * that are chosen to collide. */
uint32_t lk_str_hash(lk_str s);
bool lk_str_starts(lk_str s, lk_str head);
bool lk_str_ends(lk_str s, lk_str tail);
size_t lk_str_find(lk_str s, lk_str what); /* offset, or SIZE_MAX */
lk_str lk_str_trim(lk_str s);              /* ASCII white space at both ends */
/* Cut *s at the first `sep`: returns what stood before it and leaves the rest in *s. */
lk_str lk_str_cut(lk_str *s, char sep);

/* The whole of s must be the number. false: it is not, or it is out of range. No white space.
 * Finite only. */
bool lk_str_to_i64(lk_str s, int64_t *ret);
bool lk_str_to_u64(lk_str s, uint64_t *ret);
bool lk_str_to_f64(lk_str s, double *ret);
/* "64", "64k", "10MiB", "2G": bytes, powers of 1024. */
bool lk_str_to_bytes(lk_str s, uint64_t *ret);
/* "1500ms", "30s", "5m", "2h": milliseconds. A bare number is seconds. */
bool lk_str_to_ms(lk_str s, uint64_t *ret);

/* UTF-8. lk_utf8_next returns the code point at *i and moves *i past it; a malformed byte gives
 * U+FFFD and moves by one. */
bool lk_utf8_valid(lk_str s);
uint32_t lk_utf8_next(lk_str s, size_t *i);
size_t lk_utf8_put(uint32_t cp, char ret[4]); /* bytes written, 1..4 */

/* Which of names[n] is nearest to `word` by edit distance, or NULL when none is near (more than a
 * third of its letters differ). For "unknown option …, did you mean …". */
const char *lk_str_closest(lk_str word, const char *const *names, size_t n);

typedef struct lk_buf {
    char *p; /* NUL-terminated whenever it is not NULL */
    size_t n;
    size_t cap;
    size_t limit;
    bool failed; /* an append did not fit; sticky until clear */
    bool over;   /* and it was the limit that it did not fit */
} lk_buf;

void lk_buf_init(lk_buf *b, size_t limit_bytes); /* 0 means 1 GiB */
void lk_buf_release(lk_buf *b);                  /* NULL allowed */
void lk_buf_clear(lk_buf *b);                    /* keeps the memory */
/* Appends are unchecked one by one: after the last, lk_buf_check says whether all of them fitted
 * (LK_E_NOMEM or LK_E_LIMIT). After a failure nothing more is appended. */
void lk_buf_put(lk_buf *b, const void *p, size_t n);
void lk_buf_puts(lk_buf *b, const char *z);
void lk_buf_putc(lk_buf *b, char c);
void lk_buf_printf(lk_buf *b, const char *fmt, ...) LK_PRINTF(2, 3);
/* Room for n more bytes, to be written by the caller who then adds to b->n; NULL on failure. A
 * caller that adds fewer than n puts the NUL behind them itself. */
char *lk_buf_reserve(lk_buf *b, size_t n);
LK_CHECK lk_code lk_buf_check(const lk_buf *b, lk_err *err);
lk_str lk_buf_str(const lk_buf *b);
/* Hand the memory over (lk_free it); the buffer is empty afterwards. NULL when it failed. */
char *lk_buf_steal(lk_buf *b, size_t *ret_n);

void lk_hex_encode(const void *p, size_t n, char *ret); /* 2n characters and a NUL */
bool lk_hex_decode(lk_str hex, void *ret, size_t n);    /* exactly 2n lower- or upper-case digits */
void lk_base64_put(lk_buf *b, const void *p, size_t n);
/* Standard or URL alphabet, padding optional, white space skipped. LK_E_FORMAT names the column. */
LK_CHECK lk_code lk_base64_get(lk_str text, lk_buf *into, lk_err *err);
/* For a path segment or a query value of a URL: %XX for all but letters, digits and "-._~". */
void lk_percent_encode(lk_str text, lk_buf *out);

#endif
