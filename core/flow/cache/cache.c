/* The store: slots in the order of use, and an index by hash. */
#include "flow/cache/cache_private.h"

#include <stdlib.h>

enum {
    HEAD = 0,      /* the slot that is none */
    SWEEP_STEP = 4 /* slots that are looked at whenever an answer is kept */
};

static const int64_t SECOND_US = 1000000;

static uint8_t *key_bytes(struct cache_entry *entry)
{
    return (uint8_t *)(entry->ttls + entry->ttl_count);
}

/* --- life --- */

struct cache *cache_new(size_t entries, struct random *random, struct cache_counters *counters)
{
    struct cache *cache = calloc(1, sizeof *cache);
    size_t size = 4;
    while (size < entries + entries / 2)
        size *= 2;
    if (!cache)
        return NULL;
    cache->slots = calloc(entries + 1, sizeof *cache->slots);
    cache->index = calloc(size, sizeof *cache->index);
    if (!cache->slots || !cache->index) {
        cache_free(cache);
        return NULL;
    }
    for (size_t i = 0; i < 4; i++)
        cache->seed.v[i] = (uint64_t)random_u32(random) << 32 | random_u32(random);
    cache->counters = counters;
    cache->entries = entries;
    cache->index_mask = size - 1;
    cache->bytes_max = entries * CACHE_ENTRY_BYTES;
    if (cache->bytes_max < CACHE_BYTES_LEAST)
        cache->bytes_max = CACHE_BYTES_LEAST;
    return cache;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    for (uint32_t i = 1; i <= cache->touched; i++)
        free(cache->slots[i].entry);
    free(cache->slots);
    free(cache->index);
    free(cache);
}

void cache_set_time(struct cache *cache, int64_t monotonic_us, int64_t wall_us)
{
    int64_t jumped = wall_us - monotonic_us - cache->ahead_us;
    if (jumped > SECOND_US || jumped < -SECOND_US) {
        cache->ahead_us += jumped;
        cache->slept_us += jumped > 0 ? jumped : 0;
    }
    cache->now_us = monotonic_us + cache->slept_us;
    cache->wall_us = wall_us;
}

size_t cache_count(const struct cache *cache)
{
    return cache->count;
}

size_t cache_bytes(const struct cache *cache)
{
    return cache->bytes;
}

uint32_t cache_flushes(const struct cache *cache)
{
    return cache->flushes;
}

/* --- the index --- */

static struct cache_entry *entry_of(const struct cache *cache, uint32_t number)
{
    return cache->slots[number].entry;
}

/* The number of the slot with this key; HEAD: none has it. */
static uint32_t find_slot(const struct cache *cache, const struct cache_key *key)
{
    for (size_t i = key->hash & cache->index_mask; cache->index[i].slot; i = (i + 1) & cache->index_mask) {
        if (cache->index[i].hash != key->hash)
            continue;
        struct cache_entry *entry = entry_of(cache, cache->index[i].slot);
        if (entry->key_length == key->length && !memcmp(key_bytes(entry), key->bytes, key->length))
            return cache->index[i].slot;
    }
    return HEAD;
}

static void index_add(struct cache *cache, uint32_t hash, uint32_t number)
{
    size_t i = hash & cache->index_mask;
    while (cache->index[i].slot)
        i = (i + 1) & cache->index_mask;
    cache->index[i] = (struct cache_index){hash, number};
}

/* Those behind the hole that would no longer be found move up. */
static void index_remove(struct cache *cache, uint32_t number)
{
    struct cache_index *index = cache->index;
    size_t mask = cache->index_mask, hole = cache->slots[number].hash & mask;
    while (index[hole].slot != number)
        hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; index[i].slot; i = (i + 1) & mask) {
        size_t home = index[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        index[hole] = index[i];
        hole = i;
    }
    index[hole].slot = 0;
}

/* --- the order of use --- */

static void unlink_slot(struct cache *cache, const struct cache_slot *slot)
{
    cache->slots[slot->newer].older = slot->older;
    cache->slots[slot->older].newer = slot->newer;
}

static void link_newest(struct cache *cache, uint32_t number)
{
    struct cache_slot *slot = &cache->slots[number], *head = &cache->slots[HEAD];
    slot->newer = HEAD;
    slot->older = head->older;
    cache->slots[head->older].newer = number;
    head->older = number;
}

/* --- dropping --- */

static void drop(struct cache *cache, uint32_t number, uint64_t *counter)
{
    struct cache_slot *slot = &cache->slots[number];
    index_remove(cache, number);
    unlink_slot(cache, slot);
    cache->bytes -= slot->entry->size;
    cache->count--;
    free(slot->entry);
    slot->entry = NULL;
    slot->older = cache->free;
    cache->free = number;
    ++*counter;
}

static bool is_over(const struct cache *cache, const struct cache_slot *slot)
{
    return slot->expires_us <= cache->now_us;
}

