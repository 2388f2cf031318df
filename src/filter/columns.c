/* Evaluation. `narrow(f, negated, bits)` keeps the slots of `bits` for which f is true, or,
 * negated, for which f is false; what is unknown is kept by neither. De Morgan's laws hold in
 * three-valued logic, so a NOT only flips the flag on its way down, and no "unknown" set is ever
 * built:
 *
 *   AND: narrow by every kid in turn          OR: the union of narrowing copies of bits
 *   negated, the two change places             leaf: (test ^ negated) & known
 *
 * A leaf computes 64 rows as one word from a branch-free range test: every comparison of numbers
 * and times is lo <= x <= hi, and of strings a membership of the value's number in a set of
 * numbers. */
#include "filter/columns.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "filter/dict.h"
#include "filter/like.h"

#define WORD_ROWS 64

typedef struct column {
    char *name;
    size_t name_n;
    lk_type type;
    bool in_metadata;
    lk_bitmap known; /* cells that are not null */
    size_t cap;      /* cells allocated, a multiple of WORD_ROWS */
    union {
        int64_t *i;
        double *d;
        uint32_t *code;
        uint8_t *b;
        void *p;
    } cells;
    lk_dict dict;
} column;

struct lk_columns {
    column *columns;
    size_t n;
    size_t cap;
    size_t n_slots;
};

lk_code lk_columns_new(lk_columns **ret, lk_err *err)
{
    lk_columns *c = lk_calloc(1, sizeof *c);
    if (!c)
        return lk_fail(err, LK_E_NOMEM, "no memory for columns");
    *ret = c;
    return LK_OK;
}

static void release_column(column *col)
{
    lk_bitmap_release(&col->known);
    lk_dict_release(&col->dict);
    lk_free(col->cells.p);
    lk_free(col->name);
}

void lk_columns_free(lk_columns *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        release_column(&c->columns[i]);
    lk_free(c->columns);
    lk_free(c);
}

size_t lk_columns_find(const lk_columns *c, lk_str name, bool in_metadata)
{
    for (size_t i = 0; i < c->n; i++) {
        const column *col = &c->columns[i];
        if (col->in_metadata == in_metadata && lk_str_eq((lk_str){col->name, col->name_n}, name))
            return i;
    }
    return SIZE_MAX;
}

size_t lk_columns_count(const lk_columns *c)
{
    return c->n;
}

lk_field lk_columns_field(const lk_columns *c, size_t i)
{
    const column *col = &c->columns[i];
    return (lk_field){
        .name = {col->name, col->name_n}, .type = col->type, .in_metadata = col->in_metadata};
}

static size_t cell_bytes(lk_type type)
{
    switch (type) {
    case LK_T_BOOL:
        return sizeof(uint8_t);
    case LK_T_STR:
        return sizeof(uint32_t);
    default:
        return sizeof(int64_t);
    }
}

static lk_code grow_column(column *col, size_t n_slots, lk_err *err)
{
    lk_code code = LK_OK;
    if (n_slots > col->known.n_bits)
        code = lk_bitmap_resize(&col->known, n_slots, err);
    if (code != LK_OK || n_slots <= col->cap)
        return code;
    size_t cap = col->cap ? col->cap : WORD_ROWS;
    while (cap < n_slots)
        cap *= 2;
    size_t bytes = cell_bytes(col->type);
    void *p = lk_realloc_array(col->cells.p, cap, bytes);
    if (!p)
        return lk_fail(err, LK_E_NOMEM, "no memory for %zu attribute cells", cap);
    memset((char *)p + col->cap * bytes, 0, (cap - col->cap) * bytes);
    col->cells.p = p;
    col->cap = cap;
    return LK_OK;
}

lk_code lk_columns_reserve(lk_columns *c, size_t n_slots, lk_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        lk_code code = grow_column(&c->columns[i], n_slots, err);
        if (code != LK_OK)
            return code;
    }
    if (n_slots > c->n_slots)
        c->n_slots = n_slots;
    return LK_OK;
}

