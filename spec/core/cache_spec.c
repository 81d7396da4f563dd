/* The response cache, as the exchange has it: who gets what is kept. */
#include "cache_world.h"

/* --- hits --- */

static void without_a_cache_each_query_is_asked(void **state)
{
    struct world *world = *state;
    begin(world, 0);
    fill(world, 300);
    assert_true(asks_plainly(world));
    assert_int_equal(exchange_flush_cache(world->exchange, NULL), 0);
}

static void the_second_query_is_answered_byte_for_byte(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_UDP, plain_query());
    struct buffer wire = address_answer(world, 300, 1), copy = {0};
    add_timed(&wire, DNS_SECTION_AUTHORITY, "example.com", DNS_TYPE_NS, 900, "\1a\0", 3);
    add_timed(&wire, DNS_SECTION_ADDITIONAL, "a", 65280, 800, "odd", 3);
    store_u16(wire.data + 2, FLAGS | DNS_FLAG_AA | DNS_FLAG_AD);
    buffer_append(&copy, wire.data, wire.length);
    reply_from_upstream(world, wire);
    struct buffer query = plain_query();
    store_u16(query.data, 0x7777);
    assert_false(asks(world, TRANSPORT_UDP, query));
    const struct buffer *reply = &world->replies[1];
    store_u16(copy.data, 0x7777);
    assert_int_equal(reply->length, copy.length);
    assert_memory_equal(reply->data, copy.data, copy.length);
    assert_int_equal(world_ended(world)->source, FLOW_SOURCE_CACHE);
    assert_false(world_ended(world)->asked);
    assert_int_equal(counters_of(world)->hits, 1);
    assert_int_equal(counters_of(world)->misses, 1);
    assert_int_equal(counters_of(world)->kept, 1);
    buffer_free(&copy);
}

static void ttls_count_down_to_the_shortest(void **state)
{
    struct world *world = *state;
    assert_true(asks_plainly(world));
    struct buffer wire = address_answer(world, 300, 1);
    add_address(&wire, "example.com", 20, 2);
    add_timed(&wire, DNS_SECTION_AUTHORITY, "example.com", DNS_TYPE_NS, 70000, "\1a\0", 3);
    add_timed(&wire, DNS_SECTION_ADDITIONAL, "a", DNS_TYPE_A, 30, "\300\0\2\3", 4);
    reply_from_upstream(world, wire);
    world_sleep(world, SECOND - 1);
    assert_false(asks_plainly(world));
    assert_int_equal(reply_ttl(world, DNS_SECTION_ANSWER, 0), 300);
    world_sleep(world, 1);
    assert_false(asks_plainly(world));
    assert_int_equal(reply_ttl(world, DNS_SECTION_ANSWER, 0), 299);
    world_sleep(world, 19 * SECOND - 1);
    assert_false(asks_plainly(world));
    assert_int_equal(reply_ttl(world, DNS_SECTION_ANSWER, 0), 281);
    assert_int_equal(reply_ttl(world, DNS_SECTION_ANSWER, 1), 1);
    assert_int_equal(reply_ttl(world, DNS_SECTION_AUTHORITY, 0), 69981);
    assert_int_equal(reply_ttl(world, DNS_SECTION_ADDITIONAL, 0), 11);
    world_sleep(world, 1);
    assert_true(asks_plainly(world));
    assert_int_equal(counters_of(world)->expired, 1);
}

static void nothing_is_kept_for_more_than_a_week(void **state)
{
    struct world *world = *state;
    fill(world, DNS_TTL_MAX);
    world_sleep(world, (int64_t)CACHE_SECONDS_MAX * SECOND - 1);
    assert_false(asks_plainly(world));
    world_sleep(world, 1);
    assert_true(asks_plainly(world));
}

