/* Writing: upserts and deletes that arrive together become one commit.
 *
 * A round takes calls from the chain until two of them touch the same id or there are enough:
 *
 *   stage    every call: check, choose slots, encode rows into free slots (V1), write its entries
 *            into the frame; a call that fails is unstaged and the others go on
 *   prepare  make all room in memory
 *   durable  sync the rows, then append the frame (V2)
 *   publish  change the memory, a few rows under the lock at a time; cannot fail (V3)
 *
 * If preparing or syncing fails, nothing was published, the slots go back and every staged call is
 * told. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "store/vectors/embedded/internal.h"

#define ROUND_OPS LK_MAX_BATCH_ROWS
#define ROW_BUFFER_BYTES ((size_t)1 << 20)
#define PUBLISH_ROWS 32

typedef struct write_call {
    lk_group_call base;
    bool removal;
    bool staged;
    size_t n;
    const lk_vector_row *rows;
    const lk_str *ids;
    size_t deleted;
} write_call;

typedef struct staged_op {
    lk_op_kind kind;
    uint32_t slot;    /* PUT: the new one; else the one that holds the id */
    uint32_t old;     /* PUT: the slot that held the id, or LK_NO_SLOT */
    const char *text; /* PUT of a new id: its text */
    lk_str id;
    const lk_vector_row *row;
    uint32_t row_crc;
    float norm;
} staged_op;

typedef struct staged_field {
    lk_str name;
    bool in_metadata;
    lk_type type;
} staged_field;

typedef struct lk_round {
    lk_embedded *e;
    lk_buf frame;
    staged_op *ops;
    size_t n_ops, cap_ops;
    uint32_t *table; /* ids of the round: op + 1; entries of unstaged ops are passed over */
    size_t cap_table;
    staged_field *fields; /* new ones, numbered behind the columns */
    size_t n_fields, cap_fields;
    size_t n_free; /* of e->free not yet taken */
    size_t n_slots;
    unsigned char *rows; /* encoded, for consecutive slots from first_row */
    size_t n_rows, max_rows;
    uint32_t first_row;
    float *scaled; /* [dim] */
    size_t n_puts, n_new;
} lk_round;

/* What a call that fails must leave as it was. */
typedef struct mark {
    size_t frame_n, n_ops, n_fields, n_free, n_slots, n_puts, n_new;
} mark;

static lk_code fail_nomem(lk_err *err)
{
    return lk_fail(err, LK_E_NOMEM, "no memory for a batch of vectors");
}

/* ---- a round's memory ---- */

static lk_code round_init(lk_round *r, lk_embedded *e, size_t n_ops, lk_err *err)
{
    *r = (lk_round){.e = e, .n_free = e->n_free, .n_slots = e->n_slots, .cap_ops = n_ops};
    lk_buf_init(&r->frame, LK_MAX_FRAME_BYTES);
    r->cap_table = 16;
    while (r->cap_table < 2 * n_ops)
        r->cap_table *= 2;
    r->max_rows = ROW_BUFFER_BYTES / e->rows.rows.row_bytes;
    if (r->max_rows > n_ops)
        r->max_rows = n_ops;
    r->ops = lk_alloc_array(n_ops, sizeof *r->ops);
    r->table = lk_calloc(r->cap_table, sizeof *r->table);
    r->rows = lk_calloc(r->max_rows, e->rows.rows.row_bytes);
    r->scaled = lk_alloc_array(e->base.dim, sizeof *r->scaled);
    return r->ops && r->table && r->rows && r->scaled ? LK_OK : fail_nomem(err);
}

static void round_release(lk_round *r)
{
    lk_buf_release(&r->frame);
    lk_free(r->ops);
    lk_free(r->table);
    lk_free(r->fields);
    lk_free(r->rows);
    lk_free(r->scaled);
}

static mark mark_of(const lk_round *r)
{
    return (mark){r->frame.n, r->n_ops, r->n_fields, r->n_free, r->n_slots, r->n_puts, r->n_new};
}

