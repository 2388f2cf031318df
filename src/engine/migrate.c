/* The way to another model:
 *
 *   begin    a second space, empty, is noted beside the collection's own
 *   fill     every record: has the second space its vector? if not, make one
 *   compare  neighbours of a sample in both spaces
 *   switch   gate shut; nothing missed since the pass began; one note; the spaces change places
 *
 * M1. A pass over all records proves that nothing is missing only when `behind` did not move since
 *     it began: what was there at its beginning it saw, what came later was put into both spaces
 *     (S3) or moved `behind`. The switch looks at it with the gate shut, when nobody is half way.
 * M2. Vectors are made without any lock. Before one is put, its id is taken and the record read
 *     again: a picture that was replaced or deleted meanwhile is left to the next pass.
 * M3. The state is in the note and in the vectors themselves. There is no journal of the fill to
 * get wrong: after a crash the next pass finds what is there. */
#include "engine/migrate.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"
#include "model/trial.h"

#define PAGE 64 /* records at a time */

typedef struct fill {
    lk_engine *e;
    lk_space *to;
    lk_model *model;
    const lk_migrate *m;
    const lk_record_row *rows; /* the page */
    lk_mutex lock;
    lk_code code; /* what stops everything, and why */
    lk_err err;
    uint64_t seen, total, made, failed;
} fill;

/* ---- one picture ---- */

static void stop(fill *f, lk_code code, const lk_err *err)
{
    lk_mutex_lock(&f->lock);
    if (!f->code) {
        f->code = code;
        f->err = *err;
    }
    lk_mutex_unlock(&f->lock);
}

static bool is_stopped(fill *f)
{
    lk_mutex_lock(&f->lock);
    if (!f->code && lk_cancel_is_set(f->m->cancel))
        f->code = lk_fail(&f->err, LK_E_CANCELED, "stopped; the next call goes on from here");
    bool stopped = f->code != LK_OK;
    lk_mutex_unlock(&f->lock);
    return stopped;
}

static void count(fill *f, bool made, lk_str failed, const char *why)
{
    lk_mutex_lock(&f->lock);
    f->seen++;
    f->made += made;
    f->failed += why != NULL;
    if (why && f->m->see) {
        char text[LK_MAX_ID_BYTES + 320];
        snprintf(text, sizeof text, "image \"%.*s\": %s", LK_STR_ARG(failed), why);
        f->m->see(f->m->see_ctx, text);
    }
    if (f->m->progress)
        f->m->progress(f->m->progress_ctx, f->seen, f->total > f->seen ? f->total : f->seen);
    lk_mutex_unlock(&f->lock);
}

static lk_code embed(const fill *f, const lk_record_row *row, float *ret, lk_err *err)
{
    lk_image_limits limits = lk_engine_decoding(f->e, f->model);
    lk_picture pic = {0};
    lk_buf file;
    float norm = 0;
    lk_buf_init(&file, (size_t)f->e->opts.max_image_bytes + 1);
    lk_code code = lk_objects_get(f->e->objects, &row->object, "", &file, err);
    if (!code)
        code = lk_picture_decode((lk_blob){(const unsigned char *)file.p, file.n}, &limits, false,
                                 &pic, err);
    if (!code) {
        const lk_image *im = &pic.image;
        code = lk_model_embed_measured(f->model, 1, &im, ret, &norm, err);
    }
    if (!code)
        lk_drift_see(&f->to->drift, (double)norm, ret);
    lk_picture_release(&pic);
    lk_buf_release(&file);
    return code;
}

/* M2. *ret_there: false when the picture is no longer the record's. */
static lk_code put(const fill *f, const lk_record_row *row, const float *vector, bool *ret_there,
                   lk_err *err)
{
    lk_arena a;
    lk_record_row now;
    lk_attr *attrs = NULL;
    lk_vector_row vrow = {.id = row->id, .vector = vector};
    uint64_t key = lk_keylock_hash('i', row->id.p, row->id.n);
    lk_arena_init(&a, LK_MAX_RECORD_BYTES * 8);
    lk_keylock_take(&f->e->keys, &key, 1);
    lk_code code = lk_records_get(f->e->records, row->id, &a, &now, err);
    *ret_there = !code && memcmp(&now.object, &row->object, sizeof now.object) == 0;
    if (*ret_there) {
        code = lk_record_attrs(now.doc, &a, &attrs, &vrow.n_attrs, err);
        vrow.attrs = attrs;
        if (!code)
            code = lk_vectors_upsert(f->to->vectors, 1, &vrow, err);
    } /* else whoever replaced it has put it here, too, or said that it is missing */
    lk_keylock_give(&f->e->keys, &key, 1);
    lk_arena_release(&a);
    return code == LK_E_NOT_FOUND ? LK_OK : code;
}

