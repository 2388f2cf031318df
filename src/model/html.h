/* Character references of HTML: "&amp;" for "&". */
#ifndef LK_MODEL_HTML_H
#define LK_MODEL_HTML_H

#include "model/unicode.h"

/* Append in[n] to *out with its references replaced. LENIENT is Python's html.unescape, which
 * follows the HTML standard: the semicolon may be missing, and then the longest known name counts.
 * STRICT is ftfy's: whole references with a semicolon only, and names in upper case that mean
 * letters in upper case ("&EACUTE;"). Numbers are told as the standard has it in both. */
typedef enum lk_html_mode { LK_HTML_LENIENT, LK_HTML_STRICT } lk_html_mode;
void lk_html_unescape(const uint32_t *in, size_t n, lk_html_mode mode, lk_runes *out);

/* Windows-1252 for U+0080 to U+009F, which is what a browser shows there; other cps unchanged. */
uint32_t lk_html_c1(uint32_t cp);

#endif
