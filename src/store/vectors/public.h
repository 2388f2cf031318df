/* What the files behind include/lookalike_vectors.h share. */
#ifndef LK_STORE_VECTORS_PUBLIC_H
#define LK_STORE_VECTORS_PUBLIC_H

#include "lookalike_vectors.h"
#include "store/vectors/vectors.h"

struct lookalike_vectors {
    lk_vectors *v;
    size_t dim;
};

/* Hands the error over when there is one; returns the code. */
int lk_public_finish(lk_code code, const lk_err *from, lookalike_error *to);
/* Take over as much of a caller's struct as both sides know; the rest of *to stays as it is. from
 * may be NULL. */
LK_CHECK lk_code lk_public_take(void *to, size_t to_bytes, const void *from, lk_err *err);
LK_CHECK lk_code lk_public_given(const void *p, const char *field, lk_err *err);
LK_CHECK lk_code lk_public_dim(const lookalike_vectors *v, size_t dim, lk_err *err);
LK_CHECK lk_code lk_public_count(size_t n, lk_err *err);

#endif
