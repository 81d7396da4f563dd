#include "flow/pending_heap.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SMALLEST_CAPACITY = 64,
    /* A random id is taken already with probability count / 65536. Even with 9 of 10 ids in use all these draws miss
     * only once in 800 queries; a try is lost then, and never time without bound. */
    ID_DRAWS = 64,
};

static uint64_t query_key(uint32_t channel, uint16_t id)
{
    return (uint64_t)channel << 16 | id;
}

/* --- the map --- */

/* Ids are random and channels counted: either is spread evenly as it is. */
static inline size_t home(const struct pending_map *map, uint64_t key)
{
    return (size_t)(key ^ key >> 16) & (map->capacity - 1);
}

/* The slot that holds the key, or the free one where it belongs. The map has free slots. */
static struct pending_slot *slot_of(const struct pending_map *map, uint64_t key)
{
    size_t at = home(map, key);
    while (map->slots[at].entry && map->slots[at].key != key)
        at = (at + 1) & (map->capacity - 1);
    return &map->slots[at];
}

static struct pending *map_get(const struct pending_map *map, uint64_t key)
{
    return map->capacity ? slot_of(map, key)->entry : NULL;
}

static enum status map_grow(struct pending_map *map)
{
    struct pending_map grown = {.capacity = map->capacity ? 2 * map->capacity : SMALLEST_CAPACITY, .count = map->count};
    grown.slots = calloc(grown.capacity, sizeof *grown.slots);
    if (!grown.slots)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].entry)
            *slot_of(&grown, map->slots[i].key) = map->slots[i];
    free(map->slots);
    *map = grown;
    return STATUS_OK;
}

/* Makes room for one more, at most half full. */
static inline enum status map_reserve(struct pending_map *map)
{
    return map->capacity >= 2 * (map->count + 1) ? STATUS_OK : map_grow(map);
}

/* Fills the slot that slot_of has found. */
static inline void map_fill(struct pending_map *map, struct pending_slot *slot, uint64_t key, struct pending *entry)
{
    map->count += slot->entry == NULL;
    *slot = (struct pending_slot){key, entry};
}

/* Frees the slot, and moves what was pushed behind it forward, so that no probe meets a gap. */
static void map_delete(struct pending_map *map, uint64_t key)
{
    struct pending_slot *slot = slot_of(map, key);
    assert(slot->entry);
    size_t mask = map->capacity - 1, gap = (size_t)(slot - map->slots);
    for (size_t at = (gap + 1) & mask; map->slots[at].entry; at = (at + 1) & mask) {
        size_t wanted = home(map, map->slots[at].key);
        if (((at - wanted) & mask) < ((at - gap) & mask))
            continue; /* it stands between its home and the gap's far side: it can't move that far */
        map->slots[gap] = map->slots[at];
        gap = at;
    }
    map->slots[gap].entry = NULL;
    map->count--;
}

/* --- deadlines --- */

/* The lane of those that wait so long, or a free one; PENDING_NO_LANE: there is none. */
static unsigned choose_lane(struct pending_table *table, int64_t timeout_us)
{
    unsigned empty = PENDING_NO_LANE;
    for (unsigned i = 0; i < PENDING_LANES; i++) {
        const struct pending_lane *lane = &table->lanes[i];
        if (lane->first && lane->timeout_us == timeout_us)
            return i;
        if (!lane->first && empty == PENDING_NO_LANE)
            empty = i;
    }
    if (empty != PENDING_NO_LANE)
        table->lanes[empty].timeout_us = timeout_us;
    return empty;
}

/* To its end, but for a clock that went back. */
static void lane_insert(struct pending_lane *lane, struct pending *entry)
{
    struct pending *before = lane->last;
    while (before && before->deadline_us > entry->deadline_us)
        before = before->earlier;
    entry->earlier = before;
    entry->later = before ? before->later : lane->first;
    if (entry->later)
        entry->later->earlier = entry;
    else
        lane->last = entry;
    if (before)
        before->later = entry;
    else
        lane->first = entry;
}

static void lane_remove(struct pending_lane *lane, struct pending *entry)
{
    if (entry->earlier)
        entry->earlier->later = entry->later;
    else
        lane->first = entry->later;
    if (entry->later)
        entry->later->earlier = entry->earlier;
    else
        lane->last = entry->earlier;
}

