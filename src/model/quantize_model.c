/* Of the old card the new one keeps what the model is and how it is fed. What it says about its old
 * files (where they are published, what was measured of them) is left out, and "quantized" is put
 * in, which is for people. */
#include "model/quantize_model.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/onnx_cut.h"
#include "model/onnx_external.h"
#include "model/places.h"
#include "model/tower.h"
#include "model/trial.h"

typedef struct job {
    lk_arena arena;
    lk_card_source from;
    lk_card card;
    const char *key;
    lk_staging to;
    const lk_quantize_opts *how;
    lk_quantized done;
    const char *outputs[2]; /* by lk_tower_kind: where the embedding comes out; NULL: no tower */
    struct {
        bool kept; /* false: nothing names it; weights beside a tower's file are in it now */
        lk_sha256 sha256;
        uint64_t bytes;
    } files[LK_MAX_CARD_FILES]; /* of the new model, in the card's order */
} job;

/* ---- files ---- */

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static bool is_tower(const lk_card *c, const char *name)
{
    return is(c->image.file, name) || is(c->text.file, name);
}

static bool is_member(const lk_card *c, const char *name)
{
    return is(c->image.projection, name) || is(c->text.projection, name) ||
           is(c->vocab_file, name) || is(c->merges_file, name) || is(c->categories_file, name) ||
           is(c->classes_file, name);
}

static lk_code write_file(job *j, size_t i, lk_blob bytes, lk_err *err)
{
    char path[PATH_MAX];
    lk_code code = lk_staging_path(&j->to, j->card.files[i].name, path, err);
    if (!code)
        code = lk_os_write_file(path, bytes.p, bytes.n, err);
    if (!code)
        code = lk_sha256_of(bytes.p, bytes.n, &j->files[i].sha256, err);
    j->files[i].bytes = bytes.n;
    j->files[i].kept = true;
    return code;
}

/* What the towers in this file need of it, appended to *into, or nothing where that is the whole: a
 * head that makes classes of an embedding is left out. */
static lk_code cut_tower(job *j, const char *file, lk_blob model, lk_buf *into, lk_err *err)
{
    const lk_card *c = &j->card;
    const char *const files[] = {[LK_TOWER_IMAGE] = c->image.file, [LK_TOWER_TEXT] = c->text.file};
    lk_str wanted[2];
    size_t n = 0;
    bool whole = false;
    lk_cut *g = NULL;
    lk_code code = LK_OK;
    for (size_t k = 0; !code && k < 2; k++) {
        if (!is(files[k], file))
            continue;
        code =
            lk_tower_output(&j->from, c, (lk_tower_kind)k, model, &j->arena, &j->outputs[k], err);
        if (!code)
            wanted[n++] = lk_str_of(j->outputs[k]);
    }
    if (!code)
        code = lk_cut_new(model, &g, err);
    if (!code)
        code = lk_cut_write(g, n, wanted, into, &whole, err);
    lk_cut_free(g);
    return code;
}

static lk_code make_tower(job *j, size_t i, lk_err *err)
{
    const char *name = j->card.files[i].name;
    lk_card_file f;
    lk_buf b, used;
    lk_quantize_report report = {0};
    lk_code code = lk_onnx_open_file(&j->from, &j->card, name, &f, err);
    if (code)
        return code;
    lk_buf_init(&b, LK_MAX_MODEL_BYTES);
    lk_buf_init(&used, LK_MAX_MODEL_BYTES);
    code = cut_tower(j, name, f.bytes, &used, err);
    if (!code) {
        lk_blob part = {(const unsigned char *)used.p, used.n};
        code = lk_quantize(used.n ? part : f.bytes, j->how, &b, &report, err);
    }
    lk_buf_release(&used);
    if (code)
        code = lk_err_prefix(err, code, "%s", name);
    else
        code = write_file(j, i, (lk_blob){(const unsigned char *)b.p, b.n}, err);
    if (!code) {
        j->done.n_products += report.n_products;
        j->done.n_replaced += report.n_replaced;
        j->done.bytes_before += f.bytes.n;
        j->done.bytes_after += b.n;
    }
    lk_buf_release(&b);
    lk_card_file_release(&f);
    return code;
}

