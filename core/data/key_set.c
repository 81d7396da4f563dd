#include "data/key_set.h"

enum {
    FIRST_OFFSET = 1, /* 0 says that a slot is free */
    SLOTS_LEAST = 16,
    BYTES_LEAST = 256,
};

static struct key_entry *entry_at(const struct key_set *set, uint32_t offset)
{
    return (struct key_entry *)(set->bytes + offset);
}

static size_t entry_size(size_t length)
{
    return sizeof(struct key_entry) + length;
}

void key_set_init(struct key_set *set, const uint64_t secret[static 2])
{
    *set = (struct key_set){.secret = {secret[0], secret[1]}, .used = FIRST_OFFSET};
}

/* The slot of the key, or where it would go; there are slots, and one of them is free. */
static struct key_slot *find_slot(const struct key_set *set, uint32_t hash, const uint8_t *key, size_t length)
{
    const size_t mask = set->slots_count - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct key_slot *slot = &set->slots[i];
        if (slot->offset == 0)
            return slot;
        if (slot->hash != hash)
            continue;
        const struct key_entry *entry = entry_at(set, slot->offset);
        if (entry->length == length && memcmp(entry->key, key, length) == 0)
            return slot;
    }
}

struct key_entry *key_set_find(const struct key_set *set, uint32_t hash, const uint8_t *key, size_t length)
{
    if (set->count == 0)
        return NULL;
    const struct key_slot *slot = find_slot(set, hash, key, length);
    return slot->offset ? entry_at(set, slot->offset) : NULL;
}

/* --- room --- */

/* Slots for one key more: at most two thirds are taken, as a search ends at a free one. */
static MUST_CHECK enum status reserve_slot(struct key_set *set, const struct set_memory *memory)
{
    if ((set->count + 1) * 3 <= set->slots_count * 2)
        return STATUS_OK;
    const size_t count = set->slots_count ? set->slots_count * 2 : SLOTS_LEAST;
    struct key_slot *slots = memory->replace(memory->context, SET_SLOTS, count * sizeof *slots);
    if (!slots)
        return STATUS_NO_MEMORY;
    memset(slots, 0, count * sizeof *slots);
    for (size_t i = 0; i < set->slots_count; i++) {
        const struct key_slot *slot = &set->slots[i];
        if (slot->offset == 0)
            continue;
        size_t to = slot->hash & (count - 1);
        while (slots[to].offset)
            to = (to + 1) & (count - 1);
        slots[to] = *slot;
    }
    set->slots = slots;
    set->slots_count = count;
    return STATUS_OK;
}

/* Copies the entries that are alive. */
static void move_entries(struct key_set *set, uint8_t *to)
{
    if (set->dead == 0) {
        if (set->bytes)
            memcpy(to, set->bytes, set->used);
        return;
    }
    size_t used = FIRST_OFFSET;
    for (size_t i = 0; i < set->slots_count; i++) {
        struct key_slot *slot = &set->slots[i];
        if (slot->offset == 0)
            continue;
        const struct key_entry *entry = entry_at(set, slot->offset);
        const size_t size = entry_size(entry->length);
        memcpy(to + used, entry, size);
        slot->offset = (uint32_t)used;
        used += size;
    }
    set->used = used;
    set->dead = 0;
}

/* Bytes for an entry more. A third of a new block is free, whatever of the old one was dead. */
static MUST_CHECK enum status reserve_bytes(struct key_set *set, const struct set_memory *memory, size_t more)
{
    if (set->size - set->used >= more && set->bytes)
        return STATUS_OK;
    const size_t alive = set->used - set->dead + more;
    const size_t size = alive < BYTES_LEAST ? BYTES_LEAST : alive + alive / 2;
    if (size > UINT32_MAX)
        return STATUS_NO_MEMORY;
    uint8_t *bytes = memory->replace(memory->context, SET_BYTES, size);
    if (!bytes)
        return STATUS_NO_MEMORY;
    move_entries(set, bytes);
    set->bytes = bytes;
    set->size = size;
    return STATUS_OK;
}

/* --- adding and removing --- */

enum status key_set_add(struct key_set *set, const struct set_memory *memory, uint32_t hash, const uint8_t *key,
                        size_t length, uint8_t mark)
{
    struct key_entry *entry = key_set_find(set, hash, key, length);
    if (entry) {
        entry->mark |= mark;
        return STATUS_OK;
    }
    enum status status = reserve_slot(set, memory);
    if (!status)
        status = reserve_bytes(set, memory, entry_size(length));
    if (status)
        return status;
    *find_slot(set, hash, key, length) = (struct key_slot){hash, (uint32_t)set->used};
    entry = entry_at(set, (uint32_t)set->used);
    entry->length = (uint8_t)length;
    entry->mark = mark;
    memcpy(entry->key, key, length);
    set->used += entry_size(length);
    set->count++;
    return STATUS_OK;
}

/* Frees the slot: those behind it that would no longer be found move up. */
static void free_slot(struct key_set *set, struct key_slot *slot)
{
    const size_t mask = set->slots_count - 1;
    size_t hole = (size_t)(slot - set->slots);
    for (size_t i = (hole + 1) & mask; set->slots[i].offset; i = (i + 1) & mask) {
        const size_t home = set->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        set->slots[hole] = set->slots[i];
        hole = i;
    }
    set->slots[hole].offset = 0;
}

bool key_set_remove(struct key_set *set, uint32_t hash, const uint8_t *key, size_t length, uint8_t mark)
{
    if (set->count == 0)
        return false;
    struct key_slot *slot = find_slot(set, hash, key, length);
    struct key_entry *entry = slot->offset ? entry_at(set, slot->offset) : NULL;
    if (!entry || !(entry->mark & mark))
        return false;
    entry->mark &= (uint8_t)~mark;
    if (entry->mark)
        return true;
    set->dead += entry_size(length);
    free_slot(set, slot);
    if (--set->count == 0) {
        set->used = FIRST_OFFSET;
        set->dead = 0;
    }
    return true;
}
