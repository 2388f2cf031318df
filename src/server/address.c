#include "server/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

#define BACKLOG 1024

static lk_code split(const char *where, char *host, size_t host_size, char *port, size_t port_size,
                     lk_err *err)
{
    const char *colon = strrchr(where, ':');
    uint64_t number = 0;
    if (!colon || !lk_str_to_u64(lk_str_of(colon + 1), &number) || number > 65535)
        return lk_fail_field(err, LK_E_INVALID, "listen",
                             "\"%s\" is no address; give HOST:PORT, such as 127.0.0.1:8080", where);
    lk_str h = {where, (size_t)(colon - where)};
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = (lk_str){h.p + 1, h.n - 2};
    if (h.n >= host_size)
        return lk_fail_field(err, LK_E_INVALID, "listen", "the host in \"%.80s\" is too long",
                             where);
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    snprintf(port, port_size, "%u", (unsigned)number);
    return LK_OK;
}

/* 0, or the error number of the step that failed. */
static int try_one(const struct addrinfo *ai, int *ret_fd)
{
    int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
    int yes = 1;
    if (fd < 0)
        return errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int sys = errno;
        close(fd);
        return sys;
    }
    *ret_fd = fd;
    return 0;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;
    socklen_t n = sizeof a;
    if (getsockname(fd, &a.any, &n) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

lk_code lk_listen_on(const char *where, int *ret_fd, uint16_t *ret_port, char *url, size_t url_size,
                     lk_err *err)
{
    char host[256] = "", port[8] = "";
    lk_code code = split(where, host, sizeof host, port, sizeof port, err);
    if (code)
        return code;
    struct addrinfo *list = NULL,
                    hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int gai = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
    if (gai != 0)
        return lk_fail_field(err, LK_E_INVALID, "listen", "cannot listen on %s: %s", where,
                             gai_strerror(gai));
    int sys = EADDRNOTAVAIL, fd = -1;
    for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        sys = try_one(ai, &fd);
    freeaddrinfo(list);
    if (fd < 0)
        return lk_fail_sys(err, sys, "cannot listen on %s", where);
    bool every = !host[0] || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    *ret_fd = fd;
    *ret_port = port_of(fd);
    snprintf(url, url_size, strchr(host, ':') && !every ? "http://[%s]:%u" : "http://%s:%u",
             every ? "localhost" : host, (unsigned)*ret_port);
    return LK_OK;
}
