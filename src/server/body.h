/* What a client sends after its headers: whole (JSON, one picture) or in named parts (forms).
 *
 * Bodies arrive in pieces on a thread that reads sockets, and are read by the worker that answers.
 * All bodies being received share one budget, so that many slow uploads cannot take the memory of
 * the machine. One owner at a time. */
#ifndef LK_SERVER_BODY_H
#define LK_SERVER_BODY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/* Bytes that bodies may hold together. */
typedef struct lk_budget {
    atomic_size_t used;
    size_t limit;
} lk_budget;

typedef enum lk_body_kind {
    LK_BODY_NONE = 0,
    LK_BODY_JSON = 1 << 0,
    LK_BODY_FORM = 1 << 1,  /* multipart/form-data or application/x-www-form-urlencoded */
    LK_BODY_IMAGE = 1 << 2, /* image/… or application/octet-stream: the file itself */
} lk_body_kind;

typedef struct lk_part {
    char *name, *filename, *media_type; /* filename NULL: a plain field; all NUL-terminated */
    lk_buf data;
} lk_part;

typedef struct lk_body {
    lk_body_kind kind;
    lk_buf whole;
    lk_part *parts;
    size_t n_parts, cap_parts;
    size_t received; /* bytes of the body as sent */
    size_t reserved; /* of the budget */
    size_t max_bytes, max_parts;
    lk_budget *budget;
} lk_body;

void lk_body_init(lk_body *b, lk_budget *budget);
/* Gives the budget back. keep: leave a small buffer for the connection's next request. */
void lk_body_clear(lk_body *b, bool keep);

/* The kind of a Content-Type, LK_BODY_NONE for any other. */
lk_body_kind lk_body_kind_of(const char *content_type);

/* A body of that kind begins; length: what Content-Length says, or 0. LK_E_LIMIT over max_bytes,
 * LK_E_BUSY over the budget. */
LK_CHECK lk_code lk_body_begin(lk_body *b, lk_body_kind kind, size_t length, size_t max_bytes,
                               size_t max_parts, lk_err *err);
/* So many more bytes came in; the same errors. */
LK_CHECK lk_code lk_body_count(lk_body *b, size_t n, lk_err *err);
LK_CHECK lk_code lk_body_append(lk_body *b, const void *p, size_t n, lk_err *err);
/* A piece of a part; first: the part begins here. */
LK_CHECK lk_code lk_body_part(lk_body *b, bool first, const char *name, const char *filename,
                              const char *media_type, const void *p, size_t n, lk_err *err);

/* The only part of that name: NULL when there is none, LK_E_INVALID when there are several. */
LK_CHECK lk_code lk_body_one(const lk_body *b, const char *name, const lk_part **ret, lk_err *err);
static inline lk_str lk_part_text(const lk_part *p) /* NULL allowed: empty */
{
    return p ? lk_buf_str(&p->data) : (lk_str){"", 0};
}
static inline lk_blob lk_part_bytes(const lk_part *p)
{
    return (lk_blob){(const unsigned char *)p->data.p, p->data.n};
}

#endif
