/* tests/data/tokenizers holds what the tokenizers of others make of some two hundred texts, written
 * by tests/tokenizers/golden. Ours must give the same ids. */
#include "support.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/tokenizer.h"

typedef struct golden {
    const char *file; /* each below tests/data/tokenizers */
    const char *vocab, *merges;
    lk_tokenizer_kind kind;
    lk_tokenizer_like like;
    bool keep_case;
} golden;

static lk_blob read_data(const char *name)
{
    char part[TEST_PATH], path[TEST_PATH];
    unsigned char *p;
    size_t n;
    lk_err err;
    int len = snprintf(part, sizeof part, "tests/data/tokenizers/%s", name);
    assert_true(len > 0 && len < TEST_PATH);
    test_source(part, path);
    test_ok(lk_os_read_file(path, 0, &p, &n, &err), &err);
    return (lk_blob){p, n};
}

static void check_text(const lk_tokenizer *t, const char *file, const lk_jval *row, int64_t pad)
{
    int64_t ids[LK_MAX_TOKENS];
    size_t n_ids, i = 0;
    lk_err err;
    lk_str key, text = lk_jval_str(lk_jval_at(row, 0));
    const lk_jval *want;
    test_ok(lk_tokenizer_encode(t, text, ids, &n_ids, &err), &err);
    for (lk_jiter it = lk_jiter_of(lk_jval_at(row, 1)); lk_jiter_next(&it, &key, &want); i++)
        if (ids[i] != lk_jval_int(want))
            fail_msg("%s: \"%s\": id %zu is %lld, not %lld", file, text.p, i, (long long)ids[i],
                     (long long)lk_jval_int(want));
    for (; i < lk_tokenizer_max_tokens(t); i++)
        if (ids[i] != pad)
            fail_msg("%s: \"%s\": id %zu is %lld, no padding", file, text.p, i, (long long)ids[i]);
}

static void replay(const golden *g)
{
    lk_blob vocab = read_data(g->vocab), merges = {0}, text = read_data(g->file);
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_json *doc = NULL;
    lk_err err;
    lk_str key;
    const lk_jval *row;
    if (g->merges)
        merges = read_data(g->merges);
    test_ok(lk_json_parse((lk_str){(const char *)text.p, text.n}, &doc, &err), &err);
    lk_tokenizer_opts_default(g->kind, &o);
    o.like = g->like;
    o.vocab = vocab;
    o.merges = merges;
    o.lower_case = !g->keep_case;
    o.max_tokens = (size_t)lk_jval_int(lk_jval_get(lk_json_root(doc), "max_tokens"));
    test_ok(lk_tokenizer_new(&o, &t, &err), &err);
    const lk_jval *rows = lk_jval_get(lk_json_root(doc), "texts");
    int64_t pad = lk_jval_int(lk_jval_get(lk_json_root(doc), "pad"));
    assert_true(lk_jval_len(rows) > 150);
    for (lk_jiter it = lk_jiter_of(rows); lk_jiter_next(&it, &key, &row);)
        check_text(t, g->file, row, pad);
    lk_tokenizer_free(t);
    lk_json_free(doc);
    const lk_blob blobs[] = {vocab, merges, text};
    for (size_t i = 0; i < LK_ARRAY_LEN(blobs); i++)
        lk_free((void *)(uintptr_t)blobs[i].p);
}

static void bpe_gives_the_ids_of_open_clip(void **state)
{
    (void)state;
    replay(&(golden){.file = "bpe-original.json", .vocab = "bpe.txt", .kind = LK_TOK_BPE});
}

static void bpe_gives_the_ids_of_hugging_face(void **state)
{
    (void)state;
    replay(&(golden){.file = "bpe-hf.json",
                     .vocab = "bpe-vocab.json",
                     .merges = "bpe-merges.txt",
                     .kind = LK_TOK_BPE,
                     .like = LK_TOK_LIKE_HF});
}

static void wordpiece_gives_the_ids_of_cn_clip(void **state)
{
    (void)state;
    replay(&(golden){
        .file = "wordpiece-original.json", .vocab = "wordpiece.txt", .kind = LK_TOK_WORDPIECE});
    replay(&(golden){.file = "wordpiece-cased-original.json",
                     .vocab = "wordpiece-cased.txt",
                     .kind = LK_TOK_WORDPIECE,
                     .keep_case = true});
}

static void wordpiece_gives_the_ids_of_hugging_face(void **state)
{
    (void)state;
    replay(&(golden){.file = "wordpiece-hf.json",
                     .vocab = "wordpiece.txt",
                     .kind = LK_TOK_WORDPIECE,
                     .like = LK_TOK_LIKE_HF});
    replay(&(golden){.file = "wordpiece-cased-hf.json",
                     .vocab = "wordpiece-cased.txt",
                     .kind = LK_TOK_WORDPIECE,
                     .like = LK_TOK_LIKE_HF,
                     .keep_case = true});
}

static void sentencepiece_gives_the_ids_of_its_library(void **state)
{
    (void)state;
    replay(&(golden){.file = "sentencepiece-unigram.json",
                     .vocab = "sentencepiece-unigram.model",
                     .kind = LK_TOK_SENTENCEPIECE});
    replay(&(golden){.file = "sentencepiece-bpe.json",
                     .vocab = "sentencepiece-bpe.model",
                     .kind = LK_TOK_SENTENCEPIECE});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpe_gives_the_ids_of_open_clip),
        cmocka_unit_test(bpe_gives_the_ids_of_hugging_face),
        cmocka_unit_test(wordpiece_gives_the_ids_of_cn_clip),
        cmocka_unit_test(wordpiece_gives_the_ids_of_hugging_face),
        cmocka_unit_test(sentencepiece_gives_the_ids_of_its_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
