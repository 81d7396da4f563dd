#include "net/upstream.h"

#include <stdlib.h>

enum {
    RACE_EVERY_US = 5000000, /* `fastest` asks all so often … */
    RACE_AGAIN_US = 100000,  /* … or, as long as one of them is not known, so often */
};

static const struct {
    const char *prefix;
    bool works;
} schemes[] = {
    [UPSTREAM_PLAIN] = {"", true},      [UPSTREAM_UDP] = {"udp://", true},      [UPSTREAM_TCP] = {"tcp://", true},
    [UPSTREAM_TLS] = {"tls://", false}, [UPSTREAM_HTTPS] = {"https://", false},
};

enum status upstream_scheme_check(enum upstream_scheme scheme, struct reason *reason)
{
    if (schemes[scheme].works)
        return STATUS_OK;
    reason_set(reason, "%s is not supported yet; udp://, tcp:// and no scheme are", schemes[scheme].prefix);
    return STATUS_INVALID;
}

/* --- the list --- */

/* Whether `a` is to stand before `b`: longer domains first, those of one length in order of their bytes. */
static bool comes_before(const struct dns_name *a, const struct dns_name *b)
{
    if (a->length != b->length)
        return a->length > b->length;
    for (unsigned i = 0; i < a->length; i++) {
        uint8_t left = dns_lower(a->wire[i]), right = dns_lower(b->wire[i]);
        if (left != right)
            return left < right;
    }
    return false;
}

enum { INDEX_BITS = 16, COUNT_MAX = (1 << INDEX_BITS) - 1 };

static bool is_same(const struct net_upstream *a, const struct net_upstream *b)
{
    return a->target.scheme == b->target.scheme && address_equal(&a->target.address, &b->target.address) &&
           dns_name_equal(a->domain.wire, b->domain.wire);
}

static void keep_health(struct upstreams *next, const struct upstreams *old)
{
    for (size_t i = 0; i < next->count; i++) {
        for (size_t k = 0; k < old->count; k++)
            if (is_same(&next->items[i], &old->items[k]))
                next->health[i] = old->health[k];
    }
}

static bool is_single(const struct upstreams *upstreams)
{
    const struct net_upstream *first = upstreams->items;
    return upstreams->count == 1 && first->domain.length == 1 && first->target.address.family != AF_UNSPEC &&
           schemes[first->target.scheme].works;
}

bool upstreams_equal(const struct upstreams *a, const struct upstreams *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = is_same(&a->items[i], &b->items[i]);
    return same;
}

enum status upstreams_set(struct upstreams *upstreams, const struct net_upstream *items, size_t count)
{
    struct upstreams next = {.count = count < COUNT_MAX ? count : COUNT_MAX};
    next.items = calloc(next.count + 1, sizeof *next.items);
    next.health = calloc(next.count + 1, sizeof *next.health);
    if (!next.items || !next.health) {
        upstreams_free(&next);
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < next.count; i++) { /* insertion keeps the order of equals */
        size_t at = i;
        for (; at > 0 && comes_before(&items[i].domain, &next.items[at - 1].domain); at--)
            next.items[at] = next.items[at - 1];
        next.items[at] = items[i];
    }
    upstreams_replace(upstreams, &next);
    return STATUS_OK;
}

void upstreams_replace(struct upstreams *upstreams, struct upstreams *next)
{
    keep_health(next, upstreams);
    next->policy = upstreams->policy;
    /* Queries that are out still count for the servers that stay, however often the same list is read again. */
    next->generation = upstreams->generation + !upstreams_equal(next, upstreams);
    next->single = is_single(next);
    upstreams_free(upstreams);
    *upstreams = *next;
    *next = (struct upstreams){0};
}

void upstreams_free(struct upstreams *upstreams)
{
    free(upstreams->items);
    free(upstreams->health);
    *upstreams = (struct upstreams){0};
}

static uint32_t number_of(const struct upstreams *upstreams, size_t index)
{
    return upstreams->generation << INDEX_BITS | (uint32_t)(index + 1);
}

