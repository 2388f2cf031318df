/* The driver of Roboflow's CLIP API, which its cloud, its inference server and this project's own
 * server speak.
 *
 *   POST URL/clip/embed_image?api_key=K  {"clip_version_id","image":[{"type":"base64","value"}…]}
 *   POST URL/clip/embed_text?api_key=K   {"clip_version_id","text":["…"]}
 *     -> {"embeddings":[[f…]…]}
 *
 * At most eight things go in one request. Those of several threads travel together (batcher.h),
 * because a request costs about the same however much is in it. A picture is cut to the model's
 * square here, as the card says, and sent as PNG: fewer bytes travel, the resize is the exact one,
 * and the service's own finds nothing to do. One picture or text that the service refuses does not
 * take the others with it: they are asked for again, each alone.
 *
 * Nothing is asked when the model is opened, so that a collection opens while the service is away;
 * `model check` asks. The key comes out of the environment and appears in no error. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "image/encode.h"
#include "model/batcher.h"
#include "model/driver.h"
#include "model/preprocess.h"
#include "model/remote.h"

enum {
    MAX_BATCH = 8,  /* the service's limit */
    MAX_FLYING = 4, /* requests */
    TRY_MS = 20000,
    PAUSE_MS = 400,
    MAX_REQUEST_BYTES = 64 << 20,
    MAX_ANSWER_BYTES = 16 << 20
};

typedef enum kind { IMAGES, TEXTS } kind;

static const struct {
    const char *path, *list; /* list: the member that has the items */
} routes[] = {[IMAGES] = {"/clip/embed_image", "image"}, [TEXTS] = {"/clip/embed_text", "text"}};

typedef struct roboflow {
    lk_embedder base;
    lk_http *http;
    lk_remote_opts opts;
    char *urls[2]; /* of the routes, with the key */
    lk_batcher *batcher;
} roboflow;

typedef struct job {
    lk_buf item; /* JSON */
    float *ret;
    lk_code code;
    lk_err err;
} job;

/* ---- what is sent ---- */

static lk_code write_request(const lk_card *card, kind k, size_t n, void *const *jobs, lk_buf *out,
                             lk_err *err)
{
    lk_jw w;
    lk_jw_init(&w, out);
    lk_jw_obj(&w);
    if (card->remote.variant) {
        lk_jw_key(&w, "clip_version_id");
        lk_jw_strz(&w, card->remote.variant);
    }
    lk_jw_key(&w, routes[k].list);
    lk_jw_arr(&w);
    for (size_t i = 0; i < n; i++)
        lk_jw_raw(&w, lk_buf_str(&((const job *)jobs[i])->item));
    lk_jw_end_arr(&w);
    lk_jw_end_obj(&w);
    return lk_buf_check(out, err);
}

static lk_code write_image(const lk_card *card, const void *picture, lk_buf *out, lk_err *err)
{
    lk_image square = {0};
    lk_buf png;
    lk_buf_init(&png, MAX_REQUEST_BYTES);
    lk_code code = lk_preprocess_pixels(card, picture, &square, err);
    if (!code)
        code = lk_image_encode(&square, LK_IMG_PNG, 100, &png, err);
    if (!code) {
        lk_buf_puts(out, "{\"type\":\"base64\",\"value\":\"");
        lk_base64_put(out, png.p, png.n);
        lk_buf_puts(out, "\"}");
        code = lk_buf_check(out, err);
    }
    lk_buf_release(&png);
    lk_image_release(&square);
    return code;
}

static lk_code write_text(const lk_card *card, const void *text, lk_buf *out, lk_err *err)
{
    lk_jw w;
    (void)card;
    lk_jw_init(&w, out);
    lk_jw_str(&w, *(const lk_str *)text);
    return lk_buf_check(out, err);
}

/* ---- what comes back ---- */

static lk_code read_row(const lk_card *card, const lk_jval *row, float *ret, lk_err *err)
{
    size_t dim = card->dim, i = 0;
    lk_str key;
    const lk_jval *v;
    if (lk_jval_type(row) != LK_J_ARR || lk_jval_len(row) != dim)
        return lk_fail(err, LK_E_MODEL,
                       "the service gives embeddings of %zu numbers, the card of %s says %zu",
                       lk_jval_len(row), card->name, dim);
    for (lk_jiter it = lk_jiter_of(row); lk_jiter_next(&it, &key, &v); i++) {
        if (lk_jval_type(v) != LK_J_INT && lk_jval_type(v) != LK_J_REAL)
            return lk_fail(err, LK_E_NET, "an embedding of the service holds %s",
                           lk_jtype_name(lk_jval_type(v)));
        ret[i] = (float)lk_jval_real(v);
    }
    return LK_OK;
}

