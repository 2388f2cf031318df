/* From a question to hits: parts to one vector (embed.c), the index under a filter, records,
 * boosts.
 *
 * Boosts need the records, so they work on a pool of
 * the best by likeness, several times the page asked for. A hit whose record is not there (yet, or
 * any more) is left out and the pool widened, so that a page is full whenever enough records exist.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"

#define POOL_FACTOR 4  /* a boost lifts from this many pages */
#define POOL_MIN 100   /* and at least so many hits */
#define MAX_POOL 16384 /* what every store can be asked for */

void lk_search_default(lk_search *ret)
{
    *ret = (lk_search){.top_k = 10};
}

/* ---- boosts ---- */

/* "is_new" alone means is_new == true. */
static bool is_name(lk_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.n > 0;
}

static lk_code parse_boosts(const lk_space *sp, const lk_search *s, lk_arena *into,
                            const lk_filter **ret, lk_err *err)
{
    for (size_t i = 0; i < s->n_boosts; i++) {
        lk_str expr = lk_str_trim(s->boosts[i].expr);
        if (!isfinite(s->boosts[i].add))
            return lk_fail_field(err, LK_E_INVALID, "boosts", "\"add\" is not a finite number");
        if (is_name(expr)) {
            const char *full = lk_arena_printf(into, "%.*s == true", LK_STR_ARG(expr));
            if (!full)
                return lk_fail(err, LK_E_NOMEM, "out of memory for a boost");
            expr = lk_str_of(full);
        }
        lk_code code = lk_space_filter(sp, expr, into, &ret[i], err);
        if (code) {
            int column = err ? err->column : 0;
            code = lk_err_prefix(err, code, "boost %zu", i + 1);
            if (err) {
                err->column = column;
                snprintf(err->field, sizeof err->field, "boosts");
            }
            return code;
        }
        if (!ret[i])
            return lk_fail_field(err, LK_E_INVALID, "boosts", "boost %zu has no expr", i + 1);
    }
    return LK_OK;
}

static lk_code apply_boosts(const lk_search *s, const lk_filter *const *filters, lk_hit *hits,
                            size_t n, lk_err *err)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < s->n_boosts; j++) {
            bool match = false;
            lk_code code = lk_record_match(filters[j], hits[i].record.doc, &match, err);
            if (code)
                return code;
            if (match)
                hits[i].score += s->boosts[j].add;
        }
    return LK_OK;
}

static int better_first(const void *a, const void *b)
{
    const lk_hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return lk_str_cmp(x->record.id, y->record.id);
}

/* ---- the search ---- */

static bool is_part_id(const lk_search *s, lk_str id)
{
    for (size_t i = 0; i < s->n_parts; i++)
        if (s->parts[i].kind == LK_PART_ID && lk_str_eq(s->parts[i].text, id))
            return true;
    return false;
}

/* Join the records of found[n] into hits[]; returns how many there are. */
static lk_code join(lk_engine *e, const lk_search *s, const lk_vectors_found *found, lk_arena *into,
                    lk_hit *hits, size_t *ret_n, lk_err *err)
{
    size_t n = 0;
    lk_str *ids = lk_arena_zalloc(into, found->n, sizeof *ids);
    lk_record_row *rows = lk_arena_zalloc(into, found->n, sizeof *rows);
    if (!ids || !rows)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the hits");
    for (size_t i = 0; i < found->n; i++)
        ids[i] = found->hits[i].id;
    lk_code code = lk_records_get_many(e->records, found->n, ids, into, rows, err);
    for (size_t i = 0; !code && i < found->n; i++) {
        if (!rows[i].doc.n || (s->exclude_parts && is_part_id(s, ids[i])))
            continue;
        float cosine = found->hits[i].score;
        hits[n] = (lk_hit){.score = cosine, .distance = 1 - cosine, .similarity = (1 + cosine) / 2};
        code = lk_record_of_row(&rows[i], into, &hits[n].record, err);
        n++;
    }
    *ret_n = n;
    return code;
}

