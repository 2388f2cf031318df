#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/os.h"

enum { MAX_LINE = 64 << 10 };

static const char *const words[] = {
    [LK_LOG_DEBUG] = "debug", [LK_LOG_INFO] = "info", [LK_LOG_WARN] = "warn",
    [LK_LOG_ERROR] = "error", [LK_LOG_OFF] = "off",
};

void lk_log_init(lk_log *log, int fd, lk_log_level level, bool json)
{
    log->fd = fd;
    log->level = level;
    log->json = json;
    lk_mutex_init(&log->lock, LK_RANK_LOG);
}

void lk_log_release(lk_log *log)
{
    if (log)
        lk_mutex_release(&log->lock);
}

bool lk_log_level_of(const char *word, lk_log_level *ret)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i], word) == 0) {
            *ret = (lk_log_level)i;
            return true;
        }
    }
    return false;
}

/* RFC 3339 in UTC with milliseconds. */
static void put_time(char ret[32], int64_t wall_ms)
{
    int64_t ms = wall_ms % 1000;
    if (ms < 0)
        ms += 1000;
    time_t s = (time_t)((wall_ms - ms) / 1000);
    struct tm tm;
    char seconds[24];
    gmtime_r(&s, &tm);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret, 32, "%s.%03dZ", seconds, (int)ms);
}

static void put_json(lk_buf *b, const char *time, lk_log_level level, const char *msg,
                     const lk_log_field *fields, size_t n)
{
    lk_jw w;
    lk_jw_init(&w, b);
    lk_jw_obj(&w);
    lk_jw_key(&w, "time");
    lk_jw_strz(&w, time);
    lk_jw_key(&w, "level");
    lk_jw_strz(&w, words[level]);
    lk_jw_key(&w, "msg");
    lk_jw_strz(&w, msg);
    for (size_t i = 0; i < n; i++) {
        lk_jw_key(&w, fields[i].key);
        if (fields[i].type == LK_LF_STR)
            lk_jw_strz(&w, fields[i].s);
        else if (fields[i].type == LK_LF_INT)
            lk_jw_int(&w, fields[i].i);
        else
            lk_jw_real(&w, fields[i].d);
    }
    lk_jw_end_obj(&w);
}

/* Text from outside must not be able to end the line or pass for another field. */
static bool needs_quotes(const char *s)
{
    if (*s == '\0')
        return true;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= ' ' || c == 0x7F || c == '"' || c == '=' || c == '\\')
            return true;
    }
    return !lk_utf8_valid(lk_str_of(s));
}

static void put_text_value(lk_buf *b, const lk_log_field *f)
{
    lk_jw w;
    lk_jw_init(&w, b);
    if (f->type == LK_LF_INT)
        lk_jw_int(&w, f->i);
    else if (f->type == LK_LF_REAL)
        lk_jw_real(&w, f->d);
    else if (!f->s || needs_quotes(f->s))
        lk_jw_strz(&w, f->s);
    else
        lk_buf_puts(b, f->s);
}

static void put_text(lk_buf *b, const char *time, lk_log_level level, const char *msg,
                     const lk_log_field *fields, size_t n)
{
    lk_buf_printf(b, "%s %-5s ", time, words[level]);
    for (const char *s = msg; *s; s++)
        lk_buf_putc(b, (unsigned char)*s < ' ' ? ' ' : *s);
    for (size_t i = 0; i < n; i++) {
        lk_buf_printf(b, " %s=", fields[i].key);
        put_text_value(b, &fields[i]);
    }
}

void lk_log_event(lk_log *log, lk_log_level level, const char *msg, const lk_log_field *fields,
                  size_t n)
{
    if (!log || level < log->level || level >= LK_LOG_OFF)
        return;
    char time[32];
    put_time(time, lk_wall_ms());
    void (*put)(lk_buf *, const char *, lk_log_level, const char *, const lk_log_field *, size_t) =
        log->json ? put_json : put_text;

    lk_buf b;
    lk_buf_init(&b, MAX_LINE);
    put(&b, time, level, msg, fields, n);
    if (lk_buf_check(&b, NULL)) { /* the event is worth more than its fields */
        lk_buf_clear(&b);
        put(&b, time, level, msg, NULL, 0);
    }
    lk_buf_putc(&b, '\n');
    if (lk_buf_check(&b, NULL) == LK_OK) {
        /* Held across the write, so that lines longer than a pipe takes at once stay whole. A log
         * that cannot be written has nowhere to say so. */
        lk_mutex_lock(&log->lock);
        lk_code ignored = lk_os_write_all(log->fd, b.p, b.n, NULL);
        (void)ignored;
        lk_mutex_unlock(&log->lock);
    }
    lk_buf_release(&b);
}
