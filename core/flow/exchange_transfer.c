/* Zone transfers on their way (RFC 5936, RFC 1995): each message goes through the response hooks and on to the client
 * before the next one is taken, so that nothing of a zone is gathered here. A slow hook or client holds the channel. */
#include "flow/exchange_private.h"

static void set_held(const struct exchange *exchange, const struct exchange_flow *flow)
{
    if (exchange->io->hold && flow->pending.waiting)
        exchange->io->hold(exchange->io->context, &flow->channel, flow->busy || flow->full);
}

NOINLINE void exchange_transfer_stop(struct exchange *exchange, struct exchange_flow *flow)
{
    flow->more = flow->busy = false;
    if (flow->pending.waiting && !flow->pending.alarm)
        exchange_stop_waiting(exchange, flow, TRY_ABANDONED);
}

/* Whether a response hook sees each message, and may take its time. */
static bool has_hooks(const struct flow *flow)
{
    return flow->hooks && flow->hooks->defined & 1u << HOOK_RESPONSE;
}

/* Takes the message over; gives the flow's next step: STEP_FORWARD for another try, or for an error where the client
 * has got something. */
static enum step take_message(struct exchange *exchange, struct exchange_flow *flow, const uint8_t *wire, size_t length)
{
    struct dns_message answer;
    struct reason reason;
    if (dns_message_parse(wire, length, &answer, &reason)) {
        exchange->counters.malformed_answers++;
        reason_prefix(&reason, "malformed answer: ");
        exchange_fail_try(flow, reason.text, DNS_EDE_NETWORK_ERROR);
        return STEP_FORWARD;
    }
    if (answer.header.flags & DNS_FLAG_RCODE && flow->flow.messages == 0 && exchange_goes_plain(flow, &answer))
        return STEP_FORWARD;
    if (exchange_take_response(exchange, flow, &answer)) {
        exchange_fail_try(flow, "out of memory", DNS_EDE_OTHER);
        return STEP_FORWARD;
    }
    flow->flow.source = FLOW_SOURCE_UPSTREAM;
    flow->flow.messages++;
    flow->flow.records += answer.header.counts[DNS_SECTION_ANSWER];
    flow->more = transfer_feed(&flow->transfer, &answer);
    return STEP_RESPONSE;
}

NOINLINE void exchange_transfer_answer(struct exchange *exchange, struct exchange_flow *flow, const uint8_t *wire,
                                       size_t length)
{
    const enum step next = flow->flow.killed ? STEP_END : take_message(exchange, flow, wire, length);
    if (next != STEP_RESPONSE || !flow->more) {
        exchange_transfer_stop(exchange, flow);
    } else if (has_hooks(&flow->flow)) {
        flow->busy = true;
        set_held(exchange, flow);
    }
    exchange_advance(exchange, flow, next);
}

NOINLINE enum step exchange_reply_part(struct exchange *exchange, struct exchange_flow *flow, struct span wire)
{
    struct flow *plain = &flow->flow;
    enum part_result result = PART_TAKEN;
    if (wire.length)
        result = exchange->io->reply_part(exchange->io->context, &plain->reply_to, wire.data, wire.length);
    if (result == PART_GONE)
        return STEP_END;
    if (wire.length && exchange->watched)
        exchange_show(exchange, plain, PASSAGE_CLIENT_ANSWER, wire);
    flow->began = flow->began || wire.length > 0;
    flow->busy = false;
    flow_clear_response(plain);
    if (!flow->pending.waiting) /* the channel broke meanwhile */
        return STEP_FORWARD;
    if (result == PART_FULL && !flow->full) {
        flow->full = true;
        flow->next_full = exchange->full;
        exchange->full = flow;
    }
    pending_wait_on(&exchange->pending, &flow->pending, exchange->monotonic_us, exchange->config.timeout_us);
    set_held(exchange, flow);
    return STEP_WAIT;
}

NOINLINE void exchange_forget_full(struct exchange *exchange, struct exchange_flow *flow)
{
    struct exchange_flow **at = &exchange->full;
    while (*at != flow)
        at = &(*at)->next_full;
    *at = flow->next_full;
    flow->full = false;
}

void exchange_client_ready(struct exchange *exchange, const struct reply_to *client)
{
    struct exchange_flow *flow = exchange->full, *next;
    for (; flow; flow = next) {
        next = flow->next_full;
        if (flow->flow.reply_to.connection != client->connection)
            continue;
        exchange_forget_full(exchange, flow);
        if (flow->pending.waiting)
            pending_wait_on(&exchange->pending, &flow->pending, exchange->monotonic_us, exchange->config.timeout_us);
        set_held(exchange, flow);
    }
}
