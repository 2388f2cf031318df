/* The face of the object store: what every driver may rely on is checked here once. */
#include "store/objects/objects.h"

#include "base/mem.h"
#include "store/objects/driver.h"
#include "store/where.h"

#define MAX_VARIANT 16

static const lk_objects_driver *const drivers[] = {&lk_objects_folder};

lk_code lk_objects_open_with(const lk_objects_driver *driver, const char *where, lk_objects **ret,
                             lk_err *err)
{
    lk_objects *o = lk_calloc(1, driver->size);
    if (!o)
        return lk_fail(err, LK_E_NOMEM, "no memory for the object store");
    o->driver = driver;
    lk_code code = driver->open(o, where, err);
    if (code) {
        lk_objects_close(o);
        return code;
    }
    *ret = o;
    return LK_OK;
}

lk_code lk_objects_open(const char *where, lk_objects **ret, lk_err *err)
{
    const char *names[LK_ARRAY_LEN(drivers)];
    size_t which = 0;
    const char *rest = NULL;
    for (size_t i = 0; i < LK_ARRAY_LEN(drivers); i++)
        names[i] = drivers[i]->name;
    lk_code code = lk_where_parse(where, names, LK_ARRAY_LEN(drivers), &which, &rest, err);
    return code ? code : lk_objects_open_with(drivers[which], rest, ret, err);
}

void lk_objects_close(lk_objects *o)
{
    if (!o)
        return;
    o->driver->close(o);
    lk_free(o);
}

static lk_code check_variant(const char *variant, lk_err *err)
{
    size_t n = strlen(variant);
    if (n > MAX_VARIANT || strspn(variant, "abcdefghijklmnopqrstuvwxyz0123456789") != n)
        return lk_fail(err, LK_E_INVALID,
                       "'%.40s' is no name of a variant (up to %d of a-z and 0-9)", variant,
                       MAX_VARIANT);
    return LK_OK;
}

lk_code lk_objects_put(lk_objects *o, const lk_sha256 *key, const char *variant, lk_blob bytes,
                       bool lazy, lk_err *err)
{
    lk_code code = check_variant(variant, err);
    if (code == LK_OK && bytes.n == 0)
        code = lk_fail(err, LK_E_INVALID, "an object must not be empty");
    /* An original is what the record promises (I2); only what can be made again may be lost. */
    return code ? code : o->driver->put(o, key, variant, bytes, lazy && *variant, err);
}

lk_code lk_objects_get(lk_objects *o, const lk_sha256 *key, const char *variant, lk_buf *into,
                       lk_err *err)
{
    lk_code code = check_variant(variant, err);
    return code ? code : o->driver->get(o, key, variant, into, err);
}

lk_code lk_objects_has(lk_objects *o, const lk_sha256 *key, const char *variant, bool *ret,
                       lk_err *err)
{
    lk_code code = check_variant(variant, err);
    return code ? code : o->driver->has(o, key, variant, ret, err);
}

lk_code lk_objects_delete(lk_objects *o, const lk_sha256 *key, lk_err *err)
{
    return o->driver->remove(o, key, err);
}

lk_code lk_objects_list(lk_objects *o, lk_objects_see_fn *see, void *ctx, lk_err *err)
{
    return o->driver->list(o, see, ctx, err);
}
