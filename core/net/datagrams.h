/* UDP packets in batches: what was received (recvmmsg), what waits to be sent (sendmmsg). Buffers are made once; memory
 * is touched only as far as packets need it. */
#ifndef MOONDNS_NET_DATAGRAMS_H
#define MOONDNS_NET_DATAGRAMS_H

#include "base/address.h"
#include "base/bytes.h"

#include <netinet/in.h>

enum { DATAGRAMS_MAX = 64 };

/* Memory that is the system's until it is touched; NULL when there is none. munmap gives it back. */
void *datagrams_map(size_t size);

struct datagrams_in;
struct datagrams_in *datagrams_in_new(void); /* NULL when there is no memory */
void datagrams_in_free(struct datagrams_in *in);

enum {
    DATAGRAMS_NAMED = 1, /* tell the sender */
    DATAGRAMS_LOCAL = 2, /* tell the address asked (the socket has IP_PKTINFO or IPV6_RECVPKTINFO) */
};

/* Receives up to `want` packets that wait (1 costs less than a batch of one). Gives their number, 0 when none waits, or
 * -1 with errno. */
int datagrams_receive(struct datagrams_in *in, int fd, unsigned flags, unsigned want);

/* The packets of the last call, borrowed until the next one. */
struct span datagrams_data(const struct datagrams_in *in, unsigned index);
struct address datagrams_sender(const struct datagrams_in *in, unsigned index);

/* The address asked and the interface; false when the kernel did not tell. The port is left alone. */
bool datagrams_local(const struct datagrams_in *in, unsigned index, struct address *local, uint32_t *interface_index);

struct datagrams_out;

/* `failed` is called for each packet that was not sent, with errno; and for errors of packets sent earlier, which a
 * connected socket tells late (ECONNREFUSED). It may not add packets. */
struct datagrams_out *datagrams_out_new(void (*failed)(void *context, void *owner, int error), void *context);
void datagrams_out_free(struct datagrams_out *out);

/* How a packet goes out. */
struct datagram_way {
    int fd;
    void *owner;                /* for `failed` */
    const struct address *to;   /* NULL: the socket is connected */
    const struct address *from; /* the address to send from, where the socket is bound to all; else NULL */
    uint32_t interface_index;   /* for link-local addresses; 0: any */
};

/* Copies the packet in; sends all that wait first when there is no room. */
void datagrams_add(struct datagrams_out *out, const struct datagram_way *way, const uint8_t *data, size_t length);

/* Sends all that wait, those of one socket together; where many wait, those of one length for one place in one go, so
 * that packets for different places may overtake each other. */
void datagrams_flush(struct datagrams_out *out);

bool datagrams_out_is_empty(const struct datagrams_out *out);

#endif
