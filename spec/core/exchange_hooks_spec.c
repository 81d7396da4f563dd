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

static enum hook_result suspend(struct world *world, struct flow *flow)
{
    (void)world, (void)flow;
    return HOOK_SUSPENDED;
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

/* --- suspended flows --- */

static void suspended_flow_goes_on_where_it_was(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, suspend);
    world_on(world, HOOK_RESPONSE, suspend);
    world_on(world, HOOK_ERROR, suspend);
    world_ask(world);
    assert_int_equal(world->route_count, 0);
    assert_int_equal(exchange_flows(world->exchange), 1);
    assert_true(world->flow->references > 1);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world->sent_count, 1);
    world_answer_well(world);
    assert_int_equal(world->reply_count, 0);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world_reply_a(world), 1);

    world->no_upstream = true;
    world_ask(world);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world->reply_count, 1);
    assert_int_equal(world->called[HOOK_ERROR], 1);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world_reply_code(world), DNS_RCODE_SERVFAIL);
    assert_int_equal(world->reply_count, 2);
}

static void what_was_done_while_suspended_counts(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, suspend);
    world_ask(world);
    spoof(world, world->flow);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world_reply_a(world), 66);
    world_ask(world);
    flow_kill(world->flow);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world->reply_count, 1);
    assert_int_equal(world->no_reply_count, 1);
}

static void flow_that_is_not_suspended_is_not_resumed(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, look);
    world_ask(world);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world->route_count, 1);
    world_answer_well(world);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world->reply_count, 1);
}

static struct flow *parked;

static enum hook_result resume_the_other(struct world *world, struct flow *flow)
{
    if (!parked) {
        parked = flow;
        return HOOK_SUSPENDED;
    }
    exchange_resume(world->exchange, parked);
    return HOOK_DONE;
}

static void flow_is_resumed_from_within_anothers_hook(void **state)
{
    struct world *world = *state;
    parked = NULL;
    world_on(world, HOOK_REQUEST, resume_the_other);
    world_ask(world);
    world_ask(world);
    assert_int_equal(world->sent_count, 2);
    assert_int_equal(exchange_flows(world->exchange), 2);
}

static void flow_killed_while_it_waits_gets_no_answer(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, look);
    world_on(world, HOOK_RESPONSE, look);
    world_ask(world);
    flow_kill(world->flow);
    world_answer_well(world);
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(world->called[HOOK_RESPONSE], 0);
    world_ask(world);
    flow_kill(world->flow);
    world_sleep(world, TIMEOUT_US);
    exchange_expire(world->exchange);
    assert_int_equal(world->reply_count, 0);
    assert_int_equal(world->route_count, 2);
    assert_int_equal(exchange_flows(world->exchange), 0);
}

/* --- generations and ends --- */

static void flows_end_with_the_hooks_they_began_with(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_RESPONSE, spoof_again);
    struct hooks newer = {.context = world, .run = world_run, .unused = world_unused};
    world_ask(world);
    assert_int_equal(world->hooks.flows, 1);
    exchange_set_hooks(world->exchange, &newer);
    assert_int_equal(world->unused, 0);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 77);
    assert_int_equal(world->unused, 1);
    world_ask(world);
    assert_int_equal(newer.flows, 1);
    world_answer_well(world);
    assert_int_equal(world_reply_a(world), 1);
    assert_int_equal(world->unused, 1); /* the current one stays */
    exchange_set_hooks(world->exchange, &world->hooks);
    assert_int_equal(world->unused, 2);
    exchange_set_hooks(world->exchange, &world->hooks);
    assert_int_equal(world->unused, 2);
}

static enum hook_result wrap(struct world *world, struct flow *flow)
{
    flow->wrapper = world;
    return HOOK_DONE;
}

static void wrapper_lets_go_before_observers_see_the_flow(void **state)
{
    struct world *world = *state;
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world->wrapper_ended, 0);
    world_on(world, HOOK_REQUEST, wrap);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world->wrapper_ended, 1);
    assert_int_equal(world->ended_count, 2);
    assert_false(world_ended(world)->wrapper);
}

static void flow_that_is_used_again_remembers_nothing(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, look);
    world_on(world, HOOK_RESPONSE, spoof_and_fail);
    world_ask(world);
    world_answer_well(world);
    struct flow *first = world->flow;
    uint64_t serial = world_ended(world)->serial;
    world_on(world, HOOK_REQUEST, suspend);
    world_ask(world);
    assert_ptr_equal(world->flow, first);
    assert_false(first->response.present || first->request.present || first->killed || first->asked);
    assert_int_equal(first->tries, 0);
    assert_string_equal(first->error, "");
    assert_string_equal(first->source_name, "");
    assert_int_equal(first->source, FLOW_SOURCE_NONE);
    assert_true(first->serial == serial + 1);
}

static void flows_under_way_are_ended_with_the_exchange(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, wrap);
    world_ask(world);
    world_on(world, HOOK_REQUEST, suspend);
    world_ask(world);
    assert_int_equal(exchange_flows(world->exchange), 2);
    assert_int_equal(world->reply_count, 0);
    exchange_free(world->exchange);
    assert_int_equal(world->wrapper_ended, 1);
    assert_int_equal(world->ended_count, 2);
    assert_int_equal(world->release_count, world->routes_ok);
    assert_int_equal(world->hooks.flows, 0);
    world->exchange = exchange_new(&world->config, &world->io, &world->hooks, NULL);
    world->query_count = 0;
}

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
        WORLD_TEST(suspended_flow_goes_on_where_it_was),
        WORLD_TEST(what_was_done_while_suspended_counts),
        WORLD_TEST(flow_that_is_not_suspended_is_not_resumed),
        WORLD_TEST(flow_is_resumed_from_within_anothers_hook),
        WORLD_TEST(flow_killed_while_it_waits_gets_no_answer),
        WORLD_TEST(flows_end_with_the_hooks_they_began_with),
        WORLD_TEST(wrapper_lets_go_before_observers_see_the_flow),
        WORLD_TEST(flow_that_is_used_again_remembers_nothing),
        WORLD_TEST(flows_under_way_are_ended_with_the_exchange),
        WORLD_TEST(without_hooks_queries_are_forwarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
