/* Queries that scripts make: exchange_ask. */
#include "world.h"

struct asker {
    unsigned finished;
};

static void on_finished(void *context)
{
    ((struct asker *)context)->finished++;
}

static struct flow *ask_for(struct world *world, struct asker *asker, const char *name, int64_t timeout_us)
{
    struct dns_name wire;
    struct flow *flow = NULL;
    must(dns_name_from_text(name, strlen(name), &wire, NULL));
    struct exchange_ask ask = {.name = &wire,
                               .type = DNS_TYPE_A,
                               .class_ = DNS_CLASS_IN,
                               .timeout_us = timeout_us,
                               .finished = on_finished,
                               .context = asker};
    must(exchange_ask(world->exchange, &ask, &flow));
    assert_non_null(flow);
    return flow;
}

static struct flow *plain_ask(struct world *world, struct asker *asker)
{
    return ask_for(world, asker, "example.com", 0);
}

static enum hook_result never(struct world *world, struct flow *flow)
{
    (void)world;
    (void)flow;
    fail_msg("a hook saw a script's query");
    return HOOK_DONE;
}

static void sends_a_query_of_its_own(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    struct dns_message sent;
    struct flow *flow = plain_ask(world, &asker);
    must(dns_message_parse(world_sent(world)->data, world_sent(world)->length, &sent, NULL));
    assert_int_equal(sent.header.flags, DNS_FLAG_RD);
    assert_int_equal(sent.opt.count, 1);
    assert_int_equal(sent.opt.udp_payload_size, world->config.payload_size);
    assert_false(sent.opt.dnssec_ok);
    assert_int_equal(sent.question.type, DNS_TYPE_A);
    assert_int_equal(flow->finished_us, 0);
    assert_int_equal(exchange_flows(world->exchange), 0);
    exchange_forget(world->exchange, flow);
    assert_int_equal(world->release_count, 1);
}

static void gives_the_answer_unseen_by_hooks_and_observers(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    for (enum hook hook = HOOK_REQUEST; hook < HOOK_COUNT; hook++)
        world_on(world, hook, never);
    struct flow *flow = plain_ask(world, &asker);
    world_answer_well(world);
    assert_int_equal(asker.finished, 1);
    assert_true(flow->finished_us > 0);
    assert_true(flow->response.present);
    assert_int_equal(flow->response.view.header.counts[DNS_SECTION_ANSWER], 1);
    exchange_forget(world->exchange, flow);
    assert_int_equal(asker.finished, 1);
    assert_int_equal(world->ended_count, 0);
    assert_int_equal(world->reply_count + world->no_reply_count, 0);
    assert_int_equal(world_counters(world)->asks, 1);
    assert_int_equal(world_counters(world)->queries, 0);
}

static void tries_as_often_as_for_a_client(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    struct flow *flow = plain_ask(world, &asker);
    for (unsigned try = 1; try <= world->config.retries + 1; try++) {
        assert_int_equal(asker.finished, 0);
        assert_int_equal(world->sent_count, try);
        world_sleep(world, TIMEOUT_US);
        exchange_expire(world->exchange);
    }
    assert_int_equal(asker.finished, 1);
    assert_false(flow->response.present);
    assert_string_equal(flow->error, "time-out");
    assert_int_equal(world_counters(world)->errors, 0);
    exchange_forget(world->exchange, flow);
}

/* The last of three tries gets what is left of its ten seconds. */
static void waits_no_longer_than_it_was_told(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    int64_t start_us = world->now_us, ends_us[] = {TIMEOUT_US, 2 * TIMEOUT_US, 5 * TIMEOUT_US};
    struct flow *flow = ask_for(world, &asker, "example.com", 5 * TIMEOUT_US);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(exchange_next_deadline(world->exchange), start_us + ends_us[i]);
        world_sleep(world, start_us + ends_us[i] - world->now_us);
        exchange_expire(world->exchange);
    }
    assert_int_equal(asker.finished, 1);
    assert_int_equal(world->sent_count, 3);
    exchange_forget(world->exchange, flow);

    flow = ask_for(world, &asker, "example.com", TIMEOUT_US + 5);
    world_sleep(world, TIMEOUT_US);
    exchange_expire(world->exchange);
    assert_int_equal(world->sent_count, 5);
    world_sleep(world, 5);
    exchange_expire(world->exchange);
    assert_int_equal(asker.finished, 2);
    assert_int_equal(world->sent_count, 5); /* no time for the third */
    assert_string_equal(flow->error, "time-out");
    exchange_forget(world->exchange, flow);
}

static void asks_again_over_a_stream_when_the_answer_is_cut(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    struct flow *flow = plain_ask(world, &asker);
    world_answer(world, world->channel,
                 message_of(world_sent_id(world), DNS_FLAG_QR | DNS_FLAG_TC, "example.com", DNS_TYPE_A));
    assert_int_equal(asker.finished, 0);
    assert_true(world->routed[1].stream);
    world_answer(world, world->channel + 1000, good_answer(world));
    assert_int_equal(asker.finished, 1);
    assert_int_equal(flow->response.view.header.counts[DNS_SECTION_ANSWER], 1);
    exchange_forget(world->exchange, flow);
}

static void has_finished_at_once_where_nobody_can_be_asked(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    world->no_upstream = true;
    struct flow *flow = plain_ask(world, &asker);
    assert_true(flow->finished_us > 0);
    assert_string_equal(flow->error, "no upstream");
    assert_int_equal(asker.finished, 0);
    exchange_forget(world->exchange, flow);
}

