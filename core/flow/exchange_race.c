/* Several upstreams asked at once: the first good answer counts, failures only once all have failed. Each is asked by a
 * runner, a flow of its own that no hook and no observer sees. Runners that are late go on to the end of their try, so
 * that the world learns how their upstreams do. */
#include "flow/exchange_private.h"

/* Whether the answer says something of the question, and not just that this upstream does not, or that it is not to be
 * told. */
static bool is_good(const struct exchange_flow *runner)
{
    const struct flow_message *response = &runner->flow.response;
    if (!response->present || runner->blocked)
        return false;
    uint16_t code = dns_message_response_code(&response->view);
    return code == DNS_RCODE_NOERROR || code == DNS_RCODE_NXDOMAIN;
}

static struct exchange_flow *start_runner(struct exchange *exchange, struct exchange_flow *flow, unsigned member)
{
    struct exchange_flow *runner =
        exchange_flow_new(exchange, &flow_request(&flow->flow)->view, &flow->flow.reply_to, NULL);
    if (!runner)
        return NULL;
    runner->is_ask = true;
    runner->unguarded = flow->unguarded;
    exchange->ask_count++;
    runner->member = (uint8_t)(member + 1);
    runner->deadline_us = flow->deadline_us;
    runner->race = flow;
    runner->next_runner = flow->runners;
    flow->runners = runner;
    flow->running++;
    return runner;
}

static void take_peer(struct flow *flow, const struct flow *runner)
{
    flow->asked = runner->asked;
    flow->server = runner->server;
    flow->server_transport = runner->server_transport;
    flow->asked_us = runner->asked_us;
    flow->tries = runner->tries ? runner->tries : 1;
}

/* Makes the runner's answer the flow's. */
static void take_response(struct flow *flow, struct flow *runner)
{
    struct flow_message empty = flow->response;
    flow->response = runner->response;
    runner->response = empty;
    flow->source = runner->source;
    memcpy(flow->source_name, runner->source_name, sizeof flow->source_name);
    take_peer(flow, runner);
}

/* The best that came: one that was blocked, an answer that says no, or the failure of the one asked first. */
static enum step conclude(struct exchange *exchange, struct exchange_flow *flow)
{
    struct exchange_flow *first = NULL, *answered = NULL;
    for (struct exchange_flow *runner = flow->runners; runner; runner = runner->next_runner) {
        first = runner;
        if (runner->flow.response.present && (runner->blocked || !answered || !answered->blocked))
            answered = runner;
    }
    if (answered) {
        take_response(&flow->flow, &answered->flow);
    } else {
        take_peer(&flow->flow, &first->flow);
        flow_set_error(&flow->flow, first->flow.error, exchange->wall_us);
        flow->flow.error_info = first->flow.error_info;
    }
    return answered ? STEP_RESPONSE : STEP_ERROR;
}

/* The flow's next step, once it need not wait for any more runners. */
static bool has_result(struct exchange *exchange, struct exchange_flow *flow, struct exchange_flow *runner,
                       enum step *next)
{
    if (runner && is_good(runner)) {
        take_response(&flow->flow, &runner->flow);
        *next = STEP_RESPONSE;
    } else if (flow->running == 0) {
        *next = conclude(exchange, flow);
    } else {
        return false;
    }
    if (flow->flow.killed)
        *next = STEP_END;
    return true;
}

/* Nobody races whose upstream is named, and nothing but questions with one answer: an UPDATE is not to be done twice.
 */
static bool may_race(const struct exchange_flow *flow)
{
    const struct dns_message *request = &flow_request(&flow->flow)->view;
    uint16_t type = request->question.type;
    return !flow->member && flow->flow.target.address.family == AF_UNSPEC &&
           !(request->header.flags & DNS_FLAG_OPCODE) && type != DNS_TYPE_AXFR && type != DNS_TYPE_IXFR;
}

NOINLINE bool exchange_race(struct exchange *exchange, struct exchange_flow *flow, enum step *next)
{
    uint8_t members[RIVALS_MAX];
    if (!may_race(flow))
        return false;
    unsigned count = exchange->io->rivals(exchange->io->context, &flow->flow, members);
    if (count < 2)
        return false;
    flow->running = 1; /* the start itself, so that no runner that fails at once ends it */
    for (unsigned i = 0; i < count; i++) {
        struct exchange_flow *runner = start_runner(exchange, flow, members[i]);
        if (runner)
            exchange_advance(exchange, runner, STEP_FORWARD);
    }
    flow->running--;
    if (!flow->runners)
        return false; /* no memory: one after the other */
    *next = STEP_WAIT;
    if (flow->running || !has_result(exchange, flow, NULL, next)) {
        flow->flow.references++;
        exchange_weigh(exchange, flow);
    } else {
        exchange_race_leave(exchange, flow);
    }
    return true;
}

NOINLINE enum step exchange_race_ended(struct exchange *exchange, struct exchange_flow *runner)
{
    struct exchange_flow *flow = runner->race;
    enum step next;
    runner->flow.finished_us = exchange->monotonic_us;
    if (!flow) {
        exchange_end(exchange, runner);
        return STEP_WAIT;
    }
    flow->running--;
    if (has_result(exchange, flow, runner, &next)) {
        flow->flow.references--;
        exchange_race_leave(exchange, flow);
        exchange_advance(exchange, flow, next);
    }
    return STEP_WAIT;
}

NOINLINE void exchange_race_leave(struct exchange *exchange, struct exchange_flow *flow)
{
    struct exchange_flow *next, *runner = flow->runners;
    flow->runners = NULL;
    for (; runner; runner = next) {
        next = runner->next_runner;
        runner->race = NULL;
        if (runner->flow.finished_us)
            exchange_end(exchange, runner);
    }
}

NOINLINE void exchange_race_drop(struct exchange_flow *runner)
{
    struct exchange_flow *flow = runner->race, **at = &flow->runners;
    while (*at != runner)
        at = &(*at)->next_runner;
    *at = runner->next_runner;
    flow->running -= runner->flow.finished_us == 0;
    runner->race = NULL;
}
