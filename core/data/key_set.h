/* A hash set of short byte strings, each with a mark: what the sets of domains and of addresses are made of. A key
 * costs two bytes and 12 to 24 bytes of slots beside its own bytes, and it is looked for without following a pointer
 * unless its hash is there. The hash is keyed (SipHash-1-3), so nobody outside can choose keys that collide. */
#ifndef MOONDNS_DATA_KEY_SET_H
#define MOONDNS_DATA_KEY_SET_H

#include "base/status.h"
#include "data/set_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* As it lies among the set's bytes. */
struct key_entry {
    uint8_t length;
    uint8_t mark; /* the owner's; not 0 */
    uint8_t key[];
};

struct key_slot {
    uint32_t hash;
    uint32_t offset; /* of the entry among the bytes; 0: the slot is free */
};

struct key_set {
    uint64_t secret[2];     /* the hash's key */
    struct key_slot *slots; /* open addressing; both blocks belong to whoever gives the memory */
    size_t slots_count;     /* 0, or a power of two */
    uint8_t *bytes;
    size_t used, size; /* of the bytes */
    size_t dead;       /* bytes used by entries that have been removed */
    size_t count;
};

/* --- hashing: a key's parts in order, each of which must tell its own length --- */

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

static inline struct key_hash key_hash_start(const uint64_t secret[static 2])
{
    return (struct key_hash){{secret[0] ^ 0x736f6d6570736575, secret[1] ^ 0x646f72616e646f6d,
                              secret[0] ^ 0x6c7967656e657261, secret[1] ^ 0x7465646279746573}};
}

static inline void key_hash_word(struct key_hash *hash, uint64_t word)
{
    hash->v[3] ^= word;
    key_hash_round(hash);
    hash->v[0] ^= word;
}

static inline void key_hash_add(struct key_hash *hash, const uint8_t *bytes, size_t length)
{
    uint64_t word;
    for (; length >= sizeof word; length -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        key_hash_word(hash, word);
    }
    if (length == 0)
        return;
    word = 0;
    while (length-- > 0)
        word = word << 8 | bytes[length];
    key_hash_word(hash, word);
}

/* The hash of what was added so far; more can be added. */
static inline uint32_t key_hash_value(const struct key_hash *so_far)
{
    struct key_hash hash = *so_far;
    hash.v[2] ^= 0xff;
    key_hash_round(&hash);
    key_hash_round(&hash);
    key_hash_round(&hash);
    return (uint32_t)(hash.v[0] ^ hash.v[1] ^ hash.v[2] ^ hash.v[3]);
}

/* --- the set --- */

/* Makes an empty set, which has no memory yet. */
void key_set_init(struct key_set *set, const uint64_t secret[static 2]);

/* Tells the processor which slot is going to be looked at. */
static inline void key_set_prefetch(const struct key_set *set, uint32_t hash)
{
    __builtin_prefetch(&set->slots[hash & (set->slots_count - 1)]);
}

/* The entry of the key, NULL when it has none. It belongs to the set and stays where it is until a key is added. */
struct key_entry *key_set_find(const struct key_set *set, uint32_t hash, const uint8_t *key, size_t length);

/* Adds a key of at most 255 bytes with this mark, or adds the mark to those it has. STATUS_NO_MEMORY: the set stays as
 * it was. */
MUST_CHECK enum status key_set_add(struct key_set *set, const struct set_memory *memory, uint32_t hash,
                                   const uint8_t *key, size_t length, uint8_t mark);

/* Takes the mark off the key, and the key out of the set when no mark is left. False when it had no such mark. */
bool key_set_remove(struct key_set *set, uint32_t hash, const uint8_t *key, size_t length, uint8_t mark);

#endif
