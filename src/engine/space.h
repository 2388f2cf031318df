/* A space: one model, and the vectors that it made of the collection's pictures.
 *
 * A collection lives in one space. While it moves to another model, and until the way back is given
 * up, it has a second one beside it, `other`.
 *
 * S1. A reader pins the space it began in and stays there to the end of its call.
 * S2. A writer is inside the gate. Which spaces there are changes only while the gate is shut and
 *     nobody is inside, so that a writer may use both without pinning them.
 * S3. A vector in `other` is of the picture that its record holds now. So a writer takes the id out
 *     of it before it changes the picture; what is missing is filled in by the migration.
 * S4. Both stand in one text of the records' store, which changes as a whole: that is the switch.
 *
 * Of the engine's inside. */
#ifndef LK_ENGINE_SPACE_H
#define LK_ENGINE_SPACE_H

#include <stdatomic.h>

#include "base/thread.h"
#include "engine/drift.h"
#include "engine/engine.h"
#include "model/labels.h"
#include "model/model.h"
#include "store/records/records.h"
#include "store/vectors/vectors.h"

typedef struct lk_space {
    char *name;   /* of the model, as lk_model_open takes it */
    char *key;    /* of the model; NULL where nothing is stored */
    char *folder; /* below collections/; NULL likewise */
    size_t dim;
    lk_vectors *vectors; /* NULL likewise */
    lk_mutex lock;       /* the model loads once, at its first use */
    lk_model *model;
    lk_drift drift;    /* of its embeddings; there once it is loaded */
    lk_labels *labels; /* the collection's categories for this model, of labels_turn; under lock */
    unsigned labels_turn;
    unsigned pins;
} lk_space;

typedef struct lk_spaces {
    lk_mutex lock;
    lk_cond changed;
    lk_space *now, *other; /* other: NULL but during and after a migration */
    bool filling;          /* other is to become now; otherwise it was, and is kept */
    bool both;             /* pictures that are added are embedded for other as well */
    bool migrating;        /* a thread is at it */
    bool shut;
    unsigned turn; /* switches from one to the other, since the engine was opened */
    unsigned writers;
    /* Times that other was left without a vector it should have: a pass over all records that saw
     * none missing counts only when this did not move. */
    atomic_uint_fast64_t behind;
} lk_spaces;

void lk_spaces_init(lk_spaces *s);
void lk_spaces_release(lk_spaces *s); /* closes both */

/* Open what the collection has, or bind a new one to the model asked for. */
LK_CHECK lk_code lk_spaces_open(lk_engine *e, lk_err *err);
/* The engine's only space: a model without vectors. */
LK_CHECK lk_code lk_spaces_model_alone(lk_engine *e, lk_err *err);
/* Write down which spaces there are; other NULL: none. The commit point of every change (S4). */
LK_CHECK lk_code lk_spaces_save(lk_engine *e, const lk_space *now, const lk_space *other,
                                bool filling, lk_err *err);
/* The models of a collection that nobody has open, by its records: of its space and of the other
 * one, or NULL. */
LK_CHECK lk_code lk_spaces_models(lk_records *r, lk_arena *into, const char *ret[2], lk_err *err);
/* Remove folders that no space has: what an interrupted end of a migration left. */
LK_CHECK lk_code lk_spaces_sweep(lk_engine *e, lk_err *err);

/* A model's name as it is noted: a folder by its whole path, wherever the next process starts. Free
 * it with lk_free. */
LK_CHECK lk_code lk_space_name(const char *asked, char **ret, lk_err *err);

/* A space whose vectors are not open yet; strings are copied, NULL allowed. */
LK_CHECK lk_code lk_space_new(const char *name, const char *key, const char *folder, size_t dim,
                              lk_space **ret, lk_err *err);
/* One for a model's name or folder, which is loaded to know key and dimension. */
LK_CHECK lk_code lk_space_make(lk_engine *e, const char *asked, const char *folder, lk_space **ret,
                               lk_err *err);
/* A name below collections/ that nothing has. */
#define LK_SPACE_FOLDER 32
LK_CHECK lk_code lk_space_new_folder(lk_engine *e, char ret[LK_SPACE_FOLDER], lk_err *err);
LK_CHECK lk_code lk_space_open_vectors(lk_engine *e, lk_space *sp, bool create, lk_err *err);
/* Remove the folder with the vectors; the space must be closed. */
LK_CHECK lk_code lk_space_remove_folder(lk_engine *e, const char *folder, lk_err *err);
void lk_space_free(lk_space *sp); /* NULL allowed */

/* Its model, loaded at the first call. LK_E_MODEL when it is no longer the one of the vectors. */
LK_CHECK lk_code lk_space_model(lk_engine *e, lk_space *sp, lk_model **ret, lk_err *err);

lk_space *lk_space_pin(lk_engine *e);
void lk_space_unpin(lk_engine *e, lk_space *sp);

/* Waits while the gate is shut; returns the collection's space. */
lk_space *lk_gate_enter(lk_engine *e);
void lk_gate_leave(lk_engine *e);
void lk_gate_shut(lk_engine *e); /* waits until nobody is inside */
void lk_gate_open(lk_engine *e);

#endif
