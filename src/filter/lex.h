/* The words of a filter: names, strings, numbers and signs, one at a time.
 *
 * Strings stand in '…' or "…". A backslash escapes: \\ \' \" \/ \b \f \n \r \t and \uXXXX; the
 * quote itself may also be doubled ('it''s'). \% and \_ stay two characters, because `like` reads
 * them; any other escape is an error. The text must be UTF-8 and hold no NUL. Columns count
 * characters (code points), from 1. */
#ifndef LK_FILTER_LEX_H
#define LK_FILTER_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "filter/filter.h"

typedef enum lk_tok_type {
    LK_TOK_END,
    LK_TOK_NAME,   /* a.b or `any text` */
    LK_TOK_STRING, /* value.s */
    LK_TOK_NUMBER, /* value.i or value.d */
    LK_TOK_OPEN,
    LK_TOK_CLOSE,
    LK_TOK_OPEN_LIST,
    LK_TOK_CLOSE_LIST,
    LK_TOK_COMMA,
    LK_TOK_NOT_SIGN,
    LK_TOK_AND_SIGN,
    LK_TOK_OR_SIGN,
    LK_TOK_EQ,
    LK_TOK_NE,
    LK_TOK_LT,
    LK_TOK_LE,
    LK_TOK_GT,
    LK_TOK_GE,
} lk_tok_type;

typedef struct lk_tok {
    lk_tok_type type;
    bool quoted; /* a name in backquotes, which is never a keyword */
    int column;
    lk_str raw;     /* as it stands in the text */
    lk_value value; /* of strings (in the arena) and numbers; a name's text is value.s */
} lk_tok;

typedef struct lk_lexer {
    lk_str text;
    size_t at;
    int column;
    lk_arena *arena;
} lk_lexer;

/* LK_E_INVALID (field "filter", column) for what is no word of the language; LK_E_NOMEM. */
LK_CHECK lk_code lk_lex_next(lk_lexer *lx, lk_tok *ret, lk_err *err);

/* Would this text, bare, read as one name that is no keyword? */
bool lk_lex_is_bare_name(lk_str name);
bool lk_lex_is_keyword(lk_str word);

/* lk_fail_field for "filter" with the column set. */
lk_code lk_filter_fail(lk_err *err, lk_code code, int column, const char *fmt, ...) LK_PRINTF(4, 5);

#endif
