/* A collection moves to another model while it is used, and nothing of it is lost. */
#include "engine/migrate.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/embed.h"
#include "base/mem.h"
#include "engine/internal.h"
#include "support.h"

typedef struct house {
    char dir[TEST_PATH], model[TEST_PATH];
    lk_engine_opts opts;
    lk_engine *e;
    lk_arena a;
    lk_err err;
} house;

/* ---- a second model: the bundled one with another resize, which is another model ---- */

static void write_model(const char *dir, const char *from, const char *to)
{
    static const char *const names[] = {"model.json", "image.onnx", "text.onnx", "vocab.txt",
                                        "categories.json"};
    char path[TEST_PATH], inside[64];
    for (size_t i = 0; i < LK_ARRAY_LEN(names); i++) {
        lk_buf b;
        lk_buf_init(&b, 0);
        snprintf(inside, sizeof inside, "models/mini/%s", names[i]);
        const lk_embedded_file *f = lk_embedded_find(inside);
        assert_non_null(f);
        lk_str text = {(const char *)f->data, f->size};
        size_t at = i == 0 ? lk_str_find(text, lk_str_of(from)) : SIZE_MAX;
        lk_buf_put(&b, text.p, at == SIZE_MAX ? text.n : at);
        if (at != SIZE_MAX) {
            lk_buf_puts(&b, to);
            lk_buf_put(&b, text.p + at + strlen(from), text.n - at - strlen(from));
        }
        test_path(dir, names[i], path);
        test_write(path, b.p, b.n);
        lk_buf_release(&b);
    }
}

/* ---- the collection ---- */

/* A small picture that no other number gives: flat ground, a disc and a bar. */
static void draw(unsigned number, lk_buf *ret)
{
    lk_err err;
    test_rng r = {number};
    unsigned char c[3][3];
    for (size_t i = 0; i < 9; i++)
        c[i / 3][i % 3] = (unsigned char)test_rng_below(&r, 256);
    unsigned cx = (unsigned)test_rng_below(&r, 96), cy = (unsigned)test_rng_below(&r, 64),
             bar = (unsigned)test_rng_below(&r, 80);
    lk_buf_printf(ret, "P6\n96 64\n255\n");
    for (unsigned y = 0; y < 64; y++)
        for (unsigned x = 0; x < 96; x++) {
            unsigned d = (x - cx) * (x - cx) + (y - cy) * (y - cy);
            lk_buf_put(ret, c[d < 300 ? 1 : x > bar && x < bar + 12 ? 2 : 0], 3);
        }
    test_ok(lk_buf_check(ret, &err), &err);
}

static lk_code add_picture(lk_engine *e, const char *id, unsigned number, lk_err *err)
{
    lk_arena a;
    lk_buf b;
    lk_added out;
    lk_buf_init(&b, 0);
    lk_arena_init(&a, 0);
    draw(number, &b);
    lk_add in = {.bytes = {(const unsigned char *)b.p, b.n}, .id = lk_str_of(id)};
    lk_code code = lk_engine_add(e, &in, &a, &out, err);
    lk_arena_release(&a);
    lk_buf_release(&b);
    return code;
}

static void add_many(house *h, unsigned n)
{
    char id[32];
    for (unsigned i = 0; i < n; i++) {
        snprintf(id, sizeof id, "p%u", i);
        test_ok(add_picture(h->e, id, i, &h->err), &h->err);
    }
}

static void open_again(house *h)
{
    lk_engine_close(h->e);
    h->e = NULL;
    test_ok(lk_engine_open(&h->opts, LK_OPEN_EXISTING, &h->e, &h->err), &h->err);
}

static int setup(void **state)
{
    house *h = calloc(1, sizeof *h);
    test_dir_make(h->dir);
    test_dir_make(h->model);
    write_model(h->model, "\"squash\"", "\"crop\"");
    test_ok(lk_opt_defaults(lk_engine_opt_table, &h->opts, &h->err), &h->err);
    h->opts.data_dir = h->dir;
    lk_arena_init(&h->a, 0);
    test_ok(lk_engine_open(&h->opts, LK_OPEN_CREATE, &h->e, &h->err), &h->err);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    house *h = *state;
    lk_engine_close(h->e);
    lk_arena_release(&h->a);
    test_dir_remove(h->dir);
    test_dir_remove(h->model);
    free(h);
    return 0;
}

