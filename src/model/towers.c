/* The driver of ONNX files: an image tower, a text tower, or both.
 *
 * The sessions are asked for their tensors. A picture goes in as floats or halves, planes first or
 * pixels first, as the tower's axes say. A text goes in as int32 or int64; of several inputs, one
 * whose name has "mask" in it is the attention mask, one with "type" or "segment" holds zeros, one
 * with "position" counts, and the one that is left takes the ids. Where the batch axis is fixed at
 * more than one, runs are filled up with blanks; where it is free, pictures travel together, of one
 * request or of several, and so do texts of one length - padding would change what some towers see.
 *
 * Opening ends with a run of each tower on a blank, so that a wrong shape is found now and the
 * first request does not pay for what the runtime prepares on its first run. */
#include "model/driver.h"

#include "base/mem.h"
#include "base/os.h"
#include "kern/kern.h"
#include "model/batcher.h"
#include "model/preprocess.h"
#include "model/tower.h"

#define MAX_BATCH 16 /* pictures in one run: bounds memory; more gains nothing on a CPU */

typedef enum role { IDS, MASK, TYPES, POSITIONS } role;

typedef struct towers {
    lk_embedder base;
    lk_onnx *runtime;
    const lk_tower_tap *tap;
    lk_tower image, text;
    size_t image_rows, text_rows; /* fixed number in a run, or 0 */
    bool pixels_first;            /* [N,size,size,3] */
    bool halves;
    role roles[LK_MAX_INPUTS]; /* of the text tower's inputs */
    size_t fixed_tokens;       /* length of the text input, or 0 when free */
    lk_card_file vocab, merges;
    lk_tokenizer *tokenizer;
    lk_batcher *batcher;
} towers;

/* The batcher's keys: pictures, or texts of a length. */
#define KEY_IMAGE 0u

/* Do n things of so many bytes stand one behind the other? */
static bool in_line(const void *const *p, size_t n, size_t bytes)
{
    for (size_t i = 1; i < n; i++)
        if ((const char *)p[i] != (const char *)p[0] + i * bytes)
            return false;
    return true;
}

static void scatter(const float *rows, size_t n, size_t dim, void *const *out)
{
    for (size_t i = 0; i < n; i++)
        memcpy(out[i], rows + i * dim, dim * sizeof *rows);
}

/* ---- the image tower ---- */

static bool axis_is(int64_t have, size_t want)
{
    return have < 0 || have == (int64_t)want;
}

static bool takes_pixels(const lk_tensor_info *in, size_t size, bool pixels_first)
{
    size_t colours = pixels_first ? 3 : 1, rows = pixels_first ? 1 : 2;
    return in->shape[colours] == 3 && axis_is(in->shape[rows], size) &&
           axis_is(in->shape[rows + 1], size);
}

static lk_code read_image_input(towers *m, lk_err *err)
{
    const lk_tensor_info *in = lk_session_input(m->image.session, 0);
    size_t size = m->base.card->size;
    bool number = in->type == LK_TENSOR_F32 || in->type == LK_TENSOR_F16;
    m->halves = in->type == LK_TENSOR_F16;
    if (lk_session_n_inputs(m->image.session) == 1 && number && in->rank == 4) {
        m->pixels_first = !axis_is(in->shape[1], 3) && takes_pixels(in, size, true);
        m->image_rows = in->shape[0] > 0 ? (size_t)in->shape[0] : 0;
        bool planes =
            axis_is(in->shape[1], 3) && axis_is(in->shape[2], size) && axis_is(in->shape[3], size);
        if ((planes || m->pixels_first) && m->image_rows <= MAX_BATCH)
            return LK_OK;
    }
    return lk_fail(err, LK_E_MODEL,
                   "the image tower does not take one float tensor [N,3,%zu,%zu] of at most %d "
                   "pictures",
                   size, size, MAX_BATCH);
}

static size_t image_floats(const towers *m)
{
    return 3 * (size_t)m->base.card->size * m->base.card->size;
}

/* values[rows][3][size][size] or [rows][size][size][3], of which the first n count, to ret[n][dim].
 */
static lk_code run_image(towers *m, const float *values, size_t rows, size_t n, float *ret,
                         lk_err *err)
{
    int64_t size = m->base.card->size;
    int64_t planes[4] = {(int64_t)rows, 3, size, size}, pixels[4] = {(int64_t)rows, size, size, 3};
    uint16_t *halves = NULL;
    lk_tensor in = {LK_TENSOR_F32, values, 4, m->pixels_first ? pixels : planes};
    if (m->halves) {
        halves = lk_alloc_array(rows * image_floats(m), sizeof *halves);
        if (!halves)
            return lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
        lk_kern_best()->f32_to_f16(values, halves, rows * image_floats(m));
        in.type = LK_TENSOR_F16;
        in.data = halves;
    }
    lk_code code = lk_tower_run(&m->image, &in, n, NULL, ret, err);
    lk_free(halves);
    return code;
}

