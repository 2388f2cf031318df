/* The categories of a collection: which there are, what a picture is, and a new look at the stored
 * ones when that changes.
 *
 * The settings are a text beside the records. What they come to - embedded prompts, a loaded
 * classifier - depends on the model, so each space makes it for itself when it first needs it, and
 * again after the turn that counts the changes moved. Whoever judges holds a reference, and is done
 * with the labels it began with.
 *
 * A picture that was added while the categories changed may have those of before; a relabelling
 * that begins after the change finds it. */
#include "engine/internal.h"

#include <math.h>

#include "base/mem.h"

#define META_KEY "categories"
#define MANY_LABELS 64 /* of more than these, a record holds only the likeliest */
#define LIKELIEST 10

static lk_code make_labels(lk_engine *e, lk_space *sp, lk_str settings, lk_labels **ret,
                           lk_err *err)
{
    lk_model *m = NULL;
    lk_json *json = NULL;
    lk_model_opts mo = lk_engine_model_opts(&e->opts, e->models_dir);
    lk_code code = lk_space_model(e, sp, &m, err);
    if (!code && settings.n)
        code = lk_json_parse(settings, &json, err);
    if (!code)
        code = lk_labels_new(m, json ? lk_json_root(json) : NULL, &mo, ret, err);
    lk_json_free(json);
    return code;
}

/* The settings and their turn. */
static lk_code copy_settings(lk_engine *e, lk_arena *into, lk_str *ret, unsigned *ret_turn,
                             lk_err *err)
{
    lk_mutex_lock(&e->categories_lock);
    lk_str s = lk_str_of(e->categories ? e->categories : "");
    *ret = (lk_str){lk_arena_strndup(into, s.p, s.n), s.n};
    *ret_turn = atomic_load(&e->categories_turn);
    lk_mutex_unlock(&e->categories_lock);
    return ret->p ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for the categories");
}

static lk_labels *labels_at_hand(lk_engine *e, lk_space *sp)
{
    lk_mutex_lock(&sp->lock);
    bool fresh = sp->labels && sp->labels_turn == atomic_load(&e->categories_turn);
    lk_labels *l = fresh ? lk_labels_ref(sp->labels) : NULL;
    lk_mutex_unlock(&sp->lock);
    return l;
}

/* Keep them unless newer ones are there already. */
static void keep_labels(lk_space *sp, lk_labels *l, unsigned turn)
{
    lk_labels *old = l;
    lk_labels_ref(l);
    lk_mutex_lock(&sp->lock);
    if (!sp->labels || sp->labels_turn < turn) {
        old = sp->labels;
        sp->labels = l;
        sp->labels_turn = turn;
    }
    lk_mutex_unlock(&sp->lock);
    lk_labels_unref(old);
}

/* Settings that held once and do not now: the classifier is gone, the collection was moved to a
 * model without texts. That is no fault of the picture that is added. */
static lk_code no_longer(lk_code code, lk_err *err)
{
    if (code == LK_E_UNSUPPORTED || code == LK_E_INVALID || code == LK_E_NOT_FOUND ||
        code == LK_E_NO_MEANING)
        return lk_err_prefix(err, LK_E_MODEL, "the collection's categories");
    return code;
}

/* A reference to the labels of now. */
static lk_code labels_of(lk_engine *e, lk_space *sp, lk_labels **ret, lk_err *err)
{
    lk_arena a;
    lk_str settings;
    unsigned turn = 0;
    *ret = labels_at_hand(e, sp);
    if (*ret)
        return LK_OK;
    lk_arena_init(&a, 1u << 20);
    lk_code code = copy_settings(e, &a, &settings, &turn, err);
    if (!code)
        code = no_longer(make_labels(e, sp, settings, ret, err), err);
    if (!code)
        keep_labels(sp, *ret, turn);
    lk_arena_release(&a);
    return code;
}

/* ---- judging ---- */

lk_code lk_judge(lk_engine *e, lk_space *sp, const float *vector, const lk_image *im,
                 lk_arena *into, lk_judged *ret, lk_err *err)
{
    lk_code code = labels_of(e, sp, &ret->labels, err);
    size_t n = code ? 0 : lk_labels_n(ret->labels);
    ret->probs = lk_arena_zalloc(into, n + 1, sizeof *ret->probs);
    if (!code && !ret->probs)
        code = lk_fail(err, LK_E_NOMEM, "out of memory for the categories");
    if (!code)
        code = lk_labels_judge(ret->labels, vector, im, ret->probs, err);
    ret->best = 0;
    for (size_t i = 1; !code && i < n; i++)
        ret->best = ret->probs[i] > ret->probs[ret->best] ? i : ret->best;
    return code;
}

lk_code lk_judge_wants_picture(lk_engine *e, lk_space *sp, bool *ret, lk_err *err)
{
    lk_labels *l = NULL;
    lk_code code = labels_of(e, sp, &l, err);
    if (!code)
        *ret = lk_labels_kind_of(l) == LK_LABELS_CLASSIFIER;
    lk_labels_unref(l);
    return code;
}

void lk_judged_release(lk_judged *j)
{
    lk_labels_unref(j->labels);
    j->labels = NULL;
}

/* The least probability that a record holds. */
static float least_written(const lk_judged *j, size_t n)
{
    float least = INFINITY;
    if (n <= MANY_LABELS)
        return 0;
    for (size_t k = 0; k < LIKELIEST; k++) {
        float next = 0;
        for (size_t i = 0; i < n; i++)
            next = j->probs[i] < least && j->probs[i] > next ? j->probs[i] : next;
        if (next == 0) /* all others are nothing */
            break;
        least = next;
    }
    return least;
}

