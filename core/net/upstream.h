/* Which upstream a query goes to. */
#ifndef MOONDNS_NET_UPSTREAM_H
#define MOONDNS_NET_UPSTREAM_H

#include "flow/exchange.h"
#include "net/net.h"

/* The configured upstreams, those of one domain together, longer domains before shorter ones. All zeros: none. */
struct upstreams {
    struct net_upstream *items; /* owned */
    size_t count;
};

/* Copies the upstreams in, in that order; those of one domain keep theirs. */
MUST_CHECK enum status upstreams_set(struct upstreams *upstreams, const struct net_upstream *items, size_t count);
void upstreams_free(struct upstreams *upstreams);

/* The upstream for one try: the flow's own; the server that answered with TC, again; the longest domain that the
 * question lies in, its upstreams in turn by attempt. The answer's scheme is UDP or TCP. STATUS_NOT_FOUND: there is
 * none, or that domain's is AF_UNSPEC, which says so. STATUS_IO: a scheme that is not there; `out->address` is set. */
MUST_CHECK enum status upstreams_choose(const struct upstreams *upstreams, const struct route *route,
                                        struct upstream_target *out, struct reason *reason);

/* STATUS_INVALID, with a reason that says what works, for a scheme that no transport carries yet. */
MUST_CHECK enum status upstream_scheme_check(enum upstream_scheme scheme, struct reason *reason);

/* Appends "9.9.9.9:53", "tcp://9.9.9.9:53", "[/corp.example/]10.0.0.1:53"; several joined by ", ", none: "none" (of
 * a domain: "[/corp.example/]none"). */
void upstreams_describe(const struct upstreams *upstreams, struct buffer *out);

#endif