static void start_waiting(struct pending_table *table, struct pending *entry, int64_t now_us, int64_t timeout_us)
{
    const unsigned lane = choose_lane(table, timeout_us);
    entry->deadline_us = now_us + timeout_us;
    entry->lane = (uint8_t)lane;
    entry->waiting = true;
    if (lane == PENDING_NO_LANE)
        pending_heap_insert(&table->others, entry);
    else
        lane_insert(&table->lanes[lane], entry);
}

static void stop_waiting(struct pending_table *table, struct pending *entry)
{
    entry->waiting = false;
    if (entry->lane == PENDING_NO_LANE)
        pending_heap_remove(&table->others, entry);
    else
        lane_remove(&table->lanes[entry->lane], entry);
}

struct pending *pending_first(const struct pending_table *table)
{
    struct pending *first = table->others;
    for (size_t i = 0; i < PENDING_LANES; i++) {
        struct pending *candidate = table->lanes[i].first;
        if (candidate && (!first || candidate->deadline_us < first->deadline_us))
            first = candidate;
    }
    return first;
}

/* --- channels --- */

static void chain_insert(struct pending_table *table, struct pending *entry)
{
    struct pending_slot *slot = slot_of(&table->channels, entry->channel);
    struct pending *head = slot->entry;
    entry->channel_previous = NULL;
    entry->channel_next = head;
    if (head)
        head->channel_previous = entry;
    map_fill(&table->channels, slot, entry->channel, entry);
}

static void chain_remove(struct pending_table *table, struct pending *entry)
{
    if (entry->channel_next)
        entry->channel_next->channel_previous = entry->channel_previous;
    if (entry->channel_previous)
        entry->channel_previous->channel_next = entry->channel_next;
    else if (entry->channel_next)
        slot_of(&table->channels, entry->channel)->entry = entry->channel_next;
    else
        map_delete(&table->channels, entry->channel);
}

/* --- the table --- */

void pending_free(struct pending_table *table)
{
    free(table->queries.slots);
    free(table->channels.slots);
    *table = (struct pending_table){.random = table->random};
}

/* The free slot of a random id that nothing else on the channel has; NULL where hardly an id is free. */
static inline struct pending_slot *choose_id(struct pending_table *table, uint32_t channel, uint16_t *out)
{
    for (int draw = 0; draw < ID_DRAWS; draw++) {
        *out = random_u16(table->random);
        struct pending_slot *slot = slot_of(&table->queries, query_key(channel, *out));
        if (!slot->entry)
            return slot;
    }
    return NULL;
}

enum status pending_add(struct pending_table *table, struct pending *entry, uint32_t channel, int64_t now_us,
                        int64_t timeout_us)
{
    assert(!entry->waiting);
    if (map_reserve(&table->queries) || map_reserve(&table->channels))
        return STATUS_NO_MEMORY;
    uint16_t id;
    struct pending_slot *slot = choose_id(table, channel, &id);
    if (!slot)
        return STATUS_NO_SPACE;
    entry->channel = channel;
    entry->id = id;
    entry->alarm = false;
    map_fill(&table->queries, slot, query_key(channel, id), entry);
    chain_insert(table, entry);
    start_waiting(table, entry, now_us, timeout_us);
    return STATUS_OK;
}

void pending_add_alarm(struct pending_table *table, struct pending *entry, int64_t now_us, int64_t delay_us)
{
    assert(!entry->waiting);
    entry->alarm = true;
    start_waiting(table, entry, now_us, delay_us);
}

void pending_wait_on(struct pending_table *table, struct pending *entry, int64_t now_us, int64_t timeout_us)
{
    assert(entry->waiting);
    stop_waiting(table, entry);
    start_waiting(table, entry, now_us, timeout_us);
}

struct pending *pending_find(const struct pending_table *table, uint32_t channel, uint16_t id)
{
    return map_get(&table->queries, query_key(channel, id));
}

static void forget(struct pending_table *table, struct pending *entry)
{
    assert(entry->waiting);
    if (!entry->alarm)
        map_delete(&table->queries, query_key(entry->channel, entry->id));
    stop_waiting(table, entry);
}

void pending_remove(struct pending_table *table, struct pending *entry)
{
    forget(table, entry);
    if (!entry->alarm)
        chain_remove(table, entry);
}

struct pending *pending_take_channel(struct pending_table *table, uint32_t channel)
{
    struct pending *newest = map_get(&table->channels, channel), *chain = NULL;
    if (!newest)
        return NULL;
    map_delete(&table->channels, channel);
    for (struct pending *entry = newest, *older; entry; entry = older) {
        older = entry->channel_next;
        forget(table, entry);
        entry->channel_next = chain;
        chain = entry;
    }
    return chain;
}
