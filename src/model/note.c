#include "model/note.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/os.h"

#define MAX_NOTE_BYTES 8192

static bool get_text(const lk_jval *root, const char *key, char *ret, size_t size)
{
    lk_str s = lk_jval_str(lk_jval_get(root, key));
    if (s.n >= size)
        return false;
    memcpy(ret, s.p, s.n);
    ret[s.n] = '\0';
    return true;
}

static bool get_count(const lk_jval *root, const char *key, uint64_t *ret)
{
    int64_t v = lk_jval_int(lk_jval_get(root, key));
    *ret = v > 0 ? (uint64_t)v : 0;
    return v >= 0;
}

static bool fill(const lk_jval *root, lk_note *n)
{
    lk_str hex = lk_jval_str(lk_jval_get(root, "sha256"));
    n->has_sha256 = hex.n > 0;
    n->done = lk_jval_bool(lk_jval_get(root, "done"));
    n->vouched = lk_jval_bool(lk_jval_get(root, "vouched"));
    return get_text(root, "hub", n->hub, sizeof n->hub) &&
           get_text(root, "etag", n->etag, sizeof n->etag) && get_count(root, "bytes", &n->bytes) &&
           get_count(root, "synced", &n->synced) &&
           (!n->has_sha256 || lk_sha256_from_hex(hex, &n->sha256));
}

lk_code lk_note_read(const char *path, lk_note *ret, lk_err *err)
{
    unsigned char *p = NULL;
    size_t n = 0;
    lk_json *json = NULL;
    lk_note note = {.bytes = 0};
    *ret = note;
    lk_code code = lk_os_read_file(path, MAX_NOTE_BYTES, &p, &n, err);
    if (!code)
        code = lk_json_parse((lk_str){(const char *)p, n}, &json, err);
    if (!code && fill(lk_json_root(json), &note))
        *ret = note;
    lk_json_free(json);
    lk_free(p);
    return code == LK_E_NOMEM ? code : LK_OK;
}

lk_code lk_note_write(const char *path, const lk_note *n, lk_err *err)
{
    char hex[LK_SHA256_HEX + 1] = "";
    lk_buf b;
    lk_jw w;
    if (n->has_sha256)
        lk_sha256_hex(&n->sha256, hex);
    const struct {
        const char *key, *text;
    } texts[] = {{"hub", n->hub}, {"etag", n->etag}, {"sha256", hex}};
    lk_buf_init(&b, MAX_NOTE_BYTES);
    lk_jw_init(&w, &b);
    lk_jw_obj(&w);
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++) {
        lk_jw_key(&w, texts[i].key);
        lk_jw_strz(&w, texts[i].text);
    }
    lk_jw_key(&w, "bytes");
    lk_jw_uint(&w, n->bytes);
    lk_jw_key(&w, "synced");
    lk_jw_uint(&w, n->synced);
    lk_jw_key(&w, "done");
    lk_jw_bool(&w, n->done);
    lk_jw_key(&w, "vouched");
    lk_jw_bool(&w, n->vouched);
    lk_jw_end_obj(&w);
    lk_code code = lk_buf_check(&b, err);
    if (!code)
        code = lk_os_write_file(path, b.p, b.n, err);
    lk_buf_release(&b);
    return code;
}
