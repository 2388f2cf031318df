/* A model as the engine sees it: card, two sessions, a tokenizer and the category prototypes.
 *
 * The sessions are asked for their tensors: an image tower has one input of floats [N,3,size,size]
 * and an output of dim numbers a picture; a text tower one input of int32 or int64 [N,T]. An axis
 * that is fixed at one picture makes us loop, a free one lets pictures travel together. Vectors are
 * made unit length here whatever the model says, and a text of which the model knows nothing comes
 * back as zeros, which is an error and never a guess. */
#include "model/model.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "kern/kern.h"
#include "model/card.h"
#include "model/onnx.h"
#include "model/preprocess.h"
#include "model/words.h"

#define BUNDLED_NAME "mini"
#define BUNDLED_PREFIX "models/mini"
#define MAX_BATCH 16 /* pictures in one run: bounds memory; more gains nothing on a CPU */
#define MAX_TERMS 4096

struct lk_model {
    lk_arena arena;
    lk_card card;
    lk_model_info info;
    lk_onnx *runtime;
    lk_session *image, *text;
    size_t image_out, text_out;
    bool image_fixed; /* one picture a run */
    lk_tensor_type ids_type;
    int64_t fixed_ids; /* length of the text input, or 0 when free */
    lk_card_file vocab;
    lk_words *words;

    /* Zero-shot: a unit vector a term, and the label each belongs to. */
    size_t n_terms;
    float *terms; /* [n_terms][dim] */
    size_t *term_label;
    float logit_scale;
};

void lk_model_opts_default(lk_model_opts *ret)
{
    *ret = (lk_model_opts){.size = sizeof *ret};
}

/* ---- towers ---- */

/* The named output, or the first whose last axis has dim numbers (or is free). */
static lk_code pick_output(const lk_session *s, const char *name, size_t dim, size_t *ret,
                           lk_err *err)
{
    for (size_t i = 0; i < lk_session_n_outputs(s); i++) {
        const lk_tensor_info *t = lk_session_output(s, i);
        int64_t last = t->rank ? t->shape[t->rank - 1] : 0;
        bool floats = t->type == LK_TENSOR_F32 || t->type == LK_TENSOR_F16;
        if (name ? strcmp(t->name, name) == 0
                 : floats && t->rank == 2 && (last == (int64_t)dim || last < 0)) {
            *ret = i;
            return LK_OK;
        }
    }
    return name ? lk_fail(err, LK_E_MODEL, "the model has no output \"%s\"", name)
                : lk_fail(err, LK_E_MODEL, "the model has no output of %zu numbers", dim);
}

static bool axis_is(int64_t have, size_t want)
{
    return have < 0 || have == (int64_t)want;
}

static lk_code open_image(lk_model *m, const lk_card_source *from, lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_open_file(from, &m->card, m->card.image_file, &f, err);
    if (code)
        return code;
    code = lk_session_new(m->runtime, f.bytes, &m->image, err);
    lk_card_file_release(&f);
    if (code)
        return code;
    const lk_tensor_info *in = lk_session_input(m->image, 0);
    if (lk_session_n_inputs(m->image) != 1 || in->type != LK_TENSOR_F32 || in->rank != 4 ||
        !axis_is(in->shape[1], 3) || !axis_is(in->shape[2], m->card.size) ||
        !axis_is(in->shape[3], m->card.size))
        return lk_fail(err, LK_E_MODEL,
                       "the image tower does not take one float tensor [N,3,%u,%u]", m->card.size,
                       m->card.size);
    m->image_fixed = in->shape[0] == 1;
    if (in->shape[0] > 1)
        return lk_fail(err, LK_E_MODEL, "the image tower is fixed at %lld pictures a run",
                       (long long)in->shape[0]);
    return pick_output(m->image, m->card.image_output, m->card.dim, &m->image_out, err);
}

