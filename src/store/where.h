/* "driver:rest": how every store is named in options and configuration. */
#ifndef LK_STORE_WHERE_H
#define LK_STORE_WHERE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Which of names[n] does `where` begin with, followed by a colon? Without one of them it is a bare
 * path and means names[0]. *ret_rest points into where, behind the colon. A scheme that looks like
 * one ("s4://…") but is none of these: LK_E_INVALID naming the closest. */
LK_CHECK lk_code lk_where_parse(const char *where, const char *const *names, size_t n,
                                size_t *ret_driver, const char **ret_rest, lk_err *err);

#endif
