/* The picture is made for what goes wrong with pictures: every channel has a gradient of its own
 * and shapes that the others lack (swapped channels), nothing in it is symmetric (flips), the
 * shapes reach over all four edges and it is wider than high (crops, squashing), and a chirp runs
 * from coarse to a pixel (the resize filter, and whether it smooths). It is drawn with whole
 * numbers only, so that it is the same on every machine. */
#include "model/canary.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/embed.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/places.h"

#define WIDTH 720
#define HEIGHT 540
#define MAX_FILE_BYTES (1u << 20)

/* ---- the picture ---- */

static bool in_disc(int x, int y, int cx, int cy, int r)
{
    return (x - cx) * (x - cx) + (y - cy) * (y - cy) < r * r;
}

/* A chirp from the lower left corner: coarse there, finer and finer up to a few pixels. 0..80. */
static int wave_at(int x, int y)
{
    int v = HEIGHT - 1 - y, phase = (x * x + v * v) / 60 % 160;
    return phase < 80 ? phase : 160 - phase;
}

static void draw_pixel(int x, int y, unsigned char px[3])
{
    int wave = wave_at(x, y);
    px[0] = (unsigned char)(20 + x * 130 / WIDTH + wave);
    px[1] = (unsigned char)(150 - y * 120 / HEIGHT + wave);
    px[2] = (unsigned char)(60 + (x + 2 * y) * 90 / (WIDTH + 2 * HEIGHT) + wave / 2);
    if (in_disc(x, y, 142, 135, 165)) { /* over the left and the upper edge */
        px[0] = 225;
        px[1] = (unsigned char)(20 + y / 6);
        px[2] = 30;
    }
    if (y > 375 && x > 30 && x - 30 < (y - 375) * 2) { /* a green slope on the lower edge */
        px[0] = 20;
        px[1] = 170;
        px[2] = 60;
    }
    if (x > 600 && y < 225 && (x / 15 + y / 15) % 2) { /* squares on the right edge */
        px[0] = 250;
        px[1] = 240;
        px[2] = 20;
    }
    if (in_disc(x, y, 450, 105, 68) && !in_disc(x, y, 477, 93, 45)) { /* a blue sickle */
        px[0] = 10;
        px[1] = 30;
        px[2] = 220;
    }
}