/* Hits in likeness order for the first `want`, fewer only when there are no more. */
static lk_code gather(lk_engine *e, const lk_space *sp, const lk_search *s, const float *query,
                      const lk_filter *f, size_t want, lk_arena *into, lk_answer *ret, lk_err *err)
{
    size_t k = want + (s->exclude_parts ? s->n_parts : 0);
    for (;;) {
        lk_vectors_found found;
        k = k < MAX_POOL ? k : MAX_POOL;
        lk_vectors_query q = {.vector = query,
                              .k = k,
                              .filter = f,
                              .has_min_score = s->has_min_score && s->n_boosts == 0,
                              .min_score = (float)s->min_score,
                              .ef = s->ef,
                              .nprobe = s->nprobe,
                              .exact = s->exact};
        uint64_t t0 = lk_now_ns();
        lk_code code = lk_vectors_search(sp->vectors, &q, into, &found, err);
        uint64_t t1 = lk_now_ns();
        if (code)
            return code;
        ret->hits = lk_arena_zalloc(into, found.n ? found.n : 1, sizeof *ret->hits);
        if (!ret->hits)
            return lk_fail(err, LK_E_NOMEM, "out of memory for the hits");
        code = join(e, s, &found, into, ret->hits, &ret->n, err);
        ret->search_us += (t1 - t0) / 1000;
        ret->join_us += (lk_now_ns() - t1) / 1000;
        ret->matched = found.matched;
        ret->plan = found.plan;
        if (code || ret->n >= want || found.n < k || k == MAX_POOL)
            return code;
        k *= 2;
    }
}

static lk_code check_search(const lk_search *s, lk_err *err)
{
    if (s->top_k < 1 || s->top_k > LK_MAX_TOP_K)
        return lk_fail_field(err, LK_E_INVALID, "top_k", "top_k must be between 1 and %d, not %zu",
                             LK_MAX_TOP_K, s->top_k);
    if (s->offset > LK_MAX_OFFSET)
        return lk_fail_field(err, LK_E_INVALID, "offset", "offset must be at most %d, not %zu",
                             LK_MAX_OFFSET, s->offset);
    if (s->n_boosts > LK_MAX_BOOSTS)
        return lk_fail_field(err, LK_E_INVALID, "boosts", "there are at most %d boosts, not %zu",
                             LK_MAX_BOOSTS, s->n_boosts);
    if (s->has_min_score && !isfinite(s->min_score))
        return lk_fail_field(err, LK_E_INVALID, "min_score", "min_score is not a finite number");
    return LK_OK;
}

static void cut_page(const lk_search *s, lk_answer *a)
{
    while (s->has_min_score && a->n > 0 && (double)a->hits[a->n - 1].score < s->min_score)
        a->n--;
    size_t skip = s->offset < a->n ? s->offset : a->n;
    a->hits += skip;
    a->n -= skip;
    if (a->n > s->top_k)
        a->n = s->top_k;
}

static lk_code search(lk_engine *e, lk_space *sp, const lk_search *s, lk_arena *into,
                      lk_answer *ret, lk_err *err)
{
    size_t dim = 0, want = s->offset + s->top_k;
    const lk_filter *f = NULL, *boosts[LK_MAX_BOOSTS] = {0};
    const float *query = NULL;
    uint64_t t0 = lk_now_ns();
    lk_code code = check_search(s, err);
    if (!code)
        code = lk_space_filter(sp, s->filter, into, &f, err);
    if (!code)
        code = parse_boosts(sp, s, into, boosts, err);
    if (!code)
        code = lk_space_embed(e, sp, s->parts, s->n_parts, into, &query, &dim, err);
    if (code)
        return code;
    *ret = (lk_answer){.embed_us = (lk_now_ns() - t0) / 1000};
    if (s->n_boosts)
        want = want * POOL_FACTOR > POOL_MIN ? want * POOL_FACTOR : POOL_MIN;
    code = gather(e, sp, s, query, f, want, into, ret, err);
    if (!code && s->n_boosts)
        code = apply_boosts(s, boosts, ret->hits, ret->n, err);
    if (code)
        return code;
    if (s->n_boosts)
        qsort(ret->hits, ret->n, sizeof *ret->hits, better_first);
    cut_page(s, ret);
    return LK_OK;
}

lk_code lk_engine_search(lk_engine *e, const lk_search *s, lk_arena *into, lk_answer *ret,
                         lk_err *err)
{
    lk_space *sp = lk_space_pin(e);
    lk_code code = search(e, sp, s, into, ret, err);
    lk_space_unpin(e, sp);
    return code;
}
