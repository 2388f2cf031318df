/* Adding pictures, and listing them.
 *
 * An upload of several answers for each by itself: one bad file does not undo the others. The
 * status is 201 when something was added and nothing failed, 200 when everything was there already,
 * 207 when some failed; a single picture that fails is answered like any other error. */
#include "server/handlers.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "server/internal.h"

#define DEFAULT_PAGE 50

double lk_request_ms(const lk_request *rq)
{
    uint64_t us = (lk_now_ns() - rq->start_ns) / 1000;
    return (double)us / 1000.0;
}

/* Before the picture is looked at, so that a fault in here is not taken for the picture's. */
static lk_code check_meta(lk_str meta, lk_err *err)
{
    lk_json *doc = NULL;
    lk_err why = {0};
    lk_code code = lk_json_parse(meta, &doc, &why);
    lk_jtype type = code ? LK_J_NULL : lk_jval_type(lk_json_root(doc));
    lk_json_free(doc);
    if (code == LK_E_NOMEM)
        return lk_fail(err, code, "out of memory for metadata");
    if (code) {
        code = lk_fail_field(err, LK_E_INVALID, "metadata", "metadata: %s", why.text);
        err->column = why.column;
        return code;
    }
    if (type != LK_J_OBJ)
        return lk_fail_field(err, LK_E_INVALID, "metadata", "metadata must be an object, not %s",
                             lk_jtype_name(type));
    return LK_OK;
}

lk_code lk_add_upload(lk_request *rq, const lk_add *add, lk_added *ret, lk_err *err)
{
    lk_code code = LK_OK;
    if (add->bytes.n == 0)
        return lk_fail_field(err, LK_E_INVALID, "file", "the file is empty");
    if (add->id.n > 0)
        code = lk_check_id(add->id, err);
    if (!code && !lk_utf8_valid(add->filename))
        code = lk_fail_field(err, LK_E_INVALID, "filename", "the file's name is not UTF-8 text");
    if (!code && add->meta.n > 0)
        code = check_meta(add->meta, err);
    return code ? code : lk_engine_add(rq->engine, add, &rq->arena, ret, err);
}

static const char *status_word(lk_add_status s)
{
    switch (s) {
    case LK_ADDED:
        return "added";
    case LK_ADD_DUPLICATE:
        return "duplicate";
    case LK_ADD_REPLACED:
        return "replaced";
    }
    return "added";
}

typedef struct tally {
    size_t added, duplicates, failed;
    const char *location; /* of the last one */
} tally;

static const char *location_of(lk_request *rq, lk_str id)
{
    lk_buf b;
    lk_buf_init(&b, 4096);
    lk_buf_puts(&b, "/v1/images/");
    lk_percent_encode(id, &b);
    const char *text = b.failed ? NULL : lk_arena_strndup(&rq->arena, b.p, b.n);
    lk_buf_release(&b);
    return text;
}

static lk_code write_added(lk_request *rq, const lk_added *a, tally *t, lk_jw *w, lk_err *err)
{
    *(a->status == LK_ADD_DUPLICATE ? &t->duplicates : &t->added) += 1;
    t->location = location_of(rq, a->record.id);
    lk_jw_obj(w);
    lk_jw_key(w, "status");
    lk_jw_strz(w, status_word(a->status));
    lk_jw_key(w, "id");
    lk_jw_str(w, a->record.id);
    lk_jw_key(w, "took_ms");
    lk_jw_real(w, (double)a->took_us / 1000.0);
    lk_jw_key(w, "image");
    lk_code code = lk_record_write(&a->record, NULL, 0, w, err);
    if (!code)
        lk_jw_end_obj(w);
    return code;
}

static void write_failed(lk_str filename, const lk_err *e, lk_jw *w)
{
    lk_jw_obj(w);
    lk_jw_key(w, "status");
    lk_jw_strz(w, "failed");
    lk_jw_key(w, "filename");
    lk_jw_str(w, filename);
    lk_jw_key(w, "error");
    lk_error_write(w, e);
    lk_jw_end_obj(w);
}

static lk_code add_all(lk_request *rq, const lk_add *adds, size_t n, lk_err *err)
{
    tally t = {0};
    lk_jw w;
    lk_code code = LK_OK;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "results");
    lk_jw_arr(&w);
    for (size_t i = 0; !code && i < n; i++) {
        lk_added added;
        lk_err one = {0};
        lk_code failed = lk_add_upload(rq, &adds[i], &added, &one);
        if (failed && n == 1) {
            *err = one;
            rq->blame = LK_BLAME_PICTURE;
            return failed;
        }
        if (failed) {
            t.failed++;
            one.code = failed;
            write_failed(adds[i].filename, &one, &w);
        } else {
            code = write_added(rq, &added, &t, &w, err);
        }
    }
    if (code)
        return code;
    lk_jw_end_arr(&w);
    lk_jw_key(&w, "added");
    lk_jw_uint(&w, t.added);
    lk_jw_key(&w, "duplicates");
    lk_jw_uint(&w, t.duplicates);
    lk_jw_key(&w, "failed");
    lk_jw_uint(&w, t.failed);
    lk_jw_end_obj(&w);
    rq->reply.status = t.failed ? 207 : t.added ? 201 : 200;
    if (n == 1)
        lk_reply_header(&rq->reply, "Location", t.location);
    return lk_reply_json_end(&rq->reply, err);
}

