/* Which output is the embedding: the card may name it. Where it does not, an output counts when all
 * that it needs is the tower's own input - a picture, or whole numbers - and when its width can be
 * the right one. Files of both towers, with their similarities and hidden states, come down to a
 * few candidates by that; between those the names that exporters use decide, and then the order.
 * A file that gives only the scores of a classifier is cut off before its last matrix. */
#include "model/tower.h"

#include "base/mem.h"
#include "model/onnx_cut.h"
#include "model/onnx_external.h"

/* ---- the output ---- */

static const char *const usual_names[] = {
    "image_embeds",  "text_embeds",           "sentence_embedding",   "embedding",
    "embeddings",    "unnorm_image_features", "unnorm_text_features", "image_features",
    "text_features", "pooler_output",
};

/* 0: no embedding of the tower; else the more the better. */
static size_t score(const lk_cut_value *v, lk_card_pool pool, size_t width)
{
    size_t rank = pool == LK_POOL_NONE ? 2 : 3, points = 1;
    if (!v->is_real || (v->rank != LK_RANK_UNKNOWN && v->rank != rank) ||
        (v->last >= 0 && v->last != (int64_t)width))
        return 0;
    for (size_t i = 0; i < LK_ARRAY_LEN(usual_names); i++)
        if (lk_str_is(v->name, usual_names[i]))
            points += LK_ARRAY_LEN(usual_names) - i;
    return points + (v->last >= 0 ? 2 * LK_ARRAY_LEN(usual_names) : 0);
}

/* Is all that the tensor needs an input of the tower? */
static lk_code is_own(lk_cut *g, lk_str tensor, lk_tower_kind kind, bool *needs, bool *ret,
                      lk_err *err)
{
    size_t n = 0;
    lk_code code = lk_cut_needs(g, 1, &tensor, needs, err);
    *ret = true;
    for (size_t i = 0; !code && i < lk_cut_n_inputs(g); i++) {
        const lk_cut_value *in = lk_cut_input(g, i);
        n += needs[i];
        if (needs[i])
            *ret = *ret && (kind == LK_TOWER_IMAGE ? in->is_real : in->is_int);
    }
    *ret = *ret && n > 0 && (kind == LK_TOWER_TEXT || n == 1);
    return code;
}

/* The best of the outputs as they are declared; *ret is left alone when there is none. */
static lk_code pick_declared(lk_cut *g, const lk_card_tower *card, lk_tower_kind kind, size_t width,
                             bool *needs, lk_str *ret, lk_err *err)
{
    size_t best = 0;
    bool own = false;
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < lk_cut_n_outputs(g); i++) {
        const lk_cut_value *v = lk_cut_output(g, i);
        size_t points = score(v, card->pool, width);
        if (points <= best)
            continue;
        code = is_own(g, v->name, kind, needs, &own, err);
        if (!code && own) {
            best = points;
            *ret = v->name;
        }
    }
    return code;
}

/* The first that a picture's classifier reads; *ret is left alone when there is none. */
static lk_code pick_before_head(lk_cut *g, size_t width, bool *needs, lk_str *ret, lk_err *err)
{
    bool own = false;
    lk_code code = LK_OK;
    for (size_t i = 0; !code && !own && i < lk_cut_n_outputs(g); i++) {
        lk_str name;
        if (!lk_cut_before_head(g, i, width, &name))
            continue;
        code = is_own(g, name, LK_TOWER_IMAGE, needs, &own, err);
        if (!code && own)
            *ret = name;
    }
    return code;
}

static lk_code pick_output(lk_cut *g, const lk_card_tower *card, lk_tower_kind kind, size_t width,
                           lk_str *ret, lk_err *err)
{
    bool *needs = lk_calloc(lk_cut_n_inputs(g) + 1, sizeof *needs);
    lk_str found = {0};
    lk_code code = needs ? pick_declared(g, card, kind, width, needs, &found, err)
                         : lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    if (!code && !found.n && kind == LK_TOWER_IMAGE && card->pool == LK_POOL_NONE)
        code = pick_before_head(g, width, needs, &found, err);
    lk_free(needs);
    if (!code && !found.n)
        code = lk_fail(err, LK_E_MODEL,
                       "\"%s\" has no output of %zu numbers %s (the card may name one, or say by "
                       "\"pool\" which rows of a longer one count)",
                       card->file, width, kind == LK_TOWER_IMAGE ? "a picture" : "a text");
    if (!code)
        *ret = found;
    return code;
}

/* ---- opening ---- */

static lk_code open_projection(const lk_card_source *from, const lk_card *card, lk_tower *t,
                               lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_open_file(from, card, t->card->projection, &f, err);
    if (code)
        return code;
    code = lk_projection_read(f.bytes, &t->projection, err);
    lk_card_file_release(&f);
    if (!code && t->projection.rows != card->dim)
        code = lk_fail(err, LK_E_MODEL, "\"%s\" gives %zu numbers, the card says %zu",
                       t->card->projection, t->projection.rows, card->dim);
    return code;
}

