/* Reading: search, get, scan, counts. Nothing here waits for a writer's disk. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "index/flat.h"
#include "store/vectors/embedded/internal.h"

static lk_code fail_nomem(lk_err *err)
{
    return lk_fail(err, LK_E_NOMEM, "no memory for a search");
}

/* The live slots that match, as of one moment. */
static lk_code matching(lk_embedded *e, const lk_filter *filter, lk_bitmap *ret, lk_err *err)
{
    pthread_rwlock_rdlock(&e->lock);
    lk_code code = lk_bitmap_copy(ret, &e->live, err);
    if (code == LK_OK && filter)
        code = lk_columns_narrow(e->columns, filter, ret, err);
    pthread_rwlock_unlock(&e->lock);
    return code;
}

/* ---- search ---- */

typedef struct found {
    lk_near near;
    lk_str id;
} found;

static int best_first(const void *a, const void *b)
{
    const found *x = a;
    const found *y = b;
    if (x->near.score != y->near.score)
        return x->near.score < y->near.score ? 1 : -1;
    return lk_str_cmp(x->id, y->id);
}

/* Rounding may carry a cosine past one; what is shown and compared is not. */
static float shown(const lk_embedded *e, float score)
{
    switch (e->base.metric) {
    case LK_METRIC_COSINE:
        return score > 1 ? 1 : score < -1 ? -1 : score;
    case LK_METRIC_L2:
        return score < 0 ? -sqrtf(-score) : 0;
    default:
        return score;
    }
}

/* The query as the rows are kept. */
static lk_code scale_query(const lk_embedded *e, const float *query, float **ret, lk_err *err)
{
    size_t dim = e->base.dim;
    float *q = lk_memdup(query, dim * sizeof *q);
    if (!q)
        return fail_nomem(err);
    if (e->base.metric == LK_METRIC_COSINE) {
        double sum = 0;
        for (size_t i = 0; i < dim; i++)
            sum += (double)q[i] * (double)q[i];
        double norm = sqrt(sum);
        for (size_t i = 0; i < dim; i++)
            q[i] = (float)((double)q[i] / norm);
    }
    *ret = q;
    return LK_OK;
}

/* The k nearest and everything that ties with the last of them, because ties are broken by id and
 * the index knows only slots. *ret_near is in memory to lk_free. */
static lk_code nearest(const lk_embedded *e, const lk_bitmap *which, const float *query, size_t k,
                       size_t matched, lk_near **ret_near, size_t *ret_n, lk_err *err)
{
    lk_score score = e->base.metric == LK_METRIC_L2 ? LK_SCORE_NEG_L2 : LK_SCORE_DOT;
    for (size_t want = k + 1;; want *= 2) {
        want = want < matched ? want : matched;
        lk_near *near = lk_alloc_array(want, sizeof *near);
        if (!near)
            return fail_nomem(err);
        size_t n = lk_flat_search(e->kern, &e->rows.rows, which, query, score, want, near);
        for (size_t i = 0; i < n; i++)
            near[i].score = shown(e, near[i].score);
        if (n == matched || near[n - 1].score < near[k - 1].score) {
            *ret_near = near;
            *ret_n = n;
            return LK_OK;
        }
        lk_free(near);
    }
}

/* Those that are live; returns how many. The index may know of one before or after it is. */
static size_t name_hits(lk_embedded *e, const lk_near *near, size_t n, bool live, found *ret)
{
    size_t m = 0;
    pthread_rwlock_rdlock(&e->lock);
    for (size_t i = 0; i < n; i++)
        if (!live || lk_bitmap_get(&e->live, near[i].slot))
            ret[m++] = (found){near[i], lk_ids_at(&e->ids, near[i].slot)};
    pthread_rwlock_unlock(&e->lock);
    return m;
}

