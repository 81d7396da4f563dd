#include "observe/snapshot.h"

#include <stdlib.h>

void snapshot_add_hook(struct snapshot *snapshot, const struct hook_time *hook)
{
    if (snapshot->hooks_count == snapshot->hooks_capacity) {
        size_t capacity = snapshot->hooks_capacity * 2 + 8;
        struct hook_time *hooks = realloc(snapshot->hooks, capacity * sizeof *hooks);
        if (!hooks)
            return;
        snapshot->hooks = hooks;
        snapshot->hooks_capacity = capacity;
    }
    snapshot->hooks[snapshot->hooks_count++] = *hook;
}

/* An upstream that a domain does not have (`none`) is no row. */
static void add_upstream(struct snapshot *snapshot, const struct net_upstream_stats *stats)
{
    const struct address *address = &stats->upstream->target.address;
    if (address->family == AF_UNSPEC)
        return;
    struct upstream_counts *row = &snapshot->upstreams[snapshot->upstreams_count++];
    *row = (struct upstream_counts){
        .up = stats->up,
        .queries = stats->queries,
        .answers = stats->answers,
        .timeouts = stats->timeouts,
        .failures = stats->failures,
        .probes = stats->probes,
        .rtt_us = stats->rtt_us > 0 ? (uint64_t)stats->rtt_us : 0,
    };
    (void)address_text(address, row->name);
    (void)dns_name_to_text(stats->upstream->domain.wire, DNS_NAME_LOWER, row->domain);
}

void snapshot_take_net(struct snapshot *snapshot, const struct net *net)
{
    size_t count = net_upstream_count(net);
    snapshot->net = net_counters(net);
    snapshot->upstreams_count = 0;
    if (count > snapshot->upstreams_capacity) {
        struct upstream_counts *upstreams = realloc(snapshot->upstreams, count * sizeof *upstreams);
        if (!upstreams)
            return;
        snapshot->upstreams = upstreams;
        snapshot->upstreams_capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        struct net_upstream_stats stats = net_upstream_stats(net, i);
        add_upstream(snapshot, &stats);
    }
}

void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->hooks);
    free(snapshot->upstreams);
    *snapshot = (struct snapshot){0};
}
