/* The exchange: how often an upstream is asked, and over what. The world around it is the spec's. */
#include "world.h"

/* --- tries --- */

static struct buffer malformed_answer(const struct world *world)
{
    struct buffer wire = good_answer(world);
    wire.length -= 2;
    return wire;
}

static void malformed_answers_spend_the_tries(void **state)
{
    struct world *world = *state;
    world_ask(world);
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        assert_int_equal(world->route_count, attempt + 1);
        assert_int_equal(world->routed[attempt].attempt, attempt);
        world_answer(world, world->channel, malformed_answer(world));
    }
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_int_equal(world_counters(world)->malformed_answers, 3);
    assert_int_equal(world_counters(world)->retries, 2);
    assert_non_null(strstr(world_ended(world)->error, "malformed answer: answer #1"));
}

static void silence_spends_the_tries(void **state)
{
    struct world *world = *state;
    world_ask(world);
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        assert_int_equal(world->routed[attempt].attempt, attempt);
        assert_int_equal(exchange_next_deadline(world->exchange), world->now_us + TIMEOUT_US);
        world_sleep(world, TIMEOUT_US - 1);
        exchange_expire(world->exchange);
        assert_int_equal(world->route_count, attempt + 1);
        world_sleep(world, 1);
        exchange_expire(world->exchange);
    }
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_int_equal(exchange_next_deadline(world->exchange), -1);
    assert_string_equal(world_ended(world)->error, "time-out");
    assert_int_equal(world_ended(world)->tries, 3);
    assert_int_equal(world_ended(world)->source, FLOW_SOURCE_PROXY);
    assert_int_equal(world_ended(world)->server.bytes[3], 3);
    assert_int_equal(world_counters(world)->timeouts, 3);
}

static void late_answer_is_dropped(void **state)
{
    struct world *world = *state;
    world_ask(world);
    struct buffer late = good_answer(world);
    world_sleep(world, TIMEOUT_US);
    exchange_expire(world->exchange);
    if (load_u16(late.data) != world_sent_id(world)) /* else it is no late one */
        world_expect_dropped(world, world->channel, late);
    else
        buffer_free(&late);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
}

static void next_try_can_succeed(void **state)
{
    struct world *world = *state;
    world_ask(world);
    world_answer(world, world->channel, malformed_answer(world));
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
    assert_int_equal(world_ended(world)->tries, 2);
    assert_string_equal(world_ended(world)->error, "");
}

static void broken_channel_spends_the_tries_that_wait_on_it(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 3; i++)
        world_ask(world);
    world->channel = 8;
    world_ask(world);
    world->channel = 9;
    exchange_channel_failed(world->exchange, 7, "connection refused", false);
    assert_int_equal(world->sent_count, 7);
    assert_int_equal(world_counters(world)->channel_failures, 3);
    for (size_t i = 4; i < 7; i++)
        assert_int_equal(world->sent_on[i].number, 9);
    for (int i = 0; i < 2; i++)
        exchange_channel_failed(world->exchange, 9, "connection refused", false);
    assert_int_equal(world->reply_count, 3);
    assert_string_equal(world_ended(world)->error, "connection refused");
    assert_int_equal(exchange_flows(world->exchange), 1);
    exchange_channel_failed(world->exchange, 12345, "nothing waits here", false);
    assert_int_equal(exchange_flows(world->exchange), 1);
}

static void without_upstream_the_answer_is_servfail_at_once(void **state)
{
    struct world *world = *state;
    world->no_upstream = true;
    world_ask(world);
    assert_int_equal(world->route_count, 1);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_string_equal(world_ended(world)->error, "no upstream");
    assert_false(world_ended(world)->asked);
}

static void unreachable_upstream_spends_the_try(void **state)
{
    struct world *world = *state;
    world->unreachable = 2;
    world_ask(world);
    assert_int_equal(world->routed[2].attempt, 2);
    assert_int_equal(world->sent_count, 1);
    world->unreachable = 3;
    world_ask(world);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_string_equal(world_ended(world)->error, "connection refused");
    assert_true(world_ended(world)->asked);
}