static lk_code copy_hits(const found *all, size_t n, lk_arena *into, lk_vectors_hit **ret,
                         lk_err *err)
{
    lk_vectors_hit *hits = lk_arena_zalloc(into, n + 1, sizeof *hits);
    for (size_t i = 0; hits && i < n; i++) {
        char *id = lk_arena_strndup(into, all[i].id.p, all[i].id.n);
        if (!id)
            return fail_nomem(err);
        hits[i] = (lk_vectors_hit){.id = {id, all[i].id.n}, .score = all[i].near.score};
    }
    if (!hits)
        return fail_nomem(err);
    *ret = hits;
    return LK_OK;
}

/* near[n] of whatever order, live or not, becomes the k best with their names. */
static lk_code answer(lk_embedded *e, const lk_vectors_query *q, const lk_near *near, size_t n,
                      bool check_live, lk_arena *into, lk_vectors_found *ret, lk_err *err)
{
    found *all = lk_alloc_array(n + 1, sizeof *all);
    if (!all)
        return fail_nomem(err);
    n = name_hits(e, near, n, check_live, all);
    qsort(all, n, sizeof *all, best_first);
    n = n < q->k ? n : q->k;
    while (q->has_min_score && n && all[n - 1].near.score < q->min_score)
        n--;
    ret->n = n;
    lk_code code = copy_hits(all, n, into, &ret->hits, err);
    lk_free(all);
    return code;
}

static lk_code search_all(lk_embedded *e, const lk_vectors_query *q, const float *query,
                          const lk_bitmap *which, lk_arena *into, lk_vectors_found *ret,
                          lk_err *err)
{
    lk_near *near = NULL;
    size_t n = 0, matched = lk_bitmap_count(which), k = q->k < matched ? q->k : matched;
    lk_vectors_found out = {.matched = matched, .plan = "flat"};
    lk_code code = k ? nearest(e, which, query, k, matched, &near, &n, err) : LK_OK;
    if (code == LK_OK)
        code = answer(e, q, near, n, false, into, &out, err);
    lk_free(near);
    if (code == LK_OK)
        *ret = out;
    return code;
}

/* Through the index. *ret_short: it found fewer than there are, because some died meanwhile. */
static lk_code search_index(lk_embedded *e, lk_ann *ann, const lk_vectors_query *q,
                            const float *query, const lk_bitmap *which, size_t matched,
                            lk_arena *into, lk_vectors_found *ret, bool *ret_short, lk_err *err)
{
    lk_ann_found f;
    lk_ann_query aq = {.vector = query,
                       .k = q->k,
                       .ef = (size_t)q->ef,
                       .nprobe = (size_t)q->nprobe,
                       .which = which,
                       .matched = matched};
    lk_code code = lk_ann_search(ann, &e->rows.rows, &aq, &f, err);
    if (code)
        return code;
    for (size_t i = 0; i < f.n; i++)
        f.hits[i].score = shown(e, f.hits[i].score);
    lk_vectors_found out = {.matched = matched, .plan = f.plan};
    code = answer(e, q, f.hits, f.n, true, into, &out, err);
    lk_free(f.hits);
    *ret_short = code == LK_OK && !q->has_min_score && out.n < q->k && out.n < matched;
    if (code == LK_OK)
        *ret = out;
    return code;
}

/* Asking for much of what there is, a walk would visit nearly all and rank it twice. */
static bool worth_walking(size_t k, size_t n_live)
{
    return k < n_live / 4;
}

static size_t count_live(lk_embedded *e)
{
    pthread_rwlock_rdlock(&e->lock);
    size_t n = e->n_live;
    pthread_rwlock_unlock(&e->lock);
    return n;
}

