/* Both ways in which SentencePiece cuts a text into pieces.
 *
 * By merging: of all neighbours the pair whose joint piece has the highest score is joined, the
 * leftmost among equals, until none is known. It is model/merge.c but that pieces are told by their
 * text: every way to come by a piece leads to the same one, and a table of pairs would be as large
 * as the vocabulary is long. Pieces that are never cut do not join either.
 *
 * By score (unigram): the row of pieces with the highest sum of scores, found from left to right:
 * the best row that ends at a character is the best of those that end where its last piece begins,
 * and that piece. A character in no piece costs ten more than the worst piece does. Sums are kept
 * and compared in the library's own widths, so that equal rows are told apart as it does. */
#include "base/mem.h"
#include "model/heap.h"
#include "model/pieces.h"

#define UNKNOWN_PENALTY 10.0f
#define WHOLE_COST 0.1f /* of a piece that is never cut, which is less than any other's */

static size_t char_bytes(lk_str text, size_t at)
{
    size_t next = at;
    (void)lk_utf8_next(text, &next);
    return next - at;
}

static lk_code out_of_memory(lk_err *err)
{
    return lk_fail(err, LK_E_NOMEM, "out of memory for a text");
}

/* ---- by merging ---- */

typedef struct symbol {
    uint32_t begin, n;   /* bytes of the text; n is 0 once it went into its left neighbour */
    uint32_t prev, next; /* symbols; NONE at the ends */
    bool whole;
} symbol;

#define NONE UINT32_MAX

typedef struct row {
    const lk_pieces *pieces;
    lk_str text;
    symbol *symbols;
    uint32_t n;
    lk_heap heap; /* a: the right symbol, b: bytes of both, by which a stale one is known */
} row;

/* Floats in falling order as integers in rising order: those above zero have their bits turned, and
 * what is below zero stands above them by its sign, the lower the higher. */
static uint64_t key_of(float score, uint32_t left)
{
    uint32_t bits;
    float plain = score + 0.0f; /* no negative zero */
    memcpy(&bits, &plain, sizeof bits);
    return (uint64_t)(bits >> 31 ? bits : ~bits & ~(1u << 31)) << 32 | left;
}

static void push(row *r, uint32_t left, uint32_t right)
{
    if (left == NONE || right == NONE || r->symbols[left].whole || r->symbols[right].whole)
        return;
    const symbol *a = &r->symbols[left], *b = &r->symbols[right];
    lk_str both = {r->text.p + a->begin, a->n + b->n};
    uint32_t id =
        both.n <= r->pieces->texts.longest ? lk_vocab_find(&r->pieces->texts, both) : LK_NO_ID;
    if (id == LK_NO_ID)
        return;
    lk_heap_push(&r->heap, (lk_joint){key_of(r->pieces->scores[id], left), right, a->n + b->n});
}

static void split(row *r)
{
    for (size_t at = 0; at < r->text.n;) {
        size_t n = lk_pieces_whole_at(r->pieces, (lk_str){r->text.p + at, r->text.n - at});
        symbol s = {.begin = (uint32_t)at,
                    .prev = r->n ? r->n - 1 : NONE,
                    .next = r->n + 1,
                    .whole = n > 0};
        s.n = (uint32_t)(n ? n : char_bytes(r->text, at));
        r->symbols[r->n++] = s;
        at += s.n;
    }
    r->symbols[r->n - 1].next = NONE;
}

static void join_all(row *r)
{
    for (uint32_t i = 0; i + 1 < r->n; i++)
        push(r, i, i + 1);
    while (r->heap.n) {
        lk_joint j = lk_heap_pop(&r->heap);
        uint32_t left = (uint32_t)j.key;
        symbol *a = &r->symbols[left], *b = &r->symbols[j.a];
        if (a->n == 0 || b->n == 0 || a->n + b->n != j.b)
            continue; /* stale */
        a->n += b->n;
        b->n = 0;
        a->next = b->next;
        if (a->next != NONE)
            r->symbols[a->next].prev = left;
        push(r, a->prev, left);
        push(r, left, a->next);
    }
}

lk_code lk_cut_by_merging(const lk_pieces *p, lk_str text, lk_runes *ret, lk_err *err)
{
    row r = {.pieces = p, .text = text};
    if (text.n == 0)
        return LK_OK;
    r.symbols = lk_alloc_array(text.n, sizeof *r.symbols);
    /* n - 1, and two for each of n - 1 joints. */
    r.heap.p = lk_alloc_array(text.n, 3 * sizeof *r.heap.p);
    if (r.symbols && r.heap.p) {
        split(&r);
        join_all(&r);
        for (uint32_t i = 0; i != NONE; i = r.symbols[i].next)
            lk_runes_put(ret, r.symbols[i].begin + r.symbols[i].n);
    }
    lk_code code = r.symbols && r.heap.p && !ret->failed ? LK_OK : out_of_memory(err);
    lk_free(r.symbols);
    lk_free(r.heap.p);
    return code;
}

/* ---- by score ---- */

/* The best row of pieces that ends at a byte. */
typedef struct best {
    float score;
    uint32_t begin; /* of its last piece; NONE: no row ends here yet */
} best;

static void offer(best *at, float score, size_t begin)
{
    if (at->begin == NONE || score > at->score)
        *at = (best){score, (uint32_t)begin};
}

/* All pieces that begin at byte `at`. */
static void extend(const lk_pieces *p, lk_str text, best *ends, size_t at)
{
    size_t first = char_bytes(text, at), n = 0;
    bool single = false;
    float here = ends[at].score;
    while (at + n < text.n && n < p->texts.longest) {
        n += char_bytes(text, at + n);
        lk_str part = {text.p + at, n};
        uint32_t id = lk_vocab_find(&p->texts, part);
        if (id == LK_NO_ID)
            continue;
        bool whole = p->whole.longest && lk_vocab_find(&p->whole, part) != LK_NO_ID;
        float score = whole ? (float)n * p->max_score - WHOLE_COST : p->scores[id];
        offer(&ends[at + n], here + score, at);
        single |= n == first;
    }
    if (!single)
        offer(&ends[at + first], here + (p->min_score - UNKNOWN_PENALTY), at);
}

/* The ends along the best row, found backwards, then turned round. */
static void put_ends(const best *ends, size_t n, lk_runes *ret)
{
    size_t from = ret->n;
    for (size_t at = n; at > 0; at = ends[at].begin)
        lk_runes_put(ret, (uint32_t)at);
    for (size_t i = from, k = ret->n; !ret->failed && i + 1 < k; i++) {
        uint32_t first = ret->p[i];
        ret->p[i] = ret->p[--k];
        ret->p[k] = first;
    }
}

lk_code lk_cut_by_score(const lk_pieces *p, lk_str text, lk_runes *ret, lk_err *err)
{
    best *ends = lk_alloc_array(text.n + 1, sizeof *ends);
    if (!ends)
        return out_of_memory(err);
    for (size_t i = 0; i <= text.n; i++)
        ends[i] = (best){0, NONE};
    for (size_t at = 0; at < text.n; at += char_bytes(text, at))
        extend(p, text, ends, at);
    put_ends(ends, text.n, ret);
    lk_free(ends);
    return ret->failed ? out_of_memory(err) : LK_OK;
}
