#include "model/card.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/embed.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/model.h"

#define DEFAULT_LOGIT_SCALE 100

/* ---- members ---- */

static lk_code bad(lk_err *err, const char *member, const char *what)
{
    return lk_fail(err, LK_E_MODEL, "the model's card: \"%s\" %s", member, what);
}

static lk_code get_text(const lk_jval *obj, const char *key, bool required, lk_arena *into,
                        const char **ret, lk_err *err)
{
    const lk_jval *v = lk_jval_get(obj, key);
    if (!v)
        return required ? bad(err, key, "is missing") : LK_OK;
    lk_str s = lk_jval_str(v);
    if (lk_jval_type(v) != LK_J_STR || s.n == 0 || s.n > 256 || memchr(s.p, 0, s.n))
        return bad(err, key, "is not a text of 1 to 256 bytes");
    *ret = lk_arena_strndup(into, s.p, s.n);
    return *ret ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for a card");
}

static lk_code get_count(const lk_jval *obj, const char *key, int64_t max, int64_t dflt,
                         int64_t *ret, lk_err *err)
{
    const lk_jval *v = lk_jval_get(obj, key);
    *ret = dflt;
    if (!v)
        return dflt ? LK_OK : bad(err, key, "is missing");
    *ret = lk_jval_int(v);
    if (lk_jval_type(v) != LK_J_INT || *ret < 1 || *ret > max)
        return bad(err, key, "is not a whole number in range");
    return LK_OK;
}

static lk_code get_three(const lk_jval *obj, const char *key, bool positive, float ret[3],
                         lk_err *err)
{
    const lk_jval *v = lk_jval_get(obj, key);
    if (lk_jval_len(v) != 3 || lk_jval_type(v) != LK_J_ARR)
        return bad(err, key, "is not three numbers");
    for (size_t i = 0; i < 3; i++) {
        const lk_jval *x = lk_jval_at(v, i);
        lk_jtype t = lk_jval_type(x);
        ret[i] = (float)lk_jval_real(x);
        if ((t != LK_J_INT && t != LK_J_REAL) || (positive && !(ret[i] > 0)))
            return bad(err, key, "is not three numbers");
    }
    return LK_OK;
}

static lk_code get_scale(const lk_jval *root, double *ret, lk_err *err)
{
    const lk_jval *v = lk_jval_get(root, "logit_scale");
    *ret = v ? lk_jval_real(v) : DEFAULT_LOGIT_SCALE;
    return *ret > 0 && *ret <= LK_MAX_LOGIT_SCALE ? LK_OK
                                                  : bad(err, "logit_scale", "is out of range");
}

/* The first word of the text is what counts: "bicubic, antialiased". */
static int word_of(lk_str s, const char *const *words, size_t n)
{
    lk_str first = lk_str_trim(lk_str_cut(&s, ','));
    for (size_t i = 0; i < n; i++)
        if (lk_str_is(first, words[i]))
            return (int)i;
    return -1;
}

static lk_code get_word(const lk_jval *obj, const char *key, const char *const *words, size_t n,
                        int dflt, int *ret, lk_err *err)
{
    const lk_jval *v = lk_jval_get(obj, key);
    *ret = v ? word_of(lk_jval_str(v), words, n) : dflt;
    return *ret >= 0 ? LK_OK : bad(err, key, "is not a kind that is known");
}

bool lk_card_is_inside(const char *name)
{
    lk_str rest = lk_str_of(name);
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == '\\')
            return false;
    while (rest.n) {
        lk_str part = lk_str_cut(&rest, '/');
        if (part.n == 0 || lk_str_is(part, ".") || lk_str_is(part, ".."))
            return false;
    }
    return name[0] && name[0] != '/';
}

static lk_code get_file(const lk_jval *obj, const char *key, lk_arena *into, const char **ret,
                        lk_err *err)
{
    lk_code code = get_text(obj, key, true, into, ret, err);
    if (!code && !lk_card_is_inside(*ret))
        code = lk_fail(err, LK_E_MODEL, "the model's card: \"%s\" leaves the model's folder", *ret);
    return code;
}