static lk_code copy_file(job *j, size_t i, lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_open_file(&j->from, &j->card, j->card.files[i].name, &f, err);
    if (code)
        return code;
    code = write_file(j, i, f.bytes, err);
    lk_card_file_release(&f);
    return code;
}

static lk_code make_files(job *j, lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < j->card.n_files; i++) {
        const char *name = j->card.files[i].name;
        if (is_tower(&j->card, name))
            code = make_tower(j, i, err);
        else if (is_member(&j->card, name))
            code = copy_file(j, i, err);
    }
    if (!code && j->done.n_replaced == 0)
        code = lk_fail(err, LK_E_UNSUPPORTED,
                       "%s has no product with a constant weight: int8 would make nothing faster",
                       j->card.name);
    return code;
}

/* ---- the card ---- */

/* A tower as it was, but for the name of its output, which a head told that is gone now. A name
 * with a blank in it cannot stand in a card. */
static void put_tower(const lk_jval *tower, const char *output, lk_jw *w)
{
    bool said = output && !strchr(output, ' ');
    lk_str key;
    const lk_jval *v;
    lk_jw_obj(w);
    for (lk_jiter it = lk_jiter_of(tower); lk_jiter_next(&it, &key, &v);) {
        if (said && lk_str_is(key, "output"))
            continue;
        lk_jw_key_str(w, key);
        lk_jw_val(w, v);
    }
    if (said) {
        lk_jw_key(w, "output");
        lk_jw_strz(w, output);
    }
    lk_jw_end_obj(w);
}

static void put_members(const job *j, const lk_jval *card, lk_jw *w)
{
    static const char *const kept[] = {"version",    "description", "dim",        "driver",
                                       "license",    "licence",     "image",      "text",
                                       "categories", "classes",     "logit_scale"};
    for (size_t i = 0; i < LK_ARRAY_LEN(kept); i++) {
        const lk_jval *v = lk_jval_get(card, kept[i]);
        if (!v)
            continue;
        lk_jw_key(w, kept[i]);
        if (is(kept[i], "image"))
            put_tower(v, j->outputs[LK_TOWER_IMAGE], w);
        else if (is(kept[i], "text"))
            put_tower(v, j->outputs[LK_TOWER_TEXT], w);
        else
            lk_jw_val(w, v);
    }
}

static void put_what_was_done(const job *j, lk_jw *w)
{
    lk_jw_key(w, "quantized");
    lk_jw_obj(w);
    lk_jw_key(w, "from");
    lk_jw_strz(w, j->key);
    lk_jw_key(w, "products");
    lk_jw_uint(w, j->done.n_products);
    lk_jw_key(w, "int8");
    lk_jw_uint(w, j->done.n_replaced);
    lk_jw_end_obj(w);
}

static void put_files(const job *j, lk_jw *w)
{
    char hex[LK_SHA256_HEX + 1];
    lk_jw_key(w, "files");
    lk_jw_obj(w);
    for (size_t i = 0; i < j->card.n_files; i++) {
        if (!j->files[i].kept)
            continue;
        lk_sha256_hex(&j->files[i].sha256, hex);
        lk_jw_key(w, j->card.files[i].name);
        lk_jw_obj(w);
        lk_jw_key(w, "sha256");
        lk_jw_strz(w, hex);
        lk_jw_key(w, "bytes");
        lk_jw_uint(w, j->files[i].bytes);
        lk_jw_end_obj(w);
    }
    lk_jw_end_obj(w);
}

