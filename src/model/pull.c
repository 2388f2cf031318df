#include "model/pull.h"

#include <errno.h>
#include <stdio.h>

#include "base/embed.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/card.h"
#include "model/hub.h"
#include "model/note.h"
#include "model/places.h"
#include "model/trial.h"

#define CARDS "models/cards/"
#define CARD_ENDING ".json"
#define KEY_DIGITS 16

typedef struct pull {
    const lk_pull_opts *o;
    const char *name;
    const char *base; /* the hub's address */
    lk_arena arena;
    lk_buf card;
    lk_hub hub;
    lk_staging staging;
    lk_http *http;
    uint64_t before; /* bytes of the files that are done */
    uint64_t total;  /* of all files, 0: not known */
} pull;

void lk_pull_opts_default(lk_pull_opts *ret)
{
    *ret =
        (lk_pull_opts){.size = sizeof *ret, .retries = 4, .retry_ms = 1000, .stall_ms = 30 * 1000};
}

/* ---- the card ---- */

/* NAME of models/cards/NAME.json, or an empty string. */
static lk_str card_name(const lk_embedded_file *f)
{
    lk_str s = lk_str_of(f->path);
    if (!lk_str_starts(s, LK_STR(CARDS)) || !lk_str_ends(s, LK_STR(CARD_ENDING)))
        return LK_STR("");
    return (lk_str){s.p + strlen(CARDS), s.n - strlen(CARDS) - strlen(CARD_ENDING)};
}

void lk_model_shipped(lk_card_see_fn *see, void *ctx)
{
    char name[LK_MAX_MODEL_NAME + 1];
    for (size_t i = 0; i < lk_n_embedded_files; i++) {
        const lk_embedded_file *f = &lk_embedded_files[i];
        lk_str s = card_name(f);
        if (s.n == 0 || s.n > LK_MAX_MODEL_NAME)
            continue;
        snprintf(name, sizeof name, "%.*s", LK_STR_ARG(s));
        see(ctx, name, (lk_str){(const char *)f->data, f->size});
    }
}

static lk_code no_card(const char *name, lk_err *err)
{
    char text[64][LK_MAX_MODEL_NAME + 1];
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; i < lk_n_embedded_files && n < LK_ARRAY_LEN(names); i++) {
        lk_str s = card_name(&lk_embedded_files[i]);
        if (s.n == 0 || s.n > LK_MAX_MODEL_NAME)
            continue;
        snprintf(text[n], sizeof text[n], "%.*s", LK_STR_ARG(s));
        names[n] = text[n];
        n++;
    }
    const char *near = lk_str_closest(lk_str_of(name), names, n);
    return lk_fail_field(err, LK_E_NOT_FOUND, "name", "there is no card for \"%.80s\"%s%s%s", name,
                         near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "");
}

static lk_code read_card(pull *p, lk_err *err)
{
    char path[sizeof CARDS + LK_MAX_MODEL_NAME + sizeof CARD_ENDING];
    if (p->o->card_file) {
        unsigned char *text = NULL;
        size_t n = 0;
        lk_code code = lk_os_read_file(p->o->card_file, LK_MAX_CARD_BYTES, &text, &n, err);
        if (!code)
            lk_buf_put(&p->card, text, n);
        lk_free(text);
        return code ? code : lk_buf_check(&p->card, err);
    }
    if (!p->o->card || !lk_model_name_ok(lk_str_of(p->o->card)))
        return no_card(p->o->card ? p->o->card : "", err);
    snprintf(path, sizeof path, CARDS "%s" CARD_ENDING, p->o->card);
    const lk_embedded_file *f = lk_embedded_find(path);
    if (!f)
        return no_card(p->o->card, err);
    lk_buf_put(&p->card, f->data, f->size);
    return lk_buf_check(&p->card, err);
}

