#include "engine/quantize.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"
#include "model/calibrate.h"
#include "model/compare.h"
#include "model/quantize_model.h"

/* Enough for a mean to three digits; at two models of 50 ms a picture it takes a minute. */
#define MAX_PHOTOS 500
#define MAX_FILES 1000000

/* The noise of a product differs little from picture to picture, and those that matter stand out:
 * in the ViT-Tiny at hand one product has 0.2, one 0.0035, 46 have less than 0.001. Leaving out the
 * one takes the mean cosine from 0.930 to 0.997; leaving out more gains nothing. */
#define N_PROBES 8
#define MAX_NOISE 0.01

static const char *const texts[] = {
    "a photo of a dog",
    "a cat sleeping on a sofa",
    "an apple and a pear on a table",
    "a red car in the street",
    "two people walking on the beach at sunset",
    "a plate of food",
    "a city at night seen from above",
    "snow on the mountains",
    "a screenshot of a spreadsheet",
    "a black and white portrait",
    "children playing football",
    "boat",
    "flowers",
    "a bowl of rice",
    "a pair of running shoes on white ground",
    "an old book",
    "horse",
    "a bicycle leaning against a wall",
    "a cup of coffee",
    "an aeroplane above the clouds",
    "fire",
    "a drawing of a house",
    "tower",
    "computer keyboard",
    "苹果",
    "海边的日落",
    "一只狗",
    "城市夜景",
};

typedef struct job {
    const lk_quantize_ask *ask;
    const lk_engine_opts *opts;
    lk_calibrate *calibrate; /* in turns */
    lk_compare *compare;
    lk_arena paths;
    const char **files;
    size_t n_files, n_unreadable;
} job;

static lk_code check_stop(const job *j, lk_err *err)
{
    return lk_cancel_is_set(j->ask->cancel) ? lk_fail(err, LK_E_CANCELED, "stopped") : LK_OK;
}

/* ---- photographs ---- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static lk_code collect(job *j, FTS *tree, lk_err *err)
{
    for (FTSENT *e; (e = fts_read(tree));) {
        if (e->fts_info == FTS_D && e->fts_level > 0 && e->fts_name[0] == '.')
            (void)fts_set(tree, e, FTS_SKIP);
        if (e->fts_info != FTS_F || e->fts_name[0] == '.')
            continue;
        if (j->n_files == MAX_FILES)
            return lk_fail_field(err, LK_E_LIMIT, "photos", "\"%s\" has over %d files",
                                 j->ask->photos, MAX_FILES);
        j->files[j->n_files] = lk_arena_strndup(&j->paths, e->fts_path, strlen(e->fts_path));
        if (!j->files[j->n_files++])
            return lk_fail(err, LK_E_NOMEM, "out of memory for a list of photographs");
    }
    return LK_OK;
}

static lk_code list_photos(job *j, lk_err *err)
{
    char *roots[2] = {lk_strdup(j->ask->photos), NULL};
    j->files = lk_alloc_array(MAX_FILES, sizeof *j->files);
    FTS *tree = roots[0] ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name) : NULL;
    lk_code code = tree && j->files ? collect(j, tree, err)
                                    : lk_fail_sys(err, errno, "cannot read \"%s\"", j->ask->photos);
    if (tree)
        fts_close(tree);
    lk_free(roots[0]);
    return code;
}

/* ---- one by one ---- */

static lk_code take_image(job *j, const lk_image *im, const char *name, lk_err *err)
{
    return j->compare ? lk_compare_image(j->compare, im, name, err)
                      : lk_calibrate_image(j->calibrate, im, err);
}

/* A file that is no picture is counted and passed over. */
static lk_code take_file(job *j, const char *path, lk_err *err)
{
    lk_image_limits limits = lk_image_limits_default();
    lk_picture pic = {0};
    unsigned char *p = NULL;
    size_t n = 0;
    limits.max_pixels = (uint64_t)j->opts->max_pixels;
    limits.max_bytes = j->opts->max_image_bytes;
    lk_code code = lk_os_read_file(path, limits.max_bytes, &p, &n, err);
    if (!code)
        code = lk_picture_decode((lk_blob){p, n}, &limits, false, &pic, err);
    if (code && code != LK_E_NOMEM) {
        j->n_unreadable++;
        code = LK_OK;
    } else if (!code) {
        code = take_image(j, &pic.image, path, err);
    }
    lk_picture_release(&pic);
    lk_free(p);
    return code;
}

static lk_code take_drawing(job *j, size_t i, lk_err *err)
{
    lk_image im = {0};
    const char *name = NULL;
    lk_code code = lk_demo_picture(i, &name, &im, err);
    if (!code)
        code = take_image(j, &im, name, err);
    lk_image_release(&im);
    return code;
}

