/* What is kept from clients: queries that never become flows, answers that are not to get in. */
#include "flow/exchange_private.h"

#include <stdio.h>

/* The answer to one that is turned away, in `scratch`; a status for none. */
static enum status make_answer(struct exchange *exchange, const struct dns_message *query, enum turn_away how,
                               uint16_t info, const char *text)
{
    struct buffer *out = &exchange->scratch;
    const bool cut = how == TURN_AWAY_TRUNCATE;
    enum status status = dns_message_make_error(query, cut ? DNS_RCODE_NOERROR : DNS_RCODE_REFUSED, out);
    if (status)
        return status;
    if (cut) { /* so that a client which is who it says asks again over TCP */
        store_u16(out->data + 2, (uint16_t)(load_u16(out->data + 2) | DNS_FLAG_TC));
        return STATUS_OK;
    }
    if (query->opt.count == 1 && dns_message_add_ede(out, info, text) == STATUS_NO_MEMORY)
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}

void exchange_reply_away(struct exchange *exchange, const struct reply_to *to, struct span query)
{
    const struct span answer = {exchange->scratch.data, exchange->scratch.length};
    exchange->counters.responses++;
    exchange->io->reply(exchange->io->context, to, answer.data, answer.length);
    for (const struct flow_observer *observer = exchange->observers; observer; observer = observer->next)
        if (observer->turned_away)
            observer->turned_away(observer->context, to, exchange->wall_us, query, answer);
}

void exchange_turn_away(struct exchange *exchange, const uint8_t *wire, size_t length, const struct reply_to *to,
                        enum turn_away how, uint16_t info, const char *text)
{
    const struct exchange_io *io = exchange->io;
    struct dns_message query;
    exchange->counters.queries++;
    if (how == TURN_AWAY_DROP || dns_message_parse(wire, length, &query, NULL) || query.header.flags & DNS_FLAG_QR ||
        make_answer(exchange, &query, how, info, text)) {
        if (io->no_reply)
            io->no_reply(io->context, to);
        return;
    }
    exchange_reply_away(exchange, to, (struct span){wire, length});
}

NOINLINE bool exchange_block_answer(struct exchange *exchange, struct exchange_flow *flow,
                                    const struct dns_message *answer)
{
    char why[FLOW_SOURCE_NAME_MAX];
    struct flow *plain = &flow->flow;
    flow->blocked = !flow->unguarded && exchange->io->blocks(exchange->io->context, plain, &flow->channel, answer, why);
    if (!flow->blocked)
        return false;
    const struct dns_message *query = &plain->query.view;
    exchange->counters.blocked_answers++;
    if (dns_message_make_error(query, DNS_RCODE_NOERROR, &exchange->scratch) ||
        (query->opt.count && dns_message_add_ede(&exchange->scratch, DNS_EDE_BLOCKED, why) == STATUS_NO_MEMORY) ||
        exchange_set_response(exchange, flow, FLOW_SOURCE_PROXY))
        exchange_servfail(exchange, flow);
    snprintf(plain->source_name, sizeof plain->source_name, "%s", why);
    return true;
}
