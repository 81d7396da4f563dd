/* For specs of the exchange: the world around it, as plain data. Nothing here waits or has a socket. */
#ifndef MOONDNS_SPEC_WORLD_H
#define MOONDNS_SPEC_WORLD_H

#include "flow/exchange.h"
#include "packets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WORLD_MAX = 4096, CLIENT_ID = 0x4242, TIMEOUT_US = 2000000 };

struct world;
typedef enum hook_result (*world_hook)(struct world *world, struct flow *flow);

/* What an observer saw of a flow when it ended. */
struct ended {
    uint64_t serial;
    enum flow_source source;
    char source_name[FLOW_SOURCE_NAME_MAX], error[FLOW_ERROR_MAX];
    bool killed, responded, asked, wrapper;
    struct address server;
    unsigned tries;
    int64_t answered_us;
    uint16_t query_id;
};

struct routed {
    unsigned attempt;
    bool stream, transfer;
    struct address again;
};

struct world {
    struct exchange_io io;
    struct exchange_config config;
    struct hooks hooks;
    struct flow_observer observer;
    struct exchange *exchange;
    int64_t now_us;

    /* what came out; the newest last */
    struct buffer replies[WORLD_MAX], sent[WORLD_MAX];
    struct reply_to replied_to[WORLD_MAX];
    struct channel sent_on[WORLD_MAX];
    struct routed routed[WORLD_MAX];
    struct ended ended[WORLD_MAX];
    struct buffer parts[WORLD_MAX];
    size_t part_count;
    bool held;
    enum part_result part_result;
    size_t reply_count, no_reply_count, sent_count, route_count, ended_count, routes_ok, release_count, query_count;

    /* how it behaves */
    enum upstream_scheme scheme;
    bool no_upstream, stream_fails;
    unsigned rivals;      /* upstreams that are asked at once; 0: one after the other */
    unsigned unreachable; /* the next so many routes fail */
    unsigned send_fails;  /* the next so many sends fail */
    uint32_t channel;     /* of the routes to come; each UDP try gets this one */
    enum try_outcome outcomes[WORLD_MAX];
    struct buffer *hosts; /* what the hosts file answers; NULL: nothing */
    world_hook on[HOOK_COUNT];
    struct flow *flow; /* the last one that a hook saw */
    unsigned called[HOOK_COUNT], wrapper_ended, unused;
};

static inline struct world *world_of(struct hooks *hooks)
{
    return hooks->context;
}

static void world_reply(void *context, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct world *world = context;
    assert_true(world->reply_count < WORLD_MAX);
    world->replied_to[world->reply_count] = *to;
    buffer_append(&world->replies[world->reply_count++], wire, length);
}

static enum part_result world_reply_part(void *context, const struct reply_to *to, const uint8_t *wire, size_t length)
{
    struct world *world = context;
    (void)to;
    assert_true(world->part_count < WORLD_MAX);
    buffer_append(&world->parts[world->part_count++], wire, length);
    return world->part_result;
}

static void world_hold(void *context, const struct channel *channel, bool held)
{
    (void)channel;
    ((struct world *)context)->held = held;
}

static void world_no_reply(void *context, const struct reply_to *to)
{
    (void)to;
    ((struct world *)context)->no_reply_count++;
}

static enum status world_route(void *context, const struct route *route, struct channel *out, struct reason *reason)
{
    struct world *world = context;
    assert_true(world->route_count < WORLD_MAX);
    struct routed *routed = &world->routed[world->route_count++];
    *routed = (struct routed){.attempt = route->attempt, .stream = route->stream, .transfer = route->transfer};
    if (route->again)
        routed->again = *route->again;
    if (world->no_upstream)
        return STATUS_NOT_FOUND;
    bool stream = route->stream || route->transfer;
    struct channel channel = {.number = stream ? world->channel + 1000 : world->channel,
                              .transport = stream ? TRANSPORT_TCP : TRANSPORT_UDP,
                              .scheme = world->scheme};
    channel.number += 10 * route->member;
    unsigned last = route->member ? 100 + route->member : route->attempt + 1;
    channel.server = (struct address){.family = AF_INET, .port = 53, .bytes = {9, 9, 9, (uint8_t)last}};
    *out = channel;
    if (world->unreachable || (route->stream && world->stream_fails)) {
        world->unreachable -= world->unreachable > 0;
        reason_set(reason, "connection refused");
        return STATUS_IO;
    }
    world->routes_ok++;
    return STATUS_OK;
}

