/* Progress of long work: a bar with rate and time left on a terminal, plain lines otherwise.
 *
 * The work calls lk_progress_add from any thread; drawing happens at most ten times a second on a
 * terminal and once in five seconds elsewhere. The library takes an lk_progress_fn instead and
 * never draws. */
#ifndef LK_BASE_PROGRESS_H
#define LK_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/thread.h"

/* done of total (0: not known yet). Called from worker threads, never at the same time. */
typedef void lk_progress_fn(void *ctx, uint64_t done, uint64_t total);

typedef struct lk_progress {
    int fd; /* -1: silent */
    bool tty;
    const char *what; /* "adding" */
    const char *unit; /* "images" */
    uint64_t done, total, failed;
    uint64_t start_ns, drawn_ns;
    lk_mutex lock;
} lk_progress;

void lk_progress_init(lk_progress *p, int fd, const char *what, const char *unit);
void lk_progress_set_total(lk_progress *p, uint64_t total);
/* So many more done, and so many more that failed; both count as seen. */
void lk_progress_add(lk_progress *p, uint64_t done, uint64_t failed);
void lk_progress_set(void *p, uint64_t done,
                     uint64_t total); /* an lk_progress_fn over an lk_progress */
/* The last line, with the totals. Ends the progress: nothing may be added afterwards. */
void lk_progress_finish(lk_progress *p);

#endif