/* The monotonic clock does not count while the machine sleeps. */
static void answers_age_while_the_machine_sleeps(void **state)
{
    struct world *world = *state;
    const int64_t wall = 1700000000000000;
    fill(world, 100);
    exchange_set_time(world->exchange, world->now_us + 1, wall + world->now_us + 40 * SECOND);
    assert_false(asks_plainly(world));
    assert_int_equal(reply_ttl(world, DNS_SECTION_ANSWER, 0), 60);
    exchange_set_time(world->exchange, world->now_us + 2, wall); /* the wall clock is put right: nothing gets younger */
    assert_false(asks_plainly(world));
    assert_int_equal(reply_ttl(world, DNS_SECTION_ANSWER, 0), 60);
    exchange_set_time(world->exchange, world->now_us + 61 * SECOND, wall + 61 * SECOND);
    assert_true(asks_plainly(world));
}

static void the_client_keeps_its_spelling(void **state)
{
    struct world *world = *state;
    fill(world, 300);
    assert_false(asks(world, TRANSPORT_UDP, query_for("eXaMpLe.CoM", DNS_TYPE_A)));
    struct dns_message reply = world_reply_message(world);
    assert_memory_equal(reply.question.name, "\7eXaMpLe\3CoM", 13);
    assert_int_equal(world_reply_a(world), 1);
}

static void tcp_and_udp_clients_share_answers(void **state)
{
    struct world *world = *state;
    fill(world, 300);
    assert_false(asks(world, TRANSPORT_TCP, plain_query()));
    assert_int_equal(world->replied_to[1].transport, TRANSPORT_TCP);
}

/* --- the key --- */

static void all_that_an_answer_depends_on_is_in_the_key(void **state)
{
    struct world *world = *state;
    static const struct shape shapes[] = {
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, NO_OPT},
        {0, "example.com", DNS_TYPE_A, NO_OPT},
        {DNS_FLAG_RD | DNS_FLAG_CD, "example.com", DNS_TYPE_A, NO_OPT},
        {DNS_FLAG_RD | DNS_FLAG_AD, "example.com", DNS_TYPE_A, NO_OPT},
        {DNS_FLAG_RD | 0x40, "example.com", DNS_TYPE_A, NO_OPT},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_AAAA, NO_OPT},
        {DNS_FLAG_RD, "example.co", DNS_TYPE_A, NO_OPT},
        {DNS_FLAG_RD, "www.example.com", DNS_TYPE_A, NO_OPT},
        {DNS_FLAG_RD, ".", DNS_TYPE_A, NO_OPT},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0, "")},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0x8000, "")},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0x4000, "")},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0, "\0\12\0\10clientAA")},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0, "\0\3\0\0")},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0, "\0\0\0\0")},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0, "\0\3\0\0\0\0\0\0")},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0, SUBNET)},
        {DNS_FLAG_RD, "example.com", DNS_TYPE_A, OPT(1232, 0, OTHER_SUBNET)},
    };
    enum { COUNT = sizeof shapes / sizeof *shapes };
    for (uint8_t i = 0; i < COUNT; i++) {
        assert_true(asks(world, TRANSPORT_UDP, query_of(&shapes[i])));
        struct buffer wire = empty_answer(world, DNS_FLAG_QR);
        add_timed(&wire, DNS_SECTION_ANSWER, shapes[i].name, shapes[i].type, 300, (uint8_t[]){192, 0, 2, i}, 4);
        reply_from_upstream(world, wire);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_false(asks(world, TRANSPORT_UDP, query_of(&shapes[i])));
        assert_int_equal(world_reply_a(world), i);
    }
}

/* RFC 4343 */
static void letters_and_nothing_else_are_alike_in_both_cases(void **state)
{
    struct world *world = *state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[32], other[32];
        bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        snprintf(name, sizeof name, "a\\%03u.example", byte);
        snprintf(other, sizeof other, "a\\%03u.example", byte ^ 0x20);
        exchange_flush_cache(world->exchange, NULL);
        fill_name(world, name);
        assert_int_equal(is_kept(world, other), letter);
        assert_true(is_kept(world, name));
    }
}

