/* The embedded vector store's files: what they look like, what a crash, a full disk or a flipped
 * bit does to them. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "store/vectors/embedded/internal.h"

#define DIM 16

static char dir[TEST_PATH];
static char where[TEST_PATH];
static lk_vectors *store;

static lk_code open_code(lk_err *err)
{
    lk_vectors_opts o;
    lk_vectors_close(store);
    store = NULL;
    lk_vectors_opts_default(&o);
    o.dim = DIM;
    o.space = "test/1";
    o.create = true;
    return lk_vectors_open(where, &o, &store, err);
}

static void reopen(void)
{
    lk_err err;
    test_ok(open_code(&err), &err);
}

static int set_up(void **state)
{
    (void)state;
    test_dir_make(dir);
    test_path(dir, "c", where);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lk_vectors_close(store);
    store = NULL;
    test_dir_remove(dir);
    return 0;
}

static void vector_of(uint64_t seed, float *ret)
{
    test_rng rng = {.s = seed * 977 + 1};
    for (size_t i = 0; i < DIM; i++)
        ret[i] = (float)(test_rng_unit(&rng) * 2 - 1);
}

/* Row number i in generation g: the vector of g * 100000 + i, attributes that say both. */
static lk_code put(size_t from, size_t n, size_t g, lk_err *err)
{
    lk_vector_row rows[64];
    float vectors[64][DIM];
    lk_attr attrs[64][2];
    char ids[64][16], texts[64][24];
    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "id%zu", from + i);
        snprintf(texts[i], sizeof texts[i], "g%zu", g);
        vector_of(g * 100000 + from + i, vectors[i]);
        attrs[i][0] = (lk_attr){.name = LK_STR("number"),
                                .value = {.type = LK_T_INT, .i = (int64_t)(from + i)}};
        attrs[i][1] = (lk_attr){.name = LK_STR("generation"),
                                .in_metadata = true,
                                .value = {.type = LK_T_STR, .s = lk_str_of(texts[i])}};
        rows[i] = (lk_vector_row){
            .id = lk_str_of(ids[i]), .vector = vectors[i], .attrs = attrs[i], .n_attrs = 2};
    }
    return lk_vectors_upsert(store, n, rows, err);
}

static void put_ok(size_t from, size_t n, size_t g)
{
    lk_err err;
    test_ok(put(from, n, g, &err), &err);
}

/* Is the row there, in this generation, vector and all? */
static bool holds(size_t number, size_t g)
{
    float want[DIM], have[DIM];
    char id[16];
    snprintf(id, sizeof id, "id%zu", number);
    vector_of(g * 100000 + number, want);
    if (lk_vectors_get(store, lk_str_of(id), have, NULL))
        return false;
    for (size_t i = 0; i < DIM; i++)
        if (have[i] - want[i] > 2e-3f || want[i] - have[i] > 2e-3f)
            return false;
    return true;
}

static uint64_t count(void)
{
    lk_err err;
    lk_vectors_info info;
    test_ok(lk_vectors_info_of(store, &info, &err), &err);
    return info.n;
}

static void verify(void)
{
    lk_err err;
    test_ok(lk_vectors_verify(store, &err), &err);
}

static void file_in(const char *name, char *ret)
{
    test_path(where, name, ret);
}

/* The catalog's name: there must be just one. */
static void catalog_path(char *ret)
{
    size_t n = 0;
    DIR *d = opendir(where);
    assert_non_null(d);
    struct dirent *e;
    while ((e = readdir(d))) {
        if (strncmp(e->d_name, "catalog.", 8) == 0) {
            file_in(e->d_name, ret);
            n++;
        }
    }
    closedir(d);
    assert_int_equal(n, 1);
}

/* ---- crashes ---- */

#define N_ROUNDS 40
#define N_ROWS 600
#define BATCH 20

/* What a child was told is on disk, in memory it shares with us. */
typedef struct told {
    _Atomic uint32_t generation[N_ROWS]; /* acknowledged, 0: none */
    _Atomic uint32_t started[N_ROWS];    /* begun, perhaps not acknowledged */
    _Atomic uint32_t commits;
} told;

