/* From the parts of a question to one vector.
 *
 * Every part becomes a unit vector; the question is their weighted sum, made unit again, so that
 * weights compare directions and not lengths. Several prompts in one part are averaged first and
 * then count as one, however many they are. Texts and pictures go through the cache of embeddings;
 * a picture that was seen before is not even decoded. */
#include <math.h>

#include "base/mem.h"
#include "engine/internal.h"

static lk_code unit(float *v, size_t dim, const char *field, lk_err *err)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (double)v[i] * (double)v[i];
    if (!isfinite(sum) || sum < 1e-24)
        return lk_fail_field(err, LK_E_INVALID, field,
                             isfinite(sum) ? "the vector is zero" : "the vector is not finite");
    float scale = (float)(1.0 / sqrt(sum));
    for (size_t i = 0; i < dim; i++)
        v[i] *= scale;
    return LK_OK;
}

/* ---- what the model makes ---- */

typedef struct run {
    lk_engine *e;
    lk_model *model;
    lk_str text;
    lk_blob bytes;         /* of a picture to decode */
    const lk_image *image; /* or the picture itself */
} run;

static lk_code run_text(void *ctx, float *ret, lk_err *err)
{
    const run *r = ctx;
    return lk_model_embed_text(r->model, r->text, ret, err);
}

static lk_code embed_seen(const run *r, const lk_image *im, float *ret, lk_err *err)
{
    float norm = 0;
    lk_code code = lk_model_embed_measured(r->model, 1, &im, ret, &norm, err);
    if (!code)
        lk_drift_see(&r->e->drift, (double)norm, ret);
    return code;
}

static lk_code run_image(void *ctx, float *ret, lk_err *err)
{
    const run *r = ctx;
    return embed_seen(r, r->image, ret, err);
}

static lk_code run_file(void *ctx, float *ret, lk_err *err)
{
    const run *r = ctx;
    lk_image_limits limits = lk_engine_limits(r->e);
    lk_picture pic = {0};
    lk_code code = lk_picture_decode(r->bytes, &limits, false, &pic, err);
    if (!code)
        code = embed_seen(r, &pic.image, ret, err);
    lk_picture_release(&pic);
    return code;
}

static lk_code cached(run *r, lk_tower tower, const lk_sha256 *content, lk_embed_fn *fn, float *ret,
                      lk_err *err)
{
    lk_sha256 key;
    const lk_model_info *mi = lk_model_info_of(r->model);
    lk_code code = lk_embed_key(mi->key, tower, content, &key, err);
    return code ? code : lk_embed_cache_get(r->e->cache, &key, mi->dim, fn, r, ret, err);
}

lk_code lk_engine_embed_decoded(lk_engine *e, const lk_sha256 *sha256, const lk_image *im,
                                float *ret, lk_err *err)
{
    run r = {.e = e, .image = im};
    lk_code code = lk_engine_model(e, &r.model, err);
    return code ? code : cached(&r, LK_TOWER_IMAGE, sha256, run_image, ret, err);
}

static lk_code embed_bytes(lk_engine *e, lk_tower tower, lk_blob bytes, float *ret, lk_err *err)
{
    run r = {.e = e, .bytes = bytes, .text = {(const char *)bytes.p, bytes.n}};
    lk_sha256 content;
    lk_code code = lk_engine_model(e, &r.model, err);
    if (!code)
        code = lk_sha256_of(bytes.p, bytes.n, &content, err);
    return code ? code
                : cached(&r, tower, &content, tower == LK_TOWER_TEXT ? run_text : run_file, ret,
                         err);
}

static lk_code embed_text(lk_engine *e, lk_str text, float *ret, lk_err *err)
{
    lk_blob bytes = {(const unsigned char *)text.p, text.n};
    return embed_bytes(e, LK_TOWER_TEXT, bytes, ret, err);
}

/* The mean direction of several prompts. */
static lk_code embed_prompts(lk_engine *e, const lk_query_part *p, size_t dim, float *ret,
                             lk_err *err)
{
    if (p->n_prompts > LK_MAX_PROMPTS)
        return lk_fail_field(err, LK_E_INVALID, "text", "a part has at most %d prompts, not %zu",
                             LK_MAX_PROMPTS, p->n_prompts);
    float *one = lk_alloc_array(dim, sizeof *one);
    lk_code code = one ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    memset(ret, 0, dim * sizeof *ret);
    for (size_t i = 0; !code && i < p->n_prompts; i++) {
        code = embed_text(e, p->prompts[i], one, err);
        for (size_t j = 0; !code && j < dim; j++)
            ret[j] += one[j];
    }
    lk_free(one);
    return code;
}