static lk_code get_optional_file(const lk_jval *obj, const char *key, lk_arena *into,
                                 const char **ret, lk_err *err)
{
    return lk_jval_get(obj, key) ? get_file(obj, key, into, ret, err) : LK_OK;
}

static lk_code get_flag(const lk_jval *obj, const char *key, bool *ret, lk_err *err)
{
    const lk_jval *v = lk_jval_get(obj, key);
    if (v && lk_jval_type(v) != LK_J_BOOL)
        return bad(err, key, "is neither true nor false");
    if (v)
        *ret = lk_jval_bool(v);
    return LK_OK;
}

/* A text of several words describes the output for people: "image_embeds (N,256)". */
static lk_code get_tensor_name(const lk_jval *o, lk_arena *into, const char **ret, lk_err *err)
{
    const char *text = NULL;
    lk_code code = get_text(o, "output", false, into, &text, err);
    if (!code && text && !strchr(text, ' '))
        *ret = text;
    return code;
}

/* ---- parts ---- */

static lk_code parse_tower(const lk_jval *o, lk_arena *into, lk_card_tower *t, lk_err *err)
{
    static const char *const pools[] = {
        [LK_POOL_NONE] = "none", [LK_POOL_CLS] = "cls", [LK_POOL_MEAN] = "mean"};
    int pool = 0;
    lk_code code = get_file(o, "file", into, &t->file, err);
    if (!code)
        code = get_tensor_name(o, into, &t->output, err);
    if (!code)
        code = get_word(o, "pool", pools, LK_ARRAY_LEN(pools), LK_POOL_NONE, &pool, err);
    if (!code)
        code = get_optional_file(o, "projection", into, &t->projection, err);
    t->pool = (lk_card_pool)pool;
    return code;
}

static lk_code parse_image(const lk_jval *o, lk_arena *into, lk_card *c, lk_err *err)
{
    static const char *const fits[] = {"crop", "squash", "pad"};
    static const char *const filters[] = {"bicubic", "bilinear", "lanczos", "box"};
    int64_t size = 0, short_side = 0;
    int fit = 0, filter = 0;
    lk_code code = c->remote.url ? LK_OK : parse_tower(o, into, &c->image, err);
    if (!code)
        code = get_count(o, "size", 1024, 0, &size, err);
    if (!code)
        code = get_count(o, "short_side", 2048, size, &short_side, err);
    if (!code && short_side < size)
        code = bad(err, "short_side", "is less than \"size\"");
    if (!code)
        code = get_word(o, "resize", fits, LK_ARRAY_LEN(fits), LK_FIT_CROP, &fit, err);
    if (!code)
        code = get_word(o, "resize_filter", filters, LK_ARRAY_LEN(filters), LK_RESIZE_BICUBIC,
                        &filter, err);
    if (!code && !c->remote.url)
        code = get_three(o, "mean", false, c->mean, err);
    if (!code && !c->remote.url)
        code = get_three(o, "std", true, c->std, err);
    c->has_image = true;
    c->size = (unsigned)size;
    c->short_side = (unsigned)short_side;
    c->fit = (lk_fit)fit;
    c->filter = (lk_resize_filter)filter;
    return code;
}

static lk_code parse_tokenizer(const lk_jval *o, lk_arena *into, lk_card *c, lk_err *err)
{
    static const char *const likes[] = {
        [LK_TOK_LIKE_ORIGINAL] = "original", [LK_TOK_LIKE_HF] = "hf"};
    const char *kinds[LK_N_TOKENIZERS - 1];
    int kind = 0, like = 0;
    for (size_t i = 0; i < LK_ARRAY_LEN(kinds); i++)
        kinds[i] = lk_tokenizer_kind_name((lk_tokenizer_kind)(i + 1));
    lk_code code = get_word(o, "tokenizer", kinds, LK_ARRAY_LEN(kinds), -1, &kind, err);
    if (!code)
        code = get_word(o, "tokenizer_like", likes, LK_ARRAY_LEN(likes), LK_TOK_LIKE_ORIGINAL,
                        &like, err);
    if (!code)
        code = get_file(o, "vocab", into, &c->vocab_file, err);
    if (!code)
        code = get_optional_file(o, "merges", into, &c->merges_file, err);
    c->lower_case = true;
    if (!code)
        code = get_flag(o, "lower_case", &c->lower_case, err);
    c->tokenizer = (lk_tokenizer_kind)(kind + 1);
    c->tokenizer_like = (lk_tokenizer_like)like;
    return code;
}

