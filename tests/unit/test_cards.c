/* The cards in the program: each is a card, and what it uses is what its hub publishes. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/card.h"
#include "model/hub.h"
#include "model/pull.h"

/* The card as `model pull` would finish it, with sums that nobody knows yet. */
static void finish(const char *name, lk_str text, lk_arena *a, lk_card *ret)
{
    lk_hub h;
    lk_buf b;
    lk_err err;
    lk_buf_init(&b, 0);
    lk_code code = lk_hub_parse(text, a, &h, &err);
    if (code == LK_E_UNSUPPORTED) { /* of files that are exported, not pulled */
        code = lk_card_parse(text, a, ret, &err);
    } else if (!code) {
        for (size_t i = 0; i < h.n_files; i++)
            h.files[i].bytes = 1;
        test_ok(lk_hub_finish_card(text, h.n_files, h.files, &b, &err), &err);
        code = lk_card_parse(lk_buf_str(&b), a, ret, &err);
    }
    if (code)
        fail_msg("%s: %s", name, err.text);
    lk_buf_release(&b);
}

static bool lists(const lk_card *c, const char *name)
{
    for (size_t i = 0; i < c->n_files; i++)
        if (strcmp(c->files[i].name, name) == 0)
            return true;
    return false;
}

typedef struct tally {
    size_t n, n_text;
} tally;

static void check(void *ctx, const char *name, lk_str text)
{
    tally *t = ctx;
    lk_arena a;
    lk_card c = {0};
    lk_arena_init(&a, 0);
    finish(name, text, &a, &c);
    t->n++;
    t->n_text += c.has_text;
    assert_string_equal(c.name, name);
    assert_true(c.has_image && c.size == 224 && c.describe[0]);
    const char *used[] = {c.image.file,      c.image.projection, c.text.file,
                          c.text.projection, c.vocab_file,       c.merges_file};
    for (size_t i = 0; c.n_files && i < LK_ARRAY_LEN(used); i++)
        if (used[i] && !lists(&c, used[i]))
            fail_msg("%s uses %s, which it does not list", name, used[i]);
    lk_arena_release(&a);
}

static void every_card_in_the_program_is_one(void **state)
{
    (void)state;
    tally t = {0};
    lk_model_shipped(check, &t);
    assert_int_equal(t.n, 10);
    assert_int_equal(t.n_text, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_card_in_the_program_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
