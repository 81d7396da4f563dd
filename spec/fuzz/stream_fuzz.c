/* The network side with real sockets on the loopback and a clock of our own: stream clients that send in pieces, half
 * close, leave and do not read; UDP clients; an upstream that answers over UDP and TCP, well, badly or not at all;
 * hooks that wait and disturb; clients that are not served; files that are read again; descriptors that run out. The
 * input is a program, as in exchange_fuzz.c.
 *
 * Must hold: what comes back on a connection are whole messages, each to a query that was sent there; a good query on a
 * connection that stays open is answered, and but for zone transfers once; in the end nothing is in flight.
 */
#include "flow/faults.h"
#include "messages.h"
#include "net/rate_limit.h"
#include "net/tcp_connection.h"
#include "net/transport.h"
#include "stream/world.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    DRIP = 4000,      /* bytes a second: what pipelined queries can have waiting is gone within SETTLE_TRIES drops */
    DROP_US = 100000, /* from one drop to the next */
    SETTLE_TRIES = 4000,
    RARE_OP = 120, /* and above: what seldom happens */
};

void world_run(struct world *world)
{
    descriptors_of_proxy(true);
    MUST(event_base_loop(world->base, EVLOOP_NONBLOCK) >= 0);
    descriptors_of_proxy(false);
}

/* --- scripts --- */

static enum hook_result run(struct hooks *hooks, enum hook hook, struct flow *flow)
{
    struct world *world = hooks->context;
    const uint8_t what = cursor_u8(&world->input);
    if (what >= 250 && hook == HOOK_RESPONSE && transport_is_stream(flow->reply_to.transport)) {
        struct flow_faults *faults = flow_faults_of(flow);
        MUST(faults);
        faults->reset = what & 1;
        faults->drip = what & 1 ? 0 : DRIP;
        faults->copies = what >> 1 & 1;
        for (size_t i = 0; i < CLIENTS; i++)
            world->clients[i].disturbed = true;
    }
    for (size_t i = 0; what >= 200 && what < 240 && !world->settling && i < PARKED_MAX; i++)
        if (!world->parked[i]) {
            world->parked[i] = flow;
            return HOOK_SUSPENDED;
        }
    return HOOK_DONE;
}

static void finished(void *context, const struct flow *flow)
{
    struct world *world = context;
    for (size_t i = 0; i < PARKED_MAX; i++)
        if (world->parked[i] == flow)
            world->parked[i] = NULL;
}

static void resume(struct world *world, size_t i)
{
    struct flow *flow = world->parked[i];
    world->parked[i] = NULL;
    net_turn(world->net);
    if (flow)
        exchange_resume(world->exchange, flow);
}

static void happen_resume(struct world *world)
{
    resume(world, cursor_u8(&world->input) % PARKED_MAX);
}

/* --- time --- */

static void let_drip(const struct tcp_server *server)
{
    for (struct tcp_connection *at = server->clients.oldest; at; at = at->newer)
        if (event_pending(&at->dripping, EV_TIMEOUT, NULL))
            event_active(&at->dripping, EV_TIMEOUT, 0);
}

static void pass_time(struct world *world, int64_t us)
{
    time_add(us);
    if (us >= DROP_US)
        let_drip(world->net->tcp_server);
    if (event_pending(&world->net->deadline_event, EV_TIMEOUT, NULL))
        event_active(&world->net->deadline_event, EV_TIMEOUT, 0);
    if (world->net->ticking && us >= 1000000)
        event_active(&world->net->tick_event, EV_TIMEOUT, 0);
    world_run(world);
}

static void happen_time(struct world *world)
{
    const uint8_t how_long = cursor_u8(&world->input);
    pass_time(world, how_long < 200 ? how_long * 1000 : (how_long - 199) * 500000);
}

/* So many descriptors are left to the proxy. */
static void happen_descriptors(struct world *world)
{
    const uint8_t left = cursor_u8(&world->input);
    descriptors_leave(left < 128 ? left % 8 : UINT_MAX);
}

static void live(struct world *world)
{
    static void (*const happenings[])(struct world *) = {
        happen_stream_queries, happen_answer,         happen_stream_bytes, happen_client_ends,
        happen_datagram,       happen_upstream_bytes, happen_resume,       happen_time,
    };
    static void (*const rare[])(struct world *) = {happen_refusal, happen_lists, happen_descriptors};
    while (cursor_left(&world->input)) {
        const uint8_t what = cursor_u8(&world->input), kind = what & 127;
        if (kind >= RARE_OP)
            rare[(kind - RARE_OP) % (sizeof rare / sizeof *rare)](world);
        else
            happenings[kind % (sizeof happenings / sizeof *happenings)](world);
        if (what & 128)
            continue; /* together with what comes next */
        world_run(world);
        clients_read(world);
        upstream_reads(world);
    }
}

/* --- the end --- */

static void wait_on(struct world *world, unsigned tries)
{
    pass_time(world, TIMEOUT_US);
    clients_read(world);
    if (tries > SETTLE_TRIES - 400)
        usleep(5000); /* the system may need a moment to carry bytes */
}

static void settle(struct world *world)
{
    world->settling = true;
    descriptors_leave(UINT_MAX);
    for (unsigned i = 0; i < SETTLE_TRIES; i++) {
        for (size_t k = 0; k < PARKED_MAX; k++)
            resume(world, k);
        wait_on(world, i);
        if (clients_are_settled(world, false))
            break;
    }
    MUST(clients_are_settled(world, true));
    if (world->stops) {
        MUST(world->idle == 0);
        /* No tick, which closes what does not go on: that is to end by itself. */
        event_del(&world->net->tick_event);
        world->net->ticking = true;
        net_stop_listening(world->net);
        for (unsigned i = 0; i < SETTLE_TRIES && !world->idle; i++)
            wait_on(world, i);
        MUST(world->idle == 1);
    }
}

