/* Moving a collection to another model, while it is searched and added to.
 *
 * The new model's vectors are made beside the old ones, out of the stored pictures; searches stay
 * with the old model until every picture has its new vector, and then the collection changes over
 * in one step. What was made survives a stop or a crash, and the next call goes on from there. The
 * old vectors are kept until they are given up, so that going back is the same step the other way;
 * what was added meanwhile is made up for first.
 *
 * What the old model said of a picture (category and confidence in its record) stays, until
 * lk_engine_relabel looks again. */
#ifndef LK_ENGINE_MIGRATE_H
#define LK_ENGINE_MIGRATE_H

#include "base/progress.h"
#include "engine/engine.h"

#define LK_MIGRATE_NEAREST 10 /* neighbours that are compared */
#define LK_MAX_MIGRATE_SAMPLE 100000

typedef struct lk_migrate {
    const char *to;    /* a model's name or folder; NULL: back to the one that is kept */
    bool known_only;   /* LK_E_MODEL for a model that has never run here (model/trial.h) */
    bool hold;         /* make the vectors and compare, but do not change over */
    size_t sample;     /* pictures whose neighbours are compared, at most LK_MAX_MIGRATE_SAMPLE */
    unsigned threads;  /* 0: one a processor */
    lk_verify_fn *see; /* a sentence for each picture that has no new vector; NULL allowed */
    void *see_ctx;
    lk_progress_fn *progress; /* over the collection's pictures; NULL allowed */
    void *progress_ctx;
    const lk_cancel *cancel;
} lk_migrate;

typedef struct lk_migrated {
    const char *from, *to; /* keys of the models, in the arena */
    bool switched;
    bool loses_words;  /* the old model has a text tower, the new one none */
    uint64_t pictures; /* looked at */
    uint64_t made;     /* vectors made by this call; the others were there */
    uint64_t failed;   /* pictures without one: nothing changes over while there are any */

    /* Of the sample, how many of its pictures' nearest are the same in both. */
    size_t n_sample, k; /* k: LK_MIGRATE_NEAREST, fewer in a small collection */
    double overlap;     /* mean share of the k nearest, 0..1 */
    double same_first;  /* share whose nearest is the same */
    uint64_t by_shared[LK_MIGRATE_NEAREST + 1]; /* pictures with so many in common */
} lk_migrated;

/* Also the errors of making the collection's categories with the new model. LK_E_EXISTS: the
 * collection is there already. LK_E_BUSY: another call is at it, or another model's vectors are in
 * the way. LK_E_NOT_FOUND: no such model, or none to go back to. LK_E_CANCELED: goes on with the
 * next call. */
LK_CHECK lk_code lk_engine_migrate(lk_engine *e, const lk_migrate *m, lk_arena *into,
                                   lk_migrated *ret, lk_err *err);

/* Remove the second space: old vectors that were kept, or (unfinished) new ones. LK_E_NOT_FOUND
 * when there is none of that kind. */
LK_CHECK lk_code lk_engine_migrate_forget(lk_engine *e, bool unfinished, lk_err *err);

typedef enum lk_migration_state {
    LK_MIGRATION_NONE,
    LK_MIGRATION_UNFINISHED, /* other is being made, now or with the next call */
    LK_MIGRATION_KEPT,       /* other is what was */
} lk_migration_state;

typedef struct lk_migration {
    lk_migration_state state;
    bool running;
    const char *model, *other; /* names as they are noted, in the arena; other NULL: none */
    uint64_t images, other_vectors, other_bytes;
} lk_migration;

LK_CHECK lk_code lk_engine_migration(lk_engine *e, lk_arena *into, lk_migration *ret, lk_err *err);

/* As JSON: an object; the members of one. */
void lk_migrated_write(const lk_migrated *r, lk_jw *w);
void lk_migration_write(const lk_migration *m, lk_jw *w);

#endif