/* ---- what was sent ---- */

static size_t count_parts(const lk_body *b, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_parts; i++)
        n += strcmp(b->parts[i].name, name) == 0;
    return n;
}

static lk_str nth_text(const lk_body *b, const char *name, size_t nth)
{
    for (size_t i = 0; i < b->n_parts; i++)
        if (strcmp(b->parts[i].name, name) == 0 && nth-- == 0)
            return lk_part_text(&b->parts[i]);
    return (lk_str){"", 0};
}

static lk_code check_form(const lk_request *rq, size_t n_files, lk_err *err)
{
    static const char *const known[] = {"file", "id", "metadata"};
    const lk_body *b = &rq->body;
    for (size_t i = 0; i < b->n_parts; i++) {
        lk_arg one = {lk_str_of(b->parts[i].name), {"", 0}};
        lk_code code = lk_args_only(&(lk_args){&one, 1}, known, LK_ARRAY_LEN(known), err);
        if (code)
            return code;
    }
    int64_t max = rq->server->opts.max_files;
    size_t n_ids = count_parts(b, "id"), n_meta = count_parts(b, "metadata");
    if (n_files == 0)
        return lk_fail_field(err, LK_E_INVALID, "file", "the form has no file");
    if (n_files > (size_t)max)
        return lk_fail_field(err, LK_E_INVALID, "file", "the form has %zu files, more than %lld",
                             n_files, (long long)max);
    if (n_ids != 0 && n_ids != n_files)
        return lk_fail_field(err, LK_E_INVALID, "id", "there are %zu ids for %zu files", n_ids,
                             n_files);
    if (n_meta > 1 && n_meta != n_files)
        return lk_fail_field(err, LK_E_INVALID, "metadata",
                             "there are %zu metadata for %zu files; give one for all or one for "
                             "each",
                             n_meta, n_files);
    return LK_OK;
}

static lk_code add_form(lk_request *rq, lk_err *err)
{
    const lk_body *b = &rq->body;
    size_t n_files = count_parts(b, "file"), n = 0;
    bool one_meta = count_parts(b, "metadata") == 1;
    lk_code code = check_form(rq, n_files, err);
    if (code)
        return code;
    lk_add *adds = lk_arena_zalloc(&rq->arena, n_files, sizeof *adds);
    if (!adds)
        return lk_fail(err, LK_E_NOMEM, "out of memory for an upload");
    for (size_t i = 0; i < b->n_parts; i++) {
        const lk_part *p = &b->parts[i];
        if (strcmp(p->name, "file") != 0)
            continue;
        adds[n] = (lk_add){.bytes = lk_part_bytes(p),
                           .filename = lk_str_of(p->filename),
                           .id = nth_text(b, "id", n),
                           .meta = nth_text(b, "metadata", one_meta ? 0 : n)};
        n++;
    }
    return add_all(rq, adds, n, err);
}

lk_code lk_handle_images_add(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"id", "filename", "metadata"};
    if (rq->body.kind == LK_BODY_FORM) {
        lk_code code = lk_args_only(&rq->query, NULL, 0, err);
        return code ? code : add_form(rq, err);
    }
    lk_str whole = lk_buf_str(&rq->body.whole);
    lk_add add = {.bytes = {(const unsigned char *)whole.p, whole.n}};
    lk_code code = lk_args_only(&rq->query, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_request_str(rq, "id", &add.id, err);
    if (!code)
        code = lk_request_str(rq, "filename", &add.filename, err);
    if (!code)
        code = lk_request_str(rq, "metadata", &add.meta, err);
    return code ? code : add_all(rq, &add, 1, err);
}

/* ---- the list ---- */

lk_code lk_handle_images_list(lk_request *rq, lk_err *err)
{
    static const char *const known[] = {"limit", "cursor", "filter"};
    int64_t max = rq->server->opts.max_results;
    int64_t limit = DEFAULT_PAGE < max ? DEFAULT_PAGE : max;
    lk_str cursor = {"", 0}, filter = {"", 0}, next = {"", 0};
    lk_record *v = NULL;
    size_t n = 0;
    lk_jw w;
    lk_code code = lk_args_only(&rq->query, known, LK_ARRAY_LEN(known), err);
    if (!code)
        code = lk_request_int(rq, "limit", 1, max, &limit, err);
    if (!code)
        code = lk_request_str(rq, "cursor", &cursor, err);
    if (!code)
        code = lk_request_str(rq, "filter", &filter, err);
    if (!code)
        code = lk_engine_list(rq->engine, cursor, (size_t)limit, filter, &rq->arena, &v, &n, &next,
                              err);
    if (code)
        return code;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "images");
    lk_jw_arr(&w);
    for (size_t i = 0; !code && i < n; i++)
        code = lk_record_write(&v[i], NULL, 0, &w, err);
    lk_jw_end_arr(&w);
    lk_jw_key(&w, "next");
    if (next.n)
        lk_jw_str(&w, next);
    else
        lk_jw_null(&w);
    lk_jw_end_obj(&w);
    return code ? code : lk_reply_json_end(&rq->reply, err);
}
