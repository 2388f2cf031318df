/* lookalike_vectors_search: the queries are answered one after the other into growing arrays, which
 * are then copied into one block for the caller:
 *
 *     answers[n] | hits of all | ids of all, each with its NUL */
#include "base/mem.h"
#include "store/vectors/public.h"

enum { DEFAULT_K = 10 };

typedef struct hit_at {
    size_t id; /* where it begins in ids */
    float score;
} hit_at;

typedef struct collected {
    lk_vectors_found *founds; /* [n]; what hits points to is gone, n, matched and plan count */
    hit_at *hits;
    size_t n_hits, cap_hits;
    lk_buf ids;
} collected;

static lk_code collect(collected *c, const lk_vectors_found *f, lk_err *err)
{
    void *p = c->hits;
    bool ok = lk_grow(&p, &c->cap_hits, c->n_hits + f->n, sizeof *c->hits);
    c->hits = p;
    if (!ok)
        return lk_fail(err, LK_E_NOMEM, "out of memory for %zu hits", c->n_hits + f->n);
    for (size_t i = 0; i < f->n; i++) {
        c->hits[c->n_hits++] = (hit_at){c->ids.n, f->hits[i].score};
        lk_buf_put(&c->ids, f->hits[i].id.p, f->hits[i].id.n);
        lk_buf_putc(&c->ids, '\0');
    }
    return lk_buf_check(&c->ids, err);
}

static lk_code pack(const collected *c, size_t n, lookalike_vectors_answer **ret, lk_err *err)
{
    size_t answers_bytes = 0, hits_bytes = 0, bytes = 0;
    lookalike_vectors_answer *answers = NULL;
    if (lk_mul_size(n, sizeof *answers, &answers_bytes) &&
        lk_mul_size(c->n_hits, sizeof(lookalike_vectors_hit), &hits_bytes) &&
        lk_add_size(answers_bytes, hits_bytes, &bytes) && lk_add_size(bytes, c->ids.n, &bytes))
        answers = lk_malloc(bytes);
    if (!answers)
        return lk_fail(err, LK_E_NOMEM, "out of memory for %zu hits", c->n_hits);
    lookalike_vectors_hit *hits = (lookalike_vectors_hit *)(answers + n);
    char *ids = (char *)(hits + c->n_hits);
    if (c->ids.n)
        memcpy(ids, c->ids.p, c->ids.n);
    for (size_t i = 0; i < c->n_hits; i++)
        hits[i] = (lookalike_vectors_hit){ids + c->hits[i].id, c->hits[i].score};
    for (size_t i = 0; i < n; i++) {
        const lk_vectors_found *f = &c->founds[i];
        answers[i] = (lookalike_vectors_answer){hits, f->n, f->matched, f->plan};
        hits += f->n;
    }
    *ret = answers;
    return LK_OK;
}

static lk_code filter_of(lookalike_vectors *v, const char *text, lk_arena *into,
                         const lk_filter **ret, lk_err *err)
{
    lk_schema schema;
    const lk_filter *raw = NULL;
    if (lk_str_trim(lk_str_of(text)).n == 0)
        return LK_OK;
    lk_code code = lk_filter_parse(lk_str_of(text), into, &raw, err);
    if (code == LK_OK)
        code = lk_vectors_schema(v->v, into, &schema, err);
    if (code)
        return code;
    schema.open = true; /* metadata['x'] may name a key that no vector has yet */
    return lk_filter_check(raw, &schema, into, ret, err);
}

static lk_code check_query(const lookalike_vectors *v, const lookalike_vectors_query *q,
                           lk_err *err)
{
    lk_code code = lk_public_count(q->n, err);
    if (code == LK_OK && q->n)
        code = lk_public_given(q->vectors, "vectors", err);
    return code ? code : lk_public_dim(v, q->dim, err);
}

static lk_code search(lookalike_vectors *v, const lookalike_vectors_query *q,
                      const lk_filter *filter, collected *c, lk_err *err)
{
    lk_arena a;
    lk_code code = LK_OK;
    lk_vectors_query one = {.k = q->k ? q->k : DEFAULT_K,
                            .filter = filter,
                            .has_min_score = q->has_min_score != 0,
                            .min_score = q->min_score,
                            .ef = q->ef,
                            .nprobe = q->nprobe,
                            .exact = q->exact != 0};
    lk_arena_init(&a, 0);
    for (size_t i = 0; code == LK_OK && i < q->n; i++) {
        one.vector = q->vectors + i * q->dim;
        code = lk_vectors_search(v->v, &one, &a, &c->founds[i], err);
        if (code == LK_OK)
            code = collect(c, &c->founds[i], err);
        if (code && q->n > 1)
            code = lk_err_prefix(err, code, "query %zu", i);
        lk_arena_clear(&a);
    }
    lk_arena_release(&a);
    return code;
}

int lookalike_vectors_search(lookalike_vectors *v, const lookalike_vectors_query *query,
                             lookalike_vectors_answer **ret, lookalike_error *err)
{
    lookalike_vectors_query q = {0};
    const lk_filter *filter = NULL;
    collected c = {0};
    lk_arena a;
    lk_err e = {0};
    lk_arena_init(&a, 0);
    lk_buf_init(&c.ids, SIZE_MAX); /* bounded by n and k */
    lk_code code = lk_public_given(query, "query", &e);
    if (code == LK_OK)
        code = lk_public_take(&q, sizeof q, query, &e);
    if (code == LK_OK)
        code = check_query(v, &q, &e);
    if (code == LK_OK)
        code = filter_of(v, q.filter, &a, &filter, &e);
    if (code == LK_OK) {
        c.founds = lk_calloc(q.n + 1, sizeof *c.founds);
        if (!c.founds)
            code = lk_fail(&e, LK_E_NOMEM, "out of memory for %zu answers", q.n);
    }
    if (code == LK_OK)
        code = search(v, &q, filter, &c, &e);
    if (code == LK_OK)
        code = pack(&c, q.n, ret, &e);
    lk_free(c.founds);
    lk_free(c.hits);
    lk_buf_release(&c.ids);
    lk_arena_release(&a);
    return lk_public_finish(code, &e, err);
}

void lookalike_vectors_free(lookalike_vectors_answer *answers)
{
    lk_free(answers);
}
