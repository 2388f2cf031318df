#include "model/labels.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "kern/kern.h"

#define NO_LABEL SIZE_MAX
#define DEFAULT_REST "other"

struct lk_labels {
    atomic_uint refs;
    lk_arena arena;
    lk_labels_kind kind;
    lk_model *model;
    size_t n;
    const char **names;

    /* by prompts */
    float *means; /* [n][dim], unit length */
    float scale;

    /* by a classifier */
    lk_model *classifier;
    size_t *of_class; /* [its classes]: the label */
};

/* ---- names ---- */

static size_t index_of(const lk_labels *l, lk_str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (lk_str_is(name, l->names[i]))
            return i;
    return NO_LABEL;
}

static lk_code add_name(lk_labels *l, lk_str name, lk_err *err)
{
    if (name.n == 0 || name.n > LK_MAX_LABEL_BYTES || memchr(name.p, 0, name.n))
        return lk_fail_field(err, LK_E_INVALID, "labels", "a label has 1 to %d bytes, not %zu",
                             LK_MAX_LABEL_BYTES, name.n);
    if (l->n == LK_MAX_LABELS)
        return lk_fail_field(err, LK_E_LIMIT, "labels", "there are more than %d labels",
                             LK_MAX_LABELS);
    if (index_of(l, name) != NO_LABEL)
        return lk_fail_field(err, LK_E_INVALID, "labels", "the label \"%s\" is there twice",
                             name.p);
    l->names[l->n] = lk_arena_strndup(&l->arena, name.p, name.n);
    if (!l->names[l->n])
        return lk_fail(err, LK_E_NOMEM, "out of memory for labels");
    l->n++;
    return LK_OK;
}

/* {"label": what} or ["label"], which must not be empty. */
static lk_code add_names(lk_labels *l, const lk_jval *labels, lk_err *err)
{
    lk_jtype type = lk_jval_type(labels);
    lk_code code = LK_OK;
    lk_str key;
    const lk_jval *v;
    if ((type != LK_J_OBJ && type != LK_J_ARR) || lk_jval_len(labels) == 0)
        return lk_fail_field(err, LK_E_INVALID, "labels",
                             "labels are an object of label and texts, or a list of labels");
    l->names = lk_arena_zalloc(&l->arena, LK_MAX_LABELS, sizeof *l->names);
    if (!l->names)
        return lk_fail(err, LK_E_NOMEM, "out of memory for labels");
    for (lk_jiter it = lk_jiter_of(labels); !code && lk_jiter_next(&it, &key, &v);)
        code = add_name(l, type == LK_J_OBJ ? key : lk_jval_str(v), err);
    return code;
}

/* What a label holds, as texts: one, a list, or, in a list of labels, the label itself. Calls see
 * for each. */
typedef lk_code text_fn(void *ctx, size_t label, lk_str text, lk_err *err);

static lk_code each_text(const lk_labels *l, const lk_jval *labels, text_fn *see, void *ctx,
                         lk_err *err)
{
    lk_code code = LK_OK;
    lk_str key, none;
    const lk_jval *v, *text;
    size_t i = 0;
    for (lk_jiter it = lk_jiter_of(labels); !code && lk_jiter_next(&it, &key, &v); i++) {
        lk_jtype type = lk_jval_type(v);
        bool empty = type == LK_J_ARR ? lk_jval_len(v) == 0 : type != LK_J_STR;
        if (type == LK_J_STR)
            code = see(ctx, i, lk_jval_str(v), err);
        lk_jiter inner = lk_jiter_of(v);
        while (!code && type == LK_J_ARR && lk_jiter_next(&inner, &none, &text)) {
            empty = empty || lk_jval_type(text) != LK_J_STR;
            if (!empty)
                code = see(ctx, i, lk_jval_str(text), err);
        }
        if (!code && empty)
            code = lk_fail_field(err, LK_E_INVALID, "labels",
                                 "the label \"%s\" has a text or a list of texts, and nothing else",
                                 l->names[i]);
    }
    return code;
}

/* ---- by prompts ---- */

typedef struct prompts {
    lk_labels *l;
    lk_str templates[LK_MAX_TEMPLATES];
    size_t n_templates;
    lk_str *texts; /* [LK_MAX_PROMPTS_IN_ALL] */
    size_t *of;    /* the label of each */
    size_t n;
} prompts;

