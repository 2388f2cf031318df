/* The invariants, checked: every record has its vector and its object, and what no record names is
 * an extra that may go. */
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"

/* ---- extras ---- */

typedef struct extras {
    lk_engine *e;
    bool remove;
    uint64_t n;
    uint64_t objects;
    lk_sha256 *drop; /* removed after the listing, not while it walks */
    size_t n_drop, cap_drop;
    lk_err *err;
} extras;

static lk_code see_object(void *ctx, const lk_sha256 *key, uint64_t bytes)
{
    extras *x = ctx;
    lk_arena a;
    lk_str id;
    (void)bytes;
    x->objects++;
    lk_arena_init(&a, 1u << 16);
    lk_code code = lk_records_find_object(x->e->records, key, &a, &id, x->err);
    lk_arena_release(&a);
    if (code != LK_E_NOT_FOUND)
        return code;
    void *p = x->drop;
    if (!lk_grow(&p, &x->cap_drop, x->n_drop + 1, sizeof *x->drop))
        return lk_fail(x->err, LK_E_NOMEM, "out of memory for the sweep");
    x->drop = p;
    x->drop[x->n_drop++] = *key;
    x->n++;
    return LK_OK;
}

static lk_code extra_objects(extras *x)
{
    lk_code code = lk_objects_list(x->e->objects, see_object, x, x->err);
    for (size_t i = 0; !code && x->remove && i < x->n_drop; i++)
        code = lk_engine_drop_object(x->e, &x->drop[i], x->err);
    lk_free(x->drop);
    return code;
}

static lk_code extra_vectors(extras *x, lk_vectors *vectors)
{
    uint64_t cursor = 0;
    lk_code code = LK_OK;
    do {
        lk_arena a;
        lk_str *ids = NULL;
        size_t n = 0, gone = 0, deleted;
        lk_arena_init(&a, 0);
        code = lk_vectors_scan(vectors, NULL, 1000, &cursor, &a, &ids, &n, x->err);
        lk_record_row *rows = code ? NULL : lk_arena_zalloc(&a, n + 1, sizeof *rows);
        if (!code && !rows)
            code = lk_fail(x->err, LK_E_NOMEM, "out of memory for the sweep");
        if (!code)
            code = lk_records_get_many(x->e->records, n, ids, &a, rows, x->err);
        for (size_t i = 0; !code && i < n; i++)
            if (!rows[i].doc.n)
                ids[gone++] = ids[i];
        x->n += code ? 0 : gone;
        if (!code && x->remove && gone)
            code = lk_vectors_delete(vectors, gone, ids, &deleted, x->err);
        lk_arena_release(&a);
    } while (!code && cursor);
    return code;
}

/* In the gate. The second space has extras of its own. */
static lk_code all_extras(extras *x)
{
    const lk_spaces *s = &x->e->spaces;
    lk_code code = extra_vectors(x, s->now->vectors);
    if (!code && s->other)
        code = extra_vectors(x, s->other->vectors);
    return code ? code : extra_objects(x);
}

lk_code lk_engine_sweep(lk_engine *e, uint64_t *ret_extras, lk_err *err)
{
    extras x = {.e = e, .remove = true, .err = err};
    (void)lk_gate_enter(e);
    lk_code code = all_extras(&x);
    lk_gate_leave(e);
    *ret_extras = x.n;
    return code;
}

/* ---- records ---- */

typedef struct walk {
    lk_engine *e;
    const lk_space *space;
    bool deep;
    lk_verify_fn *see;
    void *ctx;
    lk_progress_fn *progress;
    void *progress_ctx;
    uint64_t total;
    float *vector;
    lk_verified *out;
    lk_err *err;
} walk;

static void fault(walk *w, lk_str id, const char *what)
{
    char text[LK_MAX_ID_BYTES + 256];
    snprintf(text, sizeof text, "image \"%.*s\": %s", LK_STR_ARG(id), what);
    w->out->faults++;
    if (w->see)
        w->see(w->ctx, text);
}

