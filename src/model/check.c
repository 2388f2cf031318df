#include "model/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "model/canary.h"
#include "model/parity.h"
#include "model/places.h"
#include "model/trial.h"

/* Cosine between a picture's embedding alone and in a batch, and to the training side's in a parity
 * file. Rounding in float32 stays above the first by far; the second is what exports are held to.
 */
#define MIN_BATCH_COSINE 0.9999
#define MIN_PARITY_COSINE 0.9999

enum { SIDE = 256, BATCH = 3 };

static void LK_PRINTF(5, 6)
    add(lk_checked *c, const char *what, const char *of, bool ok, const char *fmt, ...)
{
    va_list args;
    if (c->n_rows == LK_MAX_CHECK_ROWS)
        return;
    lk_check_row *r = &c->rows[c->n_rows++];
    *r = (lk_check_row){.ok = ok};
    snprintf(r->what, sizeof r->what, "%s", what);
    snprintf(r->of, sizeof r->of, "%s", of);
    va_start(args, fmt);
    int n = vsnprintf(r->says, sizeof r->says, fmt, args);
    va_end(args);
    (void)n; /* what is too long is cut */
    c->ok = c->ok && ok;
}

/* ---- the files ---- */

static lk_code check_files(const lk_card_source *from, const lk_card *card, lk_checked *ret,
                           lk_err *err)
{
    for (size_t i = 0; i < card->n_files; i++) {
        const char *name = card->files[i].name;
        lk_card_file f;
        lk_err why = {.code = LK_OK};
        lk_code code = lk_card_open_file(from, card, name, &f, &why);
        if (code == LK_E_NOMEM) {
            if (err)
                *err = why;
            return code;
        }
        if (code) {
            add(ret, "file", name, false, "%s", why.text);
            continue;
        }
        add(ret, "file", name, true, "%zu bytes, %s", f.bytes.n,
            from->embedded ? "a part of this program" : "its SHA-256 is the card's");
        lk_card_file_release(&f);
    }
    return LK_OK;
}

static lk_code check_card(const lk_card_source *from, lk_arena *a, lk_card *card, lk_checked *ret,
                          lk_err *err)
{
    lk_model_info info;
    lk_err why = {.code = LK_OK};
    lk_code code = lk_card_read(from, a, card, &why);
    if (!code)
        code = lk_model_info_of_card(card, a, &info, &why);
    if (code == LK_E_MODEL)
        add(ret, "card", "model.json", false, "%s", why.text);
    if (code == LK_E_NOT_FOUND)
        (void)lk_fail_field(&why, code, "model", "there is no model.json in \"%s\"", ret->where);
    if (code) {
        if (err)
            *err = why;
        return code;
    }
    snprintf(ret->name, sizeof ret->name, "%s", info.name);
    snprintf(ret->version, sizeof ret->version, "%s", info.version);
    snprintf(ret->key, sizeof ret->key, "%s", info.key);
    ret->dim = info.dim;
    ret->has_image = info.has_image;
    ret->has_text = info.has_text;
    add(ret, "card", "model.json", true, "%zu dimensions, key %s", info.dim, info.key);
    return LK_OK;
}

/* ---- the model ---- */

typedef struct running {
    const char *name;
    const lk_check_opts *o;
    const lk_card_source *from;
    lk_model *m;
    lk_checked found; /* rows only */
} running;

/* Smooth, and every channel different, so that swapped ones would show. */
static void draw(lk_image *im, unsigned shift)
{
    for (unsigned y = 0; y < im->height; y++)
        for (unsigned x = 0; x < im->width; x++) {
            unsigned char *p = im->px + 3 * ((size_t)y * im->width + x);
            p[0] = (unsigned char)(x + shift);
            p[1] = (unsigned char)y;
            p[2] = (unsigned char)((x ^ y) & 0xff);
        }
}

static double cosine(const float *a, const float *b, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)a[i] * (double)b[i];
    return s;
}

/* A picture by itself and the same among others. */
static lk_code embed_twice(lk_model *m, const lk_image *const *images, double *ret_cosine,
                           double *ret_ms, lk_err *err)
{
    size_t dim = lk_model_info_of(m)->dim;
    float *v = lk_alloc_array((BATCH + 1) * dim, sizeof *v);
    if (!v)
        return lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    lk_code code = lk_model_embed_images(m, BATCH, images, v + dim, err);
    uint64_t start = lk_now_ns();
    if (!code)
        code = lk_model_embed_images(m, 1, images, v, err);
    *ret_ms = (double)(lk_now_ns() - start) / 1e6;
    *ret_cosine = code ? 0 : cosine(v, v + dim, dim);
    lk_free(v);
    return code;
}

