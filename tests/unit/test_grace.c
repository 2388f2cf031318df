#include "support.h"

#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "store/vectors/embedded/grace.h"

static void note(void *ctx, lk_retired what)
{
    bool *free = ctx;
    free[what.slot] = true;
}

static void retire(lk_grace *g, uint32_t slot)
{
    lk_err err;
    test_ok(lk_grace_reserve(g, 1, &err), &err);
    lk_grace_retire(g, (lk_retired){.slot = slot});
}

static void a_slot_is_free_only_when_no_reader_can_hold_it(void **state)
{
    (void)state;
    bool free[4] = {false};
    lk_grace g;
    lk_grace_init(&g);
    unsigned early = lk_grace_enter(&g);
    retire(&g, 1);
    for (int i = 0; i < 5; i++) {
        lk_grace_reclaim(&g, note, free);
        assert_false(free[1]); /* `early` entered before it was retired */
    }
    unsigned late = lk_grace_enter(&g);
    retire(&g, 2);
    lk_grace_leave(&g, early);
    for (int i = 0; i < 5; i++)
        lk_grace_reclaim(&g, note, free);
    assert_true(free[1]);
    assert_false(free[2]);
    lk_grace_leave(&g, late);
    for (int i = 0; i < 3; i++)
        lk_grace_reclaim(&g, note, free);
    assert_true(free[2]);
    retire(&g, 3);
    for (int i = 0; i < 3; i++)
        lk_grace_reclaim(&g, note, free);
    assert_true(free[3]);
    lk_grace_release(&g);
}

/* Readers take a number from a shared place; the writer replaces it, retires the old one and spoils
 * what it gets back. No reader may see a spoilt one. */
#define N_PLACES 64

typedef struct shared {
    lk_grace grace;
    atomic_uint now;
    atomic_uint state[N_PLACES]; /* 1: good, 0: spoilt */
    atomic_bool stop;
    atomic_uint wrong, reads;
} shared;

static void read_on(void *ctx)
{
    shared *sh = ctx;
    while (!atomic_load(&sh->stop)) {
        unsigned ticket = lk_grace_enter(&sh->grace);
        unsigned at = atomic_load(&sh->now);
        for (int i = 0; i < 20; i++)
            if (atomic_load(&sh->state[at]) != 1)
                atomic_fetch_add(&sh->wrong, 1);
        lk_grace_leave(&sh->grace, ticket);
        atomic_fetch_add(&sh->reads, 1);
    }
}

static void spoil(void *ctx, lk_retired what)
{
    shared *sh = ctx;
    atomic_store(&sh->state[what.slot], 0);
}

static void readers_never_see_a_slot_that_was_given_back(void **state)
{
    (void)state;
    lk_err err;
    static shared sh;
    lk_grace_init(&sh.grace);
    atomic_store(&sh.state[0], 1);
    lk_thread *t[2];
    for (int i = 0; i < 2; i++)
        test_ok(lk_thread_start(&t[i], "reader", read_on, &sh, &err), &err);
    unsigned moves = 0;
    while (moves < 20000 || atomic_load(&sh.reads) < 1000) {
        lk_grace_reclaim(&sh.grace, spoil, &sh);
        for (unsigned i = 0; i < N_PLACES; i++) {
            unsigned zero = 0;
            if (!atomic_compare_exchange_strong(&sh.state[i], &zero, 1))
                continue;
            unsigned old = atomic_exchange(&sh.now, i);
            retire(&sh.grace, old);
            moves++;
            break;
        }
    }
    atomic_store(&sh.stop, true);
    for (int i = 0; i < 2; i++)
        lk_thread_join(t[i]);
    assert_int_equal(atomic_load(&sh.wrong), 0);
    lk_grace_release(&sh.grace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_is_free_only_when_no_reader_can_hold_it),
        cmocka_unit_test(readers_never_see_a_slot_that_was_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