/* --- life --- */

static void note_idle(void *context)
{
    struct world *world = context;
    world->idle++;
}

/* As the input's first bytes say. What the configuration points to is static. */
static struct net_config configure(struct world *world)
{
    static struct net_upstream upstreams[2];
    static const struct address_prefix allowed = {{.family = AF_INET, .bytes = {127, 0, 0, 1}}, 32};
    const struct sockets *sockets = the_sockets();
    const struct address upstream = address_from_sockaddr((const struct sockaddr *)&sockets->upstream);
    const uint8_t policy = cursor_u8(&world->input), limits = cursor_u8(&world->input);
    struct net_config config = net_config_defaults();
    for (size_t i = 0; i < 2; i++)
        upstreams[i] = (struct net_upstream){.target.address = upstream, .domain = {.length = 1}};
    upstreams[0].target.scheme = policy & 1 ? UPSTREAM_TCP : UPSTREAM_PLAIN;
    upstreams[1].target.scheme = policy & 1 ? UPSTREAM_UDP : UPSTREAM_TCP;
    config.inherited = sockets->listeners;
    config.inherited_count = 2;
    config.upstreams = upstreams;
    config.upstream_count = policy & 2 ? 2 : 1;
    config.upstream_policy = policy >> 2 & 3;
    config.resolv_conf = NULL;
    config.tcp_connections_max = 3;
    config.tcp_connections_per_client = 2;
    config.tcp_pipeline_max = 1 + limits % 8;
    config.tcp_output_max = 64u << (limits >> 3 & 7);
    world->stops = policy & 16;
    world->lists = policy & 32;
    if (world->lists) {
        const struct lists *lists = the_lists();
        config.hosts = lists->hosts;
        config.zones = lists->zones;
        config.resolv_conf = lists->resolv_conf;
        if (cursor_u8(&world->input) & 1) /* resolv.conf's servers are asked for all other names */
            upstreams[0].domain = upstreams[1].domain = (struct dns_name){.length = 13, .wire = "\7example\3com"};
    }
    if (policy & 64) { /* one of the clients is a stranger */
        config.allowed = &allowed;
        config.allowed_count = 1;
    }
    if (policy & 128) {
        const struct address_cut whole = {32, 128};
        world->rate_limit = rate_limit_new(1 + cursor_u8(&world->input), whole, (const uint64_t[2]){1, 2});
        config.rate_limit = world->rate_limit;
        config.rate_action = limits & 1 ? TURN_AWAY_TRUNCATE : TURN_AWAY_REFUSE;
    }
    config.on_idle = note_idle;
    config.context = world;
    world->exchange_config = (struct exchange_config){.timeout_us = TIMEOUT_US,
                                                      .retries = limits >> 6,
                                                      .flows_max = 1000,
                                                      .memory_max = 1 << 20,
                                                      .payload_size = 1232,
                                                      .stream_idle_us = config.tcp_idle_us};
    return config;
}

static void start(struct world *world, const struct log *log, const struct flow_observer *observer)
{
    struct net_config config = configure(world);
    struct reason reason = {""};
    config.log = log;
    MUST(!net_new(world->base, &config, &world->net, &reason));
    MUST(!net_bind(world->net, NULL, &reason));
    world->hooks = (struct hooks){.context = world, .defined = 7, .run = run};
    world->exchange = exchange_new(&world->exchange_config, net_io(world->net), &world->hooks, observer);
    MUST(world->exchange);
    MUST(!net_start(world->net, world->exchange, &reason));
}

/* What came to the sockets that stay is not for the next run. */
static void end(struct world *world)
{
    const struct sockets *sockets = the_sockets();
    const int streams[] = {sockets->listeners[1], sockets->upstream_stream};
    const int datagrams[] = {sockets->listeners[0], sockets->upstream_datagram};
    uint8_t byte;
    for (size_t i = 0; i < CLIENTS; i++)
        client_leaves(&world->clients[i]);
    exchange_free(world->exchange);
    net_free(world->net);
    rate_limit_free(world->rate_limit);
    event_base_free(world->base);
    close(world->datagram_client);
    for (int i = 0; i < CHANNELS; i++) {
        upstream_close(world, i);
        buffer_free(&world->channel_bytes[i]);
    }
    for (size_t i = 0; i < SENT_MAX; i++)
        buffer_free(&world->sent[i].wire);
    for (size_t i = 0; i < 2; i++) {
        for (int left; (left = accept(streams[i], NULL, NULL)) >= 0;)
            socket_drop(&left);
        while (recv(datagrams[i], &byte, 1, MSG_DONTWAIT) >= 0 || errno == ECONNREFUSED)
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.input = cursor_over(data, size), .base = event_base_new()};
    const struct log silent = {.level = LOG_ERROR + 1, .fd = -1};
    const struct flow_observer observer = {.context = &world, .finished = finished};
    MUST(world.base);
    time_set(1000000);
    world.datagram_client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (size_t i = 0; i < CLIENTS; i++)
        world.clients[i].fd = -1;
    for (size_t i = 0; i < CHANNELS; i++)
        world.channels[i] = -1;
    start(&world, &silent, &observer);
    live(&world);
    settle(&world);
    end(&world);
    return 0;
}
