/* A hash set of byte strings, each with marks: what the sets of domains and of addresses are made of. Of each key it
 * keeps only a digest of 126 bits, keyed with a secret (SipHash-1-3, of whose last state more is taken): nobody outside
 * can find keys that collide, and by chance one lookup in 2^100 is wrong in a set of millions. So a key costs 26 to 51
 * bytes whatever its length, and a lookup goes to memory once: hardly at all for keys that are not in the set, which a
 * small filter turns away. */
#ifndef MOONDNS_DATA_KEY_SET_H
#define MOONDNS_DATA_KEY_SET_H

#include "base/status.h"
#include "data/set_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    KEY_MARKS = 3, /* the bits that marks may have */
    KEY_SLOTS_PER_WORD = 8,
};

/* A key's digest; the bits of KEY_MARKS in `low` are zero. */
struct key_digest {
    uint64_t low, high;
};

struct key_set {
    uint64_t secret[2];
    struct key_digest
        *slots;         /* with the marks in `low`; no mark: free. The block belongs to whoever gives the memory */
    uint64_t *filter;   /* behind them in the block: a Bloom filter of a word for each KEY_SLOTS_PER_WORD slots */
    size_t slots_count; /* 0, or a power of two */
    size_t count;
};

/* --- digests: of a key's words, in order. Words are to be chosen so that no key is the beginning of another, unless
 * their digests are told apart otherwise. --- */

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
    return (struct key_digest){(v[0] ^ v[1]) & ~(uint64_t)KEY_MARKS, v[2] ^ v[3]};
}

/* --- the set --- */

/* Makes an empty set, which has no memory yet. The secret: random bits. */
void key_set_init(struct key_set *set, const uint64_t secret[static 2]);

static inline size_t key_set_home(const struct key_set *set, const struct key_digest *digest)
{
    return digest->high & (set->slots_count - 1);
}

/* The filter's word for the key, which has all the bits of its pattern if the key is in the set. */
static inline uint64_t *key_set_word(const struct key_set *set, const struct key_digest *digest)
{
    return &set->filter[(digest->high >> 32) & (set->slots_count / KEY_SLOTS_PER_WORD - 1)];
}

static inline uint64_t key_set_pattern(const struct key_digest *digest)
{
    const uint64_t bits = digest->low >> 2, one = 1;
    return one << (bits & 63) | one << (bits >> 6 & 63) | one << (bits >> 12 & 63);
}

/* Tells the processor what is going to be looked at; the set is not empty. */
static inline void key_set_prefetch(const struct key_set *set, const struct key_digest *digest)
{
    __builtin_prefetch(key_set_word(set, digest));
    __builtin_prefetch(&set->slots[key_set_home(set, digest)]);
}

/* The key's marks; 0: it is not in the set. The set is not empty. */
static inline unsigned key_set_find(const struct key_set *set, const struct key_digest *digest)
{
    if (key_set_pattern(digest) & ~*key_set_word(set, digest))
        return 0;
    for (size_t i = key_set_home(set, digest);; i = (i + 1) & (set->slots_count - 1)) {
        const struct key_digest *slot = &set->slots[i];
        const unsigned marks = slot->low & KEY_MARKS;
        if (marks == 0 || (slot->high == digest->high && (slot->low ^ digest->low) <= KEY_MARKS))
            return marks;
    }
}

/* Adds the mark to the key's, and the key when it is not in the set. `*added`: it had no such mark before.
 * STATUS_NO_MEMORY: the set stays as it was. */
MUST_CHECK enum status key_set_add(struct key_set *set, const struct set_memory *memory,
                                   const struct key_digest *digest, unsigned mark, bool *added);

/* Takes the mark off the key, and the key out of the set when none is left. False when it had no such mark. */
bool key_set_remove(struct key_set *set, const struct key_digest *digest, unsigned mark);

#endif
