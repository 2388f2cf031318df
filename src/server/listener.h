/* The sockets: accepts connections, reads requests, sends answers. The only file that knows the
 * HTTP library is listener.c; what a request means is dispatch.c's. */
#ifndef LK_SERVER_LISTENER_H
#define LK_SERVER_LISTENER_H

#include "base/err.h"

struct lk_server;
typedef struct lk_listener lk_listener;

/* fd: a socket that listens; taken over in every case. */
LK_CHECK lk_code lk_listener_open(struct lk_server *s, int fd, lk_listener **ret, lk_err *err);
/* Accept no more connections. Those that wait in the socket's queue are still taken in. */
void lk_listener_quiesce(lk_listener *l);
/* No worker may hold a request. NULL allowed. */
void lk_listener_close(lk_listener *l);

#endif
