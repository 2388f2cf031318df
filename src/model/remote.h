/* A call to a service over HTTP: JSON there, JSON back, and again where that can help. */
#ifndef LK_MODEL_REMOTE_H
#define LK_MODEL_REMOTE_H

#include "base/http.h"

typedef struct lk_remote_opts {
    uint64_t total_ms;    /* for a call with all its tries */
    uint64_t try_ms;      /* for one of them at the most */
    unsigned retries;     /* after the first */
    uint64_t pause_ms;    /* before the second try; it doubles */
    size_t max_bytes;     /* of an answer */
    const char *key_name; /* what to set when the service asks for a key: an environment variable */
} lk_remote_opts;

typedef struct lk_remote_answer {
    long status; /* of the last try; 0: none came */
    lk_buf body; /* with a status other than 200 too */
} lk_remote_answer;

/* Any number of threads. LK_OK: 200 and a body. Otherwise the sentence has the service's own in it,
 * and never the URL's query, where keys stand. LK_E_MODEL: the key is missing or wrong. LK_E_BUSY:
 * too many requests. LK_E_TIMEOUT. LK_E_NET: no connection, a certificate that does not hold, half
 * an answer, any other status. The answer is to be released in either case. */
LK_CHECK lk_code lk_remote_post(lk_http *http, const lk_remote_opts *o, const char *url,
                                lk_str body, lk_remote_answer *ret, lk_err *err);
void lk_remote_answer_release(lk_remote_answer *a);

#endif
