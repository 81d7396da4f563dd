/* The exchange: what becomes of a query that comes in, and how it is asked upstream. The world around it is the spec's.
 */
#include "world.h"

/* --- intake --- */

static void response_sent_as_query_is_dropped(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_UDP, message_of(CLIENT_ID, DNS_FLAG_QR, "example.com", 1));
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(world->sent_count, 0);
    assert_int_equal(world_counters(world)->malformed_dropped, 1);
}

static void packet_without_a_whole_header_is_dropped(void **state)
{
    struct world *world = *state;
    for (size_t length = 0; length < DNS_HEADER_SIZE; length++) {
        struct buffer wire = plain_query();
        wire.length = length;
        world_query(world, TRANSPORT_UDP, wire);
    }
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(world_counters(world)->malformed_dropped, DNS_HEADER_SIZE);
}

static void malformed_query_gets_formerr(void **state)
{
    struct world *world = *state;
    for (size_t length = DNS_HEADER_SIZE; length < 29; length++) {
        struct buffer wire = plain_query();
        wire.length = length;
        world_query(world, TRANSPORT_UDP, wire);
        assert_int_equal(world_reply_code(world), DNS_RCODE_FORMERR);
    }
    assert_int_equal(world->sent_count, 0);
    assert_int_equal(world_counters(world)->malformed_answered, world->reply_count);
}

static void trailing_bytes_get_formerr(void **state)
{
    struct world *world = *state;
    struct buffer wire = plain_query();
    buffer_u8(&wire, 0);
    world_query(world, TRANSPORT_UDP, wire);
    assert_int_equal(world_reply_code(world), DNS_RCODE_FORMERR);
    assert_int_equal(world->sent_count, 0);
}

/* RFC 9619 */
static void two_questions_get_formerr(void **state)
{
    struct world *world = *state;
    struct buffer wire = plain_query();
    buffer_append(&wire, "\1a\0\0\1\0\1", 7);
    store_u16(wire.data + 4, 2);
    world_query(world, TRANSPORT_UDP, wire);
    assert_int_equal(world_reply_code(world), DNS_RCODE_FORMERR);
    assert_int_equal(world->sent_count, 0);
}

static void no_question_passes(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_UDP, message_of(CLIENT_ID, 0, NULL, 0));
    assert_int_equal(world_sent(world)->length, DNS_HEADER_SIZE);
    world_answer(world, world->channel, message_of(world_sent_id(world), DNS_FLAG_QR, NULL, 0));
    assert_int_equal(world_reply_message(world).length, DNS_HEADER_SIZE);
}

/* RFC 6891 section 6.1.1 */
static void two_opts_get_formerr(void **state)
{
    struct world *world = *state;
    struct buffer wire = plain_query();
    add_opt(&wire, 1232, 0, NULL, 0);
    add_opt(&wire, 1232, 0, NULL, 0);
    world_query(world, TRANSPORT_UDP, wire);
    assert_int_equal(world_reply_code(world), DNS_RCODE_FORMERR);
    assert_int_equal(world_reply_message(world).opt.count, 1);
    assert_int_equal(world->sent_count, 0);
}

/* RFC 6891 section 6.1.2 */
static void opt_with_a_name_gets_formerr(void **state)
{
    struct world *world = *state;
    struct buffer wire = plain_query();
    add_record(&wire, DNS_SECTION_ADDITIONAL, "x", DNS_TYPE_OPT, NULL, 0);
    world_query(world, TRANSPORT_UDP, wire);
    assert_int_equal(world_reply_code(world), DNS_RCODE_FORMERR);
    assert_int_equal(world->sent_count, 0);
}

/* RFC 6891 section 6.1.3 */
static void edns_version_1_gets_badvers(void **state)
{
    struct world *world = *state;
    struct buffer wire = plain_query();
    add_opt(&wire, 1232, 1 << 16, NULL, 0);
    world_query(world, TRANSPORT_UDP, wire);
    assert_int_equal(world_reply_code(world), DNS_RCODE_BADVERS);
    assert_int_equal(world_reply_message(world).opt.version, 0);
    assert_int_equal(world->sent_count, 0);
}

static void queries_beyond_the_limit_get_servfail(void **state)
{
    struct world *world = *state;
    world->config.flows_max = 2;
    exchange_set_config(world->exchange, &world->config);
    for (int i = 0; i < 5; i++)
        world_ask(world);
    assert_int_equal(exchange_flows(world->exchange), 2);
    assert_int_equal(world_counters(world)->overload_refused, 3);
    assert_int_equal(world->reply_count, 3);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    world_answer_well(world);
    world_ask(world);
    assert_int_equal(exchange_flows(world->exchange), 2);
    assert_int_equal(world_counters(world)->overload_refused, 3);
}

static struct buffer long_query(void)
{
    uint8_t option[1500] = {0xfd, 0xe9, (sizeof option - 4) >> 8, (sizeof option - 4) & 0xff}; /* of local use */
    struct buffer wire = plain_query();
    add_opt(&wire, 1232, 0, option, sizeof option);
    return wire;
}

