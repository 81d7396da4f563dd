#include "net/tcp_connection.h"
#include "net/transport.h"

#include <errno.h>
#include <unistd.h>

enum {
    SPARE_BUFFER_MAX = 64 * 1024, /* larger ones are freed */
    OUT_START = 1024,
    PROGRESS_BYTES = 4096, /* so many taken show that a client reads on */
};

size_t tcp_connection_waiting(const struct tcp_connection *connection)
{
    return connection->out.length - connection->written;
}

void tcp_connection_mark(struct tcp_connection *connection)
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
    if (server->spare_count == TCP_SPARE_BUFFERS || connection->out.capacity > SPARE_BUFFER_MAX)
        buffer_free(&connection->out);
    else
        server->spare[server->spare_count++] = connection->out;
    connection->out = (struct buffer){0};
}

void tcp_connection_append(struct tcp_connection *connection, const uint8_t *wire, size_t length)
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

void tcp_connection_query_ended(struct tcp_connection *connection)
{
    if (connection->in_flight)
        connection->in_flight--;
    tcp_connection_mark(connection);
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
    size_t left = tcp_connection_waiting(connection);
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
    while (tcp_connection_waiting(connection) && !connection->broken) {
        size_t length = connection->drip ? next_drop(connection) : tcp_connection_waiting(connection);
        if (length == 0) { /* the next drop comes with its event; it is the proxy that is slow */
            if (connection->progress)
                touch(connection);
            return;
        }
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
    if (tcp_connection_waiting(connection)) {
        if (connection->progress >= PROGRESS_BYTES)
            touch(connection);
        if (!connection->broken)
            event_add(&connection->writable, NULL);
    } else if (connection->out.length) {
        give_back_output(connection);
        touch(connection);
    }
}

static size_t memory_of(const struct tcp_connection *connection)
{
    return connection->out.capacity + connection->framing.kept.capacity;
}

/* Counts the memory of what it has not taken, and of what it sent of a query. Where all connections together have too
 * much of that, one that has more than its share breaks: those whose clients read, and send whole queries, keep theirs.
 */
static void weigh(struct tcp_connection *connection)
{
    struct tcp_server *server = connection->server;
    const size_t before = connection->memory, most = server->net->config.tcp_memory_max;
    connection->memory = memory_of(connection);
    server->memory += connection->memory - before;
    if (connection->broken || server->memory <= most || connection->memory <= before ||
        connection->memory <= most / server->clients.count)
        return;
    server->net->counters.tcp_evicted++;
    connection->broken = true;
    tcp_connection_mark(connection);
}

/* Goes on with a transfer that waited for the client to read, or that has lost it. */
static void tell_ready(struct tcp_connection *connection)
{
    struct net *net = connection->server->net;
    const size_t most = net->config.tcp_output_max / 2;
    if (!connection->part_waits || (!connection->broken && tcp_connection_waiting(connection) > most))
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
    tcp_connection_mark(connection);
    net_leave(net);
}

/* --- input --- */

static bool is_full(const struct tcp_connection *connection)
{
    const struct net_config *config = &connection->server->net->config;
    return connection->in_flight >= config->tcp_pipeline_max ||
           tcp_connection_waiting(connection) >= config->tcp_output_max;
}

static bool has_room_again(const struct tcp_connection *connection)
{
    const struct net_config *config = &connection->server->net->config;
    return connection->in_flight <= config->tcp_pipeline_max / 2 &&
           tcp_connection_waiting(connection) <= config->tcp_output_max / 2;
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

void tcp_connection_end_input(struct tcp_connection *connection)
{
    connection->ended = true;
    event_del(&connection->readable);
    tcp_connection_mark(connection);
}

static void take_bytes(struct tcp_connection *connection, const uint8_t *data, size_t length)
{
    struct net *net = connection->server->net;
    const bool held = framing_holds(&connection->framing);
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
        tcp_connection_end_input(connection);
        break;
    case FRAMING_NO_MEMORY:
        connection->broken = true;
        tcp_connection_mark(connection);
    }
    if (memory_of(connection) != connection->memory)
        weigh(connection);
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
        tcp_connection_end_input(
            connection); /* half-closed perhaps: it still gets its answers (RFC 7766 section 6.2.3) */
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        connection->broken = true;
        tcp_connection_mark(connection);
    }
    net_leave(net);
}

/* --- what the server asks and does --- */

void tcp_connection_start(struct tcp_connection *connection)
{
    struct net *net = connection->server->net;
    event_assign(&connection->readable, net->base, connection->fd, EV_READ | EV_PERSIST, readable, connection);
    event_assign(&connection->writable, net->base, connection->fd, EV_WRITE, writable, connection);
    evtimer_assign(&connection->dripping, net->base, writable, connection);
    event_add(&connection->readable, NULL);
    touch(connection);
}

void tcp_connection_end(struct tcp_connection *connection)
{
    event_del(&connection->readable);
    event_del(&connection->writable);
    event_del(&connection->dripping);
    close(connection->fd);
    connection->server->memory -= connection->memory;
    connection->memory = 0;
    framing_free(&connection->framing);
    give_back_output(connection);
}

bool tcp_connection_go_on(struct tcp_connection *connection)
{
    write_answers(connection);
    if (memory_of(connection) != connection->memory)
        weigh(connection);
    tell_ready(connection);
    if (connection->paused && !connection->broken && has_room_again(connection)) {
        connection->paused = false;
        if (!connection->ended)
            event_add(&connection->readable, NULL);
        take_bytes(connection, connection->server->net->stream_bytes, 0);
    }
    return !connection->broken && !(connection->ended && !connection->paused && tcp_connection_is_idle(connection));
}

bool tcp_connection_is_overdue(const struct tcp_connection *connection, int64_t age_us)
{
    int64_t idle_us = connection->server->net->config.tcp_idle_us;
    if (connection->dirty)
        return false;
    if (tcp_connection_waiting(connection))
        return age_us >= idle_us / 2;
    if (connection->in_flight)
        return false;
    return age_us >= (framing_holds(&connection->framing) ? idle_us / 2 : idle_us);
}

bool tcp_connection_is_idle(const struct tcp_connection *connection)
{
    return connection->in_flight == 0 && tcp_connection_waiting(connection) == 0 && !connection->dirty;
}
