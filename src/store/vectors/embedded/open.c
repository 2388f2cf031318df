/* Opening and closing: find the newest catalog, replay it, take stock. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/os.h"
#include "store/vectors/embedded/internal.h"

char *lk_embedded_path(const char *dir, const char *name, uint64_t n)
{
    lk_buf b;
    lk_buf_init(&b, 1 << 16);
    lk_buf_printf(&b, "%s/%s", dir, name);
    if (n)
        lk_buf_printf(&b, ".%llu", (unsigned long long)n);
    return lk_buf_steal(&b, NULL);
}

lk_code lk_embedded_reserve(lk_embedded *e, size_t n_slots, size_t n_new, lk_err *err)
{
    lk_code code = LK_OK;
    pthread_rwlock_wrlock(&e->lock);
    if (n_slots > e->cap_slots) {
        size_t cap = e->cap_slots ? e->cap_slots : 64;
        while (cap < n_slots)
            cap *= 2;
        uint32_t *crc = lk_realloc_array(e->row_crc, cap, sizeof *crc);
        if (crc)
            e->row_crc = crc;
        float *norm = lk_realloc_array(e->norm, cap, sizeof *norm);
        if (norm)
            e->norm = norm;
        if (!crc || !norm)
            code = lk_fail(err, LK_E_NOMEM, "no memory for %zu vectors", n_slots);
        if (code == LK_OK)
            code = lk_bitmap_resize(&e->live, cap, err);
        if (code == LK_OK)
            code = lk_columns_reserve(e->columns, cap, err);
        if (code == LK_OK)
            e->cap_slots = cap;
    }
    if (code == LK_OK)
        code = lk_ids_reserve(&e->ids, e->cap_slots, n_new, err);
    pthread_rwlock_unlock(&e->lock);
    return code;
}

/* ---- replay ---- */

static lk_code fail_op(const char *what, lk_err *err)
{
    return lk_fail(err, LK_E_CORRUPT, "%s", what);
}

static void drop_slot(lk_embedded *e, uint32_t slot, bool with_id)
{
    e->live_bytes -= lk_embedded_entry_bytes(e, slot);
    if (with_id) {
        lk_str id = lk_ids_at(&e->ids, slot);
        lk_ids_drop(&e->ids, slot);
        lk_ids_text_free(&e->ids, id.p, id.n);
    }
    lk_columns_clear(e->columns, slot);
    lk_bitmap_unset(&e->live, slot);
    e->n_live--;
}

static lk_code replay_attrs(lk_embedded *e, lk_ops_reader *r, const lk_op *op, lk_err *err)
{
    for (uint16_t i = 0; i < op->n_attrs; i++) {
        uint16_t field = 0;
        lk_value v;
        if (!lk_ops_attr_field(r, &field) || field >= lk_columns_count(e->columns) ||
            !lk_ops_attr_value(r, lk_columns_field(e->columns, field).type, &v))
            return fail_op("an entry's attributes make no sense", err);
        lk_code code = lk_columns_set(e->columns, field, op->slot, &v, err);
        if (code)
            return code;
    }
    return LK_OK;
}

static lk_code replay_put(lk_embedded *e, lk_ops_reader *r, const lk_op *op, lk_err *err)
{
    if (op->slot >= e->rows.cap_rows || lk_bitmap_get(&e->live, op->slot) || op->name.n == 0 ||
        op->name.n > LK_MAX_VECTOR_ID_BYTES)
        return fail_op("an entry names a slot or an id that cannot be", err);
    lk_code code = LK_OK;
    /* Room is made for many at a time; nobody else is here yet, so looking needs no lock. */
    if (op->slot >= e->cap_slots || e->ids.n + 1 > e->ids.cap_table / 2)
        code = lk_embedded_reserve(e, (size_t)op->slot + 1, e->ids.n + 64, err);
    if (code)
        return code;
    uint32_t old = lk_ids_find(&e->ids, op->name);
    if (old == LK_NO_SLOT) {
        const char *text = lk_ids_text_new(&e->ids, op->name);
        if (!text)
            return lk_fail(err, LK_E_NOMEM, "no memory for an id");
        lk_ids_put(&e->ids, op->slot, text, op->name.n);
    } else {
        lk_ids_move(&e->ids, old, op->slot);
        drop_slot(e, old, false);
    }
    e->row_crc[op->slot] = op->row_crc;
    e->norm[op->slot] = op->norm;
    lk_bitmap_set(&e->live, op->slot);
    e->n_live++;
    if (op->slot >= e->n_slots)
        e->n_slots = (size_t)op->slot + 1;
    code = replay_attrs(e, r, op, err);
    if (code == LK_OK)
        e->live_bytes += lk_embedded_entry_bytes(e, op->slot);
    return code;
}

