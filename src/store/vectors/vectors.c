/* The face of the vector store: what every driver may rely on is checked here once. */
#include "store/vectors/vectors.h"

#include <math.h>

#include "base/mem.h"
#include "store/vectors/driver.h"
#include "store/where.h"

static const lk_vectors_driver *const drivers[] = {&lk_vectors_embedded};

void lk_vectors_opts_default(lk_vectors_opts *ret)
{
    *ret = (lk_vectors_opts){.size = sizeof *ret};
}

static lk_code check_word(const char *word, const char *const *words, size_t n, const char *field,
                          lk_err *err)
{
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return LK_OK;
    if (!word)
        return LK_OK;
    const char *near = lk_str_closest(lk_str_of(word), words, n);
    return lk_fail_field(err, LK_E_INVALID, field, "'%.40s' is none of the known kinds%s%s%s", word,
                         near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static lk_code check_range(int64_t v, int64_t min, int64_t max, const char *field, lk_err *err)
{
    if (v == 0 || (v >= min && v <= max))
        return LK_OK;
    return lk_fail_field(err, LK_E_INVALID, field, "%lld is not between %lld and %lld",
                         (long long)v, (long long)min, (long long)max);
}

static lk_code check_opts(const lk_vectors_opts *o, lk_err *err)
{
    static const char *const indexes[] = {"auto", "flat", "hnsw", "ivf"};
    static const char *const originals[] = {"f16", "f32", "i8"};
    if (o->dim > LK_MAX_DIM || (o->dim == 0 && o->create))
        return lk_fail_field(err, LK_E_INVALID, "dim", "%zu is not between 1 and %d", o->dim,
                             LK_MAX_DIM);
    if (o->space && strlen(o->space) > LK_MAX_SPACE_BYTES)
        return lk_fail_field(err, LK_E_LIMIT, "space", "a model's key of %zu bytes is over %d",
                             strlen(o->space), LK_MAX_SPACE_BYTES);
    lk_code code = check_word(o->index, indexes, LK_ARRAY_LEN(indexes), "index", err);
    if (code == LK_OK)
        code = check_word(o->originals, originals, LK_ARRAY_LEN(originals), "originals", err);
    if (code == LK_OK)
        code = check_range(o->M, 4, 128, "M", err);
    if (code == LK_OK)
        code = check_range(o->ef_construction, 8, 65536, "ef_construction", err);
    if (code == LK_OK)
        code = check_range(o->nlist, 1, 65536, "nlist", err);
    return code;
}

lk_code lk_vectors_open_with(const lk_vectors_driver *driver, const char *where,
                             const lk_vectors_opts *opts, lk_vectors **ret, lk_err *err)
{
    lk_vectors_opts o;
    lk_vectors_opts_default(&o);
    if (opts)
        memcpy(&o, opts, opts->size < sizeof o ? opts->size : sizeof o);
    lk_code code = check_opts(&o, err);
    if (code)
        return code;
    lk_vectors *v = lk_calloc(1, driver->size);
    if (!v)
        return lk_fail(err, LK_E_NOMEM, "no memory for the vector store");
    v->driver = driver;
    code = driver->open(v, where, &o, err);
    if (code) {
        lk_vectors_close(v);
        return code;
    }
    *ret = v;
    return LK_OK;
}

lk_code lk_vectors_open(const char *where, const lk_vectors_opts *opts, lk_vectors **ret,
                        lk_err *err)
{
    const char *names[LK_ARRAY_LEN(drivers)];
    size_t which = 0;
    const char *rest = NULL;
    for (size_t i = 0; i < LK_ARRAY_LEN(drivers); i++)
        names[i] = drivers[i]->name;
    lk_code code = lk_where_parse(where, names, LK_ARRAY_LEN(drivers), &which, &rest, err);
    return code ? code : lk_vectors_open_with(drivers[which], rest, opts, ret, err);
}

void lk_vectors_close(lk_vectors *v)
{
    if (!v)
        return;
    v->driver->close(v);
    lk_free(v);
}

/* ---- checks ---- */

static lk_code check_id(lk_str id, lk_err *err)
{
    if (id.n == 0)
        return lk_fail_field(err, LK_E_INVALID, "id", "an id must not be empty");
    if (id.n > LK_MAX_VECTOR_ID_BYTES)
        return lk_fail_field(err, LK_E_LIMIT, "id", "an id of %zu bytes is over the limit of %d",
                             id.n, LK_MAX_VECTOR_ID_BYTES);
    if (memchr(id.p, '\0', id.n))
        return lk_fail_field(err, LK_E_INVALID, "id", "an id must not hold the character NUL");
    return LK_OK;
}

static lk_code check_vector(const lk_vectors *v, const float *vector, lk_err *err)
{
    float largest = 0;
    for (size_t i = 0; i < v->dim; i++) {
        if (!isfinite(vector[i]))
            return lk_fail_field(err, LK_E_INVALID, "vector", "element %zu is not finite", i);
        largest = fmaxf(largest, fabsf(vector[i]));
    }
    if (largest == 0)
        return lk_fail_field(err, LK_E_INVALID, "vector",
                             "a vector of zeros has no direction to compare");
    return LK_OK;
}

static lk_code check_attr(const lk_attr *a, lk_err *err)
{
    if (a->name.n == 0 || a->name.n > LK_MAX_ATTR_NAME_BYTES || !lk_utf8_valid(a->name) ||
        memchr(a->name.p, '\0', a->name.n))
        return lk_fail(err, LK_E_INVALID, "an attribute's name must be 1 to %d bytes of UTF-8",
                       LK_MAX_ATTR_NAME_BYTES);
    int n = (int)(a->name.n < 64 ? a->name.n : 64);
    if (a->value.type == LK_T_STR && a->value.s.n > LK_MAX_ATTR_BYTES)
        return lk_fail(err, LK_E_LIMIT, "attribute '%.*s' has %zu bytes, over the limit of %d", n,
                       a->name.p, a->value.s.n, LK_MAX_ATTR_BYTES);
    if (a->value.type == LK_T_REAL && !isfinite(a->value.d))
        return lk_fail(err, LK_E_INVALID, "attribute '%.*s' is not finite", n, a->name.p);
    return LK_OK;
}

static lk_code check_row(const lk_vectors *v, const lk_vector_row *row, lk_err *err)
{
    lk_code code = check_id(row->id, err);
    if (code == LK_OK && row->vector)
        code = check_vector(v, row->vector, err);
    if (code == LK_OK && row->n_attrs > LK_MAX_ATTRS)
        code = lk_fail(err, LK_E_LIMIT, "%zu attributes are over the limit of %d", row->n_attrs,
                       LK_MAX_ATTRS);
    for (size_t i = 0; code == LK_OK && i < row->n_attrs; i++)
        code = check_attr(&row->attrs[i], err);
    return code;
}

static lk_code check_batch(size_t n, lk_err *err)
{
    if (n > LK_MAX_BATCH_ROWS)
        return lk_fail(err, LK_E_LIMIT, "a batch of %zu is over the limit of %d", n,
                       LK_MAX_BATCH_ROWS);
    return LK_OK;
}

lk_code lk_vectors_upsert(lk_vectors *v, size_t n, const lk_vector_row *rows, lk_err *err)
{
    lk_code code = check_batch(n, err);
    for (size_t i = 0; code == LK_OK && i < n; i++) {
        code = check_row(v, &rows[i], err);
        if (code && n > 1)
            code = lk_err_prefix(err, code, "row %zu", i);
    }
    return code || n == 0 ? code : v->driver->upsert(v, n, rows, err);
}

lk_code lk_vectors_delete(lk_vectors *v, size_t n, const lk_str *ids, size_t *ret_deleted,
                          lk_err *err)
{
    size_t deleted = 0;
    lk_code code = check_batch(n, err);
    if (code == LK_OK && n)
        code = v->driver->remove(v, n, ids, &deleted, err);
    if (code == LK_OK && ret_deleted)
        *ret_deleted = deleted;
    return code;
}

lk_code lk_vectors_search(lk_vectors *v, const lk_vectors_query *q, lk_arena *into,
                          lk_vectors_found *ret, lk_err *err)
{
    if (q->k == 0 || q->k > LK_MAX_K)
        return lk_fail_field(err, LK_E_INVALID, "k", "%zu is not between 1 and %d", q->k, LK_MAX_K);
    if (q->has_min_score && !isfinite(q->min_score))
        return lk_fail_field(err, LK_E_INVALID, "min_score", "the least score is not finite");
    lk_code code = check_vector(v, q->vector, err);
    if (code == LK_OK)
        code = check_range(q->ef, 1, 65536, "ef", err);
    if (code == LK_OK)
        code = check_range(q->nprobe, 1, 1 << 20, "nprobe", err);
    return code ? code : v->driver->search(v, q, into, ret, err);
}

lk_code lk_vectors_get(lk_vectors *v, lk_str id, float *ret, lk_err *err)
{
    return v->driver->get(v, id, ret, err);
}

lk_code lk_vectors_scan(lk_vectors *v, const lk_filter *filter, size_t limit, uint64_t *cursor,
                        lk_arena *into, lk_str **ret, size_t *ret_n, lk_err *err)
{
    if (limit == 0)
        return lk_fail_field(err, LK_E_INVALID, "limit", "a limit of 0 asks for nothing");
    return v->driver->scan(v, filter, limit, cursor, into, ret, ret_n, err);
}

lk_code lk_vectors_schema(lk_vectors *v, lk_arena *into, lk_schema *ret, lk_err *err)
{
    return v->driver->schema(v, into, ret, err);
}

static lk_code fail_unsupported(const lk_vectors *v, const char *what, lk_err *err)
{
    return lk_fail(err, LK_E_UNSUPPORTED, "the %s driver %s", v->driver->name, what);
}

lk_code lk_vectors_values(lk_vectors *v, lk_str field, size_t limit, lk_arena *into,
                          lk_value_count **ret, size_t *ret_n, lk_err *err)
{
    if (!v->driver->values)
        return fail_unsupported(v, "does not count values", err);
    return v->driver->values(v, field, limit, into, ret, ret_n, err);
}

lk_code lk_vectors_info_of(lk_vectors *v, lk_vectors_info *ret, lk_err *err)
{
    return v->driver->info(v, ret, err);
}

static lk_code index_opts(const lk_vectors_opts *index, lk_vectors_opts *ret, lk_err *err)
{
    lk_vectors_opts_default(ret);
    if (index)
        memcpy(ret, index, index->size < sizeof *ret ? index->size : sizeof *ret);
    ret->create = false;
    return check_opts(ret, err);
}

lk_code lk_vectors_tune(lk_vectors *v, const lk_vectors_opts *index, lk_err *err)
{
    lk_vectors_opts o;
    lk_code code = index_opts(index, &o, err);
    if (code)
        return code;
    if (!v->driver->tune)
        return fail_unsupported(v, "chooses its index by itself", err);
    return v->driver->tune(v, &o, err);
}

lk_code lk_vectors_build(lk_vectors *v, const lk_vectors_opts *index, unsigned n_threads,
                         lk_progress_fn *progress, void *ctx, const lk_cancel *cancel, lk_err *err)
{
    lk_vectors_opts o;
    lk_code code = index_opts(index, &o, err);
    if (code)
        return code;
    if (!v->driver->build)
        return fail_unsupported(v, "builds its index by itself", err);
    return v->driver->build(v, &o, n_threads, progress, ctx, cancel, err);
}

lk_code lk_vectors_verify(lk_vectors *v, lk_err *err)
{
    return v->driver->verify ? v->driver->verify(v, err) : LK_OK;
}
