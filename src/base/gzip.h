/* Unpacking gzip (RFC 1952) behind a limit. */
#ifndef LK_BASE_GZIP_H
#define LK_BASE_GZIP_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

bool lk_is_gzip(lk_blob packed);

/* Every member of *packed, one after the other, into *into, whose own limit bounds them.
 * LK_E_CORRUPT, LK_E_TRUNCATED, LK_E_LIMIT, LK_E_NOMEM. */
LK_CHECK lk_code lk_gunzip(lk_blob packed, lk_buf *into, lk_err *err);

#endif
