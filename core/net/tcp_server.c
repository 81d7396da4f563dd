/* TCP listeners (RFC 7766): who is let in, which connection an answer goes to, which one is closed. */
#include "net/tcp_connection.h"
#include "net/transport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    ACCEPTS_PER_TURN = 64,
    TELL_EVERY_US = 60 * 1000000,
};

/* --- answers --- */

static void reply(struct listener *listener, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct tcp_server *server = listener->net->tcp_server;
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (!connection) {
        server->net->counters.tcp_gone++;
        return;
    }
    tcp_connection_append(connection, wire, length);
    tcp_connection_query_ended(connection);
}

enum part_result tcp_server_reply_part(struct tcp_server *server, const struct reply_to *to, const uint8_t *wire,
                                       size_t length)
{
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (!connection || connection->broken) {
        server->net->counters.tcp_gone++;
        return PART_GONE;
    }
    tcp_connection_append(connection, wire, length);
    tcp_connection_mark(connection);
    if (tcp_connection_waiting(connection) < server->net->config.tcp_output_max)
        return PART_TAKEN;
    connection->part_waits = true;
    return PART_FULL;
}

void tcp_server_no_reply(struct tcp_server *server, const struct reply_to *to)
{
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (connection)
        tcp_connection_query_ended(connection);
}

void tcp_server_reply_again(struct tcp_server *server, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (connection)
        tcp_connection_append(connection, wire, length);
}

void tcp_server_disturb(struct tcp_server *server, const struct reply_to *to, bool reset, uint32_t bytes_per_second)
{
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (!connection)
        return;
    connection->drip = bytes_per_second;
    if (reset) {
        const struct linger at_once = {.l_onoff = 1};
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        connection->broken = true;
        tcp_connection_mark(connection);
    }
}

/* --- connections come and go --- */

static void pause_accepting(struct tcp_server *server, bool pause)
{
    struct net *net = server->net;
    server->accept_paused = pause;
    for (size_t i = 0; i < net->listener_count; i++) {
        struct listener *listener = &net->listeners[i];
        if (listener->ops != &tcp_server_transport || !listener->event_added)
            continue;
        if (pause)
            event_del(&listener->event);
        else
            event_add(&listener->event, NULL);
    }
}

/* Answers may have come while the connection was found to be over. */
static void forget_mark(struct tcp_server *server, const struct tcp_connection *connection)
{
    struct tcp_connection **at = &server->dirty;
    while (*at != connection)
        at = &(*at)->next_dirty;
    *at = connection->next_dirty;
}

static void close_connection(struct tcp_connection *connection)
{
    struct tcp_server *server = connection->server;
    struct net *net = server->net;
    if (connection->dirty)
        forget_mark(server, connection);
    tcp_connection_end(connection);
    struct reply_to to = connection->reply_to;
    bool part_waits = connection->part_waits, query_waits = connection->in_flight > 0;
    tcp_clients_remove(&server->clients, connection);
    net->counters.tcp_closed++;
    if (part_waits && !server->ending)
        exchange_client_ready(net->exchange, &to);
    if (query_waits && !server->ending)
        exchange_client_left(net->exchange, &to);
    if (server->accept_paused)
        pause_accepting(server, false);
    if (net->config.on_connection)
        net->config.on_connection(net->config.context, &to, false);
}

/* Closes the one that has been idle for longest, of this client or (NULL) of all. */
static bool make_room(struct tcp_server *server, const struct tcp_client *client)
{
    struct tcp_connection *oldest = tcp_clients_oldest(&server->clients, client, tcp_connection_is_idle);
    if (!oldest)
        return false;
    server->net->counters.tcp_evicted++;
    close_connection(oldest);
    return true;
}

static bool admit(struct tcp_server *server, const struct address *address)
{
    const struct net_config *config = &server->net->config;
    const struct tcp_client *client = tcp_clients_client(&server->clients, address);
    if (client && client->count >= config->tcp_connections_per_client && !make_room(server, client))
        return false;
    return server->clients.count < config->tcp_connections_max || make_room(server, NULL);
}