static void the_class_is_in_the_key(void **state)
{
    struct world *world = *state;
    fill(world, 300);
    struct buffer wire = plain_query();
    store_u16(wire.data + wire.length - 2, 3);
    assert_true(asks(world, TRANSPORT_UDP, wire));
}

static void what_is_each_clients_own_is_not_in_the_key(void **state)
{
    struct world *world = *state;
    static const struct shape first = {DNS_FLAG_RD, "example.com", 1, OPT(1232, 0, "\0\12\0\10clientAA")};
    static const struct shape shapes[] = {
        {DNS_FLAG_RD, "EXAMPLE.com", 1, OPT(1232, 0, "\0\12\0\10clientBB")},
        {DNS_FLAG_RD, "example.com", 1, OPT(4096, 0, "\0\12\0\20clientBBserver12")},
        {DNS_FLAG_RD, "example.com", 1, OPT(1232, 0, "\0\12\0\10clientBB\0\14\0\3\0\0\0")},
        {DNS_FLAG_RD, "example.com", 1, OPT(1232, 0, "\0\13\0\0\0\12\0\10clientBB")},
    };
    assert_true(asks(world, TRANSPORT_UDP, query_of(&first)));
    reply_from_upstream(world, address_answer(world, 300, 1));
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        assert_false(asks(world, TRANSPORT_UDP, query_of(&shapes[i])));
}

/* Asks twice; the upstream answers well each time. */
static void assert_always_asked(struct world *world, struct buffer query)
{
    struct buffer again = {0};
    buffer_append(&again, query.data, query.length);
    assert_true(asks(world, TRANSPORT_UDP, query));
    reply_from_upstream(world, address_answer(world, 300, 1));
    assert_true(asks(world, TRANSPORT_UDP, again));
    reply_from_upstream(world, address_answer(world, 300, 1));
    assert_int_equal(counters_of(world)->kept, 0);
    assert_int_equal(counters_of(world)->misses, 0);
}

static void other_queries_are_not_for_the_cache(void **state)
{
    struct world *world = *state;
    assert_always_asked(world, query_for("example.com", 252));                    /* AXFR */
    assert_always_asked(world, query_for("example.com", 251));                    /* IXFR */
    assert_always_asked(world, query_for("example.com", 249));                    /* TKEY */
    assert_always_asked(world, message_of(CLIENT_ID, 4 << 11, "example.com", 1)); /* NOTIFY */
    assert_always_asked(world, message_of(CLIENT_ID, DNS_FLAG_RD | DNS_FLAG_TC, "example.com", 1));
    struct buffer wire = plain_query();
    add_record(&wire, DNS_SECTION_ADDITIONAL, "key", 250, "signature", 9); /* TSIG */
    store_u16(wire.data, 7);                                               /* whatever the id */
    assert_always_asked(world, wire);
    wire = plain_query();
    add_record(&wire, DNS_SECTION_ADDITIONAL, "key", 250, "signature", 9);
    add_opt(&wire, 1232, 0, "", 0);
    assert_always_asked(world, wire);
    wire = plain_query();
    add_record(&wire, DNS_SECTION_AUTHORITY, "example.com", 6, "", 0);
    assert_always_asked(world, wire);
    uint8_t much[4 + 600] = {0xff, 0, 600 >> 8, 600 & 255};
    wire = plain_query();
    add_opt(&wire, 1232, 0, much, sizeof much);
    assert_always_asked(world, wire);
}

static void a_query_without_a_question_is_not_for_the_cache(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 2; i++) {
        assert_true(asks(world, TRANSPORT_UDP, message_of(CLIENT_ID, 0, NULL, 0)));
        struct buffer wire = empty_answer(world, DNS_FLAG_QR);
        add_address(&wire, "example.com", 300, 1);
        reply_from_upstream(world, wire);
    }
    assert_int_equal(counters_of(world)->kept, 0);
}