static lk_code read_answer(const lk_card *card, const lk_buf *body, size_t n, void *const *jobs,
                           lk_err *err)
{
    lk_json *json = NULL;
    lk_str key;
    const lk_jval *row;
    size_t i = 0;
    if (lk_json_parse(lk_buf_str(body), &json, err))
        return lk_fail(err, LK_E_NET, "the service's answer is not JSON");
    const lk_jval *rows = lk_jval_get(lk_json_root(json), "embeddings");
    lk_code code = LK_OK;
    if (lk_jval_type(rows) != LK_J_ARR || lk_jval_len(rows) != n)
        code = lk_fail(err, LK_E_NET, "the service gives %zu embeddings for %zu things",
                       lk_jval_len(rows), n);
    lk_jiter it = lk_jiter_of(rows);
    for (; !code && lk_jiter_next(&it, &key, &row); i++)
        code = read_row(card, row, ((const job *)jobs[i])->ret, err);
    lk_json_free(json);
    return code;
}

/* Our own server's way to say that its model knows no word of a text. */
static bool is_no_meaning(const lk_remote_answer *a)
{
    lk_json *json = NULL;
    if (a->status != 422 || lk_json_parse(lk_buf_str(&a->body), &json, NULL))
        return false;
    const lk_jval *error = lk_jval_get(lk_json_root(json), "error");
    bool is = lk_str_is(lk_jval_str(lk_jval_get(error, "code")), lk_code_word(LK_E_NO_MEANING));
    lk_json_free(json);
    return is;
}

/* ---- a batch ---- */

static lk_code ask(const roboflow *m, kind k, size_t n, void *const *jobs, long *ret_status,
                   lk_err *err)
{
    const lk_card *card = m->base.card;
    lk_buf request;
    lk_remote_answer a = {0};
    lk_buf_init(&request, MAX_REQUEST_BYTES);
    lk_code code = write_request(card, k, n, jobs, &request, err);
    if (!code)
        code = lk_remote_post(m->http, &m->opts, m->urls[k], lk_buf_str(&request), &a, err);
    if (!code) {
        code = read_answer(card, &a.body, n, jobs, err);
    } else if (n == 1 && k == TEXTS && is_no_meaning(&a)) {
        memset(((const job *)jobs[0])->ret, 0, card->dim * sizeof(float));
        code = LK_OK;
    }
    *ret_status = a.status;
    lk_remote_answer_release(&a);
    lk_buf_release(&request);
    return code;
}

static bool is_about_what_was_sent(long status)
{
    return status == 400 || status == 413 || status == 415 || status == 422;
}

/* What became of each stands in the job: where the service is away, the batcher need not try them
 * one by one. */
static lk_code run(void *ctx, uint64_t key, size_t n, const void *const *in, void *const *jobs,
                   lk_err *err)
{
    long status = 0;
    lk_err why = {0};
    lk_code code = ask(ctx, (kind)key, n, jobs, &status, &why);
    if (code && n > 1 && is_about_what_was_sent(status)) {
        for (size_t i = 0; i < n; i++)
            (void)run(ctx, key, 1, in + i, jobs + i, err);
        return LK_OK;
    }
    for (size_t i = 0; i < n; i++) {
        ((job *)jobs[i])->code = code;
        ((job *)jobs[i])->err = why;
    }
    return LK_OK;
}

typedef lk_code write_fn(const lk_card *card, const void *thing, lk_buf *out, lk_err *err);

/* things[n], at most MAX_BATCH, to ret[n][dim]. */
static lk_code embed(roboflow *m, kind k, size_t n, const void *const *things, write_fn *write,
                     float *ret, lk_err *err)
{
    job jobs[MAX_BATCH];
    void *out[MAX_BATCH] = {NULL};
    lk_code code = LK_OK;
    lk_batcher_expect(m->batcher);
    for (size_t i = 0; i < n; i++) {
        jobs[i] = (job){.ret = ret + i * m->base.card->dim};
        lk_buf_init(&jobs[i].item, MAX_REQUEST_BYTES / MAX_BATCH);
        out[i] = &jobs[i];
        if (!code)
            code = write(m->base.card, things[i], &jobs[i].item, err);
    }
    if (code)
        lk_batcher_expect_no_more(m->batcher);
    else
        code = lk_batcher_run(m->batcher, k, MAX_BATCH, n, things, out, err);
    for (size_t i = 0; i < n; i++) {
        if (!code && jobs[i].code) {
            code = jobs[i].code;
            if (err)
                *err = jobs[i].err;
        }
        lk_buf_release(&jobs[i].item);
    }
    return code;
}

