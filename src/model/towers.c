/* The driver of ONNX files: an image tower and a text tower, each a session of its own.
 *
 * The sessions are asked for their tensors: an image tower has one input of floats [N,3,size,size]
 * and an output of dim numbers a picture; a text tower one input of int32 or int64 [N,T]. An axis
 * that is fixed at one picture makes us loop, a free one lets pictures travel together. */
#include "model/driver.h"

#include "base/mem.h"
#include "model/onnx.h"
#include "model/preprocess.h"
#include "model/words.h"

#define MAX_BATCH 16 /* pictures in one run: bounds memory; more gains nothing on a CPU */

typedef struct towers {
    lk_embedder base;
    lk_onnx *runtime;
    lk_session *image, *text;
    size_t image_out, text_out;
    bool image_fixed; /* one picture a run */
    lk_tensor_type ids_type;
    int64_t fixed_ids; /* length of the text input, or 0 when free */
    lk_card_file vocab;
    lk_words *words;
} towers;

/* ---- opening ---- */

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

static lk_code open_image(towers *m, const lk_card_source *from, lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_open_file(from, m->base.card, m->base.card->image_file, &f, err);
    if (code)
        return code;
    code = lk_session_new(m->runtime, f.bytes, &m->image, err);
    lk_card_file_release(&f);
    if (code)
        return code;
    const lk_tensor_info *in = lk_session_input(m->image, 0);
    if (lk_session_n_inputs(m->image) != 1 || in->type != LK_TENSOR_F32 || in->rank != 4 ||
        !axis_is(in->shape[1], 3) || !axis_is(in->shape[2], m->base.card->size) ||
        !axis_is(in->shape[3], m->base.card->size))
        return lk_fail(err, LK_E_MODEL,
                       "the image tower does not take one float tensor [N,3,%u,%u]",
                       m->base.card->size, m->base.card->size);
    m->image_fixed = in->shape[0] == 1;
    if (in->shape[0] > 1)
        return lk_fail(err, LK_E_MODEL, "the image tower is fixed at %lld pictures a run",
                       (long long)in->shape[0]);
    return pick_output(m->image, m->base.card->image_output, m->base.card->dim, &m->image_out, err);
}

static lk_code open_text(towers *m, const lk_card_source *from, lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_open_file(from, m->base.card, m->base.card->text_file, &f, err);
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
    if (m->fixed_ids > (int64_t)m->base.card->max_terms)
        return lk_fail(err, LK_E_MODEL, "the text tower wants %lld terms, the card allows %zu",
                       (long long)m->fixed_ids, m->base.card->max_terms);
    code = pick_output(m->text, NULL, m->base.card->dim, &m->text_out, err);
    if (!code)
        code = lk_card_open_file(from, m->base.card, m->base.card->vocab_file, &m->vocab, err);
    if (!code)
        code = lk_words_new((lk_str){(const char *)m->vocab.bytes.p, m->vocab.bytes.n}, &m->words,
                            err);
    return code;
}

static lk_code towers_open(lk_embedder *e, const lk_card_source *from, const lk_model_opts *opts,
                           lk_err *err)
{
    towers *m = (towers *)e;
    lk_code code = lk_onnx_open(opts->runtime, opts->provider, &m->runtime, err);
    if (!code && e->card->has_image)
        code = open_image(m, from, err);
    if (!code && e->card->has_text)
        code = open_text(m, from, err);
    e->has_image = m->image != NULL;
    e->has_text = m->text != NULL;
    return code;
}

static void towers_close(lk_embedder *e)
{
    towers *m = (towers *)e;
    lk_session_free(m->image);
    lk_session_free(m->text);
    lk_onnx_close(m->runtime);
    lk_words_free(m->words);
    lk_card_file_release(&m->vocab);
}

/* ---- embedding ---- */

static lk_code run_images(towers *m, size_t n, const lk_image *const *images, float *pixels,
                          float *ret, lk_err *err)
{
    const lk_card *card = m->base.card;
    size_t one = 3 * (size_t)card->size * card->size;
    int64_t shape[4] = {(int64_t)n, 3, card->size, card->size};
    lk_tensor in = {LK_TENSOR_F32, pixels, 4, shape};
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < n; i++)
        code = lk_preprocess(card, images[i], pixels + i * one, err);
    return code ? code : lk_session_run(m->image, &in, m->image_out, n * card->dim, ret, err);
}

static lk_code towers_embed_images(lk_embedder *e, size_t n, const lk_image *const *images,
                                   float *ret, lk_err *err)
{
    towers *m = (towers *)e;
    size_t batch = m->image_fixed ? 1 : n;
    float *pixels =
        lk_alloc_array(batch * 3 * (size_t)e->card->size * e->card->size, sizeof *pixels);
    lk_code code = pixels ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    for (size_t i = 0; !code && i < n; i += batch)
        code = run_images(m, batch, images + i, pixels, ret + i * e->card->dim, err);
    lk_free(pixels);
    return code;
}

static lk_code embed_text(towers *m, lk_str text, float *ret, lk_err *err)
{
    int64_t ids[1024] = {0}, shape[2];
    int32_t narrow[1024];
    size_t n = 0, dim = m->base.card->dim;
    lk_code code = lk_words_tokenize(m->words, text, m->base.card->max_terms, ids, &n, err);
    if (code)
        return code;
    if (n == 0) {
        memset(ret, 0, dim * sizeof *ret);
        return LK_OK;
    }
    if (m->fixed_ids)
        n = (size_t)m->fixed_ids; /* the rest is padding */
    for (size_t i = 0; i < n; i++)
        narrow[i] = (int32_t)ids[i];
    shape[0] = 1;
    shape[1] = (int64_t)n;
    lk_tensor in = {m->ids_type, m->ids_type == LK_TENSOR_I64 ? (const void *)ids : narrow, 2,
                    shape};
    return lk_session_run(m->text, &in, m->text_out, dim, ret, err);
}

static lk_code towers_embed_texts(lk_embedder *e, size_t n, const lk_str *texts, float *ret,
                                  lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < n; i++)
        code = embed_text((towers *)e, texts[i], ret + i * e->card->dim, err);
    return code;
}

const lk_model_driver lk_model_towers = {
    .name = "onnx",
    .size = sizeof(towers),
    .max_batch = MAX_BATCH,
    .open = towers_open,
    .close = towers_close,
    .embed_images = towers_embed_images,
    .embed_texts = towers_embed_texts,
};
