/* JSON: reading by a well-kept parser behind limits, writing by a small streaming writer.
 *
 * Text from outside is refused when it is too deep, holds a key twice in one object, is not UTF-8,
 * or has anything after its value; NaN and infinities are no JSON. A parsed document is immutable
 * and may be read by any number of threads. Values live as long as their document. */
#ifndef LK_BASE_JSON_H
#define LK_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LK_MAX_JSON_DEPTH 64
#define LK_MAX_JSON_KEYS 65536 /* in one object */

typedef struct lk_json lk_json; /* a document */
typedef struct lk_jval lk_jval; /* a value in one */

typedef enum lk_jtype {
    LK_J_NULL,
    LK_J_BOOL,
    LK_J_INT,  /* fits int64 */
    LK_J_REAL, /* any other number */
    LK_J_STR,
    LK_J_ARR,
    LK_J_OBJ,
} lk_jtype;

/* LK_E_FORMAT with the column (1-based byte) of the fault; LK_E_LIMIT for depth or keys. */
LK_CHECK lk_code lk_json_parse(lk_str text, lk_json **ret, lk_err *err);
void lk_json_free(lk_json *doc); /* NULL allowed */
const lk_jval *lk_json_root(const lk_json *doc);

lk_jtype lk_jval_type(const lk_jval *v);                         /* NULL counts as null */
const char *lk_jtype_name(lk_jtype type);                        /* "a string" … for sentences */
size_t lk_jval_len(const lk_jval *v);                            /* of an array or object, else 0 */
const lk_jval *lk_jval_get(const lk_jval *obj, const char *key); /* NULL: absent or not an object */
const lk_jval *lk_jval_at(const lk_jval *arr, size_t i); /* O(i) in mixed arrays: use iter */

/* Visit members (key set) or elements (key empty) in order. */
typedef struct lk_jiter {
    const lk_jval *at;
    size_t left;
    bool is_obj;
} lk_jiter;
lk_jiter lk_jiter_of(const lk_jval *container);
bool lk_jiter_next(lk_jiter *it, lk_str *ret_key, const lk_jval **ret_value);

bool lk_jval_bool(const lk_jval *v);
int64_t lk_jval_int(const lk_jval *v); /* of LK_J_INT, else 0 */
double lk_jval_real(const lk_jval *v); /* of either number, else 0 */
lk_str lk_jval_str(const lk_jval *v);  /* of LK_J_STR, else empty; NUL-terminated */

/* Typed members with sentences: absent or null leaves *ret as it is (so set the default before); a
 * wrong type or range is LK_E_INVALID naming the field. 10.0 is an integer, 10.5 is none. */
LK_CHECK lk_code lk_json_get_bool(const lk_jval *obj, const char *key, bool *ret, lk_err *err);
LK_CHECK lk_code lk_json_get_int(const lk_jval *obj, const char *key, int64_t min, int64_t max,
                                 int64_t *ret, lk_err *err);
LK_CHECK lk_code lk_json_get_real(const lk_jval *obj, const char *key, double min, double max,
                                  double *ret, lk_err *err);
LK_CHECK lk_code lk_json_get_str(const lk_jval *obj, const char *key, lk_str *ret, lk_err *err);
/* An array of finite numbers into floats[n] in memory to lk_free; at most max of them. */
LK_CHECK lk_code lk_json_get_floats(const lk_jval *obj, const char *key, size_t max, float **ret,
                                    size_t *ret_n, lk_err *err);
/* LK_E_INVALID naming the first member of obj that is not in known[n], and the closest name. */
LK_CHECK lk_code lk_json_only(const lk_jval *obj, const char *const *known, size_t n, lk_err *err);

/* Writing. Commas and escapes are the writer's; misuse trips an assert. Finish with lk_buf_check on
 * the buffer. */
typedef struct lk_jw {
    lk_buf *out;
    unsigned depth;
    bool has[LK_MAX_JSON_DEPTH]; /* a member was written at this depth */
    bool after_key;
} lk_jw;

void lk_jw_init(lk_jw *w, lk_buf *out);
void lk_jw_obj(lk_jw *w);
void lk_jw_end_obj(lk_jw *w);
void lk_jw_arr(lk_jw *w);
void lk_jw_end_arr(lk_jw *w);
void lk_jw_key(lk_jw *w, const char *key);
void lk_jw_key_str(lk_jw *w, lk_str key);
void lk_jw_str(lk_jw *w, lk_str s);       /* malformed UTF-8 is replaced by U+FFFD */
void lk_jw_strz(lk_jw *w, const char *s); /* NULL writes null */
void lk_jw_int(lk_jw *w, int64_t v);
void lk_jw_uint(lk_jw *w, uint64_t v);
void lk_jw_real(lk_jw *w, double v); /* shortest form that reads back equal; not finite: null */
void lk_jw_float(lk_jw *w, float v); /* shortest form that reads back as the same float */
void lk_jw_bool(lk_jw *w, bool v);
void lk_jw_null(lk_jw *w);
void lk_jw_val(lk_jw *w, const lk_jval *v); /* a parsed value, whole */
void lk_jw_raw(lk_jw *w, lk_str json);      /* text known to be JSON */

#endif