static lk_code roboflow_embed_images(lk_embedder *e, size_t n, const lk_image *const *pictures,
                                     float *ret, lk_err *err)
{
    const void *things[MAX_BATCH] = {NULL};
    for (size_t i = 0; i < n; i++)
        things[i] = pictures[i];
    return embed((roboflow *)e, IMAGES, n, things, write_image, ret, err);
}

static lk_code roboflow_embed_texts(lk_embedder *e, size_t n, const lk_str *words, float *ret,
                                    lk_err *err)
{
    const void *things[MAX_BATCH] = {NULL};
    for (size_t i = 0; i < n; i++)
        things[i] = &words[i];
    return embed((roboflow *)e, TEXTS, n, things, write_text, ret, err);
}

/* ---- opening ---- */

static lk_code check_url(const char *url, lk_err *err)
{
    const char *host = strstr(url, "://");
    bool http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    if (http && host[3] && host[3] != '/' && !strpbrk(url, "?#@ "))
        return LK_OK;
    return lk_fail(err, LK_E_MODEL,
                   "the address of the model's service is http or https and a host, not %.100s",
                   url);
}

static lk_code make_url(const char *base, const char *path, const char *key, char **ret,
                        lk_err *err)
{
    lk_buf url;
    lk_str s = lk_str_of(base);
    while (s.n > 0 && s.p[s.n - 1] == '/')
        s.n--;
    lk_buf_init(&url, 1 << 16);
    lk_buf_put(&url, s.p, s.n);
    lk_buf_puts(&url, path);
    if (key && key[0]) {
        lk_buf_puts(&url, "?api_key=");
        lk_percent_encode(lk_str_of(key), &url);
    }
    lk_code code = lk_buf_check(&url, err);
    if (!code)
        *ret = lk_buf_steal(&url, NULL);
    lk_buf_release(&url);
    return code;
}

static lk_code roboflow_open(lk_embedder *e, const lk_card_source *from, const lk_model_opts *opts,
                             lk_err *err)
{
    (void)from;
    roboflow *m = (roboflow *)e;
    const lk_card *card = e->card;
    const char *url = opts->remote_url && opts->remote_url[0] ? opts->remote_url : card->remote.url;
    if (!card->remote.url)
        return lk_fail(err, LK_E_MODEL, "the model's card: \"remote\" is missing");
    const char *key = getenv(card->remote.key);
    m->opts = (lk_remote_opts){.total_ms = opts->remote_ms,
                               .try_ms = TRY_MS,
                               .retries = opts->remote_retries,
                               .pause_ms = PAUSE_MS,
                               .max_bytes = MAX_ANSWER_BYTES,
                               .key_name = card->remote.key};
    e->has_image = card->has_image;
    e->has_text = card->has_text;
    lk_code code = check_url(url, err);
    if (!code)
        code = lk_http_new(&m->http, err);
    for (size_t k = 0; !code && k < LK_ARRAY_LEN(routes); k++)
        code = make_url(url, routes[k].path, key, &m->urls[k], err);
    lk_batcher_opts b;
    lk_batcher_opts_default(&b);
    b.n_runs = MAX_FLYING;
    b.wait_ms = opts->batch_wait_ms;
    b.fn = run;
    b.ctx = m;
    return code ? code : lk_batcher_new(&b, &m->batcher, err);
}

static void roboflow_close(lk_embedder *e)
{
    roboflow *m = (roboflow *)e;
    lk_batcher_free(m->batcher);
    for (size_t k = 0; k < LK_ARRAY_LEN(routes); k++)
        lk_free(m->urls[k]);
    lk_http_free(m->http);
}

static void roboflow_runs(lk_embedder *e, uint64_t *ret_items, uint64_t *ret_runs)
{
    lk_batcher_stats s;
    lk_batcher_stats_of(((roboflow *)e)->batcher, &s);
    *ret_items = s.items;
    *ret_runs = s.runs;
}

const lk_model_driver lk_model_roboflow = {
    .name = "roboflow",
    .size = sizeof(roboflow),
    .max_batch = MAX_BATCH,
    .open = roboflow_open,
    .close = roboflow_close,
    .embed_images = roboflow_embed_images,
    .embed_texts = roboflow_embed_texts,
    .runs = roboflow_runs,
};