static void unstage(lk_round *r, const mark *m)
{
    for (size_t i = m->n_ops; i < r->n_ops; i++)
        if (r->ops[i].text)
            lk_ids_text_free(&r->e->ids, r->ops[i].text, r->ops[i].id.n);
    r->frame.n = m->frame_n;
    r->frame.failed = false;
    r->n_ops = m->n_ops;
    r->n_fields = m->n_fields;
    r->n_free = m->n_free;
    r->n_slots = m->n_slots;
    r->n_puts = m->n_puts;
    r->n_new = m->n_new;
}

/* The op of this round over the id, or a new one; NULL: there is no room, which cannot be. */
static staged_op *op_over(lk_round *r, lk_str id, bool *ret_there)
{
    size_t mask = r->cap_table - 1;
    size_t i = lk_str_hash(id) & mask;
    for (; r->table[i]; i = (i + 1) & mask) {
        size_t at = r->table[i] - 1;
        if (at < r->n_ops && lk_str_eq(r->ops[at].id, id)) {
            *ret_there = true;
            return &r->ops[at];
        }
    }
    assert(r->n_ops < r->cap_ops);
    *ret_there = false;
    r->table[i] = (uint32_t)r->n_ops + 1;
    staged_op *op = &r->ops[r->n_ops++];
    *op = (staged_op){.id = id, .old = LK_NO_SLOT};
    return op;
}

/* ---- rows ---- */

static lk_code flush_rows(lk_round *r, lk_err *err)
{
    if (r->n_rows == 0)
        return LK_OK;
    lk_code code = lk_rowfile_write(&r->e->rows, r->first_row, r->n_rows, r->rows, err);
    r->n_rows = 0;
    return code;
}

/* Make a vector the row of a slot. Cosine keeps unit vectors and their length apart. */
static lk_code encode_row(lk_round *r, staged_op *op, lk_err *err)
{
    lk_embedded *e = r->e;
    size_t dim = e->base.dim;
    const float *vector = op->row->vector;
    op->norm = 1;
    if (e->base.metric == LK_METRIC_COSINE) {
        double sum = 0;
        for (size_t i = 0; i < dim; i++)
            sum += (double)vector[i] * (double)vector[i];
        double norm = sqrt(sum);
        for (size_t i = 0; i < dim; i++)
            r->scaled[i] = (float)((double)vector[i] / norm);
        op->norm = norm < FLT_MAX ? (float)norm : FLT_MAX;
        vector = r->scaled;
    } else if (e->elem == LK_ELEM_F16) {
        for (size_t i = 0; i < dim; i++)
            if (fabsf(vector[i]) > 65504)
                return lk_fail_field(err, LK_E_INVALID, "vector",
                                     "%g is too large for a collection that keeps f16",
                                     (double)vector[i]);
    }
    if (r->n_rows == r->max_rows || (r->n_rows && op->slot != r->first_row + r->n_rows)) {
        lk_code code = flush_rows(r, err);
        if (code)
            return code;
    }
    if (r->n_rows == 0)
        r->first_row = op->slot;
    size_t row_bytes = e->rows.rows.row_bytes;
    unsigned char *row = r->rows + r->n_rows++ * row_bytes;
    lk_row_encode(e->kern, e->elem, vector, dim, row);
    op->row_crc = lk_crc32c(row, row_bytes);
    return LK_OK;
}

static uint32_t take_slot(lk_round *r)
{
    return r->n_free ? r->e->free[--r->n_free] : (uint32_t)r->n_slots++;
}

/* ---- staging ---- */