/* A picture that was deleted meanwhile has failed nobody. */
static bool is_gone(const fill *f, lk_str id)
{
    lk_arena a;
    lk_record_row row;
    lk_arena_init(&a, LK_MAX_RECORD_BYTES * 2);
    bool gone = lk_records_get(f->e->records, id, &a, &row, NULL) == LK_E_NOT_FOUND;
    lk_arena_release(&a);
    return gone;
}

static void fill_one(void *ctx, size_t i)
{
    fill *f = ctx;
    const lk_record_row *row = &f->rows[i];
    lk_err err = {0};
    bool there = true;
    if (is_stopped(f))
        return;
    float *v = lk_alloc_array(f->to->dim, sizeof *v);
    lk_code code = v ? lk_vectors_get(f->to->vectors, row->id, v, &err)
                     : lk_fail(&err, LK_E_NOMEM, "out of memory for an embedding");
    if (code == LK_E_NOT_FOUND) {
        code = embed(f, row, v, &err);
        if (code && code != LK_E_NOMEM && code != LK_E_CANCELED) {
            bool gone = is_gone(f, row->id);
            count(f, false, row->id, gone ? NULL : err.text);
            lk_free(v);
            return;
        }
        if (!code)
            code = put(f, row, v, &there, &err);
        if (!code)
            count(f, there, row->id, NULL);
    } else if (!code) {
        count(f, false, row->id, NULL);
    }
    lk_free(v);
    if (code)
        stop(f, code, &err);
}

/* ---- all of them ---- */

static lk_code pass(fill *f, lk_err *err)
{
    char *cursor = NULL;
    size_t n_cursor = 0;
    lk_code code = lk_records_count(f->e->records, &f->total, err);
    f->seen = f->failed = 0;
    do {
        lk_arena a;
        lk_record_row *rows = NULL;
        lk_str next = {0};
        size_t n = 0;
        lk_arena_init(&a, 0);
        if (!code)
            code = lk_records_list(f->e->records, (lk_str){cursor, n_cursor}, PAGE, false, &a,
                                   &rows, &n, &next, err);
        f->rows = rows;
        if (!code)
            code = lk_parallel_for(n, f->m->threads, 1, fill_one, f, err);
        if (!code && is_stopped(f)) {
            code = f->code;
            if (err)
                *err = f->err;
        }
        lk_free(cursor);
        cursor = lk_strndup(next.p ? next.p : "", next.n);
        n_cursor = next.n;
        if (!code && !cursor)
            code = lk_fail(err, LK_E_NOMEM, "out of memory");
        lk_arena_release(&a);
    } while (!code && n_cursor);
    lk_free(cursor);
    return code;
}

/* ---- how neighbours change ---- */

typedef struct nearest {
    lk_str ids[LK_MIGRATE_NEAREST];
    size_t n;
} nearest;

static lk_code look(lk_space *sp, lk_str id, size_t k, float *v, lk_arena *a, nearest *ret,
                    lk_err *err)
{
    lk_vectors_found found = {0};
    lk_vectors_query q = {.vector = v, .k = k + 1};
    ret->n = 0;
    lk_code code = lk_vectors_get(sp->vectors, id, v, err);
    if (!code)
        code = lk_vectors_search(sp->vectors, &q, a, &found, err);
    for (size_t i = 0; !code && i < found.n && ret->n < k; i++)
        if (!lk_str_eq(found.hits[i].id, id))
            ret->ids[ret->n++] = found.hits[i].id;
    return code;
}

static size_t shared(const nearest *x, const nearest *y)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        for (size_t j = 0; j < y->n; j++)
            n += lk_str_eq(x->ids[i], y->ids[j]);
    return n;
}

/* One picture's neighbours here and there, added to the report. */
static lk_code compare_one(lk_engine *e, lk_space *to, lk_str id, float *v, lk_migrated *r,
                           lk_err *err)
{
    lk_arena a;
    nearest x, y;
    lk_arena_init(&a, 0);
    lk_code code = look(e->spaces.now, id, r->k, v, &a, &x, err);
    if (!code)
        code = look(to, id, r->k, v, &a, &y, err);
    if (!code) {
        size_t n = shared(&x, &y);
        r->n_sample++;
        r->by_shared[n]++;
        r->overlap += (double)n / (double)r->k;
        r->same_first += x.n && y.n && lk_str_eq(x.ids[0], y.ids[0]);
    }
    lk_arena_release(&a);
    return code == LK_E_NOT_FOUND ? LK_OK : code; /* deleted meanwhile */
}

