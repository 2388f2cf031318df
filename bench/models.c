/* models [--seconds S] FOLDER...: how fast models run, beside ONNX Runtime with nothing around it.
 *
 * Every row alternates between a call of ours and a call of the bare runtime on the same thread, so
 * that other work on the machine slows both alike. Pictures have the model's size already, so that
 * ours has the crop, the conversion to floats, the batcher and the normalisation on
 * top. Milliseconds of the processor hold even where others use the machine; those of the clock do
 * not. Each model is measured as it is and as int8. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bare.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "bench.h"
#include "model/card.h"
#include "model/model.h"
#include "model/quantize_model.h"

#define MAX_SIDE_BATCH 8
#define MAX_CORES 2
#define TEXT "two dogs running on a beach"

typedef struct subject {
    char dir[256];
    lk_arena arena;
    lk_card card;
    bare *image, *text;
} subject;

typedef struct clocked {
    bench_times wall; /* us a call */
    double cpu_s, wall_s;
} clocked;

typedef struct task {
    const subject *s;
    lk_model *m;
    bool is_text;
    size_t batch;
    uint64_t until_ns;
    lk_image *pictures;
    float *pixels;
    int64_t *ids;
    clocked ours, bare;
    lk_thread *thread;
} task;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- one call ---- */

static void call_ours(task *t)
{
    float ret[MAX_SIDE_BATCH * LK_MAX_DIM];
    const lk_image *images[MAX_SIDE_BATCH];
    lk_err err;
    for (size_t i = 0; i < t->batch; i++)
        images[i] = &t->pictures[i];
    bench_ok(t->is_text ? lk_model_embed_text(t->m, LK_STR(TEXT), ret, &err)
                        : lk_model_embed_images(t->m, t->batch, images, ret, &err),
             &err);
}

static void call_bare(task *t)
{
    size_t side = t->s->card.size, one = 3 * side * side;
    bool alone = !t->is_text && bare_one_row(t->s->image);
    if (t->is_text)
        bare_run_texts(t->s->text, t->ids, 1, bare_fixed_length(t->s->text));
    else
        for (size_t i = 0; i < (alone ? t->batch : 1); i++)
            bare_run_pictures(t->s->image, t->pixels + i * one, alone ? 1 : t->batch, side);
}

static void timed(task *t, void (*call)(task *), clocked *ret)
{
    double cpu = cpu_seconds();
    uint64_t start = lk_now_ns();
    call(t);
    double wall = (double)(lk_now_ns() - start);
    bench_add(&ret->wall, wall / 1e3);
    ret->wall_s += wall / 1e9;
    ret->cpu_s += cpu_seconds() - cpu;
}

static void work(void *ctx)
{
    task *t = ctx;
    call_ours(t);
    call_bare(t);
    do {
        timed(t, call_ours, &t->ours);
        timed(t, call_bare, &t->bare);
    } while (lk_now_ns() < t->until_ns || t->ours.wall.n < 5);
}

/* ---- a row ---- */

static void prepare(task *t)
{
    size_t side = t->s->card.size, one = 3 * side * side;
    /* So that there is nothing to resize. */
    unsigned whole = t->s->card.fit == LK_FIT_CROP ? t->s->card.short_side : t->s->card.size;
    lk_err err = {.text = "out of memory"};
    t->pixels = lk_calloc(t->batch * one, sizeof *t->pixels);
    t->pictures = lk_calloc(t->batch, sizeof *t->pictures);
    t->ids = lk_calloc(1024, sizeof *t->ids);
    if (!t->pixels || !t->pictures || !t->ids)
        bench_ok(LK_E_NOMEM, &err);
    for (size_t i = 0; !t->is_text && i < t->batch; i++) {
        bench_ok(lk_image_new(&t->pictures[i], whole, whole, &err), &err);
        for (size_t k = 0; k < (size_t)3 * whole * whole; k++)
            t->pictures[i].px[k] = (unsigned char)((k * 2654435761u) >> 24);
        for (size_t k = 0; k < one; k++)
            t->pixels[i * one + k] = (float)t->pictures[i].px[k] / 128 - 1;
    }
    for (size_t k = 0; k < 1024; k++)
        t->ids[k] = (int64_t)(k % 7 + 1);
}

static void clean(task *t)
{
    for (size_t i = 0; i < t->batch; i++)
        lk_image_release(&t->pictures[i]);
    lk_free(t->pictures);
    lk_free(t->pixels);
    lk_free(t->ids);
    bench_release(&t->ours.wall);
    bench_release(&t->bare.wall);
}

/* p50 of the clock and mean of the processor, a call; pictures or texts a second of all cores. */
static void print_side(const task *tasks, size_t n, const clocked *(*of)(const task *))
{
    bench_times all = {0};
    double cpu = 0, per_second = 0;
    for (size_t i = 0; i < n; i++) {
        const clocked *s = of(&tasks[i]);
        for (size_t k = 0; k < s->wall.n; k++)
            bench_add(&all, s->wall.us[k]);
        cpu += s->cpu_s;
        per_second += (double)(s->wall.n * tasks[i].batch) / s->wall_s;
    }
    printf(" %.1f | %.1f | %.1f |", bench_percentile(&all, 0.5) / 1e3, cpu * 1e3 / (double)all.n,
           per_second);
    bench_release(&all);
}