static unsigned world_rivals(void *context, const struct flow *flow, uint8_t members[static RIVALS_MAX])
{
    (void)flow;
    struct world *world = context;
    for (unsigned i = 0; i < world->rivals; i++)
        members[i] = (uint8_t)i;
    return world->rivals;
}

static enum status world_send(void *context, const struct channel *channel, const uint8_t *wire, size_t length,
                              struct reason *reason)
{
    struct world *world = context;
    if (world->send_fails) {
        world->send_fails--;
        reason_set(reason, "no buffer space");
        return STATUS_IO;
    }
    assert_true(world->sent_count < WORLD_MAX);
    world->sent_on[world->sent_count] = *channel;
    buffer_append(&world->sent[world->sent_count++], wire, length);
    return STATUS_OK;
}

static void world_release(void *context, const struct channel *channel, enum try_outcome outcome)
{
    (void)channel;
    struct world *world = context;
    world->outcomes[world->release_count++ % WORLD_MAX] = outcome;
}

static enum status world_local_answer(void *context, const struct flow *flow, struct buffer *out,
                                      enum flow_source *source, const char **source_name)
{
    (void)flow;
    (void)source_name;
    struct world *world = context;
    if (!world->hosts)
        return STATUS_NOT_FOUND;
    assert_int_equal(out->length, 0);
    buffer_append(out, world->hosts->data, world->hosts->length);
    *source = FLOW_SOURCE_HOSTS;
    return STATUS_OK;
}

static enum hook_result world_run(struct hooks *hooks, enum hook hook, struct flow *flow)
{
    struct world *world = world_of(hooks);
    world->called[hook]++;
    world->flow = flow;
    return world->on[hook] ? world->on[hook](world, flow) : HOOK_DONE;
}

static void world_hooks_ended(struct hooks *hooks, struct flow *flow)
{
    world_of(hooks)->wrapper_ended++;
    flow->wrapper = NULL;
}

static void world_unused(struct hooks *hooks)
{
    world_of(hooks)->unused++;
}

static void world_finished(void *context, const struct flow *flow)
{
    struct world *world = context;
    assert_true(world->ended_count < WORLD_MAX);
    assert_true(flow->finished_us > 0);
    struct ended *ended = &world->ended[world->ended_count++];
    *ended = (struct ended){.serial = flow->serial,
                            .source = flow->source,
                            .killed = flow->killed,
                            .responded = flow->response.present,
                            .asked = flow->asked,
                            .wrapper = flow->wrapper != NULL,
                            .server = flow->server,
                            .tries = flow->tries,
                            .answered_us = flow->response.timestamp_us,
                            .query_id = load_u16(flow->query.wire.data)};
    memcpy(ended->error, flow->error, sizeof ended->error);
    memcpy(ended->source_name, flow->source_name, sizeof ended->source_name);
}

static inline void world_sleep(struct world *world, int64_t us)
{
    world->now_us += us;
    exchange_set_time(world->exchange, world->now_us, 1700000000000000 + world->now_us);
}

/* A hook for a spec: it is defined from now on. */
static inline void world_on(struct world *world, enum hook hook, world_hook function)
{
    world->on[hook] = function;
    world->hooks.defined |= 1u << hook;
}

static inline int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->io = (struct exchange_io){.context = world,
                                     .reply = world_reply,
                                     .reply_part = world_reply_part,
                                     .hold = world_hold,
                                     .no_reply = world_no_reply,
                                     .rivals = world_rivals,
                                     .route = world_route,
                                     .send = world_send,
                                     .release = world_release,
                                     .local_answer = world_local_answer};
    world->config = (struct exchange_config){
        .timeout_us = TIMEOUT_US, .retries = 2, .flows_max = WORLD_MAX, .memory_max = 1 << 24, .payload_size = 1400};
    world->hooks =
        (struct hooks){.context = world, .run = world_run, .ended = world_hooks_ended, .unused = world_unused};
    world->observer = (struct flow_observer){.context = world, .finished = world_finished};
    world->channel = 7;
    world->exchange = exchange_new(&world->config, &world->io, &world->hooks, &world->observer);
    assert_non_null(world->exchange);
    world_sleep(world, 1000000);
    *state = world;
    return 0;
}

