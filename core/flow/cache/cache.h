/* The response cache: upstreams' answers, found by all of a query that an answer may depend on. An answer is kept as
 * the bytes that came, with the places of its TTLs, so that a hit is a copy whose TTLs are counted down. Of a fixed
 * number of entries and bounded in bytes; what was not found for longest makes room. One thread. */
#ifndef MOONDNS_FLOW_CACHE_CACHE_H
#define MOONDNS_FLOW_CACHE_CACHE_H

#include "base/random.h"
#include "flow/flow.h"

enum {
    CACHE_ENTRY_BYTES = 512,               /* a cache's bytes are this for each entry on average … */
    CACHE_BYTES_LEAST = 256 * 1024,        /* … or these, if that is more */
    CACHE_KEY_MAX = 512,                   /* a query with a longer key is not for the cache */
    CACHE_SECONDS_MAX = 7 * 24 * 3600,     /* RFC 8767 section 4 */
    CACHE_NEGATIVE_SECONDS_MAX = 3 * 3600, /* RFC 2308 section 5 */
};

struct cache_counters {
    uint64_t hits, misses;
    uint64_t kept;    /* answers that went in */
    uint64_t expired; /* entries dropped as their time was over … */
    uint64_t evicted; /* … to make room … */
    uint64_t flushed; /* … and because cache_flush said so */
};

/* What finds an answer: the question without regard to case, RD, AD, CD and Z, whether there is OPT, its flags (DO) and
 * its options. Of a COOKIE only that there is one; what belongs to one connection does not count. */
struct cache_key {
    uint32_t hash;
    uint16_t length; /* of `bytes`, a multiple of eight */
    uint8_t bytes[CACHE_KEY_MAX];
};

struct cache;

/* For at least one entry. `counters` are borrowed for the cache's life. NULL when there is no memory. */
struct cache *cache_new(size_t entries, struct random *random, struct cache_counters *counters);
void cache_free(struct cache *cache); /* NULL is fine */

/* The time, told before anything else is called in a turn. The monotonic clock stands still while the machine sleeps,
 * the wall clock jumps: an answer ages by whichever went on further, and never gets younger. */
void cache_set_time(struct cache *cache, int64_t monotonic_us, int64_t wall_us);

/* The key of a query; false: it is not for the cache (another op code than QUERY, not one question, a zone transfer,
 * records besides one OPT, as signatures). */
bool cache_key_of(const struct cache *cache, const struct dns_message *query, struct cache_key *out);

/* Looks for an answer that is still good and copies it to `out`, with the query's id and its spelling of the name, and
 * TTLs counted down. No allocation once `out` is warm. False: there is none; `out` is as it was. */
bool cache_find(struct cache *cache, const struct cache_key *key, const struct dns_message *query,
                struct flow_message *out);

/* Keeps the answer to the query with this key, for as long as it may be (cache_seconds), in place of an older one. */
void cache_keep(struct cache *cache, const struct cache_key *key, const struct dns_message *answer);

/* Drops what is kept for the name and the names below it; NULL: all. Gives the number of entries. */
size_t cache_flush(struct cache *cache, const uint8_t *name);

/* How often cache_flush was called: an answer that was asked for before the last time is not to be kept. */
uint32_t cache_flushes(const struct cache *cache);

size_t cache_count(const struct cache *cache); /* entries */
size_t cache_bytes(const struct cache *cache); /* that they take */

#endif