static lk_code check_picture(running *r, lk_err *err)
{
    lk_image images[BATCH] = {{0}};
    const lk_image *list[BATCH];
    lk_err why = {.code = LK_OK};
    double same = 0, ms = 0;
    lk_code code = LK_OK;
    for (unsigned i = 0; !code && i < BATCH; i++) {
        code = lk_image_new(&images[i], SIDE, SIDE, err);
        if (!code)
            draw(&images[i], 80 * i);
        list[i] = &images[i];
    }
    if (!code && embed_twice(r->m, list, &same, &ms, &why))
        add(&r->found, "picture", "", false, "%s", why.text);
    else if (!code && !(same >= MIN_BATCH_COSINE))
        add(&r->found, "picture", "", false,
            "the same picture has another embedding among others: cosine %.6f", same);
    else if (!code)
        add(&r->found, "picture", "", true, "a drawn picture is embedded in %.1f ms", ms);
    for (size_t i = 0; i < BATCH; i++)
        lk_image_release(&images[i]);
    return code;
}

static lk_code check_text(running *r, lk_err *err)
{
    size_t dim = lk_model_info_of(r->m)->dim;
    float *v = lk_alloc_array(dim, sizeof *v);
    lk_err why = {.code = LK_OK};
    if (!v)
        return lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    uint64_t start = lk_now_ns();
    if (lk_model_embed_text(r->m, LK_STR(LK_CANARY_TEXT), v, &why))
        add(&r->found, "text", "", false, "%s", why.text);
    else
        add(&r->found, "text", "", true, "\"" LK_CANARY_TEXT "\" is embedded in %.1f ms",
            (double)(lk_now_ns() - start) / 1e6);
    lk_free(v);
    return LK_OK;
}

static void say_side(running *r, const char *of, const lk_parity_side *s)
{
    bool ok = s->min_cosine >= MIN_PARITY_COSINE;
    if (s->n)
        add(&r->found, "parity", of, ok, "%zu as where it was trained: cosine at least %.6f%s%s%s",
            s->n, s->min_cosine, ok ? "" : ", least for \"", ok ? "" : s->worst, ok ? "" : "\"");
}

/* The parity file, if there is one. */
static lk_code check_parity(running *r, lk_err *err)
{
    char path[PATH_MAX];
    lk_parity p;
    lk_err why = {.code = LK_OK};
    int n = snprintf(path, sizeof path, "%s/%s", r->from->dir ? r->from->dir : "", LK_PARITY_FILE);
    if (!r->from->dir || n < 0 || (size_t)n >= sizeof path || !lk_os_exists(path))
        return LK_OK;
    lk_code code = lk_parity_replay(r->m, path, r->o->photos, &p, &why);
    if (code == LK_E_NOMEM && err)
        *err = why;
    if (code == LK_E_NOMEM)
        return code;
    if (code) {
        add(&r->found, "parity", LK_PARITY_FILE, false, "%s", why.text);
        return LK_OK;
    }
    say_side(r, "images", &p.images);
    say_side(r, "texts", &p.texts);
    if (p.n_skipped)
        add(&r->found, "parity", "images", true,
            "%zu photographs were left out: --photos DIR says where they are", p.n_skipped);
    return LK_OK;
}

static void say_canary(running *r, const char *of, bool has, double cosine)
{
    bool ok = cosine >= r->o->canary_min; /* not so when it is no number */
    if (has && ok)
        add(&r->found, "canary", of, true, "as it was recorded: cosine %.6f", cosine);
    else if (has)
        add(&r->found, "canary", of, false,
            "not as it was recorded: cosine %.6f, under %g (without canary.json in the folder a "
            "check records anew)",
            cosine, r->o->canary_min);
}

static void record_canary(running *r, const lk_canary *now)
{
    lk_err why = {.code = LK_OK};
    const char *dir = r->o->model->models_dir, *key = lk_model_info_of(r->m)->key;
    if (!r->found.ok)
        return; /* what it gives now is nothing to go by */
    if (lk_canary_write(r->name, dir, key, now, &why))
        add(&r->found, "canary", LK_CANARY_FILE, true, "not recorded: %s", why.text);
    else
        add(&r->found, "canary", LK_CANARY_FILE, true,
            "recorded, for later checks to compare with");
}