static const clocked *ours_of(const task *t)
{
    return &t->ours;
}

static const clocked *bare_of(const task *t)
{
    return &t->bare;
}

static void row(const subject *s, const char *kind, bool is_text, size_t batch, unsigned cores,
                double seconds)
{
    task tasks[MAX_CORES];
    lk_model *m = NULL;
    lk_model_opts o;
    lk_err err;
    double ours_s = 0, bare_s = 0;
    lk_model_opts_default(&o);
    o.n_threads = cores;
    bench_ok(lk_model_open(s->dir, &o, &m, &err), &err);
    for (size_t i = 0; i < cores; i++) {
        tasks[i] = (task){.s = s, .m = m, .is_text = is_text, .batch = batch};
        prepare(&tasks[i]);
    }
    for (size_t i = 0; i < cores; i++) {
        tasks[i].until_ns = lk_now_ns() + (uint64_t)(seconds * 1e9);
        bench_ok(lk_thread_start(&tasks[i].thread, "bench", work, &tasks[i], &err), &err);
    }
    for (size_t i = 0; i < cores; i++)
        lk_thread_join(tasks[i].thread);
    printf("| %s | %s | %s | %zu | %u |", s->card.name, is_text ? "text" : "image", kind, batch,
           cores);
    print_side(tasks, cores, ours_of);
    print_side(tasks, cores, bare_of);
    for (size_t i = 0; i < cores; i++) {
        ours_s += tasks[i].ours.cpu_s;
        bare_s += tasks[i].bare.cpu_s;
        clean(&tasks[i]);
    }
    printf(" %+.1f %% |\n", 100 * (ours_s / bare_s - 1));
    lk_model_close(m);
}

/* ---- a model ---- */

static void open_subject(subject *s)
{
    const lk_card_source from = {.dir = s->dir};
    char path[512];
    lk_err err;
    lk_arena_init(&s->arena, 0);
    bench_ok(lk_card_read(&from, &s->arena, &s->card, &err), &err);
    if (s->card.has_image) {
        snprintf(path, sizeof path, "%s/%s", s->dir, s->card.image.file);
        s->image = bare_open(getenv("LOOKALIKE_ONNXRUNTIME"), path);
    }
    if (s->card.has_text) {
        snprintf(path, sizeof path, "%s/%s", s->dir, s->card.text.file);
        s->text = bare_open(getenv("LOOKALIKE_ONNXRUNTIME"), path);
    }
}

static void close_subject(subject *s)
{
    if (s->image)
        bare_close(s->image);
    if (s->text)
        bare_close(s->text);
    lk_arena_release(&s->arena);
}

static void rows(const char *dir, const char *kind, double seconds)
{
    static const size_t batches[] = {1, MAX_SIDE_BATCH};
    subject s = {.image = NULL};
    snprintf(s.dir, sizeof s.dir, "%s", dir);
    open_subject(&s);
    for (size_t i = 0; s.image && i < LK_ARRAY_LEN(batches); i++)
        for (unsigned cores = 1; cores <= MAX_CORES; cores++)
            row(&s, kind, false, batches[i], cores, seconds);
    /* Where any length goes in, ours depends on the text and the bare one on a guess. */
    for (unsigned cores = 1; s.text && bare_fixed_length(s.text) && cores <= MAX_CORES; cores++)
        row(&s, kind, true, 1, cores, seconds);
    close_subject(&s);
}

static void measure(const char *dir, const char *scratch, double seconds)
{
    char made[512];
    lk_model_opts mo;
    lk_quantize_opts how;
    lk_quantized done;
    lk_err err;
    rows(dir, "fp32", seconds);
    lk_model_opts_default(&mo);
    mo.models_dir = scratch;
    lk_quantize_opts_default(&how);
    lk_code code = lk_model_quantize(dir, NULL, &mo, &how, NULL, &done, &err);
    if (code == LK_E_UNSUPPORTED) {
        printf("\n%s\n", err.text);
        return;
    }
    bench_ok(code, &err);
    snprintf(made, sizeof made, "%s/%s", scratch, done.name);
    rows(made, "int8", seconds);
}

int main(int argc, char **argv)
{
    char scratch[256];
    double seconds = 3;
    int first = 1;
    lk_err err;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && strcmp(argv[1], "--seconds") == 0) {
        seconds = strtod(argv[2], NULL);
        first = 3;
    }
    bench_ok(lk_image_start(&err), &err);
    bench_dir_make(scratch);
    puts("| model | tower | numbers | batch | cores | ms | ms of processor | per second | bare: ms "
         "| ms "
         "of processor | per second | over bare, of processor |\n"
         "|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (int i = first; i < argc; i++)
        measure(argv[i], scratch, seconds);
    bench_dir_remove(scratch);
    return 0;
}
