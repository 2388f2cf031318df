/* JSON bodies of POST /v1/search: refused with a sentence, or a search within every limit. */
#include <math.h>
#include <stdlib.h>

#include "server/search_args.h"
#include "target.h"

static void check(const lk_search_args *a)
{
    const lk_search *s = &a->search;
    if (s->n_parts < 1 || s->n_parts > LK_MAX_QUERY_PARTS || s->top_k < 1 ||
        s->top_k > LK_MAX_TOP_K || s->offset > LK_MAX_OFFSET || s->n_boosts > LK_MAX_BOOSTS ||
        a->n_fields > LK_MAX_FIELDS)
        abort();
    for (size_t i = 0; i < s->n_parts; i++)
        if (!isfinite(s->parts[i].weight) || s->parts[i].weight == 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lk_search_args a;
    lk_json *doc = NULL;
    lk_err err = {0};
    lk_search_args_init(&a);
    if (lk_json_parse((lk_str){(const char *)data, size}, &doc, NULL) == LK_OK) {
        lk_code code = lk_search_args_json(&a, doc, LK_MAX_TOP_K, &err);
        if (code == LK_OK)
            check(&a);
        else if (!err.text[0])
            abort();
    }
    lk_search_args_release(&a);
    return 0;
}
