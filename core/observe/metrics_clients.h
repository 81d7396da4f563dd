/* The connections of the metrics server, which are few: whoever opens more, or leaves them open, takes no descriptors
 * from those who ask for names. evhttp itself takes any number, and tries to accept without a pause once descriptors
 * have run out. */
#ifndef MOONDNS_OBSERVE_METRICS_CLIENTS_H
#define MOONDNS_OBSERVE_METRICS_CLIENTS_H

#include "base/status.h"

struct event_base;
struct evhttp;
struct evhttp_bound_socket;

struct metrics_clients;

/* Counts the connections of `http`, which is bound to that socket alone. Beyond 32 the one that was opened first makes
 * room, and until it has no others are accepted; nor are they for a second after descriptors ran out. The caller owns
 * it. STATUS_NO_MEMORY. */
MUST_CHECK enum status metrics_clients_new(struct event_base *base, struct evhttp *http,
                                           struct evhttp_bound_socket *bound, struct metrics_clients **out);

/* After `http`, and before its event base. NULL is fine. */
void metrics_clients_free(struct metrics_clients *clients);

#endif
