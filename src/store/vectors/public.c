/* include/lookalike_vectors.h over the vector store: NUL-terminated texts and structs that can grow
 * in, one block of memory out. What every driver checks is left to vectors.c; checked here is what
 * only this face can get wrong: pointers, dimensions, JSON. */
#include "store/vectors/public.h"

#include <stdio.h>

#include "base/mem.h"
#include "store/meta.h"

static const char *const metrics[] = {
    [LK_METRIC_COSINE] = "cosine", [LK_METRIC_IP] = "ip", [LK_METRIC_L2] = "l2"};

int lk_public_finish(lk_code code, const lk_err *from, lookalike_error *to)
{
    if (code && to) {
        *to = (lookalike_error){.code = (int)code, .column = from->column};
        snprintf(to->word, sizeof to->word, "%s", lk_code_word(code));
        snprintf(to->field, sizeof to->field, "%s", from->field);
        snprintf(to->text, sizeof to->text, "%s", from->text);
    }
    return (int)code;
}

lk_code lk_public_take(void *to, size_t to_bytes, const void *from, lk_err *err)
{
    size_t bytes = 0;
    if (!from)
        return LK_OK;
    memcpy(&bytes, from, sizeof bytes);
    if (bytes < sizeof bytes)
        return lk_fail_field(err, LK_E_INVALID, "size", "a struct's size is its sizeof, not %zu",
                             bytes);
    memcpy(to, from, bytes < to_bytes ? bytes : to_bytes);
    return LK_OK;
}

lk_code lk_public_given(const void *p, const char *field, lk_err *err)
{
    return p ? LK_OK : lk_fail_field(err, LK_E_INVALID, field, "%s is NULL", field);
}

lk_code lk_public_dim(const lookalike_vectors *v, size_t dim, lk_err *err)
{
    if (dim == v->dim)
        return LK_OK;
    return lk_fail_field(err, LK_E_INVALID, "dim",
                         "the collection's vectors have %zu elements, not %zu", v->dim, dim);
}

lk_code lk_public_count(size_t n, lk_err *err)
{
    if (n <= LK_MAX_BATCH_ROWS)
        return LK_OK;
    return lk_fail_field(err, LK_E_LIMIT, "n", "%zu in one call are over the limit of %d", n,
                         LK_MAX_BATCH_ROWS);
}

/* ---- open, close ---- */

const char *lookalike_vectors_version(void)
{
    return LK_VERSION;
}

static lk_code metric_of(const char *word, lk_metric *ret, lk_err *err)
{
    for (size_t i = 0; word && i < LK_ARRAY_LEN(metrics); i++)
        if (strcmp(word, metrics[i]) == 0) {
            *ret = (lk_metric)i;
            return LK_OK;
        }
    if (!word)
        return LK_OK;
    return lk_fail_field(err, LK_E_INVALID, "metric", "'%.40s' is none of cosine, ip and l2", word);
}

static lk_code open_driver(const char *dir, const lookalike_vectors_options *o, lk_vectors **ret,
                           lk_err *err)
{
    lk_vectors_opts vo;
    lk_vectors_opts_default(&vo);
    vo.dim = o->dim;
    vo.index = o->index;
    vo.originals = o->originals;
    vo.M = o->M;
    vo.ef_construction = o->ef_construction;
    vo.nlist = o->nlist;
    vo.create = o->create != 0;
    lk_code code = metric_of(o->metric, &vo.metric, err);
    if (code)
        return code;
    lk_buf where; /* with the driver's name, so that no folder's name is taken for one */
    lk_buf_init(&where, 1 << 16);
    lk_buf_printf(&where, "embedded:%s", dir);
    code = lk_buf_check(&where, err);
    if (code == LK_OK)
        code = lk_vectors_open(where.p, &vo, ret, err);
    lk_buf_release(&where);
    return code;
}

/* The store takes another metric than its own for none given. */
static lk_code check_metric(lk_metric stored, const char *asked, lk_err *err)
{
    if (!asked || strcmp(asked, metrics[stored]) == 0)
        return LK_OK;
    return lk_fail_field(err, LK_E_INVALID, "metric",
                         "the collection compares its vectors by %s, not by %s", metrics[stored],
                         asked);
}

int lookalike_vectors_open(const char *dir, const lookalike_vectors_options *options,
                           lookalike_vectors **ret, lookalike_error *err)
{
    lookalike_vectors_options o = {0};
    lk_vectors_info info;
    lk_err e = {0};
    lookalike_vectors *v = lk_calloc(1, sizeof *v);
    lk_code code = v ? lk_public_given(dir, "dir", &e) : lk_fail(&e, LK_E_NOMEM, "out of memory");
    if (code == LK_OK && !*dir)
        code = lk_fail_field(&e, LK_E_INVALID, "dir", "no folder is given");
    if (code == LK_OK)
        code = lk_public_take(&o, sizeof o, options, &e);
    if (code == LK_OK)
        code = open_driver(dir, &o, &v->v, &e);
    if (code == LK_OK)
        code = lk_vectors_info_of(v->v, &info, &e);
    if (code == LK_OK)
        code = check_metric(info.metric, o.metric, &e);
    if (code) {
        lookalike_vectors_close(v);
        return lk_public_finish(code, &e, err);
    }
    v->dim = info.dim;
    *ret = v;
    return 0;
}

void lookalike_vectors_close(lookalike_vectors *v)
{
    if (!v)
        return;
    lk_vectors_close(v->v);
    lk_free(v);
}

/* ---- rows ---- */