lk_code lk_pull_card(lk_str card, lk_arena *into, lk_hub *ret_hub, lk_card *ret, lk_err *err)
{
    lk_hub_file files[LK_MAX_HUB_FILES];
    lk_buf text;
    lk_code code = lk_hub_parse(card, into, ret_hub, err);
    if (code)
        return code;
    memcpy(files, ret_hub->files, sizeof files);
    for (size_t i = 0; i < ret_hub->n_files; i++)
        files[i].bytes = files[i].bytes ? files[i].bytes : 1;
    lk_buf_init(&text, LK_MAX_CARD_BYTES);
    code = lk_hub_finish_card(card, ret_hub->n_files, files, &text, err);
    if (!code)
        code = lk_card_parse(lk_buf_str(&text), into, ret, err);
    lk_buf_release(&text);
    return code;
}

/* The finished card must be one, which is seen now, so that nobody downloads for an hour to read of
 * a slip in it. */
static lk_code load_card(pull *p, lk_err *err)
{
    lk_card card;
    lk_code code = read_card(p, err);
    if (!code)
        code = lk_pull_card(lk_buf_str(&p->card), &p->arena, &p->hub, &card, err);
    if (!code && p->o->revision)
        p->hub.revision = p->o->revision;
    for (size_t i = 0; !code && i < p->hub.n_files; i++) {
        if (p->hub.files[i].bytes == 0) {
            p->total = 0;
            break;
        }
        p->total += p->hub.files[i].bytes;
    }
    return code;
}

/* ---- the files ---- */

/* The half file and the note of a file have names made of where it comes from. */
static lk_code file_key(const pull *p, const lk_hub_file *f, char ret[KEY_DIGITS + 1], lk_err *err)
{
    lk_buf b;
    lk_sha256 h;
    char hex[LK_SHA256_HEX + 1];
    lk_buf_init(&b, 0);
    lk_buf_printf(&b, "%s\n%s\n%s", lk_hub_repository(&p->hub, f), lk_hub_revision(&p->hub, f),
                  f->from);
    lk_code code = lk_buf_check(&b, err);
    if (!code)
        code = lk_sha256_of(b.p, b.n, &h, err);
    lk_buf_release(&b);
    if (code)
        return code;
    lk_sha256_hex(&h, hex);
    snprintf(ret, KEY_DIGITS + 1, "%.*s", KEY_DIGITS, hex);
    return LK_OK;
}

/* An earlier run may have come further: is the file whole where it belongs? */
static bool is_done(const lk_hub_file *f, const lk_note *n, const char *path)
{
    struct stat st;
    lk_sha256 now;
    const lk_sha256 *want = f->has_sha256 ? &f->sha256 : &n->sha256;
    return n->done && n->has_sha256 && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == n->bytes && lk_sha256_of_file(path, &now, NULL) == LK_OK &&
           memcmp(&now, want, sizeof now) == 0;
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const pull *p = ctx;
    uint64_t all = p->total ? p->total : p->hub.n_files == 1 ? total : 0;
    if (p->o->progress)
        p->o->progress(p->o->ctx, p->before + done, all);
}

static void on_say(void *ctx, const char *sentence)
{
    const pull *p = ctx;
    if (p->o->say)
        p->o->say(p->o->ctx, sentence);
}

/* A token goes over lines that nobody can listen to. */
static bool is_private(const char *base)
{
    static const char loopback[] = "http://127.0.0.1";
    size_t n = sizeof loopback - 1;
    return strncmp(base, "https://", 8) == 0 ||
           (strncmp(base, loopback, n) == 0 && strchr(":/", base[n]));
}

/* Where a file is while it comes, what is known of it, and where it belongs. */
typedef struct file_paths {
    char part[PATH_MAX], note[PATH_MAX], final[PATH_MAX];
} file_paths;

static lk_code paths_of(const pull *p, const lk_hub_file *f, file_paths *ret, lk_err *err)
{
    char key[KEY_DIGITS + 1], name[KEY_DIGITS + 8];
    lk_code code = file_key(p, f, key, err);
    if (code)
        return code;
    snprintf(name, sizeof name, "%s.part", key);
    code = lk_staging_work_path(&p->staging, name, ret->part, err);
    snprintf(name, sizeof name, "%s.json", key);
    if (!code)
        code = lk_staging_work_path(&p->staging, name, ret->note, err);
    if (!code)
        code = lk_staging_path(&p->staging, f->to, ret->final, err);
    return code;
}

