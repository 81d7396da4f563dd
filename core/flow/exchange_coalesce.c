/* Identical questions in flight are asked once: many of the same at one time would each give a forger another id and
 * port to hit (RFC 5452 section 5, the birthday attack). The first flow leads and asks; the others follow, and each
 * takes the answer, or the failure, as its own. Identical is what goes upstream as the same bytes but for the id:
 * spelling, flags and EDNS options count, so that whoever sends a cookie or a client subnet shares with nobody else. */
#include "flow/exchange_private.h"

#include <stdlib.h>

enum {
    BUCKETS = 4096, /* a power of two */
    LOOK_AT_MOST = 8,
    TYPE_TKEY = 249, /* to AXFR: what concerns one exchange of messages, or a whole zone */
};

/* A QUERY with one question and nothing else but perhaps one OPT; so it bears no signature. */
static bool is_common(const struct dns_message *request)
{
    static const uint16_t odd = DNS_FLAG_OPCODE | DNS_FLAG_TC;
    const uint16_t *counts = request->header.counts;
    return !(request->header.flags & odd) && counts[DNS_SECTION_QUESTION] == 1 &&
           !(counts[DNS_SECTION_ANSWER] | counts[DNS_SECTION_AUTHORITY]) &&
           counts[DNS_SECTION_ADDITIONAL] == request->opt.count &&
           (request->question.type < TYPE_TKEY || request->question.type > DNS_TYPE_AXFR);
}

/* Of all bytes behind the header, eight at a time, the last eight overlapping what is before. Who finds collisions wins
 * little: a look at so many flows, and that they are not coalesced. */
static uint32_t hash_of(uint64_t seed, const uint8_t *wire, size_t length)
{
    static const uint64_t factor = 0x9e3779b97f4a7c15u;
    uint64_t hash = seed, word;
    for (size_t at = DNS_HEADER_SIZE; at + sizeof word < length; at += sizeof word) {
        memcpy(&word, wire + at, sizeof word);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32;
    }
    memcpy(&word, wire + length - sizeof word, sizeof word);
    hash = (hash ^ word) * factor;
    return (uint32_t)(hash >> 32);
}

static bool same_request(const struct exchange_flow *a, const struct exchange_flow *b)
{
    const struct buffer *left = &flow_request(&a->flow)->wire, *right = &flow_request(&b->flow)->wire;
    const struct upstream_target *to = &a->flow.target, *other = &b->flow.target;
    return left->length == right->length && !memcmp(left->data + 2, right->data + 2, left->length - 2) &&
           transport_is_stream(a->flow.reply_to.transport) == transport_is_stream(b->flow.reply_to.transport) &&
           to->address.family == other->address.family &&
           (to->address.family == AF_UNSPEC ||
            (to->scheme == other->scheme && address_equal(&to->address, &other->address)));
}

enum status exchange_coalesce_start(struct exchange *exchange)
{
    exchange->leaders = calloc(BUCKETS, sizeof(struct exchange_flow *));
    exchange->leaders_seed = (uint64_t)random_u32(&exchange->random) << 32 | random_u32(&exchange->random);
    return exchange->leaders ? STATUS_OK : STATUS_NO_MEMORY;
}

static void lead(struct exchange_flow *flow, struct exchange_flow **bucket)
{
    flow->leads = true;
    flow->leader_link = bucket;
    flow->next_leader = *bucket;
    if (flow->next_leader)
        flow->next_leader->leader_link = &flow->next_leader;
    *bucket = flow;
}

NOINLINE bool exchange_follow(struct exchange *exchange, struct exchange_flow *flow)
{
    const struct flow_message *request = flow_request(&flow->flow);
    if (flow->leads || flow->is_ask || flow->flow.resends || !is_common(&request->view))
        return false;
    uint32_t hash = hash_of(exchange->leaders_seed, request->wire.data, request->wire.length);
    struct exchange_flow **bucket = &exchange->leaders[hash % BUCKETS], *leader = *bucket;
    unsigned looked = 0;
    while (leader && looked < LOOK_AT_MOST && !same_request(flow, leader)) {
        leader = leader->next_leader;
        looked++;
    }
    if (!leader) {
        lead(flow, bucket);
        return false;
    }
    if (looked == LOOK_AT_MOST)
        return false;
    exchange->counters.coalesced++;
    flow->follows = true;
    flow->next_follower = leader->followers;
    leader->followers = flow;
    flow->flow.references++;
    exchange_weigh(exchange, flow);
    return true;
}

/* The leader leads no more; gives its followers, the first one first. */
static struct exchange_flow *dismiss(struct exchange_flow *leader)
{
    struct exchange_flow *first = NULL, *flow = leader->followers;
    leader->leads = false;
    leader->followers = NULL;
    *leader->leader_link = leader->next_leader;
    if (leader->next_leader)
        leader->next_leader->leader_link = leader->leader_link;
    while (flow) {
        struct exchange_flow *next = flow->next_follower;
        flow->next_follower = first;
        first = flow;
        flow = next;
    }
    return first;
}

/* Makes the leader's answer or failure the follower's own; gives its next step. */
static enum step share(struct exchange *exchange, const struct flow *leader, struct flow *flow, enum step step)
{
    if (flow->killed)
        return STEP_END;
    if (step == STEP_FORWARD)
        return step;
    flow->asked = leader->asked;
    flow->server = leader->server;
    flow->server_transport = leader->server_transport;
    flow->asked_us = leader->asked_us;
    flow->tries = leader->tries;
    if (step == STEP_ERROR) {
        flow_set_error(flow, leader->error, exchange->wall_us);
        flow->error_info = leader->error_info;
    } else if (flow_message_adopt(&flow->response, &leader->response.view, exchange->wall_us)) {
        flow_set_error(flow, "out of memory", exchange->wall_us);
        step = STEP_ERROR;
    } else {
        flow->source = leader->source;
        memcpy(flow->source_name, leader->source_name, sizeof flow->source_name);
    }
    return step;
}

NOINLINE void exchange_lead_on(struct exchange *exchange, struct exchange_flow *leader, enum step step)
{
    struct exchange_flow *next, *flow = dismiss(leader);
    for (; flow; flow = next) {
        next = flow->next_follower;
        flow->follows = false;
        flow->flow.references--;
        exchange_advance(exchange, flow, share(exchange, &leader->flow, &flow->flow, step));
    }
}

NOINLINE void exchange_coalesce_forget(struct exchange_flow *leader)
{
    struct exchange_flow *flow = dismiss(leader);
    for (; flow; flow = flow->next_follower)
        flow->follows = false;
}
