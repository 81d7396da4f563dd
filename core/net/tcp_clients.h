/* The connections of stream clients: by serial number, by client, by how long they have been quiet. */
#ifndef MOONDNS_NET_TCP_CLIENTS_H
#define MOONDNS_NET_TCP_CLIENTS_H

#include "flow/flow.h"
#include "net/framing.h"

#include <event2/event_struct.h>
#include <uthash.h>

struct tcp_server;
struct tcp_client;

struct tcp_connection {
    struct tcp_server *server;
    uint64_t serial; /* its slot's index in the lower bits; never used twice */
    struct tcp_client *client;
    struct tcp_connection *older, *newer;               /* of all, by active_us */
    struct tcp_connection *client_older, *client_newer; /* of this client */
    struct tcp_connection *next_dirty;
    struct reply_to reply_to;
    struct framing framing;
    struct buffer out;
    size_t written;    /* of `out` */
    size_t memory;     /* of `out` and `framing`, as the server has counted it */
    size_t progress;   /* bytes taken since active_us was set */
    int64_t active_us; /* a query became whole or began, or answers were taken */
    unsigned in_flight;
    int fd;
    bool dirty, paused, ended, broken;
    bool part_waits; /* a part of an answer filled the output: exchange_client_ready is to be called */
    uint32_t drip;   /* bytes a second that go out; 0: as many as will */
    bool got_query;  /* in the bytes just fed */
    struct event readable, writable, dripping;
};

/* All connections from one IP address. */
struct tcp_client {
    uint8_t key[17]; /* family and address */
    unsigned count;
    struct tcp_connection *oldest, *newest;
    UT_hash_handle hh;
};

/* All zeros: none. */
struct tcp_clients {
    struct tcp_connection **slots;
    uint32_t *free_slots; /* a stack */
    uint32_t slot_count, free_count;
    uint64_t serials;
    size_t count;
    struct tcp_connection *oldest, *newest;
    struct tcp_client *by_address;
};

/* A new connection, zeroed but for its serial and client; NULL when there is no memory. Owned by the table. */
struct tcp_connection *tcp_clients_add(struct tcp_clients *clients, const struct address *address);

/* Frees the connection. */
void tcp_clients_remove(struct tcp_clients *clients, struct tcp_connection *connection);

struct tcp_connection *tcp_clients_find(const struct tcp_clients *clients, uint64_t serial);

/* NULL when it has no connection. */
const struct tcp_client *tcp_clients_client(const struct tcp_clients *clients, const struct address *address);

/* The connection is the newest from now on. */
void tcp_clients_touch(struct tcp_clients *clients, struct tcp_connection *connection, int64_t now_us);

/* The one quiet for longest that `fits`, of this client or of all (NULL); a bounded look. NULL: none. */
struct tcp_connection *tcp_clients_oldest(const struct tcp_clients *clients, const struct tcp_client *client,
                                          bool (*fits)(const struct tcp_connection *connection));

/* Frees what the empty table holds. */
void tcp_clients_free(struct tcp_clients *clients);

#endif