/* Pictures of several callers: in[n] are floats, out[n] rows. */
static lk_code run_images(towers *m, size_t n, const void *const *in, void *const *out, lk_err *err)
{
    size_t rows = m->image_rows ? m->image_rows : n, one = image_floats(m), dim = m->base.card->dim;
    if (rows == n && in_line(in, n, one * sizeof(float)) &&
        in_line((const void *const *)out, n, dim * sizeof(float)))
        return run_image(m, in[0], rows, n, out[0], err);
    float *values = lk_calloc(rows * one, sizeof *values);
    float *ret = lk_alloc_array(n * dim, sizeof *ret);
    lk_code code = LK_OK;
    for (size_t i = 0; values && i < n; i++)
        memcpy(values + i * one, in[i], one * sizeof *values);
    code = values && ret ? run_image(m, values, rows, n, ret, err)
                         : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    if (!code)
        scatter(ret, n, dim, out);
    lk_free(values);
    lk_free(ret);
    return code;
}

static lk_code towers_embed_images(lk_embedder *e, size_t n, const lk_image *const *images,
                                   float *ret, lk_err *err)
{
    towers *m = (towers *)e;
    size_t one = image_floats(m);
    const void *in[MAX_BATCH];
    void *out[MAX_BATCH];
    lk_batcher_expect(m->batcher);
    float *values = lk_alloc_array(n * one, sizeof *values);
    lk_code code = values ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    for (size_t i = 0; !code && i < n; i++) {
        in[i] = values + i * one;
        out[i] = ret + i * e->card->dim;
        code = lk_preprocess(e->card, images[i], m->pixels_first, values + i * one, err);
    }
    if (code)
        lk_batcher_expect_no_more(m->batcher);
    else
        code = lk_batcher_run(m->batcher, KEY_IMAGE, m->image_rows ? m->image_rows : MAX_BATCH, n,
                              in, out, err);
    lk_free(values);
    return code;
}

static lk_code open_image(towers *m, const lk_card_source *from, lk_err *err)
{
    const lk_card *card = m->base.card;
    lk_code code = lk_tower_open(m->runtime, from, card, LK_TOWER_IMAGE, m->tap, &m->image, err);
    if (!code)
        code = read_image_input(m, err);
    if (code)
        return code;
    size_t rows = m->image_rows ? m->image_rows : 1;
    float *blank = lk_calloc(rows * 3 * card->size * card->size, sizeof *blank);
    float *row = lk_alloc_array(card->dim, sizeof *row);
    code = blank && row ? run_image(m, blank, rows, 1, row, err)
                        : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    lk_free(blank);
    lk_free(row);
    return code;
}

/* ---- the text tower ---- */

static role role_of(const char *name)
{
    return strstr(name, "mask")                              ? MASK
           : strstr(name, "type") || strstr(name, "segment") ? TYPES
           : strstr(name, "position")                        ? POSITIONS
                                                             : IDS;
}

static lk_code read_text_inputs(towers *m, lk_err *err)
{
    size_t n_ids = 0, n = lk_session_n_inputs(m->text.session);
    bool fits = true;
    for (size_t i = 0; i < n; i++) {
        const lk_tensor_info *in = lk_session_input(m->text.session, i);
        m->roles[i] = role_of(in->name);
        n_ids += m->roles[i] == IDS;
        fits = fits && in->rank == 2 && in->shape[0] <= MAX_BATCH &&
               (in->type == LK_TENSOR_I64 || in->type == LK_TENSOR_I32 ||
                (in->type == LK_TENSOR_F32 && m->roles[i] == MASK));
        if (fits && in->shape[0] > 0)
            m->text_rows = (size_t)in->shape[0];
        if (fits && in->shape[1] > 0)
            m->fixed_tokens = (size_t)in->shape[1];
    }
    if (!fits || n_ids != 1)
        return lk_fail(err, LK_E_MODEL,
                       "the text tower does not take one integer tensor [N,T] of ids (beside a "
                       "mask, types or positions)");
    return LK_OK;
}

static lk_code open_tokenizer(towers *m, const lk_card_source *from, lk_err *err)
{
    const lk_card *card = m->base.card;
    lk_tokenizer_opts o;
    lk_tokenizer_opts_default(card->tokenizer, &o);
    o.like = card->tokenizer_like;
    o.pad_id = card->pad_id;
    o.lower_case = card->lower_case;
    if (card->max_terms || m->fixed_tokens)
        o.max_tokens = card->max_terms ? card->max_terms : m->fixed_tokens;
    if (m->fixed_tokens && m->fixed_tokens != o.max_tokens)
        return lk_fail(err, LK_E_MODEL, "the text tower wants %zu terms, the card says %zu",
                       m->fixed_tokens, o.max_tokens);
    lk_code code = lk_card_open_file(from, card, card->vocab_file, &m->vocab, err);
    if (!code && card->merges_file)
        code = lk_card_open_file(from, card, card->merges_file, &m->merges, err);
    o.vocab = m->vocab.bytes;
    o.merges = m->merges.bytes;
    return code ? code : lk_tokenizer_new(&o, &m->tokenizer, err);
}

