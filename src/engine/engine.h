/* The engine: one data folder with one collection of pictures, and everything one does with it.
 *
 *   ingest   bytes -> probe -> decode -> thumbnail, embed, colours, category, hash, EXIF
 *            -> object put -> vector put -> record commit -> acknowledge
 *   search   text | image | id | vector, mixed with weights -> one vector -> search under a filter
 *            -> join records -> boosts -> answer
 *
 * What always holds:
 * I1. A record exists => its vector and its object exist. Writes go object, vector, record; deletes
 *     record, vector, object. A crash leaves extras, never dangling references.
 * I2. What was acknowledged is on disk.
 * I3. Vectors are the data; an index over them is derived.
 * I4. Objects are named by their SHA-256, so the same picture is stored once.
 * I5. A collection is bound to one model and refuses vectors of another.
 *
 * All calls are safe from any number of threads. Results live in the caller's arena. */
#ifndef LK_ENGINE_ENGINE_H
#define LK_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/opt.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/str.h"
#include "engine/drift.h"
#include "store/meta.h"

#define LK_MAX_TOP_K 1000
#define LK_MAX_OFFSET 15384 /* with top_k within what a store can be asked for */
#define LK_MAX_QUERY_PARTS 16
#define LK_MAX_PROMPTS 256 /* in one part */
#define LK_MAX_BOOSTS 16

typedef struct lk_engine lk_engine;

/* ---- opening ---- */

typedef struct lk_engine_opts {
    const char *data_dir;   /* "lookalike-data" */
    const char *model;      /* name or folder; NULL: the collection's own, "mini" for a new one */
    const char *models_dir; /* NULL: <data_dir>/models */
    const char *runtime;    /* ONNX Runtime's library; NULL: the known names */
    const char *provider;   /* "cpu" */
    const char *remote_url; /* of a model that a service runs, instead of its card's; or NULL */
    uint64_t remote_ms;     /* for a call to it, with all tries */
    int64_t remote_retries; /* after the first */
    int64_t threads;        /* that decode and embed; 0: one a processor */
    uint64_t batch_wait_ms; /* how long a run of the model may wait for others to share it */
    int64_t max_pixels;
    uint64_t max_image_bytes;
    bool fast_decode;           /* large JPEGs smaller before they are embedded */
    uint64_t embed_cache_bytes; /* embeddings kept in memory; 0: none */
    uint64_t embed_cache_ms;    /* and for how long; 0: as long as there is room */
    double canary_min;          /* cosines of a canary under this are a drift */
    bool keep_gps;              /* read GPS positions from EXIF */
    int thumb_format;           /* 0 jpeg, 1 webp */
} lk_engine_opts;

extern const lk_opt lk_engine_opt_table[];

typedef enum lk_open_mode {
    LK_OPEN_EXISTING, /* LK_E_NOT_FOUND when the folder holds no collection */
    LK_OPEN_CREATE,   /* made when it is not there */
    LK_OPEN_MODEL, /* no folder at all: only lk_engine_embed and lk_engine_model_of may be called */
} lk_open_mode;

/* Takes the folder's lock (LK_E_LOCKED names the owner), opens the stores, loads the model, and
 * removes what an interrupted write or delete left over. LK_E_MODEL when opts names another model
 * than the collection's. */
LK_CHECK lk_code lk_engine_open(const lk_engine_opts *opts, lk_open_mode mode, lk_engine **ret,
                                lk_err *err);
void lk_engine_close(lk_engine *e); /* NULL allowed; no call may be running */

/* ---- records ---- */

typedef enum lk_thumb { LK_THUMB_LIST, LK_THUMB_PREVIEW } lk_thumb; /* long side 320, 1024 */

