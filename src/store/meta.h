/* Metadata: a JSON object of scalars that stands beside a vector or a record, and what filters see
 * of it. */
#ifndef LK_STORE_META_H
#define LK_STORE_META_H

#include "base/arena.h"
#include "base/json.h"
#include "store/vectors/vectors.h"

#define LK_MAX_META_BYTES 65536
#define LK_MAX_META_KEYS 256

/* As users give them; free it with lk_json_free. Null is allowed (a patch removes with it).
 * LK_E_INVALID or LK_E_LIMIT with the field "metadata". */
LK_CHECK lk_code lk_meta_parse(lk_str text, lk_json **ret, lk_err *err);

/* Numbers are reals, so that 3 and 3.5 may stand under one key. Not a scalar: LK_T_NULL. */
lk_value lk_meta_value(const lk_jval *v);

/* Attributes of the members that are not null, to ret[lk_jval_len(meta)]; their texts are copied
 * into the arena. */
LK_CHECK lk_code lk_meta_attrs(const lk_jval *meta, lk_arena *into, lk_attr *ret, size_t *ret_n,
                               lk_err *err);

#endif
