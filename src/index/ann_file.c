/* The file of an index. Little-endian, as in memory; layout in docs/FORMAT.md.
 *
 *   0     header page
 *   4096  sections, one after the other: mean, states, stamps, codes, terms, then links of a graph
 *         or lists and centroids of an inverted file
 *         one CRC-32C a block of a section, and one of these
 *
 * It is read into memory rather than mapped: large pages make a walk a fifth faster, and the
 * checksums have to read it all anyway. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/os.h"
#include "index/ann_internal.h"

#define MAGIC "LKINDEX"
#define VERSION 1
#define HEADER 4096
#define BLOCK_BYTES ((size_t)1 << 20)
#define MAX_SECTIONS 8

typedef struct header {
    char magic[8];
    uint32_t version, kind, dim, code_dim, bits, longer, degree, nlist;
    float longest;
    uint32_t ef_construction;
    uint64_t collection, n_slots;
    uint32_t crc; /* of all before */
} header;

/* Rows one after the other in memory, or in a plane. */
typedef struct section {
    const char *name;
    unsigned char *flat;
    const lk_plane *plane;
    size_t n_rows, row_bytes;
    uint64_t at; /* in the file */
    size_t first_block, n_blocks, block_rows;
} section;

typedef struct layout {
    section sections[MAX_SECTIONS];
    size_t n_sections, n_blocks;
    uint64_t checks_at; /* [n_blocks] uint32_t, then one over them */
} layout;

typedef struct ledger { /* of a file: what it says of each slot */
    uint8_t *states;
    uint32_t *stamps;
    size_t n;
} ledger;

static lk_code ledger_init(ledger *l, size_t n, lk_err *err)
{
    *l = (ledger){.states = lk_calloc(n + 1, 1), .stamps = lk_calloc(n + 1, 4), .n = n};
    return l->states && l->stamps ? LK_OK
                                  : lk_fail(err, LK_E_NOMEM, "no memory for an index's file");
}

static void ledger_release(ledger *l)
{
    lk_free(l->states);
    lk_free(l->stamps);
}

/* ---- layout ---- */

/* Blocks are whole rows and never cross a chunk of a plane: a power of two of rows. */
static void add_section(layout *l, section s)
{
    uint64_t at = HEADER;
    if (l->n_sections) {
        const section *before = &l->sections[l->n_sections - 1];
        at = before->at + (uint64_t)before->n_rows * before->row_bytes;
    }
    s.at = at;
    for (s.block_rows = LK_PLANE_CHUNK_ROWS;
         s.block_rows > 1 && s.block_rows * s.row_bytes > BLOCK_BYTES;)
        s.block_rows /= 2;
    s.first_block = l->n_blocks;
    s.n_blocks = (s.n_rows + s.block_rows - 1) / s.block_rows;
    l->n_blocks += s.n_blocks;
    l->sections[l->n_sections++] = s;
    l->checks_at = at + (uint64_t)s.n_rows * s.row_bytes;
}

static void lay_out(const lk_ann *a, const ledger *ids, layout *ret)
{
    *ret = (layout){.n_sections = 0};
    const lk_codes *c = a->codes;
    size_t n = ids->n;
    add_section(ret, (section){.name = "mean",
                               .flat = (unsigned char *)c->mean,
                               .n_rows = 1,
                               .row_bytes = c->code_dim * sizeof(float)});
    add_section(ret, (section){.name = "states", .flat = ids->states, .n_rows = n, .row_bytes = 1});
    add_section(ret, (section){.name = "stamps",
                               .flat = (unsigned char *)ids->stamps,
                               .n_rows = n,
                               .row_bytes = sizeof *ids->stamps});
    add_section(
        ret,
        (section){.name = "codes", .plane = &c->rows, .n_rows = n, .row_bytes = c->rows.row_bytes});
    add_section(ret, (section){.name = "terms",
                               .plane = &c->terms,
                               .n_rows = n,
                               .row_bytes = c->terms.row_bytes});
    if (a->opts.kind == LK_ANN_HNSW) {
        add_section(ret, (section){.name = "links",
                                   .plane = &a->graph.links,
                                   .n_rows = n,
                                   .row_bytes = a->graph.links.row_bytes});
        return;
    }
    const lk_codes *centroids = a->ivf.centroids;
    add_section(ret, (section){.name = "lists",
                               .plane = &a->ivf.where,
                               .n_rows = n,
                               .row_bytes = a->ivf.where.row_bytes});
    add_section(ret, (section){.name = "centroids",
                               .plane = &centroids->rows,
                               .n_rows = a->ivf.nlist,
                               .row_bytes = centroids->rows.row_bytes});
    add_section(ret, (section){.name = "centroid terms",
                               .plane = &centroids->terms,
                               .n_rows = a->ivf.nlist,
                               .row_bytes = centroids->terms.row_bytes});
}

