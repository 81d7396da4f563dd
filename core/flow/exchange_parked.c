/* Flows of stream clients that hooks have suspended, found by their connection when that is closed. */
#include "flow/exchange_private.h"

#include <stdlib.h>

enum { BUCKET_BITS = 12 };

/* Serial numbers count up: the multiplication (Knuth's) spreads them over the buckets. */
static struct exchange_flow **bucket_of(const struct exchange *exchange, const struct reply_to *client)
{
    return &exchange->parked[(client->connection * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - BUCKET_BITS)];
}

NOINLINE void exchange_park(struct exchange *exchange, struct exchange_flow *flow)
{
    if (!exchange->parked)
        exchange->parked = calloc((size_t)1 << BUCKET_BITS, sizeof(struct exchange_flow *));
    if (!exchange->parked)
        return; /* it ends when its hooks are done */
    struct exchange_flow **bucket = bucket_of(exchange, &flow->flow.reply_to);
    flow->parked = true;
    flow->previous_parked = NULL;
    flow->next_parked = *bucket;
    if (flow->next_parked)
        flow->next_parked->previous_parked = flow;
    *bucket = flow;
}

NOINLINE void exchange_unpark(struct exchange *exchange, struct exchange_flow *flow)
{
    flow->parked = false;
    if (flow->next_parked)
        flow->next_parked->previous_parked = flow->previous_parked;
    if (flow->previous_parked)
        flow->previous_parked->next_parked = flow->next_parked;
    else
        *bucket_of(exchange, &flow->flow.reply_to) = flow->next_parked;
}

static struct exchange_flow *find(const struct exchange *exchange, const struct reply_to *client)
{
    struct exchange_flow *flow = *bucket_of(exchange, client);
    while (flow &&
           (flow->flow.reply_to.connection != client->connection || flow->flow.reply_to.transport != client->transport))
        flow = flow->next_parked;
    return flow;
}

void exchange_client_left(struct exchange *exchange, const struct reply_to *client)
{
    struct exchange_flow *flow;
    while (exchange->parked && (flow = find(exchange, client))) {
        exchange_unpark(exchange, flow);
        flow->suspended = false;
        flow->flow.references--;
        flow_clear_response(&flow->flow);
        flow_set_error(&flow->flow, "the client is gone", exchange->wall_us);
        exchange->counters.clients_left++;
        exchange_advance(exchange, flow, STEP_END);
    }
}
