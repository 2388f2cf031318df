#include "model/onnx_external.h"

#include <stdio.h>

#include "base/mem.h"
#include "model/graph.h"
#include "model/onnx.h"
#include "model/proto.h"

#define MAX_BYTES ((size_t)INT32_MAX) /* of a protobuf message */
#define MAX_PATH 512

enum { TENSOR_OUTSIDE = 13, TENSOR_WHERE = 14, WHERE_OUTSIDE = 1, ENTRY_KEY = 1, ENTRY_VALUE = 2 };

typedef struct place {
    lk_str location;
    uint64_t offset, length; /* 0 length: not said, the rest of the file */
} place;

/* ---- one tensor ---- */

static lk_str as_str(lk_blob b)
{
    return (lk_str){(const char *)b.p, b.n};
}

static bool is_outside(lk_blob tensor)
{
    lk_pb_field f;
    while (lk_pb_next(&tensor, &f))
        if (f.number == TENSOR_WHERE && f.value == WHERE_OUTSIDE)
            return true;
    return false;
}

static bool read_entry(lk_blob entry, place *p)
{
    lk_str key = {"", 0}, value = {"", 0};
    lk_pb_field f;
    while (lk_pb_next(&entry, &f)) {
        if (f.number == ENTRY_KEY)
            key = as_str(f.bytes);
        else if (f.number == ENTRY_VALUE)
            value = as_str(f.bytes);
    }
    if (lk_str_is(key, "location"))
        p->location = value;
    if (lk_str_is(key, "offset"))
        return lk_str_to_u64(value, &p->offset);
    if (lk_str_is(key, "length"))
        return lk_str_to_u64(value, &p->length);
    return true;
}

static bool read_place(lk_blob tensor, place *ret)
{
    lk_pb_field f;
    *ret = (place){.location = {"", 0}};
    while (lk_pb_next(&tensor, &f))
        if (f.number == TENSOR_OUTSIDE && !read_entry(f.bytes, ret))
            return false;
    return ret->location.n > 0;
}

typedef struct job {
    lk_onnx_outside_fn *outside;
    void *ctx;
    lk_buf *into;
} job;

static lk_code put_tensor(job *j, lk_blob tensor, lk_err *err)
{
    place p;
    lk_blob file = {0};
    lk_pb_field f;
    if (!read_place(tensor, &p))
        return lk_fail(err, LK_E_MODEL, "a weight of the model does not say in which file it is");
    lk_code code = j->outside(j->ctx, p.location, &file, err);
    if (code)
        return code;
    if (p.offset > file.n || p.length > file.n - p.offset)
        return lk_fail(err, LK_E_MODEL, "a weight of the model lies beyond the end of \"%.*s\"",
                       LK_STR_ARG(p.location));
    size_t n = p.length ? (size_t)p.length : file.n - (size_t)p.offset;
    if (n > MAX_BYTES || j->into->n > MAX_BYTES - n)
        return lk_fail(err, LK_E_LIMIT, "with its weights the model is over 2 GiB");
    size_t begun = lk_pb_begin(j->into, LK_ONNX_GRAPH_INITIALIZER);
    while (lk_pb_next(&tensor, &f))
        if (f.number != TENSOR_OUTSIDE && f.number != TENSOR_WHERE &&
            f.number != LK_ONNX_TENSOR_RAW)
            lk_buf_put(j->into, f.whole.p, f.whole.n);
    lk_pb_put_bytes(j->into, LK_ONNX_TENSOR_RAW, file.p + p.offset, n);
    lk_pb_end(j->into, begun);
    return LK_OK;
}

/* ---- the model ---- */

static lk_code put_graph(job *j, lk_blob graph, lk_err *err)
{
    lk_pb_field f;
    lk_code code = LK_OK;
    while (!code && lk_pb_next(&graph, &f)) {
        if (f.number == LK_ONNX_GRAPH_INITIALIZER && f.wire == LK_PB_BYTES && is_outside(f.bytes))
            code = put_tensor(j, f.bytes, err);
        else
            lk_buf_put(j->into, f.whole.p, f.whole.n);
    }
    return code;
}

lk_code lk_onnx_embed_external(lk_blob model, lk_onnx_outside_fn *outside, void *ctx, lk_buf *into,
                               lk_err *err)
{
    job j = {outside, ctx, into};
    lk_pb_field f;
    lk_code code = LK_OK;
    while (!code && lk_pb_next(&model, &f)) {
        if (f.number == LK_ONNX_MODEL_GRAPH && f.wire == LK_PB_BYTES) {
            size_t begun = lk_pb_begin(into, LK_ONNX_MODEL_GRAPH);
            code = put_graph(&j, f.bytes, err);
            lk_pb_end(into, begun);
        } else {
            lk_buf_put(into, f.whole.p, f.whole.n);
        }
    }
    return code ? code : lk_buf_check(into, err);
}

/* ---- out of a model's folder ---- */

typedef struct folder {
    const lk_card_source *from;
    const lk_card *card;
    const char *name; /* of the ONNX file, beside which the others stand */
    lk_card_file files[LK_MAX_CARD_FILES];
    char paths[LK_MAX_CARD_FILES][MAX_PATH];
    size_t n;
} folder;

static lk_code open_beside(void *ctx, lk_str location, lk_blob *ret, lk_err *err)
{
    folder *d = ctx;
    char path[MAX_PATH];
    const char *slash = strrchr(d->name, '/');
    int parent = slash ? (int)(slash + 1 - d->name) : 0;
    int len = snprintf(path, sizeof path, "%.*s%.*s", parent, d->name, LK_STR_ARG(location));
    if (len < 0 || (size_t)len >= sizeof path)
        return lk_fail(err, LK_E_MODEL, "the name of a file of weights is too long");
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->paths[i], path) == 0) {
            *ret = d->files[i].bytes;
            return LK_OK;
        }
    /* Whatever the model says, only what the card lists is opened, and that is inside the folder
     * and no more files than there is room for. */
    lk_code code = lk_card_open_file(d->from, d->card, path, &d->files[d->n], err);
    if (code)
        return code;
    memcpy(d->paths[d->n], path, sizeof path);
    *ret = d->files[d->n++].bytes;
    return LK_OK;
}

lk_code lk_onnx_open_file(const lk_card_source *from, const lk_card *card, const char *name,
                          lk_card_file *ret, lk_err *err)
{
    lk_card_file f;
    lk_buf whole;
    lk_code code = lk_card_open_file(from, card, name, &f, err);
    if (code || !lk_onnx_has_external_data(f.bytes)) {
        if (!code)
            *ret = f;
        return code;
    }
    folder *d = lk_calloc(1, sizeof *d);
    lk_buf_init(&whole, MAX_BYTES);
    if (d) {
        *d = (folder){.from = from, .card = card, .name = name};
        code = lk_onnx_embed_external(f.bytes, open_beside, d, &whole, err);
    } else {
        code = lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    }
    if (!code) {
        ret->own = (unsigned char *)lk_buf_steal(&whole, &ret->bytes.n);
        ret->bytes.p = ret->own;
    }
    for (size_t i = 0; d && i < d->n; i++)
        lk_card_file_release(&d->files[i]);
    lk_free(d);
    lk_buf_release(&whole);
    lk_card_file_release(&f);
    return code;
}