lk_code lk_embedded_search(lk_vectors *v, const lk_vectors_query *q, lk_arena *into,
                           lk_vectors_found *ret, lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    lk_bitmap which;
    lk_bitmap_init(&which);
    float *query = NULL;
    size_t n_live = count_live(e);
    unsigned ticket = lk_grace_enter(&e->grace); /* V4: slots and ids stay until we leave */
    lk_embedded_ann *index = NULL;
    if (!q->exact && worth_walking(q->k, n_live))
        index = lk_embedded_index_hold(e, true);
    bool all = !index, copied = !index || q->filter;
    lk_code code = scale_query(e, q->vector, &query, err);
    if (code == LK_OK && copied)
        code = matching(e, q->filter, &which, err);
    if (code == LK_OK && index) {
        size_t matched = q->filter ? lk_bitmap_count(&which) : n_live;
        code = search_index(e, index->ann, q, query, q->filter ? &which : NULL, matched, into, ret,
                            &all, err);
    }
    if (code == LK_OK && all && !copied)
        code = matching(e, q->filter, &which, err);
    if (code == LK_OK && all)
        code = search_all(e, q, query, &which, into, ret, err);
    lk_embedded_index_let_go(index);
    lk_grace_leave(&e->grace, ticket);
    lk_bitmap_release(&which);
    lk_free(query);
    return code;
}

/* ---- one, and many ---- */

lk_code lk_embedded_get(lk_vectors *v, lk_str id, float *ret, lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    float norm = 1;
    unsigned ticket = lk_grace_enter(&e->grace);
    pthread_rwlock_rdlock(&e->lock);
    uint32_t slot = lk_ids_find(&e->ids, id);
    if (slot != LK_NO_SLOT)
        norm = e->norm[slot];
    pthread_rwlock_unlock(&e->lock);
    if (slot != LK_NO_SLOT) {
        lk_row_decode(e->kern, e->elem, lk_rows_at(&e->rows.rows, slot), e->base.dim, ret);
        for (size_t i = 0; norm != 1 && i < e->base.dim; i++)
            ret[i] *= norm;
    }
    lk_grace_leave(&e->grace, ticket);
    if (slot == LK_NO_SLOT)
        return lk_fail_field(err, LK_E_NOT_FOUND, "id", "no vector has the id '%.*s'",
                             (int)(id.n < 128 ? id.n : 128), id.p);
    return LK_OK;
}

/* The cursor is the slot to go on from. */
lk_code lk_embedded_scan(lk_vectors *v, const lk_filter *filter, size_t limit, uint64_t *cursor,
                         lk_arena *into, lk_str **ret, size_t *ret_n, lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    lk_bitmap which;
    lk_bitmap_init(&which);
    unsigned ticket = lk_grace_enter(&e->grace);
    lk_code code = matching(e, filter, &which, err);
    size_t left = code ? 0 : lk_bitmap_count(&which);
    lk_str *ids = NULL;
    size_t n = 0;
    size_t at = code || *cursor >= which.n_bits ? LK_BITMAP_NONE : lk_bitmap_next(&which, *cursor);
    if (code == LK_OK) {
        ids = lk_arena_zalloc(into, (limit < left ? limit : left) + 1, sizeof *ids);
        code = ids ? LK_OK : fail_nomem(err);
    }
    pthread_rwlock_rdlock(&e->lock);
    for (; code == LK_OK && at != LK_BITMAP_NONE && n < limit;
         at = lk_bitmap_next(&which, at + 1)) {
        lk_str id = lk_ids_at(&e->ids, (uint32_t)at);
        char *text = lk_arena_strndup(into, id.p, id.n);
        if (text)
            ids[n++] = (lk_str){text, id.n};
        else
            code = fail_nomem(err);
    }
    pthread_rwlock_unlock(&e->lock);
    if (code == LK_OK) {
        *ret = ids;
        *ret_n = n;
        *cursor = at == LK_BITMAP_NONE ? 0 : at;
    }
    lk_grace_leave(&e->grace, ticket);
    lk_bitmap_release(&which);
    return code;
}

/* ---- what is there ---- */

lk_code lk_embedded_schema(lk_vectors *v, lk_arena *into, lk_schema *ret, lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    lk_code code = LK_OK;
    pthread_rwlock_rdlock(&e->lock);
    size_t n = lk_columns_count(e->columns);
    lk_field *fields = lk_arena_zalloc(into, n + 1, sizeof *fields);
    for (size_t i = 0; fields && code == LK_OK && i < n; i++) {
        fields[i] = lk_columns_field(e->columns, i);
        fields[i].name.p = lk_arena_strndup(into, fields[i].name.p, fields[i].name.n);
        if (!fields[i].name.p)
            code = fail_nomem(err);
    }
    pthread_rwlock_unlock(&e->lock);
    if (!fields)
        code = fail_nomem(err);
    if (code == LK_OK)
        *ret = (lk_schema){.fields = fields, .n_fields = n, .open = true};
    return code;
}

