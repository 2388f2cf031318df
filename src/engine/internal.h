/* The engine's inside, shared by its files and by nobody else. */
#ifndef LK_ENGINE_INTERNAL_H
#define LK_ENGINE_INTERNAL_H

#include <stdatomic.h>

#include "base/thread.h"
#include "engine/engine.h"
#include "engine/keylock.h"
#include "engine/space.h"
#include "image/image.h"
#include "model/embed_cache.h"
#include "model/labels.h"
#include "model/model.h"
#include "store/objects/objects.h"
#include "store/records/records.h"
#include "store/vectors/vectors.h"

struct lk_engine {
    lk_engine_opts opts;
    char *data_dir, *models_dir; /* ours */
    int lock_fd;
    lk_records *records;
    lk_objects *objects;
    lk_pool *side;   /* colours, hash and thumbnail of a picture while its caller embeds */
    lk_keylock keys; /* ids and objects that are being written */
    unsigned n_cpus;
    atomic_uint adding; /* pictures in flight */
    atomic_bool dirty;  /* the marker of unfinished writes stands in the folder */

    lk_spaces spaces;
    lk_embed_cache *cache;

    lk_mutex categories_lock;
    char *categories;            /* settings; NULL: the model's own */
    atomic_uint categories_turn; /* 1 at first; goes up when they change */

    lk_mutex stats_lock;
    uint64_t objects_bytes, objects_at_ns;
    lk_self_test self_test; /* the last */
};

/* The embedding of a decoded picture whose file has this SHA-256, out of the cache when it is
 * there.
 */
LK_CHECK lk_code lk_space_embed_decoded(lk_engine *e, lk_space *sp, const lk_sha256 *sha256,
                                        const lk_image *im, float *ret, lk_err *err);
/* lk_engine_embed in this space. */
LK_CHECK lk_code lk_space_embed(lk_engine *e, lk_space *sp, const lk_query_part *parts, size_t n,
                                lk_arena *into, const float **ret, size_t *ret_dim, lk_err *err);

/* What a picture was found to be. */
typedef struct lk_judged {
    lk_labels *labels;
    float *probs; /* one a label, in the arena */
    size_t best;
} lk_judged;

/* By the collection's categories of now; im may be NULL unless they want the picture
 * (lk_judge_wants_picture). The space is pinned or in the gate until the release. */
LK_CHECK lk_code lk_judge(lk_engine *e, lk_space *sp, const float *vector, const lk_image *im,
                          lk_arena *into, lk_judged *ret, lk_err *err);
LK_CHECK lk_code lk_judge_wants_picture(lk_engine *e, lk_space *sp, bool *ret, lk_err *err);
void lk_judged_release(lk_judged *j);
/* "category", "confidence" and "all_probs" of a record; nothing without labels. */
void lk_judged_write(const lk_judged *j, lk_jw *w);
size_t lk_judged_n_written(const lk_judged *j); /* members of "all_probs" */
LK_CHECK lk_code lk_categories_load(lk_engine *e, lk_err *err);

/* What filters see of a picture, in both spaces; the second one need not have it. In the gate. */
LK_CHECK lk_code lk_engine_put_attrs(lk_engine *e, const lk_space *sp, const lk_vector_row *row,
                                     lk_err *err);

/* Leave the marker that makes the next open sweep, before the first write of a session. */
LK_CHECK lk_code lk_engine_mark_dirty(lk_engine *e, lk_err *err);

/* Remove vectors and objects that no record names (the extras of I1). */
LK_CHECK lk_code lk_engine_sweep(lk_engine *e, uint64_t *ret_extras, lk_err *err);

/* Remove the object when no record names it any more. The caller holds no key. */
LK_CHECK lk_code lk_engine_drop_object(lk_engine *e, const lk_sha256 *key, lk_err *err);

/* Fill *ret from a stored row, which must outlive it. LK_E_CORRUPT when it is no record of ours. */
LK_CHECK lk_code lk_record_of_row(const lk_record_row *row, lk_arena *into, lk_record *ret,
                                  lk_err *err);

/* The filterable attributes of a document, built-in fields first. Numbers of metadata are reals. */
LK_CHECK lk_code lk_record_attrs(lk_str doc, lk_arena *into, lk_attr **ret, size_t *ret_n,
                                 lk_err *err);

/* Every field that filters may name now: the built-in ones and the metadata seen so far. */
LK_CHECK lk_code lk_space_schema(const lk_space *sp, lk_arena *into, lk_schema *ret, lk_err *err);

/* Parse and check a filter; an empty text gives NULL. */
LK_CHECK lk_code lk_space_filter(const lk_space *sp, lk_str text, lk_arena *into,
                                 const lk_filter **ret, lk_err *err);

/* Is a checked filter true of this document? */
LK_CHECK lk_code lk_record_match(const lk_filter *f, lk_str doc, bool *ret, lk_err *err);

/* The name of a thumbnail among an object's variants: "t320jpeg". */
void lk_thumb_variant(const lk_engine *e, lk_thumb which, char ret[16]);
LK_CHECK lk_code lk_thumb_make(const lk_engine *e, const lk_image *im, lk_thumb which, lk_buf *out,
                               lk_err *err);

lk_image_limits lk_engine_limits(const lk_engine *e);
/* The same, for a picture that the model is to see: with --fast-decode a large JPEG comes smaller.
 */
lk_image_limits lk_engine_decoding(const lk_engine *e, const lk_model *m);
lk_model_opts lk_engine_model_opts(const lk_engine_opts *o, const char *models_dir);

/* Picture i of the demonstration gallery's lk_demo_count(); release it. */
size_t lk_demo_count(void);
LK_CHECK lk_code lk_demo_picture(size_t i, const char **ret_name, lk_image *ret, lk_err *err);

#endif