/* --- OPT and size --- */

static void opt_is_as_it_would_be_from_the_upstream(void **state)
{
    struct world *world = *state;
    static const struct shape shape = {DNS_FLAG_RD, "example.com", 1, OPT(1232, 0x8000, "")};
    assert_true(asks_plainly(world)); /* a client without OPT, an upstream that sends it all the same */
    struct buffer wire = address_answer(world, 300, 1);
    add_opt(&wire, 4096, 0, "", 0);
    reply_from_upstream(world, wire);
    assert_false(asks_plainly(world));
    assert_int_equal(world_reply_message(world).opt.count, 0);
    assert_true(asks(world, TRANSPORT_UDP, query_of(&shape)));
    wire = address_answer(world, 300, 1);
    add_opt(&wire, 4096, 0x8000, "\0\13\0\2\0\1\0\17\0\2\0\3", 12); /* keepalive is one connection's */
    reply_from_upstream(world, wire);
    world_sleep(world, 5 * SECOND);
    assert_false(asks(world, TRANSPORT_UDP, query_of(&shape)));
    struct dns_message reply = world_reply_message(world);
    assert_int_equal(reply.opt.count, 1);
    assert_int_equal(reply.opt.udp_payload_size, 4096);
    assert_true(reply.opt.dnssec_ok);
    assert_int_equal(reply.opt.options.length, 6);
    assert_int_equal(reply_ttl(world, DNS_SECTION_ADDITIONAL, 0), 0x8000);
}

static void an_upstream_without_edns_is_passed_on_as_such(void **state)
{
    struct world *world = *state;
    static const struct shape shape = {DNS_FLAG_RD, "example.com", 1, OPT(1232, 0, "")};
    assert_true(asks(world, TRANSPORT_UDP, query_of(&shape)));
    reply_from_upstream(world, address_answer(world, 300, 1));
    assert_int_equal(world_reply_message(world).opt.count, 0);
    assert_false(asks(world, TRANSPORT_UDP, query_of(&shape)));
    assert_int_equal(world_reply_message(world).opt.count, 0);
}

static void a_large_answer_is_cut_for_a_udp_client(void **state)
{
    struct world *world = *state;
    assert_true(asks(world, TRANSPORT_TCP, plain_query()));
    struct buffer wire = empty_answer(world, FLAGS);
    for (uint8_t i = 0; i < 100; i++)
        add_address(&wire, "example.com", 300, i);
    size_t length = wire.length;
    reply_from_upstream(world, wire);
    assert_false(asks_plainly(world));
    assert_true(world_reply_message(world).length <= DNS_UDP_SIZE_CLASSIC);
    assert_true(world_reply_message(world).header.flags & DNS_FLAG_TC);
    assert_false(asks(world, TRANSPORT_TCP, plain_query()));
    assert_int_equal(world_reply_message(world).length, length);
    assert_false(world_reply_message(world).header.flags & DNS_FLAG_TC);
}

/* --- scripts --- */

static enum hook_result answer_it(struct world *world, struct flow *flow)
{
    (void)world;
    return set_response(flow, "example.com", 99);
}

static enum hook_result fail_it(struct world *world, struct flow *flow)
{
    (void)world;
    flow_set_error(flow, "no", 1);
    return HOOK_DONE;
}

static enum hook_result kill_it(struct world *world, struct flow *flow)
{
    (void)world;
    flow_kill(flow);
    return HOOK_DONE;
}

static enum hook_result send_it_elsewhere(struct world *world, struct flow *flow)
{
    (void)world;
    flow->target.address = (struct address){.family = AF_INET, .port = 53, .bytes = {1, 1, 1, 1}};
    return HOOK_DONE;
}

