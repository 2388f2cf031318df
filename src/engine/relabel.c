/* Stored pictures into the categories of now, some at a time.
 *
 * A record is changed the way a patch changes it: under its id's key, what filters see first, the
 * document last. Labels with prompts need the stored vector alone; a classifier needs the picture,
 * which is read and decoded again. Several threads go at it, most of the time waiting for the disk:
 * commits that meet are shared. */
#include <math.h>

#include "base/mem.h"
#include "engine/internal.h"

#define N_THREADS 16
#define SAME_PROB 0.005 /* stored vectors are rounded: that much may lie between two looks */

/* Would the record say the same, but for the last digits? */
static bool says_the_same(const lk_jval *doc, const lk_judged *j)
{
    const char *const *names = lk_labels_names(j->labels);
    const lk_jval *probs = lk_jval_get(doc, "all_probs"), *v;
    size_t n = lk_labels_n(j->labels), n_written = 0;
    lk_str key;
    if (n == 0)
        return lk_jval_type(lk_jval_get(doc, "category")) == LK_J_NULL;
    if (!lk_str_is(lk_jval_str(lk_jval_get(doc, "category")), names[j->best]))
        return false;
    for (lk_jiter it = lk_jiter_of(probs); lk_jiter_next(&it, &key, &v); n_written++) {
        size_t i = 0;
        while (i < n && !lk_str_is(key, names[i]))
            i++;
        if (i == n || fabs(lk_jval_real(v) - (double)j->probs[i]) > SAME_PROB)
            return false;
    }
    return n_written == lk_judged_n_written(j);
}

static bool is_about_category(lk_str key)
{
    return lk_str_is(key, "category") || lk_str_is(key, "confidence") ||
           lk_str_is(key, "all_probs");
}

static lk_code write_doc(const lk_jval *doc, const lk_judged *j, lk_buf *out, lk_err *err)
{
    lk_jw w;
    lk_str key;
    const lk_jval *v;
    lk_jw_init(&w, out);
    lk_jw_obj(&w);
    for (lk_jiter it = lk_jiter_of(doc); lk_jiter_next(&it, &key, &v);) {
        if (lk_str_is(key, "dominant_colors")) /* where a new record has them */
            lk_judged_write(j, &w);
        if (is_about_category(key))
            continue;
        lk_jw_key_str(&w, key);
        lk_jw_val(&w, v);
    }
    lk_jw_end_obj(&w);
    return lk_buf_check(out, err);
}

static lk_code decode_original(lk_engine *e, const lk_sha256 *key, lk_picture *ret, lk_err *err)
{
    lk_image_limits limits = lk_engine_limits(e);
    lk_buf b;
    lk_buf_init(&b, (size_t)e->opts.max_image_bytes + 1);
    lk_code code = lk_objects_get(e->objects, key, "", &b, err);
    if (!code)
        code =
            lk_picture_decode((lk_blob){(const unsigned char *)b.p, b.n}, &limits, false, ret, err);
    lk_buf_release(&b);
    return code;
}

static lk_code judge_stored(lk_engine *e, lk_space *sp, const lk_record_row *row, lk_arena *a,
                            lk_judged *ret, lk_err *err)
{
    lk_picture pic = {0};
    bool wants = false;
    float *vector = lk_arena_zalloc(a, sp->dim, sizeof *vector);
    lk_code code = vector ? lk_vectors_get(sp->vectors, row->id, vector, err)
                          : lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    if (!code)
        code = lk_judge_wants_picture(e, sp, &wants, err);
    if (!code && wants)
        code = decode_original(e, &row->object, &pic, err);
    if (!code)
        code = lk_judge(e, sp, vector, wants ? &pic.image : NULL, a, ret, err);
    lk_picture_release(&pic);
    return code;
}

