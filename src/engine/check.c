/* Does a model still see as it did? Its canary is recorded by the first check and compared by every
 * later one, at the start of a server and from time to time. */
#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"
#include "model/canary.h"

#define CHECK_RUNS 4 /* of the canary: the mean of their time is shown */

static bool is_low(bool has, double cosine, double least)
{
    return has && !(cosine >= least); /* a cosine that is no number is low as well */
}

/* Measure the canary and hold it against what is recorded under the model's name. */
static lk_code compare(lk_model *m, const char *name, const char *models_dir, double least,
                       lk_canary *now, lk_self_test *ret, lk_err *err)
{
    lk_canary then = {0};
    lk_err why = {0};
    lk_canary_cosines cos;
    lk_code code = lk_canary_measure(m, now, err);
    if (code)
        return code;
    code = lk_canary_read(name, models_dir, lk_model_info_of(m)->key, &then, &why);
    if (code == LK_E_NOT_FOUND) {
        ret->state = LK_CANARY_NONE;
        return LK_OK;
    }
    if (code) {
        if (err)
            *err = why;
        return code;
    }
    lk_canary_compare(&then, now, &cos);
    ret->has_image = cos.has_image;
    ret->has_text = cos.has_text;
    ret->image_cosine = cos.image;
    ret->text_cosine = cos.text;
    bool low = is_low(cos.has_image, cos.image, least) || is_low(cos.has_text, cos.text, least);
    ret->state = low ? LK_CANARY_DRIFT : LK_CANARY_SAME;
    lk_canary_release(&then);
    return LK_OK;
}

lk_code lk_engine_self_test(lk_engine *e, lk_self_test *ret, lk_err *err)
{
    lk_model *m = NULL;
    lk_canary now = {0};
    lk_self_test t = {.at_ms = lk_wall_ms()};
    lk_code code = lk_engine_model(e, &m, err);
    if (!code)
        code = compare(m, e->model_name, e->models_dir, e->opts.canary_min, &now, &t, err);
    lk_canary_release(&now);
    if (code)
        return code;
    lk_mutex_lock(&e->stats_lock);
    e->self_test = t;
    lk_mutex_unlock(&e->stats_lock);
    *ret = t;
    return LK_OK;
}

void lk_engine_self_tested(lk_engine *e, lk_self_test *ret)
{
    lk_mutex_lock(&e->stats_lock);
    *ret = e->self_test;
    lk_mutex_unlock(&e->stats_lock);
}

/* ---- model check ---- */

static lk_code time_runs(lk_model *m, double *ret_ms, lk_err *err)
{
    lk_code code = LK_OK;
    uint64_t t0 = lk_now_ns();
    for (int i = 0; !code && i < CHECK_RUNS; i++) {
        lk_canary c = {0};
        code = lk_canary_measure(m, &c, err);
        lk_canary_release(&c);
    }
    *ret_ms = (double)(lk_now_ns() - t0) / 1e6 / CHECK_RUNS;
    return code;
}

/* "canary 1.00000 and 1.00000", with the picture's cosine first. */
static const char *canary_text(const lk_self_test *t, const char *recorded, lk_arena *into)
{
    if (t->state == LK_CANARY_NONE)
        return recorded;
    if (t->has_image && t->has_text)
        return lk_arena_printf(into, "canary %.5f by picture and %.5f by text", t->image_cosine,
                               t->text_cosine);
    return lk_arena_printf(into, "canary %.5f", t->has_image ? t->image_cosine : t->text_cosine);
}

static lk_code check(lk_model *m, const char *name, const lk_model_opts *mo, double least,
                     lk_arena *into, lk_str *ret, lk_err *err)
{
    const lk_model_info *mi = lk_model_info_of(m);
    const char *recorded = "canary recorded";
    lk_canary now = {0};
    lk_self_test t = {0};
    lk_err why;
    double ms = 0;
    lk_code code = compare(m, name, mo->models_dir, least, &now, &t, err);
    if (!code && t.state == LK_CANARY_NONE &&
        lk_canary_write(name, mo->models_dir, mi->key, &now, &why))
        recorded = lk_arena_printf(into, "canary not recorded (%s)", why.text);
    lk_canary_release(&now);
    if (!code)
        code = time_runs(m, &ms, err);
    const char *canary = code ? NULL : canary_text(&t, recorded, into);
    if (!code && !canary)
        code = lk_fail(err, LK_E_NOMEM, "out of memory");
    if (!code && t.state == LK_CANARY_DRIFT)
        code = lk_fail(err, LK_E_MODEL,
                       "the model %s no longer gives what was recorded: %s, under %g (remove "
                       "canary.json from its folder to record anew)",
                       mi->name, canary, least);
    if (code)
        return code;
    const char *text = lk_arena_printf(
        into, "%s %s: %zu dimensions, image tower %s, text tower %s, %.1f ms for both, %s, key %s",
        mi->name, mi->version, mi->dim, mi->has_image ? "runs" : "absent",
        mi->has_text ? "runs" : "absent", ms, canary, mi->key);
    if (!text)
        return lk_fail(err, LK_E_NOMEM, "out of memory");
    *ret = lk_str_of(text);
    return LK_OK;
}

lk_code lk_engine_model_check(const lk_engine_opts *opts, const char *name, lk_arena *into,
                              lk_str *ret, lk_err *err)
{
    lk_model_opts mo = lk_engine_model_opts(opts, opts->models_dir);
    lk_model *m = NULL;
    lk_code code = lk_image_start(err);
    if (!code)
        code = lk_model_open(name, &mo, &m, err);
    if (!code)
        code = check(m, name, &mo, opts->canary_min, into, ret, err);
    lk_model_close(m);
    return code;
}
