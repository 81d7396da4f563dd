#include "data/domain_set.h"

#include <endian.h>

enum {
    LABELS_MAX = DNS_NAME_MAX / 2,
    LAST_DEPTH = 63, /* the last bit of `depths` */
    WORD = 8,
};

/* Where a name's labels begin: starts[labels] is the root's byte. */
struct split {
    const uint8_t *wire;
    size_t labels;
    uint8_t starts[LABELS_MAX + 1];
};

static void split(const uint8_t *wire, struct split *out)
{
    size_t at = 0, labels = 0;
    for (; wire[at]; at += wire[at] + 1u)
        out->starts[labels++] = (uint8_t)at;
    out->starts[labels] = (uint8_t)at;
    out->labels = labels;
    out->wire = wire;
}

/* --- digests: of the labels from the root down, each as its length and its bytes in lower case, in whole words --- */

/* Letters to lower case in eight bytes at once: a letter's highest bit is put into a byte of its own, and moved to
 * where the cases differ. A label's length, at most 63, is no letter. */
static uint64_t lower_word(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101, low = word & ones * 0x7f;
    const uint64_t from_a = low + ones * (0x80 - 'A'), beyond_z = low + ones * (0x7f - 'Z');
    return word | (((from_a ^ beyond_z) & ~word & ones * 0x80) >> 2);
}

/* The first `length` (at most 8) bytes of those that are left of a name. */
static uint64_t load_word(const uint8_t *bytes, size_t length, size_t left)
{
    uint64_t word = 0;
    if (left >= WORD) {
        memcpy(&word, bytes, WORD);
        word = le64toh(word);
        return length < WORD ? word & ((UINT64_C(1) << length * 8) - 1) : word;
    }
    while (length-- > 0)
        word = word << 8 | bytes[length];
    return word;
}

/* Adds the label that makes of a parent of `depth` labels a name of depth + 1. */
static void hash_label(struct key_hash *hash, const struct split *name, size_t depth)
{
    const size_t end = name->starts[name->labels] + 1u;
    size_t at = name->starts[name->labels - depth - 1];
    for (size_t length = name->wire[at] + 1u; length > 0;) {
        const size_t taken = length < WORD ? length : WORD;
        key_hash_word(hash, lower_word(load_word(name->wire + at, taken, end - at)));
        at += taken;
        length -= taken;
    }
}

static struct key_digest digest_of(const struct domain_set *set, const struct split *name)
{
    struct key_hash hash = key_hash_start(&set->keys);
    for (size_t depth = 0; depth < name->labels; depth++)
        hash_label(&hash, name, depth);
    return key_hash_digest(hash);
}

/* --- the set --- */

static uint64_t depth_bit(size_t depth)
{
    return UINT64_C(1) << (depth < LAST_DEPTH ? depth : LAST_DEPTH);
}

void domain_set_init(struct domain_set *set, const uint64_t secret[static 2])
{
    *set = (struct domain_set){.depths = 0};
    key_set_init(&set->keys, secret);
}

static size_t *counter(struct domain_set *set, enum domain_kind kind)
{
    return kind == DOMAIN_ENTRY ? &set->count : &set->exceptions;
}

enum status domain_set_add(struct domain_set *set, const struct set_memory *memory, const struct dns_name *name,
                           enum domain_kind kind, bool *added)
{
    struct split parts;
    split(name->wire, &parts);
    const struct key_digest digest = digest_of(set, &parts);
    enum status status = key_set_add(&set->keys, memory, &digest, kind, added);
    if (!status && *added) {
        set->depths |= depth_bit(parts.labels);
        ++*counter(set, kind);
    }
    return status;
}

bool domain_set_remove(struct domain_set *set, const struct dns_name *name, enum domain_kind kind)
{
    struct split parts;
    split(name->wire, &parts);
    const struct key_digest digest = digest_of(set, &parts);
    if (!key_set_remove(&set->keys, &digest, kind))
        return false;
    --*counter(set, kind);
    return true;
}

/* The digests of the name's parents that could be in the set, by their number of labels, of which it gives the largest.
 * What they will be compared with is fetched from memory all at once. */
static size_t digest_parents(const struct domain_set *set, const struct split *name,
                             struct key_digest digests[static LABELS_MAX + 1])
{
    struct key_hash hash = key_hash_start(&set->keys);
    for (size_t depth = 0;; depth++) {
        const uint64_t bit = depth_bit(depth);
        if (set->depths & bit) {
            digests[depth] = key_hash_digest(hash);
            key_set_prefetch_filter(&set->keys, &digests[depth]);
            key_set_prefetch_slot(&set->keys, &digests[depth]);
        }
        if (depth == name->labels || (depth < LAST_DEPTH && set->depths < bit << 1))
            return depth;
        hash_label(&hash, name, depth);
    }
}

const uint8_t *domain_set_match(const struct domain_set *set, const uint8_t *name)
{
    struct split parts;
    struct key_digest digests[LABELS_MAX + 1];
    const uint8_t *found = NULL;
    if (set->count == 0)
        return NULL;
    split(name, &parts);
    for (size_t depth = digest_parents(set, &parts, digests) + 1; depth-- > 0;) {
        if (!(set->depths & depth_bit(depth)) || !key_set_may_have(&set->keys, &digests[depth]))
            continue;
        const uint32_t marks = key_set_marks(&set->keys, &digests[depth]);
        if (marks & DOMAIN_EXCEPTION)
            return NULL;
        if (marks && !found)
            found = name + parts.starts[parts.labels - depth];
        if (found && set->exceptions == 0)
            break;
    }
    return found;
}