static lk_code fail_type(const column *col, lk_type got, lk_err *err)
{
    return lk_fail_field(err, LK_E_INVALID, col->name,
                         "attribute '%.64s' holds values of type %s, and this one is of type %s",
                         col->name, lk_type_name(col->type), lk_type_name(got));
}

lk_code lk_columns_need(lk_columns *c, lk_str name, bool in_metadata, lk_type type, size_t *ret,
                        lk_err *err)
{
    size_t at = lk_columns_find(c, name, in_metadata);
    if (at != SIZE_MAX) {
        const column *col = &c->columns[at];
        if (col->type != type && !(col->type == LK_T_REAL && type == LK_T_INT))
            return fail_type(col, type, err);
        *ret = at;
        return LK_OK;
    }
    if (c->n >= LK_MAX_COLUMNS)
        return lk_fail(err, LK_E_LIMIT, "more than %d different attributes", LK_MAX_COLUMNS);
    void *columns = c->columns;
    if (!lk_grow(&columns, &c->cap, c->n + 1, sizeof *c->columns))
        return lk_fail(err, LK_E_NOMEM, "no memory for a column");
    c->columns = columns;
    column *col = &c->columns[c->n];
    *col = (column){.type = type, .in_metadata = in_metadata, .name_n = name.n};
    lk_bitmap_init(&col->known);
    lk_dict_init(&col->dict);
    col->name = lk_strndup(name.p, name.n);
    lk_code code = col->name ? grow_column(col, c->n_slots, err)
                             : lk_fail(err, LK_E_NOMEM, "no memory for a column");
    if (code != LK_OK) {
        release_column(col);
        return code;
    }
    *ret = c->n++;
    return LK_OK;
}

static void empty_cell(column *col, size_t slot)
{
    if (!lk_bitmap_get(&col->known, slot))
        return;
    lk_bitmap_unset(&col->known, slot);
    if (col->type == LK_T_STR) {
        lk_dict_drop(&col->dict, col->cells.code[slot]);
        col->cells.code[slot] = 0;
    }
}

static lk_code set_string(column *col, size_t slot, lk_str s, lk_err *err)
{
    uint32_t number;
    lk_code code = lk_dict_use(&col->dict, s, &number, err);
    if (code == LK_OK) {
        empty_cell(col, slot); /* after the new one: setting the same text again keeps its number */
        col->cells.code[slot] = number;
        lk_bitmap_set(&col->known, slot);
    }
    return code;
}

lk_code lk_columns_set(lk_columns *c, size_t i, size_t slot, const lk_value *v, lk_err *err)
{
    column *col = &c->columns[i];
    if (v->type == LK_T_NULL) {
        empty_cell(col, slot);
        return LK_OK;
    }
    bool widen = col->type == LK_T_REAL && v->type == LK_T_INT;
    if (v->type != col->type && !widen)
        return fail_type(col, v->type, err);
    if (slot >= c->n_slots) {
        lk_code code = lk_columns_reserve(c, slot + 1, err);
        if (code != LK_OK)
            return code;
    }
    switch (col->type) {
    case LK_T_STR:
        return set_string(col, slot, v->s, err);
    case LK_T_BOOL:
        col->cells.b[slot] = v->b;
        break;
    case LK_T_REAL:
        col->cells.d[slot] = widen ? (double)v->i : v->d;
        break;
    default:
        col->cells.i[slot] = v->i;
        break;
    }
    lk_bitmap_set(&col->known, slot);
    return LK_OK;
}

void lk_columns_clear(lk_columns *c, size_t slot)
{
    for (size_t i = 0; i < c->n; i++)
        empty_cell(&c->columns[i], slot);
}

lk_code lk_columns_hold(lk_columns *c, size_t i, const lk_value *v, lk_err *err)
{
    column *col = &c->columns[i];
    if (v->type != LK_T_STR || col->type != LK_T_STR)
        return LK_OK;
    uint32_t number;
    lk_code code = lk_dict_use(&col->dict, v->s, &number, err);
    if (code == LK_OK)
        col->dict.entries[number].holds++;
    return code;
}

