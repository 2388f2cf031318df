/* tokenize KIND original|hf VOCAB MERGES MAX_TOKENS LOWER: texts from stdin, each as its length in
 * bytes, a newline and itself; for each a line of numbers to stdout: how many ids, and all
 * MAX_TOKENS of them. MERGES may be "-" for none. For the comparison with other tokenizers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "model/tokenizer.h"

static int fail(const lk_err *err)
{
    fprintf(stderr, "tokenize: %s\n", err->text);
    return 1;
}

static lk_tokenizer_kind kind_of(const char *name)
{
    for (int k = LK_TOK_NONE + 1; k < LK_N_TOKENIZERS; k++)
        if (strcmp(name, lk_tokenizer_kind_name((lk_tokenizer_kind)k)) == 0)
            return (lk_tokenizer_kind)k;
    return LK_TOK_NONE;
}

static lk_code load(const char *path, lk_blob *ret, lk_err *err)
{
    unsigned char *p;
    lk_code code = lk_os_read_file(path, 0, &p, &ret->n, err);
    if (!code)
        ret->p = p;
    return code;
}

static lk_code encode_all(const lk_tokenizer *t, lk_err *err)
{
    static char text[LK_MAX_TEXT_BYTES];
    static int64_t ids[LK_MAX_TOKENS];
    size_t n, n_ids;
    while (scanf("%zu", &n) == 1 && getchar() == '\n' && n <= sizeof text &&
           fread(text, 1, n, stdin) == n) {
        lk_code code = lk_tokenizer_encode(t, (lk_str){text, n}, ids, &n_ids, err);
        if (code)
            return code;
        printf("%zu", n_ids);
        for (size_t i = 0; i < lk_tokenizer_max_tokens(t); i++)
            printf(" %lld", (long long)ids[i]);
        putchar('\n');
    }
    return LK_OK;
}

int main(int argc, char **argv)
{
    lk_tokenizer_opts o;
    lk_tokenizer *t = NULL;
    lk_err err;
    if (argc != 7)
        return 2;
    lk_tokenizer_opts_default(kind_of(argv[1]), &o);
    o.like = strcmp(argv[2], "hf") == 0 ? LK_TOK_LIKE_HF : LK_TOK_LIKE_ORIGINAL;
    if (load(argv[3], &o.vocab, &err) ||
        (strcmp(argv[4], "-") != 0 && load(argv[4], &o.merges, &err)))
        return fail(&err);
    o.max_tokens = strtoul(argv[5], NULL, 10);
    o.lower_case = strcmp(argv[6], "1") == 0;
    if (lk_tokenizer_new(&o, &t, &err) || encode_all(t, &err))
        return fail(&err);
    lk_tokenizer_free(t);
    return 0; /* the blobs end with the process */
}