typedef struct text {
    const int64_t *ids; /* as many as a text of its kind has, padding behind */
    size_t n_tokens;
} text;

/* Texts that go in together: of each the first `length` ids are fed. */
typedef struct batch {
    const text *const *texts;
    size_t n, length;
} batch;

static int64_t fed(const batch *b, role of, bool mask_all, size_t row, size_t at)
{
    switch (of) {
    case IDS:
        return b->texts[row]->ids[at];
    case MASK:
        return mask_all || at < b->texts[row]->n_tokens;
    case POSITIONS:
        return (int64_t)at;
    default:
        return 0;
    }
}

/* One input's values, in memory to lk_free; a run that is filled up repeats its first text. */
static void *fill(const towers *m, const batch *b, size_t rows, size_t input)
{
    lk_tensor_type type = lk_session_input(m->text.session, input)->type;
    int64_t *wide = lk_alloc_array(rows * b->length, sizeof *wide);
    for (size_t i = 0; wide && i < rows * b->length; i++) {
        size_t row = i / b->length < b->n ? i / b->length : 0;
        int64_t v = fed(b, m->roles[input], m->base.card->mask_all, row, i % b->length);
        if (type == LK_TENSOR_I64)
            wide[i] = v;
        else if (type == LK_TENSOR_I32)
            ((int32_t *)wide)[i] = (int32_t)v;
        else
            ((float *)wide)[i] = (float)v;
    }
    return wide;
}

static lk_code run_text(towers *m, const batch *b, float *ret, lk_err *err)
{
    size_t n_in = lk_session_n_inputs(m->text.session), rows = m->text_rows ? m->text_rows : b->n;
    int64_t shape[2] = {(int64_t)rows, (int64_t)b->length};
    lk_tensor in[LK_MAX_INPUTS];
    void *values[LK_MAX_INPUTS] = {0};
    size_t n_tokens[MAX_BATCH];
    lk_code code = LK_OK;
    for (size_t i = 0; i < b->n; i++)
        n_tokens[i] = b->texts[i]->n_tokens;
    for (size_t i = 0; !code && i < n_in; i++) {
        values[i] = fill(m, b, rows, i);
        in[i] = (lk_tensor){lk_session_input(m->text.session, i)->type, values[i], 2, shape};
        if (!values[i])
            code = lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    }
    if (!code)
        code = lk_tower_run(&m->text, in, b->n, n_tokens, ret, err);
    for (size_t i = 0; i < n_in; i++)
        lk_free(values[i]);
    return code;
}

static size_t length_of(const towers *m, size_t n_tokens)
{
    return m->fixed_tokens || m->base.card->pad_full ? lk_tokenizer_max_tokens(m->tokenizer)
                                                     : n_tokens;
}

/* Texts of several callers. */
static lk_code run_texts(towers *m, size_t length, size_t n, const void *const *in,
                         void *const *out, lk_err *err)
{
    size_t dim = m->base.card->dim;
    const text *texts[MAX_BATCH];
    const batch b = {texts, n, length};
    for (size_t i = 0; i < n; i++)
        texts[i] = in[i];
    if (in_line((const void *const *)out, n, dim * sizeof(float)))
        return run_text(m, &b, out[0], err);
    float *ret = lk_alloc_array(n * dim, sizeof *ret);
    lk_code code = ret ? run_text(m, &b, ret, err)
                       : lk_fail(err, LK_E_NOMEM, "out of memory for the model's output");
    if (!code)
        scatter(ret, n, dim, out);
    lk_free(ret);
    return code;
}

/* Run those of texts[n] that have this length. */
static lk_code embed_length(towers *m, size_t n, const text *texts, size_t length, float *ret,
                            lk_err *err)
{
    const void *in[MAX_BATCH];
    void *out[MAX_BATCH];
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (texts[i].n_tokens && length_of(m, texts[i].n_tokens) == length) {
            in[k] = &texts[i];
            out[k++] = ret + i * m->base.card->dim;
        }
    lk_batcher_expect(m->batcher);
    return lk_batcher_run(m->batcher, length, m->text_rows ? m->text_rows : MAX_BATCH, k, in, out,
                          err);
}