/* A record is a JSON document; this is its parsed form with the parts that callers look at.
 *
 *   {"id","sha256","format","bytes","width","height","frames","path","filename","created_at",
 *    "updated_at","category","confidence","all_probs":{label:p},"dominant_colors":[{"rgb","share"}],
 *    "color_scheme","brightness","saturation","color_distribution":{name:share},"phash",
 *    "exif":{"camera","lens","taken_at","orientation",…},"metadata":{…}}
 *
 * Times are milliseconds since 1970 UTC. */
typedef struct lk_record {
    lk_str id;
    lk_sha256 sha256;
    lk_str doc; /* the document's text */
    lk_str format, filename, path, category, color_scheme;
    double confidence;
} lk_record;

/* ---- ingest ---- */

typedef enum lk_add_status {
    LK_ADDED,
    LK_ADD_DUPLICATE, /* the same bytes are there already, under ret->id */
    LK_ADD_REPLACED,  /* the id existed and now holds this picture */
} lk_add_status;

typedef struct lk_add {
    lk_blob bytes;
    lk_str id;          /* empty: the first 32 hex digits of the SHA-256 */
    lk_str path;        /* where it came from, or empty */
    lk_str filename;    /* empty: the last part of path */
    lk_str meta;        /* JSON object text of scalars, or empty */
    int64_t created_ms; /* 0: when the camera took it, else now */
} lk_add;

typedef struct lk_added {
    lk_add_status status;
    lk_record record;
    uint64_t took_us;
} lk_added;

/* The whole flow for one picture, on the calling thread; durable when it returns. Call it from
 * several threads for throughput: commits that meet are shared. The same id being added twice at
 * once is serialised. */
LK_CHECK lk_code lk_engine_add(lk_engine *e, const lk_add *add, lk_arena *into, lk_added *ret,
                               lk_err *err);

/* Is a record there whose source is this path with this SHA-256? (what a resumed folder run skips)
 */
LK_CHECK lk_code lk_engine_has_bytes(lk_engine *e, const lk_sha256 *sha256, lk_arena *into,
                                     lk_str *ret_id, lk_err *err); /* LK_E_NOT_FOUND */

/* ---- one record ---- */

LK_CHECK lk_code lk_engine_get(lk_engine *e, lk_str id, lk_arena *into, lk_record *ret,
                               lk_err *err);
/* patch: a JSON object merged into metadata (RFC 7396: null removes a key). */
LK_CHECK lk_code lk_engine_patch(lk_engine *e, lk_str id, lk_str patch, lk_arena *into,
                                 lk_record *ret, lk_err *err);
LK_CHECK lk_code lk_engine_delete(lk_engine *e, lk_str id, lk_err *err); /* LK_E_NOT_FOUND */
LK_CHECK lk_code lk_engine_delete_where(lk_engine *e, lk_str filter, uint64_t *ret_deleted,
                                        lk_err *err);
/* The original's bytes and media type. */
LK_CHECK lk_code lk_engine_original(lk_engine *e, lk_str id, lk_buf *into, const char **ret_mime,
                                    lk_err *err);
/* A thumbnail, made now if it is not there. */
LK_CHECK lk_code lk_engine_thumbnail(lk_engine *e, lk_str id, lk_thumb which, lk_buf *into,
                                     const char **ret_mime, lk_err *err);
/* Newest first; cursor empty at first, *ret_next empty at the end. */
LK_CHECK lk_code lk_engine_list(lk_engine *e, lk_str cursor, size_t limit, lk_str filter,
                                lk_arena *into, lk_record **ret, size_t *ret_n, lk_str *ret_next,
                                lk_err *err);

/* ---- search ---- */

typedef enum lk_part_kind { LK_PART_TEXT, LK_PART_IMAGE, LK_PART_ID, LK_PART_VECTOR } lk_part_kind;

typedef struct lk_query_part {
    lk_part_kind kind;
    float weight;          /* finite, not 0; negative moves away */
    lk_str text;           /* TEXT, ID */
    const lk_str *prompts; /* TEXT, instead of text: their mean, as one part; 1..LK_MAX_PROMPTS */
    size_t n_prompts;
    lk_blob bytes;       /* IMAGE */
    const float *vector; /* VECTOR: [n] with n the model's dimension */
    size_t n;
} lk_query_part;