static lk_code store(lk_engine *e, const lk_space *sp, lk_record_row *row, lk_str doc, lk_arena *a,
                     lk_err *err)
{
    lk_attr *attrs = NULL;
    lk_vector_row vrow = {.id = row->id};
    lk_code code = lk_record_attrs(doc, a, &attrs, &vrow.n_attrs, err);
    vrow.attrs = attrs;
    row->doc = doc;
    if (!code)
        code = lk_engine_mark_dirty(e, err);
    if (!code)
        code = lk_engine_put_attrs(e, sp, &vrow, err);
    return code ? code : lk_records_put(e->records, 1, row, true, err);
}

/* In the gate and under the id's key. */
static lk_code relabel_row(lk_engine *e, lk_space *sp, lk_str id, lk_arena *a, bool *ret_changed,
                           lk_err *err)
{
    lk_record_row row;
    lk_judged j = {0};
    lk_json *json = NULL;
    lk_buf doc;
    lk_buf_init(&doc, LK_MAX_RECORD_BYTES);
    lk_code code = lk_records_get(e->records, id, a, &row, err);
    if (!code)
        code = lk_json_parse(row.doc, &json, err);
    if (!code)
        code = judge_stored(e, sp, &row, a, &j, err);
    if (!code && !says_the_same(lk_json_root(json), &j)) {
        code = write_doc(lk_json_root(json), &j, &doc, err);
        if (!code)
            code = store(e, sp, &row, lk_buf_str(&doc), a, err);
        *ret_changed = code == LK_OK;
    }
    lk_judged_release(&j);
    lk_json_free(json);
    lk_buf_release(&doc);
    return code;
}

static lk_code relabel_one(lk_engine *e, lk_str id, bool *ret_changed, lk_err *err)
{
    lk_arena a;
    uint64_t key = lk_keylock_hash('i', id.p, id.n);
    lk_arena_init(&a, LK_MAX_RECORD_BYTES * 8);
    lk_space *sp = lk_gate_enter(e);
    lk_keylock_take(&e->keys, &key, 1);
    lk_code code = relabel_row(e, sp, id, &a, ret_changed, err);
    lk_keylock_give(&e->keys, &key, 1);
    lk_gate_leave(e);
    lk_arena_release(&a);
    return code;
}

typedef struct look_again {
    lk_engine *e;
    const lk_record_row *rows;
    atomic_uint seen, changed;
    lk_mutex lock;
    lk_code code; /* the first failure */
    lk_err err;
} look_again;

static void relabel_nth(void *ctx, size_t i)
{
    look_again *r = ctx;
    lk_err err = {0};
    bool changed = false;
    lk_mutex_lock(&r->lock);
    bool failed = r->code != LK_OK;
    lk_mutex_unlock(&r->lock);
    if (failed)
        return;
    lk_code code = relabel_one(r->e, r->rows[i].id, &changed, &err);
    if (code == LK_E_NOT_FOUND) /* deleted meanwhile */
        return;
    atomic_fetch_add(&r->seen, 1);
    atomic_fetch_add(&r->changed, changed);
    if (!code)
        return;
    lk_mutex_lock(&r->lock);
    if (!r->code) {
        r->code = code;
        r->err = err;
    }
    lk_mutex_unlock(&r->lock);
}

lk_code lk_engine_relabel(lk_engine *e, lk_str cursor, size_t limit, lk_arena *into,
                          lk_relabeled *ret, lk_err *err)
{
    lk_record_row *rows = NULL;
    lk_str next;
    size_t n = 0;
    look_again r = {.e = e};
    if (limit < 1 || limit > LK_MAX_TOP_K)
        return lk_fail_field(err, LK_E_INVALID, "limit", "limit must be between 1 and %d, not %zu",
                             LK_MAX_TOP_K, limit);
    lk_code code = lk_records_list(e->records, cursor, limit, true, into, &rows, &n, &next, err);
    if (code)
        return code;
    r.rows = rows;
    lk_mutex_init(&r.lock, LK_RANK_LEAF);
    code = lk_parallel_for(n, N_THREADS, 1, relabel_nth, &r, err);
    lk_mutex_release(&r.lock);
    if (!code && r.code) {
        code = r.code;
        if (err)
            *err = r.err;
    }
    if (!code)
        *ret = (lk_relabeled){atomic_load(&r.seen), atomic_load(&r.changed), next};
    return code;
}