/* The field an attribute goes to: a column, or a new one of this round. */
static lk_code field_of(lk_round *r, const lk_attr *a, uint16_t *ret, lk_type *ret_type,
                        lk_err *err)
{
    const lk_columns *columns = r->e->columns;
    size_t n = lk_columns_count(columns);
    size_t at = lk_columns_find(columns, a->name, a->in_metadata);
    lk_type type = a->value.type;
    if (at == SIZE_MAX) {
        for (size_t i = 0; i < r->n_fields; i++)
            if (r->fields[i].in_metadata == a->in_metadata && lk_str_eq(r->fields[i].name, a->name))
                at = n + i;
    }
    if (at == SIZE_MAX) {
        void *p = r->fields;
        if (n + r->n_fields >= LK_MAX_COLUMNS)
            return lk_fail(err, LK_E_LIMIT, "more than %d different attributes", LK_MAX_COLUMNS);
        if (!lk_grow(&p, &r->cap_fields, r->n_fields + 1, sizeof *r->fields))
            return fail_nomem(err);
        r->fields = p;
        r->fields[r->n_fields++] = (staged_field){a->name, a->in_metadata, type};
        lk_ops_put_field(&r->frame, type, a->in_metadata, a->name);
        at = n + r->n_fields - 1;
    }
    lk_type have = at < n ? lk_columns_field(columns, at).type : r->fields[at - n].type;
    if (have != type && !(have == LK_T_REAL && type == LK_T_INT)) {
        char name[48];
        snprintf(name, sizeof name, "%.*s", (int)(a->name.n < 47 ? a->name.n : 47), a->name.p);
        return lk_fail_field(err, LK_E_INVALID, name,
                             "attribute '%s' holds values of type %s, and this one is of type %s",
                             name, lk_type_name(have), lk_type_name(type));
    }
    *ret = (uint16_t)at;
    *ret_type = have;
    return LK_OK;
}

/* New fields must stand in the frame before the row that uses them, so fields go first. */
static lk_code stage_fields(lk_round *r, const lk_vector_row *row, uint16_t *ret_n, lk_err *err)
{
    *ret_n = 0;
    for (size_t i = 0; i < row->n_attrs; i++) {
        uint16_t field;
        lk_type type;
        if (row->attrs[i].value.type == LK_T_NULL)
            continue;
        lk_code code = field_of(r, &row->attrs[i], &field, &type, err);
        if (code)
            return code;
        ++*ret_n;
    }
    return LK_OK;
}

static lk_code stage_attrs(lk_round *r, const lk_vector_row *row, lk_err *err)
{
    for (size_t i = 0; i < row->n_attrs; i++) {
        uint16_t field;
        lk_type type;
        if (row->attrs[i].value.type == LK_T_NULL)
            continue;
        lk_code code = field_of(r, &row->attrs[i], &field, &type, err);
        if (code)
            return code;
        lk_ops_put_attr(&r->frame, field, type, &row->attrs[i].value);
    }
    return LK_OK;
}

static lk_code stage_put(lk_round *r, staged_op *op, uint16_t n_attrs, lk_err *err)
{
    lk_embedded *e = r->e;
    op->kind = LK_OP_PUT;
    op->old = lk_ids_find(&e->ids, op->id);
    op->slot = take_slot(r);
    if (op->old == LK_NO_SLOT) {
        op->text = lk_ids_text_new(&e->ids, op->id);
        if (!op->text)
            return fail_nomem(err);
        r->n_new++;
    }
    lk_code code = lk_rowfile_reserve(&e->rows, (uint64_t)op->slot + 1, err);
    if (code == LK_OK)
        code = encode_row(r, op, err);
    if (code)
        return code;
    r->n_puts++;
    lk_ops_put_row(&r->frame, op->slot, op->row_crc, op->norm, op->id, n_attrs);
    return LK_OK;
}

static lk_code stage_row(lk_round *r, staged_op *op, const lk_vector_row *row, lk_err *err)
{
    uint16_t n_attrs = 0;
    op->row = row;
    lk_code code = stage_fields(r, row, &n_attrs, err);
    if (code)
        return code;
    if (row->vector) {
        code = stage_put(r, op, n_attrs, err);
    } else {
        op->kind = LK_OP_ATTRS;
        op->slot = lk_ids_find(&r->e->ids, row->id);
        if (op->slot == LK_NO_SLOT)
            return lk_fail_field(err, LK_E_NOT_FOUND, "id", "no vector has the id '%.*s'",
                                 (int)(row->id.n < 128 ? row->id.n : 128), row->id.p);
        lk_ops_put_attrs(&r->frame, op->slot, n_attrs);
    }
    return code ? code : stage_attrs(r, row, err);
}

