/* What one worker counts of its flows: queries by transport and type, answers by transport, response code and source,
 * how long they took. One thread writes and reads it; others get copies. */
#ifndef MOONDNS_OBSERVE_FLOW_TALLY_H
#define MOONDNS_OBSERVE_FLOW_TALLY_H

#include "flow/exchange.h"

enum {
    TALLY_TRANSPORTS = TRANSPORT_QUIC + 1,
    TALLY_TYPES = 272, /* each type below has a counter; all above share one */
    TALLY_RCODES = 24, /* the same for response codes */
    TALLY_SOURCES = FLOW_SOURCE_PROXY + 1,
    TALLY_BOUNDS = 15,
};

/* Upper bounds of the histogram's buckets, in seconds. */
extern const double flow_tally_bounds[TALLY_BOUNDS];

struct flow_counts {
    uint64_t queries[TALLY_TRANSPORTS][TALLY_TYPES + 1];
    uint64_t answers[TALLY_TRANSPORTS][TALLY_RCODES + 1];
    uint64_t sources[TALLY_SOURCES];
    uint64_t durations[TALLY_SOURCES][TALLY_BOUNDS + 1]; /* each bucket alone */
    uint64_t duration_us[TALLY_SOURCES];                 /* summed */
};

struct flow_tally {
    struct flow_observer observer;
    struct flow_counts counts;

    /* Flows that ended in the turn of the loop in which they came (a script's answer, the cache's): all clocks stand
     * still in a turn, so they took as long as it did. */
    unsigned instants[TALLY_SOURCES];
    int64_t turn_us; /* monotonic; when it began, 0: there are none */
};

/* Starts at zero. The observer is to be put into an exchange's list; its `next` is the caller's. */
void flow_tally_init(struct flow_tally *tally);

#endif
