/* The HTTP server over one engine: the routes of /v1, those of older clients, and the page.
 *
 *   lk_server_open    binds, starts the threads, serves from then on
 *   lk_server_run     waits until somebody asks it to stop
 *   lk_server_stop    asks; from any thread or signal handler
 *   lk_server_close   drains: no accepted request is dropped
 *
 * The engine and the log must outlive the server. The server never exits or installs a signal
 * handler: that is its program's. */
#ifndef LK_SERVER_SERVER_H
#define LK_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/thread.h"
#include "engine/engine.h"

typedef struct lk_server lk_server;

typedef struct lk_server_opts {
    const char *listen; /* "HOST:PORT"; port 0: any free one */
    int64_t workers;    /* threads that answer queries; 0: one a processor */
    int64_t upload_workers;
    int64_t io_threads; /* threads that read and write sockets; 0: one for four processors */
    int64_t queue;      /* requests that may wait for a worker, of each kind */
    int64_t max_connections;
    uint64_t max_body;
    uint64_t max_json;
    uint64_t max_pending; /* bodies being received, all together */
    uint64_t max_headers;
    uint64_t max_url;
    int64_t max_files;
    int64_t max_results;
    uint64_t idle_ms;
    uint64_t receive_ms;
    uint64_t drain_delay_ms;
    uint64_t stop_ms;
    uint64_t self_test_ms; /* between self-tests of the model; 0: only at the start */
    bool drift_unready;    /* answer 503 to those who ask how it is once the model has drifted */
    const char *cors;
    bool access_log;
    bool image_urls; /* fetch pictures that requests name by URL */
} lk_server_opts;

extern const lk_opt lk_server_opt_table[];

/* opts is copied, the strings in it too. log: NULL for none. Errors name the address. */
LK_CHECK lk_code lk_server_open(const lk_server_opts *opts, lk_engine *e, lk_log *log,
                                lk_server **ret, lk_err *err);
uint16_t lk_server_port(const lk_server *s);   /* the one it listens on */
const char *lk_server_url(const lk_server *s); /* "http://127.0.0.1:8080" */
/* Returns once lk_server_stop was called or stop (NULL allowed) is set. */
void lk_server_run(lk_server *s, const lk_cancel *stop);
void lk_server_stop(lk_server *s);
/* Refuse what is new, finish what was accepted (at most stop_ms for slow clients; work that a
 * worker has begun is always finished), then end the threads. NULL allowed. */
void lk_server_close(lk_server *s);

#endif