/* *ret_conflict: an id is taken by an earlier call of the round; the round must end before. */
static lk_code stage_upsert(lk_round *r, const write_call *c, bool *ret_conflict, lk_err *err)
{
    size_t first = r->n_ops;
    for (size_t i = 0; i < c->n; i++) {
        bool there = false;
        staged_op *op = op_over(r, c->rows[i].id, &there);
        if (there && op < r->ops + first) {
            *ret_conflict = true;
            return LK_OK;
        }
        if (there)
            return lk_fail_field(err, LK_E_INVALID, "id", "the id '%.*s' is twice in the batch",
                                 (int)(op->id.n < 128 ? op->id.n : 128), op->id.p);
        lk_code code = stage_row(r, op, &c->rows[i], err);
        if (code == LK_OK)
            code = lk_buf_check(&r->frame, err);
        if (code)
            return code;
    }
    return LK_OK;
}

static lk_code stage_removal(lk_round *r, write_call *c, bool *ret_conflict, lk_err *err)
{
    size_t first = r->n_ops;
    c->deleted = 0;
    for (size_t i = 0; i < c->n; i++) {
        bool there = false;
        size_t n_ops = r->n_ops;
        staged_op *op = op_over(r, c->ids[i], &there);
        if (there && op < r->ops + first) {
            *ret_conflict = true;
            return LK_OK;
        }
        uint32_t slot = there ? LK_NO_SLOT : lk_ids_find(&r->e->ids, c->ids[i]);
        if (slot == LK_NO_SLOT) {
            r->n_ops = n_ops; /* absent, or named before in this call: nothing to do */
            continue;
        }
        op->kind = LK_OP_DELETE;
        op->slot = slot;
        lk_ops_put_delete(&r->frame, slot);
        c->deleted++;
    }
    return lk_buf_check(&r->frame, err);
}

/* ---- making it durable ---- */

/* Every string that publishing will set is held before, and let go after or instead. */
static lk_code hold_values(lk_round *r, size_t *ret_held, lk_err *err)
{
    lk_embedded *e = r->e;
    lk_code code = LK_OK;
    *ret_held = 0;
    for (size_t i = 0; code == LK_OK && i < r->n_ops; i++) {
        const lk_vector_row *row = r->ops[i].row;
        pthread_rwlock_wrlock(&e->lock);
        for (size_t j = 0; row && code == LK_OK && j < row->n_attrs; j++) {
            const lk_attr *a = &row->attrs[j];
            if (a->value.type != LK_T_STR)
                continue;
            size_t column = lk_columns_find(e->columns, a->name, a->in_metadata);
            code = lk_columns_hold(e->columns, column, &a->value, err);
            *ret_held += code == LK_OK;
        }
        pthread_rwlock_unlock(&e->lock);
    }
    return code;
}

/* The same walk, for the first `held` strings. */
static void let_go(lk_round *r, size_t held)
{
    lk_embedded *e = r->e;
    for (size_t i = 0; held && i < r->n_ops; i++) {
        const lk_vector_row *row = r->ops[i].row;
        pthread_rwlock_wrlock(&e->lock);
        for (size_t j = 0; row && held && j < row->n_attrs; j++) {
            const lk_attr *a = &row->attrs[j];
            if (a->value.type != LK_T_STR)
                continue;
            lk_columns_let_go(e->columns, lk_columns_find(e->columns, a->name, a->in_metadata),
                              &a->value);
            held--;
        }
        pthread_rwlock_unlock(&e->lock);
    }
}

static lk_code make_fields(lk_round *r, lk_err *err)
{
    lk_embedded *e = r->e;
    lk_code code = LK_OK;
    pthread_rwlock_wrlock(&e->lock);
    for (size_t i = 0; code == LK_OK && i < r->n_fields; i++) {
        size_t at;
        const staged_field *f = &r->fields[i];
        code = lk_columns_need(e->columns, f->name, f->in_metadata, f->type, &at, err);
    }
    pthread_rwlock_unlock(&e->lock);
    return code;
}

static lk_code reserve_free(lk_embedded *e, lk_err *err)
{
    void *p = e->free;
    /* Every slot may at some time be free at once, and giving one back must not fail. */
    bool ok = lk_grow(&p, &e->cap_free, e->cap_slots, sizeof *e->free);
    e->free = p;
    return ok ? LK_OK : fail_nomem(err);
}

