/* Asking over TCP (RFC 7766): one connection for each server, opened when it is needed, queries pipelined, kept while
 * it is used; and connections for one query alone, as a zone transfer needs to be held without holding up others. */
#include "net/framing.h"
#include "net/transport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    OUTPUT_MAX = 1024 * 1024, /* bytes a server may leave waiting */
    OUTPUT_LEAST = 64 * 1024, /* that it may in any case; what a channel keeps room for */
    PENDING_MAX = 16384,      /* a quarter of all ids */
    SILENT_MAX = 3,           /* queries in a row without any answer: the next ones get a new connection */
    CONNECT_US = 5000000,
    LONE_MAX = 256,    /* connections for one query each */
    SINGLES_MAX = 2,   /* streams closed behind one answer: from then on each query has one of its own */
    UNSENT_MS = 10000, /* data that is not acknowledged for so long ends the connection */
};

struct tcp_channel {
    struct channel_end end; /* first */
    struct net *net;
    struct tcp_channel *next_dirty;
    int fd;
    bool connecting, dirty;
    bool alone;       /* for one query */
    bool held;        /* what has come is not taken for now … */
    bool interrupted; /* … and there was something */
    unsigned silent;  /* queries given up since the last answer */
    unsigned answers; /* messages that came */
    int64_t opened_us, used_us;
    int64_t idle_us; /* it is closed when nothing waits on it for so long */
    struct framing framing;
    struct buffer out;
    size_t written;
    size_t memory; /* of `out`, as the net has counted it */
    struct event readable, writable;
};

static struct tcp_channel *channel_of(struct channel_end *end)
{
    return (struct tcp_channel *)end;
}

/* --- input --- */

static bool take_answer(void *context, const uint8_t *wire, size_t length)
{
    struct tcp_channel *channel = context;
    channel->silent = 0;
    channel->end.worked = true;
    channel->used_us = channel->net->now_us;
    if (++channel->answers == 2)
        channel->end.server->single_answers = 0;
    exchange_answer(channel->net->exchange, channel->end.number, wire, length);
    return !channel->held;
}

static void take_bytes(struct tcp_channel *channel, size_t length)
{
    struct net *net = channel->net;
    switch (framing_feed(&channel->framing, net->stream_bytes, length, take_answer, channel)) {
    case FRAMING_MORE:
        break;
    case FRAMING_PAUSED:
        channel->interrupted = true;
        event_del(&channel->readable);
        break;
    case FRAMING_EMPTY:
        net_channel_failed(net, &channel->end, "empty message");
        break;
    case FRAMING_NO_MEMORY:
        net_channel_failed(net, &channel->end, "out of memory");
    }
}

static void closed_by_server(struct tcp_channel *channel, const char *why)
{
    if (!channel->alone && channel->answers == 1 && channel->end.pending > 0)
        channel->end.server->single_answers++;
    net_channel_failed(channel->net, &channel->end, why);
}

static void readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct tcp_channel *channel = context;
    struct net *net = channel->net;
    net_enter(net);
    ssize_t got = recv(fd, net->stream_bytes, STREAM_READ_SIZE, MSG_DONTWAIT);
    if (got > 0)
        take_bytes(channel, (size_t)got);
    else if (got == 0)
        closed_by_server(channel, "connection closed");
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        closed_by_server(channel, net_error_text(errno));
    net_leave(net);
}

/* --- output --- */

static void mark_dirty(struct tcp_channel *channel)
{
    if (channel->dirty)
        return;
    channel->dirty = true;
    channel->next_dirty = channel->net->dirty_channels;
    channel->net->dirty_channels = channel;
}

static void weigh(struct tcp_channel *channel)
{
    channel->net->queries_memory += channel->out.capacity - channel->memory;
    channel->memory = channel->out.capacity;
}