/* ---- what is there already ---- */

static lk_code given_vector(const lk_query_part *p, size_t dim, float *ret, lk_err *err)
{
    if (p->n != dim)
        return lk_fail_field(err, LK_E_INVALID, "vector",
                             "the vector has %zu numbers, the collection %zu", p->n, dim);
    for (size_t i = 0; i < dim; i++)
        if (!isfinite(p->vector[i]))
            return lk_fail_field(err, LK_E_INVALID, "vector", "number %zu is not finite", i + 1);
    memcpy(ret, p->vector, dim * sizeof *ret);
    return LK_OK;
}

static lk_code stored_vector(lk_engine *e, lk_str id, float *ret, lk_err *err)
{
    if (!e->vectors)
        return lk_fail_field(err, LK_E_NOT_FOUND, "id", "there is no collection to find it in");
    lk_code code = lk_vectors_get(e->vectors, id, ret, err);
    if (code == LK_E_NOT_FOUND)
        return lk_fail_field(err, code, "id", "there is no image \"%.*s\"",
                             (int)(id.n < 128 ? id.n : 128), id.p);
    return code;
}

/* ---- the sum ---- */

static lk_code embed_part(lk_engine *e, const lk_query_part *p, size_t dim, float *ret, lk_err *err)
{
    lk_code code = LK_OK;
    switch (p->kind) {
    case LK_PART_TEXT:
        code = p->n_prompts ? embed_prompts(e, p, dim, ret, err) : embed_text(e, p->text, ret, err);
        break;
    case LK_PART_IMAGE:
        code = embed_bytes(e, LK_TOWER_IMAGE, p->bytes, ret, err);
        break;
    case LK_PART_ID:
        code = stored_vector(e, p->text, ret, err);
        break;
    case LK_PART_VECTOR:
        code = given_vector(p, dim, ret, err);
        break;
    }
    return code ? code : unit(ret, dim, "vector", err);
}

static lk_code add_parts(lk_engine *e, const lk_query_part *parts, size_t n, size_t dim, float *one,
                         float *sum, lk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(parts[i].weight) || parts[i].weight == 0)
            return lk_fail_field(err, LK_E_INVALID, "weight", "a weight is a number other than 0");
        lk_code code = embed_part(e, &parts[i], dim, one, err);
        if (code)
            return code;
        for (size_t j = 0; j < dim; j++)
            sum[j] += parts[i].weight * one[j];
    }
    if (unit(sum, dim, "query", NULL))
        return lk_fail_field(err, LK_E_INVALID, "query", "the parts of the query cancel out");
    return LK_OK;
}

/* Asked of the vectors where there are any: that needs no model to be loaded. */
static lk_code find_dim(lk_engine *e, size_t *ret, lk_err *err)
{
    lk_vectors_info info = {0};
    lk_model *m = NULL;
    lk_code code =
        e->vectors ? lk_vectors_info_of(e->vectors, &info, err) : lk_engine_model(e, &m, err);
    if (!code)
        *ret = e->vectors ? info.dim : lk_model_info_of(m)->dim;
    return code;
}

lk_code lk_engine_embed(lk_engine *e, const lk_query_part *parts, size_t n, lk_arena *into,
                        const float **ret, size_t *ret_dim, lk_err *err)
{
    size_t dim = 0;
    if (n < 1 || n > LK_MAX_QUERY_PARTS)
        return lk_fail_field(err, LK_E_INVALID, "query",
                             n ? "a query has at most %d parts, not %zu"
                               : "there is nothing to search for (at most %d parts, %zu given)",
                             LK_MAX_QUERY_PARTS, n);
    lk_code code = find_dim(e, &dim, err);
    if (code)
        return code;
    float *sum = lk_arena_zalloc(into, dim * 2, sizeof *sum);
    if (!sum)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the query");
    code = add_parts(e, parts, n, dim, sum + dim, sum, err);
    if (!code) {
        *ret = sum;
        *ret_dim = dim;
    }
    return code;
}
