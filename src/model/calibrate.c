#include "model/calibrate.h"

#include <math.h>

#include "base/mem.h"
#include "model/tower.h"

typedef struct tower {
    size_t n;
    const lk_str *names;
    double *sum; /* of the noises, [n] */
    size_t *runs;
} tower;

struct lk_calibrate {
    lk_arena arena;
    lk_quantize_opts how;
    lk_tower_tap tap;
    bool opened; /* what is run before is a blank */
    lk_model *model;
    tower towers[2]; /* by lk_tower_kind */
    float *row;
};

/* ---- the tap ---- */

static lk_code change(void *ctx, lk_tower_kind kind, lk_blob model, lk_buf *into, lk_err *err)
{
    lk_calibrate *c = ctx;
    tower *t = &c->towers[kind];
    lk_quantize_report report;
    lk_code code = lk_quantize_probe(model, &c->how, into, &c->arena, &t->names, &report, err);
    if (code)
        return code;
    t->n = report.n_products;
    t->sum = lk_arena_zalloc(&c->arena, t->n + 1, sizeof *t->sum);
    t->runs = lk_arena_zalloc(&c->arena, t->n + 1, sizeof *t->runs);
    return t->sum && t->runs ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for a probe");
}

/* A row of zeros has no ratio; such a run says nothing about that product. */
static void see(void *ctx, lk_tower_kind kind, const lk_tensor_info *shape, const float *data)
{
    lk_calibrate *c = ctx;
    tower *t = &c->towers[kind];
    if (!c->opened || shape->rank != 1 || shape->shape[0] != (int64_t)t->n)
        return;
    for (size_t i = 0; i < t->n; i++)
        if (isfinite(data[i])) {
            t->sum[i] += (double)data[i];
            t->runs[i]++;
        }
}

/* ---- the probe ---- */

lk_code lk_calibrate_new(const char *name, const lk_model_opts *opts, const lk_quantize_opts *how,
                         lk_calibrate **ret, lk_err *err)
{
    lk_model_opts mo = *opts;
    lk_calibrate *c = lk_calloc(1, sizeof *c);
    if (!c)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a probe");
    lk_arena_init(&c->arena, 0);
    c->how = *how;
    c->tap = (lk_tower_tap){c, change, see};
    mo.tap = &c->tap;
    lk_code code = lk_model_open(name, &mo, &c->model, err);
    if (!code) {
        c->row = lk_arena_zalloc(&c->arena, lk_model_info_of(c->model)->dim, sizeof *c->row);
        if (!c->row)
            code = lk_fail(err, LK_E_NOMEM, "out of memory for a probe");
    }
    if (code) {
        lk_calibrate_free(c);
        return code;
    }
    c->opened = true;
    *ret = c;
    return LK_OK;
}

void lk_calibrate_free(lk_calibrate *c)
{
    if (!c)
        return;
    lk_model_close(c->model);
    lk_arena_release(&c->arena);
    lk_free(c);
}

lk_code lk_calibrate_image(lk_calibrate *c, const lk_image *im, lk_err *err)
{
    return lk_model_info_of(c->model)->has_image
               ? lk_model_embed_images(c->model, 1, &im, c->row, err)
               : LK_OK;
}

lk_code lk_calibrate_text(lk_calibrate *c, lk_str text, lk_err *err)
{
    if (!lk_model_info_of(c->model)->has_text)
        return LK_OK;
    lk_code code = lk_model_embed_text(c->model, text, c->row, err);
    return code == LK_E_NO_MEANING ? LK_OK : code;
}

lk_code lk_calibrate_noisy(lk_calibrate *c, double limit, const lk_str **ret, size_t *ret_n,
                           lk_err *err)
{
    size_t n = 0, all = c->towers[0].n + c->towers[1].n;
    lk_str *names = lk_arena_zalloc(&c->arena, all + 1, sizeof *names);
    if (!names)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a probe");
    for (size_t k = 0; k < LK_ARRAY_LEN(c->towers); k++) {
        const tower *t = &c->towers[k];
        for (size_t i = 0; i < t->n; i++)
            if (t->runs[i] && t->sum[i] > limit * (double)t->runs[i])
                names[n++] = t->names[i];
    }
    *ret = names;
    *ret_n = n;
    return LK_OK;
}