static lk_code replay_set_attrs(lk_embedded *e, lk_ops_reader *r, const lk_op *op, lk_err *err)
{
    if (!lk_bitmap_get(&e->live, op->slot))
        return fail_op("attributes are given to a slot without a vector", err);
    e->live_bytes -= lk_embedded_entry_bytes(e, op->slot);
    lk_columns_clear(e->columns, op->slot);
    lk_code code = replay_attrs(e, r, op, err);
    e->live_bytes += lk_embedded_entry_bytes(e, op->slot);
    return code;
}

static lk_code replay_field(lk_embedded *e, const lk_op *op, lk_err *err)
{
    size_t at = 0;
    if (lk_columns_find(e->columns, op->name, op->in_metadata) != SIZE_MAX)
        return fail_op("a field is made twice", err);
    lk_code code = lk_columns_need(e->columns, op->name, op->in_metadata, op->type, &at, err);
    return code == LK_E_LIMIT ? fail_op("too many fields", err) : code;
}

static void copy_text(char *to, size_t size, lk_str from)
{
    size_t n = from.n < size ? from.n : size - 1;
    memcpy(to, from.p, n);
    to[n] = '\0';
}

/* An option of a later version is passed over. */
static void replay_option(lk_embedded *e, const lk_op *op)
{
    lk_embedded_options *o = &e->options;
    int64_t number = 0;
    if (lk_str_is(op->name, "space"))
        copy_text(o->space, sizeof o->space, op->value);
    else if (lk_str_is(op->name, "index"))
        copy_text(o->index, sizeof o->index, op->value);
    else if (lk_str_to_i64(op->value, &number)) {
        if (lk_str_is(op->name, "M"))
            o->M = number;
        else if (lk_str_is(op->name, "ef_construction"))
            o->ef_construction = number;
        else if (lk_str_is(op->name, "nlist"))
            o->nlist = number;
    }
}

static lk_code replay_frame(void *ctx, lk_blob payload, lk_err *err)
{
    lk_embedded *e = ctx;
    lk_ops_reader r = {.p = payload.p, .n = payload.n};
    lk_op op;
    lk_code code = LK_OK;
    while (code == LK_OK && lk_ops_next(&r, &op)) {
        switch (op.kind) {
        case LK_OP_FIELD:
            code = replay_field(e, &op, err);
            break;
        case LK_OP_OPTION:
            replay_option(e, &op);
            break;
        case LK_OP_PUT:
            code = replay_put(e, &r, &op, err);
            break;
        case LK_OP_ATTRS:
            code = replay_set_attrs(e, &r, &op, err);
            break;
        case LK_OP_DELETE:
            if (lk_bitmap_get(&e->live, op.slot))
                drop_slot(e, op.slot, true);
            else
                code = fail_op("a slot is emptied that is empty", err);
            break;
        }
    }
    if (code == LK_OK && r.bad)
        code = fail_op("an entry makes no sense", err);
    return code;
}

static lk_code list_free_slots(lk_embedded *e, lk_err *err)
{
    void *p = e->free;
    bool ok = lk_grow(&p, &e->cap_free, e->n_slots - e->n_live + 1, sizeof *e->free);
    e->free = p;
    if (!ok)
        return lk_fail(err, LK_E_NOMEM, "no memory for the list of free slots");
    for (size_t i = e->n_slots; i > 0; i--) /* the lowest is used first */
        if (!lk_bitmap_get(&e->live, i - 1) && !lk_bitmap_get(&e->index.parked, i - 1))
            e->free[e->n_free++] = (uint32_t)(i - 1);
    return LK_OK;
}