size_t lk_judged_n_written(const lk_judged *j)
{
    size_t n = lk_labels_n(j->labels), n_written = 0;
    float least = least_written(j, n);
    for (size_t i = 0; i < n; i++)
        n_written += j->probs[i] >= least;
    return n_written;
}

void lk_judged_write(const lk_judged *j, lk_jw *w)
{
    const char *const *names = lk_labels_names(j->labels);
    size_t n = lk_labels_n(j->labels);
    float least = least_written(j, n);
    if (n == 0)
        return;
    lk_jw_key(w, "category");
    lk_jw_strz(w, names[j->best]);
    lk_jw_key(w, "confidence");
    lk_jw_float(w, j->probs[j->best]);
    lk_jw_key(w, "all_probs");
    lk_jw_obj(w);
    for (size_t i = 0; i < n; i++)
        if (j->probs[i] >= least) {
            lk_jw_key(w, names[i]);
            lk_jw_float(w, j->probs[i]);
        }
    lk_jw_end_obj(w);
}

/* ---- settings ---- */

lk_code lk_categories_load(lk_engine *e, lk_err *err)
{
    lk_arena a;
    lk_str text;
    lk_arena_init(&a, 2u << 20);
    lk_code code = lk_records_meta_get(e->records, LK_STR(META_KEY), &a, &text, err);
    if (!code && text.n) {
        e->categories = lk_strndup(text.p, text.n);
        code = e->categories ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory");
    }
    lk_arena_release(&a);
    return code == LK_E_NOT_FOUND ? LK_OK : code;
}

lk_code lk_engine_categories(lk_engine *e, lk_arena *into, lk_categories *ret, lk_err *err)
{
    static const char *const from[] = {
        [LK_LABELS_NONE] = "none",
        [LK_LABELS_MODEL] = "model",
        [LK_LABELS_PROMPTS] = "prompts",
        [LK_LABELS_CLASSIFIER] = "classifier",
    };
    lk_labels *l = NULL;
    unsigned turn = 0;
    lk_space *sp = lk_space_pin(e);
    lk_code code = labels_of(e, sp, &l, err);
    if (!code)
        code = copy_settings(e, into, &ret->settings, &turn, err);
    size_t n = code ? 0 : lk_labels_n(l);
    const char **names = lk_arena_zalloc(into, n + 1, sizeof *names);
    if (!code && !names)
        code = lk_fail(err, LK_E_NOMEM, "out of memory for the categories");
    for (size_t i = 0; !code && i < n; i++) {
        const char *name = lk_labels_names(l)[i];
        names[i] = lk_arena_strndup(into, name, strlen(name));
        if (!names[i])
            code = lk_fail(err, LK_E_NOMEM, "out of memory for the categories");
    }
    if (!code) {
        ret->from = from[lk_labels_kind_of(l)];
        ret->labels = names;
        ret->n_labels = n;
    }
    lk_labels_unref(l);
    lk_space_unpin(e, sp);
    return code;
}

/* The settings as they are kept: a classifier's folder by its whole path. */
static lk_code normalise(lk_str settings, lk_buf *out, lk_err *err)
{
    lk_json *json = NULL;
    lk_jw w;
    lk_str key;
    const lk_jval *v;
    lk_code code = lk_json_parse(settings, &json, err);
    if (code)
        return lk_err_prefix(err, LK_E_INVALID, "categories");
    if (lk_jval_type(lk_json_root(json)) != LK_J_OBJ)
        code = lk_fail_field(err, LK_E_INVALID, "categories", "categories are an object, not %s",
                             lk_jtype_name(lk_jval_type(lk_json_root(json))));
    lk_jw_init(&w, out);
    lk_jw_obj(&w);
    lk_jiter it = lk_jiter_of(lk_json_root(json));
    while (!code && lk_jiter_next(&it, &key, &v)) {
        char *name = NULL;
        bool is_name = lk_str_is(key, "classifier") && lk_jval_type(v) == LK_J_STR;
        if (is_name)
            code = lk_space_name(lk_jval_str(v).p, &name, err);
        lk_jw_key_str(&w, key);
        if (is_name)
            lk_jw_strz(&w, name);
        else
            lk_jw_val(&w, v);
        lk_free(name);
    }
    lk_jw_end_obj(&w);
    lk_json_free(json);
    return code ? code : lk_buf_check(out, err);
}

/* Note and memory change together; who reads the turn reads the settings after it. */
static lk_code change_settings(lk_engine *e, lk_str text, unsigned *ret_turn, lk_err *err)
{
    char *copy = text.n ? lk_strndup(text.p, text.n) : NULL;
    if (text.n && !copy)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the categories");
    lk_mutex_lock(&e->categories_lock);
    lk_code code = lk_records_meta_put(e->records, LK_STR(META_KEY), text, err);
    if (!code) {
        char *old = e->categories;
        e->categories = copy;
        copy = old;
        *ret_turn = atomic_fetch_add(&e->categories_turn, 1) + 1;
    }
    lk_mutex_unlock(&e->categories_lock);
    lk_free(copy);
    return code;
}

lk_code lk_engine_set_categories(lk_engine *e, lk_str settings, lk_err *err)
{
    lk_buf text;
    lk_labels *l = NULL;
    unsigned turn = 0;
    lk_buf_init(&text, 1u << 20);
    lk_space *sp = lk_space_pin(e);
    lk_code code = settings.n ? normalise(settings, &text, err) : LK_OK;
    if (!code)
        code = make_labels(e, sp, lk_buf_str(&text), &l, err);
    if (!code)
        code = change_settings(e, lk_buf_str(&text), &turn, err);
    if (!code)
        keep_labels(sp, l, turn);
    lk_labels_unref(l);
    lk_space_unpin(e, sp);
    lk_buf_release(&text);
    return code;
}