typedef struct lk_boost {
    lk_str expr; /* a filter, or the name of a boolean field */
    float add;   /* added to the score where it is true */
} lk_boost;

typedef struct lk_search {
    const lk_query_part *parts; /* 1..LK_MAX_QUERY_PARTS */
    size_t n_parts;
    size_t top_k; /* 1..LK_MAX_TOP_K */
    size_t offset;
    lk_str filter;
    bool has_min_score;
    double min_score;
    const lk_boost
        *boosts; /* applied to a pool of at least 4 x (offset + top_k), then sorted again */
    size_t n_boosts;
    bool exclude_parts; /* leave out the ids named by LK_PART_ID parts */
    int64_t ef, nprobe; /* of a graph, of lists; 0: by the number asked for */
    bool exact;
} lk_search;

void lk_search_default(lk_search *ret);

typedef struct lk_hit {
    lk_record record;
    float score;      /* cosine plus boosts */
    float distance;   /* 1 - cosine, 0..2 */
    float similarity; /* (1 + cosine) / 2, 0..1 */
} lk_hit;

typedef struct lk_answer {
    lk_hit *hits;
    size_t n;
    uint64_t matched; /* records that pass the filter */
    const char *plan; /* how the index was walked */
    uint64_t embed_us, search_us, join_us;
} lk_answer;

/* LK_E_NO_MEANING: no word of a text part is known to the model. Errors name the field: "filter",
 * "top_k", "parts[1].weight" … */
LK_CHECK lk_code lk_engine_search(lk_engine *e, const lk_search *s, lk_arena *into, lk_answer *ret,
                                  lk_err *err);

/* The vector that a search for parts[n] looks for: (*ret)[*ret_dim], unit length, in the arena. The
 * errors are lk_engine_search's. */
LK_CHECK lk_code lk_engine_embed(lk_engine *e, const lk_query_part *parts, size_t n, lk_arena *into,
                                 const float **ret, size_t *ret_dim, lk_err *err);

/* The hit's or record's document, with only the named fields when n_fields > 0 ("metadata.brand"
 * reaches in). LK_E_INVALID for a field that no record can have. */
LK_CHECK lk_code lk_record_write(const lk_record *r, const lk_str *fields, size_t n_fields,
                                 lk_jw *w, lk_err *err);

/* ---- categories ---- */

typedef struct lk_categories {
    const char *from; /* "none", "model", "prompts" or "classifier" */
    lk_str settings;  /* as they were set; empty: the model's own */
    const char *const *labels;
    size_t n_labels;
} lk_categories;

/* What pictures are put into when they are added. */
LK_CHECK lk_code lk_engine_categories(lk_engine *e, lk_arena *into, lk_categories *ret,
                                      lk_err *err);
/* settings: a JSON object as model/labels.h has them; empty: the model's own categories. Prompts
 * are embedded and a classifier is loaded before anything changes. Stored pictures keep theirs
 * until lk_engine_relabel. Errors name the member, or "categories". */
LK_CHECK lk_code lk_engine_set_categories(lk_engine *e, lk_str settings, lk_err *err);

typedef struct lk_relabeled {
    uint64_t seen, changed;
    lk_str next; /* cursor; empty at the end */
} lk_relabeled;

/* Put the stored pictures after the cursor (empty: from the start), at most limit of them, into the
 * categories of now. What is as it would be stays untouched. Searches and writers go on meanwhile.
 */
LK_CHECK lk_code lk_engine_relabel(lk_engine *e, lk_str cursor, size_t limit, lk_arena *into,
                                   lk_relabeled *ret, lk_err *err);

/* ---- the whole ---- */

typedef struct lk_model_seen {
    const char *name, *version, *describe;
    size_t dim;
    bool has_image, has_text;
    unsigned turn; /* how many models the engine's collection had before it */
} lk_model_seen;