/* Write batches until killed. Deletes are generation 0xffff in `told`. */
static void write_until_killed(told *t, uint64_t seed, uint32_t g)
{
    test_rng rng = {.s = seed};
    for (;;) {
        size_t from = test_rng_below(&rng, N_ROWS / BATCH) * BATCH;
        bool removal = test_rng_below(&rng, 5) == 0;
        uint32_t next = removal ? 0xffff : ++g;
        for (size_t i = from; i < from + BATCH; i++)
            atomic_store(&t->started[i], next);
        lk_code code;
        if (removal) {
            char ids[BATCH][16];
            lk_str s[BATCH];
            for (size_t i = 0; i < BATCH; i++) {
                snprintf(ids[i], sizeof ids[i], "id%zu", from + i);
                s[i] = lk_str_of(ids[i]);
            }
            code = lk_vectors_delete(store, BATCH, s, NULL, NULL);
        } else {
            code = put(from, BATCH, next, NULL);
        }
        if (code)
            _exit(3);
        for (size_t i = from; i < from + BATCH; i++)
            atomic_store(&t->generation[i], next);
        atomic_fetch_add(&t->commits, 1);
    }
}

static bool is_at(size_t number, uint32_t g)
{
    if (g == 0 || g == 0xffff) {
        float v[DIM];
        char id[16];
        snprintf(id, sizeof id, "id%zu", number);
        return lk_vectors_get(store, lk_str_of(id), v, NULL) == LK_E_NOT_FOUND;
    }
    return holds(number, g);
}

/* Each batch is wholly what was acknowledged last, or wholly what was begun after it. */
static void check_after_crash(told *t)
{
    for (size_t from = 0; from < N_ROWS; from += BATCH) {
        uint32_t acknowledged = atomic_load(&t->generation[from]);
        uint32_t started = atomic_load(&t->started[from + BATCH - 1]);
        uint32_t now = is_at(from, acknowledged) ? acknowledged : started;
        for (size_t i = from; i < from + BATCH; i++) {
            if (!is_at(i, now))
                fail_msg("row %zu: %u was acknowledged and %u begun, and it is neither", i,
                         acknowledged, started);
            atomic_store(&t->generation[i], now);
            atomic_store(&t->started[i], now);
        }
    }
}

static void killed_at_any_moment_everything_acknowledged_is_there(void **state)
{
    (void)state;
    test_rng rng = {.s = 20240607};
    told *t = lk_os()->mmap(NULL, sizeof *t, 3, 0x21, -1, 0); /* read, write; shared, anonymous */
    assert_true(t != (void *)-1);
    uint32_t commits = 0;
    for (uint32_t round = 0; round < N_ROUNDS; round++) {
        pid_t child = fork();
        if (child == 0) {
            lk_err err;
            if (open_code(&err))
                _exit(2);
            write_until_killed(t, round + 1, round * 500);
        }
        /* From before the store is open to some commits in, however slow the machine is. */
        uint32_t until = atomic_load(&t->commits) + (uint32_t)test_rng_below(&rng, 8);
        for (int ms = 0; ms < 30000 && atomic_load(&t->commits) < until; ms++)
            usleep(1000);
        usleep((useconds_t)test_rng_below(&rng, 3000));
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* it did not fail by itself */
        reopen();
        verify();
        check_after_crash(t);
        lk_vectors_close(store);
        store = NULL;
    }
    commits = atomic_load(&t->commits);
    print_message("# %u commits in %d rounds\n", commits, N_ROUNDS);
    assert_true(commits > N_ROUNDS);
    lk_os()->munmap(t, sizeof *t);
}

/* ---- disks ---- */

