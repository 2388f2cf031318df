/* Work on a file that nobody vouches for, in a process of its own.
 *
 * A graph that comes from outside may make the runtime crash, eat all memory or never end. A child
 * process does the work under limits and sends back what it found; whatever happens to it, the
 * caller lives on and learns what happened. */
#ifndef LK_MODEL_TRIAL_H
#define LK_MODEL_TRIAL_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"
#include "model/model.h"

typedef struct lk_trial_limits {
    uint64_t memory_bytes; /* on top of what the caller has; 0: none */
    uint64_t time_ms;      /* of the processor; of the clock ten times as much; 0: none */
} lk_trial_limits;

#define LK_MAX_TRIAL_BYTES ((size_t)16 << 20) /* of out */

/* Runs in the child; what it puts into out comes back to the caller. */
typedef lk_code lk_trial_fn(void *ctx, lk_buf *out, lk_err *err);

/* fn's code and error; LK_E_MODEL when the child crashed, or went over a limit. Other threads of
 * the caller may run meanwhile, but fn finds none of them: locks that they hold stay taken in the
 * child. A caller that has threads calls it before they start. */
LK_CHECK lk_code lk_trial_run(lk_trial_fn *fn, void *ctx, const lk_trial_limits *limits,
                              const lk_cancel *cancel, lk_buf *out, lk_err *err);

/* What a model of so many bytes may take under this provider; NULL: "cpu". */
lk_trial_limits lk_trial_limits_of(uint64_t model_bytes, const char *provider);

/* Open a model and embed in a child; the errors are lk_model_open's. What is recorded when it went
 * well is its canary (canary.h). */
LK_CHECK lk_code lk_model_try(const char *name, const lk_model_opts *opts, const lk_cancel *cancel,
                              lk_err *err);

/* Has it run here? What is part of this program, has a canary of these very files, or has no graph
 * of its own (a service runs it) may be opened without a trial; LK_E_MODEL for any other. */
LK_CHECK lk_code lk_model_known(const char *name, const lk_model_opts *opts, lk_err *err);
/* A trial, unless it is known. */
LK_CHECK lk_code lk_model_vet(const char *name, const lk_model_opts *opts, const lk_cancel *cancel,
                              lk_err *err);

#endif
