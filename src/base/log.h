/* Logs of the programs (the library itself never logs): one line an event, as text or JSON.
 *
 *   2026-11-21T09:30:00.123Z info  listening address=127.0.0.1:8080
 *   {"time":"2026-11-21T09:30:00.123Z","level":"info","msg":"listening","address":"127.0.0.1:8080"}
 *
 * A line is written with one write(2). Internally locked. */
#ifndef LK_BASE_LOG_H
#define LK_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/thread.h"

typedef enum lk_log_level {
    LK_LOG_DEBUG,
    LK_LOG_INFO,
    LK_LOG_WARN,
    LK_LOG_ERROR,
    LK_LOG_OFF
} lk_log_level;

typedef struct lk_log {
    int fd;
    lk_log_level level; /* events below it are dropped */
    bool json;
    lk_mutex lock;
} lk_log;

typedef struct lk_log_field {
    const char *key;
    enum { LK_LF_STR, LK_LF_INT, LK_LF_REAL } type;
    const char *s;
    int64_t i;
    double d;
} lk_log_field;

#define LK_LS(k, v) ((lk_log_field){.key = (k), .type = LK_LF_STR, .s = (v)})
#define LK_LI(k, v) ((lk_log_field){.key = (k), .type = LK_LF_INT, .i = (int64_t)(v)})
#define LK_LD(k, v) ((lk_log_field){.key = (k), .type = LK_LF_REAL, .d = (v)})

void lk_log_init(lk_log *log, int fd, lk_log_level level, bool json);
void lk_log_release(lk_log *log);
bool lk_log_level_of(const char *word, lk_log_level *ret); /* "debug" … "off" */
void lk_log_event(lk_log *log, lk_log_level level, const char *msg, const lk_log_field *fields,
                  size_t n); /* NULL log allowed: nothing */

/* lk_log_info(log, "listening", LK_LS("address", a), LK_LI("port", p)); at least one field */
#define LK_LOG_CALL(log, level, msg, ...)                                                          \
    lk_log_event((log), (level), (msg), (lk_log_field[]){__VA_ARGS__},                             \
                 sizeof((lk_log_field[]){__VA_ARGS__}) / sizeof(lk_log_field))
#define lk_log_debug(log, msg, ...) LK_LOG_CALL(log, LK_LOG_DEBUG, msg, __VA_ARGS__)
#define lk_log_info(log, msg, ...) LK_LOG_CALL(log, LK_LOG_INFO, msg, __VA_ARGS__)
#define lk_log_warn(log, msg, ...) LK_LOG_CALL(log, LK_LOG_WARN, msg, __VA_ARGS__)
#define lk_log_error(log, msg, ...) LK_LOG_CALL(log, LK_LOG_ERROR, msg, __VA_ARGS__)

#endif
