#include "model/parity.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/sha256.h"
#include "model/card.h"

typedef struct replay {
    lk_model *m;
    const char *photos;
    lk_arena arena; /* of one entry */
    size_t dim;
    double *sum; /* [dim], of the side's embeddings in the file */
} replay;

static lk_code bad(lk_err *err, const char *what)
{
    return lk_fail(err, LK_E_MODEL, "the parity file: %s", what);
}

/* ---- one entry ---- */

/* [dim] numbers of unit length, whatever length they came in. */
static lk_code read_row(const lk_jval *v, size_t dim, float *ret, lk_err *err)
{
    double sum = 0;
    if (lk_jval_type(v) != LK_J_ARR || lk_jval_len(v) != dim)
        return lk_fail(err, LK_E_MODEL, "the parity file: an embedding is not %zu numbers", dim);
    lk_str key;
    const lk_jval *x;
    size_t i = 0;
    for (lk_jiter it = lk_jiter_of(v); lk_jiter_next(&it, &key, &x); i++) {
        ret[i] = (float)lk_jval_real(x);
        sum += (double)ret[i] * (double)ret[i];
    }
    if (!isfinite(sum) || !(sum > 0))
        return bad(err, "an embedding has no direction");
    for (i = 0; i < dim; i++)
        ret[i] = (float)((double)ret[i] / sqrt(sum));
    return LK_OK;
}

static void count(lk_parity_side *side, const float *got, const float *want, size_t dim,
                  lk_str what)
{
    double cosine = 0;
    for (size_t i = 0; i < dim; i++)
        cosine += (double)got[i] * (double)want[i];
    if (side->n == 0 || cosine < side->min_cosine) {
        side->min_cosine = cosine;
        snprintf(side->worst, sizeof side->worst, "%.*s", LK_STR_ARG(what));
    }
    /* The mean so far, so that it holds whenever the replay ends. */
    side->n++;
    side->mean_cosine += (cosine - side->mean_cosine) / (double)side->n;
}

static lk_code check_sum(const lk_jval *v, lk_blob bytes, lk_str path, lk_err *err)
{
    lk_sha256 want, have;
    if (!lk_sha256_from_hex(lk_jval_str(lk_jval_get(v, "sha256")), &want))
        return bad(err, "a photograph has no sha256");
    lk_code code = lk_sha256_of(bytes.p, bytes.n, &have, err);
    if (!code && memcmp(&want, &have, sizeof want) != 0)
        code = lk_fail(err, LK_E_INVALID,
                       "\"%.*s\" is not the photograph that the parity file was made with",
                       LK_STR_ARG(path));
    return code;
}

static lk_code embed_photo(replay *r, const lk_jval *v, lk_str path, float *ret, lk_err *err)
{
    unsigned char *own = NULL;
    lk_picture pic = {0};
    lk_blob bytes = {0};
    char *name = lk_arena_strndup(&r->arena, path.p, path.n), full[PATH_MAX];
    if (!name)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a photograph");
    if (!lk_card_is_inside(name))
        return bad(err, "a photograph's path leaves its folder");
    int n = snprintf(full, sizeof full, "%s/%s", r->photos, name);
    if (n < 0 || (size_t)n >= sizeof full)
        return bad(err, "a photograph's path is too long");
    lk_code code =
        lk_os_read_file(full, (size_t)lk_image_limits_default().max_bytes, &own, &bytes.n, err);
    bytes.p = own;
    if (!code)
        code = check_sum(v, bytes, path, err);
    if (!code)
        code = lk_picture_decode(bytes, NULL, false, &pic, err);
    const lk_image *one = &pic.image;
    if (!code)
        code = lk_model_embed_images(r->m, 1, &one, ret, err);
    lk_picture_release(&pic);
    lk_free(own);
    return code;
}

