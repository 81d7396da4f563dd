#include "data/shared_store.h"

#include "data/key_set.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    SHARD_BITS = 6,
    SHARDS = 1 << SHARD_BITS,
    BUCKETS_LEAST = 16,
    CACHE_LINE = 64,
    ENTRY_OVERHEAD = 32, /* bytes: the allocator's, and two places in the buckets */
    EXPIRED_AT_ONCE = 2, /* looked at for each new one, from the oldest on */
    TEXT_SLACK_MAX = 64, /* bytes that a shorter text in an old one's place may waste */
};

static const int64_t NEVER = INT64_MAX;

struct entry {
    struct entry *next;          /* in its bucket */
    struct entry *newer, *older; /* in order of use */
    uint64_t hash;
    int64_t expires_us;
    double number;
    size_t key_length, text_length, text_room;
    enum shared_kind kind;
    bool boolean;
    char bytes[]; /* the key, then the text */
};

struct shard {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct entry **buckets;
    size_t buckets_count; /* 0, or a power of two */
    size_t count;
    struct entry *newest, *oldest;
};

struct shared_store {
    struct shard shards[SHARDS];
    struct key_set hash; /* has the secret alone */
    size_t bytes_max;
    _Alignas(CACHE_LINE) atomic_size_t bytes;
    atomic_uint hand; /* the shard that makes room next */
    _Atomic uint64_t evicted;
};

/* --- keys --- */

static uint64_t hash_key(const struct shared_store *store, struct shared_text key)
{
    struct key_hash hash = key_hash_start(&store->hash);
    uint64_t word;
    size_t at = 0;
    key_hash_word(&hash, key.length);
    for (; key.length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, key.bytes + at, sizeof word);
        key_hash_word(&hash, word);
    }
    word = 0;
    if (key.length > at)
        memcpy(&word, key.bytes + at, key.length - at);
    key_hash_word(&hash, word);
    return key_hash_digest(hash).high;
}

static struct shard *shard_of(struct shared_store *store, uint64_t hash)
{
    return &store->shards[hash >> (64 - SHARD_BITS)];
}

static bool has_key(const struct entry *entry, uint64_t hash, struct shared_text key)
{
    return entry->hash == hash && entry->key_length == key.length &&
           (key.length == 0 || memcmp(entry->bytes, key.bytes, key.length) == 0);
}

/* --- entries in their shard, whose lock is held --- */

static size_t entry_size(const struct entry *entry)
{
    return sizeof *entry + entry->key_length + entry->text_room + ENTRY_OVERHEAD;
}

static void take_from_order(struct shard *shard, struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &shard->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &shard->oldest) = entry->newer;
}

static void make_newest(struct shard *shard, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = shard->newest;
    *(shard->newest ? &shard->newest->newer : &shard->oldest) = entry;
    shard->newest = entry;
}

static void use(struct shard *shard, struct entry *entry)
{
    if (shard->newest == entry)
        return;
    take_from_order(shard, entry);
    make_newest(shard, entry);
}

static void drop(struct shared_store *store, struct shard *shard, struct entry *entry)
{
    struct entry **at = &shard->buckets[entry->hash & (shard->buckets_count - 1)];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    take_from_order(shard, entry);
    shard->count--;
    atomic_fetch_sub_explicit(&store->bytes, entry_size(entry), memory_order_relaxed);
    free(entry);
}

/* The key's entry, or NULL; one whose time is over goes. */
static struct entry *find(struct shared_store *store, struct shard *shard, uint64_t hash, struct shared_text key,
                          int64_t now_us)
{
    struct entry *entry = shard->buckets_count ? shard->buckets[hash & (shard->buckets_count - 1)] : NULL;
    while (entry && !has_key(entry, hash, key))
        entry = entry->next;
    if (!entry || entry->expires_us > now_us)
        return entry;
    drop(store, shard, entry);
    return NULL;
}

