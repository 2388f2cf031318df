/* Cards from outside: what parses names only files inside its folder, and addresses on its hub. */
#include <stdlib.h>

#include "base/mem.h"
#include "model/places.h"
#include "model/pull.h"
#include "target.h"

#define HUB "https://models.test"

static void must_be_inside(const char *name)
{
    if (name && !lk_card_is_inside(name))
        abort();
}

static void look_at(const lk_card *c, lk_arena *a)
{
    lk_model_info info;
    const char *names[] = {c->image.file,      c->image.projection, c->text.file,
                           c->text.projection, c->vocab_file,       c->merges_file,
                           c->categories_file};
    for (size_t i = 0; i < LK_ARRAY_LEN(names); i++)
        must_be_inside(names[i]);
    for (size_t i = 0; i < c->n_files; i++)
        must_be_inside(c->files[i].name);
    if (lk_model_info_of_card(c, a, &info, NULL) == LK_OK && info.dim == 0)
        abort();
}

static void look_at_hub(const lk_hub *h)
{
    for (size_t i = 0; i < h->n_files; i++) {
        lk_buf url;
        lk_buf_init(&url, 0);
        must_be_inside(h->files[i].to);
        if (lk_hub_url(h, &h->files[i], HUB, &url, NULL) == LK_OK) {
            lk_str s = lk_buf_str(&url);
            if (!lk_str_starts(s, LK_STR(HUB "/")) || lk_str_find(s, LK_STR("/../")) != SIZE_MAX ||
                lk_str_find(s, LK_STR("?")) != SIZE_MAX || lk_str_find(s, LK_STR("#")) != SIZE_MAX)
                abort();
        }
        lk_buf_release(&url);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const lk_str text = {(const char *)data, size};
    lk_arena a;
    lk_card c;
    lk_hub h;
    lk_arena_init(&a, (size_t)16 << 20);
    if (lk_card_parse(text, &a, &c, NULL) == LK_OK)
        look_at(&c, &a);
    if (lk_pull_card(text, &a, &h, &c, NULL) == LK_OK) {
        look_at(&c, &a);
        look_at_hub(&h);
    }
    lk_arena_release(&a);
    return 0;
}