/* At the end of every spec: each query that is not still under way came to exactly one end, each route was released. */
static inline int world_teardown(void **state)
{
    struct world *world = *state;
    size_t under_way = exchange_flows(world->exchange);
    assert_int_equal(world->query_count, world->reply_count + world->no_reply_count + under_way);
    assert_int_equal(exchange_counters(world->exchange)->queries, world->query_count);
    assert_int_equal(exchange_counters(world->exchange)->responses, world->reply_count);
    exchange_free(world->exchange);
    assert_int_equal(world->routes_ok, world->release_count);
    assert_int_equal(world->hooks.flows, 0);
    for (size_t i = 0; i < world->reply_count; i++)
        buffer_free(&world->replies[i]);
    for (size_t i = 0; i < world->sent_count; i++)
        buffer_free(&world->sent[i]);
    for (size_t i = 0; i < world->part_count; i++)
        buffer_free(&world->parts[i]);
    free(world);
    return 0;
}

/* --- packets --- */

static inline struct reply_to client_of(enum transport transport)
{
    return (struct reply_to){.transport = transport,
                             .client = {.family = AF_INET, .port = 40000, .bytes = {127, 0, 0, 1}},
                             .connection = transport == TRANSPORT_UDP ? 0 : 5};
}

/* A query from a client; takes the message. */
static inline void world_query(struct world *world, enum transport transport, struct buffer wire)
{
    struct reply_to to = client_of(transport);
    world->query_count++;
    exchange_query(world->exchange, wire.data, wire.length, &to);
    buffer_free(&wire);
}

/* The query that most specs ask: example.com A, RD. */
static inline struct buffer plain_query(void)
{
    return message_of(CLIENT_ID, DNS_FLAG_RD, "example.com", DNS_TYPE_A);
}

static inline void world_ask(struct world *world)
{
    world_query(world, TRANSPORT_UDP, plain_query());
}

/* An answer on the channel; takes the message. */
static inline void world_answer(struct world *world, uint32_t channel, struct buffer wire)
{
    exchange_answer(world->exchange, channel, wire.data, wire.length);
    buffer_free(&wire);
}

/* The last query sent. */
static inline const struct buffer *world_sent(const struct world *world)
{
    assert_true(world->sent_count > 0);
    return &world->sent[world->sent_count - 1];
}

static inline uint16_t world_sent_id(const struct world *world)
{
    return load_u16(world_sent(world)->data);
}

/* The upstream's answer to the last query sent, which was for example.com A. */
static inline struct buffer good_answer(const struct world *world)
{
    struct buffer wire = message_of(world_sent_id(world), DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA, "example.com", 1);
    add_a(&wire, "example.com", 1);
    return wire;
}

static inline void world_answer_well(struct world *world)
{
    world_answer(world, world->channel, good_answer(world));
}

/* The last reply, parsed; it must be one to CLIENT_ID. */
static inline struct dns_message world_reply_message(const struct world *world)
{
    assert_true(world->reply_count > 0);
    const struct buffer *wire = &world->replies[world->reply_count - 1];
    struct dns_message message;
    assert_int_equal(dns_message_parse(wire->data, wire->length, &message, NULL), STATUS_OK);
    assert_int_equal(message.header.id, CLIENT_ID);
    return message;
}

static inline uint16_t world_reply_code(const struct world *world)
{
    struct dns_message message = world_reply_message(world);
    return dns_message_response_code(&message);
}

static inline const struct ended *world_ended(const struct world *world)
{
    assert_true(world->ended_count > 0);
    return &world->ended[world->ended_count - 1];
}

static inline const struct exchange_counters *world_counters(const struct world *world)
{
    return exchange_counters(world->exchange);
}

/* Gives the only flow an answer, which must be dropped: it waits on. */
static inline void world_expect_dropped(struct world *world, uint32_t channel, struct buffer answer)
{
    uint64_t dropped = world_counters(world)->unmatched_dropped;
    world_answer(world, channel, answer);
    assert_int_equal(world_counters(world)->unmatched_dropped, dropped + 1);
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(exchange_flows(world->exchange), 1);
}

/* A script's answer, as a hook sets it: NOERROR, one A record with this last byte. */
static inline enum hook_result set_response(struct flow *flow, const char *name, uint8_t last)
{
    struct buffer wire = message_of(1, DNS_FLAG_QR, name, DNS_TYPE_A);
    add_a(&wire, name, last);
    must(flow_set_response(flow, wire.data, wire.length, FLOW_SOURCE_SCRIPT, "spoof.lua", NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

/* The last byte of the reply's first A record; -1 when there is none. */
static inline int world_reply_a(const struct world *world)
{
    struct dns_message message = world_reply_message(world);
    struct dns_reader reader;
    struct dns_record record;
    struct buffer expanded = {0};
    dns_reader_start(&reader, &message, DNS_SECTION_ANSWER, &expanded);
    int last = -1;
    if (!dns_reader_next(&reader, &record) && record.data_length == 4)
        last = record.data[3];
    buffer_free(&expanded);
    return last;
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

#endif
