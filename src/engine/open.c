/* Opening and closing a data folder.
 *
 *   <data>/lock  records.db  objects/ab/cd…  collections/images/{catalog, vectors, graph}  models/
 *
 * The lock lasts as long as the process. The marker `unclean` is written before the first change
 * and removed by a clean close: only a folder that still has it is swept at open, so that a start
 * after a proper stop costs nothing, however many pictures there are. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"

static const char *const thumb_words[] = {"jpeg", "webp", NULL};

#define AT(member) offsetof(lk_engine_opts, member)
const lk_opt lk_engine_opt_table[] = {
    {.name = "data",
     .type = LK_OPT_STR,
     .offset = AT(data_dir),
     .dflt = "lookalike-data",
     .arg = "DIR",
     .env = "LOOKALIKE_DATA",
     .help = "the data folder"},
    {.name = "model",
     .type = LK_OPT_STR,
     .offset = AT(model),
     .arg = "NAME",
     .env = "LOOKALIKE_MODEL",
     .help = "model of a new collection: a name or a folder"},
    {.name = "models",
     .type = LK_OPT_STR,
     .offset = AT(models_dir),
     .arg = "DIR",
     .env = "LOOKALIKE_MODELS",
     .help = "where installed models stand (default: DATA/models)"},
    {.name = "onnxruntime",
     .type = LK_OPT_STR,
     .offset = AT(runtime),
     .arg = "FILE",
     .env = "LOOKALIKE_ONNXRUNTIME",
     .help = "the ONNX Runtime library to load"},
    {.name = "provider",
     .type = LK_OPT_STR,
     .offset = AT(provider),
     .arg = "NAME",
     .env = "LOOKALIKE_PROVIDER",
     .help =
         "what runs the model: cpu, cuda or tensorrt; the last two want an ONNX Runtime that was "
         "built with them"},
    {.name = "remote-url",
     .type = LK_OPT_STR,
     .offset = AT(remote_url),
     .arg = "URL",
     .env = "LOOKALIKE_REMOTE_URL",
     .help = "where a remote model (roboflow) is served, if not where its card says"},
    {.name = "remote-timeout",
     .type = LK_OPT_MS,
     .offset = AT(remote_ms),
     .dflt = "60s",
     .min = 1,
     .max = 3600000,
     .env = "LOOKALIKE_REMOTE_TIMEOUT",
     .help = "give up on a remote model after so long, all tries together"},
    {.name = "remote-retries",
     .type = LK_OPT_INT,
     .offset = AT(remote_retries),
     .dflt = "4",
     .min = 0,
     .max = 100,
     .env = "LOOKALIKE_REMOTE_RETRIES",
     .help = "how often a remote model is asked again when it is busy or away"},
    {.name = "threads",
     .letter = 'j',
     .type = LK_OPT_INT,
     .offset = AT(threads),
     .dflt = "0",
     .min = 0,
     .max = 1024,
     .env = "LOOKALIKE_THREADS",
     .help = "threads that decode and embed; 0 is one a processor"},
    {.name = "batch-wait",
     .type = LK_OPT_MS,
     .offset = AT(batch_wait_ms),
     .dflt = "2ms",
     .min = 0,
     .max = 1000,
     .env = "LOOKALIKE_BATCH_WAIT",
     .help = "how long a run of the model may wait for requests on their way to share it; 0: each "
             "runs alone"},
    {.name = "max-pixels",
     .type = LK_OPT_INT,
     .offset = AT(max_pixels),
     .dflt = "100000000",
     .min = 1,
     .max = 4e9,
     .env = "LOOKALIKE_MAX_PIXELS",
     .help = "refuse pictures of more pixels than this"},
    {.name = "max-image-bytes",
     .type = LK_OPT_BYTES,
     .offset = AT(max_image_bytes),
     .dflt = "64MiB",
     .min = 1,
     .max = 4294967296.0,
     .env = "LOOKALIKE_MAX_IMAGE_BYTES",
     .help = "refuse picture files larger than this"},
    {.name = "fast-decode",
     .type = LK_OPT_BOOL,
     .offset = AT(fast_decode),
     .dflt = "false",
     .env = "LOOKALIKE_FAST_DECODE",
     .help =
         "decode a JPEG at a half, a quarter or an eighth where twice the model's size is left: "
         "quicker, and the embedding comes near that of the exact way"},
    {.name = "embed-cache",
     .type = LK_OPT_BYTES,
     .offset = AT(embed_cache_bytes),
     .dflt = "64MiB",
     .min = 0,
     .max = 68719476736.0,
     .env = "LOOKALIKE_EMBED_CACHE",
     .help = "memory for embeddings of texts and pictures seen before; 0 keeps none"},
    {.name = "embed-cache-ttl",
     .type = LK_OPT_MS,
     .offset = AT(embed_cache_ms),
     .dflt = "24h",
     .min = 0,
     .max = 31536000000.0,
     .env = "LOOKALIKE_EMBED_CACHE_TTL",
     .help = "how long such an embedding is kept; 0: as long as there is room"},
    {.name = "canary-min",
     .type = LK_OPT_REAL,
     .offset = AT(canary_min),
     .dflt = "0.9995",
     .min = -1,
     .max = 1,
     .env = "LOOKALIKE_CANARY_MIN",
     .help = "a model whose canary's cosine falls under this has drifted"},
    {.name = "keep-gps",
     .type = LK_OPT_BOOL,
     .offset = AT(keep_gps),
     .dflt = "false",
     .env = "LOOKALIKE_KEEP_GPS",
     .help = "store the GPS position that cameras write"},
    {.name = "thumbnails",
     .type = LK_OPT_ENUM,
     .offset = AT(thumb_format),
     .dflt = "jpeg",
     .words = thumb_words,
     .env = "LOOKALIKE_THUMBNAILS",
     .help = "format of thumbnails"},
    {.name = NULL},
};
#undef AT

static lk_code folder_path(const lk_engine *e, const char *name, char ret[PATH_MAX], lk_err *err)
{
    int n = snprintf(ret, PATH_MAX, "%s/%s", e->data_dir, name);
    if (n < 0 || n >= PATH_MAX)
        return lk_fail_field(err, LK_E_LIMIT, "data", "the path of the data folder is too long");
    return LK_OK;
}

lk_image_limits lk_engine_limits(const lk_engine *e)
{
    lk_image_limits l = lk_image_limits_default();
    l.max_pixels = (uint64_t)e->opts.max_pixels;
    l.max_bytes = e->opts.max_image_bytes;
    return l;
}

lk_image_limits lk_engine_decoding(const lk_engine *e, const lk_model *m)
{
    enum { THUMB_SIDE = 240 }; /* of a list's thumbnail, 320 x 240 */
    lk_image_limits l = lk_engine_limits(e);
    /* Twice what the model resizes to: what is left to do by the exact filter decides how near the
     * result comes (docs/MODELS.md). */
    unsigned enough = 2 * lk_model_info_of(m)->side;
    if (e->opts.fast_decode && enough > 0)
        l.enough_side = enough > THUMB_SIDE ? enough : THUMB_SIDE;
    return l;
}