static lk_code prepare(lk_round *r, size_t *ret_held, lk_err *err)
{
    lk_embedded *e = r->e;
    *ret_held = 0;
    lk_code code = lk_embedded_reserve(e, r->n_slots, r->n_new, err);
    if (code == LK_OK)
        code = reserve_free(e, err);
    if (code == LK_OK)
        code = lk_grace_reserve(&e->grace, r->n_ops, err);
    if (code == LK_OK)
        code = lk_embedded_index_reserve(e, e->cap_slots, err);
    if (code == LK_OK)
        code = make_fields(r, err);
    if (code == LK_OK)
        code = hold_values(r, ret_held, err);
    return code;
}

static lk_code make_durable(lk_round *r, lk_err *err)
{
    lk_embedded *e = r->e;
    lk_code code = flush_rows(r, err);
    if (code == LK_OK && r->n_puts)
        code = lk_rowfile_sync(&e->rows, err);
    if (code == LK_OK)
        code = lk_catalog_append(&e->catalog,
                                 (lk_blob){(const unsigned char *)r->frame.p, r->frame.n}, err);
    return code;
}

/* ---- publishing ---- */

static void set_cells(lk_embedded *e, const staged_op *op)
{
    for (size_t i = 0; i < op->row->n_attrs; i++) {
        const lk_attr *a = &op->row->attrs[i];
        if (a->value.type == LK_T_NULL)
            continue;
        size_t column = lk_columns_find(e->columns, a->name, a->in_metadata);
        lk_code code = lk_columns_set(e->columns, column, op->slot, &a->value, NULL);
        assert(code == LK_OK); /* V3 */
        (void)code;
    }
}

static void give_up(lk_embedded *e, uint32_t slot, bool with_id)
{
    e->live_bytes -= lk_embedded_entry_bytes(e, slot);
    lk_columns_clear(e->columns, slot);
    lk_bitmap_unset(&e->live, slot);
    e->n_live--;
    lk_embedded_index_retire(e, slot);
    lk_grace_retire(&e->grace, (lk_retired){slot, with_id});
}

static void publish_op(lk_embedded *e, const staged_op *op)
{
    switch (op->kind) {
    case LK_OP_PUT:
        if (op->slot >= e->n_slots)
            e->n_slots = (size_t)op->slot + 1;
        e->row_crc[op->slot] = op->row_crc;
        e->norm[op->slot] = op->norm;
        if (op->old == LK_NO_SLOT) {
            lk_ids_put(&e->ids, op->slot, op->text, op->id.n);
        } else {
            lk_ids_move(&e->ids, op->old, op->slot);
            give_up(e, op->old, false);
        }
        set_cells(e, op);
        lk_bitmap_set(&e->live, op->slot);
        e->n_live++;
        e->live_bytes += lk_embedded_entry_bytes(e, op->slot);
        break;
    case LK_OP_ATTRS:
        e->live_bytes -= lk_embedded_entry_bytes(e, op->slot);
        lk_columns_clear(e->columns, op->slot);
        set_cells(e, op);
        e->live_bytes += lk_embedded_entry_bytes(e, op->slot);
        break;
    default:
        lk_ids_drop(&e->ids, op->slot);
        give_up(e, op->slot, true);
        break;
    }
}

static void publish(lk_round *r)
{
    lk_embedded *e = r->e;
    /* The index first, which may name what is not live yet: searches pass over it. */
    for (size_t i = 0; i < r->n_ops; i++)
        if (r->ops[i].kind == LK_OP_PUT)
            lk_embedded_index_put(e, r->ops[i].slot);
    for (size_t i = 0; i < r->n_ops;) {
        pthread_rwlock_wrlock(&e->lock);
        for (size_t j = 0; j < PUBLISH_ROWS && i < r->n_ops; j++)
            publish_op(e, &r->ops[i++]);
        pthread_rwlock_unlock(&e->lock);
    }
    e->n_free = r->n_free;
}

/* ---- rounds ---- */

static void take_back(void *ctx, lk_retired what)
{
    lk_embedded *e = ctx;
    if (what.owns_text) {
        lk_str id = lk_ids_at(&e->ids, what.slot);
        lk_ids_text_free(&e->ids, id.p, id.n);
    }
    switch (lk_embedded_index_may_reuse(e, what.slot)) {
    case LK_SLOT_FREE:
        assert(e->n_free < e->cap_free);
        e->free[e->n_free++] = what.slot;
        break;
    case LK_SLOT_ONCE_MORE: {
        void *p = e->again;
        bool ok = lk_grow(&p, &e->cap_again, e->n_again + 1, sizeof *e->again);
        e->again = p;
        if (ok) /* else it is lost until the folder is opened again */
            e->again[e->n_again++] = what.slot;
        break;
    }
    case LK_SLOT_PARKED:
        break;
    }
}

