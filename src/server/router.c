#include "server/router.h"

#include "base/mem.h"

static const struct {
    lk_method method;
    const char *name;
} methods_known[] = {
    {LK_GET, "GET"},     {LK_HEAD, "HEAD"},     {LK_POST, "POST"},
    {LK_PATCH, "PATCH"}, {LK_DELETE, "DELETE"}, {LK_OPTIONS, "OPTIONS"},
};

static bool path_matches(lk_str pattern, lk_str path, lk_str *raw_args)
{
    size_t n_args = 0;
    while (pattern.n > 0 && path.n > 0) {
        lk_str want = lk_str_cut(&pattern, '/');
        lk_str have = lk_str_cut(&path, '/');
        if (want.n > 0 && want.p[0] == '{') {
            if (have.n == 0 || n_args == LK_MAX_PATH_ARGS)
                return false;
            raw_args[n_args++] = have;
        } else if (!lk_str_eq(want, have)) {
            return false;
        }
    }
    return pattern.n == 0 && path.n == 0;
}

const lk_route *lk_route_match(const lk_route *routes, size_t n, unsigned method, lk_str path,
                               lk_str *raw_args, unsigned *ret_allowed)
{
    unsigned allowed = 0;
    /* lk_str_cut cannot tell "a" from "a/", so a slash at the end is told here. */
    bool slash = path.n > 1 && path.p[path.n - 1] == '/';
    for (size_t i = 0; i < n && !slash; i++) {
        lk_str args[LK_MAX_PATH_ARGS] = {{0}};
        if (!path_matches(lk_str_of(routes[i].path), path, args))
            continue;
        allowed |= routes[i].method;
        if (!(routes[i].method & method))
            continue;
        memcpy(raw_args, args, sizeof args);
        return &routes[i];
    }
    if (allowed & LK_GET)
        allowed |= LK_HEAD;
    *ret_allowed = allowed ? allowed | LK_OPTIONS : 0;
    return NULL;
}

void lk_methods_write(unsigned methods, lk_buf *out)
{
    bool any = false;
    for (size_t i = 0; i < LK_ARRAY_LEN(methods_known); i++) {
        if (!(methods & methods_known[i].method))
            continue;
        if (any)
            lk_buf_puts(out, ", ");
        lk_buf_puts(out, methods_known[i].name);
        any = true;
    }
}
