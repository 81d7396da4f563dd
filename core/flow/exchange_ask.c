/* Asks: queries that scripts make. They go upstream like a client's, but no hook and no observer sees them. */
#include "flow/exchange_private.h"

/* The script wants the whole answer: one that came cut over UDP is asked for again over a stream, as for a stream
 * client. */
static const struct reply_to asker = {.transport = TRANSPORT_TCP};

/* Makes the query: RD, an OPT of ours, no DO. */
static enum status make_query(struct exchange *exchange, const struct exchange_ask *ask, struct dns_message *out)
{
    struct dns_header header = {.id = random_u16(&exchange->random), .flags = DNS_FLAG_RD};
    struct dns_question question = {
        .name = ask->name->wire, .name_length = ask->name->length, .type = ask->type, .class_ = ask->class_};
    struct buffer *wire = &exchange->scratch;
    struct dns_packer packer;
    buffer_clear(wire);
    dns_packer_start(&packer, wire, &header, DNS_MESSAGE_MAX);
    enum status status = dns_packer_question(&packer, &question);
    if (!status)
        status = dns_packer_finish(&packer);
    if (!status)
        status = dns_message_add_opt(wire, exchange->config.payload_size, DNS_RCODE_NOERROR, false);
    return status ? status : dns_message_parse(wire->data, wire->length, out, NULL);
}

enum status exchange_ask(struct exchange *exchange, const struct exchange_ask *ask, struct flow **out)
{
    struct dns_message query;
    if (exchange->active_count >= exchange->config.flows_max)
        return STATUS_NO_SPACE;
    if (make_query(exchange, ask, &query))
        return STATUS_NO_MEMORY;
    struct exchange_flow *flow = exchange_flow_new(exchange, &query, &asker, NULL);
    if (!flow)
        return STATUS_NO_MEMORY;
    flow->is_ask = true;
    flow->unguarded = ask->unguarded || ask->target.address.family != AF_UNSPEC;
    flow->finished = ask->finished;
    flow->context = ask->context;
    flow->deadline_us = ask->timeout_us ? exchange->monotonic_us + ask->timeout_us : 0;
    flow->flow.target = ask->target;
    exchange->ask_count++;
    exchange->counters.asks++;
    flow->being_made = true;
    bool answered =
        (ask->locally && exchange_answer_locally(exchange, flow)) || exchange_answer_from_cache(exchange, flow);
    exchange_advance(exchange, flow, answered ? STEP_RESPONSE : STEP_FORWARD);
    flow->being_made = false;
    *out = &flow->flow;
    return STATUS_OK;
}

NOINLINE enum step exchange_ask_ended(struct exchange *exchange, struct exchange_flow *flow)
{
    if (flow->member)
        return exchange_race_ended(exchange, flow);
    if (flow->flow.killed) {
        exchange_end(exchange, flow);
        return STEP_WAIT;
    }
    flow->flow.finished_us = exchange->monotonic_us;
    exchange_weigh(exchange, flow);
    if (!flow->being_made)
        flow->finished(flow->context);
    return STEP_WAIT;
}

void exchange_forget(struct exchange *exchange, struct flow *flow)
{
    struct exchange_flow *asked = exchange_flow_of(flow);
    if (asked->pending.waiting)
        exchange_stop_waiting(exchange, asked, TRY_ABANDONED);
    else if (!flow->finished_us) {
        flow->killed = true; /* its channel broke, and it is about to take its next step: that is its last one */
        return;
    }
    exchange_end(exchange, asked);
}
