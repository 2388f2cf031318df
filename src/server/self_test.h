/* The model's canary, compared when the server starts and from time to time. One owner. */
#ifndef LK_SERVER_SELF_TEST_H
#define LK_SERVER_SELF_TEST_H

#include <stdint.h>

#include "base/log.h"
#include "engine/engine.h"

typedef struct lk_self_tester lk_self_tester;

/* The first test runs on a thread of its own right away, the next after every_ms (0: none). What
 * they find is kept by the engine; a drift is a warning in the log. */
LK_CHECK lk_code lk_self_tester_start(lk_engine *e, lk_log *log, uint64_t every_ms,
                                      lk_self_tester **ret, lk_err *err);
void lk_self_tester_stop(lk_self_tester *t); /* waits for a test that runs; NULL allowed */

#endif
