/* `model check`: sound models, faulty ones, and files made to do harm. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "base/str.h"
#include "model/canary.h"
#include "model/check.h"
#include "model/install.h"

typedef struct home {
    char dir[TEST_PATH], model[TEST_PATH];
    lk_model_opts o;
    lk_checked found;
} home;

/* The bundled model as a folder, to be spoiled. */
static home *home_make(void **state)
{
    home *h = lk_calloc(1, sizeof *h);
    lk_err err;
    assert_non_null(h);
    *state = h;
    test_dir_make(h->dir);
    test_path(h->dir, "model", h->model);
    lk_model_opts_default(&h->o);
    test_ok(lk_model_export("mini", &h->o, h->model, &err), &err);
    return h;
}

static int home_remove(void **state)
{
    home *h = *state;
    test_dir_remove(h->dir);
    lk_free(h);
    return 0;
}

static const lk_checked *check(home *h)
{
    const lk_check_opts o = {.model = &h->o, .canary_min = LK_CANARY_MIN};
    lk_err err;
    test_ok(lk_model_check(h->model, &o, &h->found, &err), &err);
    return &h->found;
}

static const lk_check_row *row(const lk_checked *c, const char *what, const char *of)
{
    for (size_t i = 0; i < c->n_rows; i++)
        if (strcmp(c->rows[i].what, what) == 0 && strcmp(c->rows[i].of, of) == 0)
            return &c->rows[i];
    fail_msg("there is no row %s %s", what, of);
    return c->rows; /* not reached */
}

/* The one row of that name is a fault, and says so. */
static void refused(const lk_checked *c, const char *what, const char *of, const char *says)
{
    assert_false(c->ok);
    assert_false(row(c, what, of)->ok);
    test_has(row(c, what, of)->says, says);
}

static void put(const home *h, const char *name, const void *p, size_t n)
{
    char path[TEST_PATH];
    test_path(h->model, name, path);
    test_write(path, p, n);
}

static unsigned char *get(const home *h, const char *name, size_t *ret_n)
{
    char path[TEST_PATH];
    unsigned char *p = NULL;
    lk_err err;
    test_path(h->model, name, path);
    test_ok(lk_os_read_file(path, 0, &p, ret_n, &err), &err);
    return p;
}

/* The card with the first `from` replaced. */
static void edit_card(const home *h, const char *from, const char *to)
{
    size_t n = 0;
    lk_buf b;
    char *text = (char *)get(h, "model.json", &n), *at = strstr(text, from);
    assert_non_null(at);
    lk_buf_init(&b, 0);
    lk_buf_put(&b, text, (size_t)(at - text));
    lk_buf_puts(&b, to);
    lk_buf_puts(&b, at + strlen(from));
    put(h, "model.json", b.p, b.n);
    lk_buf_release(&b);
    lk_free(text);
}

static void sum_of(const void *p, size_t n, char ret[LK_SHA256_HEX + 1])
{
    lk_sha256 sum;
    lk_err err;
    test_ok(lk_sha256_of(p, n, &sum, &err), &err);
    lk_sha256_hex(&sum, ret);
}

/* A card of one tower alone over these bytes, whose size and sum are right. */
static void one_tower(const home *h, const char *file, const void *p, size_t n)
{
    static const char image[] = "\"image\":{\"file\":\"image.onnx\",\"size\":112,\"resize\":"
                                "\"squash\",\"mean\":[0.5,0.5,0.5],\"std\":[0.5,0.5,0.5]}",
                      text[] = "\"text\":{\"file\":\"text.onnx\",\"tokenizer\":\"words\","
                               "\"vocab\":\"vocab.txt\",\"max_terms\":32}";
    size_t n_vocab = 0;
    unsigned char *vocab = get(h, "vocab.txt", &n_vocab);
    char sums[2][LK_SHA256_HEX + 1];
    lk_buf b;
    sum_of(p, n, sums[0]);
    sum_of(vocab, n_vocab, sums[1]);
    lk_buf_init(&b, 0);
    lk_buf_printf(&b,
                  "{\"name\":\"t\",\"version\":\"1\",\"dim\":256,%s,\"files\":{"
                  "\"%s\":{\"bytes\":%zu,\"sha256\":\"%s\"},"
                  "\"vocab.txt\":{\"bytes\":%zu,\"sha256\":\"%s\"}}}",
                  strcmp(file, "image.onnx") == 0 ? image : text, file, n, sums[0], n_vocab,
                  sums[1]);
    put(h, "model.json", b.p, b.n);
    put(h, file, p, n);
    lk_buf_release(&b);
    lk_free(vocab);
}

/* ---- sound models ---- */

