/* From text to a tree, by recursive descent with one word of look-ahead.
 *
 *   or    := and  (('or'  | '||') and)*
 *   and   := not  (('and' | '&&') not)*
 *   not   := ('not' | '!') not | '(' or ')' | test
 *   test  := field op value | value op field [op value] | field ['not'] 'in' list
 *          | field ['not'] 'like' string | field ['not'] 'between' value 'and' value
 *          | field 'is' ['not'] 'null' | field | 'true' | 'false'
 *   list  := '[' values ']' | '(' values ')'
 *   field := name | 'metadata' '[' string ']'
 *   value := string | number | 'true' | 'false' | 'timestamp_ms' '(' integer ')'
 *
 * A field alone asks whether it is true. A chain of one connective is one node with many kids; what
 * stands in parentheses stays a node of its own, so printing and parsing are inverse. `not in`,
 * `not like`, `is not null` are a NOT over the plain test and `between` an AND of two comparisons,
 * so that every later stage has fewer kinds of node to know. */
#include <assert.h>

#include "base/mem.h"
#include "filter/lex.h"

typedef struct parser {
    lk_lexer lx;
    lk_tok tok;
    lk_arena *arena;
    size_t n_nodes; /* and values */
    size_t depth;
    lk_code code;
    lk_err *err;
} parser;

/* A list that grows in the arena; its older copies end with the arena. */
typedef struct list {
    void *items;
    size_t n;
    size_t cap;
} list;

static const lk_filter *parse_or(parser *p);

static const lk_filter *fail(parser *p, lk_code code)
{
    p->code = code;
    return NULL;
}

static const lk_filter *fail_expected(parser *p, const char *what)
{
    if (p->tok.type == LK_TOK_END) {
        return fail(p, lk_filter_fail(p->err, LK_E_INVALID, p->tok.column,
                                      "expected %s, found the end of the filter", what));
    }
    lk_str raw = p->tok.raw;
    size_t n = raw.n < 60 ? raw.n : 60;
    while (n && n < raw.n && ((unsigned char)raw.p[n] & 0xc0) == 0x80)
        n--;
    return fail(p, lk_filter_fail(p->err, LK_E_INVALID, p->tok.column, "expected %s, found %.*s%s",
                                  what, (int)n, raw.p, n < raw.n ? "…" : ""));
}

static bool advance(parser *p)
{
    p->code = lk_lex_next(&p->lx, &p->tok, p->err);
    return p->code == LK_OK;
}

static bool at_word(const parser *p, const char *word)
{
    return p->tok.type == LK_TOK_NAME && !p->tok.quoted &&
           lk_str_eq_nocase(p->tok.raw, lk_str_of(word));
}

static bool count_node(parser *p)
{
    if (++p->n_nodes > LK_MAX_FILTER_NODES) {
        fail(p,
             lk_filter_fail(p->err, LK_E_LIMIT, p->tok.column,
                            "the filter has more than %d tests and values", LK_MAX_FILTER_NODES));
        return false;
    }
    return true;
}

static bool enter(parser *p, size_t levels)
{
    if (p->depth + levels > LK_MAX_FILTER_DEPTH) {
        fail(p, lk_filter_fail(p->err, LK_E_LIMIT, p->tok.column,
                               "the filter is nested more than %d deep", LK_MAX_FILTER_DEPTH));
        return false;
    }
    p->depth += levels;
    return true;
}

static lk_filter *new_node(parser *p, lk_filter_op op, int column)
{
    if (!count_node(p))
        return NULL;
    lk_filter *f = lk_arena_zalloc(p->arena, 1, sizeof *f);
    if (!f) {
        fail(p, lk_fail(p->err, LK_E_NOMEM, "no memory for the filter"));
        return NULL;
    }
    f->op = op;
    f->column = column;
    return f;
}

