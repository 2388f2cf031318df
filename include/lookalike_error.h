/* What lookalike.h and lookalike_vectors.h share: how a call says what went wrong. */
#ifndef LOOKALIKE_ERROR_H
#define LOOKALIKE_ERROR_H

#if defined(__GNUC__)
#define LOOKALIKE_API __attribute__((visibility("default")))
#else
#define LOOKALIKE_API
#endif

typedef struct lookalike_error {
    int code;
    int column;     /* 1-based column of a filter's text, or 0 */
    char word[24];  /* "not_found", "invalid", "format", … */
    char field[48]; /* the setting at fault, or "" */
    char text[272]; /* one sentence */
} lookalike_error;

#endif