static lk_migrated migrate(house *h, const lk_migrate *m)
{
    lk_migrated r = {0};
    test_ok(lk_engine_migrate(h->e, m, &h->a, &r, &h->err), &h->err);
    return r;
}

/* ---- what must hold ---- */

typedef struct check {
    lk_engine *e;
    lk_model *model;
    lk_vectors *vectors;
    uint64_t n;
} check;

/* The record's vector is what the space's model makes of the record's picture. */
static lk_code see_record(void *ctx, const lk_record_row *row)
{
    check *c = ctx;
    float got[512], want[512];
    double dot = 0;
    size_t dim = lk_model_info_of(c->model)->dim;
    lk_buf b;
    lk_picture pic = {0};
    lk_image_limits limits = lk_image_limits_default();
    lk_err err;
    lk_buf_init(&b, 0);
    test_ok(lk_objects_get(c->e->objects, &row->object, "", &b, &err), &err);
    test_ok(
        lk_picture_decode((lk_blob){(const unsigned char *)b.p, b.n}, &limits, false, &pic, &err),
        &err);
    const lk_image *im = &pic.image;
    test_ok(lk_model_embed_images(c->model, 1, &im, want, &err), &err);
    if (lk_vectors_get(c->vectors, row->id, got, &err))
        fail_msg("%.*s: %s", LK_STR_ARG(row->id), err.text);
    for (size_t i = 0; i < dim; i++)
        dot += (double)got[i] * (double)want[i];
    if (dot < 0.9999)
        fail_msg("%.*s: its vector is of another picture or model (%.5f)", LK_STR_ARG(row->id),
                 dot);
    lk_picture_release(&pic);
    lk_buf_release(&b);
    c->n++;
    return LK_OK;
}

/* Every record has the vector of its picture, there are no other vectors, and verify agrees. */
static void check_whole(house *h)
{
    lk_space *sp = h->e->spaces.now;
    lk_vectors_info info;
    lk_verified v;
    check c = {.e = h->e, .vectors = sp->vectors};
    test_ok(lk_space_model(h->e, sp, &c.model, &h->err), &h->err);
    test_ok(lk_records_scan(h->e->records, see_record, &c, &h->err), &h->err);
    test_ok(lk_vectors_info_of(sp->vectors, &info, &h->err), &h->err);
    assert_int_equal(info.n, c.n);
    test_ok(lk_engine_verify(h->e, true, false, NULL, NULL, NULL, NULL, &v, &h->err), &h->err);
    assert_int_equal(v.records, c.n);
    assert_int_equal(v.extras, 0);
}

static void check_model(house *h, const char *name)
{
    lk_migration s;
    test_ok(lk_engine_migration(h->e, &h->a, &s, &h->err), &h->err);
    assert_string_equal(s.model, name);
}

/* The names of folders of vectors. */
static size_t count_folders(house *h)
{
    size_t n = 0;
    char path[TEST_PATH], name[64];
    for (unsigned i = 1; i < 10; i++) {
        snprintf(name, sizeof name, i == 1 ? "collections/images" : "collections/images.%u", i);
        test_path(h->dir, name, path);
        n += lk_os_exists(path);
    }
    return n;
}

/* ---- the way there and back ---- */

static void a_collection_moves_and_goes_back(void **state)
{
    house *h = *state;
    add_many(h, 20);
    lk_migrated r = migrate(h, &(lk_migrate){.to = h->model, .sample = 20});
    assert_true(r.switched);
    assert_int_equal(r.pictures, 20);
    assert_int_equal(r.made, 20);
    assert_int_equal(r.n_sample, 20);
    assert_int_equal(r.k, 10);
    /* Another resize of the same model: nearly the same neighbours, and not quite. */
    if (!(r.overlap > 0.5 && r.overlap < 1))
        fail_msg("overlap %g", r.overlap);
    check_model(h, h->model);
    check_whole(h);
    open_again(h); /* the note says so, too */
    check_model(h, h->model);
    check_whole(h);
    test_ok(add_picture(h->e, "later", 500, &h->err), &h->err);
    test_ok(lk_engine_delete(h->e, LK_STR("p3"), &h->err), &h->err);
    r = migrate(h, &(lk_migrate){.sample = 10});
    assert_true(r.switched);
    assert_int_equal(r.made, 1); /* what was added in between */
    check_model(h, "mini");
    check_whole(h);
    assert_int_equal(count_folders(h), 2);
    test_ok(lk_engine_migrate_forget(h->e, false, &h->err), &h->err);
    assert_int_equal(count_folders(h), 1);
    check_whole(h);
    open_again(h);
    check_model(h, "mini");
}

