/* The file is a protobuf message (sentencepiece_model.proto): 1 the pieces, in the order of their
 * ids; 2 how they were trained, of which the kind of model, byte fallback and the names of the
 * specials matter; 3 how texts are normalised. A file is read twice, because the second and third
 * stand behind the pieces. */
#include "model/pieces.h"

#include <float.h>

#include "base/mem.h"
#include "model/proto.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };
enum { UNIGRAM = 1, BPE };

typedef struct piece {
    lk_str text;
    float score;
    uint64_t type;
} piece;

static float float_of(lk_blob b)
{
    float v = 0;
    if (b.n == sizeof v)
        memcpy(&v, b.p, sizeof v);
    return v;
}

static lk_code bad_file(lk_err *err)
{
    return lk_fail(err, LK_E_MODEL, "it is no SentencePiece model");
}

static lk_str str_of(lk_blob b)
{
    return (lk_str){(const char *)b.p, b.n};
}

/* ---- how it was trained, how texts are normalised ---- */

typedef struct names {
    lk_str end, pad;
} names;

static lk_code read_trainer(lk_pieces *p, lk_blob b, names *ret, bool *ret_suffix, lk_err *err)
{
    lk_pb_field f;
    uint64_t kind = UNIGRAM;
    while (lk_pb_next(&b, &f)) {
        if (f.number == 3)
            kind = f.value;
        else if (f.number == 24)
            *ret_suffix = f.value != 0;
        else if (f.number == 35)
            p->byte_fallback = f.value != 0;
        else if (f.number == 47)
            ret->end = str_of(f.bytes);
        else if (f.number == 48)
            ret->pad = str_of(f.bytes);
    }
    if (kind != UNIGRAM && kind != BPE)
        return lk_fail(err, LK_E_UNSUPPORTED, "SentencePiece models of words or characters");
    p->unigram = kind == UNIGRAM;
    return b.n ? bad_file(err) : LK_OK;
}

static lk_code read_normalizer(lk_pieces *p, lk_blob b, lk_err *err)
{
    lk_pb_field f;
    lk_blob compiled = {0};
    while (lk_pb_next(&b, &f)) {
        if (f.number == 2)
            compiled = f.bytes;
        else if (f.number == 3)
            p->space_before = f.value != 0;
        else if (f.number == 4)
            p->squeeze_spaces = f.value != 0;
        else if (f.number == 5)
            p->escape_spaces = f.value != 0;
    }
    return b.n ? bad_file(err) : lk_charsmap_init(&p->replacements, compiled, err);
}

/* All but the pieces, which are counted. */
static lk_code read_specs(lk_pieces *p, lk_blob file, names *ret, lk_err *err)
{
    lk_pb_field f;
    bool suffix = false;
    lk_code code = LK_OK;
    p->unigram = p->space_before = p->squeeze_spaces = p->escape_spaces = true;
    while (!code && lk_pb_next(&file, &f)) {
        if (f.number == 1)
            p->n++;
        else if (f.number == 2)
            code = read_trainer(p, f.bytes, ret, &suffix, err);
        else if (f.number == 3)
            code = read_normalizer(p, f.bytes, err);
    }
    p->space_behind = suffix && p->space_before;
    p->space_before = p->space_before && !suffix;
    if (!code && (file.n || p->n == 0))
        code = bad_file(err);
    return code;
}

/* ---- pieces ---- */

static lk_code read_piece(lk_blob b, piece *ret, lk_err *err)
{
    lk_pb_field f;
    *ret = (piece){.type = NORMAL};
    while (lk_pb_next(&b, &f)) {
        if (f.number == 1)
            ret->text = str_of(f.bytes);
        else if (f.number == 2)
            ret->score = float_of(f.bytes);
        else if (f.number == 3)
            ret->type = f.value;
    }
    return b.n || ret->text.n == 0 || !lk_utf8_valid(ret->text) ? bad_file(err) : LK_OK;
}

