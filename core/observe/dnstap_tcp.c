/* A reader behind TCP, by name or by address. libfstrm's own writer takes addresses alone; this one looks a name up
 * each time it connects, in the writer's thread, so that a reader may move, and that the proxy may be who answers. */
#include "observe/dnstap_private.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct dnstap_tcp {
    const struct log *log;
    char host[DNSTAP_HOST_MAX], port[8];
    int fd;    /* -1: not connected */
    bool told; /* that the name is not known */
};

static int connect_to(const struct addrinfo *there)
{
    int fd = socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, there->ai_addr, there->ai_addrlen)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static fstrm_res on_open(void *context)
{
    struct dnstap_tcp *tcp = context;
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int error = getaddrinfo(tcp->host, tcp->port, &wanted, &found);
    if (error && !tcp->told)
        log_line(tcp->log, LOG_WARN, "--dnstap: %s: %s; it is looked up every second", tcp->host,
                 error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    tcp->told = error != 0;
    for (const struct addrinfo *there = found; there && tcp->fd < 0; there = there->ai_next)
        tcp->fd = connect_to(there);
    if (found)
        freeaddrinfo(found);
    return tcp->fd >= 0 ? fstrm_res_success : fstrm_res_failure;
}

static fstrm_res on_close(void *context)
{
    struct dnstap_tcp *tcp = context;
    if (tcp->fd >= 0)
        close(tcp->fd);
    tcp->fd = -1;
    return fstrm_res_success;
}

/* All of the bytes that are asked for. */
static fstrm_res on_read(void *context, void *data, size_t length)
{
    struct dnstap_tcp *tcp = context;
    for (uint8_t *at = data; length;) {
        ssize_t got = recv(tcp->fd, at, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fstrm_res_failure;
        at += got;
        length -= (size_t)got;
    }
    return fstrm_res_success;
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
    struct dnstap_tcp *tcp = context;
    while (count > 0) {
        const int some = count < PARTS_MAX ? count : PARTS_MAX;
        struct iovec left[PARTS_MAX];
        struct msghdr message = {.msg_iov = left, .msg_iovlen = (size_t)some};
        memcpy(left, parts, (size_t)some * sizeof *parts);
        advance(&message, 0);
        while (message.msg_iovlen) {
            ssize_t sent = sendmsg(tcp->fd, &message, MSG_NOSIGNAL);
            if (sent >= 0)
                advance(&message, (size_t)sent);
            else if (errno != EINTR)
                return fstrm_res_failure;
        }
        parts += some;
        count -= some;
    }
    return fstrm_res_success;
}

static fstrm_res on_destroy(void *context)
{
    (void)on_close(context);
    free(context);
    return fstrm_res_success;
}

enum status dnstap_tcp_writer(const char *host, uint16_t port, const struct log *log, struct fstrm_writer **out)
{
    struct dnstap_tcp *tcp = calloc(1, sizeof *tcp);
    if (!tcp)
        return STATUS_NO_MEMORY;
    tcp->log = log;
    tcp->fd = -1;
    snprintf(tcp->host, sizeof tcp->host, "%s", host);
    snprintf(tcp->port, sizeof tcp->port, "%u", (unsigned)port);
    struct fstrm_rdwr *calls = fstrm_rdwr_init(tcp);
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
