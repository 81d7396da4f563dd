/* The whole exchange: packets from clients and upstreams in any order, time, channels that break, and scripts that
 * answer, edit, clear, fail, kill and suspend. The input is a program: a byte says what happens next, and what it needs
 * follows.
 *
 * With a response cache or without, as the input says.
 *
 * Must hold: a query sent comes to one answer or to none, never two; a response sent as a query to none; answers are
 * whole messages, carry the client's id and question, no OPT if it sent none, and fit it; each route is released once.
 */
#include "exchange/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ASKS_OP = 248,
    RARE_OP = 250, /* and above: what seldom happens */
};

static void ask(struct world *world, struct buffer *wire)
{
    if (world->query_count < QUERIES_MAX) {
        uint8_t from = cursor_u8(&world->input);
        struct reply_to to = {.transport = from & 1 ? TRANSPORT_TCP : TRANSPORT_UDP, .connection = world->query_count};
        struct client_query *query = &world->queries[world->query_count++];
        *query = (struct client_query){.wire = *wire, .transport = to.transport};
        *wire = (struct buffer){0};
        exchange_query(world->exchange, query->wire.data, query->wire.length, &to);
    }
    buffer_free(wire);
}

static void happen_raw_query(struct world *world)
{
    struct buffer wire = {0};
    struct span bytes = world_take_some(world);
    buffer_append(&wire, bytes.data, bytes.length);
    ask(world, &wire);
}

/* A good query: so that the input need not find one. */
static void happen_query(struct world *world)
{
    static const char *const names[] = {"\7eXample\3Com", "\1a", "", "\3www\7example\3com"};
    struct buffer wire = {0};
    uint8_t kind = cursor_u8(&world->input);
    const char *name = names[kind & 3];
    struct dns_header header = {
        .id = cursor_u16(&world->input), .flags = DNS_FLAG_RD, .counts = {1, 0, 0, kind & 4 ? 1 + (kind >> 7) : 0}};
    buffer_reserve(&wire, DNS_HEADER_SIZE);
    dns_header_write(wire.data, &header);
    wire.length = DNS_HEADER_SIZE;
    buffer_append(&wire, name, strlen(name) + 1);
    buffer_u16(&wire, kind & 32 ? kind & 64 ? DNS_TYPE_AXFR : DNS_TYPE_IXFR : DNS_TYPE_A);
    buffer_u16(&wire, DNS_CLASS_IN);
    if (kind & 4) {
        struct span options = input_take(&world->input, kind & 8 ? cursor_u8(&world->input) % 32 : 0);
        buffer_u8(&wire, 0);
        buffer_u16(&wire, DNS_TYPE_OPT);
        buffer_u16(&wire, cursor_u16(&world->input));
        buffer_u32(&wire, kind & 16 ? 0x8000 : 0);
        buffer_u16(&wire, (uint16_t)options.length);
        buffer_append(&wire, options.data, options.length);
        if (kind & 128)
            buffer_append(&wire, "\0\0\51\2\0\0\0\0\0\0", 11);
    }
    world_disturb(world, &wire);
    ask(world, &wire);
}

static void happen_raw_answer(struct world *world)
{
    uint32_t channel = cursor_u8(&world->input) % 5;
    struct span bytes = world_take_some(world);
    exchange_answer(world->exchange, channel, bytes.data, bytes.length);
}

/* What zone transfers are made of: SOA records of some serials, and others. */
static void append_rows(struct world *world, struct buffer *wire)
{
    static const char address[] = "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4";
    static const char soa[] = "\xc0\x0c\0\6\0\1\0\0\0\1\0\x16\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
    enum { SERIAL = 17 };
    for (unsigned left = cursor_u8(&world->input) % 8; left > 0; left--) {
        const uint8_t row = cursor_u8(&world->input);
        if (row & 1)
            buffer_append(wire, soa, sizeof soa - 1);
        else
            buffer_append(wire, address, sizeof address - 1);
        if (row & 1)
            wire->data[wire->length - (sizeof soa - 1) + SERIAL] = row >> 1 & 3;
        store_u16(wire->data + 6, (uint16_t)(load_u16(wire->data + 6) + 1));
    }
}

