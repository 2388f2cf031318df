/* A child process that may die.
 *
 * fork without exec: the child is a copy that goes straight on, so that tests and other programs
 * over the library need no second binary. The price is that the child has only the thread that
 * forked. The runtime is loaded by the child when nobody has loaded it before, and it starts no
 * threads of its own here (onnx.c), so that a copy of a process that has loaded it works as well.
 *
 * Memory is limited by RLIMIT_DATA, which counts private memory that can be written, above what
 * the process has already: RLIMIT_AS would count mapped files and reserved ranges, too. Time is
 * the processor's, which is the same on a busy machine; a child that only waits is ended when the
 * clock has gone on BUSY_TIMES as long. The parent's death ends it, too. The answer goes through a
 * pipe: the error as it stands in memory - both ends are the same program - and then the bytes. */
#include "model/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "model/canary.h"
#include "model/places.h"

enum {
    LOOK_AT_CANCEL_MS = 100,
    MIN_SECONDS = 120,
    MIB_A_SECOND = 8,
    CARD_TIMES = 10,
    BUSY_TIMES = 10
};

#define SPARE_BYTES ((uint64_t)2 << 30)
#define COPIES 6 /* of the weights: file, parsed graph, tensors, packed tensors; two to spare */

/* Drivers of graphics cards map memory of the card's size and more, of which no limit can be made;
 * TensorRT compiles for minutes. */
lk_trial_limits lk_trial_limits_of(uint64_t model_bytes, const char *provider)
{
    uint64_t seconds = MIN_SECONDS + (model_bytes >> 20) / MIB_A_SECOND;
    if (provider && strcmp(provider, "cpu") != 0)
        return (lk_trial_limits){.time_ms = seconds * 1000 * CARD_TIMES};
    return (lk_trial_limits){SPARE_BYTES + COPIES * model_bytes, seconds * 1000};
}

/* ---- the child ---- */

/* Private writable bytes of this process, by the sixth number of statm. */
static uint64_t data_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit(int what, uint64_t most)
{
    struct rlimit now;
    if (getrlimit(what, &now) != 0)
        return;
    /* The soft limit of the processor's time ends the child with a signal of its own. */
    now.rlim_cur = (rlim_t)most < now.rlim_max ? (rlim_t)most : now.rlim_max;
    setrlimit(what, &now);
}

static void take_limits(const lk_trial_limits *l, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    limit(RLIMIT_CORE, 0);
    if (l->memory_bytes)
        limit(RLIMIT_DATA, data_bytes() + l->memory_bytes);
    if (l->time_ms)
        limit(RLIMIT_CPU, (l->time_ms + 999) / 1000);
}

static void write_whole(int fd, const void *p, size_t n)
{
    if (lk_os_write_all(fd, p, n, NULL))
        _exit(1); /* nobody reads any more */
}

/* Ends without the caller's exit handlers, which would flush its files a second time. */
static _Noreturn void be_child(lk_trial_fn *fn, void *ctx, int fd)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGSEGV, SIGBUS,
                                  SIGFPE, SIGILL,  SIGABRT, SIGXCPU};
    lk_err err;
    lk_buf out;
    memset(&err, 0, sizeof err);
    for (size_t i = 0; i < LK_ARRAY_LEN(signals); i++)
        signal(signals[i], SIG_DFL);
    lk_buf_init(&out, LK_MAX_TRIAL_BYTES);
    err.code = fn(ctx, &out, &err);
    if (!err.code && lk_buf_check(&out, &err))
        out.n = 0;
    write_whole(fd, &err, sizeof err);
    write_whole(fd, out.p ? out.p : "", out.n);
    _exit(0);
}

/* ---- the parent ---- */

typedef struct answer {
    lk_err err;
    size_t n; /* bytes of err that have come */
} answer;

static lk_code take(answer *a, lk_buf *out, const char *p, size_t n, lk_err *err)
{
    size_t head = sizeof a->err - a->n < n ? sizeof a->err - a->n : n;
    memcpy((char *)&a->err + a->n, p, head);
    a->n += head;
    lk_buf_put(out, p + head, n - head);
    return lk_buf_check(out, err);
}

static lk_code too_slow(uint64_t ms, lk_err *err)
{
    return lk_fail(err, LK_E_MODEL, "the model was still not ready after %" PRIu64 " s", ms / 1000);
}

/* LK_OK: the pipe is at its end. */
static lk_code read_answer(int fd, const lk_trial_limits *l, const lk_cancel *cancel, answer *a,
                           lk_buf *out, lk_err *err)
{
    char some[4096];
    uint64_t start = lk_now_ns();
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (lk_cancel_is_set(cancel))
            return lk_fail(err, LK_E_CANCELED, "stopped on request");
        if (l->time_ms && lk_now_ns() - start > l->time_ms * 1000000 * BUSY_TIMES)
            return too_slow(l->time_ms * BUSY_TIMES, err);
        if (poll(&p, 1, LOOK_AT_CANCEL_MS) <= 0)
            continue;
        ssize_t n = read(fd, some, sizeof some);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lk_fail_sys(err, errno, "cannot read what a trial found");
        if (n == 0)
            return LK_OK;
        lk_code code = take(a, out, some, (size_t)n, err);
        if (code)
            return code;
    }
}

