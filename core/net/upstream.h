/* Which upstream a query goes to. */
#ifndef MOONDNS_NET_UPSTREAM_H
#define MOONDNS_NET_UPSTREAM_H

#include "flow/exchange.h"
#include "net/net.h"
#include "net/upstream_health.h"

/* The configured upstreams, those of one domain (a group) together, longer domains before shorter ones. All zeros:
 * none.
 */
struct upstreams {
    struct net_upstream *items;     /* owned */
    struct upstream_health *health; /* of each; owned */
    size_t count;
    enum net_upstream_policy policy;
    uint32_t generation; /* of this list, in the upper bits of struct channel's `upstream` */
    bool single;         /* there is one alone, for all domains, and it can be asked */
};

/* Copies the upstreams in, in that order; those of one domain keep theirs. Those that were there before keep what is
 * known of their health. */
MUST_CHECK enum status upstreams_set(struct upstreams *upstreams, const struct net_upstream *items, size_t count);
void upstreams_free(struct upstreams *upstreams);

/* Whether both are the same upstreams in the same order. */
bool upstreams_equal(const struct upstreams *a, const struct upstreams *b);

/* Puts `next` in place of the old list, which is freed; the health of those that stay is kept, and the policy. */
void upstreams_replace(struct upstreams *upstreams, struct upstreams *next);

/* What was chosen for one try. */
struct upstream_choice {
    struct upstream_target target;
    uint32_t upstream; /* for upstreams_health; 0: none of the list */
    bool is_down;      /* it is, and there is no other */
};

/* The upstream for one try: the flow's own; the server that answered with TC, again; one of the longest domain that the
 * question lies in: the rival that is wanted, else by the policy among those that are up (among all where none is), for
 * a further try another one than before if there is any. STATUS_NOT_FOUND: there is none, or that domain's is
 * AF_UNSPEC, which says so. STATUS_IO: a scheme that is not there; out->target.address is set. */
MUST_CHECK enum status upstreams_choose(struct upstreams *upstreams, const struct route *route,
                                        struct upstream_choice *out, struct reason *reason);

/* struct exchange_io's `rivals`: with the policy `all` those that are up; with `fastest` now and then, to measure. */
unsigned upstreams_rivals(struct upstreams *upstreams, const struct flow *flow, int64_t now_us,
                          uint8_t members[static RIVALS_MAX]);

/* The index of a choice's upstream, or the list's count where it is not, or no longer, in it. */
size_t upstreams_index(const struct upstreams *upstreams, uint32_t upstream);

/* Whether any other upstream of the same domain is up. */
bool upstreams_others_serve(const struct upstreams *upstreams, size_t index);

/* STATUS_INVALID, with a reason that says what works, for a scheme that no transport carries yet. */
MUST_CHECK enum status upstream_scheme_check(enum upstream_scheme scheme, struct reason *reason);

/* Appends "9.9.9.9:53", "tcp://9.9.9.9:53", "[/corp.example/]10.0.0.1:53"; several joined by ", ", none: "none" (of
 * a domain: "[/corp.example/]none"). */
void upstreams_describe(const struct upstreams *upstreams, struct buffer *out);

/* Appends one of them. */
void upstreams_describe_one(const struct upstreams *upstreams, size_t index, struct buffer *out);

#endif
