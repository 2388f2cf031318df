/* Names and values out of a URL, decoded exactly, and typed values out of text. */
#ifndef LK_SERVER_QUERY_H
#define LK_SERVER_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define LK_MAX_QUERY_ARGS 64

typedef struct lk_arg {
    lk_str name, value;
} lk_arg;

typedef struct lk_args {
    const lk_arg *v;
    size_t n;
} lk_args;

/* %XX to bytes; with plus, '+' to a space. LK_E_INVALID for a broken escape, a NUL, or bytes that
 * are no UTF-8. The result is NUL-terminated, in the arena. */
LK_CHECK lk_code lk_percent_decode(lk_str text, bool plus, lk_arena *into, lk_str *ret,
                                   lk_err *err);

/* "a=1&b=x%20y" */
LK_CHECK lk_code lk_args_parse(lk_str text, lk_arena *into, lk_args *ret, lk_err *err);

/* The value of that name. Given twice: LK_E_INVALID. Absent: false through *ret_found. */
LK_CHECK lk_code lk_args_one(const lk_args *args, const char *name, lk_str *ret, bool *ret_found,
                             lk_err *err);
/* LK_E_INVALID naming the first argument that is not in known[n], and the closest name. */
LK_CHECK lk_code lk_args_only(const lk_args *args, const char *const *known, size_t n, lk_err *err);

/* The whole text as a value of that field; the sentences are those of JSON members. */
LK_CHECK lk_code lk_text_int(const char *field, lk_str text, int64_t min, int64_t max, int64_t *ret,
                             lk_err *err);
LK_CHECK lk_code lk_text_real(const char *field, lk_str text, double *ret, lk_err *err);
LK_CHECK lk_code lk_text_bool(const char *field, lk_str text, bool *ret, lk_err *err);

#endif
