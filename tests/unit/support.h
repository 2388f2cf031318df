/* What the unit tests share: a scratch folder, the test material, faults on demand, a fixed-seed
 * generator. Including this is enough to use cmocka. */
#ifndef LK_TESTS_UNIT_SUPPORT_H
#define LK_TESTS_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/os.h"

#define TEST_PATH 512

/* Fails the test with the call and the sentence when the call is not LK_OK. */
#define test_ok(call, err)                                                                         \
    do {                                                                                           \
        lk_code test_code_ = (call);                                                               \
        if (test_code_)                                                                            \
            fail_msg("%s: %s (%s)", #call, lk_code_word(test_code_), (err)->text);                 \
    } while (0)

/* Fails the test, printing both words, when the code is not the one wanted. */
#define test_code(call, want)                                                                      \
    do {                                                                                           \
        lk_code test_code_ = (call);                                                               \
        if (test_code_ != (want))                                                                  \
            fail_msg("%s: %s, expected %s", #call, lk_code_word(test_code_), lk_code_word(want));  \
    } while (0)

/* Does the text hold the part? Prints both when it does not. */
#define test_has(text, part)                                                                       \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("\"%s\" does not hold \"%s\"", (text), (part));                               \
    } while (0)

/* A new folder under $TMPDIR, and its removal with everything in it. */
void test_dir_make(char ret[TEST_PATH]);
void test_dir_remove(const char *dir);
/* dir/name; fails the test when it does not fit. */
void test_path(const char *dir, const char *name, char ret[TEST_PATH]);
void test_write(const char *path, const void *p, size_t n);

/* The path of a file in the project, and of the test material that lies in ../shared beside it.
 * test_shared skips the test (which is counted) when the material is missing. */
void test_source(const char *name, char ret[TEST_PATH]);
void test_shared(const char *name, char ret[TEST_PATH]);

/* Faults. test_faults_on puts a table in place that counts calls by kind and fails those asked for;
 * test_faults_off forgets every setting and restores the real table. */
typedef enum test_call {
    TEST_ALLOC,
    TEST_OPEN,
    TEST_CLOSE,
    TEST_READ,
    TEST_WRITE,
    TEST_SYNC,
    TEST_TRUNCATE,
    TEST_FALLOCATE,
    TEST_RENAME,
    TEST_UNLINK,
    TEST_MKDIR,
    TEST_STAT,
    TEST_MMAP,
    TEST_RANDOM,
    TEST_N_CALLS
} test_call;

void test_faults_on(void);
void test_faults_off(void);
void test_fail_nth(test_call call, size_t n, int sys);  /* the nth from now, 1-based; 0: none */
void test_fail_from(test_call call, size_t n, int sys); /* the nth and every one after it */
void test_disk_bytes(size_t n);                         /* writes beyond n bytes get ENOSPC */
void test_short_io(size_t max);                         /* reads and writes move at most max */
size_t test_calls(test_call call);                      /* since test_faults_on */
long test_live_allocations(void);                       /* made and not yet freed since then */

/* Run fn with the 1st, then the 2nd, … call failing, until a run sees no fault. Each run that does
 * must return `want` and leave no allocation behind. Returns the number of faults seen (0 fails the
 * test: a sweep that met nothing proves nothing). */
typedef lk_code test_try_fn(void *ctx, lk_err *err);
size_t test_sweep(test_call call, int sys, lk_code want, test_try_fn *fn, void *ctx);

/* Stop the clocks of the fault table at this time, and move them on. */
void test_clock_stop(uint64_t monotonic_ns, int64_t wall_ms);
void test_clock_add_ms(uint64_t ms);

/* SplitMix64 (Steele, Lea, Flood 2014): any seed is good. */
typedef struct test_rng {
    uint64_t s;
} test_rng;
uint64_t test_rng_next(test_rng *r);
uint64_t test_rng_below(test_rng *r, uint64_t n); /* 0..n-1 */
double test_rng_unit(test_rng *r);                /* [0, 1) */

#endif