static void failure_to_send_spends_the_try(void **state)
{
    struct world *world = *state;
    world->send_fails = 1;
    world_ask(world);
    assert_int_equal(world->routed[1].attempt, 1);
    assert_int_equal(world->release_count, 1);
    world->send_fails = 3;
    world_ask(world);
    assert_string_equal(world_ended(world)->error, "no buffer space");
}

static void shorter_timeout_counts_for_tries_to_come(void **state)
{
    struct world *world = *state;
    world_ask(world);
    int64_t first = world->now_us + TIMEOUT_US;
    world->config.timeout_us = 1000;
    exchange_set_config(world->exchange, &world->config);
    world_ask(world);
    assert_int_equal(exchange_next_deadline(world->exchange), world->now_us + 1000);
    world_answer_well(world);
    assert_int_equal(exchange_next_deadline(world->exchange), first);
}

/* --- cut answers --- */

static struct buffer cut_answer(const struct world *world)
{
    struct buffer wire = good_answer(world);
    wire.data[2] |= 2;
    return wire;
}

static void cut_answer_is_asked_again_over_a_stream_for_a_stream_client(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_TCP, plain_query());
    world_answer(world, world->channel, cut_answer(world));
    assert_int_equal(world->reply_count, 0);
    const struct routed *again = &world->routed[1];
    assert_true(again->stream);
    assert_int_equal(again->attempt, 0);
    assert_int_equal(again->again.bytes[3], 1);
    world_answer(world, world->channel + 1000, good_answer(world));
    assert_int_equal(world_reply_a(world), 1);
    assert_int_equal(world_ended(world)->tries, 1);
    assert_int_equal(world_counters(world)->retries, 0);
}

static void cut_answer_goes_to_a_udp_client_as_it_came(void **state)
{
    struct world *world = *state;
    world_ask(world);
    world_answer(world, world->channel, cut_answer(world));
    assert_int_equal(world->route_count, 1);
    assert_true(world_reply_message(world).header.flags & DNS_FLAG_TC);
}

static void upstream_with_a_scheme_is_not_asked_otherwise(void **state)
{
    struct world *world = *state;
    world->scheme = UPSTREAM_UDP;
    world_query(world, TRANSPORT_TCP, plain_query());
    world_answer(world, world->channel, cut_answer(world));
    assert_int_equal(world->route_count, 1);
    assert_true(world_reply_message(world).header.flags & DNS_FLAG_TC);
}

static void answer_cut_over_the_stream_too_is_passed_on(void **state)
{
    struct world *world = *state;
    world_query(world, TRANSPORT_TCP, plain_query());
    world_answer(world, world->channel, cut_answer(world));
    world_answer(world, world->channel + 1000, cut_answer(world));
    assert_int_equal(world->route_count, 2);
    assert_int_equal(world->reply_count, 1);
}

static void stream_that_fails_spends_the_try(void **state)
{
    struct world *world = *state;
    world->stream_fails = true;
    world_query(world, TRANSPORT_TCP, plain_query());
    world_answer(world, world->channel, cut_answer(world));
    assert_int_equal(world->route_count, 3);
    assert_false(world->routed[2].stream);
    assert_int_equal(world->routed[2].attempt, 1);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(malformed_answers_spend_the_tries),
        WORLD_TEST(silence_spends_the_tries),
        WORLD_TEST(late_answer_is_dropped),
        WORLD_TEST(next_try_can_succeed),
        WORLD_TEST(broken_channel_spends_the_tries_that_wait_on_it),
        WORLD_TEST(without_upstream_the_answer_is_servfail_at_once),
        WORLD_TEST(unreachable_upstream_spends_the_try),
        WORLD_TEST(failure_to_send_spends_the_try),
        WORLD_TEST(shorter_timeout_counts_for_tries_to_come),
        WORLD_TEST(cut_answer_is_asked_again_over_a_stream_for_a_stream_client),
        WORLD_TEST(cut_answer_goes_to_a_udp_client_as_it_came),
        WORLD_TEST(upstream_with_a_scheme_is_not_asked_otherwise),
        WORLD_TEST(answer_cut_over_the_stream_too_is_passed_on),
        WORLD_TEST(stream_that_fails_spends_the_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