static enum hook_result ask_for_another(struct world *world, struct flow *flow)
{
    (void)world;
    struct buffer wire = query_for("oTher.example", DNS_TYPE_A);
    must(flow_set_request(flow, wire.data, wire.length, NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

static enum hook_result see_hit(struct world *world, struct flow *flow)
{
    (void)world;
    assert_true(flow->response.present);
    assert_true(flow->cache_hit == (flow->source == FLOW_SOURCE_CACHE));
    if (flow->cache_hit) {
        const struct dns_message *query = &flow->query.view, *response = &flow->response.view;
        assert_int_equal(response->header.id, query->header.id);
        assert_memory_equal(response->wire, query->wire, 2);
        assert_memory_equal(response->question.name, query->question.name, query->question.name_length);
    }
    return HOOK_DONE;
}

static void request_hooks_come_before_the_cache(void **state)
{
    struct world *world = *state;
    fill(world, 300);
    world_on(world, HOOK_REQUEST, answer_it);
    assert_false(asks_plainly(world));
    assert_int_equal(world_reply_a(world), 99);
    world->on[HOOK_REQUEST] = fail_it;
    assert_false(asks_plainly(world));
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    world->on[HOOK_REQUEST] = kill_it;
    assert_false(asks_plainly(world));
    assert_int_equal(world->no_reply_count, 1);
    world->on[HOOK_REQUEST] = NULL;
    assert_int_equal(counters_of(world)->hits, 0);
    assert_int_equal(counters_of(world)->kept, 1);
    assert_false(asks_plainly(world));
    assert_int_equal(world_reply_a(world), 1);
}

static void response_hooks_see_hits_and_change_nothing_that_is_kept(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, answer_it);
    fill(world, 300);
    assert_int_equal(world_reply_a(world), 99);
    assert_false(asks_plainly(world));
    assert_int_equal(world_reply_a(world), 99);
    assert_int_equal(world_ended(world)->source, FLOW_SOURCE_SCRIPT);
    world->on[HOOK_RESPONSE] = see_hit;
    assert_false(asks(world, TRANSPORT_UDP, query_for("Example.cOM", DNS_TYPE_A)));
    assert_int_equal(world_reply_a(world), 1);
    fill_name(world, "www.example.com");
    assert_int_equal(world->called[HOOK_RESPONSE], 4);
    world->on[HOOK_RESPONSE] = kill_it;
    assert_false(asks_plainly(world));
    world->on[HOOK_RESPONSE] = fail_it;
    assert_false(asks_plainly(world));
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
}

static void queries_sent_elsewhere_pass_the_cache_by(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, send_it_elsewhere);
    fill(world, 300);
    assert_int_equal(counters_of(world)->kept, 0);
    world->on[HOOK_REQUEST] = NULL;
    fill(world, 300);
    world->on[HOOK_REQUEST] = send_it_elsewhere;
    assert_true(asks_plainly(world));
}

static void an_edited_query_is_looked_up_as_it_goes_upstream(void **state)
{
    struct world *world = *state;
    fill(world, 300);
    world_on(world, HOOK_REQUEST, ask_for_another);
    assert_true(asks_plainly(world));
    struct buffer wire = empty_answer(world, FLAGS);
    add_address(&wire, "other.example", 300, 77);
    reply_from_upstream(world, wire);
    world_sleep(world, SECOND);
    assert_false(asks(world, TRANSPORT_UDP, query_for("EXAMPLE.com", DNS_TYPE_A)));
    assert_int_equal(world_reply_a(world), 77);
    assert_int_equal(reply_ttl(world, DNS_SECTION_ANSWER, 0), 299);
    assert_memory_equal(world_reply_message(world).question.name, "\7EXAMPLE\3com", 13);
    world->on[HOOK_REQUEST] = NULL;
    assert_false(asks(world, TRANSPORT_UDP, query_for("other.exaMPLE", DNS_TYPE_A)));
    assert_int_equal(world_reply_a(world), 77);
    assert_memory_equal(world_reply_message(world).question.name, "\5other\7exaMPLE", 15);
    assert_false(asks_plainly(world));
    assert_int_equal(world_reply_a(world), 1);
}

static enum hook_result ask_with_an_odd_opt(struct world *world, struct flow *flow)
{
    struct buffer wire = plain_query();
    if (world->called[HOOK_REQUEST] % 2)
        add_opt(&wire, 1232, 1 << 16, "", 0); /* version 1 */
    else
        add_record(&wire, DNS_SECTION_ADDITIONAL, "x", DNS_TYPE_OPT, "", 0);
    must(flow_set_request(flow, wire.data, wire.length, NULL));
    buffer_free(&wire);
    return HOOK_DONE;
}

static void what_no_client_may_ask_is_not_for_the_cache(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, ask_with_an_odd_opt);
    for (int i = 0; i < 4; i++)
        fill(world, 300);
    assert_int_equal(counters_of(world)->kept, 0);
}

