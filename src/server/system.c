/* How the server is: for people, balancers and Prometheus. */
#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
#include "base/os.h"
#include "server/handlers.h"
#include "server/internal.h"

static lk_code answer_word(lk_request *rq, unsigned status, const char *word, lk_err *err)
{
    lk_jw w;
    lk_reply_json(&rq->reply, status, &w);
    lk_jw_obj(&w);
    lk_jw_key(&w, "status");
    lk_jw_strz(&w, word);
    lk_jw_key(&w, "version");
    lk_jw_strz(&w, LK_VERSION);
    lk_jw_end_obj(&w);
    return lk_reply_json_end(&rq->reply, err);
}

/* Only where the operator would rather have no answers than wrong ones. */
static bool has_drifted(const lk_request *rq)
{
    lk_self_test t;
    if (!rq->server->opts.drift_unready)
        return false;
    lk_engine_self_tested(rq->engine, &t);
    return t.state == LK_CANARY_DRIFT;
}

lk_code lk_handle_health(lk_request *rq, lk_err *err)
{
    bool drifted = has_drifted(rq);
    return answer_word(rq, drifted ? 503 : 200, drifted ? "drifted" : "ok", err);
}

lk_code lk_handle_ready(lk_request *rq, lk_err *err)
{
    if (has_drifted(rq))
        return answer_word(rq, 503, "drifted", err);
    bool ready = lk_server_phase(rq->server) == LK_SERVING;
    return answer_word(rq, ready ? 200 : 503, ready ? "ready" : "stopping", err);
}

static void member_uint(lk_jw *w, const char *key, uint64_t v)
{
    lk_jw_key(w, key);
    lk_jw_uint(w, v);
}

static void member_str(lk_jw *w, const char *key, const char *v)
{
    lk_jw_key(w, key);
    lk_jw_strz(w, v);
}

void lk_write_index(lk_jw *w, const lk_stats *st)
{
    lk_jw_obj(w);
    member_str(w, "kind", st->index);
    member_str(w, "state", st->index_state);
    lk_jw_key(w, "built");
    lk_jw_real(w, st->index_built);
    member_str(w, "asked", st->index_asked);
    lk_jw_key(w, "M");
    lk_jw_int(w, st->index_M);
    lk_jw_key(w, "ef_construction");
    lk_jw_int(w, st->index_ef_construction);
    lk_jw_key(w, "nlist");
    lk_jw_int(w, st->index_nlist);
    lk_jw_end_obj(w);
}

lk_code lk_handle_stats(lk_request *rq, lk_err *err)
{
    lk_stats st;
    lk_jw w;
    lk_code code = lk_args_only(&rq->query, NULL, 0, err);
    if (!code)
        code = lk_engine_stats(rq->engine, &rq->arena, &st, err);
    if (code)
        return code;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    member_uint(&w, "images", st.images);
    member_uint(&w, "vectors", st.vectors);
    member_uint(&w, "objects_bytes", st.objects_bytes);
    member_uint(&w, "data_bytes", st.data_bytes);
    member_uint(&w, "memory_bytes", st.memory_bytes);
    lk_jw_key(&w, "model");
    lk_jw_obj(&w);
    member_str(&w, "name", st.model_name);
    member_str(&w, "version", st.model_version);
    member_str(&w, "key", st.model_key);
    member_uint(&w, "dim", st.dim);
    lk_jw_key(&w, "labels");
    lk_jw_arr(&w);
    for (size_t i = 0; i < st.n_labels; i++)
        lk_jw_strz(&w, st.labels[i]);
    lk_jw_end_arr(&w);
    lk_jw_end_obj(&w);
    lk_jw_key(&w, "index");
    lk_write_index(&w, &st);
    lk_jw_key(&w, "categories");
    lk_jw_raw(&w, st.categories);
    lk_jw_key(&w, "color_schemes");
    lk_jw_raw(&w, st.color_schemes);
    member_str(&w, "version", LK_VERSION);
    member_uint(&w, "uptime_s", (lk_now_ns() - rq->server->started_ns) / 1000000000u);
    lk_jw_end_obj(&w);
    return lk_reply_json_end(&rq->reply, err);
}