static unsigned char *row_at(const section *s, size_t row)
{
    return s->plane ? lk_plane_at(s->plane, (uint32_t)row) : s->flat + row * s->row_bytes;
}

static size_t rows_in_block(const section *s, size_t block)
{
    size_t from = block * s->block_rows;
    return s->n_rows - from < s->block_rows ? s->n_rows - from : s->block_rows;
}

static header header_of(const lk_ann *a, uint64_t collection, size_t n_slots)
{
    header h = {.magic = MAGIC,
                .version = VERSION,
                .kind = (uint32_t)a->opts.kind,
                .dim = (uint32_t)a->opts.dim,
                .code_dim = (uint32_t)a->codes->code_dim,
                .bits = a->opts.bits,
                .longer = a->codes->longer,
                .longest = a->codes->longest,
                .ef_construction = (uint32_t)a->opts.ef_construction,
                .collection = collection,
                .n_slots = n_slots};
    if (a->opts.kind == LK_ANN_HNSW)
        h.degree = (uint32_t)a->graph.degree;
    else
        h.nlist = (uint32_t)a->ivf.nlist;
    h.crc = lk_crc32c(&h, offsetof(header, crc));
    return h;
}

/* ---- saving ---- */

/* Rows of slots that the writer may be putting now are left out: they are none of the file's. */
static void copy_block(const section *s, size_t block, const ledger *ids, unsigned char *to)
{
    size_t from = block * s->block_rows, n = rows_in_block(s, block);
    bool by_slot = s->plane && s->n_rows == ids->n;
    for (size_t i = 0; i < n; i++) {
        if (by_slot && ids->states[from + i] == LK_ANN_ABSENT)
            memset(to + i * s->row_bytes, 0, s->row_bytes);
        else
            memcpy(to + i * s->row_bytes, row_at(s, from + i), s->row_bytes);
    }
}

static lk_code save_section(int fd, const section *s, const ledger *ids, unsigned char *block,
                            uint32_t *checks, lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; code == LK_OK && i < s->n_blocks; i++) {
        size_t bytes = rows_in_block(s, i) * s->row_bytes;
        copy_block(s, i, ids, block);
        checks[s->first_block + i] = lk_crc32c(block, bytes);
        code = lk_os_write_at(fd, block, bytes, s->at + i * s->block_rows * s->row_bytes, err);
    }
    return code;
}

/* What stays as it is while the file is written: what is linked, or dead and walked over. */
static void take_stock(lk_ann *a, const uint32_t *stamp, size_t n_stamps, ledger *ret)
{
    lk_mutex_lock(&a->lock);
    for (size_t i = 0; i < ret->n; i++) {
        lk_ann_state s = lk_ann_state_of(a, (uint32_t)i);
        bool known = (s == LK_ANN_LINKED && i < n_stamps) || s == LK_ANN_DEAD;
        ret->states[i] = (uint8_t)(known ? s : LK_ANN_ABSENT);
        ret->stamps[i] = known && s == LK_ANN_LINKED ? stamp[i] : 0;
    }
    lk_mutex_unlock(&a->lock);
}

