/* What runs a model: one const table of functions over one struct that it owns.
 *
 * Callers use model.h, never this file. model.c finds the driver that the card names, allocates its
 * struct, cuts work into batches, makes vectors unit length and turns a vector of zeros into an
 * error; a driver is only the part that differs. All calls but open and close may come from any
 * number of threads at once. */
#ifndef LK_MODEL_DRIVER_H
#define LK_MODEL_DRIVER_H

#include "model/card.h"
#include "model/model.h"

typedef struct lk_embedder lk_embedder;

typedef struct lk_model_driver {
    const char *name; /* the card's "driver" */
    size_t size;      /* bytes of the struct that has lk_embedder as its first member */
    size_t max_batch; /* pictures or texts a call at the most */

    /* Bytes after the base are zero on entry. from and opts are valid for this call only, the card
     * until close. Sets has_image and has_text. close follows a failed open, too. */
    lk_code (*open)(lk_embedder *e, const lk_card_source *from, const lk_model_opts *opts,
                    lk_err *err);
    void (*close)(lk_embedder *e);

    /* 1 <= n <= max_batch, to ret[n][dim]; any length but zero. Called only where has_image or
     * has_text says so. A text of which the model knows no word becomes zeros. */
    lk_code (*embed_images)(lk_embedder *e, size_t n, const lk_image *const *images, float *ret,
                            lk_err *err);
    lk_code (*embed_texts)(lk_embedder *e, size_t n, const lk_str *texts, float *ret, lk_err *err);

    /* optional */
    void (*runs)(lk_embedder *e, uint64_t *ret_items, uint64_t *ret_runs);
} lk_model_driver;

struct lk_embedder {
    const lk_model_driver *driver;
    const lk_card *card;
    bool has_image, has_text;
};

extern const lk_model_driver lk_model_towers;   /* ONNX files, run here */
extern const lk_model_driver lk_model_roboflow; /* a service, asked over HTTP */

#endif
