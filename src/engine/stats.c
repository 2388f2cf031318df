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

static lk_code counts(const lk_space *sp, lk_str field, lk_arena *into, lk_str *ret, lk_err *err)
{
    lk_value_count *v = NULL;
    size_t n = 0;
    lk_buf b;
    lk_jw w;
    lk_buf_init(&b, 1u << 20);
    lk_code code = lk_vectors_values(sp->vectors, field, 64, into, &v, &n, err);
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
static lk_code refer(lk_space *sp, const lk_vectors_info *info, lk_arena *into, lk_err *err)
{
    lk_drift_stats now;
    lk_str *ids = NULL;
    size_t n = 0, n_read = 0;
    uint64_t cursor = 0;
    lk_drift_stats_of(&sp->drift, &now);
    if (now.n_reference >= LK_DRIFT_REFERENCE || info->n <= now.n_reference)
        return LK_OK;
    lk_code code =
        lk_vectors_scan(sp->vectors, NULL, LK_DRIFT_REFERENCE, &cursor, into, &ids, &n, err);
    float *rows = code ? NULL : lk_alloc_array(n * info->dim, sizeof *rows);
    if (!code && !rows)
        code = lk_fail(err, LK_E_NOMEM, "out of memory for the reference vectors");
    for (size_t i = 0; !code && i < n; i++) {
        code = lk_vectors_get(sp->vectors, ids[i], rows + n_read * info->dim, err);
        n_read += code == LK_OK;
        if (code == LK_E_NOT_FOUND) /* deleted meanwhile */
            code = LK_OK;
    }
    if (!code)
        lk_drift_refer(&sp->drift, n_read, rows);
    lk_free(rows);
    return code;
}

static const char *keep(lk_arena *into, const char *s)
{
    return lk_arena_strndup(into, s, strlen(s));
}

/* In a space that is pinned; texts into the arena, because they outlive the pin. */
static lk_code model_stats(lk_engine *e, lk_space *sp, lk_arena *into, lk_stats *ret, lk_err *err)
{
    lk_model *m = NULL;
    lk_code code = lk_space_model(e, sp, &m, err);
    if (code)
        return code;
    const lk_model_info *mi = lk_model_info_of(m);
    const char **labels = lk_arena_zalloc(into, mi->n_labels + 1, sizeof *labels);
    bool ok = labels != NULL;
    for (size_t i = 0; ok && i < mi->n_labels; i++) {
        labels[i] = keep(into, mi->labels[i]);
        ok = labels[i] != NULL;
    }
    ret->dim = mi->dim;
    ret->model_name = keep(into, mi->name);
    ret->model_version = keep(into, mi->version);
    ret->model_key = keep(into, mi->key);
    ret->labels = labels;
    ret->n_labels = mi->n_labels;
    lk_model_runs(m, &ret->model_items, &ret->model_runs);
    lk_drift_stats_of(&sp->drift, &ret->drift);
    lk_engine_self_tested(e, &ret->self_test);
    return ok && ret->model_name && ret->model_version && ret->model_key
               ? LK_OK
               : lk_fail(err, LK_E_NOMEM, "out of memory for the model's names");
}

static lk_code space_stats(lk_engine *e, lk_space *sp, lk_arena *into, lk_stats *ret, lk_err *err)
{
    lk_vectors_info info;
    lk_code code = lk_vectors_info_of(sp->vectors, &info, err);
    if (!code)
        code = model_stats(e, sp, into, ret, err);
    if (!code)
        code = refer(sp, &info, into, err);
    if (!code)
        code = counts(sp, LK_STR("category"), into, &ret->categories, err);
    if (!code)
        code = counts(sp, LK_STR("color_scheme"), into, &ret->color_schemes, err);
    if (code)
        return code;
    ret->vectors = info.n;
    ret->data_bytes += info.disk_bytes;
    memcpy(ret->index, info.index, sizeof ret->index);
    memcpy(ret->index_state, info.state, sizeof ret->index_state);
    memcpy(ret->index_asked, info.asked, sizeof ret->index_asked);
    ret->index_built = info.built;
    ret->index_M = info.M;
    ret->index_ef_construction = info.ef_construction;
    ret->index_nlist = info.nlist;
    return LK_OK;
}

lk_code lk_engine_stats(lk_engine *e, lk_arena *into, lk_stats *ret, lk_err *err)
{
    lk_embed_cache_stats cs;
    memset(ret, 0, sizeof *ret);
    lk_space *sp = lk_space_pin(e);
    lk_code code = space_stats(e, sp, into, ret, err);
    lk_space_unpin(e, sp);
    if (!code)
        code = lk_records_count(e->records, &ret->images, err);
    if (!code)
        code = objects_bytes(e, &ret->objects_bytes, err);
    if (code)
        return code;
    lk_embed_cache_stats_of(e->cache, &cs);
    ret->embed_hits = cs.hits;
    ret->embed_misses = cs.misses;
    ret->embed_shared = cs.shared;
    ret->embed_entries = cs.entries;
    ret->embed_bytes = cs.bytes;
    ret->data_bytes += ret->objects_bytes;
    ret->memory_bytes = lk_os_rss_bytes();
    return LK_OK;
}

static lk_vectors_opts index_opts(const lk_index_opts *from)
{
    lk_vectors_opts vo;
    lk_vectors_opts_default(&vo);
    vo.index = from->kind;
    vo.M = from->M;
    vo.ef_construction = from->ef_construction;
    vo.nlist = from->nlist;
    return vo;
}

lk_code lk_engine_tune_index(lk_engine *e, const lk_index_opts *opts, lk_err *err)
{
    lk_vectors_opts vo = index_opts(opts);
    lk_space *sp = lk_space_pin(e);
    lk_code code = lk_vectors_tune(sp->vectors, &vo, err);
    lk_space_unpin(e, sp);
    return code;
}

lk_code lk_engine_build_index(lk_engine *e, const lk_index_opts *opts, lk_progress_fn *progress,
                              void *ctx, const lk_cancel *cancel, lk_err *err)
{
    lk_vectors_opts vo = index_opts(opts);
    lk_space *sp = lk_space_pin(e);
    lk_code code =
        lk_vectors_build(sp->vectors, &vo, (unsigned)e->opts.threads, progress, ctx, cancel, err);
    lk_space_unpin(e, sp);
    return code;
}

/* ---- the model ---- */

static unsigned turn_of(lk_engine *e)
{
    lk_mutex_lock(&e->spaces.lock);
    unsigned turn = e->spaces.turn;
    lk_mutex_unlock(&e->spaces.lock);
    return turn;
}

lk_code lk_engine_model_still(lk_engine *e, const lk_model_seen *m, lk_err *err)
{
    if (turn_of(e) == m->turn)
        return LK_OK;
    return lk_fail(err, LK_E_BUSY,
                   "the collection was moved to another model meanwhile: ask again");
}

lk_code lk_engine_model_of(lk_engine *e, lk_arena *into, lk_model_seen *ret, lk_err *err)
{
    lk_model *m = NULL;
    unsigned turn = turn_of(e); /* before: a switch in between shows as one */
    lk_space *sp = lk_space_pin(e);
    lk_code code = lk_space_model(e, sp, &m, err);
    if (!code) {
        const lk_model_info *mi = lk_model_info_of(m);
        *ret = (lk_model_seen){.name = keep(into, mi->name),
                               .version = keep(into, mi->version),
                               .describe = keep(into, mi->describe),
                               .dim = mi->dim,
                               .has_image = mi->has_image,
                               .has_text = mi->has_text,
                               .turn = turn};
        if (!ret->name || !ret->version || !ret->describe)
            code = lk_fail(err, LK_E_NOMEM, "out of memory for the model's names");
    }
    lk_space_unpin(e, sp);
    return code;
}
