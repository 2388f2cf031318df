#include "store/where.h"

#include <string.h>

#include "base/str.h"

lk_code lk_where_parse(const char *where, const char *const *names, size_t n, size_t *ret_driver,
                       const char **ret_rest, lk_err *err)
{
    if (!where || !*where)
        return lk_fail(err, LK_E_INVALID, "no place is given for the %s store", names[0]);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(where, names[i], len) == 0 && where[len] == ':') {
            *ret_driver = i;
            *ret_rest = where + len + 1;
            return LK_OK;
        }
    }
    const char *scheme_end = strstr(where, "://");
    if (scheme_end) {
        lk_str scheme = {where, (size_t)(scheme_end - where)};
        const char *near = lk_str_closest(scheme, names, n);
        return lk_fail(err, LK_E_INVALID, "no driver is called '%.*s'%s%s%s",
                       (int)(scheme.n < 32 ? scheme.n : 32), scheme.p,
                       near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    *ret_driver = 0;
    *ret_rest = where;
    return LK_OK;
}
