/* `like`: % stands for any run of characters, _ for one character (a code point), a backslash takes
 * the next character as it is. Case counts. */
#ifndef LK_FILTER_LIKE_H
#define LK_FILTER_LIKE_H

#include <stdbool.h>

#include "base/str.h"

bool lk_like(lk_str text, lk_str pattern);

#endif