lk_code lk_canary_picture(lk_buf *into, lk_err *err)
{
    lk_buf_printf(into, "P6\n%d %d\n255\n", WIDTH, HEIGHT);
    unsigned char *px = (unsigned char *)lk_buf_reserve(into, (size_t)3 * WIDTH * HEIGHT);
    for (int y = 0; px && y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            draw_pixel(x, y, px + 3 * (y * WIDTH + x));
    into->n += px ? (size_t)3 * WIDTH * HEIGHT : 0;
    return lk_buf_check(into, err);
}

/* ---- measuring ---- */

static lk_code embed_picture(lk_model *m, float *ret, lk_err *err)
{
    lk_image_limits limits = lk_image_limits_default();
    lk_picture pic = {0};
    lk_buf file;
    lk_buf_init(&file, 0);
    lk_code code = lk_canary_picture(&file, err);
    if (!code)
        code = lk_picture_decode((lk_blob){(const unsigned char *)file.p, file.n}, &limits, false,
                                 &pic, err);
    if (!code) {
        const lk_image *im = &pic.image;
        code = lk_model_embed_images(m, 1, &im, ret, err);
    }
    lk_picture_release(&pic);
    lk_buf_release(&file);
    return code;
}

lk_code lk_canary_measure(lk_model *m, lk_canary *ret, lk_err *err)
{
    const lk_model_info *info = lk_model_info_of(m);
    lk_canary c = {.dim = info->dim};
    lk_code code = LK_OK;
    c.image = info->has_image ? lk_alloc_array(c.dim, sizeof(float)) : NULL;
    c.text = info->has_text ? lk_alloc_array(c.dim, sizeof(float)) : NULL;
    if ((info->has_image && !c.image) || (info->has_text && !c.text))
        code = lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    if (!code && c.image)
        code = embed_picture(m, c.image, err);
    if (!code && c.text) {
        code = lk_model_embed_text(m, LK_STR(LK_CANARY_TEXT), c.text, err);
        if (code == LK_E_NO_MEANING) {
            lk_free(c.text);
            c.text = NULL;
            code = LK_OK;
        }
    }
    if (code)
        lk_canary_release(&c);
    else
        *ret = c;
    return code;
}

void lk_canary_release(lk_canary *c)
{
    if (!c)
        return;
    lk_free(c->image);
    lk_free(c->text);
    *c = (lk_canary){0};
}

static double cosine(const float *a, const float *b, size_t dim)
{
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; a && b && i < dim; i++) {
        dot += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
}

void lk_canary_compare(const lk_canary *then, const lk_canary *now, lk_canary_cosines *ret)
{
    bool same_dim = then->dim == now->dim;
    *ret = (lk_canary_cosines){.has_image = then->image != NULL, .has_text = then->text != NULL};
    ret->image = same_dim ? cosine(then->image, now->image, now->dim) : 0;
    ret->text = same_dim ? cosine(then->text, now->text, now->dim) : 0;
}

/* ---- the recording ---- */

static lk_code file_path(const char *name, const char *models_dir, char ret[PATH_MAX],
                         const char **ret_embedded, lk_err *err)
{
    char found[PATH_MAX];
    lk_card_source from;
    lk_code code = lk_model_locate(name, models_dir, found, &from, err);
    if (code)
        return code;
    *ret_embedded = from.embedded;
    int n = snprintf(ret, PATH_MAX, "%s/" LK_CANARY_FILE, from.dir ? from.dir : from.embedded);
    return n > 0 && n < PATH_MAX ? LK_OK
                                 : lk_fail(err, LK_E_LIMIT, "the path of the model is too long");
}

static lk_code read_vector(const lk_jval *root, const char *key, lk_canary *c, float **ret,
                           lk_err *err)
{
    size_t n = 0;
    if (lk_jval_type(lk_jval_get(root, key)) == LK_J_NULL)
        return LK_OK;
    lk_code code = lk_json_get_floats(root, key, LK_MAX_DIM, ret, &n, err);
    if (!code && (n == 0 || (c->dim && n != c->dim)))
        code = lk_fail(err, LK_E_CORRUPT, "\"%s\" has %zu numbers", key, n);
    c->dim = n;
    return code;
}

static lk_code parse(lk_str text, const char *key, lk_canary *ret, lk_err *err)
{
    lk_json *json = NULL;
    lk_canary c = {0};
    lk_code code = lk_json_parse(text, &json, err);
    const lk_jval *root = code ? NULL : lk_json_root(json);
    if (!code && (lk_jval_int(lk_jval_get(root, "version")) != LK_CANARY_VERSION ||
                  !lk_str_is(lk_jval_str(lk_jval_get(root, "model")), key)))
        code =
            lk_fail(err, LK_E_NOT_FOUND, "the canary was recorded for something else than %s", key);
    if (!code)
        code = read_vector(root, "image", &c, &c.image, err);
    if (!code)
        code = read_vector(root, "text", &c, &c.text, err);
    lk_json_free(json);
    if (code) {
        lk_canary_release(&c);
        return code == LK_E_NOMEM || code == LK_E_NOT_FOUND
                   ? code
                   : lk_err_prefix(err, LK_E_CORRUPT, LK_CANARY_FILE);
    }
    *ret = c;
    return LK_OK;
}

lk_code lk_canary_read(const char *name, const char *models_dir, const char *key, lk_canary *ret,
                       lk_err *err)
{
    char path[PATH_MAX];
    const char *embedded = NULL;
    unsigned char *own = NULL;
    lk_blob bytes = {0};
    lk_code code = file_path(name, models_dir, path, &embedded, err);
    if (code)
        return code;
    if (embedded) {
        const lk_embedded_file *f = lk_embedded_find(path);
        bytes = f ? (lk_blob){f->data, f->size} : bytes;
    } else if (lk_os_exists(path)) {
        code = lk_os_read_file(path, MAX_FILE_BYTES, &own, &bytes.n, err);
        bytes.p = own;
    }
    if (!code && !bytes.p)
        code = lk_fail(err, LK_E_NOT_FOUND, "no canary is recorded for %s", name);
    if (!code)
        code = parse((lk_str){(const char *)bytes.p, bytes.n}, key, ret, err);
    lk_free(own);
    return code;
}

static void write_vector(lk_jw *w, const char *key, const float *v, size_t dim)
{
    if (!v)
        return;
    lk_jw_key(w, key);
    lk_jw_arr(w);
    for (size_t i = 0; i < dim; i++)
        lk_jw_float(w, v[i]);
    lk_jw_end_arr(w);
}

lk_code lk_canary_write(const char *name, const char *models_dir, const char *key,
                        const lk_canary *c, lk_err *err)
{
    char path[PATH_MAX];
    const char *embedded = NULL;
    lk_buf b;
    lk_jw w;
    lk_code code = file_path(name, models_dir, path, &embedded, err);
    if (code)
        return code;
    if (embedded)
        return lk_fail(err, LK_E_UNSUPPORTED, "the canary of %s is part of the program", name);
    lk_buf_init(&b, MAX_FILE_BYTES);
    lk_jw_init(&w, &b);
    lk_jw_obj(&w);
    lk_jw_key(&w, "version");
    lk_jw_int(&w, LK_CANARY_VERSION);
    lk_jw_key(&w, "model");
    lk_jw_strz(&w, key);
    write_vector(&w, "image", c->image, c->dim);
    write_vector(&w, "text", c->text, c->dim);
    lk_jw_end_obj(&w);
    lk_buf_putc(&b, '\n');
    code = lk_buf_check(&b, err);
    if (!code)
        code = lk_os_write_file(path, b.p, b.n, err);
    lk_buf_release(&b);
    return code;
}
