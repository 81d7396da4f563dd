/* Protection from DNS rebinding: a name of the public DNS whose address is private leads a browser into the user's own
 * network. Such answers are kept from clients, but for domains that may have them. */
#ifndef MOONDNS_NET_REBIND_H
#define MOONDNS_NET_REBIND_H

#include "data/address_ranges.h"
#include "dns/message.h"

struct rebind {
    struct dns_name *allowed; /* these domains and all below may have private addresses; owned */
    size_t allowed_count;
    struct address_ranges private;
    struct buffer expanded; /* for reading records */
};

/* Copies the names. */
MUST_CHECK enum status rebind_new(const struct dns_name *allowed, size_t count, struct rebind **out);
void rebind_free(struct rebind *rebind); /* NULL is fine */

/* Whether the answer to this question (NULL: there is none) has a private address: A, AAAA, the hints of SVCB and
 * HTTPS, among its answers and additional records. If so, `out` is the first. */
bool rebind_finds(struct rebind *rebind, const struct dns_question *question, const struct dns_message *answer,
                  struct address *out);

#endif
