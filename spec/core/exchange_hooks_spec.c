/* The exchange and scripts: which hook is called when, and what becomes of what it did. */
#include "world.h"

static enum hook_result spoof(struct world *world, struct flow *flow)
{
    (void)world;
    return set_response(flow, "example.com", 66);
}

static enum hook_result spoof_again(struct world *world, struct flow *flow)
{
    (void)world;
    return set_response(flow, "example.com", 77);
}

static enum hook_result kill_it(struct world *world, struct flow *flow)
{
    (void)world;
    flow_kill(flow);
    return HOOK_DONE;
}

static enum hook_result fail_it(struct world *world, struct flow *flow)
{
    (void)world;
    flow_set_error(flow, "no luck", 5);
    return HOOK_DONE;
}

static enum hook_result spoof_and_fail(struct world *world, struct flow *flow)
{
    spoof(world, flow);
    return fail_it(world, flow);
}

static enum hook_result clear_it(struct world *world, struct flow *flow)
{
    (void)world;
    flow_clear_response(flow);
    return HOOK_DONE;
}

static enum hook_result look(struct world *world, struct flow *flow)
{
    (void)world, (void)flow;
    return HOOK_DONE;
}

/* --- request --- */

static void hooks_that_nobody_defines_are_not_called(void **state)
{
    struct world *world = *state;
    world_ask(world);
    world_answer_well(world);
    world->no_upstream = true;
    world_ask(world);
    for (int hook = 0; hook < HOOK_COUNT; hook++)
        assert_int_equal(world->called[hook], 0);
}

static void hooks_that_do_nothing_change_nothing(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, look);
    world_on(world, HOOK_RESPONSE, look);
    world_on(world, HOOK_ERROR, look);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
    assert_int_equal(world->called[HOOK_REQUEST], 1);
    assert_int_equal(world->called[HOOK_RESPONSE], 1);
    assert_int_equal(world->called[HOOK_ERROR], 0);
    assert_int_equal(world_ended(world)->source, FLOW_SOURCE_UPSTREAM);
}

static void response_set_by_the_request_hook_needs_no_upstream(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, spoof);
    world_on(world, HOOK_RESPONSE, look);
    world_ask(world);
    assert_int_equal(world_reply_a(world), 66);
    assert_int_equal(world->route_count, 0);
    assert_int_equal(world->called[HOOK_RESPONSE], 1);
    assert_int_equal(world_ended(world)->source, FLOW_SOURCE_SCRIPT);
    assert_string_equal(world_ended(world)->source_name, "spoof.lua");
    assert_int_equal(world_counters(world)->script_responses, 1);
}

static void killed_query_gets_no_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, kill_it);
    world_ask(world);
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(world->no_reply_count, 1);
    assert_int_equal(world->route_count, 0);
    assert_true(world_ended(world)->killed);
    assert_int_equal(world_counters(world)->killed, 1);
}

static void error_set_by_the_request_hook_gives_servfail(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, fail_it);
    world_on(world, HOOK_RESPONSE, look);
    world_on(world, HOOK_ERROR, look);
    world_ask(world);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_int_equal(world->called[HOOK_ERROR], 1);
    assert_int_equal(world->called[HOOK_RESPONSE], 0);
    assert_int_equal(world->route_count, 0);
    assert_string_equal(world_ended(world)->error, "no luck");
    assert_int_equal(world_counters(world)->errors, 1);
}

static void response_beside_an_error_goes_out_after_the_error_hooks(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, spoof_and_fail);
    world_on(world, HOOK_ERROR, look);
    world_ask(world);
    assert_int_equal(world_reply_a(world), 66);
    assert_int_equal(world->called[HOOK_ERROR], 1);
}

/* --- hosts file --- */

static void hosts_file_answers_after_the_request_hooks(void **state)
{
    struct world *world = *state;
    struct buffer hosts = message_of(0, DNS_FLAG_QR, "example.com", 1);
    add_a(&hosts, "example.com", 99);
    world->hosts = &hosts;
    world_on(world, HOOK_REQUEST, look);
    world_on(world, HOOK_RESPONSE, look);
    world_ask(world);
    assert_int_equal(world_reply_a(world), 99);
    assert_int_equal(world->called[HOOK_REQUEST], 1);
    assert_int_equal(world->called[HOOK_RESPONSE], 1);
    assert_int_equal(world->route_count, 0);
    assert_int_equal(world_ended(world)->source, FLOW_SOURCE_HOSTS);
    assert_int_equal(world_counters(world)->hosts_responses, 1);
    world_on(world, HOOK_REQUEST, spoof);
    world_ask(world);
    assert_int_equal(world_reply_a(world), 66);
    buffer_free(&hosts);
}

