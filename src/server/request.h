/* One request as its handler sees it, from the first byte to the last of the answer.
 *
 * A connection owns one and uses it again and again, so that a small request allocates nothing.
 * It passes from the thread that reads the socket to a worker and back; one owner at a time. */
#ifndef LK_SERVER_REQUEST_H
#define LK_SERVER_REQUEST_H

#include "base/arena.h"
#include "base/sha256.h"
#include "server/body.h"
#include "server/query.h"
#include "server/reply.h"
#include "server/server.h"

#define LK_MAX_PATH_ARGS 2
#define LK_MAX_ID_BYTES_HTTP 512 /* of an image's id */

typedef enum lk_method {
    LK_GET = 1 << 0,
    LK_POST = 1 << 1,
    LK_PATCH = 1 << 2,
    LK_DELETE = 1 << 3,
    LK_OPTIONS = 1 << 4,
    LK_HEAD = 1 << 5,
} lk_method;

struct lk_route;

typedef struct lk_request {
    struct lk_server *server;
    lk_engine *engine;
    lk_arena arena; /* ends with the request */

    lk_method method;
    const char *method_name; /* as sent; the arena's */
    lk_str target;           /* as sent: path and query */
    lk_str path;             /* the target's path, still encoded */
    lk_args query;
    lk_str path_args[LK_MAX_PATH_ARGS]; /* what the route's {…} matched, decoded */
    const struct lk_route *route;       /* NULL until one matched */

    struct { /* NULL when not sent */
        const char *content_type, *if_none_match, *origin, *host;
        bool has_length, chunked, expects_continue;
        uint64_t content_length;
        size_t bytes;
    } in;
    char id[40];     /* X-Request-Id, the client's or ours */
    char remote[64]; /* the client's address */
    uint64_t start_ns;

    lk_body body;
    lk_reply reply;
    lk_blame blame; /* whom a handler's error is about */
} lk_request;

/* An absent argument leaves *ret as it is. */
LK_CHECK lk_code lk_request_int(const lk_request *rq, const char *name, int64_t min, int64_t max,
                                int64_t *ret, lk_err *err);
LK_CHECK lk_code lk_request_str(const lk_request *rq, const char *name, lk_str *ret, lk_err *err);

/* The JSON body, which must be an object; free it with lk_json_free. */
LK_CHECK lk_code lk_request_json(const lk_request *rq, lk_json **ret, lk_err *err);

/* Does the client hold that version (an ETag with its quotes) already? */
bool lk_request_has(const lk_request *rq, const char *etag);

/* A length-limited id out of a path or body: 1..512 bytes. */
LK_CHECK lk_code lk_check_id(lk_str id, lk_err *err);

#endif
