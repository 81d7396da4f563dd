/* Asking over UDP. A spoofed answer must guess the id and the port (RFC 5452 sections 4.3 and 4.5), so ports are random
 * and change: at low rates each query goes out on a socket of its own, at high rates a new one joins the pool now and
 * then, and each turn's queries go out together on one of the pool. The next socket is opened ahead, when a turn's
 * packets are on their way. */
#include "net/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FRESH_EVERY_US = 1000, /* opening a socket costs as much as two queries: not more often than this … */
    FRESH_QUERIES = 256,   /* … nor for fewer queries, as long as the pool has some sockets … */
    FRESH_POOL = 8,
    FRESH_LATEST_US = 10000, /* … and the newest is not older than this */
    PORT_FIRST = 10240,      /* below, other programs' fixed ports are dense */
    PORT_TRIES = 8,
    SOCKET_BUFFER = 4 * 1024 * 1024,
};

struct udp_socket {
    struct channel_end end; /* first */
    struct net *net;
    int fd;
    int64_t used_us;
    struct event event;
};

static struct udp_socket *socket_of(struct channel_end *end)
{
    return (struct udp_socket *)end;
}

/* --- receiving --- */

static void readable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct udp_socket *from = context;
    struct net *net = from->net;
    net_enter(net);
    unsigned want = from->end.pending > 1 ? from->end.pending : 1;
    int got = datagrams_receive(net->datagrams_in, fd, 0, want);
    if (got < 0)
        net_channel_failed(net, &from->end, net_error_text(errno));
    for (int i = 0; i < got; i++) {
        struct span data = datagrams_data(net->datagrams_in, (unsigned)i);
        exchange_answer(net->exchange, from->end.number, data.data, data.length);
    }
    net_leave(net);
}

/* --- opening --- */

/* Whether it is an upstream's port. If that upstream is on this machine and not running just now, it could not come
 * back to a port that is taken; and a socket on its server's own port would ask itself. */
static bool is_upstreams_port(const struct net *net, const struct address *server, uint16_t port)
{
    bool found = server->port == port;
    for (size_t i = 0; i < net->upstreams.count && !found; i++)
        found = net->upstreams.items[i].target.address.port == port;
    return found;
}

/* Takes a random port of ours; any other where eight in a row are taken. */
static void bind_randomly(struct net *net, int fd, const struct address *server)
{
    struct address any = {.family = server->family};
    struct sockaddr_storage name;
    for (unsigned i = 0; i < PORT_TRIES; i++) {
        any.port = (uint16_t)(PORT_FIRST + random_below(&net->random, 65536 - PORT_FIRST));
        if (is_upstreams_port(net, server, any.port))
            continue;
        socklen_t length = address_to_sockaddr(&any, (struct sockaddr *)&name);
        if (!bind(fd, (const struct sockaddr *)&name, length))
            return;
    }
}

