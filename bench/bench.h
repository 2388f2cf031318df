/* What the benchmarks share: samples of time, random unit vectors, a scratch folder. */
#ifndef LK_BENCH_H
#define LK_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Print the sentence and end the program when the call failed. */
void bench_ok(lk_code code, const lk_err *err);

typedef struct bench_times {
    double *us;
    size_t n, cap;
} bench_times;

void bench_add(bench_times *t, double us);
/* 0..1; sorts. */
double bench_percentile(bench_times *t, double p);
void bench_release(bench_times *t);

/* vector[dim] of unit length, the same for the same seed. */
void bench_vector(uint64_t seed, size_t dim, float *ret);

/* A new folder for one benchmark, and its removal. */
void bench_dir_make(char ret[256]);
void bench_dir_remove(const char *dir);

#endif
