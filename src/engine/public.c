/* include/lookalike.h over the engine: arenas and views in, plain JSON texts out. */
#include "lookalike.h"

#include <stdio.h>

#include "base/mem.h"
#include "engine/engine.h"

struct lookalike {
    lk_engine *e;
};

static int finish(lk_code code, const lk_err *from, lookalike_error *to)
{
    if (code && to) {
        *to = (lookalike_error){.code = (int)code, .column = from->column};
        snprintf(to->word, sizeof to->word, "%s", lk_code_word(code));
        snprintf(to->field, sizeof to->field, "%s", from->field);
        snprintf(to->text, sizeof to->text, "%s", from->text);
    }
    return (int)code;
}

const char *lookalike_version(void)
{
    return LK_VERSION;
}

int lookalike_open(const lookalike_options *options, lookalike **ret, lookalike_error *err)
{
    lookalike_options o = {0};
    lk_engine_opts eo;
    lk_err e = {0};
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    lookalike *l = lk_calloc(1, sizeof *l);
    lk_code code = l ? lk_opt_defaults(lk_engine_opt_table, &eo, &e)
                     : lk_fail(&e, LK_E_NOMEM, "out of memory");
    if (!code) {
        if (o.data_dir)
            eo.data_dir = o.data_dir;
        if (o.model)
            eo.model = o.model;
        if (o.onnxruntime)
            eo.runtime = o.onnxruntime;
        if (o.threads > 0)
            eo.threads = o.threads;
        code = lk_engine_open(&eo, o.create ? LK_OPEN_CREATE : LK_OPEN_EXISTING, &l->e, &e);
    }
    if (code)
        lk_free(l);
    else
        *ret = l;
    return finish(code, &e, err);
}

void lookalike_close(lookalike *l)
{
    if (!l)
        return;
    lk_engine_close(l->e);
    lk_free(l);
}

void lookalike_free(char *json)
{
    lk_free(json);
}

/* The text of b, handed over; b is released either way. */
static lk_code hand_over(lk_code code, lk_buf *b, char **ret, lk_err *err)
{
    if (!code)
        code = lk_buf_check(b, err);
    if (!code)
        *ret = lk_buf_steal(b, NULL);
    lk_buf_release(b);
    return code;
}

int lookalike_add(lookalike *l, const void *bytes, size_t n, const char *id, const char *path,
                  const char *metadata, char **ret_json, lookalike_error *err)
{
    static const char *const words[] = {"added", "duplicate", "replaced"};
    lk_arena a;
    lk_buf b;
    lk_jw w;
    lk_added added;
    lk_err e = {0};
    lk_add in = {.bytes = {bytes, n},
                 .id = lk_str_of(id),
                 .path = lk_str_of(path),
                 .meta = lk_str_of(metadata)};
    lk_arena_init(&a, 0);
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    lk_code code = lk_engine_add(l->e, &in, &a, &added, &e);
    if (!code) {
        lk_jw_obj(&w);
        lk_jw_key(&w, "status");
        lk_jw_strz(&w, words[added.status]);
        lk_jw_key(&w, "image");
        lk_jw_raw(&w, added.record.doc);
        lk_jw_end_obj(&w);
    }
    code = hand_over(code, &b, ret_json, &e);
    lk_arena_release(&a);
    return finish(code, &e, err);
}

static void put_part(lk_query_part *parts, size_t *n, lk_query_part part, float weight)
{
    part.weight = weight == 0 ? 1 : weight;
    parts[(*n)++] = part;
}

static size_t parts_of(const lookalike_query *q, lk_query_part *parts)
{
    size_t n = 0;
    if (q->text)
        put_part(parts, &n, (lk_query_part){.kind = LK_PART_TEXT, .text = lk_str_of(q->text)},
                 q->text_weight);
    if (q->image)
        put_part(parts, &n,
                 (lk_query_part){.kind = LK_PART_IMAGE, .bytes = {q->image, q->image_bytes}},
                 q->image_weight);
    if (q->id)
        put_part(parts, &n, (lk_query_part){.kind = LK_PART_ID, .text = lk_str_of(q->id)},
                 q->id_weight);
    if (q->vector)
        put_part(parts, &n,
                 (lk_query_part){.kind = LK_PART_VECTOR, .vector = q->vector, .n = q->vector_len},
                 q->vector_weight);
    return n;
}

static void write_answer(const lk_answer *a, lk_jw *w)
{
    lk_jw_obj(w);
    lk_jw_key(w, "results");
    lk_jw_arr(w);
    for (size_t i = 0; i < a->n; i++) {
        lk_jw_obj(w);
        lk_jw_key(w, "score");
        lk_jw_float(w, a->hits[i].score);
        lk_jw_key(w, "distance");
        lk_jw_float(w, a->hits[i].distance);
        lk_jw_key(w, "similarity");
        lk_jw_float(w, a->hits[i].similarity);
        lk_jw_key(w, "image");
        lk_jw_raw(w, a->hits[i].record.doc);
        lk_jw_end_obj(w);
    }
    lk_jw_end_arr(w);
    lk_jw_key(w, "matched");
    lk_jw_uint(w, a->matched);
    lk_jw_end_obj(w);
}

int lookalike_search(lookalike *l, const lookalike_query *query, char **ret_json,
                     lookalike_error *err)
{
    lookalike_query q = {0};
    lk_query_part parts[4];
    lk_search s;
    lk_answer answer;
    lk_arena a;
    lk_buf b;
    lk_jw w;
    lk_err e = {0};
    memcpy(&q, query, query->size < sizeof q ? query->size : sizeof q);
    lk_search_default(&s);
    s.parts = parts;
    s.n_parts = parts_of(&q, parts);
    s.filter = lk_str_of(q.filter);
    s.offset = q.offset;
    s.exclude_parts = q.id != NULL;
    if (q.top_k)
        s.top_k = q.top_k;
    lk_arena_init(&a, 0);
    lk_buf_init(&b, 0);
    lk_jw_init(&w, &b);
    lk_code code = lk_engine_search(l->e, &s, &a, &answer, &e);
    if (!code)
        write_answer(&answer, &w);
    code = hand_over(code, &b, ret_json, &e);
    lk_arena_release(&a);
    return finish(code, &e, err);
}

int lookalike_get(lookalike *l, const char *id, char **ret_json, lookalike_error *err)
{
    lk_arena a;
    lk_record r;
    lk_err e = {0};
    lk_arena_init(&a, 0);
    lk_code code = lk_engine_get(l->e, lk_str_of(id), &a, &r, &e);
    if (!code) {
        *ret_json = lk_strndup(r.doc.p, r.doc.n);
        if (!*ret_json)
            code = lk_fail(&e, LK_E_NOMEM, "out of memory");
    }
    lk_arena_release(&a);
    return finish(code, &e, err);
}

int lookalike_delete(lookalike *l, const char *id, lookalike_error *err)
{
    lk_err e = {0};
    return finish(lk_engine_delete(l->e, lk_str_of(id), &e), &e, err);
}