static lk_code find_output(lk_cut *g, const lk_tower *t, lk_str *ret, lk_err *err)
{
    size_t width = t->projection.m ? t->projection.columns : t->dim;
    if (!t->card->output)
        return pick_output(g, t->card, t->kind, width, ret, err);
    *ret = lk_str_of(t->card->output);
    return LK_OK;
}

static lk_code open_changed(lk_onnx *runtime, lk_blob model, lk_tower *t, lk_err *err)
{
    lk_buf b;
    lk_buf_init(&b, LK_MAX_MODEL_BYTES);
    lk_code code = t->tap->change(t->tap->ctx, t->kind, model, &b, err);
    if (!code && b.n)
        model = (lk_blob){(const unsigned char *)b.p, b.n};
    if (!code)
        code = lk_session_new(runtime, model, &t->session, err);
    lk_buf_release(&b);
    return code;
}

static lk_code open_session(lk_onnx *runtime, lk_blob model, lk_tower *t, lk_err *err)
{
    lk_cut *g = NULL;
    lk_buf smaller;
    bool whole = true;
    lk_str output = {"", 0};
    lk_buf_init(&smaller, LK_MAX_MODEL_BYTES + (1u << 20));
    lk_code code = lk_cut_new(model, &g, err);
    if (code)
        return code;
    code = find_output(g, t, &output, err);
    if (!code)
        code = lk_cut_write(g, 1, &output, &smaller, &whole, err);
    lk_cut_free(g);
    if (!code && !whole)
        model = (lk_blob){(const unsigned char *)smaller.p, smaller.n};
    if (!code && t->tap)
        code = open_changed(runtime, model, t, err);
    else if (!code)
        code = lk_session_new(runtime, model, &t->session, err);
    lk_buf_release(&smaller);
    return code;
}

static lk_tower tower_of(const lk_card *card, lk_tower_kind kind)
{
    return (lk_tower){.card = kind == LK_TOWER_IMAGE ? &card->image : &card->text,
                      .dim = card->dim,
                      .kind = kind};
}

lk_code lk_tower_output(const lk_card_source *from, const lk_card *card, lk_tower_kind kind,
                        lk_blob model, lk_arena *into, const char **ret, lk_err *err)
{
    lk_cut *g = NULL;
    lk_str output = {"", 0};
    lk_tower t = tower_of(card, kind);
    lk_code code = t.card->projection ? open_projection(from, card, &t, err) : LK_OK;
    if (!code)
        code = lk_cut_new(model, &g, err);
    if (!code)
        code = find_output(g, &t, &output, err);
    if (!code) {
        *ret = lk_arena_strndup(into, output.p, output.n);
        code = *ret ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    }
    lk_cut_free(g);
    lk_tower_release(&t);
    return code;
}

lk_code lk_tower_open(lk_onnx *runtime, const lk_card_source *from, const lk_card *card,
                      lk_tower_kind kind, const lk_tower_tap *tap, lk_tower *ret, lk_err *err)
{
    lk_card_file f;
    *ret = tower_of(card, kind);
    ret->tap = tap;
    lk_code code = ret->card->projection ? open_projection(from, card, ret, err) : LK_OK;
    if (!code)
        code = lk_onnx_open_file(from, card, ret->card->file, &f, err);
    if (code)
        return code;
    code = open_session(runtime, f.bytes, ret, err);
    lk_card_file_release(&f);
    return code;
}

void lk_tower_release(lk_tower *t)
{
    if (!t)
        return;
    lk_session_free(t->session);
    lk_projection_release(&t->projection);
    *t = (lk_tower){0};
}

/* ---- running ---- */

typedef struct collecting {
    const lk_tower *tower;
    lk_pooling pooling;
    size_t n;
    float *ret;
    size_t n_seen;
} collecting;

static lk_code collect(void *ctx, const lk_tensor_info *shape, const float *data, lk_err *err)
{
    collecting *c = ctx;
    if (c->n_seen++ > 0) { /* only a tap adds outputs */
        c->tower->tap->see(c->tower->tap->ctx, c->tower->kind, shape, data);
        return LK_OK;
    }
    return lk_pool_rows(&c->pooling, shape, data, c->n, c->ret, err);
}

lk_code lk_tower_run(const lk_tower *t, const lk_tensor *inputs, size_t n, const size_t *n_tokens,
                     float *ret, lk_err *err)
{
    collecting c = {
        .tower = t,
        .pooling = {t->card->pool, t->dim, t->projection.m ? &t->projection : NULL, n_tokens},
        .n = n,
        .ret = ret};
    return lk_session_run(t->session, inputs, collect, &c, err);
}