lk_model_opts lk_engine_model_opts(const lk_engine_opts *o, const char *models_dir)
{
    lk_model_opts m;
    lk_model_opts_default(&m);
    m.models_dir = models_dir;
    m.n_threads = (unsigned)o->threads;
    m.batch_wait_ms = (unsigned)o->batch_wait_ms;
    m.runtime = o->runtime;
    m.provider = o->provider;
    m.remote_url = o->remote_url;
    m.remote_ms = o->remote_ms;
    m.remote_retries = (unsigned)o->remote_retries;
    return m;
}

static lk_code open_stores(lk_engine *e, lk_open_mode mode, lk_err *err)
{
    char path[PATH_MAX];
    lk_code code = folder_path(e, "records.db", path, err);
    if (!code && mode == LK_OPEN_EXISTING && !lk_os_exists(path))
        code = lk_fail_field(err, LK_E_NOT_FOUND, "data",
                             "there is no collection in \"%s\" (lookalike init makes one)",
                             e->data_dir);
    if (!code)
        code = lk_records_open(path, &e->records, err);
    if (!code)
        code = folder_path(e, "objects", path, err);
    if (!code)
        code = lk_objects_open(path, &e->objects, err);
    if (!code)
        code = lk_categories_load(e, err);
    return code ? code : lk_spaces_open(e, err);
}

lk_code lk_engine_mark_dirty(lk_engine *e, lk_err *err)
{
    /* Acquire/release by default: a thread that sees it set may write at once. Two that both see it
     * clear both write the same empty file. */
    if (atomic_load(&e->dirty))
        return LK_OK;
    char path[PATH_MAX];
    lk_code code = folder_path(e, "unclean", path, err);
    if (!code)
        code = lk_os_write_file(path, "", 0, err);
    if (!code)
        atomic_store(&e->dirty, true);
    return code;
}