static void write_gauges(lk_server *s, const lk_stats *st, lk_buf *out)
{
    lk_gauge_write(out, "lookalike_http_in_flight", "Requests begun and not yet answered.",
                   (double)atomic_load(&s->active));
    lk_buf_puts(out, "# HELP lookalike_queue_depth Requests that wait for a worker.\n"
                     "# TYPE lookalike_queue_depth gauge\n");
    lk_buf_printf(out, "lookalike_queue_depth{lane=\"query\"} %zu\n",
                  lk_pool_backlog(s->pools[LK_LANE_QUICK]));
    lk_buf_printf(out, "lookalike_queue_depth{lane=\"upload\"} %zu\n",
                  lk_pool_backlog(s->pools[LK_LANE_UPLOAD]));
    lk_gauge_write(out, "lookalike_upload_pending_bytes", "Bytes of bodies being received.",
                   (double)atomic_load_explicit(&s->budget.used, memory_order_relaxed));
    lk_gauge_write(out, "lookalike_images", "Images stored.", (double)st->images);
    lk_gauge_write(out, "lookalike_vectors", "Vectors stored.", (double)st->vectors);
    lk_gauge_write(out, "lookalike_objects_bytes", "Bytes of stored files.",
                   (double)st->objects_bytes);
    lk_gauge_write(out, "lookalike_index_memory_bytes", "Memory of the index.",
                   (double)st->memory_bytes);
    const struct {
        const char *name, *help;
        uint64_t n;
    } counters[] = {
        {"embed_cache_hits", "Embeddings that were not made anew.", st->embed_hits},
        {"embed_cache_misses", "Embeddings that the model had to make.", st->embed_misses},
        {"embed_cache_shared", "Hits that waited for the run of another request.",
         st->embed_shared},
        {"model_embeddings", "Embeddings that the model made.", st->model_items},
        {"model_runs", "Runs of the model, each for one embedding or several.", st->model_runs},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(counters); i++)
        lk_buf_printf(out,
                      "# HELP lookalike_%s_total %s\n"
                      "# TYPE lookalike_%s_total counter\n"
                      "lookalike_%s_total %" PRIu64 "\n",
                      counters[i].name, counters[i].help, counters[i].name, counters[i].name,
                      counters[i].n);
    lk_gauge_write(out, "lookalike_embed_cache_entries", "Embeddings kept.",
                   (double)st->embed_entries);
    lk_gauge_write(out, "lookalike_embed_cache_bytes", "Memory they take.",
                   (double)st->embed_bytes);
    lk_gauge_write(out, "process_resident_memory_bytes", "Resident memory.",
                   (double)lk_os_rss_bytes());
    lk_gauge_write(out, "lookalike_uptime_seconds", "Seconds since the server began.",
                   (double)(lk_now_ns() - s->started_ns) / 1e9);
    lk_buf_puts(out, "# HELP lookalike_info What runs here.\n# TYPE lookalike_info gauge\n");
    lk_buf_printf(out, "lookalike_info{version=\"%s\",model=\"%s\"} 1\n", LK_VERSION,
                  st->model_name);
}

static void write_head(lk_buf *out, const char *name, const char *help)
{
    lk_buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void write_canary(const lk_stats *st, lk_buf *out)
{
    const lk_self_test *t = &st->self_test;
    if (t->state != LK_CANARY_SAME && t->state != LK_CANARY_DRIFT)
        return;
    write_head(out, "lookalike_canary_cosine",
               "What the model makes of the built-in picture and text, against what it made of "
               "them when it was checked.");
    if (t->has_image)
        lk_buf_printf(out, "lookalike_canary_cosine{model=\"%s\",tower=\"image\"} %.9g\n",
                      st->model_name, t->image_cosine);
    if (t->has_text)
        lk_buf_printf(out, "lookalike_canary_cosine{model=\"%s\",tower=\"text\"} %.9g\n",
                      st->model_name, t->text_cosine);
    write_head(out, "lookalike_canary_drifted", "1: a cosine is under --canary-min.");
    lk_buf_printf(out, "lookalike_canary_drifted{model=\"%s\"} %d\n", st->model_name,
                  t->state == LK_CANARY_DRIFT);
    lk_gauge_write(out, "lookalike_canary_tested_timestamp_seconds", "When that was.",
                   (double)t->at_ms / 1e3);
}

/* What there is no number for yet is left out. */
static void write_drift(const lk_stats *st, lk_buf *out)
{
    const lk_drift_stats *d = &st->drift;
    lk_gauge_write(out, "lookalike_embedding_reference_vectors",
                   "The collection's first vectors, whose mean recent embeddings are held against.",
                   (double)d->n_reference);
    if (d->n_seen == 0)
        return;
    write_head(out, "lookalike_embedding_norm",
               "Length of pictures' embeddings as the model gave them: the mean of all since the "
               "start, and of recent ones.");
    lk_buf_printf(out, "lookalike_embedding_norm{model=\"%s\",of=\"all\"} %.9g\n", st->model_name,
                  d->norm_mean);
    lk_buf_printf(out, "lookalike_embedding_norm{model=\"%s\",of=\"recent\"} %.9g\n",
                  st->model_name, d->norm_recent);
    if (isnan(d->distance))
        return;
    write_head(out, "lookalike_embedding_drift",
               "1 - cosine of the mean of recent embeddings and that of the reference.");
    lk_buf_printf(out, "lookalike_embedding_drift{model=\"%s\"} %.9g\n", st->model_name,
                  d->distance);
}

lk_code lk_handle_metrics(lk_request *rq, lk_err *err)
{
    lk_stats st;
    lk_server *s = rq->server;
    lk_buf *out = &rq->reply.body;
    const char **labels = lk_arena_zalloc(&rq->arena, lk_n_routes, sizeof *labels);
    if (!labels)
        return lk_fail(err, LK_E_NOMEM, "out of memory for the metrics");
    for (size_t i = 0; i < lk_n_routes; i++)
        labels[i] = lk_routes[i].label;
    lk_code code = lk_engine_stats(rq->engine, &rq->arena, &st, err);
    if (code)
        return code;
    rq->reply.status = 200;
    rq->reply.media_type = "text/plain; version=0.0.4; charset=utf-8";
    lk_metrics_write(&s->metrics, labels, out);
    write_gauges(s, &st, out);
    write_canary(&st, out);
    write_drift(&st, out);
    return lk_buf_check(out, err);
}