/* ---- the folder ---- */

/* n of "name.n", or 0. */
static uint64_t number_of(const char *file, const char *name)
{
    size_t n = strlen(name);
    uint64_t number = 0;
    if (strncmp(file, name, n) != 0 || file[n] != '.' ||
        !lk_str_to_u64(lk_str_of(file + n + 1), &number))
        return 0;
    return number;
}

/* The highest catalog and vectors there are. sweep: remove what an interrupted rewriting left. */
static lk_code look_around(const char *dir, bool sweep, uint64_t *ret_catalog,
                           uint64_t *ret_vectors, lk_err *err)
{
    *ret_catalog = 0;
    *ret_vectors = 0;
    DIR *d = opendir(dir);
    if (!d)
        return lk_fail_sys(err, errno, "cannot list %s", dir);
    lk_code code = LK_OK;
    struct dirent *at;
    while (code == LK_OK && (at = readdir(d))) {
        uint64_t catalog = number_of(at->d_name, "catalog");
        uint64_t vectors = number_of(at->d_name, "vectors");
        *ret_catalog = catalog > *ret_catalog ? catalog : *ret_catalog;
        *ret_vectors = vectors > *ret_vectors ? vectors : *ret_vectors;
        if (sweep && number_of(at->d_name, "catalog.tmp")) {
            char *path = lk_embedded_path(dir, at->d_name, 0);
            code = path ? lk_os_remove(path, err) : lk_fail(err, LK_E_NOMEM, "no memory to list");
            lk_free(path);
        }
    }
    closedir(d);
    return code;
}

static lk_code open_rows(lk_embedded *e, bool create, lk_err *err)
{
    lk_rowfile_shape shape = {.dim = e->base.dim, .elem = e->elem, .collection = e->collection};
    char *path = lk_embedded_path(e->dir, "vectors", e->vectors_n);
    if (!path)
        return lk_fail(err, LK_E_NOMEM, "no memory for the vectors' file");
    lk_code code = create ? lk_rowfile_create(&e->rows, path, &shape, err)
                          : lk_rowfile_open(&e->rows, path, &shape, err);
    lk_free(path);
    return code == LK_E_NOT_FOUND && !create
               ? lk_err_prefix(err, LK_E_CORRUPT, "the vectors are gone")
               : code;
}

static void set_options(lk_embedded_options *o, const lk_vectors_opts *from)
{
    if (from->space)
        copy_text(o->space, sizeof o->space, lk_str_of(from->space));
    copy_text(o->index, sizeof o->index, lk_str_of(from->index ? from->index : "auto"));
    o->M = from->M;
    o->ef_construction = from->ef_construction;
    o->nlist = from->nlist;
}

/* The vectors' file first: the catalog is what makes a collection exist. */
static lk_code create(lk_embedded *e, const lk_vectors_opts *o, uint64_t n_vectors, lk_err *err)
{
    if (n_vectors) {
        char *path = lk_embedded_path(e->dir, "vectors", n_vectors);
        struct stat st;
        bool holds_rows = path && stat(path, &st) == 0 && st.st_size > LK_ROWFILE_HEADER;
        lk_free(path);
        if (!path || holds_rows)
            return lk_fail(err, path ? LK_E_CORRUPT : LK_E_NOMEM,
                           "%s holds vectors, but their catalog is gone", e->dir);
    }
    e->base.dim = o->dim;
    e->base.metric = o->metric;
    e->elem = !o->originals || strcmp(o->originals, "f16") == 0 ? LK_ELEM_F16
              : strcmp(o->originals, "f32") == 0                ? LK_ELEM_F32
                                                                : LK_ELEM_I8;
    e->vectors_n = 1;
    set_options(&e->options, o);
    if (lk_os()->random(&e->collection, sizeof e->collection))
        return lk_fail_sys(err, errno, "no random number for the collection");
    lk_code code = open_rows(e, true, err);
    return code ? code : lk_embedded_compact(e, err);
}