/* Pictures in even steps over the collection. */
static lk_code compare_sample(const fill *f, uint64_t n, float *v, lk_migrated *r, lk_err *err)
{
    uint64_t cursor = 0, at = 0, step = n > f->m->sample ? n / f->m->sample : 1;
    lk_code code = LK_OK;
    do {
        lk_arena a;
        lk_str *ids = NULL;
        size_t n_ids = 0;
        lk_arena_init(&a, 0);
        code = lk_vectors_scan(f->to->vectors, NULL, 1000, &cursor, &a, &ids, &n_ids, err);
        for (size_t i = 0; !code && i < n_ids && r->n_sample < f->m->sample; i++, at++) {
            if (lk_cancel_is_set(f->m->cancel))
                code = lk_fail(err, LK_E_CANCELED, "stopped; the next call goes on from here");
            else if (at % step == 0)
                code = compare_one(f->e, f->to, ids[i], v, r, err);
        }
        lk_arena_release(&a);
    } while (!code && cursor && r->n_sample < f->m->sample);
    return code;
}

static lk_code compare(const fill *f, lk_migrated *r, lk_err *err)
{
    lk_vectors_info info;
    lk_code code = lk_vectors_info_of(f->to->vectors, &info, err);
    if (code || f->m->sample == 0 || info.n < 2)
        return code;
    r->k = info.n - 1 < LK_MIGRATE_NEAREST ? (size_t)info.n - 1 : LK_MIGRATE_NEAREST;
    size_t dim = f->to->dim > f->e->spaces.now->dim ? f->to->dim : f->e->spaces.now->dim;
    float *v = lk_alloc_array(dim, sizeof *v);
    if (!v)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a vector");
    code = compare_sample(f, info.n, v, r, err);
    if (!code && r->n_sample) {
        r->overlap /= (double)r->n_sample;
        r->same_first /= (double)r->n_sample;
    }
    lk_free(v);
    return code;
}

/* ---- beginning ---- */

/* Only the thread that holds `migrating` changes which spaces there are, so it may look at them. */
static lk_code claim(lk_engine *e, lk_err *err)
{
    lk_mutex_lock(&e->spaces.lock);
    bool taken = e->spaces.migrating;
    e->spaces.migrating = true;
    lk_mutex_unlock(&e->spaces.lock);
    return taken ? lk_fail(err, LK_E_BUSY, "the collection is being moved to another model already")
                 : LK_OK;
}

static void let_go(lk_engine *e)
{
    lk_mutex_lock(&e->spaces.lock);
    e->spaces.migrating = false;
    lk_mutex_unlock(&e->spaces.lock);
}

static void set_other(lk_engine *e, lk_space *other, bool filling, bool both)
{
    lk_gate_shut(e);
    lk_mutex_lock(&e->spaces.lock);
    e->spaces.other = other;
    e->spaces.filling = filling;
    e->spaces.both = both;
    lk_mutex_unlock(&e->spaces.lock);
    lk_gate_open(e);
}

/* A second space for sp's model, which becomes the engine's on success. */
static lk_code add_space(lk_engine *e, lk_space *sp, lk_err *err)
{
    lk_code code = lk_engine_mark_dirty(e, err); /* so that a folder without a note is swept */
    if (!code)
        code = lk_space_open_vectors(e, sp, true, err);
    if (!code)
        code = lk_spaces_save(e, e->spaces.now, sp, true, err);
    if (!code)
        set_other(e, sp, true, false);
    return code;
}

static lk_code in_the_way(const lk_spaces *s, lk_err *err)
{
    return lk_fail_field(err, LK_E_BUSY, "to",
                         s->filling ? "the move to %s is unfinished: finish it or abandon it first"
                                    : "the vectors of %s are still kept: go back or forget them "
                                      "first",
                         s->other->name);
}

/* Categories of prompts want a text tower; without it, nothing could be added after the move. */
static lk_code check_categories(lk_engine *e, lk_space *sp, lk_err *err)
{
    bool wants_picture;
    lk_code code = lk_judge_wants_picture(e, sp, &wants_picture, err);
    return code ? lk_err_prefix(err, code, "the collection's categories with the new model") : code;
}

