#include "net/rate_limit.h"

#include "data/key_set.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    WAYS = 4, /* buckets that a network may be in: one line of the processor's cache */
    SETS = 16384,
};

static const int64_t SECOND_NS = 1000000000;

/* A token bucket as the one number that it needs (GCRA, ITU-T I.371 annex A): when it will be full again. */
struct bucket {
    _Atomic uint64_t key; /* 0: free */
    _Atomic int64_t full_ns;
};

struct rate_limit {
    int64_t interval_ns; /* from one query to the next */
    struct address_cut prefix;
    struct key_set hash; /* for its secret alone */
    struct bucket buckets[SETS][WAYS];
};

struct rate_limit *rate_limit_new(unsigned per_second, struct address_cut prefix, const uint64_t secret[static 2])
{
    struct rate_limit *limit = calloc(1, sizeof *limit);
    if (!limit)
        return NULL;
    limit->interval_ns = SECOND_NS / per_second;
    limit->prefix = prefix;
    key_set_init(&limit->hash, secret);
    return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
    free(limit);
}

static struct key_digest digest_of(const struct rate_limit *limit, const struct address *client)
{
    struct address network = *client;
    uint64_t words[2] = {0, 0};
    address_cut(&network, limit->prefix);
    memcpy(words, network.bytes, network.family == AF_INET6 ? 16 : 4);
    struct key_hash hash = key_hash_start(&limit->hash);
    key_hash_word(&hash, words[0]);
    key_hash_word(&hash, words[1]);
    key_hash_word(&hash, network.family);
    return key_hash_digest(hash);
}

/* The network's bucket; one that is new is full, and takes the place of the one that was full first. */
static struct bucket *find_bucket(struct rate_limit *limit, const struct address *client)
{
    const struct key_digest digest = digest_of(limit, client);
    const uint64_t key = digest.low | 1;
    struct bucket *set = limit->buckets[digest.high % SETS], *oldest = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (atomic_load_explicit(&set[i].key, memory_order_relaxed) == key)
            return &set[i];
        if (atomic_load_explicit(&set[i].full_ns, memory_order_relaxed) <
            atomic_load_explicit(&oldest->full_ns, memory_order_relaxed))
            oldest = &set[i];
    }
    atomic_store_explicit(&oldest->key, key, memory_order_relaxed);
    atomic_store_explicit(&oldest->full_ns, 0, memory_order_relaxed);
    return oldest;
}

bool rate_limit_take(struct rate_limit *limit, const struct address *client, int64_t now_us)
{
    struct bucket *bucket = find_bucket(limit, client);
    const int64_t now_ns = now_us * 1000;
    int64_t full_ns = atomic_load_explicit(&bucket->full_ns, memory_order_relaxed);
    if (full_ns < now_ns)
        full_ns = now_ns;
    if (full_ns + limit->interval_ns - now_ns > SECOND_NS)
        return false;
    atomic_store_explicit(&bucket->full_ns, full_ns + limit->interval_ns, memory_order_relaxed);
    return true;
}
