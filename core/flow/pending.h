/* The queries that wait for an upstream's answer: found by (channel, id), by channel, and by who is due first; and what
 * waits for its time alone. A table
 * of our own instead of uthash: entries lie in their flows, and nothing is allocated per query once the table is warm.
 */
#ifndef MOONDNS_FLOW_PENDING_H
#define MOONDNS_FLOW_PENDING_H

#include "base/random.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* One waiting query; lies in what waits, which finds itself again by its own means. The fields are the table's. */
struct pending {
    struct pending *channel_previous, *channel_next; /* the others on this channel, the newest first */
    struct pending *earlier, *later;                 /* by deadline, in one lane */
    struct pending *child;                           /* among those that are in no lane (pending_heap.h) */
    int64_t deadline_us;
    uint32_t channel;
    uint16_t id;
    uint8_t lane;
    bool waiting; /* it is in the table */
    bool alarm;   /* it waits for its time alone */
};

struct pending_slot {
    uint64_t key;
    struct pending *entry; /* NULL: the slot is free */
};

/* Open addressing, linear probing; the keys are random or counted by ourselves, so nobody can choose collisions. */
struct pending_map {
    struct pending_slot *slots; /* a power of two of them; owned */
    size_t capacity, count;
};

/* Deadlines in order. All entries of a lane wait equally long, so that a new one goes to the end; each duration has a
 * lane of its own while there are free ones. Entries with others are in a heap. */
enum { PENDING_LANES = 4, PENDING_NO_LANE = PENDING_LANES };
struct pending_lane {
    int64_t timeout_us;
    struct pending *first, *last;
};

/* All zeros is a valid empty table. */
struct pending_table {
    struct pending_map queries, channels;
    struct pending_lane lanes[PENDING_LANES];
    struct pending *others; /* the one due first of those in no lane */
    struct random *random;  /* borrowed */
};

/* Frees the table; borrowed entries are left as they are. */
void pending_free(struct pending_table *table);

/* Puts an entry in that waits for `timeout_us` from `now_us`, under a random id that nothing else on the channel has
 * (RFC 5452 section 4.3): entry->id. Borrows the entry until it is taken out. STATUS_NO_SPACE when hardly an id is
 * free. */
MUST_CHECK enum status pending_add(struct pending_table *table, struct pending *entry, uint32_t channel, int64_t now_us,
                                   int64_t timeout_us);

/* Puts an entry in that waits for nothing but the time. */
void pending_add_alarm(struct pending_table *table, struct pending *entry, int64_t now_us, int64_t delay_us);

/* The entry waits on, for `timeout_us` from `now_us`. */
void pending_wait_on(struct pending_table *table, struct pending *entry, int64_t now_us, int64_t timeout_us);

/* The entry, or NULL. */
struct pending *pending_find(const struct pending_table *table, uint32_t channel, uint16_t id);

/* Takes an entry out that is in. */
void pending_remove(struct pending_table *table, struct pending *entry);

/* Takes all entries of a channel out and gives them as a chain (by channel_next, the oldest first), or NULL. */
struct pending *pending_take_channel(struct pending_table *table, uint32_t channel);

/* The entry that is due first, or NULL. */
struct pending *pending_first(const struct pending_table *table);

static inline size_t pending_count(const struct pending_table *table)
{
    return table->queries.count;
}

#endif
