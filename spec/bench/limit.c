/* What the kernel costs: the least that a C program can do for the works that the proxy is measured by. Nothing is
 * checked beyond what keeps it from reading past a packet. It is the upstream of all measurements too.
 *
 *   limit answer PORT ADDRESS TTL     UDP: answers every question with this A record
 *   limit refuse PORT                 UDP: answers every question with NXDOMAIN
 *   limit stream PORT ADDRESS TTL     the first over TCP, many queries a read
 *   limit forward PORT UPSTREAM-PORT  UDP: passes packets on under ids of its own, and the answers back
 *   limit relay PORT UPSTREAM-PORT    TCP: a connection upstream for each client's, bytes copied as they are */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 64,
    PACKET_MAX = 1232,
    ANSWER_SIZE = 16,
    HEADER_SIZE = 12,
    RCODE_NXDOMAIN = 3,
    SOCKET_BUFFER = 4 * 1024 * 1024,
    STREAM_BUFFER = 64 * 1024,
    EVENTS = 64,
};

struct answer {
    bool refuse;
    uint8_t record[ANSWER_SIZE]; /* owned by the question's name */
};

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

/* --- sockets --- */

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int open_socket(int type, const char *port, int (*attach)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_in name = loopback(port);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1, size = SOCKET_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (type == SOCK_DGRAM) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    if (attach(fd, (const struct sockaddr *)&name, sizeof name))
        stop("socket");
    return fd;
}

static int open_listener(const char *port)
{
    int fd = open_socket(SOCK_STREAM, port, bind);
    if (listen(fd, SOMAXCONN))
        stop("listen");
    return fd;
}

static void watch(int epoll, int fd, void *owner)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        stop("epoll_ctl");
}

/* --- batches of packets --- */

struct batch {
    uint8_t bytes[BATCH][PACKET_MAX + ANSWER_SIZE];
    struct sockaddr_in names[BATCH];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH];
};

static void batch_prepare(struct batch *batch, bool named)
{
    for (int i = 0; i < BATCH; i++) {
        batch->vectors[i] = (struct iovec){batch->bytes[i], PACKET_MAX};
        batch->messages[i].msg_hdr = (struct msghdr){.msg_iov = &batch->vectors[i], .msg_iovlen = 1};
        if (!named)
            continue;
        batch->messages[i].msg_hdr.msg_name = &batch->names[i];
        batch->messages[i].msg_hdr.msg_namelen = sizeof batch->names[i];
    }
}

static void batch_send(struct batch *batch, int fd, int count)
{
    for (int done = 0; done < count;) {
        int sent = sendmmsg(fd, batch->messages + done, (unsigned)(count - done), 0);
        done += sent > 0 ? sent : 1;
    }
}

/* --- answering --- */

/* Makes the query in `packet` its answer, which has room for a record behind it; gives its length, 0 for none. */
static size_t make_answer(const struct answer *answer, uint8_t *packet, size_t length)
{
    size_t at = HEADER_SIZE;
    while (at < length && packet[at])
        at += packet[at] + 1u;
    at += 5;
    if (at > length)
        return 0;
    packet[2] = (uint8_t)(0x80 | (packet[2] & 0x79));
    packet[3] = (uint8_t)(0x80 | (answer->refuse ? RCODE_NXDOMAIN : 0));
    memset(packet + 6, 0, 6);
    if (answer->refuse)
        return at;
    packet[7] = 1;
    memcpy(packet + at, answer->record, ANSWER_SIZE);
    return at + ANSWER_SIZE;
}

static void answer_packets(const struct answer *answer, const char *port)
{
    static struct batch batch;
    int fd = open_socket(SOCK_DGRAM, port, bind);
    for (;;) {
        batch_prepare(&batch, true);
        int got = recvmmsg(fd, batch.messages, BATCH, MSG_WAITFORONE, NULL);
        if (got < 0)
            stop("recvmmsg");
        for (int i = 0; i < got; i++)
            batch.vectors[i].iov_len = make_answer(answer, batch.bytes[i], batch.messages[i].msg_len);
        batch_send(&batch, fd, got);
    }
}

/* --- forwarding --- */

struct waiting {
    struct sockaddr_in client;
    uint16_t id;
};

/* Each id is used again after all others: no answer takes that long here. */
static void forward_packets(const char *port, const char *upstream_port)
{
    static struct batch batch;
    static struct waiting waiting[UINT16_MAX + 1];
    int clients = open_socket(SOCK_DGRAM, port, bind), upstream = open_socket(SOCK_DGRAM, upstream_port, connect);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    uint16_t next = 0;
    watch(epoll, clients, &clients);
    watch(epoll, upstream, &upstream);
    for (;;) {
        struct epoll_event events[2];
        int ready = epoll_wait(epoll, events, 2, -1);
        for (int e = 0; e < ready; e++) {
            bool query = events[e].data.ptr == &clients;
            batch_prepare(&batch, query);
            int got = recvmmsg(query ? clients : upstream, batch.messages, BATCH, MSG_DONTWAIT, NULL);
            for (int i = 0; i < got; i++) {
                struct msghdr *header = &batch.messages[i].msg_hdr;
                uint16_t id;
                batch.vectors[i].iov_len = batch.messages[i].msg_len;
                memcpy(&id, batch.bytes[i], sizeof id);
                if (query) {
                    waiting[++next] = (struct waiting){batch.names[i], id};
                    memcpy(batch.bytes[i], &next, sizeof next);
                    header->msg_name = NULL;
                    header->msg_namelen = 0;
                } else {
                    memcpy(batch.bytes[i], &waiting[id].id, sizeof id);
                    header->msg_name = &waiting[id].client;
                    header->msg_namelen = sizeof waiting[id].client;
                }
            }
            batch_send(&batch, query ? upstream : clients, got);
        }
    }
}

