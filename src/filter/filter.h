/* The filter language: one text form for every store.
 *
 *   category in ["food", "animal"] and brightness > 0.3
 *   metadata['brand'] = 'acme' AND created_at >= timestamp_ms(1700000000000)
 *   not (filename like "IMG_%") || rating is null
 *
 * A filter is parsed to a tree, checked against a schema, and then evaluated over columns (here) or
 * emitted in a server's own form (by its driver). User text is never pasted into a query. */
#ifndef LK_FILTER_FILTER_H
#define LK_FILTER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define LK_MAX_FILTER_BYTES 65536
#define LK_MAX_FILTER_DEPTH 64
#define LK_MAX_FILTER_NODES 16384

typedef enum lk_type { LK_T_NULL, LK_T_BOOL, LK_T_INT, LK_T_REAL, LK_T_STR, LK_T_TIME } lk_type;
const char *lk_type_name(lk_type t); /* "string" … */

/* A typed scalar. Times are milliseconds since 1970 UTC in i. */
typedef struct lk_value {
    lk_type type;
    bool b;
    int64_t i;
    double d;
    lk_str s;
} lk_value;

typedef enum lk_filter_op {
    LK_F_AND,
    LK_F_OR,
    LK_F_NOT, /* kids */
    LK_F_EQ,
    LK_F_NE,
    LK_F_LT,
    LK_F_LE,
    LK_F_GT,
    LK_F_GE,      /* field, values[0] */
    LK_F_IN,      /* field, values[n_values] */
    LK_F_LIKE,    /* field, values[0]: % any run, _ one character, \ escapes */
    LK_F_IS_NULL, /* field */
    LK_F_TRUE,
    LK_F_FALSE, /* literals */
} lk_filter_op;

typedef struct lk_filter {
    lk_filter_op op;
    int column;   /* 1-based column of the text */
    lk_str field; /* resolved name: metadata['x'] and x are both "x" unless x is built in */
    bool in_metadata;
    lk_type type; /* of the field, set by the check */
    size_t n_values;
    const lk_value *values;
    size_t n_kids;
    const struct lk_filter *const *kids;
} lk_filter;

/* What fields there are. Unknown names: an error naming the closest when `open` is false; when true
 * (metadata may hold any key) a never-seen metadata key is null everywhere. */
typedef struct lk_field {
    lk_str name;
    lk_type type;
    bool in_metadata;
} lk_field;

typedef struct lk_schema {
    const lk_field *fields;
    size_t n_fields;
    bool open;
} lk_schema;

/* Parse text into *arena. LK_E_INVALID with err->column and field "filter". An empty text is
 * LK_F_TRUE. */
LK_CHECK lk_code lk_filter_parse(lk_str text, lk_arena *arena, const lk_filter **ret, lk_err *err);

/* Resolve names and types; converts literals (int to real, ISO text to time). Returns a checked
 * copy. */
LK_CHECK lk_code lk_filter_check(const lk_filter *f, const lk_schema *schema, lk_arena *arena,
                                 const lk_filter **ret, lk_err *err);

/* Canonical text of a filter, every string quoted; parses back to the same tree. */
void lk_filter_print(const lk_filter *f, lk_buf *out);

/* Is it true of one row, given its values? Three-valued logic as in SQL: comparisons with null are
 * unknown, and unknown is not a match. get: the row's value of a field (LK_T_NULL when absent). */
typedef lk_value lk_filter_get_fn(const void *row, lk_str field, bool in_metadata);
bool lk_filter_match(const lk_filter *checked, lk_filter_get_fn *get, const void *row);

#endif