static void a_search_by_id_is_in_the_new_space(void **state)
{
    house *h = *state;
    lk_query_part part = {.kind = LK_PART_ID, .weight = 1, .text = LK_STR("p7")};
    lk_search s;
    lk_answer got;
    lk_search_default(&s);
    s.parts = &part;
    s.n_parts = 1;
    add_many(h, 12);
    test_ok(lk_engine_search(h->e, &s, &h->a, &got, &h->err), &h->err);
    float before = got.hits[1].score;
    (void)migrate(h, &(lk_migrate){.to = h->model});
    test_ok(lk_engine_search(h->e, &s, &h->a, &got, &h->err), &h->err);
    assert_int_equal(got.n, 10);
    assert_true(lk_str_is(got.hits[0].record.id, "p7") && got.hits[0].score > 0.999f);
    assert_true(fabsf(got.hits[1].score - before) > 1e-4f);
}

static void what_is_held_changes_nothing_until_it_is_let_go(void **state)
{
    house *h = *state;
    add_many(h, 12);
    lk_migrated r = migrate(h, &(lk_migrate){.to = h->model, .hold = true, .sample = 5});
    assert_false(r.switched);
    assert_int_equal(r.made, 12);
    assert_int_equal(r.n_sample, 5);
    check_model(h, "mini");
    check_whole(h);
    open_again(h);
    r = migrate(h, &(lk_migrate){.to = h->model});
    assert_true(r.switched);
    assert_int_equal(r.made, 0);
    check_whole(h);
}

static void an_empty_collection_moves(void **state)
{
    house *h = *state;
    lk_migrated r = migrate(h, &(lk_migrate){.to = h->model, .sample = 100});
    assert_true(r.switched);
    assert_int_equal(r.n_sample, 0);
    add_many(h, 2);
    check_whole(h);
}

/* ---- stopped and gone on with ---- */

typedef struct stopper {
    lk_cancel cancel;
    uint64_t at;
} stopper;

static void stop_at(void *ctx, uint64_t done, uint64_t total)
{
    stopper *s = ctx;
    (void)total;
    if (done >= s->at)
        lk_cancel_set(&s->cancel);
}

static void a_stopped_move_goes_on_and_sees_what_happened_since(void **state)
{
    house *h = *state;
    lk_migrated r;
    add_many(h, 40);
    for (uint64_t at = 5; at <= 25; at += 10) {
        stopper s = {.at = at};
        lk_migrate m = {
            .to = h->model, .progress = stop_at, .progress_ctx = &s, .cancel = &s.cancel};
        test_code(lk_engine_migrate(h->e, &m, &h->a, &r, &h->err), LK_E_CANCELED);
        check_model(h, "mini");
        check_whole(h);
        open_again(h); /* adds now come from an engine that has never loaded the new model */
        char id[32];
        snprintf(id, sizeof id, "new%u", (unsigned)at);
        test_ok(add_picture(h->e, id, 1000 + (unsigned)at, &h->err), &h->err);
        test_ok(add_picture(h->e, "p0", 2000 + (unsigned)at, &h->err), &h->err); /* replaced */
        snprintf(id, sizeof id, "p%u", (unsigned)at);
        test_ok(lk_engine_delete(h->e, lk_str_of(id), &h->err), &h->err);
    }
    r = migrate(h, &(lk_migrate){.to = h->model, .sample = 10});
    assert_true(r.switched);
    assert_int_equal(r.pictures, 40);
    if (r.made == 0 || r.made >= 40)
        fail_msg("%llu of 40 were made again", (unsigned long long)r.made);
    check_whole(h);
}

static void an_unfinished_move_can_be_abandoned(void **state)
{
    house *h = *state;
    add_many(h, 5);
    (void)migrate(h, &(lk_migrate){.to = h->model, .hold = true});
    assert_int_equal(count_folders(h), 2);
    test_code(lk_engine_migrate_forget(h->e, false, &h->err), LK_E_NOT_FOUND);
    test_ok(lk_engine_migrate_forget(h->e, true, &h->err), &h->err);
    assert_int_equal(count_folders(h), 1);
    check_model(h, "mini");
    check_whole(h);
}

/* ---- refused ---- */

typedef struct faults {
    size_t n;
    char last[512];
} faults;

