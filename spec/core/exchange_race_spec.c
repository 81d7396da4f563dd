/* Several upstreams asked at once. */
#include "world.h"

#include <cmocka.h>

enum { RIVALS = 3 };

static int race_setup(void **state)
{
    int result = world_setup(state);
    struct world *world = *state;
    world->rivals = RIVALS;
    return result;
}

#define RACE_TEST(function) cmocka_unit_test_setup_teardown(function, race_setup, world_teardown)

/* The answer of upstream `member` (from 0) to the query that was sent to it as number `sent`. */
static void answer_from(struct world *world, unsigned member, size_t sent, uint16_t code)
{
    uint16_t flags = (uint16_t)(DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA | code);
    struct buffer wire = message_of(load_u16(world->sent[sent].data), flags, "example.com", DNS_TYPE_A);
    if (code == DNS_RCODE_NOERROR)
        add_a(&wire, "example.com", (uint8_t)(member + 1));
    world_answer(world, world->channel + 10 * (member + 1), wire);
}

static void the_first_good_answer_counts(void **state)
{
    struct world *world = *state;
    world_ask(world);
    assert_int_equal(world->sent_count, RIVALS);
    assert_int_equal(exchange_flows(world->exchange), 1);
    answer_from(world, 0, 0, DNS_RCODE_REFUSED);
    answer_from(world, 2, 2, DNS_RCODE_SERVFAIL);
    assert_int_equal(world->reply_count, 0);
    answer_from(world, 1, 1, DNS_RCODE_NOERROR);
    assert_int_equal(world->reply_count, 1);
    assert_int_equal(world_reply_a(world), 2);
    assert_int_equal(world_ended(world)->source, FLOW_SOURCE_UPSTREAM);
    assert_int_equal(world_ended(world)->server.bytes[3], 102);
    assert_int_equal(world->ended_count, 1);
    assert_int_equal(exchange_flows(world->exchange), 0);
}

static void a_name_that_is_not_there_is_a_good_answer(void **state)
{
    struct world *world = *state;
    world_ask(world);
    answer_from(world, 2, 2, DNS_RCODE_NXDOMAIN);
    assert_int_equal(world_reply_code(world), DNS_RCODE_NXDOMAIN);
}

/* The world hears of late answers and of time-outs, though the client has its answer; nothing is asked again. */
static void late_ones_are_told_and_harm_nobody(void **state)
{
    struct world *world = *state;
    world_ask(world);
    answer_from(world, 0, 0, DNS_RCODE_NOERROR);
    answer_from(world, 1, 1, DNS_RCODE_NOERROR);
    assert_int_equal(world->reply_count, 1);
    assert_int_equal(world->release_count, 2);
    world_sleep(world, TIMEOUT_US);
    exchange_expire(world->exchange);
    assert_int_equal(world->release_count, RIVALS);
    assert_int_equal(world->outcomes[1], TRY_ANSWERED);
    assert_int_equal(world->outcomes[2], TRY_TIMED_OUT);
    assert_int_equal(world->sent_count, RIVALS);
    assert_int_equal(world->ended_count, 1);
}

static void when_all_refuse_one_refusal_is_the_answer(void **state)
{
    struct world *world = *state;
    world_ask(world);
    for (unsigned i = 0; i < RIVALS; i++)
        answer_from(world, i, i, DNS_RCODE_REFUSED);
    assert_int_equal(world_reply_code(world), DNS_RCODE_REFUSED);
}

static void each_has_its_tries_and_then_all_have_failed(void **state)
{
    struct world *world = *state;
    world_ask(world);
    for (unsigned try = 0; try <= world->config.retries; try++) {
        assert_int_equal(world->sent_count, RIVALS * (try + 1));
        assert_int_equal(world->reply_count, 0);
        world_sleep(world, TIMEOUT_US);
        exchange_expire(world->exchange);
    }
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_string_equal(world_ended(world)->error, "time-out");
    assert_int_equal(world->sent_count, 9);
}

static void that_all_fail_at_once_is_an_error_at_once(void **state)
{
    struct world *world = *state;
    world->unreachable = 100;
    world_ask(world);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_string_equal(world_ended(world)->error, "connection refused");
}

static void one_that_cannot_be_reached_does_not_hold_up_the_others(void **state)
{
    struct world *world = *state;
    world->unreachable = 3; /* all tries at the first */
    world_ask(world);
    assert_int_equal(world->sent_count, RIVALS - 1);
    answer_from(world, 1, 0, DNS_RCODE_NOERROR);
    assert_int_equal(world_reply_a(world), 2);
}