static bool list_add(parser *p, list *l, const void *item, size_t size)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        char *items = lk_arena_zalloc(p->arena, cap, size);
        if (!items) {
            fail(p, lk_fail(p->err, LK_E_NOMEM, "no memory for the filter"));
            return false;
        }
        if (l->n)
            memcpy(items, l->items, l->n * size);
        l->items = items;
        l->cap = cap;
    }
    memcpy((char *)l->items + l->n * size, item, size);
    l->n++;
    return true;
}

static const lk_filter *node_over(parser *p, lk_filter_op op, int column, size_t n,
                                  const lk_filter *const *kids)
{
    lk_filter *f = new_node(p, op, column);
    list l = {0};
    for (size_t i = 0; f && i < n; i++)
        if (!kids[i] || !list_add(p, &l, &kids[i], sizeof kids[i]))
            return NULL;
    if (f) {
        f->n_kids = l.n;
        f->kids = l.items;
    }
    return f;
}

static const lk_filter *negated(parser *p, bool yes, int column, const lk_filter *f)
{
    return f && yes ? node_over(p, LK_F_NOT, column, 1, &f) : f;
}

/* A leaf over the same field as `field`, with one value or none. */
static const lk_filter *leaf(parser *p, lk_filter_op op, const lk_filter *field,
                             const lk_value *value)
{
    lk_filter *f = new_node(p, op, field->column);
    if (!f)
        return NULL;
    f->field = field->field;
    f->in_metadata = field->in_metadata;
    if (value) {
        f->values = lk_arena_memdup(p->arena, value, sizeof *value);
        f->n_values = 1;
        if (!f->values)
            return fail(p, lk_fail(p->err, LK_E_NOMEM, "no memory for the filter"));
    }
    return f;
}

/* timestamp_ms(n), from its name on, which is the current word already passed. */
static bool parse_timestamp(parser *p, lk_value *ret)
{
    if (!advance(p))
        return false;
    if (p->tok.type != LK_TOK_NUMBER || p->tok.value.type != LK_T_INT) {
        fail_expected(p, "whole milliseconds since 1970");
        return false;
    }
    *ret = (lk_value){.type = LK_T_TIME, .i = p->tok.value.i};
    if (!advance(p))
        return false;
    if (p->tok.type != LK_TOK_CLOSE) {
        fail_expected(p, "')'");
        return false;
    }
    return advance(p);
}

static bool parse_value(parser *p, lk_value *ret)
{
    if (!count_node(p))
        return false;
    if (p->tok.type == LK_TOK_STRING || p->tok.type == LK_TOK_NUMBER) {
        *ret = p->tok.value;
        return advance(p);
    }
    if (at_word(p, "true") || at_word(p, "false")) {
        *ret = (lk_value){.type = LK_T_BOOL, .b = at_word(p, "true")};
        return advance(p);
    }
    if (at_word(p, "timestamp_ms")) {
        if (!advance(p))
            return false;
        if (p->tok.type != LK_TOK_OPEN) {
            fail_expected(p, "'(' after timestamp_ms");
            return false;
        }
        return parse_timestamp(p, ret);
    }
    if (at_word(p, "null")) {
        fail_expected(p, "a value ('is null' asks for a missing one)");
        return false;
    }
    fail_expected(p, p->tok.type == LK_TOK_NAME ? "a value (a text stands in quotes)" : "a value");
    return false;
}

