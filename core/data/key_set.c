#include "data/key_set.h"

enum { SLOTS_LEAST = 16 };

void key_set_init(struct key_set *set, const uint64_t secret[static 2])
{
    *set = (struct key_set){.secret = {secret[0], secret[1]}};
}

static bool is_free(const struct key_digest *slot)
{
    return (slot->low & KEY_MARKS) == 0;
}

/* The slot of the key, or the free one where it would go. */
static struct key_digest *find_slot(const struct key_set *set, const struct key_digest *digest)
{
    size_t i = key_set_home(set, digest);
    while (!is_free(&set->slots[i]) &&
           (set->slots[i].high != digest->high || (set->slots[i].low ^ digest->low) > KEY_MARKS))
        i = (i + 1) & (set->slots_count - 1);
    return &set->slots[i];
}

static void put(struct key_set *set, struct key_digest *slot, const struct key_digest *digest)
{
    *slot = *digest;
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
    for (size_t i = 0; i < set->slots_count; i++)
        if (!is_free(&set->slots[i]))
            put(&grown, find_slot(&grown, &set->slots[i]), &set->slots[i]);
    *set = grown;
    return STATUS_OK;
}

enum status key_set_add(struct key_set *set, const struct set_memory *memory, const struct key_digest *digest,
                        unsigned mark, bool *added)
{
    enum status status = reserve(set, memory);
    if (status)
        return status;
    struct key_digest *slot = find_slot(set, digest);
    if (is_free(slot)) {
        put(set, slot, digest);
        set->count++;
    }
    *added = !(slot->low & mark);
    slot->low |= mark;
    return STATUS_OK;
}

/* Frees the slot: those behind it that would no longer be found move up. The filter forgets nothing until it is made
 * anew.
 */
static void free_slot(struct key_set *set, const struct key_digest *slot)
{
    const size_t mask = set->slots_count - 1;
    size_t hole = (size_t)(slot - set->slots);
    for (size_t i = (hole + 1) & mask; !is_free(&set->slots[i]); i = (i + 1) & mask) {
        const size_t home = key_set_home(set, &set->slots[i]);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        set->slots[hole] = set->slots[i];
        hole = i;
    }
    set->slots[hole] = (struct key_digest){0, 0};
}

bool key_set_remove(struct key_set *set, const struct key_digest *digest, unsigned mark)
{
    if (set->count == 0)
        return false;
    struct key_digest *slot = find_slot(set, digest);
    if (!(slot->low & mark))
        return false;
    slot->low &= ~(uint64_t)mark;
    if (is_free(slot)) {
        set->count--;
        free_slot(set, slot);
    }
    return true;
}