/* Without memory for more buckets the chains grow longer. */
static bool grow(struct shard *shard)
{
    size_t count = shard->buckets_count ? shard->buckets_count * 2 : BUCKETS_LEAST;
    struct entry **buckets = calloc(count, sizeof(struct entry *));
    if (!buckets)
        return shard->buckets_count > 0;
    for (size_t i = 0; i < shard->buckets_count; i++) {
        for (struct entry *entry = shard->buckets[i], *next; entry; entry = next) {
            struct entry **bucket = &buckets[entry->hash & (count - 1)];
            next = entry->next;
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    free(shard->buckets);
    shard->buckets = buckets;
    shard->buckets_count = count;
    return true;
}

static void drop_expired(struct shared_store *store, struct shard *shard, int64_t now_us)
{
    for (int i = 0; i < EXPIRED_AT_ONCE && shard->oldest && shard->oldest->expires_us <= now_us; i++)
        drop(store, shard, shard->oldest);
}

/* --- room --- */

/* Drops the oldest entry of one shard after the other, until the bytes that are taken are no more than there may be.
 * False when nothing is left to drop. */
static bool make_room(struct shared_store *store, int64_t now_us)
{
    unsigned hand = 0, empty = 0;
    while (atomic_load_explicit(&store->bytes, memory_order_relaxed) > store->bytes_max) {
        if (empty == SHARDS)
            return false;
        hand = hand ? hand + 1 : atomic_fetch_add_explicit(&store->hand, 1, memory_order_relaxed) % SHARDS + SHARDS;
        struct shard *shard = &store->shards[hand % SHARDS];
        pthread_mutex_lock(&shard->lock);
        struct entry *oldest = shard->oldest;
        empty = oldest ? 0 : empty + 1;
        if (oldest && oldest->expires_us > now_us)
            atomic_fetch_add_explicit(&store->evicted, 1, memory_order_relaxed);
        if (oldest)
            drop(store, shard, oldest);
        pthread_mutex_unlock(&shard->lock);
    }
    return true;
}

/* Takes the bytes out of what there may be; entry_free, or drop, gives them back. */
static MUST_CHECK enum status reserve(struct shared_store *store, size_t bytes, int64_t now_us)
{
    if (bytes > store->bytes_max)
        return STATUS_NO_SPACE;
    atomic_fetch_add_explicit(&store->bytes, bytes, memory_order_relaxed);
    if (make_room(store, now_us))
        return STATUS_OK;
    atomic_fetch_sub_explicit(&store->bytes, bytes, memory_order_relaxed);
    return STATUS_NO_SPACE;
}

static void entry_free(struct shared_store *store, struct entry *entry)
{
    if (!entry)
        return;
    atomic_fetch_sub_explicit(&store->bytes, entry_size(entry), memory_order_relaxed);
    free(entry);
}

static int64_t expiry(int64_t now_us, int64_t ttl_us)
{
    return ttl_us == SHARED_TTL_NONE || ttl_us > NEVER - now_us ? NEVER : now_us + ttl_us;
}

static void put_value(struct entry *entry, const struct shared_value *value, int64_t expires_us)
{
    entry->kind = value->kind;
    entry->boolean = value->boolean;
    entry->number = value->number;
    entry->text_length = value->kind == SHARED_TEXT ? value->text.length : 0;
    if (entry->text_length)
        memcpy(entry->bytes + entry->key_length, value->text.bytes, entry->text_length);
    entry->expires_us = expires_us;
}

/* An entry with the value, in no shard yet. */
static MUST_CHECK enum status entry_new(struct shared_store *store, uint64_t hash, struct shared_text key,
                                        int64_t now_us, const struct shared_value *value, int64_t ttl_us,
                                        struct entry **out)
{
    size_t room = value->kind == SHARED_TEXT ? value->text.length : 0;
    size_t size = sizeof(struct entry) + key.length + room;
    enum status status = reserve(store, size + ENTRY_OVERHEAD, now_us);
    if (status)
        return status;
    struct entry *entry = malloc(size);
    if (!entry) {
        atomic_fetch_sub_explicit(&store->bytes, size + ENTRY_OVERHEAD, memory_order_relaxed);
        return STATUS_NO_MEMORY;
    }
    *entry = (struct entry){.hash = hash, .key_length = key.length, .text_room = room};
    if (key.length)
        memcpy(entry->bytes, key.bytes, key.length);
    put_value(entry, value, expiry(now_us, ttl_us));
    *out = entry;
    return STATUS_OK;
}

/* Puts the entry in; the key has none. */
static MUST_CHECK enum status insert(struct shared_store *store, struct shard *shard, struct entry *entry,
                                     int64_t now_us)
{
    if (shard->count >= shard->buckets_count && !grow(shard))
        return STATUS_NO_MEMORY;
    struct entry **bucket = &shard->buckets[entry->hash & (shard->buckets_count - 1)];
    entry->next = *bucket;
    *bucket = entry;
    shard->count++;
    make_newest(shard, entry);
    drop_expired(store, shard, now_us);
    return STATUS_OK;
}

/* --- what callers call --- */

struct shared_store *shared_store_new(size_t bytes_max, const uint64_t secret[static 2])
{
    struct shared_store *store = aligned_alloc(CACHE_LINE, sizeof *store);
    if (!store)
        return NULL;
    memset(store, 0, sizeof *store);
    key_set_init(&store->hash, secret);
    store->bytes_max = bytes_max;
    atomic_init(&store->bytes, 0);
    atomic_init(&store->hand, 0);
    atomic_init(&store->evicted, 0);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&store->shards[i].lock, NULL);
    return store;
}

void shared_store_free(struct shared_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &store->shards[i];
        while (shard->oldest)
            drop(store, shard, shard->oldest);
        free(shard->buckets);
        pthread_mutex_destroy(&shard->lock);
    }
    free(store);
}

