/* Answers that a script spoils on their way out, and queries that it sends again. */
#include "flow/faults.h"
#include "world.h"

static struct flow_faults *faults_of(struct flow *flow)
{
    struct flow_faults *faults = flow_faults_of(flow);
    assert_non_null(faults);
    return faults;
}

static enum hook_result delay(struct world *world, struct flow *flow)
{
    (void)world;
    faults_of(flow)->delay_us = 300000;
    return HOOK_DONE;
}

static void ask_and_answer(struct world *world)
{
    world_ask(world);
    world_answer_well(world);
}

static void delayed_answer_goes_out_when_its_time_has_come(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, delay);
    ask_and_answer(world);
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(exchange_flows(world->exchange), 1);
    assert_int_equal(exchange_next_deadline(world->exchange), world->now_us + 300000);
    world_sleep(world, 299999);
    exchange_expire(world->exchange);
    assert_int_equal(world->reply_count, 0);
    world_sleep(world, 1);
    exchange_expire(world->exchange);
    assert_int_equal(world->reply_count, 1);
    assert_int_equal(world_reply_a(world), 1);
    assert_int_equal(world_counters(world)->timeouts, 0);
    assert_int_equal(world->release_count, 1);
    world->hooks.defined = 0;
    ask_and_answer(world); /* the flow is used again, and has no faults */
    assert_int_equal(world->reply_count, 2);
}

static void flow_killed_while_delayed_gets_no_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, delay);
    ask_and_answer(world);
    flow_kill(world->flow);
    world_sleep(world, 300000);
    exchange_expire(world->exchange);
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(world->no_reply_count, 1);
}

static void delayed_answer_ends_with_the_exchange(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, delay);
    ask_and_answer(world);
    assert_int_equal(world->release_count, 1); /* and stays so: see the teardown */
}

static enum hook_result spoil(struct world *world, struct flow *flow)
{
    (void)world;
    struct flow_faults *faults = faults_of(flow);
    faults->id = faults->question = true;
    faults->cut = 1;
    buffer_text(&faults->trailing, "ab");
    return HOOK_DONE;
}

static void bytes_are_spoilt_and_the_flow_keeps_its_own(void **state)
{
    struct world *world = *state;
    struct dns_message parsed;
    world_on(world, HOOK_RESPONSE, spoil);
    ask_and_answer(world);
    const struct buffer *wire = &world->replies[0];
    assert_int_equal(load_u16(wire->data), CLIENT_ID ^ 0xffff);
    assert_int_equal(wire->data[DNS_HEADER_SIZE + 1], 'x');
    assert_memory_equal(wire->data + wire->length - 2, "ab", 2);
    assert_int_equal(dns_message_parse(wire->data, wire->length, &parsed, NULL), STATUS_MALFORMED);
    assert_true(world_ended(world)->responded);
}

static enum hook_result truncate_all(struct world *world, struct flow *flow)
{
    (void)world;
    faults_of(flow)->truncate = true;
    return HOOK_DONE;
}

static void truncated_answer_has_tc_and_no_records(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, truncate_all);
    ask_and_answer(world);
    struct dns_message reply = world_reply_message(world);
    assert_true(reply.header.flags & DNS_FLAG_TC);
    assert_int_equal(reply.header.counts[DNS_SECTION_QUESTION], 1);
    assert_int_equal(reply.header.counts[DNS_SECTION_ANSWER], 0);
}

static enum hook_result drop(struct world *world, struct flow *flow)
{
    (void)world;
    flow_drop(flow);
    return HOOK_DONE;
}

static void dropped_flow_gets_no_answer_and_is_not_asked(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, drop);
    world_ask(world);
    assert_int_equal(world->sent_count, 0);
    assert_int_equal(world->no_reply_count, 1);
    assert_string_equal(world_ended(world)->error, "");
}

static bool sent_again;

static enum hook_result send_again(struct world *world, struct flow *flow)
{
    (void)world;
    struct upstream_target target = {.address = {.family = AF_INET, .port = 53, .bytes = {1, 1, 1, 1}}};
    sent_again = flow_resend(flow, &target);
    assert_memory_equal(&flow->target, &target, sizeof target);
    return HOOK_DONE;
}

static void query_is_sent_again_eight_times_at_the_most(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, send_again);
    ask_and_answer(world);
    for (unsigned i = 1; i <= FLOW_RESENDS_MAX; i++) {
        assert_true(sent_again);
        assert_int_equal(world->sent_count, 1 + i);
        assert_int_equal(world->routed[i].attempt, 0);
        assert_int_equal(world->reply_count, 0);
        world_answer_well(world);
    }
    assert_false(sent_again);
    assert_int_equal(world->called[HOOK_RESPONSE], FLOW_RESENDS_MAX + 1);
    assert_int_equal(world->reply_count, 1);
    assert_int_equal(world_counters(world)->retries, 0);
}

static void query_that_failed_is_sent_again_without_its_error(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_ERROR, send_again);
    world_ask(world);
    for (unsigned i = 0; i <= world->config.retries; i++) {
        world_sleep(world, TIMEOUT_US);
        exchange_expire(world->exchange);
    }
    assert_true(sent_again);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
    assert_string_equal(world_ended(world)->error, "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WORLD_TEST(delayed_answer_goes_out_when_its_time_has_come),
        WORLD_TEST(flow_killed_while_delayed_gets_no_answer),
        WORLD_TEST(delayed_answer_ends_with_the_exchange),
        WORLD_TEST(bytes_are_spoilt_and_the_flow_keeps_its_own),
        WORLD_TEST(truncated_answer_has_tc_and_no_records),
        WORLD_TEST(dropped_flow_gets_no_answer_and_is_not_asked),
        WORLD_TEST(query_is_sent_again_eight_times_at_the_most),
        WORLD_TEST(query_that_failed_is_sent_again_without_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
