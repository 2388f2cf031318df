/* JSON from outside: what parses must be written as text that parses again, and that text must be
 * written the same once more. */
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "target.h"

static lk_json *write_and_parse(const lk_json *doc, lk_buf *text)
{
    lk_jw w;
    lk_jw_init(&w, text);
    lk_jw_val(&w, lk_json_root(doc));
    lk_json *again = NULL;
    if (lk_buf_check(text, NULL) || lk_json_parse(lk_buf_str(text), &again, NULL))
        abort();
    return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_json *doc = NULL;
    lk_err err;
    if (lk_json_parse((lk_str){(const char *)data, size}, &doc, &err))
        return 0;

    float *floats = NULL;
    size_t n_floats = 0;
    if (lk_json_get_floats(lk_json_root(doc), "v", 64, &floats, &n_floats, &err) == LK_OK)
        lk_free(floats);

    lk_buf first, second;
    lk_buf_init(&first, 0);
    lk_buf_init(&second, 0);
    lk_json *again = write_and_parse(doc, &first);
    lk_json *thrice = write_and_parse(again, &second);
    if (!lk_str_eq(lk_buf_str(&first), lk_buf_str(&second)))
        abort();

    lk_buf_release(&first);
    lk_buf_release(&second);
    lk_json_free(doc);
    lk_json_free(again);
    lk_json_free(thrice);
    return 0;
}