/* name or metadata['key'], into a scratch node that only carries the field. */
static bool parse_field(parser *p, lk_filter *ret)
{
    *ret = (lk_filter){.column = p->tok.column, .field = p->tok.value.s};
    bool quoted = p->tok.quoted;
    if (p->tok.type != LK_TOK_NAME || (!quoted && lk_lex_is_keyword(p->tok.raw))) {
        fail_expected(p, "a field");
        return false;
    }
    if (!advance(p))
        return false;
    if (quoted)
        return true;
    lk_str rest = ret->field;
    lk_str head = lk_str_cut(&rest, '.');
    if (!lk_str_eq_nocase(head, LK_STR("metadata")) && !lk_str_is(head, "$meta"))
        return true;
    if (rest.n) { /* metadata.key */
        ret->field = rest;
        ret->in_metadata = true;
        return true;
    }
    if (p->tok.type != LK_TOK_OPEN_LIST)
        return true;
    if (!advance(p))
        return false;
    if (p->tok.type != LK_TOK_STRING || p->tok.value.s.n == 0) {
        fail_expected(p, "a key in quotes");
        return false;
    }
    ret->field = p->tok.value.s;
    ret->in_metadata = true;
    if (!advance(p))
        return false;
    if (p->tok.type != LK_TOK_CLOSE_LIST) {
        fail_expected(p, "']'");
        return false;
    }
    return advance(p);
}

static bool comparison(lk_tok_type type, lk_filter_op *ret)
{
    switch (type) {
    case LK_TOK_EQ:
        *ret = LK_F_EQ;
        return true;
    case LK_TOK_NE:
        *ret = LK_F_NE;
        return true;
    case LK_TOK_LT:
        *ret = LK_F_LT;
        return true;
    case LK_TOK_LE:
        *ret = LK_F_LE;
        return true;
    case LK_TOK_GT:
        *ret = LK_F_GT;
        return true;
    case LK_TOK_GE:
        *ret = LK_F_GE;
        return true;
    default:
        return false;
    }
}

/* `3 < x` says `x > 3`. */
static lk_filter_op mirrored(lk_filter_op op)
{
    switch (op) {
    case LK_F_LT:
        return LK_F_GT;
    case LK_F_LE:
        return LK_F_GE;
    case LK_F_GT:
        return LK_F_LT;
    case LK_F_GE:
        return LK_F_LE;
    default:
        return op;
    }
}

static const lk_filter *both(parser *p, const lk_filter *a, const lk_filter *b, int column)
{
    const lk_filter *kids[] = {a, b};
    return a && b ? node_over(p, LK_F_AND, column, 2, kids) : NULL;
}

static const lk_filter *parse_in(parser *p, const lk_filter *field)
{
    lk_filter *f = new_node(p, LK_F_IN, field->column);
    if (!f || !advance(p))
        return NULL;
    f->field = field->field;
    f->in_metadata = field->in_metadata;
    if (p->tok.type != LK_TOK_OPEN && p->tok.type != LK_TOK_OPEN_LIST)
        return fail_expected(p, "'[' or '('");
    bool square = p->tok.type == LK_TOK_OPEN_LIST;
    lk_tok_type close = square ? LK_TOK_CLOSE_LIST : LK_TOK_CLOSE;
    list l = {0};
    if (!advance(p))
        return NULL;
    while (p->tok.type != close || l.n) {
        lk_value v = {0};
        if (!parse_value(p, &v) || !list_add(p, &l, &v, sizeof v))
            return NULL;
        if (p->tok.type == close)
            break;
        if (p->tok.type != LK_TOK_COMMA)
            return fail_expected(p, square ? "',' or ']'" : "',' or ')'");
        if (!advance(p))
            return NULL;
    }
    f->values = l.items;
    f->n_values = l.n;
    return advance(p) ? f : NULL;
}

static const lk_filter *parse_like(parser *p, const lk_filter *field)
{
    if (!advance(p))
        return NULL;
    if (p->tok.type != LK_TOK_STRING)
        return fail_expected(p, "a pattern in quotes");
    lk_value v = p->tok.value;
    size_t slashes = 0;
    while (slashes < v.s.n && v.s.p[v.s.n - 1 - slashes] == '\\')
        slashes++;
    if (slashes % 2) {
        return fail(p, lk_filter_fail(p->err, LK_E_INVALID, p->tok.column,
                                      "the pattern ends in a backslash that escapes nothing"));
    }
    return count_node(p) && advance(p) ? leaf(p, LK_F_LIKE, field, &v) : NULL;
}

