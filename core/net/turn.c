/* Turns of the event loop: the exchange's time and deadline, flushing, the channels' life, and the exchange's calls. */
#include "base/clock.h"
#include "net/transport.h"

#include <errno.h>
#include <stdlib.h>

enum {
    TICK_US = CLOCK_SECOND_US,
    TIMER_MIN_US = 1000,
    NO_EDNS_US = 300 * CLOCK_SECOND_US, /* until a server that did not know EDNS is asked with OPT again */
};

/* --- channels --- */

static struct channel_end **slot_of(struct net *net, uint32_t number)
{
    return &net->channels[number % CHANNEL_SLOTS];
}

static struct channel_end *find_channel(struct net *net, uint32_t number)
{
    struct channel_end *end = *slot_of(net, number);
    return end && end->number == number ? end : NULL;
}

enum status net_channel_add(struct net *net, struct channel_end *end)
{
    for (unsigned i = 0; i < CHANNEL_SLOTS; i++) {
        uint32_t number = ++net->last_channel;
        if (number == 0 || *slot_of(net, number))
            continue;
        end->number = number;
        *slot_of(net, number) = end;
        end->server->channels++;
        return STATUS_OK;
    }
    return STATUS_NO_SPACE;
}

void net_channel_remove(struct net *net, struct channel_end *end)
{
    *slot_of(net, end->number) = NULL;
    end->server->channels--;
}

/* Nothing waits on it: to be freed when the turn ends, as packets of this turn may still be queued on it. */
static void bury(struct net *net, struct channel_end *end)
{
    if (end->dead || !end->retired || end->pending || end->failed)
        return;
    end->dead = true;
    end->next_dead = net->dead;
    net->dead = end;
}

void net_channel_retire(struct net *net, struct channel_end *end)
{
    if (!end->retired) {
        end->retired = true;
        end->ops->retired(end);
    }
    bury(net, end);
}

void net_channel_failed(struct net *net, struct channel_end *end, const char *why)
{
    if (end->failed || end->dead)
        return;
    end->failed = true;
    end->why = why;
    end->next_failed = net->failed;
    net->failed = end;
    net_channel_retire(net, end);
}

static void tell_failures(struct net *net)
{
    while (net->failed) {
        struct channel_end *end = net->failed;
        net->failed = end->next_failed;
        exchange_channel_failed(net->exchange, end->number, end->why, end->worked);
        end->failed = false;
        bury(net, end);
    }
}

static void free_channel(struct net *net, struct channel_end *end)
{
    net_channel_remove(net, end);
    end->ops->free(end);
}

static void free_dead(struct net *net)
{
    while (net->dead) {
        struct channel_end *end = net->dead;
        net->dead = end->next_dead;
        free_channel(net, end);
    }
}

/* --- turns --- */

static bool is_flushed(const struct net *net)
{
    return datagrams_out_is_empty(net->queries_out) && datagrams_out_is_empty(net->answers_out) && !net->failed &&
           !net->dirty_channels && !tcp_server_is_dirty(net->tcp_server);
}

static void keep_deadline(struct net *net)
{
    int64_t deadline = exchange_next_deadline(net->exchange);
    if (deadline < 0 || (net->deadline_us >= 0 && net->deadline_us <= deadline))
        return; /* a timer that comes too early costs less than one set for each query */
    int64_t wait = deadline - net->now_us;
    struct timeval time = clock_timeval(wait > TIMER_MIN_US ? wait : TIMER_MIN_US);
    if (!event_add(&net->deadline_event, &time))
        net->deadline_us = deadline;
}

static void end_turn(struct net *net)
{
    do {
        datagrams_flush(net->queries_out);
        tcp_upstream_flush(net);
        datagrams_flush(net->answers_out);
        tcp_server_flush(net->tcp_server);
        tell_failures(net);
    } while (!is_flushed(net));
    exchange_gone_out(net->exchange);
    free_dead(net);
    if (!net->stopping)
        udp_upstream_open_ahead(net);
    keep_deadline(net);
    net->turn_open = false;
    if (net->stopping && !net->idle_told && net_is_idle(net)) {
        net->idle_told = true;
        if (net->config.on_idle)
            net->config.on_idle(net->config.context);
    }
}

static void on_turn_end(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct net *net = context;
    net->turn_end_scheduled = false;
    if (net->turn_open)
        end_turn(net);
}

void net_enter(struct net *net)
{
    if (net->turn_open)
        return;
    net->turn_open = true;
    net->turn++;
    net->now_us = clock_monotonic_us();
    net->wall_us = clock_wall_us();
    exchange_set_time(net->exchange, net->now_us, net->wall_us);
}

/* Behind all events that are active now, which so belong to this turn. */
static void schedule_turn_end(struct net *net)
{
    if (net->turn_end_scheduled)
        return;
    net->turn_end_scheduled = true;
    event_active(&net->turn_end_event, EV_TIMEOUT, 0);
}

