/* One picture in: probe, decode, understand, store, commit.
 *
 * Embedding takes most of the time and stays on the caller's thread; colours, hash and thumbnail go
 * to a side pool while fewer pictures are in flight than there are processors, so that a single
 * upload is quick, and are done inline when every processor has a picture of its own, so that a
 * full folder pays for no hand-over. The order of writes is I1's: object, vector, record. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"
#include "image/colour.h"
#include "image/encode.h"
#include "image/phash.h"
#include "image/resize.h"

#define DEFAULT_ID_DIGITS 32

typedef struct looks {
    const lk_engine *e;
    const lk_image *im;
    lk_colours colours;
    uint64_t phash;
    lk_buf thumb;
    lk_code code;
    lk_err err;
    lk_wait_group done;
} looks;

void lk_thumb_variant(const lk_engine *e, lk_thumb which, char ret[16])
{
    snprintf(ret, 16, "%s%s", which == LK_THUMB_LIST ? "t320" : "t1024",
             e->opts.thumb_format ? "webp" : "jpeg");
}

lk_code lk_thumb_make(const lk_engine *e, const lk_image *im, lk_thumb which, lk_buf *out,
                      lk_err *err)
{
    lk_image small = {0};
    lk_code code = lk_resize_within(im, which == LK_THUMB_LIST ? 320 : 1024, &small, err);
    if (!code)
        code =
            lk_image_encode(&small, e->opts.thumb_format ? LK_IMG_WEBP : LK_IMG_JPEG, 85, out, err);
    lk_image_release(&small);
    return code;
}

static void look(void *ctx)
{
    looks *l = ctx;
    l->code = lk_colours_of(l->im, &l->colours, &l->err);
    if (!l->code)
        l->code = lk_phash_of(l->im, &l->phash, &l->err);
    if (!l->code)
        l->code = lk_thumb_make(l->e, l->im, LK_THUMB_LIST, &l->thumb, &l->err);
    lk_wait_group_done(&l->done);
}

/* What the model and the pixels say of one picture. */
typedef struct insight {
    const lk_model_info *model;
    float *vector;
    float *other; /* of the second space while it is being filled; NULL: to be filled in later */
    lk_judged judged;
} insight;

/* A picture that the second model cannot see is a matter for the migration, not for who adds it. */
static void understand_otherwise(lk_engine *e, const lk_sha256 *sha256, const lk_image *im,
                                 lk_arena *into, insight *ret)
{
    lk_space *other = e->spaces.other;
    float *v = e->spaces.both ? lk_arena_zalloc(into, other->dim, sizeof *v) : NULL;
    if (v && !lk_space_embed_decoded(e, other, sha256, im, v, NULL))
        ret->other = v;
}

static lk_code understand(lk_engine *e, lk_space *sp, const lk_sha256 *sha256, const lk_image *im,
                          lk_arena *into, looks *l, insight *ret, lk_err *err)
{
    lk_model *m = NULL;
    lk_code code = lk_space_model(e, sp, &m, err);
    if (code)
        return code;
    ret->model = lk_model_info_of(m);
    ret->vector = lk_arena_zalloc(into, ret->model->dim, sizeof(float));
    if (!ret->vector)
        return lk_fail(err, LK_E_NOMEM, "out of memory for an embedding");
    /* Relaxed: a hint about load, nothing else hangs on it. */
    bool alone = atomic_load_explicit(&e->adding, memory_order_relaxed) < e->n_cpus;
    lk_wait_group_add(&l->done, 1);
    if (!alone || !lk_pool_try_run(e->side, look, l))
        look(l);
    code = lk_space_embed_decoded(e, sp, sha256, im, ret->vector, err);
    if (!code)
        understand_otherwise(e, sha256, im, into, ret);
    if (!code)
        code = lk_judge(e, sp, ret->vector, im, into, &ret->judged, err);
    lk_wait_group_wait(&l->done);
    if (!code && l->code) {
        if (err)
            *err = l->err;
        code = l->code;
    }
    return code;
}