size_t upstreams_index(const struct upstreams *upstreams, uint32_t upstream)
{
    size_t index = (size_t)(upstream & COUNT_MAX) - 1;
    bool current = upstream != 0 && index < upstreams->count && number_of(upstreams, index) == upstream;
    return current ? index : upstreams->count;
}

/* --- the choice --- */

static bool takes(const struct net_upstream *upstream, const struct dns_question *question)
{
    if (upstream->domain.length == 1)
        return true;
    return question && dns_name_is_subdomain(question->name, upstream->domain.wire);
}

/* The upstreams of one domain: they stand together. */
struct group {
    const struct net_upstream *items;
    struct upstream_health *health;
    size_t first, count; /* count 0: there is none */
    size_t up;
};

static struct group find_group(const struct upstreams *upstreams, const struct flow *flow)
{
    const struct dns_message *query = &flow_request(flow)->view;
    const struct dns_question *question = query->header.counts[DNS_SECTION_QUESTION] ? &query->question : NULL;
    size_t first = 0;
    while (first < upstreams->count && !takes(&upstreams->items[first], question))
        first++;
    if (first == upstreams->count)
        return (struct group){.count = 0};
    struct group group = {upstreams->items + first, upstreams->health + first, first, 1,
                          !upstreams->health[first].down};
    while (first + group.count < upstreams->count &&
           !comes_before(&group.items[0].domain, &group.items[group.count].domain))
        group.up += !group.health[group.count++].down;
    return group;
}

/* Those that are up; where none is, all. */
static bool is_worth(const struct group *group, size_t index)
{
    return group->up == 0 || !group->health[index].down;
}

/* The member that comes `place` places behind the first one worth asking, round and round. */
static size_t nth(const struct group *group, size_t place)
{
    size_t index = 0;
    place %= group->up ? group->up : group->count;
    while (!is_worth(group, index) || place-- > 0)
        index++;
    return index;
}

static bool is_last_asked(const struct group *group, size_t index, const struct route *route)
{
    return route->attempt > 0 && address_equal(&group->items[index].target.address, &route->flow->server);
}

static size_t choose_first(struct group *group, const struct route *route)
{
    return nth(group, route->attempt);
}

static size_t choose_in_turn(struct group *group, const struct route *route)
{
    unsigned turn = group->health[0].turn++;
    size_t index = nth(group, turn);
    return is_last_asked(group, index, route) ? nth(group, turn + 1) : index;
}

/* One that was not measured is slower than all that were. */
static bool is_faster(const struct upstream_health *a, const struct upstream_health *b)
{
    return a->cost_us > 0 && (b->cost_us == 0 || a->cost_us < b->cost_us);
}

static size_t choose_fastest(struct group *group, const struct route *route)
{
    size_t best = group->count;
    for (size_t i = 0; i < group->count; i++) {
        if (!is_worth(group, i) || is_last_asked(group, i, route))
            continue;
        if (best == group->count || is_faster(&group->health[i], &group->health[best]))
            best = i;
    }
    return best < group->count ? best : nth(group, route->attempt);
}

static size_t choose(struct group *group, enum net_upstream_policy policy, const struct route *route)
{
    static size_t (*const policies[])(struct group *, const struct route *) = {
        [NET_UPSTREAM_FIRST] = choose_first,
        [NET_UPSTREAM_ROUND_ROBIN] = choose_in_turn,
        [NET_UPSTREAM_FASTEST] = choose_fastest,
        [NET_UPSTREAM_ALL] = choose_first,
    };
    if (route->member)
        return (route->member - 1) % group->count;
    return group->count == 1 ? 0 : policies[policy](group, route);
}

/* The number of an upstream that a script, or a probe, has named itself. */
static uint32_t find_number(const struct upstreams *upstreams, const struct upstream_target *target)
{
    for (size_t i = 0; i < upstreams->count; i++) {
        const struct upstream_target *item = &upstreams->items[i].target;
        if (item->scheme == target->scheme && address_equal(&item->address, &target->address))
            return number_of(upstreams, i);
    }
    return 0;
}