static void see_fault(void *ctx, const char *sentence)
{
    faults *f = ctx;
    f->n++;
    snprintf(f->last, sizeof f->last, "%s", sentence);
}

static void a_picture_that_cannot_be_read_keeps_the_old_model(void **state)
{
    house *h = *state;
    lk_record rec;
    char hex[LK_SHA256_HEX + 1], below[TEST_PATH], path[TEST_PATH];
    faults f = {0};
    add_many(h, 6);
    test_ok(lk_engine_get(h->e, LK_STR("p2"), &h->a, &rec, &h->err), &h->err);
    lk_sha256_hex(&rec.sha256, hex);
    snprintf(below, sizeof below, "objects/%.2s/%.2s/%s", hex, hex + 2, hex);
    test_path(h->dir, below, path);
    if (!lk_os_exists(path)) {
        snprintf(below, sizeof below, "objects/%.2s/%s", hex, hex + 2);
        test_path(h->dir, below, path);
    }
    assert_int_equal(unlink(path), 0);
    lk_migrated r = migrate(h, &(lk_migrate){.to = h->model, .see = see_fault, .see_ctx = &f});
    assert_false(r.switched);
    assert_int_equal(r.failed, 1);
    assert_int_equal(f.n, 1);
    test_has(f.last, "image \"p2\"");
    check_model(h, "mini");
    test_ok(lk_engine_delete(h->e, LK_STR("p2"), &h->err), &h->err);
    r = migrate(h, &(lk_migrate){.to = h->model});
    assert_true(r.switched);
    assert_int_equal(r.made, 0);
    check_whole(h);
}

static void what_cannot_be_is_refused_with_a_sentence(void **state)
{
    house *h = *state;
    lk_migrated r;
    char third[TEST_PATH];
    add_many(h, 2);
    test_code(lk_engine_migrate(h->e, &(lk_migrate){.to = "mini"}, &h->a, &r, &h->err),
              LK_E_EXISTS);
    test_code(lk_engine_migrate(h->e, &(lk_migrate){0}, &h->a, &r, &h->err), LK_E_NOT_FOUND);
    test_code(lk_engine_migrate(h->e, &(lk_migrate){.to = "nothing"}, &h->a, &r, &h->err),
              LK_E_NOT_FOUND);
    test_code(lk_engine_migrate_forget(h->e, true, &h->err), LK_E_NOT_FOUND);
    assert_int_equal(count_folders(h), 1);
    (void)migrate(h, &(lk_migrate){.to = h->model, .hold = true});
    test_code(lk_engine_migrate(h->e, &(lk_migrate){0}, &h->a, &r, &h->err), LK_E_NOT_FOUND);
    test_dir_make(third);
    write_model(third, "\"squash\"", "\"pad\"");
    test_code(lk_engine_migrate(h->e, &(lk_migrate){.to = third}, &h->a, &r, &h->err), LK_E_BUSY);
    test_has(h->err.text, "unfinished");
    (void)migrate(h, &(lk_migrate){.to = h->model});
    test_code(lk_engine_migrate(h->e, &(lk_migrate){.to = third}, &h->a, &r, &h->err), LK_E_BUSY);
    test_has(h->err.text, "kept");
    test_dir_remove(third);
    check_whole(h);
}

/* ---- while it is used ---- */

typedef struct user {
    house *h;
    atomic_bool *stop;
    unsigned number;
    atomic_size_t done;
    char why[400]; /* it failed; said by the main thread */
} user;

/* Adds, replaces, patches and deletes pictures of its own and of everybody's. */
static void *use(void *ctx)
{
    user *u = ctx;
    lk_err err;
    test_rng rng = {u->number};
    while (!atomic_load(u->stop) || u->done < 5) {
        char id[32];
        lk_arena a;
        lk_record rec;
        unsigned what = (unsigned)test_rng_below(&rng, 40);
        lk_arena_init(&a, 0);
        snprintf(id, sizeof id, "p%u", what);
        lk_code code = add_picture(u->h->e, id, 5000 + (unsigned)test_rng_below(&rng, 1000), &err);
        if (!code && what % 3 == 0)
            code = lk_engine_delete(u->h->e, lk_str_of(id), &err);
        if (!code && what % 3 == 1)
            code =
                lk_engine_patch(u->h->e, lk_str_of(id), LK_STR("{\"seen\": true}"), &a, &rec, &err);
        lk_arena_release(&a);
        if (code && code != LK_E_NOT_FOUND) /* the other one has deleted it */
            snprintf(u->why, sizeof u->why, "%s: %s", id, err.text);
        u->done++;
    }
    return NULL;
}