/* --- streams --- */

static bool write_all(int fd, const uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent > 0) {
            data += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN) {
            (void)poll(&(struct pollfd){fd, POLLOUT, 0}, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

struct stream {
    int fd, other; /* -1: it answers by itself */
    struct stream *peer;
    size_t length;
    uint8_t bytes[STREAM_BUFFER];
};

static struct stream *stream_new(int epoll, int fd)
{
    struct stream *stream = malloc(sizeof *stream);
    int on = 1;
    if (!stream)
        stop("malloc");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *stream = (struct stream){.fd = fd, .other = -1};
    watch(epoll, fd, stream);
    return stream;
}

/* Answers the whole messages among the bytes and keeps the rest. */
static bool answer_stream(const struct answer *answer, struct stream *stream)
{
    static uint8_t out[2 * STREAM_BUFFER];
    size_t at = 0, made = 0;
    while (stream->length - at >= 2) {
        size_t length = (size_t)(stream->bytes[at] << 8 | stream->bytes[at + 1]);
        if (length > PACKET_MAX || stream->length - at - 2 < length)
            break;
        memcpy(out + made + 2, stream->bytes + at + 2, length);
        size_t size = make_answer(answer, out + made + 2, length);
        out[made] = (uint8_t)(size >> 8);
        out[made + 1] = (uint8_t)size;
        made += size + 2;
        at += length + 2;
    }
    stream->length -= at;
    memmove(stream->bytes, stream->bytes + at, stream->length);
    return write_all(stream->fd, out, made);
}

static void accept_stream(int epoll, int listener, const char *upstream_port)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct stream *client = stream_new(epoll, fd);
    if (!upstream_port)
        return;
    int other = open_socket(SOCK_STREAM, upstream_port, connect);
    struct stream *upstream = stream_new(epoll, other);
    client->other = other;
    upstream->other = fd;
    client->peer = upstream;
    upstream->peer = client;
}

/* What a closed stream held is left to the end of the program: its other side may still have an event. */
static void close_stream(struct stream *stream)
{
    if (stream->fd < 0)
        return;
    close(stream->fd);
    stream->fd = -1;
    if (stream->peer)
        close_stream(stream->peer);
}

static void serve_streams(const struct answer *answer, const char *port, const char *upstream_port)
{
    int listener = open_listener(port), epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, listener, NULL);
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct stream *stream = events[i].data.ptr;
            if (!stream) {
                accept_stream(epoll, listener, upstream_port);
                continue;
            }
            ssize_t got =
                stream->fd < 0 ? -1 : read(stream->fd, stream->bytes + stream->length, STREAM_BUFFER - stream->length);
            if (got <= 0) {
                if (got == 0 || errno != EAGAIN)
                    close_stream(stream);
                continue;
            }
            bool fine = true;
            if (stream->other >= 0) {
                fine = write_all(stream->other, stream->bytes, (size_t)got);
            } else {
                stream->length += (size_t)got;
                fine = answer_stream(answer, stream);
            }
            if (!fine)
                close_stream(stream);
        }
    }
}

static struct answer answer_with(const char *address, const char *ttl)
{
    struct answer answer = {.record = {0xc0, HEADER_SIZE, 0, 1, 0, 1}};
    uint32_t seconds = htonl((uint32_t)strtoul(ttl, NULL, 10));
    memcpy(answer.record + 6, &seconds, sizeof seconds);
    answer.record[11] = 4;
    if (inet_pton(AF_INET, address, answer.record + 12) != 1)
        stop(address);
    return answer;
}

int main(int count, char **arguments)
{
    const char *work = count > 2 ? arguments[1] : "", *port = count > 2 ? arguments[2] : "";
    struct answer answer = {.refuse = true};
    signal(SIGPIPE, SIG_IGN);
    if (count == 5)
        answer = answer_with(arguments[3], arguments[4]);
    if (!strcmp(work, "answer") && count == 5)
        answer_packets(&answer, port);
    else if (!strcmp(work, "refuse") && count == 3)
        answer_packets(&answer, port);
    else if (!strcmp(work, "stream") && count == 5)
        serve_streams(&answer, port, NULL);
    else if (!strcmp(work, "forward") && count == 4)
        forward_packets(port, arguments[3]);
    else if (!strcmp(work, "relay") && count == 4)
        serve_streams(&answer, port, arguments[3]);
    fprintf(stderr, "limit answer|refuse|stream|forward|relay PORT …\n");
    return 2;
}
