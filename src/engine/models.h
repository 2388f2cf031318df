/* Models by themselves, without a collection: what there is, bringing in and taking out, checking,
 * measuring.
 *
 * Of the options, models_dir (or data_dir) says where models stand, and runtime, provider and
 * threads say what runs them. What brings in or checks a model forks (model/trial.h): call it
 * before threads start. */
#ifndef LK_ENGINE_MODELS_H
#define LK_ENGINE_MODELS_H

#include "engine/engine.h"
#include "model/bench.h"
#include "model/check.h"
#include "model/pull.h"

typedef enum lk_model_state {
    LK_MODEL_BUNDLED,
    LK_MODEL_INSTALLED,
    LK_MODEL_FAULTY,   /* its card cannot be used: describe says why */
    LK_MODEL_PULLABLE, /* its card is in the program, its files are not here */
} lk_model_state;

typedef struct lk_model_listed {
    const char *name; /* what commands take: the folder's, or the bundled model's short one */
    lk_model_state state;
    const char *version, *describe;
    const char *where; /* the folder, the hub's repository, or "" */
    size_t dim;
    bool has_image, has_text;
} lk_model_listed;

/* Cards only: nothing is loaded. see is called once for each, bundled and installed ones first. */
typedef void lk_model_listed_fn(void *ctx, const lk_model_listed *m);
LK_CHECK lk_code lk_engine_models(const lk_engine_opts *opts, lk_model_listed_fn *see, void *ctx,
                                  lk_err *err);

/* lk_model_pull; pull->model is set here. */
LK_CHECK lk_code lk_engine_model_pull(const lk_engine_opts *opts, const lk_pull_opts *pull,
                                      lk_pulled *ret, lk_err *err);

/* lk_model_add, lk_model_remove, lk_model_export. A model that the data folder's collection is
 * bound to is not removed: LK_E_DENIED. */
LK_CHECK lk_code lk_engine_model_add(const lk_engine_opts *opts, const char *dir, const char *name,
                                     const lk_cancel *cancel, lk_pulled *ret, lk_err *err);
LK_CHECK lk_code lk_engine_model_remove(const lk_engine_opts *opts, const char *name, lk_err *err);
LK_CHECK lk_code lk_engine_model_export(const lk_engine_opts *opts, const char *name,
                                        const char *dir, lk_err *err);

/* lk_model_check; photos may be NULL. */
LK_CHECK lk_code lk_engine_model_check(const lk_engine_opts *opts, const char *name,
                                       const char *photos, const lk_cancel *cancel, lk_checked *ret,
                                       lk_err *err);

/* Before a server opens the data folder: its model is known to run here, or is tried in a child now
 * (lk_model_vet). A folder that is not there yet is fine. */
LK_CHECK lk_code lk_engine_model_vet(const lk_engine_opts *opts, const lk_cancel *cancel,
                                     lk_err *err);

#define LK_MAX_BENCH_ROWS 16

typedef struct lk_benched {
    char name[64];
    size_t dim;
    unsigned cpus;
    double load_ms;
    uint64_t resident_bytes; /* after the last row */
    lk_bench_row rows[LK_MAX_BENCH_ROWS];
    size_t n_rows;
} lk_benched;

/* Load a model and measure each tower at one and two workers, pictures one by one and eight a call.
 */
LK_CHECK lk_code lk_engine_model_bench(const lk_engine_opts *opts, const char *name,
                                       const lk_bench_opts *bench, lk_benched *ret, lk_err *err);

#endif