static void a_write_that_fails_anywhere_is_told_and_loses_nothing(void **state)
{
    (void)state;
    static const test_call calls[] = {TEST_WRITE, TEST_SYNC, TEST_FALLOCATE, TEST_TRUNCATE};
    reopen();
    put_ok(0, 60, 1);
    for (size_t c = 0; c < LK_ARRAY_LEN(calls); c++) {
        size_t failed = 0;
        for (size_t n = 1; n < 12; n++) {
            lk_err err;
            test_faults_on();
            test_fail_nth(calls[c], n, ENOSPC);
            size_t number = 100 + c * 1000 + n * 40;
            lk_code code = put(number, 30, 1, &err); /* a batch of new rows */
            size_t before = test_calls(calls[c]);
            test_faults_off();
            failed += code != LK_OK;
            if (code) {
                test_code(code, LK_E_FULL);
                assert_false(holds(number, 1));
            } else {
                assert_true(holds(number + 29, 1));
            }
            /* The next one gets through, and what was there is there. */
            put_ok(50, 10, n + 1);
            assert_true(holds(50, n + 1) && holds(3, 1));
            uint64_t rows = count();
            reopen();
            assert_int_equal(count(), rows);
            assert_true(holds(50, n + 1) && holds(3, 1));
            assert_int_equal(holds(number, 1), code == LK_OK);
            verify();
            if (code == LK_OK && before < n)
                break;
        }
        if (calls[c] == TEST_WRITE || calls[c] == TEST_SYNC)
            assert_true(failed >= 2);
    }
}

static void a_disk_that_stays_full_refuses_and_goes_on_when_there_is_room(void **state)
{
    (void)state;
    reopen();
    put_ok(0, 60, 1);
    size_t refused = 0;
    for (size_t bytes = 0; bytes < 8000; bytes += 500) {
        lk_err err;
        test_faults_on();
        test_disk_bytes(bytes);
        lk_code code = put(60, 60, bytes + 2, &err);
        test_faults_off();
        if (code) {
            test_code(code, LK_E_FULL);
            refused++;
        }
        assert_true(holds(0, 1) && holds(59, 1));
        reopen();
        assert_true(holds(0, 1) && holds(59, 1));
        assert_int_equal(holds(60, bytes + 2), code == LK_OK);
        verify();
    }
    assert_true(refused >= 4);
    put_ok(60, 60, 1);
    assert_int_equal(count(), 120);
}

static void a_failed_sync_that_cannot_be_taken_back_stops_all_writing(void **state)
{
    (void)state;
    lk_err err = {0};
    reopen();
    put_ok(0, 10, 1);
    test_faults_on();
    test_fail_from(TEST_SYNC, 2, EIO); /* the catalog's, and the one that takes it back */
    test_code(put(0, 10, 2, &err), LK_E_IO);
    test_faults_off();
    test_code(put(0, 10, 3, &err), LK_E_IO);
    test_has(err.text, "until it is opened again");
    assert_true(holds(0, 1)); /* reading goes on */
    reopen();
    assert_true(holds(0, 1) || holds(0, 2));
    put_ok(0, 10, 4);
    assert_true(holds(9, 4));
}

/* ---- damage ---- */

static void copy_bytes(const char *path, unsigned char **ret, size_t *ret_n)
{
    lk_err err;
    test_ok(lk_os_read_file(path, 0, ret, ret_n, &err), &err);
}

/* Damaged here or there, it opens with all it had or says that it is damaged; nothing in between.
 */
static void a_flipped_bit_anywhere_in_the_catalog_is_noticed_or_harmless(void **state)
{
    (void)state;
    char path[TEST_PATH];
    unsigned char *bytes = NULL;
    size_t n = 0, refused = 0, harmless = 0;
    reopen();
    put_ok(0, 3, 1);
    put_ok(1, 2, 2);
    lk_vectors_close(store);
    store = NULL;
    catalog_path(path);
    copy_bytes(path, &bytes, &n);
    for (size_t i = 0; i < n; i++) {
        if (i >= 76 && i < LK_CATALOG_HEADER)
            continue; /* filling */
        lk_err err;
        bytes[i] ^= (unsigned char)(1u << (i % 8));
        test_write(path, bytes, n);
        bytes[i] ^= (unsigned char)(1u << (i % 8));
        lk_code code = open_code(&err);
        if (code) {
            assert_true(code == LK_E_CORRUPT || code == LK_E_FORMAT);
            refused++;
        } else {
            assert_int_equal(count(), 3);
            assert_true(holds(0, 1) && holds(1, 2) && holds(2, 2));
            harmless++;
        }
    }
    assert_true(harmless <= 12); /* the seal is a hint */
    assert_true(refused > 200);
    lk_free(bytes);
}