static lk_code attrs_of(const char *metadata, lk_arena *into, lk_vector_row *row, lk_err *err)
{
    lk_json *json = NULL;
    lk_code code = lk_meta_parse(lk_str_of(metadata), &json, err);
    if (code)
        return code;
    const lk_jval *root = lk_json_root(json);
    lk_attr *attrs = lk_arena_zalloc(into, lk_jval_len(root) + 1, sizeof *attrs);
    code = attrs ? lk_meta_attrs(root, into, attrs, &row->n_attrs, err)
                 : lk_fail(err, LK_E_NOMEM, "out of memory for metadata");
    row->attrs = attrs;
    lk_json_free(json);
    return code;
}

int lookalike_vectors_upsert(lookalike_vectors *v, size_t n, const char *const *ids,
                             const float *vectors, size_t dim, const char *const *metadata,
                             lookalike_error *err)
{
    lk_arena a;
    lk_err e = {0};
    lk_vector_row *rows = NULL;
    lk_arena_init(&a, SIZE_MAX); /* bounded by what the caller holds already */
    lk_code code = lk_public_count(n, &e);
    if (code == LK_OK && n)
        code = lk_public_given(ids, "ids", &e);
    if (code == LK_OK && vectors)
        code = lk_public_dim(v, dim, &e);
    if (code == LK_OK) {
        rows = lk_arena_zalloc(&a, n + 1, sizeof *rows);
        if (!rows)
            code = lk_fail(&e, LK_E_NOMEM, "out of memory for %zu vectors", n);
    }
    for (size_t i = 0; code == LK_OK && i < n; i++) {
        rows[i].id = lk_str_of(ids[i]);
        rows[i].vector = vectors ? vectors + i * dim : NULL;
        if (metadata && metadata[i])
            code = attrs_of(metadata[i], &a, &rows[i], &e);
        if (code && n > 1)
            code = lk_err_prefix(&e, code, "row %zu", i);
    }
    if (code == LK_OK)
        code = lk_vectors_upsert(v->v, n, rows, &e);
    lk_arena_release(&a);
    return lk_public_finish(code, &e, err);
}

int lookalike_vectors_delete(lookalike_vectors *v, size_t n, const char *const *ids,
                             size_t *ret_deleted, lookalike_error *err)
{
    lk_err e = {0};
    lk_str *names = NULL;
    lk_code code = lk_public_count(n, &e);
    if (code == LK_OK && n)
        code = lk_public_given(ids, "ids", &e);
    if (code == LK_OK) {
        names = lk_alloc_array(n + 1, sizeof *names);
        if (!names)
            code = lk_fail(&e, LK_E_NOMEM, "out of memory for %zu ids", n);
    }
    for (size_t i = 0; code == LK_OK && i < n; i++)
        names[i] = lk_str_of(ids[i]);
    if (code == LK_OK)
        code = lk_vectors_delete(v->v, n, names, ret_deleted, &e);
    lk_free(names);
    return lk_public_finish(code, &e, err);
}

int lookalike_vectors_get(lookalike_vectors *v, const char *id, float *ret, size_t dim,
                          lookalike_error *err)
{
    lk_err e = {0};
    lk_code code = lk_public_given(id, "id", &e);
    if (code == LK_OK)
        code = lk_public_dim(v, dim, &e);
    if (code == LK_OK)
        code = lk_vectors_get(v->v, lk_str_of(id), ret, &e);
    return lk_public_finish(code, &e, err);
}

/* ---- the index ---- */

typedef struct watch {
    lookalike_vectors_progress *progress;
    void *ctx;
    lk_cancel cancel;
} watch;

static void look(void *ctx, uint64_t done, uint64_t total)
{
    watch *w = ctx;
    if (w->progress && w->progress(w->ctx, done, total))
        lk_cancel_set(&w->cancel);
}

int lookalike_vectors_build(lookalike_vectors *v, const lookalike_vectors_building *how,
                            lookalike_error *err)
{
    lookalike_vectors_building b = {0};
    lk_vectors_opts o;
    lk_err e = {0};
    lk_code code = lk_public_take(&b, sizeof b, how, &e);
    if (code == LK_OK && b.threads < 0)
        code = lk_fail_field(&e, LK_E_INVALID, "threads", "%d is not 0 or more", b.threads);
    if (code)
        return lk_public_finish(code, &e, err);
    watch w = {.progress = b.progress, .ctx = b.ctx};
    lk_vectors_opts_default(&o);
    o.index = b.index;
    o.M = b.M;
    o.ef_construction = b.ef_construction;
    o.nlist = b.nlist;
    code = lk_vectors_build(v->v, &o, (unsigned)b.threads, look, &w, &w.cancel, &e);
    return lk_public_finish(code, &e, err);
}

int lookalike_vectors_stat(lookalike_vectors *v, lookalike_vectors_info *ret, lookalike_error *err)
{
    lk_vectors_info from;
    lk_err e = {0};
    size_t bytes = ret->size;
    lookalike_vectors_info to = {.size = bytes};
    lk_code code = bytes < sizeof bytes ? lk_public_take(&to, sizeof to, ret, &e) : LK_OK;
    if (code == LK_OK)
        code = lk_vectors_info_of(v->v, &from, &e);
    if (code)
        return lk_public_finish(code, &e, err);
    to.dim = from.dim;
    to.metric = metrics[from.metric];
    to.n = from.n;
    to.deleted = from.deleted;
    memcpy(to.index, from.index, sizeof to.index);
    memcpy(to.asked, from.asked, sizeof to.asked);
    memcpy(to.state, from.state, sizeof to.state);
    to.built = from.built;
    to.M = (int)from.M;
    to.ef_construction = (int)from.ef_construction;
    to.nlist = (int)from.nlist;
    to.memory_bytes = from.memory_bytes;
    to.disk_bytes = from.disk_bytes;
    memcpy(ret, &to, bytes < sizeof to ? bytes : sizeof to);
    return 0;
}