static void a_flow_killed_on_its_way_keeps_nothing(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, see_hit);
    world->on[HOOK_REQUEST] = NULL;
    assert_true(asks_plainly(world));
    flow_kill(world->flow);
    reply_from_upstream(world, address_answer(world, 300, 1));
    assert_int_equal(counters_of(world)->kept, 0);
    assert_true(asks_plainly(world));
}

static void local_answers_come_first_and_are_not_kept(void **state)
{
    struct world *world = *state;
    struct buffer hosts = message_of(0, DNS_FLAG_QR, "example.com", DNS_TYPE_A);
    add_a(&hosts, "example.com", 55);
    fill(world, 300);
    world->hosts = &hosts;
    assert_false(asks_plainly(world));
    assert_int_equal(world_reply_a(world), 55);
    assert_false(asks(world, TRANSPORT_UDP, query_for("example.com", 28)));
    world->hosts = NULL;
    assert_int_equal(counters_of(world)->kept, 1);
    assert_true(asks(world, TRANSPORT_UDP, query_for("example.com", 28)));
    buffer_free(&hosts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(without_a_cache_each_query_is_asked),
        CACHE_TEST(the_second_query_is_answered_byte_for_byte),
        CACHE_TEST(ttls_count_down_to_the_shortest),
        CACHE_TEST(nothing_is_kept_for_more_than_a_week),
        CACHE_TEST(answers_age_while_the_machine_sleeps),
        CACHE_TEST(the_client_keeps_its_spelling),
        CACHE_TEST(tcp_and_udp_clients_share_answers),
        CACHE_TEST(all_that_an_answer_depends_on_is_in_the_key),
        CACHE_TEST(letters_and_nothing_else_are_alike_in_both_cases),
        CACHE_TEST(the_class_is_in_the_key),
        CACHE_TEST(what_is_each_clients_own_is_not_in_the_key),
        CACHE_TEST(other_queries_are_not_for_the_cache),
        CACHE_TEST(a_query_without_a_question_is_not_for_the_cache),
        CACHE_TEST(opt_is_as_it_would_be_from_the_upstream),
        CACHE_TEST(an_upstream_without_edns_is_passed_on_as_such),
        CACHE_TEST(a_large_answer_is_cut_for_a_udp_client),
        CACHE_TEST(request_hooks_come_before_the_cache),
        CACHE_TEST(response_hooks_see_hits_and_change_nothing_that_is_kept),
        CACHE_TEST(queries_sent_elsewhere_pass_the_cache_by),
        CACHE_TEST(an_edited_query_is_looked_up_as_it_goes_upstream),
        CACHE_TEST(what_no_client_may_ask_is_not_for_the_cache),
        CACHE_TEST(a_flow_killed_on_its_way_keeps_nothing),
        CACHE_TEST(local_answers_come_first_and_are_not_kept),
    };
    return cmocka_run_group_tests_name("the cache", tests, NULL, NULL);
}
