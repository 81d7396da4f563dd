/* Answers from the cache, and for it: the upstreams' own, before response hooks see them. */
#include "flow/exchange_private.h"

/* False where the cache has no say: there is none, or a script sends the query elsewhere. A query that a script edited
 * counts as it goes upstream. */
static bool key_of(const struct exchange *exchange, const struct flow *flow, struct cache_key *out)
{
    return exchange->cache && flow->target.address.family == AF_UNSPEC &&
           cache_key_of(exchange->cache, &flow_request(flow)->view, out);
}

NOINLINE bool exchange_answer_from_cache(struct exchange *exchange, struct exchange_flow *flow)
{
    struct flow *plain = &flow->flow;
    struct cache_key key;
    if (!key_of(exchange, plain, &key))
        return false;
    if (!cache_find(exchange->cache, &key, &flow_request(plain)->view, &plain->response))
        return false;
    plain->source = FLOW_SOURCE_CACHE;
    plain->cache_hit = true;
    return true;
}

NOINLINE void exchange_keep_answer(struct exchange *exchange, const struct exchange_flow *flow,
                                   const struct dns_message *answer)
{
    const bool checked = !flow->unguarded || !exchange->io->blocks;
    struct cache_key key;
    if (checked && key_of(exchange, &flow->flow, &key) && flow->flushes == cache_flushes(exchange->cache))
        cache_keep(exchange->cache, &key, answer);
}

size_t exchange_flush_cache(struct exchange *exchange, const uint8_t *name)
{
    return exchange->cache ? cache_flush(exchange->cache, name) : 0;
}
