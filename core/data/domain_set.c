#include "data/domain_set.h"

enum {
    LABELS_MAX = DNS_NAME_MAX / 2,
    LAST_DEPTH = 63, /* the last bit of `depths` */
};

/* A name in lower case, and where its labels begin: starts[labels] is the root's byte. */
struct lowered {
    size_t length, labels;
    uint8_t wire[DNS_NAME_MAX];
    uint8_t starts[LABELS_MAX + 1];
};

static void lower(const uint8_t *wire, struct lowered *out)
{
    size_t at = 0, labels = 0;
    for (; wire[at]; at += wire[at] + 1u)
        out->starts[labels++] = (uint8_t)at;
    out->starts[labels] = (uint8_t)at;
    out->labels = labels;
    out->length = at + 1;
    for (size_t i = 0; i <= at; i++)
        out->wire[i] = dns_lower(wire[i]); /* a label's length is at most 63, which is no letter */
}

/* Adds the label that makes a parent of `depth` labels one of depth + 1. */
static void hash_label(struct key_hash *hash, const struct lowered *name, size_t depth)
{
    const uint8_t *label = name->wire + name->starts[name->labels - depth - 1];
    key_hash_add(hash, label, label[0] + 1u);
}

static uint32_t hash_whole(const struct domain_set *set, const struct lowered *name)
{
    struct key_hash hash = key_hash_start(set->keys.secret);
    for (size_t depth = 0; depth < name->labels; depth++)
        hash_label(&hash, name, depth);
    return key_hash_value(&hash);
}

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
    struct lowered lowered;
    lower(name->wire, &lowered);
    const uint32_t hash = hash_whole(set, &lowered);
    const struct key_entry *entry = key_set_find(&set->keys, hash, lowered.wire, lowered.length);
    if (entry && entry->mark & kind) {
        *added = false;
        return STATUS_OK;
    }
    enum status status = key_set_add(&set->keys, memory, hash, lowered.wire, lowered.length, (uint8_t)kind);
    if (status)
        return status;
    set->depths |= depth_bit(lowered.labels);
    ++*counter(set, kind);
    *added = true;
    return STATUS_OK;
}

bool domain_set_remove(struct domain_set *set, const struct dns_name *name, enum domain_kind kind)
{
    struct lowered lowered;
    lower(name->wire, &lowered);
    if (!key_set_remove(&set->keys, hash_whole(set, &lowered), lowered.wire, lowered.length, (uint8_t)kind))
        return false;
    --*counter(set, kind);
    return true;
}

/* Hashes the name's parents that could be in the set, by their number of labels, and gives the largest. All slots are
 * fetched from memory at once. */
static size_t hash_parents(const struct domain_set *set, const struct lowered *name,
                           uint32_t hashes[static LABELS_MAX + 1])
{
    struct key_hash hash = key_hash_start(set->keys.secret);
    size_t depth = 0;
    for (;; depth++) {
        const uint64_t bit = depth_bit(depth);
        if (set->depths & bit) {
            hashes[depth] = key_hash_value(&hash);
            key_set_prefetch(&set->keys, hashes[depth]);
        }
        if (depth == name->labels || (depth < LAST_DEPTH && set->depths < bit << 1))
            return depth;
        hash_label(&hash, name, depth);
    }
}

const uint8_t *domain_set_match(const struct domain_set *set, const uint8_t *name)
{
    struct lowered lowered;
    uint32_t hashes[LABELS_MAX + 1];
    const uint8_t *found = NULL;
    if (set->count == 0)
        return NULL;
    lower(name, &lowered);
    for (size_t depth = hash_parents(set, &lowered, hashes) + 1; depth-- > 0;) {
        if (!(set->depths & depth_bit(depth)))
            continue;
        const size_t start = lowered.starts[lowered.labels - depth];
        const struct key_entry *entry =
            key_set_find(&set->keys, hashes[depth], lowered.wire + start, lowered.length - start);
        if (!entry)
            continue;
        if (entry->mark & DOMAIN_EXCEPTION)
            return NULL;
        if (!found)
            found = entry->key;
        if (set->exceptions == 0)
            break;
    }
    return found;
}
