/* What the cache's files share. */
#ifndef MOONDNS_FLOW_CACHE_CACHE_PRIVATE_H
#define MOONDNS_FLOW_CACHE_CACHE_PRIVATE_H

#include "data/key_set.h"
#include "flow/cache/cache.h"

enum { CACHE_KEY_NAME = 16 /* where the name stands in a key, in lower case */ };

/* EDNS options that are not the same for all clients: RFC 7871, 7873, 7828, 7830. */
enum cache_option {
    CACHE_OPTION_SUBNET = 8,
    CACHE_OPTION_COOKIE = 10,
    CACHE_OPTION_KEEPALIVE = 11,
    CACHE_OPTION_PADDING = 12,
};

/* One answer: a block of its own. */
struct cache_entry {
    int64_t kept_us;         /* the cache's time */
    size_t size;             /* of the block */
    struct dns_message view; /* over the wire */
    uint16_t key_length, ttl_count;
    uint16_t ttls[]; /* their places in the wire; the key comes behind them, then the wire */
};

/* By number; lasts as long as the cache. */
struct cache_slot {
    struct cache_entry *entry; /* NULL: the slot is free */
    int64_t expires_us;
    uint32_t hash;
    uint32_t newer, older; /* slots in the order of use; `older` chains the free ones */
};

/* Open addressing, linear probing. */
struct cache_index {
    uint32_t hash;
    uint32_t slot; /* counted from 1; 0: free */
};

struct cache {
    struct key_hash seed; /* random */
    struct cache_counters *counters;
    struct cache_slot *slots; /* `entries` and one more: slot 0 is the ring's head, its `older` the newest */
    struct cache_index *index;
    size_t entries, index_mask;
    size_t count, bytes, bytes_max;
    uint32_t free;    /* slots that were used before */
    uint32_t touched; /* slots that were ever used */
    uint32_t sweep;   /* the slot to look at next for one that has expired */
    uint32_t flushes;
    int64_t now_us;             /* the monotonic clock, and what it slept away … */
    int64_t ahead_us, slept_us; /* … known by how far the wall clock is ahead of it */
    int64_t wall_us;
};

/* --- what may be kept (cache_rules.c) --- */

/* For how many seconds an answer may be kept; 0: not at all. It must be whole (no TC), NOERROR or NXDOMAIN, with one
 * question, and meant for any client: no COOKIE, no client subnet with a scope (RFC 7871 section 7.3.1). It lasts as
 * long as its shortest TTL. What says that there is nothing (NXDOMAIN, no record of the type that was asked for) needs
 * an SOA and lasts no longer than that says (RFC 2308 section 5). */
uint32_t cache_seconds(const struct dns_message *answer);

/* Finds the TTLs in the answer's wire (OPT has none) and writes their places to `out`, which has room for one a record;
 * gives their number. */
size_t cache_find_ttls(const struct dns_message *answer, uint16_t *out);

/* Sets the SOA's TTL in the wire of an answer that says that there is nothing to what it counts as (RFC 2308 section
 * 3): else whoever asks the cache would count it anew. */
void cache_limit_soa(const struct dns_message *answer, uint8_t *wire);

#endif