void net_leave(struct net *net)
{
    if (net->turn_end_scheduled)
        return;
    if (event_base_get_num_events(net->base, EVENT_BASE_COUNT_ACTIVE) > 0)
        schedule_turn_end(net);
    else
        end_turn(net);
}

void net_turn(struct net *net)
{
    if (!net->started)
        return;
    net_enter(net);
    schedule_turn_end(net);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct net *net = context;
    net->deadline_us = -1;
    net_enter(net);
    exchange_expire(net->exchange);
    net_leave(net);
}

/* --- the tick --- */

void net_need_tick(struct net *net)
{
    if (net->ticking)
        return;
    struct timeval time = clock_timeval(TICK_US);
    net->ticking = !event_add(&net->tick_event, &time);
}

static void forget_server(struct net *net, struct server *server)
{
    if (net->last_server == server)
        net->last_server = NULL;
    if (net->wants_spare == server)
        net->wants_spare = NULL;
    HASH_DEL(net->servers, server);
    free(server);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct net *net = context;
    struct server *server, *next;
    net->ticking = false;
    net_enter(net);
    bool needed = tcp_server_tick(net->tcp_server);
    HASH_ITER(hh, net->servers, server, next)
    {
        udp_upstream_transport.tick(net, server);
        tcp_upstream_transport.tick(net, server);
        needed = true;
        if (server->channels == 0 && net->now_us - server->used_us >= net->config.upstream_idle_us &&
            net->now_us >= server->no_edns_until_us)
            forget_server(net, server);
    }
    needed |= net_probe_upstreams(net);
    if (needed)
        net_need_tick(net);
    net_leave(net);
}

/* --- the exchange's calls --- */

static struct server *look_up_server(struct net *net, const struct address *address)
{
    struct server *server = NULL;
    struct address key = {.family = address->family, .port = address->port, .scope = address->scope};
    memcpy(key.bytes, address->bytes, address->family == AF_INET6 ? 16 : 4);
    HASH_FIND(hh, net->servers, &key, sizeof key, server);
    if (!server) {
        server = calloc(1, sizeof *server);
        if (!server)
            return NULL;
        server->address = key;
        server->is_self = net_is_self(net, &key);
        HASH_ADD(hh, net->servers, address, sizeof key, server);
        if (!server->hh.tbl) {
            free(server);
            return NULL;
        }
        net_need_tick(net);
    }
    net->last_server = server;
    return server;
}

/* The one asked last is most often the one. */
static inline struct server *find_server(struct net *net, const struct address *address)
{
    struct server *last = net->last_server;
    return last && address_equal(&last->address, address) ? last : look_up_server(net, address);
}

