/* One row at a time: the definition that the evaluation over columns is tested against. */
#include "filter/filter.h"
#include "filter/like.h"

typedef enum truth { NO, YES, UNKNOWN } truth;

static truth truth_of(bool b)
{
    return b ? YES : NO;
}

/* -1, 0, 1; false when the two have no order. */
static bool compare(const lk_value *a, const lk_value *b, int *ret)
{
    bool number_a = a->type == LK_T_INT || a->type == LK_T_REAL;
    bool number_b = b->type == LK_T_INT || b->type == LK_T_REAL;
    if (number_a && number_b && (a->type == LK_T_REAL || b->type == LK_T_REAL)) {
        double x = a->type == LK_T_REAL ? a->d : (double)a->i;
        double y = b->type == LK_T_REAL ? b->d : (double)b->i;
        *ret = (x > y) - (x < y);
        return x == x && y == y;
    }
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case LK_T_INT:
    case LK_T_TIME:
        *ret = (a->i > b->i) - (a->i < b->i);
        return true;
    case LK_T_BOOL:
        *ret = (int)a->b - (int)b->b;
        return true;
    case LK_T_STR: {
        int order = lk_str_cmp(a->s, b->s);
        *ret = (order > 0) - (order < 0);
        return true;
    }
    default:
        return false;
    }
}

static truth test(lk_filter_op op, const lk_value *row, const lk_value *literal)
{
    int order = 0;
    if (!compare(row, literal, &order))
        return UNKNOWN;
    switch (op) {
    case LK_F_EQ:
        return truth_of(order == 0);
    case LK_F_NE:
        return truth_of(order != 0);
    case LK_F_LT:
        return truth_of(order < 0);
    case LK_F_LE:
        return truth_of(order <= 0);
    case LK_F_GT:
        return truth_of(order > 0);
    default:
        return truth_of(order >= 0);
    }
}

static truth test_in(const lk_filter *f, const lk_value *row)
{
    truth all = NO;
    for (size_t i = 0; i < f->n_values; i++) {
        truth one = test(LK_F_EQ, row, &f->values[i]);
        if (one == YES)
            return YES;
        if (one == UNKNOWN)
            all = UNKNOWN;
    }
    return all;
}

static truth match_leaf(const lk_filter *f, lk_filter_get_fn *get, const void *row)
{
    lk_value v = get(row, f->field, f->in_metadata);
    if (f->op == LK_F_IS_NULL)
        return truth_of(v.type == LK_T_NULL);
    if (v.type == LK_T_NULL)
        return UNKNOWN;
    switch (f->op) {
    case LK_F_IN:
        return test_in(f, &v);
    case LK_F_LIKE:
        return v.type == LK_T_STR ? truth_of(lk_like(v.s, f->values[0].s)) : UNKNOWN;
    default:
        return test(f->op, &v, &f->values[0]);
    }
}

static truth match(const lk_filter *f, lk_filter_get_fn *get, const void *row)
{
    switch (f->op) {
    case LK_F_TRUE:
        return YES;
    case LK_F_FALSE:
        return NO;
    case LK_F_NOT: {
        truth t = match(f->kids[0], get, row);
        return t == UNKNOWN ? UNKNOWN : truth_of(t == NO);
    }
    case LK_F_AND:
    case LK_F_OR: {
        truth decisive = f->op == LK_F_AND ? NO : YES;
        truth all = decisive == NO ? YES : NO;
        for (size_t i = 0; i < f->n_kids; i++) {
            truth t = match(f->kids[i], get, row);
            if (t == decisive)
                return t;
            if (t == UNKNOWN)
                all = UNKNOWN;
        }
        return all;
    }
    default:
        return match_leaf(f, get, row);
    }
}

bool lk_filter_match(const lk_filter *checked, lk_filter_get_fn *get, const void *row)
{
    return match(checked, get, row) == YES;
}
