/* The server's inside, shared by its files and by nobody else. */
#ifndef LK_SERVER_INTERNAL_H
#define LK_SERVER_INTERNAL_H

#include <stdatomic.h>

#include "base/http.h"
#include "server/body.h"
#include "server/listener.h"
#include "server/metrics.h"
#include "server/mover.h"
#include "server/router.h"
#include "server/self_test.h"
#include "server/server.h"

/* S1. The phase only rises. While SERVING and LEAVING every request is taken, but when LEAVING the
 *     server no longer calls itself ready; once STOPPING, requests that have not begun are refused
 *     with 503; once ENDING no work is handed to the pools, which are ending. The step to ENDING is
 *     taken under pool_lock, and so is every handing over.
 * S2. `active` counts requests from their first byte to their last, so that zero means that every
 *     accepted one has been answered. */
typedef enum lk_phase { LK_SERVING, LK_LEAVING, LK_STOPPING, LK_ENDING } lk_phase;

struct lk_server {
    lk_server_opts opts;
    char *listen, *cors; /* ours */
    lk_engine *engine;
    lk_log *log;
    lk_listener *listener;
    lk_self_tester *self_tester;
    lk_mover *mover;
    lk_pool *pools[LK_N_LANES]; /* none for LK_LANE_INLINE */
    lk_mutex pool_lock;
    lk_budget budget;
    lk_http *http; /* NULL: no picture is fetched by URL */
    lk_metrics metrics;
    atomic_int phase;
    atomic_size_t active;
    uint64_t started_ns;
    uint64_t id_seed;
    atomic_uint_fast64_t id_next;
    int wake_fd; /* an eventfd: written by lk_server_stop */
    uint16_t port;
    char url[300];
};

static inline lk_phase lk_server_phase(lk_server *s)
{
    return (lk_phase)atomic_load(&s->phase);
}

#endif