lk_code lk_embedded_values(lk_vectors *v, lk_str field, size_t limit, lk_arena *into,
                           lk_value_count **ret, size_t *ret_n, lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    lk_columns_value *values = NULL;
    lk_value_count *out = NULL;
    size_t n = 0;
    lk_code code = LK_OK;
    pthread_rwlock_rdlock(&e->lock);
    size_t at = lk_columns_find(e->columns, field, false);
    if (at == SIZE_MAX)
        at = lk_columns_find(e->columns, field, true);
    if (at != SIZE_MAX && lk_columns_field(e->columns, at).type == LK_T_STR)
        code = lk_columns_values(e->columns, at, limit, into, &values, &n, err);
    if (code == LK_OK) {
        out = lk_arena_zalloc(into, n + 1, sizeof *out);
        code = out ? LK_OK : fail_nomem(err);
    }
    for (size_t i = 0; code == LK_OK && i < n; i++) {
        char *text = lk_arena_strndup(into, values[i].value.p, values[i].value.n);
        if (text)
            out[i] = (lk_value_count){.value = {text, values[i].value.n}, .n = values[i].n};
        else
            code = fail_nomem(err);
    }
    pthread_rwlock_unlock(&e->lock);
    if (code == LK_OK) {
        *ret = out;
        *ret_n = n;
    }
    return code;
}

static void describe_index(lk_embedded *e, lk_vectors_info *ret)
{
    lk_embedded_ann *x = lk_embedded_index_hold(e, false);
    bool ready = !x || atomic_load(&x->ready);
    const char *kind = !x ? "flat" : lk_ann_opts_of(x->ann)->kind == LK_ANN_IVF ? "ivf" : "hnsw";
    snprintf(ret->index, sizeof ret->index, "%s", kind);
    snprintf(ret->state, sizeof ret->state, ready ? "ready" : "building");
    ret->built = 1;
    if (x && ready) {
        double linked = (double)lk_ann_linked(x->ann), waiting = (double)lk_ann_waiting(x->ann);
        ret->built = linked + waiting > 0 ? linked / (linked + waiting) : 1;
    } else if (x) {
        double total = (double)atomic_load(&e->index.total);
        ret->built = total > 0 ? (double)atomic_load(&e->index.done) / total : 0;
    }
    if (x)
        ret->memory_bytes += lk_ann_bytes(x->ann);
    lk_embedded_index_let_go(x);
}

/* The options in their place; under the lock. */
static void describe_options(const lk_embedded *e, lk_vectors_info *ret)
{
    snprintf(ret->asked, sizeof ret->asked, "%s", e->options.index);
    ret->M = e->options.M;
    ret->ef_construction = e->options.ef_construction;
    ret->nlist = e->options.nlist;
}

lk_code lk_embedded_info(lk_vectors *v, lk_vectors_info *ret, lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    lk_vectors_info info = {.dim = e->base.dim, .metric = e->base.metric};
    lk_code code = lk_rowfile_bytes(&e->rows, &info.disk_bytes, err);
    if (code)
        return code;
    describe_index(e, &info);
    pthread_rwlock_rdlock(&e->lock);
    describe_options(e, &info);
    info.n = e->n_live;
    info.deleted = e->n_slots - e->n_live;
    info.disk_bytes += e->live_bytes;
    info.memory_bytes += lk_columns_bytes(e->columns) + e->ids.text_bytes +
                         e->ids.cap_slots * sizeof *e->ids.by_slot +
                         e->ids.cap_table * sizeof *e->ids.table +
                         e->cap_slots * (sizeof *e->row_crc + sizeof *e->norm) +
                         e->live.cap_words * sizeof *e->live.words;
    pthread_rwlock_unlock(&e->lock);
    *ret = info;
    return LK_OK;
}
