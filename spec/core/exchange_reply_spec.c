/* The exchange: what of an answer reaches its client. */
#include "world.h"

/* --- fidelity --- */

static void answer_comes_back_as_it_was_but_for_the_id(void **state)
{
    struct world *world = *state;
    struct buffer query = plain_query();
    add_opt(&query, 1232, 0x8000, NULL, 0);
    world_query(world, TRANSPORT_UDP, query);
    struct buffer answer = good_answer(world);
    add_record(&answer, DNS_SECTION_AUTHORITY, "odd.example", 65281, "\0\xff", 2);
    add_opt(&answer, 1232, 0x8000, "\0\12\0\10abcdefgh\0\17\0\2\0\0", 18);
    struct buffer copy = {0};
    buffer_append(&copy, answer.data, answer.length);
    world_answer(world, world->channel, answer);
    store_u16(copy.data, CLIENT_ID);
    assert_int_equal(world->replies[0].length, copy.length);
    assert_memory_equal(world->replies[0].data, copy.data, copy.length);
    buffer_free(&copy);
}

static void answer_goes_to_the_client_that_asked(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_TCP, plain_query());
    world_answer_well(world);
    assert_int_equal(world->replied_to[0].transport, TRANSPORT_TCP);
    assert_int_equal(world->replied_to[0].connection, 5);
    assert_int_equal(world->replied_to[0].client.port, 40000);
}

/* --- the client's question --- */

static void question_keeps_the_letter_case_of_the_client(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_UDP, message_of(CLIENT_ID, 0, "eXaMpLe.CoM", 1));
    world_answer_well(world);
    struct dns_name asked = name_of("eXaMpLe.CoM");
    struct dns_message reply = world_reply_message(world);
    assert_memory_equal(reply.question.name, asked.wire, asked.length);
    assert_int_equal(world_reply_a(world), 1);
}

