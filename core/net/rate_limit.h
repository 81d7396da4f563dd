/* How many queries a second clients may send: one bucket for each network, which fills at the rate and holds what comes
 * in one second. The table has a fixed size; where it is full, the bucket that has been full for longest makes room.
 * One table may serve several threads: where two of them meet in a bucket, one query may go uncounted. */
#ifndef MOONDNS_NET_RATE_LIMIT_H
#define MOONDNS_NET_RATE_LIMIT_H

#include "base/address.h"

struct rate_limit;

/* The secret, random bits, is for the hash, so that nobody can find networks that share a bucket. `per_second` is at
 * least 1; prefixes are in bits, of IPv4 (at most 32) and IPv6 (at most 128). NULL when there is no memory. */
struct rate_limit *rate_limit_new(unsigned per_second, struct address_cut prefix, const uint64_t secret[static 2]);
void rate_limit_free(struct rate_limit *limit);

/* Whether the client may be served now; if so, that counts. Any thread. */
bool rate_limit_take(struct rate_limit *limit, const struct address *client, int64_t now_us);

#endif
