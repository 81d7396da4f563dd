/* A few ranges of addresses, looked through one after the other: for lists of some lines, where that is quicker than a
 * set. IPv4 addresses inside IPv6 (::ffff:192.0.2.1) are IPv4 addresses here; port and scope do not count. */
#ifndef MOONDNS_DATA_ADDRESS_RANGES_H
#define MOONDNS_DATA_ADDRESS_RANGES_H

#include "data/address_set.h"

#include <stddef.h>

struct address_range {
    uint64_t bits[2], mask[2]; /* host byte order, the upper half first; IPv4 as ::ffff:0:0/96 */
};

/* All zeros: none. */
struct address_ranges {
    struct address_range *items; /* owned */
    size_t count;
};

/* Puts the prefixes in place of what there is. STATUS_NO_MEMORY leaves that as it was. */
MUST_CHECK enum status address_ranges_set(struct address_ranges *ranges, const struct address_prefix *prefixes,
                                          size_t count);

/* The same for prefixes that the program itself names: each text must be right. */
MUST_CHECK enum status address_ranges_set_texts(struct address_ranges *ranges, const char *const *texts, size_t count);

void address_ranges_free(struct address_ranges *ranges);

bool address_ranges_match(const struct address_ranges *ranges, const struct address *address);

/* For bytes of a message: 4 (IPv4) or 16. */
bool address_ranges_match_bytes(const struct address_ranges *ranges, const uint8_t *bytes, size_t length);

#endif
