/* What CLIP's tokenizers do to a text before they cut it into words. */
#ifndef LK_MODEL_CLEAN_H
#define LK_MODEL_CLEAN_H

#include "model/unicode.h"

/* Append text as open_clip cleans it: ftfy.fix_text, HTML references replaced twice, runs of white
 * space to one space, none at the ends, lower case. Memory that was short shows in ret->failed. */
void lk_clean_open_clip(lk_str text, lk_runes *ret);

/* Append text as Hugging Face's CLIP normalises it: NFC, runs of white space to one space, lower
 * case letter by letter. */
void lk_clean_hf_clip(lk_str text, lk_runes *ret);

#endif