/* An answer to one of the last queries: its question, then records of the input's, so many as it says. */
static void happen_answer(struct world *world)
{
    size_t known = world->sent_count < SENT_MAX ? world->sent_count : SENT_MAX;
    if (!known)
        return;
    const struct sent_query *sent = &world->sent[cursor_u8(&world->input) % known];
    struct dns_message asked;
    struct buffer wire = {0};
    MUST(!dns_message_parse(sent->wire.data, sent->wire.length, &asked, NULL));
    buffer_append(&wire, sent->wire.data, asked.section[DNS_SECTION_ANSWER]);
    uint8_t kind = cursor_u8(&world->input);
    uint16_t repeat = kind & 8 ? cursor_u8(&world->input) * 16 : 1;
    wire.data[2] |= (uint8_t)(0x80 | (kind & 2));
    memset(wire.data + 6, 0, 6);
    if (!(kind & 1) && asked.header.counts[0] &&
        (asked.question.type == DNS_TYPE_AXFR || asked.question.type == DNS_TYPE_IXFR))
        append_rows(world, &wire);
    struct span record = input_take(&world->input, kind & 1 ? cursor_u8(&world->input) % 64 : 0);
    for (unsigned i = 0; record.length && i < repeat && wire.length < DNS_MESSAGE_MAX - 64; i++) {
        buffer_append(&wire, record.data, record.length);
        uint8_t *count = wire.data + 6 + 2 * ((kind >> 4) % 3);
        store_u16(count, (uint16_t)(load_u16(count) + 1));
    }
    if (kind & 4)
        world_disturb(world, &wire);
    exchange_answer(world->exchange, sent->channel, wire.data, wire.length);
    buffer_free(&wire);
}

static void happen_broken_channel(struct world *world)
{
    uint8_t which = cursor_u8(&world->input);
    exchange_channel_failed(world->exchange, which % 5, "connection refused", which & 128);
}

static void happen_time(struct world *world)
{
    uint8_t how_long = cursor_u8(&world->input);
    world->now_us += how_long < 224 ? 1 + how_long * 1000 : (1 << (how_long - 224) / 2) * (int64_t)1000000;
    exchange_set_time(world->exchange, world->now_us, world->now_us + 5);
    exchange_expire(world->exchange);
    int64_t next = exchange_next_deadline(world->exchange);
    MUST(next == -1 || next > world->now_us);
}

static void happen_resume(struct world *world)
{
    world_resume(world, cursor_u8(&world->input) % PARKED_MAX);
}

static void happen_kill(struct world *world)
{
    uint8_t which = cursor_u8(&world->input);
    struct flow *flow = which < 128 ? world->seen : world->parked[which % PARKED_MAX];
    if (flow)
        flow_kill(flow);
}

static void flush(struct world *world, bool all)
{
    const uint8_t *name = (const uint8_t *)"\7example\3com";
    const struct cache_counters *counters = &exchange_counters(world->exchange)->cache;
    uint64_t before = counters->flushed;
    size_t flushed = exchange_flush_cache(world->exchange, all ? NULL : name);
    MUST(counters->flushed == before + flushed);
    MUST(!exchange_flush_cache(world->exchange, all ? NULL : name));
}

static void happen_reload(struct world *world)
{
    uint8_t which = cursor_u8(&world->input);
    if (which >= 250) {
        flush(world, which & 1);
        return;
    }
    exchange_set_hooks(world->exchange, which % 5 == 4 ? NULL : &world->generations[which % 5]);
}

static struct exchange_config config_of(struct world *world)
{
    int64_t timeout_us = 1 + cursor_u8(&world->input) * 2000;
    uint8_t more = cursor_u8(&world->input);
    world->races = more & 64;
    world->blocks = more & 128;
    return (struct exchange_config){.timeout_us = timeout_us,
                                    .retries = more & 3,
                                    .flows_max = 8,
                                    .memory_max = 16384,
                                    .payload_size = 1232,
                                    .op_codes_refused = more & 4 ? 0xfff0 : 0,
                                    .stream_idle_us = more & 8 ? 10000000 : 0,
                                    .coalesce = more & 64,
                                    .cache_entries = more >> 4 & 3};
}