/* Whether the server leaves so much waiting that it gets no more: its own, or its share of what all of them may. */
static bool is_clogged(const struct tcp_channel *channel)
{
    const struct net *net = channel->net;
    const size_t waiting = channel->out.length - channel->written;
    return waiting > OUTPUT_MAX || (waiting > OUTPUT_LEAST && net->queries_memory > net->config.tcp_memory_max);
}

static void write_queries(struct tcp_channel *channel)
{
    if (channel->connecting || channel->end.failed)
        return;
    while (channel->written < channel->out.length) {
        ssize_t sent = send(channel->fd, channel->out.data + channel->written, channel->out.length - channel->written,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            channel->written += (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            event_add(&channel->writable, NULL);
            return;
        } else if (errno != EINTR) {
            net_channel_failed(channel->net, &channel->end, net_error_text(errno));
            return;
        }
    }
    channel->written = 0;
    if (channel->out.capacity > OUTPUT_LEAST) {
        buffer_free(&channel->out);
        weigh(channel);
    } else {
        buffer_clear(&channel->out);
    }
}

/* Takes up what was left when the channel was held. */
static void go_on(struct tcp_channel *channel)
{
    if (!channel->interrupted || channel->held || channel->end.failed)
        return;
    channel->interrupted = false;
    event_add(&channel->readable, NULL);
    take_bytes(channel, 0);
}

void tcp_upstream_flush(struct net *net)
{
    while (net->dirty_channels) {
        struct tcp_channel *channel = net->dirty_channels;
        net->dirty_channels = channel->next_dirty;
        channel->dirty = false;
        write_queries(channel);
        go_on(channel);
    }
}

static void writable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct tcp_channel *channel = context;
    int error = 0;
    socklen_t length = sizeof error;
    net_enter(channel->net);
    if (channel->connecting && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) && error) {
        channel->net->counters.upstream_connections_failed++;
        net_channel_failed(channel->net, &channel->end, net_error_text(error));
    } else {
        channel->connecting = false;
        mark_dirty(channel);
    }
    net_leave(channel->net);
}

/* --- opening --- */

static enum status connect_socket(const struct address *address, int *out)
{
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(address, (struct sockaddr *)&name);
    int on = 1;
    unsigned unsent_ms = UNSENT_MS;
    int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return STATUS_IO;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent_ms, sizeof unsent_ms);
    if (connect(fd, (const struct sockaddr *)&name, length) && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return STATUS_IO;
    }
    *out = fd;
    return STATUS_OK;
}

/* NULL with errno when it can't be. */
static struct tcp_channel *open_channel(struct net *net, struct server *server, bool alone)
{
    struct tcp_channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return NULL;
    channel->end = (struct channel_end){.ops = &tcp_upstream_transport, .server = server};
    channel->net = net;
    channel->connecting = true;
    channel->alone = channel->end.retired = alone;
    channel->end.keepalive = !alone;
    channel->idle_us = net->config.upstream_idle_us;
    channel->opened_us = channel->used_us = net->now_us;
    if (connect_socket(&server->address, &channel->fd))
        goto failed;
    if (net_channel_add(net, &channel->end)) {
        close(channel->fd);
        errno = EMFILE;
        goto failed;
    }
    event_assign(&channel->readable, net->base, channel->fd, EV_READ | EV_PERSIST, readable, channel);
    event_assign(&channel->writable, net->base, channel->fd, EV_WRITE, writable, channel);
    event_add(&channel->writable, NULL);
    event_add(&channel->readable, NULL);
    if (alone)
        net->lone_channels++;
    else
        server->stream = channel;
    net->counters.upstream_connections_opened++;
    net_need_tick(net);
    return channel;
failed:
    net->counters.upstream_connections_failed++;
    free(channel);
    return NULL;
}

/* --- the transport --- */

static void unlink_stream(struct channel_end *end)
{
    if (end->server->stream == channel_of(end))
        end->server->stream = NULL;
}