/* Compare with what was recorded, or record. */
static lk_code check_canary(running *r, lk_err *err)
{
    lk_canary now = {0}, then = {0};
    lk_canary_cosines cosines;
    lk_err why = {.code = LK_OK};
    const char *key = lk_model_info_of(r->m)->key;
    lk_code code = lk_canary_measure(r->m, &now, &why);
    bool measured = code == LK_OK;
    if (!code)
        code = lk_canary_read(r->name, r->o->model->models_dir, key, &then, &why);
    if (!code) {
        lk_canary_compare(&then, &now, &cosines);
        say_canary(r, "image", cosines.has_image, cosines.image);
        say_canary(r, "text", cosines.has_text, cosines.text);
    } else if (code == LK_E_NOT_FOUND && measured) {
        record_canary(r, &now);
    } else if (code != LK_E_NOMEM) {
        add(&r->found, "canary", LK_CANARY_FILE, false, "%s", why.text);
    }
    lk_canary_release(&now);
    lk_canary_release(&then);
    if (code == LK_E_NOMEM && err)
        *err = why;
    return code == LK_E_NOMEM ? code : LK_OK;
}

/* In the child. */
static lk_code run_model(void *ctx, lk_buf *out, lk_err *err)
{
    running *r = ctx;
    lk_err why = {.code = LK_OK};
    uint64_t start = lk_now_ns();
    lk_code code = lk_image_start(err);
    if (!code)
        code = lk_model_open(r->name, r->o->model, &r->m, &why);
    if (code && err)
        *err = why;
    if (code)
        return code;
    add(&r->found, "load", "", true, "loaded in %.0f ms, %zu MiB resident",
        (double)(lk_now_ns() - start) / 1e6, (size_t)(lk_os_rss_bytes() >> 20));
    if (lk_model_info_of(r->m)->has_image)
        code = check_picture(r, err);
    if (!code && lk_model_info_of(r->m)->has_text)
        code = check_text(r, err);
    if (!code)
        code = check_parity(r, err);
    if (!code)
        code = check_canary(r, err);
    lk_model_close(r->m);
    lk_buf_put(out, r->found.rows, r->found.n_rows * sizeof *r->found.rows);
    return code;
}

/* The rows that a child has sent, which is the same program. */
static void take_rows(lk_checked *c, const lk_buf *sent)
{
    size_t n = sent->n / sizeof *c->rows, room = LK_MAX_CHECK_ROWS - c->n_rows;
    n = n < room ? n : room;
    if (n)
        memcpy(c->rows + c->n_rows, sent->p, n * sizeof *c->rows);
    for (size_t i = 0; i < n; i++)
        c->ok = c->ok && c->rows[c->n_rows + i].ok;
    c->n_rows += n;
}

/* Is it about the model, and not about this machine or the one who waits? */
static bool is_finding(lk_code code)
{
    return code == LK_E_MODEL || code == LK_E_NOMEM || code == LK_E_LIMIT ||
           code == LK_E_UNSUPPORTED || code == LK_E_CORRUPT;
}

static lk_code check_running(const char *name, const lk_check_opts *o, const lk_card_source *from,
                             uint64_t bytes, lk_checked *ret, lk_err *err)
{
    const lk_trial_limits limits = lk_trial_limits_of(bytes, o->model->provider);
    lk_err why = {.code = LK_OK};
    lk_buf sent;
    running *r = lk_calloc(1, sizeof *r);
    if (!r)
        return lk_fail(err, LK_E_NOMEM, "out of memory to check a model");
    *r = (running){.name = name, .o = o, .from = from, .found.ok = true};
    lk_buf_init(&sent, LK_MAX_TRIAL_BYTES);
    lk_code code = lk_trial_run(run_model, r, &limits, o->cancel, &sent, &why);
    take_rows(ret, &sent);
    if (is_finding(code)) {
        add(ret, "load", "", false, "%s", why.text);
        code = LK_OK;
    }
    if (code && err)
        *err = why;
    lk_buf_release(&sent);
    lk_free(r);
    return code;
}

lk_code lk_model_check(const char *name, const lk_check_opts *opts, lk_checked *ret, lk_err *err)
{
    char path[PATH_MAX];
    lk_arena a;
    lk_card card;
    lk_card_source from;
    uint64_t bytes = 0;
    lk_arena_init(&a, 0);
    *ret = (lk_checked){.ok = true};
    lk_code code = lk_model_locate(name, opts->model->models_dir, path, &from, err);
    if (!code) {
        snprintf(ret->where, sizeof ret->where, "%s", from.dir ? from.dir : "bundled");
        code = check_card(&from, &a, &card, ret, err);
    }
    if (!code)
        code = check_files(&from, &card, ret, err);
    for (size_t i = 0; !code && i < card.n_files; i++)
        bytes += card.files[i].bytes;
    if (!code && ret->ok)
        code = check_running(name, opts, &from, bytes, ret, err);
    lk_arena_release(&a);
    return code == LK_E_MODEL && ret->n_rows ? LK_OK : code; /* it is in the rows */
}
