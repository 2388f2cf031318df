/* Ids of users and the slots that hold them, both ways.
 *
 * Texts come from blocks with free lists by size, so a million ids cost little more than their
 * bytes and churn does not leak. A writer makes room and the text first; the changes themselves
 * cannot fail. Many readers or one writer, kept apart by the owner's lock; lk_ids_text_new and
 * lk_ids_text_free touch only what the writer owns and need no lock. */
#ifndef LK_STORE_VECTORS_EMBEDDED_IDS_H
#define LK_STORE_VECTORS_EMBEDDED_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LK_NO_SLOT UINT32_MAX
#define LK_ID_CLASSES 33 /* of 16 bytes, up to 512 and a little */

typedef struct lk_id {
    const char *p;
    uint32_t n;
    uint32_t hash;
} lk_id;

typedef struct lk_ids {
    lk_id *by_slot;
    size_t cap_slots;
    uint64_t *table; /* hash in the upper half, slot + 1 in the lower; 0 is empty */
    size_t cap_table;
    size_t n; /* ids in the table */
    struct lk_id_block *blocks;
    char *free[LK_ID_CLASSES]; /* each free text begins with the next one's address */
    size_t text_bytes;
} lk_ids;

void lk_ids_init(lk_ids *ids);
void lk_ids_release(lk_ids *ids);

/* Room for slots below n_slots and n_new further ids. */
LK_CHECK lk_code lk_ids_reserve(lk_ids *ids, size_t n_slots, size_t n_new, lk_err *err);
/* A copy of an id's text for lk_ids_put; NULL: out of memory. */
const char *lk_ids_text_new(lk_ids *ids, lk_str id);
void lk_ids_text_free(lk_ids *ids, const char *text, size_t n);

uint32_t lk_ids_find(const lk_ids *ids, lk_str id); /* LK_NO_SLOT: not there */
lk_str lk_ids_at(const lk_ids *ids, uint32_t slot); /* also of a slot just dropped or moved from */

void lk_ids_put(lk_ids *ids, uint32_t slot, const char *text, size_t n); /* an id not there yet */
/* The id of `from` is found at `to` from now on; both slots name the same text. */
void lk_ids_move(lk_ids *ids, uint32_t from, uint32_t to);
/* The slot's id is no longer found; the slot still names it. */
void lk_ids_drop(lk_ids *ids, uint32_t slot);

#endif
