/* Flows that scripts suspend, and how flows end. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(suspended_flow_goes_on_where_it_was),
        WORLD_TEST(what_was_done_while_suspended_counts),
        WORLD_TEST(flow_that_is_not_suspended_is_not_resumed),
        WORLD_TEST(flow_is_resumed_from_within_anothers_hook),
        WORLD_TEST(flow_killed_while_it_waits_gets_no_answer),
        WORLD_TEST(flows_end_with_the_hooks_they_began_with),
        WORLD_TEST(wrapper_lets_go_before_observers_see_the_flow),
        WORLD_TEST(flow_that_is_used_again_remembers_nothing),
        WORLD_TEST(flows_under_way_are_ended_with_the_exchange),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
