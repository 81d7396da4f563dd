/* What a worker tells of itself when it is asked: copies of its counters, taken in its own thread between two turns of
 * its loop. Nothing that a query passes is shared between threads. */
#ifndef MOONDNS_OBSERVE_SNAPSHOT_H
#define MOONDNS_OBSERVE_SNAPSHOT_H

#include "net/net.h"
#include "observe/flow_tally.h"

/* A hook of one script: how often it ran, how long it computed, how often it failed. */
struct hook_time {
    const char *script, *hook; /* borrowed from what outlives all workers */
    uint64_t calls, nanoseconds, errors;
};

/* An upstream of one domain. */
struct upstream_counts {
    char name[ADDRESS_TEXT_MAX]; /* "9.9.9.9:53" */
    char domain[DNS_NAME_TEXT_MAX];
    uint64_t up; /* 1, or 0 while it rests */
    uint64_t queries, answers, timeouts, failures, probes;
    uint64_t rtt_us; /* 0: not known */
};

/* Reloads of scripts and lists; the first worker's. */
struct reload_counts {
    uint64_t succeeded, failed;
    int64_t succeeded_us; /* wall clock, of the last one; 0: none yet */
    bool last_failed;
};

struct snapshot {
    struct exchange_counters exchange;
    struct net_counters net;
    struct flow_counts flows;
    struct exchange_cache_size cache;
    struct reload_counts reloads;
    size_t flows_active, asks_active, flows_held;
    size_t flows_memory; /* bytes */
    size_t lua_memory;   /* bytes */
    uint64_t dnstap_queued, dnstap_dropped, dnstap_lost;
    bool has_redis, redis_is_up; /* `shared` is in Redis; it can be reached */
    uint64_t redis_answered, redis_failed;
    struct hook_time *hooks; /* owned */
    size_t hooks_count, hooks_capacity;
    struct upstream_counts *upstreams; /* owned */
    size_t upstreams_count, upstreams_capacity;
};

/* Fills in what is the net's: its counters and its upstreams. Without memory those are left out. */
void snapshot_take_net(struct snapshot *snapshot, const struct net *net);

/* Appends a row to snapshot->hooks; without memory it is left out. */
void snapshot_add_hook(struct snapshot *snapshot, const struct hook_time *hook);
void snapshot_free(struct snapshot *snapshot);

#endif