static const lk_filter *parse_between(parser *p, const lk_filter *field)
{
    lk_value low, high;
    if (!enter(p, 2) || !advance(p) || !parse_value(p, &low))
        return NULL;
    p->depth -= 2;
    if (!at_word(p, "and"))
        return fail_expected(p, "'and' and the upper bound");
    if (!advance(p) || !parse_value(p, &high))
        return NULL;
    const lk_filter *above = leaf(p, LK_F_GE, field, &low);
    const lk_filter *below = above ? leaf(p, LK_F_LE, field, &high) : NULL;
    return both(p, above, below, field->column);
}

static const lk_filter *parse_is(parser *p, const lk_filter *field)
{
    if (!advance(p))
        return NULL;
    bool not_null = at_word(p, "not");
    if (not_null && !advance(p))
        return NULL;
    if (!at_word(p, "null"))
        return fail_expected(p, not_null ? "'null'" : "'null' or 'not null'");
    const lk_filter *f = leaf(p, LK_F_IS_NULL, field, NULL);
    return f && advance(p) ? negated(p, not_null, field->column, f) : NULL;
}

/* Does what follows leave a field standing alone? */
static bool ends_test(const parser *p)
{
    return p->tok.type == LK_TOK_END || p->tok.type == LK_TOK_CLOSE ||
           p->tok.type == LK_TOK_AND_SIGN || p->tok.type == LK_TOK_OR_SIGN || at_word(p, "and") ||
           at_word(p, "or");
}

static const lk_filter *parse_field_test(parser *p)
{
    lk_filter field;
    lk_filter_op op;
    if (!parse_field(p, &field))
        return NULL;
    if (comparison(p->tok.type, &op)) {
        lk_value v;
        return advance(p) && parse_value(p, &v) ? leaf(p, op, &field, &v) : NULL;
    }
    if (ends_test(p)) {
        lk_value yes = {.type = LK_T_BOOL, .b = true};
        return count_node(p) ? leaf(p, LK_F_EQ, &field, &yes) : NULL;
    }
    if (at_word(p, "is"))
        return parse_is(p, &field);
    bool inverse = at_word(p, "not");
    if (inverse && !advance(p))
        return NULL;
    const lk_filter *f = NULL;
    if (at_word(p, "in")) {
        f = parse_in(p, &field);
    } else if (at_word(p, "like")) {
        f = parse_like(p, &field);
    } else if (at_word(p, "between")) {
        f = parse_between(p, &field);
    } else {
        return fail_expected(p, inverse ? "'in', 'like' or 'between' after 'not'"
                                        : "a comparison, 'in', 'like', 'between' or 'is null'");
    }
    return negated(p, inverse, field.column, f);
}

/* 0.2 < brightness, and 0.2 < brightness <= 0.5; or true or false alone. */
static const lk_filter *parse_value_test(parser *p)
{
    lk_value v;
    lk_filter field;
    lk_filter_op op;
    int column = p->tok.column;
    if (!parse_value(p, &v))
        return NULL;
    if (v.type == LK_T_BOOL && ends_test(p))
        return new_node(p, v.b ? LK_F_TRUE : LK_F_FALSE, column);
    if (!comparison(p->tok.type, &op))
        return fail_expected(p, "a comparison");
    if (!advance(p) || !parse_field(p, &field))
        return NULL;
    const lk_filter *first = leaf(p, mirrored(op), &field, &v);
    lk_filter_op second;
    if (!first || !comparison(p->tok.type, &second))
        return first;
    if (op == LK_F_EQ || op == LK_F_NE || second == LK_F_EQ || second == LK_F_NE)
        return fail_expected(p, "'and', 'or' or the end");
    if (!enter(p, 2) || !advance(p) || !parse_value(p, &v))
        return NULL;
    p->depth -= 2;
    return both(p, first, leaf(p, second, &field, &v), column);
}

