/* What a move reports, as JSON: the command line and the server say it alike. */
#include "base/mem.h"
#include "engine/migrate.h"

static void member_uint(lk_jw *w, const char *key, uint64_t v)
{
    lk_jw_key(w, key);
    lk_jw_uint(w, v);
}

static void member_bool(lk_jw *w, const char *key, bool v)
{
    lk_jw_key(w, key);
    lk_jw_bool(w, v);
}

static void write_neighbours(const lk_migrated *r, lk_jw *w)
{
    lk_jw_obj(w);
    member_uint(w, "sample", r->n_sample);
    member_uint(w, "k", r->k);
    lk_jw_key(w, "overlap");
    lk_jw_real(w, r->overlap);
    lk_jw_key(w, "same_first");
    lk_jw_real(w, r->same_first);
    lk_jw_key(w, "by_shared");
    lk_jw_arr(w);
    for (size_t i = 0; i <= r->k; i++)
        lk_jw_uint(w, r->by_shared[i]);
    lk_jw_end_arr(w);
    lk_jw_end_obj(w);
}

void lk_migrated_write(const lk_migrated *r, lk_jw *w)
{
    lk_jw_obj(w);
    lk_jw_key(w, "from");
    lk_jw_strz(w, r->from);
    lk_jw_key(w, "to");
    lk_jw_strz(w, r->to);
    member_bool(w, "switched", r->switched);
    member_bool(w, "loses_words", r->loses_words);
    member_uint(w, "pictures", r->pictures);
    member_uint(w, "made", r->made);
    member_uint(w, "failed", r->failed);
    lk_jw_key(w, "neighbours");
    write_neighbours(r, w);
    lk_jw_end_obj(w);
}

void lk_migration_write(const lk_migration *m, lk_jw *w)
{
    static const char *const states[] = {[LK_MIGRATION_NONE] = "none",
                                         [LK_MIGRATION_UNFINISHED] = "unfinished",
                                         [LK_MIGRATION_KEPT] = "kept"};
    lk_jw_key(w, "model");
    lk_jw_strz(w, m->model);
    lk_jw_key(w, "state");
    lk_jw_strz(w, states[m->state]);
    member_bool(w, "running", m->running);
    lk_jw_key(w, "other");
    lk_jw_strz(w, m->other);
    member_uint(w, "images", m->images);
    member_uint(w, "other_vectors", m->other_vectors);
    member_uint(w, "other_bytes", m->other_bytes);
}
