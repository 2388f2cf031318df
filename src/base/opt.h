/* Typed option tables: one table gives parsing, checking, --help, the man page and the reference.
 *
 * A table describes the members of a struct. Values come from the command line, key=value pairs,
 * the environment or JSON; each is checked against its type and range, and an unknown name is an
 * error that names the closest known one. */
#ifndef LK_BASE_OPT_H
#define LK_BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

typedef enum lk_opt_type {
    LK_OPT_BOOL,  /* bool */
    LK_OPT_INT,   /* int64_t, min..max */
    LK_OPT_REAL,  /* double, min..max */
    LK_OPT_BYTES, /* uint64_t, "64MiB", min..max */
    LK_OPT_MS,    /* uint64_t milliseconds, "30s", min..max */
    LK_OPT_STR,   /* const char *, points into the source text or the table */
    LK_OPT_ENUM,  /* int, one of words */
    LK_OPT_LIST,  /* lk_opt_list: may be given several times */
} lk_opt_type;

#define LK_MAX_OPT_LIST 64
typedef struct lk_opt_list {
    const char *v[LK_MAX_OPT_LIST];
    size_t n;
} lk_opt_list;

typedef struct lk_opt {
    const char *name; /* "top-k": words joined by '-'; in JSON and key=value also by '_' */
    char letter;      /* 'n' for -n, or 0 */
    lk_opt_type type;
    size_t offset;            /* of the member in the struct */
    const char *dflt;         /* the default as text, or NULL: zero */
    double min, max;          /* numbers only; both 0: no range */
    const char *const *words; /* LK_OPT_ENUM: NULL-terminated */
    const char *arg;          /* what --help calls the value: "FILE"; NULL: by type */
    const char *env;          /* environment variable, or NULL */
    const char *help;         /* one sentence, English */
} lk_opt;                     /* a table ends with {.name = NULL} */

/* Set every member to its default, then to its environment variable if that is set. */
LK_CHECK lk_code lk_opt_defaults(const lk_opt *table, void *ret, lk_err *err);
LK_CHECK lk_code lk_opt_set(const lk_opt *table, void *ret, lk_str name, const char *value,
                            lk_err *err); /* value must outlive ret for LK_OPT_STR and LIST */
/* Options anywhere in argv[1..argc-1]: --name value, --name=value, -n 10, -n10, --flag, --no-flag;
 * "--" ends them. What is no option is moved to argv[1..*ret_n_args] in order. After an error ret
 * holds what was read before it; the same goes for parse_json. */
LK_CHECK lk_code lk_opt_parse_argv(const lk_opt *table, void *ret, int argc, char **argv,
                                   int *ret_n_args, lk_err *err);
LK_CHECK lk_code lk_opt_parse_json(const lk_opt *table, void *ret, const lk_jval *obj, lk_err *err);
/* Lines for --help, two columns, in table order. */
void lk_opt_help(const lk_opt *table, lk_buf *out);
/* The same as roff for the man page (.TP paragraphs). */
void lk_opt_man(const lk_opt *table, lk_buf *out);

#endif