/* A graph that makes the runtime crash would take the caller down with it. */
static lk_code check_known(const lk_engine *e, const char *name, lk_err *err)
{
    lk_model_opts mo = lk_engine_model_opts(&e->opts, e->models_dir);
    lk_code code = lk_model_known(name, &mo, err);
    if (code && err)
        snprintf(err->field, sizeof err->field, "to");
    return code;
}

static lk_code find_target(lk_engine *e, const lk_migrate *m, lk_space **ret, lk_err *err)
{
    const char *asked = m->to;
    lk_spaces *s = &e->spaces;
    char folder[LK_SPACE_FOLDER];
    lk_space *sp = NULL;
    if (!asked && (!s->other || s->filling))
        return lk_fail_field(err, LK_E_NOT_FOUND, "to", "there is no earlier model to go back to");
    lk_code code = asked && m->known_only ? check_known(e, asked, err) : LK_OK;
    if (!code && asked)
        code = lk_space_new_folder(e, folder, err);
    if (!code && asked)
        code = lk_space_make(e, asked, folder, &sp, err);
    if (!code && sp && strcmp(sp->key, s->now->key) == 0)
        code = lk_fail_field(err, LK_E_EXISTS, "to", "the collection's model is %s already",
                             s->now->key);
    if (!code && sp && s->other && strcmp(sp->key, s->other->key) != 0)
        code = in_the_way(s, err);
    if (!code)
        code = check_categories(e, sp ? sp : s->other, err);
    if (!code && !s->other) {
        code = add_space(e, sp, err);
        sp = code ? sp : NULL;
    }
    lk_space_free(sp);
    if (!code)
        *ret = s->other;
    return code;
}

/* ---- changing over ---- */

/* Searches on a space without its index would be slow at once. */
static lk_code index_target(const fill *f, lk_err *err)
{
    lk_vectors_info info;
    lk_vectors_opts vo;
    lk_vectors_opts_default(&vo);
    lk_code code = lk_vectors_info_of(f->to->vectors, &info, err);
    if (code || (strcmp(info.state, "ready") == 0 && info.built >= 1))
        return code;
    code = lk_vectors_build(f->to->vectors, &vo, f->m->threads, NULL, NULL, f->m->cancel, err);
    return code == LK_E_UNSUPPORTED ? LK_OK : code;
}

/* *ret_done false: something was missed since `behind` was read. */
static lk_code change_over(const fill *f, uint64_t behind, bool *ret_done, lk_err *err)
{
    lk_spaces *s = &f->e->spaces;
    lk_gate_shut(f->e);
    lk_code code = LK_OK;
    *ret_done = atomic_load(&s->behind) == behind; /* M1 */
    if (*ret_done)
        code = lk_spaces_save(f->e, f->to, s->now, false, err);
    if (!code && *ret_done) {
        lk_mutex_lock(&s->lock);
        s->other = s->now;
        s->now = f->to;
        s->filling = s->both = false;
        s->turn++;
        lk_mutex_unlock(&s->lock);
    }
    lk_gate_open(f->e);
    return code;
}

static lk_code run(fill *f, lk_migrated *r, lk_err *err)
{
    lk_self_test t;
    bool done = false;
    lk_code code = LK_OK;
    while (!code && !done) {
        uint64_t behind = atomic_load(&f->e->spaces.behind);
        code = pass(f, err);
        r->pictures = f->seen;
        r->made = f->made;
        r->failed = f->failed;
        if (!code && f->failed == 0)
            code = index_target(f, err);
        if (!code && r->n_sample == 0)
            code = compare(f, r, err);
        if (code || f->failed || f->m->hold)
            return code;
        code = change_over(f, behind, &done, err);
    }
    r->switched = done && !code;
    /* A drift of the new model is told by the self-test; it is no reason to fail here. */
    if (r->switched && lk_engine_self_test(f->e, &t, NULL))
        return LK_OK;
    return code;
}

static lk_code name_both(lk_engine *e, const fill *f, lk_arena *into, lk_migrated *r, lk_err *err)
{
    const lk_space *to = f->to;
    lk_model *old = NULL;
    /* An old model that no longer loads is a good reason to leave it. */
    r->loses_words = !lk_space_model(e, e->spaces.now, &old, NULL) &&
                     lk_model_info_of(old)->has_text && !lk_model_info_of(f->model)->has_text;
    r->from = lk_arena_strndup(into, e->spaces.now->key, strlen(e->spaces.now->key));
    r->to = lk_arena_strndup(into, to->key, strlen(to->key));
    return r->from && r->to ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory");
}