/* The model that embeds, loaded if it is not yet; the texts into the arena. */
LK_CHECK lk_code lk_engine_model_of(lk_engine *e, lk_arena *into, lk_model_seen *ret, lk_err *err);
/* LK_E_BUSY when the collection was moved to another model since: vectors made meanwhile may be of
 * both. */
LK_CHECK lk_code lk_engine_model_still(lk_engine *e, const lk_model_seen *m, lk_err *err);

typedef enum lk_canary_state {
    LK_CANARY_UNTESTED,
    LK_CANARY_NONE, /* nothing is recorded for the model */
    LK_CANARY_SAME,
    LK_CANARY_DRIFT, /* a cosine is under opts.canary_min */
} lk_canary_state;

typedef struct lk_self_test {
    lk_canary_state state;
    int64_t at_ms;
    bool has_image, has_text; /* recorded? */
    double image_cosine, text_cosine;
} lk_self_test;

typedef struct lk_stats {
    uint64_t images, vectors, objects_bytes, data_bytes, memory_bytes;
    size_t dim;
    const char *model_name, *model_version, *model_key;
    const char *const *labels; /* categories of the model */
    size_t n_labels;
    uint64_t embed_hits, embed_misses, embed_shared; /* of the cache of embeddings; shared are */
    uint64_t embed_entries, embed_bytes;             /* hits that waited for another's run */
    uint64_t model_items, model_runs; /* embeddings made, and runs of the model for them */
    lk_drift_stats drift;
    lk_self_test self_test; /* the last */
    char index[16], index_state[16], index_asked[16];
    double index_built;
    int64_t index_M, index_ef_construction, index_nlist; /* as asked for; 0: the defaults */
    lk_str categories, color_schemes; /* JSON objects {value: count}, in the arena */
} lk_stats;

LK_CHECK lk_code lk_engine_stats(lk_engine *e, lk_arena *into, lk_stats *ret, lk_err *err);

/* Check I1 and every store's own files; see is called with a sentence for each fault. deep: read
 * every object and compare its SHA-256. LK_E_CORRUPT when there was any. */
typedef void lk_verify_fn(void *ctx, const char *sentence);
typedef struct lk_verified {
    uint64_t records, vectors, objects, faults,
        extras; /* extras: harmless leftovers, removed when repair */
} lk_verified;
LK_CHECK lk_code lk_engine_verify(lk_engine *e, bool deep, bool repair, lk_verify_fn *see,
                                  void *ctx, lk_progress_fn *progress, void *progress_ctx,
                                  lk_verified *ret, lk_err *err);

/* What the vector index is to be; what is NULL or 0 stays as it is. */
typedef struct lk_index_opts {
    const char *kind; /* "auto", "flat", "hnsw", "ivf" */
    int64_t M, ef_construction, nlist;
} lk_index_opts;

/* From now on; what has to be built for it is built behind searches. */
LK_CHECK lk_code lk_engine_tune_index(lk_engine *e, const lk_index_opts *opts, lk_err *err);
/* (Re)build the vector index now. */
LK_CHECK lk_code lk_engine_build_index(lk_engine *e, const lk_index_opts *opts,
                                       lk_progress_fn *progress, void *ctx, const lk_cancel *cancel,
                                       lk_err *err);

/* Compare the collection's model with its recorded canary now; what the last such test found. */
LK_CHECK lk_code lk_engine_self_test(lk_engine *e, lk_self_test *ret, lk_err *err);
void lk_engine_self_tested(lk_engine *e, lk_self_test *ret);

/* Draw the demonstration gallery (simple scenes, made by this program) as picture files in dir;
 * *ret_n: how many. */
LK_CHECK lk_code lk_demo_draw(const char *dir, size_t *ret_n, lk_err *err);

/* Is it a picture by its first bytes? */
bool lk_engine_is_picture(lk_blob first_bytes);

#endif