static void a_catalog_cut_anywhere_is_refused(void **state)
{
    (void)state;
    char path[TEST_PATH];
    unsigned char *bytes = NULL;
    size_t n = 0;
    reopen();
    put_ok(0, 3, 1);
    put_ok(1, 2, 2);
    lk_vectors_close(store);
    store = NULL;
    catalog_path(path);
    copy_bytes(path, &bytes, &n);
    for (size_t cut = 0; cut < n; cut = cut < 60 || cut > LK_CATALOG_HEADER ? cut + 1 : cut + 500) {
        lk_err err;
        test_write(path, bytes, cut);
        lk_code code = open_code(&err);
        assert_true(code == LK_E_CORRUPT || code == LK_E_FORMAT);
    }
    test_write(path, bytes, n);
    reopen();
    assert_int_equal(count(), 3);
    lk_free(bytes);
}

/* What a crash leaves behind the last commit was never acknowledged. */
static void an_unfinished_end_is_cut_off(void **state)
{
    (void)state;
    static const char *const tails[] = {"", "L", "LKFR", "LKFR\0\0\0\0\xff\0\0\0", "noise"};
    char path[TEST_PATH];
    unsigned char *bytes = NULL;
    size_t n = 0;
    reopen();
    put_ok(0, 3, 1);
    lk_vectors_close(store);
    store = NULL;
    catalog_path(path);
    copy_bytes(path, &bytes, &n);
    unsigned char *longer = lk_calloc(n + 100, 1);
    for (size_t i = 0; i < LK_ARRAY_LEN(tails); i++) {
        memcpy(longer, bytes, n);
        memset(longer + n, 0, 100);
        memcpy(longer + n, tails[i], strlen(tails[i]));
        test_write(path, longer, n + 100);
        reopen();
        assert_int_equal(count(), 3);
        put_ok(7, 1, 1);
        reopen();
        assert_int_equal(count(), 4);
        verify();
        lk_vectors_close(store);
        store = NULL;
    }
    lk_free(longer);
    lk_free(bytes);
}

static void a_flipped_bit_in_a_vector_is_found_by_verify(void **state)
{
    (void)state;
    lk_err err = {0};
    char path[TEST_PATH];
    unsigned char *bytes = NULL;
    size_t n = 0;
    reopen();
    put_ok(0, 5, 1);
    lk_vectors_close(store);
    store = NULL;
    file_in("vectors.1", path);
    copy_bytes(path, &bytes, &n);
    bytes[LK_ROWFILE_HEADER + 3 * DIM * 2 + 5] ^= 4;
    test_write(path, bytes, n);
    reopen();
    test_code(lk_vectors_verify(store, &err), LK_E_CORRUPT);
    test_has(err.text, "'id3'");
    bytes[20] ^= 1; /* the header */
    test_write(path, bytes, n);
    test_code(open_code(&err), LK_E_CORRUPT);
    bytes[20] ^= 1;
    test_write(path, bytes, LK_ROWFILE_HEADER + DIM); /* most rows gone */
    test_code(open_code(&err), LK_E_CORRUPT);
    lk_os()->unlink(path);
    test_code(open_code(&err), LK_E_CORRUPT);
    lk_free(bytes);
}

static void vectors_without_their_catalog_are_not_overwritten(void **state)
{
    (void)state;
    lk_err err = {0};
    char path[TEST_PATH];
    reopen();
    put_ok(0, 5, 1);
    lk_vectors_close(store);
    store = NULL;
    catalog_path(path);
    lk_os()->unlink(path);
    test_code(open_code(&err), LK_E_CORRUPT);
    test_has(err.text, "catalog is gone");
}

/* ---- compaction ---- */

static void an_outdated_log_is_written_anew_and_says_the_same(void **state)
{
    (void)state;
    char path[TEST_PATH];
    struct stat before, after;
    reopen();
    for (size_t g = 1; g <= 200; g++)
        put_ok(0, 60, g);
    lk_embedded *e = lk_embedded_of(store);
    lk_err err;
    catalog_path(path);
    assert_int_equal(stat(path, &before), 0);
    test_ok(lk_embedded_compact(e, &err), &err);
    catalog_path(path);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size * 10 < before.st_size);
    assert_true(after.st_size - LK_CATALOG_HEADER < (off_t)(e->live_bytes + 1024));
    put_ok(60, 10, 5);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(count(), 70);
        assert_true(holds(0, 200) && holds(59, 200) && holds(69, 5));
        verify();
        reopen();
    }
}

