/* Does a model give here what it gave where it was trained?
 *
 * tools/export-model writes parity.json beside the card: photographs by path and SHA-256 and texts,
 * each with the embedding that the training side made of it, from the file's bytes to the vector.
 *
 *   {"made_by": "torch 2.6.0 …",
 *    "images": [{"path": "below the photographs' folder", "sha256": "…", "embedding": [dim]}, …],
 *    "texts": [{"text": "…", "embedding": [dim]}, …]}
 *
 * Replayed, each embedding is compared with ours by cosine. */
#ifndef LK_MODEL_PARITY_H
#define LK_MODEL_PARITY_H

#include "model/model.h"

#define LK_PARITY_FILE "parity.json"
#define LK_MAX_PARITY_BYTES ((size_t)64 << 20)

typedef struct lk_parity_side {
    size_t n; /* compared; 0: min and mean say nothing */
    double min_cosine, mean_cosine;
    double alike;    /* mean cosine of two of the file's own embeddings: a replay of which all come
                        close to 1 proves little */
    char worst[128]; /* path or text of the least, cut where it is longer */
} lk_parity_side;

typedef struct lk_parity {
    lk_parity_side images, texts;
    size_t n_skipped;  /* photographs, for want of their folder */
    char made_by[128]; /* what the file says of itself, or "" */
} lk_parity;

/* Replay file (a path). photos: the folder that its paths are below; NULL: only texts.
 * LK_E_NOT_FOUND: no such file or photograph. LK_E_INVALID: a photograph is not the one that was
 * embedded. LK_E_MODEL: the file is not as above or of another width. */
LK_CHECK lk_code lk_parity_replay(lk_model *m, const char *file, const char *photos, lk_parity *ret,
                                  lk_err *err);

#endif
