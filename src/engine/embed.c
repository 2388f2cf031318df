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
    lk_space *space;
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
        lk_drift_see(&r->space->drift, (double)norm, ret);
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
    lk_image_limits limits = lk_engine_decoding(r->e, r->model);
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

lk_code lk_space_embed_decoded(lk_engine *e, lk_space *sp, const lk_sha256 *sha256,
                               const lk_image *im, float *ret, lk_err *err)
{
    run r = {.e = e, .space = sp, .image = im};
    lk_code code = lk_space_model(e, sp, &r.model, err);
    return code ? code : cached(&r, LK_TOWER_IMAGE, sha256, run_image, ret, err);
}

/* Where a question is asked. */
typedef struct asking {
    lk_engine *e;
    lk_space *space;
    size_t dim;
} asking;

static lk_code embed_bytes(const asking *q, lk_tower tower, lk_blob bytes, float *ret, lk_err *err)
{
    run r = {
        .e = q->e, .space = q->space, .bytes = bytes, .text = {(const char *)bytes.p, bytes.n}};
    lk_sha256 content;
    lk_code code = lk_space_model(q->e, q->space, &r.model, err);
    if (!code)
        code = lk_sha256_of(bytes.p, bytes.n, &content, err);
    return code ? code
                : cached(&r, tower, &content, tower == LK_TOWER_TEXT ? run_text : run_file, ret,
                         err);
}

static lk_code embed_text(const asking *q, lk_str text, float *ret, lk_err *err)
{
    lk_blob bytes = {(const unsigned char *)text.p, text.n};
    return embed_bytes(q, LK_TOWER_TEXT, bytes, ret, err);
}

/* The mean direction of several prompts. */
static lk_code embed_prompts(const asking *q, const lk_query_part *p, float *ret, lk_err *err)
{
    if (p->n_prompts > LK_MAX_PROMPTS)
        return lk_fail_field(err, LK_E_INVALID, "text", "a part has at most %d prompts, not %zu",
                             LK_MAX_PROMPTS, p->n_prompts);
    float *one = lk_alloc_array(q->dim, sizeof *one);
    lk_code code = one ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    memset(ret, 0, q->dim * sizeof *ret);
    for (size_t i = 0; !code && i < p->n_prompts; i++) {
        code = embed_text(q, p->prompts[i], one, err);
        for (size_t j = 0; !code && j < q->dim; j++)
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

static lk_code stored_vector(const lk_space *sp, lk_str id, float *ret, lk_err *err)
{
    if (!sp->vectors)
        return lk_fail_field(err, LK_E_NOT_FOUND, "id", "there is no collection to find it in");
    lk_code code = lk_vectors_get(sp->vectors, id, ret, err);
    if (code == LK_E_NOT_FOUND)
        return lk_fail_field(err, code, "id", "there is no image \"%.*s\"",
                             (int)(id.n < 128 ? id.n : 128), id.p);
    return code;
}

/* ---- the sum ---- */

static lk_code embed_part(const asking *q, const lk_query_part *p, float *ret, lk_err *err)
{
    lk_code code = LK_OK;
    switch (p->kind) {
    case LK_PART_TEXT:
        code = p->n_prompts ? embed_prompts(q, p, ret, err) : embed_text(q, p->text, ret, err);
        break;
    case LK_PART_IMAGE:
        code = embed_bytes(q, LK_TOWER_IMAGE, p->bytes, ret, err);
        break;
    case LK_PART_ID:
        code = stored_vector(q->space, p->text, ret, err);
        break;
    case LK_PART_VECTOR:
        code = given_vector(p, q->dim, ret, err);
        break;
    }
    return code ? code : unit(ret, q->dim, "vector", err);
}

static lk_code add_parts(const asking *q, const lk_query_part *parts, size_t n, float *one,
                         float *sum, lk_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(parts[i].weight) || parts[i].weight == 0)
            return lk_fail_field(err, LK_E_INVALID, "weight", "a weight is a number other than 0");
        lk_code code = embed_part(q, &parts[i], one, err);
        if (code)
            return code;
        for (size_t j = 0; j < q->dim; j++)
            sum[j] += parts[i].weight * one[j];
    }
    if (unit(sum, q->dim, "query", NULL))
        return lk_fail_field(err, LK_E_INVALID, "query", "the parts of the query cancel out");
    return LK_OK;
}

/* Known of a collection without its model being loaded. */
static lk_code find_dim(lk_engine *e, lk_space *sp, size_t *ret, lk_err *err)
{
    lk_model *m = NULL;
    lk_code code = sp->vectors ? LK_OK : lk_space_model(e, sp, &m, err);
    if (!code)
        *ret = sp->vectors ? sp->dim : lk_model_info_of(m)->dim;
    return code;
}

lk_code lk_space_embed(lk_engine *e, lk_space *sp, const lk_query_part *parts, size_t n,
                       lk_arena *into, const float **ret, size_t *ret_dim, lk_err *err)
{
    asking q = {.e = e, .space = sp};
    if (n < 1 || n > LK_MAX_QUERY_PARTS)
        return lk_fail_field(err, LK_E_INVALID, "query",
                             n ? "a query has at most %d parts, not %zu"
                               : "there is nothing to search for (at most %d parts, %zu given)",
                             LK_MAX_QUERY_PARTS, n);
    lk_code code = find_dim(e, sp, &q.dim, err);
    if (code)
        return code;
    float *sum = lk_arena_zalloc(into, q.dim * 2, sizeof *sum);
    if (!sum)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the query");
    code = add_parts(&q, parts, n, sum + q.dim, sum, err);
    if (!code) {
        *ret = sum;
        *ret_dim = q.dim;
    }
    return code;
}

lk_code lk_engine_embed(lk_engine *e, const lk_query_part *parts, size_t n, lk_arena *into,
                        const float **ret, size_t *ret_dim, lk_err *err)
{
    lk_space *sp = lk_space_pin(e);
    lk_code code = lk_space_embed(e, sp, parts, n, into, ret, ret_dim, err);
    lk_space_unpin(e, sp);
    return code;
}
