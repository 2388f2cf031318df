#include "support.h"

#include <errno.h>

#include "base/mem.h"
#include "model/proto.h"
#include "model/tokenizer.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, WHOLE, UNUSED, BYTE };
enum { UNIGRAM = 1, BPE, WORD };

#define SPACE "\u2581"

static void put_piece(lk_buf *b, const char *text, float score, uint64_t type)
{
    size_t begun = lk_pb_begin(b, 1);
    lk_pb_put_str(b, 1, lk_str_of(text));
    lk_pb_put_float(b, 2, score);
    lk_pb_put_varint(b, 3, type);
    lk_pb_end(b, begun);
}

typedef struct spec {
    uint64_t kind;
    bool bytes, suffix, no_prefix, keep_spaces;
} spec;

static void put_specs(lk_buf *b, const spec *s)
{
    size_t begun = lk_pb_begin(b, 2);
    lk_pb_put_varint(b, 3, s->kind);
    lk_pb_put_varint(b, 24, s->suffix);
    lk_pb_put_varint(b, 35, s->bytes);
    lk_pb_end(b, begun);
    begun = lk_pb_begin(b, 3);
    lk_pb_put_varint(b, 3, !s->no_prefix);
    lk_pb_put_varint(b, 4, !s->keep_spaces);
    lk_pb_end(b, begun);
}

/* ids 0 to 2, then those below */
enum { PAD, UNK, END, A, B, AB, BA, ABA, SP, SP_A, CA, FIRST_BYTE };

static void put_all(lk_buf *b, const spec *s)
{
    static const struct {
        const char *text;
        float score;
        uint64_t type;
    } pieces[] = {
        {"<pad>", 0, CONTROL},      {"<unk>", 0, UNKNOWN}, {"</s>", 0, CONTROL},
        {"a", -3, NORMAL},          {"b", -3, NORMAL},     {"ab", -4, NORMAL},
        {"ba", -3.5f, NORMAL},      {"aba", -9, NORMAL},   {SPACE, -2, NORMAL},
        {SPACE "a", -3.8f, NORMAL}, {"ca", 0, WHOLE},
    };
    for (size_t i = 0; i < LK_ARRAY_LEN(pieces); i++)
        put_piece(b, pieces[i].text, pieces[i].score, pieces[i].type);
    for (int i = 0; s->bytes && i < 256; i++) {
        static const char hex[] = "0123456789ABCDEF";
        char text[] = {'<', '0', 'x', hex[i / 16], hex[i % 16], '>', '\0'};
        put_piece(b, text, 0, BYTE);
    }
    put_specs(b, s);
}

static lk_code make(const lk_buf *b, size_t max_tokens, lk_tokenizer **ret, lk_err *err)
{
    lk_tokenizer_opts o;
    lk_tokenizer_opts_default(LK_TOK_SENTENCEPIECE, &o);
    o.vocab = (lk_blob){(const unsigned char *)b->p, b->n};
    o.max_tokens = max_tokens;
    return lk_tokenizer_new(&o, ret, err);
}

static void check(const spec *s, const char *text, size_t n, const int64_t *want)
{
    lk_tokenizer *t = NULL;
    lk_buf b;
    lk_err err;
    int64_t ids[12];
    size_t got;
    lk_buf_init(&b, 0);
    put_all(&b, s);
    test_ok(make(&b, LK_ARRAY_LEN(ids), &t, &err), &err);
    test_ok(lk_tokenizer_encode(t, lk_str_of(text), ids, &got, &err), &err);
    if (got != n)
        fail_msg("\"%s\": %zu ids, not %zu", text, got, n);
    for (size_t i = 0; i < LK_ARRAY_LEN(ids); i++)
        if (ids[i] != (i < n ? want[i] : PAD))
            fail_msg("\"%s\": id %zu is %lld", text, i, (long long)ids[i]);
    lk_tokenizer_free(t);
    lk_buf_release(&b);
}

