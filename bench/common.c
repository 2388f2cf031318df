#include "bench.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

void bench_ok(lk_code code, const lk_err *err)
{
    if (!code)
        return;
    fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

void bench_add(bench_times *t, double us)
{
    void *p = t->us;
    lk_err err = {.text = "out of memory"};
    if (!lk_grow(&p, &t->cap, t->n + 1, sizeof *t->us))
        bench_ok(LK_E_NOMEM, &err);
    t->us = p;
    t->us[t->n++] = us;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_percentile(bench_times *t, double p)
{
    if (t->n == 0)
        return 0;
    qsort(t->us, t->n, sizeof *t->us, ascending);
    return t->us[(size_t)(p * (double)(t->n - 1))];
}

void bench_release(bench_times *t)
{
    lk_free(t->us);
    *t = (bench_times){0};
}

static double gauss(uint64_t *s)
{
    double sum = 0; /* of 4 uniforms, scaled to variance 1: near enough to normal */
    for (int i = 0; i < 4; i++) {
        *s += 0x9e3779b97f4a7c15u;
        uint64_t z = (*s ^ *s >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        sum += (double)((z ^ z >> 31) >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
    }
    return sum * sqrt(3);
}

void bench_vector(uint64_t seed, size_t dim, float *ret)
{
    double norm = 0;
    for (size_t i = 0; i < dim; i++) {
        ret[i] = (float)gauss(&seed);
        norm += (double)ret[i] * (double)ret[i];
    }
    for (size_t i = 0; i < dim; i++)
        ret[i] = (float)((double)ret[i] / sqrt(norm));
}

void bench_dir_make(char ret[256])
{
    const char *tmp = getenv("TMPDIR");
    lk_err err = {.text = "no scratch folder can be made"};
    snprintf(ret, 256, "%s/lookalike-bench-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(ret))
        bench_ok(LK_E_IO, &err);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void bench_dir_remove(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