/* What keeps us from asking anybody says nothing of the upstream. */
static bool is_our_own_fault(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

static enum status route(void *context, const struct route *wanted, struct channel *out, struct reason *reason)
{
    struct net *net = context;
    struct upstream_choice choice = {.upstream = 0};
    enum status status = upstreams_choose(&net->upstreams, wanted, &choice, reason);
    const struct upstream_target target = choice.target;
    out->upstream = choice.upstream;
    out->is_down = choice.is_down;
    out->routed_us = net->now_us;
    out->server = target.address;
    out->scheme = target.scheme;
    const bool stream = wanted->stream || (wanted->transfer && target.scheme == UPSTREAM_PLAIN);
    out->transport = stream || target.scheme == UPSTREAM_TCP ? TRANSPORT_TCP : TRANSPORT_UDP;
    if (status)
        return status;
    struct server *server = find_server(net, &target.address);
    if (!server) {
        reason_set(reason, "out of memory");
        return STATUS_NO_MEMORY;
    }
    server->used_us = net->now_us;
    out->no_edns = net->now_us < server->no_edns_until_us;
    if (server->is_self) {
        reason_set(reason, "the upstream is this proxy itself");
        return STATUS_IO;
    }
    const struct upstream_transport *ops =
        out->transport == TRANSPORT_TCP ? &tcp_upstream_transport : &udp_upstream_transport;
    struct channel_end *end = NULL;
    const bool alone = wanted->transfer && ops->route_alone;
    status = (alone ? ops->route_alone : ops->route)(net, server, &end, reason);
    if (status) {
        if (!is_our_own_fault(errno))
            net_upstream_unreachable(net, out, reason->text);
        return status;
    }
    end->pending++;
    out->number = end->number;
    out->keepalive = end->keepalive;
    net_upstream_asked(net, out);
    return STATUS_OK;
}

static enum status send_query(void *context, const struct channel *channel, const uint8_t *wire, size_t length,
                              struct reason *reason)
{
    struct channel_end *end = find_channel(context, channel->number);
    if (!end) {
        reason_set(reason, "the channel is closed");
        return STATUS_IO;
    }
    if (end->failed) {
        reason_set(reason, "%s", end->why);
        return STATUS_IO;
    }
    return end->ops->send(end, wire, length, reason);
}

static void hold(void *context, const struct channel *channel, bool held)
{
    struct channel_end *end = find_channel(context, channel->number);
    if (end && end->ops->hold)
        end->ops->hold(end, held);
}

static void no_edns(void *context, const struct channel *channel)
{
    struct net *net = context;
    struct server *server = find_server(net, &channel->server);
    if (server)
        server->no_edns_until_us = net->now_us + NO_EDNS_US;
}

static void keepalive(void *context, const struct channel *channel, int64_t idle_us)
{
    struct channel_end *end = find_channel(context, channel->number);
    if (end && end->ops->keepalive)
        end->ops->keepalive(end, idle_us);
}

static unsigned rivals(void *context, const struct flow *flow, uint8_t members[static RIVALS_MAX])
{
    struct net *net = context;
    return upstreams_rivals(&net->upstreams, flow, net->now_us, members);
}

static void release(void *context, const struct channel *channel, enum try_outcome outcome)
{
    struct channel_end *end = find_channel(context, channel->number);
    const char *why = NULL;
    if (outcome == TRY_TIMED_OUT || outcome == TRY_FAILED)
        why = outcome == TRY_TIMED_OUT ? "time-out" : end && end->why ? end->why : "not reachable";
    net_upstream_note(context, channel, outcome, why);
    if (!end || end->pending == 0)
        return;
    end->pending--;
    if (end->ops->released)
        end->ops->released(end);
    bury(context, end);
}

static void reply(void *context, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct net *net = context;
    if (to->listener < net->listener_count)
        net->listeners[to->listener].ops->reply(&net->listeners[to->listener], to, wire, length);
}

static enum part_result reply_part(void *context, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    return tcp_server_reply_part(((struct net *)context)->tcp_server, to, wire, length);
}

static void reply_again(void *context, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct net *net = context;
    if (transport_is_stream(to->transport))
        tcp_server_reply_again(net->tcp_server, to, wire, length);
    else
        reply(context, to, wire, length);
}

static void disturb(void *context, const struct reply_to *to, bool reset, uint32_t bytes_per_second)
{
    struct net *net = context;
    if (transport_is_stream(to->transport))
        tcp_server_disturb(net->tcp_server, to, reset, bytes_per_second);
}

static void no_reply(void *context, const struct reply_to *to)
{
    struct net *net = context;
    if (transport_is_stream(to->transport))
        tcp_server_no_reply(net->tcp_server, to);
}

/* The hosts file comes first. Whoever asks is told that recursion is there (RFC 1035 section 4.1.1): it is the proxy's.
 */
static enum status local_answer(void *context, const struct flow *flow, struct buffer *out, enum flow_source *source,
                                const char **source_name)
{
    const struct net *net = context;
    const struct dns_message *query = &flow_request(flow)->view;
    const char *path;
    if (net->hosts && hosts_answer(net->hosts, query, out) == STATUS_OK) {
        *source = FLOW_SOURCE_HOSTS;
        return STATUS_OK;
    }
    enum status status = zone_list_answer(&net->zones, query, out, &path);
    if (status)
        return status;
    store_u16(out->data + 2, (uint16_t)(load_u16(out->data + 2) | DNS_FLAG_RA));
    const char *slash = strrchr(path, '/');
    *source = FLOW_SOURCE_ZONE;
    *source_name = slash ? slash + 1 : path;
    return STATUS_OK;
}

void net_io_set(struct net *net)
{
    enum net_upstream_policy policy = net->config.upstream_policy;
    net->io = (struct exchange_io){
        .context = net,
        .reply = reply,
        .no_reply = no_reply,
        .reply_part = reply_part,
        .hold = hold,
        .reply_again = reply_again,
        .disturb = disturb,
        .rivals = policy == NET_UPSTREAM_ALL || policy == NET_UPSTREAM_FASTEST ? rivals : NULL,
        .route = route,
        .send = send_query,
        .no_edns = no_edns,
        .keepalive = keepalive,
        .blocks = net->config.rebind_protection ? net_blocks_answer : NULL,
        .release = release,
        .local_answer = local_answer,
    };
}

/* --- life --- */

void net_turns_start(struct net *net)
{
    net->deadline_us = -1;
    event_assign(&net->turn_end_event, net->base, -1, 0, on_turn_end, net);
    evtimer_assign(&net->deadline_event, net->base, on_deadline, net);
    evtimer_assign(&net->tick_event, net->base, on_tick, net);
}

void net_turns_stop(struct net *net)
{
    struct server *server, *next;
    event_del(&net->turn_end_event);
    event_del(&net->deadline_event);
    event_del(&net->tick_event);
    for (unsigned i = 0; i < CHANNEL_SLOTS; i++) {
        if (net->channels[i])
            free_channel(net, net->channels[i]);
    }
    HASH_ITER(hh, net->servers, server, next)
    forget_server(net, server);
}
