/* How an upstream does: whether it answers, how fast, and when it is looked after again once it does not. Plain data;
 * times are monotonic microseconds, handed in. */
#ifndef MOONDNS_NET_UPSTREAM_HEALTH_H
#define MOONDNS_NET_UPSTREAM_HEALTH_H

#include "flow/exchange.h"

enum {
    UPSTREAM_FAILURES_MAX = 3, /* so many in a row, and it is down */
    UPSTREAM_REFUSAL_US = 1000000,
    UPSTREAM_REST_US = 1000000,
    UPSTREAM_REST_MAX_US = 4000000, /* the rest doubles with each probe up to this */
};

/* All zeros: nothing is known, and it counts as up. */
struct upstream_health {
    uint64_t queries, answers, timeouts, failures, probes;
    unsigned failed_in_row;
    bool down;
    uint32_t failed_channel; /* one that breaks counts once, whatever waited on it */
    int64_t answered_us;     /* when the last answer came */
    int64_t probe_us;        /* while it is down: when it is probed */
    int64_t rest_us;         /* while it is down: from one probe to the next */
    int64_t rtt_us;          /* smoothed; 0: not measured since it came up */
    int64_t cost_us;         /* the same, where SERVFAIL and REFUSED count as UPSTREAM_REFUSAL_US: who has lost its own
                                way out is quick to say so, and not to be preferred */

    /* of the group, kept by its first upstream */
    unsigned turn;    /* round robin: counts */
    int64_t raced_us; /* when all were last asked at once to see which is fastest; 0: never */
};

enum upstream_change { UPSTREAM_STAYS, UPSTREAM_WENT_DOWN, UPSTREAM_CAME_UP };

/* Counts a query that goes out. */
static inline void upstream_health_asked(struct upstream_health *health)
{
    health->queries++;
}

/* What became of one that went out at `channel->routed_us`. */
enum upstream_change upstream_health_note(struct upstream_health *health, const struct channel *channel,
                                          enum try_outcome outcome, int64_t now_us);

/* There was no way to it at all. */
enum upstream_change upstream_health_unreachable(struct upstream_health *health, int64_t now_us);

/* Whether it is time to probe it; true once for each time. */
bool upstream_health_wants_probe(struct upstream_health *health, int64_t now_us);

#endif