static void a_channel_that_breaks_is_one_rival_less(void **state)
{
    struct world *world = *state;
    world->config.retries = 0;
    exchange_set_config(world->exchange, &world->config);
    world_ask(world);
    exchange_channel_failed(world->exchange, world->channel + 10, "connection closed", false);
    exchange_channel_failed(world->exchange, world->channel + 20, "connection closed", false);
    assert_int_equal(world->reply_count, 0);
    answer_from(world, 2, 2, DNS_RCODE_NOERROR);
    assert_int_equal(world_reply_a(world), 3);
}

static enum hook_result count_response(struct world *world, struct flow *flow)
{
    (void)world;
    assert_true(flow->response.present);
    return HOOK_DONE;
}

static void hooks_see_one_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, count_response);
    world_ask(world);
    for (unsigned i = 0; i < RIVALS; i++)
        answer_from(world, i, i, DNS_RCODE_NOERROR);
    assert_int_equal(world->called[HOOK_RESPONSE], 1);
    assert_int_equal(world->reply_count, 1);
}

static enum hook_result resend_once(struct world *world, struct flow *flow)
{
    if (world->called[HOOK_RESPONSE] == 1)
        assert_true(flow_resend(flow, &(struct upstream_target){0}));
    return HOOK_DONE;
}

static void a_query_that_is_sent_again_races_again(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, resend_once);
    world_ask(world);
    answer_from(world, 1, 1, DNS_RCODE_NOERROR);
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(world->sent_count, 2 * RIVALS);
    answer_from(world, 2, RIVALS + 2, DNS_RCODE_NOERROR);
    assert_int_equal(world_reply_a(world), 3);
}

static enum hook_result go_elsewhere(struct world *world, struct flow *flow)
{
    (void)world;
    must(upstream_target_from_text("192.0.2.9", 9, &flow->target, NULL));
    return HOOK_DONE;
}

static void a_query_with_a_target_of_its_own_goes_there_alone(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, go_elsewhere);
    world_ask(world);
    assert_int_equal(world->sent_count, 1);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
}

static void the_end_comes_in_the_middle(void **state)
{
    struct world *world = *state;
    world_ask(world);
    answer_from(world, 0, 0, DNS_RCODE_REFUSED);
    world_ask(world);
    answer_from(world, 0, 3, DNS_RCODE_NOERROR); /* its rivals are late */
    assert_int_equal(world->reply_count, 1);
} /* and the teardown frees the exchange: each route is released once */

static void finished(void *context)
{
    ++*(unsigned *)context;
}

static void scripts_queries_race_too(void **state)
{
    struct world *world = *state;
    struct dns_name name = name_of("example.com");
    unsigned called = 0;
    struct exchange_ask ask = {
        .name = &name, .type = DNS_TYPE_A, .class_ = DNS_CLASS_IN, .finished = finished, .context = &called};
    struct flow *flow;
    must(exchange_ask(world->exchange, &ask, &flow));
    answer_from(world, 1, 1, DNS_RCODE_NOERROR);
    assert_int_equal(called, 1);
    assert_true(flow->response.present);
    exchange_forget(world->exchange, flow);

    must(exchange_ask(world->exchange, &ask, &flow));
    exchange_forget(world->exchange, flow); /* while they run */
    answer_from(world, 1, RIVALS + 1, DNS_RCODE_NOERROR);
    assert_int_equal(called, 1);
    must(exchange_ask(world->exchange, &ask, &flow)); /* left for the exchange's end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(the_first_good_answer_counts),
        RACE_TEST(a_name_that_is_not_there_is_a_good_answer),
        RACE_TEST(late_ones_are_told_and_harm_nobody),
        RACE_TEST(when_all_refuse_one_refusal_is_the_answer),
        RACE_TEST(each_has_its_tries_and_then_all_have_failed),
        RACE_TEST(that_all_fail_at_once_is_an_error_at_once),
        RACE_TEST(one_that_cannot_be_reached_does_not_hold_up_the_others),
        RACE_TEST(a_channel_that_breaks_is_one_rival_less),
        RACE_TEST(hooks_see_one_answer),
        RACE_TEST(a_query_that_is_sent_again_races_again),
        RACE_TEST(a_query_with_a_target_of_its_own_goes_there_alone),
        RACE_TEST(the_end_comes_in_the_middle),
        RACE_TEST(scripts_queries_race_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