static lk_code migrate(lk_engine *e, const lk_migrate *m, lk_arena *into, lk_migrated *r,
                       lk_err *err)
{
    fill f = {.e = e, .m = m};
    lk_code code = find_target(e, m, &f.to, err);
    if (!code)
        code = lk_space_model(e, f.to, &f.model, err);
    if (!code)
        code = lk_engine_mark_dirty(e, err);
    if (!code)
        code = name_both(e, &f, into, r, err);
    if (code)
        return code;
    bool filling = e->spaces.filling;
    lk_mutex_init(&f.lock, LK_RANK_ENGINE);
    set_other(e, f.to, filling, true);
    code = run(&f, r, err);
    if (!r->switched)
        set_other(e, f.to, filling, false);
    lk_mutex_release(&f.lock);
    return code;
}

lk_code lk_engine_migrate(lk_engine *e, const lk_migrate *m, lk_arena *into, lk_migrated *ret,
                          lk_err *err)
{
    lk_migrated r = {0};
    if (m->sample > LK_MAX_MIGRATE_SAMPLE)
        return lk_fail_field(err, LK_E_INVALID, "sample", "a sample has at most %d pictures",
                             LK_MAX_MIGRATE_SAMPLE);
    lk_code code = claim(e, err);
    if (code)
        return code;
    code = migrate(e, m, into, &r, err);
    let_go(e);
    if (!code)
        *ret = r;
    return code;
}

/* ---- giving up what is not needed ---- */

static lk_code forget(lk_engine *e, bool unfinished, lk_err *err)
{
    lk_spaces *s = &e->spaces;
    lk_space *old = s->other;
    if (!old || s->filling != unfinished)
        return lk_fail(err, LK_E_NOT_FOUND,
                       unfinished ? "no move to another model is under way"
                                  : "no vectors of an earlier model are kept");
    lk_code code = lk_engine_mark_dirty(e, err);
    if (!code)
        code = lk_spaces_save(e, s->now, NULL, false, err);
    if (code)
        return code;
    set_other(e, NULL, false, false);
    lk_mutex_lock(&s->lock);
    while (old->pins) /* searches that began before the collection changed over */
        lk_cond_wait(&s->changed, &s->lock);
    lk_mutex_unlock(&s->lock);
    char folder[LK_SPACE_FOLDER * 2];
    snprintf(folder, sizeof folder, "%s", old->folder);
    lk_space_free(old);
    return lk_space_remove_folder(e, folder, err);
}

lk_code lk_engine_migrate_forget(lk_engine *e, bool unfinished, lk_err *err)
{
    lk_code code = claim(e, err);
    if (code)
        return code;
    code = forget(e, unfinished, err);
    let_go(e);
    return code;
}

/* ---- how it stands ---- */

static lk_code state_of(lk_engine *e, lk_arena *into, lk_migration *ret, lk_err *err)
{
    const lk_spaces *s = &e->spaces;
    lk_vectors_info info = {0};
    lk_code code = lk_records_count(e->records, &ret->images, err);
    if (!code && s->other)
        code = lk_vectors_info_of(s->other->vectors, &info, err);
    ret->model = lk_arena_strndup(into, s->now->name, strlen(s->now->name));
    bool ok = ret->model != NULL;
    if (s->other) {
        ret->state = s->filling ? LK_MIGRATION_UNFINISHED : LK_MIGRATION_KEPT;
        ret->other = lk_arena_strndup(into, s->other->name, strlen(s->other->name));
        ret->other_vectors = info.n;
        ret->other_bytes = info.disk_bytes;
        ok = ok && ret->other;
    }
    return !code && !ok ? lk_fail(err, LK_E_NOMEM, "out of memory") : code;
}

lk_code lk_engine_migration(lk_engine *e, lk_arena *into, lk_migration *ret, lk_err *err)
{
    memset(ret, 0, sizeof *ret);
    (void)lk_gate_enter(e); /* so that the second space stays */
    lk_code code = state_of(e, into, ret, err);
    lk_gate_leave(e);
    lk_mutex_lock(&e->spaces.lock);
    ret->running = e->spaces.migrating;
    lk_mutex_unlock(&e->spaces.lock);
    return code;
}
