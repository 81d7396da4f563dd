/* A hash set of keys, each with marks: what the sets of domains and of addresses are made of. Of each key it keeps only
 * a digest of 96 bits, keyed with a secret: nobody outside can find keys that collide, and by chance one lookup in 2^70
 * is wrong in a set of millions. So a key costs 26 to 51 bytes whatever its length, and a lookup goes to memory once:
 * hardly at all for keys that are not in the set, which a small filter turns away. */
#ifndef MOONDNS_DATA_KEY_SET_H
#define MOONDNS_DATA_KEY_SET_H

#include "base/status.h"
#include "data/set_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { KEY_SLOTS_PER_WORD = 8 };

struct key_digest {
    uint64_t high; /* alone says where the key is, and what of it is in the filter */
    uint32_t low;
};

struct key_slot {
    uint64_t high;
    uint32_t low;
    uint32_t marks; /* 0: the slot is free */
};

struct key_set {
    uint64_t secret[2];
    struct key_slot *slots; /* the block belongs to whoever gives the memory */
    uint64_t *filter;       /* behind them in the block: a Bloom filter of a word for each KEY_SLOTS_PER_WORD slots */
    size_t slots_count;     /* 0, or a power of two */
    size_t count;
    size_t forgotten; /* keys that were removed, and are in the filter still */
};

/* --- digests (SipHash-1-3, of whose last state more is taken): of a key's words, in order. Words are to be chosen so
 * that no key is the beginning of another, unless their digests are told apart otherwise. --- */

struct key_hash {
    uint64_t v[4];
};

static inline uint64_t key_hash_rotate(uint64_t value, unsigned by)
{
    return value << by | value >> (64 - by);
}

static inline void key_hash_round(struct key_hash *hash)
{
    uint64_t *v = hash->v;
    v[0] += v[1];
    v[2] += v[3];
    v[1] = key_hash_rotate(v[1], 13) ^ v[0];
    v[3] = key_hash_rotate(v[3], 16) ^ v[2];
    v[0] = key_hash_rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = key_hash_rotate(v[3], 21) ^ v[0];
    v[1] = key_hash_rotate(v[1], 17) ^ v[2];
    v[2] = key_hash_rotate(v[2], 32);
}

static inline struct key_hash key_hash_start(const struct key_set *set)
{
    const uint64_t *secret = set->secret;
    return (struct key_hash){{secret[0] ^ 0x736f6d6570736575, secret[1] ^ 0x646f72616e646f6d,
                              secret[0] ^ 0x6c7967656e657261, secret[1] ^ 0x7465646279746573}};
}

static inline void key_hash_word(struct key_hash *hash, uint64_t word)
{
    hash->v[3] ^= word;
    key_hash_round(hash);
    hash->v[0] ^= word;
}

/* The digest of the words so far; more can be added. */
static inline struct key_digest key_hash_digest(struct key_hash hash)
{
    uint64_t *v = hash.v;
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 3; i++)
        key_hash_round(&hash);
    return (struct key_digest){v[2] ^ v[3], (uint32_t)(v[0] ^ v[1])};
}

/* --- the set --- */

/* Makes an empty set, which has no memory yet. The secret: random bits. */
void key_set_init(struct key_set *set, const uint64_t secret[static 2]);

static inline size_t key_set_home(const struct key_set *set, const struct key_digest *digest)
{
    return digest->high & (set->slots_count - 1);
}

/* Where the key is, if the set has it and no other took the place. */
static inline const struct key_slot *key_set_slot(const struct key_set *set, const struct key_digest *digest)
{
    return &set->slots[key_set_home(set, digest)];
}

/* The filter's word for the key, which has all the bits of its pattern if the key is in the set. */
static inline uint64_t *key_set_word(const struct key_set *set, const struct key_digest *digest)
{
    return &set->filter[(digest->high >> 20) & (set->slots_count / KEY_SLOTS_PER_WORD - 1)];
}

static inline uint64_t key_set_pattern(const struct key_digest *digest)
{
    const uint64_t bits = digest->high >> 46, one = 1;
    return one << (bits & 63) | one << (bits >> 6 & 63) | one << (bits >> 12);
}

/* Tell the processor what is going to be looked at; the set is not empty. */
static inline void key_set_prefetch_filter(const struct key_set *set, const struct key_digest *digest)
{
    __builtin_prefetch(key_set_word(set, digest));
}

static inline void key_set_prefetch_slot(const struct key_set *set, const struct key_digest *digest)
{
    __builtin_prefetch(key_set_slot(set, digest));
}

/* False: the key is not in the set, which is not empty. */
static inline bool key_set_may_have(const struct key_set *set, const struct key_digest *digest)
{
    return (key_set_pattern(digest) & ~*key_set_word(set, digest)) == 0;
}

static inline bool key_slot_is(const struct key_slot *slot, const struct key_digest *digest)
{
    return slot->high == digest->high && slot->low == digest->low;
}

/* The key's marks, of one that the set may have; 0: it has not. */
static inline uint32_t key_set_marks(const struct key_set *set, const struct key_digest *digest)
{
    size_t i = key_set_home(set, digest);
    while (set->slots[i].marks && !key_slot_is(&set->slots[i], digest))
        i = (i + 1) & (set->slots_count - 1);
    return set->slots[i].marks;
}

/* Adds the mark to the key's, and the key when it is not in the set. `*added`: it had no such mark before.
 * STATUS_NO_MEMORY: the set stays as it was. */
MUST_CHECK enum status key_set_add(struct key_set *set, const struct set_memory *memory,
                                   const struct key_digest *digest, uint32_t mark, bool *added);

/* Takes the mark off the key, and the key out of the set when none is left. False when it had no such mark. Once in as
 * many removals as a quarter of the slots it goes over all of them. */
bool key_set_remove(struct key_set *set, const struct key_digest *digest, uint32_t mark);

#endif
