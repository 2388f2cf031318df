/* A model as the engine sees it: a card, the driver that runs it, and the category prototypes.
 *
 * Vectors are made unit length here whatever the driver says, and a text of which the model knows
 * nothing comes back as zeros, which is an error and never a guess. */
#include "model/model.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "kern/kern.h"
#include "model/driver.h"
#include "model/places.h"

#define MAX_TERMS 4096

struct lk_model {
    lk_arena arena;
    lk_card card;
    lk_model_info info;
    lk_embedder *embedder;

    /* Zero-shot: a unit vector a term, and the label each belongs to. */
    size_t n_terms;
    float *terms; /* [n_terms][dim] */
    size_t *term_label;
};

void lk_model_opts_default(lk_model_opts *ret)
{
    *ret = (lk_model_opts){
        .size = sizeof *ret, .batch_wait_ms = 2, .remote_ms = 60000, .remote_retries = 4};
}

/* ---- embedding ---- */

/* The length it had; 0 for a vector of zeros (or not of numbers), which stays as it is. */
static float make_unit(float *v, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (double)v[i] * (double)v[i];
    if (!isfinite(sum) || sum < 1e-12)
        return 0;
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < dim; i++)
        v[i] *= scale;
    return (float)sqrt(sum);
}

lk_code lk_model_embed_measured(lk_model *m, size_t n, const lk_image *const *images, float *ret,
                                float *ret_norms, lk_err *err)
{
    if (!m->embedder->has_image)
        return lk_fail(err, LK_E_UNSUPPORTED, "the model %s has no image tower", m->card.name);
    const lk_model_driver *d = m->embedder->driver;
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < n; i += d->max_batch) {
        size_t batch = n - i < d->max_batch ? n - i : d->max_batch;
        code = d->embed_images(m->embedder, batch, images + i, ret + i * m->card.dim, err);
    }
    for (size_t i = 0; !code && i < n; i++) {
        float norm = make_unit(ret + i * m->card.dim, m->card.dim);
        if (norm == 0)
            code = lk_fail(err, LK_E_MODEL, "the model gave no direction for a picture");
        if (ret_norms)
            ret_norms[i] = norm;
    }
    return code;
}

lk_code lk_model_embed_images(lk_model *m, size_t n, const lk_image *const *images, float *ret,
                              lk_err *err)
{
    return lk_model_embed_measured(m, n, images, ret, NULL, err);
}

lk_code lk_model_embed_texts(lk_model *m, size_t n, const lk_str *texts, float *ret, lk_err *err)
{
    const lk_model_driver *d = m->embedder->driver;
    size_t dim = m->card.dim;
    lk_code code = LK_OK;
    if (!m->embedder->has_text)
        return lk_fail(err, LK_E_UNSUPPORTED, "the model %s has no text tower", m->card.name);
    for (size_t i = 0; !code && i < n; i += d->max_batch) {
        size_t batch = n - i < d->max_batch ? n - i : d->max_batch;
        code = d->embed_texts(m->embedder, batch, texts + i, ret + i * dim, err);
    }
    for (size_t i = 0; !code && i < n; i++)
        if (make_unit(ret + i * dim, dim) == 0)
            memset(ret + i * dim, 0, dim * sizeof *ret);
    return code;
}

static bool is_zero(const float *v, size_t dim)
{
    size_t i = 0;
    while (i < dim && v[i] == 0)
        i++;
    return i == dim;
}

lk_code lk_model_embed_text(lk_model *m, lk_str text, float *ret, lk_err *err)
{
    lk_code code = lk_model_embed_texts(m, 1, &text, ret, err);
    int shown = (int)(text.n < 80 ? text.n : 80);
    if (!code && is_zero(ret, m->card.dim))
        code = lk_fail_field(err, LK_E_NO_MEANING, "text", "the model knows no word of \"%.*s\"",
                             shown, text.p);
    return code;
}

void lk_model_runs(const lk_model *m, uint64_t *ret_items, uint64_t *ret_runs)
{
    *ret_items = *ret_runs = 0;
    if (m->embedder->driver->runs)
        m->embedder->driver->runs(m->embedder, ret_items, ret_runs);
}