static void write_exif(lk_jw *w, const lk_exif *x, bool with_gps)
{
    lk_jw_key(w, "exif");
    lk_jw_obj(w);
    lk_jw_key(w, "orientation");
    lk_jw_uint(w, x->orientation ? x->orientation : 1);
    if (x->make[0] || x->model[0]) {
        char camera[160];
        /* Many makers repeat their name in the model. */
        bool repeated = x->make[0] && strncmp(x->model, x->make, strlen(x->make)) == 0;
        snprintf(camera, sizeof camera, "%s%s%s", repeated ? "" : x->make,
                 !repeated && x->make[0] && x->model[0] ? " " : "", x->model);
        lk_jw_key(w, "camera");
        lk_jw_strz(w, camera);
    }
    const struct {
        const char *key, *text;
    } texts[] = {{"lens", x->lens}, {"software", x->software}};
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++)
        if (texts[i].text[0]) {
            lk_jw_key(w, texts[i].key);
            lk_jw_strz(w, texts[i].text);
        }
    if (x->has_taken) {
        lk_jw_key(w, "taken_at");
        lk_jw_int(w, x->taken_ms);
    }
    const struct {
        const char *key;
        double v;
    } numbers[] = {{"exposure_s", x->exposure_s},
                   {"f_number", x->f_number},
                   {"focal_mm", x->focal_mm},
                   {"iso", (double)x->iso}};
    for (size_t i = 0; i < LK_ARRAY_LEN(numbers); i++)
        if (numbers[i].v > 0) {
            lk_jw_key(w, numbers[i].key);
            lk_jw_real(w, numbers[i].v);
        }
    if (with_gps && x->has_gps) {
        lk_jw_key(w, "gps");
        lk_jw_obj(w);
        lk_jw_key(w, "latitude");
        lk_jw_real(w, x->latitude);
        lk_jw_key(w, "longitude");
        lk_jw_real(w, x->longitude);
        lk_jw_key(w, "altitude_m");
        lk_jw_real(w, x->altitude_m);
        lk_jw_end_obj(w);
    }
    lk_jw_end_obj(w);
}

static void write_colours(lk_jw *w, const lk_colours *c)
{
    lk_jw_key(w, "dominant_colors");
    lk_jw_arr(w);
    for (size_t i = 0; i < c->n; i++) {
        lk_jw_obj(w);
        lk_jw_key(w, "rgb");
        lk_jw_arr(w);
        for (size_t j = 0; j < 3; j++)
            lk_jw_uint(w, c->dominant[i].rgb[j]);
        lk_jw_end_arr(w);
        lk_jw_key(w, "share");
        lk_jw_float(w, c->dominant[i].share);
        lk_jw_end_obj(w);
    }
    lk_jw_end_arr(w);
    lk_jw_key(w, "color_scheme");
    lk_jw_strz(w, lk_colour_scheme_name(c->scheme));
    lk_jw_key(w, "brightness");
    lk_jw_float(w, c->brightness);
    lk_jw_key(w, "saturation");
    lk_jw_float(w, c->saturation);
    lk_jw_key(w, "color_distribution");
    lk_jw_obj(w);
    for (size_t i = 0; i < LK_N_COLOUR_BINS; i++) {
        lk_jw_key(w, lk_colour_bin_name(i));
        lk_jw_float(w, c->distribution[i]);
    }
    lk_jw_end_obj(w);
}

static lk_str last_part(lk_str path)
{
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/')
            return (lk_str){path.p + i, path.n - i};
    return path;
}

typedef struct naming {
    lk_str id;
    lk_sha256 sha;
    char hex[LK_SHA256_HEX + 1];
    int64_t created_ms, now_ms;
} naming;

static lk_code write_doc(const lk_engine *e, const lk_add *add, const naming *nm,
                         const lk_picture *pic, const looks *l, const insight *in, lk_buf *out,
                         lk_err *err)
{
    lk_jw w;
    char phash[17];
    lk_str filename = add->filename.n ? add->filename : last_part(add->path);
    snprintf(phash, sizeof phash, "%016" PRIx64, l->phash);
    lk_jw_init(&w, out);
    lk_jw_obj(&w);
    lk_jw_key(&w, "id");
    lk_jw_str(&w, nm->id);
    lk_jw_key(&w, "sha256");
    lk_jw_strz(&w, nm->hex);
    lk_jw_key(&w, "format");
    lk_jw_strz(&w, lk_image_format_name(pic->header.format));
    const struct {
        const char *key;
        uint64_t v;
    } sizes[] = {{"bytes", add->bytes.n},
                 {"width", pic->width},
                 {"height", pic->height},
                 {"frames", pic->header.frames}};
    for (size_t i = 0; i < LK_ARRAY_LEN(sizes); i++) {
        lk_jw_key(&w, sizes[i].key);
        lk_jw_uint(&w, sizes[i].v);
    }
    if (add->path.n) {
        lk_jw_key(&w, "path");
        lk_jw_str(&w, add->path);
    }
    if (filename.n) {
        lk_jw_key(&w, "filename");
        lk_jw_str(&w, filename);
    }
    lk_jw_key(&w, "created_at");
    lk_jw_int(&w, nm->created_ms);
    lk_jw_key(&w, "updated_at");
    lk_jw_int(&w, nm->now_ms);
    lk_judged_write(&in->judged, &w);
    write_colours(&w, &l->colours);
    lk_jw_key(&w, "phash");
    lk_jw_strz(&w, phash);
    write_exif(&w, &pic->exif, e->opts.keep_gps);
    lk_jw_key(&w, "metadata");
    lk_jw_raw(&w, add->meta.n ? add->meta : LK_STR("{}"));
    lk_jw_end_obj(&w);
    return lk_buf_check(out, err);
}

