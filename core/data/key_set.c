#include "data/key_set.h"

enum { SLOTS_LEAST = 16 };

void key_set_init(struct key_set *set, const uint64_t secret[static 2])
{
    *set = (struct key_set){.secret = {secret[0], secret[1]}};
}

/* The slot of the key, or the free one where it would go. */
static struct key_slot *find_slot(const struct key_set *set, const struct key_digest *digest)
{
    size_t i = key_set_home(set, digest);
    while (set->slots[i].marks && !key_slot_is(&set->slots[i], digest))
        i = (i + 1) & (set->slots_count - 1);
    return &set->slots[i];
}

static struct key_digest digest_in(const struct key_slot *slot)
{
    return (struct key_digest){slot->high, slot->low};
}

static void remember(struct key_set *set, const struct key_digest *digest)
{
    *key_set_word(set, digest) |= key_set_pattern(digest);
}

/* Room for one key more: at most two thirds of the slots are taken, as a search ends at a free one. */
static MUST_CHECK enum status reserve(struct key_set *set, const struct set_memory *memory)
{
    if ((set->count + 1) * 3 <= set->slots_count * 2)
        return STATUS_OK;
    struct key_set grown = *set;
    grown.slots_count = set->slots_count ? set->slots_count * 2 : SLOTS_LEAST;
    const size_t words = grown.slots_count / KEY_SLOTS_PER_WORD;
    const size_t size = grown.slots_count * sizeof *grown.slots + words * sizeof *grown.filter;
    void *block = memory->replace(memory->context, size);
    if (!block)
        return STATUS_NO_MEMORY;
    memset(block, 0, size);
    grown.slots = block;
    grown.filter = (uint64_t *)(void *)(grown.slots + grown.slots_count);
    grown.forgotten = 0;
    for (size_t i = 0; i < set->slots_count; i++) {
        const struct key_digest digest = digest_in(&set->slots[i]);
        if (set->slots[i].marks == 0)
            continue;
        *find_slot(&grown, &digest) = set->slots[i];
        remember(&grown, &digest);
    }
    *set = grown;
    return STATUS_OK;
}

enum status key_set_add(struct key_set *set, const struct set_memory *memory, const struct key_digest *digest,
                        uint32_t mark, bool *added)
{
    enum status status = reserve(set, memory);
    if (status)
        return status;
    struct key_slot *slot = find_slot(set, digest);
    if (slot->marks == 0) {
        *slot = (struct key_slot){.high = digest->high, .low = digest->low};
        remember(set, digest);
        set->count++;
    }
    *added = !(slot->marks & mark);
    slot->marks |= mark;
    return STATUS_OK;
}

/* Makes the filter of the keys that there are: those that were removed would fill it, in time. */
static void renew_filter(struct key_set *set)
{
    memset(set->filter, 0, set->slots_count / KEY_SLOTS_PER_WORD * sizeof *set->filter);
    for (size_t i = 0; i < set->slots_count; i++) {
        const struct key_digest digest = digest_in(&set->slots[i]);
        if (set->slots[i].marks)
            remember(set, &digest);
    }
    set->forgotten = 0;
}

/* Frees the slot: those behind it that would no longer be found move up. */
static void free_slot(struct key_set *set, const struct key_slot *slot)
{
    const size_t mask = set->slots_count - 1;
    size_t hole = (size_t)(slot - set->slots);
    for (size_t i = (hole + 1) & mask; set->slots[i].marks; i = (i + 1) & mask) {
        const struct key_digest digest = digest_in(&set->slots[i]);
        if (((i - key_set_home(set, &digest)) & mask) < ((i - hole) & mask))
            continue;
        set->slots[hole] = set->slots[i];
        hole = i;
    }
    set->slots[hole] = (struct key_slot){.marks = 0};
}

bool key_set_remove(struct key_set *set, const struct key_digest *digest, uint32_t mark)
{
    if (set->count == 0)
        return false;
    struct key_slot *slot = find_slot(set, digest);
    if (!(slot->marks & mark))
        return false;
    slot->marks &= ~mark;
    if (slot->marks == 0) {
        set->count--;
        free_slot(set, slot);
        if (++set->forgotten > set->slots_count / 4)
            renew_filter(set);
    }
    return true;
}