/* By length, from the first text of each. What the model knows nothing of becomes zeros. */
static lk_code embed_encoded(towers *m, size_t n, const text *texts, float *ret, lk_err *err)
{
    size_t dim = m->base.card->dim;
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < n; i++) {
        size_t length = length_of(m, texts[i].n_tokens), before = 0;
        while (before < i &&
               (!texts[before].n_tokens || length_of(m, texts[before].n_tokens) != length))
            before++;
        if (!texts[i].n_tokens)
            memset(ret + i * dim, 0, dim * sizeof *ret);
        else if (before == i)
            code = embed_length(m, n, texts, length, ret, err);
    }
    return code;
}

static lk_code towers_embed_texts(lk_embedder *e, size_t n, const lk_str *texts, float *ret,
                                  lk_err *err)
{
    towers *m = (towers *)e;
    size_t stride = lk_tokenizer_max_tokens(m->tokenizer);
    text encoded[MAX_BATCH];
    int64_t *ids = lk_alloc_array(n * stride, sizeof *ids);
    lk_code code = ids ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    for (size_t i = 0; !code && i < n; i++) {
        encoded[i].ids = ids + i * stride;
        code = lk_tokenizer_encode(m->tokenizer, texts[i], ids + i * stride, &encoded[i].n_tokens,
                                   err);
    }
    if (!code)
        code = embed_encoded(m, n, encoded, ret, err);
    lk_free(ids);
    return code;
}

static lk_code open_text(towers *m, const lk_card_source *from, lk_err *err)
{
    const lk_card *card = m->base.card;
    lk_code code = lk_tower_open(m->runtime, from, card, LK_TOWER_TEXT, m->tap, &m->text, err);
    if (!code)
        code = read_text_inputs(m, err);
    if (!code)
        code = open_tokenizer(m, from, err);
    if (code)
        return code;
    size_t stride = lk_tokenizer_max_tokens(m->tokenizer);
    int64_t *blank = lk_calloc(stride, sizeof *blank);
    float *row = lk_alloc_array(card->dim, sizeof *row);
    const text nothing = {blank, 1}, *texts[1] = {&nothing};
    batch b = {texts, 1, length_of(m, 1)};
    code = blank && row ? run_text(m, &b, row, err)
                        : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    lk_free(blank);
    lk_free(row);
    return code;
}

/* ---- the driver ---- */

static lk_code run_batch(void *ctx, uint64_t key, size_t n, const void *const *in, void *const *out,
                         lk_err *err)
{
    return key == KEY_IMAGE ? run_images(ctx, n, in, out, err)
                            : run_texts(ctx, (size_t)key, n, in, out, err);
}

/* An accelerator is one, whatever the processors are. */
static lk_code open_batcher(towers *m, const lk_model_opts *opts, lk_err *err)
{
    lk_batcher_opts o;
    lk_batcher_opts_default(&o);
    bool on_cpu = !opts->provider || strcmp(opts->provider, "cpu") == 0;
    o.n_runs = !on_cpu ? 1 : opts->n_threads ? opts->n_threads : lk_os_cpus();
    o.wait_ms = opts->batch_wait_ms;
    o.fn = run_batch;
    o.ctx = m;
    return lk_batcher_new(&o, &m->batcher, err);
}

static lk_code towers_open(lk_embedder *e, const lk_card_source *from, const lk_model_opts *opts,
                           lk_err *err)
{
    towers *m = (towers *)e;
    m->tap = opts->tap;
    lk_code code = lk_onnx_open(opts->runtime, opts->provider, &m->runtime, err);
    if (!code)
        code = open_batcher(m, opts, err);
    if (!code && e->card->has_image)
        code = open_image(m, from, err);
    if (!code && e->card->has_text)
        code = open_text(m, from, err);
    e->has_image = m->image.session != NULL;
    e->has_text = m->text.session != NULL;
    return code;
}

static void towers_close(lk_embedder *e)
{
    towers *m = (towers *)e;
    lk_batcher_free(m->batcher);
    lk_tower_release(&m->image);
    lk_tower_release(&m->text);
    lk_onnx_close(m->runtime);
    lk_tokenizer_free(m->tokenizer);
    lk_card_file_release(&m->vocab);
    lk_card_file_release(&m->merges);
}

static void towers_runs(lk_embedder *e, uint64_t *ret_items, uint64_t *ret_runs)
{
    lk_batcher_stats s;
    lk_batcher_stats_of(((towers *)e)->batcher, &s);
    *ret_items = s.items;
    *ret_runs = s.runs;
}

const lk_model_driver lk_model_towers = {
    .name = "onnx",
    .size = sizeof(towers),
    .max_batch = MAX_BATCH,
    .open = towers_open,
    .close = towers_close,
    .embed_images = towers_embed_images,
    .embed_texts = towers_embed_texts,
    .runs = towers_runs,
};