static lk_code parse_text(const lk_jval *o, lk_arena *into, lk_card *c, lk_err *err)
{
    static const char *const paddings[] = {"none", "full"}, *const masks[] = {"tokens", "all"};
    const lk_jval *pad = lk_jval_get(o, "pad_id");
    int64_t max_terms = 0;
    int padding = 0, mask = 0;
    c->has_text = true;
    if (c->remote.url)
        return LK_OK;
    lk_code code = parse_tower(o, into, &c->text, err);
    if (!code)
        code = parse_tokenizer(o, into, c, err);
    if (!code && lk_jval_get(o, "max_terms"))
        code = get_count(o, "max_terms", LK_MAX_TOKENS, 0, &max_terms, err);
    c->pad_id = -1;
    if (!code && pad) {
        c->pad_id = lk_jval_int(pad);
        if (lk_jval_type(pad) != LK_J_INT || c->pad_id < 0 || c->pad_id > INT32_MAX)
            code = bad(err, "pad_id", "is not a whole number in range");
    }
    if (!code)
        code = get_word(o, "padding", paddings, 2, c->tokenizer == LK_TOK_WORDS ? 0 : 1, &padding,
                        err);
    if (!code)
        code = get_word(o, "attention_mask", masks, 2, 0, &mask, err);
    c->max_terms = (size_t)max_terms;
    c->pad_full = padding == 1;
    c->mask_all = mask == 1;
    return code;
}

static lk_code parse_remote(const lk_jval *o, lk_arena *into, lk_card *c, lk_err *err)
{
    c->remote.key = "ROBOFLOW_API_KEY";
    lk_code code = get_text(o, "url", true, into, &c->remote.url, err);
    if (!code)
        code = get_text(o, "variant", false, into, &c->remote.variant, err);
    return code ? code : get_text(o, "key", false, into, &c->remote.key, err);
}

static lk_code parse_files(const lk_jval *o, lk_arena *into, lk_card *c, lk_err *err)
{
    lk_str key;
    const lk_jval *v;
    if (!o && c->remote.url)
        return LK_OK;
    if (lk_jval_type(o) != LK_J_OBJ || lk_jval_len(o) > LK_ARRAY_LEN(c->files))
        return bad(err, "files", "is not an object of at most 16 files");
    for (lk_jiter it = lk_jiter_of(o); lk_jiter_next(&it, &key, &v);) {
        int64_t bytes = lk_jval_int(lk_jval_get(v, "bytes"));
        const char *name = lk_arena_strndup(into, key.p, key.n);
        if (!name)
            return lk_fail(err, LK_E_NOMEM, "out of memory for a card");
        if (!lk_card_is_inside(name))
            return lk_fail(err, LK_E_MODEL, "the model's card: \"%s\" leaves the model's folder",
                           name);
        if (bytes < 1 || !lk_sha256_from_hex(lk_jval_str(lk_jval_get(v, "sha256")),
                                             &c->files[c->n_files].sha256))
            return lk_fail(err, LK_E_MODEL, "the model's card: \"%s\" has no sha256 and bytes",
                           name);
        c->files[c->n_files].name = name;
        c->files[c->n_files++].bytes = (uint64_t)bytes;
    }
    return LK_OK;
}