#define CHECK(s, text, ...)                                                                        \
    check(s, text, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static void the_row_of_the_highest_score_is_taken(void **state)
{
    (void)state;
    spec s = {.kind = UNIGRAM};
    CHECK(&s, "", END);
    CHECK(&s, "a", SP_A, END);
    CHECK(&s, "ab", SP, AB, END);    /* -2 - 4 over -3.8 - 3 */
    CHECK(&s, "aba", SP_A, BA, END); /* -3.8 - 3.5 over -2 - 4 - 3 and -2 - 9 */
    CHECK(&s, "ABA", SP_A, BA, END);
    CHECK(&s, "xyz a", SP, UNK, SP_A, END);
}

static void neighbours_join_by_score_and_then_from_the_left(void **state)
{
    (void)state;
    spec s = {.kind = BPE};
    CHECK(&s, "a", SP_A, END);
    CHECK(&s, "aba", SP_A, BA, END);  /* "ba" joins first, at -3.5, and leaves "a" to the space */
    CHECK(&s, "bab", SP, BA, B, END); /* "ba" before "ab" */
    CHECK(&s, "bbab", SP, B, BA, B, END);
    CHECK(&s, "x\u732b", SP, UNK, END); /* one for a run */
}

static void what_is_in_no_piece_is_written_in_bytes(void **state)
{
    (void)state;
    for (uint64_t kind = UNIGRAM; kind <= BPE; kind++) {
        spec s = {.kind = kind, .bytes = true};
        CHECK(&s, "a\u00e9", SP_A, FIRST_BYTE + 0xc3, FIRST_BYTE + 0xa9, END);
        CHECK(&s, "a\xff", SP_A, FIRST_BYTE + 0xef, FIRST_BYTE + 0xbf, FIRST_BYTE + 0xbd, END);
    }
}

static void spaces_are_as_the_model_wants_them(void **state)
{
    (void)state;
    const spec plain = {.kind = BPE}, bare = {.kind = BPE, .no_prefix = true};
    const spec kept = {.kind = BPE, .keep_spaces = true}, behind = {.kind = BPE, .suffix = true};
    CHECK(&plain, "  a  b ", SP_A, SP, B, END);
    CHECK(&plain, "   ", END);
    CHECK(&bare, "a b", A, SP, B, END);
    CHECK(&kept, "  b ", SP, SP, SP, B, SP, END);
    CHECK(&behind, "b b", B, SP, B, SP, END);
}

static void whole_pieces_are_never_cut_nor_joined(void **state)
{
    (void)state;
    for (uint64_t kind = UNIGRAM; kind <= BPE; kind++) {
        const spec s = {.kind = kind, .no_prefix = true};
        CHECK(&s, "acat b", A, CA, UNK, SP, B, END); /* "t" is in no piece */
        CHECK(&s, "cab", CA, B, END);
    }
}

static void a_text_too_long_loses_its_end_and_keeps_the_end_token(void **state)
{
    (void)state;
    lk_tokenizer *t = NULL;
    lk_buf b;
    lk_err err;
    int64_t ids[4];
    size_t n;
    lk_buf_init(&b, 0);
    put_all(&b, &(spec){.kind = BPE});
    test_ok(make(&b, LK_ARRAY_LEN(ids), &t, &err), &err);
    assert_int_equal(lk_tokenizer_n_ids(t), FIRST_BYTE);
    test_ok(lk_tokenizer_encode(t, LK_STR("b b b b"), ids, &n, &err), &err);
    assert_int_equal(n, 4);
    assert_memory_equal(ids, ((int64_t[]){SP, B, SP, END}), sizeof ids);
    lk_tokenizer_free(t);
    lk_buf_release(&b);
}

static void refuse(const lk_buf *b, const char *why)
{
    lk_tokenizer *t = NULL;
    lk_err err;
    test_code(make(b, 8, &t, &err), LK_E_MODEL);
    test_has(err.text, why);
    assert_null(t);
}

static void models_that_cannot_be_followed_are_refused(void **state)
{
    (void)state;
    lk_buf b;
    lk_buf_init(&b, 0);
    refuse(&b, "no SentencePiece model");
    lk_buf_puts(&b, "#version: 0.2\nc a\n");
    refuse(&b, "no SentencePiece model");
    lk_buf_clear(&b);
    put_all(&b, &(spec){.kind = WORD});
    refuse(&b, "of words or characters");
    lk_buf_clear(&b);
    put_piece(&b, "a", 0, NORMAL);
    refuse(&b, "no piece stands for what is unknown");
    put_piece(&b, "<unk>", 0, UNKNOWN);
    put_piece(&b, "a", 0, NORMAL);
    refuse(&b, "has \"a\" twice");
    lk_buf_clear(&b);
    put_piece(&b, "<unk>", 0, UNKNOWN);
    put_specs(&b, &(spec){.kind = UNIGRAM, .bytes = true});
    refuse(&b, "no piece stands for the byte 0");
    put_piece(&b, "spare", 0, UNUSED);
    refuse(&b, "unused pieces");
    lk_buf_clear(&b);
    put_piece(&b, "<0xZZ>", 0, BYTE);
    refuse(&b, "no SentencePiece model");
    lk_buf_clear(&b);
    put_piece(&b, "\xff", 0, NORMAL);
    refuse(&b, "no SentencePiece model");
    lk_buf_release(&b);
}

static void hugging_faces_way_is_not_built(void **state)
{
    (void)state;
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    lk_tokenizer_opts_default(LK_TOK_SENTENCEPIECE, &o);
    o.like = LK_TOK_LIKE_HF;
    test_code(lk_tokenizer_new(&o, &t, &err), LK_E_MODEL);
    test_has(err.text, "original");
}

static lk_code make_and_use(void *ctx, lk_err *err)
{
    lk_tokenizer *t = NULL;
    int64_t ids[64];
    size_t n;
    lk_code code = make(ctx, LK_ARRAY_LEN(ids), &t, err);
    if (!code)
        code = lk_tokenizer_encode(t, LK_STR("Aba \u732b"), ids, &n, err);
    lk_tokenizer_free(t);
    return code;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state)
{
    (void)state;
    for (uint64_t kind = UNIGRAM; kind <= BPE; kind++) {
        lk_buf b;
        lk_buf_init(&b, 0);
        put_all(&b, &(spec){.kind = kind});
        assert_false(b.failed);
        test_sweep(TEST_ALLOC, ENOMEM, LK_E_NOMEM, make_and_use, &b);
        lk_buf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_row_of_the_highest_score_is_taken),
        cmocka_unit_test(neighbours_join_by_score_and_then_from_the_left),
        cmocka_unit_test(what_is_in_no_piece_is_written_in_bytes),
        cmocka_unit_test(spaces_are_as_the_model_wants_them),
        cmocka_unit_test(whole_pieces_are_never_cut_nor_joined),
        cmocka_unit_test(a_text_too_long_loses_its_end_and_keeps_the_end_token),
        cmocka_unit_test(models_that_cannot_be_followed_are_refused),
        cmocka_unit_test(hugging_faces_way_is_not_built),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