static lk_code say_death(int status, const lk_trial_limits *l, lk_err *err)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return too_slow(l->time_ms, err);
    if (WIFSIGNALED(status))
        return lk_fail(err, LK_E_MODEL,
                       "the model crashed the process that tried it (signal %d: %s)",
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    return lk_fail(err, LK_E_MODEL, "the process that tried the model gave up (status %d)",
                   WEXITSTATUS(status));
}

static lk_code attend(pid_t pid, int fd, const lk_trial_limits *l, const lk_cancel *cancel,
                      lk_buf *out, lk_err *err)
{
    answer a;
    int status = 0;
    memset(&a, 0, sizeof a);
    lk_code code = read_answer(fd, l, cancel, &a, out, err);
    if (code)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (code)
        return code;
    if (status != 0 || a.n < sizeof a.err)
        return say_death(status, l, err);
    if (a.err.code && err)
        *err = a.err;
    return a.err.code;
}

lk_code lk_trial_run(lk_trial_fn *fn, void *ctx, const lk_trial_limits *limits,
                     const lk_cancel *cancel, lk_buf *out, lk_err *err)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0)
        return lk_fail_sys(err, errno, "cannot make a pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        take_limits(limits, parent);
        be_child(fn, ctx, ends[1]);
    }
    close(ends[1]);
    lk_code code = pid < 0 ? lk_fail_sys(err, errno, "cannot start a process")
                           : attend(pid, ends[0], limits, cancel, out, err);
    close(ends[0]);
    return code;
}

/* ---- a model ---- */

typedef struct trial {
    const char *name;
    const lk_model_opts *opts;
} trial;

/* What is left of a good run is the canary, for the next one to compare with. It is no fault when
 * it cannot be kept, in a folder that is only to be read, say. */
static lk_code record_canary(const trial *t, lk_model *m, lk_err *err)
{
    lk_canary now = {0}, then = {0};
    const char *dir = t->opts->models_dir, *key = lk_model_info_of(m)->key;
    lk_code code = lk_canary_measure(m, &now, err);
    if (!code && lk_canary_read(t->name, dir, key, &then, NULL) == LK_E_NOT_FOUND) {
        lk_code kept = lk_canary_write(t->name, dir, key, &now, NULL);
        (void)kept;
    }
    lk_canary_release(&now);
    lk_canary_release(&then);
    return code;
}

static lk_code run_it(void *ctx, lk_buf *out, lk_err *err)
{
    const trial *t = ctx;
    lk_model *m = NULL;
    (void)out;
    lk_code code = lk_image_start(err);
    if (!code)
        code = lk_model_open(t->name, t->opts, &m, err);
    if (!code)
        code = record_canary(t, m, err);
    lk_model_close(m);
    return code;
}

/* The card of a model, and how many bytes it lists. */
static lk_code read_card(const char *name, const lk_model_opts *opts, lk_arena *a,
                         bool *ret_bundled, lk_card *ret, uint64_t *ret_bytes, lk_err *err)
{
    char path[PATH_MAX];
    lk_card_source from;
    lk_code code = lk_model_locate(name, opts->models_dir, path, &from, err);
    if (!code)
        code = lk_card_read(&from, a, ret, err);
    *ret_bundled = !code && from.embedded;
    *ret_bytes = 0;
    for (size_t i = 0; !code && i < ret->n_files; i++)
        *ret_bytes += ret->files[i].bytes;
    return code;
}

lk_code lk_model_try(const char *name, const lk_model_opts *opts, const lk_cancel *cancel,
                     lk_err *err)
{
    lk_arena a;
    lk_card card;
    lk_buf out;
    bool bundled;
    uint64_t bytes;
    trial t = {name, opts};
    lk_arena_init(&a, 0);
    lk_buf_init(&out, 0);
    lk_code code = read_card(name, opts, &a, &bundled, &card, &bytes, err);
    const lk_trial_limits limits = lk_trial_limits_of(bytes, opts->provider);
    if (!code)
        code = lk_trial_run(run_it, &t, &limits, cancel, &out, err);
    lk_buf_release(&out);
    lk_arena_release(&a);
    return code;
}

/* A canary that was recorded for this key: the key covers the checksums of the files. */
static bool has_run(const char *name, const lk_model_opts *opts, const lk_card *card, lk_arena *a)
{
    lk_model_info info;
    lk_canary then = {0};
    bool has = lk_model_info_of_card(card, a, &info, NULL) == LK_OK &&
               lk_canary_read(name, opts->models_dir, info.key, &then, NULL) == LK_OK;
    lk_canary_release(&then);
    return has;
}

lk_code lk_model_known(const char *name, const lk_model_opts *opts, lk_err *err)
{
    lk_arena a;
    lk_card card;
    bool bundled;
    uint64_t bytes;
    lk_arena_init(&a, 0);
    lk_code code = read_card(name, opts, &a, &bundled, &card, &bytes, err);
    bool has_graph = !code && !bundled && card.n_files > 0; /* else a service runs it */
    if (has_graph && !has_run(name, opts, &card, &a))
        code = lk_fail_field(err, LK_E_MODEL, "model",
                             "the model %.100s has never run here: \"lookalike model check %.60s\" "
                             "tries it",
                             name, name);
    lk_arena_release(&a);
    return code;
}

lk_code lk_model_vet(const char *name, const lk_model_opts *opts, const lk_cancel *cancel,
                     lk_err *err)
{
    lk_code code = lk_model_known(name, opts, err);
    return code == LK_E_MODEL ? lk_model_try(name, opts, cancel, err) : code;
}
