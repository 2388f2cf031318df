/* A model's card: model.json in the model's folder, checked before anything is loaded.
 *
 *   name, version, dim, driver (what runs it; onnx)
 *   image   file, size, resize (crop|squash|pad), short_side, resize_filter, mean, std
 *   text    file, tokenizer, vocab, max_terms
 *   categories  file: labels {label: [terms]}, logit_scale
 *   files   {name: {sha256, bytes}}: every file that is used must be listed
 *
 * Tensor names and shapes in a card are for people; the session is asked. Other members are for
 * people too and are passed over. */
#ifndef LK_MODEL_CARD_H
#define LK_MODEL_CARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sha256.h"
#include "base/str.h"
#include "image/resize.h"
#include "model/tokenizer.h"

#define LK_MAX_CARD_BYTES (4u << 20)
#define LK_MAX_MODEL_BYTES ((size_t)4 << 30)

/* Where a model's files stand: in a folder, or inside the program under a prefix. */
typedef struct lk_card_source {
    const char *dir;      /* or NULL */
    const char *embedded; /* "models/mini", or NULL */
} lk_card_source;

/* A file's bytes. own: to lk_free; NULL for embedded ones. */
typedef struct lk_card_file {
    lk_blob bytes;
    unsigned char *own;
} lk_card_file;

typedef struct lk_card {
    const char *name, *version, *describe;
    const char *driver;
    size_t dim;

    bool has_image;
    const char *image_file;
    const char *image_output; /* NULL: the first of the right width */
    lk_fit fit;
    lk_resize_filter filter;
    unsigned size, short_side;
    float mean[3], std[3];

    bool has_text;
    const char *text_file;
    lk_tokenizer_kind tokenizer;
    const char *vocab_file;
    size_t max_terms;

    const char *categories_file; /* NULL: none */

    struct {
        const char *name;
        lk_sha256 sha256;
        uint64_t bytes;
    } files[16];
    size_t n_files;
} lk_card;

/* Strings live in *into. LK_E_MODEL names the member at fault. */
LK_CHECK lk_code lk_card_parse(lk_str json, lk_arena *into, lk_card *ret, lk_err *err);

/* Read the card of a source. LK_E_NOT_FOUND when there is none. */
LK_CHECK lk_code lk_card_read(const lk_card_source *from, lk_arena *into, lk_card *ret,
                              lk_err *err);

/* A listed file, checked against its size and SHA-256 (embedded files are part of the program and
 * are not hashed again). LK_E_MODEL: not listed, outside the folder, a symbolic link, changed. */
LK_CHECK lk_code lk_card_open_file(const lk_card_source *from, const lk_card *card,
                                   const char *name, lk_card_file *ret, lk_err *err);
void lk_card_file_release(lk_card_file *f);

/* name@version:hash over everything that gives a vector its meaning. */
LK_CHECK lk_code lk_card_key(const lk_card *card, lk_arena *into, const char **ret, lk_err *err);

#endif