static lk_code write_file(lk_ann *a, int fd, uint64_t collection, const ledger *ids, lk_err *err)
{
    layout l;
    header h = header_of(a, collection, ids->n);
    lay_out(a, ids, &l);
    uint32_t *checks = lk_alloc_array(l.n_blocks + 1, sizeof *checks);
    size_t block_bytes =
        BLOCK_BYTES > l.sections[0].row_bytes ? BLOCK_BYTES : l.sections[0].row_bytes;
    unsigned char *block = lk_alloc_array(block_bytes, 1);
    lk_code code = checks && block ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory to save an index");
    if (code == LK_OK) {
        memset(block, 0, HEADER);
        memcpy(block, &h, sizeof h);
        code = lk_os_write_at(fd, block, HEADER, 0, err);
    }
    for (size_t i = 0; code == LK_OK && i < l.n_sections; i++)
        code = save_section(fd, &l.sections[i], ids, block, checks, err);
    if (code == LK_OK) {
        checks[l.n_blocks] = lk_crc32c(checks, l.n_blocks * sizeof *checks);
        code = lk_os_write_at(fd, checks, (l.n_blocks + 1) * sizeof *checks, l.checks_at, err);
    }
    lk_free(checks);
    lk_free(block);
    return code;
}

lk_code lk_ann_save(lk_ann *a, const char *path, uint64_t collection, const uint32_t *stamp,
                    size_t n_slots, lk_err *err)
{
    ledger ids;
    lk_mutex_lock(&a->lock);
    size_t n = a->n_slots;
    lk_mutex_unlock(&a->lock);
    lk_code code = ledger_init(&ids, n, err);
    int fd = -1;
    if (code == LK_OK) {
        take_stock(a, stamp, n_slots, &ids);
        fd = lk_os()->open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
        code = fd < 0 ? lk_fail_sys(err, errno, "cannot create %s", path)
                      : write_file(a, fd, collection, &ids, err);
    }
    if (code == LK_OK && lk_os()->fsync(fd))
        code = lk_fail_sys(err, errno, "cannot sync %s", path);
    if (fd >= 0)
        lk_os()->close(fd);
    ledger_release(&ids);
    return code;
}

/* ---- loading ---- */

static lk_code check_header(const lk_ann_opts *o, const header *h, uint64_t collection,
                            const char *path, lk_err *err)
{
    if (memcmp(h->magic, MAGIC, sizeof MAGIC) != 0 || h->version != VERSION)
        return lk_fail(err, LK_E_FORMAT, "%s is no index of this version", path);
    if (h->crc != lk_crc32c(h, offsetof(header, crc)))
        return lk_fail(err, LK_E_CORRUPT, "the header of %s is damaged", path);
    size_t M = o->M ? o->M : LK_ANN_M;
    bool same = h->collection == collection && h->kind == (uint32_t)o->kind && h->dim == o->dim &&
                h->bits == (o->bits ? o->bits : 4) &&
                h->longer == (o->score == LK_SCORE_DOT && !o->unit);
    if (o->kind == LK_ANN_HNSW)
        same = same && h->degree == (2 * M + 15) / 16 * 16;
    else
        same = same && (!o->nlist || h->nlist == o->nlist) && h->nlist >= 1 &&
               h->nlist <= LK_ANN_MAX_NLIST;
    if (!same)
        return lk_fail(err, LK_E_FORMAT, "%s was made for other vectors or options", path);
    if (h->n_slots > LK_GRAPH_MAX_SLOTS || h->code_dim != (h->dim + h->longer + 127) / 128 * 128)
        return lk_fail(err, LK_E_CORRUPT, "the header of %s makes no sense", path);
    return LK_OK;
}

typedef struct loading {
    int fd;
    const layout *l;
    const uint32_t *checks;
    atomic_int code;
    atomic_size_t bad; /* a block */
} loading;

static void load_block(void *ctx, size_t block)
{
    loading *l = ctx;
    const section *s = l->l->sections;
    while (block >= s->first_block + s->n_blocks)
        s++;
    size_t at = block - s->first_block, bytes = rows_in_block(s, at) * s->row_bytes;
    unsigned char *to = row_at(s, at * s->block_rows);
    lk_code code = lk_os_read_at(l->fd, to, bytes, s->at + at * s->block_rows * s->row_bytes, NULL);
    if (code == LK_OK && lk_crc32c(to, bytes) != l->checks[block])
        code = LK_E_CORRUPT;
    if (code) {
        atomic_store(&l->code, (int)code);
        atomic_store(&l->bad, block);
    }
}

