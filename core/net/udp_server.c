/* UDP listeners. */
#include "net/transport.h"

#include <errno.h>
#include <unistd.h>

enum {
    SOCKET_BUFFER = 4 * 1024 * 1024, /* the default holds some 277 packets */
    LOOK_EVERY = 8,                  /* turns with one packet, until more are looked for */
    CROWDED_TURNS = 16,              /* turns with one packet, until one at a time is enough */
    DRAIN_BATCHES = 64,              /* packets that had come when the listener stopped: as many batches */
};

static void set_buffer(int fd, int option, int forced)
{
    int size = SOCKET_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size))
        (void)setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
}

static int open_socket(struct listener *listener)
{
    set_buffer(listener->fd, SO_RCVBUF, SO_RCVBUFFORCE);
    set_buffer(listener->fd, SO_SNDBUF, SO_SNDBUFFORCE);
    if (!listener->wildcard)
        return 0;
    int on = 1, v6 = listener->local.family == AF_INET6;
    return setsockopt(listener->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on, sizeof on)
               ? errno
               : 0;
}

/* One packet that waits is taken by itself, the cheaper way; now and then more are looked for, and once there are, they
 * are taken in batches. */
static unsigned packets_wanted(struct listener *listener)
{
    return listener->crowded || ++listener->turns % LOOK_EVERY == 0 ? DATAGRAMS_MAX : 1;
}

static int receive(struct listener *listener, unsigned want)
{
    struct net *net = listener->net;
    unsigned flags = DATAGRAMS_NAMED | (listener->wildcard ? DATAGRAMS_LOCAL : 0);
    int got = datagrams_receive(net->datagrams_in, listener->fd, flags, want);
    if (got > 1)
        listener->crowded = CROWDED_TURNS;
    else if (listener->crowded)
        listener->crowded--;
    for (int i = 0; i < got; i++) {
        struct span data = datagrams_data(net->datagrams_in, (unsigned)i);
        struct reply_to to = {
            .transport = TRANSPORT_UDP,
            .client = datagrams_sender(net->datagrams_in, (unsigned)i),
            .local = listener->local,
            .listener = listener->index,
            .connected_us = net->wall_us,
        };
        if (to.client.port == 0)
            continue; /* nobody can be answered there */
        if (listener->wildcard)
            (void)datagrams_local(net->datagrams_in, (unsigned)i, &to.local, &to.interface_index);
        net->counters.udp_queries++;
        if (listener->checks && !net_admits_query(listener, data.data, data.length, &to))
            continue;
        exchange_query(net->exchange, data.data, data.length, &to);
    }
    return got;
}

static void readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct listener *listener = context;
    net_enter(listener->net);
    (void)receive(listener, packets_wanted(listener));
    net_leave(listener->net);
}

static void reply(struct listener *listener, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct datagram_way way = {
        .fd = listener->fd,
        .owner = listener,
        .to = &to->client,
        .from = listener->wildcard ? &to->local : NULL,
        .interface_index = to->interface_index,
    };
    listener->net->counters.udp_answers++;
    datagrams_add(listener->net->answers_out, &way, wire, length);
}

/* The socket stays for the answers in flight. Packets that come for an inherited one are its next owner's. Connected to
 * itself it gets no more packets, so that clients learn at once that nobody is here. */
static void stop(struct listener *listener)
{
    struct sockaddr_storage self;
    socklen_t length = address_to_sockaddr(&listener->local, (struct sockaddr *)&self);
    if (listener->inherited)
        return;
    (void)connect(listener->fd, (const struct sockaddr *)&self, length);
    for (unsigned i = 0; i < DRAIN_BATCHES && receive(listener, DATAGRAMS_MAX) > 0; i++)
        continue;
}

const struct server_transport udp_server_transport = {
    .transport = TRANSPORT_UDP,
    .socket_type = SOCK_DGRAM,
    .open = open_socket,
    .readable = readable,
    .reply = reply,
    .stop = stop,
};
