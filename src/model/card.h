/* A model's card: model.json in the model's folder, checked before anything is loaded.
 *
 *   name, version, dim, driver (what runs it; onnx)
 *   image   file, output, pool, projection
 *           size, resize (crop|squash|pad), short_side, resize_filter, mean, std
 *   text    file, output, pool, projection
 *           tokenizer, tokenizer_like, vocab, merges, lower_case, max_terms, pad_id, padding,
 *           attention_mask
 *   remote  url, variant, key: of a model that a service runs (driver roboflow). Its towers name no
 *           files: "image" has size, resize and resize_filter, "text" is an empty object
 *   logit_scale  of the softmax over cosines to prompts; 100 is CLIP's
 *   classes  file: of a model whose rows are a classifier's scores, the classes' names, a line each
 *   categories  file: labels {label: [terms]}, logit_scale
 *   files   {name: {sha256, bytes}}: every file that is used must be listed
 *
 * "output" names a tensor, inside the graph or out of it (a text with blanks in it is for people);
 * without it the output is found by what it needs and how wide it is, before a classifier's last
 * matrix if need be. Both towers may name one file. Shapes in a card are for people; the session is
 * asked. Other members are for people too and are passed over. */
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

#define LK_MAX_CARD_FILES 16
#define LK_MAX_LOGIT_SCALE 1000.0
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

/* How [N,T,width] becomes one row a picture or text. */
typedef enum lk_card_pool {
    LK_POOL_NONE, /* it is [N,width] already */
    LK_POOL_CLS,  /* the first row */
    LK_POOL_MEAN, /* the mean of the rows, for a text of those that stand for tokens */
} lk_card_pool;

typedef struct lk_card_tower {
    const char *file;
    const char *output; /* NULL: found */
    lk_card_pool pool;
    const char *projection; /* safetensors with one matrix [dim][width], after the pooling; NULL */
} lk_card_tower;

typedef struct lk_card {
    const char *name, *version, *describe;
    const char *driver;
    size_t dim;

    bool has_image;
    lk_card_tower image;
    lk_fit fit;
    lk_resize_filter filter;
    unsigned size, short_side;
    float mean[3], std[3];

    bool has_text;
    lk_card_tower text;
    lk_tokenizer_kind tokenizer;
    lk_tokenizer_like tokenizer_like;
    const char *vocab_file, *merges_file; /* merges: NULL when there is none */
    bool lower_case;
    size_t max_terms; /* 0: as the text tower has it, or else the tokenizer */
    int64_t pad_id;   /* -1: the tokenizer's */
    bool pad_full;    /* every text is max_terms long, as some towers were trained */
    bool mask_all;    /* the attention mask is 1 over padding, too */

    struct {
        const char *url;     /* NULL: files, run here */
        const char *variant; /* of the service's models; NULL: the service's choice */
        const char *key;     /* the environment variable that holds the key */
    } remote;

    const char *categories_file; /* NULL: none */
    const char *classes_file;    /* NULL: it is no classifier */
    double logit_scale;

    struct {
        const char *name;
        lk_sha256 sha256;
        uint64_t bytes;
    } files[LK_MAX_CARD_FILES];
    size_t n_files;
} lk_card;

/* Is it a name inside the model's folder: no root, no "..", no odd bytes? */
bool lk_card_is_inside(const char *name);

/* Strings live in *into. LK_E_MODEL names the member at fault. */
LK_CHECK lk_code lk_card_parse(lk_str json, lk_arena *into, lk_card *ret, lk_err *err);

/* Read the card of a source. LK_E_NOT_FOUND when there is none. */
LK_CHECK lk_code lk_card_read(const lk_card_source *from, lk_arena *into, lk_card *ret,
                              lk_err *err);

/* A listed file, checked against its size and SHA-256 (embedded files are part of the program and
 * are not hashed again). LK_E_MODEL: not listed, outside the folder, a symbolic link, changed. */
LK_CHECK lk_code lk_card_open_file(const lk_card_source *from, const lk_card *card,
                                   const char *name, lk_card_file *ret, lk_err *err);
/* A file beside the card, listed or not, as it is. LK_E_NOT_FOUND; LK_E_MODEL: a symbolic link. */
LK_CHECK lk_code lk_card_read_file(const lk_card_source *from, const char *name, size_t limit,
                                   lk_card_file *ret, lk_err *err);
void lk_card_file_release(lk_card_file *f);

/* name@version:hash over everything that gives a vector its meaning. */
LK_CHECK lk_code lk_card_key(const lk_card *card, lk_arena *into, const char **ret, lk_err *err);

#endif