static void a_compaction_that_fails_anywhere_leaves_the_old_log_in_force(void **state)
{
    (void)state;
    static const test_call calls[] = {TEST_OPEN, TEST_WRITE, TEST_SYNC, TEST_RENAME, TEST_ALLOC};
    reopen();
    put_ok(0, 60, 1);
    for (size_t c = 0; c < LK_ARRAY_LEN(calls); c++) {
        size_t n = 1;
        for (bool more = true; more; n++) {
            lk_err err;
            test_faults_on();
            test_fail_nth(calls[c], n, calls[c] == TEST_ALLOC ? ENOMEM : EIO);
            lk_code code = lk_embedded_compact(lk_embedded_of(store), &err);
            more = test_calls(calls[c]) >= n;
            test_faults_off();
            if (!more)
                test_ok(code, &err);
            put_ok(10, 10, c * 100 + n);
            reopen();
            char path[TEST_PATH];
            catalog_path(path);
            assert_int_equal(count(), 60);
            assert_true(holds(10, c * 100 + n) && holds(0, 1));
            verify();
        }
        assert_true(n > 1);
    }
}

/* ---- the format ---- */

static int fixed_random(void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)p)[i] = (unsigned char)(i + 1);
    return 0;
}

static const unsigned char golden_vectors[64] = {
    'L', 'K', 'V', 'E', 'C', 'T', 'R', 'S', 1, 0, 0, 0, 0, 16, 0, 0, 16,   0,    0,    0,    0, 0,
    0,   0,   32,  0,   0,   0,   0,   0,   0, 0, 1, 2, 3, 4,  5, 6, 7,    8,    0,    0,    0, 0,
    0,   0,   0,   0,   0,   0,   0,   0,   0, 0, 0, 0, 0, 0,  0, 0, 0xdb, 0xa1, 0x4c, 0x50,
};

static const unsigned char golden_catalog[76] = {
    'L',  'K',  'C',  'A',  'T',  'L',  'O',  'G',  1,    0,    0,    0,    0,    16,   0,    0,
    16,   0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    1,    0,    0,    0,
    1,    2,    3,    4,    5,    6,    7,    8,    1,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x40, 0xeb, 0x9c, 0xdb,
    0xe9, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1e, 0x09, 0x75, 0x38,
};