static void counts_with_the_flows_that_there_may_be(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    struct dns_name name;
    struct flow *flows[2], *more = NULL;
    world->config.flows_max = 2;
    exchange_set_config(world->exchange, &world->config);
    for (size_t i = 0; i < 2; i++)
        flows[i] = plain_ask(world, &asker);
    must(dns_name_from_text("a", 1, &name, NULL));
    struct exchange_ask ask = {.name = &name, .type = 1, .class_ = 1, .finished = on_finished, .context = &asker};
    assert_int_equal(exchange_ask(world->exchange, &ask, &more), STATUS_NO_SPACE);
    assert_null(more);
    world_ask(world);
    assert_int_equal(world_counters(world)->overload_refused, 1);
    exchange_forget(world->exchange, flows[0]);
    world_ask(world);
    world_answer_well(world);
    assert_int_equal(world->reply_count, 2);
    exchange_forget(world->exchange, flows[1]);
}

static void is_nobodys_when_it_was_forgotten(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    struct flow *flow = plain_ask(world, &asker);
    struct buffer late = good_answer(world);
    exchange_forget(world->exchange, flow);
    world_answer(world, world->channel, late);
    world_sleep(world, TIMEOUT_US);
    exchange_expire(world->exchange);
    assert_int_equal(asker.finished, 0);
    assert_int_equal(world->sent_count, 1);
    assert_int_equal(world_counters(world)->unmatched_dropped, 1);
}

struct pair {
    struct world *world;
    struct flow *mine, *other;
    unsigned finished;
};

static void forget_other(void *context)
{
    struct pair *pair = context;
    pair->finished++;
    exchange_forget(pair->world->exchange, pair->mine);
    exchange_forget(pair->world->exchange, pair->other);
}

/* Both wait on the channel that breaks; the end of the one ends the other, which is next in line. */
static void may_be_forgotten_while_its_channel_breaks(void **state)
{
    struct world *world = *state;
    struct pair pairs[2] = {{.world = world}, {.world = world}};
    struct dns_name name;
    world->config.retries = 0;
    exchange_set_config(world->exchange, &world->config);
    must(dns_name_from_text("a", 1, &name, NULL));
    for (size_t i = 0; i < 2; i++) {
        struct exchange_ask ask = {
            .name = &name, .type = 1, .class_ = 1, .finished = forget_other, .context = &pairs[i]};
        must(exchange_ask(world->exchange, &ask, &pairs[i].mine));
        pairs[1 - i].other = pairs[i].mine;
    }
    exchange_channel_failed(world->exchange, world->channel, "connection refused", false);
    assert_int_equal(pairs[0].finished + pairs[1].finished, 1);
    assert_int_equal(world->release_count, 2);
    struct flow *flow = plain_ask(world, &(struct asker){0}); /* both can be used again */
    exchange_forget(world->exchange, flow);
}

static struct flow *asked_by_hook;

static enum hook_result ask_and_suspend(struct world *world, struct flow *flow)
{
    static struct asker asker;
    flow->wrapper = world;
    asked_by_hook = plain_ask(world, &asker);
    return HOOK_SUSPENDED;
}

static void forget_when_ended(struct hooks *hooks, struct flow *flow)
{
    struct world *world = world_of(hooks);
    exchange_forget(world->exchange, asked_by_hook);
    flow->wrapper = NULL;
}

static void ends_with_the_flow_that_waits_for_it(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, ask_and_suspend);
    world->hooks.ended = forget_when_ended;
    world_ask(world);
    assert_int_equal(exchange_flows(world->exchange), 1);
    /* the teardown ends the flow, and with it what it waits for */
}

static enum hook_result resume_with_answer(struct world *world, struct flow *flow)
{
    world->flow = flow;
    return ask_and_suspend(world, flow);
}

static void lets_a_suspended_flow_go_on_from_within(void **state)
{
    struct world *world = *state;
    world_on(world, HOOK_REQUEST, resume_with_answer);
    world->hooks.ended = forget_when_ended;
    world_ask(world);
    world_answer_well(world);
    assert_true(asked_by_hook->finished_us > 0);
    exchange_resume(world->exchange, world->flow);
    assert_int_equal(world->sent_count, 2); /* the client's own query, now forwarded */
    world_answer_well(world);
    assert_int_equal(world->reply_count, 1);
}

static void takes_its_answer_from_the_cache(void **state)
{
    struct world *world = *state;
    struct asker asker = {0};
    exchange_free(world->exchange);
    world->config.cache_entries = 10;
    world->exchange = exchange_new(&world->config, &world->io, &world->hooks, &world->observer);
    assert_non_null(world->exchange);
    world_sleep(world, 1);
    struct flow *flow = plain_ask(world, &asker);
    world_answer_well(world);
    exchange_forget(world->exchange, flow);
    flow = plain_ask(world, &asker);
    assert_true(flow->finished_us > 0);
    assert_true(flow->response.present);
    assert_int_equal(world->sent_count, 1);
    exchange_forget(world->exchange, flow);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WORLD_TEST(sends_a_query_of_its_own),
        WORLD_TEST(gives_the_answer_unseen_by_hooks_and_observers),
        WORLD_TEST(tries_as_often_as_for_a_client),
        WORLD_TEST(waits_no_longer_than_it_was_told),
        WORLD_TEST(asks_again_over_a_stream_when_the_answer_is_cut),
        WORLD_TEST(has_finished_at_once_where_nobody_can_be_asked),
        WORLD_TEST(counts_with_the_flows_that_there_may_be),
        WORLD_TEST(is_nobodys_when_it_was_forgotten),
        WORLD_TEST(may_be_forgotten_while_its_channel_breaks),
        WORLD_TEST(ends_with_the_flow_that_waits_for_it),
        WORLD_TEST(lets_a_suspended_flow_go_on_from_within),
        WORLD_TEST(takes_its_answer_from_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