static void check_bytes(walk *w, const lk_record_row *row)
{
    lk_buf b;
    lk_err err;
    lk_sha256 now;
    lk_buf_init(&b, 0);
    if (lk_objects_get(w->e->objects, &row->object, "", &b, &err))
        fault(w, row->id, err.text);
    else if (lk_sha256_of(b.p, b.n, &now, &err))
        fault(w, row->id, err.text);
    else if (memcmp(&now, &row->object, sizeof now) != 0)
        fault(w, row->id, "the picture's bytes have changed");
    lk_buf_release(&b);
}

static lk_code see_record(void *ctx, const lk_record_row *row)
{
    walk *w = ctx;
    lk_arena a;
    lk_record r;
    lk_err err;
    bool has = false;
    lk_arena_init(&a, LK_MAX_RECORD_BYTES * 4);
    if (lk_record_of_row(row, &a, &r, &err))
        fault(w, row->id, err.text);
    lk_arena_release(&a);
    if (lk_vectors_get(w->space->vectors, row->id, w->vector, &err))
        fault(w, row->id, err.code == LK_E_NOT_FOUND ? "its vector is missing" : err.text);
    if (w->deep)
        check_bytes(w, row);
    else if (lk_objects_has(w->e->objects, &row->object, "", &has, &err) || !has)
        fault(w, row->id, "its picture is missing");
    w->out->records++;
    if (w->progress)
        w->progress(w->progress_ctx, w->out->records, w->total);
    return LK_OK;
}

static void check_store(walk *w, lk_code code, const char *store, const lk_err *err)
{
    char text[sizeof err->text + 64];
    if (!code)
        return;
    snprintf(text, sizeof text, "%s: %s", store, err->text);
    w->out->faults++;
    if (w->see)
        w->see(w->ctx, text);
}

/* In the gate. */
static lk_code verify(walk *w, bool repair, lk_err *err)
{
    lk_engine *e = w->e;
    lk_verified *ret = w->out;
    lk_vectors_info info;
    lk_err why = {0};
    lk_code code = lk_vectors_info_of(w->space->vectors, &info, err);
    if (!code)
        code = lk_records_count(e->records, &w->total, err);
    if (code)
        return code;
    w->vector = lk_alloc_array(info.dim, sizeof(float));
    if (!w->vector)
        return lk_fail(err, LK_E_NOMEM, "out of memory");
    check_store(w, lk_records_verify(e->records, &why), "records", &why);
    check_store(w, lk_vectors_verify(w->space->vectors, &why), "vectors", &why);
    if (e->spaces.other)
        check_store(w, lk_vectors_verify(e->spaces.other->vectors, &why), "the second vectors",
                    &why);
    code = lk_records_scan(e->records, see_record, w, err);
    extras x = {.e = e, .remove = repair, .err = err};
    if (!code)
        code = all_extras(&x);
    ret->vectors = info.n;
    ret->objects = x.objects;
    ret->extras = x.n;
    lk_free(w->vector);
    if (!code && ret->faults)
        code = lk_fail(err, LK_E_CORRUPT, "%llu faults in \"%s\"", (unsigned long long)ret->faults,
                       e->data_dir);
    return code;
}

lk_code lk_engine_verify(lk_engine *e, bool deep, bool repair, lk_verify_fn *see, void *ctx,
                         lk_progress_fn *progress, void *progress_ctx, lk_verified *ret,
                         lk_err *err)
{
    memset(ret, 0, sizeof *ret);
    walk w = {.e = e,
              .space = lk_gate_enter(e),
              .deep = deep,
              .see = see,
              .ctx = ctx,
              .progress = progress,
              .progress_ctx = progress_ctx,
              .out = ret,
              .err = err};
    lk_code code = verify(&w, repair, err);
    lk_gate_leave(e);
    return code;
}
