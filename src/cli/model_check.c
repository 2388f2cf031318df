/* model check and model bench: tables of what was found and measured. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/model.h"
#include "engine/models.h"

static const char *asked(const cli_model_opts *o, char **args)
{
    const char *model = o->common.engine.model;
    return args[0] ? args[0] : model ? model : "mini";
}

static void put_text(lk_jw *w, const char *key, const char *text)
{
    lk_jw_key(w, key);
    lk_jw_strz(w, text);
}

/* ---- check ---- */

static void check_json(lk_buf *b, const lk_checked *c)
{
    lk_jw w;
    lk_jw_init(&w, b);
    lk_jw_obj(&w);
    put_text(&w, "name", c->name);
    put_text(&w, "version", c->version);
    put_text(&w, "key", c->key);
    put_text(&w, "where", c->where);
    lk_jw_key(&w, "dim");
    lk_jw_uint(&w, c->dim);
    lk_jw_key(&w, "image");
    lk_jw_bool(&w, c->has_image);
    lk_jw_key(&w, "text");
    lk_jw_bool(&w, c->has_text);
    lk_jw_key(&w, "ok");
    lk_jw_bool(&w, c->ok);
    lk_jw_key(&w, "checks");
    lk_jw_arr(&w);
    for (size_t i = 0; i < c->n_rows; i++) {
        lk_jw_obj(&w);
        put_text(&w, "check", c->rows[i].what);
        put_text(&w, "of", c->rows[i].of);
        lk_jw_key(&w, "ok");
        lk_jw_bool(&w, c->rows[i].ok);
        put_text(&w, "says", c->rows[i].says);
        lk_jw_end_obj(&w);
    }
    lk_jw_end_arr(&w);
    lk_jw_end_obj(&w);
}

static void check_table(lk_buf *b, const lk_checked *c)
{
    int width = 0;
    for (size_t i = 0; i < c->n_rows; i++) {
        int n = (int)strlen(c->rows[i].of);
        width = n > width ? n : width;
    }
    for (size_t i = 0; i < c->n_rows; i++) {
        const lk_check_row *r = &c->rows[i];
        lk_buf_printf(b, "%-6s  %-7s  %-*s  %s\n", r->ok ? "ok" : "FAULTY", r->what, width, r->of,
                      r->says);
    }
    lk_buf_printf(b, "%s", c->ok ? "the model can be used" : "the model cannot be used");
}

int cli_model_check(const cli_model_opts *o, char **args)
{
    lk_checked *c = lk_calloc(1, sizeof *c);
    lk_buf b;
    lk_err err = {0};
    if (!c) {
        fputs("lookalike: out of memory\n", stderr);
        return CLI_FAILED;
    }
    cli_catch_signals();
    lk_code code =
        lk_engine_model_check(&o->common.engine, asked(o, args), o->photos, &cli_stop, c, &err);
    int rc = code ? cli_model_fail(o, code, &err) : c->ok ? CLI_FOUND : CLI_FAILED;
    if (!code) {
        lk_buf_init(&b, 0);
        if (o->common.json)
            check_json(&b, c);
        else
            check_table(&b, c);
        rc = cli_print(&b, rc);
    }
    lk_free(c);
    return rc;
}

/* ---- bench ---- */

static void bench_json(lk_buf *b, const lk_benched *d)
{
    lk_jw w;
    lk_jw_init(&w, b);
    lk_jw_obj(&w);
    put_text(&w, "name", d->name);
    lk_jw_key(&w, "dim");
    lk_jw_uint(&w, d->dim);
    lk_jw_key(&w, "cpus");
    lk_jw_uint(&w, d->cpus);
    lk_jw_key(&w, "load_ms");
    lk_jw_real(&w, d->load_ms);
    lk_jw_key(&w, "resident_bytes");
    lk_jw_uint(&w, d->resident_bytes);
    lk_jw_key(&w, "rows");
    lk_jw_arr(&w);
    for (size_t i = 0; i < d->n_rows; i++) {
        const lk_bench_row *r = &d->rows[i];
        const struct {
            const char *key;
            double value;
        } numbers[] = {{"p50_ms", r->p50_ms},
                       {"p95_ms", r->p95_ms},
                       {"max_ms", r->max_ms},
                       {"per_second", r->per_second},
                       {"cpu_ms", r->cpu_ms}};
        lk_jw_obj(&w);
        put_text(&w, "tower", r->is_text ? "text" : "image");
        lk_jw_key(&w, "batch");
        lk_jw_uint(&w, r->batch);
        lk_jw_key(&w, "workers");
        lk_jw_uint(&w, r->workers);
        lk_jw_key(&w, "calls");
        lk_jw_uint(&w, r->n_calls);
        for (size_t k = 0; k < LK_ARRAY_LEN(numbers); k++) {
            lk_jw_key(&w, numbers[k].key);
            lk_jw_real(&w, numbers[k].value);
        }
        lk_jw_end_obj(&w);
    }
    lk_jw_end_arr(&w);
    lk_jw_end_obj(&w);
}

static void bench_table(lk_buf *b, const lk_benched *d)
{
    lk_buf_printf(b, "%s: %zu dimensions, loaded in %.0f ms, %zu MiB resident, %u processors\n",
                  d->name, d->dim, d->load_ms, (size_t)(d->resident_bytes >> 20), d->cpus);
    lk_buf_puts(b,
                "tower  batch  workers    p50 ms    p95 ms    max ms  a second  processor ms each");
    for (size_t i = 0; i < d->n_rows; i++) {
        const lk_bench_row *r = &d->rows[i];
        lk_buf_printf(b, "\n%-5s  %5zu  %7u  %8.3f  %8.3f  %8.3f  %8.1f  %17.3f",
                      r->is_text ? "text" : "image", r->batch, r->workers, r->p50_ms, r->p95_ms,
                      r->max_ms, r->per_second, r->cpu_ms);
    }
}

int cli_model_bench(const cli_model_opts *o, char **args)
{
    const lk_bench_opts bench = {.each_ms = o->each_ms, .cancel = &cli_stop};
    lk_benched d;
    lk_buf b;
    lk_err err = {0};
    cli_catch_signals();
    lk_code code = lk_engine_model_bench(&o->common.engine, asked(o, args), &bench, &d, &err);
    if (code)
        return cli_model_fail(o, code, &err);
    lk_buf_init(&b, 0);
    if (o->common.json)
        bench_json(&b, &d);
    else
        bench_table(&b, &d);
    return cli_print(&b, CLI_FOUND);
}