static lk_code write_card(job *j, lk_str old, lk_err *err)
{
    char path[PATH_MAX];
    lk_json *json = NULL;
    lk_buf b;
    lk_jw w;
    lk_code code = lk_json_parse(old, &json, err);
    if (code)
        return lk_err_prefix(err, LK_E_MODEL, "the model's card");
    lk_buf_init(&b, LK_MAX_CARD_BYTES);
    lk_jw_init(&w, &b);
    lk_jw_obj(&w);
    lk_jw_key(&w, "name");
    lk_jw_strz(&w, j->done.name);
    put_members(j, lk_json_root(json), &w);
    put_what_was_done(j, &w);
    put_files(j, &w);
    lk_jw_end_obj(&w);
    lk_buf_putc(&b, '\n');
    code = lk_buf_check(&b, err);
    if (!code)
        code = lk_staging_path(&j->to, "model.json", path, err);
    if (!code)
        code = lk_os_write_file(path, b.p, b.n, err);
    lk_buf_release(&b);
    lk_json_free(json);
    return code;
}

/* ---- the model ---- */

static lk_code make(job *j, lk_str card, const lk_model_opts *opts, const lk_cancel *cancel,
                    lk_err *err)
{
    lk_code code = lk_card_parse(card, &j->arena, &j->card, err);
    if (!code)
        code = lk_card_key(&j->card, &j->arena, &j->key, err);
    if (!code && strcmp(j->card.driver, "onnx") != 0)
        code = lk_fail(err, LK_E_UNSUPPORTED, "%s is no ONNX model", j->card.name);
    if (!code && lk_os_exists(j->to.target))
        code = lk_fail_field(err, LK_E_EXISTS, "to", "%s is there already", j->to.target);
    if (!code)
        code = lk_staging_clear(&j->to, err);
    if (!code)
        code = make_files(j, err);
    if (!code)
        code = write_card(j, card, err);
    if (!code)
        code = lk_model_try(j->to.dir, opts, cancel, err);
    if (!code)
        return lk_staging_place(&j->to, err);
    lk_code dropped = lk_staging_clear(&j->to, NULL); /* the sentence above matters more */
    (void)dropped;
    return code;
}

/* The last part of a folder's path, as the beginning of a name. */
static lk_code name_target(const char *name, const char *to, char ret[LK_MAX_MODEL_NAME + 1],
                           lk_err *err)
{
    const char *slash = strrchr(name, '/');
    int n = to ? snprintf(ret, LK_MAX_MODEL_NAME + 1, "%s", to)
               : snprintf(ret, LK_MAX_MODEL_NAME + 1, "%s-int8", slash ? slash + 1 : name);
    if (n < 0 || n > LK_MAX_MODEL_NAME)
        return lk_fail_field(err, LK_E_INVALID, "to", "a model's name has at most %d letters",
                             LK_MAX_MODEL_NAME);
    return LK_OK;
}

lk_code lk_model_quantize(const char *name, const char *to, const lk_model_opts *opts,
                          const lk_quantize_opts *how, const lk_cancel *cancel, lk_quantized *ret,
                          lk_err *err)
{
    char path[PATH_MAX];
    lk_card_file card = {0};
    job *j = lk_calloc(1, sizeof *j);
    if (!j)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    lk_arena_init(&j->arena, 0);
    j->how = how;
    j->to.lock_fd = -1;
    lk_code code = name_target(name, to, j->done.name, err);
    if (!code)
        code = lk_model_locate(name, opts->models_dir, path, &j->from, err);
    if (!code)
        code = lk_card_read_file(&j->from, "model.json", LK_MAX_CARD_BYTES, &card, err);
    if (!code)
        code = lk_staging_open(opts->models_dir, j->done.name, &j->to, err);
    if (!code)
        code = make(j, (lk_str){(const char *)card.bytes.p, card.bytes.n}, opts, cancel, err);
    if (j->to.lock_fd >= 0)
        lk_staging_close(&j->to);
    if (!code)
        *ret = j->done;
    lk_card_file_release(&card);
    lk_arena_release(&j->arena);
    lk_free(j);
    return code;
}