static void long_queries_beyond_the_memory_get_servfail(void **state)
{
    struct world *world = *state;
    world->config.flows_max = 4;
    world->config.memory_max = 4096;
    exchange_set_config(world->exchange, &world->config);
    for (int i = 0; i < 4; i++)
        world_query(world, TRANSPORT_TCP, long_query());
    assert_int_equal(exchange_memory(world->exchange), 4096);
    assert_int_equal(world_counters(world)->memory_refused, 2);
    assert_int_equal(world->reply_count, 2);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    world_ask(world);
    assert_int_equal(exchange_flows(world->exchange), 3);
    world_answer_well(world);
    while (exchange_flows(world->exchange) > 0) {
        world_sleep(world, TIMEOUT_US);
        exchange_expire(world->exchange);
    }
    assert_int_equal(exchange_memory(world->exchange), 0);
    world_query(world, TRANSPORT_TCP, long_query());
    assert_int_equal(exchange_flows(world->exchange), 1);
    assert_int_equal(world_counters(world)->memory_refused, 2);
}

/* --- asking --- */

static void query_goes_out_as_it_came_but_for_the_id(void **state)
{
    struct world *world = *state;
    struct buffer wire = message_of(CLIENT_ID, DNS_FLAG_RD | DNS_FLAG_Z, "eXaMpLe.CoM", 65280);
    add_record(&wire, DNS_SECTION_ADDITIONAL, "x", 65281, "odd", 3);
    add_opt(&wire, 4096, 0x8000, "\0\12\0\10abcdefgh", 12);
    struct buffer copy = {0};
    buffer_append(&copy, wire.data, wire.length);
    world_query(world, TRANSPORT_UDP, wire);
    const struct buffer *sent = world_sent(world);
    assert_int_equal(sent->length, copy.length);
    assert_memory_equal(sent->data + 2, copy.data + 2, copy.length - 2);
    buffer_free(&copy);
    exchange_channel_failed(world->exchange, world->channel, "gone", false);
    exchange_channel_failed(world->exchange, world->channel, "gone", false);
    exchange_channel_failed(world->exchange, world->channel, "gone", false);
    assert_int_equal(world_ended(world)->query_id, CLIENT_ID); /* what is kept is as it came throughout */
}

/* RFC 5452 section 4.3: no two alike on a channel, and no step between them that repeats. */
static void ids_are_random_and_unique_on_a_channel(void **state)
{
    struct world *world = *state;
    static unsigned seen[65536], steps[65536];
    memset(seen, 0, sizeof seen);
    memset(steps, 0, sizeof steps);
    for (int i = 0; i < 4000; i++) {
        world_ask(world);
        uint16_t id = world_sent_id(world);
        assert_int_equal(seen[id]++, 0);
        if (i > 0)
            assert_true(++steps[(uint16_t)(id - load_u16(world->sent[i - 1].data))] < 10);
    }
}

static void same_id_of_many_clients_is_never_crossed(void **state)
{
    struct world *world = *state;
    for (uint8_t i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u.example", i);
        world_query(world, TRANSPORT_UDP, message_of(CLIENT_ID, 0, name, 1));
    }
    for (int i = 199; i >= 0; i--) {
        struct buffer answer = {0};
        buffer_append(&answer, world->sent[i].data, world->sent[i].length);
        answer.data[2] |= 0x80;
        world_answer(world, world->channel, answer);
        struct dns_message reply = world_reply_message(world);
        assert_memory_equal(reply.question.name, world->sent[i].data + 12, reply.question.name_length);
    }
    assert_int_equal(world->reply_count, 200);
}

/* RFC 7828 section 3.4, RFC 7830 section 6: other options go through. */
static void options_of_one_connection_stay_behind(void **state)
{
    struct world *world = *state;
    struct buffer wire = plain_query();
    add_opt(&wire, 1232, 0, "\0\13\0\0\0\12\0\10abcdefgh\0\14\0\2\0\0", 22);
    world_query(world, TRANSPORT_UDP, wire);
    struct dns_message sent;
    must(dns_message_parse(world_sent(world)->data, world_sent(world)->length, &sent, NULL));
    assert_int_equal(sent.opt.options.length, 12);
    assert_memory_equal(sent.opt.options.data, "\0\12\0\10abcdefgh", 12);
}

