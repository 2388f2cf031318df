/* soak [--n N] [--model NAME]: does memory stay flat over very many embeddings?
 *
 * Pictures of many sizes and shapes in batches of 1 to 8, and texts of 1 to 30 words, from two
 * threads whose runs meet in the batcher. Prints resident memory after the warm-up and after each
 * tenth, and ends with 1 when the last is over the first tenth's by more than an eighth and 8 MiB.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "bench.h"
#include "model/model.h"

#define THREADS 2
#define MAX_TOGETHER 8
#define WARM_UP 500
#define TENTHS 10

typedef struct soak {
    lk_model *m;
    atomic_size_t done;
    size_t until;
} soak;

static uint64_t next(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void embed_pictures(const soak *s, uint64_t *rng, size_t n)
{
    static const unsigned sides[] = {16, 33, 64, 112, 150, 224, 320, 640};
    lk_image im[MAX_TOGETHER];
    const lk_image *list[MAX_TOGETHER];
    lk_err err;
    float *ret = lk_alloc_array(n * lk_model_info_of(s->m)->dim, sizeof *ret);
    for (size_t i = 0; i < n; i++) {
        bench_ok(lk_image_new(&im[i], sides[next(rng) % LK_ARRAY_LEN(sides)],
                              sides[next(rng) % LK_ARRAY_LEN(sides)], &err),
                 &err);
        memset(im[i].px, (int)(next(rng) & 0xff), (size_t)3 * im[i].width * im[i].height);
        list[i] = &im[i];
    }
    bench_ok(lk_model_embed_images(s->m, n, list, ret, &err), &err);
    for (size_t i = 0; i < n; i++)
        lk_image_release(&im[i]);
    lk_free(ret);
}

static void embed_text(const soak *s, uint64_t *rng)
{
    static const char *const words[] = {"dog", "red", "a", "boat", "sunset", "over", "船", "xyzzy"};
    char text[512] = "dog";
    lk_err err;
    float *ret = lk_alloc_array(lk_model_info_of(s->m)->dim, sizeof *ret);
    for (size_t i = next(rng) % 30; i > 0; i--) {
        strcat(text, " "); /* 30 words of at most 6 bytes and a blank fit */
        strcat(text, words[next(rng) % LK_ARRAY_LEN(words)]);
    }
    bench_ok(lk_model_embed_text(s->m, lk_str_of(text), ret, &err), &err);
    lk_free(ret);
}

static void work(void *ctx)
{
    soak *s = ctx;
    const lk_model_info *mi = lk_model_info_of(s->m);
    for (size_t at; (at = atomic_load(&s->done)) < s->until;) {
        uint64_t rng = at;
        size_t n = 1 + next(&rng) % MAX_TOGETHER;
        if (n > s->until - at)
            n = s->until - at;
        if (!atomic_compare_exchange_strong(&s->done, &at, at + n))
            continue;
        if (mi->has_text && (!mi->has_image || next(&rng) % 8 == 0))
            for (size_t i = 0; i < n; i++)
                embed_text(s, &rng);
        else
            embed_pictures(s, &rng, n);
    }
}

static double mib(void)
{
    return (double)lk_os_rss_bytes() / (1 << 20);
}

static void run(soak *s, size_t until)
{
    lk_thread *t[THREADS];
    lk_err err;
    s->until = until;
    for (size_t i = 0; i < THREADS; i++)
        bench_ok(lk_thread_start(&t[i], "soak", work, s, &err), &err);
    for (size_t i = 0; i < THREADS; i++)
        lk_thread_join(t[i]);
}

int main(int argc, char **argv)
{
    const char *name = "mini";
    size_t n = 100000;
    soak s = {.m = NULL};
    lk_model_opts o;
    lk_err err;
    double first = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--n") == 0)
            n = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--model") == 0)
            name = argv[i + 1];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    lk_model_opts_default(&o);
    o.n_threads = 1; /* so that the threads' runs meet */
    bench_ok(lk_image_start(&err), &err);
    bench_ok(lk_model_open(name, &o, &s.m, &err), &err);
    run(&s, WARM_UP);
    printf("%s, %d embeddings: %.1f MiB resident\n", name, WARM_UP, mib());
    for (size_t tenth = 1; tenth <= TENTHS; tenth++) {
        run(&s, WARM_UP + n * tenth / TENTHS);
        printf("%zu: %.1f MiB\n", n * tenth / TENTHS, mib());
        first = tenth == 1 ? mib() : first;
    }
    uint64_t items, runs;
    double last = mib();
    lk_model_runs(s.m, &items, &runs);
    printf("%" PRIu64 " embeddings in %" PRIu64 " runs\n", items, runs);
    lk_model_close(s.m);
    if (last > first + first / 8 + 8) {
        printf("memory grew\n");
        return 1;
    }
    return 0;
}