static lk_code load_sections(int fd, const layout *l, const char *path, unsigned n_threads,
                             lk_err *err)
{
    uint32_t *checks = lk_alloc_array(l->n_blocks + 1, sizeof *checks);
    loading job = {.fd = fd, .l = l, .checks = checks};
    lk_code code =
        checks ? lk_os_read_at(fd, checks, (l->n_blocks + 1) * sizeof *checks, l->checks_at, err)
               : lk_fail(err, LK_E_NOMEM, "no memory to load an index");
    if (code == LK_OK && checks[l->n_blocks] != lk_crc32c(checks, l->n_blocks * sizeof *checks))
        code = lk_fail(err, LK_E_CORRUPT, "the checksums of %s are damaged", path);
    if (code == LK_OK)
        code = lk_parallel_for(l->n_blocks, n_threads, 1, load_block, &job, err);
    if (code == LK_OK && atomic_load(&job.code)) {
        const section *s = l->sections;
        while (atomic_load(&job.bad) >= s->first_block + s->n_blocks)
            s++;
        code = lk_fail(err, (lk_code)atomic_load(&job.code), "the %s in %s are damaged", s->name,
                       path);
    }
    lk_free(checks);
    return code;
}

typedef struct checking {
    lk_ann *a;
    const ledger *ids;
    atomic_bool bad;
} checking;

/* A link may lead where the file knows nothing: to a slot that was linked while it was written. */
static void check_links(void *ctx, size_t slot)
{
    checking *c = ctx;
    lk_plane *links = &c->a->graph.links;
    uint32_t *row = (uint32_t *)(void *)lk_plane_at(links, (uint32_t)slot);
    size_t degree = c->a->graph.degree, n = 0;
    for (size_t i = 0; i < degree && row[i]; i++)
        if (row[i] <= c->ids->n && row[i] - 1 != slot &&
            c->ids->states[row[i] - 1] != LK_ANN_ABSENT)
            row[n++] = row[i];
    memset(row + n, 0, (degree - n) * sizeof *row);
}

static lk_code take_states(lk_ann *a, const ledger *ids, const char *path, lk_err *err)
{
    for (size_t i = 0; i < ids->n; i++) {
        lk_ann_state s = (lk_ann_state)ids->states[i];
        if (s != LK_ANN_ABSENT && s != LK_ANN_LINKED && s != LK_ANN_DEAD)
            return lk_fail(err, LK_E_CORRUPT, "the states in %s make no sense", path);
        lk_ann_set_state(a, (uint32_t)i, s);
        a->n_linked += s == LK_ANN_LINKED;
        a->n_dead += s == LK_ANN_DEAD;
    }
    a->n_slots = ids->n;
    return LK_OK;
}

/* Slots into the lists that the file names: the plane itself is written anew. */
static lk_code take_lists(lk_ann *a, const ledger *ids, lk_err *err)
{
    lk_code code = LK_OK;
    for (size_t i = 0; code == LK_OK && i < ids->n; i++) {
        uint32_t list = lk_ivf_list(&a->ivf, (uint32_t)i);
        memset(lk_plane_at(&a->ivf.where, (uint32_t)i), 0, a->ivf.where.row_bytes);
        if (ids->states[i] != LK_ANN_ABSENT)
            code = lk_ivf_put(&a->ivf, (uint32_t)i, list, err);
    }
    return code;
}

static lk_code load_into(lk_ann *a, int fd, const header *h, const char *path, unsigned n_threads,
                         ledger *ids, lk_err *err)
{
    layout l;
    a->codes->longest = h->longest;
    lk_code code = LK_OK;
    if (a->opts.kind == LK_ANN_IVF)
        code = lk_ivf_init(&a->ivf, a->codes, h->nlist, err);
    if (code == LK_OK)
        code = lk_ann_reserve(a, ids->n, err);
    if (code)
        return code;
    lay_out(a, ids, &l);
    code = load_sections(fd, &l, path, n_threads, err);
    if (code == LK_OK)
        code = take_states(a, ids, path, err);
    if (code || a->opts.kind == LK_ANN_IVF)
        return code ? code : take_lists(a, ids, err);
    checking c = {.a = a, .ids = ids};
    code = lk_parallel_for(ids->n, n_threads, 4096, check_links, &c, err);
    return code ? code : lk_ann_route_anew(a, NULL, err);
}