static lk_code add_prompt(void *ctx, size_t label, lk_str text, lk_err *err)
{
    prompts *p = ctx;
    for (size_t t = 0; t < p->n_templates; t++) {
        lk_str tpl = p->templates[t];
        size_t at = lk_str_find(tpl, LK_STR("{}"));
        if (p->n == LK_MAX_PROMPTS_IN_ALL)
            return lk_fail_field(err, LK_E_LIMIT, "labels",
                                 "there are more than %d prompts, in all templates",
                                 LK_MAX_PROMPTS_IN_ALL);
        const char *full = lk_arena_printf(&p->l->arena, "%.*s%.*s%.*s", (int)at, tpl.p,
                                           LK_STR_ARG(text), (int)(tpl.n - at - 2), tpl.p + at + 2);
        if (!full)
            return lk_fail(err, LK_E_NOMEM, "out of memory for prompts");
        p->of[p->n] = label;
        p->texts[p->n++] = lk_str_of(full);
    }
    return LK_OK;
}

static lk_code read_templates(prompts *p, const lk_jval *list, lk_err *err)
{
    lk_str key;
    const lk_jval *v;
    p->templates[p->n_templates] = LK_STR("{}");
    if (lk_jval_type(list) == LK_J_NULL) {
        p->n_templates = 1;
        return LK_OK;
    }
    bool ok = lk_jval_type(list) == LK_J_ARR && lk_jval_len(list) >= 1 &&
              lk_jval_len(list) <= LK_MAX_TEMPLATES;
    for (lk_jiter it = lk_jiter_of(list); ok && lk_jiter_next(&it, &key, &v);) {
        lk_str t = lk_jval_str(v);
        ok = lk_str_find(t, LK_STR("{}")) != SIZE_MAX;
        p->templates[p->n_templates++] = t;
    }
    return ok ? LK_OK
              : lk_fail_field(err, LK_E_INVALID, "templates",
                              "templates are a list of 1 to %d texts with {} in them, where the "
                              "prompt goes",
                              LK_MAX_TEMPLATES);
}

/* rows[n][dim] of the prompts, zeros where the model knows no word, to a mean a label. */
static lk_code average(const prompts *p, const float *rows, size_t dim, lk_err *err)
{
    lk_labels *l = p->l;
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < dim; j++)
            l->means[p->of[i] * dim + j] += rows[i * dim + j];
    for (size_t i = 0; i < l->n; i++) {
        float *mean = l->means + i * dim;
        double sum = 0;
        for (size_t j = 0; j < dim; j++)
            sum += (double)mean[j] * (double)mean[j];
        if (sum < 1e-12)
            return lk_fail_field(err, LK_E_NO_MEANING, "labels",
                                 "the model knows no prompt of the label \"%s\"", l->names[i]);
        for (size_t j = 0; j < dim; j++)
            mean[j] = (float)((double)mean[j] / sqrt(sum));
    }
    return LK_OK;
}

static lk_code embed_prompts(const prompts *p, lk_err *err)
{
    size_t dim = lk_model_info_of(p->l->model)->dim;
    float *rows = lk_alloc_array(p->n * dim, sizeof *rows);
    p->l->means = lk_arena_zalloc(&p->l->arena, p->l->n * dim, sizeof *p->l->means);
    lk_code code = rows && p->l->means ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory");
    if (!code)
        code = lk_model_embed_texts(p->l->model, p->n, p->texts, rows, err);
    if (!code)
        code = average(p, rows, dim, err);
    lk_free(rows);
    return code;
}

