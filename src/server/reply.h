/* What goes back to a client: a status, a body, a few headers; and the one form of errors.
 *
 *   {"error":{"code":"invalid","message":"top_k must be between 1 and 1000, not 0",
 *             "field":"top_k"}}                      (and "column" where a text is at fault)
 */
#ifndef LK_SERVER_REPLY_H
#define LK_SERVER_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#define LK_MAX_REPLY_HEADERS 16
#define LK_MAX_REPLY_BYTES (512u << 20)

typedef struct lk_reply {
    unsigned status;
    const char *media_type;
    lk_buf body;
    const void *fixed; /* instead of body: bytes that live as long as the program */
    size_t n_fixed;
    struct {
        const char *name, *value; /* constants or in the request's arena */
    } headers[LK_MAX_REPLY_HEADERS];
    size_t n_headers;
} lk_reply;

void lk_reply_init(lk_reply *r);
void lk_reply_clear(lk_reply *r, bool keep); /* keep: a small buffer, for the next request */

/* A value that is NULL (the arena was short) leaves the header out. */
void lk_reply_header(lk_reply *r, const char *name, const char *value);

/* Begin a JSON body; finish with lk_reply_json_end. */
void lk_reply_json(lk_reply *r, unsigned status, lk_jw *w);
LK_CHECK lk_code lk_reply_json_end(lk_reply *r, lk_err *err);

/* Is what failed a picture that was sent, or anything else? The same code means another status. */
typedef enum lk_blame { LK_BLAME_REQUEST, LK_BLAME_PICTURE } lk_blame;
unsigned lk_status_of(lk_code code, lk_blame blame);

void lk_error_write(lk_jw *w, const lk_err *e); /* {"code",…} */
/* Replaces whatever the reply held. */
void lk_reply_error(lk_reply *r, unsigned status, const lk_err *e);

#endif