/* Takes the descriptor. */
static void start_connection(struct listener *listener, int fd, const struct address *client)
{
    struct net *net = listener->net;
    struct tcp_server *server = net->tcp_server;
    if (listener->guarded && !net_admits_client(net, client)) {
        close(fd);
        return;
    }
    struct tcp_connection *connection = admit(server, client) ? tcp_clients_add(&server->clients, client) : NULL;
    if (!connection) {
        net->counters.tcp_refused++;
        close(fd);
        return;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->server = server;
    connection->fd = fd;
    connection->reply_to = (struct reply_to){
        .transport = TRANSPORT_TCP,
        .client = *client,
        .local = listener->local,
        .connection = connection->serial,
        .listener = listener->index,
        .connected_us = net->wall_us,
    };
    struct sockaddr_storage local;
    socklen_t length = sizeof local;
    if (listener->wildcard && !getsockname(fd, (struct sockaddr *)&local, &length))
        connection->reply_to.local = address_from_sockaddr((const struct sockaddr *)&local);
    tcp_connection_start(connection);
    net->counters.tcp_accepted++;
    net_need_tick(net);
    if (net->config.on_connection)
        net->config.on_connection(net->config.context, &connection->reply_to, true);
}

/* Not for each client that has to wait. */
static void tell_exhausted(struct tcp_server *server, int error)
{
    const struct net *net = server->net;
    if (server->told_us && net->now_us - server->told_us < TELL_EVERY_US)
        return;
    server->told_us = net->now_us;
    log_line(net->log, LOG_WARN, "TCP clients have to wait: %s; %zu connections are open", net_error_text(error),
             server->clients.count);
}

static void acceptable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct listener *listener = context;
    struct net *net = listener->net;
    net_enter(net);
    for (unsigned i = 0; i < ACCEPTS_PER_TURN && listener->fd >= 0; i++) {
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        int client = accept4(fd, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            struct address address = address_from_sockaddr((const struct sockaddr *)&from);
            start_connection(listener, client, &address);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The waiting client would wake us for ever: wait for a connection to close, or a second. */
            if (make_room(net->tcp_server, NULL))
                continue;
            net->counters.tcp_refused++;
            tell_exhausted(net->tcp_server, errno);
            pause_accepting(net->tcp_server, true);
            net_need_tick(net);
            break;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        }
    }
    net_leave(net);
}

void tcp_server_flush(struct tcp_server *server)
{
    while (server->dirty) {
        struct tcp_connection *connection = server->dirty;
        server->dirty = connection->next_dirty;
        connection->dirty = false;
        if (!tcp_connection_go_on(connection))
            close_connection(connection);
    }
}

bool tcp_server_tick(struct tcp_server *server)
{
    struct net *net = server->net;
    int64_t half_us = net->config.tcp_idle_us / 2;
    if (server->accept_paused)
        pause_accepting(server, false);
    struct tcp_connection *next, *connection = server->clients.oldest;
    for (; connection && net->now_us - connection->active_us >= half_us; connection = next) {
        next = connection->newer;
        if (!tcp_connection_is_overdue(connection, net->now_us - connection->active_us))
            continue;
        net->counters.tcp_timed_out++;
        connection->broken = true;
        tcp_connection_mark(connection); /* closed at the end of this turn */
    }
    return server->clients.count > 0;
}

/* --- life of the server --- */

static int open_socket(struct listener *listener)
{
    return listen(listener->fd, BACKLOG) ? errno : 0;
}

static void stop(struct listener *listener)
{
    close(listener->fd);
    listener->fd = -1;
}

struct tcp_server *tcp_server_new(struct net *net)
{
    struct tcp_server *server = calloc(1, sizeof *server);
    if (server)
        server->net = net;
    return server;
}

void tcp_server_stop(struct tcp_server *server)
{
    for (struct tcp_connection *at = server->clients.oldest; at; at = at->newer) {
        if (!at->ended)
            tcp_connection_end_input(at);
    }
}

bool tcp_server_is_empty(const struct tcp_server *server)
{
    return server->clients.count == 0;
}

bool tcp_server_is_dirty(const struct tcp_server *server)
{
    return server->dirty != NULL;
}

void tcp_server_free(struct tcp_server *server)
{
    if (!server)
        return;
    server->ending = true;
    while (server->clients.oldest)
        close_connection(server->clients.oldest);
    tcp_clients_free(&server->clients);
    while (server->spare_count)
        buffer_free(&server->spare[--server->spare_count]);
    free(server);
}

const struct server_transport tcp_server_transport = {
    .transport = TRANSPORT_TCP,
    .socket_type = SOCK_STREAM,
    .open = open_socket,
    .readable = acceptable,
    .reply = reply,
    .stop = stop,
};
