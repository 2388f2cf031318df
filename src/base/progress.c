#include "base/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/os.h"

enum { MAX_LINE = 512, BAR_MAX = 40, BAR_MIN = 10 };

static const uint64_t tty_ns = 100u * 1000 * 1000;
static const uint64_t line_ns = 5ull * 1000 * 1000 * 1000;

void lk_progress_init(lk_progress *p, int fd, const char *what, const char *unit)
{
    *p = (lk_progress){.fd = fd, .what = what, .unit = unit};
    lk_mutex_init(&p->lock, LK_RANK_LOG);
    p->tty = fd >= 0 && isatty(fd);
    p->start_ns = lk_now_ns();
    p->drawn_ns = p->start_ns;
}

typedef struct line {
    char text[MAX_LINE];
    size_t n;
} line;

static void LK_PRINTF(2, 3) add(line *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(l->text + l->n, sizeof l->text - l->n, fmt, args);
    va_end(args);
    if (n > 0)
        l->n += (size_t)n < sizeof l->text - l->n ? (size_t)n : sizeof l->text - l->n - 1;
}

/* 0:07, 12:34, 3:00:05 */
static void add_time(line *l, uint64_t s)
{
    if (s >= 3600)
        add(l, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else
        add(l, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

/* Since the start: steady, and right about the whole, which is what the time left is wanted for. */
static double rate_of(const lk_progress *p, uint64_t now_ns)
{
    uint64_t ns = now_ns - p->start_ns;
    return ns > 0 ? (double)(p->done + p->failed) * 1e9 / (double)ns : 0;
}

static void add_rate(line *l, double rate)
{
    add(l, rate < 10 ? "%.1f/s" : "%.0f/s", rate);
}

static double share_of(const lk_progress *p)
{
    uint64_t seen = p->done + p->failed;
    return seen >= p->total ? 1 : (double)seen / (double)p->total;
}

static void add_facts(line *l, const lk_progress *p, uint64_t now_ns, const char *sep)
{
    uint64_t seen = p->done + p->failed;
    double rate = rate_of(p, now_ns);
    if (p->total > 0)
        add(l, "%" PRIu64 " of %" PRIu64 " %s%s", seen, p->total, p->unit, sep);
    else
        add(l, "%" PRIu64 " %s%s", seen, p->unit, sep);
    add_rate(l, rate);
    if (p->total > seen && rate > 0) {
        double left_s = (double)(p->total - seen) / rate;
        add(l, "%s", sep);
        add_time(l, left_s < 1e9 ? (uint64_t)(left_s + 0.5) : 1000000000);
        add(l, " left");
    }
    if (p->failed > 0)
        add(l, "%s%" PRIu64 " failed", sep, p->failed);
}

static size_t width_of(int fd)
{
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* adding [=====>    ]  42 %  421 of 1000 images  85/s  0:07 left */
static void draw_bar(const lk_progress *p, uint64_t now_ns, line *l)
{
    line facts = {.n = 0};
    size_t width = width_of(p->fd) - 1; /* the last column would wrap on some terminals */
    add_facts(&facts, p, now_ns, "  ");
    if (width >= sizeof l->text - 16)
        width = sizeof l->text - 16;

    line bar = {.n = 0};
    add(&bar, "%s", p->what);
    size_t taken = bar.n + facts.n + 12; /* brackets, spaces and the percentage */
    if (p->total > 0) {
        size_t room = width > taken ? width - taken : 0;
        size_t cells = room > BAR_MAX ? BAR_MAX : room;
        size_t full = (size_t)(share_of(p) * (double)cells);
        if (cells >= BAR_MIN) {
            add(&bar, " [");
            for (size_t i = 0; i < cells; i++)
                add(&bar, "%c", i < full ? '=' : i == full ? '>' : ' ');
            add(&bar, "]");
        }
        add(&bar, " %3d %%", (int)(share_of(p) * 100));
    }
    add(&bar, "  %s", facts.text);
    if (bar.n > width)
        bar.text[width] = '\0';
    add(l, "\r\x1b[K%s", bar.text);
}

static void draw_line(const lk_progress *p, uint64_t now_ns, line *l)
{
    add(l, "%s: ", p->what);
    if (p->total > 0)
        add(l, "%d %%, ", (int)(share_of(p) * 100));
    add_facts(l, p, now_ns, ", ");
    add(l, "\n");
}

/* Under the lock, and written under it, so that lines come whole and in order. Nobody is told when
 * standard error cannot be written: the work goes on. */
static void draw_if_due(lk_progress *p)
{
    uint64_t now_ns = lk_now_ns();
    if (p->fd < 0 || now_ns - p->drawn_ns < (p->tty ? tty_ns : line_ns))
        return;
    line l = {.n = 0};
    if (p->tty)
        draw_bar(p, now_ns, &l);
    else
        draw_line(p, now_ns, &l);
    p->drawn_ns = now_ns;
    lk_code ignored = lk_os_write_all(p->fd, l.text, l.n, NULL);
    (void)ignored;
}

void lk_progress_set_total(lk_progress *p, uint64_t total)
{
    lk_mutex_lock(&p->lock);
    p->total = total;
    lk_mutex_unlock(&p->lock);
}

void lk_progress_add(lk_progress *p, uint64_t done, uint64_t failed)
{
    lk_mutex_lock(&p->lock);
    p->done += done;
    p->failed += failed;
    draw_if_due(p);
    lk_mutex_unlock(&p->lock);
}

void lk_progress_set(void *ctx, uint64_t done, uint64_t total)
{
    lk_progress *p = ctx;
    lk_mutex_lock(&p->lock);
    p->done = done;
    p->total = total;
    draw_if_due(p);
    lk_mutex_unlock(&p->lock);
}

void lk_progress_finish(lk_progress *p)
{
    uint64_t now_ns = lk_now_ns();
    line l = {.n = 0};
    add(&l, "%s%s: %" PRIu64 " %s in ", p->tty ? "\r\x1b[K" : "", p->what, p->done, p->unit);
    add_time(&l, (now_ns - p->start_ns) / 1000000000);
    add(&l, ", ");
    add_rate(&l, rate_of(p, now_ns));
    if (p->failed > 0)
        add(&l, ", %" PRIu64 " failed", p->failed);
    add(&l, "\n");
    if (p->fd >= 0) {
        lk_code ignored = lk_os_write_all(p->fd, l.text, l.n, NULL);
        (void)ignored;
    }
    lk_mutex_release(&p->lock);
}
