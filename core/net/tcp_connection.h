/* One client's TCP connection (RFC 7766): pipelined queries, answers as they come, both gathered. It looks after itself
 * at the end of each turn that it had a part in; the server says when, admits and closes. */
#ifndef MOONDNS_NET_TCP_CONNECTION_H
#define MOONDNS_NET_TCP_CONNECTION_H

#include "net/tcp_clients.h"

enum { TCP_SPARE_BUFFERS = 16 };

struct net;

struct tcp_server {
    struct net *net;
    struct tcp_clients clients;
    struct tcp_connection *dirty; /* to be looked after at the end of the turn */
    struct buffer spare[TCP_SPARE_BUFFERS];
    unsigned spare_count;
    size_t memory;      /* of the answers that clients have not taken, and of queries that are not whole */
    bool accept_paused; /* no descriptor was left */
    int64_t told_us;    /* when that was logged last; 0: never */
    bool ending;        /* the exchange is gone */
};

/* Reads and writes from now on. Server, descriptor (which it takes) and `reply_to` are set. */
void tcp_connection_start(struct tcp_connection *connection);

/* Closes the descriptor, and drops what was not sent or is not whole. It stays in the server's table. */
void tcp_connection_end(struct tcp_connection *connection);

/* Puts it on the server's list, to be looked after at the end of the turn. */
void tcp_connection_mark(struct tcp_connection *connection);

/* Looks after it: writes, goes on after a pause. False: it is done with, and to be closed. */
MUST_CHECK bool tcp_connection_go_on(struct tcp_connection *connection);

/* Appends an answer to the output. Where there is no memory the connection breaks. */
void tcp_connection_append(struct tcp_connection *connection, const uint8_t *wire, size_t length);

/* One query in flight less. */
void tcp_connection_query_ended(struct tcp_connection *connection);

/* Reads no more; the answers in flight still go out. */
void tcp_connection_end_input(struct tcp_connection *connection);

/* Bytes of output that were not sent. */
size_t tcp_connection_waiting(const struct tcp_connection *connection);

/* No query is in flight, and no answer waits. */
bool tcp_connection_is_idle(const struct tcp_connection *connection);

/* Idle for too long; or, in half that time, a message was not finished or answers were not taken. What this turn gave
 * it was not offered to the client yet. */
bool tcp_connection_is_overdue(const struct tcp_connection *connection, int64_t age_us);

#endif