static enum status connect_socket(struct net *net, const struct address *address, int *out)
{
    struct sockaddr_storage name;
    socklen_t length = address_to_sockaddr(address, (struct sockaddr *)&name);
    int size = SOCKET_BUFFER;
    int fd = socket(address->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return STATUS_IO;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    bind_randomly(net, fd, address);
    if (connect(fd, (const struct sockaddr *)&name, length)) {
        int error = errno;
        close(fd);
        errno = error;
        return STATUS_IO;
    }
    *out = fd;
    return STATUS_OK;
}

/* Takes the socket out of the ring, which keeps its order of age. */
static void leave_pool(struct channel_end *end)
{
    struct udp_socket *gone = socket_of(end);
    struct server *server = end->server;
    struct udp_socket *kept[UDP_POOL_SIZE];
    unsigned count = 0, first = server->pool_count == UDP_POOL_SIZE ? server->pool_next : 0;
    for (unsigned i = 0; i < server->pool_count; i++) {
        struct udp_socket *at = server->pool[(first + i) % UDP_POOL_SIZE];
        if (at != gone)
            kept[count++] = at;
    }
    memcpy(server->pool, kept, count * sizeof(struct udp_socket *));
    server->pool_count = count;
    server->pool_next = count % UDP_POOL_SIZE;
    if (server->current == gone)
        server->current = NULL;
    if (server->spare == gone)
        server->spare = NULL;
}

/* A new socket is the newest of the pool; the oldest makes room, and takes no more queries. */
static void join_pool(struct server *server, struct udp_socket *fresh)
{
    if (server->pool_count == UDP_POOL_SIZE)
        net_channel_retire(fresh->net, &server->pool[server->pool_next]->end);
    server->pool[server->pool_next] = fresh;
    server->pool_next = (server->pool_next + 1) % UDP_POOL_SIZE;
    server->pool_count++;
}

/* A socket that is in no pool yet; NULL with errno when it can't be. */
static struct udp_socket *open_socket(struct net *net, struct server *server)
{
    struct udp_socket *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    *fresh = (struct udp_socket){.end = {.ops = &udp_upstream_transport, .server = server}, .net = net, .fd = -1};
    if (connect_socket(net, &server->address, &fresh->fd))
        goto failed;
    if (net_channel_add(net, &fresh->end)) {
        close(fresh->fd);
        errno = EMFILE;
        goto failed;
    }
    event_assign(&fresh->event, net->base, fresh->fd, EV_READ | EV_PERSIST, readable, fresh);
    event_add(&fresh->event, NULL);
    fresh->used_us = net->now_us;
    net->udp_sockets++;
    net->counters.upstream_sockets_opened++;
    net_need_tick(net);
    return fresh;
failed:
    net->counters.upstream_sockets_failed++;
    free(fresh);
    return NULL;
}

void udp_upstream_open_ahead(struct net *net)
{
    struct server *server = net->wants_spare;
    net->wants_spare = NULL;
    if (server && !server->spare && net->udp_sockets < net->config.upstream_sockets_max)
        server->spare = open_socket(net, server);
}

/* --- the transport --- */

static bool wants_fresh(const struct net *net, const struct server *server)
{
    int64_t age_us = net->now_us - server->fresh_us;
    if (server->pool_count == 0 || age_us >= FRESH_LATEST_US)
        return true;
    return age_us >= FRESH_EVERY_US && (server->pool_count < FRESH_POOL || server->fresh_queries >= FRESH_QUERIES);
}

static struct udp_socket *choose_socket(struct net *net, struct server *server)
{
    if (server->current && server->current_turn == net->turn && !server->current->end.retired)
        return server->current;
    if (wants_fresh(net, server) && (server->pool_count == 0 || net->udp_sockets < net->config.upstream_sockets_max)) {
        struct udp_socket *opened = server->spare ? server->spare : open_socket(net, server);
        if (opened) {
            server->spare = NULL;
            server->fresh_us = net->now_us;
            server->fresh_queries = 0;
            net->wants_spare = server;
            join_pool(server, opened);
            return opened;
        }
    }
    return server->pool_count ? server->pool[random_below(&net->random, server->pool_count)] : NULL;
}

static enum status route(struct net *net, struct server *server, struct channel_end **out, struct reason *reason)
{
    struct udp_socket *chosen = choose_socket(net, server);
    if (!chosen) {
        reason_set(reason, "%s", net_error_text(errno));
        return STATUS_IO;
    }
    server->current = chosen;
    server->fresh_queries++;
    server->current_turn = net->turn;
    chosen->used_us = net->now_us;
    *out = &chosen->end;
    return STATUS_OK;
}

static enum status send_query(struct channel_end *end, const uint8_t *wire, size_t length, struct reason *reason)
{
    struct udp_socket *over = socket_of(end);
    struct datagram_way way = {.fd = over->fd, .owner = end};
    (void)reason;
    datagrams_add(over->net->queries_out, &way, wire, length);
    return STATUS_OK;
}

static void free_socket(struct channel_end *end)
{
    struct udp_socket *gone = socket_of(end);
    event_del(&gone->event);
    close(gone->fd);
    gone->net->udp_sockets--;
    free(gone);
}

static void tick(struct net *net, struct server *server)
{
    struct udp_socket *idle[UDP_POOL_SIZE + 1];
    unsigned count = 0;
    if (server->spare && net->now_us - server->spare->used_us >= net->config.upstream_idle_us)
        idle[count++] = server->spare;
    for (unsigned i = 0; i < server->pool_count; i++) {
        struct udp_socket *at = server->pool[i];
        if (at->end.pending == 0 && net->now_us - at->used_us >= net->config.upstream_idle_us)
            idle[count++] = at;
    }
    for (unsigned i = 0; i < count; i++)
        net_channel_retire(net, &idle[i]->end);
}

const struct upstream_transport udp_upstream_transport = {
    .transport = TRANSPORT_UDP,
    .route = route,
    .send = send_query,
    .retired = leave_pool,
    .free = free_socket,
    .tick = tick,
};