static lk_code sweep_if_unclean(lk_engine *e, lk_err *err)
{
    char path[PATH_MAX];
    uint64_t extras = 0;
    lk_code code = folder_path(e, "unclean", path, err);
    if (code || !lk_os_exists(path))
        return code;
    code = lk_engine_sweep(e, &extras, err);
    if (!code)
        code = lk_spaces_sweep(e, err);
    if (!code)
        code = lk_os_remove(path, err);
    return code;
}

/* Only what embedding needs; e is closed on failure. */
static lk_code open_model_alone(lk_engine *e, lk_engine **ret, lk_err *err)
{
    char path[PATH_MAX];
    lk_model *m = NULL;
    lk_code code = folder_path(e, "models", path, err);
    if (!code) {
        e->models_dir = lk_strdup(e->opts.models_dir ? e->opts.models_dir : path);
        if (!e->models_dir)
            code = lk_fail(err, LK_E_NOMEM, "out of memory");
    }
    if (!code)
        code = lk_image_start(err);
    if (!code)
        code =
            lk_embed_cache_new(e->opts.embed_cache_bytes, e->opts.embed_cache_ms, &e->cache, err);
    if (!code)
        code = lk_spaces_model_alone(e, err);
    if (!code)
        code = lk_space_model(e, e->spaces.now, &m, err);
    if (code)
        lk_engine_close(e);
    else
        *ret = e;
    return code;
}

lk_code lk_engine_open(const lk_engine_opts *opts, lk_open_mode mode, lk_engine **ret, lk_err *err)
{
    char path[PATH_MAX];
    lk_engine *e = lk_calloc(1, sizeof *e);
    if (!e)
        return lk_fail(err, LK_E_NOMEM, "out of memory");
    e->opts = *opts;
    e->lock_fd = -1;
    lk_keylock_init(&e->keys);
    lk_spaces_init(&e->spaces);
    lk_mutex_init(&e->stats_lock, LK_RANK_ENGINE);
    lk_mutex_init(&e->categories_lock, LK_RANK_ENGINE);
    atomic_init(&e->categories_turn, 1);
    e->n_cpus = opts->threads > 0 ? (unsigned)opts->threads : lk_os_cpus();
    e->data_dir = lk_strdup(opts->data_dir);
    lk_code code = e->data_dir ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory");
    if (!code && mode == LK_OPEN_MODEL)
        return open_model_alone(e, ret, err);
    if (!code && mode == LK_OPEN_EXISTING && !lk_os_exists(e->data_dir))
        code = lk_fail_field(err, LK_E_NOT_FOUND, "data",
                             "there is no folder \"%s\" (lookalike init makes one)", e->data_dir);
    if (!code)
        code = lk_os_mkdirs(e->data_dir, err);
    if (!code)
        code = folder_path(e, "models", path, err);
    if (!code) {
        e->models_dir = lk_strdup(opts->models_dir ? opts->models_dir : path);
        if (!e->models_dir)
            code = lk_fail(err, LK_E_NOMEM, "out of memory");
    }
    if (!code)
        code = folder_path(e, "lock", path, err);
    if (!code)
        code = lk_os_lock(path, &e->lock_fd, err);
    if (!code)
        code = lk_image_start(err);
    if (!code)
        code = lk_embed_cache_new(opts->embed_cache_bytes, opts->embed_cache_ms, &e->cache, err);
    if (!code)
        code = open_stores(e, mode, err);
    if (!code)
        code = lk_pool_new(&e->side, "lk-side", e->n_cpus, e->n_cpus, err);
    if (!code)
        code = sweep_if_unclean(e, err);
    if (code) {
        lk_engine_close(e);
        return code;
    }
    *ret = e;
    return LK_OK;
}

/* Every call has returned, so nothing is half written. If the marker stays, the next open sweeps in
 * vain and no more. */
static void remove_marker(const lk_engine *e)
{
    char path[PATH_MAX];
    lk_code code = folder_path(e, "unclean", path, NULL);
    if (!code)
        code = lk_os_remove(path, NULL);
    (void)code;
}

void lk_engine_close(lk_engine *e)
{
    if (!e)
        return;
    lk_pool_free(e->side);
    lk_spaces_release(&e->spaces);
    lk_objects_close(e->objects);
    lk_records_close(e->records);
    lk_embed_cache_free(e->cache);
    if (atomic_load(&e->dirty))
        remove_marker(e);
    if (e->lock_fd >= 0)
        lk_os_unlock(e->lock_fd);
    lk_mutex_release(&e->categories_lock);
    lk_mutex_release(&e->stats_lock);
    lk_keylock_release(&e->keys);
    lk_free(e->categories);
    lk_free(e->models_dir);
    lk_free(e->data_dir);
    lk_free(e);
}
