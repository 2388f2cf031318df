/* What this machine's memory gives one thread: the bounds of every index that does not fit a cache.
 *
 *   limits [--json]
 *
 * Over a buffer of SIZE in pages of 2 MiB where the system gives them: reading it front to back;
 * reading ROW bytes at places that are known ahead, prefetched as a graph walk prefetches its
 * frontier; and the same where each place is only known once the last has been read, as one hop
 * follows another. A row of 256 bytes is 512 dimensions of 4 bits. Best of ROUNDS. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/mem.h"

#define SIZE ((size_t)1 << 30)
#define PAGE ((size_t)2 << 20)
#define ROW 256
#define N_ROWS (SIZE / ROW)
#define READS 2000000
#define AHEAD 16 /* rows prefetched before they are read: more gained nothing */
#define ROUNDS 5

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t sum_of(const uint64_t *p, size_t n_words)
{
    uint64_t lanes[8] = {0};
    for (size_t i = 0; i < n_words; i += 8)
        for (size_t k = 0; k < 8; k++)
            lanes[k] += p[i + k];
    return lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] + lanes[7];
}

/* Place number i of a sequence that looks random. */
static size_t place(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 32) * 0xd6e8feb86659fd93u;
    return (size_t)((z ^ z >> 32) % N_ROWS);
}

static uint64_t stream(const uint64_t *words)
{
    return sum_of(words, SIZE / sizeof *words);
}

static const uint64_t *row(const uint64_t *words, size_t i)
{
    return words + i * (ROW / sizeof *words);
}

static uint64_t known_ahead(const uint64_t *words)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < READS; i++) {
        const char *next = (const char *)row(words, place(i + AHEAD));
        for (size_t line = 0; line < ROW; line += 64)
            __builtin_prefetch(next + line);
        sum += sum_of(row(words, place(i)), ROW / sizeof *words);
    }
    return sum;
}

static uint64_t one_after_another(const uint64_t *words)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < READS; i++)
        sum += sum_of(row(words, place(i + sum)), ROW / sizeof *words);
    return sum;
}

/* Seconds of the best round. */
static double best_of(uint64_t (*read)(const uint64_t *), const uint64_t *words)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now();
        volatile uint64_t sum = read(words); /* keeps the reads alive */
        (void)sum;
        double taken = now() - start;
        best = taken < best ? taken : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !json) {
        fprintf(stderr, "use: limits [--json]\n");
        return 2;
    }
    uint64_t *words = lk_aligned_alloc(PAGE, SIZE);
    if (!words) {
        fprintf(stderr, "limits: out of memory\n");
        return 1;
    }
    madvise(words, SIZE, MADV_HUGEPAGE); /* without them it measures the table walks, too */
    for (size_t i = 0; i < SIZE / sizeof *words; i++)
        words[i] = i * 0x9e3779b97f4a7c15u;

    double stream_gb = (double)SIZE / best_of(stream, words) / 1e9;
    double ahead_ns = best_of(known_ahead, words) / READS * 1e9;
    double after_ns = best_of(one_after_another, words) / READS * 1e9;
    lk_free(words);
    printf(json ? "{\"kind\": \"limits\", \"stream_gb_s\": %.2f, \"row_bytes\": %d, "
                  "\"ahead_ns\": %.1f, \"ahead_gb_s\": %.2f, \"after_ns\": %.1f}\n"
                : "memory, one thread: %.1f GB/s front to back; a row of %d bytes anywhere in %.1f "
                  "ns (%.1f GB/s) if known ahead, in %.0f ns if not\n",
           stream_gb, ROW, ahead_ns, ROW / ahead_ns, after_ns);
    return 0;
}