/* Drops what nobody asks for any more, a little at a time. */
static void sweep(struct cache *cache)
{
    for (unsigned i = 0; i < SWEEP_STEP && cache->touched; i++) {
        cache->sweep = cache->sweep % cache->touched + 1;
        const struct cache_slot *slot = &cache->slots[cache->sweep];
        if (slot->entry && is_over(cache, slot))
            drop(cache, cache->sweep, &cache->counters->expired);
    }
}

static void make_room(struct cache *cache, size_t size)
{
    while (cache->count == cache->entries || cache->bytes + size > cache->bytes_max) {
        uint32_t oldest = cache->slots[HEAD].newer;
        bool over = is_over(cache, &cache->slots[oldest]);
        drop(cache, oldest, over ? &cache->counters->expired : &cache->counters->evicted);
    }
}

size_t cache_flush(struct cache *cache, const uint8_t *name)
{
    size_t before = cache->count;
    cache->flushes++;
    for (uint32_t i = 1; i <= cache->touched && cache->count; i++) {
        struct cache_entry *entry = entry_of(cache, i);
        if (entry && (!name || dns_name_is_subdomain(key_bytes(entry) + CACHE_KEY_NAME, name)))
            drop(cache, i, &cache->counters->flushed);
    }
    return before - cache->count;
}

/* --- finding and keeping --- */

bool cache_find(struct cache *cache, const struct cache_key *key, const struct dns_message *query,
                struct flow_message *out)
{
    uint32_t number = find_slot(cache, key);
    struct cache_slot *slot = &cache->slots[number];
    if (number != HEAD && is_over(cache, slot)) {
        drop(cache, number, &cache->counters->expired);
        number = HEAD;
    }
    if (number == HEAD || flow_message_adopt(out, &slot->entry->view, cache->wall_us)) {
        cache->counters->misses++;
        return false;
    }
    const struct cache_entry *entry = slot->entry;
    uint8_t *wire = out->wire.data;
    out->view.header.id = query->header.id;
    store_u16(wire, query->header.id);
    memcpy(wire + DNS_HEADER_SIZE, query->question.name, query->question.name_length);
    uint32_t age = (uint32_t)((cache->now_us - entry->kept_us) / SECOND_US);
    for (size_t i = 0; age && i < entry->ttl_count; i++)
        store_u32(wire + entry->ttls[i], load_u32(wire + entry->ttls[i]) - age);
    unlink_slot(cache, slot);
    link_newest(cache, number);
    cache->counters->hits++;
    return true;
}

/* A block that holds the answer, or NULL. */
static struct cache_entry *make_entry(const struct cache *cache, const struct cache_key *key,
                                      const struct dns_message *answer)
{
    const uint16_t *counts = answer->header.counts;
    size_t ttls = (size_t)counts[DNS_SECTION_ANSWER] + counts[DNS_SECTION_AUTHORITY] + counts[DNS_SECTION_ADDITIONAL] -
                  answer->opt.count;
    size_t size = sizeof(struct cache_entry) + ttls * sizeof(uint16_t) + key->length + answer->length;
    struct cache_entry *entry = size > cache->bytes_max ? NULL : malloc(size);
    if (!entry)
        return NULL;
    *entry = (struct cache_entry){
        .kept_us = cache->now_us,
        .size = size,
        .view = *answer,
        .key_length = key->length,
    };
    entry->ttl_count = (uint16_t)cache_find_ttls(answer, entry->ttls);
    uint8_t *bytes = key_bytes(entry), *wire = bytes + key->length;
    memcpy(bytes, key->bytes, key->length);
    memcpy(wire, answer->wire, answer->length);
    cache_limit_soa(answer, wire);
    entry->view.wire = wire;
    entry->view.question.name = wire + DNS_HEADER_SIZE;
    if (answer->opt.options.data)
        entry->view.opt.options.data = wire + (answer->opt.options.data - answer->wire);
    return entry;
}

static uint32_t take_slot(struct cache *cache)
{
    uint32_t number = cache->free;
    if (number == HEAD)
        return ++cache->touched;
    cache->free = cache->slots[number].older;
    return number;
}

void cache_keep(struct cache *cache, const struct cache_key *key, const struct dns_message *answer)
{
    uint32_t seconds = cache_seconds(answer);
    sweep(cache);
    struct cache_entry *entry = seconds ? make_entry(cache, key, answer) : NULL;
    if (!entry)
        return;
    uint32_t old = find_slot(cache, key);
    uint64_t replaced = 0;
    if (old != HEAD)
        drop(cache, old, &replaced);
    make_room(cache, entry->size);
    uint32_t number = take_slot(cache);
    struct cache_slot *slot = &cache->slots[number];
    slot->entry = entry;
    slot->expires_us = cache->now_us + seconds * SECOND_US;
    slot->hash = key->hash;
    index_add(cache, key->hash, number);
    link_newest(cache, number);
    cache->count++;
    cache->bytes += entry->size;
    cache->counters->kept++;
}
