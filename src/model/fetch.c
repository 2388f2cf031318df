/* A download that survives bad lines, kills and changing files.
 *
 * Bytes go to a half file as they come, and what is known of the whole to a note beside it. An
 * attempt that breaks is made again from where it stopped, with growing pauses; attempts that
 * bring something new are not counted, so a slow and shaky line comes to its end all the same.
 *
 * Joining the end of one file to the beginning of another is the danger of going on. Guarded
 * against by:
 *   - If-Range with the strong entity tag, when the same hub gave it: a file that has changed comes
 *     whole, and replaces what is there;
 *   - the SHA-256, from the card or from the hub's headers: it decides whether the result is the
 *     file. With it half a file may even go on from a mirror. Without it only bytes that were
 *     synced count after a restart, since a power cut may leave holes behind them.
 * A file of a wrong sum is fetched once more from its beginning before that is an error.
 *
 * Hubs of the Hugging Face kind answer with a redirect that carries the file's SHA-256 and size in
 * X-Linked-Etag and X-Linked-Size; the first answer's own ETag is a SHA-256 only when it has 64
 * digits. What stands in the card is stronger than what the hub says: a difference is an error
 * before any byte is fetched. Where nobody tells the length or the sum, the end cannot be known,
 * and the download is refused. */
#include "model/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/os.h"
#include "model/card.h"
#include "model/note.h"

enum {
    SYNC_EVERY = 16 << 20,
    MAX_PAUSE_MS = 60 * 1000,
    MAX_ASKED_PAUSE_S = 600, /* a server that asks for more is an error */
    SPARE_BYTES = 1 << 20,   /* left free on the disk */
    MAX_BAD_SUMS = 2,
};

typedef struct job {
    const lk_fetch *f;
    lk_note note;
    int fd;
    uint64_t at;     /* where the next byte goes */
    uint64_t best;   /* the farthest so far */
    bool start_over; /* what is there is of no use */
    unsigned answers;
    bool told_sha256; /* in the headers of this attempt */
    lk_sha256 sha256;
    uint64_t told_bytes;
    lk_err why; /* of the sink */
} job;