/* S3, before the record changes. */
static lk_code leave_other(lk_engine *e, lk_str id, lk_err *err)
{
    size_t n = 0;
    return e->spaces.other ? lk_vectors_delete(e->spaces.other->vectors, 1, &id, &n, err) : LK_OK;
}

/* And after it, when the record was put. What is missing then, the migration fills in. */
static void enter_other(lk_engine *e, const lk_vector_row *row, const float *vector, bool put)
{
    lk_vector_row other = *row;
    other.vector = vector;
    if (e->spaces.other &&
        (!put || !vector || lk_vectors_upsert(e->spaces.other->vectors, 1, &other, NULL)))
        atomic_fetch_add(&e->spaces.behind, 1);
}

/* I1: object, vector, record. */
static lk_code commit(lk_engine *e, const lk_space *sp, const lk_add *add, const looks *l,
                      const insight *in, const lk_record_row *row, bool replace, lk_arena *into,
                      lk_err *err)
{
    char variant[16];
    lk_vector_row vrow = {.id = row->id, .vector = in->vector};
    lk_attr *attrs = NULL;
    lk_code code = lk_record_attrs(row->doc, into, &attrs, &vrow.n_attrs, err);
    if (code)
        return code;
    vrow.attrs = attrs;
    lk_thumb_variant(e, LK_THUMB_LIST, variant);
    code = lk_engine_mark_dirty(e, err);
    if (!code)
        code = lk_objects_put(e->objects, &row->object, "", add->bytes, false, err);
    if (!code)
        code = lk_objects_put(e->objects, &row->object, variant,
                              (lk_blob){(const unsigned char *)l->thumb.p, l->thumb.n}, true, err);
    if (!code)
        code = leave_other(e, row->id, err);
    if (!code)
        code = lk_vectors_upsert(sp->vectors, 1, &vrow, err);
    if (!code)
        code = lk_records_put(e->records, 1, row, replace, err);
    enter_other(e, &vrow, in->other, code == LK_OK);
    return code;
}

static lk_code check_add(const lk_add *add, lk_err *err)
{
    if (add->bytes.n == 0)
        return lk_fail_field(err, LK_E_INVALID, "file", "the picture is empty");
    if (add->id.n > LK_MAX_ID_BYTES)
        return lk_fail_field(err, LK_E_LIMIT, "id", "an id has at most %d bytes, not %zu",
                             LK_MAX_ID_BYTES, add->id.n);
    if (add->id.n && (memchr(add->id.p, 0, add->id.n) || !lk_utf8_valid(add->id)))
        return lk_fail_field(err, LK_E_INVALID, "id", "an id is UTF-8 without zero bytes");
    if (add->meta.n == 0)
        return LK_OK;
    lk_json *json = NULL;
    lk_code code = lk_meta_parse(add->meta, &json, err);
    lk_json_free(json);
    return code;
}

static lk_code fetch(lk_engine *e, lk_str id, lk_arena *into, lk_record *ret, lk_err *err)
{
    lk_record_row row;
    lk_code code = lk_records_get(e->records, id, into, &row, err);
    return code ? code : lk_record_of_row(&row, into, ret, err);
}

static lk_code duplicate_of(lk_engine *e, const naming *nm, lk_arena *into, lk_added *ret,
                            lk_err *err)
{
    lk_str id;
    lk_code code = lk_records_find_object(e->records, &nm->sha, into, &id, err);
    if (!code)
        code = fetch(e, id, into, &ret->record, err);
    if (!code)
        ret->status = LK_ADD_DUPLICATE;
    return code;
}

/* The part under the keys of the id and the object. *old_object is what a replaced record held. */
static lk_code store(lk_engine *e, const lk_space *sp, const lk_add *add, const naming *nm,
                     const looks *l, const insight *in, lk_str doc, lk_arena *into, lk_added *ret,
                     lk_sha256 *old_object, lk_err *err)
{
    lk_record_row was, row = {nm->id, nm->sha, nm->created_ms, doc};
    lk_code code = lk_records_get(e->records, nm->id, into, &was, err);
    bool replace = code == LK_OK;
    if (code && code != LK_E_NOT_FOUND)
        return code;
    if (replace && memcmp(&was.object, &nm->sha, sizeof nm->sha) == 0 && add->meta.n == 0) {
        ret->status = LK_ADD_DUPLICATE;
        return lk_record_of_row(&was, into, &ret->record, err);
    }
    code = commit(e, sp, add, l, in, &row, replace, into, err);
    if (code)
        return code;
    *old_object = replace ? was.object : nm->sha;
    ret->status = replace ? LK_ADD_REPLACED : LK_ADDED;
    return lk_record_of_row(&row, into, &ret->record, err);
}

