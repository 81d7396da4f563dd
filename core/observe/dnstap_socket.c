/* A reader behind TCP, by name or by address, or behind a Unix socket. libfstrm's own writer takes addresses alone;
 * this one looks a name up each time it connects, in the writer's thread, so that a reader may move, and that the proxy
 * may be who answers. */
#include "observe/dnstap_private.h"

#include "base/room.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { GREETING_S = 5 };

struct dnstap_socket {
    const struct log *log;
    struct dnstap_fate *fate;
    struct sockaddr_un name; /* AF_UNSPEC: TCP */
    char host[DNSTAP_HOST_MAX], port[8];
    int fd;     /* -1: not connected */
    void *room; /* while it is connected: for the STOP frame, which the library makes also once the reader is gone */
    bool told;  /* that the name is not known */
};

/* Whoever does not greet is asked anew: its host may have gone without a word. */
static void set_patience(int fd)
{
    const struct timeval greeting = {.tv_sec = GREETING_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &greeting, sizeof greeting);
}

static int connect_to(int family, const struct sockaddr *name, socklen_t length)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    set_patience(fd);
    if (connect(fd, name, length)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void open_tcp(struct dnstap_socket *there)
{
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int error = getaddrinfo(there->host, there->port, &wanted, &found);
    if (error && !there->told)
        log_line(there->log, LOG_WARN, "--dnstap: %s: %s; it is looked up every second", there->host,
                 error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    there->told = error != 0;
    for (const struct addrinfo *at = found; at && there->fd < 0; at = at->ai_next)
        there->fd = connect_to(at->ai_family, at->ai_addr, at->ai_addrlen);
    if (found)
        freeaddrinfo(found);
}

static fstrm_res on_close(void *context)
{
    struct dnstap_socket *there = context;
    if (there->fd >= 0)
        close(there->fd);
    there->fd = -1;
    room_give(there->room);
    there->room = NULL;
    return fstrm_res_success;
}

/* The library says hello next, for which it ends the process where it has no memory. A reader whose hello it did not
 * like may still be connected. */
static fstrm_res on_open(void *context)
{
    struct dnstap_socket *there = context;
    (void)on_close(there);
    if (there->name.sun_family == AF_UNIX)
        there->fd = connect_to(AF_UNIX, (const struct sockaddr *)&there->name, sizeof there->name);
    else
        open_tcp(there);
    if (there->fd >= 0)
        there->room = room_keep(ROOM_BYTES);
    if (there->room && room_is_there(ROOM_BYTES))
        return fstrm_res_success;
    (void)on_close(there);
    return fstrm_res_failure;
}

/* All of the bytes that are asked for: of control frames, which the library then takes memory for. */
static fstrm_res on_read(void *context, void *data, size_t length)
{
    struct dnstap_socket *there = context;
    for (uint8_t *at = data; length;) {
        ssize_t got = recv(there->fd, at, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fstrm_res_failure;
        at += got;
        length -= (size_t)got;
    }
    return room_is_there(ROOM_BYTES) ? fstrm_res_success : fstrm_res_failure;
}

/* Drops what was sent from the front of the parts. */
static void advance(struct msghdr *message, size_t sent)
{
    while (message->msg_iovlen && sent >= message->msg_iov->iov_len) {
        sent -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (message->msg_iovlen) {
        message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + sent;
        message->msg_iov->iov_len -= sent;
    }
}

static fstrm_res on_write(void *context, const struct iovec *parts, int count)
{
    enum { PARTS_MAX = 64 };
    struct dnstap_socket *there = context;
    const int all = count;
    while (count > 0) {
        const int some = count < PARTS_MAX ? count : PARTS_MAX;
        struct iovec left[PARTS_MAX];
        struct msghdr message = {.msg_iov = left, .msg_iovlen = (size_t)some};
        memcpy(left, parts, (size_t)some * sizeof *parts);
        advance(&message, 0);
        while (message.msg_iovlen) {
            ssize_t sent = sendmsg(there->fd, &message, MSG_NOSIGNAL);
            if (sent >= 0)
                advance(&message, (size_t)sent);
            else if (errno != EINTR)
                return fstrm_res_failure;
        }
        parts += some;
        count -= some;
    }
    dnstap_fate_handed_on(there->fate, all);
    return fstrm_res_success;
}

static fstrm_res on_destroy(void *context)
{
    (void)on_close(context);
    free(context);
    return fstrm_res_success;
}

enum status dnstap_socket_writer(const struct dnstap_target *target, const struct log *log, struct dnstap_fate *fate,
                                 struct fstrm_writer **out)
{
    struct dnstap_socket *there = calloc(1, sizeof *there);
    if (!there)
        return STATUS_NO_MEMORY;
    there->log = log;
    there->fate = fate;
    there->fd = -1;
    if (target->kind == DNSTAP_TARGET_UNIX) {
        there->name.sun_family = AF_UNIX;
        memcpy(there->name.sun_path, target->path, strlen(target->path) + 1);
    } else {
        snprintf(there->host, sizeof there->host, "%s", target->host);
        snprintf(there->port, sizeof there->port, "%u", (unsigned)target->port);
    }
    struct fstrm_rdwr *calls = fstrm_rdwr_init(there);
    struct fstrm_writer_options *options = fstrm_writer_options_init();
    fstrm_rdwr_set_open(calls, on_open);
    fstrm_rdwr_set_close(calls, on_close);
    fstrm_rdwr_set_read(calls, on_read);
    fstrm_rdwr_set_write(calls, on_write);
    fstrm_rdwr_set_destroy(calls, on_destroy);
    fstrm_writer_options_add_content_type(options, DNSTAP_CONTENT_TYPE, sizeof DNSTAP_CONTENT_TYPE - 1);
    *out = fstrm_writer_init(options, &calls);
    fstrm_writer_options_destroy(&options);
    return STATUS_OK;
}
