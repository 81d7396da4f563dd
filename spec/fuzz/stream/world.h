/* What the parts of stream_fuzz.c share: the world of one run. The input is a program, as in exchange/world.h. */
#ifndef MOONDNS_FUZZ_STREAM_WORLD_H
#define MOONDNS_FUZZ_STREAM_WORLD_H

#include "flow/exchange.h"
#include "messages.h"
#include "net/net.h"

#include <event2/event.h>
#include <netinet/in.h>

enum {
    CLIENTS = 4,
    CHANNELS = 8, /* connections of the proxy's to the upstream */
    SENT_MAX = 32,
    PARKED_MAX = 8,
    TIMEOUT_US = 100000,
};

struct stream_client {
    int fd; /* -1: none */
    struct buffer sent, got;
    bool disturbed; /* a hook has had its answers reset or slowed down */
    bool held_up;   /* does not read */
};

struct upstream_query {
    struct buffer wire;
    int channel; /* -1: UDP, from `from` */
    struct sockaddr_in from;
};

struct world {
    struct cursor input;
    struct event_base *base;
    struct net *net;
    struct exchange *exchange;
    struct exchange_config exchange_config;
    struct rate_limit *rate_limit; /* NULL: none */
    struct hooks hooks;
    struct stream_client clients[CLIENTS];
    int datagram_client;
    int channels[CHANNELS];
    struct buffer channel_bytes[CHANNELS];
    struct upstream_query sent[SENT_MAX];
    size_t sent_count;
    struct flow *parked[PARKED_MAX];
    bool lists;    /* there are a hosts file, a zone and resolv.conf */
    bool settling; /* hooks wait no more */
    bool stops;    /* at the end, as the proxy does when it is told to */
    unsigned idle; /* how often it was told that this is done */
};

/* Runs what is due in the event loop. */
void world_run(struct world *world);

/* --- sockets.c: what there is of the system --- */

/* These stay: the proxy's listeners and the upstream's sockets. */
struct sockets {
    int listeners[2], upstream_stream, upstream_datagram;
    struct sockaddr_in proxy, upstream;
};
const struct sockets *the_sockets(void);

/* Time, in place of base/clock.c: it passes when the input says so. */
void time_set(int64_t us);
void time_add(int64_t us);

/* From now on the proxy can open so many descriptors more; UINT_MAX: as many as it wants. */
void descriptors_leave(unsigned left);
void descriptors_of_proxy(bool are); /* what is opened now counts, or not */

/* Closes at once, so that no port stays behind; -1 then. */
void socket_drop(int *fd);
void socket_write(int fd, const uint8_t *data, size_t length);
void socket_read(int fd, struct buffer *into);

/* --- clients.c --- */

void happen_stream_queries(struct world *world);
void happen_stream_bytes(struct world *world);
void happen_client_ends(struct world *world);
void happen_datagram(struct world *world);
void clients_read(struct world *world);
void client_leaves(struct stream_client *client);

/* Whether all good queries of the connections that stayed open are answered. */
bool clients_are_settled(struct world *world, bool must_be);

/* --- upstream.c --- */

void happen_answer(struct world *world);
void happen_refusal(struct world *world);
void happen_upstream_bytes(struct world *world);
void upstream_reads(struct world *world);
void upstream_close(struct world *world, int channel);

/* --- lists.c --- */

/* The paths of the files, with their first texts. */
struct lists {
    const char *hosts, *resolv_conf, *zones[2];
};
const struct lists *the_lists(void);

/* They have other texts, and are read again. */
void happen_lists(struct world *world);

#endif
