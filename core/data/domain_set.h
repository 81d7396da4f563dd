/* A set of domains: which of them a name belongs to. */
#ifndef MOONDNS_DATA_DOMAIN_SET_H
#define MOONDNS_DATA_DOMAIN_SET_H

#include "data/key_set.h"
#include "dns/name.h"

enum domain_kind {
    DOMAIN_ENTRY = 1,
    DOMAIN_EXCEPTION = 2, /* neither it nor anything below it belongs to any entry */
};

struct domain_set {
    struct key_set keys;      /* marks are enum domain_kind */
    uint64_t depths;          /* bit N: there was a domain of N labels (the last bit: or more) */
    size_t count, exceptions; /* entries, exceptions */
};

/* Makes an empty set. The secret is for its hash: random bits. */
void domain_set_init(struct domain_set *set, const uint64_t secret[static 2]);

/* Adds a domain, in any letter case; one may be both, entry and exception. `*added`: it was not there before.
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status domain_set_add(struct domain_set *set, const struct set_memory *memory,
                                      const struct dns_name *name, enum domain_kind kind, bool *added);

/* False when it was not there. */
bool domain_set_remove(struct domain_set *set, const struct dns_name *name, enum domain_kind kind);

/* The entry that is the name (uncompressed and whole, in any letter case) or its nearest parent, as the part of the
 * name that it is; NULL when there is none, or when an exception is the name or any of its parents. */
const uint8_t *domain_set_match(const struct domain_set *set, const uint8_t *name);

#endif
