#include "server/body.h"

#include "base/mem.h"

#define KEEP_BYTES 65536    /* a connection at rest keeps no more than this */
#define RESERVE_STEP 262144 /* bodies of unknown length take the budget in such steps */

void lk_body_init(lk_body *b, lk_budget *budget)
{
    memset(b, 0, sizeof *b);
    b->budget = budget;
    lk_buf_init(&b->whole, 0);
}

static void free_parts(lk_body *b)
{
    for (size_t i = 0; i < b->n_parts; i++) {
        lk_free(b->parts[i].name);
        lk_free(b->parts[i].filename);
        lk_free(b->parts[i].media_type);
        lk_buf_release(&b->parts[i].data);
    }
    lk_free(b->parts);
    b->parts = NULL;
    b->n_parts = b->cap_parts = 0;
}

void lk_body_clear(lk_body *b, bool keep)
{
    if (b->parts)
        free_parts(b);
    if (keep && b->whole.cap <= KEEP_BYTES) {
        lk_buf_clear(&b->whole);
    } else {
        lk_buf_release(&b->whole);
        lk_buf_init(&b->whole, 0);
    }
    /* Relaxed: the counter guards no data. */
    if (b->reserved)
        atomic_fetch_sub_explicit(&b->budget->used, b->reserved, memory_order_relaxed);
    b->reserved = b->received = 0;
    b->kind = LK_BODY_NONE;
}

static bool media_is(const char *s, const char *type)
{
    size_t n = strlen(type);
    lk_str have = {s, strcspn(s, ";")};
    return lk_str_eq_nocase(lk_str_trim(have), (lk_str){type, n});
}

lk_body_kind lk_body_kind_of(const char *content_type)
{
    if (media_is(content_type, "application/json"))
        return LK_BODY_JSON;
    if (media_is(content_type, "multipart/form-data") ||
        media_is(content_type, "application/x-www-form-urlencoded"))
        return LK_BODY_FORM;
    lk_str head = {content_type, strnlen(content_type, 6)};
    if (lk_str_eq_nocase(head, LK_STR("image/")) ||
        media_is(content_type, "application/octet-stream"))
        return LK_BODY_IMAGE;
    return LK_BODY_NONE;
}

static lk_code reserve(lk_body *b, size_t want, lk_err *err)
{
    if (want <= b->reserved)
        return LK_OK;
    size_t more = want - b->reserved;
    size_t used = atomic_fetch_add_explicit(&b->budget->used, more, memory_order_relaxed);
    b->reserved = want;
    if (used + more > b->budget->limit)
        return lk_fail(err, LK_E_BUSY, "too many bytes are being uploaded at once");
    return LK_OK;
}

static lk_code too_long(const lk_body *b, lk_err *err)
{
    return lk_fail(err, LK_E_LIMIT, "the body is longer than %zu bytes", b->max_bytes);
}

lk_code lk_body_begin(lk_body *b, lk_body_kind kind, size_t length, size_t max_bytes,
                      size_t max_parts, lk_err *err)
{
    b->kind = kind;
    b->max_bytes = max_bytes;
    b->max_parts = max_parts;
    if (length > max_bytes)
        return too_long(b, err);
    return reserve(b, length, err);
}

lk_code lk_body_count(lk_body *b, size_t n, lk_err *err)
{
    if (n > b->max_bytes - b->received)
        return too_long(b, err);
    b->received += n;
    if (b->received <= b->reserved)
        return LK_OK;
    return reserve(b, (b->received / RESERVE_STEP + 1) * RESERVE_STEP, err);
}

lk_code lk_body_append(lk_body *b, const void *p, size_t n, lk_err *err)
{
    lk_buf_put(&b->whole, p, n);
    return lk_buf_check(&b->whole, err);
}

static char *dup_text(const char *s)
{
    return s ? lk_strndup(s, strlen(s)) : NULL;
}

static lk_code add_part(lk_body *b, const char *name, const char *filename, const char *media_type,
                        lk_err *err)
{
    if (b->n_parts == b->max_parts)
        return lk_fail(err, LK_E_LIMIT, "the form has more than %zu parts", b->max_parts);
    if (!lk_grow((void **)&b->parts, &b->cap_parts, b->n_parts + 1, sizeof *b->parts))
        return lk_fail(err, LK_E_NOMEM, "out of memory for a form");
    lk_part *part = &b->parts[b->n_parts];
    *part = (lk_part){dup_text(name), dup_text(filename), dup_text(media_type), {0}};
    lk_buf_init(&part->data, b->max_bytes);
    b->n_parts++;
    if (!part->name || (filename && !part->filename) || (media_type && !part->media_type))
        return lk_fail(err, LK_E_NOMEM, "out of memory for a form");
    return LK_OK;
}

lk_code lk_body_part(lk_body *b, bool first, const char *name, const char *filename,
                     const char *media_type, const void *p, size_t n, lk_err *err)
{
    lk_code code = LK_OK;
    if (first || b->n_parts == 0)
        code = add_part(b, name ? name : "", filename, media_type, err);
    if (code || n == 0)
        return code;
    lk_buf *data = &b->parts[b->n_parts - 1].data;
    lk_buf_put(data, p, n);
    return lk_buf_check(data, err);
}

lk_code lk_body_one(const lk_body *b, const char *name, const lk_part **ret, lk_err *err)
{
    const lk_part *found = NULL;
    for (size_t i = 0; i < b->n_parts; i++) {
        if (strcmp(b->parts[i].name, name) != 0)
            continue;
        if (found)
            return lk_fail_field(err, LK_E_INVALID, name, "%s is given twice", name);
        found = &b->parts[i];
    }
    *ret = found;
    return LK_OK;
}
