/* Forwarding loops: an upstream that asks this proxy what it was asked, and gets asked again. Nothing in a query tells
 * that it was here before; but a loop fills the table of those that wait with one question. So where very many are in
 * flight, a query is refused that comes from the address of a server which is asked just that, more often than clients
 * of any kind do at one time. What there is waits for its answer or its end, and the loop has come to its own. */
#include "flow/exchange_private.h"

#include <stddef.h>

const char exchange_loop_text[] = "forwarding loop: the upstream asks here what it is asked";

enum { LOOKED_AT = 256 /* slots */, SAME_MIN = 4 };

/* Whether the waiting one asks the same, at the address that this flow came from (the port is another one). */
static bool asks_back(const struct exchange_flow *flow, const struct exchange_flow *waiting)
{
    const struct dns_question *asked = &flow_request(&flow->flow)->view.question;
    const struct dns_question *other = &flow_request(&waiting->flow)->view.question;
    struct address client = flow->flow.reply_to.client, server = waiting->flow.server;
    client.port = server.port = 0;
    return asked->name && other->name && asked->type == other->type && asked->class_ == other->class_ &&
           address_equal(&client, &server) && dns_name_equal(asked->name, other->name);
}

/* Ids are random, so that any slots of the table are a sample of all. */
NOINLINE bool exchange_loops(struct exchange *exchange, const struct exchange_flow *flow)
{
    const struct pending_map *map = &exchange->pending.queries;
    if (map->count < EXCHANGE_LOOP_FLOWS)
        return false;
    size_t same = 0, at = random_u32(&exchange->random);
    for (size_t i = 0; i < LOOKED_AT; i++, at++) {
        struct pending *entry = map->slots[at & (map->capacity - 1)].entry;
        if (entry)
            same += asks_back(flow, (struct exchange_flow *)((char *)entry - offsetof(struct exchange_flow, pending)));
    }
    return same >= SAME_MIN && same * map->capacity >= (size_t)EXCHANGE_LOOP_FLOWS * LOOKED_AT;
}
