/* Does a model still see as it did? Its canary is recorded by the first check and compared by every
 * later one, at the start of a server and from time to time. */
#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"
#include "model/canary.h"

static bool is_low(bool has, double cosine, double least)
{
    return has && !(cosine >= least); /* a cosine that is no number is low as well */
}

/* Measure the canary and hold it against what is recorded under the model's name. */
static lk_code compare(lk_model *m, const char *name, const char *models_dir, double least,
                       lk_self_test *ret, lk_err *err)
{
    lk_canary now = {0}, then = {0};
    lk_err why = {0};
    lk_canary_cosines cos;
    lk_code code = lk_canary_measure(m, &now, &why);
    if (!code)
        code = lk_canary_read(name, models_dir, lk_model_info_of(m)->key, &then, &why);
    if (!code) {
        lk_canary_compare(&then, &now, &cos);
        ret->has_image = cos.has_image;
        ret->has_text = cos.has_text;
        ret->image_cosine = cos.image;
        ret->text_cosine = cos.text;
        bool low = is_low(cos.has_image, cos.image, least) || is_low(cos.has_text, cos.text, least);
        ret->state = low ? LK_CANARY_DRIFT : LK_CANARY_SAME;
    }
    lk_canary_release(&now);
    lk_canary_release(&then);
    if (code && code != LK_E_NOT_FOUND && err)
        *err = why;
    if (code == LK_E_NOT_FOUND)
        ret->state = LK_CANARY_NONE;
    return code == LK_E_NOT_FOUND ? LK_OK : code;
}

lk_code lk_engine_self_test(lk_engine *e, lk_self_test *ret, lk_err *err)
{
    lk_model *m = NULL;
    lk_self_test t = {.at_ms = lk_wall_ms()};
    lk_space *sp = lk_space_pin(e);
    lk_code code = lk_space_model(e, sp, &m, err);
    if (!code)
        code = compare(m, sp->name, e->models_dir, e->opts.canary_min, &t, err);
    lk_space_unpin(e, sp);
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
