/* Store 10,000 vectors with a shelf and a price each, then print those of one shelf that are cheap
 * and most like the vector of item-00042.
 *
 *     cc vectors.c $(pkg-config --cflags --libs lookalike_vectors) -o vectors && ./vectors DIR */
#include <lookalike_vectors.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIM = 64, N = 10000, BATCH = 1000, ID_BYTES = 16, META_BYTES = 48 };

static int complain(const lookalike_error *err)
{
    fprintf(stderr, "vectors: %s: %s%s%s\n", err->word, err->field, err->field[0] ? ": " : "",
            err->text);
    return 1;
}

/* Any sequence does, as long as it is the same again: xorshift by Marsaglia. */
static float next(unsigned *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (float)(*state >> 8) / (1 << 23) - 1;
}

static void make(unsigned item, float *vector)
{
    unsigned state = item * 2654435761u + 1;
    for (int i = 0; i < DIM; i++)
        vector[i] = next(&state);
}

static int fill(lookalike_vectors *v, lookalike_error *err)
{
    static float vectors[BATCH][DIM];
    static char ids[BATCH][ID_BYTES], metadata[BATCH][META_BYTES];
    const char *id[BATCH], *meta[BATCH];
    for (unsigned first = 0; first < N; first += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            unsigned item = first + i;
            make(item, vectors[i]);
            snprintf(ids[i], ID_BYTES, "item-%05u", item);
            snprintf(metadata[i], META_BYTES, "{\"shelf\": \"%c\", \"price\": %u}",
                     'a' + (int)(item % 10), item % 97);
            id[i] = ids[i];
            meta[i] = metadata[i];
        }
        int failed = lookalike_vectors_upsert(v, BATCH, id, vectors[0], DIM, meta, err);
        if (failed)
            return failed;
    }
    return 0;
}

static int print_nearest(lookalike_vectors *v, lookalike_error *err)
{
    float like[DIM];
    lookalike_vectors_answer *found = NULL;
    lookalike_vectors_query q = {.size = sizeof q,
                                 .n = 1,
                                 .vectors = like,
                                 .dim = DIM,
                                 .k = 5,
                                 .filter = "shelf == \"c\" and price < 50"};
    int failed = lookalike_vectors_get(v, "item-00042", like, DIM, err);
    if (!failed)
        failed = lookalike_vectors_search(v, &q, &found, err);
    if (failed)
        return failed;
    printf("of %llu that match:\n", (unsigned long long)found->matched);
    for (size_t i = 0; i < found->n; i++)
        printf("%s %.4f\n", found->hits[i].id, (double)found->hits[i].score);
    lookalike_vectors_free(found);
    return 0;
}

int main(int argc, char **argv)
{
    lookalike_vectors_options o = {.size = sizeof o, .dim = DIM, .create = 1};
    lookalike_vectors *v = NULL;
    lookalike_error err;
    if (lookalike_vectors_open(argc > 1 ? argv[1] : "vectors-data", &o, &v, &err))
        return complain(&err);
    int failed = fill(v, &err);
    if (!failed)
        failed = print_nearest(v, &err);
    lookalike_vectors_close(v);
    return failed ? complain(&err) : 0;
}