void lk_columns_let_go(lk_columns *c, size_t i, const lk_value *v)
{
    column *col = &c->columns[i];
    if (v->type != LK_T_STR || col->type != LK_T_STR)
        return;
    uint32_t number = lk_dict_find(&col->dict, v->s);
    col->dict.entries[number].holds--;
    lk_dict_drop(&col->dict, number);
}

void lk_columns_truncate(lk_columns *c, size_t n)
{
    while (c->n > n)
        release_column(&c->columns[--c->n]);
}

lk_value lk_columns_get(const lk_columns *c, size_t i, size_t slot)
{
    const column *col = &c->columns[i];
    if (!lk_bitmap_get(&col->known, slot))
        return (lk_value){.type = LK_T_NULL};
    lk_value v = {.type = col->type};
    switch (col->type) {
    case LK_T_STR:
        v.s = lk_dict_text(&col->dict, col->cells.code[slot]);
        break;
    case LK_T_BOOL:
        v.b = col->cells.b[slot];
        break;
    case LK_T_REAL:
        v.d = col->cells.d[slot];
        break;
    default:
        v.i = col->cells.i[slot];
        break;
    }
    return v;
}

/* ---- tests, 64 rows a word ---- */

static uint64_t word_of_ints(const int64_t *cells, int64_t lo, uint64_t span)
{
    uint64_t word = 0;
    for (unsigned j = 0; j < WORD_ROWS; j++)
        word |= (uint64_t)((uint64_t)cells[j] - (uint64_t)lo <= span) << j;
    return word;
}

static uint64_t word_of_reals(const double *cells, double lo, double hi)
{
    uint64_t word = 0;
    for (unsigned j = 0; j < WORD_ROWS; j++)
        word |= (uint64_t)((cells[j] >= lo) & (cells[j] <= hi)) << j;
    return word;
}

static uint64_t word_of_code(const uint32_t *cells, uint32_t code)
{
    uint64_t word = 0;
    for (unsigned j = 0; j < WORD_ROWS; j++)
        word |= (uint64_t)(cells[j] == code) << j;
    return word;
}

/* Only the rows of `candidates`: the look-up in the set is a random read. */
static uint64_t word_of_codes(const uint32_t *cells, const lk_bitmap *set, uint64_t candidates)
{
    uint64_t word = 0;
    while (candidates) {
        unsigned j = (unsigned)__builtin_ctzll(candidates);
        candidates &= candidates - 1;
        word |= (uint64_t)lk_bitmap_get(set, cells[j]) << j;
    }
    return word;
}

static uint64_t word_of_bools(const uint8_t *cells, bool value)
{
    uint64_t word = 0;
    for (unsigned j = 0; j < WORD_ROWS; j++)
        word |= (uint64_t)((cells[j] != 0) == value) << j;
    return word;
}

