/* Sockets, and what stands in for the system under the proxy: its clock and its supply of descriptors. */
#include "stream/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- time, in place of base/clock.c --- */

static int64_t now_us;

int64_t clock_monotonic_us(void)
{
    return now_us;
}

int64_t clock_wall_us(void)
{
    return now_us;
}

void time_set(int64_t us)
{
    now_us = us;
}

void time_add(int64_t us)
{
    now_us += us;
}

/* --- descriptors: the linker has the proxy come here (--wrap) --- */

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __real_accept4(int fd, struct sockaddr *from, socklen_t *length, int flags);
int __wrap_accept4(int fd, struct sockaddr *from, socklen_t *length, int flags);

static unsigned descriptors_left = UINT_MAX;
static bool proxy_runs;

void descriptors_leave(unsigned left)
{
    descriptors_left = left;
}

void descriptors_of_proxy(bool are)
{
    proxy_runs = are;
}

static bool may_open(void)
{
    if (proxy_runs && descriptors_left == 0)
        errno = EMFILE;
    return !proxy_runs || descriptors_left > 0;
}

static int count(int fd)
{
    if (proxy_runs && fd >= 0 && descriptors_left != UINT_MAX)
        descriptors_left--;
    return fd;
}

int __wrap_socket(int family, int type, int protocol)
{
    return may_open() ? count(__real_socket(family, type, protocol)) : -1;
}

int __wrap_accept4(int fd, struct sockaddr *from, socklen_t *length, int flags)
{
    return may_open() ? count(__real_accept4(fd, from, length, flags)) : -1;
}

/* --- sockets --- */

/* -1 where somebody else has the port. */
static int open_socket(int type, struct sockaddr_in *at)
{
    socklen_t length = sizeof *at;
    const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    MUST(fd >= 0);
    if (bind(fd, (struct sockaddr *)at, sizeof *at)) {
        MUST(at->sin_port != 0 && errno == EADDRINUSE);
        close(fd);
        return -1;
    }
    MUST(!getsockname(fd, (struct sockaddr *)at, &length));
    MUST(type != SOCK_STREAM || !listen(fd, 64));
    return fd;
}

/* Opens both at a port that is free for both. */
static void open_sockets(struct sockaddr_in *at, int *datagram, int *stream)
{
    for (;;) {
        *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        *datagram = open_socket(SOCK_DGRAM, at);
        *stream = open_socket(SOCK_STREAM, at);
        if (*stream >= 0)
            return;
        close(*datagram);
    }
}

const struct sockets *the_sockets(void)
{
    static struct sockets sockets;
    if (sockets.proxy.sin_port == 0) {
        open_sockets(&sockets.proxy, &sockets.listeners[0], &sockets.listeners[1]);
        /* Connections have it from the listener: what a client does not read soon waits in the proxy. */
        const int small = 4608;
        (void)setsockopt(sockets.listeners[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        open_sockets(&sockets.upstream, &sockets.upstream_datagram, &sockets.upstream_stream);
    }
    return &sockets;
}

void socket_drop(int *fd)
{
    const struct linger at_once = {.l_onoff = 1};
    if (*fd < 0)
        return;
    (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(*fd);
    *fd = -1;
}

void socket_write(int fd, const uint8_t *data, size_t length)
{
    if (fd >= 0 && length > 0)
        (void)!send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void socket_read(int fd, struct buffer *into)
{
    uint8_t bytes[4096];
    ssize_t got;
    while (fd >= 0 && (got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buffer_append(into, bytes, (size_t)got);
}