static enum hook_result ask_for_other_name(struct world *world, struct flow *flow)
{
    (void)world;
    struct buffer wire = message_of(9, DNS_FLAG_RD, "other.example", 1);
    must(flow_set_request(flow, wire.data, wire.length, NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

/* The owner of the n-th answer record, as text. */
static const char *answer_owner(const struct world *world, unsigned n, char out[static DNS_NAME_TEXT_MAX])
{
    struct dns_message message = world_reply_message(world);
    struct dns_reader reader;
    struct dns_record record;
    struct buffer expanded = {0};
    dns_reader_start(&reader, &message, DNS_SECTION_ANSWER, &expanded);
    do
        must(dns_reader_next(&reader, &record));
    while (n-- > 0);
    dns_name_to_text(record.name, DNS_NAME_PLAIN, out);
    buffer_free(&expanded);
    return out;
}

static void changed_question_is_the_clients_again(void **state)
{
    struct world *world = *state;
    char owner[DNS_NAME_TEXT_MAX];
    world_on(world, HOOK_REQUEST, ask_for_other_name);
    world_query(world, TRANSPORT_UDP, message_of(CLIENT_ID, 0, "Example.com", 1));
    struct buffer answer = message_of(world_sent_id(world), DNS_FLAG_QR | DNS_FLAG_AA, "other.example", 1);
    add_a(&answer, "OTHER.example", 1);
    add_a(&answer, "third.example", 2);
    int64_t came_us = 1700000000000000 + world->now_us;
    world_answer(world, world->channel, answer);
    assert_int_equal(world_ended(world)->answered_us, came_us);
    struct dns_message reply = world_reply_message(world);
    dns_name_to_text(reply.question.name, DNS_NAME_PLAIN, owner);
    assert_string_equal(owner, "Example.com");
    assert_int_equal(reply.header.flags, DNS_FLAG_QR | DNS_FLAG_AA);
    assert_string_equal(answer_owner(world, 0, owner), "Example.com");
    assert_string_equal(answer_owner(world, 1, owner), "third.example");
    assert_int_equal(world_reply_a(world), 1);
}

static enum hook_result ask_with_other_op_code(struct world *world, struct flow *flow)
{
    (void)world;
    struct buffer wire = message_of(9, DNS_FLAG_RD | 4 << 11, "example.com", 1);
    must(flow_set_request(flow, wire.data, wire.length, NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

static void changed_op_code_is_the_clients_again(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, ask_with_other_op_code);
    world_ask(world);
    assert_int_equal(load_u16(world_sent(world)->data + 2) & DNS_FLAG_OPCODE, 4 << 11);
    struct buffer answer = message_of(world_sent_id(world), DNS_FLAG_QR | DNS_FLAG_AA | 4 << 11, "example.com", 1);
    add_a(&answer, "example.com", 1);
    world_answer(world, world->channel, answer);
    assert_int_equal(world_reply_message(world).header.flags, DNS_FLAG_QR | DNS_FLAG_AA);
    assert_int_equal(world_reply_a(world), 1);
}

static enum hook_result answer_another_question(struct world *world, struct flow *flow)
{
    (void)world;
    return set_response(flow, "made.up.example", 5);
}

static void question_of_a_scripts_answer_is_the_clients(void **state)
{
    struct world *world = *state;
    char text[DNS_NAME_TEXT_MAX];
    world_on(world, HOOK_REQUEST, answer_another_question);
    world_ask(world);
    struct dns_message reply = world_reply_message(world);
    dns_name_to_text(reply.question.name, DNS_NAME_PLAIN, text);
    assert_string_equal(text, "example.com");
    assert_string_equal(answer_owner(world, 0, text), "made.up.example");
}

static enum hook_result answer_no_question(struct world *world, struct flow *flow)
{
    (void)world;
    struct buffer wire = message_of(1, DNS_FLAG_AA, NULL, 0);
    must(flow_set_response(flow, wire.data, wire.length, FLOW_SOURCE_SCRIPT, "x.lua", NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

static void scripts_answer_without_question_gets_the_clients_and_keeps_its_header(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, answer_no_question);
    world_ask(world);
    struct dns_message reply = world_reply_message(world);
    assert_int_equal(reply.header.counts[DNS_SECTION_QUESTION], 1);
    assert_int_equal(reply.header.flags, DNS_FLAG_AA);
}

/* --- OPT (RFC 6891 sections 6.1.1 and 7) --- */

static struct buffer query_with_opt(uint16_t size, bool dnssec_ok)
{
    struct buffer wire = plain_query();
    add_opt(&wire, size, dnssec_ok ? 0x8000 : 0, NULL, 0);
    return wire;
}

static void client_without_opt_gets_none(void **state)
{
    struct world *world = *state;
    world_ask(world);
    struct buffer answer = good_answer(world);
    add_opt(&answer, 1232, 0, NULL, 0);
    world_answer(world, world->channel, answer);
    assert_int_equal(world_reply_message(world).opt.count, 0);
    assert_int_equal(world_reply_a(world), 1);
}

static void code_that_needs_opt_is_servfail_without_it(void **state)
{
    struct world *world = *state;
    world_ask(world);
    struct buffer answer = message_of(world_sent_id(world), DNS_FLAG_QR, "example.com", 1);
    add_opt(&answer, 1232, 1u << 24, NULL, 0);
    world_answer(world, world->channel, answer);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
}

static enum hook_result spoof(struct world *world, struct flow *flow)
{
    (void)world;
    return set_response(flow, "example.com", 66);
}

static void scripts_answer_gets_opt_if_the_client_sent_one(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, spoof);
    world_query(world, TRANSPORT_UDP, query_with_opt(1232, true));
    struct dns_message reply = world_reply_message(world);
    assert_int_equal(reply.opt.count, 1);
    assert_int_equal(reply.opt.udp_payload_size, 1400);
    assert_true(reply.opt.dnssec_ok);
    assert_int_equal(world_reply_a(world), 66);
    world_query(world, TRANSPORT_UDP, query_with_opt(1232, false));
    assert_false(world_reply_message(world).opt.dnssec_ok);
    world_ask(world);
    assert_int_equal(world_reply_message(world).opt.count, 0);
}

static void servfail_of_the_proxy_has_opt_if_the_client_sent_one(void **state)
{
    struct world *world = *state;
    world->no_upstream = true;
    world_query(world, TRANSPORT_UDP, query_with_opt(1232, true));
    assert_int_equal(world_reply_message(world).opt.count, 1);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
}

static void upstream_without_edns_is_passed_on_as_such(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_UDP, query_with_opt(1232, true));
    world_answer_well(world);
    assert_int_equal(world_reply_message(world).opt.count, 0);
}

static enum hook_result ask_without_opt(struct world *world, struct flow *flow)
{
    (void)world;
    struct buffer wire = plain_query();
    must(flow_set_request(flow, wire.data, wire.length, NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

static void client_gets_opt_where_a_script_took_it_out_of_the_request(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, ask_without_opt);
    world_query(world, TRANSPORT_UDP, query_with_opt(1232, true));
    world_answer_well(world);
    struct dns_message reply = world_reply_message(world);
    assert_int_equal(reply.opt.count, 1);
    assert_true(reply.opt.dnssec_ok);
    assert_int_equal(world_reply_a(world), 1);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world_reply_message(world).opt.count, 0);
}

/* The type asked for says which section OPT goes to; 3: additionals, twice. */
static enum hook_result answer_with_opts(struct world *world, struct flow *flow)
{
    static const enum dns_section sections[] = {DNS_SECTION_ANSWER, DNS_SECTION_AUTHORITY, DNS_SECTION_ADDITIONAL,
                                                DNS_SECTION_ADDITIONAL};
    struct buffer wire = message_of(1, DNS_FLAG_QR, "example.com", 1);
    struct reason reason = {""};
    const unsigned first = flow->query.view.question.type - 1u, last = first == 2 ? 3 : first;
    (void)world;
    for (unsigned i = first; i <= last; i++)
        add_record(&wire, sections[i], ".", DNS_TYPE_OPT, NULL, 0);
    assert_int_equal(flow_set_response(flow, wire.data, wire.length, FLOW_SOURCE_SCRIPT, "x.lua", &reason),
                     STATUS_INVALID);
    assert_non_null(strstr(reason.text, "OPT"));
    buffer_free(&wire);
    return HOOK_DONE;
}

static void scripts_answer_with_odd_opts_is_servfail(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, answer_with_opts);
    for (unsigned first = 0; first < 3; first++) {
        struct buffer query = message_of(CLIENT_ID, DNS_FLAG_RD, "example.com", (uint16_t)(first + 1));
        add_opt(&query, 1232, 0, NULL, 0);
        world_query(world, TRANSPORT_UDP, query);
        assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
        assert_int_equal(world_reply_message(world).opt.count, 1);
    }
}

static void options_of_the_upstreams_connection_stay_behind(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_TCP, query_with_opt(1232, false));
    struct buffer answer = good_answer(world);
    add_opt(&answer, 1232, 0, "\0\13\0\2\0\144\0\12\0\10abcdefgh\0\14\0\1\0", 23);
    world_answer(world, world->channel, answer);
    struct dns_message reply = world_reply_message(world);
    assert_int_equal(reply.opt.options.length, 12);
    assert_memory_equal(reply.opt.options.data, "\0\12\0\10abcdefgh", 12);
}

/* --- size --- */

/* An answer of `count` A records, 16 bytes and the name each. */
static struct buffer long_answer(const struct world *world, unsigned count)
{
    struct buffer wire = message_of(world_sent_id(world), DNS_FLAG_QR, "example.com", 1);
    for (unsigned i = 0; i < count; i++)
        add_a(&wire, "example.com", (uint8_t)i);
    return wire;
}

/* Asks, gets that many records, and tells how many reached the client; the message is whole. */
static unsigned records_through(struct world *world, enum transport transport, struct buffer query, unsigned count)
{
    world_query(world, transport, query);
    world_answer(world, world->channel, long_answer(world, count));
    struct dns_message reply = world_reply_message(world);
    unsigned got = reply.header.counts[DNS_SECTION_ANSWER];
    assert_int_equal(reply.header.flags & DNS_FLAG_TC, got < count ? DNS_FLAG_TC : 0);
    return got;
}

static void answer_too_large_for_its_client_is_cut_on_a_record_boundary(void **state)
{
    struct world *world = *state;
    enum { RECORD = 27, HEAD = 29 };
    assert_int_equal(records_through(world, TRANSPORT_UDP, plain_query(), 17), 17);
    assert_int_equal(records_through(world, TRANSPORT_UDP, plain_query(), 18), (512 - HEAD) / RECORD);
    assert_int_equal(records_through(world, TRANSPORT_UDP, query_with_opt(100, false), 18), (512 - HEAD) / RECORD);
    assert_int_equal(records_through(world, TRANSPORT_UDP, query_with_opt(1000, false), 100), (1000 - HEAD) / RECORD);
    assert_int_equal(records_through(world, TRANSPORT_UDP, query_with_opt(65535, false), 1000), 1000);
    assert_int_equal(records_through(world, TRANSPORT_TCP, plain_query(), 2000), 2000);
    assert_int_equal(world_counters(world)->truncated, 3);
}

static void largest_answer_for_udp_fits_a_datagram(void **state)
{
    struct world *world = *state;
    unsigned got = records_through(world, TRANSPORT_UDP, query_with_opt(65535, false), 2426);
    assert_int_equal(got, (65487 - 29) / 27);
    assert_true(world->replies[0].length <= 65487);
}

static enum hook_result fill_the_message(struct world *world, struct flow *flow)
{
    (void)world;
    static const uint8_t data[65490];
    struct buffer wire = message_of(1, DNS_FLAG_QR, "example.com", DNS_TYPE_A);
    add_record(&wire, DNS_SECTION_ANSWER, "x", 65280, data, sizeof data);
    assert_true(wire.length <= DNS_MESSAGE_MAX && wire.length + 11 > DNS_MESSAGE_MAX);
    must(flow_set_response(flow, wire.data, wire.length, FLOW_SOURCE_SCRIPT, "x.lua", NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

static void answer_too_large_for_any_message_is_servfail(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, fill_the_message);
    world_query(world, TRANSPORT_TCP, plain_query());
    assert_int_equal(world_reply_code(world), DNS_RCODE_NOERROR);
    world_query(world, TRANSPORT_TCP, query_with_opt(1232, false)); /* its OPT has no room */
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_int_equal(world_counters(world)->unpackable, 1);
    world_query(world, TRANSPORT_TCP, message_of(CLIENT_ID, 0, "a.longer.name.example", 1)); /* nor its question */
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_int_equal(world_counters(world)->unpackable, 2);
}

static void cut_answer_keeps_opt(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_UDP, query_with_opt(600, false));
    struct buffer answer = long_answer(world, 40);
    add_opt(&answer, 1232, 0, NULL, 0);
    world_answer(world, world->channel, answer);
    assert_int_equal(world_reply_message(world).opt.count, 1);
    assert_true(world->replies[0].length <= 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(answer_comes_back_as_it_was_but_for_the_id),
        WORLD_TEST(answer_goes_to_the_client_that_asked),
        WORLD_TEST(question_keeps_the_letter_case_of_the_client),
        WORLD_TEST(changed_question_is_the_clients_again),
        WORLD_TEST(changed_op_code_is_the_clients_again),
        WORLD_TEST(question_of_a_scripts_answer_is_the_clients),
        WORLD_TEST(scripts_answer_without_question_gets_the_clients_and_keeps_its_header),
        WORLD_TEST(client_without_opt_gets_none),
        WORLD_TEST(code_that_needs_opt_is_servfail_without_it),
        WORLD_TEST(scripts_answer_gets_opt_if_the_client_sent_one),
        WORLD_TEST(servfail_of_the_proxy_has_opt_if_the_client_sent_one),
        WORLD_TEST(upstream_without_edns_is_passed_on_as_such),
        WORLD_TEST(client_gets_opt_where_a_script_took_it_out_of_the_request),
        WORLD_TEST(scripts_answer_with_odd_opts_is_servfail),
        WORLD_TEST(options_of_the_upstreams_connection_stay_behind),
        WORLD_TEST(answer_too_large_for_its_client_is_cut_on_a_record_boundary),
        WORLD_TEST(largest_answer_for_udp_fits_a_datagram),
        WORLD_TEST(answer_too_large_for_any_message_is_servfail),
        WORLD_TEST(cut_answer_keeps_opt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