static lk_code check_asked(const lk_embedded *e, const lk_vectors_opts *o, lk_err *err)
{
    static const char *const elems[] = {"f16", "f32", "i8"};
    if (o->dim && o->dim != e->base.dim)
        return lk_fail_field(err, LK_E_INVALID, "dim",
                             "the collection's vectors have %zu elements, not %zu", e->base.dim,
                             o->dim);
    if (o->space && strcmp(o->space, e->options.space) != 0)
        return lk_fail_field(err, LK_E_MODEL, "space",
                             "the collection holds vectors of '%.80s', not of '%.80s'",
                             e->options.space, o->space);
    if (o->originals && strcmp(o->originals, elems[e->elem]) != 0)
        return lk_fail_field(err, LK_E_INVALID, "originals",
                             "the collection keeps its vectors as %s, not as %s", elems[e->elem],
                             o->originals);
    return LK_OK;
}

/* Another kind of index may be asked for at any open; the vectors stay. */
static lk_code change_index(lk_embedded *e, const lk_vectors_opts *o, lk_err *err)
{
    lk_embedded_options now = e->options;
    if (o->index)
        copy_text(now.index, sizeof now.index, lk_str_of(o->index));
    now.M = o->M ? o->M : now.M;
    now.ef_construction = o->ef_construction ? o->ef_construction : now.ef_construction;
    now.nlist = o->nlist ? o->nlist : now.nlist;
    if (strcmp(now.index, e->options.index) == 0 && now.M == e->options.M &&
        now.ef_construction == e->options.ef_construction && now.nlist == e->options.nlist)
        return LK_OK;
    lk_buf b;
    lk_buf_init(&b, 1 << 16);
    lk_embedded_put_options(&b, &now);
    lk_code code = lk_buf_check(&b, err);
    if (code == LK_OK)
        code = lk_catalog_append(&e->catalog, (lk_blob){(const unsigned char *)b.p, b.n}, err);
    if (code == LK_OK) {
        pthread_rwlock_wrlock(&e->lock);
        e->options = now;
        pthread_rwlock_unlock(&e->lock);
    }
    lk_buf_release(&b);
    return code;
}

static lk_code open_existing(lk_embedded *e, const lk_vectors_opts *o, uint64_t generation,
                             lk_err *err)
{
    lk_catalog_head head;
    char *path = lk_embedded_path(e->dir, "catalog", generation);
    lk_code code = path ? lk_catalog_open(&e->catalog, path, err)
                        : lk_fail(err, LK_E_NOMEM, "no memory for the catalog");
    lk_free(path);
    if (code == LK_OK)
        code = lk_catalog_read_head(&e->catalog, &head, err);
    if (code)
        return code;
    if (head.dim == 0 || head.dim > LK_MAX_DIM || head.elem > LK_ELEM_I8 ||
        head.metric > LK_METRIC_L2 || head.generation != generation)
        return lk_fail(err, LK_E_CORRUPT, "the header of %s makes no sense", e->catalog.path);
    e->base.dim = head.dim;
    e->base.metric = (lk_metric)head.metric;
    e->elem = (lk_elem)head.elem;
    e->collection = head.collection;
    e->generation = generation;
    e->vectors_n = head.vectors;
    code = open_rows(e, false, err);
    if (code == LK_OK)
        code = lk_catalog_replay(&e->catalog, true, replay_frame, e, err);
    if (code == LK_OK)
        code = check_asked(e, o, err);
    if (code == LK_OK)
        code = change_index(e, o, err);
    if (code == LK_OK)
        code = lk_embedded_index_load(e, err);
    return code ? code : list_free_slots(e, err);
}

/* Catalogs of lower numbers are what a crash left between the rename and the removal. */
static void remove_older(const lk_embedded *e)
{
    for (uint64_t n = e->generation; n > 1 && n + 8 > e->generation; n--) {
        char *path = lk_embedded_path(e->dir, "catalog", n - 1);
        if (path)
            lk_os()->unlink(path);
        lk_free(path);
    }
}

static void init(lk_embedded *e)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* glibc prefers readers, and a stream of searches would then keep a writer out for good. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&e->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    lk_embedded_index_init(&e->index);
    lk_group_init(&e->group, 256, lk_embedded_commit, e);
    lk_grace_init(&e->grace);
    lk_ids_init(&e->ids);
    lk_bitmap_init(&e->live);
    lk_rowfile_init(&e->rows);
    lk_catalog_init(&e->catalog);
    e->lock_fd = -1;
    e->kern = lk_kern_best();
    e->ready = true;
}