/* In the gate. */
static lk_code add_new(lk_engine *e, lk_space *sp, const lk_add *add, naming *nm, lk_arena *into,
                       lk_added *ret, lk_err *err)
{
    lk_image_limits limits = lk_engine_limits(e);
    lk_model *m = NULL;
    lk_picture pic = {0};
    looks l = {.e = e, .im = &pic.image};
    insight in = {0};
    lk_buf doc;
    lk_sha256 old_object = nm->sha;
    lk_wait_group_init(&l.done);
    lk_buf_init(&l.thumb, 16u << 20);
    lk_buf_init(&doc, LK_MAX_RECORD_BYTES);
    lk_code code = lk_space_model(e, sp, &m, err);
    if (!code && !e->spaces.both) /* two models may want two sizes */
        limits = lk_engine_decoding(e, m);
    if (!code)
        code = lk_picture_decode(add->bytes, &limits, e->opts.keep_gps, &pic, err);
    if (!code)
        code = understand(e, sp, &nm->sha, &pic.image, into, &l, &in, err);
    nm->now_ms = lk_wall_ms();
    nm->created_ms = add->created_ms      ? add->created_ms
                     : pic.exif.has_taken ? pic.exif.taken_ms
                                          : nm->now_ms;
    if (!code)
        code = write_doc(e, add, nm, &pic, &l, &in, &doc, err);
    lk_str text = {code ? NULL : lk_arena_strndup(into, doc.p, doc.n), doc.n};
    if (!code && !text.p)
        code = lk_fail(err, LK_E_NOMEM, "out of memory for a record");
    if (!code) {
        uint64_t keys[2] = {lk_keylock_hash('i', nm->id.p, nm->id.n),
                            lk_keylock_hash('o', nm->sha.b, sizeof nm->sha.b)};
        lk_keylock_take(&e->keys, keys, 2);
        code = store(e, sp, add, nm, &l, &in, text, into, ret, &old_object, err);
        lk_keylock_give(&e->keys, keys, 2);
    }
    if (!code && memcmp(&old_object, &nm->sha, sizeof nm->sha) != 0)
        code = lk_engine_drop_object(e, &old_object, err);
    lk_judged_release(&in.judged);
    lk_buf_release(&doc);
    lk_buf_release(&l.thumb);
    lk_wait_group_release(&l.done);
    lk_picture_release(&pic);
    return code;
}

lk_code lk_engine_add(lk_engine *e, const lk_add *add, lk_arena *into, lk_added *ret, lk_err *err)
{
    uint64_t start_ns = lk_now_ns();
    naming nm = {.id = add->id};
    lk_code code = check_add(add, err);
    if (!code)
        code = lk_sha256_of(add->bytes.p, add->bytes.n, &nm.sha, err);
    if (code)
        return code;
    lk_sha256_hex(&nm.sha, nm.hex);
    memset(ret, 0, sizeof *ret);
    if (!nm.id.n) {
        code = duplicate_of(e, &nm, into, ret, err);
        if (code != LK_E_NOT_FOUND)
            return code;
        nm.id = (lk_str){nm.hex, DEFAULT_ID_DIGITS};
    }
    nm.id.p = lk_arena_strndup(into, nm.id.p, nm.id.n);
    if (!nm.id.p)
        return lk_fail(err, LK_E_NOMEM, "out of memory for an id");
    atomic_fetch_add_explicit(&e->adding, 1, memory_order_relaxed);
    lk_space *sp = lk_gate_enter(e);
    code = add_new(e, sp, add, &nm, into, ret, err);
    lk_gate_leave(e);
    atomic_fetch_sub_explicit(&e->adding, 1, memory_order_relaxed);
    ret->took_us = (lk_now_ns() - start_ns) / 1000;
    return code;
}

lk_code lk_engine_has_bytes(lk_engine *e, const lk_sha256 *sha256, lk_arena *into, lk_str *ret_id,
                            lk_err *err)
{
    return lk_records_find_object(e->records, sha256, into, ret_id, err);
}

bool lk_engine_is_picture(lk_blob first_bytes)
{
    return lk_image_sniff(first_bytes) != LK_IMG_UNKNOWN;
}
