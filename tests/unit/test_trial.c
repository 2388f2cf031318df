/* Work in a child process that may crash, hang or eat memory. */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/embed.h"
#include "base/mem.h"
#include "model/trial.h"

static const lk_trial_limits roomy = {.memory_bytes = (uint64_t)1 << 30, .time_ms = 60000};

static lk_code run(lk_trial_fn *fn, const lk_trial_limits *l, lk_buf *out, lk_err *err)
{
    lk_buf_init(out, 0);
    memset(err, 0, sizeof *err);
    return lk_trial_run(fn, NULL, l, NULL, out, err);
}

/* ---- what comes back ---- */

static lk_code find_much(void *ctx, lk_buf *out, lk_err *err)
{
    (void)ctx, (void)err;
    for (int i = 0; i < 200000; i++)
        lk_buf_printf(out, "%d,", i);
    return LK_OK;
}

static lk_code find_fault(void *ctx, lk_buf *out, lk_err *err)
{
    (void)ctx;
    lk_buf_puts(out, "so far");
    return lk_fail_field(err, LK_E_NOT_FOUND, "vocab", "there is no vocab.txt");
}

static void findings_and_errors_come_back_whole(void **state)
{
    (void)state;
    lk_buf out, want;
    lk_err err;
    test_ok(run(find_much, &roomy, &out, &err), &err);
    lk_buf_init(&want, 0);
    assert_int_equal(find_much(NULL, &want, NULL), LK_OK);
    assert_int_equal(out.n, want.n);
    assert_memory_equal(out.p, want.p, want.n);
    lk_buf_release(&want);
    lk_buf_release(&out);
    test_code(run(find_fault, &roomy, &out, &err), LK_E_NOT_FOUND);
    assert_string_equal(err.text, "there is no vocab.txt");
    assert_string_equal(err.field, "vocab");
    assert_int_equal(out.n, 6);
    lk_buf_release(&out);
}

/* ---- what goes wrong ---- */

static lk_code crash(void *ctx, lk_buf *out, lk_err *err)
{
    (void)ctx, (void)out, (void)err;
    raise(SIGSEGV);
    return LK_OK;
}

static lk_code leave(void *ctx, lk_buf *out, lk_err *err)
{
    (void)ctx, (void)out, (void)err;
    _exit(7);
}

static lk_code hang(void *ctx, lk_buf *out, lk_err *err)
{
    (void)ctx, (void)out, (void)err;
    while (pause() == -1)
        ;
    return LK_OK;
}

static lk_code take_memory(void *ctx, lk_buf *out, lk_err *err)
{
    (void)ctx;
    for (int i = 0; i < 64; i++) {
        void *p = mmap(NULL, (size_t)16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
        if (p == MAP_FAILED)
            return lk_fail(err, LK_E_NOMEM, "after %d", i);
        lk_buf_putc(out, '.');
    }
    return LK_OK;
}

static void a_crash_is_told_with_its_signal(void **state)
{
    (void)state;
    lk_buf out;
    lk_err err;
    test_code(run(crash, &roomy, &out, &err), LK_E_MODEL);
    test_has(err.text, "crashed");
    test_has(err.text, "signal 11");
    lk_buf_release(&out);
    test_code(run(leave, &roomy, &out, &err), LK_E_MODEL);
    test_has(err.text, "status 7");
    lk_buf_release(&out);
}

static lk_code spin(void *ctx, lk_buf *out, lk_err *err)
{
    (void)ctx, (void)out, (void)err;
    for (volatile unsigned i = 0;; i++)
        ;
    return LK_OK;
}

static void a_child_that_hangs_or_spins_is_ended(void **state)
{
    (void)state;
    lk_buf out;
    lk_err err;
    const lk_trial_limits hasty = {.time_ms = 50}, second = {.time_ms = 1000};
    uint64_t start = lk_now_ns();
    test_code(run(hang, &hasty, &out, &err), LK_E_MODEL);
    test_has(err.text, "still not ready");
    assert_true(lk_now_ns() - start < (uint64_t)10 * 1000000000);
    lk_buf_release(&out);
    test_code(run(spin, &second, &out, &err), LK_E_MODEL);
    test_has(err.text, "still not ready after 1");
    lk_buf_release(&out);
}

static void a_stop_on_request_ends_the_child(void **state)
{
    (void)state;
    lk_cancel stop = {0};
    lk_buf out;
    lk_err err;
    lk_cancel_set(&stop);
    lk_buf_init(&out, 0);
    test_code(lk_trial_run(hang, NULL, &roomy, &stop, &out, &err), LK_E_CANCELED);
    lk_buf_release(&out);
}

static void memory_beyond_the_limit_is_not_given(void **state)
{
    (void)state;
    lk_buf out;
    lk_err err;
    const lk_trial_limits tight = {.memory_bytes = (uint64_t)256 << 20, .time_ms = 60000};
    test_code(run(take_memory, &tight, &out, &err), LK_E_NOMEM);
    test_has(err.text, "after");
    assert_in_range(out.n, 8, 16);
    lk_buf_release(&out);
    const lk_trial_limits wide = {.memory_bytes = (uint64_t)2 << 30, .time_ms = 60000};
    test_ok(run(take_memory, &wide, &out, &err), &err);
    lk_buf_release(&out);
}

static void a_larger_model_may_take_more(void **state)
{
    (void)state;
    const lk_trial_limits small = lk_trial_limits_of(1 << 20, NULL),
                          large = lk_trial_limits_of((uint64_t)1 << 30, "cpu"),
                          card = lk_trial_limits_of((uint64_t)1 << 30, "cuda");
    assert_true(small.memory_bytes > 0 && large.memory_bytes > small.memory_bytes);
    assert_true(large.time_ms > small.time_ms && card.time_ms > large.time_ms);
    assert_true(card.memory_bytes == 0);
}

/* ---- models ---- */

static void a_model_that_runs_passes_and_another_says_why_not(void **state)
{
    (void)state;
    char dir[TEST_PATH], path[TEST_PATH];
    lk_model_opts o;
    lk_err err;
    lk_model_opts_default(&o);
    test_ok(lk_model_try("mini", &o, NULL, &err), &err);
    test_code(lk_model_try("no-such-model", &o, NULL, &err), LK_E_NOT_FOUND);
    test_dir_make(dir);
    test_path(dir, "model.json", path);
    const lk_embedded_file *card = lk_embedded_find("models/mini/model.json");
    test_write(path, card->data, card->size);
    test_code(lk_model_try(dir, &o, NULL, &err), LK_E_MODEL);
    test_has(err.text, "image.onnx");
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(findings_and_errors_come_back_whole),
        cmocka_unit_test(a_crash_is_told_with_its_signal),
        cmocka_unit_test(a_child_that_hangs_or_spins_is_ended),
        cmocka_unit_test(a_stop_on_request_ends_the_child),
        cmocka_unit_test(memory_beyond_the_limit_is_not_given),
        cmocka_unit_test(a_larger_model_may_take_more),
        cmocka_unit_test(a_model_that_runs_passes_and_another_says_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