static lk_code take_folder(lk_embedded *e, const char *where, bool create, lk_err *err)
{
    uint64_t generation = 0, vectors = 0;
    e->dir = lk_strdup(where);
    char *path = lk_embedded_path(where, "lock", 0);
    lk_code code = e->dir && path ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory to open %s", where);
    if (code == LK_OK && !lk_os_exists(where))
        code = create ? lk_os_mkdirs(where, err)
                      : lk_fail(err, LK_E_NOT_FOUND, "there is no collection in %s", where);
    /* A folder that is none of ours is left without a trace. */
    if (code == LK_OK && !create)
        code = look_around(where, false, &generation, &vectors, err);
    if (code == LK_OK && !create && generation == 0)
        code = lk_fail(err, LK_E_NOT_FOUND, "there is no collection in %s", where);
    if (code == LK_OK)
        code = lk_os_lock(path, &e->lock_fd, err);
    lk_free(path);
    return code;
}

static lk_code embedded_open(lk_vectors *v, const char *where, const lk_vectors_opts *o,
                             lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    uint64_t generation = 0, n_vectors = 0;
    init(e);
    lk_code code = take_folder(e, where, o->create, err);
    if (code == LK_OK)
        code = lk_columns_new(&e->columns, err);
    if (code == LK_OK)
        code = look_around(where, true, &generation, &n_vectors, err);
    if (code)
        return code;
    code = generation ? open_existing(e, o, generation, err) : create(e, o, n_vectors, err);
    if (code == LK_OK && generation) {
        remove_older(e);
        lk_embedded_compact_if_wanted(e);
    }
    return code ? code : lk_embedded_index_start(e, err);
}

static void embedded_close(lk_vectors *v)
{
    lk_embedded *e = lk_embedded_of(v);
    if (!e->ready)
        return;
    lk_embedded_index_close(e);
    lk_catalog_close(&e->catalog);
    lk_rowfile_close(&e->rows);
    lk_columns_free(e->columns);
    lk_bitmap_release(&e->live);
    lk_ids_release(&e->ids);
    lk_grace_release(&e->grace);
    lk_group_release(&e->group);
    lk_free(e->row_crc);
    lk_free(e->norm);
    lk_free(e->free);
    lk_free(e->again);
    if (e->lock_fd >= 0)
        lk_os_unlock(e->lock_fd);
    lk_free(e->dir);
    pthread_rwlock_destroy(&e->lock);
}

typedef struct reindexing {
    lk_embedded *e;
    const lk_vectors_opts *opts;
    lk_code code;
    lk_err *err;
} reindexing;

static void reindex(void *ctx)
{
    reindexing *r = ctx;
    r->code = change_index(r->e, r->opts, r->err);
}

static lk_code embedded_tune(lk_vectors *v, const lk_vectors_opts *index, lk_err *err)
{
    reindexing r = {.e = lk_embedded_of(v), .opts = index, .err = err};
    lk_group_alone(&r.e->group, reindex, &r);
    lk_embedded_index_wake(r.e);
    return r.code;
}

static lk_code embedded_build(lk_vectors *v, const lk_vectors_opts *index, unsigned n_threads,
                              lk_progress_fn *progress, void *ctx, const lk_cancel *cancel,
                              lk_err *err)
{
    lk_embedded *e = lk_embedded_of(v);
    lk_code code = embedded_tune(v, index, err);
    return code ? code : lk_embedded_index_build(e, n_threads, progress, ctx, cancel, err);
}

const lk_vectors_driver lk_vectors_embedded = {
    .name = "embedded",
    .size = sizeof(lk_embedded),
    .open = embedded_open,
    .close = embedded_close,
    .upsert = lk_embedded_upsert,
    .remove = lk_embedded_remove,
    .search = lk_embedded_search,
    .get = lk_embedded_get,
    .scan = lk_embedded_scan,
    .schema = lk_embedded_schema,
    .info = lk_embedded_info,
    .values = lk_embedded_values,
    .tune = embedded_tune,
    .build = embedded_build,
    .verify = lk_embedded_verify,
};