/* "<0x41>" */
static lk_code put_byte(lk_pieces *p, uint32_t id, lk_str text, lk_err *err)
{
    unsigned char byte = 0;
    if (text.n != 6 || !lk_str_starts(text, LK_STR("<0x")) || text.p[5] != '>' ||
        !lk_hex_decode((lk_str){text.p + 3, 2}, &byte, 1))
        return bad_file(err);
    p->bytes[byte] = id;
    return LK_OK;
}

static lk_code put_piece(lk_pieces *p, uint32_t id, const piece *in, const names *of, lk_err *err)
{
    lk_code code = LK_OK;
    p->scores[id] = in->score;
    switch (in->type) {
    case NORMAL:
        p->min_score = in->score < p->min_score ? in->score : p->min_score;
        p->max_score = in->score > p->max_score ? in->score : p->max_score;
        return lk_vocab_put(&p->texts, id, in->text, err);
    case USER_DEFINED:
        p->begins_whole[(unsigned char)in->text.p[0]] = true;
        code = lk_vocab_put(&p->texts, id, in->text, err);
        return code ? code : lk_vocab_put(&p->whole, id, in->text, err);
    case UNKNOWN:
        p->unk = id;
        return LK_OK;
    case CONTROL:
        if (lk_str_eq(in->text, of->end))
            p->end = id;
        if (lk_str_eq(in->text, of->pad))
            p->pad = id;
        return LK_OK;
    case BYTE:
        return put_byte(p, id, in->text, err);
    case UNUSED:
        return lk_fail(err, LK_E_UNSUPPORTED, "SentencePiece models with unused pieces");
    default:
        return bad_file(err);
    }
}

static lk_code check_pieces(const lk_pieces *p, lk_err *err)
{
    if (p->unk == LK_NO_ID)
        return lk_fail(err, LK_E_MODEL, "no piece stands for what is unknown");
    for (size_t i = 0; p->byte_fallback && i < LK_ARRAY_LEN(p->bytes); i++)
        if (p->bytes[i] == LK_NO_ID)
            return lk_fail(err, LK_E_MODEL, "no piece stands for the byte %zu", i);
    return LK_OK;
}

lk_code lk_pieces_read(lk_pieces *p, lk_blob file, lk_err *err)
{
    names of = {{"</s>", 4}, {"<pad>", 5}};
    lk_pb_field f;
    piece in;
    /* The least float over zero is where the library itself begins to look for the largest. */
    *p = (lk_pieces){.unk = LK_NO_ID,
                     .end = LK_NO_ID,
                     .pad = LK_NO_ID,
                     .min_score = FLT_MAX,
                     .max_score = FLT_MIN};
    memset(p->bytes, 0xff, sizeof p->bytes);
    lk_code code = read_specs(p, file, &of, err);
    if (!code)
        code = lk_vocab_init(&p->texts, p->n, err);
    if (!code)
        code = lk_vocab_init(&p->whole, p->n, err);
    if (code)
        return code;
    p->scores = lk_calloc(p->n, sizeof *p->scores);
    if (!p->scores)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a vocabulary");
    for (uint32_t id = 0; !code && lk_pb_next(&file, &f);) {
        if (f.number != 1)
            continue;
        code = read_piece(f.bytes, &in, err);
        if (!code)
            code = put_piece(p, id++, &in, &of, err);
    }
    return code ? code : check_pieces(p, err);
}

void lk_pieces_release(lk_pieces *p)
{
    lk_vocab_release(&p->texts);
    lk_vocab_release(&p->whole);
    lk_free(p->scores);
    *p = (lk_pieces){0};
}

size_t lk_pieces_whole_at(const lk_pieces *p, lk_str text)
{
    size_t n = text.n < p->whole.longest ? text.n : p->whole.longest;
    if (n == 0 || !p->begins_whole[(unsigned char)text.p[0]])
        return 0;
    while (n > 0 && lk_vocab_find(&p->whole, (lk_str){text.p, n}) == LK_NO_ID)
        n--;
    return n;
}
