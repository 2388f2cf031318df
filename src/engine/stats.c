/* Numbers about the whole, the index by hand, and the models at hand. */
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"

#define OBJECTS_FRESH_NS 10000000000u /* the sum of all files is walked at most so often: 10 s */

static lk_code add_bytes(void *ctx, const lk_sha256 *key, uint64_t bytes)
{
    (void)key;
    *(uint64_t *)ctx += bytes;
    return LK_OK;
}

/* No lock is held while the folder is walked; two that come at once both walk. */
static lk_code objects_bytes(lk_engine *e, uint64_t *ret, lk_err *err)
{
    uint64_t now = lk_now_ns(), sum = 0;
    lk_mutex_lock(&e->stats_lock);
    bool fresh = e->objects_at_ns && now - e->objects_at_ns < OBJECTS_FRESH_NS;
    sum = e->objects_bytes;
    lk_mutex_unlock(&e->stats_lock);
    if (!fresh) {
        sum = 0;
        lk_code code = lk_objects_list(e->objects, add_bytes, &sum, err);
        if (code)
            return code;
        lk_mutex_lock(&e->stats_lock);
        e->objects_bytes = sum;
        e->objects_at_ns = now;
        lk_mutex_unlock(&e->stats_lock);
    }
    *ret = sum;
    return LK_OK;
}

static lk_code counts(lk_engine *e, lk_str field, lk_arena *into, lk_str *ret, lk_err *err)
{
    lk_value_count *v = NULL;
    size_t n = 0;
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 1u << 20);
    lk_code code = lk_vectors_values(e->vectors, field, 64, into, &v, &n, err);
    lk_jw_init(&w, &b);
    lk_jw_obj(&w);
    for (size_t i = 0; !code && i < n; i++) {
        lk_jw_key_str(&w, v[i].value);
        lk_jw_uint(&w, v[i].n);
    }
    lk_jw_end_obj(&w);
    if (!code)
        code = lk_buf_check(&b, err);
    if (!code) {
        *ret = (lk_str){lk_arena_strndup(into, b.p, b.n), b.n};
        if (!ret->p)
            code = lk_fail(err, LK_E_NOMEM, "out of memory for the counts");
    }
    lk_buf_release(&b);
    return code;
}

/* The collection's first vectors as the reference, read again as long as there are too few. */
static lk_code refer(lk_engine *e, const lk_vectors_info *info, lk_arena *into, lk_err *err)
{
    lk_drift_stats now;
    lk_str *ids = NULL;
    size_t n = 0, n_read = 0;
    uint64_t cursor = 0;
    lk_drift_stats_of(&e->drift, &now);
    if (now.n_reference >= LK_DRIFT_REFERENCE || info->n <= now.n_reference)
        return LK_OK;
    lk_code code =
        lk_vectors_scan(e->vectors, NULL, LK_DRIFT_REFERENCE, &cursor, into, &ids, &n, err);
    float *rows = code ? NULL : lk_alloc_array(n * info->dim, sizeof *rows);
    if (!code && !rows)
        code = lk_fail(err, LK_E_NOMEM, "out of memory for the reference vectors");
    for (size_t i = 0; !code && i < n; i++) {
        code = lk_vectors_get(e->vectors, ids[i], rows + n_read * info->dim, err);
        n_read += code == LK_OK;
        if (code == LK_E_NOT_FOUND) /* deleted meanwhile */
            code = LK_OK;
    }
    if (!code)
        lk_drift_refer(&e->drift, n_read, rows);
    lk_free(rows);
    return code;
}

lk_code lk_engine_stats(lk_engine *e, lk_arena *into, lk_stats *ret, lk_err *err)
{
    lk_vectors_info info;
    lk_model *m = NULL;
    memset(ret, 0, sizeof *ret);
    lk_code code = lk_vectors_info_of(e->vectors, &info, err);
    if (!code)
        code = lk_engine_model(e, &m, err);
    if (!code)
        code = lk_records_count(e->records, &ret->images, err);
    if (!code)
        code = objects_bytes(e, &ret->objects_bytes, err);
    if (!code)
        code = refer(e, &info, into, err);
    if (!code)
        code = counts(e, LK_STR("category"), into, &ret->categories, err);
    if (!code)
        code = counts(e, LK_STR("color_scheme"), into, &ret->color_schemes, err);
    if (code)
        return code;
    const lk_model_info *mi = lk_model_info_of(m);
    lk_embed_cache_stats cs;
    lk_embed_cache_stats_of(e->cache, &cs);
    ret->embed_hits = cs.hits;
    ret->embed_misses = cs.misses;
    ret->embed_shared = cs.shared;
    ret->embed_entries = cs.entries;
    ret->embed_bytes = cs.bytes;
    lk_model_runs(m, &ret->model_items, &ret->model_runs);
    lk_drift_stats_of(&e->drift, &ret->drift);
    lk_engine_self_tested(e, &ret->self_test);
    ret->vectors = info.n;
    ret->data_bytes = ret->objects_bytes + info.disk_bytes;
    ret->memory_bytes = lk_os_rss_bytes();
    ret->dim = info.dim;
    ret->model_name = mi->name;
    ret->model_version = mi->version;
    ret->model_key = mi->key;
    ret->labels = mi->labels;
    ret->n_labels = mi->n_labels;
    memcpy(ret->index, info.index, sizeof ret->index);
    memcpy(ret->index_state, info.state, sizeof ret->index_state);
    ret->index_built = info.built;
    return LK_OK;
}

lk_code lk_engine_build_index(lk_engine *e, const char *index, lk_progress_fn *progress, void *ctx,
                              const lk_cancel *cancel, lk_err *err)
{
    lk_vectors_opts vo;
    lk_vectors_opts_default(&vo);
    vo.index = index;
    return lk_vectors_build(e->vectors, &vo, (unsigned)e->opts.threads, progress, ctx, cancel, err);
}

/* ---- the model ---- */

lk_code lk_engine_model_of(lk_engine *e, lk_model_seen *ret, lk_err *err)
{
    lk_model *m = NULL;
    lk_code code = lk_engine_model(e, &m, err);
    if (code)
        return code;
    const lk_model_info *mi = lk_model_info_of(m);
    *ret =
        (lk_model_seen){mi->name, mi->version, mi->describe, mi->dim, mi->has_image, mi->has_text};
    return LK_OK;
}
