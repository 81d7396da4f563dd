/* Looks after the upstreams' health: learns from what became of each query, says so when one goes down or comes back,
 * and probes those that are down with a small query of its own, so that no client has to wait for them. */
#include "net/transport.h"

enum { PROBE_TIMEOUT_US = 1000000 };

static void tell(const struct net *net, size_t index, enum upstream_change change, const char *why)
{
    struct buffer name = {0};
    upstreams_describe_one(&net->upstreams, index, &name);
    const char *text = buffer_c_string(&name);
    enum log_level level = net->config.silent ? LOG_DEBUG : change == UPSTREAM_CAME_UP ? LOG_INFO : LOG_WARN;
    if (text && change == UPSTREAM_CAME_UP)
        log_line(net->log, level, "upstream %s answers again", text);
    else if (text)
        log_line(net->log, level, "upstream %s is down (%s, %d times in a row); %s until it answers again", text, why,
                 UPSTREAM_FAILURES_MAX,
                 upstreams_others_serve(&net->upstreams, index) ? "the others serve" : "it is asked all the same");
    buffer_free(&name);
}

static void changed(struct net *net, size_t index, enum upstream_change change, const char *why)
{
    if (change == UPSTREAM_STAYS)
        return;
    tell(net, index, change, why);
    net_need_tick(net);
}

void net_upstream_asked(struct net *net, const struct channel *channel)
{
    size_t index = upstreams_index(&net->upstreams, channel->upstream);
    if (index < net->upstreams.count)
        upstream_health_asked(&net->upstreams.health[index]);
}

void net_upstream_note(struct net *net, const struct channel *channel, enum try_outcome outcome, const char *why)
{
    size_t index = upstreams_index(&net->upstreams, channel->upstream);
    if (index < net->upstreams.count)
        changed(net, index, upstream_health_note(&net->upstreams.health[index], channel, outcome, net->now_us), why);
}

void net_upstream_unreachable(struct net *net, const struct channel *channel, const char *why)
{
    size_t index = upstreams_index(&net->upstreams, channel->upstream);
    if (index < net->upstreams.count)
        changed(net, index, upstream_health_unreachable(&net->upstreams.health[index], net->now_us), why);
}

/* --- probes --- */

static void forget_probe(void *context)
{
    struct upstream_probe *probe = context;
    struct flow *flow = probe->flow;
    probe->flow = NULL;
    exchange_forget(probe->net->exchange, flow);
}

/* Any answer will do: who refuses this question is there. */
static void probe(struct net *net, size_t index)
{
    const struct net_upstream *upstream = &net->upstreams.items[index];
    struct upstream_probe *free_one = NULL;
    for (size_t i = 0; i < UPSTREAM_PROBES_MAX; i++)
        if (!net->probes[i].flow)
            free_one = &net->probes[i];
    if (!free_one)
        return;
    struct exchange_ask ask = {
        .name = &upstream->domain,
        .type = DNS_TYPE_NS,
        .class_ = DNS_CLASS_IN,
        .target = upstream->target,
        .timeout_us = PROBE_TIMEOUT_US,
        .finished = forget_probe,
        .context = free_one,
    };
    struct flow *flow;
    if (exchange_ask(net->exchange, &ask, &flow))
        return;
    free_one->net = net;
    free_one->flow = flow;
    if (flow->finished_us)
        forget_probe(free_one);
}

bool net_probe_upstreams(struct net *net)
{
    bool down = false;
    for (size_t i = 0; i < net->upstreams.count && !net->stopping; i++) {
        struct upstream_health *health = &net->upstreams.health[i];
        if (health->down && upstream_health_wants_probe(health, net->now_us))
            probe(net, i);
        down = down || health->down;
    }
    return down;
}

/* --- what is known --- */

size_t net_upstream_count(const struct net *net)
{
    return net->upstreams.count;
}

struct net_upstream_stats net_upstream_stats(const struct net *net, size_t index)
{
    const struct upstream_health *health = &net->upstreams.health[index];
    return (struct net_upstream_stats){
        .upstream = &net->upstreams.items[index],
        .up = !health->down,
        .queries = health->queries,
        .answers = health->answers,
        .timeouts = health->timeouts,
        .failures = health->failures,
        .probes = health->probes,
        .rtt_us = health->rtt_us,
    };
}
