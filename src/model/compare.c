#include "model/compare.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/os.h"
#include "kern/kern.h"

typedef struct side {
    lk_buf rows[2]; /* [n][dim] of either model */
    lk_compare_side sum;
    uint64_t ns[2];
} side;

struct lk_compare {
    lk_model *models[2];
    size_t dim;
    float *row; /* [2][dim], scratch */
    side images, texts;
};

/* ---- collecting ---- */

lk_code lk_compare_new(lk_model *a, lk_model *b, lk_compare **ret, lk_err *err)
{
    size_t dim = lk_model_info_of(a)->dim;
    if (lk_model_info_of(b)->dim != dim)
        return lk_fail(err, LK_E_INVALID, "%s has %zu dimensions, %s has %zu",
                       lk_model_info_of(a)->name, dim, lk_model_info_of(b)->name,
                       lk_model_info_of(b)->dim);
    lk_compare *c = lk_calloc(1, sizeof *c);
    float *row = lk_alloc_array(2 * dim, sizeof *row);
    if (!c || !row) {
        lk_free(c);
        lk_free(row);
        return lk_fail(err, LK_E_NOMEM, "out of memory for a comparison");
    }
    *c = (lk_compare){.models = {a, b}, .dim = dim, .row = row};
    for (size_t i = 0; i < 2; i++) {
        lk_buf_init(&c->images.rows[i], LK_MAX_COMPARED * dim * sizeof *row);
        lk_buf_init(&c->texts.rows[i], LK_MAX_COMPARED * dim * sizeof *row);
    }
    *ret = c;
    return LK_OK;
}

void lk_compare_free(lk_compare *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < 2; i++) {
        lk_buf_release(&c->images.rows[i]);
        lk_buf_release(&c->texts.rows[i]);
    }
    lk_free(c->row);
    lk_free(c);
}

static lk_code count(lk_compare *c, side *s, const char *name, lk_err *err)
{
    double cosine = (double)lk_kern_best()->dot_f32(c->row, c->row + c->dim, c->dim);
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < 2; i++) {
        lk_buf_put(&s->rows[i], c->row + i * c->dim, c->dim * sizeof *c->row);
        code = lk_buf_check(&s->rows[i], err);
    }
    if (code)
        return code;
    if (s->sum.n == 0 || cosine < s->sum.min_cosine) {
        s->sum.min_cosine = cosine;
        snprintf(s->sum.worst, sizeof s->sum.worst, "%s", name);
    }
    s->sum.n++;
    s->sum.mean_cosine += (cosine - s->sum.mean_cosine) / (double)s->sum.n;
    return LK_OK;
}

/* Have both models this tower? */
static bool both(const lk_compare *c, bool image)
{
    const lk_model_info *a = lk_model_info_of(c->models[0]), *b = lk_model_info_of(c->models[1]);
    return image ? a->has_image && b->has_image : a->has_text && b->has_text;
}

lk_code lk_compare_image(lk_compare *c, const lk_image *im, const char *name, lk_err *err)
{
    lk_code code = LK_OK;
    if (!both(c, true))
        return LK_OK;
    for (size_t i = 0; !code && i < 2; i++) {
        uint64_t start = lk_now_ns();
        code = lk_model_embed_images(c->models[i], 1, &im, c->row + i * c->dim, err);
        c->images.ns[i] += lk_now_ns() - start;
    }
    return code ? code : count(c, &c->images, name, err);
}

lk_code lk_compare_text(lk_compare *c, lk_str text, lk_err *err)
{
    char name[sizeof c->texts.sum.worst];
    lk_code code = LK_OK;
    if (!both(c, false))
        return LK_OK;
    for (size_t i = 0; !code && i < 2; i++) {
        uint64_t start = lk_now_ns();
        code = lk_model_embed_text(c->models[i], text, c->row + i * c->dim, err);
        c->texts.ns[i] += lk_now_ns() - start;
    }
    if (code == LK_E_NO_MEANING)
        return LK_OK;
    snprintf(name, sizeof name, "%.*s", LK_STR_ARG(text));
    return code ? code : count(c, &c->texts, name, err);
}

/* ---- neighbours ---- */

typedef struct near {
    float cosine;
    size_t at;
} near;

static int nearer(const void *a, const void *b)
{
    const near *x = a, *y = b;
    if (x->cosine != y->cosine)
        return x->cosine > y->cosine ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* The others in order of nearness to row i. */
static void rank(const lk_compare *c, const lk_buf *rows, size_t n, size_t i, near *ret)
{
    const float *m = (const float *)(const void *)rows->p;
    size_t k = 0;
    for (size_t j = 0; j < n; j++)
        if (j != i)
            ret[k++] = (near){lk_kern_best()->dot_f32(m + i * c->dim, m + j * c->dim, c->dim), j};
    qsort(ret, k, sizeof *ret, nearer);
}

static size_t n_common(const near *a, const near *b)
{
    size_t n = 0;
    for (size_t i = 0; i < LK_COMPARE_NEIGHBOURS; i++)
        for (size_t j = 0; j < LK_COMPARE_NEIGHBOURS; j++)
            n += a[i].at == b[j].at;
    return n;
}

static lk_code finish(const lk_compare *c, const side *s, lk_compare_side *ret, lk_err *err)
{
    size_t n = s->sum.n, common = 0;
    lk_compare_side sum = s->sum;
    sum.neighbours_kept = -1;
    for (size_t i = 0; i < 2; i++)
        sum.ms[i] = n ? (double)s->ns[i] / 1e6 / (double)n : 0;
    if (n > 2 * LK_COMPARE_NEIGHBOURS) {
        near *a = lk_alloc_array(2 * n, sizeof *a);
        if (!a)
            return lk_fail(err, LK_E_NOMEM, "out of memory for a comparison");
        for (size_t i = 0; i < n; i++) {
            rank(c, &s->rows[0], n, i, a);
            rank(c, &s->rows[1], n, i, a + n);
            common += n_common(a, a + n);
        }
        lk_free(a);
        sum.neighbours_kept = (double)common / (double)(n * LK_COMPARE_NEIGHBOURS);
    }
    *ret = sum;
    return LK_OK;
}

lk_code lk_compare_images(const lk_compare *c, lk_compare_side *ret, lk_err *err)
{
    return finish(c, &c->images, ret, err);
}

lk_code lk_compare_texts(const lk_compare *c, lk_compare_side *ret, lk_err *err)
{
    return finish(c, &c->texts, ret, err);
}