static enum status choose_any(struct upstreams *upstreams, const struct route *route, struct upstream_choice *out,
                              struct reason *reason)
{
    struct upstream_choice choice = {.upstream = 0};
    if (route->again) {
        choice.target = (struct upstream_target){route->scheme, *route->again};
        choice.upstream = find_number(upstreams, &choice.target);
    } else if (route->flow->target.address.family != AF_UNSPEC) {
        choice.target = route->flow->target;
        choice.upstream = find_number(upstreams, &choice.target);
    } else {
        struct group group = find_group(upstreams, route->flow);
        size_t index = group.count ? choose(&group, upstreams->policy, route) : 0;
        if (!group.count || group.items[index].target.address.family == AF_UNSPEC) {
            reason_set(reason, "no upstream");
            return STATUS_NOT_FOUND;
        }
        choice.target = group.items[index].target;
        choice.upstream = number_of(upstreams, group.first + index);
        choice.is_down = group.count == 1 && group.health[index].down;
    }
    *out = choice;
    return upstream_scheme_check(choice.target.scheme, reason) ? STATUS_IO : STATUS_OK;
}

enum status upstreams_choose(struct upstreams *upstreams, const struct route *route, struct upstream_choice *out,
                             struct reason *reason)
{
    if (!upstreams->single || route->again || route->flow->target.address.family != AF_UNSPEC)
        return choose_any(upstreams, route, out, reason);
    out->target = upstreams->items[0].target;
    out->upstream = number_of(upstreams, 0);
    out->is_down = upstreams->health[0].down;
    return STATUS_OK;
}

/* Whether all are to be asked with this query, to see who is fastest: one is not known, or it was long ago. */
static bool wants_race(const struct group *group, int64_t now_us)
{
    const int64_t raced_us = group->health[0].raced_us;
    if (raced_us == 0 || now_us - raced_us >= RACE_EVERY_US)
        return true;
    for (size_t i = 0; i < group->count; i++) {
        if (!group->health[i].down && group->health[i].cost_us == 0)
            return now_us - raced_us >= RACE_AGAIN_US;
    }
    return false;
}

unsigned upstreams_rivals(struct upstreams *upstreams, const struct flow *flow, int64_t now_us,
                          uint8_t members[static RIVALS_MAX])
{
    struct group group = find_group(upstreams, flow);
    unsigned count = 0;
    if (group.count < 2)
        return 0;
    if (upstreams->policy == NET_UPSTREAM_FASTEST) {
        if (!wants_race(&group, now_us))
            return 0;
        group.health[0].raced_us = now_us;
    }
    for (size_t i = 0; i < group.count && i < UINT8_MAX && count < RIVALS_MAX; i++)
        if (is_worth(&group, i))
            members[count++] = (uint8_t)i;
    return count;
}

bool upstreams_others_serve(const struct upstreams *upstreams, size_t index)
{
    for (size_t i = 0; i < upstreams->count; i++)
        if (i != index && !upstreams->health[i].down &&
            dns_name_equal(upstreams->items[i].domain.wire, upstreams->items[index].domain.wire))
            return true;
    return false;
}

void upstreams_describe_one(const struct upstreams *upstreams, size_t index, struct buffer *out)
{
    char text[ADDRESS_TEXT_MAX], domain[DNS_NAME_TEXT_MAX];
    const struct net_upstream *upstream = &upstreams->items[index];
    if (upstream->domain.length > 1) {
        dns_name_to_text(upstream->domain.wire, DNS_NAME_LOWER, domain);
        buffer_format(out, "[/%s/]", domain);
    }
    buffer_text(out, schemes[upstream->target.scheme].prefix);
    buffer_text(out,
                upstream->target.address.family == AF_UNSPEC ? "none" : address_text(&upstream->target.address, text));
}

void upstreams_describe(const struct upstreams *upstreams, struct buffer *out)
{
    for (size_t i = 0; i < upstreams->count; i++) {
        if (i)
            buffer_text(out, ", ");
        upstreams_describe_one(upstreams, i, out);
    }
    if (upstreams->count == 0)
        buffer_text(out, "none");
}
