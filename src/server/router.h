/* Which route a request is for: one table that gives dispatch, limits, metrics and OpenAPI. */
#ifndef LK_SERVER_ROUTER_H
#define LK_SERVER_ROUTER_H

#include "server/request.h"

/* Where a handler runs. Uploads have workers of their own, so that a folder being added does not
 * make searches wait; what needs no engine is answered by the thread that read the request. */
typedef enum lk_lane { LK_LANE_INLINE, LK_LANE_QUICK, LK_LANE_UPLOAD, LK_N_LANES } lk_lane;

/* Fills rq->reply. An error is turned into the error form by the caller. */
typedef lk_code lk_handler_fn(lk_request *rq, lk_err *err);

/* An argument as the OpenAPI document tells it; the handler checks it. */
typedef struct lk_arg_doc {
    const char *name;
    const char *type; /* string, integer, number, boolean, file …; see openapi.c */
    const char *help;
} lk_arg_doc;

typedef struct lk_route {
    unsigned method;
    const char *path; /* "/v1/images/{id}": a {…} matches one segment */
    lk_handler_fn *handle;
    lk_lane lane;
    unsigned body;      /* lk_body_kinds it takes; 0: none */
    bool when_stopping; /* answered even then */
    const char *label;  /* in metrics and logs, and OpenAPI's operationId */
    const char *summary;
    const lk_arg_doc *query, *form; /* each ends with a NULL name; NULL: none */
    const char *json;               /* the schema of the JSON body, or NULL */
    const char *answer;             /* the schema of the JSON answer, or its media type */
} lk_route;

extern const lk_route lk_routes[];
extern const size_t lk_n_routes;

/* The route of that method and path. NULL: there is none; *ret_allowed then says which methods
 * (lk_method bits) that path has, 0 when it is unknown. raw_args[LK_MAX_PATH_ARGS] gets what {…}
 * matched, still encoded. */
const lk_route *lk_route_match(const lk_route *routes, size_t n, unsigned method, lk_str path,
                               lk_str *raw_args, unsigned *ret_allowed);

/* "GET, HEAD, POST": for the Allow header. */
void lk_methods_write(unsigned methods, lk_buf *out);

#endif