static const unsigned char golden_frame[] = {
    0x4c, 0x4b, 0x46, 0x52, 0x00, 0x00, 0x00, 0x00, 0x4f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1d, 0xc3, 0xb0, 0x0d, 0x0e, 0x03, 0x4c, 0xc3,
    0x02, 0x05, 0x00, 0x73, 0x70, 0x61, 0x63, 0x65, 0x06, 0x00, 0x00, 0x00, 0x74, 0x65, 0x73, 0x74,
    0x2f, 0x31, 0x02, 0x05, 0x00, 0x69, 0x6e, 0x64, 0x65, 0x78, 0x04, 0x00, 0x00, 0x00, 0x61, 0x75,
    0x74, 0x6f, 0x02, 0x01, 0x00, 0x4d, 0x01, 0x00, 0x00, 0x00, 0x30, 0x02, 0x0f, 0x00, 0x65, 0x66,
    0x5f, 0x63, 0x6f, 0x6e, 0x73, 0x74, 0x72, 0x75, 0x63, 0x74, 0x69, 0x6f, 0x6e, 0x01, 0x00, 0x00,
    0x00, 0x30, 0x02, 0x05, 0x00, 0x6e, 0x6c, 0x69, 0x73, 0x74, 0x01, 0x00, 0x00, 0x00, 0x30, 0x4c,
    0x4b, 0x46, 0x52, 0x00, 0x00, 0x00, 0x00, 0x5a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xbf, 0x70, 0x75, 0x65, 0xd4, 0xdf, 0x94, 0x1a, 0x01,
    0x02, 0x00, 0x01, 0x00, 0x6e, 0x01, 0x04, 0x01, 0x01, 0x00, 0x6b, 0x01, 0x03, 0x00, 0x01, 0x00,
    0x72, 0x01, 0x01, 0x00, 0x01, 0x00, 0x62, 0x01, 0x05, 0x00, 0x01, 0x00, 0x74, 0x03, 0x00, 0x00,
    0x00, 0x00, 0x12, 0xb9, 0x3f, 0x1f, 0x00, 0x00, 0xa0, 0x40, 0x03, 0x00, 0x6f, 0x6e, 0x65, 0x05,
    0x00, 0x00, 0x00, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x76, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, 0x03, 0x00, 0x01, 0x04,
    0x00, 0xe8, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static void the_files_are_byte_for_byte_what_the_format_says(void **state)
{
    (void)state;
    lk_os_table table = *lk_os_real();
    table.random = fixed_random;
    lk_os_use(&table);
    reopen();
    lk_os_use(NULL);
    float v[DIM] = {3, 4};
    lk_attr attrs[] = {
        {.name = LK_STR("n"), .value = {.type = LK_T_INT, .i = -2}},
        {.name = LK_STR("k"), .in_metadata = true, .value = {.type = LK_T_STR, .s = LK_STR("v")}},
        {.name = LK_STR("r"), .value = {.type = LK_T_REAL, .d = 0.5}},
        {.name = LK_STR("b"), .value = {.type = LK_T_BOOL, .b = true}},
        {.name = LK_STR("t"), .value = {.type = LK_T_TIME, .i = 1000}},
    };
    lk_err err;
    lk_vector_row row = {.id = LK_STR("one"), .vector = v, .attrs = attrs, .n_attrs = 5};
    test_ok(lk_vectors_upsert(store, 1, &row, &err), &err);
    lk_vectors_close(store);
    store = NULL;
    char path[TEST_PATH];
    unsigned char *bytes = NULL;
    size_t n = 0;
    file_in("vectors.1", path);
    copy_bytes(path, &bytes, &n);
    assert_memory_equal(bytes, golden_vectors, sizeof golden_vectors);
    static const unsigned char half[] = {0xcd, 0x38, 0x66, 0x3a, 0, 0}; /* 0.6, 0.8, 0 */
    assert_memory_equal(bytes + LK_ROWFILE_HEADER, half, sizeof half);
    lk_free(bytes);
    file_in("catalog.1", path);
    copy_bytes(path, &bytes, &n);
    assert_memory_equal(bytes, golden_catalog, sizeof golden_catalog);
    assert_int_equal(n, LK_CATALOG_HEADER + sizeof golden_frame);
    assert_memory_equal(bytes + LK_CATALOG_HEADER, golden_frame, sizeof golden_frame);
    lk_free(bytes);
}

static void a_later_version_of_the_format_is_refused(void **state)
{
    (void)state;
    lk_err err = {0};
    char path[TEST_PATH];
    unsigned char *bytes = NULL;
    size_t n = 0;
    reopen();
    lk_vectors_close(store);
    store = NULL;
    catalog_path(path);
    copy_bytes(path, &bytes, &n);
    bytes[8] = 2;
    uint32_t crc = lk_crc32c(bytes, 60);
    memcpy(bytes + 60, &crc, sizeof crc);
    test_write(path, bytes, n);
    test_code(open_code(&err), LK_E_FORMAT);
    test_has(err.text, "version 2");
    lk_free(bytes);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_files_are_byte_for_byte_what_the_format_says),
        CASE(a_later_version_of_the_format_is_refused),
        CASE(a_write_that_fails_anywhere_is_told_and_loses_nothing),
        CASE(a_disk_that_stays_full_refuses_and_goes_on_when_there_is_room),
        CASE(a_failed_sync_that_cannot_be_taken_back_stops_all_writing),
        CASE(a_flipped_bit_anywhere_in_the_catalog_is_noticed_or_harmless),
        CASE(a_catalog_cut_anywhere_is_refused),
        CASE(an_unfinished_end_is_cut_off),
        CASE(a_flipped_bit_in_a_vector_is_found_by_verify),
        CASE(vectors_without_their_catalog_are_not_overwritten),
        CASE(an_outdated_log_is_written_anew_and_says_the_same),
        CASE(a_compaction_that_fails_anywhere_leaves_the_old_log_in_force),
        CASE(killed_at_any_moment_everything_acknowledged_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