/* ---- categories ---- */

static lk_code add_label(lk_model *m, lk_str label, const lk_jval *terms, const char **labels,
                         lk_err *err)
{
    lk_code code = LK_OK;
    size_t at = m->info.n_labels, before = m->n_terms;
    labels[at] = lk_arena_strndup(&m->arena, label.p, label.n);
    if (!labels[at])
        return lk_fail(err, LK_E_NOMEM, "out of memory for the categories");
    lk_str key;
    const lk_jval *v;
    for (lk_jiter it = lk_jiter_of(terms); !code && lk_jiter_next(&it, &key, &v);) {
        if (m->n_terms == MAX_TERMS)
            return lk_fail(err, LK_E_MODEL, "the categories have over %d terms", MAX_TERMS);
        code = lk_model_embed_text(m, lk_jval_str(v), m->terms + m->n_terms * m->card.dim, err);
        m->term_label[m->n_terms] = at;
        if (code == LK_E_NO_MEANING)
            code = LK_OK; /* a word of another vocabulary: the label has others */
        else
            m->n_terms++;
    }
    if (!code && m->n_terms == before)
        code =
            lk_fail(err, LK_E_MODEL, "the model knows no term of the category \"%s\"", labels[at]);
    m->info.n_labels++;
    return code;
}

static lk_code load_labels(lk_model *m, const lk_jval *root, lk_err *err)
{
    const lk_jval *labels = lk_jval_get(root, "labels"), *terms;
    double scale = lk_jval_real(lk_jval_get(root, "logit_scale"));
    size_t n = lk_jval_len(labels);
    lk_str label;
    lk_code code = LK_OK;
    if (lk_jval_type(labels) != LK_J_OBJ || n < 1 || n > LK_MAX_LABELS || !(scale > 0))
        return lk_fail(err, LK_E_MODEL,
                       "the categories are not labels with terms and a logit_scale");
    const char **names = lk_arena_zalloc(&m->arena, n, sizeof *names);
    m->terms = lk_arena_zalloc(&m->arena, MAX_TERMS * m->card.dim, sizeof *m->terms);
    m->term_label = lk_arena_zalloc(&m->arena, MAX_TERMS, sizeof *m->term_label);
    if (!names || !m->terms || !m->term_label)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the categories");
    m->info.logit_scale = scale;
    for (lk_jiter it = lk_jiter_of(labels); !code && lk_jiter_next(&it, &label, &terms);)
        code = add_label(m, label, terms, names, err);
    m->info.labels = names;
    return code;
}

static lk_code open_categories(lk_model *m, const lk_card_source *from, lk_err *err)
{
    lk_card_file f;
    lk_json *json = NULL;
    lk_code code = lk_card_open_file(from, &m->card, m->card.categories_file, &f, err);
    if (code)
        return code;
    code = lk_json_parse((lk_str){(const char *)f.bytes.p, f.bytes.n}, &json, err);
    if (code)
        code = lk_err_prefix(err, LK_E_MODEL, "%s", m->card.categories_file);
    else
        code = load_labels(m, lk_json_root(json), err);
    lk_json_free(json);
    lk_card_file_release(&f);
    return code;
}

/* Softmax over all terms of all labels; a label has the sum of its terms. */
lk_code lk_model_classify(const lk_model *m, const float *vector, float *ret_probs, lk_err *err)
{
    float logits[MAX_TERMS], top = -INFINITY;
    double sum = 0;
    if (m->info.n_labels == 0)
        return lk_fail(err, LK_E_UNSUPPORTED, "the model %s has no categories", m->card.name);
    for (size_t t = 0; t < m->n_terms; t++) {
        const float *term = m->terms + t * m->card.dim;
        logits[t] = (float)m->info.logit_scale * lk_kern_best()->dot_f32(vector, term, m->card.dim);
        top = fmaxf(top, logits[t]);
    }
    for (size_t i = 0; i < m->info.n_labels; i++)
        ret_probs[i] = 0;
    for (size_t t = 0; t < m->n_terms; t++) {
        logits[t] = expf(logits[t] - top);
        sum += (double)logits[t];
    }
    for (size_t t = 0; t < m->n_terms; t++)
        ret_probs[m->term_label[t]] += (float)((double)logits[t] / sum);
    return LK_OK;
}

