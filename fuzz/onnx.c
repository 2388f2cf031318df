/* ONNX files from outside, as far as this program reads and rewrites them before the runtime does:
 * outputs are found and cut out, weights beside the file are put into it, products become int8.
 * What is written of a model that reads must be a model
 * that reads. */
#include <stdlib.h>

#include "model/graph.h"
#include "model/onnx.h"
#include "model/onnx_cut.h"
#include "model/onnx_external.h"
#include "model/quantize.h"
#include "target.h"

#define MAX_BYTES ((size_t)64 << 20)

static lk_code read_again(lk_blob model)
{
    lk_cut *c = NULL;
    lk_code code = lk_cut_new(model, &c, NULL);
    if (!code)
        lk_cut_free(c);
    return code;
}

static void must_read(const lk_buf *b)
{
    if (read_again((lk_blob){(const unsigned char *)b->p, b->n}) == LK_E_MODEL)
        abort();
}

static void cut(lk_blob model)
{
    bool needs[1024];
    bool whole = false;
    lk_cut *c = NULL;
    lk_str head;
    if (lk_cut_new(model, &c, NULL))
        return;
    for (size_t i = 0; i < lk_cut_n_outputs(c) && lk_cut_n_inputs(c) <= 1024; i++) {
        lk_buf b;
        lk_buf_init(&b, MAX_BYTES);
        lk_str name = lk_cut_output(c, i)->name;
        if (lk_cut_before_head(c, i, 8, &head))
            name = head;
        if (lk_cut_needs(c, 1, &name, needs, NULL) == LK_OK &&
            lk_cut_write(c, 1, &name, &b, &whole, NULL) == LK_OK && !whole)
            must_read(&b);
        lk_buf_release(&b);
    }
    lk_cut_free(c);
}

static lk_code outside(void *ctx, lk_str location, lk_blob *ret, lk_err *err)
{
    static const unsigned char bytes[64] = {1};
    (void)ctx;
    if (location.n == 0)
        return lk_fail(err, LK_E_MODEL, "a file without a name");
    *ret = (lk_blob){bytes, sizeof bytes};
    return LK_OK;
}

static void embed(lk_blob model)
{
    lk_buf b;
    lk_buf_init(&b, MAX_BYTES);
    if (lk_onnx_embed_external(model, outside, NULL, &b, NULL) == LK_OK)
        must_read(&b);
    lk_buf_release(&b);
}

static void quantize(lk_blob model)
{
    lk_quantize_opts o;
    lk_quantize_report r;
    const lk_str *names = NULL;
    lk_arena a;
    lk_buf b;
    lk_quantize_opts_default(&o);
    lk_arena_init(&a, MAX_BYTES);
    lk_buf_init(&b, MAX_BYTES);
    if (lk_quantize(model, &o, &b, &r, NULL) == LK_OK)
        must_read(&b);
    lk_buf_clear(&b);
    if (lk_quantize_probe(model, &o, &b, &a, &names, &r, NULL) == LK_OK)
        must_read(&b);
    lk_buf_release(&b);
    lk_arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const lk_blob model = {data, size};
    lk_arena a;
    lk_graph g;
    lk_arena_init(&a, MAX_BYTES);
    if (lk_graph_read(model, &a, &g, NULL) == LK_OK)
        for (size_t i = 0; i < g.n_names; i++)
            if (lk_graph_find(&g, g.names[i].name) == NULL)
                abort();
    lk_arena_release(&a);
    if (read_again(model))
        return 0;
    if (!lk_onnx_has_external_data(model))
        cut(model);
    embed(model);
    quantize(model);
    return 0;
}
