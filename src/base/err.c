#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    const char *text;
} codes[LK_N_CODES] = {
#define X(name, word, text) [name] = {word, text},
    LK_CODES(X)
#undef X
};

const char *lk_code_word(lk_code code)
{
    return (unsigned)code < LK_N_CODES ? codes[code].word : "unknown";
}

const char *lk_code_text(lk_code code)
{
    return (unsigned)code < LK_N_CODES ? codes[code].text : "unknown error";
}

/* The longest head of text[n] that fits in max bytes and does not cut a UTF-8 sequence. */
static size_t whole_characters(const char *text, size_t n, size_t max)
{
    if (n <= max)
        return n;
    n = max;
    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return n;
}

/* Texts are put together here before they reach *err, because an argument may well be the text that
 * is about to be replaced. */
typedef struct scratch {
    char text[1024];
    size_t n;
} scratch;

static void LK_PRINTF(2, 0) scratch_vprintf(scratch *s, const char *fmt, va_list args)
{
    int n = vsnprintf(s->text, sizeof s->text, fmt, args);
    s->n = n < 0 ? 0 : (size_t)n < sizeof s->text ? (size_t)n : sizeof s->text - 1;
}

/* text = head + tail; when it is too long the head gives way. */
static void set_text(lk_err *err, const scratch *head, const char *tail)
{
    size_t room = sizeof err->text - 1;
    size_t n_tail = whole_characters(tail, strlen(tail), room);
    size_t n_head = whole_characters(head->text, head->n, room - n_tail);
    char text[sizeof err->text];
    memcpy(text, head->text, n_head);
    memcpy(text + n_head, tail, n_tail);
    text[n_head + n_tail] = '\0';
    memcpy(err->text, text, n_head + n_tail + 1);
}

lk_code lk_vfail(lk_err *err, lk_code code, const char *fmt, va_list args)
{
    if (!err)
        return code;
    scratch s;
    scratch_vprintf(&s, fmt, args);
    err->code = code;
    err->sys = 0;
    err->column = 0;
    err->field[0] = '\0';
    set_text(err, &s, "");
    return code;
}

lk_code lk_fail(lk_err *err, lk_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    lk_vfail(err, code, fmt, args);
    va_end(args);
    return code;
}

lk_code lk_fail_field(lk_err *err, lk_code code, const char *field, const char *fmt, ...)
{
    if (!err)
        return code;
    char name[sizeof err->field];
    size_t n = whole_characters(field, strlen(field), sizeof name - 1);
    memcpy(name, field, n);
    name[n] = '\0';

    va_list args;
    va_start(args, fmt);
    lk_vfail(err, code, fmt, args);
    va_end(args);
    memcpy(err->field, name, n + 1);
    return code;
}

static lk_code code_of_errno(int sys)
{
    switch (sys) {
    case ENOSPC:
    case EDQUOT:
        return LK_E_FULL;
    case ENOMEM:
        return LK_E_NOMEM;
    case EACCES:
    case EPERM:
        return LK_E_DENIED;
    case ENOENT:
        return LK_E_NOT_FOUND;
    default:
        return LK_E_IO;
    }
}

lk_code lk_fail_sys(lk_err *err, int sys, const char *fmt, ...)
{
    lk_code code = code_of_errno(sys);
    if (!err)
        return code;
    scratch s;
    va_list args;
    va_start(args, fmt);
    scratch_vprintf(&s, fmt, args);
    va_end(args);

    char why[128];
    char tail[sizeof why + 2];
    snprintf(tail, sizeof tail, ": %s", strerror_r(sys, why, sizeof why));
    *err = (lk_err){.code = code, .sys = sys};
    set_text(err, &s, tail);
    return code;
}

lk_code lk_err_prefix(lk_err *err, lk_code code, const char *fmt, ...)
{
    if (!err)
        return code;
    scratch s;
    va_list args;
    va_start(args, fmt);
    scratch_vprintf(&s, fmt, args);
    va_end(args);

    char tail[sizeof err->text + 2];
    snprintf(tail, sizeof tail, ": %s", err->text[0] ? err->text : lk_code_text(code));
    err->code = code;
    set_text(err, &s, tail);
    return code;
}
