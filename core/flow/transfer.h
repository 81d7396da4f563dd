/* Zone transfers: many messages answer one query (AXFR: RFC 5936, IXFR: RFC 1995), and their records say where the last
 * one ends. Plain data that is fed with one message after another. */
#ifndef MOONDNS_FLOW_TRANSFER_H
#define MOONDNS_FLOW_TRANSFER_H

#include "dns/message.h"

enum transfer_state {
    TRANSFER_FIRST,   /* nothing came yet */
    TRANSFER_SECOND,  /* the first SOA came; the next record tells what it is */
    TRANSFER_WHOLE,   /* all of a zone's records, until its SOA comes again */
    TRANSFER_DELETED, /* differences: what one version lost … */
    TRANSFER_ADDED,   /* … and what it won */
    TRANSFER_ENDED,
};

struct transfer {
    enum transfer_state state;
    bool incremental, has_version; /* IXFR; the client said which version it has … */
    uint32_t version;              /* … this one */
    uint32_t serial;               /* of the first SOA */
};

/* Whether the request is for a transfer: a QUERY for AXFR or IXFR. Then `out` is at its start. */
bool transfer_start(struct transfer *out, const struct dns_message *request);

/* Takes the next message of the answer; true: there are more to come. What is no transfer (an error, no SOA at first)
 * is one message. */
bool transfer_feed(struct transfer *transfer, const struct dns_message *answer);

#endif
