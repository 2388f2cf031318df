/* Errors: a code to branch on, and one sentence for a person.
 *
 * Every call that can fail returns an lk_code; detail goes to an lk_err that the caller owns and
 * may leave out. Callers branch on the code, never on the text. The text is one sentence, lower
 * case, without a full stop, and holds the offending value. */
#ifndef LK_BASE_ERR_H
#define LK_BASE_ERR_H

#include <stdarg.h>

#define LK_CHECK __attribute__((warn_unused_result))
#define LK_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* X(enumerator, word for machines, sentence for people) */
#define LK_CODES(X)                                                                                \
    X(LK_OK, "ok", "no error")                                                                     \
    X(LK_E_NOMEM, "out_of_memory", "out of memory")                                                \
    X(LK_E_IO, "io", "input/output error")                                                         \
    X(LK_E_FULL, "disk_full", "no space left on the device")                                       \
    X(LK_E_INVALID, "invalid", "invalid value")                                                    \
    X(LK_E_LIMIT, "limit", "over a limit")                                                         \
    X(LK_E_NOT_FOUND, "not_found", "not found")                                                    \
    X(LK_E_EXISTS, "exists", "already exists")                                                     \
    X(LK_E_FORMAT, "format", "not in a known format")                                              \
    X(LK_E_TRUNCATED, "truncated", "the data end too early")                                       \
    X(LK_E_CORRUPT, "corrupt", "damaged data")                                                     \
    X(LK_E_UNSUPPORTED, "unsupported", "not supported")                                            \
    X(LK_E_MODEL, "model", "the model cannot be used")                                             \
    X(LK_E_NO_MEANING, "no_known_word", "the query has no word that the model knows")              \
    X(LK_E_LOCKED, "locked", "in use by another process")                                          \
    X(LK_E_BUSY, "busy", "too much work is waiting")                                               \
    X(LK_E_CANCELED, "canceled", "stopped on request")                                             \
    X(LK_E_TIMEOUT, "timeout", "took too long")                                                    \
    X(LK_E_NET, "network", "the network call failed")                                              \
    X(LK_E_DENIED, "denied", "not allowed")                                                        \
    X(LK_E_INTERNAL, "internal", "a defect in this program")

typedef enum lk_code {
#define X(name, word, text) name,
    LK_CODES(X)
#undef X
        LK_N_CODES
} lk_code;

typedef struct lk_err {
    lk_code code;
    int sys;        /* errno, or 0 */
    int column;     /* 1-based column of a text (a filter, a JSON body), or 0 */
    char field[48]; /* the setting or request field at fault, or "" */
    char text[272]; /* one sentence */
} lk_err;

/* The word ("not_found") and the sentence ("not found") of a code; never NULL. */
const char *lk_code_word(lk_code code);
const char *lk_code_text(lk_code code);

/* Fill *err (NULL allowed) and return the code, so that `return lk_fail(err, …)` reads well. A text
 * too long is cut at a character. field and column become empty. */
lk_code lk_fail(lk_err *err, lk_code code, const char *fmt, ...) LK_PRINTF(3, 4);
lk_code lk_vfail(lk_err *err, lk_code code, const char *fmt, va_list args) LK_PRINTF(3, 0);

/* The same for a request field or setting: field "top_k". */
lk_code lk_fail_field(lk_err *err, lk_code code, const char *field, const char *fmt, ...)
    LK_PRINTF(4, 5);

/* The same for a failed system call: appends ": " and strerror(sys). ENOSPC and EDQUOT become
 * LK_E_FULL, ENOMEM LK_E_NOMEM, EACCES and EPERM LK_E_DENIED, ENOENT LK_E_NOT_FOUND, else LK_E_IO.
 */
lk_code lk_fail_sys(lk_err *err, int sys, const char *fmt, ...) LK_PRINTF(3, 4);

/* Put "what: " in front of a text already there (NULL err allowed); returns err's code. */
lk_code lk_err_prefix(lk_err *err, lk_code code, const char *fmt, ...) LK_PRINTF(3, 4);

#endif
