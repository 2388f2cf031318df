/* Where a card's files are published: its member "hub".
 *
 *   "hub": {"repository": "owner/name", "revision": "main",
 *           "files": [{"from": "onnx/vision_model.onnx", "to": "vision.onnx"}, …]}
 *
 * A file may carry "sha256" and "bytes"; where it does not, the card's own "files" are asked. One
 * that is published elsewhere carries "repository" and "revision" of its own. The address of a file
 * is HUB/REPOSITORY/resolve/REVISION/FROM. */
#ifndef LK_MODEL_HUB_H
#define LK_MODEL_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sha256.h"
#include "base/str.h"

#define LK_MAX_HUB_FILES 16
#define LK_HUB_DEFAULT "https://huggingface.co"
#define LK_HUB_REVISION "main"

typedef struct lk_hub_file {
    const char *from, *to;
    const char *repository, *revision; /* NULL: the hub's */
    uint64_t bytes;                    /* 0: not known */
    bool has_sha256;
    lk_sha256 sha256;
} lk_hub_file;

typedef struct lk_hub {
    const char *name; /* the card's */
    const char *repository, *revision;
    lk_hub_file files[LK_MAX_HUB_FILES];
    size_t n_files;
} lk_hub;

/* Strings live in *into. LK_E_MODEL names the member at fault; LK_E_UNSUPPORTED: no "hub". */
LK_CHECK lk_code lk_hub_parse(lk_str card, lk_arena *into, lk_hub *ret, lk_err *err);

/* Is it the address of a hub: http or https, a host, no query? The field of the error is "hub". */
LK_CHECK lk_code lk_hub_check_base(const char *base, lk_err *err);
/* Where a file stands: its own place, or else the hub's. */
const char *lk_hub_repository(const lk_hub *h, const lk_hub_file *f);
const char *lk_hub_revision(const lk_hub *h, const lk_hub_file *f);
/* The address of a file on the hub at base. */
LK_CHECK lk_code lk_hub_url(const lk_hub *h, const lk_hub_file *f, const char *base, lk_buf *out,
                            lk_err *err);

/* The card of the finished model: as it was, with "files" made of files[n], all of them known. */
LK_CHECK lk_code lk_hub_finish_card(lk_str card, size_t n, const lk_hub_file *files, lk_buf *out,
                                    lk_err *err);

#endif