static bool same_sha256(const lk_sha256 *a, const lk_sha256 *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The sum that the whole must have, or NULL. */
static const lk_sha256 *wanted_sum(const job *j)
{
    return j->f->has_sha256 ? &j->f->sha256 : j->note.has_sha256 ? &j->note.sha256 : NULL;
}

static uint64_t wanted_bytes(const job *j)
{
    return j->f->bytes ? j->f->bytes : j->note.bytes;
}

/* ---- what an answer says ---- */

/* "<64 digits>", with the quotes or without. */
static bool sum_of_tag(lk_str tag, lk_sha256 *ret)
{
    if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
        tag = (lk_str){tag.p + 1, tag.n - 2};
    return lk_sha256_from_hex(tag, ret);
}

static void see_header(void *ctx, lk_str name, lk_str value)
{
    job *j = ctx;
    if (name.n == 0) { /* a status line */
        j->answers++;
    } else if (lk_str_eq_nocase(name, LK_STR("x-linked-etag"))) {
        j->told_sha256 = sum_of_tag(value, &j->sha256) || j->told_sha256;
    } else if (lk_str_eq_nocase(name, LK_STR("etag")) && j->answers == 1) {
        if (!j->told_sha256)
            j->told_sha256 = sum_of_tag(value, &j->sha256);
    } else if (lk_str_eq_nocase(name, LK_STR("x-linked-size"))) {
        if (!lk_str_to_u64(value, &j->told_bytes))
            j->told_bytes = 0;
    }
}

static lk_code other_file(const job *j, lk_err *err)
{
    return lk_fail_field(err, LK_E_CORRUPT, "hub",
                         "the hub's %s is not the file that the card describes", j->f->what);
}

static lk_code check_room(const job *j, uint64_t total, lk_err *err)
{
    struct statvfs st;
    uint64_t left = total > j->at ? total - j->at : 0;
    if (fstatvfs(j->fd, &st) != 0)
        return LK_OK; /* then a write will tell */
    uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    if (left + SPARE_BYTES <= free_bytes)
        return LK_OK;
    return lk_fail_field(err, LK_E_FULL, "models",
                         "%s needs %" PRIu64 " MiB more, the disk of the models folder has %" PRIu64
                         " MiB free",
                         j->f->what, (left >> 20) + 1, free_bytes >> 20);
}

/* Empty the half file. */
static lk_code drop_half(job *j, lk_err *err)
{
    j->at = 0;
    j->note.synced = 0;
    if (lk_os()->ftruncate(j->fd, 0) != 0)
        return lk_fail_sys(err, errno, "cannot empty %s", j->f->part);
    return LK_OK;
}

/* Is what comes the file that the half file is of? Fills the note with what the answer tells. */
static lk_code take_facts(job *j, const lk_http_response *r, uint64_t total, lk_err *err)
{
    lk_note *n = &j->note;
    bool other_sum = j->told_sha256 && n->has_sha256 && !same_sha256(&j->sha256, &n->sha256);
    bool other_size = total && n->bytes && total != n->bytes;
    if (j->f->bytes && total && total != j->f->bytes)
        return other_file(j, err);
    if (j->f->has_sha256 && j->told_sha256 && !same_sha256(&j->sha256, &j->f->sha256))
        return other_file(j, err);
    if (j->at > 0 && (other_sum || other_size)) {
        j->start_over = true;
        return lk_fail(err, LK_E_TRUNCATED, "%s has changed on the hub", j->f->what);
    }
    if (total)
        n->bytes = total;
    if (j->told_sha256) {
        n->has_sha256 = true;
        n->sha256 = j->sha256;
    }
    snprintf(n->etag, sizeof n->etag, "%s", r->etag[0] == '"' ? r->etag : "");
    snprintf(n->hub, sizeof n->hub, "%s", j->f->hub);
    if (!total && !wanted_sum(j))
        return lk_fail_field(err, LK_E_UNSUPPORTED, "hub",
                             "the hub tells neither the length nor the SHA-256 of %s", j->f->what);
    return LK_OK;
}

static lk_code begin(void *ctx, const lk_http_response *r, uint64_t at, lk_err *err)
{
    job *j = ctx;
    lk_code code = LK_OK;
    uint64_t total = r->total_bytes ? r->total_bytes : j->told_bytes;
    if (at == 0) { /* the whole comes: what was known is of no matter */
        j->note = (lk_note){.bytes = 0};
        code = drop_half(j, err);
    }
    if (!code)
        code = take_facts(j, r, total, err);
    if (!code)
        code = check_room(j, total, err);
    if (!code)
        code = lk_note_write(j->f->note, &j->note, err);
    return code;
}

/* What is written so far survives whatever happens. */
static lk_code sync_half(job *j, lk_err *err)
{
    if (lk_os()->fdatasync(j->fd) != 0)
        return lk_fail_sys(err, errno, "cannot sync %s", j->f->part);
    j->note.synced = j->at;
    return lk_note_write(j->f->note, &j->note, err);
}

static lk_code sink(void *ctx, const void *p, size_t n)
{
    job *j = ctx;
    uint64_t limit = wanted_bytes(j) ? wanted_bytes(j) : LK_MAX_MODEL_BYTES;
    if (j->at + n > limit)
        return other_file(j, &j->why);
    lk_code code = lk_os_write_at(j->fd, p, n, j->at, &j->why);
    if (code)
        return lk_err_prefix(&j->why, code, "%s", j->f->part);
    j->at += n;
    if (j->f->progress)
        j->f->progress(j->f->ctx, j->at, limit == LK_MAX_MODEL_BYTES ? 0 : limit);
    return j->at - j->note.synced >= SYNC_EVERY ? sync_half(j, &j->why) : LK_OK;
}

/* ---- attempts ---- */

/* Has the tag that is in the note been given by this hub? */
static bool has_tag(const job *j)
{
    return j->note.etag[0] && strcmp(j->note.hub, j->f->hub) == 0;
}

/* With neither sum nor tag the rest might be that of another file. */
static bool can_go_on(const job *j)
{
    return wanted_sum(j) || has_tag(j);
}

static lk_code refused(const job *j, long status, lk_err *err)
{
    const char *what = j->f->what, *hub = j->f->hub;
    if (status == 401 || status == 403)
        return lk_fail_field(
            err, LK_E_DENIED, "hub",
            "%.100s does not give %s (%ld); where an account is asked for, put its "
            "token into HF_TOKEN",
            hub, what, status);
    if (status == 404 || status == 410)
        return lk_fail_field(err, LK_E_NOT_FOUND, "hub", "there is no %s at %.150s (%ld)", what,
                             j->f->url, status);
    return lk_fail_field(err, LK_E_NET, "hub", "%.150s answered %ld for %s", hub, status, what);
}

static bool status_may_pass(long status)
{
    return status == 408 || status == 416 || status == 429 || status >= 500;
}

static bool may_pass(lk_code code, long status)
{
    return code == LK_E_TIMEOUT || code == LK_E_TRUNCATED ||
           (code == LK_E_NET && (status < 300 || status_may_pass(status)));
}

/* The whole has come, by its length. */
static lk_code check_length(const job *j, lk_err *err)
{
    uint64_t want = wanted_bytes(j);
    if (j->at == 0)
        return lk_fail_field(err, LK_E_TRUNCATED, "hub", "the hub sent nothing of %s", j->f->what);
    if (want && j->at != want)
        return lk_fail_field(err, LK_E_TRUNCATED, "hub",
                             "%s ended after %" PRIu64 " of %" PRIu64 " bytes", j->f->what, j->at,
                             want);
    return LK_OK;
}

/* One request; LK_OK: the half file has its full length. */
static lk_code attempt(job *j, lk_http *http, long *ret_status, uint64_t *ret_pause_s, lk_err *err)
{
    char range[128], token[512];
    const char *headers[3] = {NULL};
    size_t n = 0;
    lk_http_response r;
    if (j->at > 0 && has_tag(j)) {
        snprintf(range, sizeof range, "If-Range: %s", j->note.etag);
        headers[n++] = range;
    }
    if (j->f->token && strlen(j->f->token) < sizeof token - 32) {
        snprintf(token, sizeof token, "Authorization: Bearer %s", j->f->token);
        headers[n++] = token;
    }
    const lk_http_request rq = {.url = j->f->url,
                                .headers = headers,
                                .total_ms = INT32_MAX, /* a stall is what ends it */
                                .stall_ms = j->f->stall_ms,
                                .max_body_bytes = LK_MAX_MODEL_BYTES,
                                .resume_at = j->at,
                                .sink = sink,
                                .sink_ctx = j,
                                .begin = begin,
                                .see_header = see_header,
                                .cancel = j->f->cancel};
    uint64_t before = j->at;
    j->answers = 0;
    j->told_sha256 = false;
    j->told_bytes = 0;
    j->why = (lk_err){.code = LK_OK};
    lk_code code = lk_http_send(http, &rq, &r, err);
    *ret_status = r.status;
    *ret_pause_s = r.retry_after_s;
    if (code && j->why.code == code && err)
        *err = j->why;
    /* 416, or another part than the one asked for: there is nothing to go on from. */
    if (j->at > 0 && j->at == before && (r.status == 416 || r.status == 206))
        j->start_over = true;
    if (!code && r.status != 200 && r.status != 206)
        code = refused(j, r.status, err);
    else if (!code)
        code = check_length(j, err);
    lk_http_response_release(&r);
    return code;
}

/* ---- pauses ---- */

static lk_code pause_ms(uint64_t ms, const lk_cancel *cancel, lk_err *err)
{
    uint64_t end = lk_now_ns() + ms * 1000000;
    while (lk_now_ns() < end) {
        if (lk_cancel_is_set(cancel))
            return lk_fail(err, LK_E_CANCELED, "stopped on request");
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
    }
    return LK_OK;
}

/* Wait before attempt number `failed` + 1, as the server asks or longer each time. */
static lk_code wait_turn(const job *j, unsigned failed, uint64_t asked_s, const lk_err *why,
                         lk_err *err)
{
    char sentence[sizeof why->text + 80];
    uint64_t ms = j->f->retry_ms << (failed < 16 ? failed : 16);
    if (ms > MAX_PAUSE_MS)
        ms = MAX_PAUSE_MS;
    if (asked_s * 1000 > ms)
        ms = asked_s * 1000;
    snprintf(sentence, sizeof sentence, "%s; trying again in %" PRIu64 ".%" PRIu64 " s", why->text,
             ms / 1000, ms % 1000 / 100);
    if (j->f->say)
        j->f->say(j->f->ctx, sentence);
    return pause_ms(ms, j->f->cancel, err);
}

/* ---- the whole ---- */

/* Open the half file and find out how much of it counts. */
static lk_code open_half(job *j, lk_err *err)
{
    struct stat st;
    lk_code code = lk_note_read(j->f->note, &j->note, err);
    if (code)
        return code;
    j->fd = lk_os()->open(j->f->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (j->fd < 0)
        return lk_fail_sys(err, errno, "cannot open %s", j->f->part);
    if (lk_os()->fstat(j->fd, &st) != 0)
        return lk_fail_sys(err, errno, "cannot examine %s", j->f->part);
    uint64_t size = (uint64_t)st.st_size;
    bool other =
        j->f->has_sha256 && j->note.has_sha256 && !same_sha256(&j->f->sha256, &j->note.sha256);
    if (!wanted_sum(j) && size > j->note.synced)
        size = j->note.synced;
    if (other || (wanted_bytes(j) && size > wanted_bytes(j)) || !can_go_on(j))
        size = 0;
    j->at = size;
    j->best = size;
    if (size == (uint64_t)st.st_size)
        return LK_OK;
    if (lk_os()->ftruncate(j->fd, (off_t)size) != 0)
        return lk_fail_sys(err, errno, "cannot cut %s", j->f->part);
    return LK_OK;
}

/* The half file has its full length; is it the file? */
static lk_code check_sum(job *j, lk_sha256 *ret, lk_err *err)
{
    lk_code code = sync_half(j, err);
    if (!code)
        code = lk_sha256_of_file(j->f->part, ret, err);
    if (code || !wanted_sum(j) || same_sha256(ret, wanted_sum(j)))
        return code;
    j->start_over = true;
    return lk_fail_field(err, LK_E_CORRUPT, "hub", "%s came with another SHA-256 than %s",
                         j->f->what, j->f->has_sha256 ? "the card's" : "the hub told");
}

/* Attempts until the file has its full length. */
static lk_code fetch_bytes(job *j, lk_http *http, lk_err *err)
{
    for (unsigned failed = 0;; failed++) {
        lk_err why = {.code = LK_OK};
        long status = 0;
        uint64_t asked_s = 0;
        if (wanted_bytes(j) && j->at == wanted_bytes(j))
            return LK_OK;
        lk_code code = j->at > 0 && !can_go_on(j) ? drop_half(j, err) : LK_OK;
        if (code)
            return code;
        code = attempt(j, http, &status, &asked_s, &why);
        if (!code)
            return LK_OK;
        if (j->at > j->best) { /* something new came */
            failed = 0;
            j->best = j->at;
        }
        bool passing = may_pass(code, status) && asked_s <= MAX_ASKED_PAUSE_S;
        if (j->start_over && drop_half(j, NULL) != LK_OK)
            passing = false;
        j->start_over = false;
        if (!passing || failed >= j->f->retries) {
            if (!why.field[0] && (code == LK_E_NET || code == LK_E_TIMEOUT ||
                                  code == LK_E_TRUNCATED || code == LK_E_DENIED))
                snprintf(why.field, sizeof why.field, "hub");
            if (err)
                *err = why;
            return code;
        }
        code = wait_turn(j, failed, asked_s, &why, err);
        if (code)
            return code;
    }
}

static lk_code fetch(job *j, lk_http *http, lk_sha256 *ret, lk_err *err)
{
    for (unsigned bad = 0;;) {
        lk_code code = fetch_bytes(j, http, err);
        if (!code)
            code = check_sum(j, ret, err);
        if (code != LK_E_CORRUPT || !j->start_over)
            return code;
        j->start_over = false;
        lk_code dropped = drop_half(j, err);
        if (dropped)
            return dropped;
        if (++bad >= MAX_BAD_SUMS)
            return code;
        if (j->f->say)
            j->f->say(j->f->ctx, "what came is damaged; fetching it anew");
    }
}

lk_code lk_fetch_file(lk_http *http, const lk_fetch *f, uint64_t *ret_bytes, lk_sha256 *ret_sha256,
                      lk_err *err)
{
    lk_sha256 sum;
    job j = {.f = f, .fd = -1};
    lk_code code = open_half(&j, err);
    if (!code)
        code = fetch(&j, http, &sum, err);
    if (code && code != LK_E_IO && j.fd >= 0 && j.at > j.note.synced) {
        lk_code kept = sync_half(&j, NULL); /* for the next run, if it can be had */
        (void)kept;
    }
    if (j.fd >= 0)
        lk_os()->close(j.fd);
    if (code)
        return code;
    *ret_bytes = j.at;
    *ret_sha256 = sum;
    return LK_OK;
}