lk_code lk_ann_load(const lk_kern *kern, const lk_ann_opts *opts, const char *path,
                    uint64_t collection, unsigned n_threads, lk_ann **ret, lk_err *err)
{
    header h;
    ledger ids = {.n = 0};
    lk_ann *a = NULL;
    int fd = lk_os()->open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return lk_fail_sys(err, errno, "cannot open %s", path);
    struct stat st;
    lk_code code = lk_os()->fstat(fd, &st) ? lk_fail_sys(err, errno, "cannot look at %s", path)
                                           : lk_os_read_at(fd, &h, sizeof h, 0, err);
    if (code == LK_OK)
        code = check_header(opts, &h, collection, path, err);
    /* Before any memory is taken for it: the file is as long as its rows at the least. */
    if (code == LK_OK && (uint64_t)st.st_size / (h.code_dim * h.bits / 8) < h.n_slots)
        code = lk_fail(err, LK_E_TRUNCATED, "%s is cut", path);
    if (code == LK_OK)
        code = lk_ann_new(kern, opts, &a, err);
    if (code == LK_OK)
        code = ledger_init(&ids, h.n_slots, err);
    if (code == LK_OK)
        code = load_into(a, fd, &h, path, n_threads, &ids, err);
    if (code == LK_OK) {
        a->stamps = ids.stamps;
        ids.stamps = NULL;
        *ret = a;
    } else {
        lk_ann_free(a);
    }
    ledger_release(&ids);
    lk_os()->close(fd);
    return code;
}

/* ---- catching up ---- */

static void bury(lk_ann *a, uint32_t slot)
{
    lk_ann_set_state(a, slot, LK_ANN_DEAD);
    a->n_linked--;
    a->n_dead++;
}

static lk_code put_unknown(lk_ann *a, const lk_rows *rows, const lk_bitmap *live, lk_err *err)
{
    float *vector = lk_alloc_array(rows->dim, sizeof *vector);
    if (!vector)
        return lk_fail(err, LK_E_NOMEM, "no memory to load an index");
    for (size_t i = lk_bitmap_next(live, 0); i != LK_BITMAP_NONE; i = lk_bitmap_next(live, i + 1)) {
        if (i < a->n_slots && lk_ann_state_of(a, (uint32_t)i) != LK_ANN_ABSENT)
            continue;
        lk_row_decode(a->kern, rows->elem, lk_rows_at(rows, (uint32_t)i), rows->dim, vector);
        lk_ann_put(a, (uint32_t)i, vector);
    }
    lk_free(vector);
    return LK_OK;
}

lk_code lk_ann_catch_up(lk_ann *a, const lk_rows *rows, const lk_bitmap *live,
                        const uint32_t *stamp, size_t *ret_stale, lk_err *err)
{
    *ret_stale = 0;
    lk_code code = lk_ann_reserve(a, live->n_bits, err);
    if (code)
        return code;
    for (size_t i = 0; i < a->n_slots; i++) {
        uint32_t slot = (uint32_t)i;
        bool is_live = lk_bitmap_get(live, i);
        if (lk_ann_state_of(a, slot) == LK_ANN_LINKED && (!is_live || stamp[i] != a->stamps[i]))
            bury(a, slot);
        *ret_stale += is_live && lk_ann_state_of(a, slot) == LK_ANN_DEAD;
    }
    lk_free(a->stamps);
    a->stamps = NULL;
    return put_unknown(a, rows, live, err);
}

bool lk_ann_is_dead(lk_ann *a, uint32_t slot)
{
    lk_mutex_lock(&a->lock);
    bool dead = slot < a->n_slots && lk_ann_state_of(a, slot) == LK_ANN_DEAD;
    lk_mutex_unlock(&a->lock);
    return dead;
}
