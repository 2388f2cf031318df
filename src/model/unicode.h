/* Texts as code points, and what Unicode says of them, for the tokenizers.
 *
 * The tables are libutf8proc's, so a character younger than its edition of Unicode counts as
 * unassigned. Where the programs that we follow differ from the standard, the function says so. */
#ifndef LK_MODEL_UNICODE_H
#define LK_MODEL_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* A growing array of code points. After an append that found no memory, `failed` is set and stays,
 * and nothing more is appended. Zero-initialised is empty. */
typedef struct lk_runes {
    uint32_t *p;
    size_t n, cap;
    bool failed;
} lk_runes;

void lk_runes_release(lk_runes *r);
void lk_runes_put(lk_runes *r, uint32_t cp);
void lk_runes_put_ascii(lk_runes *r, const char *z);
void lk_runes_put_all(lk_runes *r, const uint32_t *p, size_t n);
void lk_runes_put_utf8(lk_runes *r, lk_str text); /* a malformed byte becomes U+FFFD */
/* From the element `from` on, to the canonical forms of Unicode (UAX 15). */
void lk_runes_decompose(lk_runes *r, size_t from); /* NFD */
void lk_runes_compose(lk_runes *r, size_t from);   /* NFC */

/* Append cp, a full- or half-width form (U+FF01 to U+FFEF) by its NFKC. */
void lk_runes_put_usual_width(lk_runes *r, uint32_t cp);

bool lk_uc_is_letter(uint32_t cp);            /* L* */
bool lk_uc_is_number(uint32_t cp);            /* N* */
bool lk_uc_is_decimal(uint32_t cp);           /* Nd */
bool lk_uc_is_nonspacing(uint32_t cp);        /* Mn */
bool lk_uc_is_punctuation(uint32_t cp);       /* P* */
bool lk_uc_is_separator_space(uint32_t cp);   /* Zs */
bool lk_uc_is_private(uint32_t cp);           /* Co */
bool lk_uc_is_control_or_format(uint32_t cp); /* Cc, Cf */
bool lk_uc_is_space(uint32_t cp);             /* White_Space */

/* Lower case, 1 or 2 code points to ret: the unconditional mapping, full (U+0130 gives two). */
size_t lk_uc_lower(uint32_t cp, uint32_t ret[2]);
/* Is the capital sigma at text[i] at the end of a word, so that its lower case is U+03C2? */
bool lk_uc_is_final_sigma(const uint32_t *text, size_t n, size_t i);

#endif