static lk_code open_text(lk_model *m, const lk_card_source *from, lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_open_file(from, &m->card, m->card.text_file, &f, err);
    if (code)
        return code;
    code = lk_session_new(m->runtime, f.bytes, &m->text, err);
    lk_card_file_release(&f);
    if (code)
        return code;
    const lk_tensor_info *in = lk_session_input(m->text, 0);
    if (lk_session_n_inputs(m->text) != 1 || in->rank != 2 || in->shape[0] > 1 ||
        (in->type != LK_TENSOR_I64 && in->type != LK_TENSOR_I32))
        return lk_fail(err, LK_E_MODEL, "the text tower does not take one integer tensor [N,T]");
    m->ids_type = in->type;
    m->fixed_ids = in->shape[1] > 0 ? in->shape[1] : 0;
    if (m->fixed_ids > (int64_t)m->card.max_terms)
        return lk_fail(err, LK_E_MODEL, "the text tower wants %lld terms, the card allows %zu",
                       (long long)m->fixed_ids, m->card.max_terms);
    code = pick_output(m->text, NULL, m->card.dim, &m->text_out, err);
    if (!code)
        code = lk_card_open_file(from, &m->card, m->card.vocab_file, &m->vocab, err);
    if (!code)
        code = lk_words_new((lk_str){(const char *)m->vocab.bytes.p, m->vocab.bytes.n}, &m->words,
                            err);
    return code;
}

/* ---- embedding ---- */

/* False for a vector of zeros (or not of numbers). */
static bool make_unit(float *v, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (double)v[i] * (double)v[i];
    if (!isfinite(sum) || sum < 1e-12)
        return false;
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < dim; i++)
        v[i] *= scale;
    return true;
}

static lk_code embed_batch(lk_model *m, size_t n, const lk_image *const *images, float *pixels,
                           float *ret, lk_err *err)
{
    size_t one = 3 * (size_t)m->card.size * m->card.size;
    int64_t shape[4] = {(int64_t)n, 3, m->card.size, m->card.size};
    lk_tensor in = {LK_TENSOR_F32, pixels, 4, shape};
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < n; i++)
        code = lk_preprocess(&m->card, images[i], pixels + i * one, err);
    if (!code)
        code = lk_session_run(m->image, &in, m->image_out, n * m->card.dim, ret, err);
    for (size_t i = 0; !code && i < n; i++)
        if (!make_unit(ret + i * m->card.dim, m->card.dim))
            code = lk_fail(err, LK_E_MODEL, "the model gave no direction for a picture");
    return code;
}

lk_code lk_model_embed_images(lk_model *m, size_t n, const lk_image *const *images, float *ret,
                              lk_err *err)
{
    if (!m->image)
        return lk_fail(err, LK_E_UNSUPPORTED, "the model %s has no image tower", m->card.name);
    size_t batch = m->image_fixed ? 1 : n < MAX_BATCH ? n : MAX_BATCH;
    size_t one = 3 * (size_t)m->card.size * m->card.size;
    float *pixels = lk_alloc_array(batch * one, sizeof *pixels);
    lk_code code = pixels ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    for (size_t i = 0; !code && i < n; i += batch)
        code = embed_batch(m, n - i < batch ? n - i : batch, images + i, pixels,
                           ret + i * m->card.dim, err);
    lk_free(pixels);
    return code;
}