lk_code lk_card_parse(lk_str text, lk_arena *into, lk_card *ret, lk_err *err)
{
    lk_json *json = NULL;
    lk_card c = {.describe = "", .driver = "onnx"};
    int64_t dim = 0;
    lk_code code = lk_json_parse(text, &json, err);
    if (code)
        return lk_err_prefix(err, LK_E_MODEL, "the model's card");
    const lk_jval *root = lk_json_root(json), *image = lk_jval_get(root, "image"),
                  *words = lk_jval_get(root, "text"), *cat = lk_jval_get(root, "categories"),
                  *remote = lk_jval_get(root, "remote"), *classes = lk_jval_get(root, "classes");
    code = get_text(root, "name", true, into, &c.name, err);
    if (!code)
        code = get_text(root, "version", true, into, &c.version, err);
    if (!code)
        code = get_text(root, "description", false, into, &c.describe, err);
    if (!code)
        code = get_text(root, "driver", false, into, &c.driver, err);
    if (!code)
        code = get_count(root, "dim", LK_MAX_DIM, 0, &dim, err);
    c.dim = (size_t)dim;
    if (!code && remote && strcmp(c.driver, "onnx") == 0)
        code = bad(err, "remote", "is not for the driver onnx");
    if (!code && remote)
        code = parse_remote(remote, into, &c, err);
    if (!code && image)
        code = parse_image(image, into, &c, err);
    if (!code && words)
        code = parse_text(words, into, &c, err);
    if (!code && cat)
        code = get_file(cat, "file", into, &c.categories_file, err);
    if (!code && classes)
        code = get_file(classes, "file", into, &c.classes_file, err);
    if (!code)
        code = get_scale(root, &c.logit_scale, err);
    if (!code && !image && !words)
        code = bad(err, "image", "and \"text\" are both missing");
    if (!code)
        code = parse_files(lk_jval_get(root, "files"), into, &c, err);
    lk_json_free(json);
    if (!code)
        *ret = c;
    return code;
}

/* ---- files ---- */

static lk_code folder_file(const char *dir, const char *name, size_t limit, lk_card_file *ret,
                           lk_err *err)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return lk_fail(err, LK_E_MODEL, "the path of \"%s\" is too long", name);
    /* Every part below the folder, so that a linked folder is seen too. */
    for (size_t i = strlen(dir) + 1; i <= (size_t)n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char c = path[i];
        path[i] = '\0';
        bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
        path[i] = c;
        if (link)
            return lk_fail(err, LK_E_MODEL, "\"%s\" is a symbolic link", path);
    }
    return lk_os_read_file(path, limit, &ret->own, &ret->bytes.n, err);
}

static lk_code embedded_file(const char *prefix, const char *name, lk_card_file *ret, lk_err *err)
{
    char path[256];
    int n = snprintf(path, sizeof path, "%s/%s", prefix, name);
    const lk_embedded_file *f = n > 0 && (size_t)n < sizeof path ? lk_embedded_find(path) : NULL;
    if (!f)
        return lk_fail(err, LK_E_NOT_FOUND, "\"%s\" is not part of this program", path);
    ret->bytes = (lk_blob){f->data, f->size};
    return LK_OK;
}

lk_code lk_card_read_file(const lk_card_source *from, const char *name, size_t limit,
                          lk_card_file *ret, lk_err *err)
{
    *ret = (lk_card_file){0};
    if (from->embedded)
        return embedded_file(from->embedded, name, ret, err);
    lk_code code = folder_file(from->dir, name, limit, ret, err);
    ret->bytes.p = ret->own;
    return code;
}

lk_code lk_card_read(const lk_card_source *from, lk_arena *into, lk_card *ret, lk_err *err)
{
    lk_card_file f;
    lk_code code = lk_card_read_file(from, "model.json", LK_MAX_CARD_BYTES, &f, err);
    if (!code)
        code = lk_card_parse((lk_str){(const char *)f.bytes.p, f.bytes.n}, into, ret, err);
    lk_card_file_release(&f);
    return code;
}

lk_code lk_card_open_file(const lk_card_source *from, const lk_card *card, const char *name,
                          lk_card_file *ret, lk_err *err)
{
    size_t i = 0;
    lk_sha256 now;
    while (i < card->n_files && strcmp(card->files[i].name, name) != 0)
        i++;
    if (i == card->n_files)
        return lk_fail(err, LK_E_MODEL, "the model's card does not list \"%s\" under \"files\"",
                       name);
    lk_code code = lk_card_read_file(from, name, LK_MAX_MODEL_BYTES, ret, err);
    if (code)
        return code == LK_E_NOMEM ? code : lk_err_prefix(err, LK_E_MODEL, "model %s", card->name);
    if (from->embedded)
        return LK_OK;
    if (ret->bytes.n != card->files[i].bytes)
        code = lk_fail(err, LK_E_MODEL, "\"%s\" has %zu bytes, the card says %llu", name,
                       ret->bytes.n, (unsigned long long)card->files[i].bytes);
    if (!code)
        code = lk_sha256_of(ret->bytes.p, ret->bytes.n, &now, err);
    if (!code && memcmp(&now, &card->files[i].sha256, sizeof now) != 0)
        code = lk_fail(err, LK_E_MODEL, "the SHA-256 of \"%s\" is not the card's", name);
    if (code)
        lk_card_file_release(ret);
    return code;
}