static lk_code replay_one(replay *r, const lk_jval *v, bool image, lk_parity_side *side,
                          lk_err *err)
{
    const lk_jval *name = lk_jval_get(v, image ? "path" : "text");
    lk_str what = lk_jval_str(name);
    if (lk_jval_type(name) != LK_J_STR)
        return bad(err, image ? "a photograph has no path" : "an entry has no text");
    lk_arena_clear(&r->arena);
    float *want = lk_arena_zalloc(&r->arena, r->dim, sizeof *want);
    float *got = lk_arena_zalloc(&r->arena, r->dim, sizeof *got);
    if (!want || !got)
        return lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    lk_code code = read_row(lk_jval_get(v, "embedding"), r->dim, want, err);
    if (!code)
        code =
            image ? embed_photo(r, v, what, got, err) : lk_model_embed_text(r->m, what, got, err);
    for (size_t i = 0; !code && i < r->dim; i++)
        r->sum[i] += (double)want[i];
    if (!code)
        count(side, got, want, r->dim, what);
    return code;
}

/* ---- the file ---- */

/* Of n unit rows, |sum|^2 = n + the sum of the cosines of all n (n - 1) pairs. */
static double alike(const double *sum, size_t dim, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < dim; i++)
        squares += sum[i] * sum[i];
    return n > 1 ? (squares - (double)n) / ((double)n * (double)(n - 1)) : 1;
}

static lk_code replay_all(replay *r, const lk_jval *list, bool image, lk_parity_side *side,
                          lk_err *err)
{
    lk_str key;
    const lk_jval *v;
    lk_code code = LK_OK;
    if (list && lk_jval_type(list) != LK_J_ARR)
        return bad(err, image ? "\"images\" is no list" : "\"texts\" is no list");
    memset(r->sum, 0, r->dim * sizeof *r->sum);
    for (lk_jiter it = lk_jiter_of(list); !code && lk_jiter_next(&it, &key, &v);)
        code = replay_one(r, v, image, side, err);
    side->alike = alike(r->sum, r->dim, side->n);
    return code;
}

static lk_code replay_file(replay *r, const lk_jval *root, lk_parity *ret, lk_err *err)
{
    const lk_jval *images = lk_jval_get(root, "images"), *texts = lk_jval_get(root, "texts");
    lk_code code = LK_OK;
    snprintf(ret->made_by, sizeof ret->made_by, "%.*s",
             LK_STR_ARG(lk_jval_str(lk_jval_get(root, "made_by"))));
    if (lk_jval_len(images) + lk_jval_len(texts) == 0)
        return bad(err, "it has neither \"images\" nor \"texts\"");
    if (r->photos)
        code = replay_all(r, images, true, &ret->images, err);
    else
        ret->n_skipped = lk_jval_len(images);
    return code ? code : replay_all(r, texts, false, &ret->texts, err);
}

lk_code lk_parity_replay(lk_model *m, const char *file, const char *photos, lk_parity *ret,
                         lk_err *err)
{
    unsigned char *p = NULL;
    size_t n = 0;
    lk_json *json = NULL;
    lk_parity done = {0};
    replay r = {.m = m, .photos = photos, .dim = lk_model_info_of(m)->dim};
    lk_code code = lk_os_read_file(file, LK_MAX_PARITY_BYTES, &p, &n, err);
    if (code)
        return code;
    lk_arena_init(&r.arena, 0);
    r.sum = lk_calloc(r.dim, sizeof *r.sum);
    code = r.sum ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    if (!code)
        code = lk_json_parse((lk_str){(const char *)p, n}, &json, err);
    if (code && code != LK_E_NOMEM)
        code = lk_err_prefix(err, LK_E_MODEL, "the parity file");
    if (!code)
        code = replay_file(&r, lk_json_root(json), &done, err);
    lk_json_free(json);
    lk_free(r.sum);
    lk_arena_release(&r.arena);
    lk_free(p);
    if (!code)
        *ret = done;
    return code;
}
