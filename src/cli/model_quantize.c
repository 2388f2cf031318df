/* model quantize: an int8 model out of a float one, and what that costs. */
#include "cli/model.h"

#include <stdio.h>

#include "base/mem.h"
#include "engine/quantize.h"

static void put_loss(lk_jw *w, const char *key, const lk_quantize_loss *l)
{
    if (!l->n)
        return;
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"mean_cosine", l->mean_cosine},
                   {"min_cosine", l->min_cosine},
                   {"float_ms", l->float_ms},
                   {"int8_ms", l->int8_ms}};
    lk_jw_key(w, key);
    lk_jw_obj(w);
    lk_jw_key(w, "n");
    lk_jw_uint(w, l->n);
    for (size_t i = 0; i < LK_ARRAY_LEN(numbers); i++) {
        lk_jw_key(w, numbers[i].key);
        lk_jw_real(w, numbers[i].value);
    }
    lk_jw_key(w, "worst");
    lk_jw_str(w, l->worst);
    if (l->neighbours_kept >= 0) {
        lk_jw_key(w, "neighbours_kept_at_10");
        lk_jw_real(w, l->neighbours_kept);
    }
    lk_jw_end_obj(w);
}

static void put_json(lk_buf *b, const lk_quantize_done *d)
{
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {{"products", d->n_products},
                  {"int8", d->n_replaced},
                  {"bytes_before", d->bytes_before},
                  {"bytes_after", d->bytes_after},
                  {"unreadable", d->n_unreadable}};
    lk_jw w;
    lk_jw_init(&w, b);
    lk_jw_obj(&w);
    lk_jw_key(&w, "name");
    lk_jw_str(&w, d->name);
    for (size_t i = 0; i < LK_ARRAY_LEN(counts); i++) {
        lk_jw_key(&w, counts[i].key);
        lk_jw_uint(&w, counts[i].value);
    }
    put_loss(&w, "images", &d->images);
    put_loss(&w, "texts", &d->texts);
    lk_jw_end_obj(&w);
}

static void put_line(lk_buf *b, const char *what, const lk_quantize_loss *l)
{
    if (!l->n)
        return;
    lk_buf_printf(b, "\n%-7s cosine to float over %zu: mean %.4f, least %.4f (%.*s)", what, l->n,
                  l->mean_cosine, l->min_cosine, LK_STR_ARG(l->worst));
    if (l->neighbours_kept >= 0)
        lk_buf_printf(b, "\n        of the 10 nearest, %.1f %% are the same",
                      100 * l->neighbours_kept);
    lk_buf_printf(b, "\n        %.1f ms in float, %.1f ms in int8", l->float_ms, l->int8_ms);
}

static void put_text(lk_buf *b, const lk_quantize_done *d)
{
    lk_buf_printf(b, "%.*s: %zu of %zu products are int8, %.1f MiB in float, %.1f MiB now",
                  LK_STR_ARG(d->name), d->n_replaced, d->n_products,
                  (double)d->bytes_before / 1048576, (double)d->bytes_after / 1048576);
    put_line(b, "images", &d->images);
    put_line(b, "texts", &d->texts);
    if (d->n_unreadable)
        lk_buf_printf(b, "\n%zu files are no pictures that can be read", d->n_unreadable);
}

int cli_model_quantize(const cli_model_opts *o, char **args)
{
    const lk_quantize_ask ask = {args[0], o->to, o->photos, &cli_stop};
    lk_quantize_done done;
    lk_arena a;
    lk_buf b;
    lk_err err = {0};
    lk_arena_init(&a, 0);
    lk_buf_init(&b, 0);
    cli_catch_signals();
    lk_code code = lk_engine_model_quantize(&o->common.engine, &ask, &a, &done, &err);
    if (!code && o->common.json)
        put_json(&b, &done);
    else if (!code)
        put_text(&b, &done);
    lk_arena_release(&a);
    if (!code)
        return cli_print(&b, CLI_FOUND);
    lk_buf_release(&b);
    return cli_model_fail(o, code, &err);
}
