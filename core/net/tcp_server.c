/* TCP listeners and their clients' connections (RFC 7766): pipelined queries, answers as they come, both gathered. */
#include "net/framing.h"
#include "net/tcp_clients.h"
#include "net/transport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    ACCEPTS_PER_TURN = 64,
    SPARE_BUFFERS = 16,
    SPARE_BUFFER_MAX = 64 * 1024, /* larger ones are freed */
    OUT_START = 1024,
    TELL_EVERY_US = 60 * 1000000,
    PROGRESS_BYTES = 4096, /* so many taken show that a client reads on */
};

struct tcp_server {
    struct net *net;
    struct tcp_clients clients;
    struct tcp_connection *dirty; /* to be looked after at the end of the turn */
    struct buffer spare[SPARE_BUFFERS];
    unsigned spare_count;
    bool accept_paused; /* no descriptor was left */
    int64_t told_us;    /* when that was logged last; 0: never */
    bool ending;        /* the exchange is gone */
};

static size_t waiting_output(const struct tcp_connection *connection)
{
    return connection->out.length - connection->written;
}

static void mark_dirty(struct tcp_connection *connection)
{
    struct tcp_server *server = connection->server;
    if (connection->dirty)
        return;
    connection->dirty = true;
    connection->next_dirty = server->dirty;
    server->dirty = connection;
}

/* --- output --- */

static void give_back_output(struct tcp_connection *connection)
{
    struct tcp_server *server = connection->server;
    connection->written = 0;
    buffer_clear(&connection->out);
    if (connection->out.capacity == 0)
        return;
    if (server->spare_count == SPARE_BUFFERS || connection->out.capacity > SPARE_BUFFER_MAX)
        buffer_free(&connection->out);
    else
        server->spare[server->spare_count++] = connection->out;
    connection->out = (struct buffer){0};
}

static void append_answer(struct tcp_connection *connection, const uint8_t *wire, size_t length)
{
    struct tcp_server *server = connection->server;
    if (connection->out.capacity == 0) {
        if (server->spare_count)
            connection->out = server->spare[--server->spare_count];
        else
            buffer_reserve(&connection->out, OUT_START);
    }
    framing_append_behind(&connection->out, &connection->written, wire, length);
    if (connection->out.failed)
        connection->broken = true; /* half an answer would garble all that come after it */
}

static void query_ended(struct tcp_connection *connection)
{
    if (connection->in_flight)
        connection->in_flight--;
    mark_dirty(connection);
}

static void reply(struct listener *listener, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct tcp_server *server = listener->net->tcp_server;
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (!connection) {
        server->net->counters.tcp_gone++;
        return;
    }
    append_answer(connection, wire, length);
    query_ended(connection);
}

enum part_result tcp_server_reply_part(struct tcp_server *server, const struct reply_to *to, const uint8_t *wire,
                                       size_t length)
{
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (!connection || connection->broken) {
        server->net->counters.tcp_gone++;
        return PART_GONE;
    }
    append_answer(connection, wire, length);
    mark_dirty(connection);
    if (waiting_output(connection) < server->net->config.tcp_output_max)
        return PART_TAKEN;
    connection->part_waits = true;
    return PART_FULL;
}

void tcp_server_no_reply(struct tcp_server *server, const struct reply_to *to)
{
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (connection)
        query_ended(connection);
}

void tcp_server_reply_again(struct tcp_server *server, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct tcp_connection *connection = tcp_clients_find(&server->clients, to->connection);
    if (connection)
        append_answer(connection, wire, length);
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
        mark_dirty(connection);
    }
}

/* How many bytes may be sent now on a connection that drips: a tenth of a second's, and then none until its event
 * comes.
 */
static size_t next_drop(struct tcp_connection *connection)
{
    enum { DROPS_PER_SECOND = 10, SECOND_US = 1000000 };
    size_t drop = connection->drip / DROPS_PER_SECOND;
    uint32_t pause_us = drop ? SECOND_US / DROPS_PER_SECOND : SECOND_US / connection->drip;
    struct timeval pause = {.tv_sec = pause_us / SECOND_US, .tv_usec = pause_us % SECOND_US};
    if (event_pending(&connection->dripping, EV_TIMEOUT, NULL) || event_add(&connection->dripping, &pause))
        return 0;
    size_t left = waiting_output(connection);
    drop = drop ? drop : 1;
    return drop < left ? drop : left;
}

/* The client does something: it is not idle. */
static void touch(struct tcp_connection *connection)
{
    connection->progress = 0;
    tcp_clients_touch(&connection->server->clients, connection, connection->server->net->now_us);
}

static void write_answers(struct tcp_connection *connection)
{
    while (waiting_output(connection) && !connection->broken) {
        size_t length = connection->drip ? next_drop(connection) : waiting_output(connection);
        if (length == 0)
            return; /* the next drop comes with its event */
        ssize_t sent =
            send(connection->fd, connection->out.data + connection->written, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            connection->written += (size_t)sent;
            connection->progress += (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            connection->broken = true;
        }
    }
    if (waiting_output(connection)) {
        if (connection->progress >= PROGRESS_BYTES)
            touch(connection);
        if (!connection->broken)
            event_add(&connection->writable, NULL);
    } else if (connection->out.length) {
        give_back_output(connection);
        touch(connection);
    }
}

/* Goes on with a transfer that waited for the client to read, or that has lost it. */
static void tell_ready(struct tcp_connection *connection)
{
    struct net *net = connection->server->net;
    const size_t most = net->config.tcp_output_max / 2;
    if (!connection->part_waits || (!connection->broken && waiting_output(connection) > most))
        return;
    connection->part_waits = false;
    exchange_client_ready(net->exchange, &connection->reply_to);
}

static void writable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct tcp_connection *connection = context;
    struct net *net = connection->server->net;
    net_enter(net);
    mark_dirty(connection);
    net_leave(net);
}