/* ---- classes ---- */

static lk_code add_classes(lk_model *m, lk_str text, lk_err *err)
{
    const char **names = lk_arena_zalloc(&m->arena, m->card.dim, sizeof *names);
    size_t n = 0;
    if (!names)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the classes");
    for (; text.n; n++) {
        lk_str line = lk_str_trim(lk_str_cut(&text, '\n'));
        if (n == m->card.dim || line.n == 0 || line.n > LK_MAX_LABEL_BYTES || !lk_utf8_valid(line))
            return lk_fail(err, LK_E_MODEL, "\"%s\" is not %zu lines with a name each: line %zu",
                           m->card.classes_file, m->card.dim, n + 1);
        names[n] = lk_arena_strndup(&m->arena, line.p, line.n);
        if (!names[n])
            return lk_fail(err, LK_E_NOMEM, "out of memory for the classes");
    }
    if (n != m->card.dim)
        return lk_fail(err, LK_E_MODEL, "\"%s\" names %zu classes, the model scores %zu",
                       m->card.classes_file, n, m->card.dim);
    m->info.classes = names;
    m->info.n_classes = n;
    return LK_OK;
}

static lk_code open_classes(lk_model *m, const lk_card_source *from, lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_open_file(from, &m->card, m->card.classes_file, &f, err);
    if (code)
        return code;
    code = add_classes(m, (lk_str){(const char *)f.bytes.p, f.bytes.n}, err);
    lk_card_file_release(&f);
    return code;
}

/* ---- opening ---- */

static lk_code open_driver(lk_model *m, const lk_card_source *from, const lk_model_opts *opts,
                           lk_err *err)
{
    static const lk_model_driver *const drivers[] = {&lk_model_towers, &lk_model_roboflow};
    for (size_t i = 0; i < LK_ARRAY_LEN(drivers); i++) {
        if (strcmp(drivers[i]->name, m->card.driver) != 0)
            continue;
        m->embedder = lk_calloc(1, drivers[i]->size);
        if (!m->embedder)
            return lk_fail(err, LK_E_NOMEM, "out of memory for a model");
        m->embedder->driver = drivers[i];
        m->embedder->card = &m->card;
        return drivers[i]->open(m->embedder, from, opts, err);
    }
    return lk_fail(err, LK_E_MODEL, "the model's card: there is no driver \"%s\"", m->card.driver);
}

lk_code lk_model_open(const char *name, const lk_model_opts *opts, lk_model **ret, lk_err *err)
{
    char path[PATH_MAX];
    lk_card_source from;
    lk_code code = lk_model_locate(name, opts->models_dir, path, &from, err);
    if (code)
        return code;
    lk_model *m = lk_calloc(1, sizeof *m);
    if (!m)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    lk_arena_init(&m->arena, 0);
    code = lk_card_read(&from, &m->arena, &m->card, err);
    if (code == LK_E_NOT_FOUND)
        code = lk_fail_field(err, code, "model", "there is no model.json in \"%s\"", name);
    if (!code)
        code = lk_model_info_of_card(&m->card, &m->arena, &m->info, err);
    if (!code)
        code = open_driver(m, &from, opts, err);
    if (!code && m->card.categories_file && m->card.has_text)
        code = open_categories(m, &from, err);
    if (!code && m->card.classes_file)
        code = open_classes(m, &from, err);
    if (code) {
        lk_model_close(m);
        return code;
    }
    *ret = m;
    return LK_OK;
}

void lk_model_close(lk_model *m)
{
    if (!m)
        return;
    if (m->embedder)
        m->embedder->driver->close(m->embedder);
    lk_free(m->embedder);
    lk_arena_release(&m->arena);
    lk_free(m);
}

const lk_model_info *lk_model_info_of(const lk_model *m)
{
    return &m->info;
}