/* At most so many pictures, at even steps when there are more, and all texts. */
static lk_code take_samples(job *j, size_t max, lk_err *err)
{
    size_t all = j->files ? j->n_files : lk_demo_count(), n = all < max ? all : max;
    lk_code code = LK_OK;
    j->n_unreadable = 0;
    for (size_t i = 0; !code && i < n; i++) {
        size_t at = i * all / n;
        code = check_stop(j, err);
        if (!code)
            code = j->files ? take_file(j, j->files[at], err) : take_drawing(j, at, err);
    }
    for (size_t i = 0; !code && i < LK_ARRAY_LEN(texts); i++) {
        lk_str text = lk_str_of(texts[i]);
        code = check_stop(j, err);
        if (!code)
            code = j->compare ? lk_compare_text(j->compare, text, err)
                              : lk_calibrate_text(j->calibrate, text, err);
    }
    return code;
}

/* ---- the whole ---- */

static lk_code report(lk_arena *into, const lk_compare_side *s, lk_quantize_loss *ret, lk_err *err)
{
    const char *worst = lk_arena_strndup(into, s->worst, strlen(s->worst));
    if (!worst)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a report");
    *ret = (lk_quantize_loss){.n = s->n,
                              .mean_cosine = s->mean_cosine,
                              .min_cosine = s->min_cosine,
                              .worst = lk_str_of(worst),
                              .neighbours_kept = s->neighbours_kept,
                              .float_ms = s->ms[0],
                              .int8_ms = s->ms[1]};
    return LK_OK;
}

/* Make the model; what is noisy stays float. */
static lk_code make(job *j, const lk_model_opts *mo, lk_quantized *ret, lk_err *err)
{
    lk_quantize_opts how;
    lk_quantize_opts_default(&how);
    lk_code code = lk_calibrate_new(j->ask->name, mo, &how, &j->calibrate, err);
    if (!code)
        code = take_samples(j, N_PROBES, err);
    if (!code)
        code = lk_calibrate_noisy(j->calibrate, MAX_NOISE, &how.skip, &how.n_skip, err);
    if (!code)
        code = lk_model_quantize(j->ask->name, j->ask->to, mo, &how, j->ask->cancel, ret, err);
    lk_calibrate_free(j->calibrate);
    j->calibrate = NULL;
    return code;
}

static lk_code compare(job *j, const lk_model_opts *mo, const char *made, lk_arena *into,
                       lk_quantize_done *ret, lk_err *err)
{
    lk_model *before = NULL, *after = NULL;
    lk_compare_side images, words;
    lk_code code = lk_model_open(j->ask->name, mo, &before, err);
    if (!code)
        code = lk_model_open(made, mo, &after, err);
    if (!code)
        code = lk_compare_new(before, after, &j->compare, err);
    if (!code)
        code = take_samples(j, MAX_PHOTOS, err);
    if (!code)
        code = lk_compare_images(j->compare, &images, err);
    if (!code)
        code = lk_compare_texts(j->compare, &words, err);
    if (!code)
        code = report(into, &images, &ret->images, err);
    if (!code)
        code = report(into, &words, &ret->texts, err);
    ret->n_unreadable = j->n_unreadable;
    lk_compare_free(j->compare);
    lk_model_close(after);
    lk_model_close(before);
    return code ? lk_err_prefix(err, code, "%s is made, but comparing it failed", made) : LK_OK;
}

lk_code lk_engine_model_quantize(const lk_engine_opts *opts, const lk_quantize_ask *ask,
                                 lk_arena *into, lk_quantize_done *ret, lk_err *err)
{
    char dir[PATH_MAX];
    job j = {.ask = ask, .opts = opts};
    lk_quantized made;
    lk_quantize_done done = {0};
    snprintf(dir, sizeof dir, "%s/models", opts->data_dir);
    lk_model_opts mo = lk_engine_model_opts(opts, opts->models_dir ? opts->models_dir : dir);
    lk_arena_init(&j.paths, 0);
    lk_code code = lk_image_start(err);
    if (!code && ask->photos)
        code = list_photos(&j, err);
    if (!code)
        code = make(&j, &mo, &made, err);
    if (!code) {
        const char *name = lk_arena_strndup(into, made.name, strlen(made.name));
        done.name = lk_str_of(name);
        done.n_products = made.n_products;
        done.n_replaced = made.n_replaced;
        done.bytes_before = made.bytes_before;
        done.bytes_after = made.bytes_after;
        code = name ? compare(&j, &mo, made.name, into, &done, err)
                    : lk_fail(err, LK_E_NOMEM, "out of memory for a report");
    }
    lk_free(j.files);
    lk_arena_release(&j.paths);
    if (!code)
        *ret = done;
    return code;
}
