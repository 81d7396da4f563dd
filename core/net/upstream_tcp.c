/* Asking over TCP (RFC 7766): one connection for each server, opened when it is needed, queries pipelined, kept while
 * it is used; and connections for one query alone, as a zone transfer needs to be held without holding up others. A
 * server that closes its connections behind a few answers gets no more queries than that on each. Of either kind a
 * server has its share; those beyond it wait, with their queries, until others are closed. */
#include "net/framing.h"
#include "net/transport.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    OUTPUT_MAX = 1024 * 1024, /* bytes a server may leave waiting */
    OUTPUT_LEAST = 64 * 1024, /* that it may in any case; what a channel keeps room for */
    PENDING_MAX = 16384,      /* a quarter of all ids */
    SILENT_MAX = 3,           /* queries in a row without any answer: the next ones get a new connection */
    CONNECT_US = 5000000,
    UNSENT_MS = 10000, /* data that is not acknowledged for so long ends the connection */
};

struct tcp_channel {
    struct channel_end end; /* first */
    struct stream_wait wait;
    struct net *net;
    struct tcp_channel *next_dirty;
    int fd; /* -1: it was not opened so far */
    bool connecting, dirty;
    bool alone;       /* for a transfer */
    bool shared;      /* it counts for its server's share … */
    bool waiting;     /* … and is to be opened when that allows it */
    bool cut;         /* closed by the server while queries waited */
    unsigned room;    /* queries that it still takes */
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

static struct tcp_channel *channel_of_wait(struct stream_wait *wait)
{
    return (struct tcp_channel *)((char *)wait - offsetof(struct tcp_channel, wait));
}

/* --- input --- */

static bool take_answer(void *context, const uint8_t *wire, size_t length)
{
    struct tcp_channel *channel = context;
    channel->silent = 0;
    channel->end.worked = true;
    channel->used_us = channel->net->now_us;
    channel->answers++;
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
    channel->cut = channel->end.pending > 0;
    if (!channel->alone && channel->cut && channel->answers > 0)
        stream_habit_cut(&channel->end.server->habit, channel->answers);
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

/* The server has closed it: what it said before is still to be read, and then the end. */
static void give_up_writing(struct tcp_channel *channel)
{
    channel->written = channel->out.length;
    net_channel_retire(channel->net, &channel->end);
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
            give_up_writing(channel);
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

/* Gives 0 or errno. */
static int connect_channel(struct tcp_channel *channel)
{
    struct net *net = channel->net;
    if (connect_socket(&channel->end.server->address, &channel->fd)) {
        net->counters.upstream_connections_failed++;
        return errno;
    }
    channel->opened_us = channel->used_us = net->now_us;
    channel->silent = 0; /* they waited for us */
    event_assign(&channel->readable, net->base, channel->fd, EV_READ | EV_PERSIST, readable, channel);
    event_assign(&channel->writable, net->base, channel->fd, EV_WRITE, writable, channel);
    event_add(&channel->writable, NULL);
    event_add(&channel->readable, NULL);
    net->counters.upstream_connections_opened++;
    return 0;
}

/* --- waiting to be opened --- */

static void stop_waiting(struct tcp_channel *channel)
{
    channel->waiting = false;
    stream_share_leave(&channel->end.server->share, &channel->net->streams, &channel->wait);
}

static void turn_has_come(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct tcp_channel *channel = context;
    struct net *net = channel->net;
    net_enter(net);
    int error = channel->end.dead ? 0 : connect_channel(channel);
    if (error)
        net_channel_failed(net, &channel->end, net_error_text(error));
    net_leave(net);
}

/* Has those opened, each by an event of its own, that the server may have now. */
static void open_waiting(struct net *net, struct server *server)
{
    while (server->share.first && stream_share_opens(&server->share, &net->streams)) {
        struct tcp_channel *channel = channel_of_wait(server->share.first);
        stop_waiting(channel);
        server->share.open++;
        net->streams.open++;
        event_active(&channel->writable, EV_TIMEOUT, 0);
    }
}

/* --- channels --- */

/* Opens it, or has it wait: behind those that do. Gives 0 or errno. */
static int open_or_wait(struct tcp_channel *channel)
{
    struct net *net = channel->net;
    struct server *server = channel->end.server;
    if (!channel->shared)
        return connect_channel(channel);
    if (!server->share.first && stream_share_opens(&server->share, &net->streams)) {
        int error = connect_channel(channel);
        server->share.open += !error;
        net->streams.open += !error;
        return error;
    }
    evtimer_assign(&channel->writable, net->base, turn_has_come, channel);
    channel->waiting = true;
    stream_share_wait(&server->share, &net->streams, &channel->wait);
    return 0;
}

/* `queries`: that it is to take; 0: any number. NULL: there is no memory, or number, for it. */
static struct tcp_channel *new_channel(struct net *net, struct server *server, unsigned queries)
{
    struct tcp_channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return NULL;
    channel->end = (struct channel_end){.ops = &tcp_upstream_transport, .server = server, .keepalive = queries == 0};
    channel->net = net;
    channel->fd = -1;
    channel->connecting = true;
    channel->shared = queries > 0;
    channel->room = queries > 0 ? queries : UINT_MAX;
    channel->idle_us = net->config.upstream_idle_us;
    channel->used_us = net->now_us;
    if (net_channel_add(net, &channel->end)) {
        free(channel);
        return NULL;
    }
    return channel;
}

/* STATUS_IO, with errno and the reason, when it can't be. */
static enum status open_channel(struct net *net, struct server *server, unsigned queries, struct tcp_channel **out,
                                struct reason *reason)
{
    if (queries > 0 && !stream_share_waits(&server->share, &net->streams)) {
        reason_set(reason, "too many queries wait for connections to the upstream");
        errno = EMFILE; /* our own fault, not the server's */
        return STATUS_IO;
    }
    struct tcp_channel *channel = new_channel(net, server, queries);
    int error = channel ? open_or_wait(channel) : ENOMEM;
    if (error) {
        if (channel)
            net_channel_remove(net, &channel->end);
        free(channel);
        reason_set(reason, "%s", net_error_text(error));
        errno = error;
        return STATUS_IO;
    }
    net_need_tick(net);
    *out = channel;
    return STATUS_OK;
}

/* --- the transport --- */

static void unlink_stream(struct channel_end *end)
{
    if (end->server->stream == channel_of(end))
        end->server->stream = NULL;
}

static bool is_idle(const struct tcp_channel *channel)
{
    return channel->end.pending == 0 && channel->net->now_us - channel->used_us >= channel->idle_us;
}

/* One query more is given to the channel; the last one that it takes retires it. */
static void use(struct tcp_channel *channel, struct channel_end **out)
{
    channel->used_us = channel->net->now_us;
    if (--channel->room == 0) {
        channel->end.retired = true;
        unlink_stream(&channel->end);
    }
    *out = &channel->end;
}

static enum status route_alone(struct net *net, struct server *server, struct channel_end **out, struct reason *reason)
{
    struct tcp_channel *channel;
    enum status status = open_channel(net, server, 1, &channel, reason);
    if (status)
        return status;
    channel->alone = true;
    use(channel, out);
    return STATUS_OK;
}

static bool is_worn(const struct tcp_channel *channel)
{
    return channel->end.pending >= PENDING_MAX || (channel->silent >= SILENT_MAX && !channel->waiting) ||
           is_idle(channel);
}

static enum status route(struct net *net, struct server *server, struct channel_end **out, struct reason *reason)
{
    if (server->stream && is_worn(server->stream))
        net_channel_retire(net, &server->stream->end);
    if (!server->stream) {
        const unsigned queries = stream_habit_queries(&server->habit);
        enum status status = open_channel(net, server, queries, &server->stream, reason);
        if (status)
            return status;
    }
    use(server->stream, out);
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
    struct net *net = channel->net;
    struct server *server = end->server;
    if (!channel->alone && !channel->cut && channel->answers > 0)
        stream_habit_whole(&server->habit, channel->answers, channel->room == 0);
    event_del(&channel->writable);
    if (channel->fd >= 0) {
        event_del(&channel->readable);
        close(channel->fd);
    }
    if (channel->waiting) {
        stop_waiting(channel);
    } else if (channel->shared) {
        server->share.open--;
        net->streams.open--;
    }
    framing_free(&channel->framing);
    buffer_free(&channel->out);
    weigh(channel);
    free(channel);
    open_waiting(net, server);
}

static void tick(struct net *net, struct server *server)
{
    struct tcp_channel *channel = server->stream;
    open_waiting(net, server);
    if (!channel)
        return;
    if (channel->connecting && channel->fd >= 0 && net->now_us - channel->opened_us >= CONNECT_US)
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