/* --- input --- */

static bool is_full(const struct tcp_connection *connection)
{
    const struct net_config *config = &connection->server->net->config;
    return connection->in_flight >= config->tcp_pipeline_max || waiting_output(connection) >= config->tcp_output_max;
}

static bool has_room_again(const struct tcp_connection *connection)
{
    const struct net_config *config = &connection->server->net->config;
    return connection->in_flight <= config->tcp_pipeline_max / 2 &&
           waiting_output(connection) <= config->tcp_output_max / 2;
}

static bool take_query(void *context, const uint8_t *wire, size_t length)
{
    struct tcp_connection *connection = context;
    struct net *net = connection->server->net;
    connection->in_flight++;
    connection->got_query = true;
    struct listener *listener = &net->listeners[connection->reply_to.listener];
    if (!listener->checks || net_admits_query(listener, wire, length, &connection->reply_to))
        exchange_query(net->exchange, wire, length, &connection->reply_to);
    return !is_full(connection);
}

/* Reads no more; the answers in flight still go out. */
static void end_input(struct tcp_connection *connection)
{
    connection->ended = true;
    event_del(&connection->readable);
    mark_dirty(connection);
}

static void take_bytes(struct tcp_connection *connection, const uint8_t *data, size_t length)
{
    struct net *net = connection->server->net;
    bool held = framing_holds(&connection->framing);
    connection->got_query = false;
    switch (framing_feed(&connection->framing, data, length, take_query, connection)) {
    case FRAMING_MORE:
        break;
    case FRAMING_PAUSED:
        connection->paused = true;
        event_del(&connection->readable);
        break;
    case FRAMING_EMPTY:
        net->counters.tcp_empty_frames++;
        end_input(connection);
        break;
    case FRAMING_NO_MEMORY:
        connection->broken = true;
        mark_dirty(connection);
    }
    /* The time runs from the start of a message that is not whole: sending it byte by byte wins nothing. */
    if (connection->got_query || (!held && framing_holds(&connection->framing)))
        touch(connection);
}

static void readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct tcp_connection *connection = context;
    struct net *net = connection->server->net;
    net_enter(net);
    ssize_t got = recv(fd, net->stream_bytes, STREAM_READ_SIZE, MSG_DONTWAIT);
    if (got > 0) {
        take_bytes(connection, net->stream_bytes, (size_t)got);
    } else if (got == 0) {
        end_input(connection); /* half-closed perhaps: it still gets its answers (RFC 7766 section 6.2.3) */
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        connection->broken = true;
        mark_dirty(connection);
    }
    net_leave(net);
}

/* --- life of a connection --- */

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

static void close_connection(struct tcp_connection *connection)
{
    struct tcp_server *server = connection->server;
    struct net *net = server->net;
    event_del(&connection->readable);
    event_del(&connection->writable);
    event_del(&connection->dripping);
    close(connection->fd);
    framing_free(&connection->framing);
    give_back_output(connection);
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

static bool is_idle(const struct tcp_connection *connection)
{
    return connection->in_flight == 0 && waiting_output(connection) == 0 && !connection->dirty;
}

/* Closes the one that has been idle for longest, of this client or (NULL) of all. */
static bool make_room(struct tcp_server *server, const struct tcp_client *client)
{
    struct tcp_connection *oldest = tcp_clients_oldest(&server->clients, client, is_idle);
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
    event_assign(&connection->readable, net->base, fd, EV_READ | EV_PERSIST, readable, connection);
    event_assign(&connection->writable, net->base, fd, EV_WRITE, writable, connection);
    evtimer_assign(&connection->dripping, net->base, writable, connection);
    event_add(&connection->readable, NULL);
    tcp_clients_touch(&server->clients, connection, net->now_us);
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

/* Writes, goes on after a pause, and closes what is done with. */
static void look_after(struct tcp_connection *connection)
{
    write_answers(connection);
    tell_ready(connection);
    if (connection->paused && !connection->broken && has_room_again(connection)) {
        connection->paused = false;
        if (!connection->ended)
            event_add(&connection->readable, NULL);
        take_bytes(connection, connection->server->net->stream_bytes, 0);
    }
    if (connection->broken || (connection->ended && !connection->paused && is_idle(connection)))
        close_connection(connection);
}

void tcp_server_flush(struct tcp_server *server)
{
    while (server->dirty) {
        struct tcp_connection *connection = server->dirty;
        server->dirty = connection->next_dirty;
        connection->dirty = false;
        look_after(connection);
    }
}

/* Idle for too long; or, in half that time, a message was not finished or answers were not taken. */
static bool is_overdue(const struct tcp_connection *connection, int64_t age_us)
{
    int64_t idle_us = connection->server->net->config.tcp_idle_us;
    if (waiting_output(connection))
        return age_us >= idle_us / 2;
    if (connection->in_flight)
        return false;
    return age_us >= (framing_holds(&connection->framing) ? idle_us / 2 : idle_us);
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
        if (!is_overdue(connection, net->now_us - connection->active_us))
            continue;
        net->counters.tcp_timed_out++;
        connection->broken = true;
        mark_dirty(connection); /* closed at the end of this turn */
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
            end_input(at);
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
