/* For specs of the response cache: the exchange with one, and what is asked through it. */
#ifndef MOONDNS_SPEC_CACHE_WORLD_H
#define MOONDNS_SPEC_CACHE_WORLD_H

#include "flow/cache/cache.h"
#include "world.h"

enum { ENTRIES = 100, SECOND = 1000000, FLAGS = DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA };

static inline void begin(struct world *world, size_t entries)
{
    exchange_free(world->exchange);
    world->config.cache_entries = entries;
    world->exchange = exchange_new(&world->config, &world->io, &world->hooks, &world->observer);
    assert_non_null(world->exchange);
    world_sleep(world, 0);
}

static inline int setup(void **state)
{
    world_setup(state);
    begin(*state, ENTRIES);
    return 0;
}

#define CACHE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, world_teardown)

/* --- what is asked and answered --- */

static inline const struct cache_counters *counters_of(const struct world *world)
{
    return &world_counters(world)->cache;
}

static inline void add_timed(struct buffer *wire, enum dns_section section, const char *name, uint16_t type,
                             uint32_t ttl, const void *data, uint16_t length)
{
    add_record(wire, section, name, type, data, length);
    store_u32(wire->data + wire->length - length - 6, ttl);
}

static inline void add_address(struct buffer *wire, const char *name, uint32_t ttl, uint8_t last)
{
    add_timed(wire, DNS_SECTION_ANSWER, name, DNS_TYPE_A, ttl, (uint8_t[]){192, 0, 2, last}, 4);
}

static inline void add_soa(struct buffer *wire, uint32_t ttl, uint32_t minimum)
{
    uint8_t data[22] = {0};
    store_u32(data + 18, minimum);
    add_timed(wire, DNS_SECTION_AUTHORITY, "example.com", DNS_TYPE_SOA, ttl, data, sizeof data);
}

/* The last query sent, as the answer to it that has no records: its question, its OPT. */
static inline struct buffer empty_answer(const struct world *world, uint16_t flags)
{
    const struct buffer *sent = world_sent(world);
    struct dns_message query;
    struct buffer wire = {0};
    must(dns_message_parse(sent->data, sent->length, &query, NULL));
    buffer_append(&wire, sent->data, query.section[DNS_SECTION_ANSWER]);
    store_u16(wire.data + 2, flags);
    memset(wire.data + 6, 0, 6);
    return wire;
}

static inline struct buffer address_answer(const struct world *world, uint32_t ttl, uint8_t last)
{
    struct buffer wire = empty_answer(world, FLAGS);
    add_address(&wire, "example.com", ttl, last);
    return wire;
}

static inline void reply_from_upstream(struct world *world, struct buffer wire)
{
    world_answer(world, world->channel, wire);
}

/* Asks, and says whether the upstream was asked. */
static inline bool asks(struct world *world, enum transport transport, struct buffer query)
{
    size_t sent = world->sent_count;
    world_query(world, transport, query);
    return world->sent_count > sent;
}

static inline bool asks_plainly(struct world *world)
{
    return asks(world, TRANSPORT_UDP, plain_query());
}

static inline struct buffer query_for(const char *name, uint16_t type)
{
    return message_of(CLIENT_ID, DNS_FLAG_RD, name, type);
}

/* Asks for example.com A, and the upstream answers with this TTL. */
static inline void fill(struct world *world, uint32_t ttl)
{
    assert_true(asks_plainly(world));
    reply_from_upstream(world, address_answer(world, ttl, 1));
}

/* The TTL of the nth record of the last reply's section. */
static inline uint32_t reply_ttl(const struct world *world, enum dns_section section, unsigned n)
{
    struct dns_message message = world_reply_message(world);
    struct dns_reader reader;
    struct dns_record record;
    struct buffer expanded = {0};
    dns_reader_start(&reader, &message, section, &expanded);
    do
        must(dns_reader_next(&reader, &record));
    while (n-- > 0);
    buffer_free(&expanded);
    return record.ttl;
}

static inline void fill_name(struct world *world, const char *name)
{
    assert_true(asks(world, TRANSPORT_UDP, query_for(name, DNS_TYPE_A)));
    struct buffer wire = empty_answer(world, FLAGS);
    add_address(&wire, name, 300, 1);
    reply_from_upstream(world, wire);
}

static inline bool is_kept(struct world *world, const char *name)
{
    bool kept = !asks(world, TRANSPORT_UDP, query_for(name, DNS_TYPE_A));
    if (!kept)
        reply_from_upstream(world, empty_answer(world, FLAGS | DNS_RCODE_SERVFAIL));
    return kept;
}

struct shape {
    uint16_t flags;
    const char *name;
    uint16_t type;
    bool opt;
    uint16_t size;
    uint32_t opt_flags;
    const char *options;
    uint16_t options_length;
};

static inline struct buffer query_of(const struct shape *shape)
{
    struct buffer wire = message_of(CLIENT_ID, shape->flags, shape->name, shape->type);
    if (shape->opt)
        add_opt(&wire, shape->size, shape->opt_flags, shape->options, shape->options_length);
    return wire;
}

#define NO_OPT false, 0, 0, NULL, 0
#define OPT(size, flags, options) true, size, flags, options, sizeof options - 1
#define SUBNET "\0\10\0\7\0\1\30\0\300\0\2"
#define OTHER_SUBNET "\0\10\0\7\0\1\30\0\300\0\3"

#endif