lk_code lk_model_embed_text(lk_model *m, lk_str text, float *ret, lk_err *err)
{
    int64_t ids[1024] = {0}, shape[2];
    int32_t narrow[1024];
    size_t n = 0;
    if (!m->text)
        return lk_fail(err, LK_E_UNSUPPORTED, "the model %s has no text tower", m->card.name);
    lk_code code = lk_words_tokenize(m->words, text, m->card.max_terms, ids, &n, err);
    if (code)
        return code;
    int shown = (int)(text.n < 80 ? text.n : 80);
    if (n == 0)
        return lk_fail_field(err, LK_E_NO_MEANING, "text", "the model knows no word of \"%.*s\"",
                             shown, text.p);
    if (m->fixed_ids)
        n = (size_t)m->fixed_ids; /* the rest is padding */
    for (size_t i = 0; i < n; i++)
        narrow[i] = (int32_t)ids[i];
    shape[0] = 1;
    shape[1] = (int64_t)n;
    lk_tensor in = {m->ids_type, m->ids_type == LK_TENSOR_I64 ? (const void *)ids : narrow, 2,
                    shape};
    code = lk_session_run(m->text, &in, m->text_out, m->card.dim, ret, err);
    if (!code && !make_unit(ret, m->card.dim))
        code = lk_fail_field(err, LK_E_NO_MEANING, "text", "the model knows no word of \"%.*s\"",
                             shown, text.p);
    return code;
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
    m->logit_scale = (float)scale;
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
        logits[t] = m->logit_scale * lk_kern_best()->dot_f32(vector, term, m->card.dim);
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

/* ---- opening ---- */

static lk_code locate(const char *name, const lk_model_opts *opts, char path[PATH_MAX],
                      lk_card_source *ret, lk_err *err)
{
    *ret = (lk_card_source){0};
    if (strchr(name, '/') || strcmp(name, ".") == 0) {
        ret->dir = name;
        return LK_OK;
    }
    int n = snprintf(path, PATH_MAX, "%s/%s", opts->models_dir ? opts->models_dir : "", name);
    if (opts->models_dir && n > 0 && n < PATH_MAX && lk_os_exists(path)) {
        ret->dir = path;
        return LK_OK;
    }
    if (strcmp(name, BUNDLED_NAME) == 0) {
        ret->embedded = BUNDLED_PREFIX;
        return LK_OK;
    }
    return lk_fail_field(err, LK_E_NOT_FOUND, "model",
                         "there is no model \"%s\" (lookalike model list shows what there is)",
                         name);
}

static lk_code fill_info(const lk_card *c, lk_arena *into, lk_model_info *ret, lk_err *err)
{
    *ret = (lk_model_info){.name = c->name,
                           .version = c->version,
                           .describe = c->describe,
                           .dim = c->dim,
                           .has_image = c->has_image,
                           .has_text = c->has_text};
    return lk_card_key(c, into, &ret->key, err);
}

lk_code lk_model_open(const char *name, const lk_model_opts *opts, lk_model **ret, lk_err *err)
{
    char path[PATH_MAX];
    lk_card_source from;
    lk_code code = locate(name, opts, path, &from, err);
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
        code = fill_info(&m->card, &m->arena, &m->info, err);
    if (!code)
        code = lk_onnx_open(opts->runtime, opts->provider, &m->runtime, err);
    if (!code && m->card.has_image)
        code = open_image(m, &from, err);
    if (!code && m->card.has_text)
        code = open_text(m, &from, err);
    if (!code && m->card.categories_file && m->card.has_text)
        code = open_categories(m, &from, err);
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
    lk_session_free(m->image);
    lk_session_free(m->text);
    lk_onnx_close(m->runtime);
    lk_words_free(m->words);
    lk_card_file_release(&m->vocab);
    lk_arena_release(&m->arena);
    lk_free(m);
}

const lk_model_info *lk_model_info_of(const lk_model *m)
{
    return &m->info;
}

/* ---- listing ---- */

static lk_code show(const lk_card_source *from, const char *where, lk_model_see_fn *see, void *ctx,
                    lk_err *err)
{
    lk_arena a;
    lk_card card;
    lk_model_info info;
    lk_arena_init(&a, 0);
    lk_code code = lk_card_read(from, &a, &card, err);
    if (!code)
        code = fill_info(&card, &a, &info, err);
    if (!code)
        see(ctx, &info, where);
    lk_arena_release(&a);
    return code;
}

lk_code lk_model_list(const lk_model_opts *opts, lk_model_see_fn *see, void *ctx, lk_err *err)
{
    lk_card_source bundled = {.embedded = BUNDLED_PREFIX};
    lk_code code = show(&bundled, "bundled", see, ctx, err);
    DIR *d = opts->models_dir ? opendir(opts->models_dir) : NULL;
    if (!d)
        return code;
    for (struct dirent *e; !code && (e = readdir(d));) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", opts->models_dir, e->d_name);
        lk_card_source from = {.dir = path};
        if (e->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof path)
            continue;
        code = show(&from, path, see, ctx, err);
        if (code == LK_E_NOT_FOUND) /* some other folder */
            code = LK_OK;
    }
    closedir(d);
    return code;
}
