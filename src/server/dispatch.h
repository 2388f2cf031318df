/* From a request's headers to its answer: route, checks, handler, error form, log line. */
#ifndef LK_SERVER_DISPATCH_H
#define LK_SERVER_DISPATCH_H

#include "server/request.h"

typedef enum lk_next {
    LK_NEXT_BODY,   /* read the body, then lk_dispatch_run */
    LK_NEXT_ANSWER, /* the reply is there already */
} lk_next;

/* The headers are in rq. */
lk_next lk_dispatch_head(lk_request *rq);
/* The body is complete: run the handler, on the calling thread. */
void lk_dispatch_run(lk_request *rq);
/* Refuse with that error; the status is the code's, unless one is given. */
void lk_dispatch_refuse(lk_request *rq, unsigned status, const lk_err *err);
/* The answer is out (or, whole false, its client went away): count and log it. */
void lk_dispatch_done(lk_request *rq, bool whole);

#endif