static bool at_value(const parser *p)
{
    if (p->tok.type == LK_TOK_STRING || p->tok.type == LK_TOK_NUMBER || at_word(p, "true") ||
        at_word(p, "false"))
        return true;
    return at_word(p, "timestamp_ms");
}

static const lk_filter *parse_not(parser *p)
{
    int column = p->tok.column;
    if (p->tok.type == LK_TOK_NOT_SIGN || at_word(p, "not")) {
        if (!enter(p, 1) || !advance(p))
            return NULL;
        const lk_filter *f = parse_not(p);
        p->depth--;
        return negated(p, true, column, f);
    }
    if (p->tok.type == LK_TOK_OPEN) {
        if (!enter(p, 1) || !advance(p))
            return NULL;
        const lk_filter *f = parse_or(p);
        if (!f)
            return NULL;
        p->depth--;
        if (p->tok.type != LK_TOK_CLOSE)
            return fail_expected(p, "')', 'and' or 'or'");
        return advance(p) ? f : NULL;
    }
    if (at_value(p))
        return parse_value_test(p);
    if (p->tok.type == LK_TOK_NAME)
        return parse_field_test(p);
    return fail_expected(p, "a field, 'not' or '('");
}

typedef const lk_filter *parse_fn(parser *p);

/* operand (word operand)*: one operand stays itself. */
static const lk_filter *parse_chain(parser *p, parse_fn *operand, lk_filter_op op, lk_tok_type sign,
                                    const char *word)
{
    int column = p->tok.column;
    const lk_filter *f = operand(p);
    if (!f || (p->tok.type != sign && !at_word(p, word)))
        return f;
    list kids = {0};
    if (!list_add(p, &kids, &f, sizeof f))
        return NULL;
    while (p->tok.type == sign || at_word(p, word)) {
        if (!advance(p))
            return NULL;
        f = operand(p);
        if (!f || !list_add(p, &kids, &f, sizeof f))
            return NULL;
    }
    lk_filter *node = new_node(p, op, column);
    if (node) {
        node->kids = kids.items;
        node->n_kids = kids.n;
    }
    return node;
}

static const lk_filter *parse_and(parser *p)
{
    return parse_chain(p, parse_not, LK_F_AND, LK_TOK_AND_SIGN, "and");
}

static const lk_filter *parse_or(parser *p)
{
    return parse_chain(p, parse_and, LK_F_OR, LK_TOK_OR_SIGN, "or");
}

lk_code lk_filter_parse(lk_str text, lk_arena *arena, const lk_filter **ret, lk_err *err)
{
    if (text.n > LK_MAX_FILTER_BYTES) {
        return lk_filter_fail(err, LK_E_LIMIT, 1, "the filter is longer than %d bytes",
                              LK_MAX_FILTER_BYTES);
    }
    if (!lk_utf8_valid(text))
        return lk_filter_fail(err, LK_E_INVALID, 1, "the filter is not valid UTF-8");
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\0')
            return lk_filter_fail(err, LK_E_INVALID, 1, "the filter holds a NUL character");
    /* Names and strings of the tree point into this copy, so the text need not outlive the call. */
    char *copy = lk_arena_strndup(arena, text.p ? text.p : "", text.n);
    if (!copy)
        return lk_fail(err, LK_E_NOMEM, "no memory for the filter");
    parser p = {
        .lx = {.text = {copy, text.n}, .column = 1, .arena = arena}, .arena = arena, .err = err};
    if (!advance(&p))
        return p.code;
    const lk_filter *f = NULL;
    if (p.tok.type == LK_TOK_END) {
        f = new_node(&p, LK_F_TRUE, 1);
    } else {
        f = parse_or(&p);
        if (f && p.tok.type != LK_TOK_END)
            f = fail_expected(&p, "'and', 'or' or the end");
    }
    if (!f) {
        assert(p.code != LK_OK);
        return p.code;
    }
    *ret = f;
    return LK_OK;
}
