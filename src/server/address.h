/* "HOST:PORT" to a socket that listens. */
#ifndef LK_SERVER_ADDRESS_H
#define LK_SERVER_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* "127.0.0.1:8080", "[::1]:8080", "localhost:0", ":8080" (every address). *ret_port: the port it
 * got; url: "http://127.0.0.1:8080", for a person to open. Errors name the address. */
LK_CHECK lk_code lk_listen_on(const char *where, int *ret_fd, uint16_t *ret_port, char *url,
                              size_t url_size, lk_err *err);

#endif
