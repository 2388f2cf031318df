/* model list: bundled models, installed ones, and those that can be pulled. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/model.h"
#include "engine/models.h"

static const char *const states[] = {
    [LK_MODEL_BUNDLED] = "bundled",
    [LK_MODEL_INSTALLED] = "installed",
    [LK_MODEL_FAULTY] = "faulty",
    [LK_MODEL_PULLABLE] = "to pull",
};

typedef struct listing {
    bool json;
    lk_buf text;
    lk_jw w;
} listing;

static void put_json(lk_jw *w, const lk_model_listed *m)
{
    const struct {
        const char *key, *text;
    } texts[] = {{"name", m->name},
                 {"state", states[m->state]},
                 {"version", m->version},
                 {"description", m->describe},
                 {"where", m->where}};
    lk_jw_obj(w);
    for (size_t i = 0; i < LK_ARRAY_LEN(texts); i++) {
        lk_jw_key(w, texts[i].key);
        lk_jw_strz(w, texts[i].text);
    }
    lk_jw_key(w, "dim");
    lk_jw_uint(w, m->dim);
    lk_jw_key(w, "image");
    lk_jw_bool(w, m->has_image);
    lk_jw_key(w, "text");
    lk_jw_bool(w, m->has_text);
    lk_jw_end_obj(w);
}

static void see(void *ctx, const lk_model_listed *m)
{
    listing *l = ctx;
    if (l->json) {
        put_json(&l->w, m);
        return;
    }
    lk_buf_printf(&l->text, "%s%-28s %-9s ", l->text.n ? "\n" : "", m->name, states[m->state]);
    if (m->state == LK_MODEL_FAULTY)
        lk_buf_printf(&l->text, "%s", m->describe);
    else
        lk_buf_printf(&l->text, "%5zu  %-5s %-4s  %s", m->dim, m->has_image ? "image" : "",
                      m->has_text ? "text" : "", m->where);
    while (l->text.p[l->text.n - 1] == ' ')
        l->text.n--;
}

int cli_model_list(const cli_model_opts *o, char **args)
{
    listing l = {.json = o->common.json};
    lk_err err = {0};
    (void)args;
    lk_buf_init(&l.text, 0);
    lk_jw_init(&l.w, &l.text);
    if (l.json)
        lk_jw_arr(&l.w);
    lk_code code = lk_engine_models(&o->common.engine, see, &l, &err);
    if (l.json)
        lk_jw_end_arr(&l.w);
    if (!code)
        return cli_print(&l.text, CLI_FOUND);
    lk_buf_release(&l.text);
    return cli_model_fail(o, code, &err);
}
