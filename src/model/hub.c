#include "model/hub.h"

#include "base/json.h"
#include "model/card.h"

static lk_code bad(lk_err *err, const char *member, const char *what)
{
    return lk_fail(err, LK_E_MODEL, "the model's card: \"%s\" %s", member, what);
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '~';
}

/* ---- reading ---- */

static lk_code get_text(const lk_jval *obj, const char *key, const char *member, lk_arena *into,
                        const char **ret, lk_err *err)
{
    lk_str s = lk_jval_str(lk_jval_get(obj, key));
    if (s.n == 0 || s.n > 256 || memchr(s.p, 0, s.n))
        return bad(err, member, "is not a text of 1 to 256 bytes");
    *ret = lk_arena_strndup(into, s.p, s.n);
    return *ret ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for a card");
}

/* "owner/name": it becomes a part of an address. */
static bool is_repository(const char *text)
{
    size_t slashes = 0;
    for (const char *p = text; *p; p++) {
        slashes += *p == '/';
        if (!is_plain(*p) && *p != '/')
            return false;
    }
    return slashes == 1 && lk_card_is_inside(text);
}

/* SHA-256 and size as far as v has them. */
static lk_code get_facts(const lk_jval *v, lk_hub_file *f, lk_err *err)
{
    const lk_jval *bytes = lk_jval_get(v, "bytes"), *sha256 = lk_jval_get(v, "sha256");
    if (bytes) {
        int64_t n = lk_jval_int(bytes);
        if (n < 1 || (uint64_t)n > LK_MAX_MODEL_BYTES)
            return bad(err, "bytes", "is not a size of 1 byte to 4 GiB");
        f->bytes = (uint64_t)n;
    }
    if (sha256) {
        if (!lk_sha256_from_hex(lk_jval_str(sha256), &f->sha256))
            return bad(err, "sha256", "is not 64 hexadecimal digits");
        f->has_sha256 = true;
    }
    return LK_OK;
}

/* Members "repository" and "revision" of the hub, or of a file that stands elsewhere. */
static lk_code get_place(const lk_jval *v, bool required, lk_arena *into, const char **repository,
                         const char **revision, lk_err *err)
{
    lk_code code = LK_OK;
    if (required || lk_jval_get(v, "repository"))
        code = get_text(v, "repository", "hub.repository", into, repository, err);
    if (!code && *repository && !is_repository(*repository))
        code = bad(err, "hub.repository", "is not of the form owner/name");
    if (!code && lk_jval_get(v, "revision"))
        code = get_text(v, "revision", "hub.revision", into, revision, err);
    return code;
}

static lk_code get_file(const lk_jval *v, const lk_jval *known, lk_arena *into, lk_hub_file *ret,
                        lk_err *err)
{
    lk_hub_file f = {0};
    lk_code code = get_text(v, "from", "hub.files[].from", into, &f.from, err);
    if (!code && lk_jval_get(v, "to"))
        code = get_text(v, "to", "hub.files[].to", into, &f.to, err);
    else if (!code) /* a plain folder: the last part of the name */
        f.to = strrchr(f.from, '/') ? strrchr(f.from, '/') + 1 : f.from;
    if (!code && (!lk_card_is_inside(f.from) || !lk_card_is_inside(f.to)))
        code = lk_fail(err, LK_E_MODEL, "the model's card: \"%.80s\" leaves the model's folder",
                       lk_card_is_inside(f.from) ? f.to : f.from);
    if (!code)
        code = get_place(v, false, into, &f.repository, &f.revision, err);
    if (!code && strcmp(f.to, "model.json") == 0)
        code = bad(err, "hub.files[].to", "is the card's own name, model.json");
    if (!code)
        code = get_facts(lk_jval_get(known, f.to), &f, err);
    if (!code)
        code = get_facts(v, &f, err);
    *ret = f;
    return code;
}

static lk_code get_files(const lk_jval *list, const lk_jval *known, lk_arena *into, lk_hub *h,
                         lk_err *err)
{
    lk_str key;
    const lk_jval *v;
    lk_code code = LK_OK;
    if (lk_jval_type(list) != LK_J_ARR || lk_jval_len(list) < 1 ||
        lk_jval_len(list) > LK_MAX_HUB_FILES)
        return bad(err, "hub.files", "is not a list of 1 to 16 files");
    for (lk_jiter it = lk_jiter_of(list); !code && lk_jiter_next(&it, &key, &v);) {
        code = get_file(v, known, into, &h->files[h->n_files], err);
        for (size_t i = 0; !code && i < h->n_files; i++)
            if (strcmp(h->files[i].to, h->files[h->n_files].to) == 0)
                code = bad(err, h->files[i].to, "is the name of two files");
        h->n_files++;
    }
    return code;
}