enum status shared_store_get(struct shared_store *store, struct shared_text key, int64_t now_us,
                             struct shared_value *out, struct buffer *text)
{
    uint64_t hash = hash_key(store, key);
    struct shard *shard = shard_of(store, hash);
    enum status status = STATUS_NOT_FOUND;
    size_t start = text->length;
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(store, shard, hash, key, now_us);
    if (entry) {
        struct shared_value value = {.kind = entry->kind, .boolean = entry->boolean, .number = entry->number};
        buffer_append(text, entry->bytes + entry->key_length, entry->text_length);
        status = buffer_status(text);
        if (!status) {
            use(shard, entry);
            value.text.bytes = entry->text_length ? (const char *)text->data + start : "";
            value.text.length = entry->text_length;
            *out = value;
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return status;
}

/* Overwrites the value where it fits in its place; the key is known to be there. */
static bool overwrite(struct shard *shard, struct entry *entry, const struct shared_value *value, int64_t expires_us)
{
    size_t length = value->kind == SHARED_TEXT ? value->text.length : 0;
    if (length > entry->text_room || entry->text_room - length > TEXT_SLACK_MAX)
        return false;
    put_value(entry, value, expires_us);
    use(shard, entry);
    return true;
}

enum status shared_store_set(struct shared_store *store, struct shared_text key, int64_t now_us,
                             const struct shared_value *value, int64_t ttl_us)
{
    uint64_t hash = hash_key(store, key);
    struct shard *shard = shard_of(store, hash);
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(store, shard, hash, key, now_us);
    bool done = entry && overwrite(shard, entry, value, expiry(now_us, ttl_us));
    pthread_mutex_unlock(&shard->lock);
    if (done)
        return STATUS_OK;
    struct entry *made;
    enum status status = entry_new(store, hash, key, now_us, value, ttl_us, &made);
    if (status)
        return status;
    pthread_mutex_lock(&shard->lock);
    entry = find(store, shard, hash, key, now_us);
    status = insert(store, shard, made, now_us);
    if (!status && entry)
        drop(store, shard, entry);
    pthread_mutex_unlock(&shard->lock);
    if (status)
        entry_free(store, made);
    return status;
}

enum status shared_store_add(struct shared_store *store, struct shared_text key, int64_t now_us,
                             const struct shared_value *value, int64_t ttl_us, bool *added)
{
    uint64_t hash = hash_key(store, key);
    struct shard *shard = shard_of(store, hash);
    pthread_mutex_lock(&shard->lock);
    bool there = find(store, shard, hash, key, now_us) != NULL;
    pthread_mutex_unlock(&shard->lock);
    struct entry *made = NULL;
    enum status status = there ? STATUS_OK : entry_new(store, hash, key, now_us, value, ttl_us, &made);
    if (status)
        return status;
    if (made) {
        pthread_mutex_lock(&shard->lock);
        there = find(store, shard, hash, key, now_us) != NULL;
        if (!there)
            status = insert(store, shard, made, now_us);
        pthread_mutex_unlock(&shard->lock);
    }
    if (there || status)
        entry_free(store, made);
    if (!status)
        *added = !there;
    return status;
}

/* Adds to the number that is there. */
static enum status add_to(struct shared_store *store, struct shared_text key, int64_t now_us, double by, double *out)
{
    uint64_t hash = hash_key(store, key);
    struct shard *shard = shard_of(store, hash);
    enum status status = STATUS_NOT_FOUND;
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(store, shard, hash, key, now_us);
    if (entry && entry->kind == SHARED_NUMBER) {
        *out = entry->number += by;
        use(shard, entry);
        status = STATUS_OK;
    } else if (entry) {
        status = STATUS_INVALID;
    }
    pthread_mutex_unlock(&shard->lock);
    return status;
}

enum status shared_store_incr(struct shared_store *store, struct shared_text key, int64_t now_us, double by,
                              const struct shared_initial *initial, double *out)
{
    for (;;) {
        enum status status = add_to(store, key, now_us, by, out);
        if (status != STATUS_NOT_FOUND || !initial)
            return status;
        struct shared_value value = {.kind = SHARED_NUMBER, .number = initial->number + by};
        bool added;
        status = shared_store_add(store, key, now_us, &value, initial->ttl_us, &added);
        if (status)
            return status;
        if (added) {
            *out = value.number;
            return STATUS_OK;
        }
    }
}

bool shared_store_delete(struct shared_store *store, struct shared_text key, int64_t now_us)
{
    uint64_t hash = hash_key(store, key);
    struct shard *shard = shard_of(store, hash);
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(store, shard, hash, key, now_us);
    if (entry)
        drop(store, shard, entry);
    pthread_mutex_unlock(&shard->lock);
    return entry != NULL;
}

enum status shared_store_keys(struct shared_store *store, struct shared_text prefix, int64_t now_us, struct buffer *out)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &store->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (const struct entry *entry = shard->newest; entry; entry = entry->older) {
            if (entry->expires_us <= now_us || entry->key_length < prefix.length ||
                (prefix.length && memcmp(entry->bytes, prefix.bytes, prefix.length) != 0))
                continue;
            buffer_append(out, &entry->key_length, sizeof entry->key_length);
            buffer_append(out, entry->bytes, entry->key_length);
        }
        pthread_mutex_unlock(&shard->lock);
    }
    return buffer_status(out);
}

struct shared_counters shared_store_counters(const struct shared_store *store)
{
    return (struct shared_counters){
        .bytes = atomic_load_explicit(&store->bytes, memory_order_relaxed),
        .evicted = atomic_load_explicit(&store->evicted, memory_order_relaxed),
    };
}