static void a_sound_model_passes_every_check(void **state)
{
    home *h = home_make(state);
    const lk_check_opts o = {.model = &h->o, .canary_min = LK_CANARY_MIN};
    lk_err err;
    const lk_checked *c = check(h);
    for (size_t i = 0; i < c->n_rows; i++)
        if (!c->rows[i].ok)
            fail_msg("%s %s: %s", c->rows[i].what, c->rows[i].of, c->rows[i].says);
    assert_true(c->ok);
    assert_string_equal(c->name, "lookalike-mini");
    assert_string_equal(c->where, h->model);
    assert_int_equal(c->dim, 256);
    test_has(row(c, "card", "model.json")->says, "lookalike-mini@1:");
    test_has(row(c, "file", "text.onnx")->says, "SHA-256");
    row(c, "load", "");
    row(c, "picture", "");
    row(c, "text", "");
    test_ok(lk_model_check("mini", &o, &h->found, &err), &err);
    assert_true(h->found.ok);
    assert_string_equal(h->found.where, "bundled");
    test_code(lk_model_check("none", &o, &h->found, &err), LK_E_NOT_FOUND);
    test_code(lk_model_check(h->dir, &o, &h->found, &err), LK_E_NOT_FOUND);
    test_has(err.text, "model.json");
}

/* ---- faulty ones ---- */

static void every_faulty_file_is_told(void **state)
{
    home *h = home_make(state);
    char path[TEST_PATH];
    test_path(h->model, "image.onnx", path);
    assert_int_equal(unlink(path), 0);
    test_path(h->model, "vocab.txt", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    size_t n = 0;
    unsigned char *p = get(h, "categories.json", &n);
    p[n / 2] ^= 1;
    put(h, "categories.json", p, n);
    lk_free(p);
    put(h, "text.onnx", "short", 5);
    const lk_checked *c = check(h);
    refused(c, "file", "image.onnx", "No such file");
    refused(c, "file", "vocab.txt", "symbolic link");
    refused(c, "file", "categories.json", "the SHA-256 of \"categories.json\" is not the card's");
    refused(c, "file", "text.onnx", "has 5 bytes, the card says 1315439");
}

static void a_wrong_shape_or_card_is_told(void **state)
{
    static const struct {
        const char *from, *to, *what, *of, *says;
    } bad[] = {
        {"\"dim\": 256", "\"dim\": 128", "load", "", "128"},
        {"\"size\": 112", "\"size\": 224", "load", "", "[N,3,224,224]"},
        {"\"max_terms\": 32", "\"max_terms\": 0", "card", "model.json", "max_terms"},
        {"\"file\": \"image.onnx\"", "\"file\": \"../x.onnx\"", "card", "model.json", "leaves"},
        {"\"file\": \"image.onnx\"", "\"file\": \"x.onnx\"", "load", "", "does not list"},
    };
    home *h = home_make(state);
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        edit_card(h, bad[i].from, bad[i].to);
        refused(check(h), bad[i].what, bad[i].of, bad[i].says);
        edit_card(h, bad[i].to, bad[i].from);
    }
    assert_true(check(h)->ok);
}

static void weights_outside_the_folder_are_refused(void **state)
{
    home *h = home_make(state);
    /* ModelProto.graph { initializer { dims 1, data_type FLOAT, name "w",
     * external_data { "location": "../../../etc/passwd" }, data_location EXTERNAL } } */
    static const char outside[] =
        "\x3a\x2f\x2a\x2d\x08\x01\x10\x01\x42\x01w\x6a\x22\x0a\x08location"
        "\x12\x16../../../../etc/passwd\x70\x01";
    one_tower(h, "text.onnx", outside, sizeof outside - 1);
    const lk_checked *c = check(h);
    assert_false(c->ok);
    test_has(row(c, "load", "")->says, "passwd");
}

static void a_parity_file_that_does_not_fit_is_told(void **state)
{
    home *h = home_make(state);
    static const char wrong[] = "{\"made_by\":\"x\",\"images\":[],\"texts\":["
                                "{\"text\":\"boat\",\"embedding\":[1,2,3]}]}";
    put(h, "parity.json", wrong, sizeof wrong - 1);
    const lk_checked *c = check(h);
    assert_false(c->ok);
    assert_false(row(c, "parity", "parity.json")->ok);
}

static void what_is_not_as_recorded_is_told(void **state)
{
    home *h = home_make(state);
    char path[TEST_PATH];
    test_path(h->model, LK_CANARY_FILE, path);
    lk_err err;
    test_ok(lk_os_remove(path, &err), &err);
    test_has(row(check(h), "canary", LK_CANARY_FILE)->says, "recorded");
    test_has(row(check(h), "canary", "image")->says, "as it was recorded");
    assert_true(h->found.ok);
    size_t n = 0;
    unsigned char *p = get(h, LK_CANARY_FILE, &n);
    size_t at = lk_str_find((lk_str){(char *)p, n}, LK_STR("\"image\":["));
    assert_in_range(at, 1, n);
    memcpy(p + at + 9, " 9.", 3); /* a first number that is far off */
    put(h, LK_CANARY_FILE, p, n);
    refused(check(h), "canary", "image", "not as it was recorded");
    lk_free(p);
    put(h, LK_CANARY_FILE, "{", 1);
    assert_false(row(check(h), "canary", LK_CANARY_FILE)->ok);
}

