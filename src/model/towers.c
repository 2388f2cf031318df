/* The driver of ONNX files: an image tower, a text tower, or both.
 *
 * The sessions are asked for their tensors. A picture goes in as floats or halves, planes first or
 * pixels first, as the tower's axes say. A text goes in as int32 or int64; of several inputs, one
 * whose name has "mask" in it is the attention mask, one with "type" or "segment" holds zeros, one
 * with "position" counts, and the one that is left takes the ids. Where the batch axis is fixed at
 * more than one, runs are filled up with blanks; where it is free, pictures travel together, and so
 * do texts of one length - padding would change what some towers see.
 *
 * Opening ends with a run of each tower on a blank, so that a wrong shape is found now and the
 * first request does not pay for what the runtime prepares on its first run. */
#include "model/driver.h"

#include "base/mem.h"
#include "kern/kern.h"
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
} towers;

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

/* values[n][3][size][size] or [n][size][size][3] to ret[n][dim]; at most a run's pictures, in room
 * for all of a run's. */
static lk_code run_image(towers *m, float *values, size_t n, float *ret, lk_err *err)
{
    int64_t size = m->base.card->size;
    size_t rows = m->image_rows ? m->image_rows : n, one = 3 * (size_t)(size * size);
    int64_t planes[4] = {(int64_t)rows, 3, size, size}, pixels[4] = {(int64_t)rows, size, size, 3};
    uint16_t *halves = NULL;
    lk_tensor in = {LK_TENSOR_F32, values, 4, m->pixels_first ? pixels : planes};
    memset(values + n * one, 0, (rows - n) * one * sizeof *values);
    if (m->halves) {
        halves = lk_alloc_array(rows * one, sizeof *halves);
        if (!halves)
            return lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
        lk_kern_best()->f32_to_f16(values, halves, rows * one);
        in.type = LK_TENSOR_F16;
        in.data = halves;
    }
    lk_code code = lk_tower_run(&m->image, &in, n, NULL, ret, err);
    lk_free(halves);
    return code;
}

static lk_code towers_embed_images(lk_embedder *e, size_t n, const lk_image *const *images,
                                   float *ret, lk_err *err)
{
    towers *m = (towers *)e;
    const lk_card *card = e->card;
    size_t rows = m->image_rows ? m->image_rows : n, one = 3 * (size_t)card->size * card->size;
    float *values = lk_alloc_array(rows * one, sizeof *values);
    lk_code code = values ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    for (size_t i = 0; !code && i < n; i += rows) {
        size_t now = n - i < rows ? n - i : rows;
        for (size_t k = 0; !code && k < now; k++)
            code = lk_preprocess(card, images[i + k], m->pixels_first, values + k * one, err);
        if (!code)
            code = run_image(m, values, now, ret + i * card->dim, err);
    }
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
    code = blank && row ? run_image(m, blank, 1, row, err)
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

/* Texts that go in together: ids[n][stride], of which a row's first `length` are fed and its first
 * n_tokens stand for text. */
typedef struct batch {
    const int64_t *ids;
    const size_t *n_tokens;
    size_t n, stride, length;
} batch;

static int64_t fed(const batch *b, role of, bool mask_all, size_t row, size_t at)
{
    switch (of) {
    case IDS:
        return b->ids[row * b->stride + at];
    case MASK:
        return mask_all || at < b->n_tokens[row];
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
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < n_in; i++) {
        values[i] = fill(m, b, rows, i);
        in[i] = (lk_tensor){lk_session_input(m->text.session, i)->type, values[i], 2, shape};
        if (!values[i])
            code = lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    }
    if (!code)
        code = lk_tower_run(&m->text, in, b->n, b->n_tokens, ret, err);
    for (size_t i = 0; i < n_in; i++)
        lk_free(values[i]);
    return code;
}

static size_t length_of(const towers *m, size_t n_tokens)
{
    return m->fixed_tokens || m->base.card->pad_full ? lk_tokenizer_max_tokens(m->tokenizer)
                                                     : n_tokens;
}

/* As many of the texts as can go in together, from the first one on. */
static size_t together(const towers *m, const size_t *n_tokens, size_t n)
{
    size_t most = m->text_rows ? m->text_rows : MAX_BATCH, i = 1;
    while (i < n && i < most && n_tokens[i] &&
           length_of(m, n_tokens[i]) == length_of(m, n_tokens[0]))
        i++;
    return i;
}

static lk_code towers_embed_texts(lk_embedder *e, size_t n, const lk_str *texts, float *ret,
                                  lk_err *err)
{
    towers *m = (towers *)e;
    size_t stride = lk_tokenizer_max_tokens(m->tokenizer), n_tokens[MAX_BATCH], now = 1;
    int64_t *ids = lk_alloc_array(n * stride, sizeof *ids);
    lk_code code = ids ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    for (size_t i = 0; !code && i < n; i++)
        code = lk_tokenizer_encode(m->tokenizer, texts[i], ids + i * stride, &n_tokens[i], err);
    for (size_t i = 0; !code && i < n; i += now) {
        float *rows = ret + i * e->card->dim;
        now = together(m, n_tokens + i, n - i);
        batch b = {ids + i * stride, n_tokens + i, now, stride, length_of(m, n_tokens[i])};
        if (n_tokens[i])
            code = run_text(m, &b, rows, err);
        else /* the model knows nothing of it */
            memset(rows, 0, now * e->card->dim * sizeof *rows);
    }
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
    size_t stride = lk_tokenizer_max_tokens(m->tokenizer), one = 1;
    int64_t *blank = lk_calloc(stride, sizeof *blank);
    float *row = lk_alloc_array(card->dim, sizeof *row);
    batch b = {blank, &one, 1, stride, length_of(m, one)};
    code = blank && row ? run_text(m, &b, row, err)
                        : lk_fail(err, LK_E_NOMEM, "out of memory for the model's input");
    lk_free(blank);
    lk_free(row);
    return code;
}

/* ---- the driver ---- */

static lk_code towers_open(lk_embedder *e, const lk_card_source *from, const lk_model_opts *opts,
                           lk_err *err)
{
    towers *m = (towers *)e;
    m->tap = opts->tap;
    lk_code code = lk_onnx_open(opts->runtime, opts->provider, &m->runtime, err);
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
    lk_tower_release(&m->image);
    lk_tower_release(&m->text);
    lk_onnx_close(m->runtime);
    lk_tokenizer_free(m->tokenizer);
    lk_card_file_release(&m->vocab);
    lk_card_file_release(&m->merges);
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
