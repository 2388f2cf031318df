/* Paths and queries of URLs: what is decoded encodes to a text that decodes to the same. */
#include <stdlib.h>

#include "server/router.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_arena arena;
    lk_buf encoded;
    lk_args args;
    lk_str text = {(const char *)data, size}, path = text, raw[LK_MAX_PATH_ARGS], once, twice;
    unsigned allowed = 0;
    lk_arena_init(&arena, 0);
    lk_buf_init(&encoded, 0);
    path = lk_str_cut(&text, '?');
    if (!lk_route_match(lk_routes, lk_n_routes, LK_GET, path, raw, &allowed) && (allowed & LK_GET))
        abort(); /* a GET was refused and offered at once */
    if (lk_args_parse(text, &arena, &args, NULL) == LK_OK && args.n > LK_MAX_QUERY_ARGS)
        abort();
    if (lk_percent_decode(path, false, &arena, &once, NULL) == LK_OK) {
        lk_percent_encode(once, &encoded);
        if (lk_percent_decode(lk_buf_str(&encoded), false, &arena, &twice, NULL) != LK_OK ||
            !lk_str_eq(once, twice))
            abort();
    }
    lk_buf_release(&encoded);
    lk_arena_release(&arena);
    return 0;
}