static lk_code of_prompts(lk_labels *l, const lk_jval *spec, lk_err *err)
{
    static const char *const known[] = {"labels", "templates", "logit_scale"};
    prompts p = {.l = l};
    double scale = lk_model_info_of(l->model)->logit_scale;
    const lk_jval *labels = lk_jval_get(spec, "labels");
    l->kind = LK_LABELS_PROMPTS;
    lk_code code = lk_json_only(spec, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_json_get_real(spec, "logit_scale", 1e-3, 1000, &scale, err);
    if (!code)
        code = read_templates(&p, lk_jval_get(spec, "templates"), err);
    if (!code)
        code = add_names(l, labels, err);
    if (code)
        return code;
    l->scale = (float)scale;
    p.texts = lk_alloc_array(LK_MAX_PROMPTS_IN_ALL, sizeof *p.texts);
    p.of = lk_alloc_array(LK_MAX_PROMPTS_IN_ALL, sizeof *p.of);
    code = p.texts && p.of ? each_text(l, labels, add_prompt, &p, err)
                           : lk_fail(err, LK_E_NOMEM, "out of memory for prompts");
    if (!code)
        code = embed_prompts(&p, err);
    lk_free(p.texts);
    lk_free(p.of);
    return code;
}

/* ---- by a classifier ---- */

static lk_code claim_class(void *ctx, size_t label, lk_str name, lk_err *err)
{
    lk_labels *l = ctx;
    const lk_model_info *mi = lk_model_info_of(l->classifier);
    bool found = false;
    for (size_t i = 0; i < mi->n_classes; i++) { /* some lists have a name twice: both are meant */
        if (!lk_str_is(name, mi->classes[i]))
            continue;
        if (l->of_class[i] != NO_LABEL)
            return lk_fail_field(err, LK_E_INVALID, "labels",
                                 "the class \"%s\" is claimed by \"%s\" and by \"%s\"",
                                 mi->classes[i], l->names[l->of_class[i]], l->names[label]);
        l->of_class[i] = label;
        found = true;
    }
    return found ? LK_OK
                 : lk_fail_field(err, LK_E_INVALID, "labels", "%s has no class \"%.*s\"", mi->name,
                                 (int)(name.n < 80 ? name.n : 80), name.p);
}

/* What no label claimed goes to the rest, which may be a label of its own. */
static lk_code add_rest(lk_labels *l, lk_str rest, lk_err *err)
{
    size_t n = lk_model_info_of(l->classifier)->n_classes, left = 0;
    for (size_t i = 0; i < n; i++)
        left += l->of_class[i] == NO_LABEL;
    size_t at = index_of(l, rest);
    if (left && at == NO_LABEL) {
        lk_code code = add_name(l, rest, err);
        if (code)
            return code;
        at = l->n - 1;
    }
    for (size_t i = 0; i < n; i++)
        if (l->of_class[i] == NO_LABEL)
            l->of_class[i] = at;
    return LK_OK;
}

static lk_code map_classes(lk_labels *l, const lk_jval *spec, lk_err *err)
{
    const lk_model_info *mi = lk_model_info_of(l->classifier);
    const lk_jval *labels = lk_jval_get(spec, "labels");
    lk_str rest = LK_STR(DEFAULT_REST);
    l->of_class = lk_arena_zalloc(&l->arena, mi->n_classes, sizeof *l->of_class);
    if (!l->of_class)
        return lk_fail(err, LK_E_NOMEM, "out of memory for labels");
    lk_code code = lk_json_get_str(spec, "rest", &rest, err);
    if (!code && lk_jval_type(labels) == LK_J_NULL) {
        l->n = mi->n_classes;
        l->names = lk_arena_zalloc(&l->arena, l->n, sizeof *l->names);
        if (!l->names)
            return lk_fail(err, LK_E_NOMEM, "out of memory for labels");
        for (size_t i = 0; i < l->n; i++) {
            l->names[i] = mi->classes[i];
            l->of_class[i] = i;
        }
        return LK_OK;
    }
    for (size_t i = 0; i < mi->n_classes; i++)
        l->of_class[i] = NO_LABEL;
    if (!code)
        code = add_names(l, labels, err);
    if (!code)
        code = each_text(l, labels, claim_class, l, err);
    return code ? code : add_rest(l, rest, err);
}

static lk_code of_classifier(lk_labels *l, const lk_jval *spec, const lk_model_opts *opts,
                             lk_err *err)
{
    static const char *const known[] = {"classifier", "labels", "rest"};
    lk_str name = {"", 0};
    l->kind = LK_LABELS_CLASSIFIER;
    lk_code code = lk_json_only(spec, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_json_get_str(spec, "classifier", &name, err);
    if (!code)
        code = lk_model_open(name.p, opts, &l->classifier, err);
    if (code && err && !err->field[0])
        snprintf(err->field, sizeof err->field, "classifier");
    if (!code && lk_model_info_of(l->classifier)->n_classes == 0)
        code = lk_fail_field(err, LK_E_INVALID, "classifier",
                             "the card of %s has no \"classes\": it is no classifier", name.p);
    return code ? code : map_classes(l, spec, err);
}

/* ---- all kinds ---- */

static void free_labels(lk_labels *l)
{
    lk_model_close(l->classifier);
    lk_arena_release(&l->arena);
    lk_free(l);
}

lk_code lk_labels_new(lk_model *m, const lk_jval *spec, const lk_model_opts *opts, lk_labels **ret,
                      lk_err *err)
{
    const lk_model_info *mi = lk_model_info_of(m);
    lk_labels *l = lk_calloc(1, sizeof *l);
    lk_code code = LK_OK;
    if (!l)
        return lk_fail(err, LK_E_NOMEM, "out of memory for labels");
    atomic_init(&l->refs, 1);
    lk_arena_init(&l->arena, 64u << 20);
    l->model = m;
    if (!spec) {
        l->kind = mi->n_labels ? LK_LABELS_MODEL : LK_LABELS_NONE;
        l->n = mi->n_labels;
    } else if (lk_jval_type(spec) != LK_J_OBJ) {
        code = lk_fail_field(err, LK_E_INVALID, "categories", "categories are an object, not %s",
                             lk_jtype_name(lk_jval_type(spec)));
    } else {
        code = lk_jval_get(spec, "classifier") ? of_classifier(l, spec, opts, err)
                                               : of_prompts(l, spec, err);
    }
    if (code)
        free_labels(l);
    else
        *ret = l;
    return code;
}

lk_labels *lk_labels_ref(lk_labels *l)
{
    /* Relaxed: whoever has a reference has seen the labels. */
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void lk_labels_unref(lk_labels *l)
{
    if (l && atomic_fetch_sub(&l->refs, 1) == 1)
        free_labels(l);
}

lk_labels_kind lk_labels_kind_of(const lk_labels *l)
{
    return l->kind;
}

size_t lk_labels_n(const lk_labels *l)
{
    return l->n;
}

const char *const *lk_labels_names(const lk_labels *l)
{
    return l->kind == LK_LABELS_MODEL ? lk_model_info_of(l->model)->labels
                                      : (const char *const *)l->names;
}

/* ---- judging ---- */

/* logits[n] become probabilities. */
static void softmax(float *v, size_t n)
{
    float top = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        top = fmaxf(top, v[i]);
    for (size_t i = 0; i < n; i++) {
        v[i] = expf(v[i] - top);
        sum += (double)v[i];
    }
    for (size_t i = 0; i < n; i++)
        v[i] = (float)((double)v[i] / sum);
}

static lk_code ask_classifier(const lk_labels *l, const lk_image *im, float *ret_probs, lk_err *err)
{
    float scores[LK_MAX_DIM], norm = 0;
    size_t n = lk_model_info_of(l->classifier)->n_classes;
    assert(im);
    lk_code code = lk_model_embed_measured(l->classifier, 1, &im, scores, &norm, err);
    if (code)
        return code;
    for (size_t i = 0; i < n; i++)
        scores[i] *= norm;
    softmax(scores, n);
    memset(ret_probs, 0, l->n * sizeof *ret_probs);
    for (size_t i = 0; i < n; i++)
        ret_probs[l->of_class[i]] += scores[i];
    return LK_OK;
}

lk_code lk_labels_judge(const lk_labels *l, const float *vector, const lk_image *im,
                        float *ret_probs, lk_err *err)
{
    size_t dim = lk_model_info_of(l->model)->dim;
    switch (l->kind) {
    case LK_LABELS_NONE:
        return LK_OK;
    case LK_LABELS_MODEL:
        return lk_model_classify(l->model, vector, ret_probs, err);
    case LK_LABELS_CLASSIFIER:
        return ask_classifier(l, im, ret_probs, err);
    case LK_LABELS_PROMPTS:
        break;
    }
    for (size_t i = 0; i < l->n; i++)
        ret_probs[i] = l->scale * lk_kern_best()->dot_f32(vector, l->means + i * dim, dim);
    softmax(ret_probs, l->n);
    return LK_OK;
}