static enum status route_alone(struct net *net, struct server *server, struct channel_end **out, struct reason *reason)
{
    if (net->lone_channels >= LONE_MAX) {
        reason_set(reason, "too many connections to upstreams");
        return STATUS_IO;
    }
    struct tcp_channel *channel = open_channel(net, server, true);
    if (!channel) {
        reason_set(reason, "%s", net_error_text(errno));
        return STATUS_IO;
    }
    *out = &channel->end;
    return STATUS_OK;
}

static bool is_idle(const struct tcp_channel *channel)
{
    return channel->end.pending == 0 && channel->net->now_us - channel->used_us >= channel->idle_us;
}

static enum status route(struct net *net, struct server *server, struct channel_end **out, struct reason *reason)
{
    if (server->single_answers >= SINGLES_MAX)
        return route_alone(net, server, out, reason);
    struct tcp_channel *channel = server->stream;
    if (channel && (channel->end.pending >= PENDING_MAX || channel->silent >= SILENT_MAX || is_idle(channel)))
        net_channel_retire(net, &channel->end);
    if (!server->stream && !open_channel(net, server, false)) {
        reason_set(reason, "%s", net_error_text(errno));
        return STATUS_IO;
    }
    server->stream->used_us = net->now_us;
    *out = &server->stream->end;
    return STATUS_OK;
}

static void hold(struct channel_end *end, bool held)
{
    struct tcp_channel *channel = channel_of(end);
    channel->held = held;
    if (!held && channel->interrupted)
        mark_dirty(channel);
}

static enum status send_query(struct channel_end *end, const uint8_t *wire, size_t length, struct reason *reason)
{
    struct tcp_channel *channel = channel_of(end);
    if (is_clogged(channel)) {
        reason_set(reason, "the server takes no more queries");
        return STATUS_IO;
    }
    framing_append_behind(&channel->out, &channel->written, wire, length);
    if (channel->out.capacity != channel->memory)
        weigh(channel);
    mark_dirty(channel);
    if (buffer_status(&channel->out)) {
        net_channel_failed(channel->net, end, "out of memory");
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

/* An answer has just set `silent` back, so that it comes to 1 for each one answered. */
static void released(struct channel_end *end)
{
    channel_of(end)->silent++;
}

/* RFC 7828 section 3.2.2: we close before the server does, though we look but once a second; at once where it wants so.
 */
static void keepalive(struct channel_end *end, int64_t idle_us)
{
    struct tcp_channel *channel = channel_of(end);
    struct net *net = channel->net;
    end->keepalive = false;
    if (idle_us < 0)
        return;
    channel->idle_us = idle_us < 2 * CLOCK_SECOND_US ? idle_us / 2 : idle_us - CLOCK_SECOND_US;
    if (channel->idle_us > net->config.upstream_idle_us)
        channel->idle_us = net->config.upstream_idle_us;
    if (idle_us == 0)
        net_channel_retire(net, end);
}

static void free_channel(struct channel_end *end)
{
    struct tcp_channel *channel = channel_of(end);
    event_del(&channel->readable);
    event_del(&channel->writable);
    close(channel->fd);
    channel->net->lone_channels -= channel->alone;
    framing_free(&channel->framing);
    buffer_free(&channel->out);
    weigh(channel);
    free(channel);
}

static void tick(struct net *net, struct server *server)
{
    struct tcp_channel *channel = server->stream;
    if (!channel)
        return;
    if (channel->connecting && net->now_us - channel->opened_us >= CONNECT_US)
        net_channel_failed(net, &channel->end, "time-out of the connection");
    else if (is_idle(channel))
        net_channel_retire(net, &channel->end);
}

const struct upstream_transport tcp_upstream_transport = {
    .transport = TRANSPORT_TCP,
    .route = route,
    .route_alone = route_alone,
    .hold = hold,
    .send = send_query,
    .released = released,
    .keepalive = keepalive,
    .retired = unlink_stream,
    .free = free_channel,
    .tick = tick,
};