void lk_card_file_release(lk_card_file *f)
{
    lk_free(f->own);
    *f = (lk_card_file){0};
}

/* ---- the key ---- */

static void put_file(lk_buf *b, const lk_card *c, const char *name)
{
    char hex[LK_SHA256_HEX + 1] = "none";
    for (size_t i = 0; name && i < c->n_files; i++)
        if (strcmp(c->files[i].name, name) == 0)
            lk_sha256_hex(&c->files[i].sha256, hex);
    lk_buf_printf(b, " %s", hex);
}

/* Only what differs from the simplest tower, so that a card keeps its key when cards learn more. */
static void put_tower(lk_buf *b, const lk_card *c, const lk_card_tower *t)
{
    if (t->output)
        lk_buf_printf(b, " output %s", t->output);
    if (t->pool)
        lk_buf_printf(b, " pool %d", (int)t->pool);
    if (t->projection)
        put_file(b, c, t->projection);
}

static bool is_named(const lk_card *c, const char *file)
{
    const char *const names[] = {c->image.file,      c->image.projection, c->text.file,
                                 c->text.projection, c->vocab_file,       c->merges_file,
                                 c->categories_file, c->classes_file};
    for (size_t i = 0; i < LK_ARRAY_LEN(names); i++)
        if (names[i] && strcmp(names[i], file) == 0)
            return true;
    return false;
}

/* Listed files that no member names: weights that stand outside of the model's file. */
static void put_others(lk_buf *b, const lk_card *c)
{
    for (size_t i = 0; i < c->n_files; i++)
        if (!is_named(c, c->files[i].name))
            put_file(b, c, c->files[i].name);
}

lk_code lk_card_key(const lk_card *c, lk_arena *into, const char **ret, lk_err *err)
{
    lk_buf b;
    lk_sha256 h;
    char hex[LK_SHA256_HEX + 1];
    lk_buf_init(&b, 1u << 16);
    lk_buf_printf(&b, "dim %zu image %d %d %d %u %u", c->dim, c->has_image, (int)c->fit,
                  (int)c->filter, c->size, c->short_side);
    for (size_t i = 0; i < 3; i++)
        lk_buf_printf(&b, " %.9g %.9g", (double)c->mean[i], (double)c->std[i]);
    put_file(&b, c, c->image.file);
    lk_buf_printf(&b, " text %d %d %zu", c->has_text, (int)c->tokenizer, c->max_terms);
    put_file(&b, c, c->text.file);
    put_file(&b, c, c->vocab_file);
    put_tower(&b, c, &c->image);
    put_tower(&b, c, &c->text);
    if (c->tokenizer > LK_TOK_WORDS) {
        put_file(&b, c, c->merges_file);
        lk_buf_printf(&b, " like %d lower %d pad %lld %d mask %d", (int)c->tokenizer_like,
                      c->lower_case, (long long)c->pad_id, c->pad_full, c->mask_all);
    }
    put_others(&b, c);
    /* Not the address: a service may be reached by several. */
    if (c->remote.url)
        lk_buf_printf(&b, " by %s %s", c->driver, c->remote.variant ? c->remote.variant : "");
    lk_code code = lk_buf_check(&b, err);
    if (!code)
        code = lk_sha256_of(b.p, b.n, &h, err);
    lk_buf_release(&b);
    if (code)
        return code;
    lk_sha256_hex(&h, hex);
    *ret = lk_arena_printf(into, "%s@%s:%.16s", c->name, c->version, hex);
    return *ret ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for a card");
}
