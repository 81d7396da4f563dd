/* A set of addresses and prefixes: the longest prefix that an address lies in. IPv4 addresses inside IPv6
 * (::ffff:192.0.2.1) are IPv4 addresses here. */
#ifndef MOONDNS_DATA_ADDRESS_SET_H
#define MOONDNS_DATA_ADDRESS_SET_H

#include "base/address.h"
#include "data/key_set.h"

enum {
    ADDRESS_BITS_MAX = 128,
    ADDRESS_PREFIX_TEXT_MAX = ADDRESS_TEXT_MAX + 4, /* room for "/128" more */
};

struct address_prefix {
    struct address address; /* the bits behind the prefix are 0; no port, no scope */
    uint8_t length;         /* in bits: at most 32 or 128 */
};

/* The prefixes of five lengths that agree in the bits before them are one key: those of length 0 to 4, those of length
 * 5 to 9 with the same first five bits, and so on, at most 31. The key's marks say which of them are there. So a lookup
 * looks for at most 26 keys, whatever the lengths are, and goes to memory for all of them at once. */
struct address_set {
    struct key_set keys;
    size_t count;
    uint32_t ipv4, ipv6; /* bit N: there was a key of 5 N bits */
};

/* Takes "192.0.2.1", "192.0.2.0/24", "2001:db8::/32"; bits behind the prefix are cleared. The reason says what is wrong
 * with the text. */
MUST_CHECK enum status address_prefix_from_text(const char *text, size_t length, struct address_prefix *out,
                                                struct reason *reason);

/* The prefix as text; a single address without its length. Returns `out`. */
const char *address_prefix_text(const struct address_prefix *prefix, char out[static ADDRESS_PREFIX_TEXT_MAX]);

/* Whether it is one address. */
bool address_prefix_is_single(const struct address_prefix *prefix);

/* Makes an empty set. The secret is for its hash: random bits. */
void address_set_init(struct address_set *set, const uint64_t secret[static 2]);

/* `*added`: it was not there before. STATUS_NO_MEMORY. */
MUST_CHECK enum status address_set_add(struct address_set *set, const struct set_memory *memory,
                                       const struct address_prefix *prefix, bool *added);

/* False when it was not there. */
bool address_set_remove(struct address_set *set, const struct address_prefix *prefix);

/* The longest prefix in the set that the address (whose port and scope do not count) lies in; false when there is none.
 */
bool address_set_match(const struct address_set *set, const struct address *address, struct address_prefix *out);

static inline size_t address_set_count(const struct address_set *set)
{
    return set->count;
}

#endif