/* What is free again, and what has to wait for another grace period. */
static void reclaim(lk_embedded *e)
{
    lk_grace_reclaim(&e->grace, take_back, e);
    if (e->n_again && lk_grace_reserve(&e->grace, e->n_again, NULL) == LK_OK)
        while (e->n_again)
            lk_grace_retire(&e->grace, (lk_retired){e->again[--e->n_again], false});
}

static lk_code finish_round(lk_round *r, lk_err *err)
{
    lk_embedded *e = r->e;
    size_t held = 0;
    size_t n_columns = lk_columns_count(e->columns);
    if (r->n_ops == 0)
        return LK_OK;
    lk_code code = prepare(r, &held, err);
    if (code == LK_OK)
        code = make_durable(r, err);
    if (code == LK_OK)
        publish(r);
    let_go(r, held);
    if (code) {
        pthread_rwlock_wrlock(&e->lock);
        lk_columns_truncate(e->columns, n_columns);
        pthread_rwlock_unlock(&e->lock);
    }
    return code;
}

static void settle(lk_group_call *from, const lk_group_call *to, lk_code code, const lk_err *err)
{
    for (; from != to; from = from->next) {
        write_call *c = (write_call *)from;
        if (c->staged && code) {
            from->code = code;
            from->err = *err;
        }
    }
}

/* Stage calls from `chain` on; returns the first that is left for the next round. */
static lk_group_call *stage_calls(lk_round *r, lk_group_call *chain)
{
    lk_group_call *at = chain;
    for (; at; at = at->next) {
        write_call *c = (write_call *)at;
        if (r->n_ops + c->n > r->cap_ops)
            break;
        mark m = mark_of(r);
        bool conflict = false;
        at->code = c->removal ? stage_removal(r, c, &conflict, &at->err)
                              : stage_upsert(r, c, &conflict, &at->err);
        c->staged = at->code == LK_OK && !conflict;
        if (!c->staged)
            unstage(r, &m);
        if (conflict)
            break;
    }
    return at;
}

static size_t ops_of(const lk_group_call *chain)
{
    size_t n = 0;
    for (const lk_group_call *at = chain; at; at = at->next) {
        size_t more = ((const write_call *)at)->n;
        if (n && n + more > ROUND_OPS)
            break;
        n += more;
    }
    return n;
}

void lk_embedded_commit(void *owner, lk_group_call *chain)
{
    lk_embedded *e = owner;
    while (chain) {
        lk_round r;
        lk_err err = {0};
        reclaim(e);
        lk_code code = round_init(&r, e, ops_of(chain), &err);
        lk_group_call *rest = chain;
        if (code == LK_OK) {
            rest = stage_calls(&r, chain);
            code = finish_round(&r, &err);
            if (code)
                unstage(&r, &(mark){.n_free = e->n_free, .n_slots = e->n_slots});
            settle(chain, rest, code, &err);
        } else {
            rest = chain->next;
            chain->code = code;
            chain->err = err;
        }
        round_release(&r);
        chain = rest;
    }
    lk_embedded_compact_if_wanted(e);
}

lk_code lk_embedded_upsert(lk_vectors *v, size_t n, const lk_vector_row *rows, lk_err *err)
{
    write_call c = {.n = n, .rows = rows};
    lk_code code = lk_group_run(&lk_embedded_of(v)->group, &c.base, err);
    lk_embedded_index_wake(lk_embedded_of(v));
    return code;
}

lk_code lk_embedded_remove(lk_vectors *v, size_t n, const lk_str *ids, size_t *ret_deleted,
                           lk_err *err)
{
    write_call c = {.n = n, .ids = ids, .removal = true};
    lk_code code = lk_group_run(&lk_embedded_of(v)->group, &c.base, err);
    if (code == LK_OK)
        *ret_deleted = c.deleted;
    lk_embedded_index_wake(lk_embedded_of(v));
    return code;
}