static enum hook_result ask_for_other_name(struct world *world, struct flow *flow)
{
    (void)world;
    struct buffer wire = message_of(9, DNS_FLAG_RD, "other.example", 1);
    must(flow_set_request(flow, wire.data, wire.length, NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

static void edited_request_goes_out(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, ask_for_other_name);
    world_ask(world);
    struct dns_message sent;
    must(dns_message_parse(world_sent(world)->data, world_sent(world)->length, &sent, NULL));
    struct dns_name name = name_of("other.example");
    assert_true(dns_name_equal(sent.question.name, name.wire));
}

/* --- answers: what matches (RFC 5452 section 9.1) --- */

static void answers_to_something_else_are_dropped(void **state)
{
    struct world *world = *state;
    world_ask(world);
    uint16_t id = world_sent_id(world), qr = DNS_FLAG_QR;
    world_expect_dropped(world, world->channel + 1, good_answer(world));
    world_expect_dropped(world, world->channel, message_of((uint16_t)(id + 1), qr, "example.com", 1));
    world_expect_dropped(world, world->channel, message_of(id, qr, "example.net", 1));
    world_expect_dropped(world, world->channel, message_of(id, qr, "www.example.com", 1));
    world_expect_dropped(world, world->channel, message_of(id, qr, "com", 1));
    world_expect_dropped(world, world->channel, message_of(id, qr, "example.com", 28));
    world_expect_dropped(world, world->channel, message_of(id, 0, "example.com", 1));
    world_expect_dropped(world, world->channel, message_of(id, qr | 2 << 11, "example.com", 1));
    struct buffer other_class = good_answer(world);
    other_class.data[28] = 3;
    world_expect_dropped(world, world->channel, other_class);
    struct buffer two = message_of(id, qr, "example.com", 1);
    buffer_append(&two, "\1a\0\0\1\0\1", 7);
    store_u16(two.data + 4, 2);
    world_expect_dropped(world, world->channel, two);
    for (size_t length = 0; length < 29; length++) {
        struct buffer cut = good_answer(world);
        cut.length = length;
        world_expect_dropped(world, world->channel, cut);
    }
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
}

static void answer_in_other_letter_case_matches(void **state)
{
    struct world *world = *state;
    world_ask(world);
    world_answer(world, world->channel, message_of(world_sent_id(world), DNS_FLAG_QR, "EXAMPLE.com", 1));
    assert_int_equal(world->reply_count, 1);
}

static void answer_without_question_matches_only_as_an_error(void **state)
{
    struct world *world = *state;
    world_ask(world);
    uint16_t id = world_sent_id(world);
    world_expect_dropped(world, world->channel, message_of(id, DNS_FLAG_QR, NULL, 0));
    world_expect_dropped(world, world->channel, message_of(id, DNS_FLAG_QR | DNS_RCODE_NXDOMAIN, NULL, 0));
    world_answer(world, world->channel, message_of(id, DNS_FLAG_QR | DNS_RCODE_REFUSED, NULL, 0));
    assert_int_equal(world_reply_code(world), DNS_RCODE_REFUSED);
    assert_int_equal(world_reply_message(world).header.counts[DNS_SECTION_QUESTION], 0); /* as it came */
}

/* RFC 2136 section 3.8 */
static void answer_to_an_update_may_lack_the_question(void **state)
{
    struct world *world = *state;
    uint16_t update = 5 << 11;
    world_query(world, TRANSPORT_UDP, message_of(CLIENT_ID, update, "example.com", 6));
    world_answer(world, world->channel, message_of(world_sent_id(world), DNS_FLAG_QR | update, NULL, 0));
    assert_int_equal(world_reply_message(world).header.flags, DNS_FLAG_QR | update);
}

static void answer_that_comes_twice_is_taken_once(void **state)
{
    struct world *world = *state;
    world_ask(world);
    struct buffer again = good_answer(world);
    world_answer_well(world);
    world_answer(world, world->channel, again);
    assert_int_equal(world->reply_count, 1);
    assert_int_equal(world_counters(world)->unmatched_dropped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(response_sent_as_query_is_dropped),
        WORLD_TEST(packet_without_a_whole_header_is_dropped),
        WORLD_TEST(malformed_query_gets_formerr),
        WORLD_TEST(trailing_bytes_get_formerr),
        WORLD_TEST(two_questions_get_formerr),
        WORLD_TEST(no_question_passes),
        WORLD_TEST(two_opts_get_formerr),
        WORLD_TEST(opt_with_a_name_gets_formerr),
        WORLD_TEST(edns_version_1_gets_badvers),
        WORLD_TEST(queries_beyond_the_limit_get_servfail),
        WORLD_TEST(long_queries_beyond_the_memory_get_servfail),
        WORLD_TEST(query_goes_out_as_it_came_but_for_the_id),
        WORLD_TEST(ids_are_random_and_unique_on_a_channel),
        WORLD_TEST(same_id_of_many_clients_is_never_crossed),
        WORLD_TEST(options_of_one_connection_stay_behind),
        WORLD_TEST(edited_request_goes_out),
        WORLD_TEST(answers_to_something_else_are_dropped),
        WORLD_TEST(answer_in_other_letter_case_matches),
        WORLD_TEST(answer_without_question_matches_only_as_an_error),
        WORLD_TEST(answer_to_an_update_may_lack_the_question),
        WORLD_TEST(answer_that_comes_twice_is_taken_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