/* Put the whole half file where it belongs, and note it. */
static lk_code settle(const file_paths *at, const lk_hub_file *f, lk_err *err)
{
    char folder[PATH_MAX];
    lk_note note;
    lk_code code = lk_note_read(at->note, &note, err);
    if (code)
        return code;
    note = (lk_note){.bytes = f->bytes,
                     .has_sha256 = true,
                     .sha256 = f->sha256,
                     .done = true,
                     .vouched = f->has_sha256 || note.has_sha256};
    snprintf(folder, sizeof folder, "%s", at->final);
    *strrchr(folder, '/') = '\0';
    if (lk_os()->rename(at->part, at->final) != 0)
        return lk_fail_sys(err, errno, "cannot rename %s to %s", at->part, at->final);
    code = lk_os_sync_dir(folder, err);
    return code ? code : lk_note_write(at->note, &note, err);
}

static lk_code fetch_file(pull *p, lk_hub_file *f, const file_paths *at, lk_err *err)
{
    lk_buf url;
    lk_buf_init(&url, 0);
    lk_code code = lk_hub_url(&p->hub, f, p->base, &url, err);
    const lk_fetch fetch = {.url = url.p,
                            .hub = p->base,
                            .what = f->from,
                            .part = at->part,
                            .note = at->note,
                            .bytes = f->bytes,
                            .has_sha256 = f->has_sha256,
                            .sha256 = f->sha256,
                            .token = is_private(p->base) ? p->o->token : NULL,
                            .retries = (unsigned)p->o->retries,
                            .retry_ms = p->o->retry_ms,
                            .stall_ms = p->o->stall_ms,
                            .progress = on_progress,
                            .say = on_say,
                            .ctx = p,
                            .cancel = p->o->cancel};
    if (!code)
        code = lk_fetch_file(p->http, &fetch, &f->bytes, &f->sha256, err);
    if (!code)
        code = settle(at, f, err);
    lk_buf_release(&url);
    return code;
}

static lk_code pull_file(pull *p, lk_hub_file *f, lk_err *err)
{
    file_paths at;
    lk_note note;
    lk_code code = paths_of(p, f, &at, err);
    if (!code)
        code = lk_note_read(at.note, &note, err);
    if (code)
        return code;
    if (is_done(f, &note, at.final)) {
        f->sha256 = note.sha256;
        f->bytes = note.bytes;
    } else {
        code = fetch_file(p, f, &at, err);
    }
    p->before += code ? 0 : f->bytes;
    return code;
}

/* ---- the model ---- */

/* Files of an earlier run for another list of files have no place in this model. */
static lk_code keep_to_plan(pull *p, lk_err *err)
{
    char path[PATH_MAX];
    unsigned char *was = NULL;
    size_t n_was = 0;
    lk_buf plan;
    lk_buf_init(&plan, 0);
    for (size_t i = 0; i < p->hub.n_files; i++) {
        const lk_hub_file *f = &p->hub.files[i];
        lk_buf_printf(&plan, "%s %s\n%s\n%s\n", lk_hub_repository(&p->hub, f),
                      lk_hub_revision(&p->hub, f), f->from, f->to);
    }
    lk_code code = lk_buf_check(&plan, err);
    if (!code)
        code = lk_staging_work_path(&p->staging, "plan", path, err);
    bool same = !code && lk_os_read_file(path, 1u << 20, &was, &n_was, NULL) == LK_OK &&
                n_was == plan.n && memcmp(was, plan.p, n_was) == 0;
    if (!code && !same)
        code = lk_staging_drop_model(&p->staging, err);
    if (!code && !same)
        code = lk_os_write_file(path, plan.p, plan.n, err);
    lk_free(was);
    lk_buf_release(&plan);
    return code;
}

static lk_code write_card(pull *p, lk_err *err)
{
    char path[PATH_MAX];
    lk_buf text;
    lk_buf_init(&text, LK_MAX_CARD_BYTES);
    lk_code code =
        lk_hub_finish_card(lk_buf_str(&p->card), p->hub.n_files, p->hub.files, &text, err);
    if (!code)
        code = lk_staging_path(&p->staging, "model.json", path, err);
    if (!code)
        code = lk_os_write_file(path, text.p, text.n, err);
    lk_buf_release(&text);
    return code;
}