lk_code lk_hub_parse(lk_str card, lk_arena *into, lk_hub *ret, lk_err *err)
{
    lk_json *json = NULL;
    lk_hub h = {.revision = LK_HUB_REVISION};
    lk_code code = lk_json_parse(card, &json, err);
    if (code)
        return lk_err_prefix(err, LK_E_MODEL, "the model's card");
    const lk_jval *root = lk_json_root(json), *hub = lk_jval_get(root, "hub");
    code = get_text(root, "name", "name", into, &h.name, err);
    if (!code && !hub)
        code = lk_fail(err, LK_E_UNSUPPORTED,
                       "the card of %s names no place to pull it from (\"hub\")", h.name);
    if (!code)
        code = get_place(hub, true, into, &h.repository, &h.revision, err);
    if (!code)
        code = get_files(lk_jval_get(hub, "files"), lk_jval_get(root, "files"), into, &h, err);
    lk_json_free(json);
    if (!code)
        *ret = h;
    return code;
}

/* ---- addresses ---- */

lk_code lk_hub_check_base(const char *base, lk_err *err)
{
    lk_str s = lk_str_of(base);
    size_t head = lk_str_starts(s, LK_STR("https://")) ? 8 : 7;
    bool ok = head == 8 || lk_str_starts(s, LK_STR("http://"));
    ok = ok && s.n > head && s.n < 1024 && s.p[head] != '/';
    for (size_t i = 0; ok && i < s.n; i++)
        ok = s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '?' && s.p[i] != '#';
    return ok ? LK_OK
              : lk_fail_field(err, LK_E_INVALID, "hub",
                              "\"%.120s\" is not the address of a hub, such as %s", base,
                              LK_HUB_DEFAULT);
}

static void put_escaped(lk_buf *b, const char *text, bool keep_slashes)
{
    for (const char *p = text; *p; p++) {
        if (is_plain(*p) || (*p == '/' && keep_slashes))
            lk_buf_putc(b, *p);
        else
            lk_buf_printf(b, "%%%02X", (unsigned char)*p);
    }
}

const char *lk_hub_repository(const lk_hub *h, const lk_hub_file *f)
{
    return f->repository ? f->repository : h->repository;
}

/* The hub's revision says nothing about another repository. */
const char *lk_hub_revision(const lk_hub *h, const lk_hub_file *f)
{
    return f->revision ? f->revision : f->repository ? LK_HUB_REVISION : h->revision;
}

lk_code lk_hub_url(const lk_hub *h, const lk_hub_file *f, const char *base, lk_buf *out,
                   lk_err *err)
{
    lk_str s = lk_str_of(base);
    while (s.n > 0 && s.p[s.n - 1] == '/')
        s.n--;
    lk_buf_put(out, s.p, s.n);
    lk_buf_printf(out, "/%s/resolve/", lk_hub_repository(h, f));
    put_escaped(out, lk_hub_revision(h, f), false); /* a branch's name may hold slashes */
    lk_buf_putc(out, '/');
    put_escaped(out, f->from, true);
    return lk_buf_check(out, err);
}

/* ---- the finished card ---- */

static void put_files(lk_jw *w, size_t n, const lk_hub_file *files)
{
    char hex[LK_SHA256_HEX + 1];
    lk_jw_key(w, "files");
    lk_jw_obj(w);
    for (size_t i = 0; i < n; i++) {
        lk_sha256_hex(&files[i].sha256, hex);
        lk_jw_key(w, files[i].to);
        lk_jw_obj(w);
        lk_jw_key(w, "sha256");
        lk_jw_strz(w, hex);
        lk_jw_key(w, "bytes");
        lk_jw_uint(w, files[i].bytes);
        lk_jw_end_obj(w);
    }
    lk_jw_end_obj(w);
}

lk_code lk_hub_finish_card(lk_str card, size_t n, const lk_hub_file *files, lk_buf *out,
                           lk_err *err)
{
    lk_json *json = NULL;
    lk_jw w;
    lk_str key;
    const lk_jval *v;
    lk_code code = lk_json_parse(card, &json, err);
    if (code)
        return lk_err_prefix(err, LK_E_MODEL, "the model's card");
    lk_jw_init(&w, out);
    lk_jw_obj(&w);
    for (lk_jiter it = lk_jiter_of(lk_json_root(json)); lk_jiter_next(&it, &key, &v);) {
        if (lk_str_is(key, "files"))
            continue;
        lk_jw_key_str(&w, key);
        lk_jw_val(&w, v);
    }
    put_files(&w, n, files);
    lk_jw_end_obj(&w);
    lk_buf_putc(out, '\n');
    lk_json_free(json);
    return lk_buf_check(out, err);
}