/* ---- files made to do harm ---- */

/* One random harm to p[n], which has room for 64 bytes more; returns the new length. */
static size_t mutate(test_rng *rng, unsigned char *p, size_t n)
{
    static const unsigned char odd[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    /* Structure stands at both ends of a model, weights between them. */
    size_t where = test_rng_below(rng, 5), near = n < 3000 ? n : 3000;
    size_t at = where < 2   ? test_rng_below(rng, near)
                : where < 4 ? n - 1 - test_rng_below(rng, near)
                            : test_rng_below(rng, n);
    size_t len = 1 + test_rng_below(rng, 16);
    switch (test_rng_below(rng, 6)) {
    case 0:
        p[at] = (unsigned char)test_rng_below(rng, 256);
        return n;
    case 1:
        p[at] = odd[test_rng_below(rng, sizeof odd)];
        return n;
    case 2: /* bytes more */
        memmove(p + at + len, p + at, n - at);
        for (size_t i = 0; i < len; i++)
            p[at + i] = (unsigned char)test_rng_below(rng, 256);
        return n + len;
    case 3: /* bytes fewer */
        len = len < n - at ? len : n - at;
        memmove(p + at, p + at + len, n - at - len);
        return n - len;
    case 4: { /* a piece from elsewhere */
        size_t from = test_rng_below(rng, n);
        len = len < n - at ? len : n - at;
        len = len < n - from ? len : n - from;
        memmove(p + at, p + from, len);
        return n;
    }
    default:
        return test_rng_below(rng, 8) ? n : at; /* an early end */
    }
}

typedef struct tally {
    size_t passed, refused, crashed, slow;
} tally;

static void count(const lk_checked *c, tally *t)
{
    assert_true(c->n_rows > 0);
    const char *says = c->rows[c->n_rows - 1].says;
    t->passed += c->ok;
    t->refused += !c->ok;
    t->crashed += strstr(says, "crashed") != NULL || strstr(says, "gave up") != NULL;
    t->slow += strstr(says, "still not ready") != NULL;
}

static void harm(home *h, const char *file, size_t rounds)
{
    test_rng rng = {2026};
    tally t = {0};
    size_t n_good = 0;
    unsigned char *good = get(h, file, &n_good), *p = lk_alloc_array(n_good + 1024, 1);
    assert_non_null(p);
    one_tower(h, file, good, n_good);
    assert_true(check(h)->ok);
    for (size_t i = 0; i < rounds; i++) {
        size_t n = n_good, harms = 1 + test_rng_below(&rng, 4);
        memcpy(p, good, n_good);
        for (size_t k = 0; k < harms && n > 8; k++)
            n = mutate(&rng, p, n);
        one_tower(h, file, p, n ? n : 1);
        count(check(h), &t);
    }
    print_message("%zu mutations of %s: %zu run all the same, %zu are refused; %zu crashed the "
                  "child, %zu hung\n",
                  rounds, file, t.passed, t.refused, t.crashed, t.slow);
    assert_true(t.refused > rounds / 4);
    one_tower(h, file, good, n_good);
    assert_true(check(h)->ok); /* and we are as before */
    lk_free(p);
    lk_free(good);
}

/* LK_MUTATIONS=4000 for more than a taste. */
static void hostile_graphs_end_as_findings_and_nothing_worse(void **state)
{
    home *h = home_make(state);
    const char *asked = getenv("LK_MUTATIONS");
    size_t rounds = asked ? strtoul(asked, NULL, 10) : 40;
    harm(h, "text.onnx", rounds - rounds / 4);
    harm(h, "image.onnx", rounds / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_sound_model_passes_every_check, home_remove),
        cmocka_unit_test_teardown(every_faulty_file_is_told, home_remove),
        cmocka_unit_test_teardown(a_wrong_shape_or_card_is_told, home_remove),
        cmocka_unit_test_teardown(weights_outside_the_folder_are_refused, home_remove),
        cmocka_unit_test_teardown(what_is_not_as_recorded_is_told, home_remove),
        cmocka_unit_test_teardown(a_parity_file_that_does_not_fit_is_told, home_remove),
        cmocka_unit_test_teardown(hostile_graphs_end_as_findings_and_nothing_worse, home_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