/* What nobody had told the sum of may be anything (a log-in page, say): not to be kept when the
 * model does not run. */
static lk_code forget_unvouched(const pull *p, lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < p->hub.n_files; i++) {
        file_paths at;
        lk_note note;
        code = paths_of(p, &p->hub.files[i], &at, err);
        if (!code)
            code = lk_note_read(at.note, &note, err);
        if (!code && !note.vouched)
            code = lk_os_remove(at.final, err);
        if (!code && !note.vouched)
            code = lk_os_remove(at.note, err);
    }
    return code;
}

/* Does it run? */
static lk_code try_model(const pull *p, lk_err *err)
{
    lk_code code = lk_model_try(p->staging.dir, p->o->model, p->o->cancel, err);
    if (code == LK_E_MODEL) {
        lk_code forgotten = forget_unvouched(p, NULL);
        (void)forgotten; /* the sentence about the model matters more */
        lk_err_prefix(err, code, "what came cannot be used");
    }
    return code;
}

/* Is the model there, whole? LK_OK with *ret false: there is none. */
static lk_code is_there(const pull *p, bool *ret, lk_err *err)
{
    lk_arena a;
    lk_card card;
    const lk_card_source from = {.dir = p->staging.target};
    *ret = lk_os_exists(p->staging.target);
    if (!*ret)
        return LK_OK;
    lk_arena_init(&a, 0);
    lk_code code = lk_card_read(&from, &a, &card, err);
    for (size_t i = 0; !code && i < card.n_files; i++) {
        lk_card_file f;
        code = lk_card_open_file(&from, &card, card.files[i].name, &f, err);
        if (!code)
            lk_card_file_release(&f);
    }
    lk_arena_release(&a);
    if (code)
        lk_err_prefix(err, code, "the installed model is damaged (lookalike model rm %s)", p->name);
    return code;
}

static lk_code pull_files(pull *p, lk_err *err)
{
    lk_code code = keep_to_plan(p, err);
    for (size_t i = 0; !code && i < p->hub.n_files; i++)
        code = pull_file(p, &p->hub.files[i], err);
    if (!code)
        code = write_card(p, err);
    if (!code)
        code = try_model(p, err);
    return code ? code : lk_staging_place(&p->staging, err);
}

static lk_code run(pull *p, lk_pulled *ret, lk_err *err)
{
    bool there = false;
    lk_code code = load_card(p, err);
    if (!code)
        code = lk_hub_check_base(p->base, err);
    p->name = p->o->name ? p->o->name : p->hub.name;
    if (!code)
        code = lk_staging_open(p->o->model->models_dir, p->name, &p->staging, err);
    if (!code)
        code = is_there(p, &there, err);
    if (!code && !there)
        code = lk_http_new(&p->http, err);
    if (!code && !there)
        code = pull_files(p, err);
    if (code)
        return code;
    *ret = (lk_pulled){.bytes = p->before, .n_files = p->hub.n_files, .was_there = there};
    snprintf(ret->name, sizeof ret->name, "%s", p->name);
    snprintf(ret->where, sizeof ret->where, "%s", p->staging.target);
    return LK_OK;
}

lk_code lk_model_pull(const lk_pull_opts *o, lk_pulled *ret, lk_err *err)
{
    pull *p = lk_calloc(1, sizeof *p);
    if (!p)
        return lk_fail(err, LK_E_NOMEM, "out of memory to pull a model");
    p->o = o;
    p->base = o->hub ? o->hub : LK_HUB_DEFAULT;
    p->staging.lock_fd = -1;
    lk_arena_init(&p->arena, 0);
    lk_buf_init(&p->card, LK_MAX_CARD_BYTES);
    lk_code code = run(p, ret, err);
    lk_http_free(p->http);
    lk_staging_close(&p->staging);
    lk_buf_release(&p->card);
    lk_arena_release(&p->arena);
    lk_free(p);
    return code;
}