static void happen_ready(struct world *world)
{
    struct reply_to client = {.connection = cursor_u8(&world->input)};
    exchange_client_ready(world->exchange, &client);
}

/* Its connection is closed: what hooks have suspended ends. */
static void client_left(struct world *world)
{
    struct reply_to client = {.transport = TRANSPORT_TCP, .connection = cursor_u8(&world->input)};
    exchange_client_left(world->exchange, &client);
}

/* A query of somebody who is not served: its end is the matter of one call. */
static void turn_away(struct world *world)
{
    const uint8_t how = cursor_u8(&world->input);
    struct span bytes = world_take_some(world);
    struct buffer wire = {0};
    if (world->query_count == QUERIES_MAX)
        return;
    struct reply_to to = {.transport = how & 4 ? TRANSPORT_TCP : TRANSPORT_UDP, .connection = world->query_count};
    struct client_query *query = &world->queries[world->query_count++];
    buffer_append(&wire, bytes.data, bytes.length);
    *query = (struct client_query){.wire = wire, .transport = to.transport};
    exchange_turn_away(world->exchange, query->wire.data, query->wire.length, &to, how % 3, DNS_EDE_PROHIBITED, "fuzz");
    MUST(query->ended);
}

static void set_tries(struct world *world)
{
    const uint8_t how = cursor_u8(&world->input);
    exchange_set_tries(world->exchange, 1 + how / 4 * 3000, how & 3);
}

static void happen_seldom(struct world *world, uint8_t what)
{
    static void (*const happenings[])(struct world *) = {client_left, turn_away, set_tries};
    const unsigned count = sizeof happenings / sizeof *happenings;
    if (what % (count + 1) == count)
        exchange_trim(world->exchange);
    else
        happenings[what % (count + 1)](world);
}

static void happen_config(struct world *world)
{
    struct exchange_config config = config_of(world);
    exchange_set_config(world->exchange, &config);
}

static void live(struct world *world)
{
    static void (*const happenings[])(struct world *) = {
        happen_query, happen_answer, happen_raw_query, happen_raw_answer, happen_broken_channel, happen_time,
        happen_kill,  happen_resume, happen_reload,    happen_config,     happen_ready,
    };
    while (cursor_left(&world->input)) {
        uint8_t what = cursor_u8(&world->input);
        if (what >= RARE_OP)
            happen_seldom(world, what);
        else if (what >= ASKS_OP)
            world_ask_or_forget(world);
        else
            happenings[what % (sizeof happenings / sizeof *happenings)](world);
        size_t open = 0;
        for (size_t i = 0; i < world->query_count; i++)
            open += !world->queries[i].ended;
        MUST(open == exchange_flows(world->exchange));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world empty;
    struct world *world = malloc(sizeof *world);
    if (!world)
        return 0;
    *world = empty;
    world->input = cursor_over(data, size);
    for (unsigned i = 0; i < GENERATIONS; i++)
        world->generations[i] = world_hooks(world, 7u >> i);
    const struct exchange_io io = world_io(world);
    const struct flow_observer observer = world_observer(world);
    struct exchange_config config = config_of(world);
    world->exchange = exchange_new(&config, &io, &world->generations[0], &observer);
    MUST(world->exchange);
    world->now_us = 1;
    exchange_set_time(world->exchange, 1, 1);
    live(world);
    exchange_free(world->exchange);
    MUST(world->routed == world->released);
    for (unsigned i = 0; i < GENERATIONS; i++)
        MUST(world->generations[i].flows == 0);
    for (size_t i = 0; i < QUERIES_MAX; i++)
        buffer_free(&world->queries[i].wire);
    for (size_t i = 0; i < SENT_MAX; i++)
        buffer_free(&world->sent[i].wire);
    free(world);
    return 0;
}