/* Searches by words and by id find something, in one space, all the while. */
static void *ask(void *ctx)
{
    user *u = ctx;
    while (!atomic_load(u->stop) || u->done < 5) {
        lk_query_part parts[2] = {{.kind = LK_PART_TEXT, .weight = 1, .text = LK_STR("red boat")},
                                  {.kind = LK_PART_ID, .weight = 1, .text = LK_STR("fixed")}};
        lk_search s;
        lk_answer got;
        lk_arena a;
        lk_err err;
        lk_arena_init(&a, 0);
        lk_search_default(&s);
        s.parts = parts + u->done % 2;
        s.n_parts = 1;
        lk_code code = lk_engine_search(u->h->e, &s, &a, &got, &err);
        if (code || got.n == 0)
            snprintf(u->why, sizeof u->why, "a search failed: %s", code ? err.text : "no hits");
        /* A picture is its own nearest where the vector asked with is of the space that is
         * searched. */
        else if (u->done % 2 &&
                 !(lk_str_is(got.hits[0].record.id, "fixed") && got.hits[0].score > .99f))
            snprintf(u->why, sizeof u->why, "a search was in two spaces: %.3f",
                     (double)got.hits[0].score);
        lk_arena_release(&a);
        u->done++;
    }
    return NULL;
}

static void a_collection_in_use_moves_and_loses_nothing(void **state)
{
    house *h = *state;
    atomic_bool stop = false;
    pthread_t threads[3];
    user users[3] = {{.h = h, .stop = &stop, .number = 1},
                     {.h = h, .stop = &stop, .number = 2},
                     {.h = h, .stop = &stop, .number = 3}};
    add_many(h, 40);
    test_ok(add_picture(h->e, "fixed", 77777, &h->err), &h->err);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? use : ask, &users[i]), 0);
    unsigned n = 0;
    for (; n < 4 || n % 2 || users[0].done + users[1].done < 40; n++) {
        lk_migrated r = migrate(h, &(lk_migrate){.to = n ? NULL : h->model, .sample = 5});
        assert_true(r.switched);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 3; i++)
        if (users[i].why[0])
            fail_msg("%s", users[i].why);
    print_message("%u moves, %zu changes and %zu searches in between\n", n,
                  users[0].done + users[1].done, (size_t)users[2].done);
    check_model(h, "mini");
    check_whole(h);
    /* And the other space holds no vector of another picture: nothing is filled in wrongly. */
    (void)migrate(h, &(lk_migrate){0});
    check_model(h, h->model);
    check_whole(h);
}

/* ---- a disk that fails ---- */

static void a_failing_disk_leaves_the_collection_whole(void **state)
{
    house *h = *state;
    lk_migrated r;
    size_t refused = 0;
    add_many(h, 6);
    open_again(h); /* the mark of unfinished writes is still to be made */
    for (size_t nth = 1; nth <= 16; nth++) {
        test_faults_on();
        test_fail_nth(nth % 2 ? TEST_SYNC : TEST_WRITE, (nth + 1) / 2, EIO);
        lk_code code = lk_engine_migrate(h->e, &(lk_migrate){.to = h->model, .threads = 1}, &h->a,
                                         &r, &h->err);
        test_faults_off();
        refused += code != LK_OK;
        open_again(h);
        check_whole(h);
        if (!code) { /* back to the beginning */
            lk_migrated back = migrate(h, &(lk_migrate){0});
            assert_true(back.switched);
            test_ok(lk_engine_migrate_forget(h->e, false, &h->err), &h->err);
            open_again(h);
        }
    }
    assert_true(refused > 3);
    r = migrate(h, &(lk_migrate){.to = h->model});
    assert_true(r.switched);
    check_whole(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_collection_moves_and_goes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_search_by_id_is_in_the_new_space, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_held_changes_nothing_until_it_is_let_go, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_empty_collection_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stopped_move_goes_on_and_sees_what_happened_since, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_unfinished_move_can_be_abandoned, setup, teardown),
        cmocka_unit_test_setup_teardown(a_picture_that_cannot_be_read_keeps_the_old_model, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_with_a_sentence, setup, teardown),
        cmocka_unit_test_setup_teardown(a_collection_in_use_moves_and_loses_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failing_disk_leaves_the_collection_whole, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