/* --- response --- */

static void response_hook_replaces_the_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, spoof_again);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 77);
    assert_int_equal(world_ended(world)->source, FLOW_SOURCE_SCRIPT);
}

static void cleared_response_sends_nothing_and_is_no_error(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, clear_it);
    world_on(world, HOOK_ERROR, look);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(world->no_reply_count, 1);
    assert_int_equal(world->called[HOOK_ERROR], 0);
    assert_false(world_ended(world)->responded);
}

static void flow_killed_by_the_response_hook_gets_no_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, kill_it);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world->reply_count, 0);
    assert_true(world_ended(world)->killed);
}

static void error_set_by_the_response_hook_outweighs_the_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, fail_it);
    world_on(world, HOOK_ERROR, look);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_int_equal(world->called[HOOK_ERROR], 1);
    assert_int_equal(world->called[HOOK_RESPONSE], 1);
}

static void response_set_beside_that_error_goes_out(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, spoof_and_fail);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 66);
}

/* --- error --- */

static void error_hook_can_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, look);
    world_on(world, HOOK_ERROR, spoof);
    world->no_upstream = true;
    world_ask(world);
    assert_int_equal(world_reply_a(world), 66);
    assert_int_equal(world->called[HOOK_RESPONSE], 0);
    assert_string_equal(world_ended(world)->error, "no upstream");
}

static void flow_killed_by_the_error_hook_gets_no_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_ERROR, kill_it);
    world->no_upstream = true;
    world_ask(world);
    assert_int_equal(world->reply_count, 0);
}

/* --- answers that cannot be packed --- */

static enum hook_result set_garbage(struct world *world, struct flow *flow)
{
    (void)world;
    struct reason reason;
    assert_int_equal(flow_set_response(flow, (const uint8_t *)"rubbish", 7, FLOW_SOURCE_SCRIPT, "x.lua", &reason),
                     STATUS_MALFORMED);
    assert_false(flow->response.present);
    return HOOK_DONE;
}

static void unpackable_response_of_any_hook_becomes_servfail(void **state)
{
    struct world *world = *state;
    for (enum hook hook = HOOK_REQUEST; hook < HOOK_COUNT; hook++) {
        world->hooks.defined = 0;
        world_on(world, hook, set_garbage);
        world->no_upstream = hook == HOOK_ERROR;
        world_ask(world);
        if (hook == HOOK_RESPONSE)
            world_answer_well(world);
        assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
        assert_int_equal(world->reply_count, hook + 1);
        assert_int_equal(world_counters(world)->unpackable, hook + 1);
        assert_int_equal(world->sent_count, hook >= HOOK_RESPONSE);
    }
}

static enum hook_result set_garbage_then_clear(struct world *world, struct flow *flow)
{
    set_garbage(world, flow);
    return clear_it(world, flow);
}

static void unpackable_response_that_is_cleared_is_forgotten(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, set_garbage_then_clear);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
}

/* --- no hooks --- */

static void without_hooks_queries_are_forwarded(void **state)
{
    struct world *world = *state;
    exchange_set_hooks(world->exchange, NULL);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
    exchange_set_hooks(world->exchange, &world->hooks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(hooks_that_nobody_defines_are_not_called),
        WORLD_TEST(hooks_that_do_nothing_change_nothing),
        WORLD_TEST(response_set_by_the_request_hook_needs_no_upstream),
        WORLD_TEST(killed_query_gets_no_answer),
        WORLD_TEST(error_set_by_the_request_hook_gives_servfail),
        WORLD_TEST(response_beside_an_error_goes_out_after_the_error_hooks),
        WORLD_TEST(hosts_file_answers_after_the_request_hooks),
        WORLD_TEST(response_hook_replaces_the_answer),
        WORLD_TEST(cleared_response_sends_nothing_and_is_no_error),
        WORLD_TEST(flow_killed_by_the_response_hook_gets_no_answer),
        WORLD_TEST(error_set_by_the_response_hook_outweighs_the_answer),
        WORLD_TEST(response_set_beside_that_error_goes_out),
        WORLD_TEST(error_hook_can_answer),
        WORLD_TEST(flow_killed_by_the_error_hook_gets_no_answer),
        WORLD_TEST(unpackable_response_of_any_hook_becomes_servfail),
        WORLD_TEST(unpackable_response_that_is_cleared_is_forgotten),
        WORLD_TEST(without_hooks_queries_are_forwarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