/* Is x among sorted[n]? */
static bool among(const int64_t *sorted, size_t n, int64_t x)
{
    size_t lo = 0;
    size_t hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (sorted[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && sorted[lo] == x;
}

static uint64_t word_of_sorted(const int64_t *cells, const int64_t *sorted, size_t n,
                               uint64_t candidates)
{
    uint64_t word = 0;
    while (candidates) {
        unsigned j = (unsigned)__builtin_ctzll(candidates);
        candidates &= candidates - 1;
        word |= (uint64_t)among(sorted, n, cells[j]) << j;
    }
    return word;
}

/* ---- leaves: what to ask of a cell, worked out once ---- */

typedef enum ask {
    ASK_NEVER, /* false of every known cell */
    ASK_INTS,
    ASK_REALS,
    ASK_CODE,
    ASK_CODES,
    ASK_BOOL,
    ASK_SORTED,
} ask;

typedef struct question {
    ask ask;
    bool flip; /* the opposite is asked for (!=) */
    int64_t lo;
    uint64_t span; /* hi - lo */
    double d_lo, d_hi;
    uint32_t code;
    bool b;
    lk_bitmap codes;
    int64_t *sorted;
    size_t n_sorted;
} question;

static void release_question(question *q)
{
    lk_bitmap_release(&q->codes);
    lk_free(q->sorted);
}

static void int_range(question *q, int64_t lo, int64_t hi)
{
    q->ask = lo <= hi ? ASK_INTS : ASK_NEVER;
    q->lo = lo;
    q->span = (uint64_t)hi - (uint64_t)lo;
}

static void ask_int(question *q, lk_filter_op op, int64_t v)
{
    switch (op) {
    case LK_F_LT:
        int_range(q, INT64_MIN, v == INT64_MIN ? v : v - 1);
        q->ask = v == INT64_MIN ? ASK_NEVER : ASK_INTS;
        break;
    case LK_F_LE:
        int_range(q, INT64_MIN, v);
        break;
    case LK_F_GT:
        int_range(q, v == INT64_MAX ? v : v + 1, INT64_MAX);
        q->ask = v == INT64_MAX ? ASK_NEVER : ASK_INTS;
        break;
    case LK_F_GE:
        int_range(q, v, INT64_MAX);
        break;
    default:
        int_range(q, v, v);
        q->flip = op == LK_F_NE;
        break;
    }
}

static void ask_real(question *q, lk_filter_op op, double v)
{
    q->ask = ASK_REALS;
    q->d_lo = -INFINITY;
    q->d_hi = INFINITY;
    switch (op) {
    case LK_F_LT:
        q->d_hi = nextafter(v, -INFINITY);
        break;
    case LK_F_LE:
        q->d_hi = v;
        break;
    case LK_F_GT:
        q->d_lo = nextafter(v, INFINITY);
        break;
    case LK_F_GE:
        q->d_lo = v;
        break;
    default:
        q->d_lo = v;
        q->d_hi = v;
        q->flip = op == LK_F_NE;
        break;
    }
}

static bool string_passes(const lk_filter *f, lk_str s)
{
    if (f->op == LK_F_LIKE)
        return lk_like(s, f->values[0].s);
    int order = lk_str_cmp(s, f->values[0].s);
    switch (f->op) {
    case LK_F_LT:
        return order < 0;
    case LK_F_LE:
        return order <= 0;
    case LK_F_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static lk_code ask_string(question *q, const column *col, const lk_filter *f, lk_err *err)
{
    const lk_dict *dict = &col->dict;
    if (f->op == LK_F_EQ || f->op == LK_F_NE) {
        q->code = lk_dict_find(dict, f->values[0].s);
        q->ask = q->code == LK_DICT_NONE ? ASK_NEVER : ASK_CODE;
        q->flip = f->op == LK_F_NE;
        return LK_OK;
    }
    lk_code code = lk_bitmap_resize(&q->codes, dict->n, err);
    if (code != LK_OK)
        return code;
    size_t hits = 0;
    if (f->op == LK_F_IN) {
        for (size_t i = 0; i < f->n_values; i++) {
            uint32_t number =
                f->values[i].type == LK_T_STR ? lk_dict_find(dict, f->values[i].s) : LK_DICT_NONE;
            if (number != LK_DICT_NONE) {
                lk_bitmap_set(&q->codes, number);
                hits++;
            }
        }
    } else {
        for (uint32_t i = 0; i < dict->n; i++) {
            if (dict->entries[i].p && string_passes(f, lk_dict_text(dict, i))) {
                lk_bitmap_set(&q->codes, i);
                hits++;
            }
        }
    }
    q->ask = hits ? ASK_CODES : ASK_NEVER;
    return LK_OK;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t bits_of(double d)
{
    int64_t i;
    double plus = d + 0.0; /* -0 equals 0, so they must share a pattern */
    memcpy(&i, &plus, sizeof i);
    return i;
}

/* `in` over numbers and times: sorted patterns, searched by halves. Reals are compared by their bit
 * pattern, which is exact for finite ones once the two zeros are one. */
static lk_code ask_sorted(question *q, const column *col, const lk_filter *f, lk_err *err)
{
    q->sorted = lk_alloc_array(f->n_values + 1, sizeof *q->sorted);
    if (!q->sorted)
        return lk_fail(err, LK_E_NOMEM, "no memory for the filter's list");
    for (size_t i = 0; i < f->n_values; i++) {
        const lk_value *v = &f->values[i];
        if (v->type == col->type)
            q->sorted[q->n_sorted++] = v->type == LK_T_REAL ? bits_of(v->d) : v->i;
    }
    qsort(q->sorted, q->n_sorted, sizeof *q->sorted, by_value);
    q->ask = q->n_sorted ? ASK_SORTED : ASK_NEVER;
    return LK_OK;
}

static lk_code ask_bools(question *q, const lk_filter *f)
{
    bool yes = false, no = false;
    for (size_t i = 0; i < f->n_values; i++) {
        yes |= f->values[i].b;
        no |= !f->values[i].b;
    }
    q->ask = yes != no ? ASK_BOOL : ASK_NEVER;
    q->b = yes;
    q->flip = (f->op == LK_F_NE) != (yes && no);
    return LK_OK;
}

/* A filter checked before a column got its type has literals of another one; then no cell of it is
 * comparable, which is unknown: the caller keeps nothing. */
static bool comparable(const column *col, const lk_filter *f)
{
    return col->type == f->type || f->type == LK_T_NULL;
}

static lk_code ask_of(question *q, const column *col, const lk_filter *f, lk_err *err)
{
    *q = (question){.ask = ASK_NEVER};
    lk_bitmap_init(&q->codes);
    if (col->type == LK_T_STR)
        return ask_string(q, col, f, err);
    if (col->type == LK_T_BOOL)
        return ask_bools(q, f);
    if (f->op == LK_F_IN)
        return ask_sorted(q, col, f, err);
    if (col->type == LK_T_REAL)
        ask_real(q, f->op, f->values[0].d);
    else
        ask_int(q, f->op, f->values[0].i);
    return LK_OK;
}

static uint64_t word_of_sorted_reals(const double *cells, const question *q, uint64_t candidates)
{
    uint64_t word = 0;
    while (candidates) {
        unsigned j = (unsigned)__builtin_ctzll(candidates);
        candidates &= candidates - 1;
        word |= (uint64_t)among(q->sorted, q->n_sorted, bits_of(cells[j])) << j;
    }
    return word;
}

static uint64_t answer(const question *q, const column *col, size_t row, uint64_t candidates)
{
    switch (q->ask) {
    case ASK_INTS:
        return word_of_ints(col->cells.i + row, q->lo, q->span);
    case ASK_REALS:
        return word_of_reals(col->cells.d + row, q->d_lo, q->d_hi);
    case ASK_CODE:
        return word_of_code(col->cells.code + row, q->code);
    case ASK_CODES:
        return word_of_codes(col->cells.code + row, &q->codes, candidates);
    case ASK_BOOL:
        return word_of_bools(col->cells.b + row, q->b);
    case ASK_SORTED:
        return col->type == LK_T_REAL
                   ? word_of_sorted_reals(col->cells.d + row, q, candidates)
                   : word_of_sorted(col->cells.i + row, q->sorted, q->n_sorted, candidates);
    default:
        return 0;
    }
}

static lk_code narrow_leaf(const lk_columns *c, const lk_filter *f, bool negated, lk_bitmap *io,
                           lk_err *err)
{
    size_t at = lk_columns_find(c, f->field, f->in_metadata);
    const column *col = at == SIZE_MAX ? NULL : &c->columns[at];
    if (f->op == LK_F_IS_NULL) {
        if (!col) {
            if (negated)
                lk_bitmap_fill(io, false);
        } else if (negated) {
            lk_bitmap_and(io, &col->known);
        } else {
            lk_bitmap_and_not(io, &col->known);
        }
        return LK_OK;
    }
    if (!col || !comparable(col, f)) {
        lk_bitmap_fill(io, false);
        return LK_OK;
    }
    lk_bitmap_and(io, &col->known);
    question q;
    lk_code code = ask_of(&q, col, f, err);
    if (code == LK_OK) {
        uint64_t flip = negated != q.flip ? ~UINT64_C(0) : 0;
        size_t n_words = lk_bitmap_words(io->n_bits);
        for (size_t w = 0; w < n_words; w++) {
            uint64_t candidates = io->words[w];
            if (candidates)
                io->words[w] = candidates & (answer(&q, col, w * WORD_ROWS, candidates) ^ flip);
        }
    }
    release_question(&q);
    return code;
}

static lk_code narrow(const lk_columns *c, const lk_filter *f, bool negated, lk_bitmap *io,
                      lk_err *err);

static lk_code narrow_any(const lk_columns *c, const lk_filter *f, bool negated, lk_bitmap *io,
                          lk_err *err)
{
    lk_bitmap any, one;
    lk_bitmap_init(&any);
    lk_bitmap_init(&one);
    lk_code code = lk_bitmap_resize(&any, io->n_bits, err);
    for (size_t i = 0; code == LK_OK && i < f->n_kids; i++) {
        code = lk_bitmap_copy(&one, io, err);
        if (code == LK_OK)
            code = narrow(c, f->kids[i], negated, &one, err);
        if (code == LK_OK) {
            lk_bitmap_or(&any, &one);
            lk_bitmap_and_not(io, &one); /* found already: the next kid need not look again */
        }
    }
    if (code == LK_OK) {
        lk_bitmap swap = *io;
        *io = any;
        any = swap;
    }
    lk_bitmap_release(&any);
    lk_bitmap_release(&one);
    return code;
}

static lk_code narrow(const lk_columns *c, const lk_filter *f, bool negated, lk_bitmap *io,
                      lk_err *err)
{
    switch (f->op) {
    case LK_F_TRUE:
    case LK_F_FALSE:
        if ((f->op == LK_F_TRUE) == negated)
            lk_bitmap_fill(io, false);
        return LK_OK;
    case LK_F_NOT:
        return narrow(c, f->kids[0], !negated, io, err);
    case LK_F_AND:
    case LK_F_OR: {
        if ((f->op == LK_F_OR) != negated)
            return narrow_any(c, f, negated, io, err);
        lk_code code = LK_OK;
        for (size_t i = 0; code == LK_OK && i < f->n_kids; i++)
            code = narrow(c, f->kids[i], negated, io, err);
        return code;
    }
    default:
        return narrow_leaf(c, f, negated, io, err);
    }
}

lk_code lk_columns_narrow(const lk_columns *c, const lk_filter *checked, lk_bitmap *io, lk_err *err)
{
    return narrow(c, checked, false, io, err);
}

/* ---- counts ---- */

static int by_count(const void *a, const void *b)
{
    const lk_columns_value *x = a;
    const lk_columns_value *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return lk_str_cmp(x->value, y->value);
}

lk_code lk_columns_values(const lk_columns *c, size_t i, size_t limit, lk_arena *into,
                          lk_columns_value **ret, size_t *ret_n, lk_err *err)
{
    const column *col = &c->columns[i];
    size_t n = 0;
    lk_columns_value *all = lk_alloc_array(col->dict.live + 1, sizeof *all);
    if (!all)
        return lk_fail(err, LK_E_NOMEM, "no memory for the values of '%.64s'", col->name);
    for (uint32_t k = 0; k < col->dict.n; k++) {
        const lk_dict_entry *e = &col->dict.entries[k];
        if (e->p && e->users > e->holds)
            all[n++] = (lk_columns_value){lk_dict_text(&col->dict, k), e->users - e->holds};
    }
    qsort(all, n, sizeof *all, by_count);
    n = n < limit ? n : limit;
    lk_columns_value *out = lk_arena_zalloc(into, n + 1, sizeof *out);
    if (out) {
        memcpy(out, all, n * sizeof *out);
        *ret = out;
        *ret_n = n;
    }
    lk_free(all);
    return out ? LK_OK : lk_fail(err, LK_E_NOMEM, "no memory for the values of '%.64s'", col->name);
}

size_t lk_columns_bytes(const lk_columns *c)
{
    size_t bytes = sizeof *c + c->cap * sizeof *c->columns;
    for (size_t i = 0; i < c->n; i++) {
        const column *col = &c->columns[i];
        bytes += col->cap * cell_bytes(col->type) + col->known.cap_words * sizeof(uint64_t) +
                 col->dict.cap * sizeof *col->dict.entries +
                 col->dict.table_cap * sizeof *col->dict.table + col->dict.text_bytes;
    }
    return bytes;
}
